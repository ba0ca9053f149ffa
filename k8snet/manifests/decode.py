"""JSON into Kubernetes types, as strictly as the API server does it for kubectl.

The real thing: the apiserver's create handler and sigs.k8s.io/json (a copy of Go's encoding/json with strict errors).
Fields are read in the order in which kubectl sends them (sorted). The first wrong type hides all unknown fields. A type
with a decoder of its own (number-or-name, quantity, time) ends the reading where it fails, so it hides earlier errors.
Custom resources (Gateway API) have no Go types: their wrong types are found by validation.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Any

from k8snet.manifests.errors import ApiError
from k8snet.manifests.field_errors import join
from k8snet.manifests.hints import hint
from k8snet.manifests.kinds import KINDS, Object
from k8snet.manifests.quantity import canonical
from k8snet.manifests.schema import CUSTOM_RESOURCES, Type, always, rebuilt, structs

_PYTHON = {"string": str, "bytes": str, "bool": bool, "struct": dict, "map": dict, "list": list}
_JSON = {bool: "bool", dict: "object", list: "array", str: "string"}
_LIMITS = {"int32": 2**31, "int64": 2**63, "intstr": 2**31}
_ZEROS = {"list": [], "map": {}, "bool": False, "any": None, "quantity": "0", "int32": 0, "int64": 0, "intstr": 0}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A value of the wrong type: where (with indexes), what was found, the type wanted and the server's sentence."""

    path: str
    found: str
    wanted: Type
    text: str
    ends_reading: bool = False


def strict(obj: Object) -> Object:
    """The object as the server keeps it: a new dict without nulls and without zero values that count as left out, with
    the (empty) structs that are always there.

    Raises ApiError 400 for unknown fields (all of them) or for the first value of a wrong type.
    """
    kind = obj.get("kind", "")
    if kind not in structs():
        return dict(obj)
    head, body = _parted(obj)
    reading = _Reading()
    decoded = reading.struct(kind, body)
    wrong = [w for w in reading.wrong if kind not in CUSTOM_RESOURCES or w.path.startswith("metadata")]
    if wrong:
        raise _bad_request(obj, decisive(wrong).text)
    if reading.unknown:
        listed = ", ".join(f'unknown field "{path}"' for path in reading.unknown)
        raise _bad_request(obj, f"strict decoding error: {listed}")
    return {**head, **decoded}


def lenient(obj: Object) -> tuple[Object, list[str]]:
    """The object as it was written but for the fields that there are not, and the paths of those."""
    kind = obj["kind"]
    if kind not in structs():
        return obj, []
    head, body = _parted(obj)
    reading = _Reading()
    reading.struct(kind, body)
    return {**head, **rebuilt(kind, body, _known)}, reading.unknown


def _parted(obj: Object) -> tuple[Object, Object]:
    """An object's apiVersion and kind, which the server looks at first, and what the struct of that kind holds."""
    head = {"apiVersion": obj["apiVersion"], "kind": obj["kind"]}
    return head, {k: v for k, v in obj.items() if k not in head}


def _known(struct: str, value: Object) -> Object:
    fields = structs()[struct]
    return {k: v for k, v in value.items() if k in fields}


def mismatches(obj: Object, struct: str = "") -> list[Mismatch]:
    """All values of a wrong type, in the order in which they are read; *struct* is what *obj* holds the fields of (default:
    that of its kind)."""
    reading = _Reading()
    reading.struct(struct or obj["kind"], obj)
    return reading.wrong


def decisive(wrong: Sequence[Mismatch]) -> Mismatch:
    """The one that the answer names: the first that ends the reading, or else the first."""
    return next((w for w in wrong if w.ends_reading), wrong[0])


def warnings(obj: Object) -> list[str]:
    """What the server says about an object that it takes (pkg/api/service/warnings.go, pkg/api/pod/warnings.go)."""
    spec = obj.get("spec") or {}
    found = []
    if obj.get("kind") == "Service" and isinstance(spec, dict):
        if spec.get("externalName") and spec.get("type") != "ExternalName":
            found.append('spec.externalName is ignored when spec.type is not "ExternalName"')
        if spec.get("clusterIP") == "None" and spec.get("sessionAffinity") not in (None, "None"):
            found.append("spec.SessionAffinity is ignored for headless services")
    return found


