"""Rules for Services that look at more than one field (pkg/apis/core/validation, ValidateService, as of 1.36)."""

from __future__ import annotations

from typing import Any

from k8snet.manifests import names
from k8snet.manifests.addresses import family
from k8snet.manifests.field_errors import Errors, duplicate, forbidden, invalid, required, unsupported
from k8snet.manifests.kinds import Object
from k8snet.manifests.rules import Context, rule

_FAMILIES = ("IPv4", "IPv6")
_FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
_HINTS, _MODE = "service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode"
_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
_ONLY_LOAD_BALANCER = "may only be used when `type` is 'LoadBalancer'"


def headless(spec: Object) -> bool:
    """Whether a Service has no cluster IP, on purpose."""
    return bool(spec.get("clusterIPs") == ["None"])


def needs_health_check(spec: Object) -> bool:
    """Whether a Service has a healthCheckNodePort."""
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def externally_accessible(spec: Object) -> bool:
    """Whether externalTrafficPolicy means anything."""
    kind = spec.get("type")
    return kind in ("LoadBalancer", "NodePort") or (kind == "ClusterIP" and bool(spec.get("externalIPs")))


@rule
def service_update(obj: Object, path: str, context: Context) -> Errors:
    """What may not change: cluster IPs and families (one may be added or taken away behind the first), the class of a
    load balancer (whose words are checked here already), the health check port."""
    new, old = obj["spec"], context.before
    if not old:
        return
    if "ExternalName" not in (new.get("type"), old.get("type")):
        if not (headless(new) and headless(old)):
            yield from _first_stays(new, old, "clusterIPs", "clusterIP")
        if not (headless(new) or headless(old)):
            yield from _first_stays(new, old, "ipFamilies", "ipFamily")
    name = new.get("loadBalancerClass")
    if new.get("type") == old.get("type") == "LoadBalancer" and name != old.get("loadBalancerClass"):
        yield from invalid("spec.loadBalancerClass", name, "may not change once set")
    yield from _class(new)
    port_changes = new.get("healthCheckNodePort") != old.get("healthCheckNodePort")
    if needs_health_check(new) and needs_health_check(old) and port_changes:
        yield from forbidden("spec.healthCheckNodePort", "field is immutable")


def _first_stays(new: Object, old: Object, field: str, one: str) -> Errors:
    now, before = new.get(field, []), old.get(field, [])
    changed = [i for i, (a, b) in enumerate(zip(now, before, strict=False)) if a != b]
    if len(now) != len(before):
        changed = changed[:1] if changed[:1] == [0] else []
    for i in changed:
        yield from invalid(f"spec.{field}[{i if field == 'clusterIPs' else 0}]", now, "may not change once set")
    if before and not now:
        yield from invalid(f"spec.{field}[0]", None, f"primary {one} can not be unset")
    if len(now) == 1 < len(before) and new.get("ipFamilyPolicy") != "SingleStack":
        detail = f"must be set to 'SingleStack' when releasing the secondary {one}"
        yield from invalid("spec.ipFamilyPolicy", new.get("ipFamilyPolicy"), detail)


@rule
def topology_annotations(obj: Object, path: str, context: Context) -> Errors:
    """The old and the new annotation for topology say the same."""
    annotations = obj["metadata"].get("annotations", {})
    if _HINTS in annotations and annotations.get(_MODE, annotations[_HINTS]) != annotations[_HINTS]:
        detail = f"must match annotations[{_HINTS}] when both are specified"
        yield from invalid(f"metadata.annotations[{_MODE}]", annotations[_MODE], detail)


@rule
def type_and_addresses(spec: Object, path: str, context: Context) -> Errors:
    """What a type needs or cannot have."""
    kind = spec.get("type")
    if not spec.get("ports") and not headless(spec) and kind != "ExternalName":
        yield from required("spec.ports")
    if kind in ("LoadBalancer", "NodePort") and headless(spec):
        yield from invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services")
    if kind == "ExternalName":
        for field in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if spec.get(field):
                yield from forbidden(f"spec.{field}", "may not be set for ExternalName services")
        if name := spec.get("externalName", "").removesuffix("."):
            yield from invalid("spec.externalName", name, *names.dns_subdomain(name))
        else:
            yield from required("spec.externalName")


@rule
def affinity(spec: Object, path: str, context: Context) -> Errors:
    """sessionAffinityConfig goes with sessionAffinity."""
    config = spec.get("sessionAffinityConfig")
    path = "spec.sessionAffinityConfig"
    if spec.get("sessionAffinity") == "ClientIP":
        seconds: Any = ((config or {}).get("clientIP") or {}).get("timeoutSeconds")
        if seconds is None:
            yield from required(path, "when session affinity type is ClientIP")
        elif not 0 < seconds <= 86400:
            yield from invalid(f"{path}.clientIP.timeoutSeconds", seconds, "must be greater than 0 and less than 86400")
    elif spec.get("sessionAffinity") == "None" and config is not None:
        yield from forbidden(path, "must not be set when session affinity is None")


