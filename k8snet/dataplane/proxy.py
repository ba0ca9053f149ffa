"""What one node's kube-proxy does with the first packet of a connection.

kube-proxy itself never touches a packet. It writes rules into its node's kernel, and those decide: a destination that
is a Service's is rewritten to one endpoint (DNAT), refused (REJECT) or ignored (DROP); anything else passes (PASS).
Packets of an open connection follow what conntrack remembers and do not come here.

`decide` takes the steps in the order of the iptables rules (pkg/proxy/iptables/proxier.go); where nftables mode
(pkg/proxy/nftables/proxier.go) differs, it says so. Each decision names the iptables chains and rules gone through.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType

from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane.packet import Packet
from k8snet.dataplane.topology import Backend, ProxiedPort, Usable, held, is_loopback
from k8snet.manifests.addresses import family, in_any, in_cidr, parse_cidr
from k8snet.manifests.kinds import Ref

# What a node remembers for ClientIP affinity: (endpoint chain, source address) → time of the last new connection.
Affinity = Mapping[tuple[str, str], float]
NOTHING: Affinity = MappingProxyType({})

# The kinds of address that a Service has, and the field that says so.
FIELDS = {
    "cluster IP": "spec.clusterIP",
    "external IP": "spec.externalIPs",
    "loadbalancer IP": "status.loadBalancer.ingress",
    "node port": "spec.ports[{}].nodePort",
}
NODE_PORTS = "kubernetes service nodeports; NOTE: this must be the last rule in this chain"

Rules = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to the packet, and why.

    ``verdict`` is DNAT, REJECT, DROP or PASS. ``backends`` are those that it may go to, each equally likely, ``list`` is
    the endpoint list that they are from (Cluster or Local). ``marked``: masqueraded whichever is chosen. ``port`` is the
    Service port and ``kind`` what sort of its addresses was hit, ``rule`` which object and field decided. ``chains`` are
    the iptables rules gone through, each as ``(table and chain, comment)``; none in nftables mode.
    """

    verdict: str
    why: str
    rule: Ref | None = None
    port: ProxiedPort | None = None
    kind: str = ""
    list: str = ""
    backends: tuple[Backend, ...] = ()
    marked: bool = False
    source: str = ""
    chains: Rules = ()

    def masqueraded(self, backend: Backend) -> bool:
        """Whether the source is rewritten if the packet goes to *backend*: marked, or sent back to its own sender."""
        return self.marked or backend.ip == self.source

    @property
    def masquerade(self) -> bool:
        """Whether the source is rewritten for any of the backends."""
        return any(map(self.masqueraded, self.backends))

    def path(self, backend: Backend) -> Rules:
        """The rules gone through if *backend* is chosen: ``chains``, then the choice and the rewriting."""
        if not self.chains or self.port is None:
            return self.chains
        chooser = self.port.chain("SVL" if self.list == "Local" else "SVC")
        return (
            *self.chains,
            (f"nat {chooser}", f"{self.port.name} -> {backend}"),
            (f"nat {self.port.chain('SEP', backend)}", self.port.name),
        )


