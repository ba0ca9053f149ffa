"""Compares what the product predicts with what the kernel does."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane import journey
from k8snet.dataplane.client import Client
from k8snet.dataplane.moment import Moment
from k8snet.dataplane.trace import Trace
from tests.kernel.clusters import NETWORKS, Connection, cluster, connections
from tests.kernel.lab import Lab
from tests.kernel.talk import Seen

# Connections tried in one cluster, and how many seconds a client waits; longer where that gave another outcome than
# predicted (a refusal by the client's own node takes a second, see talk).
IN_ONE_CLUSTER, PATIENCE, MORE_PATIENCE = 12, 0.4, 2.5


class EveryChoice(random.Random):
    """A generator whose choices are made by a script, so that all of them can be gone through."""

    def __init__(self, script: Sequence[int]) -> None:
        super().__init__(0)
        self.script, self.made, self.sizes = script, 0, []

    def choice(self, seq: Sequence[Any]) -> Any:
        """The element that the script says; the first one after its end."""
        index = self.script[self.made] if self.made < len(self.script) else 0
        self.made += 1
        self.sizes.append(len(seq))
        return seq[index]


def branches() -> Iterator[EveryChoice]:
    """Generators that between them take every combination of choices."""
    script: list[int] = []
    while True:
        rng = EveryChoice(script)
        yield rng
        taken = [*script, *[0] * (len(rng.sizes) - len(script))][: len(rng.sizes)]
        while taken and taken[-1] + 1 == rng.sizes[len(taken) - 1]:
            taken.pop()
        if not taken:
            return
        script = [*taken[:-1], taken[-1] + 1]


def predicted(snapshot: Snapshot, tried: Connection) -> dict[tuple[Seen, ...], list[Trace]]:
    """Everything that may become of a connection (of several, one after another, until one fails), with the traces."""
    found: dict[tuple[Seen, ...], list[Trace]] = {}
    for rng in branches():
        moment = Moment(snapshot, 0.0, rng)
        traces: list[Trace] = []
        while len(traces) < tried.times and all(traces):
            traces.append(journey.connect(moment, tried.client, tried.ip, tried.port, tried.protocol))
        found.setdefault(tuple(_seen(t) for t in traces), traces)
    return found


def _seen(trace: Trace) -> Seen:
    outcome = trace.outcome
    return Seen(outcome.kind, outcome.server, outcome.server_saw) if outcome else Seen(outcome.kind)


@dataclass
class Report:
    """What was tried and what differed."""

    tried: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)

    @property
    def pairs(self) -> int:
        """How many (cluster, connection) pairs were judged."""
        return sum(self.tried.values())

    def __str__(self) -> str:
        lines = [f"{self.pairs} pairs, {len(self.differences)} differences"]
        lines += [f"  {n:>5}  {sort}" for sort, n in sorted(self.tried.items())]
        lines += ["outcomes on the kernel:", *(f"  {n:>5}  {kind}" for kind, n in sorted(self.outcomes.items()))]
        return "\n".join([*lines, *self.differences])


def judge(seed: int, pairs: int, only: int | None = None, verbose: bool = False) -> Report:
    """Try *pairs* connections in random clusters; *only*: in the one cluster with that number."""
    report = Report()
    number = 0 if only is None else only
    while report.pairs < pairs and (only is None or number == only):
        network = NETWORKS[number % len(NETWORKS)]
        rng = random.Random(f"{seed}/{number}")
        snapshot = cluster(rng, network)
        chosen = list(connections(rng, snapshot, min(IN_ONE_CLUSTER, pairs - report.pairs)))
        with Lab(snapshot, Client.outside(snapshot.settings), rng) as lab:
            expectations = [predicted(snapshot, tried) for tried in chosen]
            seen_first = observe(lab, chosen, PATIENCE)
            doubtful = [c for c, s, e in zip(chosen, seen_first, expectations, strict=True) if s not in e]
            seen_again = iter(observe(lab, doubtful, MORE_PATIENCE))
            for tried, seen, expected in zip(chosen, seen_first, expectations, strict=True):
                seen = seen if seen in expected else next(seen_again)
                report.tried[f"{network}: {tried.sort}"] += 1
                report.outcomes.update(s.kind for s in seen)
                if seen not in expected:
                    report.differences.append(_difference(seed, number, network, tried, seen, expected, verbose))
        number += 1
    return report


def observe(lab: Lab, chosen: Sequence[Connection], seconds: float) -> list[tuple[Seen, ...]]:
    """What the kernel does with each: single ones all at once, then those that depend on what was before, one by one."""
    single = [c for c in chosen if c.times == 1]
    answers = iter(lab.ask([(c.client, c.ip, c.port, c.protocol) for c in single], seconds))
    seen = {id(c): (next(answers),) for c in single}
    return [seen[id(c)] if c.times == 1 else attempt(lab, c, seconds) for c in chosen]


def attempt(lab: Lab, tried: Connection, seconds: float) -> tuple[Seen, ...]:
    """What the kernel does with one connection tried as often as it says, with no affinity from before."""
    lab.forget_affinity()
    question = (tried.client, tried.ip, tried.port, tried.protocol)
    seen: list[Seen] = []
    while len(seen) < tried.times and all(s.kind == "delivered" for s in seen):
        seen += lab.ask([question], seconds)
    return tuple(seen)


def _difference(seed: int, number: int, network: str, tried: Connection, seen: tuple[Seen, ...], expected: dict[tuple[Seen, ...], list[Trace]], verbose: bool) -> str:  # fmt: skip
    told = [f"  predicted: {', then '.join(map(str, e))}" for e in expected]
    traces = [str(t) for t in next(iter(expected.values()))] if verbose else []
    replay = f"  again: python -m tests.kernel --seed {seed} --cluster {number} --verbose"
    return "\n".join(
        [f"DIFFERENT: {network}: {tried}", f"  kernel: {', then '.join(map(str, seen))}", *told, replay, *traces]
    )
