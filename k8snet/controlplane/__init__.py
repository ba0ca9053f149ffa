"""What does the cluster know?"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import yaml


@cache
def table(name: str) -> dict[str, Any]:
    """What stands in ``NAME.yaml`` beside the code."""
    text = resources.files(__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return dict(yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def filled(value: Any, values: dict[str, Any]) -> Any:
    """A copy of a table's part with the words of *values* (``$NAME``) replaced."""
    if isinstance(value, dict):
        return {k: filled(v, values) for k, v in value.items()}
    if isinstance(value, list):
        return [filled(v, values) for v in value]
    return values.get(value, value) if isinstance(value, str) else value
