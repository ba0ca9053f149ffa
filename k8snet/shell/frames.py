"""How kubectl puts errors: a frame around one, a line for each of several.

Facts: k8s.io/kubectl pkg/cmd/util/helpers.go (checkErr, StandardErrorMessage, MultilineError, MultipleErrors,
AddSourceToErr). The API server's own message is inside; what is built here is the part that kubectl adds.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from k8snet.manifests.errors import ApiError, KubernetesError

_INVALID = re.compile(r'^(?P<kind>\w+)[\w.]* "(?P<name>.*?)" is invalid: ', re.DOTALL)


class FileError(ApiError):
    """An answer of the server about an object that came from a file: ``verb`` is what kubectl was doing with it."""

    def __init__(self, verb: str, source: str, error: ApiError) -> None:
        status = error.status
        super().__init__(status.code, status.reason, f'error when {verb} "{source}": {status.message}', hint=error.hint)
        self.status = status


class Aggregate(KubernetesError):
    """Several errors that one step of a command collected."""

    def __init__(self, errors: Sequence[KubernetesError]) -> None:
        texts = list(dict.fromkeys(_inner(e) for e in errors))
        super().__init__(texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")
        self.errors = list(errors)


def is_missing(error: KubernetesError) -> bool:
    """Whether the server said NotFound."""
    return isinstance(error, ApiError) and error.status.reason == "NotFound"


def text(errors: Sequence[KubernetesError]) -> str:
    """Everything that kubectl prints on standard error when a command ends with these errors; each text ends its line."""
    if len(errors) == 1 and isinstance(errors[0], Aggregate):
        return text(errors[0].errors)
    lines = map(_alone if len(errors) == 1 else _inner, errors)
    return "".join(line.removesuffix("\n") + "\n" for line in lines)


def hints(errors: Sequence[KubernetesError]) -> list[str]:
    """The hints of all errors, each once, in order."""
    found: list[str] = []
    for error in errors:
        found += hints(error.errors) if isinstance(error, Aggregate) else [error.hint]
    return [h for h in dict.fromkeys(found) if h]


def _alone(error: KubernetesError) -> str:
    """The only error of a command: an Invalid lists its fields, everything else is as among several, with ``error: ``."""
    if isinstance(error, ApiError) and error.status.reason == "Invalid":
        named = _INVALID.match(error.status.message)
        head = f'The {named["kind"]} "{named["name"]}" is invalid' if named else "The request is invalid"
        causes = list(dict.fromkeys(map(str, error.status.causes)))
        if not causes:
            return head if named else f"{head}: {error.status.message}"
        return f"{head}: {causes[0]}" if len(causes) == 1 else f"{head}: \n" + "".join(f"* {c}\n" for c in causes)
    inner = _inner(error)
    return inner if isinstance(error, ApiError) or inner.startswith("The connection to") else f"error: {inner}"


def _inner(error: KubernetesError) -> str:
    """One of several errors."""
    if isinstance(error, ApiError):
        return f"Error from server ({error.status.reason}): {error.message}"
    return error.message.removeprefix("error: ")
