"""What must hold once an answer is applied, judged by what packets and names then do.

An expectation answers with goals: each has a name, is met or not, and says by which counterexample. Nothing here ever
compares an answer's text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from k8snet.cluster import Cluster
from k8snet.dataplane.trace import Trace


@dataclass(frozen=True)
class Goal:
    """A named part of a task: ``share`` is how much of it is met (0 to 1), ``why`` the counterexample in words."""

    name: str
    share: float
    why: str = ""
    trace: Trace | None = None

    @property
    def met(self) -> bool:
        """Whether nothing is missing."""
        return self.share >= 1.0


class Expectation(Protocol):
    """Anything that can judge a cluster."""

    def goals(self, cluster: Cluster) -> Iterator[Goal]:
        """The goals, each met or not."""
        ...


@dataclass(frozen=True)
class Connects:
    """A connection from ``client`` (Pod, ``node/NAME`` or ``outside``) to ``target`` ends as ``outcome`` says."""

    client: str
    target: str
    port: int
    outcome: str = "delivered"
    protocol: str = "TCP"
    server: str = ""
    name: str = ""

    def goals(self, cluster: Cluster) -> Iterator[Goal]:
        """One goal."""
        trace = caller(cluster, self.client).connect(self.target, self.port, self.protocol)
        question = f"{self.client} → {self.target}:{self.port} {self.protocol}"
        met = trace.outcome.kind == self.outcome and (not self.server or trace.outcome.server == self.server)
        wanted = self.outcome + (f" by {self.server}" if self.server else "")
        hop = trace.deciding
        why = "" if met else f"{question} should be {wanted}, but is {trace.outcome}" + (f" ({hop.why})" if hop else "")
        yield Goal(self.name or f"{question}: {wanted}", float(met), why, trace)


@dataclass(frozen=True)
class Matrix:
    """Which Pods may call which on a port: ``rows`` as in a reachability matrix of ``pods``, leaks and blocks apart."""

    pods: tuple[str, ...]
    rows: tuple[str, ...]
    port: int
    protocol: str = "TCP"

    def goals(self, cluster: Cluster) -> Iterator[Goal]:
        """Two goals: nothing leaks, nothing needed is blocked. The first wrong cell of each is the counterexample."""
        wrong: dict[str, list[str]] = {"X": [], ".": []}
        total = {"X": 0, ".": 0}
        for client, row in zip(self.pods, self.rows, strict=True):
            for server, wanted in zip(self.pods, row, strict=True):
                if client == server:
                    continue
                total[wanted] += 1
                verdict = cluster.allowed(client, server, self.port, self.protocol)
                if bool(verdict) is not (wanted == "."):
                    wrong[wanted].append(
                        f"{client} {'still reaches' if wanted == 'X' else 'cannot reach'} {server}:{self.port}. {verdict}"
                    )
        for sign, name in (
            ("X", f"nothing else gets in on {self.port}"),
            (".", f"who must get in on {self.port} does"),
        ):
            missed = len(wrong[sign])
            more = f"\n(and {missed - 1} more)" if missed > 1 else ""
            share = 1.0 if not missed else max(0.0, 1 - missed / total[sign]) * 0.5
            yield Goal(name, share, wrong[sign][0] + more if missed else "")


@dataclass(frozen=True)
class Resolves:
    """A name asked from a Pod answers with these addresses (in any order); empty: it must not resolve."""

    client: str
    name: str
    addresses: tuple[str, ...]

    def goals(self, cluster: Cluster) -> Iterator[Goal]:
        """One goal."""
        from k8snet.dataplane import lookup

        found = lookup.getaddrinfo(cluster.moment, caller(cluster, self.client).client, self.name)
        met = sorted(found.addresses) == sorted(self.addresses)
        why = (
            ""
            if met
            else f"{self.name} asked from {self.client} gives {', '.join(found.addresses) or found.result}, not {', '.join(self.addresses) or 'nothing'}"
        )
        yield Goal(f"{self.name} resolves from {self.client}", float(met), why, found.trace)


@dataclass(frozen=True)
class Holds:
    """An object exists and some of its fields have these values, by dotted path (``spec.type``)."""

    kind: str
    name: str
    fields: Mapping[str, object]

    def goals(self, cluster: Cluster) -> Iterator[Goal]:
        """One goal."""
        namespace, _, short = self.name.rpartition("/")
        found = {o["metadata"]["name"]: o for o in cluster.plane.api.list(self.kind, namespace or "default")}.get(short)
        if found is None:
            yield Goal(f"{self.kind} {self.name} exists", 0.0, f"there is no {self.kind} {self.name}")
            return
        for path, wanted in self.fields.items():
            value: object = found
            for key in path.split("."):
                value = value.get(key) if isinstance(value, Mapping) else None
            met = value == wanted
            yield Goal(
                f"{path} is {wanted}",
                float(met),
                "" if met else f"{self.kind} {self.name}: {path} is {value}, not {wanted}",
            )


def caller(cluster: Cluster, name: str):  # type: ignore[no-untyped-def]
    """The Pod, node or outside machine that a text names."""
    if name == "outside":
        return cluster.outside
    return cluster.node(name.removeprefix("node/")) if name.startswith("node/") else cluster.pod(name)
