"""Cases of HTTP routing: Ingress and the Gateway API's HTTPRoute."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from k8snet.controlplane import admission, ingress_controller
from k8snet.controlplane.settings import Settings
from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane import ingress
from k8snet.dataplane.http import Decision, Request
from tests.conformance.runner import Adapter, Answer

CONTROLLER_ADDRESS = "203.0.113.10"


def request_of(r: dict[str, Any]) -> Request:
    return Request(r["host"], r["path"], r["method"], r["scheme"], tuple(r["headers"].items()), r.get("sni") or "")


def run_ingress(case: dict[str, Any], document: dict[str, Any]) -> Iterator[Answer]:
    snapshot = Snapshot(case["objects"], Settings(loaded=True))
    by_key = {f"{o['metadata'].get('namespace', '')}/{o['metadata']['name']}": o for o in snapshot.objects("Ingress")}
    classes = snapshot.objects("IngressClass")
    addresses = {c: [{"ip": CONTROLLER_ADDRESS}] for c in case["controllers"]}
    for wanted in case.get("expected_status", ()):
        written = ingress_controller.addresses_for(by_key[wanted["ingress"]], classes, addresses)
        yield Answer(f"address of {wanted['ingress']}", wanted["address"], bool(written))
    for wanted in case.get("expected_admission", ()):
        obj = by_key[wanted["ingress"]]
        stored = obj["spec"].get("ingressClassName") or admission.default_ingress_class(obj, classes) or None
        yield Answer(f"class of {wanted['ingress']}", wanted["ingressClassName"], stored)
    for r in case.get("requests", ()):
        decision = ingress.route(snapshot, case["controllers"], request_of(r))
        yield from routed(r, decision)


def routed(r: dict[str, Any], decision: Decision) -> Iterator[Answer]:
    """One answer: every part of the request's true answer beside ours."""
    expected: dict[str, Any] = {}
    actual: dict[str, Any] = {}
    then = r.get("then") or {}
    if "backend" in r:
        expected["backend"], actual["backend"] = r["backend"], decision.backend
    if "backend" in r and not r["backend"] and "redirect" not in then:
        expected["status"], actual["status"] = then.get("status", 404), decision.status
    for key, value in then.items():
        if key != "status":
            expected[key], actual[key] = value, THEN[key](decision, value, r)
    yield Answer(f"{r['method']} {r['scheme']}://{r['host']}{r['path']}", expected, actual)


def _tls(decision: Decision, value: Any, r: dict[str, Any]) -> Any:
    shown = decision.certificate
    return shown and {"secret": shown.secret, "hostname": r["sni"] if shown.covers(r["sni"]) else None}


def _endpoints(decision: Decision, value: list[str], r: dict[str, Any]) -> Any:
    found = {f"{ip}:{port}" if ":" in value[0] else ip for s in decision.shares for ip, port in s.endpoints}
    return value if found == set(value) else sorted(found)


THEN = {"tls": _tls, "endpoints": _endpoints}
ADAPTERS = {
    "ingress": Adapter(run_ingress, frozenset({"controllers", "requests", "expected_status", "expected_admission"})),
}
