"""What a Gateway's proxy does with a request, and the table of routes that it holds.

From the Gateway API, apis/v1 httproute_types.go and gateway_types.go, and its conformance tests. The proxy decides in
this order: listener (by SNI and Host), route and rule (by precedence over all routes of that listener), filters,
backend by weight, the backend's own filters, endpoints. Which routes are attached to which listener is decided in
controlplane/gateway_status.py, where the conditions in status come from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

from k8snet.controlplane import routes
from k8snet.controlplane.gateway_status import Attachment, Gateway, Listener, attachments, backend_problem
from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane.http import (
    PORTS,
    Certificate,
    Decision,
    HeaderChange,
    Headers,
    Mirror,
    Request,
    Share,
    answer,
    header,
    scaled,
)
from k8snet.dataplane.ingress import columns
from k8snet.manifests.kinds import Ref

# Path types, the most precise first. Where regular expressions stand is each implementation's own affair.
PATH_TYPES = ("Exact", "RegularExpression", "PathPrefix")


@dataclass(frozen=True, slots=True)
class Match:
    """One match of one rule of a route on a listener, with the conditions of `spec.rules[].matches[]`."""

    rule: Ref
    attachment: Attachment
    rule_spec: Mapping[str, Any]
    path_type: str
    path: str
    method: str
    headers: tuple[tuple[str, str, str], ...]
    query: tuple[tuple[str, str, str], ...]

    def hostname(self, host: str) -> str | None:
        """The most precise of its hostnames that takes *host*; None if there is none."""
        taking = [h for h in self.attachment.hostnames if routes.suffix(h, host)]
        return max(taking, key=_host_precision, default=None)

    def differs(self, request: Request) -> str:
        """The first condition that a request does not meet, in words; empty if it meets all."""
        path = request.pathname
        if not _path_taken(self.path_type, self.path, path):
            return f"{self.path_type} {self.path} does not take {path}"
        if self.method and self.method != request.method:
            return f"method {self.method} is not {request.method}"
        for kind, name, value in self.headers:
            if not _equal(kind, value, header(request.headers, name)):
                return f"header {name} is not {value}"
        query = dict(reversed(parse_qsl(request.path.partition("?")[2], keep_blank_values=True)))
        for kind, name, value in self.query:
            if not _equal(kind, value, query.get(name)):
                return f"query parameter {name} is not {value}"
        return ""

    def precedence(self, host: str) -> tuple[Any, ...]:
        """Sorts matches, the one that goes first first. Age, name and place in the list are the order they come in."""
        exactness = PATH_TYPES.index(self.path_type)
        precise, length = _host_precision(self.hostname(host) or "")
        return (-precise, -length, exactness, -len(self.path), not self.method, -len(self.headers), -len(self.query))

    def __str__(self) -> str:
        more = [self.method] if self.method else []
        more += [f"{n}={v}" for _, n, v in (*self.headers, *self.query)]
        return " ".join([f"{self.path_type} {self.path}", *more])


# In the order of `Match.precedence`: what the winner has more of.
_CRITERIA = (
    "has the longer precise hostname",
    "has the longer hostname",
    "has the more precise path type",
    "has the longer path",
    "names a method",
    "has more header conditions",
    "has more query conditions",
)


def _host_precision(hostname: str) -> tuple[int, int]:
    return (0 if hostname.startswith("*.") else len(hostname), len(hostname))


def _path_taken(kind: str, wanted: str, path: str) -> bool:
    if kind == "Exact":
        return path == wanted
    return _equal(kind, wanted, path) if kind == "RegularExpression" else routes.takes_prefix(wanted, path)


def _equal(kind: str, wanted: str, value: str | None) -> bool:
    if value is None or kind != "RegularExpression":
        return value == wanted
    try:
        return re.fullmatch(wanted, value) is not None
    except re.error:
        return False


@lru_cache(maxsize=64)
def matches(snapshot: Snapshot, listener: Listener) -> tuple[Match, ...]:
    """Every match of every route on a listener: older routes first, then by name, then as listed."""
    found = []
    for a in listener.attached:
        for i, rule in enumerate(a.obj["spec"].get("rules") or [{}]):
            for j, m in enumerate(rule.get("matches") or [{}]):
                path = m.get("path") or {}
                place = f"spec.rules[{i}]" + (f".matches[{j}]" if rule.get("matches") else "")
                found.append(
                    Match(
                        a.route.at(place),
                        a,
                        rule,
                        path.get("type", "PathPrefix"),
                        path.get("value", "/"),
                        m.get("method", ""),
                        _conditions(m.get("headers"), str.lower),
                        _conditions(m.get("queryParams"), str),
                    )
                )
    return tuple(found)


def _conditions(entries: Any, fold: Any) -> tuple[tuple[str, str, str], ...]:
    """Header or query conditions; of two on one name the first counts."""
    named: dict[str, tuple[str, str, str]] = {}
    for e in entries or ():
        named.setdefault(fold(e["name"]), (e.get("type", "Exact"), e["name"], e["value"]))
    return tuple(named.values())


def route(snapshot: Snapshot, gateway: str, port: int, request: Request) -> Decision:
    """What the proxy of *gateway* (``namespace/name``) does with *request* on one of its ports."""
    known = attachments(snapshot).gateways.get(gateway)
    if known is None:
        why = f"no controller takes care of Gateway {gateway}"
        return Decision((answer(404, why),), why)
    protocol = "HTTPS" if request.scheme == "https" else "HTTP"
    there = [li for li in known.listeners if li.port == port and li.protocol == protocol and li.serves]
    by_host = _listener(there, request.hostname)
    chosen, shown = by_host, None
    if protocol == "HTTPS":
        chosen = _listener(there, request.sni)
        if chosen is None:
            why = f"no listener on port {port} is for server name {request.sni or '(none)'}"
            return Decision((), why, tls_failure=why)
        shown = certificate(snapshot, known, chosen, request.sni)
        if by_host is not None and by_host is not chosen:
            why = f"the handshake chose listener {chosen.name}, but Host {request.hostname} belongs to {by_host.name}"
            return Decision((answer(421, why, by_host.rule),), why, by_host.rule, certificate=shown)
        chosen = by_host
    if chosen is None:
        why = f"no listener on port {port} is for host {request.hostname}"
        return Decision((answer(404, why),), why, known.ref, certificate=shown)
    return _in_listener(snapshot, chosen, request, shown)


def secure(snapshot: Snapshot, gateway: str, port: int) -> bool:
    """Whether TLS is spoken on a port of a Gateway's proxy."""
    known = attachments(snapshot).gateways.get(gateway)
    return known is not None and any(li.port == port and li.protocol == "HTTPS" for li in known.listeners)


