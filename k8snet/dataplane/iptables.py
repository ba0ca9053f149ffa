"""The rules that kube-proxy writes on a node in iptables mode: the decisions of `proxy`, put down for the kernel.

`tables` gives the rules of one node and family once, as data; `restored` and `saved` are their two spellings: what
kube-proxy hands to iptables-restore, and what ``iptables-save`` prints. `full` and `save` are whole
documents. Services come sorted by name, where kube-proxy takes them in no fixed order.

Upstream: syncProxyRules in pkg/proxy/iptables/proxier.go, rule by rule and in its order.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane.proxy import NODE_PORTS, Proxy
from k8snet.dataplane.topology import Backend, ProxiedPort, Usable, held

LARGE_CLUSTER = 1000
BUILT_IN = {
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
}
# Chains that are always written, in kube-proxy's order.
TOP_LEVEL = {
    "filter": ("KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES", "KUBE-FORWARD", "KUBE-NODEPORTS", "KUBE-PROXY-FIREWALL"),
    "nat": ("KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-MARK-MASQ"),
}
_NEW = ("state", "NEW")
_SHOWN, _PORTALS = "kubernetes externally-visible service portals", "kubernetes service portals"
_BALANCER = "kubernetes load balancer firewall"
# From the kernel's own chains to kube-proxy's. Each is put in front of what is there, so the last one comes first.
JUMPS = (
    ("filter INPUT", "KUBE-EXTERNAL-SERVICES", _SHOWN, _NEW),
    ("filter FORWARD", "KUBE-EXTERNAL-SERVICES", _SHOWN, _NEW),
    ("filter INPUT", "KUBE-NODEPORTS", "kubernetes health check service ports", None),
    ("filter FORWARD", "KUBE-SERVICES", _PORTALS, _NEW),
    ("filter OUTPUT", "KUBE-SERVICES", _PORTALS, _NEW),
    ("filter FORWARD", "KUBE-FORWARD", "kubernetes forwarding rules", None),
    ("filter INPUT", "KUBE-PROXY-FIREWALL", _BALANCER, _NEW),
    ("filter OUTPUT", "KUBE-PROXY-FIREWALL", _BALANCER, _NEW),
    ("filter FORWARD", "KUBE-PROXY-FIREWALL", _BALANCER, _NEW),
    ("nat OUTPUT", "KUBE-SERVICES", _PORTALS, None),
    ("nat PREROUTING", "KUBE-SERVICES", _PORTALS, None),
    ("nat POSTROUTING", "KUBE-POSTROUTING", "kubernetes postrouting rules", None),
    ("filter INPUT", "KUBE-FIREWALL", "", None),
    ("filter OUTPUT", "KUBE-FIREWALL", "", None),
)

# How a condition or a target is spelt for iptables-restore, and by iptables-save where that differs.
RESTORED = {
    "comment": "-m comment --comment {0}",
    "protocol": "-m {0} -p {0}",
    "to": "-d {0}",
    "not to": "! -d {0}",
    "from": "-s {0}",
    "not from": "! -s {0}",
    "port": "--dport {0}",
    "to type": "-m addrtype --dst-type {0}",
    "from type": "-m addrtype --src-type {0}",
    "chance": "-m statistic --mode random --probability {0}",
    "recent": "-m recent --name {0} --rcheck --seconds {1} --reap",
    "remember": "-m recent --name {0} --set",
    "mark": "-m mark --mark {0}",
    "not mark": "-m mark ! --mark {0}",
    "state": "-m conntrack --ctstate {0}",
    "not state": "-m conntrack ! --ctstate {0}",
    "counter": "-m nfacct --nfacct-name {0}",
}
SAVED = RESTORED | {
    "protocol": "-m {0}",
    "recent": "-m recent --rcheck --seconds {1} --reap --name {0} --mask {mask} --rsource",
    "remember": "-m recent --set --name {0} --mask {mask} --rsource",
    "counter": "-m nfacct --nfacct-name  {0}",
}
SAVED_TARGETS = {
    "MARK --or-mark 0x4000": "MARK --set-xmark 0x4000/0x4000",
    "MARK --xor-mark 0x4000": "MARK --set-xmark 0x4000/0x0",
    "REJECT": "REJECT --reject-with {unreachable}",
}

Condition = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: where it stands, the conditions in kube-proxy's order, and what to do (empty: nothing)."""

    table: str
    chain: str
    conditions: tuple[Condition, ...]
    target: str

    @property
    def comment(self) -> str:
        """The rule's comment; empty if it has none."""
        return next((value[0] for name, *value in self.conditions if name == "comment"), "")


