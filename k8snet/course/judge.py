"""Judging an answer: apply it to a copy of the scenario's cluster and see what packets and names then do.

Notebook and grader both end here. An answer is text from an answer cell; nothing of a learner's is ever run as code.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import permutations
from typing import Any

from k8snet.cluster import Cluster, _settings
from k8snet.controlplane import patching
from k8snet.controlplane.plane import ControlPlane
from k8snet.controlplane.settings import Settings
from k8snet.controlplane.store import key_of
from k8snet.course.draw import join
from k8snet.course.expect import Goal, caller, connect, goal, must, share, told
from k8snet.course.task import OUTCOMES, STATIONS, SYNONYMS, AnyOf, Scenario, Task, counted
from k8snet.dataplane.trace import Trace
from k8snet.manifests import decode, defaults, reader
from k8snet.manifests.errors import KubernetesError
from k8snet.manifests.kinds import KINDS, Object

# What an answer may hold at most; more is refused before it is looked at.
ACCEPTED = "kubectl accepts it"
MOST_CHARACTERS, MOST_VALUES, MOST_OBJECTS, MOST_REPLICAS, MOST_LINES = 64_000, 10_000, 100, 50, 40


@dataclass(frozen=True)
class Feedback:
    """What a learner is told: ``score`` from 0 to 1, the goals behind it, and a remark where there was nothing to judge."""

    task: str
    score: float
    goals: tuple[Goal, ...] = ()
    remark: str = ""
    told: bool = False  # whether the truth of goals that are not met is shown, too

    @property
    def solved(self) -> bool:
        """Whether every goal is met."""
        return self.score >= 1.0

    @property
    def example(self) -> Goal | None:
        """The goal whose counterexample is shown: the first that is not met and has one."""
        return next((g for g in self.goals if not g.met and (g.why or (self.told and g.truth))), None)

    def __str__(self) -> str:
        # What kubectl refuses is said alone: all the rest follows from it.
        refused = self.goals and self.goals[0].name == ACCEPTED and not self.goals[0].met
        goals = self.goals[:1] if refused else self.goals
        lines = [f"{'✓' if g.met else '✗'} {g.name}" for g in goals]
        if self.example:
            lines += ["", f"For example: {(self.told and self.example.truth) or self.example.why}"]
        lines += ["", goals[0].truth] if self.solved and goals[0].trace is not None and goals[0].truth else []
        lines += [self.remark] if self.remark else []
        return "\n".join([*lines, "Solved." if self.solved else f'{self.score:.0%} so far. hint("{self.task}") helps.'])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from k8snet.view import display

        trace = self.example.trace if self.example and (self.told or not self.example.truth) else None
        return display.pre(str(self)) + (display.trace_html(trace) if trace is not None else "")


def judge(task: Task, scenario: Scenario, answer: str, probes: str = "") -> Feedback:
    """Judge one answer (and, for a hunt, its probes). Never raises for what a learner wrote."""
    if max(len(answer), len(probes)) > MOST_CHARACTERS:
        return Feedback(task.id, 0.0, remark=f"Longer than {MOST_CHARACTERS:,} characters: not read.")
    answer, probes = body(answer), body(probes)
    if not answer and not (probes and task.kind == "probes"):
        remark = "No answer yet: write it into the answer cell, run that, then check again."
        return Feedback(task.id, 0.0, remark=remark)
    try:
        goals = tuple(_JUDGES[task.kind](scenario, answer, probes))
    except Exception as error:
        remark = f"This answer could not be judged ({type(error).__name__}). Please show it to your teacher."
        return Feedback(task.id, 0.0, remark=remark)
    weight = sum(g.weight for g in goals)
    return Feedback(task.id, round(sum(g.share * g.weight for g in goals) / weight, 4) if weight else 0.0, goals)


def body(cell: str) -> str:
    """The answer in a cell: without the magic's line and the marks of nbgrader; empty if nothing but comments is left."""
    marks = ("%%", "### BEGIN", "### END", "# YOUR ANSWER HERE")
    lines = [line for line in cell.splitlines() if not line.startswith(marks)]
    text = "\n".join(lines).strip("\n")
    return text if _written_lines(text) else ""


def _written_lines(text: str) -> list[str]:
    """The lines of a text without what is around them, comments and blank ones left out."""
    return [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]


