"""StatefulSets and DaemonSets.

A StatefulSet's Pods have names and ordinals of their own and come and go one at a time, in order;
pkg/controller/statefulset (stateful_set_control.go). A DaemonSet keeps one Pod on every node that will take it;
pkg/controller/daemon. Volumes of a StatefulSet are left out: nothing here stores anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k8snet.controlplane import scheduler, workloads
from k8snet.controlplane.endpoints import is_ready
from k8snet.controlplane.metadata import going, labels_of, own, owner, template_hash
from k8snet.controlplane.store import Key, key_of
from k8snet.controlplane.workloads import is_healthy, pods_of
from k8snet.manifests.kinds import Object

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane

REVISION = "controller-revision-hash"


def _ordinal(pod: Object) -> int:
    return int(pod["metadata"]["name"].rpartition("-")[2])


def stateful_sets(plane: ControlPlane) -> None:
    """Create, delete or replace the next Pod of every StatefulSet."""
    for key in plane.due("statefulset", {"StatefulSet": own, "Pod": owner("StatefulSet")}):
        if stateful_set := plane.store.at(key):
            revision = f"{key[2]}-{template_hash(stateful_set['spec']['template'])}"
            _next_pods(plane, stateful_set, revision)
            _report(plane, key, stateful_set, revision)


def _next_pods(plane: ControlPlane, stateful_set: Object, revision: str) -> None:
    spec, name = stateful_set["spec"], stateful_set["metadata"]["name"]
    parallel = spec.get("podManagementPolicy") == "Parallel"
    pods = {_ordinal(p): p for p in pods_of(plane, stateful_set)}
    wanted = range(spec["replicas"])
    for ordinal in wanted:
        if ordinal not in pods:
            pods[ordinal] = _make(plane, stateful_set, f"{name}-{ordinal}", revision)
        if not parallel and not is_healthy(pods[ordinal]):
            return
    surplus = [pods[o] for o in sorted(pods, reverse=True) if o not in wanted]
    rolling = (spec.get("updateStrategy") or {}).get("type", "RollingUpdate") == "RollingUpdate"
    if rolling and not surplus and all(map(is_healthy, pods.values())):
        surplus = [pods[o] for o in reversed(wanted) if labels_of(pods[o])[REVISION] != revision][:1]
    for pod in surplus if parallel else surplus[:1]:
        if not going(pod):
            workloads.delete_pod(plane, stateful_set, pod)


def _make(plane: ControlPlane, stateful_set: Object, name: str, revision: str) -> Object:
    labels = {"statefulset.kubernetes.io/pod-name": name, REVISION: revision}
    labels["apps.kubernetes.io/pod-index"] = name.rpartition("-")[2]
    service = stateful_set["spec"].get("serviceName")
    names = {"hostname": name} | ({"subdomain": service} if service else {})
    return workloads.make_pod(plane, stateful_set, labels, name, **names)


def _report(plane: ControlPlane, key: Key, stateful_set: Object, revision: str) -> None:
    pods, before = pods_of(plane, stateful_set), stateful_set.get("status") or {}
    revisions = [labels_of(p).get(REVISION) for p in pods]
    done = revisions == [revision] * stateful_set["spec"]["replicas"] and all(map(is_healthy, pods))
    current = revision if done else before.get("currentRevision") or revision
    status = workloads.counted(plane, stateful_set, pods)
    status |= {"currentReplicas": revisions.count(current), "updatedReplicas": revisions.count(revision)}
    status |= {"currentRevision": current, "updateRevision": revision}
    workloads.write_status(plane, key, status)


# DaemonSets

# What a DaemonSet's Pods put up with beyond what their template says.
_TOLERATED = [
    {"key": f"node.kubernetes.io/{taint}", "operator": "Exists", "effect": effect}
    for effect, taints in (
        ("NoExecute", ("not-ready", "unreachable")),
        ("NoSchedule", ("disk-pressure", "memory-pressure", "pid-pressure", "unschedulable")),
    )
    for taint in taints
]


def daemon_sets(plane: ControlPlane) -> None:
    """Keep one Pod of every DaemonSet on every node that will take it."""

    def every(node: Object) -> list[Key]:
        return [key_of(d) for d in plane.store.all("DaemonSet")]

    for key in plane.due("daemonset", {"DaemonSet": own, "Pod": owner("DaemonSet"), "Node": every}):
        if daemon_set := plane.store.at(key):
            _cover_nodes(plane, key, daemon_set)


def _cover_nodes(plane: ControlPlane, key: Key, daemon_set: Object) -> None:
    spec = daemon_set["spec"]
    revision, template = template_hash(spec["template"]), spec["template"]["spec"]
    template = {**template, "tolerations": [*(template.get("tolerations") or ()), *_TOLERATED]}
    suitable = [n for n in plane.store.all("Node") if not scheduler.unsuitable(template, n)]
    names = sorted(n["metadata"]["name"] for n in suitable)
    there = {scheduler.pinned_to(p): p for p in pods_of(plane, daemon_set)}
    for name in names:
        if name not in there:
            term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [name]}]}
            affinity = {"nodeAffinity": {scheduler.REQUIRED: {"nodeSelectorTerms": [term]}}}
            fields = {"affinity": affinity, "tolerations": template["tolerations"]}
            there[name] = workloads.make_pod(plane, daemon_set, {REVISION: revision}, **fields)
    leaving = [p for name, p in there.items() if name not in names]
    strategy = spec.get("updateStrategy") or {}
    if strategy.get("type", "RollingUpdate") == "RollingUpdate":
        stale = [p for p in there.values() if labels_of(p)[REVISION] != revision]
        limit = workloads.share_of((strategy.get("rollingUpdate") or {}).get("maxUnavailable", 1), len(names), up=True)
        limit -= len(names) - sum(map(is_healthy, there.values()))
        leaving += [p for p in stale if not is_ready(p)] + [p for p in stale if is_healthy(p)][: max(limit, 0)]
    for pod in leaving:
        if not going(pod):
            workloads.delete_pod(plane, daemon_set, pod)
    pods = [p for p in pods_of(plane, daemon_set) if not going(p)]
    here = [p for p in pods if scheduler.pinned_to(p) in names]
    number, ready, available = workloads.counted(plane, daemon_set, here).values()
    status = {"currentNumberScheduled": number, "desiredNumberScheduled": len(names)}
    status |= {"numberAvailable": available, "numberUnavailable": len(names) - available}
    status |= {"numberMisscheduled": len(pods) - number, "numberReady": ready}
    status["updatedNumberScheduled"] = sum(labels_of(p)[REVISION] == revision for p in here)
    workloads.write_status(plane, key, status)
