"""How fast and how big is the all-pairs answer? ``python benchmarks/reachability.py [PODS/POLICIES …]``.

Synthetic clusters, as real ones are: Deployments of some ten Pods; default-deny in every namespace (egress too in half of
them), every third open within; DNS egress; allow rules by matchLabels and matchExpressions, across namespaces, by named
port, port range and ipBlock. For each size, each in a process of its own:

load     reading the objects into a snapshot (outside the goal)
groups   compiling the policies and computing who reaches whom, group by group
matrix   writing the matrix of booleans with numpy
floor    numpy writing as many bytes: no matrix is cheaper
kinds    how many groups there are: what bounds the time of ``groups``
verdict  one verdict with its whole text, on average and the 99th of 100

The PyPI package network-config-analyzer answers a like question (all ports at once, as rules). If the variable
``K8SNET_NCA`` names its command ``nca``, both get the same YAML files and are timed as whole processes, ours with a
matrix for every class of ports.
"""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SIZES = ("100/20", "1000/200", "5000/500", "10000/1000")
PORT = 8080
TIERS = ("web", "api", "worker", "cache", "db")
DNS = {
    "to": [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }
    ],
    "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
}


def cluster(pods: int, policies: int, seed: int = 0) -> list[dict[str, Any]]:
    """A cluster of that many Pods and policies over 5 to 50 namespaces, the same for the same seed."""
    rng = random.Random(seed)
    names = [f"team-{i}" for i in range(max(5, min(50, pods // 200)))]
    objects = [
        _namespace(n, {"stage": rng.choice(["dev", "test", "prod"]), "team": f"t{i % 7}"}) for i, n in enumerate(names)
    ]
    objects += [
        _namespace("kube-system", {}),
        *(_pod("kube-system", f"coredns-{i}", i, {"k8s-app": "kube-dns"}) for i in (1, 2)),
    ]
    apps: list[tuple[str, str, str]] = []
    number = 2
    while number < pods:
        apps.append((rng.choice(names), f"app-{len(apps)}", rng.choice(TIERS)))
        namespace, app, tier = apps[-1]
        for i in range(min(rng.randint(2, 18), pods - number)):
            number += 1
            labels = {"app": app, "tier": tier, "pod-template-hash": f"{hash_(app)}"}
            objects.append(_pod(namespace, f"{app}-{i}", number, labels))
    denied = [(n, "Ingress") for n in names] + [(n, "Egress") for n in names[::2]]
    written = [_policy(n, f"deny-{d.lower()}", {"podSelector": {}, "policyTypes": [d]}) for n, d in denied]
    inside = {
        "podSelector": {},
        "ingress": [{"from": [{"podSelector": {}}]}],
        "egress": [{"to": [{"podSelector": {}}]}, DNS],
    }
    written += [_policy(n, "allow-inside", {**inside, "policyTypes": ["Ingress", "Egress"]}) for n in names[::3]]
    while len(written) < policies:
        written.append(_allow(rng, len(written), names, apps))
    return objects + written


def hash_(text: str) -> int:
    """A stable number for a text."""
    return sum(ord(c) * 31**i for i, c in enumerate(text)) % 10**9


def _namespace(name: str, labels: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name, **labels}},
    }


def _pod(namespace: str, name: str, number: int, labels: dict[str, str]) -> dict[str, Any]:
    ports = [{"name": "http", "containerPort": 8080, "protocol": "TCP"}]
    ip = f"10.{number // 65536 + 244}.{number // 256 % 256}.{number % 256}"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "nodeName": f"node-{number % 100}",
            "containers": [{"name": "main", "image": "nginx", "ports": ports}],
        },
        "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "hostIP": f"192.168.10.{number % 100}"},
    }


def _policy(namespace: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta, "spec": spec}


def _allow(rng: random.Random, number: int, names: list[str], apps: list[tuple[str, str, str]]) -> dict[str, Any]:
    namespace, app, _ = rng.choice(apps)
    peers: list[dict[str, Any]] = [
        {"podSelector": {"matchLabels": {"app": rng.choice(apps)[1]}}},
        {"podSelector": {"matchExpressions": [{"key": "tier", "operator": "In", "values": rng.sample(TIERS, 2)}]}},
        {"podSelector": {"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": rng.sample(TIERS, 2)}]}},
        {"namespaceSelector": {}},
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": rng.choice(names)}}},
        {
            "namespaceSelector": {"matchLabels": {"stage": "prod"}},
            "podSelector": {"matchLabels": {"tier": rng.choice(TIERS)}},
        },
        {
            "ipBlock": {
                "cidr": f"10.244.{rng.randrange(64) * 4}.0/22",
                "except": [f"10.244.{rng.randrange(64) * 4}.0/24"],
            }
        },
        {"ipBlock": {"cidr": f"203.0.{rng.randrange(256)}.0/24"}},
    ]
    ports: list[dict[str, Any]] = [
        {"port": 8080, "protocol": "TCP"},
        {"port": "http", "protocol": "TCP"},
        {"port": 8000, "endPort": 8100, "protocol": "TCP"},
        {"port": 5432, "protocol": "TCP"},
    ]
    rule = {
        "from": rng.sample(peers, rng.choice((1, 1, 2))),
        **({"ports": rng.sample(ports, 1)} if rng.random() < 0.7 else {}),
    }
    spec: dict[str, Any] = {"podSelector": {"matchLabels": {"app": app}}, "policyTypes": ["Ingress"], "ingress": [rule]}
    if number % 4 == 0:
        rule["to"] = rule.pop("from")
        spec = {"podSelector": {"matchLabels": {"app": app}}, "policyTypes": ["Egress"], "egress": [rule, DNS]}
    return _policy(namespace, f"allow-{number}", spec)


