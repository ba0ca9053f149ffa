"""Objects as ``kubectl get -o yaml`` and ``-o json`` print them."""

from __future__ import annotations

import json
import math
from typing import Any

import yaml


def to_json(obj: Any) -> str:
    """``kubectl get -o json``: keys sorted, four spaces."""
    return json.dumps(obj, indent=4, sort_keys=True, ensure_ascii=False) + "\n"


def to_yaml(obj: Any) -> str:
    """``kubectl get -o yaml``: keys sorted, lists not indented below their key."""
    return str(
        yaml.dump(
            obj, Dumper=yaml.SafeDumper, sort_keys=True, default_flow_style=False, width=math.inf, allow_unicode=True
        )
    )
