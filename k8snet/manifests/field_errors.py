"""How a rule says no: the constructors of field errors (apimachinery pkg/util/validation/field/errors.go).

All yield errors, so that rules read as ``yield from required(path)``; paths are text (``spec.ports[0].port``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from k8snet.manifests.errors import FieldError, render

Errors = Iterator[FieldError]


def join(path: str, name: str) -> str:
    """The path of a field of the struct at *path*; the object itself has an empty one."""
    return f"{path}.{name}" if path else name


def invalid(path: str, value: Any, *messages: str) -> Errors:
    """One error for each message; none without messages."""
    for message in messages:
        yield FieldError(path, "Invalid value", message, render(value))


def required(path: str, detail: str = "") -> Errors:
    """The field is missing, or empty."""
    yield FieldError(path, "Required value", detail)


def forbidden(path: str, detail: str) -> Errors:
    """The field may not be there, with these other fields."""
    yield FieldError(path, "Forbidden", detail)


def duplicate(path: str, value: Any, detail: str = "") -> Errors:
    """The value was there before."""
    yield FieldError(path, "Duplicate value", detail, render(value))


def not_found(path: str, value: Any) -> Errors:
    """The value names something that does not exist."""
    yield FieldError(path, "Not found", "", render(value))


def unsupported(path: str, value: Any, supported: Iterable[str]) -> Errors:
    """The value is none of those that there are, which are listed in the order given."""
    listed = ", ".join(f'"{s}"' for s in supported)
    yield FieldError(path, "Unsupported value", f"supported values: {listed}", render(value))


def too_long(path: str, limit: int) -> Errors:
    """More bytes than allowed."""
    yield FieldError(path, "Too long", f"may not be more than {limit} bytes")


def too_many(path: str, count: int, limit: int) -> Errors:
    """More items than allowed."""
    yield FieldError(path, "Too many", f"must have at most {limit} items", str(count))
