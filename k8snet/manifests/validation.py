"""What the API server refuses (thin)."""

from __future__ import annotations

from k8snet.manifests.errors import FieldError
from k8snet.manifests.kinds import Object


def errors(obj: Object, old: Object | None = None) -> list[FieldError]:
    """All field errors in the server's order; with *old*, of an update of that stored object."""
    return []
