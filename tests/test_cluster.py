"""The front door itself: what it adds to the rooms behind it."""

from __future__ import annotations

from pathlib import Path

from k8snet import Cluster

SERVICE = (Path(__file__).parent.parent / "notebooks/manifests/lesson/my-service.yaml").read_text(encoding="utf-8")
CLIENT = """
apiVersion: v1
kind: Pod
metadata: {name: client}
spec: {containers: [{name: client, image: curlimages/curl}]}
"""


def test_the_domain_of_a_cluster_is_the_one_that_its_dns_server_serves():
    cluster = Cluster(cluster_domain="shop.internal")
    cluster.apply(f"{SERVICE}---{CLIENT}")
    found = cluster.pod("client").resolve("my-service")
    assert found.canonical == "my-service.default.svc.shop.internal"
    assert found.addresses == cluster.snapshot.services["default/my-service"].cluster_ips


def test_resolve_tells_every_candidate():
    cluster = Cluster()
    cluster.apply(CLIENT)
    text = str(cluster.pod("client").resolve("web"))
    tried = [line.split()[1] for line in text.splitlines() if "NXDOMAIN" in line]
    assert tried == ["web.default.svc.cluster.local.", "web.svc.cluster.local.", "web.cluster.local.", "web."]


def test_without_kube_proxy_nodes_keep_their_rules_and_learn_no_new_endpoint():
    """C27: what it wrote goes on working; what comes later is not in any rule until it runs again."""
    cluster = Cluster()
    cluster.apply(f"{SERVICE}---{CLIENT}")
    cluster.kubectl("run old --image=nginxinc/nginx-unprivileged --labels=app=my-app")
    client = cluster.pod("client")
    cluster.configure(proxy_running=False)
    cluster.kubectl("run new --image=nginxinc/nginx-unprivileged --labels=app=my-app")
    assert set(client.connections("my-service", 80, n=40)) == {"default/old"}
    cluster.kubectl("delete pod old --now")
    assert client.connect("my-service", 80).outcome.kind == "no route"
    cluster.configure(proxy_running=True)
    assert set(client.connections("my-service", 80, n=40)) == {"default/new"}


def test_explain_policies_says_each_policy_and_what_looks_odd_about_it():
    cluster = Cluster()
    assert cluster.explain_policies() == ""
    cluster.apply(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: shut}\n"
        "spec: {podSelector: {matchLabels: {app: nobody-has-it}}, policyTypes: [Ingress]}\n"
    )
    policy, *odd = cluster.explain_policies().split("\n")
    assert policy.startswith("shut: Pods app=nobody-has-it of namespace default")
    assert "odd: networkpolicy/default/shut" in "\n".join(odd) and "selects nobody" in "\n".join(odd)


def test_the_nearest_miss_of_a_verdict_is_a_change_that_would_turn_it_round():
    cluster = Cluster()
    cluster.kubectl("run client --image=curlimages/curl -- sleep infinity")
    cluster.kubectl("run server --image=nginxinc/nginx-unprivileged")
    cluster.apply(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: shut}\n"
        "spec: {podSelector: {matchLabels: {run: server}}, policyTypes: [Ingress], "
        "ingress: [{from: [{podSelector: {matchLabels: {role: friend}}}]}]}\n"
    )
    verdict = cluster.allowed("client", "server", 8080)
    assert not verdict
    assert str(cluster.nearest_miss(verdict)).startswith("it would be allowed if ")
