"""Parts of tasks as text with ``$names``, in ``clusters.yaml``: a draw fills the names, nothing else changes."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import cache
from importlib import resources
from string import Template
from typing import Any

import yaml


@cache
def _templates() -> Mapping[str, str]:
    text = resources.files(__package__).joinpath("clusters.yaml").read_text(encoding="utf-8")
    found: Mapping[str, str] = yaml.safe_load(text)
    return found


def cluster(part: str, values: Mapping[str, Any], **more: Any) -> str:
    """The manifests of one part. Raises KeyError for a name that neither *values* nor *more* give."""
    return Template(_templates()[part].strip()).substitute(values, **more)


def mixed(rng: random.Random, part: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    """The lines of one part, in any order."""
    lines = cluster(part, values).splitlines()
    return tuple(rng.sample(lines, len(lines)))
