"""``python -m tests.course.mutants [--task ID …] [--student NAME …]``: do the checks of write and repair tasks see every mistake?

The model answer's manifests are changed in one place (dropped, renamed, retyped, shifted, swapped, a dash toggled …). A
mutant is wrong if kubectl refuses a part of it, or if it changes an answer to what the task asks. For policies the naive
evaluator of ``tests/dataplane/naive_policy.py`` says so over all Pods; for the rest the questions that stand, written by
hand, in ``questions_*.yaml``. The task's own check must refuse every wrong mutant and accept every other.
"""

from __future__ import annotations

import argparse
import copy
import random
import re
import sys
from functools import cache
from pathlib import Path

import yaml

from k8snet.course import judge
from k8snet.course.expect import Matrix, caller, connect
from k8snet.course.task import tasks
from k8snet.dataplane import lookup
from k8snet.manifests import reader
from k8snet.manifests.errors import KubernetesError
from tests.course import answers
from tests.dataplane import naive_policy

LEAST = 60


# mutants


def mutants(text, words=()):
    """(what was changed, the changed text), each once, in a fixed order. *words*: names that may stand for one another."""
    head = "\n".join(line for line in text.splitlines() if line.startswith("kubectl "))
    body = "\n".join(line for line in text.splitlines() if not line.startswith("kubectl "))
    seen = {text}
    for what, changed in (*_by_object(head, body, words), *_by_line(text)):
        if changed not in seen:
            seen.add(changed)
            yield what, changed


def _by_object(head, body, words):
    objects = [d.obj for d in reader.read(body) if d.obj]
    for place, path in [(n, p) for n, o in enumerate(objects) for p in _paths(o)]:
        for what, value in _changes(_at(objects[place], path), path, words):
            twin = copy.deepcopy(objects)
            _put(twin[place], path, value)
            yield f"{'.'.join(map(str, path))}: {what}", "\n".join(filter(None, (head, _dump(twin))))
    for n in range(len(objects)) if len(objects) > 1 else ():
        yield f"object {n} left out", "\n".join(filter(None, (head, _dump(objects[:n] + objects[n + 1 :]))))


def _by_line(text):
    lines = text.splitlines()
    for n, line in enumerate(lines):
        before, after = lines[:n], lines[n + 1 :]
        yield f"line {n + 1} left out", "\n".join(before + after)
        yield f"line {n + 1} indented", "\n".join([*before, "  " + line, *after])
        if line.startswith("  "):
            yield f"line {n + 1} outdented", "\n".join([*before, line[2:], *after])
        if line.lstrip().startswith("- "):
            yield f"line {n + 1} without dash", "\n".join([*before, line.replace("- ", "  ", 1), *after])
        elif line.startswith("  ") and ":" in line:
            yield f"line {n + 1} with dash", "\n".join([*before, re.sub(r"^( *)  (\S)", r"\1- \2", line), *after])


GONE = object()


