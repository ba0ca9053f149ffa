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