def _listener(listeners: Iterable[Listener], host: str) -> Listener | None:
    """The listener with the most specific hostname that takes *host*."""
    taking = [li for li in listeners if routes.suffix(li.hostname, host.lower())]
    return max(taking, key=lambda li: _host_precision(li.hostname), default=None)


def _in_listener(snapshot: Snapshot, listener: Listener, request: Request, shown: Certificate | None) -> Decision:
    """Route and rule: the match that goes first among those of all routes attached to the listener."""
    host, lost, matching = request.hostname, [], []
    for m in matches(snapshot, listener):
        problem = m.differs(request) if m.hostname(host) is not None else f"its hostnames do not take {host}"
        if problem:
            lost.append(f"{m.rule}: {problem}")
        else:
            matching.append(m)
    matching.sort(key=lambda m: m.precedence(host))
    if not matching:
        why = f"no route of listener {listener.name} takes {request.method} {host}{request.path}"
        return Decision((answer(404, why),), why, listener.rule, tuple(lost), shown)
    winner = matching[0]
    best = winner.precedence(host)
    for m in matching[1:]:
        pairs = zip(_CRITERIA, best, m.precedence(host), strict=True)
        reason = next((text for text, a, b in pairs if a != b), "is of an older route, or first by name or in the list")
        lost.append(f"{m.rule}: {m} takes it too, but the winner {reason}")
    why = f"listener {listener.name}; {winner} takes {request.method} {host}{request.path}"
    return Decision(_shares(snapshot, listener, winner, request, why), why, winner.rule, tuple(lost), shown)


