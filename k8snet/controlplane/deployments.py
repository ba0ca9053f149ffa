"""Deployments and ReplicaSets.

A Deployment makes one ReplicaSet for each Pod template it ever had and moves replicas from the old ones to the new;
pkg/controller/deployment (rolling.go, recreate.go). A ReplicaSet keeps so many Pods; pkg/controller/replicaset. The real
roll-out goes as fast as Pods start; here one step takes one simulated second, so that it can be watched.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from k8snet.controlplane import workloads
from k8snet.controlplane.endpoints import is_ready
from k8snet.controlplane.names import template_hash
from k8snet.controlplane.owners import controller_of, own, owner, reference
from k8snet.controlplane.store import Key, key_of, seconds_of
from k8snet.controlplane.workloads import condition, is_available, pods_of, share_of, staying
from k8snet.manifests import selectors
from k8snet.manifests.kinds import Object

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
STEP_SECONDS = 1.0


def deployments(plane: ControlPlane) -> None:
    """Bring every Deployment one step nearer to its template and number of replicas."""

    def of_replica_set(pod: Object) -> list[Key]:
        holder = controller_of(pod)
        replica_set = plane.store.get("ReplicaSet", pod["metadata"]["namespace"], holder["name"]) if holder else None
        return owner("Deployment")(replica_set) if replica_set else []

    watches = {"Deployment": own, "ReplicaSet": owner("Deployment"), "Pod": of_replica_set}
    for key in plane.due("deployment", watches):
        deployment = plane.store.at(key)
        if deployment is not None and not deployment["metadata"].get("deletionTimestamp"):
            _Rollout(plane, key, deployment).step()


class _Rollout:
    """One look at a Deployment and its ReplicaSets."""

    def __init__(self, plane: ControlPlane, key: Key, deployment: Object) -> None:
        self.plane, self.key, self.deployment = plane, key, deployment
        self.spec = deployment["spec"]
        self.desired: int = self.spec["replicas"]
        self.sets = [o for o in plane.store.by("owner", deployment["metadata"]["uid"]) if o["kind"] == "ReplicaSet"]
        self.hash = template_hash(self.spec["template"])
        self.new = plane.store.get("ReplicaSet", key[1], f"{key[2]}-{self.hash}")
        self.old = [s for s in self.sets if s["metadata"]["labels"].get(HASH) != self.hash]
        limits = (self.spec.get("strategy") or {}).get("rollingUpdate") or {}
        self.recreate = (self.spec.get("strategy") or {}).get("type") == "Recreate"
        self.surge = share_of(limits.get("maxSurge", "25%"), self.desired, up=True)
        self.missing = share_of(limits.get("maxUnavailable", "25%"), self.desired, up=False)
        if not self.surge and not self.missing:
            self.missing = 1

    @property
    def total(self) -> int:
        return sum(s["spec"]["replicas"] for s in self.sets)

    def step(self) -> None:
        rolling = any(s["spec"]["replicas"] for s in self.old)
        if self.recreate and self.old_gone():
            self.raise_new(self.desired)
        elif not self.recreate and self.new is None:
            self.raise_new(min(self.desired, max(0, self.desired + self.surge - self.total)))
        elif not self.recreate and (not rolling or self.time_for_a_step()):
            self.roll()
        self.report()

    def old_gone(self) -> bool:
        """Recreate: all old Pods have to be gone, also those that are terminating, before a new one is made."""
        for old in self.old:
            self.scale(old, 0)
        return not any(pods_of(self.plane, s) for s in self.old)

    def time_for_a_step(self) -> bool:
        conditions = (self.deployment.get("status") or {}).get("conditions") or ()
        last = next((seconds_of(c["lastUpdateTime"]) for c in conditions if c["type"] == "Progressing"), 0.0)
        if last + STEP_SECONDS > self.plane.now:
            self.plane.wake("deployment", self.key, last + STEP_SECONDS - self.plane.now)
            return False
        return True

    def roll(self) -> None:
        """More new Pods as far as maxSurge allows; else fewer old ones as far as maxUnavailable allows."""
        assert self.new is not None
        wanted = self.new["spec"]["replicas"]
        room = self.desired + self.surge - self.total
        if wanted != self.desired and (wanted > self.desired or room > 0):
            self.raise_new(self.desired if wanted > self.desired else wanted + min(room, self.desired - wanted))
            return
        least = self.desired - self.missing
        coming = wanted - _available(self.new)
        spare = self.total - least - coming
        for old in sorted(self.old, key=_age):  # those that are broken anyway
            broken = min(max(spare, 0), old["spec"]["replicas"] - _available(old))
            if broken > 0:
                self.scale(old, old["spec"]["replicas"] - broken)
                spare -= broken
        self.read_again()
        extra = min(spare, sum(map(_available, [*self.old, self.new])) - least)
        for old in sorted(self.old, key=_age):
            fewer = min(max(extra, 0), old["spec"]["replicas"])
            if fewer:
                self.scale(old, old["spec"]["replicas"] - fewer)
                extra -= fewer

    def read_again(self) -> None:
        store = self.plane.store
        self.old = [s for s in (store.at(key_of(o)) for o in self.old) if s is not None]

    def raise_new(self, replicas: int) -> None:
        """Give the ReplicaSet of today's template so many replicas; the first time it is made."""
        if self.new is not None:
            self.scale(self.new, replicas)
            return
        extra, template = {HASH: self.hash}, self.spec["template"]
        labels = {**((template.get("metadata") or {}).get("labels") or {}), **extra}
        selector = self.spec["selector"]
        chosen = {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), **extra}}
        self.new = self.plane.store.put(
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "metadata": {
                    "name": f"{self.key[2]}-{self.hash}",
                    "namespace": self.key[1],
                    "labels": labels,
                    "annotations": {REVISION: str(max(map(_age, self.sets), default=0) + 1)},
                    "ownerReferences": [reference(self.deployment)],
                },
                "spec": {
                    "replicas": replicas,
                    "selector": chosen,
                    "template": {**template, "metadata": {**(template.get("metadata") or {}), "labels": labels}},
                    **({"minReadySeconds": self.spec["minReadySeconds"]} if self.spec.get("minReadySeconds") else {}),
                },
                "status": {"replicas": 0},
            }
        )
        self.sets.append(self.new)
        self.tell(self.new, 0, replicas)

    def scale(self, replica_set: Object, replicas: int) -> None:
        before = replica_set["spec"]["replicas"]
        if before != replicas:
            self.plane.store.put({**replica_set, "spec": {**replica_set["spec"], "replicas": replicas}})
            self.tell(replica_set, before, replicas)

    def tell(self, replica_set: Object, before: int, after: int) -> None:
        way = "up" if after > before else "down"
        name = replica_set["metadata"]["name"]
        message = f"Scaled {way} replica set {name} from {before} to {after}"
        self.plane.events.record(self.deployment, "ScalingReplicaSet", message, "deployment-controller")

    def report(self) -> None:
        """Write revision and status, and forget old ReplicaSets beyond ``revisionHistoryLimit``."""
        store = self.plane.store
        self.sets = [s for s in (store.at(key_of(o)) for o in self.sets) if s is not None]
        self.new = store.at(key_of(self.new)) if self.new else None
        newest = max(map(_age, self.sets), default=0)
        if self.new is not None and _age(self.new) < newest:
            self.new = store.put(_with_revision(self.new, newest + 1))
        obj = self.deployment if self.new is None else store.put(_with_revision(self.deployment, _age(self.new)))
        counts = Counter[str]()
        for s in self.sets:
            counts.update(
                {k: v for k, v in s["status"].items() if k in ("replicas", "readyReplicas", "availableReplicas")}
            )
        available = counts["availableReplicas"]
        enough = available >= self.desired - (0 if self.recreate else self.missing)
        updated = self.new["status"].get("replicas", 0) if self.new else 0
        done = updated == counts["replicas"] == available == self.desired
        name = self.new["metadata"]["name"] if self.new else ""
        conditions = [
            condition(
                self.plane, obj, "Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability."
            )
            if enough
            else condition(
                self.plane,
                obj,
                "Available",
                "False",
                "MinimumReplicasUnavailable",
                "Deployment does not have minimum availability.",
            ),
            condition(
                self.plane,
                obj,
                "Progressing",
                "True",
                "NewReplicaSetAvailable" if done else "ReplicaSetUpdated",
                f'ReplicaSet "{name}" {"has successfully progressed" if done else "is progressing"}.',
            ),
        ]
        before = obj.get("status") or {}
        status: dict[str, Any] = {**counts, "updatedReplicas": updated, "conditions": conditions}
        status["unavailableReplicas"] = max(0, self.total - available)
        status["replicas"] = counts["replicas"]
        moved = any(before.get(k, 0) != status[k] for k in ("replicas", "updatedReplicas"))
        if not done and (moved or self.total != sum(s["status"].get("replicas", 0) for s in self.sets)):
            conditions[1] |= {"lastUpdateTime": store.timestamp()}
        workloads.write_status(self.plane, self.key, status)
        finished = [
            s for s in self.sets if s is not self.new and not s["spec"]["replicas"] and not s["status"].get("replicas")
        ]
        beyond = len(finished) - self.spec.get("revisionHistoryLimit", 10)
        for replica_set in sorted(finished, key=_age)[: max(beyond, 0)]:
            store.remove(key_of(replica_set))


