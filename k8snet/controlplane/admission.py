"""What the API server's strategies and admission plugins change or forbid on an object's way into the store.

From pkg/registry/*/strategy.go (status belongs to controllers), plugin/pkg/admission/network/defaultingressclass,
serviceaccount, defaulttolerationseconds and namespace/lifecycle; cluster IPs and node ports are given in allocation.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from k8snet.controlplane import allocation
from k8snet.controlplane.metadata import suffix
from k8snet.controlplane.settings import Settings
from k8snet.controlplane.store import Store
from k8snet.manifests.errors import ApiError
from k8snet.manifests.kinds import Object

# Deletion of these is refused.
IMMORTAL_NAMESPACES = ("default", "kube-system", "kube-public")

DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"
CLASS_ANNOTATION = "kubernetes.io/ingress.class"


def admit(store: Store, settings: Settings, new: Object, old: Object | None) -> Object:
    """*new* as it goes on to validation; *old* is the stored object of an update."""
    meta = new["metadata"]
    if old is None and not meta.get("name") and meta.get("generateName"):
        new = {**new, "metadata": {**meta, "name": meta["generateName"] + suffix(store.rng)}}
    status = _status(new, old)
    new = {k: v for k, v in new.items() if k != "status"}
    if status is not None:
        new["status"] = status
    if old is not None:
        kept = {k: old["metadata"][k] for k in _SERVER_FIELDS if k in old["metadata"]}
        new["metadata"] = {k: v for k, v in new["metadata"].items() if k not in _SERVER_FIELDS} | kept
    elif new["kind"] == "Pod":
        new["spec"] = _pod_spec(new["spec"])
    elif new["kind"] == "Ingress":
        chosen = default_ingress_class(new, store.all("IngressClass"))
        if chosen:
            new["spec"] = {**new["spec"], "ingressClassName": chosen}
    if new["kind"] == "Service":
        new = allocation.allocate(new, store.all("Service"), settings, store.rng, old)
    return new


_SERVER_FIELDS = (
    "uid",
    "creationTimestamp",
    "resourceVersion",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)

# What stands in status before any controller has written there. Kinds that are not named have no status at first.
_FIRST_STATUS: dict[str, Any] = {
    "Pod": {"phase": "Pending"},
    "Service": {"loadBalancer": {}},
    "Ingress": {"loadBalancer": {}},
    "Namespace": {"phase": "Active"},
}


def _status(new: Object, old: Object | None) -> Any:
    """Status is written by controllers: what a manifest says there is dropped. (A new Node's is its kubelet's word.)"""
    if old is not None:
        return old.get("status")
    if new["kind"] == "Node" and new.get("status"):
        return new["status"]
    return _FIRST_STATUS.get(new["kind"])


_TOLERATED = [
    {"effect": "NoExecute", "key": f"node.kubernetes.io/{taint}", "operator": "Exists", "tolerationSeconds": 300}
    for taint in ("not-ready", "unreachable")
]


def _pod_spec(spec: dict[str, Any]) -> dict[str, Any]:
    tolerations = list(spec.get("tolerations") or ())
    for default in _TOLERATED:
        if not any(
            t.get("key", default["key"]) == default["key"] and t.get("effect") in (None, "", "NoExecute")
            for t in tolerations
        ):
            tolerations.append(default)
    account = spec.get("serviceAccountName") or "default"
    return {"priority": 0, "preemptionPolicy": "PreemptLowerPriority", **spec} | {
        "serviceAccountName": account,
        "serviceAccount": account,
        "tolerations": tolerations,
    }


def default_ingress_class(ingress: Object, classes: Iterable[Object]) -> str:
    """The class that a new Ingress without one is given: the newest of the default classes, then the first by name;
    empty if it names a class itself (by field or by the old annotation) or there is no default."""
    if ingress["spec"].get("ingressClassName") or CLASS_ANNOTATION in (ingress["metadata"].get("annotations") or {}):
        return ""
    defaults = [c["metadata"] for c in classes if (c["metadata"].get("annotations") or {}).get(DEFAULT_CLASS) == "true"]
    newest = max((m.get("creationTimestamp") or "" for m in defaults), default="")
    return min((m["name"] for m in defaults if (m.get("creationTimestamp") or "") == newest), default="")


def check_deletion(obj: Object) -> None:
    """Raises ApiError Forbidden for the namespaces that a cluster cannot be without."""
    name = obj["metadata"]["name"]
    if obj["kind"] == "Namespace" and name in IMMORTAL_NAMESPACES:
        raise ApiError(403, "Forbidden", f'namespaces "{name}" is forbidden: this namespace may not be deleted')
