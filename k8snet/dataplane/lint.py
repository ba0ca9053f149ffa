"""What novices get wrong in NetworkPolicies: taken by the API server, silent, and not what was meant.

Each finding has the fault's id in the course's catalogue (none: empty), the field, and what it does now. A finding is a
suspicion, never a refusal. Faults that need a packet to be seen (F26, F30, F31) are the trace's to show.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

from k8snet.controlplane.policies import EGRESS, INGRESS, PeerRule, Policy, compiled
from k8snet.controlplane.snapshot import Pod, Service, Snapshot
from k8snet.dataplane.policy import Peer, side
from k8snet.manifests.addresses import in_cidr, parse_cidr
from k8snet.manifests.kinds import Ref
from k8snet.manifests.selectors import Selector

# What to do about each fault.
ADVICE = {
    "": "Compare with kubectl get pods --show-labels",
    "F17": "Allow 53 UDP and TCP to the Pods k8s-app=kube-dns of namespace kube-system",
    "F18": "A port without protocol is TCP: add another entry with protocol UDP",
    "F19": "If both must hold, make them one item: take out the second dash",
    "F20": "Add a namespaceSelector to the same item",
    "F21": "The label kubernetes.io/metadata.name is always there and holds the name",
    "F22": "It names the Pods to protect, by labels of Pods; who may call belongs under from",
    "F23": "State policyTypes",
    "F24": "Policy looks behind the Service: write the port of the Pods, or its name",
    "F27": "Select Pods by label: their addresses change, and a Service's address is rewritten before policy looks",
    "F28": "Install a network plugin that enforces it",
    "F29": "Use an ipBlock with the addresses of the nodes",
}
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True, slots=True)
class Finding:
    """One suspicion: the fault's id (may be empty), the field, and what happens."""

    fault: str
    ref: Ref
    text: str

    def __str__(self) -> str:
        return f"{self.ref}: {self.fault + ': ' if self.fault else ''}{self.text}. {ADVICE[self.fault]}."


def lint(snapshot: Snapshot) -> tuple[Finding, ...]:
    """Every suspicion about the policies of a snapshot, policy by policy."""
    return tuple(f for policy in compiled(snapshot).all for check in _CHECKS for f in check(snapshot, policy))


def _pods(snapshot: Snapshot, host_network: bool = False) -> list[Pod]:
    return [p for p in snapshot.pods.values() if not p.finished and p.host_network is host_network]


def _selected(snapshot: Snapshot, policy: Policy) -> list[Pod]:
    return [p for p in _pods(snapshot) if p.namespace == policy.ref.namespace and policy.selector.matches(p.labels)]


def _not_enforced(snapshot: Snapshot, policy: Policy) -> Iterator[Finding]:
    if not snapshot.settings.enforce_policy:
        yield Finding("F28", policy.ref, "nothing in this cluster enforces NetworkPolicy")


def _selects_nobody(snapshot: Snapshot, policy: Policy) -> Iterator[Finding]:
    if not _selected(snapshot, policy):
        text = f"selects nobody: no Pod of namespace {policy.ref.namespace} matches {str(policy.selector) or 'it'}"
        yield Finding("F22", policy.ref.at("spec.podSelector"), text)


def _types_surprise(snapshot: Snapshot, policy: Policy) -> Iterator[Finding]:
    """Read from what was applied: the server has filled in policyTypes since."""
    last = (policy.obj["metadata"].get("annotations") or {}).get(_LAST_APPLIED)
    spec: dict[str, Any] = (json.loads(last) if last else policy.obj).get("spec") or {}
    types, at = spec.get("policyTypes"), policy.ref.at("spec.policyTypes")
    if not types and spec.get("egress") and "ingress" not in spec:
        yield Finding("F23", at, "left out, it includes Ingress: incoming connections are blocked too")
    if not types and spec.get("egress") == []:
        yield Finding("F23", at, "left out, an empty egress list means nothing: outgoing connections are not blocked")
    for direction in (INGRESS, EGRESS):
        if types and spec.get(direction.lower()) and direction not in types:
            yield Finding("F23", at, f"does not list {direction}: the {direction.lower()} rules are ignored")


def _dns_forgotten(snapshot: Snapshot, policy: Policy) -> Iterator[Finding]:
    dns = [p for p in _pods(snapshot) if p.namespace == "kube-system" and p.labels.get("k8s-app") == "kube-dns"]
    for pod in _selected(snapshot, policy) if EGRESS in policy.rules and dns else ():
        udp, tcp = (side(snapshot, EGRESS, Peer.of(pod), Peer.of(dns[0]), 53, p) for p in ("UDP", "TCP"))
        if not udp:
            what = "allows DNS by TCP alone" if tcp else "does not allow DNS"
            text = f"{what}: Pod {pod.key} cannot resolve names"
            yield Finding("F18" if tcp else "F17", policy.ref.at("spec.egress"), text)
            return