def _bad_request(obj: Object, reason: str) -> ApiError:
    kind, version = obj["kind"], KINDS[obj["kind"]].version
    error = ApiError(400, "BadRequest", f'{kind} in version "{version}" cannot be handled as a {kind}: {reason}')
    error.hint = hint(error, obj)
    return error


@dataclass(slots=True)
class _Reading:
    """One pass over an object. ``steps`` lead to the value that is being read: fields by name, ``[0]`` for an item of a
    list, ``.key`` for one of a map."""

    unknown: list[str] = field(default_factory=list)
    wrong: list[Mismatch] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)

    def struct(self, struct: str, obj: Object) -> Object:
        """The fields that are there and those that are there always."""
        fields, result = structs()[struct], {}
        for name in sorted(obj):
            wanted = fields.get(name)
            if wanted is None:
                self.unknown.append(join(self.path(), name))
            elif (given := obj[name]) is not None:
                value = self.at(name, wanted, given)
                if value or wanted.keep_zero or wanted.base == "any":
                    result[name] = value
        for name, wanted in always(struct).items():
            if name not in result:
                result[name] = self.zero(wanted)
        return result

    def at(self, step: str, wanted: Type, value: Any) -> Any:
        """The value one step further; an item that is null is zero."""
        self.steps.append(step)
        result = self.zero(wanted) if value is None else self.value(wanted, value)
        self.steps.pop()
        return result

    def value(self, wanted: Type, value: Any) -> Any:
        base, item = wanted.base, wanted.item
        if base in _PYTHON and not isinstance(value, _PYTHON[base]):
            self.mismatch(wanted, value)
        elif base == "struct":
            return self.struct(wanted.struct, value)
        elif item is not None and base == "map":
            return {key: self.at(f".{key}", item, v) for key, v in sorted(value.items())}
        elif item is not None:
            return [self.at(f"[{i}]", item, v) for i, v in enumerate(value)]
        elif base in _LIMITS and not (base == "intstr" and isinstance(value, str)):
            if type(value) is not int or not -_LIMITS[base] <= value < _LIMITS[base]:
                self.mismatch(wanted, value, ends_reading=base == "intstr")
        elif base == "quantity":
            number = go_number(value) if type(value) in (int, float) else value
            try:
                return canonical(number.strip() if isinstance(number, str) else "")
            except ValueError as refusal:
                self.refuse(wanted, value, str(refusal), ends_reading=True)
        elif base == "time" and not isinstance(value, str):
            self.mismatch(Type("string", "string", wanted.owner), value, ends_reading=True)
        elif base == "time" and not _TIME.fullmatch(value):
            text = f'parsing time "{value}" as "2006-01-02T15:04:05Z07:00": cannot parse "{value}" as "2006"'
            self.refuse(wanted, value, text, ends_reading=True)
        elif base == "bytes":
            try:
                base64.b64decode(value.replace("\n", "").replace("\r", ""), validate=True)
            except (binascii.Error, ValueError):
                at = next((i for i, c in enumerate(value) if not re.match(r"[A-Za-z0-9+/\r\n]", c)), len(value))
                self.refuse(wanted, value, f"illegal base64 data at input byte {at}")
        return value

    def mismatch(self, wanted: Type, value: Any, ends_reading: bool = False) -> None:
        """Go's sentence, with its path, which counts fields only."""
        what = _JSON.get(type(value), "number")
        if what == "number" and wanted.base in _LIMITS:
            what = f"number {go_number(value)}"
        where = ".".join([wanted.owner, *(step for step in self.steps if step[0] not in ".[")])
        text = f"json: cannot unmarshal {what} into Go struct field {where} of type {wanted.name}"
        self.refuse(wanted, value, text, ends_reading)

    def refuse(self, wanted: Type, value: Any, text: str, ends_reading: bool = False) -> None:
        found = _JSON.get(type(value), "number")
        self.wrong.append(Mismatch(self.path(), found, wanted, text, ends_reading))

    def path(self) -> str:
        """The path as the strict decoder and validation write it: ``spec.ports[0].port``."""
        return "".join(step if step[0] in ".[" else f".{step}" for step in self.steps)[1:]

    def zero(self, wanted: Type) -> Any:
        return self.struct(wanted.struct, {}) if wanted.base == "struct" else copy(_ZEROS.get(wanted.base, ""))


def go_number(value: float) -> str:
    """A number as Go's encoding/json writes it: ``80.5``, ``1e+21``, ``1e-7``."""
    return re.sub(r"e-0(\d)$", r"e-\1", repr(value))
