"""Manifests as kubectl reads them: documents, kubectl's own checks, Lists taken apart.

The real thing: k8s.io/apimachinery pkg/util/yaml (splitting), k8s.io/cli-runtime pkg/resource (visitor.go, mapper.go,
metadata_decoder.go) and k8s.io/kubectl pkg/validation. YAML itself is read in ``yaml11.py``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from k8snet.manifests import hints
from k8snet.manifests.decode import decisive, mismatches
from k8snet.manifests.errors import KubectlError
from k8snet.manifests.kinds import ALSO_SERVED, KINDS, Object
from k8snet.manifests.yaml11 import MAX_BYTES, Budget, TooLarge, YamlError, parse

# A dump of a large cluster may be larger than what a person writes. JSON is read some twenty times as fast as YAML.
DUMP_BYTES = 400_000_000
DUMP_NODES = 20_000_000

_SEPARATOR = re.compile(r"^---(.*)$", re.MULTILINE)
_OURS = "(a limit of this simulator, not of Kubernetes)"


@dataclass(frozen=True, slots=True)
class Document:
    """One object of a manifest, or the error that stands in its place. ``line`` is where its document starts, from 1;
    ``hints`` are ours, about things that kubectl takes without a word."""

    index: int
    line: int
    obj: Object | None
    error: KubectlError | None = None
    hints: tuple[str, ...] = ()


def read(text: str, source: str = "STDIN") -> list[Document]:
    """The objects of a manifest in order, with the errors of those that kubectl cannot send (``error`` set, ``obj`` None).

    Text that is no YAML, a document that is no map and a missing apiVersion or kind end the reading: nothing follows.
    *source* is the file's name in messages. At most 10 MB and 100,000 values (aliases written out) are read.
    """
    documents: list[Document] = []
    line, budget = 1, Budget()
    try:
        if len(text) > MAX_BYTES:
            raise KubectlError(
                f"error: error parsing {source}: the text is longer than {MAX_BYTES // 1_000_000} MB {_OURS}"
            )
        for line, part in _split(text, source):
            value, notes = _value(part, line, source, budget)
            for obj, error in _objects(value, source):
                documents.append(Document(len(documents), line, obj, error, notes))
    except KubectlError as error:
        documents.append(Document(len(documents), line, None, error))
    return documents


def objects_of(text: str) -> list[Object]:
    """The objects of a dump (``kubectl get … -o yaml`` or ``-o json``): a List, several documents, or one object.

    Dumps may be larger than manifests (400 MB, 20 million values); one of tens of thousands of objects is best taken as
    JSON. Raises KubernetesError for text that is no dump.
    """
    if len(text) > DUMP_BYTES:
        raise KubectlError(f"error: the dump is longer than {DUMP_BYTES // 1_000_000} MB {_OURS}")
    found: list[Any] = []
    if text.lstrip()[:1] in ("{", "["):
        with suppress(ValueError, RecursionError):  # what is no JSON may be YAML
            found.append(json.loads(text))
    if not found:
        budget = Budget(DUMP_NODES, DUMP_BYTES)
        found = [_value(part, line, "the dump", budget)[0] for line, part in _split(text, "the dump")]
    found = [item for value in found if value is not None for item in _items(value)]
    for obj in found:
        kind, metadata = (obj.get("kind"), obj.get("metadata")) if isinstance(obj, dict) else (None, None)
        if not isinstance(kind, str) or not isinstance(metadata, dict):
            raise KubectlError("error: this is no dump of Kubernetes objects: each needs apiVersion, kind and metadata")
    return found


def _items(value: Any) -> list[Any]:
    """What a List holds; anything else stands for itself. The items of a PodList do not say their kind."""
    items = value.get("items") if isinstance(value, dict) else value
    if not isinstance(items, list):
        return [value]
    kind = str(value.get("kind", "")).removesuffix("List") if isinstance(value, dict) else ""
    given = {"apiVersion": value.get("apiVersion", "v1"), "kind": kind} if kind else {}
    return [{**given, **item} if isinstance(item, dict) else item for item in items]


def _split(text: str, source: str) -> Iterator[tuple[int, str]]:
    """The documents of a text and the line at which each starts, from 1: what stands between lines of ``---``."""
    start, line = 0, 1
    for separator in _SEPARATOR.finditer(text):
        rest = separator[1].strip()
        if rest and not rest.startswith("#"):
            raise KubectlError(f"error: error parsing {source}: invalid Yaml document separator: {rest}")
        if separator.start() > start:
            yield line, text[start : separator.start()]
            line += text.count("\n", start, separator.end() + 1)
            start = separator.end() + 1
    if start < len(text):
        yield line, text[start:]


def _value(part: str, line: int, source: str, budget: Budget) -> tuple[Any, tuple[str, ...]]:
    """A document's value, and what to say about keys that it repeats."""
    try:
        parsed = parse(part.encode("utf-8", "replace").decode(), budget)
    except TooLarge as error:
        raise KubectlError(f"error: error parsing {source}: {error} {_OURS}") from error
    except YamlError as error:
        here = line + error.line - 1 if error.line else 0
        hint = hints.yaml_hint(error.text, here, part.split("\n")[error.line - 1 : error.line] if here else [])
        raise KubectlError(
            f"error: error parsing {source}: error converting YAML to JSON: {error.text}", hint
        ) from error
    notes = (
        f'line {line + n - 1}: "{key}" stands here a second time; only this one counts' for key, n in parsed.repeated
    )
    return parsed.value, tuple(notes)


