"""Gateway API: attachment, conditions, precedence, filters, and F55 as symptom, trace and fix.

Facts: gateway-api apis/v1 (httproute_types.go, gateway_types.go, referencegrant_types.go) and conformance/tests.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8snet.controlplane.gateway_status import attachments, intersection
from k8snet.controlplane.routes import suffix
from k8snet.controlplane.settings import Settings
from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane import gateway, ingress
from k8snet.dataplane.http import Decision, Request, header
from k8snet.manifests.kinds import Object
from tests.dataplane.http_shop import GATEWAY, INGRESS, Shop, namespace, pod, secret, service
from tests.dataplane.test_ingress import CLASS, make, ready, rule

API = "gateway.networking.k8s.io/v1"
GATEWAY_CLASS = {
    "apiVersion": API,
    "kind": "GatewayClass",
    "metadata": {"name": "g"},
    "spec": {"controllerName": GATEWAY},
}


def listener(name: str = "http", port: int = 80, protocol: str = "HTTP", **more: Any) -> Object:
    return {"name": name, "port": port, "protocol": protocol, **more}


def gateway_object(*listeners: Object, name: str = "gw") -> Object:
    spec = {"gatewayClassName": "g", "listeners": list(listeners) or [listener()]}
    return {"apiVersion": API, "kind": "Gateway", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def to(name: str, **more: Any) -> Object:
    return {"name": name, "port": 80, **more}


def route(name: str, *rules: Object, namespace: str = "default", hostnames: Any = (), **parent: Any) -> Object:
    spec = {"parentRefs": [{"name": "gw", "namespace": "default", **parent}], "rules": list(rules)}
    if hostnames:
        spec["hostnames"] = list(hostnames)
    return {"apiVersion": API, "kind": "HTTPRoute", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def matching(backend: str, *matches: Object, **more: Any) -> Object:
    return {"backendRefs": [to(backend)], **({"matches": list(matches)} if matches else {}), **more}


def prefix(path: str) -> Object:
    return {"path": {"type": "PathPrefix", "value": path}}


def grant(source: str, kind: str = "HTTPRoute", target: str = "Service", **to_: str) -> Object:
    spec = {
        "from": [{"group": "gateway.networking.k8s.io", "kind": kind, "namespace": source}],
        "to": [{"group": "", "kind": target, **to_}],
    }
    meta = {"name": "grant", "namespace": "other"}
    return {"apiVersion": f"{API}beta1", "kind": "ReferenceGrant", "metadata": meta, "spec": spec}


def snapshot(*objects: Object) -> Snapshot:
    return Snapshot([GATEWAY_CLASS, *objects, *(o for name in "abc" for o in ready(name))], Settings())


def routed(request: Request, *objects: Object, port: int = 80) -> Decision:
    return gateway.route(snapshot(*objects), "default/gw", port, request)


def told(conditions: list[Object]) -> dict[str, tuple[str, str]]:
    return {c["type"]: (c["status"], c["reason"]) for c in conditions}


def conditions_of_route(s: Snapshot, name: str) -> dict[str, tuple[str, str]]:
    return told(attachments(s).parents[name][0]["conditions"])


def conditions_of_listener(s: Snapshot, index: int = 0) -> dict[str, tuple[str, str]]:
    return told(attachments(s).gateways["default/gw"].status["listeners"][index]["conditions"])


# Attachment and conditions


@pytest.mark.parametrize(
    ("allowed", "parent", "reason"),
    [
        ({}, {"sectionName": "nosuch"}, "NoMatchingParent"),
        ({}, {"sectionName": "http", "port": 81}, "NoMatchingParent"),
        ({}, {}, "NotAllowedByListeners"),
        ({"namespaces": {"from": "Selector", "selector": {"matchLabels": {"team": "b"}}}}, {}, "NotAllowedByListeners"),
        ({"namespaces": {"from": "All"}, "kinds": [{"kind": "GRPCRoute"}]}, {}, "NotAllowedByListeners"),
        ({"namespaces": {"from": "All"}}, {}, "NoMatchingListenerHostname"),
    ],
)
def test_reasons_why_a_route_is_not_accepted(allowed: Object, parent: Object, reason: str) -> None:
    """The first test that leaves no listener gives the reason; references are judged apart."""
    gw = gateway_object(listener(hostname="a.com", **({"allowedRoutes": allowed} if allowed else {})))
    r = route("r", matching("a"), namespace="other", hostnames=["b.com"], **parent)
    s = snapshot(gw, r)
    assert conditions_of_route(s, "other/r")["Accepted"] == ("False", reason)
    assert not attachments(s).gateways["default/gw"].listeners[0].attached


def test_namespaces_are_chosen_by_label() -> None:
    allowed = {
        "namespaces": {"from": "Selector", "selector": {"matchLabels": {"kubernetes.io/metadata.name": "other"}}}
    }
    s = snapshot(
        gateway_object(listener(allowedRoutes=allowed)),
        route("r", matching("a"), namespace="other"),
    )
    assert conditions_of_route(s, "other/r")["Accepted"] == ("True", "Accepted")


@pytest.mark.parametrize(
    ("ref", "reason"),
    [
        (to("nosuch"), "BackendNotFound"),
        (to("a", port=81), "BackendNotFound"),
        (to("a", kind="Pod"), "InvalidKind"),
        (to("x", namespace="other"), "RefNotPermitted"),
    ],
)
def test_a_bad_backend_leaves_the_route_accepted_and_answers_500(ref: Object, reason: str) -> None:
    objects = gateway_object(), route("r", {"backendRefs": [ref]})
    s = snapshot(*objects)
    assert conditions_of_route(s, "default/r") == {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("False", reason)}
    assert len(attachments(s).gateways["default/gw"].listeners[0].attached) == 1
    assert routed(Request("x.com"), *objects).status == 500


@pytest.mark.parametrize(("granted", "status"), [({}, 0), ({"name": "a"}, 0), ({"name": "b"}, 500)])
def test_a_grant_lives_in_the_targets_namespace_and_may_name_its_target(granted: dict[str, str], status: int) -> None:
    there = [{**o, "metadata": {**o["metadata"], "namespace": "other"}} for o in ready("a")]
    decision = routed(
        Request("x.com"),
        gateway_object(),
        route("r", {"backendRefs": [to("a", namespace="other")]}),
        grant("default", **granted),
        *there,
    )
    assert (decision.status, decision.backend) == (status, None if status else "other/a:80")


def test_listener_conditions() -> None:
    """Unsupported protocol, kinds that the protocol does not carry, certificates that are missing or not granted."""
    tls = {"certificateRefs": [{"name": "cert", "namespace": "other"}]}
    gw = gateway_object(
        listener("ok"),
        listener("bad", 1111, "INVALID"),
        listener("kinds", 8080, allowedRoutes={"kinds": [{"kind": "UDPRoute"}, {"kind": "HTTPRoute"}]}),
        listener("tls", 443, "HTTPS", tls=tls),
    )
    s = snapshot(gw, secret("cert", "other"))
    assert conditions_of_listener(s, 1)["Accepted"] == ("False", "UnsupportedProtocol")
    assert conditions_of_listener(s, 2)["ResolvedRefs"] == ("False", "InvalidRouteKinds")
    assert [k["kind"] for k in attachments(s).gateways["default/gw"].status["listeners"][2]["supportedKinds"]] == [
        "HTTPRoute"
    ]
    assert conditions_of_listener(s, 3)["ResolvedRefs"] == ("False", "RefNotPermitted")
    assert conditions_of_listener(s, 3)["Programmed"] == ("False", "Invalid")
    assert told(attachments(s).gateways["default/gw"].status["conditions"])["Accepted"] == ("True", "ListenersNotValid")
    permitted = snapshot(gw, secret("cert", "other"), grant("default", "Gateway", "Secret"))
    assert conditions_of_listener(permitted, 3)["ResolvedRefs"] == ("True", "ResolvedRefs")
    assert conditions_of_listener(snapshot(gw, grant("default", "Gateway", "Secret")), 3)["ResolvedRefs"] == (
        "False",
        "InvalidCertificateRef",
    )


def test_a_listener_that_names_an_unknown_kind_too_serves_the_kinds_that_it_carries() -> None:
    """gateway-invalid-route-kind.yaml: beside InvalidRoute, HTTPRoute still attaches and its requests are served."""
    kinds = [{"kind": "InvalidRoute"}, {"kind": "HTTPRoute"}]
    objects = gateway_object(listener(allowedRoutes={"kinds": kinds})), route("r", matching("a"))
    assert conditions_of_listener(snapshot(*objects))["ResolvedRefs"] == ("False", "InvalidRouteKinds")
    assert routed(Request("x.com", "/"), *objects).backend == "default/a:80"


def test_parameters_that_nobody_reads_leave_the_gateway_unaccepted() -> None:
    """gateway-invalid-parameters-ref.go."""
    gw, r = gateway_object(listener()), route("r", matching("a"))
    gw["spec"]["infrastructure"] = {"parametersRef": {"group": "", "kind": "ConfigMap", "name": "nosuch"}}
    s = snapshot(gw, r)
    conditions = told(attachments(s).gateways["default/gw"].status["conditions"])
    assert conditions == {"Accepted": ("False", "InvalidParameters"), "Programmed": ("False", "Invalid")}
    assert routed(Request("x.com", "/"), gw, r).status == 404


def test_listeners_that_cannot_share_a_port_are_all_conflicted() -> None:
    """gateway-listener-protocol-and-route-kind-conflicts.go: HTTPS and TLS share a port only with different hosts."""
    tls = {"certificateRefs": [{"name": "cert"}]}
    gw = gateway_object(
        listener("https", 8443, "HTTPS", tls=tls),
        listener("tls", 8443, "TLS", tls={"mode": "Passthrough"}),
        listener("other-host", 8443, "TLS", hostname="x.com", tls={"mode": "Passthrough"}),
        listener("http", 80),
        listener("twin", 80),
    )
    s = snapshot(gw, secret("cert"))
    for index, reason in (
        (0, "ProtocolConflict"),
        (1, "ProtocolConflict"),
        (3, "HostnameConflict"),
        (4, "HostnameConflict"),
    ):
        assert conditions_of_listener(s, index)["Conflicted"] == ("True", reason)
        assert conditions_of_listener(s, index)["Accepted"] == ("False", "Invalid")
    assert conditions_of_listener(s, 2)["Conflicted"] == ("False", "NoConflicts")


def test_routes_of_other_kinds_are_counted_where_they_attach() -> None:
    """gateway-listener-protocol-and-route-kind-conflicts.go: the TLS listener takes the TLSRoute, not the HTTPRoute."""
    gw = gateway_object(listener("tls", 443, "TLS", tls={"mode": "Passthrough"}))
    passed = {**route("passed", {"backendRefs": [to("a")]}), "kind": "TLSRoute"}
    s = snapshot(gw, passed, route("refused", matching("a")))
    assert attachments(s).gateways["default/gw"].status["listeners"][0]["attachedRoutes"] == 1
    assert conditions_of_route(s, "default/refused")["Accepted"] == ("False", "NotAllowedByListeners")
    (line,) = gateway.table(s).splitlines()[1:]
    assert "*     TLSRoute  (not simulated)  tlsroute/default/passed" in line, "it has no paths to show"


def test_a_gateway_whose_class_does_not_exist_is_nobodys() -> None:
    gw = gateway_object()
    gw["spec"]["gatewayClassName"] = "nosuch"
    s = snapshot(gw, route("r", matching("a")))
    assert attachments(s).gateways == {} and attachments(s).parents["default/r"] == []


HOSTS = st.sampled_from(["", "a.com", "*.a.com", "b.a.com", "*.b.a.com", "c.b.a.com", "b.com"])


@given(HOSTS, st.lists(HOSTS.filter(bool), max_size=3), st.sampled_from(["a.com", "b.a.com", "x.b.a.com", "y.com"]))
def test_a_route_serves_exactly_what_both_sides_take(one: str, names: list[str], host: str) -> None:
    both = suffix(one, host) and (not names or any(suffix(n, host) for n in names))
    assert any(suffix(h, host) for h in intersection(one, names)) is both


# Matching and precedence


@pytest.mark.parametrize(
    ("winner", "loser", "why"),
    [
        ({"path": {"type": "Exact", "value": "/x"}}, prefix("/x/"), "more precise path type"),
        (prefix("/x"), {**prefix("/"), "method": "GET"}, "longer path"),
        ({"method": "GET"}, {"headers": [{"name": "v", "value": "1"}]}, "names a method"),
        ({"headers": [{"name": "v", "value": "1"}]}, {"queryParams": [{"name": "q", "value": "1"}]}, "more header"),
        ({"queryParams": [{"name": "q", "value": "1"}]}, {}, "more query"),
    ],
)
def test_precedence_goes_on_to_the_next_criterion_only_on_a_tie(winner: Object, loser: Object, why: str) -> None:
    request = Request("x.com", "/x?q=1", headers=(("V", "1"),))
    decision = routed(request, gateway_object(), route("r", matching("a", loser), matching("b", winner)))
    assert decision.backend == "default/b:80" and why in decision.lost[0]


def test_repeated_conditions_and_regular_expressions() -> None:
    twice = {"headers": [{"name": "Version", "value": "1"}, {"name": "version", "value": "2"}]}
    expression = {"headers": [{"name": "v", "type": "RegularExpression", "value": "[0-9]+"}]}
    objects = gateway_object(), route("r", matching("a", twice), matching("b", expression))
    assert routed(Request("x", headers=(("version", "1"),)), *objects).backend == "default/a:80"
    assert routed(Request("x", headers=(("V", "12"),)), *objects).backend == "default/b:80"
    assert routed(Request("x", headers=(("V", "12a"),)), *objects).status == 404


def test_only_routes_of_the_most_specific_listener_are_considered() -> None:
    """Listener isolation, and 421 over TLS where the Host belongs to another listener than the SNI chose."""
    tls = {"certificateRefs": [{"name": "cert"}]}
    gw = gateway_object(
        listener("all", 443, "HTTPS", tls=tls),
        listener("wild", 443, "HTTPS", hostname="*.a.com", tls=tls),
        listener("one", 443, "HTTPS", hostname="b.a.com", tls=tls),
    )
    objects = (
        gw,
        secret("cert"),
        route("r", matching("a"), sectionName="all"),
        route("w", matching("b"), sectionName="wild"),
    )

    def status(sni: str, host: str) -> Any:
        decision = routed(Request(host, scheme="https", sni=sni), *objects, port=443)
        return decision.status or decision.backend

    assert status("z.com", "z.com") == "default/a:80"
    assert status("x.a.com", "y.x.a.com") == "default/b:80", "a star is one label or more"
    assert status("b.a.com", "b.a.com") == 404, "its listener has no route, and the others' do not count"
    assert status("x.a.com", "b.a.com") == 421
    assert status("b.a.com", "z.com") == 421


def test_no_listener_for_the_server_name_ends_the_handshake() -> None:
    gw = gateway_object(listener("one", 443, "HTTPS", hostname="a.com", tls={"certificateRefs": [{"name": "cert"}]}))
    assert routed(Request("b.com", scheme="https", sni="b.com"), gw, secret("cert"), port=443).tls_failure


# Filters


@pytest.mark.parametrize(
    ("matched", "replacement", "path", "result"),
    [
        ("/foo", "/xyz", "/foo/bar?q=1", "/xyz/bar?q=1"),
        ("/foo/", "/xyz/", "/foo/bar", "/xyz/bar"),
        ("/foo", "/xyz", "/foo", "/xyz"),
        ("/foo", "", "/foo", "/"),
        ("/foo", "", "/foo/bar", "/bar"),
        ("/foo", "/", "/foo/", "/"),
        ("/foo", "/", "/foo/bar", "/bar"),
        ("/", "/xyz", "/bar", "/xyz/bar"),
    ],
)
def test_prefix_rewrite_is_never_empty_and_has_no_double_slash(
    matched: str, replacement: str, path: str, result: str
) -> None:
    """The table in HTTPPathModifier.replacePrefixMatch."""
    modifier = {"type": "ReplacePrefixMatch", "replacePrefixMatch": replacement}
    filters = [{"type": "URLRewrite", "urlRewrite": {"path": modifier}}]
    decision = routed(Request("x", path), gateway_object(), route("r", matching("a", prefix(matched), filters=filters)))
    assert decision.shares[0].request is not None and decision.shares[0].request.path == result


@pytest.mark.parametrize(
    ("port", "redirect", "location"),
    [
        (80, {"scheme": "https"}, "https://x.com/p?q=1"),
        (8080, {}, "http://x.com:8080/p?q=1"),
        (8080, {"scheme": "https"}, "https://x.com/p?q=1"),
        (8080, {"hostname": "y.com", "port": 80}, "http://y.com/p?q=1"),
        (80, {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/z"}}, "http://x.com/z?q=1"),
    ],
)
def test_redirect_takes_absent_parts_from_the_request(port: int, redirect: Object, location: str) -> None:
    r = route("r", {"filters": [{"type": "RequestRedirect", "requestRedirect": redirect}]})
    decision = routed(Request("x.com:8080", "/p?q=1"), gateway_object(listener(port=port)), r, port=port)
    assert (decision.status, decision.shares[0].location) == (302, location)


def test_weights_are_shares_and_filters_of_a_backend_are_its_own() -> None:
    mark = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"add": [{"name": "Seen", "value": "b"}]}}
    refs = [to("a", weight=3), to("b", filters=[mark]), to("c", weight=0), to("nosuch", weight=4)]
    decision = routed(Request("x", headers=(("seen", "0"),)), gateway_object(), route("r", {"backendRefs": refs}))
    assert [(s.of, s.backend, s.status) for s in decision.shares] == [
        (0.375, "default/a:80", 0),
        (0.125, "default/b:80", 0),
        (0.5, "", 500),
    ]
    seen = [header(s.request.headers, "Seen") for s in decision.shares if s.request]
    assert seen[:2] == ["0", "0,b"]


def test_all_weights_zero_is_500_and_no_ready_endpoint_503() -> None:
    assert routed(Request("x"), gateway_object(), route("r", {"backendRefs": [to("a", weight=0)]})).status == 500
    assert routed(Request("x"), gateway_object(), route("r", matching("empty")), service("empty")).status == 503


def test_the_table_shows_every_match_in_order_and_what_is_wrong() -> None:
    objects = gateway_object(), route("r", matching("a"), matching("nosuch", prefix("/x")), hostnames=["x.com"])
    lines = gateway.table(snapshot(*objects)).splitlines()
    assert "PathPrefix /x" in lines[1] and "500 BackendNotFound" in lines[1]
    assert "PathPrefix /" in lines[2] and "default/a:80" in lines[2]


# The same wish in Ingress and in HTTPRoute

LABELS = st.sampled_from(["a", "b", "c"])
NAMES = st.builds(".".join, st.lists(LABELS, min_size=1, max_size=3)).map(lambda n: f"{n}.com")
PATHS = st.lists(st.sampled_from(["x", "y", "xx"]), max_size=3).map(lambda parts: "/" + "/".join(parts))
WISHES = st.lists(
    st.tuples(
        st.one_of(st.just(""), NAMES, NAMES.map(lambda n: f"*.{n}")),
        PATHS,
        st.sampled_from(["Exact", "Prefix"]),
        st.sampled_from("abc"),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda w: w[:3],
)


@settings(max_examples=150, deadline=None)
@given(WISHES, NAMES, PATHS, st.booleans())
def test_the_same_wish_gives_the_same_route(wishes: list[Any], host: str, path: str, slash: bool) -> None:
    """Ingress rules and HTTPRoutes that say the same send a request to the same backend, except where the specifications
    differ: a star that would have to stand for several labels, and what happens when the most precise host has no
    matching path (an Ingress ends there, the Gateway API looks at the next host)."""
    path = path.rstrip("/") + "/" if slash else path
    rules: dict[str, list[tuple[str, str, str]]] = {}
    for name, p, kind, b in wishes:
        rules.setdefault(name, []).append((p, kind, b))
    one = make("one", *(rule(name, *paths) for name, paths in rules.items()))
    gateway_routes = []
    for i, (name, paths) in enumerate(rules.items()):
        matches = [
            matching(b, {"path": {"type": "PathPrefix" if kind == "Prefix" else kind, "value": p}})
            for p, kind, b in paths
        ]
        gateway_routes.append(route(f"r{i}", *matches, hostnames=[name] if name else ()))
    s = Snapshot(
        [CLASS, GATEWAY_CLASS, one, gateway_object(), *gateway_routes, *(o for n in "abc" for o in ready(n))],
        Settings(),
    )
    by_ingress = ingress.route(s, (INGRESS,), Request(host, path))
    by_gateway = gateway.route(s, "default/gw", 80, Request(host, path))
    several_labels = any(n.startswith("*.") and re.fullmatch(rf"[a-c]\.[a-c.]*{re.escape(n[1:])}", host) for n in rules)
    if not several_labels and by_ingress.backend is not None:
        assert by_gateway.backend == by_ingress.backend
    if by_gateway.backend is None:
        assert by_ingress.backend is None


# In a cluster


@pytest.fixture
def shop() -> Shop:
    classes = {**GATEWAY_CLASS, "metadata": {"name": "g"}}
    return Shop(
        classes, gateway_object(), route("shop", {"backendRefs": [to("my-app")]}), gateway_controllers=(GATEWAY,)
    )


def address(shop: Shop) -> str:
    return str(shop.get("Gateway", "gw")["status"]["addresses"][0]["value"])


def reasons(shop: Shop, name: str, namespace: str = "default") -> dict[str, str]:
    return {
        c["type"]: c["reason"] for c in shop.get("HTTPRoute", name, namespace)["status"]["parents"][0]["conditions"]
    }


def test_a_request_goes_through_the_gateways_own_proxy(shop: Shop) -> None:
    result = shop.outside_runs(f"curl -sS http://{address(shop)}/")
    assert result.stdout.startswith("Hello from my-app-")
    inner = next(h for h in result.trace.hops if h.inner) if result.trace else None
    assert inner is not None and inner.place.name.startswith("gateway-system/default-gw-")
    assert str(inner.rule) == "httproute/default/shop spec.rules[0].backendRefs[0]"
    gw = shop.get("Gateway", "gw")["status"]
    assert {c["type"]: c["status"] for c in gw["conditions"]} == {"Accepted": "True", "Programmed": "True"}
    assert gw["listeners"][0]["attachedRoutes"] == 1 and gw["conditions"][0]["observedGeneration"] == 1


def test_without_a_controller_there_is_no_status_and_no_proxy() -> None:
    shop = Shop(GATEWAY_CLASS, gateway_object(), route("shop", {"backendRefs": [to("my-app")]}))
    for kind, name in (("Gateway", "gw"), ("HTTPRoute", "shop")):
        assert not (shop.get(kind, name).get("status") or {}).get("conditions")
        assert not (shop.get(kind, name).get("status") or {}).get("parents")
    assert shop.plane.store.get("Namespace", "", "gateway-system") is None


def test_without_a_load_balancer_the_gateway_has_no_address() -> None:
    shop = Shop(GATEWAY_CLASS, gateway_object(), gateway_controllers=(GATEWAY,), load_balancer=False)
    programmed = shop.get("Gateway", "gw")["status"]["conditions"][1]
    assert (programmed["status"], programmed["reason"]) == ("False", "AddressNotAssigned")


def test_f55_route_not_admitted(shop: Shop) -> None:
    """Symptom: 404 and NotAllowedByListeners. Fix: allowedRoutes."""
    shop.plane.api.delete("HTTPRoute", "default", "shop")
    other = route("shop", {"backendRefs": [to("my-app")]}, namespace="other")
    shop.add(namespace("other"), service("my-app", namespace="other"), other)
    result = shop.outside_runs(f"curl -sS -w '%{{http_code}}' http://{address(shop)}/")
    assert result.stdout == "404 Not Found (Gateway default/gw)\n404"
    assert result.trace is not None and "no route of listener http" in result.trace.forward[-1].why
    assert reasons(shop, "shop", "other")["Accepted"] == "NotAllowedByListeners"
    shop.change("Gateway", "gw", {"listeners": [listener(allowedRoutes={"namespaces": {"from": "All"}})]})
    assert reasons(shop, "shop", "other")["Accepted"] == "Accepted"
    assert shop.outside_runs(f"curl -sS -o /dev/null -w '%{{http_code}}' http://{address(shop)}/").stdout == "503"


def test_f55_backend_in_another_namespace(shop: Shop) -> None:
    """Symptom: 500 and RefNotPermitted (C74). Fix: a ReferenceGrant there; nothing else changes."""
    shop.add(namespace("other"), pod("web-1", namespace="other", app="web"), service("web", namespace="other"))
    shop.change("HTTPRoute", "shop", {"rules": [{"backendRefs": [to("web", namespace="other")]}]})
    result = shop.outside_runs(f"curl -sS -w '%{{http_code}}' http://{address(shop)}/")
    assert result.stdout == "500 Internal Server Error (Gateway default/gw)\n500"
    assert reasons(shop, "shop") == {"Accepted": "Accepted", "ResolvedRefs": "RefNotPermitted"}
    assert result.trace is not None and "no ReferenceGrant in other" in result.trace.forward[-1].why
    shop.add(grant("default"))
    assert reasons(shop, "shop")["ResolvedRefs"] == "ResolvedRefs"
    assert "Hello from web-1" in shop.outside_runs(f"curl -sS http://{address(shop)}/").stdout


def test_curl_follows_a_redirect_to_https(shop: Shop) -> None:
    shop.add(secret("cert"))
    tls = {"certificateRefs": [{"name": "cert"}]}
    shop.change(
        "Gateway", "gw", {"listeners": [listener(), listener("https", 443, "HTTPS", hostname="shop.test", tls=tls)]}
    )
    redirect = {"filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}]}
    shop.change("HTTPRoute", "shop", {"parentRefs": [{"name": "gw", "sectionName": "http"}], "rules": [redirect]})
    shop.add(route("secure", {"backendRefs": [to("my-app")]}, sectionName="https"))
    at = address(shop)
    names = f"--resolve shop.test:80:{at} --resolve shop.test:443:{at}"
    first = shop.outside_runs(f"curl -sS -i {names} http://shop.test/")
    assert "302 Found" in first.stdout and "Location: https://shop.test/\r\n" in first.stdout
    assert shop.outside_runs(f"curl -sSL {names} http://shop.test/").stdout.startswith("Hello from my-app-")
    wrong = shop.outside_runs(f"curl -sS --resolve other.test:443:{at} https://other.test/")
    assert wrong.exit_code == 35, "no listener has that server name"


def test_a_mirror_gets_a_copy_and_its_answer_is_dropped(shop: Shop) -> None:
    shop.add(pod("copy-1", app="copy"), service("copy"))
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": to("copy")}}
    shop.change("HTTPRoute", "shop", {"rules": [{"filters": [mirror], "backendRefs": [to("my-app")]}]})
    result = shop.outside_runs(f"curl -sS http://{address(shop)}/")
    assert result.stdout.startswith("Hello from my-app-") and result.trace is not None
    copy = next(h for h in result.trace.hops if h.decision == "mirror")
    assert copy.inner is not None and copy.inner.outcome.server == "default/copy-1"
