"""What a Gateway's proxy does with a request, and the table of routes that it holds.

From the Gateway API, apis/v1 httproute_types.go and gateway_types.go, and its conformance tests. The proxy decides in
this order: listener (by SNI and Host), route and rule (by precedence over all routes of that listener), filters,
backend by weight, the backend's own filters, endpoints. Which routes are attached to which listener is decided in
controlplane/gateway_status.py, where the conditions in status come from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

from k8snet.controlplane import routes
from k8snet.controlplane.gateway_status import Gateway, Listener, Spec, attachments, backend
from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane import http
from k8snet.dataplane.http import Certificate, Decision, HeaderChange, Mirror, Request, Share, answered, choose
from k8snet.dataplane.ingress import columns
from k8snet.manifests.kinds import Ref, ref

# Path types, the most precise first. Where regular expressions stand is each implementation's own affair.
PATH_TYPES = ("Exact", "RegularExpression", "PathPrefix")
# What the match that goes first has more of, criterion by criterion, in the order of `Match.precedence`.
CRITERIA = (
    "has the longer precise hostname",
    "has the longer hostname",
    "has the more precise path type",
    "has the longer path",
    "names a method",
    "has more header conditions",
    "has more query conditions",
    "is of an older route, or first by name or in the list",
)


@dataclass(frozen=True, slots=True)
class Match:
    """One of ``spec.rules[].matches[]`` of a route (``spec`` is the rule's, ``rule`` its place), on a listener where the
    route serves ``hostnames``. Conditions on headers and query are type, name and value."""

    rule: Ref
    spec: Spec
    hostnames: list[str]
    path_type: str
    path: str
    method: str
    headers: list[tuple[str, str, str]]
    query: list[tuple[str, str, str]]

    def differs(self, request: Request) -> str:
        """The first condition that a request does not meet, in words; empty if it meets all."""
        host, path = request.hostname, request.pathname
        if not any(routes.suffix(h, host) for h in self.hostnames):
            return f"its hostnames do not take {host}"
        prefix = self.path_type == "PathPrefix"
        if not (routes.takes_prefix(self.path, path) if prefix else _is(self.path_type, self.path, path)):
            return f"{self.path_type} {self.path} does not take {path}"
        if self.method not in ("", request.method):
            return f"method {self.method} is not {request.method}"
        query = dict(reversed(parse_qsl(request.path.partition("?")[2], keep_blank_values=True)))
        wrong = [f"header {n}" for kind, n, v in self.headers if not _is(kind, v, http.header(request.headers, n))]
        wrong += [f"query parameter {n}" for kind, n, v in self.query if not _is(kind, v, query.get(n))]
        return f"{wrong[0]} has not the value that it asks for" if wrong else ""

    def precedence(self, host: str) -> tuple[int, ...]:
        """Sorts matches, the one that goes first first. Age, name and place in the list are the order they come in."""
        precise, length = max(_precision(h) for h in self.hostnames if routes.suffix(h, host))
        kind = PATH_TYPES.index(self.path_type)
        return -precise, -length, kind, -len(self.path), not self.method, -len(self.headers), -len(self.query)

    def __str__(self) -> str:
        conditions = [f"{n}={v}" for _, n, v in (*self.headers, *self.query)]
        return " ".join(filter(None, [f"{self.path_type} {self.path}", self.method, *conditions]))


def _precision(hostname: str) -> tuple[int, int]:
    return (0 if hostname.startswith("*.") else len(hostname)), len(hostname)


def _is(kind: str, wanted: str, value: str | None) -> bool:
    if value is None or kind != "RegularExpression":
        return value == wanted
    try:
        return re.fullmatch(wanted, value) is not None
    except re.error:
        return False


def matches(listener: Listener) -> Iterator[Match]:
    """Every match of every HTTPRoute on a listener: older routes first, then by name, then as listed."""
    for route, hostnames in ((r, names) for r, names in listener.attached if r["kind"] == "HTTPRoute"):
        for i, rule in enumerate(route["spec"].get("rules") or [{}]):
            for m in rule.get("matches") or [{}]:
                path = {"type": "PathPrefix", "value": "/", **(m.get("path") or {})}
                headers, query = _conditions(m.get("headers"), str.lower), _conditions(m.get("queryParams"), str)
                at, method = ref(route, f"spec.rules[{i}]"), m.get("method") or ""
                yield Match(at, rule, hostnames, path["type"], path["value"], method, headers, query)


def _conditions(entries: Any, fold: Callable[[str], str]) -> list[tuple[str, str, str]]:
    """Conditions on headers or query parameters; of two on one name the first counts."""
    named = {fold(e["name"]): (e.get("type") or "Exact", e["name"], e["value"]) for e in reversed(entries or ())}
    return list(reversed(named.values()))


def route(snapshot: Snapshot, gateway: str, port: int, request: Request) -> Decision:
    """What the proxy of *gateway* (``namespace/name``) does with *request* on one of its ports."""
    known = attachments(snapshot).gateways.get(gateway)
    if known is None:
        return answered(404, f"no controller takes care of Gateway {gateway}")
    protocol, shown = request.scheme.upper(), None
    there = [li for li in known.listeners if (li.port, li.protocol) == (port, protocol) and li.serves]
    listener = _listener(there, request.hostname)
    if protocol == "HTTPS":
        by_sni = _listener(there, request.sni.lower())
        if by_sni is None:
            why = f"no listener on port {port} is for server name {request.sni or '(none)'}"
            return Decision((), why, tls_failure=why)
        shown = certificate(snapshot, known, by_sni, request.sni)
        if listener not in (None, by_sni):
            assert listener is not None
            why = f"the handshake chose listener {by_sni.name}, but Host {request.hostname} belongs to {listener.name}"
            return answered(421, why, listener.rule, shown=shown)
    if listener is None:
        why = f"no listener on port {port} is for host {request.hostname}"
        return answered(404, why, known.ref.at("spec.listeners"), shown=shown)
    host, asked = request.hostname, f"{request.method} {request.hostname}{request.path}"

    def beaten(m: Match, winner: Match) -> str:
        pairs = zip(winner.precedence(host), m.precedence(host), strict=True)
        return f"the winner {CRITERIA[next((i for i, (ours, theirs) in enumerate(pairs) if ours != theirs), -1)]}"

    winner, others = choose(matches(listener), lambda m: m.differs(request), lambda m: m.precedence(host), beaten)
    lost = tuple(f"{m.rule}: {why}" for m, why in others)
    if winner is None:
        return answered(404, f"no route of listener {listener.name} takes {asked}", listener.rule, lost, shown)
    why = f"listener {listener.name}; {winner} takes {asked}"
    return Decision(_shares(snapshot, listener, winner, request, why), why, winner.rule, lost, shown)


def _listener(listeners: Iterable[Listener], host: str) -> Listener | None:
    """The listener with the most specific hostname that takes *host*."""
    taking = [li for li in listeners if routes.suffix(li.hostname, host)]
    return max(taking, key=lambda li: _precision(li.hostname), default=None)


def speaks_tls(snapshot: Snapshot, gateway: str, port: int) -> bool:
    """Whether TLS is spoken on a port of a Gateway's proxy."""
    known = attachments(snapshot).gateways.get(gateway)
    return known is not None and any((li.port, li.protocol) == (port, "HTTPS") for li in known.listeners)


def certificate(snapshot: Snapshot, gateway: Gateway, listener: Listener, sni: str) -> Certificate:
    """The certificate that a listener shows for a server name: the one whose name fits it best, else its first. Each is
    taken as valid for the hosts of the listeners that name it and of their routes; without any, for all."""
    secrets, shown = routes.secret_by_key(snapshot), []
    for key in listener.secrets:
        users = [li for li in gateway.listeners if key in li.secrets]
        hosts = [h for li in users for h in (li.hostname, *(h for _, names in li.attached for h in names)) if h]
        shown.append(Certificate(key, routes.certificate_names(secrets[key], hosts or ["*"])))
    covering = [c for c in shown if c.covers(sni)]
    return max(covering or shown[:1], key=lambda c: max(map(len, c.names), default=0))


# Filters and backends


def _shares(snapshot: Snapshot, listener: Listener, m: Match, request: Request, why: str) -> tuple[Share, ...]:
    """What each backend of the rule that won gets: its part by weight, and the request after all filters."""
    untouched = Share(1.0, why, m.rule, request=request)
    base = _filtered(snapshot, listener, m, m.spec.get("filters"), untouched)
    if base.status:
        return (base,)
    shares = []
    for i, b in enumerate(m.spec.get("backendRefs") or ()):
        share = replace(base, of=float(b.get("weight", 1)), rule=m.rule.at(f"{m.rule.field}.backendRefs[{i}]"))
        reason, found = backend(snapshot, m.rule.namespace, b)
        if reason:
            share = replace(share, status=500, why=f"{reason}: {found.problem}")
        else:
            share = replace(share, service=found.service, port=found.port, endpoints=found.endpoints)
            share = _filtered(snapshot, listener, m, b.get("filters"), share)
            if found.problem and not share.status:
                share = replace(share, status=503, why=found.problem)
        shares.append(share)
    total = sum(s.of for s in shares)
    if not total:
        problem = "the weights of all backendRefs are 0" if shares else "the rule has no backendRefs"
        return (replace(base, status=500, why=problem),)
    return tuple(replace(s, of=s.of / total) for s in shares if s.of)


def _filtered(snapshot: Snapshot, listener: Listener, m: Match, filters: Any, share: Share) -> Share:
    """A share after a list of filters, those of the rule or those of one backendRef."""
    for f in filters or ():
        request, kind = share.request, f["type"]
        assert request is not None
        spec = f.get(kind[0].lower() + kind[1:]) or f.get("urlRewrite") or {}
        if kind == "RequestHeaderModifier":
            share = replace(share, request=replace(request, headers=_change(spec).apply(request.headers)))
        elif kind == "ResponseHeaderModifier":
            share = replace(share, response=(*share.response, _change(spec)))
        elif kind == "URLRewrite":
            rewritten = replace(request, host=spec.get("hostname") or request.host, path=_path(spec, m, request))
            share = replace(share, request=rewritten)
        elif kind == "RequestRedirect":
            location = _location(listener, m, spec, request)
            status = spec.get("statusCode") or 302
            share = replace(share, status=status, location=location, why=f"redirect to {location}")
        elif kind == "RequestMirror":
            share = replace(share, mirrors=(*share.mirrors, *_mirror(snapshot, m, spec)))
        else:
            share = replace(share, status=500, why=f"this controller knows no filter {kind}")
    return share


def _change(spec: Spec) -> HeaderChange:
    put, add = (tuple((h["name"], h["value"]) for h in spec.get(part) or ()) for part in ("set", "add"))
    return HeaderChange(put, add, tuple(spec.get("remove") or ()))


def _path(spec: Spec, m: Match, request: Request) -> str:
    """The path after the path modifier of a rewrite or redirect; the query is kept. A matched prefix is replaced by whole
    elements, so that the result is never empty and has no ``//`` at the seam."""
    modifier, (path, mark, query) = spec.get("path") or {}, request.path.partition("?")
    if modifier.get("type") == "ReplaceFullPath":
        path = modifier.get("replaceFullPath") or "/"
    elif modifier:
        new, rest = modifier.get("replacePrefixMatch") or "", path[len(m.path.removesuffix("/")) :]
        path = new.removesuffix("/") + rest if rest else new or "/"
    return path + mark + query


def _location(listener: Listener, m: Match, spec: Spec, request: Request) -> str:
    """The Location of a redirect. What it leaves out comes from the request; the port is the one given, else the
    well-known one of a given scheme, else the listener's; it is not written where it is the scheme's own."""
    scheme, host = spec.get("scheme") or request.scheme, spec.get("hostname") or request.hostname
    port = spec.get("port") or (http.PORTS.get(scheme) if spec.get("scheme") else None) or listener.port
    written = "" if port == http.PORTS.get(scheme) else f":{port}"
    return f"{scheme}://{host}{written}{_path(spec, m, request)}"


def _mirror(snapshot: Snapshot, m: Match, spec: Spec) -> Iterator[Mirror]:
    b, fraction, percent = spec["backendRef"], spec.get("fraction"), float(spec.get("percent", 100))
    if fraction:
        percent = 100 * fraction["numerator"] / (fraction.get("denominator") or 100)
    reason, found = backend(snapshot, m.rule.namespace, b)
    if not reason:
        yield Mirror(found.service, found.port, percent, m.rule, found.endpoints)


def table(snapshot: Snapshot, gateway: str = "") -> str:
    """The routes that Gateways hold, as text: a line for each match, by listener, in the order of precedence.

    *gateway*: ``namespace/name`` of one; empty: all.
    """
    rows = [("GATEWAY", "LISTENER", "HOST", "MATCH", "BACKENDS", "RULE")]
    known = attachments(snapshot).gateways.items()
    for key, li in ((key, li) for key, g in known if gateway in ("", key) for li in g.listeners):
        start = key, f"{li.name} ({li.protocol} {li.port})" + ("" if li.serves else " not programmed")
        entries = [(m, h) for m in matches(li) for h in m.hostnames]
        for m, h in sorted(entries, key=lambda e: e[0].precedence(e[1])):
            shares = _shares(snapshot, li, m, Request("HOST", m.path), "")
            gets = [f"{s.of:.0%} {s.backend or f'{s.status} {s.location or s.why}'}" for s in shares]
            rows.append((*start, h or "*", str(m), ", ".join(gets), str(m.rule)))
        others = [(ref(r), h) for r, names in li.attached if r["kind"] != "HTTPRoute" for h in names]
        rows += [(*start, h or "*", r.kind, "(not simulated)", str(r)) for r, h in others]
        if not li.attached:
            rows.append((*start, li.hostname or "*", "(no route)", "404", str(li.rule)))
    return columns(rows)
