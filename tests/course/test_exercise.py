"""An assignment in a notebook, as a learner meets it."""

from __future__ import annotations

import pytest

from k8snet.course import begin, check, cluster, exercise, hint, show
from k8snet.course.task import tasks
from tests.course import answers

WRITE, HUNT, LINES = "t05-allow-role", "t05-hunt-silence", "t05-predict-dash"


@pytest.fixture(autouse=True)
def learner(monkeypatch):
    monkeypatch.setenv("K8SNET_PROGRESS", "none")
    monkeypatch.setattr(exercise, "session", exercise.Session())
    begin("05-ingress-policy", "ada")


def model(task_id):
    values = tasks()[task_id].scenario("ada").values
    return answers.model(task_id, values)


def test_begin_says_what_there_is_to_do():
    text = str(begin("05-ingress-policy", " ada "))
    assert text.startswith("Assignment 05-ingress-policy for ada: 9 tasks, ")
    assert "write your own id" in str(begin("05-ingress-policy", "sample"))
    assert "There is no assignment 'x'. There are: " in str(begin("x", "ada"))


def test_a_task_is_shown_as_markdown_with_how_to_answer():
    text = show(WRITE)._repr_markdown_()
    assert text == repr(show(WRITE)) and text.startswith("**Let one role in** (4 points)")
    assert "Answer with manifests." in text
    assert "- `outcome`: one of delivered" in str(show(LINES)) and "- `socket`: " in str(show(LINES))


def test_the_tasks_cluster_is_fresh_each_time_and_the_magics_act_on_it():
    from k8snet.shell import kubectl

    first = cluster(WRITE)
    first.kubectl("delete pods --all")
    second = cluster(WRITE)
    assert kubectl.current is second and "Running" in str(second.kubectl("get pods"))


def test_before_an_answer_the_check_says_what_to_do():
    feedback = check(WRITE)
    assert feedback.score == 0 and str(feedback).startswith("No answer yet: write it into the answer cell")


def test_an_answer_is_applied_shown_and_checked(capsys):
    exercise._answer(WRITE, model(WRITE))
    assert capsys.readouterr().out.startswith("networkpolicy.networking.k8s.io/")
    assert check(WRITE).solved and str(check(WRITE)).endswith("Solved.")


def test_a_wrong_answer_gets_a_counterexample_with_its_way():
    exercise._answer(WRITE, model(WRITE).replace("ports:\n        - port: ", "ports:\n        - port: 1"))
    feedback = check(WRITE)
    text = str(feedback)
    assert not feedback.solved and f'hint("{WRITE}")' in text
    assert "For example: " in text and "none of the rules matches (networkpolicy/default/" in text
    assert feedback.example.trace.outcome.kind == "timed out"
    assert "<img alt=" in feedback._repr_html_()


def test_what_kubectl_refuses_is_shown_with_its_words():
    exercise._answer(WRITE, model(WRITE).replace("podSelector", "podselector"))
    assert 'unknown field "spec.podselector"' in str(check(WRITE))


def test_hints_come_one_after_the_other_and_end_with_the_third():
    texts = [str(hint(WRITE)) for _ in range(4)]
    assert [t.count("Hint ") for t in texts] == [1, 2, 3, 3]
    assert "{" not in texts[0]


def test_a_hunt_replays_its_probes_and_counts_them(capsys):
    scenario = tasks()[HUNT].scenario("ada")
    good, server, front = (scenario.values[k] for k in ("good", "server", "front"))
    probes = f"# first a look\nkubectl get networkpolicy\n\n{good}-1$ curl -sS -m 1 {server}:{front}\nnobody$ ls"
    exercise._probes(HUNT, probes)
    out = capsys.readouterr().out
    assert "$ kubectl get networkpolicy\nNAME" in out and 'pods "nobody" not found' in out
    assert out.endswith("3 of at most 5 probes.\n")
    assert not check(HUNT).solved
    exercise._answer(HUNT, model(HUNT))
    assert check(HUNT).solved
    exercise._probes(HUNT, "kubectl get pods\n" * 6)
    assert "✗ found with at most 5 probes" in str(check(HUNT)) and check(HUNT).score > 0.5


def test_an_unknown_task_is_answered_in_words(capsys):
    for answer in (show("t5"), cluster("t5"), check("t5"), hint("t5")):
        assert str(answer).startswith("There is no task 't5'. Tasks of 05-ingress-policy: t05-")
    exercise._answer("t5", "x")
    exercise._probes("t5", "x")
    assert capsys.readouterr().out.count("There is no task 't5'") == 2


def test_another_name_draws_another_task_and_keeps_the_answer():
    exercise._answer(WRITE, model(WRITE))
    begin("05-ingress-policy", "bob")
    assert not check(WRITE).solved
    begin("05-ingress-policy", "ada")
    assert check(WRITE).solved
