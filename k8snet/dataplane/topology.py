"""What every kube-proxy holds of the Services: each Service port once, its addresses, and the endpoints behind it.

kube-proxy watches Services and EndpointSlices, and nothing else: no Pod, no selector, no targetPort. Every node holds
all Service ports; only what is *local*, and what hints select, differs from node to node. IPv4 and IPv6 are two proxies
side by side that share nothing.

Upstream: pkg/proxy/serviceport.go and servicechangetracker.go (Service ports), endpointslicecache.go (endpoints),
topology.go (which of them a node may use), util/utils.go (what is skipped); chain names: iptables/proxier.go.
"""

from __future__ import annotations

from base64 import b32encode
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from itertools import product
from weakref import WeakKeyDictionary

from k8snet.controlplane.snapshot import Service, ServicePort, Slice, Snapshot
from k8snet.manifests.addresses import family, host_port, parse_cidr, parse_ip
from k8snet.manifests.kinds import Ref

OTHER_PROXY = "service.kubernetes.io/service-proxy-name"


@dataclass(frozen=True, slots=True)
class Backend:
    """One endpoint as kube-proxy knows it. ``ref`` is its place in the EndpointSlice."""

    ip: str
    port: int
    node: str
    ready: bool
    serving: bool
    terminating: bool
    zone_hints: tuple[str, ...]
    node_hints: tuple[str, ...]
    ref: Ref

    def __str__(self) -> str:
        return host_port(self.ip, self.port)


@dataclass(frozen=True, slots=True)
class Usable:
    """What one node may use of a Service port: the two endpoint lists, whether any usable endpoint exists anywhere, and
    which hints narrowed the Cluster list (``node``, ``zone`` or nothing)."""

    cluster: tuple[Backend, ...]
    local: tuple[Backend, ...]
    any: bool
    hints: str = ""


@dataclass(frozen=True)
class ProxiedPort:
    """One port of a Service in one family, as kube-proxy serves it on every node.

    ``name`` is ``namespace/name:port``; the address fields hold only addresses of the family.
    """

    service: Service
    port: ServicePort
    name: str
    family: str
    cluster_ip: str
    external_ips: tuple[str, ...]
    load_balancer_ips: tuple[str, ...]
    source_ranges: tuple[str, ...]
    slices: tuple[Slice, ...]

    @property
    def internal_local(self) -> bool:
        """Whether ``internalTrafficPolicy: Local`` holds for the cluster IP."""
        return self.service.internal_policy == "Local"

    @property
    def external_local(self) -> bool:
        """Whether ``externalTrafficPolicy: Local`` holds for node port, load balancer and external addresses."""
        s = self.service
        return s.external_policy == "Local" and (s.type in ("NodePort", "LoadBalancer") or bool(s.external_ips))

    @property
    def external(self) -> bool:
        """Whether it has any address but the cluster IP."""
        return bool(self.port.node_port or self.load_balancer_ips or self.external_ips)

    @property
    def health_check_port(self) -> int:
        """The health check node port: only of a LoadBalancer with ``externalTrafficPolicy: Local``, else 0."""
        return self.service.health_check_node_port if self.service.type == "LoadBalancer" and self.external_local else 0

    def chain(self, kind: str, backend: Backend | None = None) -> str:
        """The iptables chain of this port: kind SVC, SVL, EXT, FW, or SEP for one of its endpoints."""
        return chain_name(f"KUBE-{kind}", self.name, self.port.protocol, str(backend) if backend else "")

    @cached_property
    def endpoints(self) -> tuple[Backend, ...]:
        """Everything the slices list for this port, sorted as text. Equal ``ip:port`` counts once: where a new Pod was
        given the address of one that still terminates, the running one is meant."""
        found: dict[str, Backend] = {}
        for s in (s for s in self.slices if s.family == self.family):
            numbers = [p.port for p in s.ports if (p.name, p.protocol) == (self.port.name, self.port.protocol)]
            for number, e in product(filter(None, numbers), s.endpoints):
                if e.addresses and family(e.addresses[0]) == self.family:
                    conditions = e.ready is not False, e.serving is not False, bool(e.terminating)
                    hints, place = (e.zone_hints, e.node_hints), s.ref.at(f"endpoints[{e.index}]")
                    backend = Backend(e.addresses[0], number, e.node, *conditions, *hints, place)
                    if str(backend) not in found or not backend.terminating:
                        found[str(backend)] = backend
        return tuple(found[key] for key in sorted(found))

    def usable(self, node: str, zone: str) -> Usable:
        """What the proxy on *node* may use. Hints count for the Cluster list only, and only while something is ready."""
        ready = [b for b in self.endpoints if b.ready]
        # Being deleted, but still answering their readiness probe: the fallback when nothing is ready.
        draining = [b for b in self.endpoints if b.serving and b.terminating]
        cluster, hints = ready, ""
        for kind, wanted, own in (("node", "node_hints", node), ("zone", "zone_hints", zone)):
            named = [b for b in ready if own in getattr(b, wanted)]
            if named and all(getattr(b, wanted) for b in ready):
                cluster, hints = named, kind
                break
        here = [[b for b in some if b.node == node and node] for some in (ready, draining)]
        return Usable(tuple(cluster or draining), tuple(here[0] or here[1]), bool(ready or draining), hints)


