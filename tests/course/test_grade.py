"""The static grader: right, partial and empty notebooks, and whatever else is handed in."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path

import pytest

from k8snet.course import grade
from k8snet.course.task import assignments
from tests.course.classroom import ASSIGNMENT, answered, cell, empty, hand_in, write

TASKS = assignments()[ASSIGNMENT].tasks
MOST = sum(t.points for t in TASKS)
WRITE = "t05-allow-role"


def graded(folder, **options):
    return grade.grade([folder], jobs=1, **options)


def one(tmp_path, notebook, student="ada", **options):
    hand_in(tmp_path, student, notebook)
    (row,) = graded(tmp_path, **options)
    return row


def total(row):
    return sum(row.points.values())


def test_model_answers_get_all_points_and_no_remark(tmp_path):
    row = one(tmp_path, answered("ada"))
    assert total(row) == MOST and row.remarks == []


def test_an_empty_notebook_gets_nothing(tmp_path):
    row = one(tmp_path, empty("ada"))
    assert total(row) == 0 and row.remarks == []


def test_part_of_the_answers_get_their_points(tmp_path):
    row = one(tmp_path, answered("ada", only={"t05-predict-dash", WRITE}))
    assert row.points == {t.id: t.points if t.id in ("t05-predict-dash", WRITE) else 0 for t in TASKS}


def test_answers_to_another_draw_do_not_get_the_points_and_are_named(tmp_path):
    hand_in(tmp_path, "ada", answered("ada"))
    hand_in(tmp_path, "bob", answered("bob", drawn_for="ada"))
    ada, bob = graded(tmp_path)
    assert total(ada) == MOST
    compared = [t for t in TASKS if t.kind in ("write", "repair", "arrange")]
    assert all(bob.points[t.id] < t.points for t in compared)
    assert all(f"{t.id}: the same text as ada" in bob.remarks for t in compared)


def test_the_folder_says_who_it_is(tmp_path):
    row = one(tmp_path, answered("bob", drawn_for="ada"))
    assert row.student == "ada" and total(row) == MOST
    assert row.remarks == ["the notebook says STUDENT = 'bob'; 'ada', as handed in, counts"]


@pytest.mark.parametrize(
    "path",
    [
        "ada.ipynb",
        f"ada/{ASSIGNMENT}.ipynb",
        f"{ASSIGNMENT}/ada.ipynb",
        f"{ASSIGNMENT}-ada.ipynb",
        "ada/homework (1).ipynb",
    ],
)
def test_any_usual_layout_is_understood(tmp_path, path):
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(json.dumps(answered("ada")))
    (row,) = graded(tmp_path)
    assert (row.student, row.assignment, total(row)) == ("ada", ASSIGNMENT, MOST)


def test_one_file_named_on_the_command_line(tmp_path):
    path = hand_in(tmp_path, "ada", answered("ada"))
    (row,) = grade.grade([path], jobs=1)
    assert (row.student, total(row)) == ("ada", MOST)


def change(notebook, grade_id, source):
    cell(notebook, grade_id)["source"] = source


def drop(notebook, grade_id):
    notebook["cells"].remove(cell(notebook, grade_id))


def loop(nb):
    nb["cells"].insert(1, {"cell_type": "code", "source": "while True: pass", "metadata": {}})


def outputs(nb):
    cell(nb, WRITE)["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x" * 100_000_000}]


def reorder(nb):
    nb["cells"].reverse()


def foreign(nb):
    nb["cells"].append({"cell_type": "code", "source": "1", "metadata": {"nbgrader": {"grade_id": "ps9"}}})


def copy_first(nb):
    twin = json.loads(json.dumps(cell(nb, WRITE)))
    twin["source"] = f"%%answer {WRITE}\n# later"
    nb["cells"].append(twin)


def odd_cells(nb):
    nb["cells"] += [
        None,
        7,
        {},
        {"metadata": 3},
        {"metadata": {"nbgrader": []}},
        {"source": {"a": 1}},
        {"source": [1, None]},
    ]


@pytest.mark.parametrize(
    ("spoil", "remark"),
    [
        (loop, ""),
        (outputs, ""),
        (reorder, ""),
        (odd_cells, ""),
        (foreign, "cells of something else, left out: ps9"),
        (copy_first, f"{WRITE}: 2 cells of this name; the last with an answer counts"),
        (
            lambda nb: change(nb, f"{WRITE}-test", "print('full marks')"),
            f"{WRITE}: the check cell is changed or missing (it is not used)",
        ),
        (lambda nb: drop(nb, f"{WRITE}-test"), f"{WRITE}: the check cell is changed or missing (it is not used)"),
        (lambda nb: drop(nb, "student"), "the cell with STUDENT is missing or says no name"),
        (
            lambda nb: change(nb, "student", "STUDENT = open('/etc/passwd').read()"),
            "the cell with STUDENT is missing or says no name",
        ),
    ],
)
def test_what_does_not_touch_the_answers_does_not_touch_the_grade(tmp_path, spoil, remark):
    notebook = answered("ada")
    spoil(notebook)
    row = one(tmp_path, notebook)
    assert total(row) == MOST
    assert row.remarks == ([remark] if remark else [])


def test_a_deleted_answer_cell_costs_its_own_points_only(tmp_path):
    notebook = answered("ada")
    drop(notebook, WRITE)
    row = one(tmp_path, notebook)
    assert row.points[WRITE] == 0 and total(row) == MOST - next(t.points for t in TASKS if t.id == WRITE)
    assert row.remarks == [f"{WRITE}: the answer cell is missing"]


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
POD = "apiVersion: v1\nkind: Pod\nmetadata: {{name: p{}}}\nspec: {{containers: [{{name: a, image: b}}]}}\n"
HUGE = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {replicas: 1000000, selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: b}]}}}"
POLICY = (
    "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec: {podSelector: {}, ingress: [%s]}"
)
HOSTILE = {
    "billion laughs": BOMB,
    "billion laughs in a policy": POLICY % "" + "\nx: &a [1,2,3,4,5,6,7,8,9]\n" + BOMB,
    "100,000 objects": "---\n".join(POD.format(i) for i in range(100_000)),
    "200 objects": "---\n".join(POD.format(i) for i in range(200)),
    "a million replicas": HUGE,
    "a million replicas by command": "kubectl scale deployment d --replicas=1000000",
    "replicas as float": HUGE.replace("1000000", "1e300"),
    "replicas as infinity": HUGE.replace("1000000", ".inf"),
    "20,000 brackets": "[" * 20_000,
    "20,000 dashes": "- " * 20_000,
    "a cycle": "&a [*a]",
    "an anchor of itself": "kind: &k {a: *k}",
    "a flat list": POLICY % ", ".join(["{}"] * 9_000),
    "many ports": POLICY % ("{ports: [" + ", ".join(f"{{port: {i}}}" for i in range(1, 3_000)) + "]}"),
    "wide blocks": POLICY
    % ("{from: [" + ", ".join('{ipBlock: {cidr: "0.0.0.0/0", except: ["10.0.0.0/8"]}}' for _ in range(800)) + "]}"),
    "an IPv6 block": POLICY % '{from: [{ipBlock: {cidr: "::/0"}}]}',
    "not YAML": "}{ : - \t",
    "a tag": "!!python/object/apply:os.system [exit 1]",
    "python": "import os; os._exit(1)",
    "binary": "".join(map(chr, range(256))) * 50,
    "surrogates": "kind: \ud800\udfff",
    "only comments": "# nothing\n# at all",
    "a number": "42",
    "a merge": "<<: *x",
    "kubectl that does not exist": "kubectl frobnicate --all",
    "kubectl without an end": 'kubectl label pod "',
    "delete everything": "kubectl delete pods,networkpolicies,namespaces,nodes --all -A",
    "delete the namespace": "kubectl delete namespace default kube-system",
    "wait": "kubectl wait --for=condition=Ready pod/none --timeout=100000h",
    "exec": "kubectl exec cart -- sh -c 'for i in 1 2 3; do curl -sS http://10.0.0.1; done'",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_answers_cost_their_own_points_and_no_time(tmp_path, name):
    notebook = answered("ada")
    for task in TASKS:
        if task.kind in ("write", "repair", "arrange", "probes", "matrix", "predict"):
            write(notebook, task.id, HOSTILE[name])
    write(notebook, "t05-hunt-silence-probes", HOSTILE[name], "%%probes")
    begun = time.monotonic()
    row = one(tmp_path, notebook)
    assert time.monotonic() - begun < 10
    spared = [t for t in TASKS if t.kind in ("explain", "drop")]
    assert all(row.points[t.id] == t.points for t in spared)
    assert all(row.points[t.id] < t.points for t in TASKS if t not in spared)


NOT_NOTEBOOKS = {
    "empty": (b"", "the file is no JSON"),
    "cut off": (b'{"cells": [', "the file is no JSON"),
    "a list": (b"[]", "it has no list of cells"),
    "no cells": (b'{"cells": 3}', "it has no list of cells"),
    "latin-1": ('{"cells": ["\xe9"]}'.encode("latin-1"), "the file is not in UTF-8"),
    "nested": (b'{"cells":' + b"[" * 100_000, "nested too deeply"),
    "a long number": (b'{"cells": ' + b"9" * 10_000 + b"}", "not graded"),
}


@pytest.mark.parametrize("name", NOT_NOTEBOOKS)
def test_what_is_no_notebook_gives_a_row_with_the_reason(tmp_path, name):
    data, reason = NOT_NOTEBOOKS[name]
    hand_in(tmp_path, "ada", "").write_bytes(data)
    hand_in(tmp_path, "bob", answered("bob"))
    ada, bob = graded(tmp_path)
    assert ada.points is None and reason in ada.remarks[0]
    assert total(bob) == MOST


def test_utf_16_and_a_byte_order_mark_are_read(tmp_path):
    text = json.dumps(answered("ada"))
    for student, encoding in (("ada", "utf-16"), ("bob", "utf-8-sig")):
        hand_in(tmp_path, student, "").write_bytes(text.encode(encoding))
    assert total(graded(tmp_path)[0]) == MOST
    assert graded(tmp_path)[1].remarks[0].startswith("the notebook says STUDENT = 'ada'")


def test_links_are_not_followed(tmp_path):
    real = hand_in(tmp_path / "elsewhere", "ada", answered("ada"))
    folder = tmp_path / "submitted"
    (folder / "bob").mkdir(parents=True)
    (folder / "bob" / f"{ASSIGNMENT}.ipynb").symlink_to(real)
    (folder / "eve").symlink_to(real.parent.parent)
    rows = graded(folder)
    assert [(r.student, r.points) for r in rows] == [("eve", None), ("bob", None)]
    assert all("symbolic link" in r.remarks[0] for r in rows)


def test_two_files_of_one_student_are_both_shown(tmp_path):
    (tmp_path / "ada").mkdir()
    for name in ("first", "second"):
        (tmp_path / "ada" / f"{name}.ipynb").write_text(json.dumps(answered("ada")))
    assert [(r.student, r.remarks) for r in graded(tmp_path)] == [
        ("ada", ["2 files for this student and assignment"])
    ] * 2


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(grade, "MOST_BYTES", 1000)
    assert one(tmp_path, answered("ada")).points is None


def test_the_time_limit_costs_one_answer(tmp_path, monkeypatch):
    slow = grade.judge

    def judge(task, *rest):
        while task.id == WRITE:
            pass
        return slow(task, *rest)

    monkeypatch.setattr(grade, "judge", judge)
    row = one(tmp_path, answered("ada"), limit=4)
    assert row.points[WRITE] == 0 and total(row) == MOST - next(t.points for t in TASKS if t.id == WRITE)
    assert row.remarks == [f"{WRITE}: Not judged: it took too long."]


def test_nothing_of_a_notebook_is_run(tmp_path):
    mark = tmp_path / "mark"
    notebook = answered("ada")
    bad = f"open({str(mark)!r}, 'w')"
    for c in notebook["cells"]:
        if c["cell_type"] == "code" and "grade_id" not in c["metadata"].get("nbgrader", {}):
            c["source"] = bad
    change(notebook, f"{WRITE}-test", bad)
    change(notebook, "student", f'{bad}\nSTUDENT = "ada"')
    write(notebook, "t05-predict-dash", f"outcome: {bad}\n!!python/name:os.system")
    one(tmp_path, notebook)
    assert not mark.exists()


@pytest.fixture(scope="module")
def class_of_nine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("class")
    for n in range(8):
        hand_in(folder, f"s{n}", answered(f"s{n}") if n % 2 else empty(f"s{n}"))
    hand_in(folder, "=cmd()", answered("=cmd()", only={WRITE}))
    return folder


def test_the_command_writes_grades_items_and_pages(class_of_nine, tmp_path, capsys):
    grades, items, pages = tmp_path / "grades.csv", tmp_path / "items.csv", tmp_path / "pages"
    command = [str(class_of_nine), "-o", str(grades), "--items", str(items), "--feedback", str(pages), "--jobs", "2"]
    assert grade.main(command) == 0
    rows = list(csv.DictReader(grades.open()))
    assert [r["student"] for r in rows] == ["'=cmd()", *(f"s{n}" for n in range(8))]
    assert {r["score"] for r in rows if r["student"] in ("s1", "s3", "s5", "s7")} == {str(MOST)}
    assert all(r["max"] == str(MOST) for r in rows)
    assert "9 of 9" in capsys.readouterr().err
    found = list(csv.DictReader(items.open()))
    assert {r["task"] for r in found} == {t.id for t in TASKS} and all(r["missed"] == "0" for r in found)
    assert len(list(pages.iterdir())) == 9
    first = grades.read_bytes()
    grade.main([*command[:-1], "1"])
    assert grades.read_bytes() == first


def test_a_page_shows_the_counterexample_and_its_way(tmp_path):
    notebook = answered("ada")
    write(notebook, WRITE, "kubectl label namespace default a=b\n" + POLICY % "{}")
    one(tmp_path / "in", notebook, pages=tmp_path / "out")
    (page,) = (tmp_path / "out").iterdir()
    text = page.read_text()
    assert (
        "For example: " in text and "still reaches" in text and "data:image/svg+xml" in text and "<script" not in text
    )


def test_the_item_analysis_says_the_same_goal_for_all_draws(tmp_path):
    for n in range(4):
        notebook = answered(f"s{n}")
        write(notebook, WRITE, POLICY % "")
        hand_in(tmp_path, f"s{n}", notebook)
    rows = graded(tmp_path)
    grade.write_items(tmp_path / "items.csv", rows)
    found = [r for r in csv.DictReader((tmp_path / "items.csv").open()) if r["task"] == WRITE]
    assert {r["judged"] for r in found} == {"4"}
    assert {(r["goal"], r["missed"]) for r in found if r["missed"] != "0"} == {
        ("who must get through does on {port}/TCP", "4")
    }


def test_a_missing_file_is_named_and_an_empty_folder_is_empty(tmp_path):
    assert grade.find([tmp_path]) == []
    assert grade.find([Path("missing.ipynb")])[0][1] == "missing"
