"""ip, ss, bridge and ping, as a Pod, a node or a machine outside runs them.

They print the very tables by which packets find their way here (dataplane/wiring.py). Layouts are those of iproute2 6
and iputils 20240905, without what nobody reads (counters, queues). ``ping`` sends three echoes unless told otherwise.
"""

from __future__ import annotations

import getopt
from collections.abc import Iterable, Iterator

from k8snet.dataplane import journey, lookup, sockets, wiring
from k8snet.dataplane.client import Client
from k8snet.dataplane.moment import Moment
from k8snet.dataplane.trace import Trace
from k8snet.dataplane.wiring import Interface, Netns, Route
from k8snet.manifests.addresses import family, host_port, is_ip, parse_cidr
from k8snet.shell.result import Result

USAGE = {
    "ip": "Usage: ip [ -4 | -6 ] { addr | link | route [ get ADDRESS ] | neigh } [ dev DEVICE ]",
    "bridge": "Usage: bridge fdb [ show ] [ dev DEVICE ]",
    "ping": "Usage: ping [ -c COUNT ] [ -s SIZE ] [ -M do ] ADDRESS",
}


def _usage(tool: str) -> Result:
    return Result(stderr=f"{USAGE[tool]}\n", exit_code=2)


def _text(lines: Iterable[str]) -> Result:
    return Result("".join(f"{line}\n" for line in lines))


def netns_of(moment: Moment, client: Client) -> Netns:
    """The network namespace in which a client's commands run."""
    wires = wiring.of(moment.snapshot)
    if client.kind == "outside":
        eth0 = Interface("eth0", "eth", 1500, (f"{client.ip}/24",), wiring.mac(client.ip))
        return Netns("outside", client.name, [wiring.LOOPBACK, eth0], [Route("0.0.0.0/0", "eth0")])
    return wires.node(client.name) if client.kind == "node" else wires.pod(moment.snapshot.pods[client.name])


def ip(moment: Moment, client: Client, words: list[str]) -> Result:
    """``ip addr``, ``ip link``, ``ip route``, ``ip route get``, ``ip neigh``, with ``dev`` and -4 or -6."""
    version = "IPv6" if "-6" in words else "IPv4" if "-4" in words else ""
    what, *rest = [w for w in words if not w.startswith("-") and w not in ("show", "list", "dev")] or [""]
    kind = next((k for k in ("address", "link", "route", "neighbour") if what and k.startswith(what)), "")
    netns, device = netns_of(moment, client), rest[-1] if rest else ""
    if kind == "route" and len(rest) == 2 and rest[0] == "get" and is_ip(device):
        return _route_get(netns, device)
    if not kind:
        return _usage("ip")
    if device and device not in netns.interfaces:
        return Result(stderr=f'Device "{device}" does not exist.\n', exit_code=1)
    if kind == "route":
        routes = [r for r in netns.routes if family(r.to) == (version or "IPv4") and device in ("", r.device)]
        return _text(str(r) for r in sorted(routes, key=_by_address))
    if kind == "neighbour":
        known = _neighbours(moment, netns)
        return _text(f"{a} dev {d} lladdr {mac} {state}" for a, d, mac, state in known if device in ("", d))
    shown = [(n, i) for n, i in enumerate(netns.interfaces.values(), 1) if device in ("", i.name)]
    return _text(line for n, i in shown for line in _link(n, i, kind, version, _far_end(moment, netns, i)))


def _by_address(route: Route) -> tuple[int, int]:
    block = parse_cidr(route.to)
    return (int(block.network_address), block.prefixlen) if block else (0, 0)


def _far_end(moment: Moment, netns: Netns, i: Interface) -> str:
    """``@ifN``: the number of the wire's other end, in its own namespace. eth0 is always a Pod's second device."""
    if i.kind != "veth" or netns.kind != "pod":
        return "@if2" if i.kind == "veth" else ""
    node = wiring.of(moment.snapshot).node(moment.snapshot.pods[netns.name].node)
    return f"@if{1 + list(node.interfaces).index(i.peer)}"


def _link(number: int, i: Interface, kind: str, version: str, far: str) -> Iterator[str]:
    loopback = i.kind == "loopback"
    flags = "LOOPBACK,UP,LOWER_UP" if loopback else "BROADCAST,MULTICAST,UP,LOWER_UP"
    state = ("master " + i.master + " " if i.master else "") + ("state UNKNOWN" if loopback else "state UP")
    yield f"{number}: {i.name}{far}: <{flags}> mtu {i.mtu} qdisc noqueue {state} group default"
    yield f"    link/{'loopback' if loopback else 'ether'} {i.mac or '00:00:00:00:00:00'}"
    for address in i.addresses if kind == "address" else ():
        if version in ("", family(address)):
            yield f"    inet{'6' * (':' in address)} {address} scope {'host' if loopback else 'global'} {i.name}"
            yield "       valid_lft forever preferred_lft forever"


def _route_get(netns: Netns, target: str) -> Result:
    if netns.owns(target):
        return Result(f"local {target} dev lo src {target} uid 0\n    cache <local>\n")
    route = netns.route(target)
    if route is None or route.kind:
        why = "Invalid argument" if route else "Network is unreachable"
        return Result(stderr=f"RTNETLINK answers: {why}\n", exit_code=2)
    via, source = f" via {route.via}" if route.via else "", route.src or netns.address_on(route.device, target)
    return Result(f"{target}{via} dev {route.device} src {source} uid 0\n    cache\n")


