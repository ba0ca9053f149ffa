"""nbgrader with the static grader in the place where it would run a student's notebook (see ``nbgrader_config.py``).

`DropDuplicates` comes first: a copied cell would otherwise stop the whole batch. `StaticGrade` writes the points into
each check cell as its output, where nbgrader's SaveAutoGrades looks for them. Needs the extra ``grade``.
"""

from __future__ import annotations

from typing import Any

from nbformat.v4 import new_output
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Unicode

from k8snet.course import grade
from k8snet.course.draw import COURSE
from k8snet.course.task import tasks


class DropDuplicates(NbGraderPreprocessor):  # type: ignore[misc]
    """Leave nbgrader's mark on the one cell of each grade_id that counts (`k8snet.course.grade.chosen`), and on none that
    is not of this assignment: nbgrader's OverwriteCells fails on a cell that it does not know."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """As nbconvert calls it."""
        counts = grade.chosen(nb.cells)
        mine = [t.id for t in tasks().values() if t.assignment == resources["nbgrader"]["assignment"]]
        known = {f"{task}{part}" for task in mine for part in ("", "-probes", "-test")}
        for place, cell in enumerate(nb.cells):
            name = grade.grade_id(cell)
            if "nbgrader" in cell.metadata and (name not in known or counts[name] != place):
                del cell.metadata["nbgrader"]
        return nb, resources


class StaticGrade(NbGraderPreprocessor):  # type: ignore[misc]
    """Judge each answer cell's text and note the points in its check cell."""

    course = Unicode(COURSE, help="The course key, as in the notebooks.").tag(config=True)

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """As nbconvert calls it; the student is the folder's."""
        student = resources["nbgrader"]["student"]
        cells = {grade.grade_id(c): c for c in nb.cells if grade.grade_id(c)}
        for task in tasks().values():
            check = cells.get(f"{task.id}-test")
            if check is not None and check.cell_type == "code":
                text, probes = (grade.source(cells[i]) if i in cells else "" for i in (task.id, f"{task.id}-probes"))
                feedback = grade.judged(task, task.scenario(student, self.course), text, probes)
                said = new_output("stream", name="stdout", text=f"{feedback}\n")
                points = new_output("execute_result", data={"text/plain": repr(grade.points(task, feedback))})
                check.outputs, check.execution_count = [said, points], 1
        return nb, resources
