"""The engine behind `reachability`: groups of ends that no rule tells apart, and rules as rectangles over them.

Ends with the same namespace, the same values of the labels that selectors mention, addresses in the same pieces of the
ipBlocks and the same named ports form a group. A set of groups is an integer, one bit for each. Every rule is a
rectangle, a set of clients times a set of servers. A pair of groups is open if some rectangle of the egress rules
and some rectangle of the ingress rules cover it; who is not isolated has a rectangle of its own, towards everyone.
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

from k8snet.controlplane.policies import EGRESS, INGRESS, PeerRule, Policy, Rule, compiled
from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane.policy import DEFINED, Peer
from k8snet.manifests.addresses import family, in_any, in_cidr, parse_cidr, parse_ip
from k8snet.manifests.selectors import Selector


@dataclass(frozen=True, slots=True)
class End:
    """A client or server: a Pod, or a piece of an outside range whose addresses no rule tells apart (``peer`` is one)."""

    name: str
    peer: Peer

    @property
    def place(self) -> str:
        """The namespace; ``node`` for a node and Pods with hostNetwork, ``outside`` for what is no Pod."""
        pod = self.peer.workload
        return pod.namespace if pod else "node" if self.peer.host else "outside"


class Slots:
    """Each family's addresses, cut wherever some ipBlock or exception begins or ends."""

    def __init__(self, policies: Iterable[Policy]) -> None:
        cuts: dict[str, set[int]] = {"IPv4": {0, 1 << 32}, "IPv6": {0, 1 << 128}}
        for peer in _peers(policies):
            for text in (peer.block, *peer.excepts):
                block = parse_cidr(text)
                if block is not None:
                    cuts[f"IPv{block.version}"] |= {int(block[0]), int(block[-1]) + 1}
        self.cuts = {name: sorted(values) for name, values in cuts.items()}

    def of(self, address: str) -> tuple[str, int]:
        """The slot of an address."""
        ip, name = parse_ip(address), family(address)
        return (name, bisect_right(self.cuts[name], int(ip)) - 1) if ip is not None else ("", 0)

    def first(self, slot: tuple[str, int]) -> str:
        """The first address of a slot."""
        return _address(slot[0], self.cuts[slot[0]][slot[1]])

    def pieces(self, block: str) -> list[End]:
        """A CIDR block as ends, one for each slot that it has a part in."""
        network = parse_cidr(block)
        if network is None:
            return [End(block, Peer.ip(block))]
        name, start, stop = f"IPv{network.version}", int(network[0]), int(network[-1]) + 1
        edges = [start, *(c for c in self.cuts[name] if start < c < stop), stop]
        if len(edges) == 2:
            return [End(str(network), Peer.ip(_address(name, start)))]
        return [
            End(f"{_address(name, a)}-{_address(name, b - 1)}", Peer.ip(_address(name, a))) for a, b in pairwise(edges)
        ]


def _address(family_name: str, number: int) -> str:
    return str(ipaddress.IPv4Address(number) if family_name == "IPv4" else ipaddress.IPv6Address(number))


def _rules(policies: Iterable[Policy]) -> Iterator[Rule]:
    return (rule for p in policies for rule in p.all_rules)


def _peers(policies: Iterable[Policy]) -> Iterator[PeerRule]:
    return (peer for rule in _rules(policies) for peer in rule.peers)


def label_keys(policies: Iterable[Policy]) -> list[str]:
    """The label keys of Pods that some policy mentions."""
    policies = list(policies)
    selectors = [p.selector for p in policies] + [peer.pods for peer in _peers(policies) if peer.pods]
    return sorted({r.key for s in selectors for r in s.requirements})


