"""Adapter: which endpoints and slices the EndpointSlice controller publishes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from k8snet.controlplane.endpoints import slices_for
from k8snet.manifests.addresses import host_port
from tests.conformance.runner import Adapter, Answer

_COPIED = ("nodeName", "zone", "hostname")


def _run(case: dict[str, Any], document: dict[str, Any]) -> Iterator[Answer]:
    services, pods, nodes = ([o for o in case["objects"] if o["kind"] == k] for k in ("Service", "Pod", "Node"))
    by_name = {n["metadata"]["name"]: n for n in nodes}
    slices: list[tuple[str, dict[str, Any]]] = []
    for service in services:
        namespace = service["metadata"].get("namespace", "default")
        peers = [p for p in pods if p["metadata"].get("namespace", "default") == namespace]
        key = f"{namespace}/{service['metadata']['name']}"
        slices += [(key, s) for s in slices_for(service, peers, by_name)]
    numbers = {
        (f"{s['metadata'].get('namespace', 'default')}/{s['metadata']['name']}", p.get("name", "")): p["port"]
        for s in services
        for p in s["spec"].get("ports") or ()
    }
    if "expected_endpoints" in case:
        found = [e for key, s in slices for e in _endpoints(key, s, numbers)]
        yield Answer("expected_endpoints", _ordered(case["expected_endpoints"]), _ordered(found))
    if "expected_slices" in case:
        asked = {k for s in case["expected_slices"] for k in s}
        found = [{k: v for k, v in _slice(key, s).items() if k in asked} for key, s in slices]
        yield Answer("expected_slices", _ordered(case["expected_slices"]), _ordered(found))
    if "expected_zone_hint_counts" in case:
        hints = (z["name"] for _, s in slices for e in s["endpoints"] for z in e.get("hints", {}).get("forZones", ()))
        yield Answer("expected_zone_hint_counts", case["expected_zone_hint_counts"], dict(Counter(hints)))


def _endpoints(key: str, slice_: dict[str, Any], numbers: dict[tuple[str, str], int]) -> Iterator[dict[str, Any]]:
    for endpoint in slice_["endpoints"]:
        target = endpoint["targetRef"]
        common = {"service": key, **endpoint["conditions"], "pod": f"{target['namespace']}/{target['name']}"}
        common |= {k: endpoint[k] for k in _COPIED if k in endpoint}
        if "hints" in endpoint:
            common["hints"] = {k: [n["name"] for n in v] for k, v in endpoint["hints"].items()}
        if not slice_["ports"]:
            yield {**common, "port": None, "addresses": endpoint["addresses"]}
        for port in slice_["ports"]:
            yield {
                **common,
                "port": port["name"] or numbers[key, ""],
                "protocol": port["protocol"],
                "addresses": [host_port(a, port["port"]) for a in endpoint["addresses"]],
                **({"appProtocol": port["appProtocol"]} if "appProtocol" in port else {}),
            }


def _slice(key: str, slice_: dict[str, Any]) -> dict[str, Any]:
    return {
        "service": key,
        "addressType": slice_["addressType"],
        "endpoints": len(slice_["endpoints"]),
        "ports": [{k: p[k] for k in ("name", "port", "protocol")} for p in slice_["ports"]],
        "labels": slice_["metadata"]["labels"],
    }


def _ordered(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(entries, key=lambda e: str(sorted((k, str(v)) for k, v in e.items())))


ADAPTERS = {
    "endpoints": Adapter(_run, frozenset(("expected_endpoints", "expected_slices", "expected_zone_hint_counts")))
}
