"""From outside to a Pod: node ports, load balancers, source addresses, and the faults F26, F30 and F32 to F35, each as
symptom, trace and fix.

Facts: the documentation's pages on Services, virtual IPs and source IP; KEP-1860 for ipMode.
"""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from k8snet.dataplane import edge
from k8snet.dataplane.packet import Packet
from k8snet.dataplane.trace import Trace
from k8snet.manifests.kinds import Object
from tests.dataplane.http_shop import INGRESS, Shop, pod, service
from tests.dataplane.test_ingress import shop_ingress

OUTSIDE = "198.51.100.7"


def node_of(shop: Shop, name: str) -> str:
    return shop.moment.snapshot.pods[f"default/{name}"].node


def node_ip(shop: Shop, node: str) -> str:
    return shop.moment.snapshot.nodes[node].ip


def node_port(shop: Shop, name: str) -> int:
    return int(shop.get("Service", name)["spec"]["ports"][0]["nodePort"])


def load_balancer(shop: Shop, name: str) -> str:
    return str(shop.get("Service", name)["status"]["loadBalancer"]["ingress"][0]["ip"])


def policy(name: str, app: str, *sources: Object) -> Object:
    spec = {
        "podSelector": {"matchLabels": {"app": app}},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": list(sources)}],
    }
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


def saw(trace: Trace | None) -> str:
    assert trace is not None
    return trace.outcome.server_saw


@pytest.fixture
def single() -> Shop:
    """Service ``web`` over one Pod, so that two of three nodes have none."""
    return Shop(pod("web-1", app="web"), service("web", type="LoadBalancer"))


def test_a_node_port_is_open_on_every_node_and_hides_the_client(single: Shop) -> None:
    """C64, and C67 with policy Cluster."""
    for node in single.moment.snapshot.nodes.values():
        result = single.outside_runs(f"curl -sS http://{node.ip}:{node_port(single, 'web')}/")
        assert "Hello from web-1" in result.stdout and saw(result.trace) != OUTSIDE


def test_f32_local_policy_and_a_node_without_pod(single: Shop) -> None:
    """Some node addresses time out; the Pod's own node shows the client. Fix: the right node, or a load balancer that
    checks health."""
    single.change("Service", "web", {"externalTrafficPolicy": "Local"})
    home, port = node_of(single, "web-1"), node_port(single, "web")
    other = next(n for n in single.moment.snapshot.nodes if n != home)
    lost = single.outside_runs(f"curl -sS -m 3 http://{node_ip(single, other)}:{port}/")
    assert lost.exit_code == 28 and lost.trace is not None
    assert lost.trace.deciding is not None and lost.trace.deciding.place.node == other
    assert "spec.externalTrafficPolicy" in str(lost.trace.deciding.rule)
    right = single.outside_runs(f"curl -sS http://{node_ip(single, home)}:{port}/")
    assert right.exit_code == 0 and saw(right.trace) == OUTSIDE
    for _ in range(8):
        balanced = single.outside_runs(f"curl -sS http://{load_balancer(single, 'web')}/")
        assert balanced.exit_code == 0 and saw(balanced.trace) == OUTSIDE


def test_health_checks_answer_200_only_where_a_pod_is(single: Shop) -> None:
    single.change("Service", "web", {"externalTrafficPolicy": "Local"})
    port = single.get("Service", "web")["spec"]["healthCheckNodePort"]
    for name, node in single.moment.snapshot.nodes.items():
        result = single.outside_runs(f"curl -s -w '%{{http_code}}' http://{node.ip}:{port}/healthz")
        assert result.stdout.endswith("200" if name == node_of(single, "web-1") else "503")


def test_policy_local_balances_by_node_not_by_pod() -> None:
    """C67: with 2 + 1 + 0 Pods the two nodes get half each, so the lonely Pod gets twice the share of its fellows."""
    pods = [pod(f"web-{i}", app="web") for i in (1, 2, 3)]
    for p, node in zip(pods, ("node-1", "node-1", "node-2"), strict=True):
        p["spec"]["nodeName"] = node
    shop = Shop(*pods, service("web", type="LoadBalancer", externalTrafficPolicy="Local"))
    address, client = load_balancer(shop, "web"), shop.outside
    servers: Counter[str] = Counter()
    for _ in range(400):
        servers[shop.run(f"curl -sS http://{address}/", client).stdout.split(":")[0]] += 1
    assert 160 <= servers["Hello from web-3"] <= 240