def measure(pods: int, policies: int) -> dict[str, float]:
    """One size: times in seconds (best of three), peak memory of this process in MiB, and how many groups there are."""
    import numpy as np

    from k8snet.controlplane.settings import Settings
    from k8snet.controlplane.snapshot import Snapshot
    from k8snet.dataplane import policy
    from k8snet.dataplane.reachability import reachability

    objects = cluster(pods, policies)
    row: dict[str, float] = {"pods": pods, "policies": policies}
    times: dict[str, list[float]] = {"load": [], "groups": [], "matrix": [], "floor": []}
    for _ in range(3):
        snapshot, seconds = timed(lambda: Snapshot(objects, Settings()))
        times["load"].append(seconds)
        found, seconds = timed(lambda s=snapshot: reachability(s, PORT))
        times["groups"].append(seconds)
        matrix, seconds = timed(lambda f=found: f.matrix)
        times["matrix"].append(seconds)
        shape = matrix.shape
        _, seconds = timed(lambda s=shape: np.ones(s, bool))
        times["floor"].append(seconds)
    row |= {name: min(values) for name, values in times.items()}
    row["allowed"] = float(matrix.mean())
    row["kinds"] = len(found.solution.rows)
    rng = random.Random(1)
    pairs = [tuple(policy.peer(snapshot, rng.choice(found.clients)) for _ in "ab") for _ in range(500)]
    fresh = Snapshot(objects, Settings())
    policy.verdict(fresh, *pairs[0], PORT)
    single = [timed(lambda p=p: str(policy.verdict(fresh, *p, PORT)))[1] for p in pairs]
    row |= {"verdict": sum(single) / len(single), "p99": sorted(single)[len(single) * 99 // 100]}
    row["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return row


def timed(work: Any) -> tuple[Any, float]:
    """What *work* returns, and how many seconds it took."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def whole(folder: Path) -> None:
    """From YAML files to a matrix for every class of ports: the work that is compared with another analyzer."""
    import yaml

    from k8snet.controlplane.settings import Settings
    from k8snet.controlplane.snapshot import Snapshot
    from k8snet.dataplane.reachability import port_classes, reachability

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    objects = [o for path in sorted(folder.glob("*.yaml")) for o in yaml.load_all(path.read_text(), loader)]
    snapshot = Snapshot(objects, Settings())
    print(*(f"{c}: {reachability(snapshot, c.port, c.protocol).matrix.mean():.3f}" for c in port_classes(snapshot)))


def compare(nca: str, size: str) -> None:
    """One size by both programs, as processes."""
    import yaml

    with tempfile.TemporaryDirectory() as name:
        objects = cluster(*map(int, size.split("/")))
        for kind in ("Namespace", "Pod", "NetworkPolicy"):
            text = yaml.safe_dump_all([o for o in objects if o["kind"] == kind])
            Path(name, f"{kind}.yaml").write_text(text)
        files = [f"{name}/{kind}.yaml" for kind in ("NetworkPolicy", "Namespace", "Pod")]
        theirs = [nca, "--connectivity", files[0], "-n", files[1], "-p", files[2]]
        ours = [sys.executable, __file__, "--whole", name]
        seconds = [timed(lambda c=c: subprocess.run(c, capture_output=True, check=True))[1] for c in (ours, theirs)]
    print(
        f"{size:<13} ours {seconds[0]:.2f} s, network-config-analyzer {seconds[1]:.2f} s: {seconds[1] / seconds[0]:.1f} times"
    )


def main(sizes: list[str]) -> None:
    """The table, one line for each size, and the comparison."""
    print("pods/policies  load s  groups s  matrix s  total s  floor s  kinds  allowed  MiB  verdict ms (p99)")
    before = None
    for size in sizes:
        command = [sys.executable, __file__, "--one", size]
        row = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        total = row["groups"] + row["matrix"]
        times = f"{row['load']:>7.3f} {row['groups']:>9.3f} {row['matrix']:>9.3f} {total:>8.3f} {row['floor']:>8.3f}"
        verdicts = f"{row['verdict'] * 1e3:.3f} ({row['p99'] * 1e3:.2f})"
        print(f"{size:<13} {times} {row['kinds']:>6.0f} {row['allowed']:>8.2f} {row['memory']:>4.0f}  {verdicts}")
        if before:
            print(f"{'':<13} {row['pods'] / before[0]:.1f} times the Pods, {total / before[1]:.1f} times the time")
        before = row["pods"], total
    if nca := os.environ.get("K8SNET_NCA"):
        for size in (s for s in sizes if int(s.partition("/")[0]) <= 1000):
            compare(nca, size)
    else:
        print("network-config-analyzer: absent (K8SNET_NCA names no command)")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(*map(int, sys.argv[2].split("/")))))
    elif sys.argv[1:2] == ["--whole"]:
        whole(Path(sys.argv[2]))
    else:
        main(sys.argv[1:] or list(SIZES))