def _age(obj: Object) -> int:
    return int((obj["metadata"].get("annotations") or {}).get(REVISION, 0))


def _with_revision(obj: Object, revision: int) -> Object:
    meta = obj["metadata"]
    return {**obj, "metadata": {**meta, "annotations": {**(meta.get("annotations") or {}), REVISION: str(revision)}}}


def _available(replica_set: Object) -> int:
    return int((replica_set.get("status") or {}).get("availableReplicas", 0))


# ReplicaSets


def replica_sets(plane: ControlPlane) -> None:
    """Make and delete Pods until every ReplicaSet has as many as it wants."""
    store = plane.store

    def concerned(pod: Object) -> list[Key]:
        """Its ReplicaSet; for a Pod that nobody controls those whose selector it matches: one of them adopts it."""
        if controller_of(pod):
            return owner("ReplicaSet")(pod)
        labels = pod["metadata"].get("labels") or {}
        free = store.all("ReplicaSet", pod["metadata"]["namespace"]) if labels else []
        return [key_of(s) for s in free if selectors.from_label_selector(s["spec"]["selector"]).matches(labels)]

    for key in plane.due("replicaset", {"ReplicaSet": own, "Pod": concerned}):
        replica_set = store.at(key)
        if replica_set is not None and not replica_set["metadata"].get("deletionTimestamp"):
            _claim(plane, replica_set)
            _keep_number(plane, replica_set)


