"""A packet's journey: from a program's connect() to the answer, hop by hop, in the order in which Linux decides.

`connect` follows one connection. A Pod's packet leaves by its eth0, crosses the wire into its node (`kernel.cross`: what
that node does with it), goes on by bridge, tunnel or route to the node of its destination, into a Pod, and meets a
listener or none. The answer takes the same steps back, through the same tables; whatever conntrack remembered on the way
is undone. Nothing here decides about Services or policies: the mechanisms' own files do.
"""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import replace

from k8snet.controlplane.snapshot import Node, Pod
from k8snet.dataplane import kernel, sockets, wiring
from k8snet.dataplane.client import Client
from k8snet.dataplane.kernel import Crossing
from k8snet.dataplane.moment import Moment
from k8snet.dataplane.packet import Packet
from k8snet.dataplane.trace import Hop, Outcome, Place, Trace
from k8snet.manifests.addresses import family, host_port, in_cidr, normal
from k8snet.manifests.errors import ApiError
from k8snet.manifests.kinds import Ref

# Seconds until a client knows: Linux sends a SYN again six times before it gives up (tcp_syn_retries; 127 s to 131 s by
# kernel version); it asks for a neighbour's MAC address three times, a second apart.
SYN_SECONDS, NEIGHBOUR_SECONDS = 130.0, 3.0
HANDSHAKE = 60
MAX_HOPS = 200


def connect(
    moment: Moment,
    client: Client,
    target: str,
    port: int,
    protocol: str = "TCP",
    *,
    size: int = HANDSHAKE,
    stop_at: int | str | None = None,
    sport: int | None = None,
) -> Trace:
    """Open one connection (TCP, UDP, SCTP) to an IP address, or ping it (ICMP), and follow it forward and back.

    *size* is the biggest packet to send, in bytes, with headers; it must not be fragmented. *stop_at* ends the account
    after a hop, by its number, or at the first hop of a mechanism (``proxy``, ``policy`` …). *sport* is the client's
    port; without it a free one. Raises ApiError NotFound if the client is no Pod or node of this moment.
    """
    protocol = protocol.upper()
    target = normal(target)
    journey = _Journey(moment, client)
    source = journey.source_for(target)
    packet = Packet(source, sport or 0, target, 0 if protocol == "ICMP" else port, protocol, size)
    if sport is None:
        packet = packet.with_source(source, _free_port(moment, packet))
    return _told(journey, packet, stop_at)


def _free_port(moment: Moment, packet: Packet) -> int:
    """A port of the client (of a ping: its identifier) that names no connection under way."""
    for _ in range(1000):
        port = moment.rng.randint(32768, 60999)
        flow = packet.with_source(packet.src, port).flow
        if not any(flow in table for table in moment.conntrack.values()):
            break
    return port


def again(moment: Moment, trace: Trace, stop_at: int | str | None = None) -> Trace:
    """The next packet on the connection that *trace* opened: no new choice where conntrack remembers it.

    What a policy that came since would do to it is not defined by the API: the outcome is then ``undefined``.
    Raises ValueError for a trace that `connect` did not make.
    """
    if "packet" not in trace.annotations:
        raise ValueError("this trace opened no connection")
    later = _told(_Journey(moment, trace.annotations["client"], reopened=True), trace.annotations["packet"], stop_at)
    if (
        later
        and trace
        and later.outcome.server != trace.outcome.server
        and trace.annotations["packet"].protocol == "TCP"
    ):
        message = f"{later.outcome.server} has the address now and knows nothing of this connection: RST"
        return replace(later, outcome=replace(later.outcome, kind="reset", message=message))
    return later


def connections(
    moment: Moment, client: Client, target: str, port: int, protocol: str = "TCP", n: int = 100
) -> Counter[str]:
    """Who answered *n* new connections, as a histogram: by server, and by the kind of outcome where nobody did."""
    outcomes = (connect(moment, client, target, port, protocol).outcome for _ in range(n))
    return Counter(o.server if o else o.kind for o in outcomes)


