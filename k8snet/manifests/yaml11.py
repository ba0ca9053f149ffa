"""One YAML document as kubectl understands it: YAML 1.1 as Go's parser resolves it, turned into JSON values.

The real thing: sigs.k8s.io/yaml on go.yaml.in/yaml/v2, a port of libyaml. PyYAML (libyaml itself, where it is built in)
gives the events; which text stands for which value is Go's own rule (resolve.go), and so is the wording of errors.
Documents are built without recursion, and refused as soon as they grow too large.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from k8snet.manifests.errors import render

MAX_BYTES = 10_000_000
MAX_NODES = 100_000
MAX_DEPTH = 100

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_WORDS: Mapping[str, Any] = {
    **{spelling: True for word in ("y", "yes", "true", "on") for spelling in (word, word.capitalize(), word.upper())},
    **{spelling: False for word in ("n", "no", "false", "off") for spelling in (word, word.capitalize(), word.upper())},
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **{sign + word: float(sign + "inf") for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF")},
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
}
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_TAG = "tag:yaml.org,2002:"

# What PyYAML's own parser says, and what libyaml and its port say: (in the context, problem starts with, their text).
_TEXTS = (
    ("", "found character", "found character that cannot start any token"),
    ("", "mapping values are not allowed", "mapping values are not allowed in this context"),
    ("", "sequence entries are not allowed", "block sequence entries are not allowed in this context"),
    ("block mapping", "expected <block end>", "did not find expected key"),
    ("block collection", "expected <block end>", "did not find expected '-' indicator"),
    ("flow sequence", "expected ',' or ']'", "did not find expected ',' or ']'"),
    ("flow mapping", "expected ',' or '}'", "did not find expected ',' or '}'"),
    ("", "expected the node content", "did not find expected node content"),
    ("", "expected alphabetic or numeric", "did not find expected alphabetic or numeric character"),
    ("", "expected chomping", "did not find expected comment or line break"),
    ("", "expected a comment", "did not find expected comment or line break"),
)


class YamlError(Exception):
    """Text that is no YAML, in the words of Go's parser; ``line`` counts from 1 as an editor does (0: unknown)."""

    def __init__(self, text: str, line: int = 0) -> None:
        super().__init__(text)
        self.text, self.line = text, line


class TooLarge(Exception):
    """The document passes a limit of ours."""


@dataclass(slots=True)
class Budget:
    """What may still be read, over all documents of a text, aliases written out."""

    nodes: int = MAX_NODES
    chars: int = MAX_BYTES

    def spend(self, nodes: int, chars: int) -> None:
        """Raises TooLarge when it is used up."""
        self.nodes -= nodes
        self.chars -= chars
        if self.nodes < 0:
            raise TooLarge(f"the text has more than {MAX_NODES:,} values, aliases written out")
        if self.chars < 0:
            raise TooLarge(f"the text is longer than {MAX_BYTES // 1_000_000} MB, aliases written out")


@dataclass(slots=True)
class _Open:
    """A list or map that is being read."""

    value: Any
    anchor: str | None
    budget: tuple[int, int]
    is_map: bool
    key: str | None = None
    merge: bool = False


@dataclass(slots=True)
class Parsed:
    """A document's value, and the keys that stand in one map twice, as ``(key, line)`` from 1."""

    value: Any = None
    repeated: list[tuple[str, int]] = field(default_factory=list)


def parse(text: str, budget: Budget) -> Parsed:
    """The first document of *text*, as JSON values. Raises YamlError, TooLarge."""
    try:
        return _build(text, budget)
    except yaml.reader.ReaderError as error:
        raise YamlError("yaml: control characters are not allowed") from error
    except yaml.MarkedYAMLError as error:
        raise _in_go_words(error) from error


def _in_go_words(error: yaml.MarkedYAMLError) -> YamlError:
    problem, context = error.problem or "", error.context or ""
    text = next((t for c, start, t in _TEXTS if c in context and problem.startswith(start)), problem)
    line = error.problem_mark.line if error.problem_mark else 0
    shown = line + 1 if isinstance(error, yaml.scanner.ScannerError) else line
    where = f"line {shown}: " if line else ""
    return YamlError(f"yaml: {where}{text}", line + 1)