@dataclass(frozen=True)
class Proxy:
    """One node's kube-proxy of one family: its settings, and what it knows of the node's own addresses."""

    snapshot: Snapshot
    node: str
    family: str

    @cached_property
    def nftables(self) -> bool:
        """Whether the proxy is in nftables mode."""
        return self.snapshot.settings.proxy.mode == "nftables"

    @cached_property
    def own_addresses(self) -> tuple[str, ...]:
        """The node's addresses of the family, without loopback."""
        node = self.snapshot.nodes.get(self.node)
        return tuple(ip for ip in node.addresses if family(ip) == self.family) if node else ()

    @cached_property
    def ip(self) -> str:
        """The node's first InternalIP of the family; empty if it has none."""
        node = self.snapshot.nodes.get(self.node)
        return next((ip for ip in node.internal_ips if family(ip) == self.family), "") if node else ""

    def is_own(self, ip: str) -> bool:
        """Whether the kernel calls an address LOCAL: the node's own, or loopback."""
        return ip in self.own_addresses or is_loopback(ip)

    @cached_property
    def pod_range(self) -> str:
        """The clusterCIDR of the family, which tells Pods from others; empty: nothing does."""
        return next(iter(self._of_family(self.snapshot.settings.proxy.cluster_cidr.split(","))), "")

    @cached_property
    def node_port_cidrs(self) -> tuple[str, ...]:
        """The CIDRs of ``--nodeport-addresses`` of the family; empty: any address. nftables: by default the primary."""
        chosen = self.snapshot.settings.proxy.node_port_addresses or (("primary",) if self.nftables else ())
        if "primary" in chosen:
            return (f"{self.ip}/{32 if self.family == 'IPv4' else 128}",)
        mine = self._of_family(chosen)
        return () if any(c.endswith("/0") for c in mine) else mine

    def _of_family(self, cidrs: Iterable[str]) -> tuple[str, ...]:
        return tuple(str(parse_cidr(c)) for c in cidrs if parse_cidr(c) and family(c) == self.family)

    @cached_property
    def localhost_node_ports(self) -> bool:
        """Whether NodePorts answer on loopback: IPv4 in iptables mode only, if neither setting leaves it out."""
        wanted = self.snapshot.settings.proxy.localhost_node_ports and not self.nftables and self.family == "IPv4"
        cidrs = self.node_port_cidrs
        return wanted and (not cidrs or any(c.startswith("127.") or in_cidr("127.0.0.1", c) for c in cidrs))

    @cached_property
    def node_port_ips(self) -> tuple[str, ...]:
        """The addresses that take NodePorts where CIDRs choose them."""
        loopback = ("127.0.0.1",) if self.localhost_node_ports else ()
        return tuple(ip for ip in sorted({*self.own_addresses, *loopback}) if in_any(ip, self.node_port_cidrs))

    def takes_node_ports(self, ip: str) -> bool:
        """Whether NodePorts are served at an address of this node."""
        if self.node_port_cidrs:
            return ip in self.node_port_ips
        return self.localhost_node_ports if is_loopback(ip) else ip in self.own_addresses

    def admits_itself(self, port: ProxiedPort) -> bool:
        """Whether this node is in the source ranges of a Service port."""
        return in_any(self.ip, port.source_ranges)


def decide(
    snapshot: Snapshot,
    node_name: str,
    packet: Packet,
    arrived_from: str = "",
    affinity: Affinity = NOTHING,
    now: float = 0.0,
) -> Decision:
    """What the rules on a node do with the first packet of a connection.

    Whether the sender is a Pod, the node itself or neither is judged by the source address, as the rules do.
    *arrived_from* ``node`` adds that the packet starts in a process of this node and so meets the OUTPUT hook alone.
    *affinity* is what this node remembers (see `Affinity`) and *now* the time on the same clock, in seconds.
    """
    proxy = Proxy(snapshot, node_name, family(packet.dst))
    decision = _decide(proxy, packet, arrived_from == "node", affinity, now)
    return replace(decision, chains=()) if proxy.nftables else decision


def addressed(snapshot: Snapshot, node_name: str, packet: Packet) -> ProxiedPort | None:
    """The Service port, if any, that a packet's destination is of, as seen on a node."""
    return _destination(Proxy(snapshot, node_name, family(packet.dst)), packet)[0]


def _decide(proxy: Proxy, packet: Packet, in_output: bool, affinity: Affinity, now: float) -> Decision:
    port, kind = _destination(proxy, packet)
    if port is None:
        return _unclaimed(proxy, packet)
    usable = held(proxy.snapshot, proxy.family).usable(port, proxy.node)
    rule = port.service.ref.at(FIELDS[kind].format(port.port.index))
    found = Decision("PASS", "", rule, port, kind, source=packet.src, chains=_entry(port, kind))

    firewalled = kind == "loadbalancer IP" and port.source_ranges and (usable.any or proxy.nftables)
    if firewalled and not _admitted(proxy, port, packet.src):
        return _outside_ranges(found, port)
    if not usable.any:
        if in_output and not proxy.nftables and kind != "cluster IP" and not proxy.is_own(packet.dst):
            return replace(
                found, why=f"{_lack(port)}, but no rule of OUTPUT says so: the packet leaves as it is", chains=()
            )
        return _filtered(found, port, "REJECT", "no endpoints", f"{_lack(port)}: refused", port.ref)
    served = kind != "node port" or proxy.takes_node_ports(packet.dst)
    if not served and not (port.external_local and not usable.local):
        return replace(found, why=f"{proxy.node} serves no NodePorts at {packet.dst}", chains=())
    chosen = _choose_list(proxy, found, port, usable) if served else found
    if not chosen.backends:
        field = "spec.internalTrafficPolicy" if kind == "cluster IP" else "spec.externalTrafficPolicy"
        why = f"{field.removeprefix('spec.')} is Local and {port.name} has no usable endpoint on {proxy.node}: dropped in silence"
        return _filtered(found, port, "DROP", "no local endpoints", why, port.service.ref.at(field))
    return _keep_affinity(chosen, port, affinity, now)


