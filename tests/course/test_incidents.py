"""The incident room: every fault shows its symptom, is mended by its model answer, and the room never ends."""

from __future__ import annotations

import random
import re

import pytest

from k8snet.course import exercise, judge
from k8snet.course.expect import caller
from k8snet.course.task import Scenario
from k8snet.course.tasks import incidents
from tests.course import answers

GROUPS = incidents.faults()["groups"]
FAULTS = [(group, key) for group, row in GROUPS.items() for key in row["faults"]]
MENDED = [(group, key) for group, key in FAULTS if group != "network"]


def drawn(key, seed=1):
    fault = incidents.faults()["faults"][key]
    values, fields = incidents.broken(random.Random(seed), key)
    expect = incidents.expected(fault["world"], values)
    return Scenario(values, **fields, expect=expect, wait=5, most=6, edits=fault.get("edits", 1))


def asked(cluster, values):
    """What the caller of an incident sees, in ten calls."""
    url = values["target"] if "//" in values["target"] else f"http://{values['target']}:{values['called']}"
    way = f"--resolve {values['host']}:{values['called']}:{incidents.EDGE} " if "//" in values["target"] else ""
    who = caller(cluster, values["caller"])
    return [str(who.curl(f"-sS {way}{url}")) for _ in range(10)]


def test_at_least_25_faults_of_the_curriculum_are_drawn():
    assert len({re.match(r"F\d\d", key)[0] for _, key in FAULTS}) >= 25
    assert sorted(key for _, key in FAULTS) == sorted(incidents.faults()["faults"])


@pytest.mark.parametrize(("group", "key"), MENDED)
def test_a_fault_shows_the_symptom_of_its_group(group, key):
    scenario = drawn(key)
    seen = asked(judge.start(scenario), scenario.values)
    if group == "open":
        assert all("Hello" in line for line in seen)
    elif group == "edge":
        assert not any("Hello" in line for line in seen)
    else:
        assert any(GROUPS[group]["says"] in line for line in seen)
        assert key == "F14" or all(GROUPS[group]["says"] in line for line in seen)


@pytest.mark.parametrize("key", [key for _, key in MENDED])
def test_a_fault_is_mended_by_its_model_answer_and_by_nothing_less(key):
    hunt = incidents.room(f"room-{next(n for n in range(6) if incidents.room(f'room-{n}').kind == 'probes')}")
    for seed in range(3):
        scenario = drawn(key, seed)
        mended = answers.model("t09-refused", scenario.values)
        assert judge.judge(hunt, scenario, mended, "kubectl get pods").solved
        assert judge.judge(hunt, scenario, "kubectl get pods", "kubectl get pods").score == 0
        assert not judge.judge(hunt, scenario, mended, "kubectl get pods\n" * 7).solved


@pytest.mark.parametrize("key", GROUPS["network"]["faults"])
def test_below_all_objects_only_some_calls_hang(key):
    scenario = drawn(key)
    cluster, app = judge.start(scenario), scenario.values["app"]
    outcomes = {
        bool(cluster.pod(f"{app}-{n}").connect(f"pod/{app}-{m}" if m == 9 else ip, scenario.values["port"], size=size))
        for n in (1, 2, 3)
        for m, ip in enumerate(cluster.snapshot.pods[f"default/{app}-{k}"].ip for k in (1, 2, 3))
        for size in (60, 1500)
    }
    selves = {bool(cluster.pod(f"{app}-1").connect(app, scenario.values["front"])) for _ in range(20)}
    assert outcomes | selves == {True, False}


def test_six_incidents_of_the_room_are_of_six_groups_and_no_ticket_names_the_fault():
    for first in range(0, 60, 6):
        tasks = [incidents.room(f"room-{n}") for n in range(first, first + 6)]
        tickets = {exercise.sheet(t, t.scenario("ada")).split('"')[1] for t in tasks}
        assert len(tickets) == 6
        assert not re.search(r"\bF\d\d", "".join(t.title + t.text for t in tasks))


def test_the_room_is_played_like_any_task(monkeypatch, tmp_path):
    monkeypatch.setenv("K8SNET_PROGRESS", str(tmp_path / "progress.json"))
    monkeypatch.setattr(exercise, "session", exercise.Session("09-incidents", "ada"))
    number = next(n for n in range(6) if incidents.room(f"room-{n}").kind == "probes")
    task = f"room-{number}"
    assert re.search("at most [456] probes", str(exercise.show(task)))
    assert not exercise.check(task).solved
    values = incidents.room(task).scenario("ada").values
    exercise.session.probes[task] = "kubectl get pods -A"
    exercise.session.answers[task] = answers.model("t09-refused", values)
    assert exercise.check(task).solved
    assert not (tmp_path / "progress.json").exists()  # tasks solved are counted of a known number
    assert "Hint 1" in str(exercise.hint(task))
    assert "no task" in str(exercise.show("room-x")) and "no task" in str(exercise.show("room--1"))
