"""Deployments and ReplicaSets.

A Deployment makes one ReplicaSet for each Pod template it ever had and moves replicas from the old ones to the new;
pkg/controller/deployment (rolling.go, recreate.go). A ReplicaSet keeps so many Pods; pkg/controller/replicaset. The real
roll-out goes as fast as Pods start; here one step takes one simulated second, so that it can be watched.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from k8snet.controlplane import metadata, workloads
from k8snet.controlplane.metadata import controller_of, going, labels_of, own, owner, reference
from k8snet.controlplane.store import Key, key_of
from k8snet.controlplane.workloads import pods_of, share_of
from k8snet.manifests import selectors
from k8snet.manifests.kinds import Object

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane

HASH = "pod-template-hash"
STEP_SECONDS = 1.0


def deployments(plane: ControlPlane) -> None:
    """Bring every Deployment one step nearer to its template and number of replicas."""
    for key in plane.due("deployment", {"Deployment": own, "ReplicaSet": owner("Deployment")}):
        if deployment := plane.store.at(key):
            _Rollout(plane, key, deployment).step()


class _Rollout:
    """One look at a Deployment and its ReplicaSets, the old ones in the order of their age."""

    def __init__(self, plane: ControlPlane, key: Key, deployment: Object) -> None:
        self.plane, self.key, self.deployment, self.spec = plane, key, deployment, deployment["spec"]
        self.hash = metadata.template_hash(self.spec["template"])
        self.memory = plane.memory.setdefault(deployment["metadata"]["uid"], {})
        self.desired: int = self.spec["replicas"]
        strategy = self.spec.get("strategy") or {}
        limits = strategy.get("rollingUpdate") or {}
        self.recreate = strategy.get("type") == "Recreate"
        self.surge = share_of(limits.get("maxSurge", "25%"), self.desired, up=True)
        self.missing = share_of(limits.get("maxUnavailable", "25%"), self.desired, up=False) or int(not self.surge)
        self.look()

    def look(self) -> None:
        owned = self.plane.store.by("owner", self.deployment["metadata"]["uid"])
        self.sets = [o for o in owned if o["kind"] == "ReplicaSet"]
        self.old = [s for s in self.sets if labels_of(s)[HASH] != self.hash]
        self.new = next((s for s in self.sets if labels_of(s)[HASH] == self.hash), None)
        self.total = sum(map(_replicas, self.sets))

    def step(self) -> None:
        if self.recreate:
            for old in self.old:
                self.scale(old, 0)
            if not any(s["status"].get(k) for s in self.old for k in ("replicas", "terminatingReplicas")):
                self.scale(self.new or self.make(), self.desired)
        elif self.new is None:
            self.scale(self.make(), min(self.desired, max(0, self.desired + self.surge - self.total)))
        elif not any(map(_replicas, self.old)) or self.time_for_a_step():
            self.roll(self.new)
        self.look()
        self.report()

    def time_for_a_step(self) -> bool:
        wait = self.memory.get("last step", -STEP_SECONDS) + STEP_SECONDS - self.plane.now
        if wait > 0:
            self.plane.wake("deployment", self.key, wait)
        return bool(wait <= 0)

    def roll(self, new: Object) -> None:
        """More new Pods as far as maxSurge allows; else fewer old ones as far as maxUnavailable allows, first those that
        are not available anyway."""
        wanted, room = _replicas(new), self.desired + self.surge - self.total
        if wanted > self.desired or (wanted < self.desired and room > 0):
            self.scale(new, min(self.desired, wanted + max(room, 0)))
            return
        least = self.desired - self.missing
        spare = max(0, self.total - least - (wanted - _available(new)))
        left = list(map(_replicas, self.old))
        for i, old in enumerate(self.old):
            broken = min(spare, left[i] - _available(old))
            left[i], spare = left[i] - broken, spare - broken
        spare = min(spare, max(0, sum(map(_available, self.sets)) - least))
        for replicas, old in zip(left, self.old, strict=True):
            fewer = min(spare, replicas)
            self.scale(old, replicas - fewer)
            spare -= fewer

    def make(self) -> Object:
        """The ReplicaSet of today's template."""
        extra, template, selector = {HASH: self.hash}, self.spec["template"], self.spec["selector"]
        own_meta = template.get("metadata") or {}
        labels = {**(own_meta.get("labels") or {}), **extra}
        meta = {"name": f"{self.key[2]}-{self.hash}", "namespace": self.key[1], "labels": labels}
        meta["ownerReferences"] = [reference(self.deployment)]
        spec = {k: self.spec[k] for k in ("minReadySeconds",) if k in self.spec} | {"replicas": 0}
        spec["selector"] = {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), **extra}}
        spec["template"] = {**template, "metadata": {**own_meta, "labels": labels}}
        new = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": meta, "spec": spec, "status": {"replicas": 0}}
        return self.plane.store.put(new)

    def scale(self, replica_set: Object, replicas: int) -> None:
        before, name = _replicas(replica_set), replica_set["metadata"]["name"]
        if before != replicas:
            self.memory["last step"] = self.plane.now
            self.plane.store.put({**replica_set, "spec": {**replica_set["spec"], "replicas": replicas}})
            message = f"Scaled {'up' if replicas > before else 'down'} replica set {name} from {before} to {replicas}"
            self.plane.events.record(self.deployment, "ScalingReplicaSet", message, "deployment-controller")

    def report(self) -> None:
        """Write the status."""
        name = self.new["metadata"]["name"] if self.new else ""
        kinds = ("replicas", "readyReplicas", "availableReplicas", "terminatingReplicas")
        status: dict[str, Any] = {kind: sum(s["status"].get(kind, 0) for s in self.sets) for kind in kinds}
        status["updatedReplicas"] = self.new["status"]["replicas"] if self.new else 0
        done = status["updatedReplicas"] == status["replicas"] == status["availableReplicas"] == self.desired
        fine = status["availableReplicas"] >= self.desired - (0 if self.recreate else self.missing)
        minimum = f"Deployment {'has' if fine else 'does not have'} minimum availability."
        progress = f'ReplicaSet "{name}" {"has successfully progressed" if done else "is progressing"}.'
        wanted = [
            ("Available", fine, f"MinimumReplicas{'A' if fine else 'Una'}vailable", minimum),
            ("Progressing", True, "NewReplicaSetAvailable" if done else "ReplicaSetUpdated", progress),
        ]
        now = self.plane.store.timestamp()
        status["conditions"] = metadata.conditions(self.deployment, now, wanted, "lastUpdateTime")
        status["unavailableReplicas"] = max(0, self.total - status["availableReplicas"])
        workloads.write_status(self.plane, self.key, status)


