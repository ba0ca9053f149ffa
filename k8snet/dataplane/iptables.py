"""The rules that kube-proxy writes on a node in iptables mode: the decisions of `proxy`, put down for the kernel.

`tables` gives the rules of one node and family once, as data; `restored` and `saved` are their two spellings: what
kube-proxy hands to iptables-restore, and what ``iptables-save`` prints; `save` is all that it prints. Services come
sorted by name, where kube-proxy takes them in no fixed order.

Upstream: syncProxyRules in pkg/proxy/iptables/proxier.go, rule by rule and in its order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane.proxy import NODE_PORTS, Proxy
from k8snet.dataplane.topology import Backend, ProxiedPort, Usable, held

# More endpoints than this in the whole cluster: comments on endpoints are left out.
LARGE_CLUSTER = 1000
BUILT_IN = {"filter": ("INPUT", "FORWARD", "OUTPUT"), "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING")}
# Chains that are always there, in kube-proxy's order.
TOP_LEVEL = {
    "filter": ("KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES", "KUBE-FORWARD", "KUBE-NODEPORTS", "KUBE-PROXY-FIREWALL", "KUBE-FIREWALL"),
    "nat": ("KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-MARK-MASQ"),
}  # fmt: skip
# From the kernel's own chains to kube-proxy's: where, to which chain, for new connections only (NEW) or all, comment.
# kube-proxy puts each in front of what is there, one after another, so the last one comes to stand first.
JUMPS = """\
filter INPUT,FORWARD        KUBE-EXTERNAL-SERVICES NEW kubernetes externally-visible service portals
filter INPUT                KUBE-NODEPORTS         all kubernetes health check service ports
filter FORWARD,OUTPUT       KUBE-SERVICES          NEW kubernetes service portals
filter FORWARD              KUBE-FORWARD           all kubernetes forwarding rules
filter INPUT,OUTPUT,FORWARD KUBE-PROXY-FIREWALL    NEW kubernetes load balancer firewall
nat    OUTPUT,PREROUTING    KUBE-SERVICES          all kubernetes service portals
nat    POSTROUTING          KUBE-POSTROUTING       all kubernetes postrouting rules
filter INPUT,OUTPUT         KUBE-FIREWALL          all"""

# Options, spelt as kube-proxy does. A condition is an option and its value.
FROM, TO, PORT, PROTOCOL, COMMENT = "-s", "-d", "--dport", "-m {0} -p", "-m comment --comment"
FROM_LOCAL, TO_LOCAL = ("-m addrtype --src-type", "LOCAL"), ("-m addrtype --dst-type", "LOCAL")
CHANCE, STATE, MARK = "-m statistic --mode random --probability", "-m conntrack --ctstate", "-m mark --mark"
NOT_STATE, NOT_MARK, COUNTER = "-m conntrack ! --ctstate", "-m mark ! --mark", "-m nfacct --nfacct-name"
RECENT = "-m recent --name"

Condition = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: where it stands, the conditions in kube-proxy's order, and what to do (empty: nothing)."""

    table: str
    chain: str
    conditions: tuple[Condition, ...]
    target: str


def rule(place: str, *conditions: Condition | None, target: str = "") -> Rule:
    """A rule in a place like ``nat KUBE-SERVICES``; conditions that are None are left out."""
    table, chain = place.split()
    return Rule(table, chain, tuple(c for c in conditions if c), target)


def tables(snapshot: Snapshot, node: str, family: str = "IPv4") -> dict[str, list[Rule]]:
    """What kube-proxy writes on a node after a full sync, by table (filter and nat), in kube-proxy's order."""
    proxy, known = Proxy(snapshot, node, family), held(snapshot, family)
    large = sum(len(p.endpoints) for p in known.ports) > LARGE_CLUSTER
    made = [*_first(proxy)]
    for port in known.ports:
        usable = known.usable(port, node)
        made += _addresses(proxy, port, usable)
        if usable.any:
            made += [*_internal(proxy, port, usable), *_external(proxy, port, usable), *_endpoints(port, usable, large)]
    made += _last(proxy)
    return {table: [r for r in made if r.table == table] for table in ("filter", "nat")}


