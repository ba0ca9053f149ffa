"""What listens in a Pod or on a node, and what a kernel answers where nothing does.

A closed TCP port is answered with RST, a closed UDP port with ICMP port unreachable, a closed SCTP port with ABORT:
each makes the client say "connection refused" at once (Linux net/ipv4/tcp_ipv4.c, udp.c). Pings are answered by the
kernel itself. Facts about nodes: kubelet's and kube-proxy's default ports (kubernetes.io, Ports and Protocols).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from k8snet.controlplane.listeners import ANNOTATION, Listener
from k8snet.controlplane.snapshot import Node, Pod, Snapshot
from k8snet.dataplane import proxy
from k8snet.dataplane.packet import Packet
from k8snet.dataplane.trace import Outcome
from k8snet.dataplane.wiring import Netns
from k8snet.manifests.addresses import in_cidr
from k8snet.manifests.kinds import Ref

CLOSED = {"TCP": "RST", "UDP": "ICMP port unreachable", "SCTP": "ABORT"}
KUBELET, KUBE_PROXY = "kubelet", "kube-proxy"
NODE_PORTS = {22: "sshd", 10250: KUBELET, 10256: KUBE_PROXY}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the packet meets: ``word`` is accept or refuse, ``who`` accepted (a container, a process)."""

    word: str
    why: str
    outcome: Outcome
    rule: Ref | None = None


def _loopback(ip: str) -> bool:
    return ip == "::1" or in_cidr(ip, "127.0.0.0/8")


def open_to(listener: Listener, packet: Packet) -> bool:
    """Whether a socket takes a packet: port, protocol, and the address that it is bound to."""
    if (listener.port, listener.protocol) != (packet.dport, packet.protocol):
        return False
    return not listener.address or listener.address == packet.dst or (listener.loopback and _loopback(packet.dst))


def pod_answer(pod: Pod, packet: Packet) -> Answer:
    """What a packet that has arrived in a Pod's namespace meets there."""
    found = _pod_answer(pod, packet)
    return replace(found, outcome=replace(found.outcome, server=pod.key))


def _pod_answer(pod: Pod, packet: Packet) -> Answer:
    if packet.protocol == "ICMP":
        why = f"The kernel of Pod {pod.key} answers pings by itself, whatever runs in it."
        return Answer("reply", why, Outcome("delivered", f"Pod {pod.key} answered the ping"))
    port = f"{packet.dport}/{packet.protocol}"
    if pod.listeners is None:
        why = f"The packet is in Pod {pod.key}. Nobody knows what its containers listen on: a dump does not say."
        return Answer("arrive", why, Outcome("delivered", "reached; whether anything listens is not in the dump"))
    found = next((s for s in pod.listeners if open_to(s, packet)), None)
    if found is not None:
        why = f"Container {found.container} listens on {port} and accepts. It sees {packet.src} as the sender."
        return Answer("accept", why, Outcome("delivered", f"Pod {pod.key} answered"))
    elsewhere = next((s for s in pod.listeners if (s.port, s.protocol) == (packet.dport, packet.protocol)), None)
    rule = pod.ref
    if elsewhere is not None:
        why = f"Container {elsewhere.container} listens on {port}, but only at {elsewhere.address}, which is " + (
            "the Pod's own localhost: nothing from outside the Pod gets in."
            if elsewhere.loopback
            else "another address."
        )
        if ANNOTATION in (pod.obj["metadata"].get("annotations") or {}):
            rule = pod.ref.at(f"metadata.annotations[{ANNOTATION}]")
        message = f"Pod {pod.key} listens on {port} at {elsewhere.address} only"
    else:
        others = ", ".join(f"{s.port}/{s.protocol}" for s in pod.listeners) or "nothing at all"
        why = f"Nothing in Pod {pod.key} listens on {port} (what listens: {others})."
        message = f"nothing in Pod {pod.key} listens on {port}"
    return Answer("refuse", f"{why} Its kernel says so: {CLOSED[packet.protocol]}.", Outcome("refused", message), rule)


def listening(snapshot: Snapshot, netns: Netns) -> tuple[Listener, ...] | None:
    """The sockets of a Pod's or node's namespace, as ``ss -l`` lists them; None if nobody knows."""
    if netns.kind == "pod":
        return snapshot.pods[netns.name].listeners
    if netns.kind != "node":
        return ()
    programs = [Listener("", port, "TCP", name) for port, name in NODE_PORTS.items()]
    pods = [p for p in snapshot.pods_on.get(netns.name, ()) if p.host_network]
    checks = {s.health_check_node_port for s in snapshot.services.values()} - {0}
    programs += [Listener("", port, "TCP", KUBE_PROXY) for port in sorted(checks)]
    return (*programs, *(s for p in pods for s in p.listeners or ()))


def node_answer(snapshot: Snapshot, node: Node, packet: Packet) -> Answer:
    """What a packet for a node itself meets: a Pod that uses the node's network, or one of the node's own programs."""
    if packet.protocol == "ICMP":
        why = f"The kernel of {node.name} answers pings by itself."
        return Answer("reply", why, Outcome("delivered", f"{node.name} answered the ping", server=node.name))
    port = f"{packet.dport}/{packet.protocol}"
    for pod in snapshot.pods_on.get(node.name, ()):
        if pod.host_network and any(open_to(s, packet) for s in pod.listeners or ()):
            found = pod_answer(pod, packet)
            why = f"{found.why} Pod {pod.key} uses the node's network (hostNetwork)."
            outcome = Outcome("delivered", f"Pod {pod.key} answered, on the network of {node.name}", server=pod.key)
            return Answer("accept", why, outcome, pod.ref.at("spec.hostNetwork"))
    program = NODE_PORTS.get(packet.dport) if packet.protocol == "TCP" else None
    if packet.protocol == "TCP" and proxy.health_check(snapshot, node.name, packet.dport):
        program = KUBE_PROXY
    if program:
        why = f"{program} of {node.name} listens on {port} and accepts."
        return Answer("accept", why, Outcome("delivered", f"{program} of {node.name} answered", server=node.name))
    unknown = [p.key for p in snapshot.pods_on.get(node.name, ()) if p.host_network and p.listeners is None]
    if unknown:
        why = f"The packet is on {node.name}. Nobody knows what {unknown[0]} listens on there: a dump does not say."
        outcome = Outcome("delivered", "reached; whether anything listens is not in the dump", server=node.name)
        return Answer("arrive", why, outcome)
    why = f"Nothing on {node.name} itself listens on {port}. Its kernel says so: {CLOSED[packet.protocol]}."
    return Answer("refuse", why, Outcome("refused", f"nothing on {node.name} listens on {port}", server=node.name))
