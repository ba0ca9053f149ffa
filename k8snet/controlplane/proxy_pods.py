"""The Pods of Ingress and Gateway controllers: a Deployment of proxies and the LoadBalancer Service in front of them.

Real controllers are installed by a chart or an operator. Here they are kept by the control plane as the knobs
(``ingress_controllers``, ``gateway_controllers``) and the Gateways ask for; a person may change the Services
(externalTrafficPolicy …) and the Deployments, they are only put back when they are gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from k8snet.controlplane.store import Key, key_of
from k8snet.manifests.errors import ApiError
from k8snet.manifests.kinds import Object

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane

LABEL = "k8snet.io/proxy"


def objects(
    kind: str, namespace: str, name: str, image: str, ports: Iterable[int], annotations: Mapping[str, str]
) -> list[Object]:
    """Namespace, Deployment and Service of one controller's proxies; *kind* is ingress or gateway."""
    labels, listed = {"app": name, LABEL: kind}, sorted(set(ports))

    def made(api_version: str, kind_: str, spec: dict[str, Any]) -> Object:
        meta = {"name": name, "namespace": namespace, "labels": labels}
        return {"apiVersion": api_version, "kind": kind_, "metadata": meta, "spec": spec}

    container = {
        "name": "proxy",
        "image": image,
        "ports": [{"name": f"port-{p}", "containerPort": p} for p in listed],
    }
    template = {"metadata": {"labels": labels, "annotations": dict(annotations)}, "spec": {"containers": [container]}}
    service = {
        "type": "LoadBalancer",
        "selector": {"app": name},
        "ports": [{"name": f"port-{p}", "port": p, "targetPort": p} for p in listed],
    }
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": {LABEL: kind}}},
        made("apps/v1", "Deployment", {"selector": {"matchLabels": {"app": name}}, "template": template}),
        made("v1", "Service", service),
    ]


def keep(plane: ControlPlane, kind: str, wanted: Iterable[Object]) -> None:
    """Create what is wanted and not there, give Services the ports that they should have, and delete what controllers of
    this *kind* made and is not wanted any more."""
    keys: set[Key] = set()
    for obj in wanted:
        key = key_of(obj)
        keys.add(key)
        stored = plane.store.at(key)
        try:
            if stored is None:
                plane.api.create(obj)
            elif obj["kind"] == "Service" and _numbers(stored) != _numbers(obj):
                plane.api.replace({**stored, "spec": {**stored["spec"], "ports": obj["spec"]["ports"]}})
        except ApiError:
            continue  # no address, or the namespace is ending: tried again at the next change
    for gone in ("Deployment", "Service", "Namespace"):
        for obj in plane.store.all(gone):
            meta = obj["metadata"]
            unwanted = (meta.get("labels") or {}).get(LABEL) == kind and key_of(obj) not in keys
            if unwanted and not meta.get("deletionTimestamp"):
                plane.api.delete(gone, meta.get("namespace", ""), meta["name"])


def _numbers(service: Object) -> set[int]:
    return {p["port"] for p in service["spec"].get("ports") or ()}


def addresses(service: Object | None) -> list[Object]:
    """What a Service's load balancer was given: the entries of ``status.loadBalancer.ingress``."""
    return ((service or {}).get("status") or {}).get("loadBalancer", {}).get("ingress") or []
