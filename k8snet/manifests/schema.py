"""This package's tables, and the field table of every kind compiled: which fields a struct has and of which Go type they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

CUSTOM_RESOURCES = frozenset(("GatewayClass", "Gateway", "HTTPRoute", "ReferenceGrant"))

_PRINTED = {"ResourceList": "v1.ResourceList", "UID": "types.UID", "bytes": "[]uint8", "intstr": "int32"}


@dataclass(frozen=True, slots=True)
class Type:
    """A Go type. ``base``: struct, list, map, or a scalar word of ``schema.yaml``; ``name`` as errors print it;
    ``item``: the type of elements or map values; ``keep_zero``: a zero value that was written is kept;
    ``always``: printed whatever it holds."""

    base: str
    name: str
    struct: str = ""
    item: Type | None = None
    keep_zero: bool = False
    always: bool = False


@cache
def table(name: str) -> Mapping[str, Any]:
    """One of this package's YAML tables."""
    text = resources.files(__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return found


@cache
def structs() -> Mapping[str, Mapping[str, Type]]:
    """The fields of every struct, by its Go name (a kind's own struct has the name of the kind)."""
    rows = dict(table("schema"))
    strings = frozenset(rows.pop("strings").split())
    return {
        struct: {field: _compile(word, rows, strings) for field, word in fields.items()}
        for struct, fields in rows.items()
    }


@cache
def always(struct: str) -> Mapping[str, Type]:
    """The fields of a struct that are there whatever an object says."""
    return {name: field for name, field in structs()[struct].items() if field.always}


@cache
def inner(struct: str) -> Mapping[str, Type]:
    """The fields of a struct that hold structs: one, or a list of them."""
    fields = structs()[struct].items()
    return {name: field for name, field in fields if field.base != "map" and (field.item or field).base == "struct"}


def _compile(word: str, rows: Mapping[str, Any], strings: frozenset[str]) -> Type:
    pointer, bare = word.startswith("*"), word.strip("*!")
    always = word.endswith("!")
    keep = pointer or always
    if bare == "ResourceList":
        return Type("map", "v1.ResourceList", item=Type("quantity", "resource.Quantity"), keep_zero=pointer)
    if found := re.fullmatch(r"(\[\]|map\[\]?)(.*?)\]?", bare):
        item = _compile(found[2], rows, strings)
        kind, prefix = ("list", "[]") if found[1] == "[]" else ("map", "map[string]")
        return Type(kind, prefix + item.name, item=item, keep_zero=keep, always=always)
    if bare in rows:
        return Type("struct", "v1." + bare.partition(".")[0], bare, keep_zero=True, always=not pointer)
    if bare in strings:
        return Type("string", _PRINTED.get(bare, "v1." + bare), keep_zero=keep, always=always)
    return Type(bare, _PRINTED.get(bare, bare), keep_zero=keep, always=always)
