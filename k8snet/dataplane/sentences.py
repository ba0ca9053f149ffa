"""A NetworkPolicy in plain English: whom it isolates, and what it still lets through."""

from __future__ import annotations

from collections.abc import Sequence

from k8snet.controlplane.policies import PeerRule, Policy, PortRule, Rule
from k8snet.manifests.selectors import Selector

_NAME = "kubernetes.io/metadata.name"


def sentence(policy: Policy) -> str:
    """What a policy says, in two sentences at most: one for each direction.

    It speaks of this policy alone: others may allow more, none can take back what this one allows.
    """
    whom = f"{_pods(policy.selector)} of namespace {policy.namespace}"
    said = []
    if policy.ingress is not None:
        said.append(f"{whom} accept {_allowed(policy.ingress, 'from')}.")
    if policy.egress is not None:
        said.append(f"{'They' if said else whom} open {_allowed(policy.egress, 'to')}.")
    if policy.egress is None:
        said.append("What they open themselves is not limited.")
    elif policy.ingress is None:
        said.append("What they accept is not limited.")
    text = " ".join(said)
    return text[0].upper() + text[1:]


def _allowed(rules: Sequence[Rule], side: str) -> str:
    if not rules:
        return "no connections"
    texts = [
        f"connections {side} {_either([_peer(p) for p in r.peers] or [_ANYONE])}, on {_ports(r.ports)}" for r in rules
    ]
    return "; or ".join(texts) + ("" if any(not r.peers and not r.ports for r in rules) else ", and nothing else")


_ANYONE = "anyone, inside and outside the cluster"


def _either(texts: Sequence[str]) -> str:
    return texts[0] if len(texts) == 1 else ", or ".join(texts)


def _peer(peer: PeerRule) -> str:
    if peer.block:
        return f"addresses {peer.block}" + (f" except {', '.join(peer.excepts)}" if peer.excepts else "")
    pods = _pods(peer.pods or Selector())
    if peer.namespaces is None:
        return f"{pods} of the same namespace" if peer.pods is not None else "nobody (an empty entry)"
    if peer.namespaces.everything:
        return f"{pods} of every namespace"
    names = [
        next(iter(r.values))
        for r in peer.namespaces.requirements
        if r.key == _NAME and r.operator == "In" and len(r.values) == 1
    ]
    alone = len(peer.namespaces.requirements) == 1
    return f"{pods} of " + (
        f"namespace {names[0]}" if names and alone else f"every namespace labelled {peer.namespaces}"
    )


def _pods(selector: Selector) -> str:
    return "all Pods" if selector.everything else f"Pods {selector}"


def _ports(ports: Sequence[PortRule]) -> str:
    return " and ".join(f"the port named {p}" if p.name else str(p) for p in ports) or "every port"
