"""Containers: how they start, fail to start, crash and come back.

From pkg/kubelet/kuberuntime and container.go's back-off. Images are there at once. A container that cannot bind its
port (98, Address already in use) ends with exit code 1: a second one of the same Pod, whose network it shares, or one
on the node's own network where the port is taken. It comes back at once the first time, then after 10, 20, 40 … 300
seconds. The address is the Pod's and stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from k8snet.controlplane import listeners
from k8snet.controlplane.listeners import Listener
from k8snet.controlplane.snapshot import containers_of
from k8snet.controlplane.store import Store, seconds_of
from k8snet.manifests.kinds import Object

Status = dict[str, Any]

MAX_BACKOFF = 300
# Ports of a node's own processes: kubelet, kube-proxy.
NODE_PORTS = ((10250, "TCP"), (10256, "TCP"))


def backoff(restarts: int) -> int:
    """Seconds to wait before restart number *restarts* + 1."""
    return int(min(10 * 2 ** max(restarts - 1, 0), MAX_BACKOFF))


def go_duration(seconds: int) -> str:
    """``10s``, ``1m20s``, as Go prints it."""
    return f"{seconds // 60}m{seconds % 60}s" if seconds >= 60 else f"{seconds}s"


def failed_binds(store: Store, pod: Object) -> dict[str, Listener]:
    """The containers that cannot bind a port, and the socket that they want: of two in a Pod the first has it, and a
    Pod on the node's own network finds the ports taken of those that run there already."""
    taken: dict[tuple[int, str], str] = {}
    if pod["spec"].get("hostNetwork"):
        taken = dict.fromkeys(NODE_PORTS, "")
        for other in store.by("node", pod["spec"].get("nodeName", "")):
            another = other["spec"].get("hostNetwork") and other["metadata"].get("uid") != pod["metadata"].get("uid")
            if another and (other.get("status") or {}).get("containerStatuses"):
                taken |= {(s.port, s.protocol): "" for s in listeners.listeners_of(other) or ()}
    failed: dict[str, Listener] = {}
    for socket in listeners.wanted(pod, loaded=False) or ():
        holder = taken.setdefault((socket.port, socket.protocol), socket.container)
        if holder != socket.container:
            failed.setdefault(socket.container, socket)
    return failed


def log_line(socket: Listener) -> str:
    """What a server writes that finds its port taken."""
    return f"bind() to {socket.address or '0.0.0.0'}:{socket.port} failed (98: Address already in use)"


def logs(store: Store, pod: Object, container: str, previous: bool = False) -> list[str]:
    """What ``kubectl logs`` shows of a container: that it listens, or why it could not."""
    socket = failed_binds(store, pod).get(container)
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    status = next((s for s in statuses if s["name"] == container), None)
    if status is None or "ContainerCreating" in str(status["state"]):
        return []
    if socket is not None or previous:
        return [log_line(socket)] if socket else []
    mine = [s for s in listeners.wanted(pod, loaded=False) or () if s.container == container]
    return [f"listening on {s.address or '0.0.0.0'}:{s.port}/{s.protocol}" for s in mine]


def all_of(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Containers that run with the Pod: the ordinary ones, then sidecars."""
    return containers_of(spec)


def waiting(container: Mapping[str, Any], reason: str) -> Status:
    """The status of a container that has not been started yet."""
    return {
        "name": container["name"],
        "image": container.get("image", ""),
        "imageID": "",
        "ready": False,
        "started": False,
        "restartCount": 0,
        "state": {"waiting": {"reason": reason}},
        "lastState": {},
    }


def running(status: Status, now: str, restarts: int, uid: str) -> Status:
    """The container starts."""
    return {
        **status,
        "containerID": f"containerd://{container_id(uid, status['name'], restarts)}",
        "imageID": f"{status['image']}@sha256:{container_id('', status['image'], 0)}",
        "restartCount": restarts,
        "ready": False,
        "started": False,
        "state": {"running": {"startedAt": now}},
    }


def ended(status: Status, now: str, code: int, reason: str) -> Status:
    """What is remembered of a container that ended."""
    began = (status["state"].get("running") or {}).get("startedAt", now)
    found = {"exitCode": code, "reason": reason, "startedAt": began, "finishedAt": now}
    return {"terminated": found | ({"containerID": status["containerID"]} if status.get("containerID") else {})}


def may_start_again(status: Status, now: float) -> float:
    """Seconds until a crashed container is started again; 0 or less: now."""
    last = (status["lastState"].get("terminated") or {}).get("finishedAt", "")
    return seconds_of(last) + backoff(status["restartCount"]) - now


def container_id(*parts: object) -> str:
    """64 hexadecimal digits, always the same for the same *parts*."""
    return sha256("/".join(map(str, parts)).encode()).hexdigest()
