"""The engine behind `reachability`: groups of ends that no rule tells apart, and rules as rectangles over them.

Ends with the same namespace, the same values of the labels that selectors mention, addresses in the same slots between
the ipBlocks and the same named ports form a group. A set of groups is an integer, one bit for each. Every rule is a
rectangle, a set of clients times a set of servers. A pair of groups is open if some rectangle of the egress rules
and some rectangle of the ingress rules cover it; who is not isolated has a rectangle of its own, towards everyone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise, product
from typing import Any

from k8snet.controlplane.policies import EGRESS, INGRESS, PeerRule, Policy, Rule, compiled
from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane.policy import DEFINED, Peer
from k8snet.manifests.addresses import IPNetwork, family, in_any, in_cidr, parse_cidr, parse_ip
from k8snet.manifests.selectors import Selector

_ADDRESS = {"IPv4": IPv4Address, "IPv6": IPv6Address}


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


@dataclass(frozen=True, slots=True)
class Solution:
    """The group of each end by name, what each group reaches (a sign for each group: ``.`` open, ``X`` closed, ``~``
    undefined), and the sets of groups that are isolated, by direction."""

    group_of: Mapping[str, int]
    rows: tuple[str, ...]
    isolated: Mapping[str, int]


def solve(snapshot: Snapshot, ends: Iterable[End], slots: Slots, port: int, protocol: str) -> Solution:
    """All pairs of *ends* on one port and protocol."""
    policies = compiled(snapshot).all
    group_of, leaders = _group(ends, policies, slots, port, protocol)
    masks = _Masks(snapshot, leaders, slots, port, protocol)
    isolated, rectangles = _rectangles(masks, policies)
    enforced = snapshot.settings.enforce_policy
    free = {d: masks.everyone & ~mask if enforced else masks.everyone for d, mask in isolated.items()}
    rectangles[EGRESS][free[EGRESS]] |= masks.everyone
    rectangles[INGRESS][masks.everyone] |= free[INGRESS]
    signs, width = str.maketrans("01", "X." if protocol in DEFINED else "~."), len(leaders)
    both = zip(_cover(rectangles[EGRESS], width), _cover(rectangles[INGRESS], width), strict=True)
    return Solution(group_of, tuple(f"{e & i:0{width}b}"[::-1].translate(signs) for e, i in both), isolated)


class Slots:
    """Each family's addresses, cut wherever some ipBlock or exception begins or ends."""

    def __init__(self, policies: Iterable[Policy]) -> None:
        cuts: dict[str, set[int]] = {"IPv4": {0}, "IPv6": {0}}
        for text in (text for peer in _peers(policies) for text in (peer.block, *peer.excepts)):
            if block := parse_cidr(text):
                cuts[f"IPv{block.version}"] |= {int(block[0]), int(block[-1]) + 1}
        self.cuts = {name: sorted(values) for name, values in cuts.items()}

    def of(self, address: str) -> str:
        """The slot of an address, named by its first address."""
        name, number = family(address), int(parse_ip(address) or 0)
        return str(_ADDRESS[name](self.cuts[name][bisect_right(self.cuts[name], number) - 1]))

    def pieces(self, network: IPNetwork) -> list[End]:
        """A range as ends, one for each slot that it has a part in."""
        name, start, stop = f"IPv{network.version}", int(network[0]), int(network[-1]) + 1
        edges = [start, *(c for c in self.cuts[name] if start < c < stop), stop]
        spans = [(str(_ADDRESS[name](a)), str(_ADDRESS[name](b - 1))) for a, b in pairwise(edges)]
        return [End(f"{a}-{b}" if len(spans) > 1 else str(network), Peer(a)) for a, b in spans]


def _rules(policies: Iterable[Policy]) -> Iterator[Rule]:
    return (rule for p in policies for rule in p.all_rules)


def _peers(policies: Iterable[Policy]) -> Iterator[PeerRule]:
    return (peer for rule in _rules(policies) for peer in rule.peers)


def label_keys(policies: Sequence[Policy]) -> list[str]:
    """The label keys of Pods that some policy mentions."""
    selectors = [*(p.selector for p in policies), *(peer.pods for peer in _peers(policies) if peer.pods)]
    return sorted({r.key for s in selectors for r in s.requirements})


def _group(
    ends: Iterable[End], policies: Sequence[Policy], slots: Slots, port: int, protocol: str
) -> tuple[dict[str, int], list[Peer]]:
    """The group of each end, and one member of each group."""
    keys = label_keys(policies)
    names = sorted({p.name for rule in _rules(policies) for p in rule.ports if p.name and p.protocol == protocol})
    group_of: dict[str, int] = {}
    leaders: dict[Any, tuple[int, Peer]] = {}
    for end in ends:
        traits: list[Any] = [end.place, *map(slots.of, end.peer.addresses)]
        if pod := end.peer.workload:
            traits += [tuple([pod.labels.get(k) for k in keys]), *(pod.named_port(n, protocol) == port for n in names)]
        group_of[end.name], _ = leaders.setdefault(tuple(traits), (len(leaders), end.peer))
    return group_of, [peer for _, peer in leaders.values()]