def rule(place: str, *conditions: Condition | None, target: str = "") -> Rule:
    """A rule in a place like ``nat KUBE-SERVICES``; conditions that are None are left out."""
    table, chain = place.split(" ")
    return Rule(table, chain, tuple(c for c in conditions if c), target)


def tables(snapshot: Snapshot, node: str, family: str = "IPv4") -> dict[str, list[Rule]]:
    """What kube-proxy writes on a node after a full sync, by table (filter and nat), in kube-proxy's order."""
    proxy = Proxy(snapshot, node, family)
    result: dict[str, list[Rule]] = {"filter": [], "nat": []}
    for made in (*_fixed(proxy), *_services(proxy), *_node_ports(proxy), *_forwarding(proxy)):
        result[made.table].append(made)
    return result


def _fixed(proxy: Proxy) -> Iterator[Rule]:
    post, random_fully = "nat KUBE-POSTROUTING", proxy.snapshot.settings.proxy.random_fully
    yield rule(post, ("not mark", "0x4000/0x4000"), target="RETURN")
    yield rule(post, target="MARK --xor-mark 0x4000")
    masquerade = "MASQUERADE --random-fully" if random_fully else "MASQUERADE"
    yield rule(post, ("comment", "kubernetes service traffic requiring SNAT"), target=masquerade)
    yield rule("nat KUBE-MARK-MASQ", target="MARK --or-mark 0x4000")
    if proxy.localhost_node_ports:
        loopback, known = "127.0.0.0/8", "RELATED,ESTABLISHED,DNAT"
        yield rule(
            "filter KUBE-FIREWALL",
            ("comment", "block incoming localnet connections"),
            ("to", loopback),
            ("not from", loopback),
            ("not state", known),
            target="DROP",
        )


def _services(proxy: Proxy) -> Iterator[Rule]:
    known = held(proxy.snapshot, proxy.family)
    large = sum(len(p.endpoints) for p in known.ports) > LARGE_CLUSTER
    for port in known.ports:
        usable = known.usable(port, proxy.node)
        yield from _addresses(proxy, port, usable)
        if usable.any:
            yield from _internal(proxy, port, usable)
            yield from _external(proxy, port, usable)
            yield from _endpoints(port, usable, large)


def _addresses(proxy: Proxy, port: ProxiedPort, usable: Usable) -> Iterator[Rule]:
    """The rules that capture a Service port's addresses, and those that refuse or drop what was not rewritten."""
    name, protocol, number = port.name, ("protocol", port.port.protocol.lower()), ("port", str(port.port.port))
    lacks_internal = not usable.any or (port.internal_local and not usable.local)
    lacks_external = not usable.any or (port.external_local and not usable.local)
    refusal = "DROP" if usable.any else "REJECT"
    lack = ("comment", f"{name} has no local endpoints" if usable.any else f"{name} has no endpoints")
    external = port.chain("EXT")

    def at(ip: str) -> tuple[Condition, ...]:
        return protocol, ("to", ip), number

    if lacks_internal:
        yield rule("filter KUBE-SERVICES", lack, *at(port.cluster_ip), target=refusal)
    else:
        chain = port.chain("SVL" if port.internal_local else "SVC")
        yield rule("nat KUBE-SERVICES", ("comment", f"{name} cluster IP"), *at(port.cluster_ip), target=chain)
    for ip in port.external_ips:
        if usable.any:
            yield rule("nat KUBE-SERVICES", ("comment", f"{name} external IP"), *at(ip), target=external)
        if lacks_external:
            yield rule("filter KUBE-EXTERNAL-SERVICES", lack, *at(ip), target=refusal)
    for ip in port.load_balancer_ips if usable.any else ():
        chain = port.chain("FW") if port.source_ranges else external
        yield rule("nat KUBE-SERVICES", ("comment", f"{name} loadbalancer IP"), *at(ip), target=chain)
        if port.source_ranges:
            text = f"{name} traffic not accepted by {chain}"
            yield rule("filter KUBE-PROXY-FIREWALL", ("comment", text), *at(ip), target="DROP")
    for ip in port.load_balancer_ips if lacks_external else ():
        yield rule("filter KUBE-EXTERNAL-SERVICES", lack, *at(ip), target=refusal)
    if port.port.node_port:
        node_port, comment = ("port", str(port.port.node_port)), ("comment", name)
        if usable.any and proxy.localhost_node_ports and proxy.snapshot.settings.proxy.nfacct:
            seen = (("to", "127.0.0.0/8"), node_port, ("counter", "localhost_nps_accepted_pkts"))
            yield rule("nat KUBE-NODEPORTS", comment, protocol, *seen, target=external)
        if usable.any:
            yield rule("nat KUBE-NODEPORTS", comment, protocol, node_port, target=external)
        if lacks_external:
            own = ("to type", "LOCAL")
            yield rule("filter KUBE-EXTERNAL-SERVICES", lack, own, protocol, node_port, target=refusal)
    if port.health_check_port:
        text, tcp = f"{name} health check node port", ("protocol", "tcp")
        number = ("port", str(port.health_check_port))
        yield rule("filter KUBE-NODEPORTS", ("comment", text), tcp, number, target="ACCEPT")


