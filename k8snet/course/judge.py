"""Judging an answer: apply it to a copy of the scenario's cluster and see what packets and names then do.

Notebook and grader both end here. An answer is text from an answer cell; nothing of a learner's is ever run as code.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from k8snet.cluster import Cluster, _settings
from k8snet.controlplane.plane import ControlPlane
from k8snet.controlplane.settings import Settings
from k8snet.course.expect import Goal, caller
from k8snet.course.task import Scenario, Task
from k8snet.dataplane.trace import Hop, Trace
from k8snet.manifests import reader

MOST_CHARACTERS, MOST_OBJECTS, MOST_REPLICAS, MOST_PROBES = 64_000, 100, 50, 40

# The stations of a request, in the order of the diagnosis ladder: what a learner may point at, and which hops it means.
STATIONS = {
    "name": "the name look-up",
    "egress": "the client's egress policy",
    "service": "the Service's rules on the first node",
    "network": "routes, tunnels and the network between the nodes",
    "ingress": "the target's ingress policy",
    "socket": "the target Pod's socket",
}


@dataclass(frozen=True)
class Feedback:
    """What a learner is told: ``score`` from 0 to 1, the goals behind it, and a remark where there was nothing to judge."""

    task: str
    score: float
    goals: tuple[Goal, ...] = ()
    remark: str = ""

    @property
    def solved(self) -> bool:
        """Whether every goal is met."""
        return self.score >= 1.0

    def __str__(self) -> str:
        lines = [f"{'✓' if g.met else '✗'} {g.name}" for g in self.goals]
        first = next((g for g in self.goals if not g.met and g.why), None)
        if first is not None:
            lines += ["", f"For example: {first.why}"]
        if self.remark:
            lines.append(self.remark)
        lines.append("Solved." if self.solved else f'{self.score:.0%} so far. hint("{self.task}") gives a hint.')
        return "\n".join(lines)

    __repr__ = __str__


@cache
def _empty(nodes: int, knobs: tuple[tuple[str, Any], ...]) -> ControlPlane:
    return ControlPlane(_settings(Settings(), **dict(knobs)), nodes)


def start(scenario: Scenario) -> Cluster:
    """The scenario's starting cluster, a fresh one at every call."""
    knobs = {**scenario.knobs}
    cluster = Cluster.around(_empty(knobs.pop("nodes", 2), tuple(sorted(knobs.items()))).copy())
    if scenario.manifests:
        cluster.apply(scenario.manifests)
    return cluster


def judge(task: Task, scenario: Scenario, answer: str, probes: str = "") -> Feedback:
    """Judge one answer. Never raises for what a learner wrote."""
    answer = _body(answer)
    if len(answer) > MOST_CHARACTERS:
        return Feedback(
            task.id, 0.0, remark=f"The answer is longer than {MOST_CHARACTERS} characters and was not read."
        )
    if not answer and not (task.kind == "probes" and _body(probes)):
        return Feedback(
            task.id, 0.0, remark="No answer yet: write it into the answer cell, run the cell, then check again."
        )
    goals = tuple(_JUDGES[task.kind](scenario, answer, _body(probes)))
    score = sum(g.share for g in goals) / len(goals) if goals else 0.0
    return Feedback(task.id, score, goals)


def _body(cell: str) -> str:
    """An answer cell without its magic line, and without lines that are only comments about solutions."""
    lines = [line for line in cell.splitlines() if not line.startswith(("%%", "### ", "# YOUR ANSWER HERE"))]
    return "\n".join(lines).strip("\n") if "".join(lines).strip() else ""


def _apply(cluster: Cluster, answer: str) -> Iterator[Goal]:
    documents = reader.read(answer)
    replicas = sum(_replicas(d.obj) for d in documents if d.obj)
    if len(documents) > MOST_OBJECTS or replicas > MOST_REPLICAS:
        yield Goal(
            "the manifests are accepted", 0.0, f"at most {MOST_OBJECTS} objects and {MOST_REPLICAS} Pods can be judged"
        )
        return
    result = cluster.apply(answer)
    yield Goal("the manifests are accepted", float(bool(result)), "" if result else str(result))


def _replicas(obj: dict[str, Any]) -> int:
    spec = obj.get("spec")
    value = spec.get("replicas") if isinstance(spec, dict) else 0
    return value if isinstance(value, int) else 0


def _write(scenario: Scenario, answer: str, probes: str) -> Iterator[Goal]:
    cluster = start(scenario)
    accepted = list(_apply(cluster, answer))
    for expectation in scenario.expect:
        accepted += expectation.goals(cluster)
    # Doing nothing may meet some goals; they count only beside something that was accepted.
    yield from accepted if accepted[0].met else (Goal(g.name, 0.0, g.why) for g in accepted)


def _repair(scenario: Scenario, answer: str, probes: str) -> Iterator[Goal]:
    yield from _write(scenario, answer, probes)
    count = edits(scenario.given, answer)
    yield Goal(
        f"at most {scenario.most} field(s) changed",
        float(count <= scenario.most),
        f"{count} fields differ from what was given",
    )


def edits(given: str, answer: str) -> int:
    """How many fields differ between two manifests, matched by kind and name."""
    return sum((Counter(_leaves(given)) - Counter(_leaves(answer))).values()) + sum(
        1 for path in {p for p, _ in _leaves(answer)} - {p for p, _ in _leaves(given)}
    )


def _leaves(text: str) -> list[tuple[str, str]]:
    def walk(value: Any, path: str) -> Iterator[tuple[str, str]]:
        if isinstance(value, dict) and value:
            for key, inner in value.items():
                yield from walk(inner, f"{path}.{key}")
        elif isinstance(value, list) and value:
            for index, inner in enumerate(value):
                yield from walk(inner, f"{path}[{index}]")
        else:
            yield path, repr(value)

    objects = [d.obj for d in reader.read(text) if d.obj]
    return [leaf for o in objects for leaf in walk(o, f"{o.get('kind')}/{(o.get('metadata') or {}).get('name')}")]


