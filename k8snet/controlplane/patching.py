"""Patches: what ``kubectl apply`` sends, and what the server makes of it.

kubectl pkg/cmd/apply (the annotation last-applied-configuration and the three-way merge), apimachinery
pkg/util/strategicpatch, and RFC 7386 for merge patches.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from k8snet.controlplane.metadata import annotations_of, changed
from k8snet.manifests.errors import ApiError, FieldError, render
from k8snet.manifests.kinds import Object

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

# Lists whose items a patch merges by a key, by the last two field names; all other lists are replaced as a whole
# (the patchMergeKey tags of k8s.io/api).
MERGE_KEYS = {
    "spec.ports": "port",
    "containers.ports": "containerPort",
    "initContainers.ports": "containerPort",
    "spec.hostAliases": "ip",
    "containers.volumeMounts": "mountPath",
    "initContainers.volumeMounts": "mountPath",
    **dict.fromkeys(("spec.containers", "spec.initContainers", "spec.volumes", "spec.imagePullSecrets"), "name"),
    **dict.fromkeys(("containers.env", "initContainers.env"), "name"),
}


def with_last_applied(obj: Object) -> Object:
    """The object with kubectl's annotation that says what was applied."""
    annotations = {k: v for k, v in annotations_of(obj).items() if k != LAST_APPLIED}
    plain = changed(obj, annotations=annotations)
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
    return changed(obj, annotations={**annotations, LAST_APPLIED: text})


def three_way(last: Any, live: Any, wanted: Any, path: str = "", keys: Mapping[str, str] = MERGE_KEYS) -> Any:
    """*live* without what *last* had and *wanted* has not, and with what *wanted* has; null takes away."""
    if isinstance(wanted, Mapping):
        last, live = (known if isinstance(known, dict) else {} for known in (last, live))
        result = {k: v for k, v in live.items() if k in wanted or k not in last}
        for name, value in wanted.items():
            below = f"{path.rpartition('.')[2]}.{name}"
            result[name] = three_way(last.get(name), live.get(name), value, below, keys)
        return {k: v for k, v in result.items() if k not in wanted or wanted[k] is not None}
    key = keys.get(path)
    if key and isinstance(live, list) and isinstance(wanted, list):
        lists = (last or (), live, wanted)
        if all(isinstance(i, dict) and isinstance(i.get(key), (str, int)) for items in lists for i in items):
            before, stored, named = ({i[key]: i for i in items} for items in lists)
            merged = [three_way(before.get(i[key]), stored.get(i[key]), i, path, keys) for i in wanted]
            kept = [i for k, i in stored.items() if k not in named and k not in before]
            return _in_order(kept, merged, key, list(stored))
    return wanted


def json_merge(target: Any, patch: Any) -> Any:
    """A merge patch: objects are merged, null takes away, all else replaces."""
    return three_way(None, target, patch, keys={})


def _in_order(kept: list[Object], merged: list[Object], key: str, order: list[Any]) -> list[Object]:
    """Items that a patch left alone and those that it named, as the live list had them; new ones come first."""
    result = []
    for item in merged:
        place = order.index(item[key]) if item[key] in order else 0
        while kept and order.index(kept[0][key]) < place:
            result.append(kept.pop(0))
        result.append(item)
    return result + kept


def difference(old: Object, new: Object) -> Object:
    """The merge patch that makes *new* of *old*."""
    patch: Object = {name: None for name in old if name not in new}
    for name, value in new.items():
        before = old.get(name)
        if before != value:
            patch[name] = difference(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return patch


def refuse(error: ApiError, patch: Object) -> ApiError:
    """What cannot be decoded comes back in other words when it was sent as a patch."""
    reason = error.message.partition(": ")[2]
    if not reason.startswith("strict decoding error"):
        reason = f"unrecognized type: {reason.rpartition(' of type ')[2]}"
    cause = FieldError("patch", "Invalid value", reason, render(_go_text(patch)))
    refused = ApiError(422, "Invalid", f' "" is invalid: {cause}', [cause])
    refused.hint = error.hint
    return refused


def _go_text(value: Any) -> str:
    """A value as Go's ``%v`` prints it."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{k}:{_go_text(v)}' for k, v in sorted(value.items()))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(_go_text, value))}]"
    return "<nil>" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
