"""What listens in a Pod or on a node, and what a kernel answers where nothing does.

A closed TCP port is answered with RST, a closed UDP port with ICMP port unreachable, a closed SCTP port with ABORT:
each makes the client say "connection refused" at once (Linux net/ipv4/tcp_ipv4.c, udp.c). Pings are answered by the
kernel itself. Facts about nodes: kubelet's and kube-proxy's default ports (kubernetes.io, Ports and Protocols).
"""

from __future__ import annotations

from dataclasses import dataclass

from k8snet.controlplane.listeners import ANNOTATION, Listener
from k8snet.controlplane.snapshot import Pod, Snapshot
from k8snet.dataplane import proxy
from k8snet.dataplane.packet import Packet
from k8snet.dataplane.topology import is_loopback
from k8snet.dataplane.trace import Outcome
from k8snet.dataplane.wiring import Netns
from k8snet.manifests.kinds import Ref

CLOSED = {"TCP": "RST", "UDP": "ICMP port unreachable", "SCTP": "ABORT"}
KUBE_PROXY = "kube-proxy"
NODE_PORTS = {22: "sshd", 10250: "kubelet", 10256: KUBE_PROXY}
UNKNOWN = "reached; whether anything listens is not in the dump"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the packet meets: ``word`` is accept, reply (to a ping), arrive (nobody knows what listens) or refuse,
    ``server`` the Pod or node that answers, ``message`` what the client learns."""

    word: str
    why: str
    server: str
    message: str
    rule: Ref | None = None

    @property
    def outcome(self) -> Outcome:
        """What it means for the client."""
        return Outcome("refused" if self.word == "refuse" else "delivered", self.message, server=self.server)


def open_to(listener: Listener, packet: Packet) -> bool:
    """Whether a socket takes a packet: port, protocol, and the address that it is bound to."""
    if (listener.port, listener.protocol) != (packet.dport, packet.protocol):
        return False
    return not listener.address or listener.address == packet.dst or (listener.loopback and is_loopback(packet.dst))


def answer(snapshot: Snapshot, netns: Netns, packet: Packet) -> Answer:
    """What a packet meets that has arrived in the namespace of a Pod or a node."""
    return _pod(snapshot.pods[netns.name], packet) if netns.kind == "pod" else _node(snapshot, netns.name, packet)


def _pod(pod: Pod, packet: Packet) -> Answer:
    if packet.protocol == "ICMP":
        why = f"The kernel of Pod {pod.key} answers pings by itself, whatever runs in it."
        return Answer("reply", why, pod.key, f"Pod {pod.key} answered the ping")
    if pod.listeners is None:
        why = f"The packet is in Pod {pod.key}. Nobody knows what its containers listen on: a dump does not say."
        return Answer("arrive", why, pod.key, UNKNOWN)
    port, rule = f"{packet.dport}/{packet.protocol}", pod.ref
    found = next((s for s in pod.listeners if open_to(s, packet)), None)
    if found is not None:
        why = f"Container {found.container} listens on {port} and accepts. It sees {packet.src} as the sender."
        return Answer("accept", why, pod.key, f"Pod {pod.key} answered")
    elsewhere = next((s for s in pod.listeners if (s.port, s.protocol) == (packet.dport, packet.protocol)), None)
    if elsewhere is not None:
        own = "the Pod's own localhost: nothing from outside the Pod gets in"
        where = f"only at {elsewhere.address}, which is {own if elsewhere.loopback else 'another address'}"
        why = f"Container {elsewhere.container} listens on {port}, but {where}."
        message = f"Pod {pod.key} listens on {port} at {elsewhere.address} only"
        if ANNOTATION in (pod.obj["metadata"].get("annotations") or {}):
            rule = pod.ref.at(f"metadata.annotations[{ANNOTATION}]")
    else:
        others = ", ".join(f"{s.port}/{s.protocol}" for s in pod.listeners) or "nothing at all"
        why = f"Nothing in Pod {pod.key} listens on {port} (what listens: {others})."
        message = f"nothing in Pod {pod.key} listens on {port}"
    return Answer("refuse", f"{why} Its kernel says so: {CLOSED[packet.protocol]}.", pod.key, message, rule)


def _node(snapshot: Snapshot, node: str, packet: Packet) -> Answer:
    """A Pod that uses the node's network, or one of the node's own programs."""
    if packet.protocol == "ICMP":
        why = f"The kernel of {node} answers pings by itself."
        return Answer("reply", why, node, f"{node} answered the ping")
    port = f"{packet.dport}/{packet.protocol}"
    pods = [p for p in snapshot.pods_on.get(node, ()) if p.host_network]
    for pod in pods:
        if any(open_to(s, packet) for s in pod.listeners or ()):
            why = f"{_pod(pod, packet).why} Pod {pod.key} uses the node's network (hostNetwork)."
            message = f"Pod {pod.key} answered, on the network of {node}"
            return Answer("accept", why, pod.key, message, pod.ref.at("spec.hostNetwork"))
    program = NODE_PORTS.get(packet.dport)
    if proxy.health_check(snapshot, node, packet.dport):
        program = KUBE_PROXY
    if program and packet.protocol == "TCP":
        why = f"{program} of {node} listens on {port} and accepts."
        return Answer("accept", why, node, f"{program} of {node} answered")
    unknown = next((p.key for p in pods if p.listeners is None), None)
    if unknown:
        why = f"The packet is on {node}. Nobody knows what {unknown} listens on there: a dump does not say."
        return Answer("arrive", why, node, UNKNOWN)
    why = f"Nothing on {node} itself listens on {port}. Its kernel says so: {CLOSED[packet.protocol]}."
    return Answer("refuse", why, node, f"nothing on {node} listens on {port}")


def listening(snapshot: Snapshot, netns: Netns) -> tuple[Listener, ...] | None:
    """The sockets of a Pod's or node's namespace, as ``ss -l`` lists them; None if nobody knows."""
    if netns.kind == "pod":
        return snapshot.pods[netns.name].listeners
    if netns.kind != "node":
        return ()
    checks = sorted({s.health_check_node_port for s in snapshot.services.values()} - {0})
    programs = [*NODE_PORTS.items(), *((port, KUBE_PROXY) for port in checks)]
    pods = (p for p in snapshot.pods_on.get(netns.name, ()) if p.host_network)
    own = (Listener("", port, "TCP", name) for port, name in programs)
    return (*own, *(s for p in pods for s in p.listeners or ()))
