"""A packet under way: wire by wire, from the program that sent it to the one that answers, and back.

A Pod's packet leaves by eth0 and comes out of the other end of that wire in its node's kernel (`kernel.cross`). From
there it goes on by bridge, tunnel or route, perhaps over the network between the nodes and its router, into another
node and another Pod, where something listens or not (`sockets`). The answer takes the same steps back, through the same
tables. Each method is one place; it notes what happens there and hands the packet to the next place.
"""

from __future__ import annotations

import zlib
from dataclasses import replace
from functools import cached_property

from k8snet.controlplane.settings import OutsideHost
from k8snet.controlplane.snapshot import Node, Pod
from k8snet.dataplane import edge, kernel, sockets, wiring
from k8snet.dataplane.client import Client
from k8snet.dataplane.kernel import Crossing, Log
from k8snet.dataplane.moment import Moment
from k8snet.dataplane.packet import Packet
from k8snet.dataplane.topology import is_loopback
from k8snet.dataplane.trace import Outcome, Place
from k8snet.dataplane.wiring import VXLAN_OVERHEAD, VXLAN_PORT, VXLAN_VNI, Netns, Route
from k8snet.manifests.addresses import family, host_port
from k8snet.manifests.errors import ApiError

# Seconds until a client knows: Linux sends a SYN again six times before it gives up (tcp_syn_retries: 127 s to 131 s by
# kernel version); it asks three times, a second apart, who has an address on the wire.
SYN_SECONDS, NEIGHBOUR_SECONDS = 130.0, 3.0
MAX_HOPS = 200


