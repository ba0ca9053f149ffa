"""Rules for Services (pkg/apis/core/validation, ValidateService and ValidateServiceUpdate, as of 1.36)."""

from __future__ import annotations

from k8snet.manifests import names, validate_meta
from k8snet.manifests.addresses import family
from k8snet.manifests.field_errors import Errors, duplicate, forbidden, invalid, one_of, required, unsupported
from k8snet.manifests.kinds import Object

PROTOCOLS = ("SCTP", "TCP", "UDP")
_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_FAMILIES = ("IPv4", "IPv6")
_POLICIES = ("Cluster", "Local")
_DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")
_HINTS, _MODE = "service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode"
_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"
_ONLY_LOAD_BALANCER = "may only be used when `type` is 'LoadBalancer'"
_NOT_EXTERNAL_NAME = "may not be set for ExternalName services"


def service(obj: Object, old: Object | None) -> Errors:
    """All rules, in the server's order; those for updates come first."""
    spec = obj["spec"]
    if old is not None:
        yield from validate_meta.on_update(obj)
        yield from _update(spec, old["spec"])
    yield from validate_meta.on_create(obj, names.dns_label)
    yield from _topology_annotations(obj)
    yield from _type(spec)
    seen: set[str] = set()
    for i, port in enumerate(spec.get("ports", ())):
        yield from _port(f"spec.ports[{i}]", port, len(spec["ports"]) > 1, seen)
    yield from validate_meta.labels("spec.selector", spec.get("selector"))
    yield from _affinity(spec)
    yield from cluster_ips(spec, old and old["spec"])
    before = (old or {}).get("spec", {})
    for i, ip in enumerate(spec.get("externalIPs", ())):
        problems = names.ip(ip) if ip not in before.get("externalIPs", ()) else []
        yield from invalid(f"spec.externalIPs[{i}]", ip, *(problems or names.ordinary_ip(ip)))
    yield from one_of("spec.type", spec.get("type"), _TYPES)
    yield from _port_pairs(spec)
    yield from _source_ranges(obj, old)
    yield from _load_balancer(spec)
    yield from _traffic(spec)


def headless(spec: Object) -> bool:
    """Whether a Service has no cluster IP, on purpose."""
    return spec.get("clusterIPs") == ["None"]


def needs_health_check(spec: Object) -> bool:
    """Whether a Service has a healthCheckNodePort."""
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def externally_accessible(spec: Object) -> bool:
    """Whether externalTrafficPolicy means anything."""
    kind = spec.get("type")
    return kind in ("LoadBalancer", "NodePort") or (kind == "ClusterIP" and bool(spec.get("externalIPs")))


def _topology_annotations(obj: Object) -> Errors:
    annotations = obj["metadata"].get("annotations", {})
    if _HINTS in annotations and annotations.get(_MODE, annotations[_HINTS]) != annotations[_HINTS]:
        detail = f"must match annotations[{_HINTS}] when both are specified"
        yield from invalid(f"metadata.annotations[{_MODE}]", annotations[_MODE], detail)


def _type(spec: Object) -> Errors:
    kind = spec.get("type")
    if not spec.get("ports") and not headless(spec) and kind != "ExternalName":
        yield from required("spec.ports")
    if kind in ("LoadBalancer", "NodePort") and headless(spec):
        yield from invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services")
    if kind == "ExternalName":
        for field in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if spec.get(field):
                yield from forbidden(f"spec.{field}", _NOT_EXTERNAL_NAME)
        if name := spec.get("externalName", "").removesuffix("."):
            yield from invalid("spec.externalName", name, *names.dns_subdomain(name))
        else:
            yield from required("spec.externalName")


def _port(path: str, port: Object, needs_name: bool, seen: set[str]) -> Errors:
    name = port.get("name", "")
    if name:
        yield from invalid(f"{path}.name", name, *names.dns_label(name))
        if name in seen:
            yield from duplicate(f"{path}.name", name)
        seen.add(name)
    elif needs_name:
        yield from required(f"{path}.name")
    number = port.get("port", 0)
    yield from invalid(f"{path}.port", number, *names.port_number(number))
    yield from one_of(f"{path}.protocol", port.get("protocol"), PROTOCOLS)
    target = port.get("targetPort", 0)
    yield from invalid(f"{path}.targetPort", target, *names.port(target))
    if "appProtocol" in port:
        yield from invalid(f"{path}.appProtocol", port["appProtocol"], *names.label_key(port["appProtocol"]))