def _claim(plane: ControlPlane, replica_set: Object) -> None:
    """Let go of Pods whose labels have been changed, adopt Pods without owner whose labels match."""
    store, selector = plane.store, selectors.from_label_selector(replica_set["spec"]["selector"])
    namespace, uid = replica_set["metadata"]["namespace"], replica_set["metadata"]["uid"]
    for pod in staying(store.by("owner", uid)):
        if not selector.matches(pod["metadata"].get("labels") or {}):
            store.put({**pod, "metadata": {k: v for k, v in pod["metadata"].items() if k != "ownerReferences"}})
    for pod in staying(store.by("owner", "")):
        meta = pod["metadata"]
        if meta["namespace"] == namespace and selector.matches(meta.get("labels") or {}):
            store.put({**pod, "metadata": {**meta, "ownerReferences": [reference(replica_set)]}})


def _keep_number(plane: ControlPlane, replica_set: Object) -> None:
    pods = staying(pods_of(plane, replica_set))
    wanted = replica_set["spec"]["replicas"]
    for _ in range(wanted - len(pods)):
        pods.append(workloads.make_pod(plane, replica_set))
        message = f"Created pod: {pods[-1]['metadata']['name']}"
        plane.events.record(replica_set, "SuccessfulCreate", message, "replicaset-controller")
    if len(pods) > wanted:
        together = Counter(p["spec"].get("nodeName") for p in pods if p["spec"].get("nodeName"))
        pods.sort(key=lambda p: workloads.first_to_go(p, together[p["spec"].get("nodeName")]))
        for pod in pods[: len(pods) - wanted]:
            workloads.delete_pod(plane, replica_set, pod, "Deleted pod: {pod}", "replicaset-controller")
        pods = pods[len(pods) - wanted :]
    status = {
        "replicas": len(pods),
        "fullyLabeledReplicas": len(pods),
        "readyReplicas": sum(is_ready(p) for p in pods),
        "availableReplicas": sum(is_available(plane, replica_set, p, "replicaset") for p in pods),
    }
    workloads.write_status(plane, key_of(replica_set), status)