# the starting cluster

_empty: dict[str, ControlPlane] = {}


@lru_cache(maxsize=8)
def _started(scenario: Scenario) -> ControlPlane:
    knobs, key = dict(scenario.knobs), repr(scenario.knobs)
    if key not in _empty:
        nodes = knobs.pop("nodes", 2)
        _empty[key] = ControlPlane(_settings(Settings(), **knobs), nodes)
    plane = _empty[key].copy()
    for document in re.split(r"^---\n", join(scenario.manifests, scenario.given), flags=re.MULTILINE):
        for obj, ready in _read(document):
            if plane.store.at(key_of(ready)) is None:
                plane.api.create(ready, checked=True)
            else:
                plane.api.apply(obj)
    plane.settle()
    if scenario.wait:
        plane.advance(scenario.wait)
    return plane


@lru_cache(maxsize=4096)
def _read(document: str) -> tuple[tuple[Object, Object], ...]:
    """The objects of one document of a starting cluster: each as kubectl has read it, and as the server takes it in. They
    are known to be good (a test holds every task to it) and stand in many learners' clusters: read once, not validated."""
    objects = []
    for found in reader.read(document):
        if found.obj is None:
            raise ValueError(f"the starting cluster cannot be made: {found.error}")
        place = {"namespace": "default"} if KINDS[found.obj["kind"]].namespaced else {}
        obj = {**found.obj, "metadata": {**place, **found.obj["metadata"]}}
        objects.append((obj, defaults.fill(decode.strict(patching.with_last_applied(obj)))))
    return tuple(objects)


def start(scenario: Scenario) -> Cluster:
    """The scenario's starting cluster, a fresh copy at every call."""
    return Cluster.around(_started(scenario).copy())


# write, repair, arrange


def apply(cluster: Cluster, answer: str) -> tuple[bool, str]:
    """Run an answer's ``kubectl …`` lines, then apply its manifests: whether all was accepted, and what kubectl says."""
    commands = [line for line in answer.splitlines() if line.startswith("kubectl ")]
    manifest = "\n".join(line for line in answer.splitlines() if not line.startswith("kubectl "))
    refused = _too_much(commands, manifest)
    if refused:
        return False, refused
    results = [cluster.kubectl(line.removeprefix("kubectl ")) for line in commands]
    if body(manifest):
        results.append(cluster.apply(manifest))
    return all(results), "\n".join(map(str, results))


def _too_much(commands: list[str], manifest: str) -> str:
    if len(manifest) < MOST_VALUES and "*" not in manifest and "replicas" not in manifest and not commands:
        return ""
    asked: list[float] = [int(n[:9]) for line in commands for n in re.findall(r"replicas\D{0,4}(\d+)", line)]
    objects = [d.obj for d in reader.read(manifest) if d.obj]
    if sum(1 for o in objects for _ in _leaves(o)) > MOST_VALUES:
        return f"at most {MOST_VALUES:,} values can be judged, aliases written out"
    specs = [o["spec"] for o in objects if isinstance(o.get("spec"), dict)]
    asked += [s["replicas"] for s in specs if isinstance(s.get("replicas"), (int, float))]
    if len(objects) > MOST_OBJECTS or len(commands) > MOST_LINES or sum(asked) > MOST_REPLICAS:
        return f"at most {MOST_OBJECTS} objects, {MOST_LINES} commands and {MOST_REPLICAS} replicas can be judged"
    return ""


def _write(scenario: Scenario, answer: str, probes: str) -> Iterator[Goal]:
    return _applied(scenario, answer, scenario.most)


def _applied(scenario: Scenario, answer: str, most: int) -> Iterator[Goal]:
    """The goals of an answer that changes the cluster, in at most so many fields (0: any number)."""
    cluster = start(scenario)
    accepted, text = apply(cluster, answer)
    yield must(ACCEPTED, accepted, text)
    if scenario.wait:
        cluster.advance(scenario.wait)
    goals = _goals(scenario, cluster)
    if most:
        count = edits(_started(scenario), cluster.plane)
        differ = f"{counted(count, 'field')} differ{'s' if count == 1 else ''} from what was there"
        goals.append(must(f"at most {counted(most, 'field')} changed", count <= most, differ))
    if not all(g.met for g in goals):
        before = {g.name: g.share for g in _goals(scenario, start(scenario))}
        if not any(g.share > before.get(g.name, 1.0) for g in goals):
            # Nothing is nearer to the goal than before: what was met all along earns nothing.
            goals = [replace(g, share=0.0) for g in goals if not g.met]
    yield from goals


