"""Ingress: routes, and the faults that people meet (F50 to F53), each as symptom, trace and fix.

Facts: ingress-controller-conformance features/*.feature, networking/v1 types.go, the Ingress page of the documentation.
"""

from __future__ import annotations

from typing import Any

import pytest

from k8snet.controlplane import ingress_controller
from k8snet.controlplane.settings import Settings
from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane import ingress
from k8snet.dataplane.http import Request
from k8snet.manifests.kinds import Object, ref
from tests.dataplane.http_shop import INGRESS, Shop, namespace, pod, secret, service

CLASS = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "IngressClass",
    "metadata": {"name": "nginx"},
    "spec": {"controller": INGRESS},
}


def backend(name: str, port: int | str = 80) -> Object:
    return {"service": {"name": name, "port": {"name": port} if isinstance(port, str) else {"number": port}}}


def rule(host: str, *paths: tuple[str, str, str]) -> Object:
    http = {"paths": [{"path": p, "pathType": t, "backend": backend(b)} for p, t, b in paths]}
    return {**({"host": host} if host else {}), "http": http}


def make(name: str, *rules: Object, created: str = "", **spec: Any) -> Object:
    meta = {"name": name, "namespace": "default"} | ({"creationTimestamp": created} if created else {})
    wanted = {"ingressClassName": "nginx", "rules": list(rules), **spec}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": meta, "spec": wanted}


def ready(name: str) -> list[Object]:
    """A Service with one ready endpoint."""
    slice_ = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}}],
        "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
    }
    return [service(name), slice_]


def routed(request: Request, *ingresses: Object, backends: str = "a b c") -> Any:
    objects = [CLASS, *ingresses, *(o for name in backends.split() for o in ready(name))]
    return ingress.route(Snapshot(objects, Settings()), (INGRESS,), request)


def test_host_first_then_path_without_falling_back_to_a_less_precise_host() -> None:
    one = make(
        "one",
        rule("foo.com", ("/x", "Prefix", "a")),
        rule("*.com", ("/", "Prefix", "b")),
        rule("", ("/", "Prefix", "c")),
    )
    assert routed(Request("foo.com", "/x"), one).backend == "default/a:80"
    assert routed(Request("foo.com", "/y"), one).status == 404, "the precise host has no path for it"
    assert routed(Request("bar.com", "/y"), one).backend == "default/b:80"
    assert routed(Request("a.bar.com", "/y"), one).backend == "default/c:80", "a star is one label"
    assert routed(Request("FOO.com:8080", "/x"), one).backend == "default/a:80", "neither port nor case count"


@pytest.mark.parametrize(
    ("paths", "path", "winner"),
    [
        ([("/foo", "Exact", "a"), ("/foo/", "Prefix", "b")], "/foo", "a"),
        ([("/foo", "Prefix", "a"), ("/foo/", "Prefix", "b")], "/foo", "b"),
        ([("/foo", "Prefix", "a"), ("/foo", "Exact", "b")], "/foo", "b"),
        ([("/", "Prefix", "a"), ("/foo/bar", "Prefix", "b")], "/foo/barbaz", "a"),
        ([("/foo", "ImplementationSpecific", "a")], "/foo/bar?x=/foo", "a"),
    ],
)
def test_path_precedence(paths: list[tuple[str, str, str]], path: str, winner: str) -> None:
    """The documentation's table, and types.go where KEP-1453 differs."""
    assert routed(Request("x.com", path), make("one", rule("x.com", *paths))).backend == f"default/{winner}:80"


def test_a_decision_names_the_rule_that_won_and_why_each_other_lost() -> None:
    one = make(
        "one",
        rule("x.com", ("/", "Prefix", "a"), ("/foo", "Prefix", "b"), ("/bar", "Exact", "c")),
        rule("y.com", ("/", "Prefix", "c")),
    )
    decision = routed(Request("x.com", "/foo/1"), one)
    assert str(decision.rule) == "ingress/default/one spec.rules[0].http.paths[1]"
    lost = dict(line.split(": ", 1) for line in decision.lost)
    start = "ingress/default/one spec.rules"
    assert lost[f"{start}[0].http.paths[0]"] == "Prefix / takes it too, but /foo is longer"
    assert lost[f"{start}[0].http.paths[2]"] == "Exact /bar does not take /foo/1"
    assert lost[f"{start}[1].http.paths[0]"] == "host y.com is not x.com"


