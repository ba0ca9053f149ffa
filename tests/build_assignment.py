"""``python -m tests.build_assignment [ASSIGNMENT …]``: write solutions/ notebooks from tasks and model answers.

A notebook is what the tables say: for each task of ``k8snet/course/tasks/`` a cell that shows it, the answer cell with
the model answer for the sample student between solution marks, and the check. All texts come from there; nothing is
edited in the notebook. ``--course KEY`` puts another course key into the notebooks.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from k8snet.course.draw import COURSE
from k8snet.course.exercise import SAMPLE
from k8snet.course.task import assignments
from tests.course import answers

ROOT = Path(__file__).resolve().parents[1]

HOW = """\
How it goes: run the cells from the top. Each task is drawn for you, from your student id; it has a small cluster of its
own. `cluster("TASK")` builds it: look around in it with `%kubectl` as much as you like (`%kubectl` alone lists what works).
In a cell of your own, `c = cluster("TASK")` gives it a name, for `c.pod("NAME").connect(…)`.

Write each answer below the line `%%answer` and run the cell. `check` says what is met and what is not, as often as you like;
`hint("TASK")` helps, three times a task, and after the third `check` tells what would be right.

Some tasks are hunts for a fault. There the cell `%%probes` belongs to the answer: it is run anew, on a fresh cluster, and few
probes must be enough. A good probe halves the suspects; that is what the limit trains. What you look at with `cluster` is free
practice. Graded is the text of the answer and probe cells, nothing else."""


def build(name, course=COURSE):
    """The text of one assignment's solution notebook."""
    assignment = assignments()[name]
    cells = [
        _markdown("title", f"# {assignment.title}\n\n{assignment.text.strip()}\n\n{HOW}"),
        _code("setup", "%load_ext k8snet\nfrom k8snet.course import begin, check, cluster, hint, show"),
        _code("student", f'STUDENT = "{SAMPLE}"  # your student id, in quotes', **_graded("student")),
        _code("begin", f'begin("{name}", STUDENT, course="{course}")'),
    ]
    for task in assignment.tasks:
        values = task.scenario(SAMPLE, course).values
        cells.append(_code(f"{task.id}-show", f'show("{task.id}")'))
        if task.kind == "probes":
            cells.append(_answer(f"{task.id}-probes", f"%%probes {task.id}", answers.probes(task.id, values)))
        cells.append(_answer(task.id, f"%%answer {task.id}", answers.model(task.id, values)))
        locked = _graded(f"{task.id}-test", grade=True, locked=True, points=task.points)
        cells.append(_code(f"{task.id}-test", f'check("{task.id}")', **locked))
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    meta = {"kernelspec": kernel, "language_info": {"name": "python"}}
    notebook = {"cells": cells, "metadata": meta, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _markdown(name, text):
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": text.splitlines(keepends=True)}


def _code(name, text, **metadata):
    source = text.splitlines(keepends=True)
    cell = {"cell_type": "code", "id": name, "metadata": metadata, "source": source}
    return {**cell, "execution_count": None, "outputs": []}


def _answer(name, magic, text):
    marked = f"{magic}\n### BEGIN SOLUTION\n{text.strip()}\n### END SOLUTION"
    return _code(name, marked, **_graded(name, solution=True))


def _graded(name, **facts):
    kind = {"grade": False, "solution": False, "locked": False, "task": False, "schema_version": 3, "grade_id": name}
    return {"nbgrader": {**kind, **facts}}


def path(name):
    """Where an assignment's solution notebook lies."""
    return ROOT / "solutions" / name / f"{name}.ipynb"


def main():
    """Write the notebooks."""
    parser = argparse.ArgumentParser(prog="python -m tests.build_assignment", description="Write solutions/ notebooks.")
    parser.add_argument("assignments", nargs="*", default=[n for n, a in assignments().items() if a.tasks])
    parser.add_argument("--course", default=COURSE, help="the course key that separates terms")
    chosen = parser.parse_args()
    for name in chosen.assignments:
        path(name).parent.mkdir(parents=True, exist_ok=True)
        path(name).write_text(build(name, chosen.course), encoding="utf-8")
        print(path(name).relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
