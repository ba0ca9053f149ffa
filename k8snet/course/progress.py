"""What a learner has predicted and solved, kept in ``progress.json`` at the top of the course (never in git).

``K8SNET_PROGRESS`` names another file; ``none`` switches it off. Only `report` reads the file, so a notebook's other
outputs do not depend on it. A file that cannot be read or written is left alone and the course goes on without it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from k8snet.manifests.tables import table


@dataclass
class Progress:
    """``predictions`` and ``tasks`` by id; see `Prediction` and `Feedback` for what they hold."""

    predictions: dict[str, dict[str, Any]] = field(default_factory=dict)
    tasks: dict[str, float] = field(default_factory=dict)


def path() -> Path | None:
    """The file, or None where progress is switched off."""
    named = os.environ.get("K8SNET_PROGRESS", "")
    if named:
        return None if named == "none" else Path(named)
    here = Path.cwd()
    top = next((p for p in (here, *here.parents) if (p / "notebooks").is_dir() and (p / "k8snet").is_dir()), here)
    return top / "progress.json"


def load() -> Progress:
    """What is kept so far; empty if there is no readable file."""
    file = path()
    try:
        data = json.loads(file.read_text(encoding="utf-8")) if file else {}
        return Progress(dict(data.get("predictions", {})), dict(data.get("tasks", {})))
    except (OSError, ValueError, AttributeError, TypeError):
        return Progress()


def _keep(progress: Progress) -> None:
    file = path()
    if file is None:
        return
    try:
        file.write_text(json.dumps(vars(progress), indent=1, sort_keys=True), encoding="utf-8")
    except OSError:
        return


def keep_prediction(prediction_id: str, facts: dict[str, Any]) -> None:
    """Remember how a prediction went."""
    progress = load()
    progress.predictions[prediction_id] = facts
    _keep(progress)


def keep_task(task_id: str, score: float) -> None:
    """Remember the best score of a task."""
    progress = load()
    progress.tasks[task_id] = max(score, progress.tasks.get(task_id, 0.0))
    _keep(progress)


def report() -> Report:
    """What is predicted and solved so far, by objective of the exams, and what to repeat next."""
    from k8snet.course.predictions import questions
    from k8snet.course.task import tasks

    kept = load()
    if not kept.predictions and not kept.tasks:
        return Report("Nothing is kept yet. What you predict and solve is shown here, by objective of the exams.")
    right = [q for q, facts in kept.predictions.items() if facts.get("right")]
    solved = [t for t, score in kept.tasks.items() if score >= 1]
    learnt = {i for q in right if q in questions() for i in questions()[q].teaches}
    learnt |= {i for t in solved if t in tasks() for i in tasks()[t].teaches}
    lines = [
        _bar("predictions", len(kept.predictions), len(questions())),
        _bar("tasks solved", len(solved), len(tasks())),
    ]
    for row in table("objectives", __package__):
        ids = set(row["ids"].split())
        lines.append(_bar(f"{row['exam']}: {row['objective']}", len(ids & learnt), len(ids)))
    wrong = [q for q in kept.predictions if q not in right and q in questions()]
    wrong.sort(key=lambda q: kept.predictions[q].get("confidence") != "sure")
    again = [f"  {q}: {questions()[q].question}" for q in wrong[:3]]
    return Report("\n".join([*lines, *(["repeat next, the surest surprises first:", *again] if again else [])]))


def _bar(what: str, done: int, total: int) -> str:
    filled = round(20 * done / total) if total else 0
    return f"[{'#' * filled}{'.' * (20 - filled)}] {done:>3} of {total:<3} {what}"


@dataclass(frozen=True)
class Report:
    """Progress as text."""

    text: str

    def __repr__(self) -> str:
        return self.text
