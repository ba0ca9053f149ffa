"""Our assignments through nbgrader's own pipeline, in a folder of its own: the scores are those of the static grader."""

from __future__ import annotations

import csv
import json

import pytest

from k8snet.course import grade
from tests.course.classroom import ASSIGNMENT, answered, cell, empty, found_course, hand_in, nbgrader, write


def submissions(folder):
    """A class of five."""
    hand_in(folder, "perfect", answered("perfect"))
    hand_in(folder, "empty", empty("empty"))
    hand_in(folder, "partial", answered("partial", only={"t05-allow-role", "t05-matrix-policies"}))
    hostile = answered("hostile", only={"t05-allow-role", "t05-drop-where"})
    looping = {"cell_type": "code", "id": "loop", "metadata": {}, "execution_count": None, "outputs": []}
    hostile["cells"].insert(1, {**looping, "source": "import os\nwhile True:\n    open('../../../gradebook.db', 'w')"})
    copied = {
        **cell(hostile, "t05-allow-role"),
        "id": "copied",
        "source": "%%answer t05-allow-role\n# YOUR ANSWER HERE",
    }
    hostile["cells"].append(copied)
    hostile["cells"].append(json.loads(json.dumps(copied).replace("t05", "t99")))
    cell(hostile, "t05-drop-where-test")["source"] = "import os; os._exit(1)"
    write(hostile, "t05-own-namespace", "&a [*a]")
    hand_in(folder, "hostile", hostile)
    deleted = answered("deleted")
    for name in ("t05-allow-role", "t05-arrange-callers-test"):
        deleted["cells"].remove(cell(deleted, name))
    hand_in(folder, "deleted", deleted)


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course folder in which everything has run: generate, submit by files, autograde, feedback, export."""
    folder = tmp_path_factory.mktemp("course")
    found_course(folder)
    submissions(folder / "submitted")
    for command in ("generate_assignment", "autograde", "generate_feedback"):
        nbgrader(folder, command, ASSIGNMENT)
    nbgrader(folder, "export")
    return folder


@pytest.mark.slow
def test_scores_are_those_of_the_static_grader(course):
    exported = {r["student_id"]: float(r["score"]) for r in csv.DictReader((course / "grades.csv").open())}
    rows = grade.grade([course / "submitted"], jobs=1)
    static = {r.student: sum(r.points.values()) for r in rows}
    assert exported == static and len(static) == 5
    assert static["empty"] == 0 < static["hostile"] < static["partial"] < static["deleted"] < static["perfect"]


@pytest.mark.slow
def test_every_check_cell_is_graded_by_itself_and_feedback_says_why(course):
    for student in ("perfect", "empty", "partial", "hostile", "deleted"):
        page = (course / "feedback" / student / ASSIGNMENT / f"{ASSIGNMENT}.html").read_text()
        assert "needs manual grade" not in page.lower()
        assert "BEGIN SOLUTION" not in page
    assert "For example: " in (course / "feedback" / "hostile" / ASSIGNMENT / f"{ASSIGNMENT}.html").read_text()


@pytest.mark.slow
def test_the_release_holds_no_answer(course):
    released = (course / "exercises" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb").read_text()
    assert "kind: NetworkPolicy" not in released and "YOUR ANSWER HERE" in released
    assert sorted(p.name for p in (course / "exercises").rglob("*") if p.is_file()) == [f"{ASSIGNMENT}.ipynb"]
