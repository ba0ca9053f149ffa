"""JSON into Kubernetes types (thin)."""

from __future__ import annotations

from typing import Any

from k8snet.manifests.kinds import Object


def strict(obj: Object) -> Object:
    """The object as the server stores it, nulls dropped. Raises ApiError 400."""
    found: Object = _without_null(obj)
    return found


def warnings(obj: Object) -> list[str]:
    """Warnings that the server gives with a good answer."""
    return []


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_null(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_without_null(v) for v in value]
    return value
