"""What one node's Linux kernel does with one packet, in its own order.

conntrack first: a packet of a known connection is translated as the first one was. Only the first packet of a connection
meets the nat table (kube-proxy's rules, then host ports). Then routing: here, or onwards? Then the filter table
(kube-proxy's REJECT and DROP, the network plugin's policies), and on the way out masquerade. A packet that enters by a
wire passes PREROUTING, one that a process of the node sends passes OUTPUT; a bridged packet passes the same hooks
(net.bridge.bridge-nf-call-iptables=1, which Kubernetes asks for). Facts: netfilter's hook order
(include/uapi/linux/netfilter_ipv4.h), fib_validate_source, inet_select_addr; containernetworking/plugins portmap.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from k8snet.controlplane.policies import EGRESS, INGRESS
from k8snet.controlplane.snapshot import Node, Pod
from k8snet.dataplane import conntrack, policy, proxy
from k8snet.dataplane.moment import Moment
from k8snet.dataplane.packet import Packet
from k8snet.dataplane.trace import Hop, Place
from k8snet.dataplane.wiring import Netns, Route, Wiring
from k8snet.manifests.addresses import family, in_any, in_cidr
from k8snet.manifests.kinds import Ref

OPEN_CONNECTION = (
    "policies forbid it now, but the connection is older: the API does not say what happens to open connections, and "
    "plugins that build on conntrack let it live until it is closed"
)


@dataclass
class Log:
    """What one request has met so far. ``returning``: the answer is under way; ``reopened``: the connection is an old one;
    ``note``: why the outcome is not defined, whatever it is."""

    moment: Moment
    wiring: Wiring
    reopened: bool = False
    returning: bool = False
    note: str = ""
    hops: list[Hop] = field(default_factory=list)

    def hop(self, place: Place, step: str, why: str, before: Packet | None, after: Packet | None = None,
            rule: Ref | None = None, detail: tuple[str, ...] = (), route: Route | None = None) -> None:  # fmt: skip
        """Note what happened at a place; *step* is ``mechanism: decision``, or a decision of the wiring alone."""
        mechanism, _, decision = step.rpartition(": ")
        detail = (*detail, *([f"route: {route}"] if route else []))
        hop = Hop(place, mechanism or "wiring", decision, why, before, after or before, rule, detail, self.returning)
        self.hops.append(hop)


@dataclass
class Crossing:
    """A packet's way through one node, as far as it has come.

    ``sender`` is the Pod of this node that it came from (None: another way), ``own`` whether a process of the node sent
    it. ``fate`` is ``forward`` (along ``route``), ``local``, or the kind of `trace.Outcome` that ended it here, with a
    ``message``. ``masquerade`` says why the source must become the node's.
    """

    log: Log
    node: Node
    packet: Packet
    sender: Pod | None = None
    own: bool = False
    fate: str = ""
    message: str = ""
    route: Route | None = None
    masquerade: str = ""

    @property
    def netns(self) -> Netns:
        """The node's network namespace."""
        return self.log.wiring.node(self.node.name)

    def hop(self, device: str, step: str, why: str, before: Packet, rule: Ref | None = None,
            detail: tuple[str, ...] = ()) -> None:  # fmt: skip
        """Note one decision of this node."""
        place = Place("node", self.node.name, device, self.node.name)
        self.log.hop(place, step, why, before, self.packet, rule, detail)

    def end(self, fate: str, message: str) -> Crossing:
        """The packet goes no further."""
        self.fate, self.message = fate, message
        return self


