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
from k8snet.controlplane.nodes import NO_PLUGIN
from k8snet.controlplane.snapshot import pod_view
from k8snet.controlplane.store import Key, key_of, seconds_of
from k8snet.manifests.kinds import Object

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane

EXIT_AFTER = "k8snet.io/exit-after"


def run_pods(plane: ControlPlane) -> None:
    """Bring every Pod that is bound to a node one step on."""
    store = plane.store

    def here(pod: Object) -> list[Key]:
        """The Pod itself; when one is gone, those of its node that wait for an address."""
        now = store.at(key_of(pod))
        if now is None or now["metadata"]["uid"] != pod["metadata"]["uid"]:
            plane.forget(pod)
        if now is not None:
            return [key_of(pod)] if pod["spec"].get("nodeName") else []
        return [key_of(p) for p in store.by("node", pod["spec"].get("nodeName") or "") if not p["status"].get("podIP")]

    def on(node: Object) -> list[Key]:
        return [
            key_of(p) for p in store.by("node", node["metadata"]["name"]) if not (p.get("status") or {}).get("podIP")
        ]

    for key in plane.due("kubelet", {"Pod": here, "Node": on}):
        pod = store.at(key)
        node = store.get("Node", "", pod["spec"].get("nodeName") or "") if pod else None
        if pod is None or node is None or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            continue
        if pod["metadata"].get("deletionTimestamp"):
            _terminate(plane, key, pod)
        else:
            _Sync(plane, key, pod, node).run()


def kill(plane: ControlPlane, pod: Object, container: str) -> None:
    """End a container's main process (``kill 1`` inside): the kubelet starts it again, the Pod's address stays."""
    sync = _Sync(plane, key_of(pod), pod, {})
    sync.statuses = [
        sync.crash(s, 137, "Error") if s["name"] == container and "running" in s["state"] else s for s in sync.statuses
    ]
    plane.store.put({**pod, "status": {**pod["status"], "containerStatuses": sync.statuses}})


def _terminate(plane: ControlPlane, key: Key, pod: Object) -> None:
    """preStop, SIGTERM, the end."""
    meta = pod["metadata"]
    grace = meta.get("deletionGracePeriodSeconds", 30)
    deadline = seconds_of(meta["deletionTimestamp"])
    for container in containers.all_of(pod["spec"]):
        if plane.first_time(pod, ("stopping", container["name"])):
            plane.report(pod, "Killing", f"Stopping container {container['name']}", container["name"])
    stop = deadline - grace + max((_pre_stop(c) for c in containers.all_of(pod["spec"])), default=0.0)
    exit_after = (meta.get("annotations") or {}).get(EXIT_AFTER)
    end = deadline if exit_after is None else min(stop + float(exit_after), deadline)
    if end > plane.now:
        plane.wake("kubelet", key, end - plane.now)
    else:
        plane.store.remove(key)


def _pre_stop(container: Mapping[str, Any]) -> float:
    """Seconds that the preStop hook takes: a sleep, or a command that contains one."""
    hook = (container.get("lifecycle") or {}).get("preStop") or {}
    if "sleep" in hook:
        return float(hook["sleep"].get("seconds", 0))
    found = re.search(r"\bsleep (\d+)", " ".join((hook.get("exec") or {}).get("command") or ()))
    return float(found[1]) if found else 0.0


