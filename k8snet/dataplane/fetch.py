"""One HTTP request and its answer, as journeys: the name, the connection, TLS, and whoever answers.

The client resolves the name (lookup), tries the addresses in turn (journey) and speaks to what accepted: a plain server
(servers), a host outside, or a controller's proxy (ingress, gateway), which sends the request on over a connection of its
own: a trace inside the trace. TLS here is names and trust only, no cryptography. Texts of refusals belong to curl and
wget (shell/curl.py); this file says what happened, in the words of `ERRORS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from k8snet.controlplane import routes
from k8snet.controlplane.snapshot import Pod, Snapshot
from k8snet.dataplane import gateway, ingress, journey, lookup, servers
from k8snet.dataplane.client import Client
from k8snet.dataplane.http import PORTS, Certificate, Decision, Request, Response, Share, header, with_headers
from k8snet.dataplane.moment import Moment
from k8snet.dataplane.servers import Reply
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
    "undefined": "nobody can say",
}
# How long a proxy waits for a backend to accept (nginx proxy_connect_timeout).
PROXY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the client of one request learnt. ``error`` is a key of `ERRORS`, ``detail`` says it in a sentence.

    ``address`` and ``port`` are where the connection went; ``seconds`` is how long all of it took, ``lookup_seconds``
    how long the name took and ``connect_seconds`` name and connection. ``verify`` is what is wrong with the certificate,
    also where the client did not mind.
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
    connect_seconds: float = 0.0

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
    Raises ApiError NotFound if the client is no Pod or node of this moment.
    """
    port, waited = port or PORTS[request.scheme], 0.0
    hops: tuple[Hop, ...] = ()
    if address or is_ip(host):
        addresses: Sequence[str] = (address or host,)
    else:
        found = lookup.getaddrinfo(moment, client, host)
        waited, addresses = found.seconds, tuple(found.addresses)
        place = Place(client.kind, client.name, "resolver")
        if not addresses:
            why = f"{host} was not resolved, so no packet is sent to it"
            hop = Hop(place, "dns", "not resolved", why, inner=found.trace)
            trace = Trace(_title(client, request), (hop,), Outcome("name not found", why, waited))
            return Exchange(request, trace, None, "name", why, port=port, seconds=waited, lookup_seconds=waited)
        why = f"{host} is {', '.join(addresses)}: from here on the name plays no part for the network"
        hops = (Hop(place, "dns", "resolved", why, inner=found.trace),)
    seconds, tried = waited, 0
    for tried, ip in enumerate(addresses, 1):
        x = exchange(moment, client, ip, port, request, host, insecure)
        seconds += x.seconds
        if x.error not in ("connect", "timeout") or tried == len(addresses):
            break
        why = f"{ip} did not work ({x.trace.outcome.kind}): the client tries the next address"
        hops += (Hop(Place(client.kind, client.name, "http"), "http", "next address", why, inner=x.trace),)
    return replace(
        x,
        trace=replace(x.trace, hops=hops + x.trace.hops),
        addresses=tuple(addresses),
        seconds=seconds,
        lookup_seconds=waited,
        connect_seconds=seconds - x.seconds + x.connect_seconds,
    )


def _title(client: Client, request: Request) -> str:
    return f"{client.name}: {request}"


def exchange(
    moment: Moment, client: Client, ip: str, port: int, request: Request, host: str = "", insecure: bool = True
) -> Exchange:
    """Connect to an address and send the request there. *host* is the name that the certificate has to be valid for."""
    trace = replace(journey.connect(moment, client, ip, port), request=_title(client, request))
    outcome = trace.outcome
    x = Exchange(request, trace, address=ip, port=port, seconds=outcome.seconds, connect_seconds=outcome.seconds)
    if not outcome:
        error = {"timed out": "timeout", "reset": "reset", "undefined": "undefined"}.get(outcome.kind, "connect")
        return replace(x, error=error, detail=outcome.message)
    reply, hops = _answer(moment, outcome, request)
    x = replace(x, certificate=reply.certificate)
    if request.scheme == "https" and reply.certificate:
        x = replace(x, verify=verify(reply.certificate, host))
        if x.verify and not insecure:
            why = f"the client ends the handshake: {x.verify}. It was shown {_shown(reply.certificate)}"
            reply, hops = Reply(None, "certificate", why, reply.certificate), []
    if reply.response:
        why = f"{reply.response.said_by} answers {reply.response.status} {reply.response.reason}".rstrip()
        outcome = replace(outcome, message=why, status=reply.response.status, said_by=reply.response.said_by)
    else:
        outcome = replace(outcome, kind="undefined" if reply.error == "undefined" else "reset", message=reply.detail)
    if not hops:
        place = _place(moment.snapshot, outcome.server)
        hops = [Hop(place, "http", str(outcome.status or reply.error), outcome.message)]
    before = [h for h in trace.hops if not h.returning]
    all_hops = (*before, *hops, *(h for h in trace.hops if h.returning))
    seconds = x.seconds + reply.seconds
    trace = replace(trace, hops=all_hops, outcome=replace(outcome, seconds=seconds))
    return replace(x, trace=trace, response=reply.response, error=reply.error, detail=reply.detail, seconds=seconds)


def _place(snapshot: Snapshot, server: str) -> Place:
    if server in snapshot.pods:
        return Place("pod", server, "application", snapshot.pods[server].node)
    if server in snapshot.nodes:
        return Place("node", server, "application", server)
    return Place("outside", server, "application")


def _shown(certificate: Certificate) -> str:
    names = ", ".join(certificate.names) or "no name"
    source = f"the certificate of Secret {certificate.secret}" if certificate.secret else "the server's own certificate"
    return f"{source}, valid for {names}"


