"""One HTTP request and its answer, as journeys: the name, the connection, TLS, the application that answers.

The client resolves the name (lookup), tries the addresses in turn (journey) and speaks to whoever accepted: a plain
server, a controller's proxy, which sends the request on over a connection of its own, or a host outside. TLS here is
names and trust only, no cryptography. Texts of refusals belong to curl and wget (shell/curl.py); this file says what
happened, by the words of `ERRORS`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from k8snet.controlplane.listeners import image_facts
from k8snet.controlplane.snapshot import Pod, Snapshot, containers_of
from k8snet.dataplane import journey, lookup
from k8snet.dataplane.client import Client
from k8snet.dataplane.http import PORTS, Certificate, Request, Response, header
from k8snet.dataplane.moment import Moment
from k8snet.dataplane.trace import Hop, Outcome, Place, Trace
from k8snet.manifests.addresses import is_ip

ERRORS = {
    "": "there was an answer",
    "name": "the name was not resolved",
    "connect": "nobody accepted the connection: it was refused, or there is no route",
    "timeout": "nobody answered the attempt to connect",
    "tls": "the other side does not speak TLS, or ended the handshake",
    "certificate": "the certificate is not valid for the name, or nobody trusts its issuer",
    "empty": "the other side closed the connection without an answer",
    "not http": "what came back is no HTTP",
    "reset": "the connection was cut",
}
PATHS = "k8snet.io/paths"
# What a server that speaks another protocol does when it is sent a line of HTTP.
NOT_HTTP = {
    "postgres": ("empty", "PostgreSQL reads GET as the length of a packet, finds it too long and hangs up"),
    "redis": ("empty", "Redis takes a line that begins with Host: for an attack and hangs up"),
    "dns": ("empty", "a DNS server waits for the rest of a message that never comes, and hangs up"),
    "mysql": ("not http", "MySQL speaks first: its greeting is no HTTP"),
    "memcached": ("not http", "memcached answers ERROR, which is no HTTP"),
}


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the client of one request learnt. ``error`` is a key of `ERRORS`, ``detail`` says it in a sentence.

    ``address`` and ``port`` are where the connection went, ``seconds`` how long all of it took, ``lookup_seconds`` the
    part that the name took. ``verify`` is what is wrong with the certificate, also where the client did not mind.
    """

    request: Request
    trace: Trace
    response: Response | None = None
    error: str = ""
    detail: str = ""
    address: str = ""
    port: int = 0
    addresses: tuple[str, ...] = ()
    certificate: Certificate | None = None
    verify: str = ""
    seconds: float = 0.0
    lookup_seconds: float = 0.0

    @property
    def status(self) -> int:
        """The HTTP status; 0 if there was no answer."""
        return self.response.status if self.response else 0


def fetch(
    moment: Moment,
    client: Client,
    host: str,
    request: Request,
    *,
    port: int = 0,
    address: str = "",
    insecure: bool = False,
) -> Exchange:
    """Send one request to the server that *host* names and say how it went.

    *host* is the host of the URL (a name or an address), *port* 0 the scheme's own; *address* overrides the look-up
    (``curl --resolve``). The Host header is ``request.host``. With *insecure* a bad certificate is not minded.
    """
    port = port or PORTS[request.scheme]
    title = f"{client.name}: {request.method} {request.scheme}://{request.host}{request.path}"
    hops: tuple[Hop, ...] = ()
    waited = 0.0
    if address or is_ip(host):
        addresses: tuple[str, ...] = (address or host,)
    else:
        found = lookup.getaddrinfo(moment, client, host)
        waited, addresses = found.seconds, tuple(found.addresses)
        hops = (_lookup_hop(client, host, addresses, found.trace),)
        if not addresses:
            outcome = Outcome("name not found", f"{host} was not resolved", waited)
            trace = Trace(title, hops, outcome)
            return Exchange(
                request, trace, None, "name", outcome.message, "", port, (), seconds=waited, lookup_seconds=waited
            )
    seconds = waited
    for position, ip in enumerate(addresses):
        connection = journey.connect(moment, client, ip, port)
        seconds += connection.outcome.seconds
        if connection or position == len(addresses) - 1:
            break
        why = f"{ip} did not work ({connection.outcome.kind}): the client tries the next address"
        hops += (Hop(_place(moment.snapshot, client), "http", "next address", why, inner=connection),)
    result = Exchange(
        request,
        replace(connection, request=title, hops=hops + connection.hops),
        address=ip,
        port=port,
        addresses=addresses,
        seconds=seconds,
        lookup_seconds=waited,
    )
    if not connection:
        error = {"timed out": "timeout", "reset": "reset"}.get(connection.outcome.kind, "connect")
        return replace(result, error=error, detail=connection.outcome.message)
    return _speak(moment, result, connection, insecure)