# Filters and backends


def _shares(snapshot: Snapshot, listener: Listener, m: Match, request: Request, why: str) -> tuple[Share, ...]:
    """What each backend of the rule that won gets: its part by weight, and the request after all filters."""
    field = m.rule.field.partition(".matches")[0]
    base = Share(1.0, why, m.rule.at(field), request=request)
    base = _filtered(snapshot, listener, m, m.rule_spec.get("filters"), base)
    if base.status:
        return (base,)
    refs, shares = m.rule_spec.get("backendRefs") or (), []
    for i, b in enumerate(refs):
        rule = m.rule.at(f"{field}.backendRefs[{i}]")
        namespace = b.get("namespace") or m.rule.namespace
        share = replace(base, of=float(b.get("weight", 1)), rule=rule)
        reason, problem = backend_problem(snapshot, m.rule.namespace, b)
        if reason:
            share = replace(share, status=500, why=f"{reason}: {problem}")
        else:
            found = routes.backend(snapshot, namespace, b["name"], b["port"])
            share = replace(share, service=found.service, port=found.port, endpoints=found.endpoints)
            share = _filtered(snapshot, listener, m, b.get("filters"), share)
            if found.problem and not share.status:
                share = replace(share, status=503, why=found.problem)
        shares.append(share)
    if not any(s.of for s in shares):
        problem = "the rule has no backendRefs" if not refs else "the weights of all backendRefs are 0"
        return (replace(base, status=500, why=problem),)
    return scaled(shares)


def _filtered(snapshot: Snapshot, listener: Listener, m: Match, filters: Any, share: Share) -> Share:
    """A share after a list of filters, those of the rule or those of one backendRef."""
    for f in filters or ():
        request = share.request
        assert request is not None
        kind = f["type"]
        if kind == "RequestHeaderModifier":
            headers = _change(f["requestHeaderModifier"]).apply(request.headers)
            share = replace(share, request=replace(request, headers=headers))
        elif kind == "ResponseHeaderModifier":
            share = replace(share, response=(*share.response, _change(f["responseHeaderModifier"])))
        elif kind == "URLRewrite":
            host = f["urlRewrite"].get("hostname") or request.host
            path = _path(f["urlRewrite"].get("path"), m, request)
            share = replace(share, request=replace(request, host=host, path=path))
        elif kind == "RequestRedirect":
            redirect = f["requestRedirect"]
            location = _location(listener, m, redirect, request)
            why = f"redirect to {location}"
            share = replace(share, status=redirect.get("statusCode", 302), location=location, why=why)
        elif kind == "RequestMirror":
            share = replace(share, mirrors=(*share.mirrors, *_mirror(snapshot, m, f["requestMirror"])))
        else:
            share = replace(share, status=500, why=f"this controller knows no filter {kind}")
    return share


def _change(modifier: Mapping[str, Any]) -> HeaderChange:
    def pairs(name: str) -> Headers:
        return tuple((h["name"], h["value"]) for h in modifier.get(name) or ())

    return HeaderChange(pairs("set"), pairs("add"), tuple(modifier.get("remove") or ()))


