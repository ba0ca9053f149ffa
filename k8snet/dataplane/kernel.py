"""What one node's Linux kernel does with one packet, in its own order.

conntrack first: a packet of a known connection is translated as the first one was. Only the first packet of a connection
meets the nat table (kube-proxy's rules, then host ports). Then routing: here, or onwards? Then the filter table
(kube-proxy's REJECT and DROP, the network plugin's policies), and on the way out masquerade. A packet that enters by a
wire passes PREROUTING, one that a process of the node sends passes OUTPUT; a bridged packet passes the same hooks
(net.bridge.bridge-nf-call-iptables=1, which Kubernetes asks for). Facts: netfilter's hook order
(include/uapi/linux/netfilter_ipv4.h), ip_route_me_harder, inet_select_addr; containernetworking/plugins portmap.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from k8snet.controlplane.snapshot import Node, Pod
from k8snet.dataplane import conntrack, policy, proxy
from k8snet.dataplane.moment import Moment
from k8snet.dataplane.packet import Packet
from k8snet.dataplane.trace import Hop, Place
from k8snet.dataplane.wiring import Netns, Route, Wiring
from k8snet.manifests.addresses import in_any, in_cidr
from k8snet.manifests.kinds import Ref

UNREACHABLE = "icmp-port-unreachable"


@dataclass
class Crossing:
    """A packet's way through one node, as far as it has come.

    ``sender`` is the Pod of this node that it came from (None: another way), ``own`` whether a process of the node sent
    it. ``fate`` is ``forward`` (along ``route``), ``local``, or the key of `trace.OUTCOMES` that ended it here.
    """

    moment: Moment
    wiring: Wiring
    node: Node
    packet: Packet
    sender: Pod | None = None
    own: bool = False
    returning: bool = False
    reopened: bool = False
    hops: list[Hop] = field(default_factory=list)
    fate: str = ""
    message: str = ""
    note: str = ""
    route: Route | None = None
    masquerade: str = ""

    @property
    def netns(self) -> Netns:
        """The node's network namespace."""
        return self.wiring.node(self.node.name)

    def hop(self, device: str, mechanism: str, decision: str, why: str, before: Packet, rule: Ref | None = None, detail: tuple[str, ...] = ()) -> None:  # fmt: skip
        """Note one decision of this node."""
        place = Place("node", self.node.name, device, self.node.name)
        self.hops.append(Hop(place, mechanism, decision, why, before, self.packet, rule, detail, self.returning))

    def end(self, fate: str, message: str) -> Crossing:
        """The packet goes no further."""
        self.fate, self.message = fate, message
        return self


def cross(crossing: Crossing) -> Crossing:
    """Take a packet through the node. Gives back the same crossing, with its hops and its fate."""
    c = crossing
    first = c.packet
    # An answer that conntrack does not know is an error about a packet that got no further: it is let through as related.
    known = _recall(c) or c.returning
    verdict = "" if known else translate(c)
    if c.netns.owns(c.packet.dst):
        c.fate = "local"
    else:
        c.route = c.netns.route(c.packet.dst)
        if c.route is None:
            c.hop("routing", "wiring", "no route", f"No route of this node leads to {c.packet.dst}.", c.packet)
            return c.end("no route", "Network is unreachable")
        if c.route.kind == "blackhole":
            text = f"The range {c.route.to} is this node's, but no Pod here has {c.packet.dst}: such packets are thrown away."
            c.hop("routing", "wiring", "drop", text, c.packet, detail=(str(c.route),))
            return c.end("timed out", f"nobody has {c.packet.dst}")
        c.fate = "forward"
    if verdict in ("REJECT", "DROP"):
        return c.end("refused" if verdict == "REJECT" else "timed out", c.message)
    if not (known and not c.reopened) and not _policy_lets_pass(c):
        return c
    if not known:
        _masquerade(c)
        conntrack.remember(c.moment, c.node.name, first, c.packet)
    return c


def _recall(c: Crossing) -> bool:
    """conntrack: whether this connection is known here; if so the packet is translated as it was, or back."""
    before = c.packet
    known = conntrack.recall(c.moment, c.node.name, before)
    if known is None or known == before:
        return known is not None
    c.packet = known
    if c.returning:
        decision, why = "translate back", "the rewriting is undone, so that the client sees the address that it asked"
    else:
        decision, why = "translate", "the packet is rewritten as its first one was, without a new choice"
    c.hop("conntrack", "conntrack", decision, f"This connection is known here: {why}.", before)
    return True


