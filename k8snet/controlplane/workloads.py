"""What all workload controllers share: how a Pod is made of a template, which of an owner's Pods count, who goes first.

From pkg/controller/controller_utils.go and pkg/controller/history.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from k8snet.controlplane import admission, lifecycle
from k8snet.controlplane.endpoints import is_ready
from k8snet.controlplane.names import suffix
from k8snet.controlplane.owners import reference
from k8snet.controlplane.store import Key, key_of, seconds_of
from k8snet.manifests import defaults
from k8snet.manifests.kinds import Object

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane


def make_pod(
    plane: ControlPlane, owner: Object, name: str = "", labels: Mapping[str, str] | None = None, **spec: Any
) -> Object:
    """A new Pod of *owner*'s template, stored: with a generated name unless *name* is given, with further *labels* and
    fields of its *spec*."""
    template, meta = owner["spec"]["template"], owner["metadata"]
    own = template.get("metadata") or {}
    pod_meta: dict[str, Any] = {"namespace": meta["namespace"], "ownerReferences": [reference(owner)]}
    pod_meta |= {"annotations": own["annotations"]} if own.get("annotations") else {}
    pod_meta |= {"labels": {**(own.get("labels") or {}), **(labels or {})}}
    pod_meta |= {"name": name or f"{meta['name']}-{suffix(plane.rng)}"}
    pod_meta |= {} if name else {"generateName": f"{meta['name']}-"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": pod_meta, "spec": {**template["spec"], **spec}}
    return plane.store.put(admission.admit(plane.store, plane.settings, defaults.fill(pod), None))


def pods_of(plane: ControlPlane, owner: Object) -> list[Object]:
    """The Pods that *owner* controls, terminating ones among them, finished ones not."""
    owned = plane.store.by("owner", owner["metadata"]["uid"])
    return [
        p for p in owned if p["kind"] == "Pod" and (p.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
    ]


def staying(pods: Iterable[Object]) -> list[Object]:
    """Those that are not being deleted."""
    return [p for p in pods if not p["metadata"].get("deletionTimestamp")]


def ready_since(pod: Object) -> float | None:
    """When the Pod became Ready (seconds since the start); None if it is not."""
    for c in (pod.get("status") or {}).get("conditions") or ():
        if c["type"] == "Ready" and c["status"] == "True":
            return seconds_of(c["lastTransitionTime"])
    return None


def is_available(plane: ControlPlane, owner: Object, pod: Object, controller: str) -> bool:
    """Whether the Pod has been Ready for the owner's ``minReadySeconds``; if not yet, *controller* is woken then."""
    since, least = ready_since(pod), owner["spec"].get("minReadySeconds") or 0
    if since is not None and since + least > plane.now:
        plane.wake(controller, key_of(owner), since + least - plane.now)
    return since is not None and since + least <= plane.now


def first_to_go(pod: Object, together: int) -> tuple[Any, ...]:
    """Sort key of Pods to delete: unassigned before assigned, pending before running, not ready before ready, those with
    more of their kind *together* on a node, then the youngest."""
    meta, status = pod["metadata"], pod.get("status") or {}
    return (
        bool(pod["spec"].get("nodeName")),
        status.get("phase") == "Running",
        is_ready(pod),
        -together,
        -(ready_since(pod) or 0),
        -seconds_of(meta["creationTimestamp"]),
        meta["name"],
    )


def delete_pod(plane: ControlPlane, owner: Object, pod: Object, message: str, controller: str) -> None:
    """Delete a Pod of *owner* and report it."""
    lifecycle.delete(plane.store, pod)
    plane.events.record(owner, "SuccessfulDelete", message.format(pod=pod["metadata"]["name"]), controller)


def write_status(plane: ControlPlane, key: Key, status: Mapping[str, Any]) -> None:
    """Write an owner's status; counts of 0 are left out, as Go does (``replicas`` and the DaemonSet's are kept)."""
    obj = plane.store.at(key)
    if obj is not None:
        kept = {k: v for k, v in status.items() if v != 0 or k == "replicas" or key[0] == "DaemonSet"}
        plane.store.put({**obj, "status": {**kept, "observedGeneration": obj["metadata"].get("generation", 1)}})


def condition(plane: ControlPlane, obj: Object, kind: str, status: str, reason: str, message: str) -> dict[str, Any]:
    """A condition for *obj*'s status: its times move on only if it says something new."""
    for old in (obj.get("status") or {}).get("conditions") or ():
        if old["type"] == kind and (old["status"], old["reason"], old["message"]) == (status, reason, message):
            return dict(old)
    now = plane.store.timestamp()
    found = {"type": kind, "status": status, "reason": reason, "message": message}
    return {**found, "lastUpdateTime": now, "lastTransitionTime": now}


def share_of(value: Any, total: int, up: bool) -> int:
    """A number, or a percentage of *total* rounded *up* or down."""
    if isinstance(value, int):
        return value
    percent = int(str(value).rstrip("%")) * total
    return -(-percent // 100) if up else percent // 100
