"""StatefulSets and DaemonSets.

A StatefulSet's Pods have names and ordinals of their own and come and go one at a time, in order;
pkg/controller/statefulset (stateful_set_control.go). A DaemonSet keeps one Pod on every node that will take it;
pkg/controller/daemon. Volumes of a StatefulSet are left out: nothing here stores anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from k8snet.controlplane import scheduler, workloads
from k8snet.controlplane.endpoints import is_ready
from k8snet.controlplane.names import template_hash
from k8snet.controlplane.owners import own, owner
from k8snet.controlplane.store import Key, key_of
from k8snet.controlplane.workloads import is_available, pods_of, staying
from k8snet.manifests.kinds import Object

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane

REVISION = "controller-revision-hash"


def _revision(pod: Object) -> str:
    return str((pod["metadata"].get("labels") or {}).get(REVISION, ""))


# StatefulSets


def stateful_sets(plane: ControlPlane) -> None:
    """Create, delete or replace the next Pod of every StatefulSet."""
    for key in plane.due("statefulset", {"StatefulSet": own, "Pod": owner("StatefulSet")}):
        stateful_set = plane.store.at(key)
        if stateful_set is not None and not stateful_set["metadata"].get("deletionTimestamp"):
            _next_pods(plane, key, stateful_set)


def _next_pods(plane: ControlPlane, key: Key, stateful_set: Object) -> None:
    spec, name = stateful_set["spec"], key[2]
    revision = f"{name}-{template_hash(spec['template'])}"
    start = (spec.get("ordinals") or {}).get("start", 0)
    parallel = spec.get("podManagementPolicy") == "Parallel"
    pods = {p["metadata"]["name"]: p for p in pods_of(plane, stateful_set)}
    wanted = [f"{name}-{ordinal}" for ordinal in range(start, start + spec["replicas"])]
    complete = True
    for pod_name in wanted:
        if not complete and not parallel:
            break
        if pod_name not in pods:
            pods[pod_name] = _make(plane, stateful_set, pod_name, revision)
        complete = complete and _healthy(pods[pod_name])
    if complete or parallel:
        surplus = sorted((p for n, p in pods.items() if n not in wanted), key=_ordinal, reverse=True)
        _delete_next(plane, stateful_set, surplus, parallel)
        if not surplus and (spec.get("updateStrategy") or {}).get("type", "RollingUpdate") == "RollingUpdate":
            partition = ((spec.get("updateStrategy") or {}).get("rollingUpdate") or {}).get("partition", 0)
            kept = [pods[n] for n in reversed(wanted) if n in pods and _ordinal(pods[n]) >= partition]
            if all(map(_healthy, pods.values())):
                _delete_next(plane, stateful_set, [p for p in kept if _revision(p) != revision], False)
    _report_stateful_set(plane, key, stateful_set, revision)


def _make(plane: ControlPlane, stateful_set: Object, name: str, revision: str) -> Object:
    labels = {
        "apps.kubernetes.io/pod-index": name.rpartition("-")[2],
        "statefulset.kubernetes.io/pod-name": name,
        REVISION: revision,
    }
    set_name, subdomain = stateful_set["metadata"]["name"], stateful_set["spec"].get("serviceName")
    names = {"hostname": name, **({"subdomain": subdomain} if subdomain else {})}
    pod = workloads.make_pod(plane, stateful_set, name, labels, **names)
    message = f"create Pod {name} in StatefulSet {set_name} successful"
    plane.events.record(stateful_set, "SuccessfulCreate", message, "statefulset-controller")
    return pod


def _delete_next(plane: ControlPlane, stateful_set: Object, pods: list[Object], all_at_once: bool) -> None:
    """Delete the first of *pods*, or all; nothing while one of them is still going."""
    message = f"delete Pod {{pod}} in StatefulSet {stateful_set['metadata']['name']} successful"
    for pod in pods if all_at_once else pods[:1]:
        if not pod["metadata"].get("deletionTimestamp"):
            workloads.delete_pod(plane, stateful_set, pod, message, "statefulset-controller")


def _ordinal(pod: Object) -> int:
    return int(pod["metadata"]["name"].rpartition("-")[2])


def _healthy(pod: Object) -> bool:
    return is_ready(pod) and not pod["metadata"].get("deletionTimestamp")


def _report_stateful_set(plane: ControlPlane, key: Key, stateful_set: Object, revision: str) -> None:
    pods = pods_of(plane, stateful_set)
    before = stateful_set.get("status") or {}
    updated = [p for p in pods if _revision(p) == revision]
    done = len(updated) == len(pods) == stateful_set["spec"]["replicas"] and all(map(_healthy, pods))
    current = revision if done else before.get("currentRevision") or revision
    status: dict[str, Any] = {
        "replicas": len(pods),
        "readyReplicas": sum(map(is_ready, pods)),
        "availableReplicas": sum(is_available(plane, stateful_set, p, "statefulset") for p in pods),
        "currentReplicas": sum(_revision(p) == current for p in pods),
        "updatedReplicas": len(updated),
        "currentRevision": current,
        "updateRevision": revision,
    }
    workloads.write_status(plane, key, status)


# DaemonSets


def daemon_sets(plane: ControlPlane) -> None:
    """Keep one Pod of every DaemonSet on every node that will take it."""

    def every(node: Object) -> list[Key]:
        return [key_of(d) for d in plane.store.all("DaemonSet")]

    for key in plane.due("daemonset", {"DaemonSet": own, "Pod": owner("DaemonSet"), "Node": every}):
        daemon_set = plane.store.at(key)
        if daemon_set is not None and not daemon_set["metadata"].get("deletionTimestamp"):
            _cover_nodes(plane, key, daemon_set)


# What a DaemonSet's Pods put up with beyond what their template says.
_TOLERATED = [
    {"key": f"node.kubernetes.io/{taint}", "operator": "Exists", "effect": effect}
    for taint, effect in (
        ("not-ready", "NoExecute"),
        ("unreachable", "NoExecute"),
        ("disk-pressure", "NoSchedule"),
        ("memory-pressure", "NoSchedule"),
        ("pid-pressure", "NoSchedule"),
        ("unschedulable", "NoSchedule"),
    )
]


def _cover_nodes(plane: ControlPlane, key: Key, daemon_set: Object) -> None:
    store, spec = plane.store, daemon_set["spec"]
    revision = template_hash(spec["template"])
    template = {**spec["template"]["spec"]}
    template["tolerations"] = [*(template.get("tolerations") or ()), *_TOLERATED]
    if template.get("hostNetwork"):
        extra = {"key": "node.kubernetes.io/network-unavailable", "operator": "Exists", "effect": "NoSchedule"}
        template["tolerations"].append(extra)
    pods = pods_of(plane, daemon_set)
    by_node = {scheduler.pinned_to(p): p for p in pods}
    suitable = [n for n in store.all("Node") if scheduler.tolerates(template, n) and scheduler.wants(template, n)]
    names = sorted(n["metadata"]["name"] for n in suitable)
    for name in names:
        if name not in by_node:
            made = _make_daemon(plane, daemon_set, template, name, revision)
            pods.append(made)
    for name, pod in by_node.items():
        if name not in names and not pod["metadata"].get("deletionTimestamp"):
            workloads.delete_pod(plane, daemon_set, pod, "Deleted pod: {pod}", "daemonset-controller")
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") == "RollingUpdate":
        limit = workloads.share_of((strategy.get("rollingUpdate") or {}).get("maxUnavailable", 1), len(names), up=True)
        old = [p for p in staying(pods) if _revision(p) != revision]
        limit -= len(names) - sum(_healthy(p) for p in pods)
        broken = [p for p in old if not is_ready(p)]
        for pod in broken + [p for p in old if is_ready(p)][: max(limit, 0)]:
            workloads.delete_pod(plane, daemon_set, pod, "Deleted pod: {pod}", "daemonset-controller")
    _report_daemon_set(plane, key, daemon_set, names, revision)


def _make_daemon(plane: ControlPlane, daemon_set: Object, template: dict[str, Any], node: str, revision: str) -> Object:
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}
    fields = {"affinity": affinity, "tolerations": template["tolerations"]}
    pod = workloads.make_pod(plane, daemon_set, "", {REVISION: revision}, **fields)
    message = f"Created pod: {pod['metadata']['name']}"
    plane.events.record(daemon_set, "SuccessfulCreate", message, "daemonset-controller")
    return pod


def _report_daemon_set(plane: ControlPlane, key: Key, daemon_set: Object, names: list[str], revision: str) -> None:
    pods = staying(pods_of(plane, daemon_set))
    here = [p for p in pods if scheduler.pinned_to(p) in names]
    available = sum(is_available(plane, daemon_set, p, "daemonset") for p in here)
    status = {
        "currentNumberScheduled": len(here),
        "desiredNumberScheduled": len(names),
        "numberAvailable": available,
        "numberMisscheduled": len(pods) - len(here),
        "numberReady": sum(map(is_ready, here)),
        "numberUnavailable": len(names) - available,
        "updatedNumberScheduled": sum(_revision(p) == revision for p in here),
    }
    workloads.write_status(plane, key, status)
