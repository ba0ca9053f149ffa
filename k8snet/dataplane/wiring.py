"""The wires: interfaces, addresses and routing tables of every Pod, node and the router between them.

Kubernetes wires nothing itself; a network plugin (CNI) does, and plugins differ. `MODELS` is the table of the ways that
this course shows. Each builds the same three kinds of network namespace out of the same parts; what differs is what joins
the Pods of one node, and how another node's Pods are found. Facts: containernetworking/plugins (bridge, host-local,
portmap), flannel-io/flannel pkg/backend/vxlan, projectcalico/calico felix/routetable, aws/amazon-vpc-cni-k8s
docs/cni-proposal.md, cilium/cilium Documentation/network/concepts/routing, Docker's bridge driver.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from weakref import WeakKeyDictionary

from k8snet.controlplane.settings import OutsideHost
from k8snet.controlplane.snapshot import Node, Pod, Snapshot
from k8snet.manifests.addresses import family, in_any, in_cidr, parse_cidr, parse_ip
from k8snet.manifests.kinds import Ref

VXLAN_PORT, VXLAN_VNI, VXLAN_OVERHEAD = 8472, 1, 50
DOCKER_CIDR = "172.17.0.0/16"
METADATA_IP = "169.254.169.254"
API_PORT = 6443


@dataclass(frozen=True, slots=True)
class Model:
    """One way to wire Pods.

    ``bridge`` is the device that joins the Pods of a node (empty: each has a route of its own on the node), ``veth`` how
    the node's ends of their wires are called. ``remote`` says how a node finds the Pods of another one: ``node`` (a
    route through that node), ``tunnel`` (wrapped by the device ``tunnel``), ``fabric`` (the router between the nodes
    knows) or empty (not at all). ``overhead``: bytes that wrapping costs. ``at_connect``: a Service's address is
    replaced when a program calls connect(), not on the node's way.
    """

    bridge: str
    veth: str
    remote: str
    tunnel: str = ""
    overhead: int = 0
    at_connect: bool = False


MODELS: Mapping[str, Model] = {
    # a bridge on each node, static routes between the nodes
    "bridge": Model("cni0", "veth", "node"),
    # a bridge on each node, Pods' packets wrapped in VXLAN between the nodes
    "overlay": Model("cni0", "veth", "tunnel", "flannel.1", VXLAN_OVERHEAD),
    # no bridge, no wrapping: the router learns each node's range (BGP)
    "routed": Model("", "cali", "fabric"),
    # Pods hold addresses of the cloud's own network
    "cloud": Model("", "eni", "fabric"),
    # programs in the kernel take the place of kube-proxy's rules
    "ebpf": Model("", "lxc", "node", at_connect=True),
    # plain containers behind their host: the counter-example
    "docker": Model("docker0", "veth", ""),
}


@dataclass(frozen=True, slots=True)
class Interface:
    """A network device; ``addresses`` are ``ip/prefix``, ``master`` the bridge it is plugged into, ``peer`` its far end."""

    name: str
    kind: str
    mtu: int
    addresses: tuple[str, ...] = ()
    mac: str = ""
    master: str = ""
    peer: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """One line of ``ip route``: to a block, through a neighbour (``via``) or straight onto the wire of ``device``."""

    to: str
    device: str
    via: str = ""
    src: str = ""
    proto: str = ""
    scope: str = ""
    onlink: bool = False
    kind: str = ""

    def __str__(self) -> str:
        address, _, length = self.to.partition("/")
        to = "default" if length == "0" else address if length == str(_full(address)) else self.to
        words = {"via": self.via, "dev": self.device, "proto": self.proto, "scope": self.scope, "src": self.src}
        text = [self.kind, to, *(f"{word} {value}" for word, value in words.items() if value), "onlink" * self.onlink]
        return " ".join(filter(None, text))


class Netns:
    """A network namespace: a Pod's, a node's, or the router's. Devices, routes, and the addresses that are its own."""

    def __init__(self, kind: str, name: str, interfaces: Iterable[Interface], routes: Iterable[Route]) -> None:
        self.kind, self.name = kind, name
        self.interfaces: Mapping[str, Interface] = {i.name: i for i in interfaces}
        self.routes: tuple[Route, ...] = tuple(routes)

    @cached_property
    def addresses(self) -> Mapping[str, str]:
        """Its own addresses, each with the name of its device."""
        return {a.partition("/")[0]: i.name for i in self.interfaces.values() for a in i.addresses}

    def owns(self, ip: str) -> bool:
        """Whether a packet to *ip* has arrived here: an address of a device, or loopback."""
        return ip in self.addresses or in_cidr(ip, "127.0.0.0/8")

    @cached_property
    def _tables(self) -> Mapping[tuple[int, int], Mapping[int, Route]]:
        """Routes by version and number of free bits (the fewest first), then by network."""
        tables: dict[tuple[int, int], dict[int, Route]] = {}
        for route in self.routes:
            block = parse_cidr(route.to)
            if block is not None:
                table = tables.setdefault((block.version, block.max_prefixlen - block.prefixlen), {})
                table.setdefault(int(block.network_address), route)
        return dict(sorted(tables.items()))

    def route(self, ip: str) -> Route | None:
        """The route with the longest prefix that holds *ip*; of two equal ones the first in the table."""
        address = parse_ip(ip)
        if address is None:
            return None
        found = (t.get(int(address) >> n << n) for (v, n), t in self._tables.items() if v == address.version)
        return next(filter(None, found), None)

    def address_on(self, device: str, ip: str) -> str:
        """The source address for packets to *ip* that leave by *device*: its own first, else another device's.

        The same choice is made for a new connection without a bound address and by MASQUERADE (inet_select_addr).
        """
        own = sorted(((a, d) for a, d in self.addresses.items() if d != "lo"), key=lambda pair: pair[1] != device)
        return next((a for a, _ in own if family(a) == family(ip)), "")


