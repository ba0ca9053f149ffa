"""What controllers read and write again and again: generated names, template hashes, owner references, conditions."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from k8snet.controlplane.store import Key, key_of
from k8snet.manifests.kinds import Object

SAFE_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""The letters of generated names (apimachinery pkg/util/rand): no vowels, so no words."""


def suffix(rng: random.Random) -> str:
    """The random end of a generated name."""
    return "".join(rng.choices(SAFE_ALPHABET, k=5))


def template_hash(template: Any) -> str:
    """The hash of a Pod template that names a ReplicaSet: same template, same name. (FNV-1a, spelt in the alphabet above,
    as the real one; the text that is hashed is not Go's, so the value differs.)"""
    value = 0x811C9DC5
    for byte in json.dumps(template, sort_keys=True).encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return "".join(SAFE_ALPHABET[ord(digit) % len(SAFE_ALPHABET)] for digit in str(value))


def changed(obj: Object, **fields: Any) -> Object:
    """*obj* with other fields in its metadata; a field that is None goes."""
    meta = obj["metadata"] | fields
    return {**obj, "metadata": {k: v for k, v in meta.items() if v is not None}}


def labels_of(obj: Object) -> dict[str, str]:
    """The labels, or ``{}``."""
    return obj["metadata"].get("labels") or {}


def annotations_of(obj: Object) -> dict[str, str]:
    """The annotations, or ``{}``."""
    return obj["metadata"].get("annotations") or {}


def going(obj: Object) -> bool:
    """Whether the object is being deleted."""
    return bool(obj["metadata"].get("deletionTimestamp"))


def containers_of(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Containers in order, then sidecars (init containers that are restarted always): those that run with the Pod."""
    sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    return [*(spec.get("containers") or ()), *sidecars]


def conditions(
    obj: Object, now: str, wanted: Iterable[tuple[str, bool | str, str, str]], stamp: str = ""
) -> list[dict[str, Any]]:
    """The conditions of *obj*'s status with the *wanted* ones in them: ``(type, status, reason, message)``. The time of
    transition stays while the status does; the time in the field *stamp* stays while nothing is new."""
    found = {c["type"]: c for c in (obj.get("status") or {}).get("conditions") or ()}
    for kind, status, reason, message in wanted:
        before, new = found.pop(kind, {}), {"type": kind, "status": str(status)}
        new |= {k: v for k, v in (("reason", reason), ("message", message)) if v}
        same = before.get("status") == new["status"]
        times = {stamp: before.get(stamp, now) if new.items() <= before.items() else now} if stamp else {}
        found[kind] = {**new, **times, "lastTransitionTime": before.get("lastTransitionTime", now) if same else now}
    return list(found.values())


def reference(owner: Object) -> dict[str, Any]:
    """The ownerReference that an object carries whose controller is *owner*."""
    found = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": owner["metadata"]["name"]}
    return {**found, "uid": owner["metadata"].get("uid", ""), "controller": True, "blockOwnerDeletion": True}


def controller_of(obj: Object) -> dict[str, Any] | None:
    """The ownerReference of the controller that an object belongs to, or None."""
    return next((o for o in obj["metadata"].get("ownerReferences") or () if o.get("controller")), None)


# for work queues


def own(obj: Object) -> list[Key]:
    """The object itself."""
    return [key_of(obj)]


def owner(kind: str) -> Callable[[Object], list[Key]]:
    """The object's controller, if that is of *kind*."""

    def find(obj: Object) -> list[Key]:
        o = controller_of(obj)
        return [(kind, obj["metadata"].get("namespace", ""), o["name"])] if o and o["kind"] == kind else []

    return find
