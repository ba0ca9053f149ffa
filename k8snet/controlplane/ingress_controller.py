"""Ingress controllers: their Pods, and the addresses and events that they write on the Ingresses they serve.

Modelled on ingress-nginx (internal/ingress/status, controller/store): a controller takes the Ingresses whose class is
its own, copies the address of the Service in front of it to their status and reports ``Sync``. All others it passes
over without a word on the object; only its log has a line. Without a controller nothing happens to an Ingress.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from k8snet.controlplane import proxy_pods, routes
from k8snet.controlplane.snapshot import Snapshot
from k8snet.manifests.kinds import Object, ref

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane

NAMESPACE = "ingress-system"
WATCHED = ("Ingress", "IngressClass", "Service", "Pod", "Node", "Deployment", "Namespace")


def run(plane: ControlPlane) -> None:
    """One round of all Ingress controllers of the cluster."""
    changed = plane.due("ingress-controller", dict.fromkeys(WATCHED, lambda obj: [("", "", "")]))
    idle = not (plane.settings.ingress_controllers or plane.store.all("Ingress") or plane.store.all("IngressClass"))
    if not changed or (idle and plane.store.get("Namespace", "", NAMESPACE) is None):
        return
    proxy_pods.keep(plane, "ingress", [o for c in plane.settings.ingress_controllers for o in _installation(plane, c)])
    snapshot = plane.snapshot()
    known = {name: published(snapshot, name) for name in routes.running(snapshot)}
    classes = snapshot.objects("IngressClass")
    for ingress in snapshot.objects("Ingress"):
        controller = routes.controller_of(ingress, classes)[0]
        if controller not in known:
            continue
        found = addresses_for(ingress, classes, known)
        now = proxy_pods.addresses(ingress)
        if found != now or not plane.events.about(ingress):
            plane.events.record(ingress, "Sync", "Scheduled for sync", "nginx-ingress-controller")
        if found != now:
            plane.store.put({**ingress, "status": {"loadBalancer": {"ingress": found} if found else {}}})


def _installation(plane: ControlPlane, controller: str) -> list[Object]:
    """What a controller's chart installs: the proxies, and an IngressClass if there is none for it."""
    name, group = controller.rpartition("/")[2].removeprefix("ingress-"), "networking.k8s.io/v1"
    image, marks = "k8snet/ingress-controller", {routes.CONTROLLER: controller}
    proxies = proxy_pods.objects("ingress", NAMESPACE, f"{name}-proxy", image, (80, 443), marks)
    return proxies + proxy_pods.class_for(plane, "IngressClass", group, "controller", controller)


def published(snapshot: Snapshot, controller: str) -> list[Object]:
    """The addresses at which a controller can be reached: those of the load balancers in front of its Pods; without any
    such Service those of its nodes."""
    pods = routes.running(snapshot).get(controller, [])
    fronts = [
        s
        for s in snapshot.services.values()
        if s.selector is not None and any(p.namespace == s.namespace and s.selector.matches(p.labels) for p in pods)
    ]
    if any(s.type == "LoadBalancer" for s in fronts):
        return [entry for s in fronts for entry in proxy_pods.addresses(s.obj)]
    nodes = dict.fromkeys(snapshot.nodes[p.node].ip for p in pods if p.node in snapshot.nodes)
    return [{"ip": ip} for ip in nodes if fronts or any(p.host_network for p in pods)]


def addresses_for(ingress: Object, classes: Iterable[Object], known: Mapping[str, list[Object]]) -> list[Object]:
    """What belongs into ``status.loadBalancer.ingress`` of an Ingress: the addresses of the controller that serves it.

    *known* holds the addresses of every controller that runs, by its name as in ``spec.controller``.
    """
    entries = known.get(routes.controller_of(ingress, classes)[0], [])
    return [{k: e[k] for k in ("ip", "hostname") if k in e} for e in entries]


def log(snapshot: Snapshot, controller: str) -> str:
    """The lines of a controller's log that tell which Ingresses it passes over."""
    classes = snapshot.objects("IngressClass")
    return "".join(
        f'"Ignoring ingress because of error while validating ingress class" ingress="{ref(obj).key}" '
        'error="ingress does not contain a valid IngressClass"\n'
        for obj in snapshot.objects("Ingress")
        if routes.controller_of(obj, classes)[0] != controller
    )
