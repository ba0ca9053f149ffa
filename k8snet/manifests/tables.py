"""Tables and texts that lie in YAML beside the code of a room."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import yaml


@cache
def table(name: str, package: str = __package__) -> Any:
    """What stands in ``NAME.yaml`` of a package, read once; of this room if none is said."""
    text = resources.files(package).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