def _arrange(scenario: Scenario, answer: str, probes: str) -> Iterator[Goal]:
    given = Counter(line.strip() for line in scenario.given.splitlines() if line.strip())
    used = Counter(line.strip() for line in answer.splitlines() if line.strip())
    foreign = used - given
    yield Goal("only the given lines are used", float(not foreign), f"not among them: {next(iter(foreign), '')}")
    yield from _write(scenario, answer, probes)


def _fields(answer: str) -> dict[str, str]:
    pairs = (re.match(r"\s*([\w-]+)\s*:\s*(.*?)\s*(?:#.*)?$", line) for line in answer.splitlines())
    return {m[1].lower(): m[2].strip("\"'").lower() for m in pairs if m}


def ask(scenario: Scenario) -> Trace:
    """The trace of the scenario's request: what really happens."""
    assert scenario.request is not None
    client, target, port = scenario.request
    return caller(start(scenario), client).connect(target, port)


def station(hop: Hop | None) -> str:
    """The station of the diagnosis ladder that a hop belongs to."""
    if hop is None or hop.mechanism in ("dns", "resolver", "lookup"):
        return "name"
    if hop.mechanism == "policy":
        return (
            "egress"
            if "egress" in f"{hop.decision} {hop.rule.field if hop.rule else ''} {hop.why}".lower()
            else "ingress"
        )
    return {"proxy": "service", "listener": "socket"}.get(hop.mechanism, "network")


def _predict(scenario: Scenario, answer: str, probes: str) -> Iterator[Goal]:
    trace, said = ask(scenario), _fields(answer)
    hop = trace.deciding
    why = f"it is {trace.outcome}." + (f" Decided at {hop.place}: {hop.why}" if hop else "")
    yield Goal("the outcome", float(said.get("outcome") == trace.outcome.kind), why, trace)
    yield Goal("the deciding station", float(said.get("station") == station(hop)), why, trace)


def _drop(scenario: Scenario, answer: str, probes: str) -> Iterator[Goal]:
    trace, said = ask(scenario), _fields(answer)
    hop = trace.deciding
    why = f"The packet ends at {hop.place}: {hop.why}" if hop else "No packet was sent."
    yield Goal("the station where it ends", float(said.get("station") == station(hop)), why, trace)


def _explain(scenario: Scenario, answer: str, probes: str) -> Iterator[Goal]:
    trace, said = ask(scenario), _fields(answer)
    hop = trace.deciding
    rule = str(hop.rule) if hop and hop.rule else ""
    number = said.get("rule", "")
    chosen = scenario.options[int(number) - 1] if number.isdigit() and 0 < int(number) <= len(scenario.options) else ""
    right = bool(chosen) and rule.startswith(chosen)
    yield Goal("the deciding rule", float(right), f"decided by {rule}: {hop.why if hop else ''}", trace)


def _matrix(scenario: Scenario, answer: str, probes: str) -> Iterator[Goal]:
    cluster = start(scenario)
    _, _, port = scenario.request or ("", "", 0)
    rows = [re.sub(r"[^.X]", "", line.rpartition(":")[2].upper()) for line in answer.splitlines() if line.strip()]
    if [len(r) for r in rows] != [len(scenario.pods)] * len(scenario.pods):
        yield Goal(
            "the matrix has the right shape",
            0.0,
            f"{len(scenario.pods)} rows of {len(scenario.pods)} signs, . or X, are needed",
        )
        return
    for name, sign in (("blocked cells", "X"), ("allowed cells", ".")):
        wrong, total = [], 0
        for i, client in enumerate(scenario.pods):
            for j, server in enumerate(scenario.pods):
                verdict = cluster.allowed(client, server, port)
                if i != j and bool(verdict) is (sign == "."):
                    total += 1
                    if rows[i][j] != sign:
                        wrong.append(f"{client} → {server}:{port}: {verdict}")
        yield Goal(
            name, 1.0 if not wrong else max(0.0, 1 - len(wrong) / max(total, 1)) * 0.5, wrong[0] if wrong else ""
        )


def replay(cluster: Cluster, line: str) -> str:
    """The output of one probe: ``kubectl …``, or ``POD$ command`` for a command in a Pod (also ``outside$``, ``node/N$``)."""
    where, dollar, command = line.partition("$")
    if dollar and " " not in where.strip():
        from k8snet.manifests.errors import KubernetesError

        try:
            return str(caller(cluster, where.strip()).run(command.strip()))
        except KubernetesError as error:
            return str(error)
    return str(cluster.kubectl(line.strip().removeprefix("kubectl").strip()))


def probe_lines(probes: str) -> list[str]:
    """The probes of a hunt: one a line, comments and blank lines left out."""
    return [line.strip() for line in _body(probes).splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _hunt(scenario: Scenario, answer: str, probes: str) -> Iterator[Goal]:
    count = len(probe_lines(probes))
    yield Goal(f"at most {scenario.most} probes", float(0 < count <= scenario.most), f"{count} probes were used")
    if not answer:
        yield Goal("the fault is fixed", 0.0, "no fix yet")
        return
    yield from _write(scenario, answer, probes)


_JUDGES: dict[str, Callable[[Scenario, str, str], Iterator[Goal]]] = {
    "write": _write,
    "repair": _repair,
    "arrange": _arrange,
    "predict": _predict,
    "drop": _drop,
    "explain": _explain,
    "matrix": _matrix,
    "probes": _hunt,
}