class _Masks:
    """Sets of groups as integers, by what rules can ask for; each question is answered once."""

    def __init__(self, snapshot: Snapshot, leaders: Sequence[Peer], slots: Slots, port: int, protocol: str) -> None:
        self.snapshot, self.port, self.protocol = snapshot, port, protocol
        self.everyone = (1 << len(leaders)) - 1
        self.pods = [(1 << i, peer.workload) for i, peer in enumerate(leaders) if peer.workload]
        self.namespace: dict[str, int] = defaultdict(int)
        self.label: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self.slot: dict[str, int] = defaultdict(int)
        self.families: dict[tuple[str, ...], int] = defaultdict(int)
        for i, peer in enumerate(leaders):
            self.families[tuple(map(family, peer.addresses))] |= 1 << i
            for slot in map(slots.of, peer.addresses):
                self.slot[slot] |= 1 << i
        for bit, pod in self.pods:
            self.namespace[pod.namespace] |= bit
            for key, value in pod.labels.items():
                self.label[key][value] |= bit
        self.selector, self.namespaces = cache(self._selector), cache(self._namespaces)
        self.port_name = cache(self._port_name)

    def _selector(self, selector: Selector) -> int:
        """The ends whose labels a selector fits, in any namespace; also what has no labels, if it asks for none."""
        mask = self.everyone
        for r in selector.requirements:
            values = self.label.get(r.key, {}).items()
            some = sum(bits for value, bits in values if not r.values or value in r.values)
            mask &= some if r.operator in ("In", "Exists") else ~some
        return mask

    def _namespaces(self, selector: Selector) -> int:
        """The Pods of the Namespaces that a selector fits."""
        labels = self.snapshot.namespace_labels
        return sum(mask for name, mask in self.namespace.items() if selector.matches(labels(name)))

    def _port_name(self, name: str) -> int:
        """The Pods whose port of that name is the one that is asked for."""
        return sum(bit for bit, pod in self.pods if pod.named_port(name, self.protocol) == self.port)

    def peer(self, peer: PeerRule) -> int:
        """The Pods that a peer's selectors find."""
        if peer.namespaces is None:
            return self.selector(peer.pods) & self.namespace.get(peer.ref.namespace, 0) if peer.pods else 0
        return self.namespaces(peer.namespaces) & self.selector(peer.pods or Selector())

    def block(self, peer: PeerRule) -> int:
        """The ends that have an address in a peer's ipBlock."""
        found = (s for s in self.slot if in_cidr(s, peer.block) and not in_any(s, peer.excepts))
        return sum(self.slot[s] for s in found)

    def ports(self, rule: Rule) -> int:
        """The servers on which a rule's ports hold: all, or, for names, the Pods whose port of that name it is."""
        mask = 0 if rule.ports else self.everyone
        for p in (p for p in rule.ports if p.protocol == self.protocol):
            mask |= self.port_name(p.name) if p.name else self.everyone * (p.first <= self.port <= p.last)
        return mask


def _rectangles(masks: _Masks, policies: Iterable[Policy]) -> tuple[dict[str, int], dict[str, dict[int, int]]]:
    """The groups that are isolated, and what rules allow as clients → servers, both by direction."""
    isolated = {INGRESS: 0, EGRESS: 0}
    rectangles: dict[str, dict[int, int]] = {INGRESS: defaultdict(int), EGRESS: defaultdict(int)}
    for p in policies:
        own = masks.selector(p.selector) & masks.namespace.get(p.ref.namespace, 0)
        for direction, rules in p.rules.items() if own else ():
            isolated[direction] |= own
            for rule in rules if masks.protocol in DEFINED else ():
                for here, there in _sides(masks, rule, own, direction):
                    clients, servers = (there, here) if direction == INGRESS else (here, there)
                    rectangles[direction][clients] |= servers & masks.ports(rule)
    return isolated, rectangles


def _sides(masks: _Masks, rule: Rule, own: int, direction: str) -> Iterator[tuple[int, int]]:
    """One rule as sets of (isolated Pods, other ends). An ipBlock sees that address of the other end which the pair
    uses: of the server's first family that the client has too."""
    found = 0 if rule.peers else masks.everyone
    for peer in (p for p in rule.peers if not p.block):
        found |= masks.peer(peer)
    yield own, found
    for peer in (p for p in rule.peers if p.block):
        block = masks.block(peer)
        for (mine, here), (theirs, there) in product(masks.families.items(), repeat=2):
            client, server = (theirs, mine) if direction == INGRESS else (mine, theirs)
            if next((f for f in server if f in client), (*theirs, "")[0]) == family(peer.block):
                yield own & here, block & there


def _cover(rectangles: Mapping[int, int], width: int) -> list[int]:
    """The union of rectangles (clients to servers) as one row of servers for each client."""
    everyone = (1 << width) - 1
    rows = [rectangles.get(everyone, 0)] * width
    for clients, servers in rectangles.items():
        left = clients if clients != everyone and servers else 0
        while left:
            low = left & -left
            rows[low.bit_length() - 1] |= servers
            left ^= low
    return rows


@dataclass(frozen=True, slots=True)
class PortClass:
    """Ports of one protocol that no rule tells apart, as ranges (first, last)."""

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
    rules = [rule for policy in compiled(snapshot).all for rule in policy.all_rules]
    entries = list(dict.fromkeys(entry for rule in rules for entry in rule.ports))
    found = []
    for protocol in DEFINED:
        plain = [(p.first, p.last) for p in entries if p.protocol == protocol and not p.name]
        names = {p.name for p in entries if p.protocol == protocol and p.name}
        ports = [p for pod in snapshot.pods.values() for p in pod.ports if p.protocol == protocol]
        named = {p.port for p in ports if p.name in names}
        edges = {1, 65536, *(e for a, b in [*plain, *((n, n) for n in named)] for e in (max(a, 1), b + 1))}
        classes: dict[Any, list[tuple[int, int]]] = defaultdict(list)
        for a, b in pairwise(sorted(edges)):
            classes[a if a in named else 0, *(first <= a <= last for first, last in plain)].append((a, b - 1))
        found += [PortClass(protocol, tuple(ranges)) for ranges in classes.values()]
    return tuple(found)
