"""Containers: how they start, fail to start, crash and come back.

From pkg/kubelet/kuberuntime and its back-off. Images are there at once. A container that cannot bind its port (98,
Address already in use) ends with exit code 1: a second one of the same Pod, whose network it shares, or one on the
node's own network where the port is taken. It comes back at once the first time, then after 10, 20, 40 … 300 seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from k8snet.controlplane import listeners
from k8snet.controlplane.listeners import Listener
from k8snet.controlplane.store import Store, seconds_of
from k8snet.manifests.kinds import Object

Status = dict[str, Any]

MAX_BACKOFF = 300
# Ports of a node's own processes: kubelet, kube-proxy.
NODE_PORTS = ((10250, "TCP"), (10256, "TCP"))


def failed_binds(store: Store, pod: Object) -> dict[str, Listener]:
    """The containers that cannot bind a port, and the socket that they want: of two in a Pod the first has it, and a
    Pod on the node's own network finds the ports taken of those that run there already."""
    taken: dict[tuple[int, str], str] = {}
    if pod["spec"].get("hostNetwork"):
        taken = dict.fromkeys(NODE_PORTS, "")
        for other in store.by("node", pod["spec"].get("nodeName", "")):
            another = other["spec"].get("hostNetwork") and other["metadata"]["uid"] != pod["metadata"]["uid"]
            if another and other["status"].get("containerStatuses"):
                taken |= {(s.port, s.protocol): "" for s in listeners.listeners_of(other) or ()}
    failed: dict[str, Listener] = {}
    for socket in listeners.wanted(pod, loaded=False) or ():
        if taken.setdefault((socket.port, socket.protocol), socket.container) != socket.container:
            failed.setdefault(socket.container, socket)
    return failed


def logs(store: Store, pod: Object, container: str, previous: bool = False) -> list[str]:
    """What ``kubectl logs`` shows of a container: that it listens, or why it could not."""
    statuses = pod["status"].get("containerStatuses") or ()
    if not any(s["name"] == container and s.get("containerID") for s in statuses):
        return []
    if socket := failed_binds(store, pod).get(container):
        return [f"bind() to {socket.address or '0.0.0.0'}:{socket.port} failed (98: Address already in use)"]
    mine = [s for s in listeners.wanted(pod, loaded=False) or () if s.container == container and not previous]
    return [f"listening on {s.address or '0.0.0.0'}:{s.port}/{s.protocol}" for s in mine]


def waiting(container: Mapping[str, Any], reason: str) -> Status:
    """The status of a container that has not been started yet."""
    state = {"ready": False, "started": False, "restartCount": 0, "state": {"waiting": {"reason": reason}}}
    return {"name": container["name"], "image": container.get("image", ""), "imageID": "", **state, "lastState": {}}


def running(status: Status, now: str, restarts: int, uid: str) -> Status:
    """The container starts."""
    ids = {"containerID": f"containerd://{digest(uid, status['name'], restarts)}"}
    ids["imageID"] = f"{status['image']}@sha256:{digest(status['image'])}"
    state = {"ready": False, "started": False, "state": {"running": {"startedAt": now}}}
    return {**status, **ids, **state, "restartCount": restarts}


def ended(status: Status, now: str, code: int) -> Status:
    """What is remembered of a container that ended."""
    found = {"exitCode": code, "reason": "Error" if code else "Completed", "finishedAt": now}
    found["startedAt"] = (status["state"].get("running") or {}).get("startedAt", now)
    return {"terminated": found | {k: status[k] for k in ("containerID",) if k in status}}


def backoff(restarts: int) -> int:
    """Seconds to wait before restart number *restarts* + 1."""
    return int(min(10 * 2 ** max(restarts - 1, 0), MAX_BACKOFF))


def may_start_again(status: Status, now: float) -> float:
    """Seconds until a crashed container is started again; 0 or less: now."""
    return seconds_of(status["lastState"]["terminated"]["finishedAt"]) + backoff(status["restartCount"]) - now


def digest(*parts: object) -> str:
    """64 hexadecimal digits, always the same for the same *parts*."""
    return sha256("/".join(map(str, parts)).encode()).hexdigest()
