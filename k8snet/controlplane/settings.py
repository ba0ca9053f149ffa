"""The knobs of a cluster: what its builder chose, and what no manifest can say.

The same frozen value goes with every snapshot, so that the data plane needs nothing but the snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

NETWORKS = ("bridge", "overlay", "routed", "cloud", "ebpf", "docker")


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """kube-proxy's own settings; the names follow its flags.

    ``cluster_cidr`` (comma-separated by family) tells a Pod's source address from any other; empty: no such detection.
    ``node_port_addresses``: CIDRs whose node addresses take NodePorts, ``("primary",)`` the node's first InternalIP of
    each family, empty the mode's default. ``clean_udp`` off: stale UDP connections are not deleted, as in some older
    versions. The last three only change how iptables rules are written.
    """

    mode: str = "iptables"
    cluster_cidr: str = "10.244.0.0/16"
    masquerade_all: bool = False
    node_port_addresses: tuple[str, ...] = ()
    localhost_node_ports: bool = True
    clean_udp: bool = True
    nfacct: bool = False
    random_fully: bool = True
    conntrack_tcp_liberal: bool = False


@dataclass(frozen=True, slots=True)
class Corefile:
    """Options of CoreDNS's server block and its kubernetes plugin, by their own names; ``cache`` and ``ttl`` in seconds."""

    zones: tuple[str, ...] = ("cluster.local.", "in-addr.arpa.", "ip6.arpa.")
    pods: str = "insecure"
    ttl: int = 30
    fallthrough: tuple[str, ...] = ("in-addr.arpa.", "ip6.arpa.")
    cache: int = 30
    forward: bool = True
    server_block: str = "."
    namespaces: tuple[str, ...] = ()
    ignore_empty_service: bool = False
    endpoint_pod_names: bool = False
    noendpoints: bool = False
    zonal: bool = False


@dataclass(frozen=True, slots=True)
class OutsideHost:
    """A host of the simulated internet: its address, what it listens on, and the names of its web *sites*, which its
    certificate shows; with none it answers for every name."""

    ip: str
    name: str = ""
    ports: tuple[int, ...] = (80, 443)
    sites: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Internet:
    """What exists outside: DNS ``records`` as ``(name with final dot, type, data[, ttl])``, names that fail, and hosts.

    ``unreachable``: the resolver to which CoreDNS forwards does not answer at all.
    """

    records: tuple[tuple[str, str, str] | tuple[str, str, str, int], ...] = (
        ("example.com.", "A", "203.0.113.200"),
        ("api.example.com.", "A", "203.0.113.201"),
    )
    servfail: frozenset[str] = frozenset()
    unreachable: bool = False
    hosts: tuple[OutsideHost, ...] = (
        OutsideHost("203.0.113.200", "example.com", sites=("example.com",)),
        OutsideHost("203.0.113.201", "api.example.com", sites=("api.example.com",)),
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything about a cluster that stands in no Kubernetes object. Ranges are CIDR text, MTUs are bytes.

    Conventions of the address plan: nodes ``192.168.10.11…``, Pods ``10.244.N.0/24`` by node, Services ``10.96.0.0/12``,
    DNS at its tenth address, load balancers ``203.0.113.0/24``, outside clients ``198.51.100.0/24``.
    ``proxy_running`` off: kube-proxy is stopped on every node, whose rules stay as they are at that time.
    """

    network: str = "overlay"
    seed: int = 0
    # ranges
    node_cidr: str = "192.168.10.0/24"
    pod_cidr: str = "10.244.0.0/16"
    pod_cidr6: str = ""
    node_prefix: int = 24
    service_cidr: str = "10.96.0.0/12"
    service_cidr6: str = ""
    load_balancer_cidr: str = "203.0.113.0/24"
    outside_cidr: str = "198.51.100.0/24"
    node_port_range: tuple[int, int] = (30000, 32767)
    # wiring
    mtu: int = 1500
    pod_mtu: int = 0
    hairpin: bool = True
    overlay_port_open: bool = True
    withdrawn_routes: frozenset[str] = frozenset()
    non_masquerade_cidrs: tuple[str, ...] = ()
    address_limit: int = 0
    network_plugin: bool = True
    # Services, policy, edge
    proxy: ProxySettings = ProxySettings()
    enforce_policy: bool = True
    load_balancer: bool = True
    endpointslice_updates_batch_period: float = 0.0
    proxy_running: bool = True
    cloud_firewall: bool = False
    ingress_controllers: tuple[str, ...] = ()
    gateway_controllers: tuple[str, ...] = ()
    # names
    dns: bool = True
    cluster_domain: str = "cluster.local"
    cluster_dns: tuple[str, ...] = ("10.96.0.10",)
    corefile: Corefile = Corefile()
    dns_synced: bool = True
    node_resolv_conf: str | None = "nameserver 192.0.2.53\n"
    internet: Internet = Internet()
    libc: Mapping[str, str] = field(default_factory=dict)
    loaded: bool = False

    @property
    def pod_ranges(self) -> str:
        """What a cluster's builder tells kube-proxy of Pods' addresses (its clusterCIDR): the Pod ranges; nothing in a
        cloud whose Pods and nodes share one network (as EKS does it); Docker's own range."""
        special = {"cloud": "", "docker": "172.17.0.0/16"}
        return special.get(self.network, ",".join(c for c in (self.pod_cidr, self.pod_cidr6) if c))
