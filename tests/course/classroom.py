"""Submissions for tests: an assignment's notebook as a student hands it in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

from k8snet.course.task import assignments
from tests.build_assignment import build
from tests.course import answers

ASSIGNMENT = "05-ingress-policy"
ROOT = Path(__file__).resolve().parents[2]
RUN = "import k8snet._fastimport, sys; from nbgrader.apps.nbgraderapp import main; sys.argv[0] = 'nbgrader'; main()"


@cache
def _released(assignment):
    notebook = json.loads(build(assignment))
    for cell in notebook["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("solution"):
            cell["source"] = [cell["source"][0], "# YOUR ANSWER HERE"]
    return json.dumps(notebook)


def cell(notebook, grade_id):
    """The cell with a grade_id."""
    return next(c for c in notebook["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == grade_id)


def empty(student, assignment=ASSIGNMENT):
    """A notebook in which nothing is answered but the student's name."""
    notebook = json.loads(_released(assignment))
    cell(notebook, "student")["source"] = [f'STUDENT = "{student}"']
    return notebook


def answered(student, assignment=ASSIGNMENT, only=None, drawn_for=None):
    """A notebook with model answers, for all tasks or those in *only*; *drawn_for*: for another student's draw."""
    notebook = empty(student, assignment)
    for task in assignments()[assignment].tasks:
        if only is None or task.id in only:
            values = task.scenario(drawn_for or student).values
            write(notebook, task.id, answers.model(task.id, values))
            if task.kind == "probes":
                write(notebook, f"{task.id}-probes", answers.probes(task.id, values), magic="%%probes")
    return notebook


def write(notebook, grade_id, text, magic="%%answer"):
    """Put a text into an answer cell."""
    cell(notebook, grade_id)["source"] = f"{magic} {grade_id}\n{text}"


def hand_in(folder, student, notebook, assignment=ASSIGNMENT):
    """Save a notebook as nbgrader expects it: STUDENT/ASSIGNMENT/ASSIGNMENT.ipynb. Text is written as it is."""
    path = folder / student / assignment / f"{assignment}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(notebook if isinstance(notebook, str) else json.dumps(notebook), encoding="utf-8")
    return path


def found_course(folder, stock=False):
    """Make a folder an nbgrader course of one assignment; *stock*: with nbgrader's own way of grading."""
    lines = (ROOT / "nbgrader_config.py").read_text()
    kept = lines[: lines.index("P = ")] if stock else lines
    (folder / "nbgrader_config.py").write_text(kept)
    source = folder / "solutions" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
    source.parent.mkdir(parents=True)
    source.write_text(build(ASSIGNMENT))


def nbgrader(folder, *words):
    """Run a command of nbgrader in a course's folder."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "HOME": str(folder), "JUPYTER_PLATFORM_DIRS": "1"}
    command = [sys.executable, "-c", RUN, *words]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-3000:]
