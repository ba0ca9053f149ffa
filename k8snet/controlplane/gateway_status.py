"""Attachment: which HTTPRoutes belong to which listeners of which Gateways, and the conditions that status tells.

From the Gateway API, apis/v1 gateway_types.go, httproute_types.go, shared_types.go and referencegrant_types.go, and the
assertions of its conformance tests. Class → Gateway → listeners ← routes: the owner of the Gateway says which routes a
listener takes, the owner of a route says where its traffic goes, and a target in another namespace has to consent by a
ReferenceGrant. The data plane routes by what is attached here, so status and traffic never disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from k8snet.controlplane import routes
from k8snet.controlplane.snapshot import Snapshot
from k8snet.manifests import selectors
from k8snet.manifests.kinds import Object, Ref, ref

GROUP = "gateway.networking.k8s.io"
# What each protocol carries. A protocol that is not here is not supported.
KINDS = {
    "HTTP": ("HTTPRoute",),
    "HTTPS": ("HTTPRoute",),
    "TLS": ("TLSRoute",),
    "TCP": ("TCPRoute",),
    "UDP": ("UDPRoute",),
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition: ``status`` True or False, the reason in CamelCase and a sentence."""

    type: str
    status: bool
    reason: str
    message: str = ""

    def as_object(self) -> Object:
        """As it stands in status, without its time."""
        message = self.message or self.reason
        return {"type": self.type, "status": str(self.status), "reason": self.reason, "message": message}


@dataclass(frozen=True, slots=True)
class Attachment:
    """A route on a listener, serving ``hostnames``: the intersection of both sides' (an empty one takes every host)."""

    route: Ref
    obj: Object = field(compare=False)
    hostnames: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listener:
    """A listener of a Gateway, with the routes attached to it. ``serves``: it is accepted, resolved and programmed."""

    rule: Ref
    name: str
    port: int
    protocol: str
    hostname: str
    kinds: tuple[str, ...]
    secrets: tuple[str, ...]
    conditions: tuple[Condition, ...]
    attached: tuple[Attachment, ...]

    @property
    def serves(self) -> bool:
        """Whether the proxy listens here."""
        return all(c.status for c in self.conditions if c.type == "Programmed")


@dataclass(frozen=True, slots=True)
class Gateway:
    """A Gateway whose class exists, with its controller, listeners and conditions."""

    ref: Ref
    controller: str
    listeners: tuple[Listener, ...]
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Parent:
    """One entry of a route's ``status.parents``: the parentRef (index in spec), its Gateway and the conditions."""

    index: int
    gateway: Ref
    controller: str
    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Attachments:
    """All Gateways by ``namespace/name`` and the parents of each route, by ``namespace/name``."""

    gateways: Mapping[str, Gateway]
    parents: Mapping[str, tuple[Parent, ...]]


@lru_cache(maxsize=8)
def attachments(snapshot: Snapshot) -> Attachments:
    """Which routes are attached where. A Gateway whose class does not exist is nobody's: it gets no conditions."""
    classes = {c["metadata"]["name"]: c["spec"]["controllerName"] for c in snapshot.objects("GatewayClass")}
    gateways = {
        ref(g).key: (g, classes[g["spec"]["gatewayClassName"]])
        for g in snapshot.objects("Gateway")
        if g["spec"].get("gatewayClassName") in classes
    }
    attached: dict[tuple[str, int], list[Attachment]] = {}
    parents: dict[str, tuple[Parent, ...]] = {}
    for route in sorted(snapshot.objects("HTTPRoute"), key=routes.age):
        r, found = ref(route), []
        for i, p in enumerate(route["spec"].get("parentRefs") or ()):
            key = f"{p.get('namespace') or r.namespace}/{p['name']}"
            if p.get("kind", "Gateway") != "Gateway" or p.get("group", GROUP) != GROUP or key not in gateways:
                continue
            gateway, controller = gateways[key]
            takers, accepted = _attach(snapshot, gateway, route, p)
            for index, hostnames in takers:
                entry = attached.setdefault((key, index), [])
                if all(a.route != r for a in entry):
                    entry.append(Attachment(r, route, hostnames))
            found.append(Parent(i, ref(gateway), controller, (accepted, resolved(snapshot, route))))
        parents[r.key] = tuple(found)
    return Attachments(
        {key: _gateway(snapshot, g, controller, attached) for key, (g, controller) in gateways.items()}, parents
    )