def _changes(value, path, words):
    """Other values for one place."""
    key = path[-1] if path else ""
    yield "left out", GONE
    if isinstance(key, str):
        yield "renamed", ("rename", f"{key}s")
    if isinstance(value, bool):
        yield "turned round", not value
    elif isinstance(value, int):
        yield from ((f"is {v}", v) for v in (value + 1, value - 1, value * 10, str(value), -value, [value]))
    elif isinstance(value, str):
        yield from _strings(value, key, words)
    elif isinstance(value, dict):
        yield "emptied", {}
        yield "in a list", [value]
        if key == "matchLabels":
            yield "also asks for more", {**value, "kubernetes.io/extra": "yes"}
        yield "other order", dict(reversed(value.items()))
        if path and path[-1] == "podSelector" and value.get("matchLabels"):
            rows = [{"key": k, "operator": "In", "values": [v]} for k, v in value["matchLabels"].items()]
            yield "as expressions", {"matchExpressions": rows}
            yield "as NotIn", {"matchExpressions": [{**r, "operator": "NotIn"} for r in rows]}
            yield "as Exists", {"matchExpressions": [{"key": r["key"], "operator": "Exists"} for r in rows]}
        if isinstance(key, int) and "port" in value and "podSelector" not in value:
            yield from ((f"over {p}", {**value, "protocol": p}) for p in ("TCP", "UDP"))
            if isinstance(value["port"], int):
                yield "a range", {**value, "endPort": value["port"] + 100}
    elif isinstance(value, list):
        yield "emptied", []
        yield "twice the same", [*value, *value[:1]]
        yield "reversed", value[::-1]
        if len(value) == 1:
            yield "without its list", value[0]
        for n, item in enumerate(value):
            if isinstance(item, dict) and len(item) > 1:
                parts = [{k: v} for k, v in item.items()]
                yield f"dash added in {n}", [*value[:n], *parts, *value[n + 1 :]]
            if n and isinstance(item, dict) and isinstance(value[n - 1], dict):
                yield f"dash taken from {n}", [*value[: n - 1], {**value[n - 1], **item}, *value[n + 1 :]]
            yield f"with anything beside {n}", [*value, {} if isinstance(item, dict) else item]


def _strings(value, key, words):
    if key == "policyTypes" or value in ("Ingress", "Egress"):
        yield from ((f"is {v}", v) for v in ("Ingress", "Egress", "ingress") if v != value)
        return
    yield "with a typo", value[:-1] + ("x" if value[-1:] != "x" else "y")
    yield "in capitals", value.upper()
    yield "emptied", ""
    yield "a number", 7
    if re.fullmatch(r"[\d.]+/\d+", value):
        address, bits = value.split("/")
        parts = address.split(".")
        yield "one bit shorter", f"{address}/{int(bits) - 1}"
        yield "one bit longer", f"{address}/{int(bits) + 1}"
        yield "the next block", ".".join([*parts[:2], str((int(parts[2]) + 1) % 256), parts[3]]) + f"/{bits}"
        yield "everything", "0.0.0.0/0"
    yield from ((f"is {w}", w) for w in words if w != value)


def _paths(value, path=()):
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _paths(inner, (*path, key))


def _at(obj, path):
    for key in path:
        obj = obj[key]
    return obj


def _put(obj, path, value):
    owner = _at(obj, path[:-1])
    if value is GONE:
        del owner[path[-1]]
    elif isinstance(value, tuple):
        owner[value[1]] = owner.pop(path[-1])
    else:
        owner[path[-1]] = value


def _dump(objects):
    return "---\n".join(yaml.safe_dump(o, sort_keys=False) for o in objects)


# the naive judge


@cache
def _questions():
    found = {}
    for file in sorted(Path(__file__).parent.glob("questions_*.yaml")):
        found |= yaml.safe_load(file.read_text()) or {}
    return found


def facts(task, scenario, text):
    """What the task asks about, after an answer: kubectl took it, the naive matrix, each question's answer."""
    cluster = judge.start(scenario)
    accepted, _ = judge.apply(cluster, text)
    if scenario.wait:
        cluster.advance(scenario.wait)
    objects, found = list(cluster.plane.store), {"accepted": accepted}
    pods = [f"{o['metadata']['namespace']}/{o['metadata']['name']}" for o in objects if o["kind"] == "Pod"]
    pods = [p for p in pods if not p.startswith("kube-system/")]
    matrices = [e for e in scenario.expect if isinstance(e, Matrix)]
    for port, protocol in sorted({(m.port, m.protocol) for m in matrices}):
        ends = [*pods, *sorted({c for m in matrices for c in m.clients if c[0].isdigit()})]
        found |= {(c, s, port): naive_policy.allowed(objects, c, s, port, protocol) for c in ends for s in pods}
    for n, question in enumerate(_questions().get(task.like or task.id, ())):
        filled = {k: v.format_map(scenario.values) if isinstance(v, str) else v for k, v in question.items()}
        found[f"question {n + 1}: {filled}"] = _answer(cluster, filled)
    if task.kind == "repair":
        found["few edits"] = judge.edits(judge.start(scenario).plane, cluster.plane) <= scenario.most
    return found