def test_the_older_of_two_equal_rules_wins() -> None:
    young = make("a-young", rule("x.com", ("/", "Prefix", "a")), created="2026-01-02T00:00:00Z")
    old = make("b-old", rule("x.com", ("/", "Prefix", "b")), created="2026-01-01T00:00:00Z")
    assert routed(Request("x.com"), young, old).backend == "default/b:80"


def test_default_backend_takes_what_no_rule_takes() -> None:
    one = make("one", rule("x.com", ("/x", "Prefix", "a")), defaultBackend=backend("b"))
    assert routed(Request("x.com", "/y"), one).backend == "default/b:80"
    assert routed(Request("other.com", "/y"), one).backend == "default/b:80"
    assert routed(Request("x.com", "/y"), make("one", rule("x.com", ("/x", "Prefix", "a")))).status == 404


def test_the_annotation_of_an_old_object_wins_over_the_field() -> None:
    old = make("old", rule("x.com", ("/", "Prefix", "a")))
    old["metadata"]["annotations"] = {"kubernetes.io/ingress.class": "other"}
    assert routed(Request("x.com"), old).status == 404


def test_the_table_of_routes_is_in_the_order_of_precedence() -> None:
    objects = [
        CLASS,
        make("one", rule("", ("/", "Prefix", "a")), rule("x.com", ("/", "Prefix", "a"), ("/foo", "Exact", "gone"))),
    ]
    text = ingress.table(Snapshot([*objects, *ready("a")], Settings()), (INGRESS,))
    assert [line.split()[:4] for line in text.splitlines()[1:]] == [
        ["x.com", "/foo", "Exact", "default/gone:80"],
        ["x.com", "/", "Prefix", "default/a:80"],
        ["*", "/", "Prefix", "default/a:80"],
    ]
    assert "<there is no Service default/gone>" in text and "10.0.0.1:8080" in text


# In a cluster


def shop_ingress(**spec: Any) -> Object:
    return make("shop", rule("shop.example.com", ("/", "Prefix", "my-app")), **spec)


@pytest.fixture
def shop() -> Shop:
    return Shop(shop_ingress(), ingress_controllers=(INGRESS,))


def address(shop: Shop) -> str:
    status = shop.get("Ingress", "shop")["status"]["loadBalancer"]
    return status["ingress"][0]["ip"] if status else ""


def test_a_request_goes_edge_controller_pod(shop: Shop) -> None:
    """C70: the controller is a client; the Pod sees the controller's address, and the client's only in a header."""
    result = shop.outside_runs(f"curl -sS -H 'Host: shop.example.com' http://{address(shop)}/")
    assert result.stdout.startswith("Hello from my-app-")
    proxy = next(p for p in shop.moment.snapshot.pods.values() if p.namespace == "ingress-system")
    assert f"from {proxy.ip}, for " in result.stdout
    trace = result.trace
    assert trace is not None and trace.outcome.server == proxy.key
    assert [h.place.kind for h in trace.forward if h.mechanism in ("edge", "http")] == ["edge", "pod"]
    inner = next(h for h in trace.hops if h.inner is not None)
    assert str(inner.rule) == "ingress/default/shop spec.rules[0].http.paths[0]"
    assert inner.inner is not None and inner.inner.outcome.server_saw == proxy.ip
    assert all(h.mechanism != "proxy" for h in inner.inner.hops), "straight to an endpoint, past the ClusterIP"


def test_without_a_controller_an_ingress_does_nothing() -> None:
    """C68, F50 (no controller): ADDRESS stays empty, there is no event; the knob is the fix."""
    shop = Shop(CLASS, shop_ingress())
    assert address(shop) == "" and not shop.plane.api.events_for(_ref(shop))
    shop.plane.configure(ingress_controllers=(INGRESS,))
    shop.settle()
    assert address(shop).startswith("203.0.113.")