def cross(c: Crossing) -> Crossing:
    """Take a packet through the node. Gives back the same crossing, with its fate; the log has its hops."""
    first, log = c.packet, c.log
    if not (c.own or c.sender or log.returning) and c.netns.owns(first.src):
        why = f"{first.src} is this node's own address and cannot come in by a wire (a martian)."
        c.hop("eth0", "drop", why, first)
        return c.end("timed out", "the node takes a packet with its own address for forged")
    # An answer that conntrack does not know is an error about a packet that got no further: let through as related.
    known = _recall(c) or log.returning
    verdict = "" if known else translate(c)
    c.fate = "local" if c.netns.owns(c.packet.dst) else "forward"
    if c.fate == "forward":
        c.route = c.netns.route(c.packet.dst)
        if c.route is None:
            c.hop("routing", "no route", f"No route of this node leads to {c.packet.dst}.", c.packet)
            return c.end("no route", "Network is unreachable")
        if c.route.kind == "blackhole":
            why = f"{c.route.to} is this node's own range, but no Pod here has {c.packet.dst}: thrown away."
            c.hop("routing", "drop", why, c.packet, detail=(f"route: {c.route}",))
            return c.end(*(("no route", "Invalid argument") if c.own else ("timed out", f"nobody has {c.packet.dst}")))
    if verdict in ("REJECT", "DROP"):
        return c.end("refused" if verdict == "REJECT" else "timed out", c.message)
    if (log.reopened or not known) and not log.returning and not _policy_lets_pass(c):
        return c
    if not known:
        _masquerade(c)
        conntrack.remember(log.moment, c.node.name, first, c.packet)
    return c


def _recall(c: Crossing) -> bool:
    """conntrack: whether this connection is known here; if so the packet is translated as it was, or back."""
    before, known = c.packet, conntrack.recall(c.log.moment, c.node.name, c.packet)
    if known is None or known == before:
        return known is not None
    c.packet = known
    decision, why = "translate", "the packet is rewritten as its first one was, without a new choice"
    if c.log.returning:
        decision, why = "translate back", "the rewriting is undone, so that the client sees the address that it asked"
    c.hop("conntrack", f"conntrack: {decision}", f"This connection is known here: {why}.", before)
    return True


def translate(c: Crossing) -> str:
    """The nat table's answer to a new connection: kube-proxy's rules, then host ports. Gives kube-proxy's verdict."""
    moment, node, before = c.log.moment, c.node.name, c.packet
    hook = "OUTPUT" if c.own else "PREROUTING"
    found = proxy.decide(moment.snapshot, node, before, c.own, moment.affinity.get(node, {}), moment.now)
    why = f"kube-proxy's rules: {found.why or 'none is for this packet'}."
    if found.verdict == "DNAT":
        backend = moment.rng.choice(found.backends)
        conntrack.stick(moment, node, found, backend)
        c.packet = before.with_destination(backend.ip, backend.port)
        if found.masqueraded(backend):
            c.masquerade = "kube-proxy marked it (KUBE-MARK-MASQ), so that the answer comes back through this node"
        why = f"The packet is for {found.why}."
        c.hop(hook, "proxy: DNAT", why, before, found.rule, found.path(backend))
    elif found.verdict in ("REJECT", "DROP"):
        c.message = found.why
        hook = "OUTPUT" if c.own else "INPUT" if c.netns.owns(before.dst) else "FORWARD"
        c.hop(hook, f"proxy: {found.verdict}", why, before, found.rule, found.chains)
    elif not _host_port(c, hook) and (c.netns.owns(before.dst) or in_any(before.dst, moment.snapshot.service_cidrs)):
        c.hop(hook, "proxy: pass", why, before, found.rule)
    return found.verdict


