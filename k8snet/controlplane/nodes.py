"""Nodes: what a kubelet reports about its node, and the range of Pod addresses that each node is given.

From pkg/kubelet/nodestatus (conditions, addresses), pkg/controller/nodeipam (podCIDR) and
pkg/controller/nodelifecycle (taints). A node without network plugin is NotReady and takes no ordinary Pods.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from k8snet.controlplane.settings import Settings
from k8snet.controlplane.store import key_of
from k8snet.manifests.kinds import Object

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane

ZONES = ("zone-a", "zone-b", "zone-c")
DOCKER_RANGE = "172.17.0.0/16"
NO_PLUGIN = (
    "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady "
    "message:Network plugin returns error: cni plugin not initialized"
)
NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


def node_object(settings: Settings, number: int) -> Object:
    """Worker node *number* (from 1) as its kubelet and the node controllers write it down."""
    name = f"node-{number}"
    address = str(ipaddress.ip_network(settings.node_cidr)[10 + number])
    ranges = pod_ranges(settings, number)
    spec: dict[str, Any] = {"podCIDR": ranges[0], "podCIDRs": ranges} if ranges else {}
    zone = ZONES[(number - 1) % len(ZONES)]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "topology.kubernetes.io/zone": zone,
            },
        },
        "spec": spec,
        "status": {
            "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
            "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"},
            "capacity": {"cpu": "4", "memory": "8Gi", "pods": "110"},
            "nodeInfo": {
                "architecture": "amd64",
                "containerRuntimeVersion": "containerd://2.1.4",
                "kernelVersion": "6.12.0",
                "kubeletVersion": "v1.36.0",
                "operatingSystem": "linux",
                "osImage": "Debian GNU/Linux 13 (trixie)",
            },
        },
    }


def pod_ranges(settings: Settings, number: int) -> list[str]:
    """The ranges of node *number*, one for each family. On a cloud network Pods share the nodes' own range, and the
    container engine alone (network docker) gives every node the same one."""
    if settings.network == "cloud":
        return []
    if settings.network == "docker":
        return [DOCKER_RANGE]
    ranges = []
    for text, prefix in ((settings.pod_cidr, settings.node_prefix), (settings.pod_cidr6, 64)):
        if text:
            whole = ipaddress.ip_network(text)
            width = whole.max_prefixlen - prefix
            start = int(whole.network_address) + (number << width)
            ranges.append(f"{ipaddress.ip_address(start)}/{prefix}")
    return ranges


def register(plane: ControlPlane) -> None:
    """Write each node's Ready condition, and the taint that keeps Pods away from a node that is not ready."""
    for key in plane.due("node", {"Node": lambda obj: [key_of(obj)]}):
        node = plane.store.at(key)
        if node is not None:
            plane.store.put(_reported(plane, node))


def _reported(plane: ControlPlane, node: Object) -> Object:
    plugin, store = plane.settings.network_plugin, plane.store
    reports = [
        ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("Ready", "True", "KubeletReady", "kubelet is posting ready status")
        if plugin
        else ("Ready", "False", "KubeletNotReady", NO_PLUGIN),
    ]
    status = node.get("status") or {}
    known = {c["type"]: c for c in status.get("conditions") or ()}
    conditions = []
    for kind, value, reason, message in reports:
        before = known.pop(kind, None)
        if before is None or before["status"] != value:
            now = store.timestamp()
            before = {"type": kind, "status": value, "reason": reason, "message": message}
            before |= {"lastHeartbeatTime": now, "lastTransitionTime": now}
        conditions.append(before)
    spec = node.get("spec") or {}
    taints = [t for t in spec.get("taints") or () if t["key"] != NOT_READY["key"]]
    if not plugin:
        taints.append(NOT_READY)
    spec = {k: v for k, v in spec.items() if k != "taints"} | ({"taints": taints} if taints else {})
    return {**node, "spec": spec, "status": {**status, "conditions": [*known.values(), *conditions]}}
