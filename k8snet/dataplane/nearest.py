"""The nearest miss: what single change would turn a verdict round.

For a blocked pair, changes are read off the conditions that failed (a label, a port, a protocol, a dash), and each is
tried: made on a copy of the objects, and the verdict asked again. So what is proposed is what works.
For an allowed pair, the rules that would have to go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from k8snet.controlplane.policies import EGRESS, SIDES, PeerRule, Policy, Rule, compiled
from k8snet.controlplane.snapshot import Pod, Snapshot
from k8snet.dataplane import policy
from k8snet.dataplane.policy import Peer, SideVerdict, Tried, Verdict
from k8snet.manifests.kinds import Object, Ref, ref
from k8snet.manifests.selectors import Labels, Selector

SIZES = ("label", "protocol", "port", "namespace", "dash", "peer", "rule")
_NAME = "kubernetes.io/metadata.name"


@dataclass(frozen=True, slots=True)
class Change:
    """One edit: ``value`` stands at the field of ``ref`` instead. ``kind`` is one of `SIZES`, small to large; ``text``
    says how things would be."""

    kind: str
    ref: Ref
    value: Any = field(hash=False)
    text: str

    def apply(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot with this edit made."""
        objects = [o for kind in ("Namespace", "Node", "Pod", "NetworkPolicy") for o in snapshot.objects(kind)]
        edited = [self._edit(o) if ref(o, self.ref.field) == self.ref else o for o in objects]
        return Snapshot(edited, snapshot.settings, snapshot)

    def _edit(self, obj: Object) -> Object:
        copy, steps = deepcopy(obj), _steps(self.ref.field)
        _look(copy, steps[:-1])[steps[-1]] = self.value
        return copy

    def __str__(self) -> str:
        return self.text


def _steps(path: str) -> list[str | int]:
    return [int(step) if step.isdigit() else step for step in re.findall(r"[^.\[\]]+", path)]


def _look(obj: Any, steps: list[str | int]) -> Any:
    for step in steps:
        obj = obj.setdefault(step, {}) if isinstance(obj, dict) else obj[step]
    return obj


@dataclass(frozen=True, slots=True)
class NearestMiss:
    """For a blocked pair ``changes``, one for each end that blocks. For an allowed pair ``rules`` by direction: at one
    of the ends all of them would have to go."""

    changes: tuple[Change, ...] = ()
    rules: tuple[tuple[str, tuple[Ref, ...]], ...] = ()

    def __str__(self) -> str:
        if self.changes:
            return "it would be allowed if " + ", and ".join(map(str, self.changes))
        ends = [f"{' and '.join(map(str, refs))} ({direction})" for direction, refs in self.rules if refs]
        return f"it would be blocked without {', or without '.join(ends)}" if ends else "no rule decides it"


def nearest_miss(snapshot: Snapshot, verdict: Verdict) -> NearestMiss:
    """The smallest single change at each end that blocks; where the verdict is allowed, the rules that allow it."""
    if not verdict.allowed:
        return NearestMiss(tuple(_smallest(snapshot, verdict, side) for side in verdict.blocked_by))
    rules = []
    for side in (s for s in (verdict.egress, verdict.ingress) if s.rule):
        allowing = (rule.ref for _, rule, tried in _tried(snapshot, verdict, side) if tried.allowed)
        rules.append((side.direction, tuple(allowing)))
    return NearestMiss(rules=tuple(rules))


def _smallest(snapshot: Snapshot, verdict: Verdict, side: SideVerdict) -> Change:
    """The smallest change after which this end does not block any more, nor one that did not before."""
    others = {s.direction for s in verdict.blocked_by} - {side.direction}
    for change in sorted(_candidates(snapshot, verdict, side), key=lambda c: SIZES.index(c.kind)):
        after, ends = change.apply(snapshot), (verdict.source, verdict.destination)
        a, b = (Peer(e.address, after.pods[e.who.key]) if isinstance(e.who, Pod) else e for e in ends)
        again = policy.verdict(after, a, b, verdict.port, verdict.protocol)
        if {s.direction for s in again.blocked_by} <= others:
            return change
    raise AssertionError("a rule of its own always works")


