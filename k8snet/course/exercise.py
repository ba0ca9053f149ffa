"""An assignment in a notebook: show a task, take the answer, check it, give hints.

``%%answer TASK`` keeps the text of its cell as the answer and shows what the cluster says to it; ``%%probes TASK``
replays one command a line and shows what each prints. Nothing is kept but text, so cells may run in any order.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from k8snet.cluster import Cluster
from k8snet.course import judge
from k8snet.course.draw import COURSE
from k8snet.course.judge import Feedback
from k8snet.course.task import Scenario, Task, tasks


@dataclass
class Session:
    """Who works on what in this kernel, and the answers so far."""

    assignment: str
    student: str
    course: str
    answers: dict[str, str] = field(default_factory=dict)
    probes: dict[str, str] = field(default_factory=dict)
    hints: dict[str, int] = field(default_factory=dict)


session = Session("", "sample", COURSE)


@dataclass(frozen=True)
class Sheet:
    """A task as a learner reads it; ``str()`` and the notebook show the same text."""

    task: Task
    scenario: Scenario

    def __str__(self) -> str:
        text = self.task.text.format_map(_words(self.scenario)).strip()
        return f"{self.task.title} ({self.task.points} points)\n\n{text}"

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        title, _, text = str(self).partition("\n")
        return f"**{title}**\n{text}"


def _words(scenario: Scenario) -> Mapping[str, object]:
    numbered = "\n".join(f"{i}. `{option}`" for i, option in enumerate(scenario.options, 1))
    stations = "\n".join(f"- `{key}`: {text}" for key, text in judge.STATIONS.items())
    blocks = {
        "given": f"```yaml\n{scenario.given.strip()}\n```",
        "manifests": f"```yaml\n{scenario.manifests.strip()}\n```",
    }
    return {
        "options": numbered,
        "stations": stations,
        "pods": ", ".join(scenario.pods),
        "most": scenario.most,
        **blocks,
        **scenario.values,
    }


def begin(assignment: str, student: str, course: str = COURSE) -> None:
    """Start an assignment: tasks are drawn for this student and course key. Earlier answers in this kernel stay."""
    same = (session.assignment, session.student, session.course) == (assignment, student, course)
    session.assignment, session.student, session.course = assignment, student, course
    if not same:
        session.answers.clear()
        session.probes.clear()
    _register()
    points = sum(t.points for t in tasks().values() if t.assignment == assignment)
    count = sum(t.assignment == assignment for t in tasks().values())
    print(f"Assignment {assignment} for {student}: {count} tasks, {points} points.")


def _find(task_id: str) -> tuple[Task, Scenario] | None:
    found = tasks().get(task_id)
    return (found, found.scenario(session.student, session.course)) if found else None


def show(task_id: str) -> Sheet | str:
    """The task as drawn for this student."""
    found = _find(task_id)
    return Sheet(*found) if found else _unknown(task_id)


def cluster(task_id: str) -> Cluster | str:
    """The task's starting cluster, to look around in; the magics act on it. A fresh one at every call."""
    found = _find(task_id)
    return judge.start(found[1]).use() if found else _unknown(task_id)


def check(task_id: str) -> Feedback | str:
    """Judge the answer given so far: each goal, and a counterexample for the first that is not met."""
    found = _find(task_id)
    if found is None:
        return _unknown(task_id)
    return judge.judge(*found, session.answers.get(task_id, ""), session.probes.get(task_id, ""))


def hint(task_id: str) -> str:
    """The next hint: first where to look, then which field, then a worked line."""
    found = _find(task_id)
    if found is None:
        return _unknown(task_id)
    shown = session.hints.get(task_id, 0)
    session.hints[task_id] = min(shown + 1, len(found[0].hints))
    lines = [h.format_map(_words(found[1])).strip() for h in found[0].hints[: shown + 1]]
    return "\n".join(f"Hint {i}: {line}" for i, line in enumerate(lines, 1))


def _unknown(task_id: str) -> str:
    mine = [t.id for t in tasks().values() if t.assignment == session.assignment]
    return f"There is no task {task_id!r}. Tasks of {session.assignment or 'this course'}: {', '.join(mine or tasks())}"


def _answer(line: str, cell: str) -> None:
    task_id = line.strip()
    found = _find(task_id)
    if found is None:
        print(_unknown(task_id))
        return
    session.answers[task_id] = cell
    body = judge._body(cell)
    if not body:
        print("No answer yet.")
    elif found[0].kind in ("write", "repair", "arrange", "probes"):
        print(judge.start(found[1]).apply(body))
    else:
        print("Answer noted.")


def _probes(line: str, cell: str) -> None:
    task_id = line.strip()
    found = _find(task_id)
    if found is None:
        print(_unknown(task_id))
        return
    session.probes[task_id] = cell
    probed = judge.start(found[1])
    for command in judge.probe_lines(cell)[: judge.MOST_PROBES]:
        print(f"$ {command}\n{judge.replay(probed, command)}\n")
    print(f"{len(judge.probe_lines(cell))} of at most {found[1].most} probes.")


def _register() -> None:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is not None:
        shell.register_magic_function(_answer, "cell", "answer")
        shell.register_magic_function(_probes, "cell", "probes")