def forward(moment: Moment, pod: str, port: int) -> Trace:
    """What ``kubectl port-forward pod/NAME`` connects to: the Pod's own localhost, entered from kubelet's side.

    No Service, no node rule and no policy is on this way. *pod* is ``namespace/name``. Raises ApiError NotFound.
    """
    journey = _Journey(moment, Client("pod", pod))
    assert journey.pod is not None
    packet = Packet("127.0.0.1", moment.rng.randint(32768, 60999), "127.0.0.1", port)
    text = (
        "kubectl's connection ends at the API server, which asks the kubelet of this node to enter the Pod's network."
    )
    journey.hop(Place("node", journey.pod.node, "kubelet", journey.pod.node), "wiring", "forward", text, None)
    return _told(journey, packet, None, f"port-forward to Pod {pod}, port {port}")


def _told(journey: _Journey, packet: Packet, stop_at: int | str | None, request: str = "") -> Trace:
    outcome = journey.run(packet)
    hops = tuple(journey.hops)
    if stop_at is not None:
        numbers = (n for n, h in enumerate(hops, 1) if stop_at in (n, h.mechanism, h.decision))
        last = next(numbers, len(hops))
        if last < len(hops):
            hops, outcome = hops[:last], Outcome("stopped", f"the account stops after hop {last}, as asked")
    request = request or f"{journey.client.name} connects to {kernel.describe(packet)}"
    return Trace(request, hops, outcome, {"client": journey.client, "packet": packet})


