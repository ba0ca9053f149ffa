"""Small random clusters, and connections to try in them. The same seed gives the same ones."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from k8snet.controlplane.settings import ProxySettings, Settings
from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane.client import Client
from k8snet.dataplane.topology import held

NETWORKS = ("bridge", "overlay", "routed")
LISTEN = ("8080,9090,5353/UDP",) * 6 + ("8080,5353/UDP", "8080", "127.0.0.1:8080,5353/UDP", "none")
Object = dict[str, Any]


@dataclass(frozen=True)
class Connection:
    """One thing to try: who connects to what, how many times one after another. ``sort`` is for the count."""

    sort: str
    client: Client
    ip: str
    port: int
    protocol: str = "TCP"
    times: int = 1

    def __str__(self) -> str:
        again = f", {self.times} times" if self.times > 1 else ""
        return f"{self.client.kind} {self.client.name} to {self.ip}:{self.port}/{self.protocol} ({self.sort}{again})"


def cluster(rng: random.Random, network: str) -> Snapshot:
    """A random cluster of one to three nodes with the given wiring."""
    nodes = [_node(rng, n) for n in range(1, rng.choice((1, 2, 3, 3)) + 1)]
    pods = [p for n, node in enumerate(nodes, 1) for p in _pods(rng, n, node)]
    shared = rng.choice(nodes)["status"]["addresses"][0]["address"]
    services = [s for i in range(1, 5) for s in _service(rng, i, shared if i == 1 else "", pods)]
    names = [n["metadata"]["name"] for n in nodes]
    proxy = ProxySettings(
        cluster_cidr=rng.choice(("10.244.0.0/16",) * 5 + ("",)),
        masquerade_all=rng.random() < 0.1,
        node_port_addresses=rng.choice(
            ((),) * 6 + (("192.168.10.0/28",), ("192.168.10.0/24", "127.0.0.0/8"), ("primary",))
        ),
        localhost_node_ports=rng.random() < 0.8,
        conntrack_tcp_liberal=rng.random() < 0.1,
    )
    settings = Settings(
        network=network,
        hairpin=rng.random() < 0.85,
        withdrawn_routes=frozenset(rng.sample(names, 1)) if rng.random() < 0.1 else frozenset(),
        overlay_port_open=rng.random() < 0.9,
        non_masquerade_cidrs=rng.choice(((),) * 4 + (("192.168.10.0/24",),)),
        proxy=proxy,
    )
    return Snapshot([*nodes, *pods, *services], settings)


def _node(rng: random.Random, n: int) -> Object:
    addresses = [{"type": "InternalIP", "address": f"192.168.10.{10 + n}"}]
    if rng.random() < 0.2:
        addresses.append({"type": "ExternalIP", "address": f"192.168.10.{110 + n}"})
    labels = {"topology.kubernetes.io/zone": rng.choice("ab")} if rng.random() < 0.8 else {}
    return {
        "kind": "Node",
        "metadata": {"name": f"node-{n}", "labels": labels},
        "spec": {"podCIDR": f"10.244.{n}.0/24"},
        "status": {"addresses": addresses, "conditions": [{"type": "Ready", "status": "True"}]},
    }


def _pods(rng: random.Random, n: int, node: Object) -> Iterator[Object]:
    for i in range(rng.choice((1, 2, 2, 3))):
        host = i == 2
        ip = node["status"]["addresses"][0]["address"] if host else f"10.244.{n}.{5 + i}"
        yield {
            "kind": "Pod",
            "metadata": {
                "name": f"pod-{n}{'abc'[i]}",
                "namespace": "default",
                "annotations": {"k8snet.io/listen": rng.choice(LISTEN)},
            },
            "spec": {"nodeName": node["metadata"]["name"], "hostNetwork": host, "containers": [{"name": "c"}]},
            "status": {"podIP": ip, "podIPs": [{"ip": ip}], "phase": "Running"},
        }


def _service(rng: random.Random, i: int, node_ip: str, pods: list[Object]) -> Iterator[Object]:
    kind = rng.choice(("ClusterIP", "NodePort", "NodePort", "LoadBalancer"))
    ports = [_port(rng, i, j, kind) for j in range(rng.choice((1, 1, 2)))]
    spec: Object = {
        "type": kind,
        "clusterIP": f"10.96.0.{20 + i}",
        "ports": ports,
        "internalTrafficPolicy": rng.choice(("Cluster", "Cluster", "Local")),
        "sessionAffinity": rng.choice(("None", "None", "ClientIP")),
    }
    status: Object = {}
    if kind != "ClusterIP":
        spec["externalTrafficPolicy"] = rng.choice(("Cluster", "Local"))
    if kind == "LoadBalancer":
        status = {
            "loadBalancer": {"ingress": [{"ip": f"203.0.113.{i}", "ipMode": rng.choice(("VIP", "VIP", "Proxy"))}]}
        }
        if rng.random() < 0.5:
            spec["loadBalancerSourceRanges"] = rng.sample(["10.244.0.0/17", "192.168.10.11/32", "198.51.100.0/24"], 2)
        if spec["externalTrafficPolicy"] == "Local":
            spec["healthCheckNodePort"] = 31000 + i
    if rng.random() < 0.3:
        spec["externalIPs"] = [f"198.18.0.{i}", *([node_ip] if node_ip else [])]
    meta = {"name": f"svc-{i}", "namespace": "default"}
    yield {"kind": "Service", "metadata": meta, "spec": spec, "status": status}
    if rng.random() < 0.9:
        yield _slice(rng, meta, ports, rng.sample(pods, rng.randint(1, min(4, len(pods)))))


def _port(rng: random.Random, i: int, j: int, kind: str) -> Object:
    protocol = rng.choice(("TCP", "TCP", "UDP"))
    port: Object = {"name": f"p{j}", "port": 80 + j, "protocol": protocol}
    port["targetPort"] = rng.choice((8080, 8080, 9090)) if protocol == "TCP" else 5353
    if kind != "ClusterIP":
        port["nodePort"] = 30000 + 10 * i + j
    return port


def _slice(rng: random.Random, meta: Object, ports: list[Object], pods: list[Object]) -> Object:
    mood = rng.choice(("ready",) * 5 + ("mixed", "mixed", "ending", "unready"))
    conditions = {
        "ready": [(True, True, False)],
        "mixed": [(True, True, False), (False, True, True), (False, False, False), (False, False, True)],
        "ending": [(False, True, True), (False, False, True)],
        "unready": [(False, False, False)],
    }[mood]
    hinted = rng.random() < 0.25
    endpoints = []
    for pod in pods:
        ready, serving, terminating = rng.choice(conditions)
        endpoint: Object = {
            "addresses": [pod["status"]["podIP"]],
            "nodeName": pod["spec"]["nodeName"],
            "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        }
        if hinted:
            endpoint["hints"] = {"forZones": [{"name": rng.choice("ab")}]}
        endpoints.append(endpoint)
    return {
        "kind": "EndpointSlice",
        "addressType": "IPv4",
        "metadata": {**meta, "labels": {"kubernetes.io/service-name": meta["name"]}},
        "endpoints": endpoints,
        "ports": [{"name": p["name"], "port": p["targetPort"], "protocol": p["protocol"]} for p in ports],
    }


def connections(rng: random.Random, snapshot: Snapshot, count: int) -> Iterator[Connection]:
    """Things to try in a cluster: each kind of destination, from Pods, nodes and outside."""
    outside = Client.outside(snapshot.settings)
    inside = [Client("pod", key) for key in snapshot.pods] * 2 + [Client("node", name) for name in snapshot.nodes]
    ports = held(snapshot, "IPv4").ports
    node_ips = [ip for node in snapshot.nodes.values() for ip in node.addresses]
    pod_ips = [p.ip for p in snapshot.pods.values()]
    for _ in range(count):
        port = rng.choice(ports)
        number, protocol = port.port.port, port.port.protocol
        anyone = rng.choice([*inside, outside])
        insider = rng.choice(inside)
        times = 3 if port.service.affinity_seconds else 1
        addresses = [*port.external_ips, *port.load_balancer_ips]
        choices = [
            Connection("cluster IP", insider, port.cluster_ip, number, protocol, times),
            Connection("cluster IP", insider, port.cluster_ip, number, protocol, times),
            Connection("other port of a cluster IP", insider, port.cluster_ip, 81 if number == 80 else 82),
            Connection("Pod address", insider, rng.choice(pod_ips), rng.choice((8080, 9090))),
            Connection("Pod address, UDP", insider, rng.choice(pod_ips), 5353, "UDP"),
            Connection("node address", anyone, rng.choice(node_ips), rng.choice((10250, 8080, 9999))),
            Connection("outside host", insider, "203.0.113.200", rng.choice((80, 81))),
            Connection("nobody's address", insider, rng.choice(("10.244.1.99", "10.244.2.99", "192.0.2.9")), 8080),
        ]
        if port.port.node_port:
            for who in (anyone, outside, insider):
                choices.append(Connection("node port", who, rng.choice(node_ips), port.port.node_port, protocol, times))
            nodes = [Client("node", name) for name in snapshot.nodes]
            choices.append(
                Connection("node port on localhost", rng.choice(nodes), "127.0.0.1", port.port.node_port, protocol)
            )
        for ip in addresses:
            sort = "external IP" if ip in port.external_ips else "load balancer IP"
            choices.append(Connection(sort, insider, ip, number, protocol, times))
            choices += [Connection(sort, outside, ip, number, protocol, times)] * 2
        yield rng.choice(choices)
