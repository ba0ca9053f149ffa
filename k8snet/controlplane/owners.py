"""Owner references, and the entries of work queues that follow from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from k8snet.controlplane.store import Key, key_of
from k8snet.manifests.kinds import Object


def reference(owner: Object) -> dict[str, Any]:
    """The ownerReference that an object carries whose controller is *owner*."""
    meta = owner["metadata"]
    found = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": meta["name"], "uid": meta.get("uid", "")}
    return {**found, "controller": True, "blockOwnerDeletion": True}


def controller_of(obj: Object) -> dict[str, Any] | None:
    """The ownerReference of the controller that an object belongs to, or None."""
    return next((o for o in obj["metadata"].get("ownerReferences") or () if o.get("controller")), None)


def own(obj: Object) -> list[Key]:
    """Queues the object itself."""
    return [key_of(obj)]


def owner(kind: str) -> Callable[[Object], list[Key]]:
    """Queues the object's controller, if that is of *kind*."""

    def find(obj: Object) -> list[Key]:
        o = controller_of(obj)
        return [(kind, obj["metadata"].get("namespace", ""), o["name"])] if o and o["kind"] == kind else []

    return find
