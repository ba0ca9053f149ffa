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
from functools import cached_property
from itertools import pairwise
from weakref import WeakKeyDictionary

from k8snet.controlplane.settings import OutsideHost
from k8snet.controlplane.snapshot import ContainerPort, Node, Pod, Snapshot
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

    summary: str
    bridge: str
    veth: str
    remote: str
    tunnel: str = ""
    overhead: int = 0
    at_connect: bool = False


MODELS: Mapping[str, Model] = {
    "bridge": Model("a bridge on each node, static routes between nodes", "cni0", "veth", "node"),
    "overlay": Model(
        "a bridge on each node, Pod packets wrapped in VXLAN between nodes",
        "cni0",
        "veth",
        "tunnel",
        "flannel.1",
        VXLAN_OVERHEAD,
    ),
    "routed": Model("no bridge, no wrapping; the fabric's router learns each node's Pod range", "", "cali", "fabric"),
    "cloud": Model("Pods hold addresses of the cloud's own network", "", "eni", "fabric"),
    "ebpf": Model(
        "programs in the kernel; a Service's address is replaced at connect()", "", "lxc", "node", "", 0, True
    ),
    "docker": Model("plain containers behind their host: the counter-example", "docker0", "veth", ""),
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
        default = self.to in ("0.0.0.0/0", "::/0")
        full = self.to.endswith("/128" if ":" in self.to else "/32")
        to = "default" if default else self.to.partition("/")[0] if full else self.to
        words = [self.kind, to, self.via and f"via {self.via}", self.device and f"dev {self.device}"]
        words += [
            self.proto and f"proto {self.proto}",
            self.scope and f"scope {self.scope}",
            self.src and f"src {self.src}",
        ]
        return " ".join(w for w in [*words, "onlink" if self.onlink else ""] if w)


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
    def _by_prefix(self) -> Mapping[int, list[tuple[int, int, dict[int, Route]]]]:
        tables: dict[tuple[int, int], dict[int, Route]] = {}
        for route in self.routes:
            block = parse_cidr(route.to)
            if block is not None:
                table = tables.setdefault((block.version, block.prefixlen), {})
                table.setdefault(int(block.network_address), route)
        result: dict[int, list[tuple[int, int, dict[int, Route]]]] = {4: [], 6: []}
        for (version, length), table in sorted(tables.items(), reverse=True):
            bits = 32 if version == 4 else 128
            result[version].append((length, bits - length, table))
        return result

    def route(self, ip: str) -> Route | None:
        """The route with the longest prefix that holds *ip*; of two equal ones the first in the table."""
        address = parse_ip(ip)
        if address is None:
            return None
        number = int(address)
        for _, shift, table in self._by_prefix[address.version]:
            found = table.get(number >> shift << shift)
            if found is not None:
                return found
        return None

    def address_on(self, device: str, ip: str) -> str:
        """The source address for packets to *ip* that leave by *device*: its own first, else another device's.

        The same choice is made for a new connection without a bound address and by MASQUERADE (inet_select_addr).
        """
        own = sorted(((a, d) for a, d in self.addresses.items() if d != "lo"), key=lambda pair: pair[1] != device)
        return next((a for a, _ in own if family(a) == family(ip)), "")


class Wiring:
    """All namespaces of one snapshot, each built when first asked for. Get it with `of`."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.model = MODELS[snapshot.settings.network]
        self._settings = snapshot.settings
        # Pods of a dump may run on nodes that are not in it: such a node has nothing but its name.
        missing = (name for name in snapshot.pods_on if name not in snapshot.nodes)
        self.nodes: Mapping[str, Node] = {
            **snapshot.nodes,
            **{name: Node(Ref("Node", "", name), name, {}, (), (), (), True, {}) for name in missing},
        }
        self._pods_on = snapshot.pods_on
        api = [e for s in snapshot.slices_of.get("default/kubernetes", ()) for e in s.endpoints]
        self._api_servers = {ip for e in api for ip in e.addresses}
        self._built: dict[str, Netns] = {}
        self._holders: dict[str, Mapping[str, Pod]] = {}
        self._host_ports: dict[str, Mapping[tuple[int, str], list[tuple[Pod, ContainerPort]]]] = {}

    @property
    def pod_mtu(self) -> int:
        """The MTU of Pods' interfaces in bytes: the knob, else the link's less what wrapping costs."""
        return self._settings.pod_mtu or self._settings.mtu - self.model.overhead

    def holder(self, node: str, ip: str) -> Pod | None:
        """The Pod on *node* whose network namespace has *ip*."""
        if node not in self._holders:
            here = [p for p in self._pods_on.get(node, ()) if not p.host_network]
            self._holders[node] = {ip: p for p in here for ip in p.ips}
        return self._holders[node].get(ip)

    @cached_property
    def ranges(self) -> Mapping[str, tuple[str, ...]]:
        """For each node the blocks that its Pods' addresses lie in; a Pod outside its node's block is one by itself."""
        if self.model.bridge == "docker0":
            return dict.fromkeys(self.nodes, (DOCKER_CIDR,))
        result = {}
        for name, node in self.nodes.items():
            stray = [ip for p in self._pods_on.get(name, ()) if not p.host_network for ip in p.ips]
            stray = [ip for ip in stray if not any(in_cidr(ip, c) for c in node.pod_cidrs)]
            cloud = self._settings.network == "cloud"
            result[name] = (*(() if cloud else node.pod_cidrs), *(f"{ip}/{_full(ip)}" for ip in stray))
        return result

    def pod(self, pod: Pod) -> Netns:
        """The namespace of a Pod: ``lo`` and ``eth0``. A hostNetwork Pod has its node's."""
        if pod.host_network:
            return self.node(pod.node)
        if pod.key not in self._built:
            self._built[pod.key] = Netns("pod", pod.key, *self._pod_parts(pod))
        return self._built[pod.key]

    def _pod_parts(self, pod: Pod) -> tuple[list[Interface], list[Route]]:
        addresses, routes = [], []
        for ip in pod.ips:
            block = next((c for c in self.ranges.get(pod.node, ()) if in_cidr(ip, c)), f"{ip}/{_full(ip)}")
            if self.model.bridge and not block.endswith(f"/{_full(ip)}"):
                length, gateway = block.partition("/")[2], _nth(block, 1)
                routes.append(Route(str(parse_cidr(block)), "eth0", src=ip, proto="kernel", scope="link"))
            else:
                length, gateway = str(_full(ip)), "fe80::1" if ":" in ip else "169.254.1.1"
                routes.append(Route(f"{gateway}/{_full(ip)}", "eth0", scope="link"))
            addresses.append(f"{ip}/{length}")
            routes.insert(0, Route(_default(ip), "eth0", via=gateway))
        eth0 = Interface("eth0", "veth", self.pod_mtu, tuple(addresses), mac(pod.ip), peer=self.veth(pod))
        return [LOOPBACK, eth0], routes

    def veth(self, pod: Pod) -> str:
        """The name of the node's end of a Pod's wire: a prefix and a hash, as plugins name it."""
        return self.model.veth + hashlib.sha1(pod.key.encode()).hexdigest()[:8]

    def node(self, name: str) -> Netns:
        """The namespace of a node: its own devices, its Pods' wires and routes to everybody else's Pods."""
        key = f"node {name}"
        if key not in self._built:
            node = self.nodes[name]
            self._built[key] = Netns("node", name, self._node_interfaces(node), self._node_routes(node))
        return self._built[key]

    def _node_interfaces(self, node: Node) -> Iterator[Interface]:
        own = [c for c in self.ranges[node.name] if not c.endswith(("/32", "/128"))]
        yield LOOPBACK
        yield Interface(
            "eth0", "eth", self._settings.mtu, tuple(self._with_prefix(a) for a in node.addresses), mac(node.ip)
        )
        if self.model.bridge:
            gateways = tuple(f"{_nth(c, 1)}/{c.partition('/')[2]}" for c in own)
            yield Interface(self.model.bridge, "bridge", self.pod_mtu, gateways, mac(f"bridge {node.name}"))
        if self.model.tunnel:
            ends = tuple(f"{_nth(c, 0)}/{_full(c)}" for c in own)
            yield Interface(self.model.tunnel, "vxlan", self.pod_mtu, ends, mac(f"vtep {node.name}"))
        for pod in self._pods_on.get(node.name, ()):
            if not pod.host_network:
                peer = f"eth0 of {pod.key}"
                yield Interface(
                    self.veth(pod), "veth", self.pod_mtu, (), mac(f"veth {pod.key}"), self.model.bridge, peer
                )

    def _node_routes(self, node: Node) -> Iterator[Route]:
        for address in node.addresses:
            block = self._with_prefix(address)
            if any(_default(address) == _default(a) for a in node.addresses[: node.addresses.index(address)]):
                continue
            yield Route(_default(address), "eth0", via=_nth(block, 1), proto="static")
            if not block.endswith(("/32", "/128")):
                yield Route(str(parse_cidr(block)), "eth0", src=address, proto="kernel", scope="link")
        yield from self._own_routes(node)
        for other in self.nodes.values():
            if other.name != node.name and other.name not in self._settings.withdrawn_routes:
                yield from self._routes_to(other)

    def _own_routes(self, node: Node) -> Iterator[Route]:
        if not self.model.bridge:
            for pod in self._pods_on.get(node.name, ()):
                for ip in () if pod.host_network else pod.ips:
                    yield Route(f"{ip}/{_full(ip)}", self.veth(pod), scope="link")
        for block in self.ranges[node.name]:
            if self.model.bridge:
                yield Route(block, self.model.bridge, src=_nth(block, 1), proto="kernel", scope="link")
            elif not block.endswith(("/32", "/128")):
                yield Route(block, "", kind="blackhole", proto="bird" if self.model.remote == "fabric" else "")

    def _routes_to(self, other: Node) -> Iterator[Route]:
        for block in self.ranges[other.name]:
            if self.model.remote == "node":
                via = next((a for a in other.addresses if family(a) == family(block)), other.ip)
                yield Route(block, "eth0", via=via)
            elif self.model.remote == "tunnel":
                yield Route(block, self.model.tunnel, via=_nth(block, 0), onlink=True)

    @cached_property
    def router(self) -> Netns:
        """The fabric's router, the nodes' default gateway: the node network, what it was told of Pods, the world."""
        cidr, internet = self._settings.node_cidr, "uplink"
        interfaces = [Interface("lan", "eth", self._settings.mtu, (f"{_nth(cidr, 1)}/{cidr.partition('/')[2]}",))]
        routes = [Route("0.0.0.0/0", internet), Route("::/0", internet), Route(cidr, "lan", scope="link")]
        for node in self.nodes.values():
            routes += [Route(f"{a}/{_full(a)}", "lan", scope="link") for a in node.addresses if not in_cidr(a, cidr)]
            if self.model.remote == "fabric" and node.name not in self._settings.withdrawn_routes:
                proto = "" if self._settings.network == "cloud" else "bgp"
                routes += [Route(c, "lan", via=node.ip, proto=proto) for c in self.ranges[node.name]]
        return Netns("fabric", "router", interfaces, routes)

    def host_ports(self, node: str) -> Mapping[tuple[int, str], list[tuple[Pod, ContainerPort]]]:
        """The host ports that Pods of a node ask for, by number and protocol."""
        if node not in self._host_ports:
            table: dict[tuple[int, str], list[tuple[Pod, ContainerPort]]] = {}
            for pod in self._pods_on.get(node, ()):
                for port in () if pod.host_network else pod.ports:
                    if port.host_port and pod.ips:
                        table.setdefault((port.host_port, port.protocol), []).append((pod, port))
            self._host_ports[node] = table
        return self._host_ports[node]

    @cached_property
    def pod_cidrs(self) -> tuple[str, ...]:
        """The blocks that hold Pods of the whole cluster."""
        if self.model.bridge == "docker0":
            return (DOCKER_CIDR,)
        known = [c for c in (self._settings.pod_cidr, self._settings.pod_cidr6) if c]
        for block in (b for blocks in self.ranges.values() for b in blocks):
            if not in_any(block.partition("/")[0], tuple(known)):
                known.append(block)
        return tuple(known)

    def leaves_cluster(self, ip: str) -> bool:
        """Whether a Pod's packet to *ip* is masqueraded: not for Pods, the cloud's own network, and the ranges that
        the knob ``non_masquerade_cidrs`` leaves out."""
        own = (self._settings.node_cidr,) if self._settings.network == "cloud" else ()
        return not in_any(ip, (*self.pod_cidrs, *own, *self._settings.non_masquerade_cidrs, "224.0.0.0/4"))

    def vtep(self, via: str) -> Node:
        """The node behind a tunnel's next hop: what ``ip neigh`` and ``bridge fdb`` of the tunnel device say."""
        return self._vteps[via]

    @cached_property
    def _vteps(self) -> Mapping[str, Node]:
        return {_nth(c, 0): n for n in self.nodes.values() for c in self.ranges[n.name]}

    def outside_host(self, ip: str) -> OutsideHost | None:
        """A machine outside the cluster that has *ip*: a host of the internet knob, a resolver that nodes use, the
        cloud's metadata service, or the machine of the API server (where Service default/kubernetes leads)."""
        if ip == METADATA_IP:
            return OutsideHost(METADATA_IP, "cloud-metadata", (80,))
        words = (self._settings.node_resolv_conf or "").split()
        if ("nameserver", ip) in pairwise(words) and not self._settings.internet.unreachable:
            return OutsideHost(ip, "resolver", (53,))
        if ip in self._api_servers:
            return OutsideHost(ip, "control-plane", (API_PORT,))
        return next((h for h in self._settings.internet.hosts if h.ip == ip), None)

    def _with_prefix(self, ip: str) -> str:
        cidr = self._settings.node_cidr
        return f"{ip}/{cidr.partition('/')[2] if in_cidr(ip, cidr) else 64 if ':' in ip else 24}"


LOOPBACK = Interface("lo", "loopback", 65536, ("127.0.0.1/8", "::1/128"))
_wirings: WeakKeyDictionary[Snapshot, Wiring] = WeakKeyDictionary()


def of(snapshot: Snapshot) -> Wiring:
    """The wiring of a snapshot; kept as long as the snapshot lives."""
    if snapshot not in _wirings:
        _wirings[snapshot] = Wiring(snapshot)
    return _wirings[snapshot]


def mac(seed: str) -> str:
    """A locally administered MAC address, the same for the same *seed*."""
    digest = hashlib.sha1(seed.encode()).hexdigest()
    return ":".join(["0a", *(digest[i : i + 2] for i in range(0, 10, 2))])


def _full(ip: str) -> int:
    return 128 if ":" in ip else 32


def _default(ip: str) -> str:
    return "::/0" if ":" in ip else "0.0.0.0/0"


def _nth(cidr: str, n: int) -> str:
    block = ipaddress.ip_network(cidr, strict=False)
    return str(block.network_address + n) if n < block.num_addresses else str(block.network_address)
