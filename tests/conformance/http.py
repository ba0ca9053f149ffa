"""Cases of HTTP routing: Ingress and the Gateway API's HTTPRoute."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from k8snet.controlplane import admission, ingress_controller
from k8snet.controlplane.gateway_status import Attachments, attachments
from k8snet.controlplane.settings import Settings
from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane import gateway, ingress
from k8snet.dataplane.http import Decision, Headers, Request, header
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


def _redirect(decision: Decision, value: Any, r: dict[str, Any]) -> Any:
    share = decision.shares[0]
    parts = urlsplit(share.location)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return {
        "status": share.status,
        "scheme": parts.scheme,
        "host": parts.hostname,
        "port": None if parts.port == default else parts.port,
        "path": parts.path,
    }


def _seen(decision: Decision) -> Request:
    seen = decision.shares[0].request
    assert seen is not None
    return seen


def _rewrite(decision: Decision, value: dict[str, Any], r: dict[str, Any]) -> Any:
    sent = {"host": r["host"], "path": r["path"]}
    seen = {"host": _seen(decision).host, "path": _seen(decision).path}
    return {k: v for k, v in seen.items() if k in value or v != sent[k]}


def _present(headers: Headers, wanted: dict[str, str]) -> Any:
    return {name: header(headers, name) for name in wanted}


def _response(decision: Decision, r: dict[str, Any]) -> Headers:
    headers = tuple((r.get("backend_response_headers") or {}).items())
    for change in decision.shares[0].response:
        headers = change.apply(headers)
    return headers


def _absent(headers: Headers, names: list[str]) -> Any:
    return [n for n in names if header(headers, n) is None]


def _weights(decision: Decision, value: Any, r: dict[str, Any]) -> Any:
    found: dict[str, float] = {}
    for s in decision.shares:
        key = s.backend or str(s.status)
        found[key] = found.get(key, 0) + s.of
    return value if found.keys() == value.keys() and all(abs(found[k] - value[k]) < 1e-6 for k in value) else found


def _per_backend(decision: Decision, value: dict[str, Any], r: dict[str, Any]) -> Any:
    result: dict[str, Any] = {}
    for s in decision.shares:
        alone = replace(decision, shares=(s,))
        result[s.backend] = {k: THEN[k](alone, v, r) for k, v in value.get(s.backend, {}).items()}
    return result


def _mirrors(decision: Decision, value: Any, r: dict[str, Any]) -> Any:
    return [{"backend": f"{m.service}:{m.port}", "percent": m.percent} for m in decision.shares[0].mirrors]


THEN: dict[str, Callable[[Decision, Any, dict[str, Any]], Any]] = {
    "tls": _tls,
    "endpoints": _endpoints,
    "redirect": _redirect,
    "rewrite": _rewrite,
    "request_headers": lambda d, v, r: _present(_seen(d).headers, v),
    "absent_request_headers": lambda d, v, r: _absent(_seen(d).headers, v),
    "response_headers": lambda d, v, r: _present(_response(d, r), v),
    "absent_response_headers": lambda d, v, r: _absent(_response(d, r), v),
    "weights": _weights,
    "per_backend": _per_backend,
    "mirrors": _mirrors,
}


def run_httproute(case: dict[str, Any], document: dict[str, Any]) -> Iterator[Answer]:
    snapshot = Snapshot(case["objects"], Settings(loaded=True))
    known = attachments(snapshot)
    for wanted in case.get("expected_conditions", ()):
        place = _conditions(known, wanted)
        found = [(c["status"], c["reason"]) for c in place if c["type"] == wanted["type"]]
        expected = [(wanted["status"], wanted["reason"])]
        if wanted["reason"] is None:
            found = [(status, None) for status, _ in found]
        yield Answer(f"{wanted['type']} of {wanted['kind']} {wanted['name']}", expected, found)
    for wanted in case.get("expected_listeners", ()):
        listener = _listener(known.gateways[wanted["gateway"]].status, wanted["listener"])
        kinds = [k["kind"] for k in listener["supportedKinds"]]
        expected, actual = {"attachedRoutes": wanted["attachedRoutes"]}, {"attachedRoutes": listener["attachedRoutes"]}
        if "supportedKinds" in wanted:
            expected["supportedKinds"] = wanted["supportedKinds"]
            enough = bool(wanted["supportedKinds"]) and set(wanted["supportedKinds"]) <= set(kinds)
            actual["supportedKinds"] = wanted["supportedKinds"] if enough else kinds
        yield Answer(f"listener {wanted['listener']} of {wanted['gateway']}", expected, actual)
    for r in case.get("requests", ()):
        yield from routed(r, gateway.route(snapshot, r["gateway"], r["port"], request_of(r)))


def _conditions(known: Attachments, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    """The conditions that a case asks about."""
    if wanted["kind"] == "Gateway":
        status = known.gateways[wanted["name"]].status
        return _listener(status, wanted["listener"])["conditions"] if "listener" in wanted else status["conditions"]
    namespace = wanted["name"].partition("/")[0]
    asked = {k: wanted[k] for k in ("sectionName", "port") if k in wanted}
    for p in known.parents[wanted["name"]]:
        r = p["parentRef"]
        if f"{r.get('namespace') or namespace}/{r['name']}" == wanted["parent"] and asked.items() <= r.items():
            return p["conditions"]
    return []


def _listener(status: dict[str, Any], name: str) -> dict[str, Any]:
    return next(li for li in status["listeners"] if li["name"] == name)


ADAPTERS = {
    "httproute": Adapter(run_httproute, frozenset({"requests", "expected_conditions", "expected_listeners"})),
    "ingress": Adapter(run_ingress, frozenset({"controllers", "requests", "expected_status", "expected_admission"})),
}
