"""Rules for metadata and for selectors, which all kinds share.

Facts: apimachinery pkg/api/validation/objectmeta.go, pkg/apis/meta/v1/validation/validation.go, and
pkg/apis/core/validation for finalizers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from k8snet.manifests import names
from k8snet.manifests.field_errors import Errors, forbidden, invalid, required, too_long
from k8snet.manifests.kinds import KINDS, Object
from k8snet.manifests.rules import Context, rule

ANNOTATIONS_LIMIT = 256 * 1024


@rule
def meta(meta: Object, path: str, context: Context, kind_of_name: str) -> Errors:
    """All rules for the metadata of an object; *kind_of_name* is the function of ``names.py`` for its name."""
    name_rule = getattr(names, kind_of_name)
    if prefix := meta.get("generateName"):
        yield from invalid("metadata.generateName", prefix, *names.generated(name_rule, prefix))
    if name := meta.get("name"):
        yield from invalid("metadata.name", name, *name_rule(name))
    else:
        yield from required("metadata.name", "name or generateName is required")
    if KINDS[context.obj["kind"]].namespaced:
        namespace = meta.get("namespace", "default")
        yield from invalid("metadata.namespace", namespace, *names.dns_label(namespace))
    if meta.get("generation", 0) < 0:
        yield from invalid("metadata.generation", meta["generation"], "must be greater than or equal to 0")
    yield from labels_and_annotations(meta, path, context)
    yield from _owners("metadata.ownerReferences", meta.get("ownerReferences", []))
    for finalizer in meta.get("finalizers", ()):
        yield from invalid("metadata.finalizers", finalizer, *names.label_key(finalizer))
    for i, finalizer in enumerate(meta.get("finalizers", ())):
        yield from known_finalizer(f"metadata.finalizers[{i}]", finalizer)


@rule
def stays(obj: Object, path: str, context: Context, field: str) -> Errors:
    """A field, by its path from the top, that no update changes. A text that is taken away is printed as an empty one."""
    if context.old is None:
        return
    parent, _, name = field.rpartition(".")
    new, old = ((o.get(parent, {}) if parent else o).get(name) for o in (obj, context.old))
    if new != old:
        yield from invalid(field, "" if new is None and isinstance(old, str) else new, "field is immutable")


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


@rule
def labels_and_annotations(meta: Object, path: str, context: Context) -> Errors:
    """Labels; keys of annotations (capitals are good), and the size of all together."""
    yield from labels(meta.get("labels", {}), f"{path}.labels", context)
    annotations, path = meta.get("annotations", {}), f"{path}.annotations"
    for key in annotations:
        yield from invalid(path, key, *names.label_key(key.lower()))
    if sum(len(k.encode()) + len(v.encode()) for k, v in annotations.items()) > ANNOTATIONS_LIMIT:
        yield from too_long(path, ANNOTATIONS_LIMIT)


@rule
def labels(value: Mapping[str, str], path: str, context: Context) -> Errors:
    """Label keys and values."""
    for key, text in value.items():
        yield from invalid(path, key, *names.label_key(key))
        yield from invalid(path, text, *names.label_value(text))


def known_finalizer(path: str, finalizer: str) -> Errors:
    """A finalizer without a domain has to be one of Kubernetes' own."""
    if "/" not in finalizer and finalizer not in ("kubernetes", "orphan", "foregroundDeletion"):
        yield from invalid(path, finalizer, "name is neither a standard finalizer name nor is it fully qualified")


@rule
def selector(value: Object, path: str, context: Context) -> Errors:
    """matchLabels and matchExpressions; bad values of the latter may stay if the stored policy's podSelector is bad."""
    stored = context.before.get("podSelector")
    any_value = stored is not None and any(selector(stored, "", Context(stored)))
    yield from labels(value.get("matchLabels", {}), f"{path}.matchLabels", context)
    for i, expression in enumerate(value.get("matchExpressions", ())):
        here, values, key = f"{path}.matchExpressions[{i}]", expression.get("values", ()), expression.get("key", "")
        operator = expression.get("operator", "")
        if operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
            yield from invalid(f"{here}.operator", operator, "not a valid selector operator")
        elif "In" in operator and not values:
            yield from required(f"{here}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif "Exist" in operator and values:
            yield from forbidden(f"{here}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
        yield from invalid(f"{here}.key", key, *names.label_key(key))
        for n, text in enumerate(values if not any_value else ()):
            yield from invalid(f"{here}.values[{n}]", text, *names.label_value(text))
