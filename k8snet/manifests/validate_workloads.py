"""Rules for Deployments, ReplicaSets, StatefulSets and DaemonSets (pkg/apis/apps/validation)."""

from __future__ import annotations

from typing import Any

from k8snet.manifests import names, validate_meta
from k8snet.manifests.field_errors import Errors, forbidden, invalid, not_negative, required, unchanged, unsupported
from k8snet.manifests.kinds import Object
from k8snet.manifests.selectors import from_label_selector
from k8snet.manifests.validate_pod import pod_spec

_STRATEGIES = {
    "Deployment": ("strategy", ("Recreate", "RollingUpdate")),
    "StatefulSet": ("updateStrategy", ("RollingUpdate", "OnDelete")),
    "DaemonSet": ("updateStrategy", ("RollingUpdate", "OnDelete")),
}
_BOTH_ZERO = {
    "Deployment": "may not be 0 when `maxSurge` is 0",
    "DaemonSet": "cannot be 0 when maxSurge is 0",
}
_STATEFUL_MAY_CHANGE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)


def workload(obj: Object, old: Object | None) -> Errors:
    """All rules for any of the four kinds."""
    kind, spec = obj["kind"], obj["spec"]
    if old is None:
        yield from validate_meta.on_create(obj, names.dns_label if kind == "StatefulSet" else names.dns_subdomain)
    else:
        yield from validate_meta.on_update(obj)
    yield from not_negative("spec", spec, "replicas", "minReadySeconds", "revisionHistoryLimit")
    selector = spec.get("selector")
    yield from validate_meta.label_selector("spec.selector", selector)
    if selector is None:
        yield from required("spec.selector")
    elif not selector.get("matchLabels") and not selector.get("matchExpressions"):
        yield from invalid("spec.selector", selector, f"empty selector is invalid for {kind.lower()}")
    yield from _template(spec, old)
    if kind in _STRATEGIES:
        field, types = _STRATEGIES[kind]
        yield from _strategy(kind, f"spec.{field}", spec.get(field, {}), types)
    if kind == "StatefulSet" and spec.get("podManagementPolicy") not in ("OrderedReady", "Parallel"):
        policy = spec.get("podManagementPolicy", "")
        yield from invalid("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'")
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= spec.get("minReadySeconds", 0):
        yield from invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")
    if old is not None and kind == "StatefulSet":
        if {k: v for k, v in spec.items() if k not in _STATEFUL_MAY_CHANGE} != {
            k: v for k, v in old["spec"].items() if k not in _STATEFUL_MAY_CHANGE
        }:
            listed = ", ".join(f"'{name}'" for name in _STATEFUL_MAY_CHANGE[:-1]) + " and 'minReadySeconds'"
            yield from forbidden("spec", f"updates to statefulset spec for fields other than {listed} are forbidden")
    elif old is not None:
        yield from unchanged("spec.selector", selector, old["spec"].get("selector"))


def _template(spec: Object, old: Object | None) -> Errors:
    template, selector = spec.get("template", {}), spec.get("selector") or {}
    meta, pod = template.get("metadata", {}), template.get("spec", {})
    labels = meta.get("labels", {})
    compiled = None if any(validate_meta.label_selector("", selector)) else from_label_selector(selector)
    if compiled is not None and not compiled.everything and not compiled.matches(labels):
        detail = "`selector` does not match template `labels`"
        yield from invalid("spec.template.metadata.labels", labels or None, detail)
    yield from validate_meta.labels("spec.template.labels", labels)
    yield from validate_meta.annotation_map("spec.template.annotations", meta.get("annotations"))
    before = old["spec"].get("template", {}).get("spec", {}) if old is not None else {}
    yield from pod_spec("spec.template.spec", pod, before, is_pod=False)
    if pod.get("restartPolicy") != "Always":
        yield from unsupported("spec.template.spec.restartPolicy", pod.get("restartPolicy", ""), ("Always",))
    if pod.get("activeDeadlineSeconds") is not None:
        detail = "activeDeadlineSeconds in ReplicaSet is not Supported"
        yield from forbidden("spec.template.spec.activeDeadlineSeconds", detail)


def _strategy(kind: str, path: str, strategy: Object, types: tuple[str, ...]) -> Errors:
    name, rolling = strategy.get("type", ""), strategy.get("rollingUpdate")
    if name not in types:
        yield from unsupported(f"{path}.type" if kind == "Deployment" else path, name, types)
    elif name == "Recreate" and rolling is not None:
        yield from forbidden(f"{path}.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'")
    if rolling is None or name != "RollingUpdate" or kind == "StatefulSet":
        return
    here = f"{path}.rollingUpdate"
    for field in ("maxUnavailable", "maxSurge"):
        yield from _amount(f"{here}.{field}", rolling.get(field, 0))
    unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
    if _is_zero(unavailable) and _is_zero(surge):
        yield from invalid(f"{here}.maxUnavailable", unavailable, _BOTH_ZERO[kind])
    elif kind == "DaemonSet" and not _is_zero(unavailable) and not _is_zero(surge):
        yield from invalid(f"{here}.maxSurge", surge, "may not be set when maxUnavailable is non-zero")


def _amount(path: str, value: Any) -> Errors:
    if isinstance(value, str):
        yield from invalid(path, value, *names.percent(value))
    elif value < 0:
        yield from invalid(path, value, "must be greater than or equal to 0")


def _is_zero(value: Any) -> bool:
    return value == 0 or (isinstance(value, str) and value.strip("0") == "%")