def jumps(table: str) -> list[Rule]:
    """The rules that lead from the kernel's own chains of a table to kube-proxy's."""
    lines = [line.split(maxsplit=4) for line in reversed(JUMPS.splitlines()) if line.startswith(f"{table} ")]
    made = []
    for _, hooks, chain, state, *comment in lines:
        conditions = ((STATE, "NEW") if state == "NEW" else None, *((COMMENT, c) for c in comment))
        made += [rule(f"{table} {hook}", *conditions, target=chain) for hook in hooks.split(",")]
    return made


def _first(proxy: Proxy) -> Iterator[Rule]:
    """What becomes of marked packets, and the guard of localhost."""
    place = "nat KUBE-POSTROUTING"
    masquerade = "MASQUERADE" + " --random-fully" * proxy.snapshot.settings.proxy.random_fully
    yield rule(place, (NOT_MARK, "0x4000/0x4000"), target="RETURN")
    yield rule(place, target="MARK --xor-mark 0x4000")
    yield rule(place, (COMMENT, "kubernetes service traffic requiring SNAT"), target=masquerade)
    yield rule("nat KUBE-MARK-MASQ", target="MARK --or-mark 0x4000")
    if proxy.localhost_node_ports:
        foreign = ((TO, "127.0.0.0/8"), (f"! {FROM}", "127.0.0.0/8"), (NOT_STATE, "RELATED,ESTABLISHED,DNAT"))
        yield rule("filter KUBE-FIREWALL", (COMMENT, "block incoming localnet connections"), *foreign, target="DROP")


def _addresses(proxy: Proxy, port: ProxiedPort, usable: Usable) -> Iterator[Rule]:
    """The rules that capture a Service port's addresses, and those that refuse or drop what was not rewritten."""
    name, protocol, number = port.name, _protocol(port), (PORT, str(port.port.port))
    lack = (COMMENT, f"{name} has no local endpoints" if usable.any else f"{name} has no endpoints")
    refusal, external = "DROP" if usable.any else "REJECT", port.chain("EXT")
    unused = not usable.any or (port.external_local and not usable.local)
    idle = not usable.any or (port.internal_local and not usable.local)
    firewall = port.chain("FW") if port.source_ranges else external
    for kind, ips, chain, lacking, place in (
        ("cluster IP", (port.cluster_ip,), _internal_chain(port), idle, "filter KUBE-SERVICES"),
        ("external IP", port.external_ips, external, unused, "filter KUBE-EXTERNAL-SERVICES"),
        ("loadbalancer IP", port.load_balancer_ips, firewall, unused, "filter KUBE-EXTERNAL-SERVICES"),
    ):
        for ip in ips:
            here = (protocol, (TO, ip), number)
            if usable.any and not (lacking and kind == "cluster IP"):
                yield rule("nat KUBE-SERVICES", (COMMENT, f"{name} {kind}"), *here, target=chain)
            if usable.any and chain.startswith("KUBE-FW-"):
                comment = (COMMENT, f"{name} traffic not accepted by {chain}")
                yield rule("filter KUBE-PROXY-FIREWALL", comment, *here, target="DROP")
            if lacking:
                yield rule(place, lack, *here, target=refusal)
    if port.port.node_port:
        place, number = "nat KUBE-NODEPORTS", (PORT, str(port.port.node_port))
        if usable.any and proxy.localhost_node_ports and proxy.snapshot.settings.proxy.nfacct:
            seen = ((TO, "127.0.0.0/8"), number, (COUNTER, "localhost_nps_accepted_pkts"))
            yield rule(place, (COMMENT, name), protocol, *seen, target=external)
        if usable.any:
            yield rule(place, (COMMENT, name), protocol, number, target=external)
        if unused:
            yield rule("filter KUBE-EXTERNAL-SERVICES", lack, TO_LOCAL, protocol, number, target=refusal)
    if port.health_check_port:
        checked = ((COMMENT, f"{name} health check node port"), (PROTOCOL, "tcp"), (PORT, str(port.health_check_port)))
        yield rule("filter KUBE-NODEPORTS", *checked, target="ACCEPT")


def _protocol(port: ProxiedPort) -> Condition:
    return PROTOCOL, port.port.protocol.lower()


