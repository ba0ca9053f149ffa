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
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane.packet import Packet
from k8snet.dataplane.topology import Backend, ProxiedPort, held, is_loopback, of_family
from k8snet.manifests.addresses import family, in_any, in_cidr, parse_cidr
from k8snet.manifests.kinds import Ref

# What a node remembers for ClientIP affinity: (endpoint chain, source address) → time of the last new connection.
Affinity = Mapping[tuple[str, str], float]
NOTHING: Affinity = MappingProxyType({})

# The kinds of address that a Service has, and the field that sends packets for it on.
FIELDS = {
    "cluster IP": "spec.ports[{}]",
    "external IP": "spec.externalIPs",
    "loadbalancer IP": "status.loadBalancer.ingress",
    "node port": "spec.ports[{}].nodePort",
}
NODE_PORTS = "kubernetes service nodeports; NOTE: this must be the last rule in this chain"


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to the packet, and why.

    ``verdict`` is DNAT, REJECT, DROP or PASS. ``backends`` are those that it may go to, each equally likely, ``list`` is
    the endpoint list that they are from (Cluster or Local). ``marked``: masqueraded whichever is chosen. ``port`` is the
    Service port and ``kind`` what sort of its addresses was hit, ``rule`` which object and field decided. ``chains`` are
    the iptables rules gone through, each as table, chain and comment; none in nftables mode.
    """

    verdict: str
    why: str
    rule: Ref | None = None
    port: ProxiedPort | None = None
    kind: str = ""
    source: str = ""
    list: str = ""
    backends: tuple[Backend, ...] = ()
    marked: bool = False
    chains: tuple[str, ...] = ()

    def masqueraded(self, backend: Backend) -> bool:
        """Whether the source is rewritten if the packet goes to *backend*: marked, or sent back to its own sender."""
        return self.marked or backend.ip == self.source

    @property
    def masquerade(self) -> bool:
        """Whether the source is rewritten for any of the backends."""
        return any(map(self.masqueraded, self.backends))

    def path(self, backend: Backend) -> tuple[str, ...]:
        """The rules gone through if *backend* is chosen: ``chains``, then the choice and the rewriting."""
        if not self.chains or self.port is None:
            return ()
        name, chooser = self.port.name, self.port.chain("SVL" if self.list == "Local" else "SVC")
        chosen = f'nat {chooser} "{name} -> {backend}"', f'nat {self.port.chain("SEP", backend)} "{name}"'
        return self.chains + chosen


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
        return of_family(self.family, node.addresses) if node else ()

    @cached_property
    def ip(self) -> str:
        """The node's first InternalIP of the family; empty if it has none."""
        node = self.snapshot.nodes.get(self.node)
        return next(iter(of_family(self.family, node.internal_ips)), "") if node else ""

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
        return of_family(self.family, (str(c) for c in map(parse_cidr, cidrs) if c))

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

    def admits(self, port: ProxiedPort, src: str) -> bool:
        """Whether source ranges let a sender in. The balancer's own address counts as the node's, if that is in one."""
        return in_any(src, port.source_ranges) or (self.admits_itself(port) and src in port.load_balancer_ips)

    def destination(self, packet: Packet) -> tuple[ProxiedPort | None, str]:
        """The Service port that a packet is for, and by which kind of address: exact ones first, then node ports.

        iptables mode: the filter rules of a node port hold at every address of the node, the nat rules only where
        NodePorts are served.
        """
        known = held(self.snapshot, self.family)
        exact = known.by_address.get((packet.dst, packet.dport, packet.protocol))
        if exact is not None:
            return exact
        seen = self.takes_node_ports(packet.dst) if self.nftables else self.is_own(packet.dst)
        return known.by_node_port.get((packet.dport, packet.protocol)) if seen else None, "node port"