def _ref(shop: Shop) -> Any:
    return ref(shop.get("Ingress", "shop"))


def test_f50_wrong_class() -> None:
    """Symptom: empty ADDRESS and the controller's 404; the controller's log names it. Fix: ingressClassName."""
    shop = Shop(shop_ingress(ingressClassName="ngnix"), ingress_controllers=(INGRESS,))
    at = shop.get("Service", "nginx-proxy", "ingress-system")["status"]["loadBalancer"]["ingress"][0]["ip"]
    assert address(shop) == "" and not shop.plane.api.events_for(_ref(shop))
    result = shop.outside_runs(f"curl -sS -H 'Host: shop.example.com' http://{at}/")
    assert result.stdout == f"404 Not Found (ingress controller {INGRESS})\n"
    assert result.trace is not None and "serves no Ingress" in result.trace.forward[-1].why
    log = ingress_controller.log(shop.moment.snapshot, INGRESS)
    assert 'ingress="default/shop" error="ingress does not contain a valid IngressClass"' in log
    shop.change("Ingress", "shop", {"ingressClassName": "nginx"})
    assert address(shop) == at
    assert "Hello" in shop.outside_runs(f"curl -sS -H 'Host: shop.example.com' http://{at}/").stdout


def test_f51_whose_404(shop: Shop) -> None:
    """By IP the controller says 404, with the Host it works; a path that the app has not is the app's own 404."""
    at = address(shop)
    by_ip = shop.outside_runs(f"curl -sS -i http://{at}/")
    assert by_ip.stdout.startswith("HTTP/1.1 404") and f"Server: ingress controller {INGRESS}" in by_ip.stdout
    assert by_ip.trace is not None and by_ip.trace.outcome.said_by.startswith("ingress controller")
    by_name = shop.outside_runs(f"curl -sS -i --resolve shop.example.com:80:{at} http://shop.example.com/cart")
    assert "404" in by_name.stdout and "Server: nginx" in by_name.stdout and "has no /cart" in by_name.stdout
    assert by_name.trace is not None and by_name.trace.outcome.said_by.startswith(
        "the application in Pod default/my-app-"
    )


def test_f51_exact_path_takes_no_subpath(shop: Shop) -> None:
    """/app yes, /app/x no: the controller's 404 until pathType is Prefix."""
    at = address(shop)
    shop.change("Ingress", "shop", {"rules": [rule("shop.example.com", ("/app", "Exact", "my-app"))]})
    line = f"curl -sS -H 'Host: shop.example.com' http://{at}/app/x"
    exact = shop.outside_runs(line)
    assert exact.stdout.startswith("404 Not Found (ingress controller")
    assert exact.trace is not None and "Exact /app does not take /app/x" in str(exact.trace).replace("\n", " ")
    shop.change("Ingress", "shop", {"rules": [rule("shop.example.com", ("/app", "Prefix", "my-app"))]})
    assert "(my-app-" in shop.outside_runs(line).stdout, "now the request reaches the app, which has its own 404"


@pytest.mark.parametrize(
    ("name", "port", "why"),
    [
        ("my-ap", 80, "there is no Service default/my-ap"),
        ("my-app", 8080, "Service default/my-app has no port 8080 (it has: 80)"),
        ("empty", 80, "Service default/empty has no ready endpoint"),
    ],
)
def test_f52_wrong_service_or_port_is_503(shop: Shop, name: str, port: int, why: str) -> None:
    """The backend is a Service and the Service's port, not the Pod's."""
    shop.add(service("empty"))
    paths = {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend(name, port)}]}
    shop.change("Ingress", "shop", {"rules": [{"host": "shop.example.com", "http": paths}]})
    line = f"curl -sS -w '%{{http_code}}' -H 'Host: shop.example.com' http://{address(shop)}/"
    result = shop.outside_runs(line)
    assert result.stdout.endswith("\n503")
    assert result.trace is not None and why in result.trace.forward[-1].why
    assert str(result.trace.forward[-1].rule) == "ingress/default/shop spec.rules[0].http.paths[0]"
    shop.change("Ingress", "shop", {"rules": shop_ingress()["spec"]["rules"]})
    assert shop.outside_runs(line).stdout.endswith("\n200")


