"""Rules for metadata and for selectors, which all kinds share.

Facts: apimachinery pkg/api/validation/objectmeta.go, pkg/apis/meta/v1/validation/validation.go, and
pkg/apis/core/validation for finalizers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from k8snet.manifests import names
from k8snet.manifests.field_errors import Errors, forbidden, invalid, required, too_long, unchanged
from k8snet.manifests.kinds import KINDS, Object

ANNOTATIONS_LIMIT = 256 * 1024


def metadata(obj: Object, name_rule: Callable[[str], list[str]]) -> Errors:
    """All rules for the metadata of an object."""
    meta = obj["metadata"]
    if prefix := meta.get("generateName"):
        yield from invalid("metadata.generateName", prefix, *names.generated(name_rule, prefix))
    if name := meta.get("name"):
        yield from invalid("metadata.name", name, *name_rule(name))
    else:
        yield from required("metadata.name", "name or generateName is required")
    if KINDS[obj["kind"]].namespaced:
        namespace = meta.get("namespace", "default")
        yield from invalid("metadata.namespace", namespace, *names.dns_label(namespace))
    if meta.get("generation", 0) < 0:
        yield from invalid("metadata.generation", meta["generation"], "must be greater than or equal to 0")
    yield from labels("metadata.labels", meta.get("labels"))
    yield from annotations_of("metadata.annotations", meta)
    yield from _owners("metadata.ownerReferences", meta.get("ownerReferences", []))
    for finalizer in meta.get("finalizers", ()):
        yield from invalid("metadata.finalizers", finalizer, *names.label_key(finalizer))
    for i, finalizer in enumerate(meta.get("finalizers", ())):
        yield from known_finalizer(f"metadata.finalizers[{i}]", finalizer)


def same_object(obj: Object, old: Object | None) -> Errors:
    """An update is one of the object with this name and namespace."""
    for field in ("name", "namespace") if old is not None else ():
        new, before = obj["metadata"].get(field, ""), (old or {})["metadata"].get(field, "")
        yield from unchanged(f"metadata.{field}", new, before)


def _owners(path: str, owners: Sequence[Object]) -> Errors:
    controllers = [f"{owner.get('kind')}/{owner.get('name')}" for owner in owners if owner.get("controller")]
    for owner in owners:
        for field in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(field):
                detail = "version must not be empty" if field == "apiVersion" else "must not be empty"
                yield from invalid(f"{path}.{field}", "", detail)
    if len(controllers) > 1:
        detail = f'Found "true" in references for {controllers[0]} and {controllers[1]}'
        yield from invalid(path, owners, f"Only one reference can have Controller set to true. {detail}")


def labels(path: str, value: Mapping[str, str] | None) -> Errors:
    """Label keys and values."""
    for key, text in (value or {}).items():
        yield from invalid(path, key, *names.label_key(key))
        yield from invalid(path, text, *names.label_value(text))


def annotations_of(path: str, meta: Object) -> Errors:
    """Annotation keys (capitals are good), and the size of all together."""
    for key in meta.get("annotations", ()):
        yield from invalid(path, key, *names.label_key(key.lower()))
    if sum(len(k.encode()) + len(v.encode()) for k, v in meta.get("annotations", {}).items()) > ANNOTATIONS_LIMIT:
        yield from too_long(path, ANNOTATIONS_LIMIT)


def known_finalizer(path: str, finalizer: str) -> Errors:
    """A finalizer without a domain has to be one of Kubernetes' own."""
    if "/" not in finalizer and finalizer not in ("kubernetes", "orphan", "foregroundDeletion"):
        yield from invalid(path, finalizer, "name is neither a standard finalizer name nor is it fully qualified")


def label_selector(path: str, selector: Mapping[str, Any] | None, any_value: bool = False) -> Errors:
    """matchLabels and matchExpressions; *any_value* lets bad label values stay that an old object had."""
    if selector is None:
        return
    yield from labels(f"{path}.matchLabels", selector.get("matchLabels"))
    for i, expression in enumerate(selector.get("matchExpressions", ())):
        here, values, key = f"{path}.matchExpressions[{i}]", expression.get("values", ()), expression.get("key", "")
        operator = expression.get("operator", "")
        if operator in ("In", "NotIn"):
            if not values:
                yield from required(f"{here}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                yield from forbidden(f"{here}.values", detail)
        else:
            yield from invalid(f"{here}.operator", operator, "not a valid selector operator")
        yield from invalid(f"{here}.key", key, *names.label_key(key))
        for n, value in enumerate(values if not any_value else ()):
            yield from invalid(f"{here}.values[{n}]", value, *names.label_value(value))