class Wiring:
    """All namespaces of one snapshot, each built when first asked for. Get it with `of`."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.settings = snapshot.settings
        self.model = MODELS[self.settings.network]
        # Pods of a dump may run on nodes that are not in it: of such a node nothing is known but its name.
        unknown = {n: Node(Ref("Node", "", n), n, {}, (), (), (), True, {}) for n in snapshot.pods_on}
        self.nodes: Mapping[str, Node] = {**unknown, **snapshot.nodes}
        self.pods_on = {n: [p for p in pods if not p.host_network] for n, pods in snapshot.pods_on.items()}
        api = (e for s in snapshot.slices_of.get("default/kubernetes", ()) for e in s.endpoints)
        self._api = {a for e in api for a in e.addresses}
        self._pod_ips = snapshot.pod_by_ip.keys()
        self._built: dict[str, Netns] = {}

    @property
    def pod_mtu(self) -> int:
        """The MTU of Pods' interfaces in bytes: the knob, else the link's less what wrapping costs."""
        return self.settings.pod_mtu or self.settings.mtu - self.model.overhead

    @cached_property
    def _holders(self) -> Mapping[tuple[str, str], Pod]:
        return {(node, ip): p for node, pods in self.pods_on.items() for p in pods for ip in p.ips}

    def holder(self, node: str, ip: str) -> Pod | None:
        """The Pod on *node* whose network namespace has *ip*."""
        return self._holders.get((node, ip))

    @cached_property
    def host_ports(self) -> Mapping[tuple[str, int, str], Pod]:
        """The Pod that asks for a host port, by node, number and protocol."""
        wanted = ((node, p, port) for node, pods in self.pods_on.items() for p in pods for port in p.ports)
        return {(node, port.host_port, port.protocol): p for node, p, port in wanted if port.host_port and p.ips}

    @cached_property
    def ranges(self) -> Mapping[str, tuple[str, ...]]:
        """For each node the blocks that its Pods' addresses lie in; a Pod outside its node's block is one by itself."""
        if self.settings.network == "docker":
            return dict.fromkeys(self.nodes, (DOCKER_CIDR,))
        result = {}
        for name, node in self.nodes.items():
            written = () if self.settings.network == "cloud" else node.pod_cidrs
            blocks = tuple(str(block) for block in map(parse_cidr, written) if block)
            ips = (ip for p in self.pods_on.get(name, ()) for ip in p.ips)
            result[name] = (*blocks, *(f"{ip}/{_full(ip)}" for ip in ips if not in_any(ip, blocks)))
        return result

    def pod(self, pod: Pod) -> Netns:
        """The namespace of a Pod: ``lo`` and ``eth0``. A hostNetwork Pod has its node's."""
        if pod.host_network:
            return self.node(pod.node)
        if pod.key not in self._built:
            addresses, routes = [], []
            for ip in pod.ips:
                block = next((c for c in self.ranges.get(pod.node, ()) if in_cidr(ip, c)), f"{ip}/{_full(ip)}")
                gateway = _nth(block, 1) if self.model.bridge else "fe80::1" if ":" in ip else "169.254.1.1"
                if self.model.bridge:
                    near = Route(block, "eth0", src=ip, proto="kernel", scope="link")
                else:
                    near = Route(f"{gateway}/{_full(ip)}", "eth0", scope="link")
                routes += [Route(_default(ip), "eth0", via=gateway), near]
                addresses.append(f"{ip}/{block.partition('/')[2] if self.model.bridge else _full(ip)}")
            eth0 = Interface("eth0", "veth", self.pod_mtu, tuple(addresses), mac(pod.ip), peer=self.veth(pod))
            self._built[pod.key] = Netns("pod", pod.key, [LOOPBACK, eth0], routes)
        return self._built[pod.key]

    def veth(self, pod: Pod) -> str:
        """The name of the node's end of a Pod's wire: a prefix and a hash, as plugins name it."""
        return self.model.veth + hashlib.sha1(pod.key.encode()).hexdigest()[:8]

    def node(self, name: str) -> Netns:
        """The namespace of a node: its own devices, its Pods' wires and routes to everybody else's Pods."""
        key = f"node {name}"
        if key not in self._built:
            self._built[key] = Netns("node", name, self._interfaces(self.nodes[name]), self._routes(self.nodes[name]))
        return self._built[key]

    def _interfaces(self, node: Node) -> Iterator[Interface]:
        own = [c for c in self.ranges[node.name] if _is_block(c)]
        yield LOOPBACK
        yield Interface("eth0", "eth", self.settings.mtu, tuple(map(self._with_prefix, node.addresses)), mac(node.ip))
        if self.model.bridge:
            gateways = tuple(f"{_nth(c, 1)}/{c.partition('/')[2]}" for c in own)
            yield Interface(self.model.bridge, "bridge", self.pod_mtu, gateways, mac(f"bridge {node.name}"))
        if self.model.tunnel:
            ends = tuple(f"{_nth(c, 0)}/{_full(c)}" for c in own)
            yield Interface(self.model.tunnel, "vxlan", self.pod_mtu, ends, mac(f"vtep {node.name}"))
        for pod in self.pods_on.get(node.name, ()):
            veth, peer = self.veth(pod), f"eth0 of {pod.key}"
            yield Interface(veth, "veth", self.pod_mtu, (), mac(f"veth {pod.key}"), self.model.bridge, peer)

    def _routes(self, node: Node) -> Iterator[Route]:
        for address in {family(a): a for a in reversed(node.addresses)}.values():
            network = f"{_nth(self._with_prefix(address), 0)}/{self._with_prefix(address).partition('/')[2]}"
            yield Route(_default(address), "eth0", via=_nth(network, 1), proto="static")
            yield Route(network, "eth0", src=address, proto="kernel", scope="link")
        for block in self.ranges[node.name]:
            if self.model.bridge:
                yield Route(block, self.model.bridge, src=_nth(block, 1), proto="kernel", scope="link")
            elif _is_block(block):
                yield Route(block, "", kind="blackhole", proto="bird" if self.model.remote == "fabric" else "")
        for pod in self.pods_on.get(node.name, ()) if not self.model.bridge else ():
            yield from (Route(f"{ip}/{_full(ip)}", self.veth(pod), scope="link") for ip in pod.ips)
        for other in self.nodes.values():
            hidden = other.name == node.name or other.name in self.settings.withdrawn_routes
            for block in () if hidden else self.ranges[other.name]:
                if self.model.remote == "node":
                    via = next((a for a in other.addresses if family(a) == family(block)), other.ip)
                    yield Route(block, "eth0", via=via)
                elif self.model.remote == "tunnel":
                    yield Route(block, self.model.tunnel, via=_nth(block, 0), onlink=True)

    @cached_property
    def router(self) -> Netns:
        """The fabric's router, the nodes' default gateway: the node network, what it was told of Pods, the world."""
        cidr, proto = self.settings.node_cidr, "" if self.settings.network == "cloud" else "bgp"
        lan = Interface("lan", "eth", self.settings.mtu, (f"{_nth(cidr, 1)}/{cidr.partition('/')[2]}",))
        routes = [Route("0.0.0.0/0", "uplink"), Route("::/0", "uplink"), Route(cidr, "lan", scope="link")]
        for node in self.nodes.values():
            routes += [Route(f"{a}/{_full(a)}", "lan", scope="link") for a in node.addresses if not in_cidr(a, cidr)]
            if self.model.remote == "fabric" and node.name not in self.settings.withdrawn_routes:
                routes += [Route(c, "lan", via=node.ip, proto=proto) for c in self.ranges[node.name]]
        return Netns("fabric", "router", [lan], routes)

    @cached_property
    def _inside(self) -> tuple[str, ...]:
        s = self.settings
        own = (*([s.node_cidr] if s.network == "cloud" else []), s.pod_cidr, s.pod_cidr6)
        blocks = (c for node in self.nodes.values() for c in node.pod_cidrs)
        return (*own, *s.non_masquerade_cidrs, "224.0.0.0/4", *(c for c in blocks if not in_any(_nth(c, 0), own)))

    def leaves_cluster(self, ip: str) -> bool:
        """Whether a Pod's packet to *ip* is masqueraded: not if it is for a Pod, the cloud's own
        network, or a range that the knob ``non_masquerade_cidrs`` leaves out. Docker always does it."""
        known = ip in self._pod_ips or in_any(ip, self._inside)
        return not in_cidr(ip, DOCKER_CIDR) if self.settings.network == "docker" else not known

    @cached_property
    def vteps(self) -> Mapping[str, Node]:
        """The node behind a tunnel's next hop: what ``ip neigh`` and ``bridge fdb`` of the tunnel device say."""
        return {_nth(c, 0): n for n in self.nodes.values() for c in self.ranges[n.name]}

    @cached_property
    def outside(self) -> Mapping[str, OutsideHost]:
        """Machines outside the cluster by address: hosts of the internet knob, resolvers that nodes use, the cloud's
        metadata service, and the machine of the API server (where Service default/kubernetes leads)."""
        internet, words = self.settings.internet, (self.settings.node_resolv_conf or "").split()
        resolvers = [] if internet.unreachable else [ip for word, ip in pairwise(words) if word == "nameserver"]
        hosts = [*internet.hosts, *(OutsideHost(ip, "resolver", (53,)) for ip in resolvers)]
        hosts += [OutsideHost(ip, "control-plane", (API_PORT,)) for ip in self._api]
        return {h.ip: h for h in (*hosts, OutsideHost(METADATA_IP, "cloud-metadata", (80,)))}

    def _with_prefix(self, ip: str) -> str:
        cidr = self.settings.node_cidr
        return f"{ip}/{cidr.partition('/')[2] if in_cidr(ip, cidr) else 64 if ':' in ip else 24}"


LOOPBACK = Interface("lo", "loopback", 65536, ("127.0.0.1/8", "::1/128"))
_wirings: WeakKeyDictionary[Snapshot, Wiring] = WeakKeyDictionary()


def of(snapshot: Snapshot) -> Wiring:
    """The wiring of a snapshot; kept as long as the snapshot lives."""
    if snapshot not in _wirings:
        _wirings[snapshot] = Wiring(snapshot)
    return _wirings[snapshot]


@lru_cache(maxsize=65536)
def mac(seed: str) -> str:
    """A locally administered MAC address, the same for the same *seed*."""
    return "0a:" + hashlib.sha1(seed.encode()).digest()[:5].hex(":")


def _full(ip: str) -> int:
    return 128 if ":" in ip else 32


def _is_block(cidr: str) -> bool:
    return not cidr.endswith(f"/{_full(cidr)}")


def _default(ip: str) -> str:
    return "::/0" if ":" in ip else "0.0.0.0/0"


@lru_cache(maxsize=65536)
def _nth(cidr: str, n: int) -> str:
    block = ipaddress.ip_network(cidr, strict=False)
    return str(block.network_address + (n if n < block.num_addresses else 0))
