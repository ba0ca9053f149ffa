"""What a node's kernel remembers: open connections (conntrack) and, for ClientIP affinity, who was sent where.

Rules act on the first packet of a connection only. conntrack keeps how that one was rewritten and does the same to every
later packet, and the reverse to the answers. So an open connection stays with its endpoint when that becomes unready or
leaves its EndpointSlice, and when a policy comes that would forbid it. kube-proxy cuts no TCP; of UDP, where nothing
tells the end of a connection, it deletes entries that point to an endpoint no longer serving, as soon as another serves
(pkg/proxy/conntrack/cleanup.go). Timeouts: nf_conntrack-sysctl, and kube-proxy's for TCP (--conntrack-tcp-timeout-established).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from k8snet.dataplane.moment import Moment
from k8snet.dataplane.packet import Packet
from k8snet.dataplane.proxy import Decision, Proxy
from k8snet.dataplane.topology import Backend
from k8snet.manifests.addresses import family

# Seconds after its last packet at which a connection is forgotten.
TIMEOUTS = {"TCP": 86400.0, "UDP": 120.0, "SCTP": 432000.0, "ICMP": 30.0}


@dataclass(slots=True)
class Flow:
    """One connection at one node: its first packet as it came and as it left, and when its last packet passed."""

    first: Packet
    after: Packet
    seen: float

    def on(self, packet: Packet) -> Packet:
        """A packet of this connection, rewritten: like the first one, or, if it is an answer, back."""
        to = self.after if packet.flow == self.first.flow else self.first.reply()
        return replace(packet, src=to.src, sport=to.sport, dst=to.dst, dport=to.dport)


def remember(moment: Moment, node: str, first: Packet, after: Packet) -> None:
    """Enter a new connection into a node's table. Packets of both directions find it from now on."""
    table = moment.conntrack.setdefault(node, {})
    flow = Flow(first, after, moment.now)
    table[first.flow] = flow
    table.setdefault(after.reply().flow, flow)


def recall(moment: Moment, node: str, packet: Packet) -> Packet | None:
    """The packet as the node rewrites it if it is of a known connection (which may leave it as it is), else None.

    An entry whose time is over, or which kube-proxy has deleted since, is gone.
    """
    flow: Flow | None = moment.conntrack.get(node, {}).get(packet.flow)
    if flow is None:
        return None
    if moment.now - flow.seen > TIMEOUTS[packet.protocol] or stale(moment, node, flow):
        forget(moment, node, flow)
        return None
    flow.seen = moment.now
    return flow.on(packet)


def forget(moment: Moment, node: str, flow: Flow) -> None:
    """Delete a connection from a node's table, as ``conntrack -D`` does."""
    table = moment.conntrack.get(node, {})
    for key in (flow.first.flow, flow.after.reply().flow):
        if table.get(key) is flow:
            del table[key]


def stale(moment: Moment, node: str, flow: Flow) -> bool:
    """Whether kube-proxy deletes a UDP entry: its Service port has serving endpoints, and this address and port is none.

    With the knob ``clean_udp`` off it never does, as versions of kube-proxy did in some cases: the client's packets go
    on to an address that nobody has (kubernetes/kubernetes#125467).
    """
    if flow.first.protocol != "UDP" or not moment.snapshot.settings.proxy.clean_udp:
        return False
    port, _ = Proxy(moment.snapshot, node, family(flow.first.dst)).destination(flow.first)
    serving = {(b.ip, b.port) for b in port.endpoints if b.serving} if port else set()
    return bool(serving) and (flow.after.dst, flow.after.dport) not in serving


def stick(moment: Moment, node: str, decision: Decision, backend: Backend) -> None:
    """Note for ClientIP affinity that a sender was sent to a backend now; nothing for a Service without affinity."""
    port = decision.port
    if port is not None and port.service.affinity_seconds:
        moment.affinity.setdefault(node, {})[port.chain("SEP", backend), decision.source] = moment.now
