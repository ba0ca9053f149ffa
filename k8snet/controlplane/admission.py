"""What the API server's strategies and admission plugins change on an object's way into the store.

From pkg/registry/*/strategy.go (status belongs to controllers), plugin/pkg/admission/network/defaultingressclass,
serviceaccount and defaulttolerationseconds; cluster IPs and node ports are given in allocation.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from k8snet.controlplane import allocation
from k8snet.controlplane.metadata import annotations_of, changed, suffix
from k8snet.controlplane.settings import Settings
from k8snet.controlplane.store import Store
from k8snet.manifests.kinds import Object

DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"
CLASS_ANNOTATION = "kubernetes.io/ingress.class"

# Fields that only the server writes.
_SERVER_FIELDS = (
    *("uid", "creationTimestamp", "resourceVersion", "generation"),
    *("deletionTimestamp", "deletionGracePeriodSeconds"),
)
# What stands in status before any controller has written there. Kinds that are not named have no status at first.
_FIRST_STATUS: dict[str, Any] = {
    "Pod": {"phase": "Pending"},
    "Service": {"loadBalancer": {}},
    "Ingress": {"loadBalancer": {}},
    "Namespace": {"phase": "Active"},
    "ReplicaSet": {"replicas": 0},
}
_TOLERATED = [
    {"effect": "NoExecute", "key": f"node.kubernetes.io/{taint}", "operator": "Exists", "tolerationSeconds": 300}
    for taint in ("not-ready", "unreachable")
]


def admit(store: Store, settings: Settings, new: Object, old: Object | None) -> Object:
    """*new* as it goes on to validation; *old* is the stored object of an update. Status is for controllers to write:
    what a manifest says there is dropped (a new Node's is its kubelet's word)."""
    kind, meta = new["kind"], new["metadata"]
    status = old.get("status") if old else (kind == "Node" and new.get("status")) or _FIRST_STATUS.get(kind)
    new = {k: v for k, v in new.items() if k != "status"} | ({"status": status} if status is not None else {})
    if old is not None:
        new = changed(new, **{field: old["metadata"].get(field) for field in _SERVER_FIELDS})
    elif not meta.get("name") and meta.get("generateName"):
        new = changed(new, name=meta["generateName"] + suffix(store.rng))
    if kind == "Service":
        return allocation.allocate(new, store.all("Service"), settings, store.rng, old)
    if kind == "Pod" and old is None:
        new["spec"] = _pod_spec(new["spec"])
    if kind == "Ingress" and old is None and (chosen := default_ingress_class(new, store.all("IngressClass"))):
        new["spec"] = {**new["spec"], "ingressClassName": chosen}
    return new


def _pod_spec(spec: dict[str, Any]) -> dict[str, Any]:
    given = spec.get("tolerations") or []
    covered = {t.get("key", "") for t in given if t.get("effect") in (None, "NoExecute")}
    added = [t for t in _TOLERATED if not covered & {t["key"], ""}]
    account = spec.get("serviceAccountName") or "default"
    fixed = {"serviceAccountName": account, "serviceAccount": account, "tolerations": [*given, *added]}
    return {"priority": 0, "preemptionPolicy": "PreemptLowerPriority", **spec, **fixed}


def default_ingress_class(ingress: Object, classes: Iterable[Object]) -> str:
    """The class that a new Ingress without one is given: the newest of the default classes, then the first by name;
    empty if it names a class itself (by field or by the old annotation) or there is no default."""
    if ingress["spec"].get("ingressClassName") or CLASS_ANNOTATION in annotations_of(ingress):
        return ""
    defaults = [c["metadata"] for c in classes if annotations_of(c).get(DEFAULT_CLASS) == "true"]
    newest = max((m.get("creationTimestamp") or "" for m in defaults), default="")
    return min((m["name"] for m in defaults if (m.get("creationTimestamp") or "") == newest), default="")
