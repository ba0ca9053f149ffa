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


# random clusters: few names, so that rules meet Pods often

LABELS = {"app": ["web", "db"], "role": ["front", "back"]}
KEYS = {**LABELS, "kubernetes.io/metadata.name": ["a", "b"], "team": ["x"]}
BLOCKS = ["0.0.0.0/0", "10.0.0.0/24", "10.0.0.0/30", "10.0.1.2/32", "203.0.113.0/24", "192.168.10.0/24", "fd00::/64"]


def random_cluster(rng):
    """Two to seven Pods in three namespaces and up to five policies, with everything that a policy may say."""
    objects = [namespace("a", team="x")]
    objects += [random_pod(rng, i) for i in range(1, rng.randint(3, 8))]
    return objects + [random_policy(rng, i) for i in range(rng.choice([0, 1, 2, 3, 4, 5]))]


def random_pod(rng, number):
    labels = {k: rng.choice(values) for k, values in LABELS.items() if rng.random() < 0.7}
    named = {"http": rng.choice([80, 8080]), "dns": 80}
    ports = [(name, port, rng.choice(["TCP", "UDP"])) for name, port in named.items() if rng.random() < 0.5]
    at, host = rng.choice(["n1", "n2"]), rng.random() < 0.15
    four, six = f"10.0.{rng.randint(0, 1)}.{number}", f"fd00::{number}"
    ips = rng.choice([[four], [four], [four, six], [six, four], [six]])
    ips = [f"192.168.10.1{at[1]}"] if host else ips
    return pod(f"{rng.choice('abc')}/pod{number}", labels, node=at, host=host, ports=ports, ips=ips)


def random_policy(rng, number):
    spec = {"podSelector": random_selector(rng)}
    for direction, side in (("ingress", "from"), ("egress", "to")):
        if rng.random() < 0.7:
            spec[direction] = [random_rule(rng, side) for _ in range(rng.randint(0, 2))]
    if rng.random() < 0.6:
        spec["policyTypes"] = rng.choice([["Ingress"], ["Egress"], ["Ingress", "Egress"]])
    meta = {"name": f"p{number}", "namespace": rng.choice("ab")}
    return {"kind": "NetworkPolicy", "metadata": meta, "spec": spec}


def random_selector(rng):
    key, kind = rng.choice(list(KEYS)), rng.random()
    if kind < 0.4:
        return {}
    if kind < 0.7:
        return {"matchLabels": {key: rng.choice(KEYS[key])}}
    operator = rng.choice(["In", "NotIn", "Exists", "DoesNotExist"])
    values = {"values": rng.sample(KEYS[key], 1)} if "In" in operator else {}
    return {"matchExpressions": [{"key": key, "operator": operator, **values}]}


def random_rule(rng, side):
    rule = {side: [random_peer(rng) for _ in range(rng.choice([0, 1, 1, 2]))]} if rng.random() < 0.8 else {}
    return rule | ({"ports": [random_port(rng) for _ in range(rng.choice([0, 1, 2]))]} if rng.random() < 0.6 else {})


def random_peer(rng):
    if rng.random() < 0.3:
        holes = {"except": [rng.choice(BLOCKS)]} if rng.random() < 0.4 else {}
        return {"ipBlock": {"cidr": rng.choice(BLOCKS), **holes}}
    fields = rng.choice([["podSelector"], ["namespaceSelector"], ["namespaceSelector", "podSelector"]])
    return {field: random_selector(rng) for field in fields}


def random_port(rng):
    entry = {"protocol": rng.choice(["TCP", "UDP", "SCTP"])} if rng.random() < 0.5 else {}
    more = [{}, {"port": 80}, {"port": 8080}, {"port": 79, "endPort": rng.choice([79, 80, 9000])}, {"port": "http"}]
    return entry | rng.choice([*more, {"port": "dns"}])