def _replicas(obj: Object) -> int:
    return int(obj["spec"]["replicas"])


def _available(replica_set: Object) -> int:
    return int(replica_set["status"].get("availableReplicas", 0))


# ReplicaSets


def replica_sets(plane: ControlPlane) -> None:
    """Make and delete Pods until every ReplicaSet has as many as it wants."""
    store = plane.store

    def concerned(pod: Object) -> list[Key]:
        """Its ReplicaSet; for a Pod that nobody controls those whose selector it matches: one of them adopts it."""
        if controller_of(pod) or not labels_of(pod):
            return owner("ReplicaSet")(pod)
        return [key_of(s) for s in store.all("ReplicaSet", pod["metadata"]["namespace"]) if _selects(s, pod)]

    for key in plane.due("replicaset", {"ReplicaSet": own, "Pod": concerned}):
        replica_set = store.at(key)
        if replica_set is None:
            continue
        for pod in pods_of(plane, replica_set):
            if not going(pod) and not _selects(replica_set, pod):
                store.put(metadata.changed(pod, ownerReferences=None))
        for pod in store.by("owner", ""):
            if pod["metadata"]["namespace"] == key[1] and not going(pod) and _selects(replica_set, pod):
                store.put(metadata.changed(pod, ownerReferences=[reference(replica_set)]))
        _keep_number(plane, key, replica_set)


def _selects(replica_set: Object, pod: Object) -> bool:
    return selectors.from_label_selector(replica_set["spec"]["selector"]).matches(labels_of(pod))


def _keep_number(plane: ControlPlane, key: Key, replica_set: Object) -> None:
    pods = [p for p in pods_of(plane, replica_set) if not going(p)]
    surplus = len(pods) - _replicas(replica_set)
    pods += [workloads.make_pod(plane, replica_set, {}) for _ in range(-surplus)]
    if surplus > 0:
        together = Counter(p["spec"].get("nodeName") for p in pods)
        pods.sort(key=lambda p: _first_to_go(p, together[p["spec"].get("nodeName")]))
        for pod in pods[:surplus]:
            workloads.delete_pod(plane, replica_set, pod)
        pods = pods[surplus:]
    status = workloads.counted(plane, replica_set, pods) | {"fullyLabeledReplicas": len(pods)}
    status["terminatingReplicas"] = sum(map(going, pods_of(plane, replica_set)))
    workloads.write_status(plane, key, status)


def _first_to_go(pod: Object, together: int) -> tuple[Any, ...]:
    """Unassigned before assigned, pending before running, not ready before ready, of those with more of their kind on
    one node first, then the youngest."""
    since, running = workloads.ready_since(pod), pod["status"].get("phase") == "Running"
    rank = (bool(pod["spec"].get("nodeName")), running, since is not None, -together, -(since or 0))
    return (*rank, pod["metadata"]["name"])
