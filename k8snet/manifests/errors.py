"""Refusals in Kubernetes' own words, with a hint in plain words kept apart.

Everything that a learner's input can provoke is one of the errors here; a Python traceback never is. The first text
is what the real cluster or kubectl says; ``hint`` is ours and is printed apart and marked.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class FieldError:
    """One line of a validation answer: ``FIELD: TYPE[: VALUE][: DETAIL]`` (apimachinery pkg/util/validation/field).

    ``type`` is as printed (Invalid value, Required value, …); ``value`` is already rendered (Go quoting or JSON).
    """

    field: str
    type: str
    detail: str = ""
    value: str | None = None

    def __str__(self) -> str:
        parts = [self.type, *([self.value] if self.value is not None else []), *([self.detail] if self.detail else [])]
        return (f"{self.field}: " if self.field else "") + ": ".join(parts)


def render(value: Any) -> str:
    """A bad value as field errors print it: strings in Go quotes, numbers and booleans plain, the rest compact JSON."""
    if isinstance(value, str):
        return _quote(value)
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


_ESCAPES = {c: f"\\{letter}" for c, letter in zip('\a\b\f\n\r\t\v"\\', 'abfnrtv"\\', strict=True)}


def _quote(text: str) -> str:
    """Go's ``%q``."""
    return '"' + "".join(_ESCAPES.get(c) or (c if c.isprintable() else _go_escape(ord(c))) for c in text) + '"'


def _go_escape(code: int) -> str:
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class KubernetesError(Exception):
    """Base of all refusals. ``str()`` is the whole text that kubectl prints (without hint), ``hint`` may be empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class KubectlError(KubernetesError):
    """kubectl refused before anything was sent: ``error: …``. ``message`` is the whole line."""


@dataclass
class ApiStatus:
    """What the API server answers with an error: HTTP code, reason, message and the field errors behind it."""

    code: int
    reason: str
    message: str
    causes: list[FieldError] = field(default_factory=list)


class ApiError(KubernetesError):
    """The API server refused. ``status.message`` is the server's, kubectl's frame is put around it by the shell.

    Reasons: BadRequest 400, Forbidden 403, NotFound 404, AlreadyExists and Conflict 409, Invalid 422, InternalError 500.
    """

    def __init__(
        self, code: int, reason: str, message: str, causes: list[FieldError] | None = None, hint: str = ""
    ) -> None:
        super().__init__(message, hint)
        self.status = ApiStatus(code, reason, message, causes or [])
