"""Small builders of Services, EndpointSlices and nodes for the tests of the service proxy."""

from __future__ import annotations

from k8snet.controlplane.settings import ProxySettings, Settings
from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane.packet import Packet
from k8snet.dataplane.proxy import decide


def node(name="node-1", *ips, zone=""):
    addresses = [{"type": "InternalIP", "address": ip} for ip in ips or ("192.168.10.11",)]
    labels = {"topology.kubernetes.io/zone": zone} if zone else {}
    return {"kind": "Node", "metadata": {"name": name, "labels": labels}, "status": {"addresses": addresses}}


def service(name="web", ip="10.96.0.20", ports=None, balancer=(), **spec):
    ports = ports or [{"port": 80, "targetPort": 8080}]
    return {
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"type": "ClusterIP", "clusterIP": ip, "ports": ports, **spec},
        "status": {"loadBalancer": {"ingress": list(balancer)}},
    }


def endpoint(ip, where="node-1", ready=True, serving=None, terminating=False, zone=None, nodes=None):
    hints = {}
    if zone:
        hints["forZones"] = [{"name": zone}]
    if nodes:
        hints["forNodes"] = [{"name": nodes}]
    conditions = {"ready": ready, "serving": ready if serving is None else serving, "terminating": terminating}
    return {"addresses": [ip], "nodeName": where, "conditions": conditions, "hints": hints}


def backends(*endpoints, name="web", port=8080, port_name="", protocol="TCP", kind="IPv4", suffix="1"):
    return {
        "kind": "EndpointSlice",
        "addressType": kind,
        "metadata": {
            "name": f"{name}-{suffix}",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": name},
        },
        "endpoints": list(endpoints),
        "ports": [{"name": port_name, "port": port, "protocol": protocol}],
    }


def snapshot(*objects, **proxy):
    nodes = [] if any(o["kind"] == "Node" for o in objects) else [node(), node("node-2", "192.168.10.12")]
    return Snapshot([*nodes, *objects], Settings(proxy=ProxySettings(**proxy)))


POD, OUTSIDE, NODE = "10.244.1.9", "198.51.100.7", "192.168.10.11"


def ask(snap, src, dst, port=80, protocol="TCP", at="node-1", **more):
    return decide(snap, at, Packet(src, 40000, dst, port, protocol), **more)


def chosen(decision):
    return [str(b) for b in decision.backends]