class _Journey:
    """One request under way: its hops so far, and, once somebody has answered, what the answer will tell the client."""

    def __init__(self, moment: Moment, client: Client, reopened: bool = False) -> None:
        self.moment, self.client, self.reopened = moment, client, reopened
        self.snapshot = moment.snapshot
        self.wiring = wiring.of(moment.snapshot)
        self.hops: list[Hop] = []
        self.answer: Outcome | None = None
        self.expected: Packet | None = None
        self.note = ""
        self.pod: Pod | None = None
        self.node = ""
        if client.kind == "pod":
            self.pod = self.snapshot.pods.get(client.name)
            if self.pod is None:
                raise ApiError(404, "NotFound", f'pods "{client.name.rpartition("/")[2]}" not found')
            self.node = self.pod.node
        elif client.kind == "node":
            self.node = client.name
            if self.node not in self.wiring.nodes:
                raise ApiError(404, "NotFound", f'nodes "{client.name}" not found')

    @property
    def returning(self) -> bool:
        """Whether the answer is under way."""
        return self.answer is not None

    def hop(
        self,
        place: Place,
        mechanism: str,
        decision: str,
        why: str,
        before: Packet | None,
        after: Packet | None = None,
        rule: Ref | None = None,
        detail: tuple[str, ...] = (),
    ) -> None:
        """Note one decision."""
        self.hops.append(Hop(place, mechanism, decision, why, before, after or before, rule, detail, self.returning))

    def at(self, pod: Pod, device: str) -> Place:
        """A place inside a Pod."""
        return Place("pod", pod.key, device, pod.node)

    # the client

    def source_for(self, target: str) -> str:
        """The address that the client's kernel gives a new connection to *target*."""
        if self.client.kind == "outside":
            return self.client.ip
        if self.pod is not None and not self.pod.host_network:
            inside = in_cidr(target, "127.0.0.0/8") or target in self.pod.ips
            return target if inside else self.pod.ip_of(family(target))
        netns = self.wiring.node(self.node) if self.node in self.wiring.nodes else None
        if netns is None:
            return ""
        if netns.owns(target):
            return target
        route = netns.route(target)
        return (route.src or netns.address_on(route.device, target)) if route else ""

    def run(self, packet: Packet) -> Outcome:
        """Send the first packet."""
        if self.pod is not None and (not self.pod.ips):
            why = f"Pod {self.pod.key} has no address yet: it is not scheduled, or its network is not set up."
            self.hop(self.at(self.pod, "eth0"), "wiring", "no route", why, None)
            return Outcome("no route", "the Pod has no address yet")
        self.expected = packet.reply()
        if self.client.kind == "outside":
            text = f"The packet leaves the {self.client.name} for its own router, like any other."
            self.hop(Place("outside", self.client.name, "eth0"), "wiring", "send", text, packet)
            outcome = self.router(packet)
        elif self.pod is not None and not self.pod.host_network:
            outcome = self.leave_pod(self.pod, packet)
        else:
            outcome = self.enter_node(self.node, packet, own=True)
        return Outcome("undefined", f"{outcome.kind}, though {self.note}") if self.note and outcome else outcome

    # Pods

    def leave_pod(self, pod: Pod, packet: Packet) -> Outcome:
        """A packet leaves a Pod's namespace, unless its destination is the Pod itself."""
        netns = self.wiring.pod(pod)
        if self.wiring.model.at_connect and not self.returning:
            packet, ended = self.at_connect(pod.node, packet, pod)
            if ended:
                return ended
        if netns.owns(packet.dst):
            return self.listen(pod, packet, "lo")
        route = netns.route(packet.dst) if packet.src else None
        if route is None:
            why = f"Pod {pod.key} has no {family(packet.dst)} address, so its kernel knows no way."
            self.hop(self.at(pod, "eth0"), "wiring", "no route", why, packet)
            return Outcome("no route", "Network is unreachable")
        sized = self.fits(self.at(pod, "eth0"), packet, netns.interfaces["eth0"].mtu)
        if isinstance(sized, Outcome):
            return sized
        packet = sized
        if route.via:
            way = f"{packet.dst} is not on the Pod's own wire, so the packet goes to the gateway {route.via}, its node."
        else:
            way = f"{packet.dst} is in the Pod's own subnet, so the packet goes there straight over the bridge."
        veth, bridge = self.wiring.veth(pod), self.wiring.model.bridge
        way += f" eth0 is one end of a wire (veth pair); the other is {veth} on the node" + (f", plugged into {bridge}." if bridge else ".")  # fmt: skip
        self.hop(self.at(pod, "eth0"), "wiring", "send", way, packet, detail=(f"route: {route}",))
        if not route.via and not self.neighbour(pod.node, packet.dst):
            return self.nobody_there(self.at(pod, "eth0"), packet, "eth0")
        return self.enter_node(pod.node, packet, sender=pod)

    def at_connect(self, node: str, packet: Packet, pod: Pod | None) -> tuple[Packet, Outcome | None]:
        """A network of eBPF programs: a Service address is replaced when the program calls connect()."""
        c = Crossing(self.moment, self.wiring, self.wiring.nodes[node], packet, sender=pod, own=pod is None)
        verdict = kernel.translate(c)
        place = self.at(pod, "connect()") if pod else Place("node", node, "connect()", node)
        self.hops += [replace(h, place=place, detail=()) for h in c.hops if h.decision != "pass"]
        if verdict == "REJECT":
            return packet, Outcome("refused", c.message)
        if verdict == "DROP":
            return packet, Outcome("timed out", c.message, SYN_SECONDS)
        if c.packet != packet:
            c.packet = replace(c.packet, src=c.packet.dst if pod and c.packet.dst in pod.ips else packet.src)
            self.expected = c.packet.reply()
        return c.packet, None

    def enter_pod(self, pod: Pod, packet: Packet) -> Outcome:
        """A packet comes out of a Pod's eth0."""
        if self.returning:
            return self.receive(self.at(pod, "eth0"), packet, self.pod is not None and pod.key == self.pod.key)
        return self.listen(pod, packet, "eth0")

    def listen(self, pod: Pod, packet: Packet, device: str) -> Outcome:
        """Does anything in the Pod accept this? The answer sets out on the way back."""
        if self.returning:
            return self.receive(self.at(pod, device), packet, self.pod is not None and pod.key == self.pod.key)
        place, found = self.at(pod, device), sockets.pod_answer(pod, packet)
        self.hop(place, "listener", found.word, found.why, packet, rule=found.rule)
        return self.reply(replace(found.outcome, server=pod.key), packet, pod=pod)

    # nodes

    def enter_node(self, name: str, packet: Packet, sender: Pod | None = None, own: bool = False) -> Outcome:
        """A packet in a node's kernel: from a Pod's wire, from the fabric, or from a process of the node itself."""
        if len(self.hops) > MAX_HOPS:
            return self.silence("the packet goes round in circles until its time to live is over")
        node = self.wiring.nodes.get(name)
        if node is None:
            return self.silence(f"there is no node {name}")
        if own and self.wiring.model.at_connect and not self.returning:
            packet, ended = self.at_connect(name, packet, None)
            if ended:
                return ended
        c = kernel.cross(Crossing(self.moment, self.wiring, node, packet, sender, own, self.returning, self.reopened))
        self.hops += c.hops
        self.note = self.note or c.note
        if c.fate == "local":
            return self.local(node, c.packet)
        if c.fate == "undefined":
            return Outcome("undefined", c.message)
        if c.fate == "timed out":
            return self.silence(c.message)
        if own and not self.returning and c.fate in ("refused", "no route"):
            return Outcome(c.fate, c.message)
        if c.fate == "refused":
            return self.reply(Outcome("refused", c.message), c.packet, node=node, error=True)
        if c.fate == "no route":
            return self.reply(Outcome("no route", c.message), c.packet, node=node, error=True)
        return self.leave_node(node, c, sender)

    def local(self, node: Node, packet: Packet) -> Outcome:
        """The packet is for the node itself: its processes, and Pods that use its network."""
        place = Place("node", node.name, "lo" if in_cidr(packet.dst, "127.0.0.0/8") else "eth0", node.name)
        if self.returning:
            mine = self.node == node.name and (self.pod is None or self.pod.host_network)
            return self.receive(place, packet, mine)
        found = sockets.node_answer(self.snapshot, node, packet)
        self.hop(place, "listener", found.word, found.why, packet, rule=found.rule)
        return self.reply(found.outcome, packet, node=node)

    def leave_node(self, node: Node, c: Crossing, sender: Pod | None) -> Outcome:
        """Onwards by the route found: to a Pod here, into the tunnel, or onto the node's own wire."""
        packet, route, model = c.packet, c.route, self.wiring.model
        assert route is not None
        place = Place("node", node.name, route.device, node.name)
        device = c.netns.interfaces[route.device]
        sized = self.fits(place, packet, device.mtu)
        if isinstance(sized, Outcome):
            return sized
        packet = sized
        if device.kind in ("bridge", "veth"):
            pod = self.wiring.holder(node.name, packet.dst)
            if pod is None:
                return self.nobody_there(place, packet, route.device, node)
            veth = self.wiring.veth(pod)
            if model.bridge and sender is not None and sender.key == pod.key and not self.snapshot.settings.hairpin:
                why = f"The packet would have to leave {model.bridge} by {veth}, the port that it came in by; a bridge does that only in hairpin mode, which is off."
                self.hop(place, "wiring", "drop", why, packet)
                return self.silence("the bridge does not send a packet back where it came from (hairpin mode is off)")
            why = f"{packet.dst} is a Pod of this node: out by {veth}, the node's end of its wire."
            self.hop(replace(place, device=f"{model.bridge} → {veth}" if model.bridge else veth), "wiring", "forward", why, packet, detail=(f"route: {route}",))  # fmt: skip
            return self.enter_pod(pod, packet)
        if device.kind == "vxlan":
            return self.wrap(node, packet, route.via, (f"route: {route}",))
        target = f"the next hop {route.via}" if route.via else f"{packet.dst} itself, which is on the same network"
        why = f"The longest matching route sends it by {route.device} to {target}."
        self.hop(place, "wiring", "forward", why, packet, detail=(f"route: {route}",))
        return self.fabric(node.name, packet, route.via)

    def wrap(self, node: Node, packet: Packet, via: str, detail: tuple[str, ...]) -> Outcome:
        """VXLAN: the whole packet becomes the content of a UDP packet from node to node."""
        far = self.wiring.vtep(via)
        place = Place("node", node.name, self.wiring.model.tunnel, node.name)
        if far is None:
            return self.nobody_there(place, packet, self.wiring.model.tunnel, node)
        sport = 32768 + zlib.crc32(repr(packet.flow).encode()) % 28232
        outer = Packet(node.ip, sport, far.ip, wiring.VXLAN_PORT, "UDP", packet.size + wiring.VXLAN_OVERHEAD)
        wrapped = packet.wrap(outer, wiring.VXLAN_VNI)
        why = f"{packet.dst} is in the range of {far.name}: the whole packet is put into a UDP packet from node to node (VXLAN), {wiring.VXLAN_OVERHEAD} bytes longer."  # fmt: skip
        self.hop(place, "wiring", "wrap", why, packet, wrapped, detail=detail)
        return self.fabric(node.name, wrapped, "")

    def unwrap(self, node: Node, packet: Packet) -> Outcome:
        """The other end of the tunnel."""
        place = Place("node", node.name, "eth0", node.name)
        if not self.snapshot.settings.overlay_port_open:
            why = f"A firewall between the nodes does not let UDP port {wiring.VXLAN_PORT} through, so no packet of the overlay arrives."
            self.hop(Place("fabric", "network"), "wiring", "drop", why, packet)
            return self.silence(f"UDP port {wiring.VXLAN_PORT} is closed between the nodes")
        why = f"The outer packet is for this node's UDP port {wiring.VXLAN_PORT}: {self.wiring.model.tunnel} takes the Pod's packet out, unchanged."
        self.hop(
            replace(place, device=f"eth0 → {self.wiring.model.tunnel}"),
            "wiring",
            "unwrap",
            why,
            packet,
            packet.unwrap(),
        )
        return self.enter_node(node.name, packet.unwrap())

    # between and outside

    def fabric(self, name: str, packet: Packet, via: str) -> Outcome:
        """The network between the nodes: to the neighbour on the same wire, or to the router."""
        visible = packet.outer or packet
        if visible.size > self.snapshot.settings.mtu:
            why = f"The packet is {visible.size} bytes long with its wrapping, the link takes {self.snapshot.settings.mtu}, and it may not be cut: lost, and nobody tells the Pod."
            self.hop(Place("fabric", "network"), "wiring", "drop", why, packet)
            return self.silence(f"packets of {packet.size} bytes do not fit between the nodes; small ones do")
        node = self.snapshot.node_by_ip.get(via or visible.dst)
        if node is None:
            return self.router(packet, name)
        if packet.outer is not None:
            return self.unwrap(node, packet)
        why = (
            f"The network carries it to {node.name}."
            if via
            else f"{visible.dst} is {node.name}: the network carries it there."
        )
        self.hop(Place("fabric", "network"), "wiring", "carry", why, packet)
        return self.enter_node(node.name, packet)

    def router(self, packet: Packet, sender: str = "") -> Outcome:
        """The fabric's router: back to a node, to a Pod's node if it was told the range, or out into the world."""
        place = Place("fabric", "router")
        if self.returning and self.client.kind == "outside" and packet.dst == self.client.ip:
            return self.receive(Place("outside", self.client.name, "eth0"), packet, True)
        host = self.wiring.outside_host(packet.dst)
        if host is not None:
            return self.outside(host.name or host.ip, host.ports, packet)
        route = self.wiring.router.route(packet.dst)
        node = self.snapshot.node_by_ip.get((route.via if route else "") or packet.dst)
        if node is not None and route is not None:
            why = (
                f"The router knows that {packet.dst} is behind {node.name}."
                if route.via
                else f"{packet.dst} is the address of {node.name}."
            )
            self.hop(place, "wiring", "forward", why, packet, detail=(f"route: {route}",))
            return self.enter_node(node.name, packet)
        if route is not None and route.device == "lan":
            return self.nobody_there(place, packet, "lan")
        why = f"The router was told no way to {packet.dst}, sends it towards the internet, and there nobody has that address: lost."
        self.hop(place, "wiring", "lost", why, packet, detail=(f"route: {route}",) if route else ())
        return self.silence(f"no machine has {packet.dst}, and no router says so")

    def outside(self, name: str, ports: tuple[int, ...], packet: Packet) -> Outcome:
        """A machine outside the cluster."""
        place = Place("outside", name, "eth0")
        if packet.protocol == "ICMP" or packet.dport in ports:
            self.hop(place, "listener", "accept", f"{name} answers. It sees {packet.src} as the sender.", packet)
            outcome = Outcome("delivered", f"{name} answered")
        else:
            self.hop(place, "listener", "refuse", f"Nothing listens on port {packet.dport} of {name}.", packet)
            outcome = Outcome("refused", f"nothing listens on port {packet.dport} of {name}")
        return self.reply(replace(outcome, server=name), packet)

    # the answer

    def reply(
        self, outcome: Outcome, packet: Packet, pod: Pod | None = None, node: Node | None = None, error: bool = False
    ) -> Outcome:
        """Somebody answers: what the client will know once the answer has found its way back."""
        if self.returning:
            return self.silence(outcome.message)
        backend = packet.dst if packet.protocol == "ICMP" else host_port(packet.dst, packet.dport)
        self.answer = outcome if error else replace(outcome, server_saw=packet.src, backend=backend)
        back = packet.reply()
        if pod is not None:
            return self.leave_pod(pod, back)
        if node is not None:
            return self.enter_node(node.name, back, own=True)
        return self.router(back)

    def receive(self, place: Place, packet: Packet, mine: bool) -> Outcome:
        """The answer has reached a network namespace: the client's?"""
        assert self.answer is not None
        if not mine or (self.expected is not None and packet.flow != self.expected.flow):
            why = f"Nobody here waits for an answer from {host_port(packet.src, packet.sport)}: it is thrown away."
            self.hop(place, "wiring", "drop", why, packet)
            return self.silence("the answer never reached the client's connection")
        self.hop(place, "wiring", "receive", "The answer belongs to the connection that the client opened.", packet)
        return self.answer

    # ends

    def silence(self, message: str) -> Outcome:
        """The packet, or the answer to it, is gone and nobody tells the client."""
        if self.returning:
            message = f"the answer is lost on its way back: {message}"
        return Outcome("timed out", message, SYN_SECONDS)

    def neighbour(self, node: str, ip: str) -> bool:
        """Whether somebody on a node's bridge answers the question who has an address (ARP)."""
        return self.wiring.holder(node, ip) is not None or ip in self.wiring.node(node).addresses

    def nobody_there(self, place: Place, packet: Packet, device: str, node: Node | None = None) -> Outcome:
        """Three questions who has the address (ARP) stay without answer."""
        why = f"The route says that {packet.dst} is on {device}, but nobody there answers to that address."
        self.hop(place, "wiring", "no route", why, packet)
        outcome = Outcome("no route", f"no route to host: nobody has {packet.dst}", NEIGHBOUR_SECONDS)
        if self.returning:
            return self.silence(outcome.message)
        own = node is None or (self.client.kind == "node" and node.name == self.node)
        return outcome if own else self.reply(outcome, packet, node=node, error=True)

    def fits(self, place: Place, packet: Packet, mtu: int) -> Packet | Outcome:
        """The packet, if the device takes its size. ping is told that it does not; TCP and UDP learn to send smaller ones."""
        if packet.size <= mtu:
            return packet
        if packet.protocol != "ICMP":
            return replace(packet, size=mtu)
        why = f"This device takes packets of up to {mtu} bytes; this one has {packet.size} and must not be cut."
        self.hop(place, "wiring", "too big", why, packet)
        return Outcome("no route", f"message too long, mtu={mtu}")
