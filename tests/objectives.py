"""``python -m tests.objectives``: make docs/objectives.md from the objectives, the notebooks' index and the tasks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "objectives.md"


def index() -> dict[str, list[tuple[str, str, str]]]:
    """Where each concept and fault is met: id to (notebook, cell, what its output shows)."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    for path in sorted((ROOT / "notebooks" / "index").glob("*.yaml")):
        for key, row in (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).items():
            found.setdefault(key, []).append((path.stem, row["cell"], row["shows"]))
    return found


def rows() -> list[dict[str, Any]]:
    """The objectives with their ids as lists."""
    listed = yaml.safe_load((ROOT / "k8snet" / "course" / "objectives.yaml").read_text(encoding="utf-8"))
    return [{**row, "ids": row["ids"].split()} for row in listed]


def text() -> str:
    """The document."""
    from k8snet.course.task import tasks

    met = index()
    lines = [
        "# Objectives of the certifications, and where the course serves them",
        "",
        "Made by `python -m tests.objectives`; do not edit. C and F ids are the course's concepts and faults.",
        "",
        "| exam | objective | notebooks (cell) | tasks |",
        "| --- | --- | --- | --- |",
    ]
    for row in rows():
        cells = dict.fromkeys(
            f"[{n}](../notebooks/{n}.ipynb) ({key}: `{c}`)" for key in row["ids"] for n, c, _ in met.get(key, ())
        )
        served = dict.fromkeys(t.id for t in tasks().values() if set(t.teaches) & set(row["ids"]))
        lines.append(
            f"| {row['exam']} | {row['objective']} | {', '.join(cells)} | {', '.join(f'`{t}`' for t in served)} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
    sys.exit(0)
