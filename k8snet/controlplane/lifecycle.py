"""How objects end: graceful deletion, the garbage collector, the namespace controller and the Pod collector.

From apiserver's registry/rest/delete.go, pkg/controller/garbagecollector (background cascade by ownerReferences),
pkg/controller/namespace and pkg/controller/podgc.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k8snet.controlplane.store import Store, key_of
from k8snet.manifests.kinds import KINDS, Object

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane


def delete(store: Store, obj: Object, grace: float | None = None) -> None:
    """Delete a stored object: at once, or, if it has to be waited for, by marking it with a deletionTimestamp.

    Waited for are Pods that run on a node (*grace* seconds; None: the Pod's own period), Namespaces (until they are
    empty) and objects with finalizers.
    """
    meta = obj["metadata"]
    if obj["kind"] == "Pod":
        spec, status = obj["spec"], obj.get("status") or {}
        period = spec.get("terminationGracePeriodSeconds", 30) if grace is None else grace
        if not spec.get("nodeName") or status.get("phase") in ("Succeeded", "Failed"):
            period = 0
        if period <= 0:
            store.remove(key_of(obj))
        elif not meta.get("deletionTimestamp") or period < meta.get("deletionGracePeriodSeconds", 30):
            marked = {**meta, "deletionTimestamp": store.timestamp(period), "deletionGracePeriodSeconds": int(period)}
            store.put({**obj, "metadata": marked})
    elif obj["kind"] == "Namespace":
        if not meta.get("deletionTimestamp"):
            marked = {**meta, "deletionTimestamp": store.timestamp()}
            store.put({**obj, "metadata": marked, "status": {**(obj.get("status") or {}), "phase": "Terminating"}})
    elif meta.get("finalizers"):
        if not meta.get("deletionTimestamp"):
            store.put(
                {**obj, "metadata": {**meta, "deletionTimestamp": store.timestamp(), "deletionGracePeriodSeconds": 0}}
            )
    else:
        store.remove(key_of(obj))


def collect_garbage(plane: ControlPlane) -> None:
    """Delete what was owned by objects that are gone, and Pods of nodes that are gone."""
    store, position = plane.store, plane.unread("garbage")
    for event in store.log[position:]:
        if event.type != "DELETED":
            continue
        for orphan in store.by("owner", event.obj["metadata"].get("uid") or "-"):
            owners = orphan["metadata"]["ownerReferences"]
            if not any(store.get(o["kind"], orphan["metadata"].get("namespace", ""), o["name"]) for o in owners):
                delete(store, orphan)
        if event.obj["kind"] == "Node":
            for pod in store.by("node", event.obj["metadata"]["name"]):
                delete(store, pod, 0)


def end_namespaces(plane: ControlPlane) -> None:
    """Empty the namespaces that are being deleted, and remove those that are empty."""
    ending = [n for n in plane.store.all("Namespace") if n["metadata"].get("deletionTimestamp")]
    for namespace in ending:
        name, left = namespace["metadata"]["name"], False
        for kind in KINDS.values():
            if kind.namespaced:
                for obj in plane.store.all(kind.kind, name):
                    left = True
                    delete(plane.store, obj)
        if not left:
            plane.store.remove(key_of(namespace))
