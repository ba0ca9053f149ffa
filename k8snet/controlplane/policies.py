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
from functools import lru_cache
from typing import Any

from k8snet.controlplane.snapshot import Pod, Snapshot
from k8snet.manifests.kinds import Object, Ref, ref
from k8snet.manifests.selectors import Selector, from_label_selector

INGRESS, EGRESS = "Ingress", "Egress"
# What a rule of each direction calls the other ends.
SIDES = {INGRESS: "from", EGRESS: "to"}


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

    A lone ``podSelector`` looks nowhere else than in the policy's own namespace (``ref.namespace``).
    """

    ref: Ref
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
    """A NetworkPolicy. ``rules`` has an entry for each direction in which it isolates Pods, be it an empty one."""

    ref: Ref
    selector: Selector
    rules: Mapping[str, tuple[Rule, ...]]
    obj: Object

    @property
    def all_rules(self) -> tuple[Rule, ...]:
        """The rules of both directions."""
        return sum(self.rules.values(), ())


class Policies:
    """All policies of a snapshot in store order."""

    def __init__(self, objects: Iterable[Object]) -> None:
        self.all = tuple(map(policy, objects))
        self._in: dict[str, list[Policy]] = defaultdict(list)
        for p in self.all:
            self._in[p.ref.namespace].append(p)
        self._selecting: dict[tuple[str, str], tuple[Policy, ...]] = {}

    def selecting(self, pod: Pod, direction: str) -> tuple[Policy, ...]:
        """The policies that isolate a Pod in a direction."""
        key = (pod.key, direction)
        if key not in self._selecting:
            own = (p for p in self._in.get(pod.namespace, ()) if direction in p.rules)
            self._selecting[key] = tuple(p for p in own if p.selector.matches(pod.labels))
        return self._selecting[key]


@lru_cache(maxsize=8)
def compiled(snapshot: Snapshot) -> Policies:
    """The policies of a snapshot, compiled once."""
    return Policies(snapshot.objects("NetworkPolicy"))


def policy(obj: Object) -> Policy:
    """One NetworkPolicy, compiled. What the API server would refuse is read as literally as possible."""
    spec, r = obj.get("spec") or {}, ref(obj)
    types = spec.get("policyTypes") or [INGRESS, *([EGRESS] if spec.get("egress") else [])]
    rules = {d: _rules(r, spec, d.lower(), side) for d, side in SIDES.items() if d in types}
    return Policy(r, from_label_selector(spec.get("podSelector")), rules, obj)


def _rules(at: Ref, spec: Mapping[str, Any], direction: str, side: str) -> tuple[Rule, ...]:
    found = []
    for i, rule in enumerate(spec.get(direction) or ()):
        path = f"spec.{direction}[{i}]"
        peers = tuple(_peer(at.at(f"{path}.{side}[{j}]"), p) for j, p in enumerate(rule.get(side) or ()))
        ports = tuple(_port(at.at(f"{path}.ports[{j}]"), p) for j, p in enumerate(rule.get("ports") or ()))
        found.append(Rule(at.at(path), side, peers, ports))
    return tuple(found)


def _peer(at: Ref, peer: Mapping[str, Any]) -> PeerRule:
    written, block = (peer.get(f) for f in ("namespaceSelector", "podSelector")), peer.get("ipBlock") or {}
    namespaces, pods = (None if s is None else from_label_selector(s) for s in written)
    return PeerRule(at, namespaces, pods, block.get("cidr") or "", tuple(block.get("except") or ()))


def _port(at: Ref, port: Mapping[str, Any]) -> PortRule:
    protocol, value = port.get("protocol") or "TCP", port.get("port")
    if isinstance(value, str):
        return PortRule(at, protocol, value, 0, 0)
    first, last = (0, 65535) if value is None else (value, port.get("endPort") or value)
    return PortRule(at, protocol, "", first, last)
