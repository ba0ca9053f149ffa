"""How fast and how big is the all-pairs answer? ``python benchmarks/reachability.py [PODS/POLICIES …]``.

Synthetic clusters, as real ones are: Deployments of some ten Pods, a default-deny policy in half of the namespaces, DNS
egress, allow rules by matchLabels and matchExpressions, across namespaces, by named port, port range and ipBlock.
For each size: seconds to load the objects (outside the goal), to compile and compute the groups, to write the matrix of
booleans with numpy, and the floor below that: numpy writing as many bytes. Each size runs in a process of its own, so
that the peak of memory is its own.

With the PyPI package ``network-config-analyzer`` importable by another interpreter (``K8SNET_NCA_PYTHON`` names it), the
smallest sizes are given to it too, and the ratio is printed.
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
    objects = [_namespace(n, {"stage": rng.choice(["dev", "test", "prod"]), "team": f"t{i % 7}"}) for i, n in enumerate(names)]
    objects += [_namespace("kube-system", {}), *(_pod("kube-system", f"coredns-{i}", i, {"k8s-app": "kube-dns"}) for i in (1, 2))]
    apps: list[tuple[str, str, str]] = []
    number = 2
    while number < pods:
        apps.append((rng.choice(names), f"app-{len(apps)}", rng.choice(TIERS)))
        namespace, app, tier = apps[-1]
        for i in range(min(rng.randint(2, 18), pods - number)):
            number += 1
            labels = {"app": app, "tier": tier, "pod-template-hash": f"{hash_(app)}"}
            objects.append(_pod(namespace, f"{app}-{i}", number, labels))
    written = [_policy(n, f"default-deny-{i}", {"podSelector": {}, "policyTypes": types}) for i, (n, types) in enumerate(
        (n, types) for n in names[::2] for types in (["Ingress"], ["Ingress", "Egress"]))]
    written = written[: policies // 2]
    while len(written) < policies:
        written.append(_allow(rng, len(written), names, apps))
    return objects + written


def hash_(text: str) -> int:
    """A stable number for a text."""
    return sum(ord(c) * 31**i for i, c in enumerate(text)) % 10**9


def _namespace(name: str, labels: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name, **labels}}}


def _pod(namespace: str, name: str, number: int, labels: dict[str, str]) -> dict[str, Any]:
    ports = [{"name": "http", "containerPort": 8080, "protocol": "TCP"}]
    ip = f"10.{number // 65536 + 244}.{number // 256 % 256}.{number % 256}"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"nodeName": f"node-{number % 100}", "containers": [{"name": "main", "image": "nginx", "ports": ports}]},
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
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": rng.choice(names)}}},
        {"namespaceSelector": {"matchLabels": {"stage": "prod"}}, "podSelector": {"matchLabels": {"tier": rng.choice(TIERS)}}},
        {"ipBlock": {"cidr": f"10.244.{rng.randrange(64) * 4}.0/22", "except": [f"10.244.{rng.randrange(64) * 4}.0/24"]}},
        {"ipBlock": {"cidr": f"203.0.{rng.randrange(256)}.0/24"}},
    ]
    ports: list[dict[str, Any]] = [
        {"port": 8080, "protocol": "TCP"},
        {"port": "http", "protocol": "TCP"},
        {"port": 8000, "endPort": 8100, "protocol": "TCP"},
        {"port": 5432, "protocol": "TCP"},
    ]
    rule = {"from": rng.sample(peers, rng.choice((1, 1, 2))), **({"ports": rng.sample(ports, 1)} if rng.random() < 0.7 else {})}
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
        _, seconds = timed(lambda: np.ones((len(matrix), len(matrix)), bool))
        times["floor"].append(seconds)
    row |= {name: min(values) for name, values in times.items()}
    row["allowed"] = float(matrix.mean())
    row["kinds"] = len(found.group_rows)
    rng = random.Random(1)
    pairs = [tuple(policy.peer(snapshot, rng.choice(found.clients)) for _ in "ab") for _ in range(500)]
    fresh = Snapshot(objects, Settings())
    policy.verdict(fresh, *pairs[0], PORT)
    single = [timed(lambda p=p: str(policy.verdict(fresh, *p, PORT)))[1] for p in pairs]
    row |= {"verdict": sum(single) / len(single), "slowest": max(single)}
    row["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return row


def timed(work: Any) -> tuple[Any, float]:
    """What *work* returns, and how many seconds it took."""
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


def main(sizes: list[str]) -> None:
    """The table, one line for each size."""
    print("pods/policies  load s  groups s  matrix s  total s  floor s  kinds  allowed  MiB   verdict ms (slowest)")
    before = None
    for size in sizes:
        command = [sys.executable, __file__, "--one", size]
        row = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        total = row["groups"] + row["matrix"]
        print(
            f"{size:<13} {row['load']:>7.3f} {row['groups']:>9.3f} {row['matrix']:>9.3f} {total:>8.3f} {row['floor']:>8.3f}"
            f" {row['kinds']:>6.0f} {row['allowed']:>8.2f} {row['memory']:>4.0f}   {row['verdict'] * 1e3:.3f} ({row['slowest'] * 1e3:.2f})"
        )
        if before:
            print(f"{'':<13} grew {row['pods'] / before[0]:.1f} times in Pods, {total / before[1]:.1f} times in time")
        before = row["pods"], total


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(*map(int, sys.argv[2].split("/")))))
    else:
        main(sys.argv[1:] or list(SIZES))
