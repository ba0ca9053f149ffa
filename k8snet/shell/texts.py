"""The tables and texts of this room, which lie in YAML beside the code."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import yaml

from k8snet.manifests.errors import KubectlError


@cache
def table(name: str) -> Any:
    """What stands in ``NAME.yaml``."""
    text = resources.files(__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def error(key: str, hint: str = "", /, **words: object) -> KubectlError:
    """One of kubectl's own errors: its text in ``errors.yaml``, with *words* in place of the names in braces."""
    return KubectlError("error: " + table("errors")[key].format(**words), hint)