def _destination(proxy: Proxy, packet: Packet) -> tuple[ProxiedPort | None, str]:
    """The Service port that the destination is of, and by which kind of address: exact ones first, then node ports.

    iptables mode: the filter rules of a node port hold at every address of the node, the nat rules only where NodePorts
    are served.
    """
    known = held(proxy.snapshot, proxy.family)
    exact = known.by_address.get((packet.dst, packet.dport, packet.protocol))
    if exact is not None:
        return exact
    seen = proxy.takes_node_ports(packet.dst) if proxy.nftables else proxy.is_own(packet.dst)
    return known.by_node_port.get((packet.dport, packet.protocol)) if seen else None, "node port"


def _unclaimed(proxy: Proxy, packet: Packet) -> Decision:
    """No Service port has this destination. nftables mode alone has a word on other ports of a cluster IP."""
    known, dst = held(proxy.snapshot, proxy.family), packet.dst
    probed = known.by_health_check_port.get(packet.dport) if packet.protocol == "TCP" else None
    if probed and proxy.is_own(dst):
        why = f"{packet.dport} is the health check node port of {probed.service.key}: let in, not rewritten"
        chains = (("filter KUBE-NODEPORTS", f"{probed.name} health check node port"),)
        return Decision("PASS", why, probed.service.ref.at("spec.healthCheckNodePort"), chains=chains)
    wanted = packet.protocol if packet.protocol == "ICMP" else f"port {packet.dport}/{packet.protocol}"
    owner = known.by_cluster_ip.get(dst)
    if owner is not None:
        text = f"{dst} is the cluster IP of {owner.service.key}, which does not serve {wanted}"
        verdict, end = ("REJECT", "refused") if proxy.nftables else ("PASS", "no rule matches, and no interface has it")
        return Decision(verdict, f"{text}: {end}", owner.service.ref.at("spec.ports"))
    if proxy.nftables and in_any(dst, proxy.snapshot.service_cidrs):
        return Decision("DROP", f"{dst} is in the range of cluster IPs, and no Service has it: dropped in silence")
    return Decision("PASS", f"no Service has {wanted} at {dst}: the packet goes on as it is")


def _entry(port: ProxiedPort, kind: str) -> Rules:
    """The nat rules that lead a packet to the chains of a Service port."""
    if kind == "node port":
        return (("nat KUBE-SERVICES", NODE_PORTS), ("nat KUBE-NODEPORTS", port.name))
    first = ("nat KUBE-SERVICES", f"{port.name} {kind}")
    if kind == "loadbalancer IP" and port.source_ranges:
        return (first, (f"nat {port.chain('FW')}", f"{port.name} {kind}"))
    return (first,)


def _admitted(proxy: Proxy, port: ProxiedPort, src: str) -> bool:
    """Whether source ranges let a sender in. A load balancer's own address counts as the node's, if that is in one."""
    return in_any(src, port.source_ranges) or (proxy.admits_itself(port) and src in port.load_balancer_ips)


def _outside_ranges(found: Decision, port: ProxiedPort) -> Decision:
    chain = port.chain("FW")
    chains = (
        found.chains[0],
        (f"nat {chain}", f"other traffic to {port.name} will be dropped by KUBE-PROXY-FIREWALL"),
        ("filter KUBE-PROXY-FIREWALL", f"{port.name} traffic not accepted by {chain}"),
    )
    why = f"{found.source} is in none of the source ranges {', '.join(port.source_ranges)}: dropped in silence"
    return replace(
        found, verdict="DROP", why=why, rule=port.service.ref.at("spec.loadBalancerSourceRanges"), chains=chains
    )


def _lack(port: ProxiedPort) -> str:
    """Why a Service port has no usable endpoint, as far as its slices tell."""
    if port.endpoints:
        return f"none of the {len(port.endpoints)} endpoints of {port.name} is ready, nor serving while it terminates"
    if any(s.endpoints for s in port.slices):
        return f"the EndpointSlices of {port.service.key} list no {port.family} endpoint for port {port.name}"
    return f"{port.service.key} has no endpoints"