@rule
def cluster_ips(spec: Object, path: str, context: Context) -> Errors:
    """clusterIP, clusterIPs, ipFamilies and ipFamilyPolicy together. The allocator asks this before it does anything."""
    if spec.get("type") == "ExternalName":
        return
    ip, ips, families = spec.get("clusterIP", ""), spec.get("clusterIPs", []), spec.get("ipFamilies", [])
    policy, path = spec.get("ipFamilyPolicy"), "spec.clusterIPs"
    if ip and not ips:
        yield from required(path)
    elif ip and ips[0] != ip:
        yield from invalid(path, ips, "first value must match `clusterIP`")
    elif ips and not ip:
        yield from invalid(path, ips, "must be empty when `clusterIP` is not specified")
    for i, name in enumerate(families):
        if name not in _FAMILIES:
            yield from unsupported(f"spec.ipFamilies[{i}]", name, _FAMILIES)
        if name in families[:i]:
            yield from duplicate(f"spec.ipFamilies[{i}]", name)
    if policy is not None and policy not in _FAMILY_POLICIES:
        yield from unsupported("spec.ipFamilyPolicy", policy, _FAMILY_POLICIES)
    if ips[:1] == ["None"] and len(ips) > 1:
        yield from invalid(path, ips, "'None' must be the first and only value")
    problems = [[] if a == ips[0] == "None" else context.ip(a) for a in ips]
    for i, address in enumerate(ips):
        yield from invalid(f"{path}[{i}]", address, *problems[i])
    if len(ips) > 2:
        yield from invalid(path, ips, "may only hold up to 2 values")
    if any(problems) or (ips[:1] == ["None"] and len(ips) > 1):
        return
    if len(ips) > 1 and len({family(a) for a in ips}) < 2:
        yield from invalid(path, ips, "may specify no more than one IP for each IP family")
    for i, (address, name) in enumerate(zip(ips, families, strict=False)):
        if name in _FAMILIES and family(address) != name and not headless(spec):
            yield from invalid(f"{path}[{i}]", address, f"expected an {name} value as indicated by `ipFamilies[{i}]`")


@rule
def port_pairs(spec: Object, path: str, context: Context) -> Errors:
    """nodePort only where the type has it; each pair of protocol and number once."""
    ports = spec.get("ports", [])
    for i, port in enumerate(ports):
        if port.get("nodePort") and spec.get("type") == "ClusterIP":
            yield from forbidden(f"spec.ports[{i}].nodePort", "may not be used when `type` is 'ClusterIP'")
    for field in ("nodePort", "port"):
        pairs = [(port.get("protocol", ""), port.get(field, 0)) for port in ports]
        for i, (protocol, number) in enumerate(pairs):
            if (protocol, number) not in pairs[:i]:
                continue
            if field == "port":
                shown = {"Name": "", "Protocol": protocol, "AppProtocol": None, "Port": number}
                yield from duplicate(f"spec.ports[{i}]", {**shown, "TargetPort": 0, "NodePort": 0})
            elif number:
                yield from duplicate(f"spec.ports[{i}].nodePort", number)


@rule
def source_ranges(spec: Object, path: str, context: Context) -> Errors:
    """loadBalancerSourceRanges, or else the old annotation; blanks around a block are good."""
    annotation = context.obj["metadata"].get("annotations", {}).get(_RANGES)
    path, blocks = "spec.LoadBalancerSourceRanges", spec.get("loadBalancerSourceRanges", [])
    in_field = bool(blocks)
    if not in_field and annotation is not None:
        path, blocks = f"metadata.annotations[{_RANGES}]", annotation.split(",") if annotation.strip() else []
    if (in_field or annotation is not None) and spec.get("type") != "LoadBalancer":
        yield from forbidden(path, _ONLY_LOAD_BALANCER)
    for i, block in enumerate(blocks):
        if not {block, annotation} & context.kept:
            here, text = f"{path}[{i}]" if in_field else path, block.strip()
            yield from invalid(here, text, *names.cidr(text))


@rule
def load_balancer(spec: Object, path: str, context: Context) -> Errors:
    """Fields of load balancers."""
    if "allocateLoadBalancerNodePorts" in spec and spec.get("type") != "LoadBalancer":
        yield from forbidden("spec.allocateLoadBalancerNodePorts", _ONLY_LOAD_BALANCER)
    yield from _class(spec)


def _class(spec: Object) -> Errors:
    path, name = "spec.loadBalancerClass", spec.get("loadBalancerClass")
    if name is not None and spec.get("type") != "LoadBalancer":
        yield from forbidden(path, _ONLY_LOAD_BALANCER)
    elif name is not None:
        yield from invalid(path, name, *names.label_key(name))


@rule
def external_traffic(spec: Object, path: str, context: Context) -> Errors:
    """externalTrafficPolicy and healthCheckNodePort, where traffic comes in from outside."""
    path, policy = "spec.externalTrafficPolicy", spec.get("externalTrafficPolicy", "")
    if policy and not externally_accessible(spec):
        yield from invalid(path, policy, "may only be set for externally-accessible services")
    elif policy and policy not in ("Cluster", "Local"):
        yield from unsupported(path, policy, ("Cluster", "Local"))
    path, port = "spec.healthCheckNodePort", spec.get("healthCheckNodePort", 0)
    if needs_health_check(spec):
        yield from invalid(path, port, *names.port_number(port))
    elif port:
        detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        yield from invalid(path, port, detail)
