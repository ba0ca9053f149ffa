"""Endpoints: which Pods stand behind a Service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from k8snet.controlplane.admission import suffix
from k8snet.controlplane.lifecycle import own
from k8snet.controlplane.store import Key
from k8snet.controlplane.workloads import reference
from k8snet.manifests.kinds import Object

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane


def publish(plane: ControlPlane) -> None:
    """Slices."""
    store = plane.store

    def selecting(pod: Object) -> list[Key]:
        labels = pod["metadata"].get("labels") or {}
        return [
            ("Service", s["metadata"]["namespace"], s["metadata"]["name"])
            for s in store.all("Service", pod["metadata"]["namespace"])
            if s["spec"].get("selector") and s["spec"]["selector"].items() <= labels.items()
        ]

    for key in plane.due("endpointslice", {"Service": own, "Pod": selecting}):
        service = store.at(key)
        if service is None or not service["spec"].get("selector") or service["spec"].get("type") == "ExternalName":
            continue
        old = store.by("owner", service["metadata"]["uid"])
        pods = [
            p
            for p in store.all("Pod", key[1])
            if service["spec"]["selector"].items() <= (p["metadata"].get("labels") or {}).items()
            and (p.get("status") or {}).get("podIP")
        ]
        endpoints: list[Any] = []
        for p in pods:
            ending = bool(p["metadata"].get("deletionTimestamp"))
            serving = any(c["type"] == "Ready" and c["status"] == "True" for c in p["status"].get("conditions", ()))
            endpoints.append(
                {
                    "addresses": [p["status"]["podIP"]],
                    "conditions": {"ready": serving and not ending, "serving": serving, "terminating": ending},
                    "nodeName": p["spec"]["nodeName"],
                    "targetRef": {
                        "kind": "Pod",
                        "namespace": key[1],
                        "name": p["metadata"]["name"],
                        "uid": p["metadata"]["uid"],
                    },
                }
            )
        first = pods[0] if pods else None
        ports = []
        for port in service["spec"].get("ports") or ():
            target = port.get("targetPort") or port["port"]
            if isinstance(target, str):
                target = next(
                    (
                        c["containerPort"]
                        for k in (first or {"spec": {"containers": []}})["spec"]["containers"]
                        for c in k.get("ports") or ()
                        if c.get("name") == target
                    ),
                    None,
                )
            if target:
                ports.append({"name": port.get("name", ""), "port": target, "protocol": port.get("protocol", "TCP")})
        store.put(
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": old[0]["metadata"]["name"] if old else f"{key[2]}-{suffix(store.rng)}",
                    "namespace": key[1],
                    "ownerReferences": [reference(service)],
                    "labels": {
                        "kubernetes.io/service-name": key[2],
                        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                    },
                },
                "addressType": "IPv4",
                "endpoints": endpoints,
                "ports": ports,
            }
        )
