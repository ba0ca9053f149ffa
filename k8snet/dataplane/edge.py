"""The cluster's edge: what happens to a packet from outside before a node gets it.

A load balancer is no part of Kubernetes: some implementer watches Services of type LoadBalancer, writes an address into
their status and forwards what comes there to a node it holds for healthy. Facts: the documentation's pages on Services
and on source IP, KEP-1860 (ipMode), cloud-provider controllers/service (which nodes are chosen). A cloud's firewall
lets in what its own load balancers forward, and nothing else unless a rule says so.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from k8snet.controlplane.snapshot import LoadBalancerIP, Node, Service, Snapshot
from k8snet.dataplane.packet import Packet
from k8snet.dataplane.proxy import health_check
from k8snet.dataplane.trace import Hop, Outcome, Place
from k8snet.manifests.addresses import family
from k8snet.manifests.kinds import Ref

EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"
# A client gives up when its SYNs stay unanswered (tcp_syn_retries of Linux).
LOST_SECONDS = 130.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where a packet goes in: ``node`` and the packet as it arrives there, after the ``hops`` at the edge; or
    ``outcome``, if it ended here. Neither: the edge has nothing to do with its destination."""

    packet: Packet
    hops: tuple[Hop, ...] = ()
    node: str = ""
    outcome: Outcome | None = None


def arrive(snapshot: Snapshot, rng: random.Random, packet: Packet) -> Arrival:
    """What the edge does with a packet from outside the nodes' network: the firewall in front of node addresses, the
    load balancer behind the addresses of Services, the way to external IPs."""
    for service in snapshot.services.values():
        for entry in service.load_balancer_ips if service.type == "LoadBalancer" else ():
            if entry.ip == packet.dst:
                return _balance(snapshot, rng, packet, service, entry)
    node = snapshot.node_by_ip.get(packet.dst)
    if snapshot.settings.cloud_firewall and (node or packet.dst in snapshot.pod_by_ip):
        whose = f"{node.name} itself" if node else "a Pod's address"
        why = f"{packet.dst} is {whose}. The cloud's firewall lets in only what a load balancer forwards."
        return _lost(packet, "cloud firewall", why)
    if node is not None:
        why = f"{packet.dst} is the address of {node.name}, and no firewall stands before the nodes."
        return _to_node(packet, "router", why, node)
    announced = next((s for s in snapshot.services.values() if packet.dst in s.external_ips), None)
    ready = next((n for n in snapshot.nodes.values() if n.ready), None)
    if announced is None or ready is None:
        return Arrival(packet)
    why = (
        f"{packet.dst} is an external IP of Service {announced.key}. Kubernetes announces it to nobody: whoever built this"
        f" network has to route it to a node, here to {ready.name}."
    )
    return _to_node(packet, "router", why, ready, announced.ref.at("spec.externalIPs"))


def candidates(snapshot: Snapshot, service: Service, family_name: str = "IPv4") -> tuple[list[Node], list[str]]:
    """The nodes that the load balancer of a Service sends to, and a line on each node about why or why not.

    With externalTrafficPolicy Local it asks each node's healthCheckNodePort. If no node is healthy it sends to all of
    them, as the clouds' packet balancers do (fail open).
    """
    nodes, lines = [], []
    for node in snapshot.nodes.values():
        if EXCLUDED in node.labels or not node.ready:
            why = f"label {EXCLUDED}" if EXCLUDED in node.labels else "the node is not Ready"
            lines.append(f"{node.name}: not a target, {why}")
        else:
            nodes.append(node)
    if service.external_policy != "Local" or not service.health_check_node_port:
        return nodes, lines + [f"{n.name}: a target, the node is Ready" for n in nodes]
    healthy = []
    for node in nodes:
        check = health_check(snapshot, node.name, service.health_check_node_port, family_name)
        status, why = (check.status, check.why) if check else (0, "nothing answers")
        lines.append(f"{node.name}: health check on port {service.health_check_node_port} answers {status}: {why}")
        if status == 200:
            healthy.append(node)
    if not healthy:
        lines.append("no node is healthy: the load balancer sends to any of them")
    return healthy or nodes, lines


def _balance(
    snapshot: Snapshot, rng: random.Random, packet: Packet, service: Service, entry: LoadBalancerIP
) -> Arrival:
    place, name = "load balancer", f"The load balancer of Service {service.key}"
    port = next((p for p in service.ports if (p.port, p.protocol) == (packet.dport, packet.protocol)), None)
    if port is None:
        has = ", ".join(f"{p.port}/{p.protocol}" for p in service.ports)
        return _lost(packet, place, f"{name} forwards {has} and nothing else.", service.ref.at("spec.ports"))
    nodes, lines = candidates(snapshot, service, family(packet.dst))
    rule, ends = service.ref.at("status.loadBalancer.ingress"), entry.mode == "Proxy"
    if not nodes:
        return _lost(packet, place, f"{name} has no node to send to.", rule, tuple(lines))
    if ends and not port.node_port:
        why = f"{name} ends connections itself, and the Service has no node port to go on to."
        return _lost(packet, place, why, rule, tuple(lines))
    node, after = rng.choice(nodes), packet
    why = f"{name} forwards the packet as it is to one of its nodes: {node.name}."
    if ends:
        after = replace(packet, src=entry.ip, dst=node.ip, dport=port.node_port)
        why = f"{name} ends the client's connection and opens its own to port {port.node_port} of {node.name}: from here on the source address is {entry.ip}."  # fmt: skip
    hop = Hop(Place("edge", place), "edge", "forward", why, packet, after, rule, tuple(lines))
    return Arrival(after, (hop,), node.name)


def _to_node(packet: Packet, place: str, why: str, node: Node, rule: Ref | None = None) -> Arrival:
    return Arrival(packet, (Hop(Place("edge", place), "edge", "forward", why, packet, packet, rule),), node.name)


def _lost(packet: Packet, place: str, why: str, rule: Ref | None = None, detail: tuple[str, ...] = ()) -> Arrival:
    hop = Hop(Place("edge", place), "edge", "drop", why, packet, packet, rule, detail)
    return Arrival(packet, (hop,), outcome=Outcome("timed out", why, LOST_SECONDS))