def _affinity(spec: Object) -> Errors:
    affinity, config = spec.get("sessionAffinity"), spec.get("sessionAffinityConfig")
    yield from one_of("spec.sessionAffinity", affinity, ("ClientIP", "None"))
    path = "spec.sessionAffinityConfig"
    if affinity == "ClientIP":
        seconds = ((config or {}).get("clientIP") or {}).get("timeoutSeconds")
        if seconds is None:
            yield from required(path, "when session affinity type is ClientIP")
        elif not 0 < seconds <= 86400:
            yield from invalid(f"{path}.clientIP.timeoutSeconds", seconds, "must be greater than 0 and less than 86400")
    elif affinity == "None" and config is not None:
        yield from forbidden(path, "must not be set when session affinity is None")


def cluster_ips(spec: Object, old: Object | None = None) -> Errors:
    """clusterIP, clusterIPs, ipFamilies and ipFamilyPolicy together. The allocator asks this before it does anything."""
    if spec.get("type") == "ExternalName":
        return
    ip, ips, families = spec.get("clusterIP", ""), spec.get("clusterIPs", []), spec.get("ipFamilies", [])
    path = "spec.clusterIPs"
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
    if "ipFamilyPolicy" in spec:
        policies = ("PreferDualStack", "RequireDualStack", "SingleStack")
        if spec["ipFamilyPolicy"] not in policies:
            yield from unsupported("spec.ipFamilyPolicy", spec["ipFamilyPolicy"], policies)
    broken = False
    for i, address in enumerate(ips):
        if i == 0 and address == "None":
            if len(ips) > 1:
                broken = True
                yield from invalid(path, ips, "'None' must be the first and only value")
            continue
        problems = names.ip(address) if address not in (old or {}).get("clusterIPs", ()) else []
        broken = broken or bool(problems)
        yield from invalid(f"{path}[{i}]", address, *problems)
    if len(ips) > 2:
        yield from invalid(path, ips, "may only hold up to 2 values")
    if broken:
        return
    if len(ips) > 1 and len({family(a) for a in ips}) < len(ips[:2]):
        yield from invalid(path, ips, "may specify no more than one IP for each IP family")
    for i, (address, name) in enumerate(zip(ips, families, strict=False)):
        if name in _FAMILIES and family(address) != name and not headless(spec):
            yield from invalid(f"{path}[{i}]", address, f"expected an {name} value as indicated by `ipFamilies[{i}]`")


def _port_pairs(spec: Object) -> Errors:
    ports = spec.get("ports", [])
    if spec.get("type") == "ClusterIP":
        for i, port in enumerate(ports):
            if port.get("nodePort"):
                yield from forbidden(f"spec.ports[{i}].nodePort", "may not be used when `type` is 'ClusterIP'")
    node_pairs, pairs = set(), set()
    for i, port in enumerate(ports):
        pair = port.get("protocol"), port.get("nodePort")
        if pair in node_pairs and pair[1]:
            yield from duplicate(f"spec.ports[{i}].nodePort", pair[1])
        node_pairs.add(pair)
    for i, port in enumerate(ports):
        protocol, number = port.get("protocol", ""), port.get("port", 0)
        if (protocol, number) in pairs:
            shown = {"Name": "", "Protocol": protocol, "AppProtocol": None, "Port": number}
            yield from duplicate(f"spec.ports[{i}]", {**shown, "TargetPort": 0, "NodePort": 0})
        pairs.add((protocol, number))