def test_f53_tls_secret_missing_or_elsewhere(shop: Shop) -> None:
    """(60) self-signed: the controller's default certificate. Fix: the Secret in the Ingress's namespace."""
    shop.change("Ingress", "shop", {"tls": [{"hosts": ["shop.example.com"], "secretName": "shop-tls"}]})
    shop.add(namespace("elsewhere"), secret("shop-tls", "elsewhere"))
    line = f"curl -sS --resolve shop.example.com:443:{address(shop)} https://shop.example.com/"
    result = shop.outside_runs(line)
    assert result.exit_code == 60 and "self-signed certificate" in result.stderr
    assert "Hello" in shop.outside_runs(f"{line} -k").stdout
    shop.add(secret("shop-tls"))
    fixed = shop.outside_runs(line)
    assert fixed.exit_code == 0 and "Hello" in fixed.stdout
    assert fixed.trace is not None and "Secret default/shop-tls" in str(fixed.trace).replace("\n", " ")


def test_a_tls_entry_without_hosts_is_for_all_of_them_but_the_named_ones(shop: Shop) -> None:
    """networking/v1 types.go, IngressTLS.hosts: left out, the certificate is the one for every host."""
    shop.add(secret("for-all"), secret("for-shop"))
    entries = [{"secretName": "for-all"}, {"hosts": ["shop.example.com"], "secretName": "for-shop"}]
    shop.change("Ingress", "shop", {"tls": entries})
    for host, shown in (("shop.example.com", "for-shop"), ("else.example.com", "for-all"), ("", "for-all")):
        request = Request("shop.example.com", "/", scheme="https", sni=host)
        certificate = ingress.route(shop.moment.snapshot, (INGRESS,), request).certificate
        assert certificate is not None and certificate.secret == f"default/{shown}"


def test_a_certificate_for_another_name_is_60(shop: Shop) -> None:
    shop.add(secret("shop-tls", **{"k8snet.io/cert-hosts": "www.example.com"}))
    shop.change("Ingress", "shop", {"tls": [{"hosts": ["shop.example.com"], "secretName": "shop-tls"}]})
    result = shop.outside_runs(f"curl -sS --resolve shop.example.com:443:{address(shop)} https://shop.example.com/")
    assert result.exit_code == 60
    assert "no alternative certificate subject name matches target host name 'shop.example.com'" in result.stderr


def test_tls_ends_at_the_controller_and_http_stays_served(shop: Shop) -> None:
    """C71: no redirect of its own accord; plain HTTP on the TLS port is answered 400."""
    shop.add(secret("shop-tls"))
    shop.change("Ingress", "shop", {"tls": [{"hosts": ["shop.example.com"], "secretName": "shop-tls"}]})
    at = address(shop)
    secure = shop.outside_runs(f"curl -sS --resolve shop.example.com:443:{at} https://shop.example.com/")
    inner = next(h.inner for h in secure.trace.hops if h.inner) if secure.trace else None
    assert inner is not None and "GET http://shop.example.com/" in inner.request, (
        "behind the controller it is plain HTTP"
    )
    assert "Hello" in shop.outside_runs(f"curl -sS -H 'Host: shop.example.com' http://{at}/").stdout
    assert shop.outside_runs(f"curl -sS http://{at}:443/").stdout.startswith("400 ")


def test_a_known_controller_image_with_a_service_of_ones_own_serves_its_class() -> None:
    own = [
        namespace("mine"),
        pod("proxy", "registry.k8s.io/ingress-nginx/controller:v1.14.0", "mine", app="proxy"),
        service("proxy", 80, 80, "mine", type="NodePort"),
    ]
    shop = Shop(CLASS, shop_ingress(), *own)
    node = shop.moment.snapshot.nodes[shop.moment.snapshot.pods["mine/proxy"].node]
    assert address(shop) == node.ip
    port = shop.get("Service", "proxy", "mine")["spec"]["ports"][0]["nodePort"]
    assert "Hello" in shop.outside_runs(f"curl -sS -H 'Host: shop.example.com' http://{node.ip}:{port}/").stdout