def test_a_pod_that_calls_the_load_balancer_is_short_circuited(single: Shop) -> None:
    """T07: inside the cluster the load balancer's address is the nodes' own affair, even with policy Local."""
    single.change("Service", "web", {"externalTrafficPolicy": "Local"})
    result = single.run(f"curl -sS http://{load_balancer(single, 'web')}/")
    assert result.exit_code == 0 and result.trace is not None
    assert all(h.mechanism != "edge" for h in result.trace.hops)


def test_no_endpoint_anywhere_is_refused_through_the_load_balancer_too() -> None:
    """T02, also with policy Local, where no node is healthy and the balancer sends to any."""
    shop = Shop(
        service("web", type="LoadBalancer"), service("local", type="LoadBalancer", externalTrafficPolicy="Local")
    )
    for name in ("web", "local"):
        assert shop.outside_runs(f"curl -sS http://{load_balancer(shop, name)}/").exit_code == 7


def test_a_load_balancer_forwards_its_services_ports_only(single: Shop) -> None:
    result = single.outside_runs(f"curl -sS -m 3 http://{load_balancer(single, 'web')}:81/")
    assert result.exit_code == 28
    assert result.trace is not None and "forwards 80/TCP and nothing else" in result.trace.hops[-1].why


def test_a_balancer_that_ends_connections_shows_its_own_address(single: Shop) -> None:
    """ipMode Proxy: nobody short-circuits the address, and the Pod cannot see the client even with policy Local."""
    single.change("Service", "web", {"externalTrafficPolicy": "Local"})
    stored = single.get("Service", "web")
    address = load_balancer(single, "web")
    entry = {"ip": address, "ipMode": "Proxy"}
    single.plane.store.put({**stored, "status": {"loadBalancer": {"ingress": [entry]}}})
    single.settle()
    result = single.outside_runs(f"curl -sS http://{address}/")
    assert result.exit_code == 0 and saw(result.trace) == address
    inside = single.run(f"curl -sS http://{address}/")
    assert inside.exit_code == 0 and inside.trace is not None
    assert any(h.mechanism == "edge" for h in inside.trace.hops)


def test_nodes_that_are_not_ready_or_excluded_are_no_targets(single: Shop) -> None:
    node = single.get("Node", "node-2", "")
    labels = {**node["metadata"]["labels"], edge.EXCLUDED: ""}
    single.plane.store.put({**node, "metadata": {**node["metadata"], "labels": labels}})
    single.settle()
    snapshot = single.moment.snapshot
    nodes, lines = edge.candidates(snapshot, snapshot.services["default/web"])
    assert [n.name for n in nodes] == ["node-1", "node-3"] and "node-2: not a target" in lines[0]
    packet = Packet(OUTSIDE, 40000, load_balancer(single, "web"), 80)
    chosen = {edge.arrive(snapshot, random.Random(seed), packet).node for seed in range(20)}
    assert chosen == {"node-1", "node-3"}


def test_f34_load_balancer_never_gets_an_address() -> None:
    """EXTERNAL-IP pending and no events; the node port works (C65). Fix: an implementer."""
    shop = Shop(pod("web-1", app="web"), service("web", type="LoadBalancer"), load_balancer=False)
    assert shop.get("Service", "web")["status"]["loadBalancer"] == {}
    ip = node_ip(shop, "node-1")
    assert "Hello" in shop.outside_runs(f"curl -sS http://{ip}:{node_port(shop, 'web')}/").stdout
    shop.plane.configure(load_balancer=True)
    shop.settle()
    assert "Hello" in shop.outside_runs(f"curl -sS http://{load_balancer(shop, 'web')}/").stdout


