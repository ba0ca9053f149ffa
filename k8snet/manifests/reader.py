"""Manifests as kubectl reads them (thin)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import yaml

from k8snet.manifests.errors import KubectlError
from k8snet.manifests.kinds import Object


@dataclass(frozen=True, slots=True)
class Document:
    """One object of a manifest, or the error that stands in its place."""

    index: int
    line: int
    obj: Object | None
    error: KubectlError | None = None
    hints: tuple[str, ...] = ()


def read(text: str, source: str = "STDIN") -> list[Document]:
    """The documents of a manifest, in order."""
    documents: list[Document] = []
    line = 0
    for part in re.split(r"(?m)^---[ \t]*(?:#.*)?\n", text):
        try:
            value = yaml.load(part, yaml.CSafeLoader)
        except yaml.YAMLError as error:
            documents.append(
                Document(len(documents), line, None, KubectlError(f"error: error parsing {source}: {error}"))
            )
            break
        if value is not None:
            documents.append(Document(len(documents), line, value))
        line += part.count("\n") + 1
    return documents


def objects_of(text: str) -> list[Object]:
    """The objects of a dump."""
    found = [json.loads(text)] if text.lstrip().startswith("{") else [d.obj for d in read(text) if d.obj]
    return [item for obj in found for item in (obj["items"] if str(obj.get("kind", "")).endswith("List") else [obj])]