def _matching(snapshot: Snapshot, peer: PeerRule, host_network: bool = False) -> list[Pod]:
    """The Pods that a peer's selectors would find; with *host_network* those that have its labels and are never found."""
    return [p for p in _pods(snapshot, host_network) if _in_scope(snapshot, peer, p.namespace) and _labelled(peer, p)]


def _in_scope(snapshot: Snapshot, peer: PeerRule, namespace: str) -> bool:
    if peer.namespaces is None:
        return peer.pods is not None and namespace == peer.ref.namespace
    return peer.namespaces.matches(snapshot.namespace_labels(namespace))


def _labelled(peer: PeerRule, pod: Pod) -> bool:
    return (peer.pods or Selector()).matches(pod.labels)


def _peer_matches_nothing(snapshot: Snapshot, policy: Policy) -> Iterator[Finding]:
    for peer in (peer for rule in policy.all_rules for peer in rule.peers):
        if peer.block or _matching(snapshot, peer):
            continue
        elsewhere = sorted({p.namespace for p in _pods(snapshot) if _labelled(peer, p)})
        names = {*snapshot.namespaces, *(p.namespace for p in _pods(snapshot))}
        if peer.namespaces is not None and not any(_in_scope(snapshot, peer, n) for n in names):
            at = peer.ref.at(f"{peer.ref.field}.namespaceSelector")
            yield Finding("F21", at, f"no Namespace is labelled {peer.namespaces}")
        elif host := _matching(snapshot, peer, host_network=True):
            yield Finding("F29", peer.ref, f"fits {host[0].key}, whose network is the node's: selectors never find it")
        elif peer.namespaces is None and elsewhere:
            text = f"alone it means namespace {peer.ref.namespace}; Pods {peer.pods} are in {', '.join(elsewhere[:3])}"
            yield Finding("F20", peer.ref.at(f"{peer.ref.field}.podSelector"), text)
        else:
            yield Finding("", peer.ref, f"finds no Pod {peer.pods or ''}".rstrip())


def _and_or(snapshot: Snapshot, policy: Policy) -> Iterator[Finding]:
    for rule in policy.all_rules:
        spaces = [p for p in rule.peers if p.namespaces is not None and p.pods is None]
        pods = [p for p in rule.peers if p.namespaces is None and p.pods is not None]
        if spaces and pods:
            which = f"namespaces {str(spaces[0].namespaces) or 'of any label'}"
            text = f"two items mean either: all Pods of {which}, or Pods {pods[0].pods} of {policy.ref.namespace}"
            yield Finding("F19", spaces[0].ref, text)


def _service_port(snapshot: Snapshot, policy: Policy) -> Iterator[Finding]:
    for rule in policy.all_rules:
        servers = _selected(snapshot, policy)
        if rule.side == "to":
            servers = [p for peer in rule.peers for p in _matching(snapshot, peer)]
        plain = [p for p in rule.ports if not p.name and p.first == p.last]
        for port, service in product(plain, snapshot.services.values()):
            if pod_port := _behind(service, servers, port.first, port.protocol):
                text = f"{port.first} is the port of Service {service.key}, its Pods take it on {pod_port}"
                yield Finding("F24", port.ref.at(f"{port.ref.field}.port"), text)


def _behind(service: Service, servers: list[Pod], number: int, protocol: str) -> int | str | None:
    """Where a Service that takes *number* passes it on to these Pods; None if on that number, or if a Pod declares it."""
    chosen = service.selector
    pods = [p for p in servers if chosen and p.namespace == service.namespace and chosen.matches(p.labels)]
    if not pods or any((c.port, c.protocol) == (number, protocol) for p in pods for c in p.ports):
        return None
    targets = (e.target_port for e in service.ports if (e.port, e.protocol) == (number, protocol))
    target = next(targets, number)
    return target if target != number else None


def _inside_block(snapshot: Snapshot, policy: Policy) -> Iterator[Finding]:
    settings, nodes = snapshot.settings, snapshot.nodes.values()
    own = [settings.pod_cidr, settings.pod_cidr6, *(c for n in nodes for c in n.pod_cidrs)]
    single = [f"{ip}/{128 if ':' in ip else 32}" for ip in snapshot.pod_by_ip]
    for peer in (peer for rule in policy.all_rules for peer in rule.peers):
        block = parse_cidr(peer.block)
        for what, ranges in (("Services", snapshot.service_cidrs), ("Pods", own + single)):
            if block is not None and any(in_cidr(str(block[0]), r) and in_cidr(str(block[-1]), r) for r in ranges):
                text = f"{peer.block} holds addresses of {what}"
                yield Finding("F27", peer.ref.at(f"{peer.ref.field}.ipBlock"), text)


_CHECKS = (
    _not_enforced,
    _selects_nobody,
    _types_surprise,
    _dns_forgotten,
    _peer_matches_nothing,
    _and_or,
    _service_port,
    _inside_block,
)
