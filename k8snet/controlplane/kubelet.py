"""The kubelet: runs the Pods of its node."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane


def run_pods(plane: ControlPlane) -> None:
    """Run Pods."""
    store = plane.store
    for key in plane.due("kubelet", {"Pod": lambda o: [("Pod", o["metadata"]["namespace"], o["metadata"]["name"])]}):
        pod = store.at(key)
        if pod is None or not pod["spec"].get("nodeName"):
            continue
        if pod["metadata"].get("deletionTimestamp"):
            store.remove(key)
            continue
        if (pod.get("status") or {}).get("podIP"):
            continue
        node = store.get("Node", "", pod["spec"]["nodeName"])
        if node is None:
            continue
        host = node["status"]["addresses"][0]["address"]
        used = {(p.get("status") or {}).get("podIP") for p in store.by("node", pod["spec"]["nodeName"])}
        ip = (
            host
            if pod["spec"].get("hostNetwork")
            else next(
                str(a) for a in list(ipaddress.ip_network(node["spec"]["podCIDR"]).hosts())[1:] if str(a) not in used
            )
        )
        now = store.timestamp()
        conditions = [
            {"type": t, "status": "True", "lastTransitionTime": now}
            for t in ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
        ]
        statuses = [
            {
                "name": c["name"],
                "image": c["image"],
                "ready": True,
                "started": True,
                "restartCount": 0,
                "state": {"running": {"startedAt": now}},
            }
            for c in pod["spec"]["containers"]
        ]
        status = {
            "phase": "Running",
            "conditions": conditions,
            "containerStatuses": statuses,
            "hostIP": host,
            "hostIPs": [{"ip": host}],
            "podIP": ip,
            "podIPs": [{"ip": ip}],
            "startTime": now,
        }
        store.put({**pod, "status": status})
