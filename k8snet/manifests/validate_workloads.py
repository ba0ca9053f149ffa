"""Rules for Deployments, ReplicaSets, StatefulSets and DaemonSets that look at more than one field
(pkg/apis/apps/validation)."""

from __future__ import annotations

from k8snet.manifests import validate_meta
from k8snet.manifests.field_errors import Errors, forbidden, invalid, required, unsupported
from k8snet.manifests.kinds import Object
from k8snet.manifests.rules import Context, rule
from k8snet.manifests.selectors import from_label_selector

_STATEFUL_MAY_CHANGE = (
    *("replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit"),
    *("persistentVolumeClaimRetentionPolicy", "minReadySeconds"),
)


@rule
def stateful_update(obj: Object, path: str, context: Context) -> Errors:
    """Most of a StatefulSet stays."""
    new, old = ({k: v for k, v in s.items() if k not in _STATEFUL_MAY_CHANGE} for s in (obj["spec"], context.before))
    if context.old is not None and new != old:
        listed = ", ".join(f"'{name}'" for name in _STATEFUL_MAY_CHANGE[:-1]) + " and 'minReadySeconds'"
        yield from forbidden("spec", f"updates to statefulset spec for fields other than {listed} are forbidden")


@rule
def pod_selector(spec: Object, path: str, context: Context) -> Errors:
    """A selector that is not empty and that the template's labels meet."""
    selector, labels = spec.get("selector"), spec.get("template", {}).get("metadata", {}).get("labels", {})
    if selector is None:
        yield from required(f"{path}.selector")
        return
    problems = list(validate_meta.selector(selector, f"{path}.selector", context))
    yield from problems
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        kind = context.obj["kind"].lower()
        yield from invalid(f"{path}.selector", selector, f"empty selector is invalid for {kind}")
    elif not problems and not from_label_selector(selector).matches(labels):
        detail = "`selector` does not match template `labels`"
        yield from invalid(f"{path}.template.metadata.labels", labels or None, detail)


@rule
def template_metadata(template: Object, path: str, context: Context) -> Errors:
    """Labels and annotations of the Pods to be."""
    yield from validate_meta.labels_and_annotations(template.get("metadata", {}), path, context)


@rule
def template_restarts(template: Object, path: str, context: Context) -> Errors:
    """The Pods of a workload run on and on."""
    spec = template.get("spec", {})
    if spec.get("restartPolicy", "Always") != "Always":
        yield from unsupported(f"{path}.spec.restartPolicy", spec["restartPolicy"], ("Always",))
    if spec.get("activeDeadlineSeconds") is not None:
        detail = "activeDeadlineSeconds in ReplicaSet is not Supported"
        yield from forbidden(f"{path}.spec.activeDeadlineSeconds", detail)


@rule
def recreate(strategy: Object, path: str, context: Context) -> Errors:
    """Who recreates rolls nothing."""
    if strategy.get("type") == "Recreate" and "rollingUpdate" in strategy:
        yield from forbidden(f"{path}.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")


@rule
def some_progress(rolling: Object, path: str, context: Context) -> Errors:
    """One Pod more or one less has to be allowed, or nothing would move."""
    unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
    if str(unavailable).strip("0%") == str(surge).strip("0%") == "":
        word = (
            "cannot be 0 when maxSurge is 0"
            if context.obj["kind"] == "DaemonSet"
            else "may not be 0 when `maxSurge` is 0"
        )
        yield from invalid(f"{path}.maxUnavailable", unavailable, word)


@rule
def progress_deadline(spec: Object, path: str, context: Context) -> Errors:
    """Progress takes longer than readiness."""
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= spec.get("minReadySeconds", 0):
        yield from invalid(f"{path}.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")
