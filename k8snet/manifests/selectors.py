"""Label selectors: compiled once, matched many times, and able to say which condition failed.

Semantics: k8s.io/apimachinery pkg/labels (selector.go). ``NotIn`` and ``DoesNotExist`` also hold for a missing key.
An empty selector matches everything; an absent one means whatever its field says it means, so it is the caller's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on one label key. ``operator`` is In, NotIn, Exists or DoesNotExist, as in matchExpressions."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Labels) -> bool:
        """Whether a set of labels meets this condition."""
        value = labels.get(self.key)
        if self.operator == "In":
            return value is not None and value in self.values
        if self.operator == "NotIn":
            return value is None or value not in self.values
        return (value is not None) is (self.operator == "Exists")

    def __str__(self) -> str:
        values = ",".join(sorted(self.values))
        if self.operator == "In":
            return f"{self.key}={values}" if len(self.values) == 1 else f"{self.key} in ({values})"
        if self.operator == "NotIn":
            return f"{self.key} notin ({values})"
        return self.key if self.operator == "Exists" else f"!{self.key}"


@dataclass(frozen=True, slots=True)
class Selector:
    """All requirements must hold; with none, everything matches. ``str()`` gives kubectl's ``-l`` spelling."""

    requirements: tuple[Requirement, ...] = ()

    def matches(self, labels: Labels) -> bool:
        """Whether a set of labels is selected."""
        return all(r.matches(labels) for r in self.requirements)

    def first_failure(self, labels: Labels) -> Requirement | None:
        """The first condition, in the order written, that *labels* does not meet; None if it is selected."""
        return next((r for r in self.requirements if not r.matches(labels)), None)

    @property
    def everything(self) -> bool:
        """Whether this is the empty selector."""
        return not self.requirements

    def __str__(self) -> str:
        return ",".join(map(str, self.requirements))


def from_labels(labels: Labels | None) -> Selector:
    """The selector of a Service or a ``-l`` equality list: every pair must be there."""
    return Selector(tuple(Requirement(k, "In", frozenset((v or "",))) for k, v in (labels or {}).items()))


def from_label_selector(obj: Mapping[str, Any] | None) -> Selector:
    """A ``metav1.LabelSelector`` (matchLabels and matchExpressions, ANDed); None is read as empty."""
    obj = obj or {}
    expressions = (
        Requirement(e["key"], e["operator"], frozenset(e.get("values") or ()))
        for e in obj.get("matchExpressions") or ()
    )
    return Selector(from_labels(obj.get("matchLabels")).requirements + tuple(expressions))


_TERM = re.compile(
    r"\s*(?:(?P<not>!\s*)(?P<absent>[^\s,=!()]+)"
    r"|(?P<key>[^\s,=!()]+)\s*(?:(?P<op>==|!=|=)\s*(?P<value>[^\s,()]*)"
    r"|\s(?P<set>in|notin)\s*\((?P<values>[^)]*)\))?)\s*(?:,|$)"
)


def parse(text: str) -> Selector:
    """kubectl's ``-l`` text: ``a=b,c!=d,e in (f,g),h,!i``.

    Raises ValueError, in kubectl's words, for text that is no selector.
    """
    requirements, position = [], 0
    while position < len(text):
        m = _TERM.match(text, position)
        if m is None or m.end() == position:
            raise ValueError(f"unable to parse requirement: found '{text[position:].strip()}', expected: identifier")
        position = m.end()
        if m["absent"]:
            requirements.append(Requirement(m["absent"], "DoesNotExist"))
        elif m["set"]:
            values = frozenset(v.strip() for v in m["values"].split(","))
            requirements.append(Requirement(m["key"], "In" if m["set"] == "in" else "NotIn", values))
        elif m["op"]:
            requirements.append(Requirement(m["key"], "NotIn" if m["op"] == "!=" else "In", frozenset((m["value"],))))
        else:
            requirements.append(Requirement(m["key"], "Exists"))
    return Selector(tuple(requirements))
