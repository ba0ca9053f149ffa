"""Rules for the Gateway API's custom resources: those that their CRDs state (types, required fields, words, numbers).

Wrong types are found here and not in decoding, because custom resources have no Go types; the words are those of
k8s.io/kube-openapi's schema validation. The CRDs' further rules (written in CEL) are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from k8snet.manifests import decode, names, validate_meta
from k8snet.manifests.field_errors import Errors, invalid, required, unsupported
from k8snet.manifests.kinds import Object
from k8snet.manifests.schema import Type, structs

_TYPES = {
    "struct": "object",
    "map": "object",
    "list": "array",
    "int32": "integer",
    "int64": "integer",
    "bool": "boolean",
}
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
_REDIRECTS = (301, 302, 303, 307, 308)

# struct: fields that must be there
REQUIRED: Mapping[str, tuple[str, ...]] = {
    "GatewayClass": ("spec",),
    "GatewayClassSpec": ("controllerName",),
    "Gateway": ("spec",),
    "GatewaySpec": ("gatewayClassName", "listeners"),
    "Listener": ("name", "port", "protocol"),
    "SecretObjectReference": ("name",),
    "HTTPRoute": ("spec",),
    "ParentReference": ("name",),
    "HTTPHeaderMatch": ("name", "value"),
    "HTTPQueryParamMatch": ("name", "value"),
    "HTTPRouteFilter": ("type",),
    "HTTPHeader": ("name", "value"),
    "HTTPPathModifier": ("type",),
    "HTTPBackendRef": ("name",),
    "BackendObjectReference": ("name",),
    "HTTPRequestMirrorFilter": ("backendRef",),
    "ReferenceGrant": ("spec",),
    "ReferenceGrantSpec": ("from", "to"),
    "ReferenceGrantFrom": ("group", "kind", "namespace"),
    "ReferenceGrantTo": ("group", "kind"),
}
# (struct, field): the words that there are
WORDS: Mapping[tuple[str, str], tuple[Any, ...]] = {
    ("RouteNamespaces", "from"): ("All", "Selector", "Same"),
    ("ListenerTLSConfig", "mode"): ("Terminate", "Passthrough"),
    ("HTTPPathMatch", "type"): ("Exact", "PathPrefix", "RegularExpression"),
    ("HTTPHeaderMatch", "type"): ("Exact", "RegularExpression"),
    ("HTTPQueryParamMatch", "type"): ("Exact", "RegularExpression"),
    ("HTTPRouteMatch", "method"): _METHODS,
    ("HTTPRouteFilter", "type"): (
        *("RequestHeaderModifier", "ResponseHeaderModifier", "RequestMirror", "RequestRedirect", "URLRewrite"),
        "ExtensionRef",
    ),
    ("HTTPPathModifier", "type"): ("ReplaceFullPath", "ReplacePrefixMatch"),
    ("HTTPRequestRedirectFilter", "scheme"): ("http", "https"),
    ("HTTPRequestRedirectFilter", "statusCode"): _REDIRECTS,
}
# field: least and greatest number
RANGES: Mapping[str, tuple[int, int]] = {"port": (1, 65535), "weight": (0, 1000000)}


def custom_resource(obj: Object, old: Object | None) -> Errors:
    """All rules, in the order of the fields; wrong types first and alone."""
    wrong = decode.mismatches(obj)
    for mismatch in wrong:
        kind, found = _TYPES.get(mismatch.wanted.base, mismatch.wanted.base), mismatch.found
        found = {"bool": "boolean"}.get(found, found).split()[0]
        detail = f'{mismatch.path} in body must be of type {kind}: "{found}"'
        yield from invalid(mismatch.path, found, detail)
    if wrong:
        return
    yield from validate_meta.on_create(obj, names.dns_subdomain)
    for path, struct, value in _structs(obj["kind"], obj, ""):
        for field in REQUIRED.get(struct, ()):
            if field not in value:
                yield from required(_join(path, field))
        for field, given in value.items():
            here, words = _join(path, field), WORDS.get((struct, field))
            if words and given not in words:
                yield from unsupported(here, given, map(str, words))
            if field in RANGES and isinstance(given, int):
                yield from _range(here, given, *RANGES[field])


def _range(path: str, value: int, least: int, greatest: int) -> Errors:
    if value < least:
        yield from invalid(path, value, f"{path} in body should be greater than or equal to {least}")
    elif value > greatest:
        yield from invalid(path, value, f"{path} in body should be less than or equal to {greatest}")


def _join(path: str, field: str) -> str:
    return f"{path}.{field}" if path else field


def _structs(struct: str, value: Object, path: str) -> Iterator[tuple[str, str, Object]]:
    """Every struct in an object, with its path, from the outside in."""
    yield path, struct, value
    for field, wanted in structs()[struct].items():
        if field in value and field != "metadata":
            yield from _inner(wanted, value[field], _join(path, field))


def _inner(wanted: Type, value: Any, path: str) -> Iterator[tuple[str, str, Object]]:
    if wanted.base == "struct":
        yield from _structs(wanted.struct, value, path)
    elif wanted.base == "list" and wanted.item is not None:
        for i, item in enumerate(value):
            yield from _inner(wanted.item, item, f"{path}[{i}]")