def test_f33_cloud_firewall_and_localhost(single: Shop) -> None:
    """A node port times out behind the cloud's firewall, though it works from inside; on the laptop's own localhost it is
    refused. Fix: a load balancer, or a rule in the firewall."""
    single.plane.configure(cloud_firewall=True)
    single.settle()
    target = f"http://{node_ip(single, 'node-1')}:{node_port(single, 'web')}/"
    blocked = single.outside_runs(f"curl -sS -m 3 {target}")
    assert blocked.exit_code == 28 and blocked.trace is not None
    assert blocked.trace.hops[-1].place.name == "cloud firewall"
    assert single.run(f"curl -sS {target}").exit_code == 0
    assert single.outside_runs(f"curl -sS http://localhost:{node_port(single, 'web')}/").exit_code == 7
    assert single.outside_runs(f"curl -sS http://{load_balancer(single, 'web')}/").exit_code == 0
    single.plane.configure(cloud_firewall=False)
    single.settle()
    assert single.outside_runs(f"curl -sS {target}").exit_code == 0


def test_a_clouds_firewall_stands_before_pods_with_addresses_of_the_cloud_too() -> None:
    """In a VPC the router knows Pods' addresses (C83); what lets strangers in or not is the security group alone."""
    shop = Shop(pod("web-1", app="web"), network="cloud")
    target = f"http://{shop.moment.snapshot.pods['default/web-1'].ip}:8080/"
    assert shop.outside_runs(f"curl -sS {target}").exit_code == 0
    shop.plane.configure(cloud_firewall=True)
    shop.settle()
    assert shop.outside_runs(f"curl -sS -m 3 {target}").exit_code == 28


def test_f26_ip_block_meets_source_rewriting(single: Shop) -> None:
    """The office is allowed and still times out: the Pod sees a node. Fix: externalTrafficPolicy Local (C62)."""
    home = node_of(single, "web-1")
    other = next(n for n in single.moment.snapshot.nodes if n != home)
    single.add(policy("office", "web", {"ipBlock": {"cidr": "198.51.100.0/24"}}))
    line = f"curl -sS -m 3 http://{node_ip(single, other)}:{node_port(single, 'web')}/"
    blocked = single.outside_runs(line)
    assert blocked.exit_code == 28 and blocked.trace is not None
    drop = blocked.trace.deciding
    assert drop is not None and drop.mechanism == "policy" and drop.before is not None
    assert drop.before.src != OUTSIDE, "this is what the policy compares with the office's range"
    single.change("Service", "web", {"externalTrafficPolicy": "Local"})
    fixed = single.outside_runs(f"curl -sS http://{load_balancer(single, 'web')}/")
    assert fixed.exit_code == 0 and saw(fixed.trace) == OUTSIDE


def test_f30_policy_forgot_the_ingress_controller() -> None:
    """504 at the edge while a client in the namespace gets its answer. Fix: admit the controller's namespace (C70)."""
    shop = Shop(shop_ingress(), policy("own", "my-app", {"podSelector": {}}), ingress_controllers=(INGRESS,))
    at = shop.get("Ingress", "shop")["status"]["loadBalancer"]["ingress"][0]["ip"]
    line = f"curl -sS -w '%{{http_code}}' -H 'Host: shop.example.com' http://{at}/"
    result = shop.outside_runs(line)
    assert result.stdout == f"504 Gateway Timeout (ingress controller {INGRESS})\n504"
    assert result.trace is not None and result.trace.outcome.seconds == 5.0
    inner = next(h.inner for h in result.trace.hops if h.inner is not None)
    assert inner.outcome.kind == "timed out" and inner.deciding is not None
    assert inner.deciding.mechanism == "policy" and "own" in str(inner.deciding.rule)
    said = result.trace.deciding
    assert said is not None and (said.decision, said.rule) == ("504", inner.deciding.rule), "who says it, and why"
    assert shop.outside_runs(f"{line} -m 2").exit_code == 28, "a client that waits less than the proxy sees no 504"
    assert "Hello" in shop.run("curl -sS my-app").stdout
    controller = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-system"}}}
    shop.change("NetworkPolicy", "own", {"ingress": [{"from": [{"podSelector": {}}, controller]}]})
    assert shop.outside_runs(line).stdout.endswith("200")


