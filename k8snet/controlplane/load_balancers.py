"""Load balancers: an address for each Service of type LoadBalancer, where something in the cluster implements them.

The service controller of k8s.io/cloud-provider (controllers/service) with a cloud behind it; without one
(``Settings.load_balancer`` False) the address stays pending. A Service with a loadBalancerClass waits for that
implementer and is left alone. Addresses come from ``Settings.load_balancer_cidr``, the first that is free;
``spec.loadBalancerIP`` is heeded if it is free.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from k8snet.controlplane import proxy_pods
from k8snet.controlplane.metadata import own
from k8snet.controlplane.store import Key, key_of
from k8snet.manifests.addresses import in_cidr
from k8snet.manifests.kinds import Object

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane

SOURCE = "service-controller"


def balance(plane: ControlPlane) -> None:
    """Give an address to the Services that are to have one, and take it back from those that are not any more."""
    store, cidr = plane.store, plane.settings.load_balancer_cidr

    def concerned(service: Object) -> list[Key]:
        """The Service itself; when an address becomes free, all that wait for one."""
        if store.at(key_of(service)) is not None:
            return own(service)
        waiting = store.all("Service") if addresses(service) else []
        return [key_of(s) for s in waiting if _wants(s) and not addresses(s)]

    for key in plane.due("loadbalancer", {"Service": concerned}):
        service = store.at(key)
        if service is None or service["spec"].get("loadBalancerClass") or _wants(service) == bool(addresses(service)):
            continue
        if not _wants(service):
            store.put({**service, "status": {"loadBalancer": {}}})
            plane.events.record(service, "DeletedLoadBalancer", "Deleted load balancer", SOURCE)
        elif plane.settings.load_balancer:
            plane.events.record(service, "EnsuringLoadBalancer", "Ensuring load balancer", SOURCE)
            taken = {ip for s in store.all("Service") for ip in addresses(s)}
            asked = service["spec"].get("loadBalancerIP") or ""
            pool = [asked] if in_cidr(asked, cidr) else map(str, ipaddress.ip_network(cidr).hosts())
            if ip := next((ip for ip in pool if ip not in taken), ""):
                store.put({**service, "status": {"loadBalancer": {"ingress": [{"ip": ip, "ipMode": "VIP"}]}}})
                plane.events.record(service, "EnsuredLoadBalancer", "Ensured load balancer", SOURCE)
            else:
                message = "Error syncing load balancer: failed to ensure load balancer: no address is free"
                plane.events.record(service, "SyncLoadBalancerFailed", message, SOURCE, kind="Warning")


def _wants(service: Object) -> bool:
    return bool(service["spec"].get("type") == "LoadBalancer")


def addresses(service: Object) -> list[str]:
    """The load balancer addresses in a Service's status."""
    return [entry["ip"] for entry in proxy_pods.addresses(service) if entry.get("ip")]
