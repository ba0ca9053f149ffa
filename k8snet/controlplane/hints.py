"""Hints on endpoints: for which zones and nodes an endpoint is meant.

``spec.trafficDistribution`` gives every ready endpoint its own zone (and node); k8s.io/endpointslice trafficdist/. The
annotation ``service.kubernetes.io/topology-mode: Auto`` goes before it and gives each zone a share of the endpoints by
its CPU, or no hints at all where that cannot be done fairly; k8s.io/endpointslice topologycache/.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from k8snet.controlplane.metadata import annotations_of, labels_of
from k8snet.manifests.kinds import Object

ZONE = "topology.kubernetes.io/zone"
OVERLOAD = 0.2
_NOT_COUNTED = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")

NO_NODE_INFO = "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes"
NO_ZONE = "One or more endpoints do not have a zone specified"
TOO_FEW = "Insufficient number of endpoints"
OVERLOADED = "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold"
ENABLED = "Topology Aware Hints has been enabled"


def zone_of(node: Object) -> str:
    """The node's zone label; empty if not set."""
    return labels_of(node).get(ZONE) or ""


def by_share(service: Object) -> bool:
    """Whether the Service asks for shares by zone (the annotation; its older name goes first)."""
    annotations, prefix = annotations_of(service), "service.kubernetes.io/topology-"
    return annotations.get(f"{prefix}aware-hints", annotations.get(f"{prefix}mode")) in ("Auto", "auto")


def with_hints(service: Object, slices: list[Object], nodes: Mapping[str, Object]) -> list[Object]:
    """The slices (of one family) with hints as the Service asks for them, and with no others."""
    zones: dict[int, str] = {}
    wish = service["spec"].get("trafficDistribution")
    if by_share(service):
        zones, wish = _shares(slices, nodes), None
    elif wish in ("PreferClose", "PreferSameZone", "PreferSameNode"):
        zones = {id(e): e.get("zone", "") for e in _ready(slices)}
    return [{**s, "endpoints": [_hinted(e, zones, wish == "PreferSameNode") for e in s["endpoints"]]} for s in slices]


def _hinted(endpoint: Object, zones: Mapping[int, str], own_node: bool) -> Object:
    zone, node = zones.get(id(endpoint)), endpoint.get("nodeName") if id(endpoint) in zones and own_node else ""
    hint = ({"forZones": [{"name": zone}]} if zone else {}) | ({"forNodes": [{"name": node}]} if node else {})
    bare = {k: v for k, v in endpoint.items() if k != "hints"}
    return {**bare, "hints": hint} if hint else bare


# shares by zone


def _ready(slices: list[Object]) -> list[dict[str, Any]]:
    return [e for s in slices for e in s["endpoints"] if e["conditions"]["ready"]]


def _cpu(node: Object) -> float:
    text = str(((node.get("status") or {}).get("allocatable") or {}).get("cpu") or "0")
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


def _ratios(nodes: Mapping[str, Object]) -> dict[str, float]:
    """Each zone's part of all CPU; empty if a ready node lacks zone or CPU, or there are not two zones."""
    cpu: dict[str, float] = defaultdict(float)
    for node in nodes.values():
        conditions = (node.get("status") or {}).get("conditions") or ()
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
        if not ready or any(label in labels_of(node) for label in _NOT_COUNTED):
            continue
        if not zone_of(node) or not _cpu(node):
            return {}
        cpu[zone_of(node)] += _cpu(node)
    total = sum(cpu.values())
    return {zone: part / total for zone, part in sorted(cpu.items())} if len(cpu) > 1 else {}


def _wanted(slices: list[Object], nodes: Mapping[str, Object]) -> dict[str, float] | str:
    """How many endpoints each zone should have, or why there are to be no hints."""
    ratios, ready = _ratios(nodes), _ready(slices)
    figures = f"({len(ready)} endpoints, {len(ratios)} zones)"
    if not ratios:
        return NO_NODE_INFO
    if len(ratios) > len(ready):
        return f"{TOO_FEW} {figures}"
    least = {zone: math.ceil(ratio * len(ready) * (1 / (1 + OVERLOAD))) for zone, ratio in ratios.items()}
    if sum(least.values()) > len(ready):
        return f"{OVERLOADED} {figures}"
    if not all(e.get("zone") for e in ready):
        return NO_ZONE
    return {zone: max(ratio * len(ready), least[zone]) for zone, ratio in ratios.items()}


def _shares(slices: list[Object], nodes: Mapping[str, Object]) -> dict[int, str]:
    """The zone that each ready endpoint (by id) is meant for; empty: no hints."""
    wanted = _wanted(slices, nodes)
    if isinstance(wanted, str):
        return {}
    ready = _ready(slices)
    chosen = {id(e): str(e["zone"]) for e in ready}
    have = Counter(chosen.values())
    surplus = {zone: have[zone] - wish for zone, wish in wanted.items() if have[zone] > wish}
    need = {zone: wish - have[zone] for zone, wish in wanted.items() if have[zone] < wish}
    give: Counter[str] = Counter()
    take: Counter[str] = Counter()
    while surplus and need:
        giver, taker = max(surplus, key=surplus.__getitem__), max(need, key=need.__getitem__)
        spare, missing = surplus[giver], need[taker]
        if (spare < 1 and missing < 1) or spare < 0.5 or missing < 0.5:
            break
        give[giver] += 1
        take[taker] += 1
        surplus[giver] -= 1
        need[taker] -= 1
    takers = sorted(take.elements())
    for endpoint in ready:
        if takers and give[endpoint["zone"]] > 0:
            give[endpoint["zone"]] -= 1
            chosen[id(endpoint)] = takers.pop(0)
    return chosen


def events(
    service: Object, wanted: list[Object], existing: list[Object], nodes: Mapping[str, Object]
) -> list[tuple[str, str]]:
    """What the controller reports about shares by zone: ``(reason, message)`` for each family whose answer is new."""
    if not by_share(service):
        return []
    found = []
    for family in sorted({s["addressType"] for s in wanted}):
        mine = [s for s in wanted if s["addressType"] == family]
        before = any(e.get("hints") for s in existing if s["addressType"] == family for e in s["endpoints"])
        answer = _wanted(mine, nodes)
        if isinstance(answer, str):
            found.append(("TopologyAwareHintsDisabled", f"{answer}, addressType: {family}"))
        elif not before:
            found.append(("TopologyAwareHintsEnabled", f"{ENABLED}, addressType: {family}"))
    return found
