"""Workloads: Deployments make ReplicaSets, ReplicaSets make Pods."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

from k8snet.controlplane.admission import admit
from k8snet.controlplane.lifecycle import delete
from k8snet.controlplane.names import SAFE_ALPHABET, suffix
from k8snet.controlplane.owners import own, owner, reference
from k8snet.manifests import defaults

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane


def deployments(plane: ControlPlane) -> None:
    """Deployments."""
    store = plane.store
    for key in plane.due("deployment", {"Deployment": own, "ReplicaSet": owner("Deployment")}):
        deployment = store.at(key)
        if deployment is None:
            continue
        spec = deployment["spec"]
        number = random.Random(json.dumps(spec["template"], sort_keys=True)).getrandbits(32)
        hashed = "".join(SAFE_ALPHABET[int(d) % 27] for d in str(number))
        name = f"{key[2]}-{hashed}"
        rs = store.get("ReplicaSet", key[1], name)
        if rs is None:
            extra = {"pod-template-hash": hashed}
            template = spec["template"]
            labels = {**template["metadata"].get("labels", {}), **extra}
            rs = {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "metadata": {
                    "name": name,
                    "namespace": key[1],
                    "labels": labels,
                    "ownerReferences": [reference(deployment)],
                },
                "spec": {
                    "replicas": spec.get("replicas", 1),
                    "selector": {"matchLabels": {**spec["selector"].get("matchLabels", {}), **extra}},
                    "template": {**template, "metadata": {**template["metadata"], "labels": labels}},
                },
            }
            store.put(rs)
        elif rs["spec"]["replicas"] != spec.get("replicas", 1):
            store.put({**rs, "spec": {**rs["spec"], "replicas": spec.get("replicas", 1)}})
        for other in store.by("owner", deployment["metadata"]["uid"]):
            if other["metadata"]["name"] != name and other["spec"]["replicas"]:
                store.put({**other, "spec": {**other["spec"], "replicas": 0}})


def replica_sets(plane: ControlPlane) -> None:
    """ReplicaSets."""
    store = plane.store
    for key in plane.due("replicaset", {"ReplicaSet": own, "Pod": owner("ReplicaSet")}):
        rs = store.at(key)
        if rs is None:
            continue
        pods = [p for p in store.by("owner", rs["metadata"]["uid"]) if not p["metadata"].get("deletionTimestamp")]
        for _ in range(rs["spec"]["replicas"] - len(pods)):
            template = rs["spec"]["template"]
            pod = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    **template["metadata"],
                    "namespace": key[1],
                    "name": f"{key[2]}-{suffix(store.rng)}",
                    "generateName": f"{key[2]}-",
                    "ownerReferences": [reference(rs)],
                },
                "spec": template["spec"],
            }
            store.put(admit(store, plane.settings, defaults.fill(pod), None))
        for pod in pods[rs["spec"]["replicas"] :]:
            delete(store, pod)