def verify(certificate: Certificate, host: str) -> str:
    """What a client finds wrong with a certificate, in OpenSSL's and curl's words; empty if it is good."""
    if certificate.problem:
        return f"SSL certificate problem: {certificate.problem}"
    if certificate.covers(host):
        return ""
    kind = f"ipv{6 if ':' in host else 4} address" if is_ip(host) else "host name"
    return f"SSL: no alternative certificate subject name matches target {kind} '{host}'"


def _answer(moment: Moment, outcome: Outcome, request: Request) -> tuple[Reply, list[Hop]]:
    """What the server at the end of a connection says; with the hops of a proxy, where it is one."""
    snapshot, port = moment.snapshot, int(outcome.backend.rpartition(":")[2] or 0)
    pod = snapshot.pods.get(outcome.server)
    if pod is not None:
        controller = routes.controller_in(pod)
        if controller:
            who, secure = f"ingress controller {controller}", port == PORTS["https"]
            return _proxy(
                moment, pod, request, outcome.server_saw, who, secure, _ingress(snapshot, controller, request)
            )
        served = routes.gateway_of(pod)
        if served:
            secure = gateway.secure(snapshot, served, port)
            decision = gateway.route(snapshot, served, port, request) if secure == (request.scheme == "https") else None
            return _proxy(moment, pod, request, outcome.server_saw, f"Gateway {served}", secure, decision)
    return servers.reply(snapshot, outcome, port, request), []


def _ingress(snapshot: Snapshot, controller: str, request: Request) -> Decision:
    return ingress.route(snapshot, (controller,), request)


# Proxies


def _proxy(
    moment: Moment, pod: Pod, request: Request, client_ip: str, who: str, secure: bool, decision: Decision | None
) -> tuple[Reply, list[Hop]]:
    """A controller's proxy: it has decided; now it answers itself or asks a backend."""
    place = Place("pod", pod.key, "proxy", pod.node)
    who = f"{who} (Pod {pod.key})"
    if secure != (request.scheme == "https"):
        return servers.wrong_scheme(request, who), []
    assert decision is not None
    if decision.tls_failure:
        return Reply(None, "tls", f"Recv failure: Connection reset by peer: {decision.tls_failure}"), []
    tls = (f"TLS ends here: SNI {request.sni or '(none)'} is shown {_shown(decision.certificate)}",) if decision.certificate else ()  # fmt: skip
    share = decision.shares[0]
    if len(decision.shares) > 1:
        share = moment.rng.choices(decision.shares, [s.of for s in decision.shares])[0]
    detail = (*tls, *(f"not {line}" for line in decision.lost))
    why = (
        decision.why
        if len(decision.shares) == 1
        else f"{decision.why}; {share.of:.0%} go to {share.backend or share.status}"
    )
    if share.status:
        headers = (("Location", share.location),) if share.location else ()
        response = servers.page(share.status, who, server=who.partition(" (")[0], headers=headers)
        hop = Hop(
            place, "http", str(share.status), f"{who} answers itself: {share.why}", rule=share.rule, detail=detail
        )
        return Reply(response, certificate=decision.certificate), [hop]
    hops = _mirrored(moment, pod, share, place)
    inner = _ask_backend(moment, pod, share, request, client_ip)
    why = f"{why}: to {share.backend}, straight to one of its endpoints, {inner.address}:{inner.port}, over a connection of its own"
    hops.append(Hop(place, "http", "forward", why, rule=share.rule, detail=detail, inner=inner.trace))
    seconds = inner.seconds
    if inner.response is not None:
        response = inner.response
    else:
        status, seconds = 504 if inner.error == "timeout" else 502, min(seconds, PROXY_SECONDS)
        response = servers.page(status, who, server=who.partition(" (")[0])
        why = f"{who} got no answer from {inner.address}:{inner.port}: {inner.detail}"
        hops.append(Hop(place, "http", str(status), why))
    for change in share.response:
        response = replace(response, headers=change.apply(response.headers))
    return Reply(response, certificate=decision.certificate, seconds=seconds), hops


def _ask_backend(moment: Moment, pod: Pod, share: Share, request: Request, client_ip: str) -> Exchange:
    """The proxy's own request to one ready endpoint, as plain HTTP, with what it knows of the client in headers."""
    assert share.request is not None
    ip, port = moment.rng.choice(share.endpoints)
    chain = header(request.headers, "X-Forwarded-For")
    known = [
        ("X-Forwarded-For", f"{chain}, {client_ip}" if chain else client_ip),
        ("X-Forwarded-Host", request.host),
        ("X-Forwarded-Proto", request.scheme),
    ]
    onward = replace(share.request, scheme="http", sni="", headers=with_headers(share.request.headers, known))
    return exchange(moment, Client("pod", pod.key), ip, port, onward)


def _mirrored(moment: Moment, pod: Pod, share: Share, place: Place) -> list[Hop]:
    """Copies of a request to the backends of mirror filters; what they answer is dropped."""
    hops = []
    for m in share.mirrors:
        namespace, _, name = m.service.partition("/")
        endpoints = routes.backend(moment.snapshot, namespace, name, m.port).endpoints
        if endpoints and (m.percent >= 100 or moment.rng.random() * 100 < m.percent):
            x = _ask_backend(moment, pod, replace(share, endpoints=endpoints), share.request or Request(""), "")
            why = f"a copy of the request goes to {m.service}:{m.port}; its answer is dropped"
            hops.append(Hop(place, "http", "mirror", why, rule=m.rule, inner=x.trace))
    return hops
