"""What the API server fills in (thin)."""

from __future__ import annotations

from copy import deepcopy

from k8snet.manifests.kinds import KINDS, Object


def fill(obj: Object, families: tuple[str, ...] = ("IPv4",)) -> Object:
    """A new object with the server's defaults, without allocation."""
    obj = deepcopy(obj)
    kind = KINDS.get(obj.get("kind", ""))
    if kind is None or kind.namespaced:
        obj.setdefault("metadata", {}).setdefault("namespace", "default")
    spec = obj.setdefault("spec", {}) if obj.get("kind") in ("Service", "NetworkPolicy") else obj.get("spec") or {}
    if obj.get("kind") == "Service":
        spec.setdefault("type", "ClusterIP")
        spec.setdefault("sessionAffinity", "None")
        for port in spec.get("ports", ()):
            port.setdefault("protocol", "TCP")
            port.setdefault("targetPort", port.get("port"))
        obj.setdefault("status", {"loadBalancer": {}})
    if obj.get("kind") == "NetworkPolicy":
        spec.setdefault("podSelector", {})
        spec.setdefault("policyTypes", ["Ingress", *(["Egress"] if spec.get("egress") else [])])
    return obj
