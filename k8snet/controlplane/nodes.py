"""Nodes: their conditions, the taint of those that are not ready, and the ranges of Pod addresses that they are given.

From pkg/kubelet/nodestatus, pkg/controller/nodeipam and pkg/controller/nodelifecycle. A node without network plugin is
NotReady and takes no ordinary Pods.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from k8snet.controlplane.metadata import conditions, own
from k8snet.controlplane.settings import Settings
from k8snet.manifests.kinds import Object

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane

NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
NO_PLUGIN = (
    "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady "
    "message:Network plugin returns error: cni plugin not initialized"
)
_CONDITIONS = (
    ("MemoryPressure", False, "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", False, "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", False, "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
)


def pod_ranges(settings: Settings, number: int) -> list[str] | None:
    """The ranges of node *number* (from 1), one for each family; None if they are all given out. None are needed where
    Pods do not live in a range of their node: on a cloud network they hold addresses of the nodes' own, and the
    container engine alone (docker) asks nobody."""
    ranges = []
    wanted = ((settings.pod_cidr, settings.node_prefix), (settings.pod_cidr6, 64))
    for text, prefix in wanted if settings.network not in ("cloud", "docker") else ():
        if text:
            whole = ipaddress.ip_network(text)
            first = whole.network_address + (number << (whole.max_prefixlen - prefix))
            if first not in whole:
                return None
            ranges.append(f"{first}/{prefix}")
    return ranges


def register(plane: ControlPlane) -> None:
    """Write each node's conditions, and the taint that keeps Pods away from a node that is not ready."""
    plugin, now = plane.settings.network_plugin, plane.store.timestamp()
    ready = ("Ready", True, "KubeletReady", "kubelet is posting ready status")
    ready = ready if plugin else ("Ready", False, "KubeletNotReady", NO_PLUGIN)
    for key in plane.due("node", {"Node": own}):
        node = plane.store.at(key)
        if node is not None:
            found = conditions(node, now, [*_CONDITIONS, ready], "lastHeartbeatTime")
            spec: Object = dict(node.get("spec") or {})
            taints = [t for t in spec.pop("taints", None) or () if t["key"] != NOT_READY["key"]]
            taints += [] if plugin else [NOT_READY]
            spec |= {"taints": taints} if taints else {}
            plane.store.put({**node, "spec": spec, "status": {**(node.get("status") or {}), "conditions": found}})
