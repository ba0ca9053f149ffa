"""One HTTP request and its answer, as journeys: the name, the connection, TLS, and whoever answers.

The client resolves the name (lookup), tries the addresses in turn (journey) and speaks to what accepted: a plain server
(servers), or a controller's proxy (ingress, gateway), which sends the request on over a connection of its own: a trace
inside the trace. TLS here is names and trust only, no cryptography. How curl and wget word what happened stands in
shell/curl.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from k8snet.controlplane import routes
from k8snet.controlplane.snapshot import Pod
from k8snet.dataplane import gateway, http, ingress, journey, lookup, servers
from k8snet.dataplane.client import Client
from k8snet.dataplane.http import Certificate, Decision, HeaderChange, Request, Response, Share
from k8snet.dataplane.moment import Moment
from k8snet.dataplane.servers import Reply
from k8snet.dataplane.trace import Hop, Outcome, Place, Trace
from k8snet.manifests.addresses import is_ip

# How long a proxy waits for a backend to accept (nginx proxy_connect_timeout).
PROXY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the client of one request learnt: the ``response``, or how it ended without one.

    ``error`` is empty or one word, ``detail`` a sentence: ``name`` (not resolved), ``connect`` (refused or no route),
    ``timeout``, ``tls`` (no TLS there, or the handshake was ended), ``certificate``, ``empty`` (hung up), ``not http``,
    ``reset``, ``undefined``. ``verify`` is what is wrong with the certificate, also where the client did not mind.
    ``seconds`` is how long all of it took, ``lookup_seconds`` how long the name took.
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
    moment: Moment, client: Client, host: str, request: Request, port: int, address: str = "", insecure: bool = False
) -> Exchange:
    """Send one request to the server that *host* names and say how it went.

    *host* is the host of the URL (a name or an address), *port* 0 the scheme's own; *address* overrides the look-up
    (``curl --resolve``). The Host header is ``request.host``. With *insecure* a bad certificate is not minded.
    Raises ApiError NotFound if the client is no Pod or node of this moment.
    """
    port, waited = port or http.PORTS[request.scheme], 0.0
    addresses: tuple[str, ...] = (address or host,)
    hops: tuple[Hop, ...] = ()
    if not is_ip(addresses[0]):
        found = lookup.getaddrinfo(moment, client, host)
        waited, addresses = found.seconds, tuple(found.addresses)
        why, decision = f"{host} is {', '.join(addresses)}: for the network the name plays no part any more", "resolved"
        if not addresses:
            why, decision = f"{host} was not resolved, so no packet is sent to it", "not resolved"
        place = Place(client.kind, client.name, "resolver")
        hops = (Hop(place, "dns", decision, _sentence(why), inner=found.trace),)
        if not addresses:
            trace = Trace(f"{client.name}: {request}", hops, Outcome("name not found", why, waited))
            return Exchange(request, trace, None, "name", why, port=port, seconds=waited, lookup_seconds=waited)
    seconds = waited
    for ip in addresses:
        x = exchange(moment, client, ip, port, request, host, insecure)
        seconds += x.seconds
        if x.error not in ("connect", "timeout") or ip == addresses[-1]:
            break
        why = f"{ip} did not work ({x.trace.outcome.kind}): the client tries the next address"
        hops += (Hop(Place(client.kind, client.name, "http"), "http", "next address", _sentence(why), inner=x.trace),)
    trace = replace(x.trace, hops=hops + x.trace.hops)
    return replace(x, trace=trace, addresses=addresses, seconds=seconds, lookup_seconds=waited)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def exchange(
    moment: Moment, client: Client, ip: str, port: int, request: Request, host: str = "", insecure: bool = True
) -> Exchange:
    """Connect to an address and send the request there. *host* is the name that the certificate has to be valid for."""
    trace = replace(journey.connect(moment, client, ip, port), request=f"{client.name}: {request}")
    outcome = trace.outcome
    x = Exchange(request, trace, address=ip, port=port, seconds=outcome.seconds)
    if not outcome:
        error = {"timed out": "timeout", "reset": "reset", "undefined": "undefined"}.get(outcome.kind, "connect")
        return replace(x, error=error, detail=outcome.message)
    reply, hops = _answer(moment, outcome, request)
    verify = _verify(reply.certificate, host) if reply.certificate and request.scheme == "https" else ""
    if verify and not insecure:
        why = f"the client ends the handshake: {verify}. It was shown {reply.certificate}"
        reply, hops = replace(reply, response=None, error="certificate", detail=why), []
    seconds = outcome.seconds + reply.seconds
    if reply.response:
        said_by, status = reply.response.said_by, reply.response.status
        message = f"{said_by} answers {reply.response.title}"
        outcome = replace(outcome, message=message, status=status, said_by=said_by, seconds=seconds)
    else:
        kind = "undefined" if reply.error == "undefined" else "reset"
        outcome = replace(outcome, kind=kind, message=reply.detail, seconds=seconds)
    if not hops:
        pod, decision = moment.snapshot.pods.get(outcome.server), str(outcome.status or reply.error)
        place = Place("pod" if pod else "machine", outcome.server, "application", pod.node if pod else "")
        hops = [Hop(place, "http", decision, _sentence(outcome.message))]
    trace = replace(trace, hops=(*trace.forward, *hops, *trace.returning), outcome=outcome)
    learnt = {name: getattr(reply, name) for name in ("response", "error", "detail", "certificate")}
    return replace(x, trace=trace, verify=verify, seconds=seconds, **learnt)


def _verify(certificate: Certificate, host: str) -> str:
    """What a client finds wrong with a certificate, in OpenSSL's and curl's words; empty if it is good."""
    if certificate.problem:
        return f"SSL certificate problem: {certificate.problem}"
    kind = f"ipv{6 if ':' in host else 4} address" if is_ip(host) else "host name"
    problem = f"SSL: no alternative certificate subject name matches target {kind} '{host}'"
    return "" if certificate.covers(host) else problem


def _answer(moment: Moment, outcome: Outcome, request: Request) -> tuple[Reply, list[Hop]]:
    """What the server at the end of a connection says; with the hops of a proxy, where it is one."""
    snapshot, port = moment.snapshot, int(outcome.backend.rpartition(":")[2] or 0)
    pod = snapshot.pods.get(outcome.server)
    controller, served = (routes.controller_in(pod), routes.gateway_of(pod)) if pod else ("", "")
    if pod is None or not (controller or served):
        return servers.reply(snapshot, outcome, port, request), []
    name = f"ingress controller {controller}" if controller else f"Gateway {served}"
    proxy = _Proxy(moment, pod, name, request, outcome.server_saw)
    secure = port == http.PORTS["https"] if controller else gateway.speaks_tls(snapshot, served, port)
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
            detail = (f"TLS ends here; for SNI {self.request.sni or '(none)'}: {decision.certificate}", *detail)
        if share.status:
            headers = (("Location", share.location),) if share.location else ()
            response = servers.page(share.status, self.who, server=self.name, headers=headers)
            why = f"{self.who} answers itself: {share.why}"
            return Reply(response), [self.hop(str(share.status), why, rule=share.rule, detail=detail)]
        hops = self.mirrored(share)
        x = self.ask(share, share.endpoints)
        why = f"{why}. On to {share.backend}, straight to one of its endpoints ({x.address}:{x.port}), over a connection of the proxy's own"  # fmt: skip
        hops.append(self.hop("forward", why, rule=share.rule, detail=detail, inner=x.trace))
        if x.response is None:
            status = 504 if x.error == "timeout" else 502
            why, stopped = f"{self.who} got no answer from {x.address}:{x.port}: {x.detail}", x.trace.deciding
            hops.append(self.hop(str(status), why, rule=stopped.rule if stopped else None))
            response = servers.page(status, self.who, server=self.name)
            return Reply(response, seconds=min(x.seconds, PROXY_SECONDS)), hops
        response = x.response
        for change in share.response:
            response = replace(response, headers=change.apply(response.headers))
        return Reply(response, seconds=x.seconds), hops

    def ask(self, share: Share, endpoints: http.Endpoints) -> Exchange:
        """The proxy's own request to an endpoint, as plain HTTP, with what it knows of the client in headers."""
        assert share.request is not None
        ip, port = self.moment.rng.choice(endpoints)
        chain = ", ".join(filter(None, (http.header(self.request.headers, "X-Forwarded-For"), self.client_ip)))
        known = HeaderChange(set=(("X-Forwarded-For", chain), ("X-Forwarded-Proto", self.request.scheme)))
        onward = replace(share.request, scheme="http", sni="", headers=known.apply(share.request.headers))
        return exchange(self.moment, Client("pod", self.pod.key), ip, port, onward)

    def mirrored(self, share: Share) -> list[Hop]:
        """Copies of the request to the backends of mirror filters; what they answer is dropped."""
        hops = []
        for m in share.mirrors:
            if m.endpoints and (m.percent >= 100 or self.moment.rng.random() * 100 < m.percent):
                why = f"a copy of the request goes to {m.service}:{m.port}, and its answer is dropped"
                hops.append(self.hop("mirror", why, rule=m.rule, inner=self.ask(share, m.endpoints).trace))
        return hops
