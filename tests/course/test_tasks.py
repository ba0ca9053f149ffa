"""Every task for many students: its model answer solves it, and it has one answer. (Wrong answers: test_mistakes.py.)"""

from __future__ import annotations

import pytest

from k8snet.cluster import Cluster, _settings
from k8snet.controlplane.plane import ControlPlane
from k8snet.controlplane.settings import Settings
from k8snet.course import judge
from k8snet.course.draw import join
from k8snet.course.exercise import SAMPLE
from k8snet.course.task import FORMS, STATIONS, assignments, sheet, tasks
from tests.course import answers

TASKS = list(tasks().values())
MANIFEST_KINDS = ("write", "repair", "arrange", "probes")
# A sample for every run; all of them where tests may be slow. What costs more than one answer is looked at in the sample.
FEW, ALL = range(6), range(200)


def named(chosen):
    return [pytest.param(t, id=t.id) for t in chosen]


def solve(task, scenario, values=None):
    values = scenario.values if values is None else values
    return judge.judge(task, scenario, answers.model(task.id, values), answers.probes(task.id, values))


def hold_to_its_promises(task, seeds):
    """A draw is solved by its model answer, by every alternative, and not by doing nothing; its answer is not ambiguous."""
    for n in seeds:
        scenario = task.scenario(f"student-{n}")
        feedback = solve(task, scenario)
        assert feedback.solved, f"student-{n}: {feedback}"
        for other in answers.alternatives(task.id, scenario.values) if n in FEW else ():
            found = judge.judge(task, scenario, other, answers.probes(task.id, scenario.values))
            assert found.solved, f"student-{n}: {found}\n{other}"
        if task.kind in MANIFEST_KINDS and n in FEW:
            idle = "kubectl get pods"
            assert judge.judge(task, scenario, idle).score == 0, f"student-{n}: doing nothing earns something"
        if task.kind == "explain":
            assert len(judge.true_options(scenario, judge.ask(scenario, judge.start(scenario)))) == 1, f"student-{n}"
            assert len(set(scenario.options)) == len(scenario.options) >= 3
        if scenario.request:
            cluster = judge.start(scenario)
            traces = [judge.ask(scenario, cluster) for _ in range(5)]
            assert len({(t.outcome.kind, judge.station(t)) for t in traces}) == 1, f"student-{n}: it depends on chance"
            assert traces[0].outcome.kind != "undefined"
            assert task.kind != "drop" or judge.station(traces[0]) in STATIONS, f"student-{n}: nothing stops it"


@pytest.mark.parametrize("task", named(TASKS))
def test_model_answers_solve_what_is_drawn(task):
    hold_to_its_promises(task, FEW)


@pytest.mark.parametrize("task", named(TASKS))
def test_a_starting_cluster_is_what_kubectl_apply_makes_of_its_manifests(task):
    for n in FEW:
        scenario = task.scenario(f"student-{n}")
        knobs = {k: v for k, v in scenario.knobs.items() if k != "nodes"}
        cluster = Cluster.around(ControlPlane(_settings(Settings(), **knobs), scenario.knobs.get("nodes", 2)))
        if manifests := join(scenario.manifests, scenario.given):
            result = cluster.apply(manifests)
            assert result, f"student-{n}: {result}"
        if scenario.wait:
            cluster.advance(scenario.wait)
        assert list(judge.start(scenario).plane.store) == list(cluster.plane.store), f"student-{n}"


@pytest.mark.slow
@pytest.mark.parametrize("task", named(TASKS))
def test_model_answers_solve_every_draw(task):
    hold_to_its_promises(task, ALL)


@pytest.mark.parametrize("name", [n for n, a in assignments().items() if a.tasks])
def test_an_assignment_mixes_kinds_and_draws_no_two_tasks_alike(name):
    found = assignments()[name].tasks
    assert len(found) >= 6 and len({t.kind for t in found}) >= 4
    for n in FEW:
        drawn = [t.scenario(f"student-{n}") for t in found]
        assert len(
            {(s.manifests, s.given, s.lines, s.request, sheet(t, s)) for t, s in zip(found, drawn, strict=True)}
        ) == len(found)


@pytest.mark.parametrize("task", named(TASKS))
def test_rows_are_complete(task):
    assert task.kind in FORMS and task.assignment in assignments()
    assert len(task.hints) == 3 and task.points > 0 and task.teaches
    scenario = task.scenario(SAMPLE)
    for text in (task.text, *task.hints):
        assert text.format_map(scenario.words()).strip()
    assert (task.kind in ("predict", "drop", "explain")) is bool(scenario.request or scenario.questions)
    assert (task.kind in MANIFEST_KINDS) is bool(scenario.expect)


def test_draws_vary_and_repeat():
    for task in TASKS:
        one, same, other = (sheet(task, task.scenario(s)) for s in ("ada", "ada", "bob"))
        assert one == same
        assert one != other or len({sheet(task, task.scenario(str(n))) for n in range(5)}) > 1
        assert sheet(task, task.scenario("ada", "another term")) != one or task.kind in ("predict", "drop")
