"""What a task is: a row of text (``tasks/*.yaml``) and one function from a generator to a `Scenario`.

The text says what is taught and asked; the function draws names and faults and says what must hold afterwards. No
answer is stored anywhere: what is true is found by running the scenario's cluster.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from importlib import import_module
from typing import Any

from k8snet.cluster import Cluster
from k8snet.course.draw import COURSE, generator
from k8snet.course.expect import Expectation, Matrix
from k8snet.manifests.tables import table

MODULES = (
    "model", "services", "datapath", "names", "ingress_policy", "egress_policy", "outside", "wiring", "incidents", "capstone",
)  # fmt: skip


_rows = partial(table, package="k8snet.course.tasks")

# How the answer to each kind of task is written, what it may point at, and other words for that.
_FORMS = _rows("forms")
FORMS: Mapping[str, str] = _FORMS["forms"]
STATIONS: Mapping[str, str] = _FORMS["stations"]
SYNONYMS: Mapping[str, Mapping[str, str]] = _FORMS["synonyms"]
OUTCOMES = ("delivered", "refused", "timed out", "name not found", "no route")
NAMELESS = "\n\nThis small cluster has no DNS server: call by address."


class AnyOf(tuple[str, ...]):
    """The truth of a question that has more than one right answer."""


def counted(n: int, thing: str) -> str:
    """``1 field``, ``2 fields``."""
    return f"{n} {thing}" + ("" if n == 1 else "s")


@dataclass(frozen=True, eq=False)
class Scenario:
    """One learner's version of a task.

    ``values`` fill the placeholders of text and hints, and are all that a model answer is made from. ``manifests`` is the
    starting cluster, with ``given``, the manifest to repair, applied after it; ``lines`` are those to arrange; ``knobs`` go
    to `Cluster`; ``wait`` simulated seconds pass before anything is judged. ``expect`` is what must hold once the answer is
    applied. ``request`` (client, target, port) is what predict, drop and explain ask about; ``questions`` are further
    keys of a prediction, each with the function that finds the truth on the starting cluster. ``most`` bounds what is
    counted: changed fields of a repair, probes of a hunt (whose fix ``edits`` bounds, unless 0).
    """

    values: Mapping[str, Any]
    manifests: str
    expect: tuple[Expectation, ...] = ()
    knobs: Mapping[str, Any] = field(default_factory=dict)
    given: str = ""
    lines: str = ""
    request: tuple[str, str, int] | None = None
    questions: Mapping[str, Callable[[Cluster], Any]] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    pods: tuple[str, ...] = ()
    port: int = 0
    most: int = 0
    edits: int = 0
    wait: float = 0.0

    def words(self) -> dict[str, Any]:
        """What stands for the placeholders of a text: the values, and blocks made from the other fields."""
        stations = "\n".join([f"{_FORMS['where']}\n", *(f"- `{key}`: {text}" for key, text in STATIONS.items())])
        about = (
            f"- `outcome`: one of {', '.join(OUTCOMES)}\n- `station`: what decides it; `none` where nothing stops it"
        )
        keys = "\n".join([*([about] if self.request else []), *(f"- `{key}`" for key in self.questions)])
        rows = "\n".join(f"{p}: {'? ' * len(self.pods)}".rstrip() for p in self.pods)
        wanted = next((e for e in self.expect if isinstance(e, Matrix)), None)
        return {
            "options": "\n".join(f"{i}. {option}" for i, option in enumerate(self.options, 1)),
            "stations": stations,
            "keys": f"{keys}\n\n{stations}" if self.request else keys,
            "pods": ", ".join(self.pods),
            "port": self.port,
            "most": self.most,
            "fields": counted(self.most, "field"),
            "edits": self._bound(),
            "given": f"```yaml\n{self.given.strip()}\n```",
            "lines": f"```yaml\n{self.lines}\n```",
            "manifests": f"```yaml\n{self.manifests.strip()}\n```",
            "matrix": f"```\n{wanted}\n```" if wanted else "",
            "empty": f"```\n# columns: {' '.join(self.pods)}\n{rows}\n```",
            **self.values,
        }

    def _bound(self) -> str:
        """How much the fix of a hunt may change."""
        if not self.edits:
            return ""
        small = ", or add one small object" if self.edits >= 10 else ""
        again = "What is deleted and made anew counts by what differs afterwards."
        return f"The fix may change {counted(self.edits, 'field')} at most{small}. {again} "


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
    like: str = ""  # the task that an exam repeats, drawn anew

    def scenario(self, student: str, course: str = COURSE) -> Scenario:
        """The scenario of one student: always the same for the same student and course key."""
        return self.draw(generator(course, student, self.id))


def sheet(task: Task, scenario: Scenario) -> str:
    """A task's text for one student, as Markdown."""
    called = bool(scenario.expect) or "kind: Service" in scenario.manifests
    note = NAMELESS if called and scenario.knobs.get("dns") is False else ""
    text = f"{task.text.strip()}{note}\n\n{FORMS[task.kind]}".format_map(scenario.words())
    return f"**{task.title}** ({counted(task.points, 'point')})\n\n{text.strip()}"


@dataclass(frozen=True)
class Assignment:
    """An assignment: its title and introduction."""

    name: str
    title: str
    text: str

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Its tasks, in order."""
        return tuple(t for t in tasks().values() if t.assignment == self.name)


@cache
def assignments() -> Mapping[str, Assignment]:
    """All assignments by name, in the order of the course."""
    return {name: Assignment(name, **row) for name, row in sorted(_rows("assignments").items())}


@cache
def tasks() -> Mapping[str, Task]:
    """All tasks by id, in the order of the course."""
    found: dict[str, Task] = {}
    for name in MODULES:
        for key, row in _rows(name).items():
            if "like" in row:
                found[key] = replace(found[row["like"]], id=key, **row)
                continue
            draw = getattr(import_module(f"k8snet.course.tasks.{name}"), key.replace("-", "_"))
            lists = {"teaches": tuple(row["teaches"]), "hints": tuple(row["hints"])}
            found[key] = Task(id=key, draw=draw, **{**row, **lists})
    return found
