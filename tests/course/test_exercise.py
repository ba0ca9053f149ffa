"""An assignment in a notebook, as a learner meets it."""

from __future__ import annotations

import re

import pytest

from k8snet.course import begin, check, cluster, exercise, hint, judge, show
from k8snet.course.draw import join, pod, service
from k8snet.course.expect import Backends, Fetches, Holds, Matrix, Prints, Resolves
from k8snet.course.task import Scenario, tasks
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
    assert "Answer with manifests, with lines" in text
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
    assert out.endswith("2 of at most 5 probes.\n")  # a line that is no probe costs nothing
    assert not check(HUNT).solved
    exercise._answer(HUNT, model(HUNT))
    assert check(HUNT).solved
    exercise._probes(HUNT, "kubectl get pods\n" * 6)
    assert "✗ 1 to 5 probes, then a fix that works" in str(check(HUNT)) and check(HUNT).score > 0.5
    assert "6 probes were used: it takes 1 to 5." in str(check(HUNT))
    exercise._probes(HUNT, "")
    assert "0 probes were used" in str(check(HUNT)) and not check(HUNT).solved


def test_a_line_that_is_no_probe_costs_nothing(capsys):
    exercise._probes(HUNT, "curl mailer\nnobody$ ls\nkubectl frobnicate\nkubectl get pods")
    out = capsys.readouterr().out
    assert out.endswith("1 of at most 5 probes.\n")
    assert "No probe: begin with `kubectl`" in out and "`NAMESPACE/POD$ …` for a Pod" in out


def test_a_wrong_fix_is_not_told_where_the_fault_is_before_the_last_hint():
    exercise._answer(HUNT, "kubectl label pods --all checked=yes")
    exercise._probes(HUNT, "kubectl get networkpolicy")
    text = str(check(HUNT))
    assert "✗ 1 to 5 probes, then a fix that works" in text and "networkpolicy/" not in text
    assert "probe was used" not in text and "<img" not in check(HUNT)._repr_html_()
    for _ in range(3):
        hint(HUNT)
    assert "networkpolicy/" in str(check(HUNT)) and "<img" in check(HUNT)._repr_html_()


def truths(task_id):
    from k8snet.course import judge

    scenario = tasks()[task_id].scenario("ada")
    trace = judge.ask(scenario, judge.start(scenario))
    return trace.outcome.kind, judge.station(trace)


def test_the_check_of_a_prediction_does_not_tell_what_is_right_before_the_last_hint():
    outcome, station = truths(LINES)
    wrong = next(s for s in ("name", "egress", "network") if s != station)
    exercise._answer(LINES, f"outcome: {outcome}\nstation: {wrong}")
    text = str(check(LINES))
    assert "✓ outcome" in text and "✗ station" in text and f"station is not {wrong}." in text
    assert f"station is {station}" not in text and "<img" not in check(LINES)._repr_html_()
    exercise._answer(LINES, f"outcome: {outcome}\nstation: the wall")
    assert "`the wall` is none of the words for station: name, service, " in str(check(LINES))
    exercise._answer(LINES, f"outcome: {outcome}")
    assert "the line `station: …` is missing." in str(check(LINES))
    for _ in range(3):
        hint(LINES)
    assert f"station is {station}" in str(check(LINES))
    exercise._answer(LINES, f"outcome: {outcome}\nstation: {station}")
    assert check(LINES).solved and f"It is {outcome}" in str(check(LINES))


@pytest.mark.parametrize(
    ("key", "given", "truth"),
    [
        ("station", "listener", "socket"), ("station", "proxy", "service"), ("station", "wiring", "network"),
        ("outcome", "connection refused", "refused"), ("outcome", "timeout", "timed out"), ("node", "node node-2", "node-2"),
        ("seen-1", "pod web", "web"), ("call-1", "agent", judge.AnyOf(("node-2", "agent"))), ("reached", "b, a", {"a", "b"}),
    ],
)  # fmt: skip
def test_other_usual_words_are_right(key, given, truth):
    assert judge._same(key, given, truth) and not judge._same(key, "something else", truth)


def test_a_matrix_says_which_column_to_look_at():
    scenario = tasks()["t05-matrix-policies"].scenario("ada")
    exercise._answer("t05-matrix-policies", "\n".join(f"{p}: {'. ' * len(scenario.pods)}" for p in scenario.pods))
    text = str(check("t05-matrix-policies"))
    assert re.search(r"\d signs? should be `X`: look at the column of [\w-]+\.", text) and " to " not in text


def test_without_a_name_the_tasks_are_listed():
    for answer in (show(), cluster(), check(), hint()):
        assert str(answer).startswith("Which task? Write its name, in quotes. Tasks of 05-ingress-policy: t05-")


