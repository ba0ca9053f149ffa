"""Rules that look at more than one field: NetworkPolicies, Ingresses, IngressClasses (pkg/apis/networking/validation)
and EndpointSlices (pkg/apis/discovery/validation)."""

from __future__ import annotations

from k8snet.manifests import names
from k8snet.manifests.addresses import family, parse_cidr
from k8snet.manifests.errors import FieldError
from k8snet.manifests.field_errors import Errors, forbidden, invalid, required, too_long, unsupported
from k8snet.manifests.kinds import Object
from k8snet.manifests.rules import Context, check, rule

_CLASS = "kubernetes.io/ingress.class"
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_ZONE = "topology.kubernetes.io/zone"
_POLICY_TYPES = ("Ingress", "Egress")


@rule
def policy_types(spec: Object, path: str, context: Context) -> Errors:
    """Two at most; the same one twice is good."""
    types = spec.get("policyTypes", [])
    if len(types) > 2:
        yield from invalid(f"{path}.policyTypes", types, "may not specify more than two policyTypes")
        return
    for i, word in enumerate(types):
        if word not in _POLICY_TYPES:
            yield from unsupported(f"{path}.policyTypes[{i}]", word, _POLICY_TYPES)


@rule
def port_range(port: Object, path: str, context: Context) -> Errors:
    """port by number or name; endPort only with a number, and not below it."""
    number, end = port.get("port"), port.get("endPort")
    if isinstance(number, int):
        yield from invalid(f"{path}.port", number, *names.port_number(number))
        if end is not None:
            low = ["must be greater than or equal to `port`"] if end < number else []
            yield from invalid(f"{path}.endPort", end, *low, *names.port_number(end))
        return
    if end is not None:
        reason = "non-numeric" if number is not None else "not specified"
        yield from invalid(f"{path}.endPort", end, f"may not be specified when `port` is {reason}")
    if number is not None:
        yield from invalid(f"{path}.port", number, *names.port_name(number))


@rule
def one_peer(peer: Object, path: str, context: Context) -> Errors:
    """Selectors, or an ipBlock, and not nothing."""
    if not peer:
        yield from required(path, "must specify a peer")
    elif "ipBlock" in peer and len(peer) > 1:
        yield from forbidden(path, "may not specify both ipBlock and another peer")


@rule
def excepts(block: Object, path: str, context: Context) -> Errors:
    """Each exception is a smaller block inside."""
    whole = parse_cidr(block.get("cidr", ""))
    for i, text in enumerate(block.get("except", ()) if whole is not None else ()):
        here, part = f"{path}.except[{i}]", parse_cidr(text)
        yield from invalid(here, text, *context.cidr(text))
        if part is not None and whole is not None:
            inside = part.version == whole.version and part.network_address in whole
            if not inside or part.prefixlen <= whole.prefixlen:
                yield from invalid(here, text, "must be a strict subset of `cidr`")


@rule
def class_annotation(obj: Object, path: str, context: Context) -> Errors:
    """The old annotation and ingressClassName say the same, in a new Ingress."""
    annotated, name = obj["metadata"].get("annotations", {}).get(_CLASS), obj["spec"].get("ingressClassName")
    if context.old is None and None not in (annotated, name) and annotated != name:
        detail = "must match `ingressClassName` when both are specified"
        yield from invalid(f"annotations.{_CLASS}", annotated, detail)


@rule
def rules_or_default(spec: Object, path: str, context: Context) -> Errors:
    """An Ingress leads somewhere."""
    if not spec.get("rules") and "defaultBackend" not in spec:
        yield from invalid(path, None, "either `defaultBackend` or `rules` must be specified")


@rule
def rule_paths(entry: Object, path: str, context: Context) -> Errors:
    """The paths of a rule; bad ones of a wildcard host may stay if the stored Ingress had such."""
    was_bad = any(
        "*" in r.get("host", "") and any(check("HTTPIngressRuleValue", r["http"], "", context))
        for r in context.before.get("rules", ())
        if "http" in r
    )
    if "http" in entry and not ("*" in entry.get("host", "") and was_bad):
        yield from check("HTTPIngressRuleValue", entry["http"], f"{path}.http", context)


@rule
def path(entry: Object, path: str, context: Context) -> Errors:
    """pathType has no default; Exact and Prefix need a clean path from the root."""
    kind, text = entry.get("pathType"), entry.get("path", "")
    if kind is None:
        yield from required(f"{path}.pathType", "pathType must be specified")
        return
    if kind not in _PATH_TYPES:
        yield from unsupported(f"{path}.pathType", kind, _PATH_TYPES)
    elif not text.startswith("/") and (text or kind != "ImplementationSpecific"):
        yield from invalid(f"{path}.path", text, "must be an absolute path")
    if kind in ("Exact", "Prefix"):
        found = [f"must not contain '{s}'" for s in ("//", "/./", "/../", "%2f", "%2F") if s in text]
        found += [f"cannot end with '{s}'" for s in ("/..", "/.") if text.endswith(s)]
        yield from invalid(f"{path}.path", text, *found)
    yield from backend(entry.get("backend", {}), f"{path}.backend", context)


