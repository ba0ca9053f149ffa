"""``kubectl rollout status``: what a rollout is waiting for.

Facts: k8s.io/kubectl pkg/polymorphichelpers/rollout_status.go.
"""

from __future__ import annotations

from k8snet.manifests.kinds import Object
from k8snet.shell.values import at


def rollout_status(obj: Object) -> tuple[str, bool]:
    """What is being waited for, and whether it is over."""
    name, status, want = obj["metadata"]["name"], obj.get("status") or {}, at(obj, ".spec.replicas") or 0

    def count(field: str) -> int:
        return int(status.get(field) or 0)

    if obj["metadata"].get("generation", 1) > status.get("observedGeneration", 0):
        what = {"Deployment": "deployment", "DaemonSet": "daemon set", "StatefulSet": "statefulset"}[obj["kind"]]
        return f"Waiting for {what} spec update to be observed...\n", False
    if obj["kind"] == "StatefulSet":
        if count("readyReplicas") < want:
            return f"Waiting for {want - count('readyReplicas')} pods to be ready...\n", False
        revision = status.get("currentRevision", "")
        return f"statefulset rolling update complete {count('currentReplicas')} pods at revision {revision}...\n", True
    if obj["kind"] == "DaemonSet":
        want = count("desiredNumberScheduled")
        start, updated = f'Waiting for daemon set "{name}" rollout to finish', count("updatedNumberScheduled")
        if updated < want:
            return f"{start}: {updated} out of {want} new pods have been updated...\n", False
        if count("numberAvailable") < want:
            return f"{start}: {count('numberAvailable')} of {want} updated pods are available...\n", False
        return f'daemon set "{name}" successfully rolled out\n', True
    start, updated = f'Waiting for deployment "{name}" rollout to finish', count("updatedReplicas")
    if any(c.get("reason") == "ProgressDeadlineExceeded" for c in status.get("conditions") or ()):
        return f'error: deployment "{name}" exceeded its progress deadline', True
    if updated < want:
        return f"{start}: {updated} out of {want} new replicas have been updated...\n", False
    if count("replicas") > updated:
        return f"{start}: {count('replicas') - updated} old replicas are pending termination...\n", False
    if count("availableReplicas") < updated:
        return f"{start}: {count('availableReplicas')} of {updated} updated replicas are available...\n", False
    return f'deployment "{name}" successfully rolled out\n', True
