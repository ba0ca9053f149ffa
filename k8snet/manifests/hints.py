"""What was probably meant: a hint in plain words for the mistakes that people make most, never part of the real message.

Hints are found from the message alone (and, for a value, from the object): the patterns of ``hints.yaml``, and a few
functions where a neighbouring name has to be looked up.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from k8snet.manifests.errors import ApiError, FieldError, KubernetesError
from k8snet.manifests.kinds import KINDS, Object
from k8snet.manifests.schema import Type, structs
from k8snet.manifests.tables import table

_FEW = 8


def hint(error: KubernetesError | FieldError, obj: Object | None = None) -> str:
    """What was probably meant, in a sentence or two; empty if there is nothing to add.

    *error* is a whole refusal or one of its field errors, *obj* the object as it was written.
    """
    if isinstance(error, ApiError) and error.status.causes:
        return _joined(hint(cause, obj) for cause in error.status.causes)
    text = str(error)
    if "strict decoding error" in text:
        kind = text.partition(" ")[0]
        return _joined(_unknown_field(kind, path, obj or {}) for path in re.findall(r'unknown field "(.*?)"', text))
    if found := re.search(r"cannot unmarshal (\w+).* field \w+\.(\S+) of type (\S+)", text):
        return _wrong_type(found[1], found[2], found[3], obj or {})
    found = re.search(r'Unsupported value: "(.*?)": supported values: (.*)', text)
    if found and (near := _nearest(found[1], re.findall(r'"(.*?)"', found[2]))):
        return f"Write {near}: capitals matter." if near.lower() == found[1].lower() else f"Did you mean {near}?"
    return _first_meaning("meanings", text)


def yaml_hint(text: str, line: int, at: Sequence[str]) -> str:
    """For text that is no YAML: *line* counts as an editor does (0: unknown), *at* holds the text of that line."""
    meaning = _first_meaning("yaml_lines", "\n".join(at)) or _first_meaning("yaml_texts", text)
    return _joined((f"Line {line} of the text." if line else "", meaning))


def unset_hint(value: Any) -> str:
    """For a document without apiVersion or kind, or one that is no map."""
    if not isinstance(value, dict):
        return "Every document is a map that begins with apiVersion and kind."
    kind = KINDS.get(str(value.get("kind")))
    if kind is not None and "apiVersion" not in value:
        return f"Write apiVersion: {kind.api_version}"
    near = _joined(
        f"Write {word}: capitals matter."
        for word in ("apiVersion", "kind")
        if word not in value and _nearest(word, value)
    )
    return near or "Every document says first what it is: apiVersion and kind."


def kind_hint(api_version: str, kind: str) -> str:
    """For a kind, or a version of it, that there is not."""
    if kind in KINDS:
        return f"{kind} is of apiVersion: {KINDS[kind].api_version}"
    if kind in table("hints")["not_simulated"].split():
        return f"A real cluster knows {kind}; this simulator does not, since networking does not need it."
    near = _nearest(kind, KINDS)
    return f"Did you mean kind: {near} (apiVersion: {KINDS[near].api_version})?" if near else ""


def _first_meaning(group: str, text: str) -> str:
    found = ((re.search(pattern, text), meaning) for pattern, meaning in table("hints")[group])
    return next((match.expand(meaning) for match, meaning in found if match), "")


def _joined(sentences: Iterable[str]) -> str:
    return " ".join(dict.fromkeys(s for s in sentences if s))


def _nearest(word: str, words: Iterable[str]) -> str:
    """The word that was meant: the same but for capitals, or else nearly the same."""
    lower = {str(w).lower(): str(w) for w in words}
    found = difflib.get_close_matches(word.lower(), lower, 1, 0.7)
    return lower[found[0]] if found else ""


def _unknown_field(kind: str, path: str, obj: Object) -> str:
    parent, _, field = path.rpartition(".")
    struct = _struct_at(kind, parent)
    while not struct and parent:  # keys such as app.kubernetes.io/name have dots of their own
        parent = parent.rpartition(".")[0]
        struct, field = _struct_at(kind, parent), path.removeprefix(parent).lstrip(".")
    if not struct:
        return ""
    for elsewhere, name, text in table("hints")["elsewhere"]:
        if (elsewhere, name) == (struct, field):
            return str(text)
    here = structs()[struct]
    beside = _first(obj, re.sub(r"\[\d+\]", "", parent).split(".") if parent else [])
    empty = [k for k, v in beside.items() if v is None and here.get(k)] if isinstance(beside, dict) else []
    if field.startswith("-"):
        return f"A dash needs a space behind it: - {field.lstrip('-')}"
    if struct != kind and field in structs()[kind]:
        return f"{field} stands at the left edge, beside metadata."
    if near := _nearest(field, here):
        return f"{field}: did you mean {near}?" if near.lower() != field.lower() else f"Write {near}: capitals matter."
    if empty:
        return f"{empty[0]} is empty: what belongs to it stands further to the right."
    if struct == "LabelSelector":
        return "Labels of a selector stand one level deeper, under matchLabels."
    for place in ("metadata", "spec"):
        inner = here.get(place) if struct == kind else structs()[kind].get(place)
        if inner is not None and inner.struct != struct and field in structs()[inner.struct]:
            return f"{field} belongs under {place}."
    if struct == "ObjectMeta":
        return "Labels stand one level deeper, under labels."
    if below := _path_down(here, field):
        return f"{field} stands deeper, under {below}."
    return f"The fields here are {', '.join(sorted(here))}." if len(here) <= _FEW else ""


def _path_down(here: Mapping[str, Type], field: str, depth: int = 2) -> str:
    """Where a field stands below the struct in which it was written, at most *depth* levels down."""
    for name, wanted in here.items():
        if field in _fields(wanted):
            return name
    paths = ((name, _path_down(_fields(t), field, depth - 1)) for name, t in here.items() if depth > 1)
    return next((f"{name}.{path}" for name, path in paths if path), "")


def _struct_of(wanted: Type | None) -> str:
    """The struct of a field, or of the items of a list; empty if it holds others."""
    inner = wanted.item if wanted is not None and wanted.base == "list" else wanted
    return inner.struct if inner is not None else ""


def _fields(wanted: Type) -> Mapping[str, Type]:
    return structs().get(_struct_of(wanted), {})


def _struct_at(kind: str, path: str) -> str:
    """The struct that stands at a path with indexes; empty if there is none."""
    struct = kind
    for step in re.findall(r"[^.\[\]]+(?=[.\[]|$)", re.sub(r"\[\d+\]", "", path)):
        struct = _struct_of(structs().get(struct, {}).get(step))
    return struct if struct in structs() else ""


def _wrong_type(found: str, path: str, wanted: str, obj: Object) -> str:
    *above, field = path.split(".")
    inside, value = _first(obj, above), _first(obj, [*above, field])
    one = isinstance(inside, dict) and isinstance(inside.get(field), list) and found != "array"
    it = f"Each item of {field}" if one and not wanted.startswith("[]") else field
    if found == "object" and field == "selector":
        return "A Service's selector holds the labels themselves, without matchLabels."
    if wanted == "[]uint8":
        return f"The values of {field} are text in base64; plain text goes into stringData."
    if wanted.startswith("[]"):
        return f"{field} is a list: its items begin with a dash."
    if found == "array":
        return f"{field} is no list: take the dash away."
    if wanted.startswith("map[") or wanted == "v1.ResourceList":
        return f"{it} is a map of names and values."
    if shape := table("hints")["shapes"].get(wanted):
        return f"{it} holds fields of its own: {'-' if one else f'{field}:'} {shape}"
    if wanted.removeprefix("v1.") in structs():
        return f"{it} holds fields of its own, on lines below it, further to the right."
    if wanted in ("int32", "int64"):
        shown = value if isinstance(value, str) and value.isdigit() else "80" if field.lower().endswith("port") else ""
        return f"{it} is a number: without quotes and fractions{f', {field}: {shown}' if shown else ''}"
    if wanted == "bool":
        return f"{it} is true or false, without quotes."
    if found == "object":
        return f"{it} holds text, no further fields: look at the indentation of the lines below it."
    if isinstance(value, bool):
        return f"{it} is text, and true, yes, on and y (false, no, off, n) are not: put the value in quotes."
    if isinstance(value, int | float):
        return f'{it} is text: put the value in quotes, as in "{value}"'
    return f"{it} holds text: put numbers and words such as true in quotes."


def _first(value: Any, path: Sequence[str]) -> Any:
    """The first value at a path without indexes."""
    if isinstance(value, list):
        return next((v for item in value if (v := _first(item, path)) is not None), None)
    if not path:
        return value
    return _first(value.get(path[0]), path[1:]) if isinstance(value, dict) else None