def decide(
    snapshot: Snapshot, node: str, packet: Packet, own: bool = False, affinity: Affinity = NOTHING, now: float = 0.0
) -> Decision:
    """What the rules on a node do with the first packet of a connection.

    Whether the sender is a Pod, the node itself or neither is judged by the source address, as the rules do.
    *own* adds that the packet starts in a process of this node and so meets the OUTPUT hook alone.
    *affinity* is what this node remembers (see `Affinity`) and *now* the time on the same clock, in seconds.
    """
    proxy, src = Proxy(snapshot, node, family(packet.dst)), packet.src
    # whose packet is it?
    port, kind = proxy.destination(packet)
    if port is None:
        return _unclaimed(proxy, packet)
    usable, nftables = held(snapshot, proxy.family).usable(port, node), proxy.nftables
    name, place, entry = port.name, FIELDS[kind].format(port.port.index), _entry(port, kind)
    filtered = f'filter {"KUBE-SERVICES" if kind == "cluster IP" else "KUBE-EXTERNAL-SERVICES"} "{name} has'
    firewall = f'filter KUBE-PROXY-FIREWALL "{name} traffic not accepted by {port.chain("FW")}"'

    def decision(verdict: str, why: str, *chains: str, field: str = place, **more: Any) -> Decision:
        gone = () if nftables else chains
        return Decision(verdict, why, port.service.ref.at(field), port, kind, src, chains=gone, **more)

    # may the sender use this load balancer?
    guarded = kind == "loadbalancer IP" and bool(port.source_ranges) and (usable.any or nftables)
    if guarded and not proxy.admits(port, src):
        why = f"{src} is in none of the source ranges {', '.join(port.source_ranges)}: dropped in silence"
        unmatched = f'nat {port.chain("FW")} "other traffic to {name} will be dropped by KUBE-PROXY-FIREWALL"'
        return decision("DROP", why, entry[0], unmatched, firewall, field="spec.loadBalancerSourceRanges")
    # is there an endpoint anywhere?
    if not usable.any:
        if own and not nftables and kind != "cluster IP" and not proxy.is_own(packet.dst):
            return decision("PASS", f"{_lack(port)}, but no rule of OUTPUT says so: the packet leaves as it is")
        return decision(
            "REJECT",
            f"{_lack(port)}: refused",
            f'{filtered} no endpoints"',
            field=FIELDS["cluster IP"].format(port.port.index),
        )
    # is there one for this sender?
    which, marked, reason, steps = _policy(proxy, port, kind, src)
    backends = usable.local if which == "Local" else usable.cluster
    if kind == "node port" and not proxy.takes_node_ports(packet.dst):
        if usable.local or not port.external_local:
            return decision("PASS", f"{node} serves no NodePorts at {packet.dst}")
        backends = ()
    if not backends:
        policy = "internalTrafficPolicy" if kind == "cluster IP" else "externalTrafficPolicy"
        why = f"{policy} is Local and {name} has no usable endpoint on {node}: dropped in silence"
        return decision("DROP", why, firewall if guarded else f'{filtered} no local endpoints"', field=f"spec.{policy}")
    # has the sender been here before?
    hinted = f"that hints leave to this {usable.hints}" if usable.hints else "anywhere"
    where = f"on {node}" if which == "Local" else hinted
    many = f"one of {len(backends)} usable endpoints {where}, all equally likely"
    why = f"the {kind} of {name}: {many if len(backends) > 1 else f'the only usable endpoint {where}'}"
    why += f"; the source address is {'rewritten to the node' if marked else 'kept'}{reason and f' ({reason})'}"
    for backend in backends if port.service.affinity_seconds else ():
        last = affinity.get((port.chain("SEP", backend), src))
        if last is not None and now - last <= port.service.affinity_seconds:
            why += f"; ClientIP affinity: {src} was sent to {backend} {now - last:g} s ago"
            backends, place = (backend,), "spec.sessionAffinity"
            break
    return decision("DNAT", why, *entry, *steps, field=place, list=which, backends=backends, marked=marked)


def _unclaimed(proxy: Proxy, packet: Packet) -> Decision:
    """No Service port has this destination. nftables mode alone has a word on other ports of a cluster IP."""
    known, dst = held(proxy.snapshot, proxy.family), packet.dst
    probed = known.by_health_check_port.get(packet.dport) if packet.protocol == "TCP" else None
    if probed and proxy.is_own(dst):
        why = f"{packet.dport} is the health check node port of {probed.service.key}: let in, not rewritten"
        chains = () if proxy.nftables else (f'filter KUBE-NODEPORTS "{probed.name} health check node port"',)
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


def _lack(port: ProxiedPort) -> str:
    """Why a Service port has no usable endpoint, as far as its slices tell."""
    if port.endpoints:
        return f"none of the {len(port.endpoints)} endpoints of {port.name} is ready, nor serving while it terminates"
    if any(s.endpoints for s in port.slices):
        return f"the EndpointSlices of {port.service.key} list no {port.family} endpoint for port {port.name}"
    return f"{port.service.key} has no endpoints"


def _entry(port: ProxiedPort, kind: str) -> tuple[str, ...]:
    """The nat rules that lead a packet to the chains of a Service port."""
    if kind == "node port":
        return f'nat KUBE-SERVICES "{NODE_PORTS}"', f'nat KUBE-NODEPORTS "{port.name}"'
    chains = ["KUBE-SERVICES", *([port.chain("FW")] if kind == "loadbalancer IP" and port.source_ranges else [])]
    return tuple(f'nat {chain} "{port.name} {kind}"' for chain in chains)


def _policy(proxy: Proxy, port: ProxiedPort, kind: str, src: str) -> tuple[str, bool, str, tuple[str, ...]]:
    """What the traffic policies give a sender: the endpoint list, whether it is marked for masquerade, why, the rules."""
    pods, name, others = proxy.pod_range, port.name, f'for {port.name} external destinations"'
    from_pod, everything = bool(pods) and in_cidr(src, pods), proxy.snapshot.settings.proxy.masquerade_all
    if kind == "cluster IP":
        which, marked = "Local" if port.internal_local else "Cluster", everything or bool(pods and not from_pod)
        reason = "--masquerade-all is set" if everything else f"{src} is not in the Pod range {pods}" if marked else ""
        chain = port.chain("SVL" if port.internal_local else "SVC")
        return which, marked, reason, (f'nat {chain} "{name} cluster IP"',) if marked else ()
    chain = f"nat {port.chain('EXT')}"
    if not port.external_local:
        return "Cluster", True, "externalTrafficPolicy is Cluster", (f'{chain} "masquerade traffic {others}', chain)
    if from_pod:
        spared = "a Pod of the cluster is spared externalTrafficPolicy Local"
        return "Cluster", False, spared, (f'{chain} "pod traffic {others}',)
    if proxy.is_own(src):
        spared = "the node itself is spared externalTrafficPolicy Local"
        local = f'{chain} "masquerade LOCAL traffic {others}', f'{chain} "route LOCAL traffic {others}'
        return "Cluster", True, spared, local
    return "Local", False, "externalTrafficPolicy is Local", (chain,)


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
        service = {"namespace": self.service.namespace, "name": self.service.name}
        document = {"service": service, "localEndpoints": self.local_endpoints, "serviceProxyHealthy": True}
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
    ports = (p for p in known.ports if p.service is asked.service)
    ready = {b.ip for p in ports for b in p.endpoints if b.ready and b.node == node_name}
    rule = asked.service.ref.at("spec.healthCheckNodePort")
    why = f"{node_name} has {len(ready)} ready endpoints of {asked.service.key} of its own"
    return HealthCheck(200 if ready else 503, len(ready), rule, why)
