"""What does the cluster know?"""

from __future__ import annotations

from functools import partial
from typing import Any

from k8snet.manifests import tables

table = partial(tables.table, package=__package__)


def filled(value: Any, values: dict[str, Any]) -> Any:
    """A copy of a table's part with the words of *values* (``$NAME``) replaced."""
    if isinstance(value, dict):
        return {k: filled(v, values) for k, v in value.items()}
    if isinstance(value, list):
        return [filled(v, values) for v in value]
    return values.get(value, value) if isinstance(value, str) else value