def group(
    ends: Iterable[End], policies: Sequence[Policy], slots: Slots, port: int, protocol: str
) -> tuple[dict[str, int], list[Peer]]:
    """The group of each end, and one member of each group."""
    keys = label_keys(policies)
    names = sorted({p.name for rule in _rules(policies) for p in rule.ports if p.name and p.protocol == protocol})
    numbers: dict[Any, int] = {}
    group_of: dict[str, int] = {}
    leaders: list[Peer] = []
    for end in ends:
        pod = end.peer.workload
        print_ = (
            end.place,
            tuple(map(slots.of, end.peer.addresses)),
            tuple([pod.labels.get(k) for k in keys]) if pod else (),
            tuple([pod.named_port(n, protocol) == port for n in names]) if pod and names else (),
        )
        number = numbers.setdefault(print_, len(leaders))
        if number == len(leaders):
            leaders.append(end.peer)
        group_of[end.name] = number
    return group_of, leaders


class Masks:
    """Sets of groups as integers, by what rules can ask for."""

    def __init__(self, snapshot: Snapshot, leaders: Sequence[Peer], slots: Slots, port: int, protocol: str) -> None:
        self.snapshot, self.slots, self.port, self.protocol = snapshot, slots, port, protocol
        self.count = len(leaders)
        self.everyone = (1 << self.count) - 1
        self.pods = 0
        self.leaders = leaders
        self.namespace: dict[str, int] = defaultdict(int)
        self.label: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self.slot: dict[tuple[str, int], int] = defaultdict(int)
        self.families: dict[tuple[str, ...], int] = defaultdict(int)
        for i, peer in enumerate(leaders):
            bit, pod = 1 << i, peer.workload
            self.families[tuple(map(family, peer.addresses))] |= bit
            for ip in peer.addresses:
                self.slot[slots.of(ip)] |= bit
            if pod:
                self.pods |= bit
                self.namespace[pod.namespace] |= bit
                for key, value in pod.labels.items():
                    self.label[key][value] |= bit
        self._known: dict[Any, int] = {}

    def selector(self, selector: Selector) -> int:
        """The Pods that a label selector finds, in any namespace."""
        if selector not in self._known:
            mask = self.pods
            for r in selector.requirements:
                values = self.label.get(r.key, {})
                positive = r.operator in ("In", "Exists")
                some = 0
                for value, bits in values.items():
                    if r.operator in ("Exists", "DoesNotExist") or value in r.values:
                        some |= bits
                mask &= some if positive else ~some
            self._known[selector] = mask
        return self._known[selector]

    def peer(self, peer: PeerRule) -> int:
        """The Pods that a peer's selectors find."""
        if peer.namespaces is None:
            return self.selector(peer.pods) & self.namespace.get(peer.namespace, 0) if peer.pods is not None else 0
        key = ("namespaces", peer.namespaces)
        if key not in self._known:
            labels = self.snapshot.namespace_labels
            self._known[key] = sum(m for n, m in self.namespace.items() if peer.namespaces.matches(labels(n)))
        return self._known[key] & (self.selector(peer.pods) if peer.pods is not None else self.pods)

    def block(self, peer: PeerRule) -> int:
        """The ends that have an address in a peer's ipBlock."""
        mask = 0
        for slot, bits in self.slot.items():
            if slot[0] and in_cidr(first := self.slots.first(slot), peer.block) and not in_any(first, peer.excepts):
                mask |= bits
        return mask

    def ports(self, rule: Rule) -> int:
        """The servers on which a rule's ports hold: all, or, for names, the Pods whose port of that name it is."""
        mask = 0 if rule.ports else self.everyone
        for p in rule.ports:
            if p.protocol == self.protocol and not p.name and p.first <= self.port <= p.last:
                return self.everyone
            if p.protocol == self.protocol and p.name:
                mask |= self._port_name(p.name)
        return mask

    def _port_name(self, name: str) -> int:
        key = ("port", name)
        if key not in self._known:
            pods = ((i, peer.workload) for i, peer in enumerate(self.leaders))
            self._known[key] = sum(1 << i for i, p in pods if p and p.named_port(name, self.protocol) == self.port)
        return self._known[key]