def _host_port(c: Crossing, hook: str) -> bool:
    """The rule that the portmap plugin (or Docker) keeps for each hostPort of this node's Pods."""
    packet, wiring = c.packet, c.log.wiring
    pod = wiring.host_ports.get((c.node.name, packet.dport, packet.protocol))
    if pod is None or not c.netns.owns(packet.dst):
        return False
    to = next(p for p in pod.ports if (p.host_port, p.protocol) == (packet.dport, packet.protocol))
    ip = pod.ip_of(family(packet.dst))
    if not ip or to.host_ip not in ("", "0.0.0.0", "::", packet.dst):
        return False
    c.packet = packet.with_destination(ip, to.port)
    neighbours = next(a for a in wiring.pod(pod).interfaces["eth0"].addresses if a.startswith(f"{ip}/"))
    if packet.src.startswith("127.") or in_cidr(packet.src, neighbours):
        c.masquerade = "the sender would not take an answer straight from the Pod"
    why = f"Port {packet.dport} of this node is a host port of Pod {pod.key}, which gets it at port {to.port}."
    c.hop(hook, "host port: DNAT", why, packet, pod.ref.at(f"spec.containers[{to.container}].ports[].hostPort"))
    return True


def _peer(c: Crossing, ip: str) -> policy.Peer:
    """Who has an address, as this node's policy rules know it."""
    pod = c.log.wiring.holder(c.node.name, ip)
    if pod is not None:
        return policy.Peer.of(pod, ip)
    return policy.Peer.of(c.node, ip) if c.netns.owns(ip) else policy.peer_at(c.log.moment.snapshot, ip)


def _policy_lets_pass(c: Crossing) -> bool:
    """The plugin's rules: egress of the Pod that it comes from, ingress of the Pod that it goes to, if they are here."""
    snapshot, packet, sides = c.log.moment.snapshot, c.packet, []
    ends = (_peer(c, packet.src) if c.sender is None else policy.Peer.of(c.sender, packet.src), _peer(c, packet.dst))
    if c.sender is not None:
        sides.append(policy.side(snapshot, EGRESS, *ends, packet.dport, packet.protocol))
    if c.fate == "forward" and c.log.wiring.holder(c.node.name, packet.dst):
        sides.append(policy.side(snapshot, INGRESS, *ends, packet.dport, packet.protocol))
    for side in sides:
        tolerated = c.log.reopened and side.allowed is False
        if side.policies:
            detail = tuple("  " * (depth - 1) + text for depth, text in side.lines() if depth)
            word = "undefined" if tolerated else {True: "allow", False: "drop", None: "undefined"}[side.allowed]
            why = f"{side.direction} of {side.end}: {side.why}." + (f" So {OPEN_CONNECTION}." if tolerated else "")
            c.hop("policy", f"policy: {word}", why, packet, side.rule, detail)
        if side.allowed is None:
            c.end("undefined", side.why)
        elif tolerated:
            c.log.note = OPEN_CONNECTION
        elif not side.allowed:
            c.end("timed out", f"policy drops it in silence ({side.direction} of {side.end})")
        if c.message:
            return False
    return True


def _masquerade(c: Crossing) -> None:
    """POSTROUTING: the source becomes this node's, if kube-proxy asked for it or a Pod's packet leaves the cluster."""
    before, reason = c.packet, c.masquerade
    if c.fate == "local" and not c.own:
        return
    if not reason and c.sender is not None and c.log.wiring.leaves_cluster(before.dst):
        reason = "it leaves the cluster, where nobody knows Pod addresses"
    device = c.route.device if c.route else "lo"
    own = c.netns.address_on(device, before.dst)
    if reason and own not in ("", before.src):
        step, why = "masquerade: SNAT", f"The source becomes the node's own address for {device}: {reason}."
    else:
        own, step = before.src, "conntrack: SNAT"
        why = "Another connection of this node has the same ends behind its Service: this one gets another source port."
    c.packet = before.with_source(own, _free_port(c, before, own))
    if c.packet != before:
        c.hop("POSTROUTING", step, why, before)


def _free_port(c: Crossing, packet: Packet, own: str) -> int:
    """The source port on the way on: the same, unless another connection of this node already uses it there."""
    table, port = c.log.moment.conntrack.get(c.node.name, {}), packet.sport
    while packet.protocol != "ICMP" and packet.with_source(own, port).reply().flow in table:
        port = c.log.moment.rng.randint(1024, 65535)
    return port
