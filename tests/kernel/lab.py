"""One cluster on the kernel: a namespace for each node and Pod, one for the router, one for the world outside.

Devices, addresses and routes are those of `wiring`, the rules those of `iptables`: the kernel is given what the product
says that a node has, and then decides by itself.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator

from k8snet.controlplane.listeners import Listener
from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane import edge, iptables, sockets, wiring
from k8snet.dataplane.client import Client
from k8snet.dataplane.wiring import Interface, Netns
from tests.kernel import netns
from tests.kernel.rules import restore_input
from tests.kernel.talk import Seen, Server, talk

ROUTER_END, OUTSIDE_END = "100.64.0.1", "100.64.0.2"
COMMON = (
    ("ipv6.conf.all.disable_ipv6", "1"),
    ("ipv6.conf.default.disable_ipv6", "1"),
    ("ipv4.conf.all.rp_filter", "0"),
    ("ipv4.conf.default.rp_filter", "0"),
    ("ipv4.conf.all.send_redirects", "0"),
    ("ipv4.conf.default.send_redirects", "0"),
    ("ipv4.icmp_ratelimit", "0"),
)
# Questions who has an address (ARP) are repeated after 60 ms, not 1 s, and answered for others without delay.
HASTE = "ntable change name arp_cache dev {} retrans 60 proxy_delay 0"
FORWARDS = (*COMMON, ("ipv4.ip_forward", "1"))


class Lab:
    """A snapshot's cluster, running. A context manager: leaving it removes everything."""

    def __init__(self, snapshot: Snapshot, outside: Client, rng: random.Random) -> None:
        self.snapshot, self.wiring, self.outside, self.rng = snapshot, wiring.of(snapshot), outside, rng
        self.pods = {p.key: p for p in snapshot.pods.values() if not p.host_network}
        self.names = {"router": netns.named("router"), "outside": netns.named("outside")}
        self.names |= {f"node {name}": netns.named(f"n{i}") for i, name in enumerate(snapshot.nodes)}
        self.names |= {f"pod {key}": netns.named(f"p{i}") for i, key in enumerate(self.pods)}
        self.server = Server()

    def __enter__(self) -> Lab:
        try:
            netns.remove(netns.leftovers())
            netns.create(self.names.values())
            self._wire()
            for node in self.snapshot.nodes:
                self._load_rules(node)
            self._listen()
            self.server.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()
        netns.remove(self.names.values())

    # wires

    def _wire(self) -> None:
        router, quiet = self.names["router"], ("bridge.bridge-nf-call-iptables", "0")
        netns.configure(router, self._router_links(), (*FORWARDS, quiet))
        netns.configure(self.names["outside"], self._outside(), COMMON)
        for node in self.snapshot.nodes:
            self._wire_node(node)
        for key, pod in self.pods.items():
            netns.configure(self.names[f"pod {key}"], _fill(self.wiring.pod(pod)), COMMON)
        told = [f"route add {r}" for r in self.wiring.router.routes if r.device == "lan" and r.scope != "link"]
        told.append(f"route add default via {OUTSIDE_END} dev uplink")
        netns.configure(router, [*told, *self._edge()])

    def _router_links(self) -> Iterator[str]:
        yield "link set lo up"
        yield "link add lan type bridge"
        for i, node in enumerate(self.snapshot.nodes):
            yield f"link add port{i} type veth peer name eth0 netns {self.names[f'node {node}']}"
            yield f"link set port{i} master lan up"
        for address in self.wiring.router.interfaces["lan"].addresses:
            yield f"address add {address} dev lan"
        yield from ("link set lan up", HASTE.format("lan"))
        yield f"link add uplink type veth peer name eth0 netns {self.names['outside']}"
        yield f"address add {ROUTER_END}/30 dev uplink"
        yield "link set uplink up"

    def _edge(self) -> list[str]:
        """Load balancers, and the way to external IPs: routes of the router, and its iptables for what a load balancer
        does not forward (dropped) and for those that end connections themselves (translated on both sides)."""
        routes, nat, forward = {}, [], []
        ready = [n for n in self.snapshot.nodes.values() if n.ready]
        for service in self.snapshot.services.values():
            routes |= {ip: ready[0].ip for ip in service.external_ips if ip not in self.snapshot.node_by_ip}
            for entry in service.load_balancer_ips if service.type == "LoadBalancer" else ():
                node = self.rng.choice(edge.candidates(self.snapshot, service)[0])
                if entry.mode == "VIP":
                    routes[entry.ip] = node.ip
                for port in service.ports:
                    what = f"-d {entry.ip} -p {port.protocol.lower()} --dport {port.port}"
                    forward.append(f"-A FORWARD {what} -j ACCEPT")
                    if entry.mode == "Proxy":
                        nat.append(f"-A PREROUTING {what} -j DNAT --to-destination {node.ip}:{port.node_port}")
                nat.append(f"-A POSTROUTING -m conntrack --ctstate DNAT --ctorigdst {entry.ip} -j SNAT --to {entry.ip}")
                forward.append(f"-A FORWARD -d {entry.ip} -j DROP")
        with netns.inside(self.names["router"]):
            netns.run(["iptables-restore"], "\n".join(["*nat", *nat, "COMMIT", "*filter", *forward, "COMMIT", ""]))
        return [f"route add {ip} via {node}" for ip, node in routes.items()]

    def _outside(self) -> Iterator[str]:
        """The world: the client, the hosts that exist, and silence from all others, for it does not forward."""
        hosts = [h.ip for h in self.snapshot.settings.internet.hosts]
        yield from ("link set lo up", "link set eth0 up", f"address add {OUTSIDE_END}/30 dev eth0")
        yield from (f"address add {ip}/32 dev eth0" for ip in (self.outside.ip, *hosts))
        yield f"route add default via {ROUTER_END} dev eth0 src {self.outside.ip}"

    def _wire_node(self, name: str) -> None:
        space, model = self.wiring.node(name), self.wiring.model
        localnet = "1" if self.snapshot.settings.proxy.localhost_node_ports else "0"
        sysctls = (
            *FORWARDS,
            ("ipv4.conf.all.route_localnet", localnet),
            ("ipv4.conf.default.proxy_arp", "0" if model.bridge else "1"),
            ("bridge.bridge-nf-call-iptables", "1"),
        )
        links = [line for device in space.interfaces.values() for line in self._link(name, device)]
        commands, forwarding = [*links, *_fill(space)], []
        for other in self.snapshot.nodes.values() if model.tunnel else ():
            if other.name != name:
                end = self.wiring.node(other.name).interfaces[model.tunnel]
                via = end.addresses[0].partition("/")[0]
                commands.append(f"neigh add {via} lladdr {end.mac} dev {model.tunnel} nud permanent")
                forwarding.append(f"fdb add {end.mac} dev {model.tunnel} dst {other.ip} self permanent")
        netns.configure(self.names[f"node {name}"], commands, sysctls)
        if forwarding:
            with netns.inside(self.names[f"node {name}"]):
                netns.run(["bridge", "-batch", "-"], "\n".join(forwarding) + "\n")

    def _link(self, node: str, device: Interface) -> Iterator[str]:
        """The commands that make a device of a node."""
        if device.kind == "bridge":
            yield f"link add {device.name} address {device.mac} mtu {device.mtu} type bridge"
        elif device.kind == "vxlan":
            own = self.snapshot.nodes[node].ip
            yield (
                f"link add {device.name} address {device.mac} mtu {device.mtu} type vxlan id {wiring.VXLAN_VNI} "
                f"dstport {wiring.VXLAN_PORT} local {own} dev eth0 nolearning"
            )
        elif device.kind == "veth":
            key = next(key for key, pod in self.pods.items() if self.wiring.veth(pod) == device.name)
            yield f"link add {device.name} mtu {device.mtu} type veth peer name eth0 netns {self.names[f'pod {key}']}"
            if device.master:
                hairpin = "on" if self.snapshot.settings.hairpin else "off"
                yield f"link set {device.name} master {device.master}"
                yield f"link set {device.name} type bridge_slave hairpin {hairpin}"

    # rules

    def _load_rules(self, node: str) -> None:
        """kube-proxy's rules, then the network plugin's masquerade of Pod packets that leave the cluster."""
        settings = self.snapshot.settings
        away = [f"-A POSTROUTING -s {own} -d {c} -j RETURN" for own in self.wiring.ranges[node] for c in settings.non_masquerade_cidrs]  # fmt: skip
        away += [f"-A POSTROUTING -s {own} ! -d {settings.pod_cidr} -j MASQUERADE" for own in self.wiring.ranges[node]]
        shut = [] if settings.overlay_port_open else [f"-I INPUT -p udp --dport {wiring.VXLAN_PORT} -j DROP"]
        with netns.inside(self.names[f"node {node}"]):
            netns.run(["iptables-restore"], restore_input(self.snapshot, node))
            self.rules_differ(node)
            others = ["*nat", *away, "COMMIT", "*filter", *shut, "COMMIT", ""]
            netns.run(["iptables-restore", "--noflush"], "\n".join(others))

    def rules_differ(self, node: str) -> None:
        """Raises AssertionError if the kernel's own iptables-save prints other rules than the product does."""
        printed = by_chain(netns.run(["iptables-save"]))
        expected = by_chain(iptables.save(self.snapshot, node))
        for chain in sorted({*printed, *expected}):
            theirs, ours = printed.get(chain), expected.get(chain)
            assert theirs == ours, f"{node}, chain {chain}: iptables-save says {theirs}, the product {ours}"

    def forget_affinity(self) -> None:
        """Empty what the nodes remember of ClientIP affinity."""
        for node in self.snapshot.nodes:
            with netns.inside(self.names[f"node {node}"]):
                for name in os.listdir("/proc/net/xt_recent") if os.path.isdir("/proc/net/xt_recent") else ():
                    with open(f"/proc/net/xt_recent/{name}", "w") as file:
                        file.write("/")

    # programs

    def _listen(self) -> None:
        for key, pod in self.pods.items():
            with netns.inside(self.names[f"pod {key}"]):
                for listener in pod.listeners or ():
                    self.server.listen(key, listener.address, listener.port, listener.protocol)
        for name in self.snapshot.nodes:
            self._listen_on_node(name)
        with netns.inside(self.names["outside"]):
            for host in self.snapshot.settings.internet.hosts:
                for port in host.ports:
                    self.server.listen(host.name, host.ip, port, "TCP")

    def _listen_on_node(self, name: str) -> None:
        """The node's own programs, and Pods on its network. UDP answers come from the address that was asked."""
        checked = [s.health_check_node_port for s in self.snapshot.services.values() if s.health_check_node_port]
        own = [(name, Listener("", port, "TCP", "")) for port in (*sockets.NODE_PORTS, *checked)]
        shared = [p for p in self.snapshot.pods_on.get(name, ()) if p.host_network]
        own += [(p.key, listener) for p in shared for listener in p.listeners or ()]
        with netns.inside(self.names[f"node {name}"]):
            for who, listener in own:
                everywhere = (
                    [ip for ip in self.wiring.node(name).addresses if ":" not in ip]
                    if listener.protocol == "UDP"
                    else [""]
                )
                for address in [listener.address] if listener.address else everywhere:
                    self.server.listen(who, address, listener.port, listener.protocol)

    def ask(self, questions: list[tuple[Client, str, int, str]], seconds: float) -> list[Seen]:
        """Open connections, all at once, and see what becomes of each: client, address, port, protocol."""
        return talk([(self._space(client), *rest) for client, *rest in questions], seconds)

    def _space(self, client: Client) -> str:
        if client.kind == "outside":
            return self.names["outside"]
        pod = self.snapshot.pods.get(client.name)
        if pod is not None and not pod.host_network:
            return self.names[f"pod {client.name}"]
        return self.names[f"node {pod.node if pod else client.name}"]


def _fill(space: Netns) -> Iterator[str]:
    """The commands that give devices their addresses, bring them up and enter routes; the kernel makes its own."""
    yield "link set lo up"
    for device in space.interfaces.values():
        for address in device.addresses if device.name != "lo" else ():
            yield f"address add {address} dev {device.name}"
        yield f"link set {device.name} up"
        yield HASTE.format(device.name)
    near = [r for r in space.routes if not r.via]
    for route in (*near, *(r for r in space.routes if r.via)):
        if route.proto != "kernel":
            yield f"route add {route}"


def by_chain(text: str) -> dict[str, list[str]]:
    """The rules in a document of iptables-save, in order, by table and chain."""
    found: dict[str, list[str]] = {}
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith("-A"):
            found.setdefault(f"{table} {line.split()[1]}", []).append(re.sub(r" +", " ", line))
    return found
