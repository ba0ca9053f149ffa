"""A small cluster for the DNS tests, built by hand: one node, CoreDNS behind kube-dns, and what a test adds."""

from __future__ import annotations

import random
from typing import Any

from k8snet.controlplane import endpoints
from k8snet.controlplane.settings import Corefile, Settings
from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane.client import Client
from k8snet.dataplane.moment import Moment

Obj = dict[str, Any]
DNS_PORTS = [{"name": "dns", "protocol": "UDP", "port": 53}, {"name": "dns-tcp", "protocol": "TCP", "port": 53}]
COREDNS = "registry.k8s.io/coredns/coredns:v1.13.1"
NODE = {
    "kind": "Node",
    "metadata": {"name": "node-1"},
    "spec": {"podCIDR": "10.244.1.0/24", "podCIDRs": ["10.244.1.0/24"]},
    "status": {"addresses": [{"type": "InternalIP", "address": "192.168.10.11"}]},
}


def namespace(name: str) -> Obj:
    return {"kind": "Namespace", "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}}


def port(number: int, name: str = "", target: int = 0, protocol: str = "TCP") -> Obj:
    return {"name": name, "port": number, "targetPort": target or number, "protocol": protocol}


def service(name: str, ns: str = "default", ips: Any = (), ports: Any = (), app: str = "", **spec: Any) -> Obj:
    """A Service; *ips* ``None`` makes it headless, *app* is its selector."""
    spec = {"type": "ClusterIP", "clusterIPs": ["None"] if ips is None else list(ips), "ports": list(ports), **spec}
    spec |= {"selector": {"app": app}} if app else {}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": ns, "uid": f"{ns}-{name}"},
        "spec": spec,
    }


def pod(name: str, ns: str = "default", ip: str = "", app: str = "", ready: bool = True, **spec: Any) -> Obj:
    image = spec.pop("image", "debian")
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}]}
    if ip:
        status |= {"podIP": ip, "podIPs": [{"ip": ip}]}
    spec = {"nodeName": "node-1", "containers": [{"name": "main", "image": image}], **spec}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": ns, "labels": {"app": app}},
        "spec": spec,
        "status": status,
    }


def slice_of(name: str, ns: str = "default", addresses: Any = (), ports: Any = (), **more: Any) -> Obj:
    """An EndpointSlice written by hand; *addresses* are IPs, or endpoints as they stand."""
    eps = [a if isinstance(a, dict) else {"addresses": [a]} for a in addresses]
    meta = {"name": f"{name}-{len(eps)}", "namespace": ns, "labels": {"kubernetes.io/service-name": name}}
    return {
        "kind": "EndpointSlice",
        "metadata": meta,
        "addressType": "IPv4",
        "endpoints": eps,
        "ports": list(ports),
        **more,
    }


def cluster(
    *objects: Obj, coredns: bool = True, namespaces: Any = ("default", "prod"), corefile: Any = None, **knobs: Any
) -> Snapshot:
    """A snapshot of the objects, a node, Namespaces and CoreDNS; slices follow from selectors."""
    system = [
        service("kube-dns", "kube-system", ["10.96.0.10"], DNS_PORTS, app="kube-dns"),
        pod("coredns", "kube-system", "10.244.1.2", "kube-dns", ready=coredns, image=COREDNS, dnsPolicy="Default"),
        pod("client", ip="10.244.1.9"),
        pod("client", "prod", ip="10.244.1.8"),
    ]
    everything = [NODE, *map(namespace, ("kube-system", *namespaces)), *system, *objects]
    slices: list[Obj] = []
    for s in (o for o in everything if o["kind"] == "Service"):
        mine = [
            p for p in everything if p["kind"] == "Pod" and p["metadata"]["namespace"] == s["metadata"]["namespace"]
        ]
        slices += endpoints.slices_for(s, mine, {"node-1": NODE})
    return Snapshot(everything + slices, Settings(corefile=corefile or Corefile(), **knobs))


def moment(snapshot: Snapshot) -> Moment:
    return Moment(snapshot, 0.0, random.Random(7))


def client(name: str = "default/client") -> Client:
    return Client("pod", name)
