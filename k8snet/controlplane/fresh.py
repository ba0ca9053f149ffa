"""What a fresh cluster holds: its nodes, the first namespaces, default/kubernetes, and the cluster DNS as kubeadm sets it up."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from k8snet.controlplane.nodes import node_object
from k8snet.manifests.addresses import family
from k8snet.manifests.kinds import Object

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane

NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
API_PORT = 6443


def fill(plane: ControlPlane, nodes: int) -> None:
    """Put the objects of a fresh cluster with *nodes* worker nodes into an empty store."""
    put, settings = plane.store.put, plane.settings
    for name in NAMESPACES:
        put(namespace(name))
    for number in range(1, nodes + 1):
        put(node_object(settings, number))
    first = str(ipaddress.ip_network(settings.service_cidr)[1])
    api_labels = {"component": "apiserver", "provider": "kubernetes"}
    put(_service("default", "kubernetes", first, api_labels, None, [("https", "TCP", 443, API_PORT)]))
    put(_api_slice(str(ipaddress.ip_network(settings.node_cidr)[10])))
    if settings.dns:
        labels = {"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}
        ports = [("dns", "UDP", 53, 53), ("dns-tcp", "TCP", 53, 53), ("metrics", "TCP", 9153, 9153)]
        address = next((ip for ip in settings.cluster_dns if family(ip) == family(first)), "")
        put(_service("kube-system", "kube-dns", address, labels, {"k8s-app": "kube-dns"}, ports))
        put(_coredns())


def namespace(name: str) -> Object:
    """A Namespace as the API server stores it."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def _service(
    space: str,
    name: str,
    address: str,
    labels: dict[str, str],
    selector: dict[str, str] | None,
    ports: list[tuple[str, str, int, int]],
) -> Object:
    spec: dict[str, Any] = {
        "clusterIP": address,
        "clusterIPs": [address],
        "internalTrafficPolicy": "Cluster",
        "ipFamilies": [family(address)],
        "ipFamilyPolicy": "SingleStack",
        "ports": [{"name": n, "protocol": proto, "port": p, "targetPort": t} for n, proto, p, t in ports],
        "sessionAffinity": "None",
        "type": "ClusterIP",
    }
    if selector:
        spec["selector"] = selector
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": space, "labels": labels},
        "spec": spec,
        "status": {"loadBalancer": {}},
    }


def _api_slice(address: str) -> Object:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kubernetes",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "kubernetes"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": API_PORT, "protocol": "TCP"}],
    }


def _coredns() -> Object:
    probe = {"httpGet": {"path": "/ready", "port": 8181, "scheme": "HTTP"}}
    ports = [
        {"name": "dns", "containerPort": 53, "protocol": "UDP"},
        {"name": "dns-tcp", "containerPort": 53, "protocol": "TCP"},
        {"name": "metrics", "containerPort": 9153, "protocol": "TCP"},
    ]
    labels = {"k8s-app": "kube-dns"}
    template = {
        "metadata": {"labels": labels},
        "spec": {
            "containers": [
                {
                    "name": "coredns",
                    "image": "registry.k8s.io/coredns/coredns:v1.13.1",
                    "args": ["-conf", "/etc/coredns/Corefile"],
                    "ports": ports,
                    "readinessProbe": probe,
                }
            ],
            "dnsPolicy": "Default",
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "priorityClassName": "system-cluster-critical",
            "serviceAccountName": "coredns",
            "tolerations": [
                {"key": "CriticalAddonsOnly", "operator": "Exists"},
                {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"},
            ],
        },
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "coredns", "namespace": "kube-system", "labels": labels},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": "25%"}},
            "template": template,
        },
    }
