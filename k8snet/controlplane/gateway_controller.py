"""Gateway controllers: a proxy for each Gateway, and the status of GatewayClasses, Gateways and HTTPRoutes.

As Envoy Gateway and others do it, each Gateway gets a Deployment and a LoadBalancer Service of its own, with its
listeners' ports, and the Service's address becomes the Gateway's. Conditions are computed in gateway_status.py. A class
whose controller does not run, or a Gateway whose class does not exist, is left without any condition.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from k8snet.controlplane import proxy_pods, routes
from k8snet.controlplane.gateway_status import GROUP, Condition, Gateway, attachments
from k8snet.controlplane.listeners import ANNOTATION
from k8snet.controlplane.snapshot import Snapshot
from k8snet.manifests.kinds import Object, ref

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane

NAMESPACE = "gateway-system"
WATCHED = (
    "GatewayClass",
    "Gateway",
    "HTTPRoute",
    "ReferenceGrant",
    "Service",
    "Pod",
    "Secret",
    "Namespace",
    "Deployment",
)


def run(plane: ControlPlane) -> None:
    """One round of all Gateway controllers of the cluster."""
    changed = plane.due("gateway-controller", dict.fromkeys(WATCHED, lambda obj: [("", "", "")]))
    if not changed or not (plane.settings.gateway_controllers or plane.store.get("Namespace", "", NAMESPACE)):
        return
    ours = plane.settings.gateway_controllers
    wanted = [o for c in ours for o in _class(plane, c)]
    for key, gateway in attachments(plane.snapshot()).gateways.items():
        ports = proxy_ports(gateway)
        if gateway.controller in ours and ports:
            name = _proxy_name(gateway)
            wanted += proxy_pods.objects("gateway", NAMESPACE, name, "k8snet/gateway", ports, {routes.GATEWAY: key})
    proxy_pods.keep(plane, "gateway", wanted)
    for c in plane.store.all("GatewayClass"):
        if c["spec"]["controllerName"] in ours:
            _write(plane, c, {"conditions": [Condition("Accepted", True, "Accepted").as_object()]})
    snapshot = plane.snapshot()
    for obj, _, status in statuses(snapshot, ours):
        _write(plane, obj, status)
    _listen(plane, snapshot)


def _class(plane: ControlPlane, controller: str) -> list[Object]:
    """The GatewayClass that a controller brings along, if there is none for it."""
    if any(c["spec"]["controllerName"] == controller for c in plane.store.all("GatewayClass")):
        return []
    meta = {"name": controller.rpartition("/")[2].removesuffix("-controller").removeprefix("gateway-")}
    spec = {"controllerName": controller}
    return [{"apiVersion": f"{GROUP}/v1", "kind": "GatewayClass", "metadata": meta, "spec": spec}]


def _proxy_name(gateway: Gateway) -> str:
    return f"{gateway.ref.namespace}-{gateway.ref.name}"[:52]


def proxy_ports(gateway: Gateway) -> list[int]:
    """The ports on which the proxy of a Gateway listens: those of the listeners that serve HTTP or HTTPS."""
    return sorted({li.port for li in gateway.listeners if li.serves and li.protocol in ("HTTP", "HTTPS")})


def _listen(plane: ControlPlane, snapshot: Snapshot) -> None:
    """Tell the proxies' Pods which ports to open (a proxy opens and closes them while it runs)."""
    gateways = attachments(snapshot).gateways
    for pod in snapshot.pods.values():
        gateway = gateways.get(routes.gateway_of(pod))
        if gateway is not None:
            ports = ",".join(map(str, proxy_ports(gateway))) or "none"
            meta = pod.obj["metadata"]
            plane.store.put(
                {**pod.obj, "metadata": {**meta, "annotations": {**meta["annotations"], ANNOTATION: ports}}}
            )


def statuses(snapshot: Snapshot, controllers: Sequence[str] | None = None) -> Iterator[tuple[Object, str, Object]]:
    """What belongs into the status of each Gateway and HTTPRoute: the object, its ``namespace/name`` and the status
    (conditions without times). Only those of *controllers*; None: of every class that exists."""
    known = attachments(snapshot)
    for obj in snapshot.objects("Gateway"):
        gateway = known.gateways.get(ref(obj).key)
        if gateway is None or (controllers is not None and gateway.controller not in controllers):
            continue
        listeners = [
            {
                "name": li.name,
                "supportedKinds": [{"group": GROUP, "kind": k} for k in li.kinds],
                "attachedRoutes": len(li.attached),
                "conditions": _conditions(li.conditions),
            }
            for li in gateway.listeners
        ]
        front = snapshot.services.get(f"{NAMESPACE}/{_proxy_name(gateway)}")
        given = proxy_pods.addresses(front.obj if front else None)
        conditions = gateway.conditions
        if controllers is not None and not given and conditions[1].status:
            why = "the Service in front of the proxy has no address yet"
            conditions = (conditions[0], Condition("Programmed", False, "AddressNotAssigned", why))
        status = {"conditions": _conditions(conditions), "listeners": listeners}
        if given:
            status["addresses"] = [
                {"type": "IPAddress" if "ip" in e else "Hostname", "value": e.get("ip") or e["hostname"]} for e in given
            ]
        yield obj, gateway.ref.key, status
    for obj in snapshot.objects("HTTPRoute"):
        parents = [
            {
                "parentRef": obj["spec"]["parentRefs"][p.index],
                "controllerName": p.controller,
                "conditions": _conditions(p.conditions),
            }
            for p in known.parents[ref(obj).key]
            if controllers is None or p.controller in controllers
        ]
        if parents or obj.get("status"):
            yield obj, ref(obj).key, {"parents": parents}


def _conditions(conditions: Sequence[Condition]) -> list[Object]:
    return [c.as_object() for c in conditions]


def _write(plane: ControlPlane, obj: Object, status: Object) -> None:
    """Store a status, its conditions with the generation that they are about and the time of their last change."""
    old = obj.get("status") or {}
    for field, key in (("listeners", "name"), ("parents", "parentRef")):
        before = {str(e[key]): e for e in old.get(field) or ()}
        if field in status:
            status = {**status, field: [_timed(plane, obj, e, before.get(str(e[key]), {})) for e in status[field]]}
    if "conditions" in status:
        status = _timed(plane, obj, status, old)
    plane.store.put({**obj, "status": status})


def _timed(plane: ControlPlane, obj: Object, holder: Object, before: Object) -> Object:
    known = {c["type"]: c for c in before.get("conditions") or ()}
    conditions = []
    for c in holder["conditions"]:
        old = known.get(c["type"])
        time = old["lastTransitionTime"] if old and old["status"] == c["status"] else plane.store.timestamp()
        generation = obj["metadata"].get("generation", 1)
        conditions.append({**c, "observedGeneration": generation, "lastTransitionTime": time})
    return {**holder, "conditions": conditions}