# Routes


def _attach(
    snapshot: Snapshot, gateway: Object, route: Object, parent: Mapping[str, Any]
) -> tuple[list[tuple[int, tuple[str, ...]]], Condition]:
    """The listeners (by index) that take a route for one parentRef, with the hostnames that they have in common, and
    the Accepted condition. Three tests; the first that leaves no listener gives the reason."""
    where = ref(gateway).key
    left = [
        (i, li)
        for i, li in enumerate(gateway["spec"].get("listeners") or ())
        if parent.get("sectionName") in (None, li["name"]) and parent.get("port") in (None, li["port"])
    ]
    if not left:
        why = f"no listener of Gateway {where} has the sectionName and port that the parentRef gives"
        return [], Condition("Accepted", False, "NoMatchingParent", why)
    namespace = ref(route).namespace
    left = [
        (i, li)
        for i, li in left
        if "HTTPRoute" in allowed_kinds(li) and _allows_namespace(snapshot, ref(gateway).namespace, li, namespace)
    ]
    if not left:
        why = f"allowedRoutes of the listeners of Gateway {where} lets in no HTTPRoute from namespace {namespace}"
        return [], Condition("Accepted", False, "NotAllowedByListeners", why)
    takers = []
    for i, li in left:
        common = intersection(li.get("hostname") or "", route["spec"].get("hostnames") or ())
        if common:
            takers.append((i, common))
    if not takers:
        why = f"no hostname of the route is one that a listener of Gateway {where} has"
        return [], Condition("Accepted", False, "NoMatchingListenerHostname", why)
    names = ", ".join(gateway["spec"]["listeners"][i]["name"] for i, _ in takers)
    return takers, Condition("Accepted", True, "Accepted", f"attached to listener {names} of Gateway {where}")


def allowed_kinds(listener: Mapping[str, Any]) -> tuple[str, ...]:
    """The route kinds that a listener takes: those named that its protocol carries, or all that it carries."""
    carried = KINDS.get(listener["protocol"].upper(), ())
    named = (listener.get("allowedRoutes") or {}).get("kinds") or ()
    wanted = [k["kind"] for k in named if k.get("group", GROUP) == GROUP]
    return tuple(k for k in carried if not named or k in wanted)


def _allows_namespace(snapshot: Snapshot, own: str, listener: Mapping[str, Any], namespace: str) -> bool:
    allowed = (listener.get("allowedRoutes") or {}).get("namespaces") or {}
    if allowed.get("from") == "All":
        return True
    if allowed.get("from") == "Selector":
        return selectors.from_label_selector(allowed.get("selector")).matches(snapshot.namespace_labels(namespace))
    return namespace == own


def intersection(hostname: str, of_route: Iterable[str]) -> tuple[str, ...]:
    """The hostnames that a listener and a route have in common; ``("",)`` if neither names any."""
    names = list(of_route)
    if not names:
        return (hostname,)
    common = []
    for name in names:
        if routes.suffix(hostname, name):
            common.append(name)
        elif routes.suffix(name, hostname):
            common.append(hostname)
    return tuple(dict.fromkeys(common))