def _answer(cluster, q):
    """Whether one question of questions_*.yaml is answered as it should be."""
    try:
        if "curl" in q:
            outcome = caller(cluster, q["client"]).curl(q["curl"]).trace.outcome
            return outcome.status == int(q["status"]) and q.get("server", "") in f"{outcome.server} {outcome.said_by}"
        if "name" in q:
            found = lookup.getaddrinfo(cluster.moment, caller(cluster, q["client"]).client, q["name"]).addresses
            wanted = q["addresses"]
            return len(found) == wanted if isinstance(wanted, int) else sorted(found) == sorted(wanted)
        if "command" in q:
            done = caller(cluster, q["client"]).run(q["command"]) if q.get("client") else cluster.kubectl(q["command"])
            return (str(q["prints"]) in str(done)) is q.get("is", True)
        trace = connect(cluster, q["client"], q["target"], int(q["port"]), q.get("protocol", "TCP"))
    except KubernetesError:
        return False
    as_said = not trace if q["expect"] == "fails" else trace.outcome.kind == q["expect"]
    return as_said and trace.outcome.server.endswith(q.get("server", ""))


def run(task, student, sample=0):
    """Counts for one draw of a task: mutants, wrong ones, and what its check got wrong as (mutant, wrong, text)."""
    scenario = task.scenario(student)
    text = answers.model(task.id, scenario.values)
    right = facts(task, scenario, text)
    missing = not any(isinstance(e, Matrix) for e in scenario.expect) and (task.like or task.id) not in _questions()
    assert not missing, f"{task.id} needs questions in tests/course/questions_*.yaml"
    lies = [k for k, v in right.items() if isinstance(k, str) and not v]
    assert not lies, f"{task.id} for {student}: the model answer does not meet {lies[0]}"
    words = sorted({v for v in scenario.values.values() if isinstance(v, str) and re.fullmatch(r"[a-z0-9.-]{2,40}", v)})
    words += sorted(
        {o["metadata"]["name"] for o in judge.start(scenario).plane.store if o["kind"] == "Namespace"} - set(words)
    )
    chosen = list(mutants(text, words))
    if sample:
        chosen = random.Random(f"{task.id} {student}").sample(chosen, min(sample, len(chosen)))
    wrong, misjudged = 0, []
    for what, changed in chosen:
        is_wrong = facts(task, scenario, changed) != right
        wrong += is_wrong
        if judge.judge(task, scenario, changed).solved is is_wrong:
            misjudged.append((what, is_wrong, changed))
    return len(chosen), wrong, misjudged


def main():
    """Print the mutation score of each write and repair task."""
    parser = argparse.ArgumentParser(prog="python -m tests.course.mutants")
    parser.add_argument("--task", nargs="*")
    parser.add_argument("--student", nargs="*", default=["sample"])
    parser.add_argument("--show", action="store_true", help="print every mutant that is misjudged")
    asked, failed = parser.parse_args(), False
    print(f"{'task':<32} {'mutants':>7} {'wrong':>6} {'refused':>8} {'others':>7} {'accepted':>9}")
    for task in tasks().values():
        if task.kind not in ("write", "repair") or (asked.task and task.id not in asked.task):
            continue
        for student in asked.student:
            count, wrong, misjudged = run(task, student)
            passed, kept_out = (sum(w is is_wrong for _, w, _ in misjudged) for is_wrong in (True, False))
            others = count - wrong
            print(f"{task.id:<32} {count:>7} {wrong:>6} {wrong - passed:>8} {others:>7} {others - kept_out:>9}")
            failed = failed or bool(misjudged) or count < LEAST
            for what, is_wrong, text in misjudged:
                print(f"   {'wrong, but accepted' if is_wrong else 'right, but refused'}: {what}")
                if asked.show:
                    print(text)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