def _internal_chain(port: ProxiedPort) -> str:
    return port.chain("SVL" if port.internal_local else "SVC")


def _internal(proxy: Proxy, port: ProxiedPort, usable: Usable) -> Iterator[Rule]:
    """Masquerade of what comes to the cluster IP from elsewhere than a Pod."""
    everything = proxy.snapshot.settings.proxy.masquerade_all
    if (everything or proxy.pod_range) and (usable.local or not port.internal_local):
        here = (_protocol(port), (TO, port.cluster_ip), (PORT, str(port.port.port)))
        others = None if everything else (f"! {FROM}", proxy.pod_range)
        comment = (COMMENT, f"{port.name} cluster IP")
        yield rule(f"nat {_internal_chain(port)}", comment, *here, others, target="KUBE-MARK-MASQ")


def _external(proxy: Proxy, port: ProxiedPort, usable: Usable) -> Iterator[Rule]:
    """What comes to any other address: short cuts and masquerade, then source ranges."""
    place, cluster, others = f"nat {port.chain('EXT')}", port.chain("SVC"), f"for {port.name} external destinations"
    if port.external and not port.external_local:
        yield rule(place, (COMMENT, f"masquerade traffic {others}"), target="KUBE-MARK-MASQ")
        yield rule(place, target=cluster)
    elif port.external:
        if proxy.pod_range:
            yield rule(place, (COMMENT, f"pod traffic {others}"), (FROM, proxy.pod_range), target=cluster)
        yield rule(place, (COMMENT, f"masquerade LOCAL traffic {others}"), FROM_LOCAL, target="KUBE-MARK-MASQ")
        yield rule(place, (COMMENT, f"route LOCAL traffic {others}"), FROM_LOCAL, target=cluster)
        if usable.local:
            yield rule(place, target=port.chain("SVL"))
    if port.source_ranges and port.load_balancer_ips:
        place = f"nat {port.chain('FW')}"
        for source in (*port.source_ranges, *(port.load_balancer_ips if proxy.admits_itself(port) else ())):
            yield rule(place, (COMMENT, f"{port.name} loadbalancer IP"), (FROM, source), target=port.chain("EXT"))
        yield rule(place, (COMMENT, f"other traffic to {port.name} will be dropped by KUBE-PROXY-FIREWALL"))


def _endpoints(port: ProxiedPort, usable: Usable, large: bool) -> Iterator[Rule]:
    """The chains that choose an endpoint, and each endpoint's own."""
    cluster = usable.cluster if port.external or not port.internal_local else ()
    local = usable.local if port.internal_local or (port.external_local and port.external) else ()
    yield from (*_choice(port, "SVC", cluster, large), *_choice(port, "SVL", local, large))
    for backend in sorted({*cluster, *local}, key=str):
        chain, comment = port.chain("SEP", backend), None if large else (COMMENT, port.name)
        remember = (RECENT, f"{chain} --set") if port.service.affinity_seconds else None
        yield rule(f"nat {chain}", comment, (FROM, backend.ip), target="KUBE-MARK-MASQ")
        yield rule(f"nat {chain}", comment, remember, _protocol(port), target=f"DNAT --to-destination {backend}")


def _choice(port: ProxiedPort, kind: str, backends: tuple[Backend, ...], large: bool) -> Iterator[Rule]:
    """One of n alike: each rule but the last takes its share of what the rules before it left."""
    place, seconds = f"nat {port.chain(kind)}", port.service.affinity_seconds
    listed = [(None if large else (COMMENT, f"{port.name} -> {b}"), port.chain("SEP", b)) for b in backends]
    for comment, chain in listed if seconds else ():
        yield rule(place, comment, (RECENT, f"{chain} --rcheck --seconds {seconds} --reap"), target=chain)
    for left, (comment, chain) in zip(range(len(listed), 0, -1), listed, strict=True):
        yield rule(place, comment, (CHANCE, probability(left)) if left > 1 else None, target=chain)


def probability(n: int) -> str:
    """How the chance of one among n is written."""
    return f"{1 / n:.10f}"


