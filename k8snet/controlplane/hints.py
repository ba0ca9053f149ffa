"""Hints on endpoints: for which zones and nodes an endpoint is meant.

``spec.trafficDistribution`` gives every ready endpoint its own zone (and node); k8s.io/endpointslice trafficdist/. The
annotation ``service.kubernetes.io/topology-mode: Auto`` goes before it and gives each zone a share of the endpoints by
its CPU, or no hints at all where that cannot be done fairly; k8s.io/endpointslice topologycache/.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from k8snet.controlplane.metadata import annotations_of, labels_of
from k8snet.manifests.kinds import Object

ZONE = "topology.kubernetes.io/zone"
OVERLOAD = 0.2
_NOT_COUNTED = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")

NO_NODE_INFO = "Insufficient Node information: allocatable CPU or zone not specified on one or more nodes"
NO_ZONE = "One or more endpoints do not have a zone specified"
TOO_FEW = "Insufficient number of endpoints"
OVERLOADED = "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold"


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


def _ready(slices: list[Object]) -> list[Object]:
    return [e for s in slices for e in s["endpoints"] if e["conditions"]["ready"]]


def _cpu(node: Object) -> float:
    text = str(((node.get("status") or {}).get("allocatable") or {}).get("cpu") or "0")
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


def _wanted(slices: list[Object], nodes: Mapping[str, Object]) -> dict[str, float] | str:
    """How many endpoints each zone should have, by its part of all CPU; or why there are to be no hints."""
    ready, cpu = _ready(slices), defaultdict[str, float](float)
    for node in nodes.values():
        conditions = (node.get("status") or {}).get("conditions") or ()
        usable = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
        if usable and not any(label in labels_of(node) for label in _NOT_COUNTED):
            cpu[zone_of(node) if _cpu(node) else ""] += _cpu(node)
    if "" in cpu or len(cpu) < 2:
        return NO_NODE_INFO
    desired = {zone: part / sum(cpu.values()) * len(ready) for zone, part in sorted(cpu.items())}
    least = {zone: math.ceil(share * (1 / (1 + OVERLOAD))) for zone, share in desired.items()}
    if len(cpu) > len(ready) or sum(least.values()) > len(ready):
        reason = TOO_FEW if len(cpu) > len(ready) else OVERLOADED
        return f"{reason} ({len(ready)} endpoints, {len(cpu)} zones)"
    return {zone: max(desired[zone], least[zone]) for zone in cpu} if all(e.get("zone") for e in ready) else NO_ZONE


def _shares(slices: list[Object], nodes: Mapping[str, Object]) -> dict[int, str]:
    """The zone that each ready endpoint (by id) is meant for; empty: no hints."""
    wanted, ready = _wanted(slices, nodes), _ready(slices)
    if isinstance(wanted, str):
        return {}
    have = Counter(e["zone"] for e in ready)
    # Above 0: to give away, below: to be given. Whole endpoints move from the richest zone to the poorest.
    surplus = {zone: have[zone] - wish for zone, wish in sorted(wanted.items())}
    give, takers = Counter[str](), list[str]()
    while True:
        giver, taker = max(surplus, key=surplus.__getitem__), min(surplus, key=surplus.__getitem__)
        spare, missing = surplus[giver], -surplus[taker]
        if max(spare, missing) < 1 or min(spare, missing) < 0.5:
            break
        give[giver] += 1
        takers.append(taker)
        surplus[giver], surplus[taker] = spare - 1, 1 - missing
    chosen = {}
    for endpoint in ready:
        gives = give[endpoint["zone"]] > 0
        give[endpoint["zone"]] -= gives
        chosen[id(endpoint)] = takers.pop() if gives else endpoint["zone"]
    return chosen


def events(
    service: Object, wanted: list[Object], existing: list[Object], nodes: Mapping[str, Object]
) -> Iterator[tuple[str, str]]:
    """What the controller reports about shares by zone: ``(reason, message)`` for each family whose answer is new."""
    for family in sorted({s["addressType"] for s in wanted}) if by_share(service) else ():
        before, mine = ([s for s in slices if s["addressType"] == family] for slices in (existing, wanted))
        answer = _wanted(mine, nodes)
        if isinstance(answer, str):
            yield "TopologyAwareHintsDisabled", f"{answer}, addressType: {family}"
        elif not any(e.get("hints") for s in before for e in s["endpoints"]):
            yield "TopologyAwareHintsEnabled", f"Topology Aware Hints has been enabled, addressType: {family}"