def backend_refs(route: Object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every backendRef of a route with its field: of rules and of mirrors."""
    for i, rule in enumerate(route["spec"].get("rules") or ()):
        for j, b in enumerate(rule.get("backendRefs") or ()):
            yield f"spec.rules[{i}].backendRefs[{j}]", b
            yield from _mirrors(b, f"spec.rules[{i}].backendRefs[{j}]")
        yield from _mirrors(rule, f"spec.rules[{i}]")


def _mirrors(holder: Mapping[str, Any], field: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for k, f in enumerate(holder.get("filters") or ()):
        if f["type"] == "RequestMirror":
            yield f"{field}.filters[{k}].requestMirror.backendRef", f["requestMirror"]["backendRef"]


def resolved(snapshot: Snapshot, route: Object) -> Condition:
    """The ResolvedRefs condition of a route: the first backendRef that is wrong gives the reason."""
    for where, b in backend_refs(route):
        reason, why = backend_problem(snapshot, ref(route).namespace, b)
        if reason:
            return Condition("ResolvedRefs", False, reason, f"{where}: {why}")
    return Condition("ResolvedRefs", True, "ResolvedRefs", "every backendRef is there and permitted")


def backend_problem(snapshot: Snapshot, namespace: str, b: Mapping[str, Any]) -> tuple[str, str]:
    """Reason and sentence for a backendRef of a route in *namespace* that cannot be used; two empty texts if it can."""
    group, kind, target = b.get("group") or "", b.get("kind", "Service"), b.get("namespace") or namespace
    if (group, kind) != ("", "Service"):
        return "InvalidKind", f"{kind}{'.' + group if group else ''} is no kind that can be a backend"
    if target != namespace and not granted(snapshot, "HTTPRoute", namespace, "Service", target, b["name"]):
        return (
            "RefNotPermitted",
            f"no ReferenceGrant in {target} lets HTTPRoutes of {namespace} use Service {b['name']}",
        )
    found = routes.backend(snapshot, target, b["name"], b.get("port") or 0)
    return ("BackendNotFound", found.problem) if found.missing else ("", "")


def granted(snapshot: Snapshot, kind: str, namespace: str, to_kind: str, target: str, name: str) -> bool:
    """Whether a ReferenceGrant in namespace *target* lets objects of *kind* in *namespace* refer to *to_kind* *name*."""
    return any(
        any((f["group"], f["kind"], f["namespace"]) == (GROUP, kind, namespace) for f in g["spec"]["from"])
        and any(
            (t.get("group") or "", t["kind"]) == ("", to_kind) and t.get("name") in (None, "", name)
            for t in g["spec"]["to"]
        )
        for g in snapshot.objects("ReferenceGrant")
        if ref(g).namespace == target
    )


# Gateways and listeners


def _gateway(
    snapshot: Snapshot, gateway: Object, controller: str, attached: Mapping[tuple[str, int], list[Attachment]]
) -> Gateway:
    r, entries = ref(gateway), gateway["spec"].get("listeners") or ()
    listeners = []
    for i, li in enumerate(entries):
        secrets, refs = _references(snapshot, r.namespace, li)
        accepted = _accepted(entries, i)
        good = refs.status and all(c.status for c in accepted if c.type == "Accepted")
        programmed = Condition("Programmed", good, "Programmed" if good else "Invalid")
        conditions = (*accepted, refs, programmed, *_overlap(entries, i))
        rule = r.at(f"spec.listeners[{i}]")
        listeners.append(
            Listener(
                rule,
                li["name"],
                li["port"],
                li["protocol"].upper(),
                (li.get("hostname") or "").lower(),
                allowed_kinds(li),
                secrets,
                conditions,
                tuple(attached.get((r.key, i), ())),
            )
        )
    bad = [li.name for li in listeners if not all(c.status for c in li.conditions if c.type == "Accepted")]
    any_good = len(bad) < len(listeners)
    why = f"listeners not accepted: {', '.join(bad)}" if bad else "every listener is accepted"
    serves = any(li.serves for li in listeners)
    return Gateway(
        r,
        controller,
        tuple(listeners),
        (
            Condition("Accepted", any_good, "ListenersNotValid" if bad else "Accepted", why),
            Condition("Programmed", serves, "Programmed" if serves else "Invalid"),
        ),
    )


def _accepted(entries: Any, index: int) -> tuple[Condition, Condition]:
    """Accepted and Conflicted. Listeners on one port must not differ in protocol (HTTPS and TLS may share a port) and
    must differ in hostname; of those that do not, none wins."""
    li = entries[index]
    protocol, hostname = li["protocol"].upper(), (li.get("hostname") or "").lower()
    conflict = ""
    for j, other in enumerate(entries):
        if j == index or other["port"] != li["port"] or "UDP" in (protocol, other["protocol"].upper()):
            continue
        theirs, same_host = other["protocol"].upper(), (other.get("hostname") or "").lower() == hostname
        if theirs == protocol:
            conflict = conflict or ("HostnameConflict" if same_host else "")
        elif same_host or {protocol, theirs} != {"HTTPS", "TLS"}:
            conflict = "ProtocolConflict"
    if protocol not in KINDS:
        accepted = Condition("Accepted", False, "UnsupportedProtocol", f"protocol {li['protocol']} is not supported")
    elif conflict:
        accepted = Condition("Accepted", False, "Invalid", f"another listener on port {li['port']} is in its way")
    else:
        accepted = Condition("Accepted", True, "Accepted")
    return accepted, Condition("Conflicted", bool(conflict), conflict or "NoConflicts")


def _overlap(entries: Any, index: int) -> tuple[Condition, ...]:
    """OverlappingTLSConfig, only where it is true: another HTTPS listener on the port may take the same host, so that a
    client could reuse a connection for it (which is answered with 421)."""
    li = entries[index]
    for j, other in enumerate(entries):
        both_tls = {li["protocol"].upper(), other["protocol"].upper()} == {"HTTPS"}
        if j != index and both_tls and other["port"] == li["port"]:
            one, two = (li.get("hostname") or "").lower(), (other.get("hostname") or "").lower()
            if routes.suffix(one, two) or routes.suffix(two, one):
                return (
                    Condition("OverlappingTLSConfig", True, "OverlappingHostnames", f"overlaps with {other['name']}"),
                )
    return ()


def _references(snapshot: Snapshot, namespace: str, li: Mapping[str, Any]) -> tuple[tuple[str, ...], Condition]:
    """The Secrets of a listener that hold a certificate (``namespace/name``), and its ResolvedRefs condition."""
    kinds = (li.get("allowedRoutes") or {}).get("kinds") or ()
    problem = ("", "")
    secrets = []
    carried = KINDS.get(li["protocol"].upper(), ())
    for k in kinds:
        if k.get("group", GROUP) != GROUP or k["kind"] not in carried:
            problem = ("InvalidRouteKinds", f"{k['kind']} is no route kind that protocol {li['protocol']} carries")
    tls = li.get("tls") or {}
    known = routes.secret_by_key(snapshot)
    refs = tls.get("certificateRefs") or ()
    for c in refs:
        key = f"{c.get('namespace') or namespace}/{c['name']}"
        if (c.get("group") or "", c.get("kind", "Secret")) != ("", "Secret"):
            problem = ("InvalidCertificateRef", f"{c.get('kind')} is no kind that holds a certificate")
        elif c.get("namespace", namespace) != namespace and not granted(
            snapshot, "Gateway", namespace, "Secret", c["namespace"], c["name"]
        ):
            why = f"no ReferenceGrant in {c['namespace']} lets Gateways of {namespace} use Secret {c['name']}"
            problem = ("RefNotPermitted", why)
        elif routes.bad_certificate(known.get(key)):
            problem = ("InvalidCertificateRef", f"Secret {key}: {routes.bad_certificate(known.get(key))}")
        else:
            secrets.append(key)
    if li["protocol"].upper() == "HTTPS" and not refs:
        problem = ("InvalidCertificateRef", "an HTTPS listener needs a certificate: tls.certificateRefs is empty")
    reason, why = problem
    if reason:
        return tuple(secrets), Condition("ResolvedRefs", False, reason, why)
    return tuple(secrets), Condition("ResolvedRefs", True, "ResolvedRefs", "every reference is there and permitted")
