"""Every task against wrong answers: mutants, another student's, blind ones; and against right ones of other shape."""

from __future__ import annotations

import random

import pytest

from k8snet.course import judge
from tests.course import answers, mutants, rates, shapes
from tests.course.test_tasks import ALL, TASKS, named, solve


def full_marks_with_another_draw(task, pairs):
    """For each pair of students whether the one's answer is full marks for the other."""
    for a, b in pairs:
        mine, other = task.scenario(f"student-{a}"), task.scenario(f"student-{b}")
        yield a, b, solve(task, other, mine.values).solved


@pytest.mark.parametrize("task", named(t for t in TASKS if t.kind in ("write", "repair", "arrange")))
def test_another_students_answer_is_not_enough(task):
    pairs = [random.Random(n).sample(ALL, 2) for n in range(12)]
    assert [(a, b) for a, b, solved in full_marks_with_another_draw(task, pairs) if solved] == []


@pytest.mark.slow
@pytest.mark.parametrize("task", named(t for t in TASKS if t.kind in ("write", "repair", "arrange")))
def test_no_students_answer_is_enough_for_another(task):
    pairs = zip(ALL, [*ALL[1:], ALL[0]], strict=True)
    assert [(a, b) for a, b, solved in full_marks_with_another_draw(task, pairs) if solved] == []


@pytest.mark.parametrize("task", named(t for t in TASKS if t.kind in ("write", "repair")))
def test_checks_see_mistakes_and_nothing_else(task):
    _, wrong, misjudged = mutants.run(task, "sample", sample=12)
    assert [(what, "wrong" if w else "right") for what, w, _ in misjudged] == [] and wrong


@pytest.mark.slow
@pytest.mark.parametrize("task", named(t for t in TASKS if t.kind in ("write", "repair")))
def test_checks_see_every_mistake_and_nothing_else(task):
    count, wrong, misjudged = mutants.run(task, "student-1")
    assert count >= mutants.LEAST and wrong
    assert [(what, "wrong" if w else "right") for what, w, _ in misjudged] == []


@pytest.mark.slow
@pytest.mark.parametrize("task", named(t for t in TASKS if t.kind in rates.FEW_OPTIONS))
def test_no_blind_answer_is_right_for_most(task):
    different, commonest, copied, _ = rates.rates(task)
    assert different >= 3 and commonest < 0.6 and copied < 0.6


@pytest.mark.parametrize("task", named(TASKS))
def test_right_answers_of_other_shape_are_right(task):
    scenario = task.scenario("ada")
    text, probes = answers.model(task.id, scenario.values), answers.probes(task.id, scenario.values)
    others = shapes.shapes(task.kind, text)
    assert len(others) >= 10 or text.startswith("kubectl ")
    for other in others:
        feedback = judge.judge(task, scenario, other, probes)
        assert feedback.solved, f"{feedback}\n{other}"
