"""NetworkPolicies, compiled: defaults applied, selectors parsed, every rule knowing the field that it was read from.

Facts: the networking.k8s.io/v1 API as the server fills it in (pkg/apis/networking/v1/defaults.go): without
``policyTypes`` a policy is about Ingress, and about Egress only if it has egress rules; rules for a direction that is
not listed are ignored; a port without protocol is TCP.

The order of decision has room for two more tiers of the cluster-wide API: one above these policies (it may pass a
connection on to them) and one below, for Pods that no policy isolates. Neither is built.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from k8snet.controlplane.snapshot import Pod, Snapshot
from k8snet.manifests.kinds import Object, Ref, ref
from k8snet.manifests.selectors import Selector, from_label_selector

INGRESS, EGRESS = "Ingress", "Egress"


@dataclass(frozen=True, slots=True)
class PortRule:
    """One entry of ``ports``: a name, or the numbers ``first`` to ``last``."""

    ref: Ref
    protocol: str
    name: str
    first: int
    last: int

    def __str__(self) -> str:
        number = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        return f"{self.name or ('every port' if self.last - self.first >= 65535 else number)}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class PeerRule:
    """One entry of ``from`` or ``to``: selectors (None: not written), or an address block with exceptions.

    ``namespace`` is the policy's own: a lone ``podSelector`` looks nowhere else.
    """

    ref: Ref
    namespace: str
    namespaces: Selector | None
    pods: Selector | None
    block: str
    excepts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """One ingress or egress rule. No peers means anyone, no ports means every port; entries of each are alternatives."""

    ref: Ref
    side: str
    peers: tuple[PeerRule, ...]
    ports: tuple[PortRule, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """A NetworkPolicy. A direction that it does not isolate has None for rules; isolated without rules, an empty tuple."""

    ref: Ref
    namespace: str
    selector: Selector
    ingress: tuple[Rule, ...] | None
    egress: tuple[Rule, ...] | None
    obj: Object

    def rules(self, direction: str) -> tuple[Rule, ...] | None:
        """The rules for Ingress or Egress; None if the policy says nothing about that direction."""
        return self.ingress if direction == INGRESS else self.egress

    @property
    def all_rules(self) -> tuple[Rule, ...]:
        """The rules of both directions."""
        return (self.ingress or ()) + (self.egress or ())


class Policies:
    """All policies of a snapshot in store order, and by the namespace whose Pods they select."""

    def __init__(self, policies: Iterable[Policy]) -> None:
        self.all = tuple(policies)
        by_namespace: dict[str, list[Policy]] = defaultdict(list)
        for policy in self.all:
            by_namespace[policy.namespace].append(policy)
        self.by_namespace: Mapping[str, list[Policy]] = by_namespace
        self._selecting: dict[tuple[str, str], tuple[Policy, ...]] = {}

    def selecting(self, pod: Pod, direction: str) -> tuple[Policy, ...]:
        """The policies that isolate a Pod in a direction."""
        key = (pod.key, direction)
        if key not in self._selecting:
            self._selecting[key] = tuple(
                p
                for p in self.by_namespace.get(pod.namespace, ())
                if p.rules(direction) is not None and p.selector.matches(pod.labels)
            )
        return self._selecting[key]


_COMPILED: WeakKeyDictionary[Snapshot, Policies] = WeakKeyDictionary()


def compiled(snapshot: Snapshot) -> Policies:
    """The policies of a snapshot, compiled once."""
    if snapshot not in _COMPILED:
        _COMPILED[snapshot] = Policies(policy(obj) for obj in snapshot.objects("NetworkPolicy"))
    return _COMPILED[snapshot]


def policy(obj: Object) -> Policy:
    """One NetworkPolicy, compiled. What the API server would refuse is read as literally as possible."""
    spec, r = obj.get("spec") or {}, ref(obj)
    types = spec.get("policyTypes") or [INGRESS, *([EGRESS] if spec.get("egress") else [])]
    return Policy(
        ref=r,
        namespace=r.namespace,
        selector=from_label_selector(spec.get("podSelector")),
        ingress=_rules(r, spec, "ingress", "from") if INGRESS in types else None,
        egress=_rules(r, spec, "egress", "to") if EGRESS in types else None,
        obj=obj,
    )


def _rules(at: Ref, spec: Mapping[str, Any], direction: str, side: str) -> tuple[Rule, ...]:
    return tuple(
        Rule(
            at.at(path := f"spec.{direction}[{i}]"),
            side,
            tuple(_peer(at.at(f"{path}.{side}[{j}]"), p) for j, p in enumerate(rule.get(side) or ())),
            tuple(_port(at.at(f"{path}.ports[{j}]"), p) for j, p in enumerate(rule.get("ports") or ())),
        )
        for i, rule in enumerate(spec.get(direction) or ())
    )


def _peer(at: Ref, peer: Mapping[str, Any]) -> PeerRule:
    namespaces, pods = (
        None if peer.get(f) is None else from_label_selector(peer[f]) for f in ("namespaceSelector", "podSelector")
    )
    block = peer.get("ipBlock") or {}
    return PeerRule(at, at.namespace, namespaces, pods, block.get("cidr") or "", tuple(block.get("except") or ()))


def _port(at: Ref, port: Mapping[str, Any]) -> PortRule:
    protocol, value = port.get("protocol") or "TCP", port.get("port")
    if isinstance(value, str):
        return PortRule(at, protocol, value, 0, 0)
    first, last = (0, 65535) if value is None else (value, port.get("endPort") or value)
    return PortRule(at, protocol, "", first, last)
