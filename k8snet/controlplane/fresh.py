"""A fresh cluster: its nodes and the objects of ``fresh.yaml``."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from k8snet.controlplane import filled, table
from k8snet.controlplane.nodes import pod_ranges
from k8snet.manifests import defaults
from k8snet.manifests.addresses import in_cidr
from k8snet.manifests.kinds import Object

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane

ZONES = ("zone-a", "zone-b", "zone-c")


def fill(plane: ControlPlane, nodes: int) -> None:
    """Put the objects of a fresh cluster with *nodes* worker nodes (as their kubelets register them) into an empty
    store."""
    settings, parts = plane.settings, table("fresh")
    hosts, services = ipaddress.ip_network(settings.node_cidr), ipaddress.ip_network(settings.service_cidr)
    for number in range(1, nodes + 1):
        name, ranges = f"node-{number}", pod_ranges(settings, number)
        zone = ZONES[(number - 1) % len(ZONES)]
        node: Object = filled(parts["node"], {"$NAME": name, "$ADDRESS": str(hosts[10 + number]), "$ZONE": zone})
        node = plane.store.put(node | ({"spec": {"podCIDR": ranges[0], "podCIDRs": ranges}} if ranges else {}))
        if ranges is None:
            message = f"Node {name} status is now: CIDRNotAvailable"
            plane.events.record(node, "CIDRNotAvailable", message, "cidrAllocator")
    values = {
        "$API_IP": str(services[1]),
        "$API_ADDRESS": str(hosts[10]),
        "$DNS_IP": next((ip for ip in settings.cluster_dns if in_cidr(ip, str(services))), str(services[10])),
    }
    for obj in parts["always"] + (parts["dns"] if settings.dns else []):
        plane.api.create(defaults.fill(filled(obj, values)), checked=True)