def _internal(proxy: Proxy, port: ProxiedPort, usable: Usable) -> Iterator[Rule]:
    """Masquerade of what comes to the cluster IP from elsewhere than a Pod."""
    if port.internal_local and not usable.local:
        return
    everything = proxy.snapshot.settings.proxy.masquerade_all
    if everything or proxy.pod_range:
        yield rule(
            f"nat {port.chain('SVL' if port.internal_local else 'SVC')}",
            ("comment", f"{port.name} cluster IP"),
            ("protocol", port.port.protocol.lower()),
            ("to", port.cluster_ip),
            ("port", str(port.port.port)),
            None if everything else ("not from", proxy.pod_range),
            target="KUBE-MARK-MASQ",
        )


def _external(proxy: Proxy, port: ProxiedPort, usable: Usable) -> Iterator[Rule]:
    """What comes to any other address: short cuts and masquerade, then source ranges."""
    if not port.external:
        return
    place, cluster, others = f"nat {port.chain('EXT')}", port.chain("SVC"), f"for {port.name} external destinations"
    if port.external_local:
        own = ("from type", "LOCAL")
        if proxy.pod_range:
            yield rule(place, ("comment", f"pod traffic {others}"), ("from", proxy.pod_range), target=cluster)
        yield rule(place, ("comment", f"masquerade LOCAL traffic {others}"), own, target="KUBE-MARK-MASQ")
        yield rule(place, ("comment", f"route LOCAL traffic {others}"), own, target=cluster)
        if usable.local:
            yield rule(place, target=port.chain("SVL"))
    else:
        yield rule(place, ("comment", f"masquerade traffic {others}"), target="KUBE-MARK-MASQ")
        yield rule(place, target=cluster)
    if port.source_ranges and port.load_balancer_ips:
        place, comment = f"nat {port.chain('FW')}", ("comment", f"{port.name} loadbalancer IP")
        node_too = port.load_balancer_ips if proxy.admits_itself(port) else ()
        for source in (*port.source_ranges, *node_too):
            yield rule(place, comment, ("from", source), target=port.chain("EXT"))
        yield rule(place, ("comment", f"other traffic to {port.name} will be dropped by KUBE-PROXY-FIREWALL"))


def _endpoints(port: ProxiedPort, usable: Usable, large: bool) -> Iterator[Rule]:
    """The chains that choose an endpoint, and each endpoint's own."""
    cluster = usable.cluster if port.external or not port.internal_local else ()
    local = usable.local if port.internal_local or (port.external_local and port.external) else ()
    for kind, backends in (("SVC", cluster), ("SVL", local)):
        yield from _choice(port, kind, backends, large)
    for backend in sorted({str(b): b for b in (*cluster, *local)}.values(), key=str):
        place = f"nat {port.chain('SEP', backend)}"
        comment = None if large else ("comment", port.name)
        remember = ("remember", port.chain("SEP", backend)) if port.service.affinity_seconds else None
        protocol = ("protocol", port.port.protocol.lower())
        yield rule(place, comment, ("from", backend.ip), target="KUBE-MARK-MASQ")
        yield rule(place, comment, remember, protocol, target=f"DNAT --to-destination {backend}")


def _choice(port: ProxiedPort, kind: str, backends: tuple[Backend, ...], large: bool) -> Iterator[Rule]:
    """One of n alike: each rule but the last takes its share of what the rules before it left."""
    place, seconds = f"nat {port.chain(kind)}", port.service.affinity_seconds
    comments = [None if large else ("comment", f"{port.name} -> {b}") for b in backends]
    chains = [port.chain("SEP", b) for b in backends]
    for comment, chain in zip(comments, chains, strict=True) if seconds else ():
        yield rule(place, comment, ("recent", chain, str(seconds)), target=chain)
    for left, comment, chain in zip(range(len(backends), 0, -1), comments, chains, strict=True):
        yield rule(place, comment, ("chance", probability(left)) if left > 1 else None, target=chain)


def probability(n: int) -> str:
    """How the chance of one among n is written."""
    return f"{1 / n:.10f}"