class Walk:
    """One request: who sends it, its log and, once somebody has answered, what the client will learn.

    ``relayed`` is what a load balancer with connections of its own was asked and what it asked in turn.
    """

    def __init__(self, moment: Moment, client: Client, reopened: bool = False) -> None:
        self.client, self.snapshot, self.wiring = client, moment.snapshot, wiring.of(moment.snapshot)
        self.log = Log(moment, self.wiring, reopened)
        self.answer: Outcome | None = None
        self.expected: Packet | None = None
        self.relayed: tuple[Packet, Packet] | None = None
        known = {"pod": self.snapshot.pods, "node": self.wiring.nodes}.get(client.kind, {client.name})
        if client.name not in known:
            raise ApiError(404, "NotFound", f'{client.kind}s "{client.name.rpartition("/")[2]}" not found')
        pod = self.snapshot.pods[client.name] if client.kind == "pod" else None
        self.connected = pod is None or (bool(pod.ips) and not pod.finished)
        self.pod = None if pod is None or pod.host_network else pod
        self.node = pod.node if pod else client.name if client.kind == "node" else ""

    # the client

    @cached_property
    def home(self) -> Netns | None:
        """The network namespace that the client is in: its Pod's or its node's; None outside."""
        if self.client.kind == "outside":
            return None
        return self.wiring.pod(self.pod) if self.pod else self.wiring.node(self.node)

    def source_for(self, target: str) -> str:
        """The address that the client's kernel gives a new connection to *target*."""
        if self.home is None:
            return self.client.ip
        if self.home.owns(target):
            return target
        route = self.home.route(target)
        return (route.src or self.home.address_on(route.device, target)) if route else ""

    def run(self, packet: Packet) -> Outcome:
        """Send the first packet, and see it through."""
        self.expected = packet.reply()
        if self.home is None:
            outcome = self.leave_outside(packet)
        elif not self.connected:
            why = f"Pod {self.client.name} has no network: it is not running, or nothing gave it an address."
            self.log.hop(Place("pod", self.client.name, "eth0", self.node), "no route", why, None)
            outcome = Outcome("no route", "the Pod has no address")
        else:
            outcome = self.connect(packet)
        return Outcome("undefined", self.log.note) if self.log.note and outcome else outcome

    def leave_outside(self, packet: Packet) -> Outcome:
        """A machine outside sends a packet: by its own router to the cluster's edge."""
        name = self.client.name
        if is_loopback(packet.dst) or packet.dst == packet.src:
            why = f"{packet.dst} is the {name} itself, not the cluster, and nothing listens there."
            self.log.hop(Place("outside", name, "lo"), "listener: refuse", why, packet)
            return Outcome("refused", f"nothing listens on port {packet.dport} of the {name} itself")
        why = f"The packet leaves the {name} by its own router, like any other."
        self.log.hop(Place("outside", name, "eth0"), "send", why, packet)
        ended = self.edge(packet)
        return self.router(packet) if ended is None else ended

    def connect(self, packet: Packet) -> Outcome:
        """A program in a Pod or on a node sends a packet. With eBPF in place of kube-proxy, a Service's address is
        replaced when the program calls connect()."""
        if self.wiring.model.at_connect:
            node, apart = self.wiring.nodes[self.node], Log(self.log.moment, self.wiring)
            place = _in(self.pod, "connect()") if self.pod else Place("node", self.node, "connect()", self.node)
            c = Crossing(apart, node, packet, self.pod, own=self.pod is None)
            verdict = kernel.translate(c)
            self.log.hops += [replace(h, place=place, detail=()) for h in apart.hops if h.mechanism == "proxy"]
            if verdict in ("REJECT", "DROP"):
                return Outcome("refused", c.message) if verdict == "REJECT" else self.silence(c.message)
            if c.packet != packet:
                self_call = self.pod is not None and c.packet.dst in self.pod.ips
                packet = replace(c.packet, src=c.packet.dst if self_call else packet.src)
                self.expected = packet.reply()
        return self.leave_pod(self.pod, packet) if self.pod else self.enter_node(self.node, packet, own=True)

    # Pods

    def leave_pod(self, pod: Pod, packet: Packet) -> Outcome:
        """A packet leaves a Pod, unless it is for the Pod itself."""
        netns, place = self.wiring.pod(pod), _in(pod)
        if netns.owns(packet.dst):
            return self.enter_pod(pod, packet, "lo")
        route = netns.route(packet.dst) if packet.src else None
        if route is None:
            self.log.hop(place, "no route", f"The Pod has no {family(packet.dst)} address and no way there.", packet)
            return Outcome("no route", "Network is unreachable")
        sized = self.fit(place, packet, netns.interfaces["eth0"].mtu)
        if isinstance(sized, Outcome):
            return sized
        if route.via:
            why = f"{packet.dst} is not on the Pod's own wire, so the packet goes to its gateway {route.via}: its node."
        else:
            why = f"{packet.dst} is in the Pod's own subnet, so the packet goes straight there over the node's bridge."
        bridge = self.wiring.model.bridge
        plug = f", plugged into {bridge}" if bridge else ""
        why += f" The other end of eth0 (a veth pair) is {self.wiring.veth(pod)} on the node{plug}."
        self.log.hop(place, "send", why, sized, route=route)
        here = self.wiring.holder(pod.node, packet.dst) or packet.dst in self.wiring.node(pod.node).addresses
        if not route.via and not here:
            return self.nobody_there(place, sized)
        return self.enter_node(pod.node, sized, sender=pod)

    def enter_pod(self, pod: Pod, packet: Packet, device: str = "eth0") -> Outcome:
        """A packet has arrived in a Pod's namespace."""
        return self.arrive(_in(pod, device), self.wiring.pod(pod), packet)

    # nodes

    def enter_node(self, name: str, packet: Packet, sender: Pod | None = None, own: bool = False) -> Outcome:
        """A packet in a node's kernel: from a Pod's wire, from the network, or from a program of the node itself."""
        if len(self.log.hops) > MAX_HOPS:
            return self.silence("the packet goes round in circles until its time to live is over")
        c = kernel.cross(Crossing(self.log, self.wiring.nodes[name], packet, sender, own))
        if c.fate == "forward":
            return self.leave_node(c)
        if c.fate == "local":
            device = "lo" if is_loopback(c.packet.dst) else "eth0"
            return self.arrive(Place("node", name, device, name), c.netns, c.packet)
        if c.fate == "timed out":
            return self.silence(c.message)
        if c.fate == "undefined" or (own and not self.log.returning):
            return Outcome(c.fate, c.message)
        return self.reply(Outcome(c.fate, c.message), c.packet, c.netns, error=True)

    def leave_node(self, c: Crossing) -> Outcome:
        """Onwards by the route that was found: to a Pod of this node, into the tunnel, or onto the node's own wire."""
        assert c.route is not None
        route, device = c.route, c.netns.interfaces[c.route.device]
        place = Place("node", c.node.name, device.name, c.node.name)
        packet = self.fit(place, c.packet, device.mtu)
        if isinstance(packet, Outcome):
            return packet
        if device.kind in ("bridge", "veth"):
            return self.to_local_pod(c, packet, place, route)
        if device.kind == "vxlan":
            return self.wrap(c.node, packet, place, route)
        target = f"the next hop {route.via}" if route.via else f"{packet.dst} itself, which is on the same network"
        why = f"The longest matching route is by {device.name} to {target}."
        self.log.hop(place, "forward", why, packet, route=route)
        return self.fabric(packet, route.via)

    def to_local_pod(self, c: Crossing, packet: Packet, place: Place, route: Route) -> Outcome:
        """By the bridge, or straight by the Pod's own wire."""
        pod = self.wiring.holder(c.node.name, packet.dst)
        if pod is None:
            return self.nobody_there(place, packet, None if c.own else c.netns)
        veth, bridge = self.wiring.veth(pod), self.wiring.model.bridge
        if bridge and pod is c.sender and not self.snapshot.settings.hairpin:
            why = f"The packet came into {bridge} by {veth} and would have to leave by it: only in hairpin mode, which is off."
            self.log.hop(place, "drop", why, packet)
            return self.silence(f"{bridge} does not send a packet back where it came from (hairpin mode is off)")
        why = f"{packet.dst} is a Pod of this node: out by {veth}, the node's end of its wire."
        place = replace(place, device=f"{bridge} → {veth}" if bridge else veth)
        self.log.hop(place, "forward", why, packet, route=route)
        return self.enter_pod(pod, packet)

    def wrap(self, node: Node, packet: Packet, place: Place, route: Route) -> Outcome:
        """VXLAN: the whole packet becomes the content of a UDP packet from node to node."""
        far = self.wiring.vteps[route.via]
        sport = 32768 + zlib.crc32(repr(packet.flow).encode()) % 28232
        outer = Packet(node.ip, sport, far.ip, VXLAN_PORT, "UDP", packet.size + VXLAN_OVERHEAD)
        wrapped = packet.wrap(outer, VXLAN_VNI)
        why = f"{packet.dst} is in the range of {far.name}: the whole packet is put into a UDP packet to that node (VXLAN)."
        self.log.hop(place, "wrap", why, packet, wrapped, route=route)
        return self.fabric(wrapped, "")

    def unwrap(self, node: Node, packet: Packet) -> Outcome:
        """The other end of the tunnel."""
        tunnel = self.wiring.model.tunnel
        if not self.snapshot.settings.overlay_port_open:
            why = f"A firewall between the nodes stops UDP port {VXLAN_PORT}, so nothing of the overlay arrives."
            self.log.hop(Place("fabric", "network"), "drop", why, packet)
            return self.silence(f"UDP port {VXLAN_PORT} is closed between the nodes")
        why = f"UDP port {VXLAN_PORT} of this node is {tunnel}'s: it takes the Pod's packet out, unchanged."
        place = Place("node", node.name, f"eth0 → {tunnel}", node.name)
        self.log.hop(place, "unwrap", why, packet, packet.unwrap())
        return self.enter_node(node.name, packet.unwrap())

    # between the nodes, and outside

    def fabric(self, packet: Packet, via: str) -> Outcome:
        """The network between the nodes: to a neighbour on it, or to its router."""
        visible, place, mtu = packet.outer or packet, Place("fabric", "network"), self.snapshot.settings.mtu
        if visible.size > mtu:
            why = f"With its wrapping the packet has {visible.size} bytes; the link takes {mtu}. Lost, and nobody tells the Pod."
            self.log.hop(place, "drop", why, packet)
            return self.silence(f"packets of {packet.size} bytes do not fit between the nodes; small ones do")
        node = self.snapshot.node_by_ip.get(via or visible.dst)
        if node is None:
            return self.router(packet)
        if packet.outer is not None:
            return self.unwrap(node, packet)
        self.log.hop(place, "carry", f"{via or packet.dst} is {node.name}: the network carries it there.", packet)
        return self.enter_node(node.name, packet)

    def edge(self, packet: Packet) -> Outcome | None:
        """What stands before the nodes: a firewall, load balancers. None: it has nothing to do with this packet."""
        arrival = edge.arrive(self.snapshot, self.log.moment.rng, packet)
        self.log.hops += arrival.hops
        if arrival.packet != packet:
            self.relayed = (packet, arrival.packet)
        return self.enter_node(arrival.node, arrival.packet) if arrival.node else arrival.outcome

    def router(self, packet: Packet) -> Outcome:
        """The network's router: to a node, to the node of a Pod if it was told the range, or out into the world."""
        place = Place("fabric", "router")
        if self.log.returning and self.relayed and packet.dst == self.relayed[1].src:
            asked, self.relayed = self.relayed[0].reply(), None
            why = "The load balancer passes the answer on over the connection that the client opened to it."
            self.log.hop(Place("edge", "load balancer"), "edge: pass on", why, packet, asked)
            return self.router(asked)
        if self.log.returning and packet.dst == self.client.ip:
            return self.receive(Place("outside", self.client.name, "eth0"), packet, True)
        if not self.log.returning and self.client.kind != "outside" and packet.dst in self.snapshot.external_ips:
            ended = self.edge(packet)
            if ended is not None:
                return ended
        host = self.wiring.outside.get(packet.dst)
        if host is not None:
            return self.outside(host, packet)
        route = self.wiring.router.route(packet.dst)
        node = self.snapshot.node_by_ip.get((route.via if route else "") or packet.dst)
        if node is not None:
            behind = "is behind" if route and route.via else "is an address of"
            why = f"The router knows that {packet.dst} {behind} {node.name}."
            self.log.hop(place, "forward", why, packet, route=route)
            return self.enter_node(node.name, packet)
        if route is not None and route.device == "lan":
            return self.nobody_there(replace(place, device="lan"), packet)
        why = (
            f"Nobody told the router a way to {packet.dst}: it goes to the internet, where nobody has it, and is lost."
        )
        self.log.hop(place, "lost", why, packet, route=route)
        return self.silence(f"no machine has {packet.dst}")

    def outside(self, host: OutsideHost, packet: Packet) -> Outcome:
        """A machine that is none of the cluster's."""
        name = host.name or host.ip
        step, why, kind, message = "accept", f"It sees {packet.src} as the sender.", "delivered", f"{name} answered"
        if packet.protocol != "ICMP" and packet.dport not in host.ports:
            step, why, kind = "refuse", "Its kernel says so.", "refused"
            message = f"nothing listens on port {packet.dport} of {name}"
        why = f"{message[:1].upper()}{message[1:]}. {why}"
        self.log.hop(Place("outside", name, "eth0"), f"listener: {step}", why, packet)
        return self.reply(Outcome(kind, message, server=name), packet, None)

    # the answer

    def arrive(self, place: Place, netns: Netns, packet: Packet) -> Outcome:
        """A packet is in the namespace that it was sent to: an answer at the client, a question at a listener or none."""
        if self.log.returning:
            return self.receive(place, packet, netns is self.home)
        found = sockets.answer(self.snapshot, netns, packet)
        self.log.hop(place, f"listener: {found.word}", found.why, packet, rule=found.rule)
        return self.reply(found.outcome, packet, netns)

    def reply(self, outcome: Outcome, packet: Packet, netns: Netns | None, error: bool = False) -> Outcome:
        """Somebody in a namespace (None: outside) answers the packet, or (*error*) a kernel on the way says that it got
        no further: off it goes."""
        if self.log.returning:
            return self.silence(outcome.message)
        backend = packet.dst if packet.protocol == "ICMP" else host_port(packet.dst, packet.dport)
        self.answer = outcome if error else replace(outcome, server_saw=packet.src, backend=backend)
        self.log.returning = True
        if netns is None:
            return self.router(packet.reply())
        if netns.kind == "pod":
            return self.leave_pod(self.snapshot.pods[netns.name], packet.reply())
        return self.enter_node(netns.name, packet.reply(), own=True)

    def receive(self, place: Place, packet: Packet, here: bool) -> Outcome:
        """The answer has come to an end: is it the client, and is it the connection that it opened?"""
        assert self.answer is not None and self.expected is not None
        if not here or packet.flow != self.expected.flow:
            why = f"Nobody here waits for an answer from {host_port(packet.src, packet.sport)}: it is thrown away."
            self.log.hop(place, "drop", why, packet)
            return self.silence("it came to somebody who did not ask")
        self.log.hop(place, "receive", "The answer belongs to the connection that the client opened.", packet)
        return self.answer

    # ends

    def silence(self, message: str) -> Outcome:
        """The packet, or the answer to it, is gone, and nobody tells the client."""
        back = "the answer is lost on its way back: " if self.log.returning else ""
        return Outcome("timed out", back + message, SYN_SECONDS)

    def nobody_there(self, place: Place, packet: Packet, netns: Netns | None = None) -> Outcome:
        """Three times the question who has the address (ARP), and no reply. *netns* tells the sender, if it is another."""
        why = f"{packet.dst} should be on {place.device}, but nobody there answers to it."
        self.log.hop(place, "no route", why, packet)
        outcome = Outcome("no route", f"no route to host: nobody has {packet.dst}", NEIGHBOUR_SECONDS)
        if self.log.returning:
            return self.silence(outcome.message)
        return self.reply(outcome, packet, netns, error=True) if netns else outcome

    def fit(self, place: Place, packet: Packet, mtu: int) -> Packet | Outcome:
        """The packet, if the device takes its size. ping is told if not; TCP and UDP learn to send smaller ones."""
        if packet.size <= mtu:
            return packet
        if packet.protocol != "ICMP":
            return replace(packet, size=mtu)
        why = f"{place.device} takes packets of up to {mtu} bytes; this one has {packet.size} and must not be cut."
        self.log.hop(place, "too big", why, packet)
        return Outcome("no route", f"message too long, mtu={mtu}")


def _in(pod: Pod, device: str = "eth0") -> Place:
    return Place("pod", pod.key, device, pod.node)
