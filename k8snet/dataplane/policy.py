"""Does NetworkPolicy let this connection through, and which rule says so?

The real thing is the network plugin, at the Pod's interface on its node: egress rules at the client's, ingress rules at
the server's, each on the first packet of a connection, after a Service address was rewritten to the Pod's (and, at
the server's node, before that node masquerades). Replies need no rule. A packet that is not allowed is dropped in silence.
Facts: the API documentation of networking.k8s.io/v1 NetworkPolicy; the kubernetes-sigs/kube-network-policies engine
(pkg/networkpolicy/networkpolicy.go) for what the documentation leaves open, such as an ipBlock that covers Pods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from html import escape
from itertools import product
from typing import Any, TypeVar

from k8snet.controlplane.policies import EGRESS, INGRESS, PeerRule, PortRule, Rule, compiled
from k8snet.controlplane.snapshot import Node, Pod, Snapshot
from k8snet.manifests.addresses import family, in_cidr, is_ip, normal
from k8snet.manifests.errors import ApiError
from k8snet.manifests.kinds import Ref
from k8snet.manifests.selectors import Labels, Selector

DEFINED = ("TCP", "UDP", "SCTP")
Entry = TypeVar("Entry", PeerRule, PortRule)


@dataclass(frozen=True, slots=True)
class Peer:
    """One end of a connection: an address, and the Pod or node that has it (None: something outside)."""

    address: str
    who: Pod | Node | None = None

    @classmethod
    def of(cls, who: Pod | Node, address: str = "") -> Peer:
        """A Pod, or a node itself (kubelet and the like), by one of its addresses (the primary one if not said)."""
        return cls(address or who.ip, who)

    @property
    def workload(self) -> Pod | None:
        """The Pod, if it has a network of its own: only such a Pod is isolated, and only such a one do selectors find."""
        return self.who if isinstance(self.who, Pod) and not self.who.host_network else None

    @property
    def host(self) -> str:
        """The name of the node whose own network this is: a node's, or that of a Pod with hostNetwork."""
        if isinstance(self.who, Node):
            return self.who.name
        return self.who.node if isinstance(self.who, Pod) and self.who.host_network else ""

    @property
    def addresses(self) -> tuple[str, ...]:
        """All addresses of this end, the primary one of each family; a node by another address has only that one."""
        if isinstance(self.who, Pod):
            return self.who.ips
        if isinstance(self.who, Node) and self.address in self.who.internal_ips:
            return self.who.internal_ips
        return (self.address,)

    def __str__(self) -> str:
        if isinstance(self.who, Pod):
            return f"Pod {self.who.key}" + (" (hostNetwork)" if self.who.host_network else "")
        return f"node {self.who.name}" if self.who else self.address


def peer_at(snapshot: Snapshot, address: str) -> Peer:
    """Whoever has an address: a Pod, a node, or something outside."""
    address = normal(address)
    return Peer(address, snapshot.pod_by_ip.get(address) or snapshot.node_by_ip.get(address))


def peer(snapshot: Snapshot, text: str) -> Peer:
    """The end that a person names: an IP address, ``namespace/name`` of a Pod, or a Pod's name in namespace default.

    Raises ApiError NotFound, in the API server's words.
    """
    if is_ip(text):
        return peer_at(snapshot, text)
    namespace, _, name = text.rpartition("/")
    pod = snapshot.pods.get(f"{namespace or 'default'}/{name}")
    if pod is None:
        elsewhere = sorted(p.key for p in snapshot.pods.values() if p.name == name)
        hint = f"there is {', '.join(elsewhere[:3])}; a name alone means namespace default" if elsewhere else ""
        raise ApiError(404, "NotFound", f'pods "{name}" not found', hint=hint)
    return Peer.of(pod)


@dataclass(frozen=True, slots=True)
class Check:
    """One entry of a rule, held against the connection: the field, whether it is met, and by what or why not."""

    ref: Ref
    met: bool
    text: str


@dataclass(frozen=True, slots=True)
class Tried:
    """One rule, tried. If it allows, ``checks`` are the entries that did; if not, what failed first in each alternative."""

    rule: Ref
    allowed: bool
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class SideVerdict:
    """What one end's policies say. Truthy if they let the connection through; ``allowed`` is None where undefined.

    ``policies`` are those that isolate the Pod, ``tried`` their rules up to the one that allowed, ``rule`` the field
    that decided (None if no policy had a say), ``note`` what the API leaves open about this answer.
    """

    direction: str
    end: str
    allowed: bool | None
    why: str
    policies: tuple[Ref, ...] = ()
    tried: tuple[Tried, ...] = ()
    rule: Ref | None = None
    note: str = ""

    def __bool__(self) -> bool:
        return bool(self.allowed)

    def lines(self) -> Iterator[tuple[int, str]]:
        """The account in full, as depth and text."""
        yield 0, f"{self.direction}, {self.end}: {_WORD[self.allowed]}: {self.why}"
        for p in self.policies:
            yield 1, f"isolated by {p}"
        for t in self.tried:
            yield 1, f"{'allows' if t.allowed else 'does not match'}: {t.rule}"
            for c in t.checks:
                yield 2, f"{'met' if c.met else 'not met'}: {c.ref.field}: {c.text}"
        if self.note:
            yield 1, f"note: {self.note}"


