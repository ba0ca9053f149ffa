"""Our assignments through nbgrader's own pipeline, in a folder of its own: the scores are those of the static grader."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from k8snet.course import grade
from tests.build_assignment import build
from tests.course.classroom import ASSIGNMENT, answered, cell, empty, hand_in, write

ROOT = Path(__file__).resolve().parents[2]
RUN = "import k8snet._fastimport, sys; from nbgrader.apps.nbgraderapp import main; sys.argv[0] = 'nbgrader'; main()"


def submissions(folder):
    """A class of five."""
    hand_in(folder, "perfect", answered("perfect"))
    hand_in(folder, "empty", empty("empty"))
    hand_in(folder, "partial", answered("partial", only={"t05-allow-role", "t05-matrix-two-policies"}))
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
    shutil.copy(ROOT / "nbgrader_config.py", folder)
    (folder / "solutions" / ASSIGNMENT).mkdir(parents=True)
    (folder / "solutions" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb").write_text(build(ASSIGNMENT))
    submissions(folder / "submitted")
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(folder), "JUPYTER_PLATFORM_DIRS": "1"}

    def nbgrader(*words):
        command = [sys.executable, "-c", RUN, *words]
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]

    nbgrader("generate_assignment", ASSIGNMENT)
    nbgrader("autograde", ASSIGNMENT)
    nbgrader("generate_feedback", ASSIGNMENT)
    nbgrader("export")
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