def external_name(name: str, target: str) -> Object:
    spec = {"type": "ExternalName", "externalName": target}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def test_f35_external_name_is_only_a_cname() -> None:
    """404 for a foreign Host, (60) for a foreign name over TLS, 421 where the client does not mind it; an address as the
    value never resolves. Fix: the real name, in Host or in the URL (C66)."""
    shop = Shop(external_name("api", "api.example.com"), external_name("number", "203.0.113.201"))
    assert shop.run("curl -sS -w '%{http_code}' http://api/").stdout.endswith("404")
    assert "Hello from api.example.com" in shop.run("curl -sS -H 'Host: api.example.com' http://api/").stdout
    wrong = shop.run("curl -sS https://api/")
    assert wrong.exit_code == 60
    assert "no alternative certificate subject name matches target host name 'api'" in wrong.stderr
    assert shop.run("curl -sSk -o /dev/null -w '%{http_code}' https://api/").stdout == "421"
    assert shop.run("curl -sS https://api.example.com/").exit_code == 0
    assert shop.run("curl -sS http://number/").exit_code == 6


def test_a_final_dot_is_part_of_no_site_and_no_certificate() -> None:
    """The remedy of F15 and F16 works with servers that compare names (nginx, Apache and curl leave the dot out)."""
    shop = Shop()
    for scheme in ("http", "https"):
        assert "Hello from api.example.com" in shop.run(f"curl -sS {scheme}://api.example.com./").stdout


def test_a_proxy_says_502_for_a_refused_backend() -> None:
    """A wrong targetPort behind an Ingress: the endpoint is ready, but nothing listens there."""
    shop = Shop(shop_ingress(), ingress_controllers=(INGRESS,))
    shop.change("Service", "my-app", {"ports": [{"port": 80, "targetPort": 9999}]})
    at = shop.get("Ingress", "shop")["status"]["loadBalancer"]["ingress"][0]["ip"]
    result = shop.outside_runs(f"curl -sS -w '%{{http_code}}' -H 'Host: shop.example.com' http://{at}/")
    assert result.stdout.endswith("502")


def test_a_host_port_is_found_on_its_node_only() -> None:
    """C75."""
    one = pod("one", app="one")
    one["spec"]["containers"][0]["ports"] = [{"containerPort": 8080, "hostPort": 8888}]
    shop = Shop(one)
    home = node_of(shop, "one")
    for name, node in shop.moment.snapshot.nodes.items():
        result = shop.outside_runs(f"curl -sS http://{node.ip}:8888/")
        assert result.exit_code == (0 if name == home else 7)


def test_the_api_server_speaks_tls_with_a_certificate_of_the_clusters_own() -> None:
    shop = Shop()
    assert "unable to get local issuer certificate" in shop.run("curl -sS https://kubernetes/").stderr
    assert shop.run("curl -sSk -o /dev/null -w '%{http_code}' https://kubernetes/").stdout == "403"


def test_f54_a_pod_reads_the_keys_of_its_node() -> None:
    """The metadata service answers whoever comes from a node, and a Pod does."""
    roles = "http://169.254.169.254/latest/meta-data/iam/security-credentials/"
    shop = Shop()
    role = shop.run(f"curl -sS {roles}").stdout.strip()
    assert "AccessKeyId" in shop.run(f"curl -sS {roles}{role}").stdout
    assert "404" in shop.run("curl -sS http://169.254.169.254/nothing").stdout


def test_a_pod_and_the_outside_have_names_for_the_internet() -> None:
    shop = Shop()
    inside, outside = shop.run("curl -sS http://example.com/"), shop.outside_runs("curl -sS http://example.com/")
    assert "from 192.168.10." in inside.stdout, "masqueraded on its way out (C06)"
    assert f"from {OUTSIDE}" in outside.stdout


def test_the_next_address_is_tried_when_one_refuses() -> None:
    """A headless Service with one good and one bad address: curl goes on by itself."""
    spec: dict[str, Any] = {"clusterIP": "None", "selector": {"app": "peer"}, "ports": [{"port": 8080}]}
    shop = Shop(pod("good", app="peer"), pod("bad", "postgres", app="peer"), service("peer", **spec))
    results = [shop.run("curl -sS http://peer:8080/") for _ in range(8)]
    assert all("Hello from good" in r.stdout for r in results)
    tried = [h for r in results if r.trace for h in r.trace.hops if h.decision == "next address"]
    assert tried and all(h.inner is not None and h.inner.outcome.kind == "refused" for h in tried)