def paint(masks: Masks, policies: Iterable[Policy], enforced: bool) -> tuple[tuple[int, ...], dict[str, int]]:
    """What each group reaches, and which groups are isolated in each direction."""
    isolated = {INGRESS: 0, EGRESS: 0}
    rectangles: dict[str, dict[int, int]] = {INGRESS: defaultdict(int), EGRESS: defaultdict(int)}
    for p in policies:
        own = masks.selector(p.selector) & masks.namespace.get(p.namespace, 0)
        for direction in (INGRESS, EGRESS):
            if p.rules(direction) is not None:
                isolated[direction] |= own
            for rule in p.rules(direction) or () if masks.protocol in DEFINED and own else ():
                ports = masks.ports(rule)
                for here, there in _sides(masks, rule, own, direction):
                    if direction == INGRESS:
                        rectangles[direction][there] |= here & ports
                    else:
                        rectangles[direction][here] |= there & ports
    if not enforced:
        return (masks.everyone,) * masks.count, isolated
    rectangles[EGRESS][masks.everyone & ~isolated[EGRESS]] |= masks.everyone
    rectangles[INGRESS][masks.everyone] |= masks.everyone & ~isolated[INGRESS]
    egress, ingress = (_cover(rectangles[d], masks) for d in (EGRESS, INGRESS))
    return tuple(e & i for e, i in zip(egress, ingress, strict=True)), isolated


def _sides(masks: Masks, rule: Rule, own: int, direction: str) -> Iterator[tuple[int, int]]:
    """The rectangles of one rule, as (the isolated Pods, the other ends). An ipBlock sees the one address of the other
    end that the pair uses: that of the server's first family which the client has too."""
    if not rule.peers:
        yield own, masks.everyone
        return
    there = 0
    for peer in rule.peers:
        if not peer.block:
            there |= masks.peer(peer)
            continue
        name, block = family(peer.block), masks.block(peer)
        for (mine, here_bits), (theirs, there_bits) in product(masks.families.items(), repeat=2):
            client, server = (theirs, mine) if direction == INGRESS else (mine, theirs)
            if next((f for f in server if f in client), theirs[0] if theirs else "") == name:
                yield own & here_bits, block & there_bits
    yield own, there


def _cover(rectangles: Mapping[int, int], masks: Masks) -> list[int]:
    """The union of rectangles (clients to servers) as one row of servers for each client."""
    rows = [rectangles.get(masks.everyone, 0)] * masks.count
    for clients, servers in rectangles.items():
        if clients != masks.everyone and servers:
            while clients:
                low = clients & -clients
                rows[low.bit_length() - 1] |= servers
                clients ^= low
    return rows


# ports


@dataclass(frozen=True, slots=True)
class PortClass:
    """Ports of one protocol that no rule tells apart; ``port`` is one of them."""

    protocol: str
    ranges: tuple[tuple[int, int], ...]

    @property
    def port(self) -> int:
        """A port of the class, to ask with."""
        return self.ranges[0][0]

    def __str__(self) -> str:
        return f"{self.protocol} " + ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in self.ranges)


def port_classes(snapshot: Snapshot) -> tuple[PortClass, ...]:
    """Every (port, protocol) class that any rule distinguishes: a reachability for each is the whole truth."""
    entries = list(dict.fromkeys(p for rule in _rules(compiled(snapshot).all) for p in rule.ports))
    found = []
    for protocol in DEFINED:
        rules = [p for p in entries if p.protocol == protocol]
        names = {p.name for p in rules if p.name}
        numbers = {
            p.port for pod in snapshot.pods.values() for p in pod.ports if p.protocol == protocol and p.name in names
        }
        plain = [p for p in rules if not p.name]
        edges = {
            1,
            65536,
            *(e for p in plain for e in (max(p.first, 1), p.last + 1)),
            *(e for n in numbers for e in (n, n + 1)),
        }
        classes: dict[Any, list[tuple[int, int]]] = defaultdict(list)
        for a, b in pairwise(sorted(edges)):
            classes[a if a in numbers else 0, *(p.first <= a <= p.last for p in plain)].append((a, b - 1))
        found += [PortClass(protocol, tuple(ranges)) for ranges in classes.values()]
    return tuple(found)
