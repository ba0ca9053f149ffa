"""The kubelet: runs the Pods of its node and reports how they are.

From pkg/kubelet (kubelet_pods.go, status/generate.go, pod_workers.go). A Pod gets its network first (its address stays
for all its life), then its containers start, then probes decide whether it is Ready. Where nothing is slow all of that
takes no simulated time. A Pod that is deleted goes on serving for its preStop hooks and then until its grace period
ends, or, if it carries the annotation ``k8snet.io/exit-after``, so many seconds after SIGTERM.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from k8snet.controlplane import addressing, containers, environment, podfiles, probes
from k8snet.controlplane.containers import Status
from k8snet.controlplane.metadata import annotations_of, conditions, containers_of, going
from k8snet.controlplane.nodes import NO_PLUGIN
from k8snet.controlplane.store import Key, key_of, seconds_of
from k8snet.manifests.kinds import Object

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane

EXIT_AFTER = "k8snet.io/exit-after"
# Where it is remembered how the kubelet left a Pod.
WRITTEN = "written"


def run_pods(plane: ControlPlane) -> None:
    """Bring every Pod that is bound to a node one step on."""
    store = plane.store

    def here(pod: Object) -> list[Key]:
        """The Pod itself; when it is gone it is forgotten, and those of its node that wait for an address have a chance."""
        uid, now = pod["metadata"]["uid"], store.at(key_of(pod))
        if now is None or now["metadata"]["uid"] != uid:
            plane.memory.pop(uid, None)
            plane.environments.pop(f"{pod['metadata']['namespace']}/{pod['metadata']['name']}", None)
        node = pod["spec"].get("nodeName") or ""
        return without_address(node) if now is None else [key_of(pod)] if node else []

    def without_address(node: str) -> list[Key]:
        return [key_of(p) for p in store.by("node", node) if not p["status"].get("podIP")]

    for key in plane.due("kubelet", {"Pod": here, "Node": lambda node: without_address(node["metadata"]["name"])}):
        pod = store.at(key)
        node = store.get("Node", "", pod["spec"].get("nodeName") or "") if pod else None
        if pod is None or node is None or pod["status"].get("phase") in ("Succeeded", "Failed"):
            continue
        # How a Pod of a loaded dump is, the dump says; it is not run here.
        loaded = plane.settings.loaded and pod["status"].get("podIP") and pod["metadata"]["uid"] not in plane.memory
        if going(pod):
            _terminate(plane, key, pod)
        elif not loaded and not _as_left(plane, pod):
            _Sync(plane, key, pod).run(node)


def _as_left(plane: ControlPlane, pod: Object) -> bool:
    """Whether a look at the Pod would find nothing new: it is what the kubelet wrote, at this time, under these settings."""
    written, *when = plane.memory.get(pod["metadata"]["uid"], {}).get(WRITTEN, (None,))
    return written is pod and when == [plane.now, plane.settings]


def kill(plane: ControlPlane, pod: Object, container: str) -> None:
    """End a container's main process (``kill 1`` inside): the kubelet starts it again, the Pod's address stays."""
    sync, old = _Sync(plane, key_of(pod), pod), pod["status"]["containerStatuses"]
    statuses = [sync.crash(s, 137) if s["name"] == container and "running" in s["state"] else s for s in old]
    plane.store.put({**pod, "status": {**pod["status"], "containerStatuses": statuses}})


def _report(
    plane: ControlPlane, pod: Object, reason: str, message: str, container: str = "", kind: str = "Normal"
) -> None:
    field, host = f"spec.containers{{{container}}}" if container else "", pod["spec"]["nodeName"]
    plane.events.record(pod, reason, message, "kubelet", kind=kind, host=host, field=field)


def _terminate(plane: ControlPlane, key: Key, pod: Object) -> None:
    """preStop, SIGTERM, the end."""
    memory, running = plane.memory.setdefault(pod["metadata"]["uid"], {}), containers_of(pod["spec"])
    for container in running if "stopping" not in memory else ():
        _report(plane, pod, "Killing", f"Stopping container {container['name']}", container["name"])
    memory["stopping"] = True
    end = seconds_of(pod["metadata"]["deletionTimestamp"])
    exit_after = annotations_of(pod).get(EXIT_AFTER)
    if exit_after is not None:
        begin = end - pod["metadata"].get("deletionGracePeriodSeconds", 30)
        end = min(end, begin + max(map(_pre_stop, running)) + float(exit_after))
    if end > plane.now:
        plane.wake("kubelet", key, end - plane.now)
    else:
        plane.store.remove(key)


def _pre_stop(container: Mapping[str, Any]) -> float:
    """Seconds that the preStop hook takes: a sleep, or a command that contains one."""
    hook = (container.get("lifecycle") or {}).get("preStop") or {}
    command = " ".join((hook.get("exec") or {}).get("command") or ())
    found = re.search(r"\bsleep (\d+)", f"sleep {hook['sleep']['seconds']}" if "sleep" in hook else command)
    return float(found[1]) if found else 0.0


class _Sync:
    """One look of the kubelet at one Pod."""

    def __init__(self, plane: ControlPlane, key: Key, pod: Object) -> None:
        self.plane, self.key, self.pod, self.spec = plane, key, pod, pod["spec"]
        self.now = plane.store.timestamp()
        self.status: dict[str, Any] = dict(pod["status"])
        self.sidecars = {c["name"] for c in self.spec.get("initContainers") or () if c.get("restartPolicy") == "Always"}
        inits = [s for s in self.status.get("initContainerStatuses") or () if s["name"] in self.sidecars]
        self.statuses: list[Status] = [*(self.status.get("containerStatuses") or ()), *inits]
        self.failed = containers.failed_binds(plane.store, pod)
        self.memory = plane.memory.setdefault(pod["metadata"]["uid"], {})
        self.crashed = False

    def run(self, node: Object) -> None:
        ips = addressing.node_ips(node)
        self.status |= {"hostIP": ips[0], "hostIPs": [{"ip": ip} for ip in ips]} if ips else {}
        self.status.setdefault("startTime", self.now)
        if not self.status.get("podIP"):
            self.connect(node)
        connected = bool(self.status.get("podIP"))
        if not connected or not self.statuses:
            reason = "PodInitializing" if connected else "ContainerCreating"
            self.statuses = [containers.waiting(c, reason) for c in containers_of(self.spec)]
        if connected:
            by_name = {c["name"]: c for c in containers_of(self.spec)}
            self.statuses = [self.started(self.of_image(s, by_name[s["name"]]["image"])) for s in self.statuses]
            self.pod = {**self.pod, "status": {**self.status, "containerStatuses": self.statuses}}
            self.statuses = [self.probed(s, by_name[s["name"]]) for s in self.statuses]
        self.write(connected)

    def report(self, reason: str, message: str, container: str = "") -> None:
        _report(self.plane, self.pod, reason, message, container, "Warning")

    # the network

    def connect(self, node: Object) -> None:
        """Set up the sandbox: the Pod's network and its address."""
        settings = self.plane.settings
        if not settings.network_plugin and not self.spec.get("hostNetwork"):
            self.report("NetworkNotReady", f"network is not ready: {NO_PLUGIN}")
            return
        try:
            ips = addressing.allot(self.plane.store, settings, self.pod, node)
        except addressing.NoAddress as error:
            sandbox = containers.digest(self.pod["metadata"]["uid"])
            code = "rpc error: code = Unknown desc = failed to setup network for sandbox"
            self.report("FailedCreatePodSandBox", f'Failed to create pod sandbox: {code} "{sandbox}": {error}')
            return
        self.status |= {"podIP": ips[0], "podIPs": [{"ip": ip} for ip in ips]}
        for event in podfiles.resolv_conf(self.pod, settings, addressing.node_ips(node))[1]:
            self.report(event.reason, event.message)

    # containers

    def of_image(self, status: Status, image: str) -> Status:
        """The container started again where its image is another one now. (A dump spells images in its runtime's way.)"""
        if self.plane.settings.loaded:
            return status
        if status["image"] == image or "running" not in status["state"]:
            return {**status, "image": image}
        name, end = status["name"], containers.ended(status, self.now, 0)
        _report(self.plane, self.pod, "Killing", f"Container {name} definition changed, will be restarted", name)
        return self.start({**status, "image": image, "lastState": end}, status["restartCount"] + 1)

    def started(self, status: Status) -> Status:
        """The container running, if it is time for it to be."""
        reason = (status["state"].get("waiting") or {}).get("reason")
        if reason == "CrashLoopBackOff":
            wait = containers.may_start_again(status, self.plane.now)
            if wait > 0:
                self.plane.wake("kubelet", self.key, wait)
                return status
            return self.start(status, status["restartCount"] + 1)
        return self.start(status, 0) if reason else status

    def start(self, status: Status, restarts: int) -> Status:
        name = status["name"]
        image = f'Container image "{status["image"]}" already present on machine and can be accessed by the pod'
        for reason, message in (("Pulled", image), ("Created", "Container created"), ("Started", "Container started")):
            _report(self.plane, self.pod, reason, message, name)
        environment.record(self.plane, self.pod)
        status = containers.running(status, self.now, restarts, self.pod["metadata"]["uid"])
        return self.crash(status, 1) if name in self.failed else status

    def crash(self, status: Status, code: int) -> Status:
        """The container has ended: it is started again at once, later, or never."""
        self.crashed = True
        end = containers.ended(status, self.now, code)
        down, name, restarts = {**status, "ready": False, "started": False}, status["name"], status["restartCount"]
        if self.spec.get("restartPolicy") == "Never":
            return {**down, "state": end}
        if restarts == 0:
            return self.start({**down, "lastState": end}, 1)
        meta, wait = self.pod["metadata"], containers.backoff(restarts)
        whom = f"{meta['name']}_{meta['namespace']}({meta['uid']})"
        duration = f"{wait // 60}m{wait % 60}s" if wait >= 60 else f"{wait}s"
        self.report("BackOff", f"Back-off restarting failed container {name} in pod {whom}", name)
        self.plane.wake("kubelet", self.key, wait)
        why = {"reason": "CrashLoopBackOff"}
        why["message"] = f"back-off {duration} restarting failed container={name} pod={whom}"
        return {**down, "lastState": end, "state": {"waiting": why}}

    # probes

    def probed(self, status: Status, container: Mapping[str, Any]) -> Status:
        """The status after startup, liveness and readiness probe, each of which waits for the one before."""
        if "running" not in status["state"]:
            return status
        for kind, field in (("startup", "started"), ("liveness", ""), ("readiness", "ready")):
            passed = True if kind == "startup" and status["started"] else self.ask(kind, status, container)
            if passed is False and kind != "readiness":
                message = f"Container {status['name']} failed {kind} probe, will be restarted"
                _report(self.plane, self.pod, "Killing", message, status["name"])
                return self.crash(status, 137)
            if field and passed is not None:
                status = {**status, field: passed}
            if not status["started"]:
                break
        return status

    def ask(self, kind: str, status: Status, container: Mapping[str, Any]) -> bool | None:
        """Whether the container passes its probe of a kind (True without one); None: not known yet, ask again. What is
        remembered: whether it fails, since when, and how often that was reported."""
        probe = container.get(f"{kind}Probe")
        if not probe:
            return True
        now, slot = self.plane.now, (kind, container["name"], status["restartCount"])
        begin = seconds_of(status["state"]["running"]["startedAt"]) + probe.get("initialDelaySeconds", 0)
        text = probes.failure(self.pod, container, kind)
        failed, since, told = self.memory.get(slot, (bool(text), max(begin, now), 0))
        if failed != bool(text):
            since, told = now, 0
        period, needed = (
            probe.get("periodSeconds", 10),
            probe.get("failureThreshold" if text else "successThreshold", 1),
        )
        times = int((now - since) // period) + 1 if now >= since else 0
        for _ in range(min(times, needed) - told if text else 0):
            self.report("Unhealthy", f"{kind.capitalize()} probe failed: {text}", container["name"])
        self.memory[slot] = (bool(text), since, min(times, needed))
        if times >= needed:
            return not text
        self.plane.wake("kubelet", self.key, since + times * period - now)
        return None

    # the report

    def write(self, connected: bool) -> None:
        states = [s["state"] for s in self.statuses]
        phase = "Running" if connected else "Pending"
        if connected and all("terminated" in s for s in states):
            phase = "Failed" if any(s["terminated"]["exitCode"] for s in states) else "Succeeded"
        wanted = [c.get("resources") or {} for c in self.spec["containers"]]
        full = all({"cpu", "memory"} <= set(w.get("limits") or ()) for w in wanted)
        full = full and all(w.get("requests") in (None, w["limits"]) for w in wanted)
        quality = "BestEffort" if not any(wanted) else "Guaranteed" if full else "Burstable"
        status = {**self.status, "phase": phase, "qosClass": quality, "conditions": self.conditions()}
        status["containerStatuses"] = [s for s in self.statuses if s["name"] not in self.sidecars]
        if connected and self.spec.get("initContainers"):
            done = containers.ended({"state": {}}, self.status["startTime"], 0)
            sidecars = {s["name"]: s for s in self.statuses}
            status["initContainerStatuses"] = [
                sidecars.get(c["name"]) or {**containers.waiting(c, ""), "ready": True, "state": done}
                for c in self.spec["initContainers"]
            ]
        stored = self.plane.store.put({**self.pod, "status": status})
        if connected and not self.crashed:  # what was started again has not been asked its probes
            self.memory[WRITTEN] = stored, self.plane.now, self.plane.settings

    def conditions(self) -> list[dict[str, Any]]:
        unready = " ".join(s["name"] for s in self.statuses if not s["ready"])
        why = ("ContainersNotReady", f"containers with unready status: [{unready}]") if unready else ("", "")
        holds = {"PodReadyToStartContainers": "podIP" in self.status, "Initialized": True, "PodScheduled": True}
        wanted = [(kind, status, "", "") for kind, status in holds.items()]
        wanted += [(kind, not unready, *why) for kind in ("ContainersReady", "Ready")]
        return conditions(self.pod, self.now, wanted)
