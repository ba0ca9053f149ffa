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
from copy import copy
from dataclasses import dataclass, field
from typing import Any

from k8snet.manifests.errors import ApiError
from k8snet.manifests.hints import hint
from k8snet.manifests.kinds import KINDS, Object
from k8snet.manifests.quantity import canonical
from k8snet.manifests.schema import CUSTOM_RESOURCES, Type, always, structs

_INTEGERS = {"int32": 2**31, "int64": 2**63}
_PYTHON = {"string": str, "bool": bool, "struct": dict, "map": dict, "list": list}
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
    reading = _Reading()
    body = {k: v for k, v in obj.items() if k not in ("apiVersion", "kind")}
    decoded = {"apiVersion": obj["apiVersion"], "kind": kind, **reading.struct(kind, body, "", "")}
    wrong = [w for w in reading.wrong if kind not in CUSTOM_RESOURCES or w.path.startswith("metadata")]
    if wrong:
        raise _bad_request(obj, next((w for w in wrong if w.ends_reading), wrong[0]).text)
    if reading.unknown:
        listed = ", ".join(f'unknown field "{path}"' for path in reading.unknown)
        raise _bad_request(obj, f"strict decoding error: {listed}")
    return decoded


def mismatches(obj: Object, struct: str = "") -> list[Mismatch]:
    """All values of a wrong type, in the order in which they are read, looking at the fields of *struct* only (default:
    those of the object's kind)."""
    reading = _Reading()
    reading.struct(
        struct or obj["kind"], {k: v for k, v in obj.items() if k in structs()[struct or obj["kind"]]}, "", ""
    )
    return reading.wrong


def lenient(obj: Object) -> tuple[Object, list[str]]:
    """The object as it was written but for the fields that there are not, and the paths of those."""
    if obj["kind"] not in structs():
        return obj, []
    reading = _Reading()
    body = {k: v for k, v in obj.items() if k not in ("apiVersion", "kind")}
    reading.struct(obj["kind"], body, "", "")
    known: Object = _known(Type("struct", "", struct=obj["kind"]), body)
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], **known}, reading.unknown


def _known(wanted: Type, value: Any) -> Any:
    if wanted.base == "struct" and isinstance(value, dict):
        fields = structs()[wanted.struct]
        return {k: _known(fields[k], v) for k, v in value.items() if k in fields}
    if wanted.base == "list" and wanted.item is not None and isinstance(value, list):
        return [_known(wanted.item, v) for v in value]
    return value


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
    """One pass over an object. Go's path (``spec.ports.port``) has no indexes, the strict path (``spec.ports[0].x``) has."""

    unknown: list[str] = field(default_factory=list)
    wrong: list[Mismatch] = field(default_factory=list)

    def struct(self, struct: str, obj: Object, go: str, path: str) -> Object:
        fields = structs()[struct]
        result = {}
        for name in sorted(obj):
            wanted, value = fields.get(name), obj[name]
            inner = f"{path}.{name}" if path else name
            if wanted is None:
                self.unknown.append(inner)
            elif value is not None:
                value = self.value(wanted, value, struct, f"{go}.{name}", inner)
                if value or wanted.keep_zero or wanted.base == "any":
                    result[name] = value
        for name, wanted in always(struct).items():
            if name not in result:
                result[name] = self.zero(wanted)
        return result

    def value(self, wanted: Type, value: Any, struct: str, go: str, path: str) -> Any:
        base = wanted.base
        if base == "any":
            return value
        if base in _PYTHON and not isinstance(value, _PYTHON[base]):
            return self.mismatch(wanted, value, struct, go, path)
        if base == "struct":
            return self.struct(wanted.struct, value, go, path)
        if wanted.item is not None:
            item = wanted.item
            if base == "map":
                return {
                    k: self.zero(item) if v is None else self.value(item, v, struct, go, f"{path}.{k}")
                    for k, v in sorted(value.items())
                }
            return [
                self.zero(item) if v is None else self.value(item, v, struct, go, f"{path}[{i}]")
                for i, v in enumerate(value)
            ]
        if base in _INTEGERS:
            in_range = type(value) is int and -_INTEGERS[base] <= value < _INTEGERS[base]
            return value if in_range else self.mismatch(wanted, value, struct, go, path)
        return self.special(wanted, value, struct, go, path)

    def special(self, wanted: Type, value: Any, struct: str, go: str, path: str) -> Any:
        """Types that read themselves."""
        text = value if isinstance(value, str) else None
        if wanted.base == "intstr":
            if text is None and not (type(value) is int and abs(value) < 2**31):
                self.mismatch(wanted, value, struct, go, path, ends_reading=True)
        elif wanted.base == "quantity":
            number = go_number(value) if isinstance(value, int | float) and not isinstance(value, bool) else text
            try:
                return canonical((number or "").strip())
            except ValueError as refusal:
                self.wrong.append(Mismatch(path, _what(value), wanted, str(refusal), ends_reading=True))
        elif wanted.base == "time":
            if text is None:
                self.mismatch(Type("string", "string"), value, struct, go, path, ends_reading=True)
            elif not _TIME.fullmatch(text):
                reason = f'parsing time "{text}" as "2006-01-02T15:04:05Z07:00": cannot parse "{text}" as "2006"'
                self.wrong.append(Mismatch(path, "string", wanted, reason, ends_reading=True))
        elif wanted.base == "bytes":
            if text is None:
                self.mismatch(wanted, value, struct, go, path)
            else:
                try:
                    base64.b64decode(text.replace("\n", "").replace("\r", ""), validate=True)
                except (binascii.Error, ValueError):
                    at = next((i for i, c in enumerate(text) if not re.match(r"[A-Za-z0-9+/\r\n]", c)), len(text))
                    self.wrong.append(Mismatch(path, "string", wanted, f"illegal base64 data at input byte {at}"))
        return value

    def mismatch(self, wanted: Type, value: Any, struct: str, go: str, path: str, ends_reading: bool = False) -> Any:
        what = _what(value)
        if what == "number" and wanted.base in ("int32", "int64", "intstr"):
            what = f"number {go_number(value)}"
        where = f"{struct.partition('.')[0]}.{go.lstrip('.')}"
        text = f"json: cannot unmarshal {what} into Go struct field {where} of type {wanted.name}"
        self.wrong.append(Mismatch(path, what, wanted, text, ends_reading))
        return value

    def zero(self, wanted: Type) -> Any:
        if wanted.base == "struct":
            return self.struct(wanted.struct, {}, "", "")
        return copy(_ZEROS.get(wanted.base, ""))


def _what(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    for kind, word in ((dict, "object"), (list, "array"), (str, "string")):
        if isinstance(value, kind):
            return word
    return "number"


def go_number(value: float) -> str:
    """A number as Go's encoding/json writes it: ``80.5``, ``1e+21``, ``1e-7``."""
    return re.sub(r"e-0(\d)$", r"e-\1", repr(value))
