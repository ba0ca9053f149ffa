"""What must hold once an answer is applied, judged by what packets and names then do.

An expectation answers with goals: each has a name, is met or not, and says by which counterexample. Nothing here ever
compares an answer's text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from k8snet.cluster import Caller, Cluster
from k8snet.dataplane import lookup
from k8snet.dataplane.trace import Outcome, Trace
from k8snet.manifests.addresses import is_ip
from k8snet.manifests.errors import KubernetesError


@dataclass(frozen=True)
class Goal:
    """A named part of a task: ``share`` is how much of it is met (0 to 1), ``why`` the counterexample in words.

    ``weight`` is what it counts for beside the others; 0 for what gives no points but must not fail. ``truth`` says what
    would be right: for a learner who has it right, or has seen all hints, and for the grader's page.
    """

    name: str
    share: float
    why: str = ""
    trace: Trace | None = None
    weight: int = 1
    truth: str = ""

    @property
    def met(self) -> bool:
        """Whether nothing is missing."""
        return self.share >= 1.0


class Expectation(Protocol):
    """Anything that can judge a cluster. Raises KubernetesError where something that it asks about is not there."""

    def goals(self, cluster: Cluster) -> Iterator[Goal]:
        """The goals, each met or not."""
        ...


def goal(name: str, met: bool, why: str, trace: Trace | None = None) -> Goal:
    """A goal without parts; *why* is said where it is not met."""
    return Goal(name, float(met), "" if met else why, trace)


def must(name: str, met: bool, why: str) -> Goal:
    """A goal that earns nothing by itself but is needed for full marks."""
    return replace(goal(name, met, why), weight=0 if met else 1)


def share(missed: int, total: int) -> float:
    """What a goal of many parts earns: all of it or, with anything missed, at most half."""
    return 0.5 * max(0.0, 1 - missed / total) if missed else 1.0


@dataclass(frozen=True)
class Connects:
    """A connection from ``client`` to ``target`` (as for `connect`) ends as ``outcome`` says, a kind of `trace.Outcome` or
    ``fails`` for anything but delivered; ``server`` is who must answer."""

    client: str
    target: str
    port: int
    outcome: str = "delivered"
    protocol: str = "TCP"
    server: str = ""
    name: str = ""

    def goals(self, cluster: Cluster) -> Iterator[Goal]:
        """One goal."""
        trace = connect(cluster, self.client, self.target, self.port, self.protocol)
        met = not trace if self.outcome == "fails" else trace.outcome.kind == self.outcome
        met = met and self.server.removeprefix("default/") in ("", trace.outcome.server.removeprefix("default/"))
        wanted = self.outcome + (f" by {self.server}" if self.server else "")
        way = _way(trace, f"{self.client} → {self.target}:{self.port}/{self.protocol}", wanted, met, self.name)
        yield way if met else replace(way, why=way.why + _orphan(cluster, self.target))


def _orphan(cluster: Cluster, target: str) -> str:
    """A word on an EndpointSlice beside the called Service that belongs to none."""
    kind, _, name = target.partition("/")
    beside = cluster.plane.api.list("EndpointSlice", _key(name)[0]) if kind == "service" else []
    owned = "kubernetes.io/service-name"
    lost = next((s["metadata"]["name"] for s in beside if owned not in (s["metadata"].get("labels") or {})), "")
    return f" EndpointSlice {lost} has no label {owned}, so it belongs to no Service." if lost else ""


@dataclass(frozen=True)
class Fetches:
    """``curl`` with these arguments gets this HTTP status (0: no answer at all), from ``server`` if that is said."""

    client: str
    arguments: str
    status: int = 200
    server: str = ""
    name: str = ""

    def goals(self, cluster: Cluster) -> Iterator[Goal]:
        """One goal."""
        trace = caller(cluster, self.client).curl(self.arguments).trace
        outcome = trace.outcome if trace is not None else Outcome("no route", "")
        met = outcome.status == self.status and self.server in f"{outcome.said_by} {outcome.server}"
        wanted = f"status {self.status}" if self.status else "no answer"
        yield _way(trace, f"curl {self.arguments} from {self.client}", wanted, met, self.name)


def _way(trace: Trace | None, request: str, wanted: str, met: bool, name: str) -> Goal:
    why = f"{request} should give: {wanted}. Instead: {told(trace) if trace is not None else 'no connection'}"
    return goal(name or f"{request}: {wanted}", met, why, trace)


def told(trace: Trace) -> str:
    """How a request ended and which hop decided, in a sentence."""
    hop = next((h for h in reversed(trace.hops) if h.mechanism == "http"), trace.deciding)
    rule = f" (rule: {hop.rule})" if hop and hop.rule else ""
    ended = trace.outcome.message if trace.outcome.status else str(trace.outcome)
    return f"{ended}." + (f" {hop.place}: {hop.why}{rule}" if hop else "")


@dataclass(frozen=True)
class Matrix:
    """Which Pods may call which on a port, as policy decides: ``allowed`` holds the pairs (client, server) that may, no
    other may. ``clients`` are the rows where they are not the ``pods`` (addresses outside, too)."""

    pods: tuple[str, ...]
    allowed: Collection[tuple[str, str]]
    port: int
    protocol: str = "TCP"
    clients: tuple[str, ...] = ()

    def pairs(self) -> Iterator[tuple[str, str, bool]]:
        """Each client and server and whether the one may call the other."""
        for client in self.clients or self.pods:
            yield from ((client, s, (client, s) in self.allowed) for s in self.pods if s != client)

    def goals(self, cluster: Cluster) -> Iterator[Goal]:
        """Two goals: nothing leaks, nothing needed is blocked. The first wrong pair of each is the counterexample."""
        wrong: dict[bool, list[tuple[str, str]]] = {True: [], False: []}
        # Servers that stay open to all are not what it is about: they count only where they are blocked.
        guarded = {server for _, server, wanted in self.pairs() if not wanted}
        total = Counter(wanted for _, server, wanted in self.pairs() if server in guarded or not guarded)
        clients = self.clients or self.pods
        found = cluster.reachability(self.port, self.protocol, clients=clients, servers=self.pods)
        rows = dict(zip(clients, found.rows(), strict=True))
        for client, server, wanted in self.pairs():
            if (rows[client][self.pods.index(server)] == ".") is not wanted:
                wrong[wanted].append((client, server))
        for wanted, name in ((False, "nobody else gets through"), (True, "who must get through does")):
            missed = wrong[wanted]
            why, way = self._example(cluster, *missed[0], len(missed) - 1) if missed else ("", None)
            if total[wanted] or missed:
                earned = share(len(missed), total[wanted] or len(missed))
                yield Goal(f"{name} on {self.port}/{self.protocol}", earned, why, way)

    def _example(self, cluster: Cluster, client: str, server: str, more: int) -> tuple[str, Trace]:
        verdict = cluster.allowed(client, server, self.port, self.protocol)
        sides = (verdict.ingress, verdict.egress)
        side = next((s for s in sides if (s.policies if verdict else s.allowed is False)), verdict.ingress)
        rule, verb = f" ({side.rule})" if side.rule else "", "still reaches" if verdict else "cannot reach"
        text = f"{client} {verb} {server}:{self.port}: {side.direction}, {side.end}: {side.why}{rule}"
        text += _strays(cluster, server) if verdict and not side.policies else ""
        asker = f"outside:{client}" if is_ip(client) else client
        way = connect(cluster, asker, f"pod/{server}", self.port, self.protocol)
        return text + (f" (and {more} more like it)" if more else ""), way

    def __str__(self) -> str:
        """The wanted matrix; signs as in a reachability matrix, ``-`` for a Pod and itself."""
        rows, wide = self.clients or self.pods, max(map(len, self.clients or self.pods))
        cells = {(c, s): "." if wanted else "X" for c, s, wanted in self.pairs()}
        head = " " * wide + "  " + "  ".join(self.pods)
        lines = ("  ".join(f"{cells.get((c, s), '-'):<{len(s)}}" for s in self.pods) for c in rows)
        return "\n".join([head, *(f"{c:<{wide}}  {line}".rstrip() for c, line in zip(rows, lines, strict=True))])


def _strays(cluster: Cluster, server: str) -> str:
    """What a policy that landed in ``default`` has to do with a Pod of another namespace: nothing."""
    namespace, _ = _key(server)
    stray = next(iter(cluster.plane.api.list("NetworkPolicy", "default")), None) if namespace != "default" else None
    name = stray["metadata"]["name"] if stray and not cluster.plane.api.list("NetworkPolicy", namespace) else ""
    return f". NetworkPolicy {name} is in namespace default and holds for the Pods there only" if name else ""


@dataclass(frozen=True)
class Resolves:
    """A name asked from ``client`` has these addresses (in any order); none: it must not resolve."""

    client: str
    name: str
    addresses: Collection[str]

    def goals(self, cluster: Cluster) -> Iterator[Goal]:
        """One goal."""
        found = lookup.getaddrinfo(cluster.moment, caller(cluster, self.client).client, self.name)
        met = set(found.addresses) == set(self.addresses)
        got, wanted = ", ".join(found.addresses) or found.result, ", ".join(self.addresses) or "nothing"
        why = f"{self.name}, asked from {self.client}, gives {got}, not {wanted}"
        name = f"{self.name} resolves from {self.client}" if self.addresses else f"{self.name} has no address"
        yield goal(name, met, why, found.trace)


@dataclass(frozen=True)
class Backends:
    """Exactly these Pods (``namespace/name``, or a name in default) stand ready behind a Service."""

    service: str
    pods: Collection[str]

    def goals(self, cluster: Cluster) -> Iterator[Goal]:
        """One goal."""
        namespace, name = _key(self.service)
        slices = cluster.plane.api.list("EndpointSlice", namespace)
        mine = [s for s in slices if s["metadata"].get("labels", {}).get("kubernetes.io/service-name") == name]
        ends = (e for s in mine if s.get("ports") for e in s.get("endpoints") or ())
        refs = [e["targetRef"] for e in ends if e.get("conditions", {}).get("ready") and "targetRef" in e]
        found = {f"{ref['namespace']}/{ref['name']}" for ref in refs}
        wanted = {"/".join(_key(p)) for p in self.pods}
        why = f"Ready behind Service {self.service}: {_pods(found)}. Wanted: {_pods(wanted)}."
        why += "".join(self._lacking(cluster, pod) for pod in sorted(wanted - found))
        yield goal(f"the right Pods stand behind Service {self.service}", found == wanted, why)

    def _lacking(self, cluster: Cluster, pod: str) -> str:
        service = cluster.plane.store.get("Service", *_key(self.service))
        there = cluster.plane.store.get("Pod", *_key(pod))
        if there is None or service is None:
            return "" if there else f" There is no Pod {pod}."
        labels = there["metadata"].get("labels") or {}
        asked = (service.get("spec") or {}).get("selector") or {}
        lacks = [f"{key}={value}" for key, value in asked.items() if labels.get(key) != value]
        return f" Pod {pod} lacks what the Service's selector asks for: {', '.join(lacks)}." if lacks else ""


@dataclass(frozen=True)
class Prints:
    """A command at ``client`` (empty: kubectl) prints ``text``."""

    client: str
    command: str
    text: str
    name: str = ""

    def goals(self, cluster: Cluster) -> Iterator[Goal]:
        """One goal."""
        said = str(caller(cluster, self.client).run(self.command) if self.client else cluster.kubectl(self.command))
        why = f"$ {self.command}\n{said}\nIt should say: {self.text}"
        yield goal(self.name or f"{self.command} shows {self.text}", self.text in said, why)


@dataclass(frozen=True)
class Holds:
    """An object exists and some of its fields, by dotted path (``spec.type``), have these values. Only for what no
    packet can tell."""

    kind: str
    name: str
    fields: Mapping[str, object]

    def goals(self, cluster: Cluster) -> Iterator[Goal]:
        """One goal a field."""
        found = cluster.plane.api.get(self.kind, *_key(self.name))
        for path, wanted in self.fields.items():
            value: object = found
            for key in path.split("."):
                value = value.get(key) if isinstance(value, Mapping) else None
            where = f"{self.kind} {self.name}: {path} is"
            yield goal(f"{where} {wanted}", value == wanted, f"{where} {value}, not {wanted}")


def _pods(names: Collection[str]) -> str:
    return ", ".join(f"Pod {name}" for name in sorted(names)) or "no Pod"


def _key(name: str) -> tuple[str, str]:
    namespace, _, short = name.rpartition("/")
    return namespace or "default", short


def caller(cluster: Cluster, name: str) -> Caller:
    """Who a text names: a Pod (``namespace/name``, or a name in default), ``node/NAME``, ``outside`` or ``outside:IP``.
    Raises ApiError NotFound."""
    if name.partition(":")[0] == "outside":
        return cluster.outside_at(name.partition(":")[2])
    return cluster.node(name.removeprefix("node/")) if name.startswith("node/") else cluster.pod(name)


def connect(cluster: Cluster, client: str, target: str, port: int, protocol: str = "TCP") -> Trace:
    """One connection. *target* is a name, an address, or whose address it is: ``pod/NAME``, ``service/NAMESPACE/NAME``."""
    kind, _, name = target.partition("/")
    if kind in ("pod", "service"):
        found = cluster.plane.api.get(kind.capitalize(), *_key(name))
        target = found["status"].get("podIP", "") if kind == "pod" else found["spec"].get("clusterIP", "")
        if not target:
            lacks = "address yet" if kind == "pod" else f"cluster address: its type is {found['spec'].get('type')}"
            raise KubernetesError(f"{kind.capitalize()} {name} has no {lacks}")
    return caller(cluster, client).connect(target, port, protocol)