def _goals(scenario: Scenario, cluster: Cluster) -> list[Goal]:
    found: list[Goal] = []
    for expectation in scenario.expect:
        try:
            found += expectation.goals(cluster)
        except KubernetesError as error:
            found.append(Goal(f"missing: {str(error).removeprefix('Error from server (NotFound): ')}", 0.0))
    return _merged(found)


def _merged(goals: Iterable[Goal]) -> list[Goal]:
    """Goals of one name as one: what it earns is their mean."""
    found: dict[str, Goal] = {}
    for new in goals:
        old = found.setdefault(new.name, new)
        if old is new:
            continue
        weight = old.weight + new.weight
        mean = (old.share * old.weight + new.share * new.weight) / weight if weight else min(old.share, new.share)
        found[new.name] = replace(new if old.met else old, share=mean, weight=weight)
    return list(found.values())


def _arrange(scenario: Scenario, answer: str, probes: str) -> Iterator[Goal]:
    given, used = (Counter(_written_lines(text)) for text in (scenario.lines, answer))
    foreign = next(iter(used - given), "")
    yield must("only the given lines are used, each once", not foreign, f"not so: {foreign}")
    yield from _write(scenario, answer, probes)


_MADE = ("EndpointSlice", "Endpoints", "Event")
_LAST = "kubectl.kubernetes.io/last-applied-configuration"


def edits(before: ControlPlane, after: ControlPlane) -> int:
    """How many fields that people write differ between two states of a cluster: labels, annotations, spec, data. Order in
    lists and values that the server fills in count nothing; an object that is gone counts 1, a new one what it says."""
    old, new = _written(before), _written(after)
    count = len(old.keys() - new.keys())
    for key in new:
        if key not in old:
            applied = json.loads(new[key]["metadata"].get("annotations", {}).get(_LAST, "null"))
            count += sum(1 for _ in _leaves(applied or new[key]))
        elif new[key] is not old[key]:
            was, is_now = (list(_leaves(_own(state[key]))) for state in (old, new))
            lost, gained = (sum((Counter(a) - Counter(b)).values()) for a, b in ((was, is_now), (is_now, was)))
            # A dash that joins or parts entries of a list changes no value, only how many entries there are.
            more = _entries(_own(new[key])) - _entries(_own(old[key]))
            count += max(lost, gained) + max(0, -more - lost) + max(0, more - gained)
    return count


def _written(plane: ControlPlane) -> dict[str, dict[str, Any]]:
    objects = (o for o in plane.store if o["kind"] not in _MADE and not o["metadata"].get("ownerReferences"))
    return {f"{o['kind']}/{o['metadata'].get('namespace', '')}/{o['metadata']['name']}": o for o in objects}


def _own(obj: dict[str, Any]) -> dict[str, Any]:
    meta = obj["metadata"]
    notes = {k: v for k, v in (meta.get("annotations") or {}).items() if k != _LAST}
    rest = {k: v for k, v in obj.items() if k not in ("metadata", "status")}
    spec = {k: v for k, v in (obj.get("spec") or {}).items() if k != "nodeName"}
    return {**rest, "spec": spec, "labels": meta.get("labels") or {}, "annotations": notes}


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Each value with its path; places in a list are not told apart."""
    if isinstance(value, (dict, list)) and value:
        entries: Iterable[tuple[str, Any]] = value.items() if isinstance(value, dict) else (("[]", v) for v in value)
        for key, inner in entries:
            yield from _leaves(inner, f"{path}.{key}")
    else:
        yield path, repr(value)


def _entries(value: Any) -> int:
    """How many lists' entries there are that have fields of their own."""
    if isinstance(value, list):
        return sum(isinstance(v, dict) and bool(v) for v in value) + sum(map(_entries, value))
    return sum(map(_entries, value.values())) if isinstance(value, dict) else 0


# predict, drop, explain, matrix


