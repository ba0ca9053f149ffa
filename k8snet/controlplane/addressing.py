"""Pod addresses: which one a node's network plugin hands to a new Pod.

The node's range is node.spec.podCIDR (plugins/ipam/host-local); its first address is the bridge's, and a Pod gets the
first that is free, so an address comes back soon after its Pod is gone. On a cloud network Pods hold addresses of the
nodes' own network, as many on a node as the cloud allows; the container engine alone gives every node the same range.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from k8snet.controlplane.settings import Settings
from k8snet.controlplane.store import Store
from k8snet.manifests.addresses import IPNetwork, parse_cidr
from k8snet.manifests.kinds import Object

DOCKER_RANGE = "172.17.0.0/16"
FIRST_CLOUD_ADDRESS = 100


class NoAddress(Exception):
    """The plugin has no address to give; the text is the plugin's own."""


def node_ips(node: Object) -> list[str]:
    """The node's InternalIPs."""
    found = (node.get("status") or {}).get("addresses") or ()
    return [a["address"] for a in found if a.get("type") == "InternalIP"]


def allot(store: Store, settings: Settings, pod: Object, node: Object) -> list[str]:
    """The addresses of a new Pod, one for each family. Raises NoAddress."""
    if pod["spec"].get("hostNetwork"):
        return node_ips(node)
    here = [p for p in store.by("node", node["metadata"]["name"]) if not p["spec"].get("hostNetwork")]
    if settings.network == "cloud":
        everywhere = {ip for n in store.all("Node") for ip in node_ips(n)} | _held(store.all("Pod"))
        full = settings.address_limit and len([p for p in here if _held([p])]) >= settings.address_limit
        free = (
            ip for ip in _hosts(ipaddress.ip_network(settings.node_cidr), FIRST_CLOUD_ADDRESS) if ip not in everywhere
        )
        address = None if full else next(free, None)
        if address is None:
            raise NoAddress('plugin type="cloud" failed (add): add cmd: failed to assign an IP address to container')
        return [address]
    ranges = node["spec"].get("podCIDRs") or [node["spec"].get("podCIDR") or ""]
    ranges = [DOCKER_RANGE] if settings.network == "docker" else ranges
    held, result = _held(here), []
    for network in (n for n in map(parse_cidr, ranges) if n):
        address = next((ip for ip in _hosts(network, 2) if ip not in held), None)
        if address is None:
            span = f"{next(_hosts(network, 1), '')}-{network.broadcast_address - (network.version == 4)}"
            message = f"failed to allocate for range 0: no IP addresses available in range set: {span}"
            raise NoAddress(f'plugin type="bridge" failed (add): {message}')
        result.append(address)
    if not result:
        raise NoAddress('plugin type="bridge" failed (add): no IP ranges specified')
    return result


def _held(pods: list[Object]) -> set[str]:
    statuses = [p.get("status") or {} for p in pods]
    return {ip["ip"] for s in statuses if s.get("phase") not in ("Succeeded", "Failed") for ip in s.get("podIPs") or ()}


def _hosts(network: IPNetwork, start: int) -> Iterator[str]:
    """Addresses of a network from number *start* on; of an IPv4 one not the last, which is for broadcasts."""
    end = network.num_addresses - (network.version == 4)
    return (str(network.network_address + number) for number in range(start, end))
