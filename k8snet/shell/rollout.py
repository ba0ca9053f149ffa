"""``kubectl rollout status``: what a rollout is waiting for.

Facts: k8s.io/kubectl pkg/polymorphichelpers/rollout_status.go.
"""

from __future__ import annotations

from k8snet.manifests.kinds import Object
from k8snet.shell.values import at

WHAT = {"Deployment": "deployment", "DaemonSet": "daemon set", "StatefulSet": "statefulset"}


def rollout_status(obj: Object) -> tuple[str, bool]:
    """What is being waited for, and whether it is over."""
    name, kind, status = obj["metadata"]["name"], WHAT[obj["kind"]], obj.get("status") or {}
    count = {field: int(value) for field, value in status.items() if isinstance(value, int)}
    want = at(obj, ".spec.replicas") or 0

    def get(*fields: str) -> int:
        return sum(count.get(f, 0) for f in fields)

    updated = get("updatedReplicas", "updatedNumberScheduled")
    start, things = f'Waiting for {kind} "{name}" rollout to finish: ', "replicas"
    if obj["metadata"].get("generation", 1) > get("observedGeneration"):
        return f"Waiting for {kind} spec update to be observed...\n", False
    if kind == "statefulset":
        if get("readyReplicas") < want:
            return f"Waiting for {want - get('readyReplicas')} pods to be ready...\n", False
        done = f"{get('currentReplicas')} pods at revision {status.get('currentRevision', '')}"
        return f"statefulset rolling update complete {done}...\n", True
    if kind == "daemon set":
        want, things = get("desiredNumberScheduled"), "pods"
    if any(c.get("reason") == "ProgressDeadlineExceeded" for c in status.get("conditions") or ()):
        return f'error: {kind} "{name}" exceeded its progress deadline', True
    available = get("availableReplicas", "numberAvailable")
    if updated < want:
        return f"{start}{updated} out of {want} new {things} have been updated...\n", False
    if get("replicas") > updated:
        return f"{start}{get('replicas') - updated} old replicas are pending termination...\n", False
    if available < updated:
        return f"{start}{available} of {updated} updated {things} are available...\n", False
    return f'{kind} "{name}" successfully rolled out\n', True
