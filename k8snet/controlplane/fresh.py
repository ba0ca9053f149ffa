"""A fresh cluster: its nodes and the objects of ``fresh.yaml``."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from k8snet.controlplane import table
from k8snet.controlplane.nodes import pod_ranges
from k8snet.controlplane.settings import Settings
from k8snet.manifests.addresses import in_cidr
from k8snet.manifests.kinds import Object

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane

ZONES = ("zone-a", "zone-b", "zone-c")


def fill(plane: ControlPlane, nodes: int) -> None:
    """Put the objects of a fresh cluster with *nodes* worker nodes into an empty store."""
    settings, parts = plane.settings, table("fresh")
    services = ipaddress.ip_network(settings.service_cidr)
    values = {
        "$API_IP": str(services[1]),
        "$API_ADDRESS": str(ipaddress.ip_network(settings.node_cidr)[10]),
        "$DNS_IP": next((ip for ip in settings.cluster_dns if in_cidr(ip, str(services))), str(services[10])),
    }
    for number in range(1, nodes + 1):
        ranges = pod_ranges(settings, number)
        stored = plane.store.put(node(settings, number, ranges))
        if ranges is None:
            message = f"Node node-{number} status is now: CIDRNotAvailable"
            plane.events.record(stored, "CIDRNotAvailable", message, "cidrAllocator")
    for obj in parts["always"] + (parts["dns"] if settings.dns else []):
        plane.api.create(_filled(obj, values), checked=True)


def node(settings: Settings, number: int, ranges: list[str] | None) -> Object:
    """Worker node *number* (from 1), as its kubelet registers it, with the *ranges* that it is given for its Pods."""
    address = str(ipaddress.ip_network(settings.node_cidr)[10 + number])
    zone = ZONES[(number - 1) % len(ZONES)]
    obj: Object = _filled(table("fresh")["node"], {"$NAME": f"node-{number}", "$ADDRESS": address, "$ZONE": zone})
    return {**obj, "spec": {"podCIDR": ranges[0], "podCIDRs": ranges}} if ranges else obj


def _filled(value: Any, values: dict[str, str]) -> Any:
    """A copy with the words of *values* replaced."""
    if isinstance(value, dict):
        return {k: _filled(v, values) for k, v in value.items()}
    if isinstance(value, list):
        return [_filled(v, values) for v in value]
    return values.get(value, value) if isinstance(value, str) else value
