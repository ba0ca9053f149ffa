"""A NetworkPolicy in plain English: whom it isolates, and what it still lets through."""

from __future__ import annotations

from collections.abc import Sequence

from k8snet.controlplane.policies import EGRESS, INGRESS, SIDES, PeerRule, Policy, PortRule, Rule
from k8snet.manifests.selectors import Selector

_VERBS = {INGRESS: "accept", EGRESS: "open"}
_FREE = {INGRESS: "What they accept is not limited.", EGRESS: "What they open themselves is not limited."}
_NAME = "kubernetes.io/metadata.name"


def sentence(policy: Policy) -> str:
    """What a policy says, in two sentences at most: one for each direction.

    It speaks of this policy alone: others may allow more, none can take back what this one allows.
    """
    limited = [f"{_VERBS[d]} {_allowed(rules, SIDES[d])}." for d, rules in policy.rules.items()]
    free = [text for d, text in _FREE.items() if d not in policy.rules]
    text = f"{_pods(policy.selector)} of namespace {policy.ref.namespace} {' They '.join(limited)}"
    return " ".join([text[0].upper() + text[1:], *free])


def _allowed(rules: Sequence[Rule], side: str) -> str:
    if not rules:
        return "no connections"
    peers = [", or ".join(map(_peer, r.peers)) or "anyone, inside and outside the cluster" for r in rules]
    texts = [f"connections {side} {who}, on {_ports(r.ports)}" for who, r in zip(peers, rules, strict=True)]
    return "; or ".join(texts) + ("" if any(not r.peers and not r.ports for r in rules) else ", and nothing else")


def _peer(peer: PeerRule) -> str:
    if peer.block:
        return f"addresses {peer.block}" + (f" except {', '.join(peer.excepts)}" if peer.excepts else "")
    pods = _pods(peer.pods or Selector())
    if peer.namespaces is None:
        return f"{pods} of the same namespace" if peer.pods is not None else "nobody (an empty entry)"
    if peer.namespaces.everything:
        return f"{pods} of every namespace"
    first, *more = peer.namespaces.requirements
    if first.key == _NAME and first.operator == "In" and len(first.values) == 1 and not more:
        return f"{pods} of namespace {next(iter(first.values))}"
    return f"{pods} of every namespace labelled {peer.namespaces}"


def _pods(selector: Selector) -> str:
    return "all Pods" if selector.everything else f"Pods {selector}"


def _ports(ports: Sequence[PortRule]) -> str:
    return " and ".join(f"the port named {p}" if p.name else str(p) for p in ports) or "every port"