def _speak(moment: Moment, result: Exchange, connection: Trace, insecure: bool) -> Exchange:
    """The connection is open: TLS if the scheme asks for it, then the server's answer."""
    answer = _serve(moment.snapshot, connection.outcome, result.request)
    place = _server_place(moment.snapshot, connection.outcome)
    response, error = answer.response, answer.error
    if response is not None:
        decision, why = str(response.status), f"{response.said_by} answers {response.status} {response.reason}"
    else:
        decision, why = error, answer.detail
    hop = Hop(place, "http", decision, why)
    split = next((i for i, h in enumerate(result.trace.hops) if h.returning), len(result.trace.hops))
    hops = (*result.trace.hops[:split], hop, *result.trace.hops[split:])
    outcome = connection.outcome
    if response is not None:
        outcome = replace(outcome, message=why, status=response.status, said_by=response.said_by)
    else:
        outcome = replace(outcome, kind="reset", message=answer.detail)
    return replace(
        result,
        trace=replace(result.trace, hops=hops, outcome=outcome),
        response=response,
        error=error,
        detail=answer.detail,
    )


@dataclass(frozen=True, slots=True)
class _Answer:
    response: Response | None = None
    error: str = ""
    detail: str = ""


def _serve(snapshot: Snapshot, outcome: Outcome, request: Request) -> _Answer:
    """What the server at the end of a connection says to a request."""
    pod = snapshot.pods.get(outcome.server)
    if pod is None:
        return _Answer(_text(200, outcome.server, f"Hello from {outcome.server}; you came from {outcome.server_saw}."))
    port = int(outcome.backend.rpartition(":")[2] or 0)
    facts = _image(pod, port)
    if facts.get("speaks") in NOT_HTTP:
        return _Answer(None, *NOT_HTTP[facts["speaks"]])
    return _Answer(web_server(pod, facts, request, outcome.server_saw))


def web_server(pod: Pod, facts: dict[str, str], request: Request, client_ip: str) -> Response:
    """What the plain web server of a Pod answers: its name and the address that it saw; its own 404 for a path that it
    does not have (annotation ``k8snet.io/paths``, else what its image is known to have, else every path is there)."""
    said_by = f"the application in Pod {pod.key}"
    known = (pod.obj["metadata"].get("annotations") or {}).get(PATHS, facts.get("paths", "")).replace(",", " ").split()
    if known and request.pathname not in known:
        return _text(404, said_by, f"404 Not Found: {pod.name} has no {request.pathname}")
    forwarded = header(request.headers, "X-Forwarded-For")
    via = f", forwarded for {forwarded}" if forwarded else ""
    return _text(
        200,
        said_by,
        f"Hello from {pod.name}. {request.method} {request.path} on {request.host}, from {client_ip}{via}.",
    )


def _text(status: int, said_by: str, line: str) -> Response:
    body = line + "\n"
    headers = (
        ("Content-Type", "text/plain"),
        ("Content-Length", str(len(body.encode()))),
        ("Connection", "keep-alive"),
    )
    return Response(status, said_by, headers, body)


def _image(pod: Pod, port: int) -> dict[str, str]:
    """The known facts about the image of the container that listens on a port."""
    listener = next((s for s in pod.listeners or () if s.port == port), None)
    name = listener.container if listener else ""
    image = next((c.get("image") or "" for c in containers_of(pod.spec) if c.get("name") == name), "")
    return image_facts(image)


def _place(snapshot: Snapshot, client: Client) -> Place:
    pod = snapshot.pods.get(client.name) if client.kind == "pod" else None
    return Place(
        client.kind, client.name, "application", pod.node if pod else client.name if client.kind == "node" else ""
    )


def _server_place(snapshot: Snapshot, outcome: Outcome) -> Place:
    if outcome.server in snapshot.pods:
        return Place("pod", outcome.server, "application", snapshot.pods[outcome.server].node)
    if outcome.server in snapshot.nodes:
        return Place("node", outcome.server, "application", outcome.server)
    return Place("outside", outcome.server, "application")


def _lookup_hop(client: Client, name: str, addresses: tuple[str, ...], trace: Trace | None) -> Hop:
    if addresses:
        why, decision = f"{name} is {', '.join(addresses)}: from here on the name plays no part", "resolved"
    else:
        why, decision = f"{name} was not resolved, so no packet is sent to it", "not resolved"
    return Hop(Place(client.kind, client.name, "resolver"), "dns", decision, why, inner=trace)
