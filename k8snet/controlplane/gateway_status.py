"""Attachment: which HTTPRoutes belong to which listeners of which Gateways, and the conditions that status tells.

From the Gateway API, apis/v1 gateway_types.go, httproute_types.go, shared_types.go and referencegrant_types.go, and the
assertions of its conformance tests. Class → Gateway → listeners ← routes: the owner of the Gateway says which routes a
listener takes, the owner of a route says where its traffic goes, and a target in another namespace has to consent by a
ReferenceGrant. The data plane routes by what is attached here, so status and traffic never disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from k8snet.controlplane import routes
from k8snet.controlplane.snapshot import Snapshot
from k8snet.manifests import selectors
from k8snet.manifests.kinds import Object, Ref, ref

GROUP = "gateway.networking.k8s.io"
# The route kind that each protocol carries. A protocol that is not here is not supported.
CARRIES = {"HTTP": "HTTPRoute", "HTTPS": "HTTPRoute", "TLS": "TLSRoute", "TCP": "TCPRoute", "UDP": "UDPRoute"}
Spec = Mapping[str, Any]


@dataclass(slots=True)
class Listener:
    """A listener of a Gateway: the Secrets of its certificates, and the routes attached to it, each with the hostnames
    that it serves here (an empty one takes every host). ``serves``: it is accepted and programmed. ``spec`` is as it was
    written, ``status`` as it is to be told."""

    rule: Ref
    name: str
    port: int
    protocol: str
    hostname: str
    secrets: list[str]
    serves: bool
    spec: Spec
    status: Object
    attached: list[tuple[Object, list[str]]] = field(default_factory=list)


@dataclass(slots=True)
class Gateway:
    """A Gateway whose class exists: its controller, its listeners, and the status that it is to have."""

    ref: Ref
    controller: str
    listeners: list[Listener]
    status: Object


@dataclass(slots=True)
class Attachments:
    """Gateways, and the ``status.parents`` that each HTTPRoute is to have, both by ``namespace/name``."""

    gateways: dict[str, Gateway]
    parents: dict[str, list[Object]]


@lru_cache(maxsize=8)
def attachments(snapshot: Snapshot) -> Attachments:
    """Which routes are attached where. A Gateway whose class does not exist is nobody's: it gets no conditions.

    Routes of other kinds than HTTPRoute are attached, so counted in the listener's status, and nothing more.
    """
    classes = {c["metadata"]["name"]: c["spec"]["controllerName"] for c in snapshot.objects("GatewayClass")}
    known = Attachments({}, {})
    for g in snapshot.objects("Gateway"):
        if g["spec"].get("gatewayClassName") in classes:
            known.gateways[ref(g).key] = _gateway(snapshot, g, classes[g["spec"]["gatewayClassName"]])
    written = [o for kind in dict.fromkeys(CARRIES.values()) for o in snapshot.objects(kind)]
    for route in sorted(written, key=routes.age):
        r = ref(route)
        entries: list[Object] = []
        if r.kind == "HTTPRoute":
            known.parents[r.key] = entries
        for parent in route["spec"].get("parentRefs") or ():
            gateway = known.gateways.get(f"{parent.get('namespace') or r.namespace}/{parent['name']}")
            if gateway is None or not _is_kind({"kind": "Gateway", **parent}, "Gateway"):
                continue
            takers, accepted = _attach(snapshot, gateway, route, parent)
            for listener, hostnames in takers:
                if all(other is not route for other, _ in listener.attached):
                    listener.attached.append((route, hostnames))
                    listener.status["attachedRoutes"] += 1
            conditions = [accepted, _resolved(snapshot, route)]
            entries.append({"parentRef": parent, "controllerName": gateway.controller, "conditions": conditions})
    return known


def condition(kind: str, reason: str, message: str = "", good: bool | None = None) -> Object:
    """A condition as status holds it, without its time. *good* left out: it is, if the reason is the type itself."""
    status = str(reason == kind if good is None else good)
    return {"type": kind, "status": status, "reason": reason, "message": message or reason}


# Routes


def _attach(
    snapshot: Snapshot, gateway: Gateway, route: Object, parent: Spec
) -> tuple[list[tuple[Listener, list[str]]], Object]:
    """The listeners that take a route for one parentRef, with the hostnames that they have in common, and the Accepted
    condition. Three tests; the first that leaves no listener gives the reason."""
    r, names, of = ref(route), route["spec"].get("hostnames") or (), f"Gateway {gateway.ref.key}"
    section, port = parent.get("sectionName"), parent.get("port")
    left = [li for li in gateway.listeners if section in (None, li.name) and port in (None, li.port)]
    if not left:
        why = f"no listener of {of} has the sectionName and port that the parentRef gives"
        return [], condition("Accepted", "NoMatchingParent", why)
    left = [li for li in left if _allows(snapshot, gateway.ref.namespace, li.spec, r)]
    if not left:
        why = f"allowedRoutes of the listeners of {of} lets in no {r.kind} from namespace {r.namespace}"
        return [], condition("Accepted", "NotAllowedByListeners", why)
    takers = [(li, hosts) for li in left if (hosts := intersection(li.hostname, names))]
    if not takers:
        why = f"no hostname of the route is one that a listener of {of} has"
        return [], condition("Accepted", "NoMatchingListenerHostname", why)
    return takers, condition("Accepted", "Accepted", f"attached to {', '.join(li.name for li, _ in takers)}")


def allowed_kinds(listener: Spec) -> list[str]:
    """The route kinds that a listener takes: those named that its protocol carries, or all that it carries."""
    carried = CARRIES.get(listener["protocol"].upper())
    named = (listener.get("allowedRoutes") or {}).get("kinds") or ()
    return [carried] if carried and (not named or any(_is_kind(k, carried) for k in named)) else []


def _is_kind(k: Spec, kind: str) -> bool:
    return (k["kind"], k.get("group", GROUP)) == (kind, GROUP)


def _allows(snapshot: Snapshot, own: str, listener: Spec, route: Ref) -> bool:
    allowed = (listener.get("allowedRoutes") or {}).get("namespaces") or {}
    if route.kind not in allowed_kinds(listener):
        return False
    if allowed.get("from") == "Selector":
        labels = snapshot.namespace_labels(route.namespace)
        return selectors.from_label_selector(allowed.get("selector")).matches(labels)
    return allowed.get("from") == "All" or route.namespace == own


def intersection(hostname: str, names: Iterable[str]) -> list[str]:
    """The hostnames that a listener and a route have in common; ``[""]`` if neither names any."""
    common = [n if routes.suffix(hostname, n) else hostname for n in names if overlap(hostname, n)]
    return list(dict.fromkeys(common)) if names else [hostname]


def overlap(one: str, two: str) -> bool:
    """Whether some host is taken by both hostnames."""
    return routes.suffix(one, two) or routes.suffix(two, one)


def backend_refs(route: Object) -> Iterator[tuple[str, Spec]]:
    """Every backendRef of a route with its field: of rules and of mirrors."""
    for i, rule in enumerate(route["spec"].get("rules") or ()):
        listed = {f"spec.rules[{i}].backendRefs[{j}]": b for j, b in enumerate(rule.get("backendRefs") or ())}
        yield from listed.items()
        for at, holder in {f"spec.rules[{i}]": rule, **listed}.items():
            for k, f in enumerate(holder.get("filters") or ()):
                if f["type"] == "RequestMirror":
                    yield f"{at}.filters[{k}].requestMirror.backendRef", f["requestMirror"]["backendRef"]


def _resolved(snapshot: Snapshot, route: Object) -> Object:
    """The ResolvedRefs condition of a route: the first backendRef that is wrong gives the reason."""
    for at, b in backend_refs(route):
        reason, found = backend(snapshot, ref(route).namespace, b)
        if reason:
            return condition("ResolvedRefs", reason, f"{at}: {found.problem}")
    return condition("ResolvedRefs", "ResolvedRefs", "every backendRef is there and permitted")


def backend(snapshot: Snapshot, namespace: str, b: Spec) -> tuple[str, routes.Backend]:
    """What a backendRef of a route in *namespace* leads to, and the reason if it cannot be used at all (else empty)."""
    group, kind, target = b.get("group") or "", b.get("kind", "Service"), b.get("namespace") or namespace
    found = routes.backend(snapshot, target, b["name"], b.get("port") or 0)
    if (group, kind) != ("", "Service"):
        why = f"{kind}{'.' + group if group else ''} is no kind that can be a backend"
        return "InvalidKind", replace(found, problem=why)
    if not granted(snapshot, "HTTPRoute", namespace, "Service", target, b["name"]):
        why = f"no ReferenceGrant in {target} lets HTTPRoutes of {namespace} use Service {b['name']}"
        return "RefNotPermitted", replace(found, problem=why)
    return "BackendNotFound" if found.missing else "", found


def granted(snapshot: Snapshot, kind: str, namespace: str, to_kind: str, target: str, name: str) -> bool:
    """Whether objects of *kind* in *namespace* may refer to *to_kind* *name* in namespace *target*: their own, or one
    where a ReferenceGrant says so."""
    grants = [g["spec"] for g in snapshot.objects("ReferenceGrant") if ref(g).namespace == target]
    return namespace == target or any(
        any((f["group"], f["kind"], f["namespace"]) == (GROUP, kind, namespace) for f in g["from"])
        and any(not t.get("group") and t["kind"] == to_kind and t.get("name") in (None, "", name) for t in g["to"])
        for g in grants
    )


# Gateways and listeners


def _gateway(snapshot: Snapshot, gateway: Object, controller: str) -> Gateway:
    r, specs = ref(gateway), gateway["spec"].get("listeners") or ()
    parameters = (gateway["spec"].get("infrastructure") or {}).get("parametersRef")
    listeners, bad = [], []
    for i, li in enumerate(specs):
        secrets, refs = _references(snapshot, r.namespace, li)
        conditions = [*_accepted(specs, i), refs]
        fine = conditions[0]["status"] == "True"
        bad += [] if fine else [li["name"]]
        # A route kind that it cannot carry does not stop it from serving the others.
        serves = fine and refs["reason"] in ("ResolvedRefs", "InvalidRouteKinds") and not parameters
        conditions.append(condition("Programmed", "Programmed" if serves else "Invalid"))
        kinds = [{"group": GROUP, "kind": k} for k in allowed_kinds(li)]
        status = {"name": li["name"], "supportedKinds": kinds, "attachedRoutes": 0, "conditions": conditions}
        rule, protocol = r.at(f"spec.listeners[{i}]"), li["protocol"].upper()
        listeners.append(Listener(rule, li["name"], li["port"], protocol, _host(li), secrets, serves, li, status))
    message = f"listeners not accepted: {', '.join(bad)}" if bad else "every listener is accepted"
    accepted, reason = len(bad) < len(specs), "ListenersNotValid" if bad else "Accepted"
    if parameters:
        accepted, reason = False, "InvalidParameters"
        message = f"spec.infrastructure.parametersRef: no controller here reads parameters from {parameters['kind']}"
    programmed = "Programmed" if any(li.serves for li in listeners) else "Invalid"
    conditions = [condition("Accepted", reason, message, accepted), condition("Programmed", programmed)]
    return Gateway(r, controller, listeners, {"conditions": conditions, "listeners": [li.status for li in listeners]})


def _accepted(listeners: Any, index: int) -> Iterator[Object]:
    """Accepted, Conflicted, and, only where it is true, OverlappingTLSConfig: a client could reuse a connection to one
    HTTPS listener for a host of the other (which is answered with 421)."""
    li, conflict, overlaps = listeners[index], "", []
    for j, other in enumerate(listeners):
        if j != index and other["port"] == li["port"]:
            conflict = max(conflict, _conflict(li, other))
            if li["protocol"].upper() == other["protocol"].upper() == "HTTPS" and overlap(*map(_host, (li, other))):
                overlaps.append(other["name"])
    if li["protocol"].upper() not in CARRIES:
        yield condition("Accepted", "UnsupportedProtocol", f"protocol {li['protocol']} is not supported")
    elif conflict:
        yield condition("Accepted", "Invalid", f"another listener on port {li['port']} is in its way")
    else:
        yield condition("Accepted", "Accepted")
    yield condition("Conflicted", conflict or "NoConflicts", good=bool(conflict))
    if overlaps:
        yield condition("OverlappingTLSConfig", "OverlappingHostnames", f"overlaps with {', '.join(overlaps)}", True)


def _host(listener: Spec) -> str:
    return (listener.get("hostname") or "").lower()


def _conflict(one: Spec, two: Spec) -> str:
    """Why two listeners cannot share a port: they must differ in hostname, and not in protocol (but HTTPS and TLS may
    stand side by side, and UDP is another matter). Neither wins."""
    protocols, same_host = {one["protocol"].upper(), two["protocol"].upper()}, _host(one) == _host(two)
    if len(protocols) == 1:
        return "HostnameConflict" if same_host else ""
    return "" if "UDP" in protocols or (protocols == {"HTTPS", "TLS"} and not same_host) else "ProtocolConflict"


def _references(snapshot: Snapshot, namespace: str, li: Spec) -> tuple[list[str], Object]:
    """The Secrets of a listener that hold a certificate (``namespace/name``), and its ResolvedRefs condition."""
    protocol, secrets, problems = li["protocol"].upper(), [], []
    refs = (li.get("tls") or {}).get("certificateRefs") or ()
    for c in refs:
        target = c.get("namespace") or namespace
        key = f"{target}/{c['name']}"
        bad = routes.bad_certificate(routes.secret_by_key(snapshot).get(key))
        if (c.get("group") or "", c.get("kind", "Secret")) != ("", "Secret"):
            problems.append(("InvalidCertificateRef", f"{c.get('kind')} is no kind that holds a certificate"))
        elif not granted(snapshot, "Gateway", namespace, "Secret", target, c["name"]):
            why = f"no ReferenceGrant in {target} lets Gateways of {namespace} use Secret {c['name']}"
            problems.append(("RefNotPermitted", why))
        elif bad:
            problems.append(("InvalidCertificateRef", f"Secret {key}: {bad}"))
        else:
            secrets.append(key)
    if protocol == "HTTPS" and not refs:
        problems.append(("InvalidCertificateRef", "an HTTPS listener needs tls.certificateRefs"))
    for k in (li.get("allowedRoutes") or {}).get("kinds") or ():
        if not _is_kind(k, CARRIES.get(protocol, "")):
            problems.append(("InvalidRouteKinds", f"{k['kind']} is no route kind that protocol {protocol} carries"))
    reason, why = problems[0] if problems else ("ResolvedRefs", "every reference is there and permitted")
    return secrets, condition("ResolvedRefs", reason, why)
