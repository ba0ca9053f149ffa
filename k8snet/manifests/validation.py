"""What the API server refuses with 422 Invalid: all rules of a kind, in the server's order.

Each kind's rules stand in a file of their own (``validate_*.py``); here is which kind has which, and those of the kinds
that have few.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from k8snet.manifests import names, validate_meta
from k8snet.manifests.errors import ApiError, FieldError
from k8snet.manifests.field_errors import Errors, duplicate, forbidden, invalid, required, too_long, unchanged
from k8snet.manifests.hints import hint
from k8snet.manifests.kinds import KINDS, Object
from k8snet.manifests.validate_custom import custom_resource
from k8snet.manifests.validate_discovery import endpoint_slice, endpoints
from k8snet.manifests.validate_ingress import ingress, ingress_class
from k8snet.manifests.validate_pod import pod, taints
from k8snet.manifests.validate_policy import network_policy
from k8snet.manifests.validate_service import service
from k8snet.manifests.validate_workloads import workload

_DATA_LIMIT = 1024 * 1024
_SECRET_KEYS = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


def errors(obj: Object, old: Object | None = None) -> list[FieldError]:
    """All field errors in the server's order, equal ones once; with *old*, those of an update of that stored object.

    *obj* has gone through `decode.strict` and `defaults.fill` (and, a Service, through the allocator).
    """
    rules = RULES.get(obj.get("kind", ""))
    return list(dict.fromkeys(rules(obj, old))) if rules else []


def refuse(obj: Object, found: list[FieldError]) -> ApiError:
    """The server's answer: ``Service "web" is invalid: …``, with brackets round more than one error."""
    kind = KINDS[obj["kind"]]
    name = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    text = str(found[0]) if len(found) == 1 else f"[{', '.join(map(str, found))}]"
    error = ApiError(422, "Invalid", f'{name} "{obj["metadata"].get("name", "")}" is invalid: {text}', found)
    error.hint = hint(error, obj)
    return error


def _namespace(obj: Object, old: Object | None) -> Errors:
    if old is not None:
        yield from validate_meta.on_update(obj)
        return
    yield from validate_meta.on_create(obj, names.dns_label)
    for finalizer in obj.get("spec", {}).get("finalizers", ()):
        yield from invalid("spec.finalizers", finalizer, *names.label_key(finalizer))
        yield from validate_meta.known_finalizer("spec.finalizers", finalizer)


def _node(obj: Object, old: Object | None) -> Errors:
    spec = obj.get("spec", {})
    if old is not None:
        yield from validate_meta.on_update(obj)
        before = old.get("spec", {})
        if before.get("podCIDRs") and before["podCIDRs"] != spec.get("podCIDRs"):
            yield from forbidden("spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid')
        if before.get("providerID") and before["providerID"] != spec.get("providerID"):
            yield from forbidden("spec.providerID", 'node updates may not change providerID except from "" to valid')
        return
    yield from validate_meta.on_create(obj, names.dns_subdomain)
    yield from taints("metadata.taints", spec.get("taints", ()))
    blocks = spec.get("podCIDRs", [])
    for i, block in enumerate(blocks):
        yield from invalid(f"spec.podCIDRs[{i}]", block, *names.cidr(block))
    if len(blocks) > 2 or len({":" in block for block in blocks}) < len(blocks[:2]):
        yield from invalid("spec.podCIDRs", blocks, "may specify no more than one CIDR for each IP family")
    for i, block in enumerate(blocks):
        if block in blocks[:i]:
            yield from duplicate(f"spec.podCIDRs[{i}]", block)


def _config_map(obj: Object, old: Object | None) -> Errors:
    yield from validate_meta.on_update(obj) if old else iter(())
    yield from validate_meta.on_create(obj, names.dns_subdomain)
    yield from _immutable(obj, old, ("data", "binaryData"))
    texts, binaries = obj.get("data", {}), obj.get("binaryData", {})
    for key in texts:
        yield from invalid(f"data[{key}]", key, *names.data_key(key))
        if key in binaries:
            yield from invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
    for key in binaries:
        yield from invalid(f"binaryData[{key}]", key, *names.data_key(key))
    if sum(map(len, [*texts.values(), *binaries.values()])) > _DATA_LIMIT:
        yield from too_long("", _DATA_LIMIT)


def _secret(obj: Object, old: Object | None) -> Errors:
    data, kind = obj.get("data", {}), obj.get("type", "")
    if old is not None:
        yield from unchanged("type", kind, old.get("type", ""))
        yield from _immutable(obj, old, ("data",))
    yield from validate_meta.on_create(obj, names.dns_subdomain)
    for key in data:
        yield from invalid(f"data[{key}]", key, *names.data_key(key))
    if sum(map(len, data.values())) > _DATA_LIMIT:
        yield from too_long("data", _DATA_LIMIT)
    for key in _SECRET_KEYS.get(kind, ()):
        if key not in data:
            yield from required(f"data[{key}]")
    if kind == "kubernetes.io/basic-auth" and not {"username", "password"} & set(data):
        yield from required("data[username]")
        yield from required("data[password]")


def _immutable(obj: Object, old: Object | None, fields: tuple[str, ...]) -> Errors:
    if old is None or not old.get("immutable"):
        return
    detail = "field is immutable when `immutable` is set"
    if not obj.get("immutable"):
        yield from forbidden("immutable", detail)
    for field in fields:
        if obj.get(field, {}) != old.get(field, {}):
            yield from forbidden(field, detail)


def _service_cidr(obj: Object, old: Object | None) -> Errors:
    yield from validate_meta.on_create(obj, names.dns_subdomain)
    blocks = obj.get("spec", {}).get("cidrs", [])
    if not blocks:
        yield from required("spec.cidrs", "at least one CIDR required")
    for i, block in enumerate(blocks):
        yield from invalid(f"spec.cidrs[{i}]", block, *names.cidr(block))


RULES: Mapping[str, Callable[[Object, Object | None], Errors]] = {
    "ConfigMap": _config_map,
    "DaemonSet": workload,
    "Deployment": workload,
    "EndpointSlice": endpoint_slice,
    "Endpoints": endpoints,
    "Gateway": custom_resource,
    "GatewayClass": custom_resource,
    "HTTPRoute": custom_resource,
    "Ingress": ingress,
    "IngressClass": ingress_class,
    "Namespace": _namespace,
    "NetworkPolicy": network_policy,
    "Node": _node,
    "Pod": pod,
    "ReferenceGrant": custom_resource,
    "ReplicaSet": workload,
    "Secret": _secret,
    "Service": service,
    "ServiceCIDR": _service_cidr,
    "StatefulSet": workload,
}
