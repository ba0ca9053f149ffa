"""Clusters written by hand for tests of the data plane: no controller runs, every object is as the test says."""

from __future__ import annotations

import random
from typing import Any

from k8snet.controlplane.settings import ProxySettings, Settings
from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane import journey
from k8snet.dataplane.client import Client
from k8snet.dataplane.moment import Moment
from k8snet.dataplane.trace import Trace

Object = dict[str, Any]


class Hand:
    """A cluster under construction: nodes node-1… at 192.168.10.11…, Pods 10.244.N.2… (docker: 172.17.0.2… on each)."""

    def __init__(self, nodes: int = 3, network: str = "overlay", seed: int = 1, **knobs: Any) -> None:
        proxy = {k: knobs.pop(k) for k in list(knobs) if k in ProxySettings.__dataclass_fields__}
        if network == "cloud":
            proxy.setdefault("cluster_cidr", "192.168.128.0/17")
            knobs.setdefault("node_cidr", "192.168.0.0/16")
        self.settings = Settings(network=network, proxy=ProxySettings(**proxy), **knobs)
        self.objects: list[Object] = [self._node(n) for n in range(1, nodes + 1)]
        self.taken: dict[str, int] = {}
        self.services = 0
        self.rng = random.Random(seed)
        self._moment: Moment | None = None

    def _node(self, n: int) -> Object:
        spec: Object = {}
        if self.settings.network != "cloud":
            spec["podCIDRs"] = [self.settings.pod_cidr.replace(".0.0/16", f".{n}.0/24")]
        status = {"addresses": [{"type": "InternalIP", "address": f"192.168.10.{10 + n}"}]}
        status["conditions"] = [{"type": "Ready", "status": "True"}]
        return {"kind": "Node", "metadata": {"name": f"node-{n}"}, "spec": spec, "status": status}

    def pod(self, name: str, node: int = 1, listen: str = "8080", ip: str = "", **more: Any) -> Hand:
        """Add a Pod, ``namespace/name`` or a name; further keys: labels, ready, ports, host_network, terminating."""
        namespace, _, short = name.rpartition("/")
        host = f"192.168.10.{10 + node}"
        network = self.settings.network
        key = "cloud" if network == "cloud" else str(node)
        self.taken[key] = last = self.taken.get(key, 1) + 1
        if more.get("host_network"):
            ip = host
        elif not ip:
            prefix = {"docker": "172.17.0", "cloud": "192.168.128"}.get(
                network, self.settings.pod_cidr.replace(".0.0/16", f".{node}")
            )
            ip = f"{prefix}.{last}"
        meta: Object = {"name": short, "namespace": namespace or "default", "labels": more.get("labels", {})}
        meta["annotations"] = {"k8snet.io/listen": listen}
        if more.get("terminating"):
            meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        spec = {
            "nodeName": f"node-{node}",
            "hostNetwork": bool(more.get("host_network")),
            "containers": [{"name": "app", "ports": more.get("ports", [])}],
        }
        status = {
            "phase": "Running",
            "podIP": ip,
            "hostIP": host,
            "conditions": [{"type": "Ready", "status": str(more.get("ready", True))}],
        }
        return self.add({"kind": "Pod", "metadata": meta, "spec": spec, "status": status})

    def service(self, name: str, backends: str = "", port: int = 80, target: int = 8080, **spec: Any) -> Hand:
        """Add a Service and its EndpointSlice, with the named Pods (space-separated) as ready endpoints."""
        self.services += 1
        protocol = spec.pop("protocol", "TCP")
        ports = [{"port": port, "targetPort": target, "protocol": protocol, "nodePort": spec.pop("node_port", None)}]
        body = {"clusterIP": f"10.96.0.{10 + self.services}", "ports": ports, "selector": {"app": name}, **spec}
        body.setdefault("clusterIPs", [body["clusterIP"]])
        endpoints = []
        for pod in backends.split():
            found = next(o for o in self.objects if o["kind"] == "Pod" and o["metadata"]["name"] == pod)
            endpoints.append(
                {
                    "addresses": [found["status"]["podIP"]],
                    "conditions": {"ready": True, "serving": True, "terminating": False},
                    "nodeName": found["spec"]["nodeName"],
                    "targetRef": {"kind": "Pod", "namespace": "default", "name": pod},
                }
            )
        self.add({"kind": "Service", "metadata": {"name": name, "namespace": "default"}, "spec": body})
        label = {"kubernetes.io/service-name": name}
        return self.add(
            {
                "kind": "EndpointSlice",
                "metadata": {"name": f"{name}-1", "namespace": "default", "labels": label},
                "addressType": "IPv4",
                "ports": [{"name": "", "port": target, "protocol": protocol}],
                "endpoints": endpoints,
            }
        )

    def policy(self, name: str = "deny", **spec: Any) -> Hand:
        """Add a NetworkPolicy in namespace default."""
        spec.setdefault("podSelector", {})
        return self.add({"kind": "NetworkPolicy", "metadata": {"name": name, "namespace": "default"}, "spec": spec})

    def add(self, obj: Object) -> Hand:
        """Add an object as it is."""
        self.objects.append(obj)
        if self._moment is not None:
            self._moment.snapshot = Snapshot(self.objects, self.settings)
        return self

    def remove(self, kind: str, name: str) -> Hand:
        """Take an object away."""
        self.objects = [o for o in self.objects if (o["kind"], o["metadata"]["name"]) != (kind, name)]
        if self._moment is not None:
            self._moment.snapshot = Snapshot(self.objects, self.settings)
        return self

    @property
    def moment(self) -> Moment:
        """The moment, which keeps what nodes remember while objects change."""
        if self._moment is None:
            self._moment = Moment(Snapshot(self.objects, self.settings), 0.0, self.rng)
        return self._moment

    def ip(self, pod: str) -> str:
        """A Pod's address."""
        return self.moment.snapshot.pods[pod if "/" in pod else f"default/{pod}"].ip

    def connect(self, client: str, target: str, port: int = 80, protocol: str = "TCP", **more: Any) -> Trace:
        """From a Pod, a node (``node-1``) or ``outside``, to an address, a Service, a Pod or a node by name."""
        return journey.connect(self.moment, self.client(client), self.address(target), port, protocol, **more)

    def client(self, name: str) -> Client:
        """Who a test means by a name."""
        if name.startswith("outside"):
            return Client.outside(self.settings, name.partition(" ")[2])
        if name.startswith("node-"):
            return Client("node", name)
        return Client("pod", name if "/" in name else f"default/{name}")

    def address(self, name: str) -> str:
        """The address that a test means by a name."""
        snapshot, key = self.moment.snapshot, name if "/" in name else f"default/{name}"
        if name in snapshot.nodes:
            return snapshot.nodes[name].ip
        if key in snapshot.services:
            return snapshot.services[key].cluster_ips[0]
        return snapshot.pods[key].ip if key in snapshot.pods else name


def shop(network: str = "overlay", **knobs: Any) -> Hand:
    """A client on node-1, web-1 and web-2 on nodes 1 and 2 behind Service web (80 to 8080, node port 30080)."""
    hand = Hand(3, network, **knobs)
    hand.pod("client", 1, "none", labels={"role": "frontend"})
    hand.pod("web-1", 1, labels={"app": "web"}).pod("web-2", 2, labels={"app": "web"})
    return hand.service("web", "web-1 web-2", type="NodePort", node_port=30080)
