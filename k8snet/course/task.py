"""What a task is: a row of text (``tasks/*.yaml``) and one function from a generator to a `Scenario`.

The text says what is taught and asked; the function draws names and faults and says what must hold afterwards. No
answer is stored anywhere: what is true is found by running the scenario's cluster.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module, resources
from typing import Any

import yaml

from k8snet.cluster import Cluster
from k8snet.course.draw import COURSE, generator
from k8snet.course.expect import Expectation, Matrix

MODULES = (
    "model", "services", "datapath", "names", "ingress_policy", "egress_policy", "outside", "wiring", "incidents", "capstone",
)  # fmt: skip

_MANIFESTS = "Answer with manifests. Lines `kubectl …` may stand before them and run first."
_LINES = "Answer with one line each, `key: value`:\n"
_STATIONS = "\n\nThe stations, in the order of the diagnosis:\n\n{stations}"

# For each kind how its answer is written, below the task's own text.
FORMS: Mapping[str, str] = {
    "write": _MANIFESTS,
    "repair": "{given}\n\nAnswer with the repaired manifests, or with lines `kubectl …` that repair the cluster. At most "
    "{most} field(s) may differ afterwards.",
    "arrange": "{lines}\n\nAnswer with these lines in the right order, indented. One of them does not belong: leave it out.",
    "predict": _LINES + "\n{keys}",
    "matrix": "Fill in the matrix for port {port}: rows call, columns answer; `.` gets through, `X` does not.\n\n{empty}",
    "drop": _LINES + "\n- `station`, where the packet ends\n- `node`, on which node that is" + _STATIONS,
    "explain": "{options}\n\nAnswer with one line, `rule: NUMBER`.",
    "probes": "Find out with at most {most} probes, one a line: `kubectl …`, or `POD$ curl -sS …` for a command in a Pod "
    "(also `outside$`, `node/NAME$`). They go into the cell `%%probes`, the fix into the next. " + _MANIFESTS,
}
KINDS = tuple(FORMS)

# The stations of a request, in the order of the diagnosis ladder: what a learner may point at.
STATIONS: Mapping[str, str] = {
    "name": "the name look-up",
    "egress": "the client's egress policy",
    "service": "the Service's rules, where its address is replaced by a Pod's",
    "network": "routes, tunnels and the network between the nodes",
    "ingress": "the target's ingress policy",
    "socket": "the target's socket: whether anything listens there",
}
OUTCOMES = ("delivered", "refused", "timed out", "name not found", "no route")


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
        keys = [
            f"- `outcome`: one of {', '.join(OUTCOMES)}",
            "- `station`: what decides it; `none` where nothing stops it",
        ]
        keys = [*(keys if self.request else []), *(f"- `{key}`" for key in self.questions)]
        stations = "\n".join(f"- `{key}`: {text}" for key, text in STATIONS.items())
        wanted = next((e for e in self.expect if isinstance(e, Matrix)), None)
        return {
            "options": "\n".join(f"{i}. {option}" for i, option in enumerate(self.options, 1)),
            "stations": stations,
            "keys": "\n".join(keys) + (_STATIONS.format(stations=stations) if self.request else ""),
            "pods": ", ".join(self.pods),
            "port": self.port,
            "most": self.most,
            "given": f"```yaml\n{self.given.strip()}\n```",
            "lines": f"```yaml\n{self.lines}\n```",
            "manifests": f"```yaml\n{self.manifests.strip()}\n```",
            "matrix": f"```\n{wanted}\n```" if wanted else "",
            "empty": "```\n" + "\n".join(f"{p}: {'? ' * len(self.pods)}".rstrip() for p in self.pods) + "\n```",
            **self.values,
        }


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
    text = f"{task.text.strip()}\n\n{FORMS[task.kind]}".format_map(scenario.words())
    return f"**{task.title}** ({task.points} points)\n\n{text.strip()}"


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


def _rows(name: str) -> Mapping[str, Any]:
    resource = resources.files("k8snet.course.tasks").joinpath(f"{name}.yaml")
    if not resource.is_file():
        return {}
    return yaml.load(resource.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}


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