def ask(scenario: Scenario, cluster: Cluster) -> Trace:
    """The trace of the scenario's request: what really happens."""
    assert scenario.request is not None
    return connect(cluster, *scenario.request)


def station(trace: Trace) -> str:
    """The key of `task.STATIONS` at which a request is decided; ``none`` if it is delivered."""
    hop = trace.deciding
    if trace or hop is None:
        return "none" if trace else "network"
    if hop.mechanism == "policy":
        return "egress" if hop.why.startswith("Egress") else "ingress"
    return {"dns": "name", "proxy": "service", "listener": "socket"}.get(hop.mechanism, "network")


def true_options(scenario: Scenario, trace: Trace) -> list[int]:
    """The numbers of the options that name the rule that decided, or the station at which it did."""
    rule = f"{trace.deciding.rule} " if trace.deciding and trace.deciding.rule else "no rule "
    wanted = [option.partition(" — ")[0].strip("` ") for option in scenario.options]
    matches = (text == station(trace) or re.match(re.escape(text) + r"(?!\w)", rule) for text in wanted)
    return [n for n, matched in enumerate(matches, 1) if matched]


def _node(cluster: Cluster, trace: Trace) -> str:
    place = trace.deciding.place if trace.deciding else None
    pod = cluster.snapshot.pods.get(place.name) if place else None
    return (place.node if place else "") or (pod.node if pod else "")


def _said(answer: str) -> dict[str, str]:
    """The lines ``key: value`` of an answer, in lower case, comments and quotes left out."""
    pairs = (re.match(r"\s*[-*]?\s*`?([\w-]+)`?\s*[:=]\s*([^#]*)", line) for line in answer.splitlines())
    return {m[1].lower(): m[2].strip(" \t\"'`.").lower() for m in pairs if m}


def _same(key: str, given: str, truth: Any) -> bool:
    """Whether what a learner wrote for a key is right, in other usual words, too."""
    kind = "station" if key.startswith("station") else key
    word = SYNONYMS.get(kind, {}).get(given, given)
    word = re.sub(r"^(?:node|pod)[ /](?=\S)", "", word)
    return any(_plain(word) == _plain(one) for one in (truth if isinstance(truth, AnyOf) else (truth,)))


def _wrong(key: str, given: str) -> str:
    """What is said of a wrong line: which, and whether the word is one of those that are asked for. Not what is right."""
    words = {"station": (*STATIONS, "none"), "outcome": OUTCOMES}.get(key, ())
    if not given:
        return f"the line `{key}: …` is missing."
    if words and SYNONYMS[key].get(given, given) not in words:
        return f"`{given}` is none of the words for {key}: {', '.join(words)}."
    return f"{key} is not {given}."


def _plain(value: Any) -> list[str]:
    """A value as it is compared: numbers and text alike, a list in any order."""
    several = isinstance(value, (list, tuple, set, frozenset))
    items = value if several else re.split(r"[,\s]+", str(value).strip("[]() "))
    return sorted(str(item).lower().strip("\"'") for item in items if str(item))


def _lines(*keys: str) -> Callable[[Scenario, str, str], Iterator[Goal]]:
    """The judge of answers that are lines: *keys* are about the request, the scenario's questions follow."""

    def judge_lines(scenario: Scenario, answer: str, probes: str) -> Iterator[Goal]:
        cluster, said = start(scenario), _said(answer) or {keys[0]: answer.strip()}
        truths: dict[str, tuple[Any, Trace | None]] = {}
        if scenario.request:
            trace = ask(scenario, cluster)
            facts = {"outcome": trace.outcome.kind, "station": station(trace), "node": _node(cluster, trace)}
            truths = {k: (facts[k] if k in facts else true_options(scenario, trace), trace) for k in keys}
        truths |= {key: (find(start(scenario)), None) for key, find in scenario.questions.items()}
        for key, (truth, way) in truths.items():
            given = said.get(key.lower(), "")
            shown = truth[0] if isinstance(truth, AnyOf) else truth
            shown = shown if isinstance(shown, str) else ", ".join(_plain(shown))
            reason = f"{key} is {shown or 'nothing'}." + (f" It is {told(way)}" if way is not None else "")
            right = _same(key, given, truth)
            yield replace(goal(key, right, _wrong(key, given), way), truth=reason)

    return judge_lines


