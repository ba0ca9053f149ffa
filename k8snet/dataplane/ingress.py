"""What an Ingress controller's proxy does with a request, and the table of routes that it holds.

The controller merges the rules of all Ingresses of its classes into one table (networking/v1 types.go, the Ingress
page of the documentation, KEP-1453). The proxy decides in this order: certificate by SNI, host, path, default backend,
endpoints. What those sources leave open is settled as the Gateway API settles it: a precise host before a wildcard
before none, without falling back; of two equal rules the older; 503 for a backend that is not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from k8snet.controlplane import routes
from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane.http import Certificate, Decision, Request, Share, answer
from k8snet.manifests.kinds import Object, Ref, ref

DEFAULT_CERTIFICATE = Certificate("", ("ingress.local",), "self-signed certificate")


@dataclass(frozen=True, slots=True)
class Route:
    """One path of one rule, or (``path`` None) the default backend of an Ingress. ``rule`` is the Ingress and field."""

    rule: Ref
    host: str
    path: str | None
    type: str
    service: str = ""
    port: int | str = 0
    resource: str = ""

    def takes(self, path: str) -> bool:
        """Whether its path takes the path of a request. ImplementationSpecific is read as Prefix."""
        assert self.path is not None
        return path == self.path if self.type == "Exact" else routes.takes_prefix(self.path, path)

    def __str__(self) -> str:
        return f"{self.type} {self.path}" if self.path is not None else "default backend"


@dataclass(frozen=True, slots=True)
class Tls:
    """One ``spec.tls`` entry: hosts and the Secret."""

    rule: Ref
    hosts: tuple[str, ...]
    secret: str


@dataclass(frozen=True, slots=True)
class Table:
    """All routes of a controller, older Ingresses first; ``hosts`` are those that some rule names, with the rule."""

    routes: tuple[Route, ...]
    defaults: tuple[Route, ...]
    hosts: tuple[tuple[str, Ref], ...]
    tls: tuple[Tls, ...]


@lru_cache(maxsize=16)
def compiled(snapshot: Snapshot, controllers: frozenset[str]) -> Table:
    """The table of the Ingresses that *controllers* serve."""
    paths: list[Route] = []
    defaults: list[Route] = []
    hosts: list[tuple[str, Ref]] = []
    tls: list[Tls] = []
    classes = snapshot.objects("IngressClass")
    for obj in sorted(snapshot.objects("Ingress"), key=routes.age):
        if routes.controller_of(obj, classes)[0] not in controllers:
            continue
        r, spec = ref(obj), obj.get("spec") or {}
        if spec.get("defaultBackend"):
            defaults.append(_route(r.at("spec.defaultBackend"), "", None, "", spec["defaultBackend"]))
        for i, rule in enumerate(spec.get("rules") or ()):
            host = (rule.get("host") or "").lower()
            hosts.append((host, r.at(f"spec.rules[{i}].host")))
            for j, p in enumerate((rule.get("http") or {}).get("paths") or ()):
                field = r.at(f"spec.rules[{i}].http.paths[{j}]")
                paths.append(_route(field, host, p.get("path") or "/", p.get("pathType") or "", p.get("backend") or {}))
        for i, entry in enumerate(spec.get("tls") or ()):
            secret = f"{r.namespace}/{entry.get('secretName') or ''}"
            tls.append(Tls(r.at(f"spec.tls[{i}]"), tuple(h.lower() for h in entry.get("hosts") or ()), secret))
    return Table(tuple(paths), tuple(defaults), tuple(hosts), tuple(tls))


def _route(rule: Ref, host: str, path: str | None, kind: str, backend: Object) -> Route:
    service, resource = backend.get("service") or {}, backend.get("resource") or {}
    port = service.get("port") or {}
    named = f"{resource.get('kind', '')} {resource.get('name', '')}" if resource else ""
    return Route(rule, host, path, kind, service.get("name", ""), port.get("name") or port.get("number") or 0, named)


def route(snapshot: Snapshot, controllers: Iterable[str], request: Request) -> Decision:
    """What the proxy of *controllers* (``spec.controller`` values) does with *request*: one share, or 404 or 503."""
    table = compiled(snapshot, frozenset(controllers))
    shown = certificate(snapshot, table, request.sni) if request.scheme == "https" else None
    host, path = request.hostname, request.pathname
    rank, of_rank = _best_host(table, host)
    lost = [_lost_by_host(r, host, rank) for r in table.routes if r.host not in of_rank]
    matching = [r for r in table.routes if r.host in of_rank and r.takes(path)]
    lost += [f"{r.rule}: {r} does not take {path}" for r in table.routes if r.host in of_rank and r not in matching]
    # Exact first: it only differs from "longest first" for Exact /foo beside Prefix /foo/. The sort keeps older first.
    matching.sort(key=lambda r: (r.type != "Exact", -len(r.path or "")))
    if matching:
        winner = matching[0]
        where = f"host {winner.host}" if winner.host else "a rule without host"
        lost += [f"{r.rule}: {_lost_by_path(r, winner)}" for r in matching[1:]]
        return _to(snapshot, winner, f"{where} and {winner} take {host}{path}", lost, shown, request)
    own = {(r.namespace, r.name) for h, r in table.hosts if h in of_rank}
    defaults = sorted(table.defaults, key=lambda r: (r.rule.namespace, r.rule.name) not in own)
    if defaults:
        return _to(snapshot, defaults[0], f"no rule takes {host}{path}: the default backend does", lost, shown, request)
    if not (table.routes or table.hosts):
        why = "the controller serves no Ingress at all"
    elif not of_rank:
        why = f"no rule is for host {host}"
    else:
        why = f"no path of host {', '.join(sorted(of_rank)) or '(any)'} takes {path}"
    return Decision((answer(404, why),), why, None, tuple(lost), shown)


def _best_host(table: Table, host: str) -> tuple[str, set[str]]:
    """The hosts in the table that take *host* most precisely, and in which way. There is no fall-back from these."""
    named = {h for h, _ in table.hosts}
    for rank, found in (
        ("equal", {h for h in named if h and h == host}),
        ("wildcard", {h for h in named if h.startswith("*.") and routes.one_label(h, host)}),
        ("any host", named & {""}),
    ):
        if found:
            return rank, found
    return "", set()


def _lost_by_host(r: Route, host: str, rank: str) -> str:
    if not r.host or routes.one_label(r.host, host):
        return f"{r.rule}: another rule names the host more precisely ({rank})"
    return f"{r.rule}: host {r.host} is not {host}"


def _lost_by_path(r: Route, winner: Route) -> str:
    if r.type != winner.type and "Exact" in (r.type, winner.type):
        return f"{r} takes it too, but an Exact path goes first"
    if r.path == winner.path:
        return f"{r} is the same path in a younger Ingress (or later by name or in the list)"
    return f"{r} takes it too, but {winner.path} is longer"


def _to(
    snapshot: Snapshot, r: Route, why: str, lost: Iterable[str], shown: Certificate | None, request: Request
) -> Decision:
    """The decision for the route that won: its Service's ready endpoints, or 503."""
    if not r.service:
        share = answer(503, f"the controller knows nothing of {r.resource or 'this backend'}", r.rule)
    else:
        b = routes.backend(snapshot, r.rule.namespace, r.service, r.port)
        share = Share(1.0, why, r.rule, b.service, b.port, b.endpoints, request)
        if b.problem:
            share = answer(503, b.problem, r.rule)
    return Decision((share,), why, r.rule, tuple(lost), shown)