def _objects(value: Any, source: str) -> Iterator[tuple[Object | None, KubectlError | None]]:
    """The objects of one document, each with what kubectl has against it."""
    if value is None:
        return
    problems = _unset(value) if isinstance(value, dict) else ["invalid object to validate"]
    if problems:
        text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
        raise KubectlError(
            f'error: error validating "{source}": error validating data: {text}; if you choose to ignore these errors, turn '
            "validation off with --validate=false",
            hints.unset_hint(value),
        )
    for obj in _items(value):
        error = _refused(obj, source)
        yield (None, error) if error else ({**obj, "apiVersion": KINDS[obj["kind"]].api_version}, None)


def _unset(obj: Object) -> list[str]:
    """What kubectl says about apiVersion and kind."""
    found = []
    for field in ("apiVersion", "kind"):
        if obj.get(field) is None:
            found.append(f"{field} not set")
        elif not isinstance(obj[field], str):
            found.append(f"{field} isn't string type")
        elif field == "apiVersion" and obj[field].count("/") > 1:
            found.append(f"unexpected GroupVersion string: {obj[field]}")
    return found


def _refused(obj: Any, source: str) -> KubectlError | None:
    """Why kubectl does not send an object: it cannot read it, or knows no such kind."""
    if not isinstance(obj, dict) or _unset(obj):
        shown = json.dumps(obj, separators=(",", ":"), ensure_ascii=False)
        return KubectlError(f"error: unable to decode \"{source}\": Object 'Kind' is missing in '{shown}'")
    if wrong := mismatches({"metadata": obj.get("metadata")}, "metadataOnlyObject"):
        error = KubectlError(f'error: unable to decode "{source}": {decisive(wrong).text}')
        error.hint = hints.hint(error, obj)
        return error
    kind = KINDS.get(obj["kind"])
    if kind is None or kind.api_version != ALSO_SERVED.get(obj["apiVersion"], obj["apiVersion"]):
        meta = obj.get("metadata") or {}
        return KubectlError(
            f'error: resource mapping not found for name: "{meta.get("name") or ""}" namespace: '
            f'"{meta.get("namespace") or ""}" from "{source}": no matches for kind "{obj["kind"]}" in version '
            f'"{obj["apiVersion"]}"\nensure CRDs are installed first',
            hints.kind_hint(obj["apiVersion"], obj["kind"]),
        )
    return None