class _Sync:
    """One look of the kubelet at one Pod."""

    def __init__(self, plane: ControlPlane, key: Key, pod: Object, node: Object) -> None:
        self.plane, self.key, self.pod, self.node = plane, key, pod, node
        self.spec: Mapping[str, Any] = pod["spec"]
        self.now = plane.store.timestamp()
        self.status: dict[str, Any] = dict(pod.get("status") or {})
        self.statuses: list[Status] = list(self.status.get("containerStatuses") or ())
        self.failed = containers.failed_binds(plane.store, pod)

    def run(self) -> None:
        ips = addressing.node_ips(self.node)
        self.status |= {"hostIP": ips[0], "hostIPs": [{"ip": ip} for ip in ips]} if ips else {}
        self.status.setdefault("startTime", self.now)
        if not self.status.get("podIP"):
            self.connect()
        if self.status.get("podIP"):
            self.statuses = [self.started(s) for s in self.statuses or self.fresh("")]
            self.pod = {**self.pod, "status": {**self.status, "containerStatuses": self.statuses}}
            by_name = {c["name"]: c for c in containers.all_of(self.spec)}
            self.statuses = [self.probed(s, by_name[s["name"]]) for s in self.statuses]
        else:
            self.statuses = self.fresh("ContainerCreating")
        self.write()

    # the network

    def connect(self) -> None:
        """Set up the sandbox: the Pod's network and its address."""
        plugin = self.plane.settings.network_plugin or self.spec.get("hostNetwork")
        if not plugin:
            if self.plane.first_time(self.pod, ("no network",)):
                self.plane.report(self.pod, "NetworkNotReady", f"network is not ready: {NO_PLUGIN}", kind="Warning")
            return
        try:
            ips = addressing.allot(self.plane.store, self.plane.settings, self.pod, self.node)
        except addressing.NoAddress as error:
            sandbox = containers.container_id(self.pod["metadata"]["uid"])
            message = (
                "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "
                f'"{sandbox}": {error}'
            )
            self.plane.report(self.pod, "FailedCreatePodSandBox", message, kind="Warning")
            return
        self.status |= {"podIP": ips[0], "podIPs": [{"ip": ip} for ip in ips]}
        view = pod_view({**self.pod, "status": self.status}, self.plane.settings)
        for event in podfiles.resolv_conf(view, self.plane.settings, addressing.node_ips(self.node))[1]:
            self.plane.report(self.pod, event.reason, event.message, kind=event.type)

    # containers

    def fresh(self, reason: str) -> list[Status]:
        return [containers.waiting(c, reason) for c in containers.all_of(self.spec)]

    def started(self, status: Status) -> Status:
        """The container running, if it is time for it to be."""
        if "running" in status["state"] or "terminated" in status["state"]:
            return status
        if (status["state"].get("waiting") or {}).get("reason") == "CrashLoopBackOff":
            wait = containers.may_start_again(status, self.plane.now)
            if wait > 0:
                self.plane.wake("kubelet", self.key, wait)
                return status
            return self.start(status, status["restartCount"] + 1)
        return self.start(status, 0)

    def start(self, status: Status, restarts: int) -> Status:
        name = status["name"]
        image = f'Container image "{status["image"]}" already present on machine and can be accessed by the pod'
        for reason, message in (("Pulled", image), ("Created", "Container created"), ("Started", "Container started")):
            self.plane.report(self.pod, reason, message, name)
        environment.record(self.plane, self.pod)
        status = containers.running(status, self.now, restarts, self.pod["metadata"]["uid"])
        return self.crash(status, 1, "Error") if name in self.failed else status

    def crash(self, status: Status, code: int, reason: str) -> Status:
        """The container has ended: it is started again at once, later, or never."""
        end = containers.ended(status, self.now, code, reason)
        down = {**status, "ready": False, "started": False}
        if self.spec.get("restartPolicy") == "Never":
            return {**down, "state": end}
        if status["restartCount"] == 0:
            return self.start({**down, "lastState": end}, 1)
        meta, wait = self.pod["metadata"], containers.backoff(status["restartCount"])
        whom = f"{meta['name']}_{meta['namespace']}({meta['uid']})"
        text = f"back-off {containers.go_duration(wait)} restarting failed container={status['name']} pod={whom}"
        message = f"Back-off restarting failed container {status['name']} in pod {whom}"
        self.plane.report(self.pod, "BackOff", message, status["name"], kind="Warning")
        self.plane.wake("kubelet", self.key, wait)
        return {**down, "lastState": end, "state": {"waiting": {"reason": "CrashLoopBackOff", "message": text}}}

    # probes

    def probed(self, status: Status, container: Mapping[str, Any]) -> Status:
        if "running" not in status["state"]:
            return status
        if not status["started"]:
            passed = self.ask("startup", status, container)
            if passed is False:
                return self.unwell("startup", status)
            status = {**status, "started": bool(passed)}
        if status["started"]:
            if self.ask("liveness", status, container) is False:
                return self.unwell("liveness", status)
            passed = self.ask("readiness", status, container)
            status = {**status, "ready": status["ready"] if passed is None else passed}
        return status

    def ask(self, kind: str, status: Status, container: Mapping[str, Any]) -> bool | None:
        """Whether the container passes its probe of a kind (True without one); None: not known yet."""
        probe = container.get(f"{kind}Probe")
        if not probe:
            return True
        begin = seconds_of(status["state"]["running"]["startedAt"]) + (probe.get("initialDelaySeconds") or 0)
        text = probes.failure(self.pod, container, kind, probe)
        slot = (kind, container["name"], status["restartCount"])
        result = probes.ask(text, probe, begin, self.plane.now, self.plane.remembered(self.pod, slot))
        self.plane.remember(self.pod, slot, result.streak)
        if result.asked_again_in:
            self.plane.wake("kubelet", self.key, result.asked_again_in)
        for _ in range(result.reports):
            message = f"{kind.capitalize()} probe failed: {text}"
            self.plane.report(self.pod, "Unhealthy", message, container["name"], kind="Warning")
        return result.passed

    def unwell(self, kind: str, status: Status) -> Status:
        message = f"Container {status['name']} failed {kind} probe, will be restarted"
        self.plane.report(self.pod, "Killing", message, status["name"])
        return self.crash(status, 137, "Error")

    # the report

    def write(self) -> None:
        status = {**self.status, "qosClass": _qos(self.spec), "phase": self.phase()}
        sidecars = {c["name"] for c in self.spec.get("initContainers") or ()}
        status["containerStatuses"] = [s for s in self.statuses if s["name"] not in sidecars]
        inits = {s["name"]: s for s in self.statuses if s["name"] in sidecars}
        if sidecars and self.status.get("podIP"):
            done = {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": self.now, "finishedAt": self.now}}
            before = {s["name"]: s for s in self.status.get("initContainerStatuses") or ()}
            status["initContainerStatuses"] = [
                inits.get(c["name"])
                or before.get(c["name"])
                or {**containers.waiting(c, ""), "ready": True, "state": done}
                for c in self.spec["initContainers"]
            ]
        status["conditions"] = self.conditions()
        self.plane.store.put({**self.pod, "status": status})

    def phase(self) -> str:
        states = [s["state"] for s in self.statuses]
        if not self.status.get("podIP"):
            return "Pending"
        if states and all("terminated" in s for s in states):
            return "Failed" if any(s["terminated"]["exitCode"] for s in states) else "Succeeded"
        return "Running"

    def conditions(self) -> list[dict[str, Any]]:
        old = {c["type"]: c for c in self.status.get("conditions") or ()}
        unready = [s["name"] for s in self.statuses if not s["ready"]]
        gates = [g["conditionType"] for g in self.spec.get("readinessGates") or ()]
        closed = [g for g in gates if (old.get(g) or {}).get("status") != "True"]
        unready_text = f"containers with unready status: [{' '.join(unready)}]" if unready else ""
        gate_text = f'the status of pod readiness gate "{closed[0]}" is not "True", but False' if closed else ""
        wanted = [
            ("PodReadyToStartContainers", "" if self.status.get("podIP") else " "),
            ("Initialized", ""),
            ("Ready", unready_text or gate_text),
            ("ContainersReady", unready_text),
            ("PodScheduled", ""),
        ]
        result = [c for kind, c in old.items() if kind not in dict(wanted)]
        for kind, problem in wanted:
            found = {"type": kind, "status": "False" if problem else "True"}
            if problem.strip():
                found |= {"reason": "ContainersNotReady" if unready else "ReadinessGatesNotReady", "message": problem}
            before = old.get(kind) or {}
            same = before.get("status") == found["status"]
            result.append({**found, "lastTransitionTime": before["lastTransitionTime"] if same else self.now})
        return result


def _qos(spec: Mapping[str, Any]) -> str:
    resources = [c.get("resources") or {} for c in spec.get("containers") or ()]
    if not any(r.get("requests") or r.get("limits") for r in resources):
        return "BestEffort"
    same = all((r.get("limits") or {}) == (r.get("requests") or r.get("limits")) for r in resources)
    whole = all({"cpu", "memory"} <= set(r.get("limits") or {}) for r in resources)
    return "Guaranteed" if same and whole else "Burstable"
