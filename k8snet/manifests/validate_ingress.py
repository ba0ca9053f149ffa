"""Rules for Ingresses and IngressClasses (pkg/apis/networking/validation)."""

from __future__ import annotations

from k8snet.manifests import names, validate_meta
from k8snet.manifests.addresses import parse_ip
from k8snet.manifests.field_errors import Errors, forbidden, invalid, required, too_long, unchanged, unsupported
from k8snet.manifests.kinds import Object

_CLASS = "kubernetes.io/ingress.class"
_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")


def ingress(obj: Object, old: Object | None) -> Errors:
    """All rules, in the server's order. Bad tls secret names and rules of wildcard hosts may stay if the old one had such."""
    if old is not None:
        yield from validate_meta.on_update(obj)
    yield from validate_meta.on_create(obj, names.dns_subdomain)
    spec, before = obj["spec"], (old or {}).get("spec", {})
    if not spec.get("rules") and "defaultBackend" not in spec:
        yield from invalid("spec", None, "either `defaultBackend` or `rules` must be specified")
    if "defaultBackend" in spec:
        yield from _backend("spec.defaultBackend", spec["defaultBackend"])
    any_wildcard_rule = any("*" in r.get("host", "") and any(_paths("", r)) for r in before.get("rules", ()))
    for i, rule in enumerate(spec.get("rules", ())):
        yield from _rule(f"spec.rules[{i}]", rule, any_wildcard_rule)
    any_secret = any(_secret("", tls) for tls in before.get("tls", ()))
    for i, tls in enumerate(spec.get("tls", ())):
        for n, host in enumerate(tls.get("hosts", ())):
            yield from invalid(f"spec.tls[{i}].hosts[{n}]", host, *names.host(host))
        if not any_secret:
            yield from _secret(f"spec.tls[{i}]", tls)
    name = spec.get("ingressClassName")
    if name is not None:
        yield from invalid("spec.ingressClassName", name, *names.dns_subdomain(name))
    annotated = obj["metadata"].get("annotations", {}).get(_CLASS)
    if old is None and None not in (annotated, name) and annotated != name:
        detail = "must match `ingressClassName` when both are specified"
        yield from invalid(f"annotations.{_CLASS}", annotated, detail)


def _secret(path: str, tls: Object) -> Errors:
    if name := tls.get("secretName"):
        yield from invalid(f"{path}.secretName", name, *names.dns_subdomain(name))


def _rule(path: str, rule: Object, any_wildcard_rule: bool) -> Errors:
    host = rule.get("host", "")
    if host:
        if parse_ip(host) is not None:
            yield from invalid(f"{path}.host", host, "must be a DNS name, not an IP address")
        yield from invalid(f"{path}.host", host, *names.host(host))
    if not ("*" in host and any_wildcard_rule):
        yield from _paths(path, rule)


def _paths(path: str, rule: Object) -> Errors:
    if "http" not in rule:
        return
    paths = rule["http"].get("paths")
    if not paths:
        yield from required(f"{path}.http.paths")
    for i, entry in enumerate(paths or ()):
        yield from _path(f"{path}.http.paths[{i}]", entry)


def _path(here: str, entry: Object) -> Errors:
    kind, path = entry.get("pathType"), entry.get("path", "")
    if kind is None:
        yield from required(f"{here}.pathType", "pathType must be specified")
        return
    if kind not in _PATH_TYPES:
        yield from unsupported(f"{here}.pathType", kind, _PATH_TYPES)
    elif not path.startswith("/") and (path or kind != "ImplementationSpecific"):
        yield from invalid(f"{here}.path", path, "must be an absolute path")
    if kind in ("Exact", "Prefix"):
        found = [f"must not contain '{s}'" for s in ("//", "/./", "/../", "%2f", "%2F") if s in path]
        found += [f"cannot end with '{s}'" for s in ("/..", "/.") if path.endswith(s)]
        yield from invalid(f"{here}.path", path, *found)
    yield from _backend(f"{here}.backend", entry.get("backend", {}))


def _backend(path: str, backend: Object) -> Errors:
    if "resource" in backend and "service" in backend:
        yield from invalid(path, "", "cannot set both resource and service backends")
    elif "resource" in backend:
        yield from _reference(f"{path}.resource", backend["resource"])
    elif "service" in backend:
        name, port = backend["service"].get("name", ""), backend["service"].get("port", {})
        if name:
            yield from invalid(f"{path}.service.name", name, *names.dns_label(name))
        else:
            yield from required(f"{path}.service.name")
        if port.get("name") and port.get("number"):
            yield from invalid(path, "", "cannot set both port name & port number")
        elif port.get("name"):
            yield from invalid(f"{path}.service.port.name", port["name"], *names.port_name(port["name"]))
        elif port.get("number"):
            yield from invalid(f"{path}.service.port.number", port["number"], *names.port_number(port["number"]))
        else:
            yield from required(path, "port name or number is required")
    else:
        yield from invalid(path, "", "resource or service backend is required")


def _reference(path: str, reference: Object) -> Errors:
    group = reference.get("apiGroup")
    if group is not None:
        yield from invalid(f"{path}.apiGroup", group, *names.dns_subdomain(group))
    for field in ("kind", "name"):
        if value := reference.get(field):
            yield from invalid(f"{path}.{field}", value, *names.path_segment(value))
        else:
            yield from required(f"{path}.{field}")


def ingress_class(obj: Object, old: Object | None) -> Errors:
    """All rules, in the server's order."""
    spec = obj["spec"]
    controller = spec.get("controller", "")
    if old is not None:
        yield from validate_meta.on_update(obj)
        yield from unchanged("spec.controller", controller, old["spec"].get("controller", ""))
    yield from validate_meta.on_create(obj, names.dns_subdomain)
    if controller:
        if len(controller.encode()) > 250:
            yield from too_long("spec.controller", 250)
        yield from _domain_path("spec.controller", controller)
    else:
        yield from required("spec.controller")
    if "parameters" in spec:
        yield from _parameters("spec.parameters", spec["parameters"])


def _domain_path(path: str, value: str) -> Errors:
    domain, _, rest = value.partition("/")
    if not domain or not rest:
        yield from invalid(path, value, 'must be a domain-prefixed path (such as "acme.io/foo")')
        return
    yield from invalid(path, domain, *names.dns_subdomain(domain))
    yield from invalid(path, rest, *names.url_path(rest))


def _parameters(path: str, parameters: Object) -> Errors:
    yield from _reference(path, parameters)
    scope, namespace = parameters.get("scope"), parameters.get("namespace")
    if scope not in ("Cluster", "Namespace"):
        yield from unsupported(f"{path}.scope", scope, ("Cluster", "Namespace"))
    elif scope == "Cluster" and namespace is not None:
        yield from forbidden(f"{path}.namespace", "`parameters.scope` is set to 'Cluster'")
    elif scope == "Namespace" and namespace is None:
        yield from required(f"{path}.namespace", "`parameters.scope` is set to 'Namespace'")
    elif namespace is not None:
        yield from invalid(f"{path}.namespace", namespace, *names.dns_label(namespace))