def _source_ranges(obj: Object, old: Object | None) -> Errors:
    spec, annotations = obj["spec"], obj["metadata"].get("annotations", {})
    if ranges := spec.get("loadBalancerSourceRanges"):
        path, kept = "spec.LoadBalancerSourceRanges", (old or {}).get("spec", {}).get("loadBalancerSourceRanges", ())
        if spec.get("type") != "LoadBalancer":
            yield from forbidden(path, _ONLY_LOAD_BALANCER)
        for i, block in enumerate(ranges):
            if block not in kept:
                yield from invalid(f"{path}[{i}]", block.strip(), *names.cidr(block.strip()))
    elif _RANGES in annotations:
        path = f"metadata.annotations[{_RANGES}]"
        if spec.get("type") != "LoadBalancer":
            yield from forbidden(path, _ONLY_LOAD_BALANCER)
        kept = ((old or {}).get("metadata") or {}).get("annotations", {}).get(_RANGES)
        if annotations[_RANGES].strip() and annotations[_RANGES] != kept:
            for block in annotations[_RANGES].split(","):
                yield from invalid(path, block.strip(), *names.cidr(block.strip()))


def _load_balancer(spec: Object) -> Errors:
    is_load_balancer, name = spec.get("type") == "LoadBalancer", spec.get("loadBalancerClass")
    if "allocateLoadBalancerNodePorts" in spec and not is_load_balancer:
        yield from forbidden("spec.allocateLoadBalancerNodePorts", _ONLY_LOAD_BALANCER)
    if name is not None and is_load_balancer:
        yield from invalid("spec.loadBalancerClass", name, *names.label_key(name))
    elif name is not None:
        yield from forbidden("spec.loadBalancerClass", _ONLY_LOAD_BALANCER)


def _traffic(spec: Object) -> Errors:
    path, policy = "spec.externalTrafficPolicy", spec.get("externalTrafficPolicy", "")
    if externally_accessible(spec):
        yield from one_of(path, policy, _POLICIES)
    elif policy:
        yield from invalid(path, policy, "may only be set for externally-accessible services")
    path, port = "spec.healthCheckNodePort", spec.get("healthCheckNodePort", 0)
    if needs_health_check(spec):
        yield from invalid(path, port, *names.port_number(port)) if port else required(path)
    elif port:
        detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        yield from invalid(path, port, detail)
    internal = spec.get("internalTrafficPolicy")
    if internal is not None and internal not in _POLICIES:
        yield from unsupported("spec.internalTrafficPolicy", internal, _POLICIES)
    distribution = spec.get("trafficDistribution")
    if distribution is not None and distribution not in _DISTRIBUTIONS:
        yield from unsupported("spec.trafficDistribution", distribution, _DISTRIBUTIONS)


def _update(new: Object, old: Object) -> Errors:
    """What may not change: cluster IPs and families (one may be added or taken away behind the first), the class of a
    load balancer, the health check port."""
    if "ExternalName" not in (new.get("type"), old.get("type")):
        yield from _primary_stays(new, old, "clusterIPs", "clusterIP", headless(new) and headless(old))
        yield from _primary_stays(new, old, "ipFamilies", "ipFamily", headless(new) or headless(old))
    if new.get("type") == old.get("type") == "LoadBalancer":
        name = new.get("loadBalancerClass")
        if name != old.get("loadBalancerClass"):
            yield from invalid("spec.loadBalancerClass", name, "may not change once set")
    port_changes = new.get("healthCheckNodePort") != old.get("healthCheckNodePort")
    if needs_health_check(new) and needs_health_check(old) and port_changes:
        yield from forbidden("spec.healthCheckNodePort", "field is immutable")


def _primary_stays(new: Object, old: Object, field: str, one: str, free: bool) -> Errors:
    now, before = new.get(field, []), old.get(field, [])
    if free:
        return
    if len(now) == len(before):
        for i, (value, was) in enumerate(zip(now, before, strict=True)):
            if value != was:
                yield from invalid(f"spec.{field}[{i if one == 'clusterIP' else 0}]", now, "may not change once set")
        return
    if not now:
        yield from invalid(f"spec.{field}[0]", now or None, f"primary {one} can not be unset")
    elif before and now[0] != before[0]:
        yield from invalid(f"spec.{field}[0]", new.get("clusterIPs"), "may not change once set")
    if len(now) == 1 < len(before) and new.get("ipFamilyPolicy") != "SingleStack":
        detail = f"must be set to 'SingleStack' when releasing the secondary {one}"
        yield from invalid("spec.ipFamilyPolicy", new.get("ipFamilyPolicy"), detail)
