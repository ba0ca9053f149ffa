"""What the API server refuses with 422 Invalid: all rules of a kind, in the server's order.

Which kind has which rules is said in ``rules.yaml``; what they are stands in the files ``validate_*.py`` and, for the
kinds that have few, here.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from k8snet.manifests import (
    names,
    validate_fields,
    validate_meta,
    validate_network,
    validate_pod,
    validate_service,
    validate_workloads,
)
from k8snet.manifests.decode import mismatches
from k8snet.manifests.errors import ApiError, FieldError
from k8snet.manifests.field_errors import Errors, forbidden, invalid, required, too_long
from k8snet.manifests.hints import hint
from k8snet.manifests.kinds import KINDS, Object
from k8snet.manifests.rules import Context, check, rule
from k8snet.manifests.schema import CUSTOM_RESOURCES

# These files make their rules known to the table by being imported.
RULE_FILES = (validate_fields, validate_meta, validate_network, validate_pod, validate_service, validate_workloads)

_DATA_LIMIT = 1024 * 1024
_SECRET_KEYS = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}
_JSON_TYPES = {
    "struct": "object",
    "map": "object",
    "list": "array",
    "int32": "integer",
    "int64": "integer",
    "bool": "boolean",
}


def errors(obj: Object, old: Object | None = None) -> list[FieldError]:
    """All field errors in the server's order, equal ones once; with *old*, those of an update of that stored object.

    *obj* has gone through `decode.strict` and `defaults.fill` (and, a Service, through the allocator).
    """
    kind = obj.get("kind", "")
    wrong = list(_wrong_types(obj)) if kind in CUSTOM_RESOURCES else []
    context = Context(obj, old)
    same = (validate_meta.stays(obj, "", context, f"metadata.{field}") for field in ("name", "namespace"))
    return list(dict.fromkeys(wrong or chain(*same, check(kind, obj, "", context))))


def _wrong_types(obj: Object) -> Errors:
    """What a custom resource's schema says about types, where others have failed in decoding."""
    for mismatch in mismatches(obj):
        found = "boolean" if mismatch.found == "bool" else mismatch.found
        kind = _JSON_TYPES.get(mismatch.wanted.base, mismatch.wanted.base)
        yield from invalid(mismatch.path, found, f'{mismatch.path} in body must be of type {kind}: "{found}"')


def refuse(obj: Object, found: list[FieldError]) -> ApiError:
    """The server's answer: ``Service "web" is invalid: …``, with brackets round more than one error."""
    kind = KINDS[obj["kind"]]
    name = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    text = str(found[0]) if len(found) == 1 else f"[{', '.join(map(str, found))}]"
    error = ApiError(422, "Invalid", f'{name} "{obj["metadata"].get("name", "")}" is invalid: {text}', found)
    error.hint = hint(error, obj)
    return error


@rule
def namespace_finalizers(spec: Object, path: str, context: Context) -> Errors:
    """Finalizers of the namespace itself."""
    for finalizer in spec.get("finalizers", ()):
        yield from invalid(f"{path}.finalizers", finalizer, *names.label_key(finalizer))
        yield from validate_meta.known_finalizer(f"{path}.finalizers", finalizer)


@rule
def immutable(obj: Object, path: str, context: Context) -> Errors:
    """A ConfigMap or Secret that was sealed."""
    old = context.old or {}
    for field in ("immutable", "data", "binaryData") if old.get("immutable") else ():
        if obj.get(field) != old.get(field):
            yield from forbidden(field, "field is immutable when `immutable` is set")


@rule
def data_keys(obj: Object, path: str, context: Context) -> Errors:
    """Keys become file names; one megabyte at most."""
    texts, binaries = obj.get("data", {}), obj.get("binaryData", {})
    for field, data in (("data", texts), ("binaryData", binaries)):
        for key in data:
            yield from invalid(f"{field}[{key}]", key, *names.data_key(key))
    for key in sorted(set(texts) & set(binaries)):
        yield from invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
    if _size(texts.values()) + _size(binaries.values()) > _DATA_LIMIT:
        yield from too_long("data" if obj["kind"] == "Secret" else "", _DATA_LIMIT)


def _size(texts: Iterable[str]) -> int:
    return sum(map(len, texts))


@rule
def secret_keys(obj: Object, path: str, context: Context) -> Errors:
    """A type promises keys."""
    for key in _SECRET_KEYS.get(obj.get("type", ""), ()):
        if key not in obj.get("data", {}):
            yield from required(f"data[{key}]")