@rule
def backend(entry: Object, path: str, context: Context) -> Errors:
    """A Service with a port, or another resource."""
    if "resource" in entry and "service" in entry:
        yield from invalid(path, "", "cannot set both resource and service backends")
    elif "resource" in entry:
        yield from check("TypedLocalObjectReference", entry["resource"], f"{path}.resource", context)
    elif "service" in entry:
        name, port = entry["service"].get("name", ""), entry["service"].get("port", {})
        if not name:
            yield from required(f"{path}.service.name")
        yield from invalid(f"{path}.service.name", name, *names.empty_or_dns_label(name))
        if port.get("name") and port.get("number"):
            yield from invalid(path, "", "cannot set both port name & port number")
        elif not port:
            yield from required(path, "port name or number is required")
        for field, value in port.items() if len(port) == 1 else ():
            yield from invalid(f"{path}.service.port.{field}", value, *names.port(value))
    else:
        yield from invalid(path, "", "resource or service backend is required")


@rule
def tls_secret(tls: Object, path: str, context: Context) -> Errors:
    """The name of a Secret; bad ones may stay if the stored Ingress had such."""
    was_bad = any(names.dns_subdomain(t["secretName"]) for t in context.before.get("tls", ()) if "secretName" in t)
    if "secretName" in tls and not was_bad:
        yield from invalid(f"{path}.secretName", tls["secretName"], *names.dns_subdomain(tls["secretName"]))


@rule
def controller(spec: Object, path: str, context: Context) -> Errors:
    """A path behind a domain: ``example.com/ingress``."""
    value = spec.get("controller", "")
    if len(value.encode()) > 250:
        yield from too_long(f"{path}.controller", 250)
    domain, _, rest = value.partition("/")
    if value and not (domain and rest):
        yield from invalid(f"{path}.controller", value, 'must be a domain-prefixed path (such as "acme.io/foo")')
    elif value:
        yield from invalid(f"{path}.controller", domain, *names.dns_subdomain(domain))
        yield from invalid(f"{path}.controller", rest, *names.url_path(rest))


@rule
def scope(parameters: Object, path: str, context: Context) -> Errors:
    """A namespace goes with scope Namespace, and only with it."""
    name, kind, path = parameters.get("namespace"), parameters.get("scope"), f"{path}.namespace"
    if kind == "Cluster" and name is not None:
        yield from forbidden(path, "`parameters.scope` is set to 'Cluster'")
    elif kind == "Namespace" and name is None:
        yield from required(path, "`parameters.scope` is set to 'Namespace'")
    elif kind == "Namespace" and name is not None:
        yield from invalid(path, name, *names.dns_label(name))


@rule
def endpoint_addresses(endpoint: Object, path: str, context: Context) -> Errors:
    """At least one address, each of the slice's kind."""
    kind, addresses = context.obj.get("addressType"), endpoint.get("addresses", ())
    if not addresses:
        yield from required(f"{path}.addresses", "must contain at least 1 address")
    for i, address in enumerate(addresses):
        here = f"{path}.addresses[{i}]"
        if kind == "FQDN":
            yield from _full_name(here, address)
        elif kind in ("IPv4", "IPv6") and address not in context.kept:
            other = [f"must be an {kind} address"] if family(address) != kind else []
            yield from invalid(here, address, *(names.ip(address) or other or names.ordinary_ip(address)))


@rule
def zone_has_a_field(endpoint: Object, path: str, context: Context) -> Errors:
    """The old map of labels may not say the zone."""
    if _ZONE in endpoint.get("deprecatedTopology", ()):
        detail = "reserved key was not removed in conversion"
        yield FieldError(f"{path}.deprecatedTopology[{_ZONE}]", "Internal error", detail)


def _full_name(path: str, name: str) -> Errors:
    if not name:
        yield from required(path)
        return
    name = name.removesuffix(".")
    problems = names.dns_subdomain(name)
    if not problems and "." not in name:
        problems = ["should be a domain with at least two segments separated by dots"]
    if problems:
        yield from invalid(path, name, ",".join(problems))
        return
    label = next((part for part in name.split(".") if names.dns_label(part)), None)
    if label is not None:
        yield from invalid(path, label, ",".join(names.dns_label(label)))
