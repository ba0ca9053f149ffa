"""The Pods of Ingress and Gateway controllers: a Deployment of proxies and the LoadBalancer Service in front of them.

Real controllers are installed by a chart or an operator. Here they are kept by the control plane as the knobs
(``ingress_controllers``, ``gateway_controllers``) and the Gateways ask for; a person may change the Services
(externalTrafficPolicy …) and the Deployments, they are only put back when they are gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from k8snet.controlplane import filled, table
from k8snet.controlplane.metadata import going, labels_of
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
    names = {f"port-{p}": p for p in ports}
    values: Object = {"$KIND": kind, "$NAMESPACE": namespace, "$NAME": name, "$IMAGE": image}
    values["$ANNOTATIONS"] = dict(annotations)
    values["$CONTAINER_PORTS"] = [{"name": n, "containerPort": p} for n, p in names.items()]
    values["$PORTS"] = [{"name": n, "port": p, "targetPort": p} for n, p in names.items()]
    return [filled(obj, values) for obj in table("proxy_pods")["objects"]]


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
            if labels_of(obj).get(LABEL) == kind and key_of(obj) not in by_key and not going(obj):
                plane.api.delete(gone, obj["metadata"].get("namespace", ""), obj["metadata"]["name"])


def _numbers(service: Object) -> set[int]:
    return {p["port"] for p in service["spec"].get("ports") or ()}


def addresses(obj: Object | None) -> list[Object]:
    """The entries of ``status.loadBalancer.ingress`` of a Service or an Ingress."""
    status = (obj or {}).get("status") or {}
    return (status.get("loadBalancer") or {}).get("ingress") or []