def certificate(snapshot: Snapshot, table: Table, sni: str) -> Certificate:
    """The certificate that SNI picks: of the tls entry that names it, exactly before by wildcard; else the default one,
    which nobody trusts. A Secret that is missing or malformed leaves the default one too."""
    secrets = routes.secret_by_key(snapshot)
    entries = [t for t in table.tls if sni and any(routes.one_label(h, sni) for h in t.hosts)]
    entries.sort(key=lambda t: sni.lower() not in t.hosts)
    for t in entries:
        secret = secrets.get(t.secret)
        if secret is not None and not routes.bad_certificate(secret):
            hosts = [h for other in table.tls if other.secret == t.secret for h in other.hosts]
            return Certificate(t.secret, routes.certificate_names(secret, hosts))
    return DEFAULT_CERTIFICATE


def table(snapshot: Snapshot, controllers: Iterable[str] | None = None) -> str:
    """The routes that a controller holds, as text: a line for each, in the order in which it looks at them.

    Without *controllers* those that run in the cluster.
    """
    chosen = frozenset(routes.running(snapshot) if controllers is None else controllers)
    held = compiled(snapshot, chosen)
    ordered = sorted(
        held.routes,
        key=lambda r: (
            (2 if not r.host else 1 if r.host[0] == "*" else 0),
            r.host,
            r.type != "Exact",
            -len(r.path or ""),
        ),
    )
    rows = [("HOST", "PATH", "TYPE", "BACKEND", "ENDPOINTS", "RULE")]
    for r in (*ordered, *held.defaults):
        b = routes.backend(snapshot, r.rule.namespace, r.service, r.port)
        ends = ", ".join(f"{ip}:{port}" for ip, port in b.endpoints) or f"<{b.problem}>"
        rows.append((r.host or "*", r.path or "(default)", r.type or "-", f"{b.service}:{r.port}", ends, str(r.rule)))
    return columns(rows)


def columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows as text columns, two spaces apart."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)