def _node_ports(proxy: Proxy) -> Iterator[Rule]:
    place, comment, chain = "nat KUBE-SERVICES", ("comment", NODE_PORTS), "KUBE-NODEPORTS"
    if proxy.node_port_cidrs:
        for ip in proxy.node_port_ips:
            yield rule(place, comment, ("to", ip), target=chain)
        return
    refused = "::1/128" if proxy.family == "IPv6" else "" if proxy.localhost_node_ports else "127.0.0.0/8"
    yield rule(place, comment, ("to type", "LOCAL"), ("not to", refused) if refused else None, target=chain)


def _forwarding(proxy: Proxy) -> Iterator[Rule]:
    place, settings = "filter KUBE-FORWARD", proxy.snapshot.settings.proxy
    if not settings.conntrack_tcp_liberal:
        counter = ("counter", "ct_state_invalid_dropped_pkts") if settings.nfacct else None
        yield rule(place, ("state", "INVALID"), counter, target="DROP")
    yield rule(place, ("comment", "kubernetes forwarding rules"), ("mark", "0x4000/0x4000"), target="ACCEPT")
    known = ("state", "RELATED,ESTABLISHED")
    yield rule(place, ("comment", "kubernetes forwarding conntrack rule"), known, target="ACCEPT")


def restored(made: Rule) -> str:
    """A rule as kube-proxy gives it to iptables-restore."""
    words = [f"-A {made.chain}"]
    for name, *values in made.conditions:
        quoted = [f'"{v}"' if " " in v else v for v in values] if name == "comment" else values
        words.append(RESTORED[name].format(*quoted))
    return " ".join([*words, *([f"-j {made.target}"] if made.target else [])])


def saved(made: Rule, family: str = "IPv4") -> str:
    """A rule as ``iptables-save`` prints it: addresses and protocol first, with prefix lengths, defaults spelt out."""
    full, mask, reply = (128, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "icmp6") if family == "IPv6" else (32, "255.255.255.255", "icmp")  # fmt: skip
    front: dict[str, str] = {}
    words = []
    for name, *values in made.conditions:
        value = values[0]
        if name.removeprefix("not ") in ("from", "to"):
            front[name.removeprefix("not ")] = RESTORED[name].format(value if "/" in value else f"{value}/{full}")
            continue
        if name == "protocol":
            front[name] = f"-p {value}"
        elif name == "comment" and not re.fullmatch(r"[\w-]+", value):
            value = f'"{value}"'
        elif name == "chance":
            value = f"{round(float(value) * 0x80000000) / 0x80000000:.11f}"
        words.append(SAVED[name].format(value, *values[1:], mask=mask))
    target = SAVED_TARGETS.get(made.target, made.target).format(unreachable=f"{reply}-port-unreachable")
    ends = [front[key] for key in ("from", "to", "protocol") if key in front]
    return " ".join([f"-A {made.chain}", *ends, *words, *([f"-j {target}"] if target else [])])


def _document(snapshot: Snapshot, node: str, family: str) -> dict[str, tuple[list[str], list[Rule]]]:
    """For each table the chains that kube-proxy makes and all rules, the jumps from the kernel's own chains first."""
    result = {}
    for table, made in tables(snapshot, node, family).items():
        chains = dict.fromkeys(
            [*TOP_LEVEL[table], *(r.chain for r in made), *(["KUBE-FIREWALL"] if table == "filter" else [])]
        )
        jumps = [
            rule(place, state, ("comment", comment) if comment else None, target=chain)
            for place, chain, comment, state in reversed(JUMPS)
            if place.startswith(f"{table} ")
        ]
        result[table] = (list(chains), jumps + made)
    return result


def full(snapshot: Snapshot, node: str, family: str = "IPv4") -> str:
    """Everything as one input for ``iptables-restore`` (``ip6tables-restore``): a kernel with it acts as the node does."""
    lines = []
    for table, (chains, rules) in _document(snapshot, node, family).items():
        lines += [f"*{table}", *(f":{c} - [0:0]" for c in chains), *map(restored, rules), "COMMIT"]
    return "\n".join(lines) + "\n"


def save(snapshot: Snapshot, node: str, family: str = "IPv4") -> str:
    """What ``iptables-save`` (``ip6tables-save``) prints on a node: counters at zero, chains by name."""
    lines = []
    for table, (chains, rules) in _document(snapshot, node, family).items():
        by_chain: Mapping[str, list[Rule]] = defaultdict(list)
        for made in rules:
            by_chain[made.chain].append(made)
        order = [*BUILT_IN[table], *sorted(chains)]
        lines += [
            f"*{table}",
            *(f":{c} ACCEPT [0:0]" for c in BUILT_IN[table]),
            *(f":{c} - [0:0]" for c in sorted(chains)),
        ]
        lines += [saved(r, family) for c in order for r in by_chain[c]]
        lines.append("COMMIT")
    return "\n".join(lines) + "\n"