_WORD = {True: "allowed", False: "blocked", None: "undefined"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether policy lets a connection through: both ends must agree. Truthy if so."""

    source: Peer
    destination: Peer
    port: int
    protocol: str
    egress: SideVerdict
    ingress: SideVerdict

    @property
    def allowed(self) -> bool | None:
        """True, False, or None where Kubernetes does not define the answer."""
        both = self.egress.allowed, self.ingress.allowed
        return False if False in both else None if None in both else True

    @property
    def blocked_by(self) -> tuple[SideVerdict, ...]:
        """The ends that block it."""
        return tuple(s for s in (self.egress, self.ingress) if s.allowed is False)

    @property
    def undefined(self) -> str:
        """Why there is no defined answer; empty if there is one."""
        return "" if self.allowed is not None else next(s.why for s in (self.egress, self.ingress) if s.allowed is None)

    def __bool__(self) -> bool:
        return bool(self.allowed)

    def _title(self) -> str:
        what = f"port {self.port}/{self.protocol}" if self.protocol in DEFINED else self.protocol
        return f"{self.source} to {self.destination}, {what}: {_WORD[self.allowed]}"

    def __str__(self) -> str:
        lines = [*self.egress.lines(), *self.ingress.lines()]
        return "\n".join([self._title(), *(f"{'  ' * (depth + 1)}{text}" for depth, text in lines)])

    __repr__ = __str__

    def to_html(self) -> str:
        """The same account as a list that unfolds, without script or style: it survives in an untrusted notebook."""
        parts = [f"<p><strong>{escape(self._title())}</strong></p>"]
        for side in (self.egress, self.ingress):
            (_, head), *rest = side.lines()
            items = "".join(f"<li>{'&nbsp;' * 4 * (depth - 1)}{escape(text)}</li>" for depth, text in rest)
            parts.append(f"<details open><summary>{escape(head)}</summary><ul>{items}</ul></details>")
        return "".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data (JSON); references and ends as text."""
        return {**_plain(self), "allowed": self.allowed, "undefined": self.undefined}


def _plain(value: Any) -> Any:
    if isinstance(value, (Ref, Peer)):
        return str(value)
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return {f.name: _plain(getattr(value, f.name)) for f in fields(value)} if is_dataclass(value) else value


def verdict(snapshot: Snapshot, source: Peer, destination: Peer, port: int, protocol: str = "TCP") -> Verdict:
    """What policy says to a new connection from *source* to *destination* itself (no Service address between).

    *port* is the destination's own port. With Pods of two families, both ends use the destination's first family that
    the source has too.
    """
    source, destination = _one_family(source, destination)
    egress, ingress = (side(snapshot, d, source, destination, port, protocol) for d in (EGRESS, INGRESS))
    return Verdict(source, destination, port, protocol.upper(), egress, ingress)


def _one_family(source: Peer, destination: Peer) -> tuple[Peer, Peer]:
    for there, here in product(destination.addresses, source.addresses):
        if family(here) == family(there):
            return Peer(here, source.who), Peer(there, destination.who)
    return source, destination


def side(
    snapshot: Snapshot, direction: str, source: Peer, destination: Peer, port: int, protocol: str = "TCP"
) -> SideVerdict:
    """What the policies at one end say, in the order in which the plugin takes the decision.

    Egress is to be asked at the source's node, with the destination after any DNAT; Ingress at the destination's node,
    with the source as the packet carries it there (`peer_at` finds who that is).
    """
    here, there = (source, destination) if direction == EGRESS else (destination, source)
    pod, protocol = here.workload, protocol.upper()
    if pod is None:
        why = _HOST_NETWORK if isinstance(here.who, Pod) else "policies isolate Pods only"
        return SideVerdict(direction, str(here), True, why)
    policies = compiled(snapshot).selecting(pod, direction)
    refs = tuple(p.ref for p in policies)
    answer = partial(SideVerdict, direction, str(here), policies=refs)
    if not snapshot.settings.enforce_policy:
        return answer(True, "nothing in this cluster enforces NetworkPolicy: the network plugin ignores it")
    if there.workload is not None and there.workload.key == pod.key:
        return answer(True, "a Pod always reaches itself")
    own_node = bool(there.host) and there.host == pod.node
    if direction == INGRESS and own_node:
        return answer(True, f"node {pod.node} always reaches the Pods that it runs")
    # a tier above NetworkPolicy would decide here
    if not policies:
        # a tier below NetworkPolicy would decide here
        return answer(True, f"no policy selects it for {direction}, so it is not isolated")
    if protocol not in DEFINED:
        return answer(None, f"NetworkPolicy is defined for TCP, UDP and SCTP; what it does to {protocol} is not")
    tried: tuple[Tried, ...] = ()
    for rule in (rule for policy in policies for rule in policy.rules[direction]):
        tried += (try_rule(snapshot, rule, there, destination.workload, port, protocol),)
        if tried[-1].allowed:
            by = tried[-1].checks[0].ref
            note = _BLOCK_NOTE if isinstance(there.who, Pod) and by.field.endswith("ipBlock") else ""
            return answer(True, "a rule allows it", tried=tried, rule=by, note=note)
    why = f"it is isolated for {direction}, and " + ("none of the rules matches" if tried else "there is no rule")
    note = _NODE_NOTE if own_node else ""
    return answer(False, why, tried=tried, rule=refs[0].at("spec.podSelector"), note=note)


_HOST_NETWORK = "its network is its node's (hostNetwork): the API leaves this open, and plugins do not isolate it"
_BLOCK_NOTE = "ipBlock matched a Pod by its present address; its successor gets another (F27)"
_NODE_NOTE = "the documentation lets a Pod reach its own node always; most plugins hold it to the rules, as here"


def try_rule(snapshot: Snapshot, rule: Rule, there: Peer, server: Pod | None, port: int, protocol: str) -> Tried:
    """One rule against one connection: one of its peers must match the other end *there*, and one of its ports."""
    anyone, every = Check(rule.ref, True, f"no {rule.side}: anyone"), Check(rule.ref, True, "no ports: every port")
    peers = _alternatives(rule.peers, lambda p: _check_peer(snapshot, p, there)) or (anyone,)
    if not peers[-1].met:
        return Tried(rule.ref, False, peers)
    ports = _alternatives(rule.ports, lambda p: _check_port(p, server, port, protocol)) or (every,)
    return Tried(rule.ref, ports[-1].met, peers + ports)


def _alternatives(entries: Sequence[Entry], check: Callable[[Entry], Check]) -> tuple[Check, ...]:
    """The first entry that is met, or what failed in each; nothing if there are no entries."""
    checks = []
    for entry in entries:
        checks.append(check(entry))
        if checks[-1].met:
            return (checks[-1],)
    return tuple(checks)


def _check_peer(snapshot: Snapshot, peer: PeerRule, there: Peer) -> Check:
    part, problem = _block_problem(peer, there) if peer.block else _selector_problem(snapshot, peer, there)
    met = f"{there.address} is in {peer.block}" if peer.block else f"selects {there}"
    return Check(peer.ref.at(peer.ref.field + part), not problem, problem or met)


def _block_problem(peer: PeerRule, there: Peer) -> tuple[str, str]:
    """The part of the entry that decides, and why it does not take the other end; empty if it does."""
    if not in_cidr(there.address, peer.block):
        return ".ipBlock", f"{there.address or there} is not in {peer.block}"
    hole = next((e for e in peer.excepts if in_cidr(there.address, e)), None)
    return (".ipBlock.except", f"{there.address} is in the exception {hole}") if hole else (".ipBlock", "")


def _selector_problem(snapshot: Snapshot, peer: PeerRule, there: Peer) -> tuple[str, str]:
    """As `_block_problem`."""
    pod, own = there.workload, peer.ref.namespace
    if pod is None:
        return "", f"selectors find Pods with an address of their own, and {there} is none"
    if peer.namespaces is not None:
        labels = snapshot.namespace_labels(pod.namespace)
        if text := _lacks(peer.namespaces, labels, f"Namespace {pod.namespace}"):
            return ".namespaceSelector", text
    elif peer.pods is None:
        return "", "an empty entry matches nobody"
    elif pod.namespace != own:
        return ".podSelector", f"alone it means namespace {own}; {there} is in {pod.namespace}"
    text = _lacks(peer.pods, pod.labels, str(there)) if peer.pods else ""
    return (".podSelector", text) if text else ("", "")


def _lacks(selector: Selector, labels: Labels, whose: str) -> str:
    """The first condition that labels do not meet, in words; empty if all are met."""
    failed = selector.first_failure(labels)
    if failed is None:
        return ""
    value = labels.get(failed.key)
    return f"wants {failed}; {whose} has {'no label ' + failed.key if value is None else f'{failed.key}={value}'}"


def _check_port(rule: PortRule, server: Pod | None, port: int, protocol: str) -> Check:
    asked = f"{port}/{protocol}"
    if rule.protocol != protocol:
        return Check(rule.ref.at(f"{rule.ref.field}.protocol"), False, f"is {rule}, not {protocol}")
    if not rule.name:
        met = rule.first <= port <= rule.last
        return Check(rule.ref, met, f"{asked} is in {rule}" if met else f"is {rule}, not {asked}")
    number = server.named_port(rule.name, protocol) if server else None
    if server is None or number is None:
        whose = f"Pod {server.key} has" if server else "the destination is no Pod with its own address, so it has"
        return Check(rule.ref, False, f"{whose} no {protocol} port named {rule.name}")
    text = f"port {rule.name} of Pod {server.key} is {number}"
    return Check(rule.ref, number == port, text if number == port else f"{text}, not {port}")
