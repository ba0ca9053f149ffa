"""A packet's journey, as a person asks for it: one connection followed from connect() to the answer.

The way itself is in `walk`; nothing is decided here.
"""

from __future__ import annotations

from dataclasses import replace

from k8snet.dataplane.client import Client
from k8snet.dataplane.moment import Moment
from k8snet.dataplane.packet import Packet
from k8snet.dataplane.trace import Place, Trace
from k8snet.dataplane.walk import Walk
from k8snet.manifests.addresses import host_port, normal

SMALL = 60


def connect(
    moment: Moment,
    client: Client,
    target: str,
    port: int,
    protocol: str = "TCP",
    *,
    size: int = SMALL,
    sport: int = 0,
) -> Trace:
    """Open one connection (TCP, UDP, SCTP) to an IP address, or ping it (ICMP), and follow it there and back.

    *size* is the biggest packet sent either way, in bytes with headers; it must not be fragmented. *sport* is
    the client's port; without it a free one. Raises ApiError NotFound if this moment has no such Pod or node.
    """
    protocol, target = protocol.upper(), normal(target)
    walk = Walk(moment, client)
    number = 0 if protocol == "ICMP" else port
    return _told(walk, Packet(walk.source_for(target), sport, target, number, protocol, size))


def again(moment: Moment, trace: Trace) -> Trace:
    """The next packet on the connection that *trace* opened: no new choice where conntrack remembers the first.

    What a policy that came since does to it the API does not define; the outcome is then ``undefined``. If another Pod
    has the server's address by now, the connection is reset. Raises ValueError for a trace that opened no connection.
    """
    packet = trace.annotations.get("packet")
    if packet is None:
        raise ValueError("this trace opened no connection")
    later = _told(Walk(moment, trace.annotations["client"], reopened=True), packet)
    if trace and later and later.outcome.server != trace.outcome.server and packet.protocol == "TCP":
        message = f"{later.outcome.server} has the address now and knows nothing of this connection"
        return replace(later, outcome=replace(later.outcome, kind="reset", message=message))
    return later


def forward(moment: Moment, pod: str, port: int) -> Trace:
    """What ``kubectl port-forward pod/NAME`` reaches: a port on the Pod's own localhost, entered from its node.

    No Service, no rule of a node and no policy is on this way. *pod* is ``namespace/name``. Raises ApiError NotFound.
    """
    walk = Walk(moment, Client("pod", pod))
    why = "kubectl's connection goes to the API server, and from there the node's kubelet enters the Pod's network."
    walk.log.hop(Place("node", walk.node, "kubelet", walk.node), "forward", why, None)
    return _told(walk, Packet("127.0.0.1", 0, "127.0.0.1", port), f"port-forward to Pod {pod}, port {port}")


def _free_port(walk: Walk, packet: Packet) -> int:
    """A port for the client (of a ping: its identifier) that names no connection under way."""
    memory, rng = walk.log.moment.conntrack, walk.log.moment.rng
    tables = [memory.get(walk.node, {})] if walk.node else list(memory.values())
    for port in (rng.randint(32768, 60999) for _ in range(1000)):
        flow = packet.with_source(packet.src, port).flow
        if not any(flow in table for table in tables):
            break
    return port


def _told(walk: Walk, packet: Packet, request: str = "") -> Trace:
    if not packet.sport:
        packet = packet.with_source(packet.src, _free_port(walk, packet))
    outcome = walk.run(packet)
    ping, to = packet.protocol == "ICMP", host_port(packet.dst, packet.dport)
    request = request or f"{walk.client.name} " + (f"pings {packet.dst}" if ping else f"→ {to} {packet.protocol}")
    return Trace(request, tuple(walk.log.hops), outcome, {"client": walk.client, "packet": packet})
