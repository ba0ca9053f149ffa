"""Hints in plain words for what was probably meant (thin)."""

from __future__ import annotations

from k8snet.manifests.errors import FieldError, KubernetesError
from k8snet.manifests.kinds import Object


def hint(error: KubernetesError | FieldError, obj: Object | None = None) -> str:
    """What was probably meant, in one or two sentences; empty if there is nothing to add."""
    return ""
