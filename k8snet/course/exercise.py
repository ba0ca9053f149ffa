"""An assignment in a notebook: show a task, take the answer, check it, give hints.

``%%answer TASK`` keeps the text of its cell as the answer and shows what the cluster says to it; ``%%probes TASK``
replays one command a line and shows what each prints. Nothing is kept but text, so cells may run in any order.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace

from k8snet.cluster import Cluster
from k8snet.course import judge, progress
from k8snet.course.draw import COURSE
from k8snet.course.judge import Feedback
from k8snet.course.task import Scenario, Task, assignments, counted, sheet, tasks
from k8snet.course.tasks import incidents

SAMPLE = "sample"


@dataclass
class Session:
    """Who works on what in this kernel, and the answers so far."""

    assignment: str = ""
    student: str = SAMPLE
    course: str = COURSE
    answers: dict[str, str] = field(default_factory=dict)
    probes: dict[str, str] = field(default_factory=dict)
    hints: dict[str, int] = field(default_factory=dict)


session = Session()


@dataclass(frozen=True)
class Sheet:
    """Text that a notebook shows as Markdown and everything else as it is."""

    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return self.text


def begin(assignment: str, student: str, course: str = COURSE) -> Sheet:
    """Start an assignment: tasks are drawn for this student and course key. Earlier answers in this kernel stay."""
    _register()
    student = str(student).strip()
    session.assignment, session.student, session.course = assignment, student, course
    found = assignments().get(assignment)
    if found is None:
        return Sheet(f"There is no assignment {assignment!r}. There are: {', '.join(assignments())}")
    points = sum(t.points for t in found.tasks)
    note = (
        "\n\nThis is the sample student: write your own id into the cell above, then run it again."
        if student == SAMPLE
        else ""
    )
    return Sheet(f"Assignment {assignment} for {student}: {len(found.tasks)} tasks, {points} points.{note}")


def _find(task_id: str) -> tuple[Task, Scenario] | None:
    found = incidents.room(task_id) if incidents.in_room(task_id) else tasks().get(task_id)
    return (found, found.scenario(session.student, session.course)) if found else None


def show(task_id: str = "") -> Sheet:
    """The task as drawn for this student, and how it is answered."""
    found = _find(task_id)
    return Sheet(sheet(*found)) if found else _unknown(task_id)


def cluster(task_id: str = "") -> Cluster | Sheet:
    """The task's starting cluster, to look around in; the magics act on it. A fresh one at every call."""
    found = _find(task_id)
    return judge.start(found[1]).use() if found else _unknown(task_id)


def check(task_id: str = "") -> Feedback | Sheet:
    """Judge the answer given so far: each goal, and a counterexample for the first that is not met. What would be right
    is said once all hints were shown."""
    found = _find(task_id)
    if found is None:
        return _unknown(task_id)
    feedback = judge.judge(*found, session.answers.get(task_id, ""), session.probes.get(task_id, ""))
    if not incidents.in_room(task_id):
        progress.keep_task(task_id, feedback.score)
    return replace(feedback, told=session.hints.get(task_id, 0) >= len(found[0].hints))


def hint(task_id: str = "") -> Sheet:
    """The next hint: first where to look, then which field, then a worked line."""
    found = _find(task_id)
    if found is None:
        return _unknown(task_id)
    task, scenario = found
    shown = session.hints[task_id] = min(session.hints.get(task_id, 0) + 1, len(task.hints))
    return Sheet(
        "\n\n".join(f"Hint {i}: {h.format_map(scenario.words()).strip()}" for i, h in enumerate(task.hints[:shown], 1))
    )


def _unknown(task_id: str) -> Sheet:
    mine = [t.id for t in tasks().values() if t.assignment == session.assignment]
    missing = f"There is no task {task_id!r}." if task_id else "Which task? Write its name, in quotes."
    return Sheet(f"{missing} Tasks of {session.assignment or 'this course'}: {', '.join(mine or tasks())}")


def _answer(line: str, cell: str) -> None:
    found, task_id = _find(line.strip()), line.strip()
    if found is None:
        print(_unknown(task_id))
        return
    session.answers[task_id] = cell
    text = judge.body(cell)
    if not text:
        print("No answer yet.")
    elif found[0].kind in ("write", "repair", "arrange", "probes"):
        print(judge.apply(judge.start(found[1]), text)[1])
    else:
        print("Answer noted.")


def _probes(line: str, cell: str) -> None:
    found, task_id = _find(line.strip()), line.strip()
    if found is None:
        print(_unknown(task_id))
        return
    session.probes[task_id] = cell
    used = 0
    for command, output, counts in judge.replayed(found[1], cell):
        print(f"$ {command}\n{output}\n")
        used += counts
    print(f"{used} of at most {counted(found[1].most, 'probe')}.")


def _register() -> None:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None:
        shell.register_magic_function(_answer, "cell", "answer")
        shell.register_magic_function(_probes, "cell", "probes")


_register()