def _last(proxy: Proxy) -> Iterator[Rule]:
    """The way to node ports, and what may pass through the node."""
    refused = "::1/128" if proxy.family == "IPv6" else "" if proxy.localhost_node_ports else "127.0.0.0/8"
    everywhere = (TO_LOCAL, (f"! {TO}", refused) if refused else None)
    for where in [((TO, ip),) for ip in proxy.node_port_ips] if proxy.node_port_cidrs else [everywhere]:
        yield rule("nat KUBE-SERVICES", (COMMENT, NODE_PORTS), *where, target="KUBE-NODEPORTS")
    place, settings = "filter KUBE-FORWARD", proxy.snapshot.settings.proxy
    if not settings.conntrack_tcp_liberal:
        counter = (COUNTER, "ct_state_invalid_dropped_pkts") if settings.nfacct else None
        yield rule(place, (STATE, "INVALID"), counter, target="DROP")
    yield rule(place, (COMMENT, "kubernetes forwarding rules"), (MARK, "0x4000/0x4000"), target="ACCEPT")
    known = (STATE, "RELATED,ESTABLISHED")
    yield rule(place, (COMMENT, "kubernetes forwarding conntrack rule"), known, target="ACCEPT")


def restored(made: Rule) -> str:
    """A rule as kube-proxy gives it to iptables-restore."""
    words = [f"-A {made.chain}"]
    for option, value in made.conditions:
        words.append(f"{option.format(value)} " + (f'"{value}"' if option == COMMENT and " " in value else value))
    return " ".join([*words, *([f"-j {made.target}"] if made.target else [])])


# What ``iptables-save`` spells otherwise. {mask} and {icmp} depend on the family.
RESPELT = (
    (r"-m recent --name (\S+) (--set|--rcheck .*--reap)", r"-m recent \2 --name \1 --mask {mask} --rsource"),
    (r"-j MARK --or-mark 0x4000", "-j MARK --set-xmark 0x4000/0x4000"),
    (r"-j MARK --xor-mark 0x4000", "-j MARK --set-xmark 0x4000/0x0"),
    (r"-j REJECT", "-j REJECT --reject-with {icmp}-port-unreachable"),
    (r"--nfacct-name ", "--nfacct-name  "),
)
FAMILIES = {
    "IPv4": (32, {"mask": "255.255.255.255", "icmp": "icmp"}),
    "IPv6": (128, {"mask": "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "icmp": "icmp6"}),
}


def saved(made: Rule, family: str = "IPv4") -> str:
    """A rule as ``iptables-save`` prints it: addresses and protocol first, with prefix lengths, defaults spelt out."""
    full_length, words = FAMILIES[family]
    front, rest = {FROM: "", TO: "", PROTOCOL: ""}, []
    for option, value in made.conditions:
        if option[-2:] in (FROM, TO):
            front[option[-2:]] = f" {option} {value if '/' in value else f'{value}/{full_length}'}"
        elif option == PROTOCOL:
            front[option] = f" -p {value}"
            rest.append((f"-m {value}", ""))
        elif option == CHANCE:
            rest.append((option, f"{round(float(value) * 0x80000000) / 0x80000000:.11f}"))
        else:
            rest.append((option, f'"{value}"' if option == COMMENT and not re.fullmatch(r"[\w-]+", value) else value))
    text = f"-A {made.chain}" + "".join(front.values()) + "".join(f" {o} {v}".rstrip() for o, v in rest)
    text += f" -j {made.target}" if made.target else ""
    for before, after in RESPELT:
        text = re.sub(before, after.format(**words), text)
    return text


def save(snapshot: Snapshot, node: str, family: str = "IPv4") -> str:
    """What ``iptables-save`` (``ip6tables-save``) prints on a node: counters at zero, chains by name."""
    lines = []
    for table, made in tables(snapshot, node, family).items():
        own, theirs = BUILT_IN[table], sorted({*TOP_LEVEL[table], *(r.chain for r in made)})
        order = {chain: i for i, chain in enumerate((*own, *theirs))}
        rules = sorted([*jumps(table), *made], key=lambda r: order[r.chain])
        lines += [f"*{table}", *(f":{c} ACCEPT [0:0]" for c in own), *(f":{c} - [0:0]" for c in theirs)]
        lines += [*(saved(r, family) for r in rules), "COMMIT"]
    return "\n".join(lines) + "\n"
