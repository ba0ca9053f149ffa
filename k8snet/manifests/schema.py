"""This package's tables, and the field table of every kind compiled: which fields a struct has and of which Go type they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from k8snet.manifests.kinds import Object
from k8snet.manifests.tables import table

CUSTOM_RESOURCES = frozenset(("GatewayClass", "Gateway", "HTTPRoute", "ReferenceGrant"))

_PRINTED = {"ResourceList": "v1.ResourceList", "UID": "types.UID", "bytes": "[]uint8", "intstr": "int32"}


@dataclass(frozen=True, slots=True)
class Type:
    """A Go type. ``base``: struct, list, map, or a scalar word of ``schema.yaml``; ``name`` as errors print it;
    ``owner``: the struct whose field it is; ``struct``: which one it is itself; ``item``: the type of elements or map
    values; ``keep_zero``: a zero value that was written is kept; ``always``: printed whatever it holds."""

    base: str
    name: str
    owner: str = ""
    struct: str = ""
    item: Type | None = None
    keep_zero: bool = False
    always: bool = False


@cache
def structs() -> Mapping[str, Mapping[str, Type]]:
    """The fields of every struct, by its Go name (a kind's own struct has the name of the kind)."""
    rows = dict(table("schema"))
    strings = frozenset(rows.pop("strings").split())

    def compiled(word: str, owner: str) -> Type:
        pointer, bare, always = word.startswith("*"), word.strip("*!"), word.endswith("!")
        keep = pointer or always
        if bare == "ResourceList":
            quantity = Type("quantity", "resource.Quantity", owner)
            return Type("map", "v1.ResourceList", owner, item=quantity, keep_zero=pointer)
        if found := re.fullmatch(r"(\[\]|map\[\]?)(.*?)\]?", bare):
            item = compiled(found[2], owner)
            kind, prefix = ("list", "[]") if found[1] == "[]" else ("map", "map[string]")
            return Type(kind, prefix + item.name, owner, item=item, keep_zero=keep, always=always)
        if bare in rows:
            return Type("struct", "v1." + _go_name(bare), owner, bare, keep_zero=True, always=not pointer)
        base, name = ("string", "v1." + bare) if bare in strings else (bare, bare)
        return Type(base, _PRINTED.get(bare, name), owner, keep_zero=keep, always=always)

    return {
        struct: {field: compiled(word, _go_name(struct)) for field, word in fields.items()}
        for struct, fields in rows.items()
    }


def _go_name(struct: str) -> str:
    return struct.partition(".")[0]


@cache
def always(struct: str) -> Mapping[str, Type]:
    """The fields of a struct that are there whatever an object says."""
    return {name: field for name, field in structs()[struct].items() if field.always}


@cache
def inner(struct: str) -> Mapping[str, Type]:
    """The fields of a struct that hold structs: one, or a list of them."""
    fields = structs()[struct].items()
    return {name: field for name, field in fields if field.base != "map" and (field.item or field).base == "struct"}


def rebuilt(struct: str, value: Object, change: Callable[[str, Object], Object]) -> Object:
    """A struct as *change* makes it anew, then so each struct that stands in the result. *change* gets a struct's Go
    name and its fields."""
    result = change(struct, value)
    for name, field in inner(struct).items():
        inside = result.get(name)
        if field.item is None and isinstance(inside, dict):
            result[name] = rebuilt(field.struct, inside, change)
        elif field.item is not None and isinstance(inside, list):
            result[name] = [rebuilt(field.item.struct, v, change) if isinstance(v, dict) else v for v in inside]
    return result
