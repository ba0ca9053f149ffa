"""How fast is a journey, and does it grow with the cluster? ``python benchmarks/journey.py [PODS …]``.

For each number of Pods (a node for every hundred, at least three; one Service for every ten Pods, three of four Pods with the label of one), in a process
of its own:

apply    the control plane takes Pods and Services and settles: addresses, endpoints, conditions (seconds)
snapshot a new snapshot and the first trace on it: every table is built then (milliseconds)
trace    one connection from a Pod to a Service, there and back, after that (microseconds, and as many in a second)
text     the same with its whole text
"""

from __future__ import annotations

import json
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

SIZES = ("10", "100", "1000", "5000")
RUNS = 500


def pod(n: int, services: int) -> dict[str, Any]:
    """A Pod behind one Service, or behind none."""
    labels = {"app": f"app-{n % services}"} if n % 4 else {"role": "client"}
    container = {"name": "web", "image": "nginxinc/nginx-unprivileged:1.27"}
    meta = {"name": f"pod-{n}", "namespace": "default", "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [container]}}


def service(n: int) -> dict[str, Any]:
    """A Service, port 80 to 8080."""
    spec = {"selector": {"app": f"app-{n}"}, "ports": [{"port": 80, "targetPort": 8080}]}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"app-{n}", "namespace": "default"},
        "spec": spec,
    }


def seconds(work: Callable[[], Any]) -> float:
    """How long *work* takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(pods: int, network: str) -> dict[str, float]:
    """All figures for one size."""
    from k8snet.controlplane.plane import ControlPlane
    from k8snet.controlplane.settings import Settings
    from k8snet.dataplane import journey
    from k8snet.dataplane.client import Client
    from k8snet.dataplane.moment import Moment

    services = max(1, pods // 10)
    plane = ControlPlane(Settings(network=network, pod_cidr="10.192.0.0/12", node_prefix=20), max(3, pods // 100))

    def apply() -> None:
        for obj in [*(pod(n, services) for n in range(pods)), *(service(n) for n in range(services))]:
            plane.api.create(obj)
        plane.settle()

    applied = seconds(apply)
    moment = Moment(plane.snapshot(), plane.now, random.Random(0))
    clients = [p.key for p in moment.snapshot.pods.values() if p.labels.get("role") == "client"]
    targets = [s.cluster_ips[0] for s in moment.snapshot.services.values() if s.name.startswith("app-")]
    rng = random.Random(1)

    def traces(n: int, told: Callable[[Any], Any] = bool) -> None:
        for _ in range(n):
            told(journey.connect(moment, Client("pod", rng.choice(clients)), rng.choice(targets), 80))

    assert journey.connect(moment, Client("pod", clients[-1]), targets[-1], 80), "a trace that fails is too short"
    moment = Moment(plane.snapshot(), plane.now, random.Random(0))
    first = seconds(lambda: traces(1))
    traces(RUNS)
    plain, text = seconds(lambda: traces(RUNS)) / RUNS, seconds(lambda: traces(RUNS, str)) / RUNS
    return {"apply": applied, "first": first * 1e3, "trace": plain * 1e6, "text": text * 1e6}


def main(sizes: list[str]) -> None:
    """A line for each size."""
    print(f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores")
    print(
        f"{'network':8} {'pods':>6} {'services':>8} {'apply s':>8} {'first ms':>9} {'trace µs':>9} {'per s':>7} {'text µs':>8}"
    )
    for network in ("overlay", "routed"):
        for size in sizes:
            command = [sys.executable, __file__, "--one", size, network]
            row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            per_second = 1e6 / row["trace"]
            print(
                f"{network:8} {size:>6} {max(1, int(size) // 10):>8} {row['apply']:8.2f} {row['first']:9.1f} "
                f"{row['trace']:9.0f} {per_second:7.0f} {row['text']:8.0f}"
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(int(sys.argv[2]), sys.argv[3])))
    else:
        main(sys.argv[1:] or list(SIZES))
