"""How objects end: graceful deletion, the garbage collector, the namespace controller and the Pod collector.

From apiserver's registry/rest/delete.go, pkg/controller/garbagecollector (background cascade by ownerReferences),
pkg/controller/namespace and pkg/controller/podgc.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k8snet.controlplane.metadata import changed, going
from k8snet.controlplane.store import Store, key_of
from k8snet.manifests.kinds import KINDS, Object

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane


def delete(store: Store, obj: Object, grace: float | None = None) -> None:
    """Delete a stored object: at once, or, if it has to be waited for, by marking it with a deletionTimestamp.

    Waited for are Pods that run on a node (*grace* seconds; None: the Pod's own period), Namespaces (until they are
    empty) and objects with finalizers.
    """
    meta, status = obj["metadata"], obj.get("status") or {}
    wait = 0.0
    if obj["kind"] == "Pod" and obj["spec"].get("nodeName") and status.get("phase") not in ("Succeeded", "Failed"):
        wait = obj["spec"].get("terminationGracePeriodSeconds", 30) if grace is None else grace
    held = obj["kind"] == "Namespace" or meta.get("finalizers")
    if not held and wait <= 0:
        store.remove(key_of(obj))
    elif not going(obj) or wait < meta.get("deletionGracePeriodSeconds", 0):
        marked = changed(obj, deletionTimestamp=store.timestamp(wait))
        if obj["kind"] == "Namespace":
            marked["status"] = {**status, "phase": "Terminating"}
        else:
            marked = changed(marked, deletionGracePeriodSeconds=int(wait))
        store.put(marked)


def collect_garbage(plane: ControlPlane) -> None:
    """Delete what was owned by objects that are gone, and Pods of nodes that are gone."""
    store = plane.store
    for gone in store.deleted(plane.unread("garbage")):
        for orphan in store.by("owner", gone["metadata"].get("uid") or "-"):
            delete(store, orphan)
        for pod in store.by("node", gone["metadata"]["name"]) if gone["kind"] == "Node" else ():
            delete(store, pod, 0)


def end_namespaces(plane: ControlPlane) -> None:
    """Empty the namespaces that are being deleted, and remove those that are empty."""
    for namespace in filter(going, plane.store.all("Namespace")):
        name = namespace["metadata"]["name"]
        inside = [o for k in KINDS.values() if k.namespaced for o in plane.store.all(k.kind, name)]
        for obj in inside:
            delete(plane.store, obj)
        if not inside:
            plane.store.remove(key_of(namespace))
