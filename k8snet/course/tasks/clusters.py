"""Parts of tasks as text with ``$names``, in ``clusters.yaml``: a draw fills the names, nothing else changes."""

from __future__ import annotations

import random
from collections.abc import Mapping
from string import Template
from typing import Any

from k8snet.manifests.tables import table


def cluster(part: str, values: Mapping[str, Any], **more: Any) -> str:
    """The manifests of one part. Raises KeyError for a name that neither *values* nor *more* give."""
    return Template(table("clusters", __package__)[part].strip()).substitute(values, **more)


def mixed(rng: random.Random, part: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    """The lines of one part, in any order."""
    lines = cluster(part, values).splitlines()
    return tuple(rng.sample(lines, len(lines)))