def test_a_policy_in_the_wrong_namespace_is_named():
    task = "t05-own-namespace"
    home = tasks()[task].scenario("ada").values["home"]
    exercise._answer(task, model(task).replace(f"namespace: {home}", "namespace: default"))
    text = str(check(task))
    assert "is in namespace default and holds for the Pods there only" in text


def test_what_is_missing_is_named_once_and_a_service_without_an_address_says_why():
    begin("02-services", "ada")
    exercise._answer("t02-write-ports", "kubectl get pods")
    text = str(check("t02-write-ports"))
    assert text.count("✗ missing: services ") == 1
    team, name, server = (tasks()["t02-write-outside"].scenario("ada").values[k] for k in ("team", "name", "server"))
    alias = f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: {team}}}\n"
    exercise._answer("t02-write-outside", f"{alias}spec: {{type: ExternalName, externalName: {server}}}")
    assert "has no cluster address: its type is ExternalName" in str(check("t02-write-outside"))
    nameless = re.sub(r"kubernetes.io/service-name: [\w-]+", "of: nobody", model("t02-write-outside"))
    exercise._answer("t02-write-outside", nameless)
    assert "has no label kubernetes.io/service-name, so it belongs to no Service." in str(check("t02-write-outside"))


def test_a_dash_counts_as_one_field():
    def edited(first, then):
        policy = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: x}\nspec: {podSelector: {}, ingress: [{from: %s}]}"
        before = judge.start(Scenario({}, policy % first, knobs={"dns": False}))
        after = before.copy()
        assert after.apply(policy % then)
        return judge.edits(before.plane, after.plane)

    ns, pods = "namespaceSelector: {matchLabels: {a: b}}", "podSelector: {matchLabels: {c: d}}"
    parted, joined = f"[{{{ns}}}, {{{pods}}}]", f"[{{{ns}, {pods}}}]"
    assert edited(parted, joined) == edited(joined, parted) == 1
    assert edited(parted, joined.replace("c: d", "c: d, e: f")) == 2
    assert edited(f"[{{{ns}}}]", parted) == 1 and edited(parted, f"[{{{ns}}}]") == 1


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


def judged(expectation, manifests, **knobs):
    return list(expectation.goals(judge.start(Scenario({}, manifests, knobs=knobs))))


def test_a_leak_is_explained_by_the_end_that_has_policies():
    policy = (
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: out}\n"
        "spec: {podSelector: {matchLabels: {app: a}}, policyTypes: [Egress], egress: [{}]}"
    )
    pods = join(pod("a", {"app": "a"}), pod("b", {"app": "b"}, 80), policy)
    (leak,) = [g for g in judged(Matrix(("a", "b"), {("b", "a")}, 80), pods, dns=False) if not g.met]
    assert leak.why.startswith(
        "a still reaches b:80: Egress, Pod default/a: a rule allows it (networkpolicy/default/out"
    )
    assert leak.trace.outcome.kind == "delivered" and leak.share == 0


def test_missing_a_part_earns_at_most_half_and_open_servers_do_not_count():
    pods = join(pod("a", {"app": "a"}), pod("b", {"app": "b"}, 80), pod("c", {"app": "c"}))
    wanted = Matrix(("a", "b", "c"), {("a", "b"), ("a", "c"), ("b", "a"), ("b", "c"), ("c", "a")}, 80)
    leaks, blocks = judged(wanted, pods, dns=False)
    assert (leaks.share, blocks.share) == (0, 1)


def test_what_is_asked_of_http_and_names():
    pods = join(pod("a", {"app": "a"}), pod("b", {"app": "b"}, 80), service("web", {"app": "b"}, 8080, 80))
    assert all(g.met for g in judged(Fetches("a", "-sS web:8080", 200, "b"), pods))
    (wrong,) = judged(Fetches("a", "-sS web", 200), pods)
    assert wrong.why.startswith("curl -sS web from a should give: status 200. Instead: ")
    assert all(g.met for g in judged(Resolves("a", "nobody.default.svc.cluster.local", ()), pods))
    assert all(g.met for g in judged(Backends("web", ["b"]), pods))
    (missed,) = judged(Backends("web", ["a", "b"]), pods)
    assert missed.why == (
        "Ready behind Service web: Pod default/b. Wanted: Pod default/a, Pod default/b. "
        "Pod default/a lacks what the Service's selector asks for: app=b."
    )
    assert [g.met for g in judged(Holds("Service", "web", {"spec.type": "ClusterIP", "spec.ports": 3}), pods)] == [
        True,
        False,
    ]
    assert (
        judged(Prints("a", "nslookup web", "10."), pods)[0].met
        and judged(Prints("", "get svc web", "8080"), pods)[0].met
    )
