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
from k8snet.controlplane.metadata import (
    annotations_of,
    changed,
    controller_of,
    going,
    labels_of,
    own,
    owner,
    reference,
    template_hash,
)
from k8snet.controlplane.store import Key, key_of, seconds_of
from k8snet.controlplane.workloads import pods_of, share_of
from k8snet.manifests import selectors
from k8snet.manifests.kinds import Object

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
STEP_SECONDS = 1.0


def deployments(plane: ControlPlane) -> None:
    """Bring every Deployment one step nearer to its template and number of replicas."""
    for key in plane.due("deployment", {"Deployment": own, "ReplicaSet": owner("Deployment")}):
        deployment = plane.store.at(key)
        if deployment is not None:
            _Rollout(plane, key, deployment).step()


class _Rollout:
    """One look at a Deployment and its ReplicaSets, the old ones in the order of their age."""

    def __init__(self, plane: ControlPlane, key: Key, deployment: Object) -> None:
        self.plane, self.key, self.deployment, self.spec = plane, key, deployment, deployment["spec"]
        self.desired: int = self.spec["replicas"]
        self.hash = template_hash(self.spec["template"])
        strategy = self.spec.get("strategy") or {}
        limits = strategy.get("rollingUpdate") or {}
        self.recreate = strategy.get("type") == "Recreate"
        self.surge = share_of(limits.get("maxSurge", "25%"), self.desired, up=True)
        self.missing = share_of(limits.get("maxUnavailable", "25%"), self.desired, up=False)
        if self.surge == self.missing == 0:
            self.missing = 1
        self.look()

    def look(self) -> None:
        owned = self.plane.store.by("owner", self.deployment["metadata"]["uid"])
        self.sets = sorted((o for o in owned if o["kind"] == "ReplicaSet"), key=_revision)
        self.old = [s for s in self.sets if labels_of(s)[HASH] != self.hash]
        self.new = next((s for s in self.sets if labels_of(s)[HASH] == self.hash), None)
        self.total: int = sum(s["spec"]["replicas"] for s in self.sets)

    def step(self) -> None:
        if self.recreate:
            for old in self.old:
                self.scale(old, 0)
            if not any(s["status"].get(k) for s in self.old for k in ("replicas", "terminatingReplicas")):
                self.grow(self.desired)
        elif self.new is None:
            self.grow(min(self.desired, max(0, self.desired + self.surge - self.total)))
        elif not any(s["spec"]["replicas"] for s in self.old) or self.time_for_a_step():
            self.roll(self.new)
        self.look()
        self.report()

    def time_for_a_step(self) -> bool:
        conditions = (self.deployment.get("status") or {}).get("conditions") or ()
        last = next((seconds_of(c["lastUpdateTime"]) for c in conditions if c["type"] == "Progressing"), 0.0)
        if last + STEP_SECONDS > self.plane.now:
            self.plane.wake("deployment", self.key, last + STEP_SECONDS - self.plane.now)
        return last + STEP_SECONDS <= self.plane.now

    def roll(self, new: Object) -> None:
        """More new Pods as far as maxSurge allows; else fewer old ones as far as maxUnavailable allows, first those that
        are not available anyway."""
        wanted, room = new["spec"]["replicas"], self.desired + self.surge - self.total
        if wanted > self.desired or (wanted < self.desired and room > 0):
            self.scale(new, min(self.desired, wanted + max(room, 0)))
            return
        least = self.desired - self.missing
        spare = max(0, self.total - least - (wanted - _available(new)))
        left = {s["metadata"]["name"]: s["spec"]["replicas"] for s in self.old}
        for old in self.old:
            broken = min(spare, old["spec"]["replicas"] - _available(old))
            left[old["metadata"]["name"]] -= broken
            spare -= broken
        spare = min(spare, max(0, sum(map(_available, self.sets)) - least))
        for old in self.old:
            fewer = min(spare, left[old["metadata"]["name"]])
            self.scale(old, left[old["metadata"]["name"]] - fewer)
            spare -= fewer

    def grow(self, replicas: int) -> None:
        """Give the ReplicaSet of today's template so many replicas; the first time it is made."""
        if self.new is not None:
            self.scale(self.new, replicas)
            return
        extra, template, selector = {HASH: self.hash}, self.spec["template"], self.spec["selector"]
        own_meta = template.get("metadata") or {}
        labels = {**(own_meta.get("labels") or {}), **extra}
        meta = {"name": f"{self.key[2]}-{self.hash}", "namespace": self.key[1], "labels": labels}
        meta["ownerReferences"] = [reference(self.deployment)]
        spec = {
            "replicas": 0,
            "selector": {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), **extra}},
        }
        spec["template"] = {**template, "metadata": {**own_meta, "labels": labels}}
        spec |= {k: self.spec[k] for k in ("minReadySeconds",) if k in self.spec}
        new = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": meta, "spec": spec, "status": {"replicas": 0}}
        self.scale(new, replicas)

    def scale(self, replica_set: Object, replicas: int) -> None:
        before = replica_set["spec"]["replicas"]
        if before != replicas or "uid" not in replica_set["metadata"]:
            self.plane.store.put({**replica_set, "spec": {**replica_set["spec"], "replicas": replicas}})
            way, name = "up" if replicas > before else "down", replica_set["metadata"]["name"]
            message = f"Scaled {way} replica set {name} from {before} to {replicas}"
            self.plane.events.record(self.deployment, "ScalingReplicaSet", message, "deployment-controller")

    def report(self) -> None:
        """Write revision and status."""
        store, obj, name = self.plane.store, self.deployment, ""
        if self.new is not None:
            latest = max(map(_revision, self.old), default=0) + 1
            self.new = store.put(_with_revision(self.new, max(latest, _revision(self.new))))
            obj, name = store.put(_with_revision(obj, _revision(self.new))), self.new["metadata"]["name"]
        counts: Counter[str] = Counter()
        for s in self.sets:
            counts.update(
                {k: v for k, v in s["status"].items() if k.endswith("eplicas") and k != "fullyLabeledReplicas"}
            )
        updated, enough = self.new["status"]["replicas"] if self.new else 0, self.desired
        enough -= 0 if self.recreate else self.missing
        done = updated == counts["replicas"] == counts["availableReplicas"] == self.desired
        fine = counts["availableReplicas"] >= enough
        told = {c["type"]: c for c in (obj.get("status") or {}).get("conditions") or ()}
        conditions = []
        for kind, holds, reason, message in (
            (
                "Available",
                fine,
                f"MinimumReplicas{'A' if fine else 'Una'}vailable",
                f"Deployment {'has' if fine else 'does not have'} minimum availability.",
            ),
            (
                "Progressing",
                True,
                "NewReplicaSetAvailable" if done else "ReplicaSetUpdated",
                f'ReplicaSet "{name}" {"has successfully progressed" if done else "is progressing"}.',
            ),
        ):
            found = {"type": kind, "status": str(holds), "reason": reason, "message": message}
            before = told.get(kind) or {}
            same = all(before.get(k) == v for k, v in found.items())
            moved = not done and kind == "Progressing" and self.total != counts["replicas"]
            times = {
                "lastTransitionTime": before.get("lastTransitionTime") if before.get("status") == str(holds) else None
            }
            times["lastUpdateTime"] = before["lastUpdateTime"] if same and not moved else store.timestamp()
            conditions.append({**found, **{k: v or store.timestamp() for k, v in times.items()}})
        status: dict[str, Any] = {**counts, "updatedReplicas": updated, "conditions": conditions}
        status["unavailableReplicas"] = max(0, self.total - counts["availableReplicas"])
        workloads.write_status(self.plane, self.key, **(status | {"replicas": counts["replicas"]}))


