"""What all workload controllers share: Pods made of a template and deleted again, which of them count, and status.

From pkg/controller/controller_utils.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from k8snet.controlplane import admission, lifecycle
from k8snet.controlplane.endpoints import is_ready
from k8snet.controlplane.metadata import going, reference, suffix
from k8snet.controlplane.store import Key, key_of, seconds_of
from k8snet.manifests import defaults
from k8snet.manifests.kinds import Object

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane


def make_pod(plane: ControlPlane, owner: Object, labels: dict[str, str], name: str = "", **spec: Any) -> Object:
    """A new Pod of *owner*'s template, stored: with a generated name unless *name* is given, with further *labels* and
    fields of its *spec*."""
    template, prefix = owner["spec"]["template"], f"{owner['metadata']['name']}-"
    meta: Object = {"name": name} if name else {"name": prefix + suffix(plane.rng), "generateName": prefix}
    meta |= {"namespace": owner["metadata"]["namespace"], "ownerReferences": [reference(owner)]}
    meta = {**(template.get("metadata") or {}), **meta}
    meta["labels"] = {**(meta.get("labels") or {}), **labels}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {**template["spec"], **spec}}
    pod = plane.store.put(admission.admit(plane.store, plane.settings, defaults.fill(pod), None))
    _report(plane, owner, pod, "create")
    return pod


def delete_pod(plane: ControlPlane, owner: Object, pod: Object) -> None:
    """Delete a Pod of *owner* and report it."""
    lifecycle.delete(plane.store, pod)
    _report(plane, owner, pod, "delete")


def _report(plane: ControlPlane, owner: Object, pod: Object, verb: str) -> None:
    kind, name = owner["kind"], pod["metadata"]["name"]
    text = f"{verb.capitalize()}d pod: {name}"
    if kind == "StatefulSet":
        text = f"{verb} Pod {name} in StatefulSet {owner['metadata']['name']} successful"
    plane.events.record(owner, f"Successful{verb.capitalize()}", text, f"{kind.lower()}-controller")


def pods_of(plane: ControlPlane, owner: Object) -> list[Object]:
    """The Pods that *owner* controls, terminating ones among them, finished ones not."""
    owned = plane.store.by("owner", owner["metadata"]["uid"])
    return [p for p in owned if p["kind"] == "Pod" and p["status"].get("phase") not in ("Succeeded", "Failed")]


def ready_since(pod: Object) -> float | None:
    """When the Pod became Ready (seconds since the start); None if it is not."""
    ready = (c for c in pod["status"].get("conditions") or () if c["type"] == "Ready" and c["status"] == "True")
    return next((seconds_of(c["lastTransitionTime"]) for c in ready), None)


def is_healthy(pod: Object) -> bool:
    """Whether the Pod is Ready and stays."""
    return is_ready(pod) and not going(pod)


def counted(plane: ControlPlane, owner: Object, pods: list[Object]) -> dict[str, Any]:
    """How many *pods* there are, are ready, and have been for the owner's ``minReadySeconds``; its controller is woken
    when more have."""
    least, available = owner["spec"].get("minReadySeconds") or 0, 0
    for since in map(ready_since, pods):
        if since is not None and since + least > plane.now:
            plane.wake(owner["kind"].lower(), key_of(owner), since + least - plane.now)
        elif since is not None:
            available += 1
    return {"replicas": len(pods), "readyReplicas": sum(map(is_ready, pods)), "availableReplicas": available}


def write_status(plane: ControlPlane, key: Key, status: dict[str, Any]) -> None:
    """Write an owner's status; counts of 0 are left out, as Go does (``replicas`` and the DaemonSet's are kept)."""
    if obj := plane.store.at(key):
        kept = {k: v for k, v in status.items() if v != 0 or k == "replicas" or key[0] == "DaemonSet"}
        plane.store.put({**obj, "status": {**kept, "observedGeneration": obj["metadata"].get("generation", 1)}})


def share_of(value: Any, total: int, up: bool) -> int:
    """A number, or a percentage of *total* rounded *up* or down."""
    if isinstance(value, int):
        return value
    percent = int(str(value).rstrip("%")) * total
    return -(-percent // 100) if up else percent // 100