def _matrix(scenario: Scenario, answer: str, probes: str) -> Iterator[Goal]:
    cluster, pods = start(scenario), scenario.pods
    parts = [line.rpartition(":") for line in answer.splitlines()]
    rows = {name.strip(): re.sub(r"[^.X-]", "", signs.upper()) for name, _, signs in parts}
    short = [p for p in pods if len(rows.get(p, "")) != len(pods)]
    if short:
        why = f"the line `{short[0]}: …` needs {len(pods)} signs, `.` or `X` (its own: any)"
        yield Goal("every row is filled in", 0.0, why)
        return
    wrong, total = defaultdict(list), Counter[str]()
    truth_of = dict(zip(pods, cluster.reachability(scenario.port, clients=pods, servers=pods).rows(), strict=True))
    for client, server in permutations(pods, 2):
        column = pods.index(server)
        sign = "." if truth_of[client][column] == "." else "X"
        total[sign] += 1
        if rows[client][column] != sign:
            wrong[sign].append((client, server))
    for sign, name in (("X", "what is blocked"), (".", "what gets through")):
        if total[sign]:
            why = truth = ""
            if missed := wrong[sign]:
                client, server = missed[0]
                why = f"{counted(len(missed), 'sign')} should be `{sign}`: look at the column of {server}."
                truth = f"{client} to {server}: {cluster.allowed(client, server, scenario.port)}"
            yield Goal(name, share(len(missed), total[sign]), why, truth=truth)


# find the fault


def replay(cluster: Cluster, line: str) -> tuple[str, bool]:
    """The output of one probe: ``kubectl …``, or ``POD$ command`` for a command in a Pod (also ``outside$``, ``node/N$``),
    and whether it was one: a line that names no Pod and no command of kubectl's costs nothing."""
    where, dollar, command = (part.strip() for part in line.partition("$"))
    if dollar and where and " " not in where:
        try:
            return str(caller(cluster, where).run(command)), True
        except KubernetesError as error:
            return f"{error}\nNo probe: it is `NAMESPACE/POD$ …` for a Pod that is not in namespace default.", False
    if not line.startswith("kubectl "):
        return "No probe: begin with `kubectl`, or with `POD$`, `NAMESPACE/POD$`, `node/NAME$` or `outside$`.", False
    said = str(cluster.kubectl(line.removeprefix("kubectl ").strip()))
    return said, not said.startswith("error: unknown command")


def replayed(scenario: Scenario, probes: str) -> Iterator[tuple[str, str, bool]]:
    """Each probe of a hunt with its output and whether it counts, on a fresh cluster."""
    cluster = start(scenario)
    for n, line in enumerate(_written_lines(body(probes))):
        yield line, *(replay(cluster, line) if n < MOST_LINES else ("Too many lines: not run.", True))


def _hunt(scenario: Scenario, answer: str, probes: str) -> Iterator[Goal]:
    count = sum(counts for _, _, counts in replayed(scenario, probes))
    unfixed = Goal("the fault is fixed", 0.0, "There is no fix yet.")
    goals = list(_applied(scenario, answer, scenario.edits)) if answer else [unfixed]
    # Probes alone earn nothing: what counts is that few of them were enough.
    fair = 0 < count <= scenario.most
    earned = fair and all(g.met for g in goals)
    used = f"{counted(count, 'probe')} {'was' if count == 1 else 'were'} used: it takes 1 to {scenario.most}."
    found = f"1 to {counted(scenario.most, 'probe')}, then a fix that works"
    plain = (ACCEPTED, unfixed.name, f"at most {counted(scenario.edits, 'field')} changed")
    # A counterexample would say where the fault is: that is for the hunter to find out.
    yield from (g if g.name in plain else replace(g, why="", truth=g.why) for g in goals)
    yield Goal(found, float(earned), "" if fair else used)


_JUDGES: dict[str, Callable[[Scenario, str, str], Iterator[Goal]]] = {
    "write": _write,
    "repair": _write,
    "arrange": _arrange,
    "predict": _lines("outcome", "station"),
    "drop": _lines("station", "node"),
    "explain": _lines("rule"),
    "matrix": _matrix,
    "probes": _hunt,
}
