"""The notebooks of assignments are what tasks and answers give, and nothing handed out holds an answer."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import k8snet
from k8snet.course.exercise import SAMPLE
from k8snet.course.task import assignments
from tests.build_assignment import build, path
from tests.course import answers

ROOT = Path(__file__).resolve().parents[2]
NAMES = [n for n, a in assignments().items() if a.tasks]


@pytest.mark.parametrize("name", NAMES)
def test_solutions_are_what_the_builder_gives(name):
    kept = path(name).read_text(encoding="utf-8")
    key = re.search(r'course=\\"([^"]*)\\"', kept)[1]
    assert kept == build(name, key), f"run: python -m tests.build_assignment {name}"


@pytest.mark.parametrize("name", NAMES)
def test_exercises_hold_no_answer(name):
    released = json.loads((ROOT / "exercises" / name / f"{name}.ipynb").read_text(encoding="utf-8"))
    text = {c["id"]: "".join(c["source"]) for c in released["cells"]}
    for task in assignments()[name].tasks:
        assert text[task.id] == f"%%answer {task.id}\n# YOUR ANSWER HERE"
        assert answers.model(task.id, task.scenario(SAMPLE).values).strip() not in "\n".join(text.values())


def test_the_package_holds_no_answer():
    package = Path(k8snet.__file__).parent
    assert not [p for p in package.rglob("*") if p.name in ("answers", "solutions")]
    assert "solutions" not in "".join(p.read_text(encoding="utf-8") for p in (package / "course").rglob("*.py"))
