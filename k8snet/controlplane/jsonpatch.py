"""JSON patches (RFC 6902): operations on an object, carried out in their order, or none of them.

evanphx/json-patch, as the API server uses it (apiserver pkg/endpoints/handlers/patch.go). Of a patch that does not fit the
object the server says only that the request was wrong; which operation it was stands in the hint.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from k8snet.manifests.errors import ApiError
from k8snet.manifests.kinds import Object

_GO_NAMES = {dict: "object", list: "array", bool: "bool", int: "number", float: "number"}


def json_patch(obj: Object, patch: Any) -> Object:
    """What becomes of *obj*, which itself stays as it is. Raises ApiError BadRequest for what is no list of operations,
    and Invalid for an operation that does not fit the object."""
    _check(patch, list, "value of type []handlers.jsonPatchOp")
    for operation in patch:
        _check(operation, dict, "value of type handlers.jsonPatchOp")
        for name in ("op", "path", "from") if operation else ():
            _check(operation.get(name), str, f"struct field jsonPatchOp.{name} of type string")
    result = deepcopy(obj)
    for operation in ({} if o is None else o for o in patch):
        op, path, origin = (operation.get(name) or "" for name in ("op", "path", "from"))
        try:
            _carry_out(result, op, path, deepcopy(operation.get("value")), origin)
        except (LookupError, ValueError) as wrong:
            text = "the server rejected our request due to an error in our request"
            raise ApiError(422, "Invalid", text, hint=f"{op} {path}: {wrong}") from None
    return result


def _check(value: Any, wanted: type, where: str) -> None:
    if value is not None and not isinstance(value, wanted):
        text = f"json: cannot unmarshal {_GO_NAMES.get(type(value), 'string')} into Go {where}"
        raise ApiError(400, "BadRequest", f"error decoding patch: {text}")


def _carry_out(document: Object, op: str, path: str, value: Any, origin: str) -> None:
    if op in ("move", "copy"):
        holder, key, there = _find(document, origin)
        if not there:
            raise LookupError(f"nothing is at {origin}")
        value = deepcopy(holder[key])
        if op == "move":
            del holder[key]
    holder, key, there = _find(document, path)
    if op in ("remove", "replace") and not there:
        raise LookupError("nothing is there")
    if op == "remove":
        del holder[key]
    elif op == "replace" or (op in ("add", "copy", "move") and isinstance(holder, dict)):
        holder[key] = value
    elif op in ("add", "copy", "move"):
        if not 0 <= key <= len(holder):
            raise LookupError(f"the list has {len(holder)} items")
        holder.insert(key, value)
    elif op != "test":
        raise ValueError("there is no such operation")
    elif (holder[key] if there else None) != value:
        raise ValueError("what is there is another value")


def _find(document: Object, path: str) -> tuple[Any, Any, bool]:
    """The map or list in which a path ends, the name or index there (``-``: behind the last item), and whether it has
    it. What stands before the first slash does not count."""
    holder: Any = None
    found: Any = document
    key: Any = ""
    there = False
    for part in path.split("/")[1:]:
        holder, key = found, part.replace("~1", "/").replace("~0", "~")
        if isinstance(holder, list):
            key = len(holder) if part == "-" else int(part) if part.isdigit() else -1
        elif not isinstance(holder, dict):
            raise LookupError(f"nothing is there that could hold {part}")
        there = key in (holder if isinstance(holder, dict) else range(len(holder)))
        found = holder[key] if there else None
    if holder is None:
        raise LookupError("a path begins with a slash")
    return holder, key, there