def _revision(obj: Object) -> int:
    return int(annotations_of(obj).get(REVISION, 0))


def _with_revision(obj: Object, revision: int) -> Object:
    return changed(obj, annotations={**annotations_of(obj), REVISION: str(revision)})


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
                store.put(changed(pod, ownerReferences=None))
        for pod in store.by("owner", ""):
            if pod["metadata"]["namespace"] == key[1] and not going(pod) and _selects(replica_set, pod):
                store.put(changed(pod, ownerReferences=[reference(replica_set)]))
        _keep_number(plane, key, replica_set)


def _selects(replica_set: Object, pod: Object) -> bool:
    return selectors.from_label_selector(replica_set["spec"]["selector"]).matches(labels_of(pod))


def _keep_number(plane: ControlPlane, key: Key, replica_set: Object) -> None:
    everyone = pods_of(plane, replica_set)
    pods = [p for p in everyone if not going(p)]
    surplus = len(pods) - replica_set["spec"]["replicas"]
    pods += [workloads.make_pod(plane, replica_set, {}) for _ in range(-surplus)]
    if surplus > 0:
        together = Counter(p["spec"].get("nodeName") for p in pods)
        pods.sort(key=lambda p: _first_to_go(p, together[p["spec"].get("nodeName")]))
        for pod in pods[:surplus]:
            workloads.delete_pod(plane, replica_set, pod)
        pods = pods[surplus:]
    workloads.write_status(
        plane,
        key,
        replicas=len(pods),
        fullyLabeledReplicas=len(pods),
        readyReplicas=sum(map(is_ready, pods)),
        availableReplicas=workloads.available(plane, "replicaset", replica_set, pods),
        terminatingReplicas=sum(map(going, pods_of(plane, replica_set))),
    )


def _first_to_go(pod: Object, together: int) -> tuple[Any, ...]:
    """Unassigned before assigned, pending before running, not ready before ready, of those with more of their kind on
    one node first, then the youngest."""
    node, meta = pod["spec"].get("nodeName"), pod["metadata"]
    since = workloads.ready_since(pod)
    running = pod["status"].get("phase") == "Running"
    return (
        bool(node),
        running,
        since is not None,
        -together,
        -(since or 0),
        -seconds_of(meta["creationTimestamp"]),
        meta["name"],
    )
