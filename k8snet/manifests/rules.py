"""Holds an object to the rules of ``rules.yaml``: struct by struct, field by field, in the order in which they stand there.

What a word of the table means is said at the head of that file. Rules are Python functions, marked with ``@rule`` in the
files ``validate_*.py`` and called by their names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from k8snet.manifests import names
from k8snet.manifests.field_errors import Errors, invalid, join
from k8snet.manifests.kinds import Object
from k8snet.manifests.schema import Type, structs
from k8snet.manifests.tables import table


@dataclass
class Context:
    """What a rule may look at besides its own value: the whole object and the stored one that it replaces. ``seen`` and
    ``several`` are notes about lists: what stood in one already, and which have more than one item."""

    obj: Object
    old: Object | None = None
    seen: set[tuple[Any, ...]] = field(default_factory=set)
    several: set[str] = field(default_factory=set)

    @property
    def before(self) -> Object:
        """The stored object's spec; empty when the object is new."""
        spec: Object = (self.old or {}).get("spec", {})
        return spec

    @cached_property
    def kept(self) -> frozenset[str]:
        """All texts in the stored object: an address among them may stay, whatever it looks like."""
        return frozenset(_texts(self.old))

    def ip(self, value: str) -> list[str]:
        """What is wrong with an address, unless it may stay."""
        return [] if value in self.kept else names.ip(value)

    def cidr(self, value: str) -> list[str]:
        """What is wrong with a block of addresses, unless it may stay."""
        return [] if value in self.kept else names.cidr(value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


Rule = Callable[..., Errors]
_RULES: dict[str, Rule] = {}


def rule(function: Rule) -> Rule:
    """Makes a function known to ``rules.yaml`` under its name (without a final underscore). It gets a value, its path, the
    context, and the words that it takes from the line."""
    _RULES[function.__name__.removesuffix("_")] = function
    return function


def check(struct: str, value: Object, path: str, context: Context) -> Errors:
    """All rules of one struct (by its Go name; a kind's own struct has the kind's name)."""
    for name, words in _lines().get(struct, ()):
        item = value if name == "_" else value.get(name)
        for function, arguments, absent_too in words:
            if item is None and not absent_too:
                break
            found = list(function(item, path if name == "_" else join(path, name), context, *arguments))
            yield from found
            if found:
                break


_Word = tuple[Rule, Sequence[Any], bool]
# How many of the words behind it a word takes; the last two take all.
_TAKES = {"at_most": 1, "meta": 1, "stays": 1, "range": 2, "between": 2, "one_of": 99, "among": 99}
_ABSENT_TOO = ("required", "present", "required_if_several", "one_of")


@cache
def _lines() -> Mapping[str, Sequence[tuple[str, Sequence[_Word]]]]:
    return {
        struct: [
            (name, [*_words(str(text).split(), structs()[struct].get(name))])
            for line in lines
            for name, text in line.items()
        ]
        for struct, lines in table("rules").items()
    }


def _words(words: Sequence[str], wanted: Type | None) -> Iterator[_Word]:
    """The words of a line for a field of a type: each one's function, what that takes from behind it, and whether it looks
    at a field that is absent."""
    while words:
        word, end = words[0], 1 + _TAKES.get(words[0], 0)
        arguments: list[Any] = [int(w) if w.isdigit() else w for w in words[1:end]]
        if word == "inside":
            arguments = [wanted]
        elif word not in _RULES:
            arguments = [getattr(names, word)]
        yield _RULES.get(word, each), arguments, word in _ABSENT_TOO
        words = words[end:]


@rule
def inside(value: Any, path: str, context: Context, wanted: Type) -> Errors:
    """The structs in it, each by its own rules."""
    if wanted.item is None:
        yield from check(wanted.struct, value, path, context)
        return
    if len(value) > 1:
        context.several.add(path)
    for i, item in enumerate(value):
        yield from check(wanted.item.struct, item, f"{path}[{i}]", context)


def each(value: Any, path: str, context: Context, messages: Callable[[Any], list[str]]) -> Errors:
    """What a function of ``names.py`` says about a value, or about each in a list."""
    if isinstance(value, list):
        for i, item in enumerate(value):
            yield from invalid(f"{path}[{i}]", item, *messages(item))
    else:
        yield from invalid(path, value, *messages(value))