def _path(modifier: Mapping[str, Any] | None, m: Match, request: Request) -> str:
    """The path after a path modifier; the query is kept. A matched prefix is replaced by whole elements, so that the
    result is never empty and has no ``//`` at the seam."""
    path, mark, query = request.path.partition("?")
    if modifier and modifier["type"] == "ReplaceFullPath":
        path = modifier.get("replaceFullPath") or "/"
    elif modifier:
        new, rest = modifier.get("replacePrefixMatch") or "", path[len(m.path.removesuffix("/")) :]
        path = new.removesuffix("/") + rest if rest else new or "/"
    return path + mark + query


def _location(listener: Listener, m: Match, redirect: Mapping[str, Any], request: Request) -> str:
    """The Location of a redirect. What it leaves out comes from the request; the port is the one given, else the
    well-known one of a given scheme, else the listener's; it is not written where it is the scheme's own."""
    scheme = redirect.get("scheme") or request.scheme
    port = redirect.get("port") or (PORTS.get(scheme) if redirect.get("scheme") else None) or listener.port
    host = redirect.get("hostname") or request.hostname
    written = "" if port == PORTS.get(scheme) else f":{port}"
    return f"{scheme}://{host}{written}{_path(redirect.get('path'), m, request)}"


def _mirror(snapshot: Snapshot, m: Match, mirror: Mapping[str, Any]) -> tuple[Mirror, ...]:
    b, fraction = mirror["backendRef"], mirror.get("fraction") or {}
    if backend_problem(snapshot, m.rule.namespace, b)[0]:
        return ()
    percent = mirror.get("percent", 100)
    if fraction:
        percent = 100 * fraction["numerator"] / (fraction.get("denominator") or 100)
    found = routes.backend(snapshot, b.get("namespace") or m.rule.namespace, b["name"], b["port"])
    return (Mirror(found.service, found.port, float(percent), m.rule, found.endpoints),)


def certificate(snapshot: Snapshot, gateway: Gateway, listener: Listener, sni: str) -> Certificate:
    """The certificate that a listener shows for a server name: the one whose name fits it best, else its first."""
    secrets = routes.secret_by_key(snapshot)
    shown = []
    for key in listener.secrets:
        users = [li for li in gateway.listeners if key in li.secrets]
        hosts = [
            h or "*"
            for li in users
            for h in (li.hostname, *(h for a in li.attached for h in a.hostnames))
            if h or li.hostname == ""
        ]
        shown.append(Certificate(key, routes.certificate_names(secrets[key], hosts)))
    covering = [c for c in shown if c.covers(sni)]
    return max(covering or shown[:1], key=lambda c: max(map(len, c.names), default=0))


def table(snapshot: Snapshot, gateway: str = "") -> str:
    """The routes that Gateways hold, as text: a line for each match, by listener, in the order of precedence.

    *gateway*: ``namespace/name`` of one; empty: all.
    """
    rows = [("GATEWAY", "LISTENER", "HOST", "MATCH", "BACKENDS", "RULE")]
    for key, g in attachments(snapshot).gateways.items():
        if gateway not in ("", key):
            continue
        for li in g.listeners:
            entries = [(m, h) for m in matches(snapshot, li) for h in m.attachment.hostnames]
            entries.sort(key=lambda e: e[0].precedence(e[1]))
            name = f"{li.name} ({li.protocol} {li.port})" + ("" if li.serves else " not programmed")
            for m, hostname in entries:
                field = m.rule.at(m.rule.field.partition(".matches")[0])
                rows.append((key, name, hostname or "*", str(m), _backends(snapshot, li, m), str(field)))
            if not entries:
                rows.append((key, name, li.hostname or "*", "(no route)", "404", str(li.rule)))
    return columns(rows)


def _backends(snapshot: Snapshot, listener: Listener, m: Match) -> str:
    shares = _shares(snapshot, listener, m, Request("HOST", m.path), "")
    return ", ".join(
        (f"{s.of:.0%} " if len(shares) > 1 else "") + (f"{s.status} {s.location or s.why}" if s.status else s.backend)
        for s in shares
    )
