"""The Pods of Ingress and Gateway controllers: a Deployment of proxies and the LoadBalancer Service in front of them.

Real controllers are installed by a chart or an operator. Here they are kept by the control plane as the knobs
(``ingress_controllers``, ``gateway_controllers``) and the Gateways ask for; a person may change the Services
(externalTrafficPolicy …) and the Deployments, they are only put back when they are gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from k8snet.controlplane.store import key_of
from k8snet.manifests.errors import ApiError
from k8snet.manifests.kinds import Object

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane

LABEL = "k8snet.io/proxy"


def objects(
    kind: str, namespace: str, name: str, image: str, ports: Iterable[int], annotations: Mapping[str, str]
) -> list[Object]:
    """Namespace, Deployment and Service of one controller's proxies; *kind* is ingress or gateway."""
    labels = {"app": name, LABEL: kind}

    def made(api_version: str, kind_: str, spec: dict[str, Any]) -> Object:
        meta = {"name": name, "namespace": namespace, "labels": labels}
        return {"apiVersion": api_version, "kind": kind_, "metadata": meta, "spec": spec}

    names = {f"port-{p}": p for p in ports}
    container = {"name": "proxy", "image": image, "ports": [{"name": n, "containerPort": p} for n, p in names.items()]}
    template = {"metadata": {"labels": labels, "annotations": dict(annotations)}, "spec": {"containers": [container]}}
    listed = [{"name": n, "port": p, "targetPort": p} for n, p in names.items()]
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": {LABEL: kind}}},
        made("apps/v1", "Deployment", {"selector": {"matchLabels": {"app": name}}, "template": template}),
        made("v1", "Service", {"type": "LoadBalancer", "selector": {"app": name}, "ports": listed}),
    ]


def class_for(plane: ControlPlane, kind: str, api_version: str, field: str, controller: str) -> list[Object]:
    """The IngressClass or GatewayClass that a controller brings along, if there is none for it; named after it."""
    if any(c["spec"][field] == controller for c in plane.store.all(kind)):
        return []
    name = controller.rpartition("/")[2].removesuffix("-controller").removeprefix("ingress-")
    return [{"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": {field: controller}}]


def keep(plane: ControlPlane, kind: str, wanted: Iterable[Object]) -> None:
    """Create what is wanted and not there, give Services the ports that they should have, and delete what controllers of
    this *kind* made and is not wanted any more."""
    by_key = {key_of(obj): obj for obj in wanted}
    for key, obj in by_key.items():
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
            ours = (meta.get("labels") or {}).get(LABEL) == kind
            if ours and key_of(obj) not in by_key and not meta.get("deletionTimestamp"):
                plane.api.delete(gone, meta.get("namespace", ""), meta["name"])


def _numbers(service: Object) -> set[int]:
    return {p["port"] for p in service["spec"].get("ports") or ()}


def addresses(obj: Object | None) -> list[Object]:
    """The entries of ``status.loadBalancer.ingress`` of a Service or an Ingress."""
    return ((obj or {}).get("status") or {}).get("loadBalancer", {}).get("ingress") or []