def translate(c: Crossing) -> str:
    """The nat table's answer to a new connection: kube-proxy's rules, then host ports. Gives kube-proxy's verdict."""
    snapshot, before = c.moment.snapshot, c.packet
    came = "node" if c.own else "pod" if c.sender else "outside"
    found = proxy.decide(snapshot, c.node.name, before, came, c.moment.affinity.get(c.node.name, {}), c.moment.now)
    hook = "OUTPUT" if c.own else "PREROUTING"
    if found.verdict == "DNAT" and found.port is not None:
        backend = c.moment.rng.choice(found.backends)
        conntrack.stick(c.moment, c.node.name, found, backend)
        c.packet = before.with_destination(backend.ip, backend.port)
        if found.masqueraded(backend):
            c.masquerade = "kube-proxy marked it (KUBE-MARK-MASQ), so that the answer comes back through this node"
        why = f"The packet is for {found.why}."
        c.hop(hook, "proxy", "DNAT", why, before, found.rule, _chains(found.path(backend)))
    elif found.verdict in ("REJECT", "DROP"):
        hook = "OUTPUT" if c.own else "INPUT" if c.netns.owns(before.dst) else "FORWARD"
        c.hop(
            hook, "proxy", found.verdict, f"kube-proxy's rules: {found.why}.", before, found.rule, _chains(found.chains)
        )
        c.message = found.why
    elif not _host_port(c, hook) and _looks_virtual(c, before.dst):
        c.hop(
            hook, "proxy", "pass", f"kube-proxy's rules: {found.why or 'none is for this packet'}.", before, found.rule
        )
    return found.verdict


def _chains(path: proxy.Rules) -> tuple[str, ...]:
    return tuple(f'{chain} "{comment}"' if comment else chain for chain, comment in path)


def _looks_virtual(c: Crossing, ip: str) -> bool:
    return in_any(ip, c.moment.snapshot.service_cidrs) or c.netns.owns(ip)


def _host_port(c: Crossing, hook: str) -> bool:
    """The rule that the portmap plugin (or Docker) keeps for each hostPort of this node's Pods."""
    packet = c.packet
    if not c.netns.owns(packet.dst):
        return False
    for pod, port in c.wiring.host_ports(c.node.name).get((packet.dport, packet.protocol), ()):
        ip = pod.ip_of("IPv6" if ":" in packet.dst else "IPv4")
        if ip and port.host_ip in ("", "0.0.0.0", "::", packet.dst):
            c.packet = packet.with_destination(ip, port.port)
            near = next((a for a in c.wiring.pod(pod).interfaces["eth0"].addresses if a.startswith(f"{ip}/")), ip)
            if packet.src.startswith("127.") or in_cidr(packet.src, near):
                c.masquerade = "the sender would not take an answer straight from the Pod"
            why = f"Port {port.host_port} of this node is a host port of Pod {pod.key}: it goes to the Pod's port {port.port}."
            rule = pod.ref.at(f"spec.containers[{port.container}].ports[].hostPort")
            c.hop(hook, "wiring", "DNAT", why, packet, rule)
            return True
    return False


def peer(c: Crossing, ip: str) -> policy.Peer:
    """Who has an address, as this node's policy rules know it."""
    pod = c.wiring.holder(c.node.name, ip)
    if pod is not None:
        return policy.Peer.pod(pod, ip)
    return policy.Peer.node(c.node, ip) if c.netns.owns(ip) else policy.peer_at(c.moment.snapshot, ip)


def _policy_lets_pass(c: Crossing) -> bool:
    """The plugin's rules: egress of the Pod that it comes from, ingress of the Pod that it goes to, if they are here."""
    snapshot, p = c.moment.snapshot, c.packet
    source, destination = peer(c, p.src), peer(c, p.dst)
    if c.sender is not None:
        source = policy.Peer.pod(c.sender, p.src)
    sides = []
    if c.sender is not None:
        sides.append(policy.egress_verdict(snapshot, source, destination, p.dport, p.protocol))
    if c.fate == "forward" and destination.workload is not None and c.wiring.holder(c.node.name, p.dst):
        sides.append(policy.ingress_verdict(snapshot, source, destination, p.dport, p.protocol))
    for side in sides:
        detail = tuple("  " * depth + text for depth, text in side.lines())[1:]
        if side.allowed is False and c.reopened:
            c.note = (
                "policies forbid it now, but the connection is older. The API does not say what happens to open "
                "connections; plugins that build on conntrack let it live until it is closed"
            )
        word = {True: "allow", False: "drop", None: "undefined"}[side.allowed]
        if side.policies:
            c.hop("policy", "policy", word, f"{side.direction} of {side.end}: {side.why}.", p, side.rule, detail)
        if side.allowed is None:
            c.end("undefined", side.why)
            return False
        if not side.allowed and not c.reopened:
            c.end("timed out", f"policy drops it in silence ({side.direction} of {side.end})")
            return False
    return True


def _masquerade(c: Crossing) -> None:
    """POSTROUTING: the source becomes this node's, if kube-proxy asked for it or a Pod's packet leaves the cluster."""
    if c.fate != "forward" or c.route is None:
        return
    before, rule = c.packet, c.masquerade
    if not rule and c.sender is not None and c.wiring.leaves_cluster(before.dst):
        rule = "it leaves the cluster, where nobody knows Pod addresses"
    own = c.netns.address_on(c.route.device, before.dst)
    if not rule or not own or own == before.src:
        return
    c.packet = before.with_source(own, _free_port(c, before, own))
    c.hop(
        "POSTROUTING",
        "masquerade",
        "SNAT",
        f"The source becomes this node's own address on {c.route.device}: {rule}.",
        before,
    )


def _free_port(c: Crossing, packet: Packet, own: str) -> int:
    """The source port after masquerade: the same, unless another connection of this node already uses it."""
    table = c.moment.conntrack.get(c.node.name, {})
    port = packet.sport
    while packet.protocol != "ICMP" and packet.with_source(own, port).reply().flow in table:
        port = c.moment.rng.randint(1024, 65535)
    return port