def _neighbours(moment: Moment, netns: Netns) -> Iterator[tuple[str, str, str, str]]:
    """Which MAC address is behind an address: of the tunnel's far ends (the plugin wrote them down) and of Pods here."""
    wires = wiring.of(moment.snapshot)
    if netns.kind != "node":
        return
    for route in netns.routes:
        if route.onlink:
            yield route.via, route.device, wiring.mac(f"vtep {wires.vteps[route.via].name}"), "PERMANENT"
    for pod in moment.snapshot.pods_on.get(netns.name, ()):
        for address in () if pod.host_network else pod.ips:
            yield address, wires.model.bridge or wires.veth(pod), wiring.mac(pod.ip), "REACHABLE"


def bridge(moment: Moment, client: Client, words: list[str]) -> Result:
    """``bridge fdb``: behind which port of the bridge, or behind which node, a MAC address is."""
    if not words or words[0] != "fdb":
        return _usage("bridge")
    netns, wires = netns_of(moment, client), wiring.of(moment.snapshot)
    lines = []
    for address, device, mac, _ in _neighbours(moment, netns):
        pod = wires.holder(netns.name, address)
        if pod is None:
            lines.append(f"{mac} dev {device} dst {wires.vteps[address].ip} self permanent")
        elif wires.model.bridge:
            lines.append(f"{mac} dev {wires.veth(pod)} master {device}")
    return _text([line for line in lines if words[-1] in (*line.split(), "fdb", "show")])


def ss(moment: Moment, client: Client, words: list[str]) -> Result:
    """``ss -ltn`` and the like: what listens here. Node ports are not in it: no process holds them."""
    flags = "".join(w[1:] for w in words if w.startswith("-"))
    wanted = {p for p, flag in (("TCP", "t"), ("UDP", "u")) if flag in flags} or {"TCP", "UDP"}
    known = sockets.listening(moment.snapshot, netns_of(moment, client)) if "l" in flags else ()
    lines = [f"State  Recv-Q Send-Q {'Local Address:Port':>24} {'Peer Address:Port':>18} {'Process' * ('p' in flags)}"]
    for s in known or ():
        if s.protocol in wanted:
            state = "LISTEN 0      511   " if s.protocol == "TCP" else "UNCONN 0      0     "
            process = f'users:(("{s.container}",pid=1,fd=6))' if "p" in flags else ""
            lines.append(f"{state} {host_port(s.address or '0.0.0.0', s.port):>25} {'0.0.0.0:*':>18} {process}")
    hint = "a dump does not say what containers listen on" if known is None else ""
    return Result("".join(line.rstrip() + "\n" for line in lines), hint=hint)


def ping(moment: Moment, client: Client, words: list[str]) -> Result:
    """``ping``, with the size of the probe (-s) and ``-M do``: it must not be cut on the way."""
    try:
        given, targets = getopt.gnu_getopt(words, "46Aanqvc:i:M:s:t:W:w:")
    except getopt.GetoptError:
        return _usage("ping")
    options = {"-c": "3", "-s": "56", "-M": "", **dict(given)}
    if len(targets) != 1 or not (options["-c"] + options["-s"]).isdigit():
        return _usage("ping")
    name = address = targets[0]
    if not is_ip(name):
        look = lookup.getaddrinfo(moment, client, name)
        if not look.addresses:
            return Result(stderr=f"ping: {name}: {lookup.GAI_TEXT[look.result]}\n", exit_code=2, trace=look.trace)
        address = look.addresses[0]
    count, data = max(1, int(options["-c"])), int(options["-s"])
    size = data + (48 if ":" in address else 28)
    sent = size if options["-M"] == "do" else min(size, journey.SMALL)
    traces = [journey.connect(moment, client, address, 0, "ICMP", size=sent) for _ in range(count)]
    last = traces[-1]
    if last.outcome.kind == "undefined":
        return Result(exit_code=1, hint=f"what happens is undefined: {last.outcome.message}", trace=last)
    if last.outcome.message == "Network is unreachable":
        return Result(stderr="ping: connect: Network is unreachable\n", exit_code=2, trace=last)
    replies = [_echo(trace, n, address, data) for n, trace in enumerate(traces, 1)]
    received, errors = sum(map(bool, traces)), sum(bool(r) and not t for r, t in zip(replies, traces, strict=True))
    counted = f"{count} packets transmitted, {received} received" + (f", +{errors} errors" if errors else "")
    lost = f"{100 - 100 * received // count}% packet loss, time {1000 * (count - 1)}ms"
    lines = [f"PING {name} ({address}) {data}({size}) bytes of data.", *filter(None, replies), ""]
    lines += [f"--- {name} ping statistics ---", f"{counted}, {lost}"]
    return Result("\n".join(lines) + "\n", exit_code=0 if received else 1, trace=last)


def _echo(trace: Trace, n: int, address: str, data: int) -> str:
    """The line that ping prints for one echo; empty if nothing came back."""
    kind, message = trace.outcome.kind, trace.outcome.message
    if trace:
        routers = sum(hop.decision in ("forward", "wrap") for hop in trace.returning)
        ttl = 64 - routers if routers > 1 else 64
        return f"{data + 8} bytes from {address}: icmp_seq={n} ttl={ttl} time={0.04 * len(trace.hops):.3f} ms"
    if message.startswith("message too long"):
        far = f"From the way icmp_seq={n} Frag needed and DF set ({message})"
        return f"ping: local error: {message}" if len(trace.hops) == 1 else far
    word = {"no route": "Host", "refused": "Port"}.get(kind)
    return f"From {trace.annotations['packet'].src} icmp_seq={n} Destination {word} Unreachable" if word else ""


TOOLS = {"ip": ip, "bridge": bridge, "ss": ss, "ping": ping}
