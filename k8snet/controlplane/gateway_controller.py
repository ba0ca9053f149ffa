"""Gateway controllers: a proxy for each Gateway, and the status of GatewayClasses, Gateways and HTTPRoutes.

As Envoy Gateway and others do it, each Gateway gets a Deployment and a LoadBalancer Service of its own, with its
listeners' ports, and the Service's address becomes the Gateway's. Conditions are computed in gateway_status.py. A class
whose controller does not run, or a Gateway whose class does not exist, is left without any condition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k8snet.controlplane import proxy_pods, routes
from k8snet.controlplane.gateway_status import GROUP, Gateway, attachments, condition
from k8snet.controlplane.listeners import ANNOTATION
from k8snet.manifests.kinds import Object, ref

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane

NAMESPACE = "gateway-system"
WATCHED = (
    "GatewayClass", "Gateway", "HTTPRoute", "ReferenceGrant", "Service", "Pod", "Secret", "Namespace", "Deployment",
)  # fmt: skip


def run(plane: ControlPlane) -> None:
    """One round of all Gateway controllers of the cluster."""
    ours, store = plane.settings.gateway_controllers, plane.store
    changed = plane.due("gateway-controller", dict.fromkeys(WATCHED, lambda obj: [("", "", "")]))
    if not changed or not (ours or store.get("Namespace", "", NAMESPACE)):
        return
    gateways = {k: g for k, g in attachments(plane.snapshot()).gateways.items() if g.controller in ours}
    wanted = [o for c in ours for o in proxy_pods.class_for(plane, "GatewayClass", f"{GROUP}/v1", "controllerName", c)]
    for key, g in gateways.items():
        if _ports(g):
            name = _proxy_name(g)
            wanted += proxy_pods.objects("gateway", NAMESPACE, name, "k8snet/gateway", _ports(g), {routes.GATEWAY: key})
    proxy_pods.keep(plane, "gateway", wanted)
    for c in store.all("GatewayClass"):
        if c["spec"]["controllerName"] in ours:
            _write(plane, c, {"conditions": [condition("Accepted", "Accepted")]})
    known = attachments(plane.snapshot())
    for obj in store.all("Gateway"):
        if ref(obj).key in gateways:
            _write(plane, obj, _status(plane, known.gateways[ref(obj).key]))
    for obj in store.all("HTTPRoute"):
        parents = [p for p in known.parents[ref(obj).key] if p["controllerName"] in ours]
        if parents or obj.get("status"):
            _write(plane, obj, {"parents": parents})
    _listen(plane, known.gateways)


def _proxy_name(gateway: Gateway) -> str:
    return f"{gateway.ref.namespace}-{gateway.ref.name}"[:52]


def _ports(gateway: Gateway) -> list[int]:
    """The ports on which the proxy of a Gateway listens: those of the listeners that serve HTTP or HTTPS."""
    return sorted({li.port for li in gateway.listeners if li.serves and li.protocol in ("HTTP", "HTTPS")})


def _listen(plane: ControlPlane, gateways: dict[str, Gateway]) -> None:
    """Tell the proxies' Pods which ports to open (a proxy opens and closes them while it runs)."""
    for pod in plane.store.all("Pod", NAMESPACE):
        meta = pod["metadata"]
        gateway = gateways.get((meta.get("annotations") or {}).get(routes.GATEWAY, ""))
        if gateway is not None:
            ports = {ANNOTATION: ",".join(map(str, _ports(gateway))) or "none"}
            plane.store.put({**pod, "metadata": {**meta, "annotations": {**meta["annotations"], **ports}}})


def _status(plane: ControlPlane, gateway: Gateway) -> Object:
    """The status of a Gateway with the address of the Service in front of its proxy."""
    entries = proxy_pods.addresses(plane.store.get("Service", NAMESPACE, _proxy_name(gateway)))
    accepted, programmed = gateway.status["conditions"]
    if not entries and programmed["status"] == "True":
        why = "the Service in front of the proxy has no address yet"
        return {**gateway.status, "conditions": [accepted, condition("Programmed", "AddressNotAssigned", why)]}
    kinds = {"ip": "IPAddress", "hostname": "Hostname"}
    given = [{"type": kinds[k], "value": e[k]} for e in entries for k in kinds if k in e][: len(entries)]
    return {**gateway.status, **({"addresses": given} if given else {})}


def _write(plane: ControlPlane, obj: Object, status: Object) -> None:
    """Store a status, its conditions with the generation that they are about and the time of their last change."""
    old, generation = obj.get("status") or {}, obj["metadata"].get("generation", 1)

    def timed(holder: Object, before: Object) -> Object:
        known = {c["type"]: c for c in before.get("conditions") or ()}
        conditions = []
        for c in holder["conditions"]:
            last = known.get(c["type"], {})
            time = last["lastTransitionTime"] if last.get("status") == c["status"] else plane.store.timestamp()
            conditions.append({**c, "observedGeneration": generation, "lastTransitionTime": time})
        return {**holder, "conditions": conditions}

    for field, key in (("listeners", "name"), ("parents", "parentRef")):
        if field in status:
            before = {str(e[key]): e for e in old.get(field) or ()}
            status = {**status, field: [timed(e, before.get(str(e[key]), {})) for e in status[field]]}
    plane.store.put({**obj, "status": timed(status, old) if "conditions" in status else status})
