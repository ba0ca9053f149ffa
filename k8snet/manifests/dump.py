"""Objects as ``kubectl get -o yaml`` and ``-o json`` print them (sigs.k8s.io/yaml, k8s.io/cli-runtime printers)."""

from __future__ import annotations

import json
from typing import Any

import yaml

from k8snet.manifests.yaml11 import resolve


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Quotes what would be read as something else, as Go's emitter does; no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: Any, value: str) -> Any:
    ambiguous = not isinstance(resolve(value), str) or _looks_like_time_or_base_60(value)
    style = "|" if "\n" in value else '"' if ambiguous else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style)


def _looks_like_time_or_base_60(value: str) -> bool:
    """Go reads these as text, but quotes them for the sake of older parsers: ``22:22``, ``2026-01-01T00:00:00Z``."""
    found = yaml.SafeLoader.yaml_implicit_resolvers.get(value[:1], ())
    return any(tag.endswith((":int", ":float", ":timestamp")) and pattern.match(value) for tag, pattern in found)


_Dumper.add_representer(str, _text)


def to_json(obj: Any) -> str:
    """``kubectl get -o json``: keys sorted, four spaces."""
    return json.dumps(obj, indent=4, sort_keys=True, ensure_ascii=False) + "\n"


def to_yaml(obj: Any) -> str:
    """``kubectl get -o yaml``: keys sorted, lists not indented below their key."""
    return str(
        yaml.dump(obj, Dumper=_Dumper, sort_keys=True, default_flow_style=False, width=2**31 - 1, allow_unicode=True)
    )
