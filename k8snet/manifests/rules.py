"""Holds an object to the rules of ``rules.yaml``: struct by struct, field by field, in the order in which they stand there.

What a word of the table means is said at the head of that file. Rules that look at more than one field are Python
functions, marked with ``@rule`` in the files ``validate_*.py`` and called by their names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from k8snet.manifests import names, validate_meta
from k8snet.manifests.field_errors import Errors, duplicate, invalid, required, too_many, unsupported
from k8snet.manifests.kinds import Object
from k8snet.manifests.schema import Type, structs, table


@dataclass(slots=True)
class Context:
    """What a rule may look at besides its own struct: the whole object and the stored one that it replaces. ``kept`` are
    all texts in the latter, ``seen`` and ``several`` are the engine's notes about lists."""

    obj: Object
    old: Object | None = None
    kept: frozenset[str] = frozenset()
    seen: set[tuple[str, Any]] = field(default_factory=set)
    several: set[str] = field(default_factory=set)

    @property
    def before(self) -> Object:
        """The stored object's spec; empty when the object is new."""
        spec: Object = (self.old or {}).get("spec", {})
        return spec


Rule = Callable[[Object, str, Context], Errors]
_RULES: dict[str, Rule] = {}


def rule(function: Rule) -> Rule:
    """Makes a function known to ``rules.yaml`` under its name. It gets a struct, its path and the context."""
    _RULES[function.__name__] = function
    return function


def join(path: str, name: str) -> str:
    """The path of a field of the struct at *path*."""
    return f"{path}.{name}" if path else name


def check(struct: str, value: Object, path: str, context: Context) -> Errors:
    """All rules of one struct (by its Go name; a kind's own struct has the kind's name)."""
    for name, words in _lines().get(struct, ()):
        if name == "_":
            yield from _RULES[words[0]](value, path, context)
        elif (item := value.get(name)) is not None or words[0] in _ABSENT_TOO:
            yield from _field(struct, name, item, join(path, name), words, context)


def context(obj: Object, old: Object | None) -> Context:
    """The context for a new object, or for the update of a stored one."""
    return Context(obj, old, frozenset(_texts(old)) if old is not None else frozenset())


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


@cache
def _lines() -> Mapping[str, Sequence[tuple[str, Sequence[str]]]]:
    return {
        struct: [(name, str(words).split()) for line in lines for name, words in line.items()]
        for struct, lines in table("rules").items()
    }


def _field(struct: str, name: str, value: Any, path: str, words: Sequence[str], context: Context) -> Errors:
    """The words of one line; the first that refuses the value ends it."""
    for n, word in enumerate(words):
        if word in _ABSENT_TOO:
            found = _ABSENT_TOO[word](path, value, words[n + 1 :], context)
        elif value is None:
            return
        elif word.isdigit():
            continue
        elif word == "inside":
            found = _inside(structs()[struct][name], value, path, context)
        elif word in _WORDS:
            found = _WORDS[word](path, value, words[n + 1 :], context)
        else:
            found = _named(path, value, getattr(names, word))
        refused = False
        for error in found:
            refused = True
            yield error
        if refused or word in _TAKES_THE_REST:
            return


def _inside(wanted: Type, value: Any, path: str, context: Context) -> Errors:
    if wanted.item is None:
        yield from check(wanted.struct, value, path, context)
        return
    if len(value) > 1:
        context.several.add(path)
    for here, item in _items(path, value):
        yield from check(wanted.item.struct, item, here, context)


def _named(path: str, value: Any, messages: Callable[[Any], list[str]], kept: Container[Any] = ()) -> Errors:
    for here, item in _items(path, value):
        if item not in kept:
            yield from invalid(here, item, *messages(item))


def _items(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A list's items with their paths; anything else is its own only item."""
    yield from ((f"{path}[{i}]", v) for i, v in enumerate(value)) if isinstance(value, list) else [(path, value)]


def _one_of(path: str, value: Any, rest: Sequence[str], context: Context) -> Errors:
    yield from _among(path, value, rest, context) if value else required(path)


def _among(path: str, value: Any, rest: Sequence[str], context: Context) -> Errors:
    if value not in rest:
        yield from unsupported(path, value, rest)


def _required_if_several(path: str, value: Any, rest: Sequence[str], context: Context) -> Errors:
    if not value and path.rpartition("[")[0] in context.several:
        yield from required(path)


def _unique(path: str, value: Any, rest: Sequence[str], context: Context) -> Errors:
    key = re.sub(r"\[\d+\](?=[^\[]*$)", "[]", path), value
    if key in context.seen:
        yield from duplicate(path, value)
    context.seen.add(key)


def _at_most(path: str, value: Any, rest: Sequence[str], context: Context) -> Errors:
    if len(value) > int(rest[0]):
        yield from too_many(path, len(value), int(rest[0]))


def _range(path: str, value: int, rest: Sequence[str], context: Context) -> Errors:
    if not int(rest[0]) <= value <= int(rest[1]):
        yield from invalid(path, value, f"must be between {rest[0]} and {rest[1]}, inclusive")


def _between(path: str, value: int, rest: Sequence[str], context: Context) -> Errors:
    """The same in a custom resource's schema."""
    if value < int(rest[0]):
        yield from invalid(path, value, f"{path} in body should be greater than or equal to {rest[0]}")
    if value > int(rest[1]):
        yield from invalid(path, value, f"{path} in body should be less than or equal to {rest[1]}")


def _not_negative(path: str, value: int, rest: Sequence[str], context: Context) -> Errors:
    if value < 0:
        yield from invalid(path, value, "must be greater than or equal to 0")


def _amount(path: str, value: int | str, rest: Sequence[str], context: Context) -> Errors:
    """A number of Pods, or a share of them."""
    yield from (
        _not_negative(path, value, rest, context) if isinstance(value, int) else _named(path, value, names.percent)
    )


def _selector(path: str, value: Object, rest: Sequence[str], context: Context) -> Errors:
    any_value = any(validate_meta.label_selector("", context.before.get("podSelector")))
    yield from validate_meta.label_selector(path, value, any_value)


_Word = Callable[[str, Any, Sequence[str], Context], Errors]
_TAKES_THE_REST = frozenset(("one_of", "among", "range", "between", "at_most_bytes", "meta"))
_ABSENT_TOO: Mapping[str, _Word] = {
    "required": lambda path, value, rest, context: required(path) if not value else iter(()),
    "present": lambda path, value, rest, context: required(path) if value is None else iter(()),
    "required_if_several": _required_if_several,
    "one_of": _one_of,
}
_WORDS: Mapping[str, _Word] = {
    "among": _among,
    "unique": _unique,
    "at_most": _at_most,
    "range": _range,
    "between": _between,
    "not_negative": _not_negative,
    "amount": _amount,
    "selector": _selector,
    "labels": lambda path, value, rest, context: validate_meta.labels(path, value),
    "meta": lambda path, value, rest, context: validate_meta.metadata(context.obj, getattr(names, rest[0])),
    "strict_ip": lambda path, value, rest, context: _named(path, value, names.ip, context.kept),
    "strict_cidr": lambda path, value, rest, context: _named(path, value, names.cidr, context.kept),
    "host_ip": lambda path, value, rest, context: _named(
        path, value, lambda ip: ([] if ip in context.kept else names.ip(ip)) or names.ordinary_ip(ip)
    ),
}