def chain_name(prefix: str, port_name: str, protocol: str, endpoint: str = "") -> str:
    """``KUBE-SVC-…``: the prefix and 16 characters of a hash over Service port, protocol and endpoint (if any)."""
    digest = sha256(f"{port_name}{protocol.lower()}{endpoint}".encode()).digest()
    return f"{prefix}-{b32encode(digest).decode()[:16]}"


class Held:
    """All Service ports of one family, found by destination. ``ports`` are sorted by name."""

    def __init__(self, snapshot: Snapshot, family_name: str) -> None:
        self._nodes = snapshot.nodes
        self._usable: dict[tuple[str, str, str], Usable] = {}
        found = [p for s in snapshot.services.values() for p in _ports_of(snapshot, s, family_name)]
        self.ports = tuple(sorted(found, key=lambda p: (p.name, p.port.protocol)))
        # Where two Service ports claim the same, the first one has it: the last that is put into these tables.
        backwards = self.ports[::-1]
        self.by_cluster_ip = {p.cluster_ip: p for p in backwards}
        self.by_node_port = {(p.port.node_port, p.port.protocol): p for p in backwards if p.port.node_port}
        self.by_health_check_port = {p.health_check_port: p for p in backwards if p.health_check_port}
        self.by_address: dict[tuple[str, int, str], tuple[ProxiedPort, str]] = {}
        for p in backwards:
            at = p.port.port, p.port.protocol
            self.by_address |= {(ip, *at): (p, "loadbalancer IP") for ip in p.load_balancer_ips}
            self.by_address |= {(ip, *at): (p, "external IP") for ip in p.external_ips}
            self.by_address[p.cluster_ip, *at] = p, "cluster IP"

    def usable(self, port: ProxiedPort, node_name: str) -> Usable:
        """What the proxy on a node may use of a Service port; worked out once."""
        key = (node_name, port.name, port.port.protocol)
        if key not in self._usable:
            node = self._nodes.get(node_name)
            self._usable[key] = port.usable(node_name, node.zone if node else "")
        return self._usable[key]


_held: WeakKeyDictionary[Snapshot, dict[str, Held]] = WeakKeyDictionary()


def held(snapshot: Snapshot, family_name: str) -> Held:
    """What the proxies of one family hold; built once for each snapshot."""
    families = _held.setdefault(snapshot.programmed, {})
    if family_name not in families:
        families[family_name] = Held(snapshot.programmed, family_name)
    return families[family_name]


def _ports_of(snapshot: Snapshot, service: Service, family_name: str) -> list[ProxiedPort]:
    """The ports of a Service that kube-proxy serves; none if it is headless, an ExternalName or another proxy's."""
    cluster_ips = of_family(family_name, service.cluster_ips)
    if not cluster_ips or OTHER_PROXY in service.labels:
        return []
    balancers = of_family(family_name, (i.ip for i in service.load_balancer_ips if i.ip and i.mode == "VIP"))
    ranges = of_family(family_name, (str(c) for c in map(parse_cidr, service.source_ranges) if c))
    addresses = cluster_ips[0], of_family(family_name, service.external_ips), balancers, ranges
    slices = snapshot.slices_of.get(service.key, ())
    return [ProxiedPort(service, p, service.port_name(p), family_name, *addresses, slices) for p in service.ports]


def of_family(family_name: str, texts: Iterable[str]) -> tuple[str, ...]:
    """Those addresses or CIDRs that are of a family."""
    return tuple(t for t in texts if family(t) == family_name)


def is_loopback(ip: str) -> bool:
    """Whether an address is of 127.0.0.0/8, or ::1."""
    parsed = parse_ip(ip)
    return parsed is not None and parsed.is_loopback
