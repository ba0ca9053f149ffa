"""One HTTP request and its answer, as journeys: the name, the connection, TLS, and whoever answers.

The client resolves the name (lookup), tries the addresses in turn (journey) and speaks to what accepted: a plain server
(servers), a host outside, or a controller's proxy (ingress, gateway), which sends the request on over a connection of its
own: a trace inside the trace. TLS here is names and trust only, no cryptography. Texts of refusals belong to curl and
wget (shell/curl.py); this file says what happened, in the words of `ERRORS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

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
            hop = Hop(place, "dns", "not resolved", _sentence(why), inner=found.trace)
            trace = Trace(_title(client, request), (hop,), Outcome("name not found", why, waited))
            return Exchange(request, trace, None, "name", why, port=port, seconds=waited, lookup_seconds=waited)
        why = f"{host} is {', '.join(addresses)}: from here on the name plays no part for the network"
        hops = (Hop(place, "dns", "resolved", _sentence(why), inner=found.trace),)
    seconds, tried = waited, 0
    for tried, ip in enumerate(addresses, 1):
        x = exchange(moment, client, ip, port, request, host, insecure)
        seconds += x.seconds
        if x.error not in ("connect", "timeout") or tried == len(addresses):
            break
        why = f"{ip} did not work ({x.trace.outcome.kind}): the client tries the next address"
        hops += (Hop(Place(client.kind, client.name, "http"), "http", "next address", _sentence(why), inner=x.trace),)
    return replace(
        x,
        trace=replace(x.trace, hops=hops + x.trace.hops),
        addresses=tuple(addresses),
        seconds=seconds,
        lookup_seconds=waited,
        connect_seconds=seconds - x.seconds + x.connect_seconds,
    )


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


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
        hops = [Hop(place, "http", str(outcome.status or reply.error), _sentence(outcome.message))]
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
    pod, decision = snapshot.pods.get(outcome.server), None
    controller, served = (routes.controller_in(pod), routes.gateway_of(pod)) if pod else ("", "")
    if pod is None or not (controller or served):
        return servers.reply(snapshot, outcome, port, request), []
    name = f"ingress controller {controller}" if controller else f"Gateway {served}"
    proxy = _Proxy(moment, pod, name, request, outcome.server_saw)
    secure = port == PORTS["https"] if controller else gateway.secure(snapshot, served, port)
    if secure != (request.scheme == "https"):
        return servers.wrong_scheme(request, proxy.who), []
    if controller:
        decision = ingress.route(snapshot, (controller,), request)
    else:
        decision = gateway.route(snapshot, served, port, request)
    if decision.tls_failure:
        return Reply(None, "tls", f"Recv failure: Connection reset by peer ({decision.tls_failure})"), []
    reply, hops = proxy.act(decision)
    return replace(reply, certificate=decision.certificate), hops


@dataclass(frozen=True, slots=True)
class _Proxy:
    """A controller's proxy in one of its Pods, with a request that it got and the address that it got it from."""

    moment: Moment
    pod: Pod
    name: str
    request: Request
    client_ip: str

    @property
    def who(self) -> str:
        return f"{self.name} (Pod {self.pod.key})"

    def hop(self, decision: str, why: str, **parts: Any) -> Hop:
        return Hop(Place("pod", self.pod.key, "proxy", self.pod.node), "http", decision, _sentence(why), **parts)

    def act(self, decision: Decision) -> tuple[Reply, list[Hop]]:
        """Do what was decided: answer, or ask a backend (one by weight, if there are several)."""
        share, why = decision.shares[0], decision.why
        if len(decision.shares) > 1:
            share = self.moment.rng.choices(decision.shares, [s.of for s in decision.shares])[0]
            why = f"{why}; {share.of:.0%} of the requests get {share.backend or share.status}"
        detail = tuple(f"not {line}" for line in decision.lost)
        if decision.certificate:
            tls = f"TLS ends here: for SNI {self.request.sni or '(none)'} the client is shown {_shown(decision.certificate)}"
            detail = (tls, *detail)
        if share.status:
            headers = (("Location", share.location),) if share.location else ()
            response = servers.page(share.status, self.who, server=self.name, headers=headers)
            why = f"{self.who} answers itself: {share.why}"
            return Reply(response), [self.hop(str(share.status), why, rule=share.rule, detail=detail)]
        reply, hops = self.forward(share, why, detail)
        return reply, self.mirrored(share) + hops

    def forward(self, share: Share, why: str, detail: tuple[str, ...]) -> tuple[Reply, list[Hop]]:
        """The request goes on to a ready endpoint, and its answer back; 502 or 504 if there is none."""
        x = self.ask(share, share.endpoints)
        where = f"{x.address}:{x.port}"
        why = f"{why}. On to {share.backend}, straight to one of its endpoints ({where}), over a connection of the proxy's own"
        hops = [self.hop("forward", why, rule=share.rule, detail=detail, inner=x.trace)]
        if x.response is None:
            status = 504 if x.error == "timeout" else 502
            hops.append(self.hop(str(status), f"{self.who} got no answer from {where}: {x.detail}"))
            response = servers.page(status, self.who, server=self.name)
            return Reply(response, seconds=min(x.seconds, PROXY_SECONDS)), hops
        headers = x.response.headers
        for change in share.response:
            headers = change.apply(headers)
        return Reply(replace(x.response, headers=headers), seconds=x.seconds), hops

    def ask(self, share: Share, endpoints: Sequence[tuple[str, int]]) -> Exchange:
        """The proxy's own request to an endpoint, as plain HTTP, with what it knows of the client in headers."""
        assert share.request is not None
        ip, port = self.moment.rng.choice(endpoints)
        chain = header(self.request.headers, "X-Forwarded-For")
        known = [
            ("X-Forwarded-For", f"{chain}, {self.client_ip}" if chain else self.client_ip),
            ("X-Forwarded-Host", self.request.host),
            ("X-Forwarded-Proto", self.request.scheme),
        ]
        onward = replace(share.request, scheme="http", sni="", headers=with_headers(share.request.headers, known))
        return exchange(self.moment, Client("pod", self.pod.key), ip, port, onward)

    def mirrored(self, share: Share) -> list[Hop]:
        """Copies of the request to the backends of mirror filters; what they answer is dropped."""
        hops = []
        for m in share.mirrors:
            if m.endpoints and (m.percent >= 100 or self.moment.rng.random() * 100 < m.percent):
                why = f"a copy of the request goes to {m.service}:{m.port}, and its answer is dropped"
                hops.append(self.hop("mirror", why, rule=m.rule, inner=self.ask(share, m.endpoints).trace))
        return hops