def _tried(snapshot: Snapshot, verdict: Verdict, side: SideVerdict) -> Iterator[tuple[Policy, Rule, Tried]]:
    """Every rule of one end, tried, with the policy that it stands in."""
    other, server = _other(verdict, side), verdict.destination.workload
    for p in _policies(snapshot, verdict, side):
        for rule in p.rules[side.direction]:
            yield p, rule, policy.try_rule(snapshot, rule, other, server, verdict.port, verdict.protocol)


def _policies(snapshot: Snapshot, verdict: Verdict, side: SideVerdict) -> tuple[Policy, ...]:
    """The policies that isolate one end; to be asked only where a policy had a say."""
    own = (verdict.source if side.direction == EGRESS else verdict.destination).workload
    return compiled(snapshot).selecting(own, side.direction) if own else ()


def _other(verdict: Verdict, side: SideVerdict) -> Peer:
    return verdict.destination if side.direction == EGRESS else verdict.source


def _candidates(snapshot: Snapshot, verdict: Verdict, side: SideVerdict) -> Iterator[Change]:
    name, peers, other = side.direction.lower(), SIDES[side.direction], _other(verdict, side)
    asked, entry = f"{verdict.port}/{verdict.protocol}", {"port": verdict.port, "protocol": verdict.protocol}
    for p, rule, tried in _tried(snapshot, verdict, side):
        written = _look(p.obj, _steps(rule.ref.field))
        if not tried.checks[0].met:
            items = written[peers]
            for number, peer in enumerate(rule.peers):
                yield from _peer_changes(snapshot, rule, peer, other, items, number)
            text = f"{rule.ref} had one more item in {peers}, for {other}"
            yield Change("peer", _at(rule.ref, peers), [*items, _peer_for(other)], text)
        for port in rule.ports:
            fits = not port.name and port.first <= verdict.port <= port.last
            text = f"{rule.ref} had an entry for {asked} beside {port}"
            yield Change("protocol" if fits else "port", _at(rule.ref, "ports"), [*written["ports"], entry], text)
    for p in _policies(snapshot, verdict, side):
        rules = [*((p.obj.get("spec") or {}).get(name) or ()), {peers: [_peer_for(other)], "ports": [entry]}]
        text = f"{p.ref} had one more {name} rule, for {other} on {asked}"
        yield Change("rule", p.ref.at(f"spec.{name}"), rules, text)


def _peer_changes(
    snapshot: Snapshot, rule: Rule, peer: PeerRule, other: Peer, items: list[Object], number: int
) -> Iterator[Change]:
    pod = other.workload
    if pod is None or peer.block:
        return
    yield from _label_changes(pod.ref, pod.labels, peer.pods)
    if space := snapshot.namespaces.get(pod.namespace):
        yield from _label_changes(space.ref, space.labels, peer.namespaces)
    if peer.namespaces is None:
        text = f"{peer.ref} had a namespaceSelector for {pod.namespace} in the same item"
        yield Change("namespace", _at(peer.ref, "namespaceSelector"), {"matchLabels": {_NAME: pod.namespace}}, text)
    elif peer.pods is not None:
        halves = [{name: items[number][name]} for name in ("namespaceSelector", "podSelector")]
        text = f"{peer.ref} were two items, a dash before each selector (either is enough then)"
        yield Change("dash", _at(rule.ref, rule.side), [*items[:number], *halves, *items[number + 1 :]], text)


def _label_changes(at: Ref, labels: Labels, selector: Selector | None) -> Iterator[Change]:
    failed = [r for r in selector.requirements if not r.matches(labels)] if selector else []
    if len(failed) == 1 and failed[0].key != _NAME:
        key, value = failed[0].key, {"In": min(failed[0].values, default=""), "Exists": "true"}.get(failed[0].operator)
        after = {k: v for k, v in labels.items() if k != key} | ({} if value is None else {key: value})
        text = f"{at} had {f'no label {key}' if value is None else f'the label {key}={value}'}"
        yield Change("label", at.at("metadata.labels"), after, text)


def _peer_for(other: Peer) -> Object:
    pod = other.workload
    if pod is None:
        return {"ipBlock": {"cidr": f"{other.address}/{128 if ':' in other.address else 32}"}}
    where = {"matchLabels": {_NAME: pod.namespace}}
    return {"namespaceSelector": where, "podSelector": {"matchLabels": dict(pod.labels)}}


def _at(at: Ref, more: str) -> Ref:
    return at.at(f"{at.field}.{more}")