def _build(text: str, budget: Budget) -> Parsed:
    parsed, stack = Parsed(), list[_Open]()
    anchors: dict[str, tuple[Any, int, int] | None] = {}
    event: Any
    for event in yaml.parse(text, Loader=LOADER):
        kind = type(event)
        if kind is yaml.ScalarEvent:
            value = event.value
            budget.spend(1, len(value))
            plain = event.implicit[0] and not event.tag
            if plain and value == "<<" and stack and _awaits_key(stack[-1]):
                stack[-1].merge = True
                continue
            if plain or (event.tag or "").removeprefix(_TAG) in ("bool", "int", "float", "null"):
                value = resolve(value)
            if event.anchor:
                anchors[event.anchor] = (value, 1, len(event.value))
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            budget.spend(1, 0)
            if len(stack) == MAX_DEPTH:
                raise TooLarge(f"the text is nested more than {MAX_DEPTH} levels deep")
            is_map = kind is yaml.MappingStartEvent
            stack.append(_Open({} if is_map else [], event.anchor, (budget.nodes, budget.chars), is_map))
            if event.anchor:
                anchors[event.anchor] = None
            continue
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            done = stack.pop()
            value = done.value
            if done.anchor:
                anchors[done.anchor] = (value, 1 + done.budget[0] - budget.nodes, done.budget[1] - budget.chars)
        elif kind is yaml.AliasEvent:
            value = _alias(event.anchor, anchors, budget)
        elif kind is yaml.DocumentEndEvent:
            break
        else:
            continue
        if stack:
            _put(stack[-1], value, event, parsed)
        else:
            parsed.value = value
    return parsed


def _alias(name: str | None, anchors: Mapping[str, tuple[Any, int, int] | None], budget: Budget) -> Any:
    if name is None or name not in anchors:
        raise YamlError(f"yaml: unknown anchor '{name}' referenced")
    found = anchors[name]
    if found is None:
        raise YamlError(f"yaml: anchor '{name}' value contains itself")
    value, nodes, chars = found
    budget.spend(nodes, chars)
    return value


def _awaits_key(place: _Open) -> bool:
    return place.is_map and place.key is None and not place.merge


def _put(place: _Open, value: Any, event: yaml.Event, parsed: Parsed) -> None:
    """A value that is read, and the event that ended it, to its place in the list or map that is being read."""
    if not place.is_map:
        place.value.append(_finite(value, event) if type(value) is float else value)
    elif place.merge:
        place.merge = False
        _merge(place.value, value)
    elif place.key is None:
        place.key = value if type(value) is str else _key(value)
    else:
        if place.key in place.value:
            parsed.repeated.append((place.key, _line(event)))
        if place.key == _NULL:
            shown = _go_value(value)
            raise YamlError(f"unsupported map key of type: %!s(<nil>), key: <nil>, value: {shown}", _line(event))
        place.value[place.key] = _finite(value, event) if type(value) is float else value
        place.key = None


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0


_NULL = "\0null"


def _key(value: Any) -> str:
    if isinstance(value, dict | list):
        raise YamlError(f"yaml: invalid map key: {_go_value(value)}")
    if value is None:
        return _NULL
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def _merge(target: dict[str, Any], value: Any) -> None:
    sources = value if isinstance(value, list) else [value]
    if not all(isinstance(source, dict) for source in sources):
        raise YamlError("yaml: map merge requires map or sequence of maps as the value")
    for source in reversed(sources):
        target.update(source)


def _finite(value: float, event: yaml.Event) -> float:
    if not math.isfinite(value):
        shown = "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
        raise YamlError(f"json: unsupported value: {shown}", _line(event))
    return value


def resolve(text: str) -> Any:
    """What an unquoted word stands for: a boolean, a number, null, or the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    first = text[0]
    if first not in "+-.0123456789":
        return text
    plain = text if first == "." else text.replace("_", "")
    number = _integer(plain) if first != "." else None
    if number is not None:
        return number
    if _FLOAT.fullmatch(plain):
        value = float(plain)
        if math.isfinite(value):
            return int(value) if value.is_integer() and abs(value) < 1e21 else value
    return text


def _integer(text: str) -> int | None:
    """Go's strconv.ParseInt with base 0: 0x1f, 0o10 and 010 (octal), 0b11."""
    digits = text.lstrip("+-")
    try:
        if len(text) - len(digits) > 1:
            return None
        octal = len(digits) > 1 and digits[0] == "0" and digits.isdigit()
        value = int(digits, 8) if octal else int(digits, 0)
    except ValueError:
        return None
    value = -value if text[0] == "-" else value
    return value if -(2**63) <= value < 2**64 else None


def _go_value(value: Any) -> str:
    """Go's ``%#v`` of a value from YAML."""
    if isinstance(value, dict):
        items = ", ".join(f"{render(k)}:{_go_value(v)}" for k, v in value.items())
        return f"map[interface {{}}]interface {{}}{{{items}}}"
    if isinstance(value, list):
        return f"[]interface {{}}{{{', '.join(map(_go_value, value))}}}"
    return "interface {}(nil)" if value is None else render(value)