def _filtered(found: Decision, port: ProxiedPort, verdict: str, comment: str, why: str, rule: Ref) -> Decision:
    """What was not rewritten meets the filter table."""
    chain = "KUBE-SERVICES" if found.kind == "cluster IP" else "KUBE-EXTERNAL-SERVICES"
    return replace(
        found, verdict=verdict, why=why, rule=rule, chains=((f"filter {chain}", f"{port.name} has {comment}"),)
    )


def _choose_list(proxy: Proxy, found: Decision, port: ProxiedPort, usable: Usable) -> Decision:
    """Which endpoint list the traffic policies give, and whether the packet is marked for masquerade."""
    name, src, pods = port.name, found.source, proxy.pod_range
    from_pod = bool(pods) and in_cidr(src, pods)
    others, chain = f"{name} external destinations", f"nat {port.chain('EXT')}"
    steps: Rules
    if found.kind == "cluster IP":
        which = "Local" if port.internal_local else "Cluster"
        everything = proxy.snapshot.settings.proxy.masquerade_all
        marked = everything or bool(pods and not from_pod)
        reason = "--masquerade-all is set" if everything else f"{src} is not in the Pod range {pods}" if marked else ""
        steps = (
            ((f"nat {port.chain('SVL' if port.internal_local else 'SVC')}", f"{name} cluster IP"),) if marked else ()
        )
    elif not port.external_local:
        which, marked, reason = "Cluster", True, "externalTrafficPolicy is Cluster"
        steps = ((chain, f"masquerade traffic for {others}"), (chain, ""))
    elif from_pod:
        which, marked, reason = "Cluster", False, "a Pod of the cluster is spared externalTrafficPolicy Local"
        steps = ((chain, f"pod traffic for {others}"),)
    elif proxy.is_own(src):
        which, marked, reason = "Cluster", True, "the node itself is spared externalTrafficPolicy Local"
        steps = ((chain, f"masquerade LOCAL traffic for {others}"), (chain, f"route LOCAL traffic for {others}"))
    else:
        which, marked, reason = "Local", False, "externalTrafficPolicy is Local"
        steps = ((chain, ""),)
    backends = usable.local if which == "Local" else usable.cluster
    scope = (
        f"on {proxy.node}" if which == "Local" else f"for this {usable.hints} by hints" if usable.hints else "anywhere"
    )
    why = (
        f"the {found.kind} of {name}: one of {len(backends)} usable endpoints {scope}, all equally likely; "
        f"the source address is {'rewritten to the node' if marked else 'kept'}{f' ({reason})' if reason else ''}"
    )
    return replace(
        found, verdict="DNAT", why=why, list=which, backends=backends, marked=marked, chains=(*found.chains, *steps)
    )


def _keep_affinity(chosen: Decision, port: ProxiedPort, affinity: Affinity, now: float) -> Decision:
    """ClientIP affinity: the first endpoint of the list that this sender was sent to not too long ago is taken again."""
    seconds = port.service.affinity_seconds
    for backend in chosen.backends if seconds else ():
        last = affinity.get((port.chain("SEP", backend), chosen.source))
        if last is not None and now - last <= seconds:
            why = f"{chosen.why}; ClientIP affinity: {chosen.source} was sent to {backend} {now - last:g} s ago"
            return replace(chosen, backends=(backend,), why=why, rule=port.service.ref.at("spec.sessionAffinity"))
    return chosen


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """What an HTTP GET of a health check node port is answered, and for which Service."""

    status: int
    local_endpoints: int
    service: Ref
    why: str

    @property
    def body(self) -> str:
        """The JSON document in the answer."""
        document = {
            "service": {"namespace": self.service.namespace, "name": self.service.name},
            "localEndpoints": self.local_endpoints,
            "serviceProxyHealthy": True,
        }
        return json.dumps(document, indent="\t")


def health_check(snapshot: Snapshot, node_name: str, port: int, family_name: str = "IPv4") -> HealthCheck | None:
    """What kube-proxy answers on a health check node port of a node; None if it does not listen there.

    Load balancers ask it: 200 while the node has a ready endpoint of its own, else 503. Terminating endpoints do not
    count, though they still take what comes (pkg/proxy/healthcheck/service_health.go).
    """
    known = held(snapshot, family_name)
    asked = known.by_health_check_port.get(port)
    if asked is None:
        return None
    ready = {b.ip for p in known.ports_of(asked.service) for b in p.endpoints if b.ready and b.node == node_name}
    rule = asked.service.ref.at("spec.healthCheckNodePort")
    why = f"{node_name} has {len(ready)} ready endpoints of {asked.service.key} of its own"
    return HealthCheck(200 if ready else 503, len(ready), rule, why)
