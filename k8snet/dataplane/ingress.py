"""What an Ingress controller's proxy does with a request, and the table of routes that it holds.

The controller merges the rules of all Ingresses of its classes into one table (networking/v1 types.go, the Ingress
page of the documentation, KEP-1453). The proxy decides in this order: certificate by SNI, host, path, default backend,
endpoints. What those sources leave open is settled as the Gateway API settles it: a precise host before a wildcard
before none, without falling back; of two equal rules the older; 503 for a backend that is not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from k8snet.controlplane import routes
from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane.http import Certificate, Decision, Request, Share, answered, choose
from k8snet.manifests.kinds import Ref, ref

DEFAULT_CERTIFICATE = Certificate("", ("ingress.local",), "self-signed certificate")


@dataclass(frozen=True, slots=True)
class Route:
    """One path of one rule, or (``path`` None) the default backend of an Ingress. ``rule`` is the Ingress and field."""

    rule: Ref
    host: str
    path: str | None
    type: str
    service: str
    port: int | str

    def takes(self, path: str) -> bool:
        """Whether its path takes the path of a request. ImplementationSpecific is read as Prefix."""
        wanted = self.path or ""
        return path == wanted if self.type == "Exact" else routes.takes_prefix(wanted, path)

    @property
    def order(self) -> tuple[bool, int]:
        """Sorts the paths of one host. Exact first differs from longest first only for Exact /foo beside Prefix /foo/."""
        return self.type != "Exact", -len(self.path or "")

    def __str__(self) -> str:
        return f"{self.type} {self.path}"


@dataclass(slots=True)
class Table:
    """All routes of a controller, older Ingresses first; the Ingresses that name each host; tls entries as hosts and
    Secret."""

    routes: list[Route] = field(default_factory=list)
    defaults: list[Route] = field(default_factory=list)
    hosts: dict[str, list[Ref]] = field(default_factory=dict)
    tls: list[tuple[list[str], str]] = field(default_factory=list)


@lru_cache(maxsize=16)
def compiled(snapshot: Snapshot, controllers: frozenset[str]) -> Table:
    """The table of the Ingresses that *controllers* serve."""
    table, classes = Table(), snapshot.objects("IngressClass")
    for obj in sorted(snapshot.objects("Ingress"), key=routes.age):
        if routes.controller_of(obj, classes)[0] not in controllers:
            continue
        r, spec = ref(obj), obj.get("spec") or {}
        if spec.get("defaultBackend"):
            table.defaults.append(_route(r.at("spec.defaultBackend"), "", {"backend": spec["defaultBackend"]}))
        for i, rule in enumerate(spec.get("rules") or ()):
            host = (rule.get("host") or "").lower()
            table.hosts.setdefault(host, []).append(r)
            for j, p in enumerate((rule.get("http") or {}).get("paths") or ()):
                table.routes.append(_route(r.at(f"spec.rules[{i}].http.paths[{j}]"), host, {"path": "/", **p}))
        for entry in spec.get("tls") or ():
            hosts = [h.lower() for h in entry.get("hosts") or ()]
            table.tls.append((hosts, f"{r.namespace}/{entry.get('secretName') or ''}"))
    return table


def _route(rule: Ref, host: str, p: dict[str, Any]) -> Route:
    service = (p.get("backend") or {}).get("service") or {}
    port = service.get("port") or {}
    number = port.get("name") or port.get("number") or 0
    return Route(rule, host, p.get("path"), p.get("pathType") or "Prefix", service.get("name", ""), number)


def route(snapshot: Snapshot, controllers: Iterable[str], request: Request) -> Decision:
    """What the proxy of *controllers* (``spec.controller`` values) does with *request*: one share, or 404 or 503."""
    table = compiled(snapshot, frozenset(controllers))
    shown = certificate(snapshot, table, request.sni) if request.scheme == "https" else None
    host, path = request.hostname, request.pathname
    # The most precise host: equal, wildcard, none (""). There is no falling back to a less precise one.
    taking = [h for h in table.hosts if not h or routes.one_label(h, host)]
    best = max(taking, key=lambda h: (h == host, bool(h)), default=None)

    def problem(r: Route) -> str:
        if r.host == best:
            return "" if r.takes(path) else f"{r} does not take {path}"
        beaten = not r.host or routes.one_label(r.host, host)
        return "another rule names the host more precisely" if beaten else f"host {r.host} is not {host}"

    winner, others = choose(table.routes, problem, lambda r: r.order, _beaten)
    lost = tuple(f"{r.rule}: {why}" for r, why in others)
    why = f"{f'host {best}' if best else 'a rule without host'} and {winner} take {host}{path}"
    if winner is None and table.defaults:
        own = {r.key for r in table.hosts[best]} if best is not None else set()
        winner = min(table.defaults, key=lambda r: r.rule.key not in own)
        why = f"no rule takes {host}{path}, so the default backend does"
    if winner is not None:
        b = routes.backend(snapshot, winner.rule.namespace, winner.service, winner.port)
        unusable = b.problem if winner.service else "this controller only knows Services as backends"
        if unusable:
            return answered(503, unusable, winner.rule, lost, shown)
        share = Share(1.0, why, winner.rule, b.service, b.port, b.endpoints, request)
        return Decision((share,), why, winner.rule, lost, shown)
    why = f"no path of {f'host {best}' if best else 'the rules without host'} takes {path}"
    if best is None:
        why = f"no rule is for host {host}" if table.hosts else "the controller serves no Ingress at all"
    return answered(404, why, None, lost, shown)


def _beaten(r: Route, winner: Route) -> str:
    if r.path == winner.path and r.type == winner.type:
        return "is of a younger Ingress, or later by name or in the list"
    return "an Exact path goes first" if winner.type == "Exact" else f"{winner.path} is longer"


def certificate(snapshot: Snapshot, table: Table, sni: str) -> Certificate:
    """The certificate that SNI picks: of the tls entry that names it, exactly before by wildcard before one without
    hosts, which is for all; else the default one, which nobody trusts, as where a Secret is missing or malformed."""
    secrets = routes.secret_by_key(snapshot)
    entries = [(hosts, key) for hosts, key in table.tls if not hosts or any(routes.one_label(h, sni) for h in hosts)]
    for _, key in sorted(entries, key=lambda e: (sni.lower() not in e[0], not e[0])):
        if not routes.bad_certificate(secrets.get(key)):
            hosts = [h for hosts, other in table.tls if other == key for h in hosts]
            return Certificate(key, routes.certificate_names(secrets[key], hosts or ["*"]))
    return DEFAULT_CERTIFICATE


def table(snapshot: Snapshot, controllers: Iterable[str] | None = None) -> str:
    """The routes that a controller holds, as text: a line for each, in the order in which it looks at them.

    Without *controllers* those that run in the cluster.
    """
    held = compiled(snapshot, frozenset(routes.running(snapshot) if controllers is None else controllers))
    ordered = sorted(held.routes, key=lambda r: (not r.host, r.host.startswith("*"), r.host, r.order))
    rows = [("HOST", "PATH", "TYPE", "BACKEND", "ENDPOINTS", "RULE")]
    for r in (*ordered, *held.defaults):
        b = routes.backend(snapshot, r.rule.namespace, r.service, r.port)
        ends = ", ".join(f"{ip}:{port}" for ip, port in b.endpoints) or f"<{b.problem}>"
        path = (r.path, r.type) if r.path else ("(default)", "-")
        rows.append((r.host or "*", *path, f"{b.service}:{r.port}", ends, str(r.rule)))
    return columns(rows)


def columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows as text columns, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)
