"""What a task is: a row of text (``tasks/*.yaml``) and one function from a generator to a `Scenario`.

The text says what is taught and asked; the function draws names and faults and says what must hold afterwards. No
answer is stored anywhere: what is true is found by running the scenario's cluster.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module, resources
from typing import Any

import yaml

from k8snet.course.draw import COURSE, generator
from k8snet.course.expect import Expectation

KINDS = ("write", "repair", "predict", "matrix", "drop", "arrange", "probes", "explain")
MODULES = (
    "model", "services", "datapath", "names", "ingress_policy", "egress_policy", "outside", "wiring", "incidents", "capstone",
)  # fmt: skip


@dataclass(frozen=True)
class Scenario:
    """One learner's version of a task.

    ``values`` fill the placeholders of text and hints; ``manifests`` is the starting cluster; ``knobs`` go to `Cluster`;
    ``given`` is the manifest to repair, or to arrange. ``expect`` is what must hold once the answer is applied.
    ``request`` (client, target, port) is what predict, drop and explain tasks ask about; ``after`` is applied first.
    ``most`` bounds what is counted: edits of a repair, probes of a hunt.
    """

    values: Mapping[str, Any]
    manifests: str
    expect: tuple[Expectation, ...] = ()
    knobs: Mapping[str, Any] = field(default_factory=dict)
    given: str = ""
    distractor: str = ""
    request: tuple[str, str, int] | None = None
    options: tuple[str, ...] = ()
    pods: tuple[str, ...] = ()
    most: int = 0


@dataclass(frozen=True)
class Task:
    """A task as every learner shares it; `scenario` makes it a learner's own."""

    id: str
    assignment: str
    kind: str
    title: str
    teaches: tuple[str, ...]
    points: int
    text: str
    hints: tuple[str, ...]
    draw: Callable[[random.Random], Scenario]

    def scenario(self, student: str, course: str = COURSE) -> Scenario:
        """The scenario of one student: always the same for the same student and course key."""
        return self.draw(generator(course, student, self.id))


@cache
def tasks() -> Mapping[str, Task]:
    """All tasks by id, in the order of the course."""
    found: dict[str, Task] = {}
    for name in MODULES:
        resource = resources.files("k8snet.course.tasks").joinpath(f"{name}.yaml")
        if not resource.is_file():
            continue
        module = import_module(f"k8snet.course.tasks.{name}")
        for task_id, row in yaml.safe_load(resource.read_text(encoding="utf-8")).items():
            found[task_id] = Task(
                id=task_id,
                assignment=row["assignment"],
                kind=row["kind"],
                title=row["title"],
                teaches=tuple(row["teaches"]),
                points=row["points"],
                text=row["text"],
                hints=tuple(row["hints"]),
                draw=getattr(module, task_id.replace("-", "_")),
            )
    return found
