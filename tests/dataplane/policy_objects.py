"""Small clusters for the policy tests, written as briefly as possible."""

from __future__ import annotations

import yaml

from k8snet.controlplane.settings import Settings
from k8snet.controlplane.snapshot import Snapshot


def pod(key, labels=None, ip="", node="n1", host=False, ports=(), ips=()):
    """A running Pod; ``ports`` are (name, number, protocol)."""
    namespace, name = key.split("/")
    declared = [{"name": n, "containerPort": p, "protocol": proto} for n, p, proto in ports]
    spec = {"nodeName": node, "hostNetwork": host, "containers": [{"name": "main", "image": "x", "ports": declared}]}
    ips = list(ips) or [ip]
    return {
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels or {}},
        "spec": spec,
        "status": {"podIP": ips[0], "podIPs": [{"ip": i} for i in ips]},
    }


def node(name, ip):
    """A node with one InternalIP."""
    return {
        "kind": "Node",
        "metadata": {"name": name},
        "status": {"addresses": [{"type": "InternalIP", "address": ip}]},
    }


def namespace(name, **labels):
    """A Namespace."""
    return {"kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def policies(text, ns="default"):
    """NetworkPolicies from YAML documents that hold only ``spec`` (named p0, p1 …) or whole objects."""
    found = []
    for i, doc in enumerate(yaml.safe_load_all(text)):
        obj = doc if "spec" in doc else {"spec": doc}
        found.append(
            {"kind": "NetworkPolicy", **obj, "metadata": obj.get("metadata") or {"name": f"p{i}", "namespace": ns}}
        )
    return found


SHOP = [
    namespace("default"),
    namespace("kube-system"),
    namespace("other", team="x"),
    node("n1", "192.168.10.11"),
    node("n2", "192.168.10.12"),
    pod("default/frontend", {"role": "frontend"}, "10.244.1.2"),
    pod(
        "default/my-app",
        {"app": "my-app"},
        "10.244.2.3",
        node="n2",
        ports=[("http", 8080, "TCP"), ("stats", 9000, "UDP")],
    ),
    pod("default/db", {"app": "db"}, "10.244.2.4", node="n2", ports=[("pg", 5432, "TCP")]),
    pod("default/visitor", {}, "10.244.1.5"),
    pod("other/frontend", {"role": "frontend"}, "10.244.1.6"),
    pod("kube-system/coredns", {"k8s-app": "kube-dns"}, "10.244.2.7", node="n2", ports=[("dns", 53, "UDP")]),
    pod("default/agent", {"role": "frontend", "app": "my-app"}, "192.168.10.12", node="n2", host=True),
]

SEED_POLICY = """
podSelector: {matchLabels: {app: my-app}}
policyTypes: [Ingress]
ingress:
- from:
  - podSelector: {matchLabels: {role: frontend}}
"""


def shop(text="", extra=(), **settings):
    """The shop with policies in namespace default."""
    return Snapshot([*SHOP, *extra, *(policies(text) if text else [])], Settings(**settings))
