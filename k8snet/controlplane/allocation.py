"""Gives out cluster IPs and node ports, and works out a Service's IP families.

Facts: pkg/registry/core/service/storage/alloc.go (what is asked for and refused), rest.go and strategy.go (what an update
that leaves a field out keeps, what a change of type takes away), ipallocator and portallocator (bands, words).

Nothing is remembered here: what the stored Services hold is taken, everything else is free, so nothing can leak.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from k8snet.controlplane.settings import Settings
from k8snet.manifests import validation
from k8snet.manifests.addresses import IPNetwork, family, parse_ip
from k8snet.manifests.errors import ApiError, FieldError
from k8snet.manifests.field_errors import Errors, invalid
from k8snet.manifests.kinds import Object, ref
from k8snet.manifests.rules import Context
from k8snet.manifests.validate_service import cluster_ips, externally_accessible, headless, needs_health_check


def allocate(
    service: Object, stored: Iterable[Object], settings: Settings, rng: random.Random, old: Object | None = None
) -> Object:
    """A new Service with its cluster IPs, IP families and node ports; *old* is the stored one that it replaces.

    *service* comes from `defaults.fill`, *stored* are all Services that there are. Raises ApiError: 422 for what was
    asked for and cannot be had, 500 for an empty pool or a bad healthCheckNodePort.
    """
    spec = {k: list(v) if k in ("clusterIPs", "ipFamilies") else v for k, v in service["spec"].items()}
    spec["ports"] = [dict(port) for port in spec.get("ports", ())]
    result = {**service, "spec": spec}
    before = old["spec"] if old is not None else {}
    held = [s["spec"] for s in stored if old is None or ref(s) != ref(old)] + [before]
    networks = {family(c): ipaddress.ip_network(c) for c in (settings.service_cidr, settings.service_cidr6) if c}
    if before:
        _keep_allocated(spec, before)
    _sync_cluster_ip(spec, before)
    if _has_ip(spec):
        _refuse_if(result, cluster_ips(spec, "spec", Context(result, old)))
        _families(result, before, tuple(networks))
    _cluster_ips(result, before, networks, held, rng)
    _node_ports(result, before, _node_port_range(held, settings, rng))
    if before:
        _drop_what_type_lost(spec, before)
    if not spec["ports"]:
        del spec["ports"]
    return result


def _refuse_if(service: Object, found: Errors | list[FieldError]) -> None:
    if errors := list(dict.fromkeys(found)):
        raise validation.refuse(service, errors)


# what an update keeps


def _has_ip(spec: Object) -> bool:
    return spec.get("type") != "ExternalName"


def _has_node_ports(spec: Object) -> bool:
    return spec.get("type") in ("NodePort", "LoadBalancer")


def _keep_allocated(new: Object, old: Object) -> None:
    """Cluster IPs and node ports that the update leaves out keep their stored values (patchAllocatedValues)."""
    if _has_ip(new) and _has_ip(old):
        if not new.get("clusterIP") and old.get("clusterIP"):
            new["clusterIP"] = old["clusterIP"]
        if not new.get("clusterIPs") and new.get("clusterIP") == old.get("clusterIP"):
            new["clusterIPs"] = list(old.get("clusterIPs", ()))
    if _has_node_ports(new) and _has_node_ports(old):
        used = {p.get("nodePort", 0) for p in old.get("ports", ())} & {p.get("nodePort", 0) for p in new["ports"]}
        by_name = {p.get("name", ""): p.get("nodePort", 0) for p in old.get("ports", ())}
        for port in new["ports"]:
            kept = by_name.get(port.get("name", ""), 0)
            if not port.get("nodePort") and kept and kept not in used:
                port["nodePort"] = kept
    if needs_health_check(new) and needs_health_check(old) and not new.get("healthCheckNodePort"):
        new["healthCheckNodePort"] = old.get("healthCheckNodePort", 0)


def _sync_cluster_ip(new: Object, old: Object) -> None:
    """clusterIP and clusterIPs say the same (normalizeClusterIPs)."""
    ip, ips, was = new.get("clusterIP"), new.get("clusterIPs", []), old.get("clusterIPs", [])
    if ip and not ips:
        new["clusterIPs"] = [ip]
    elif ip and old.get("clusterIP") not in (None, ip) and ips == was:
        new["clusterIPs"] = [ip, *ips[1:]]
    elif not ips or (not ip and old.get("clusterIP") and ips == was):
        new.pop("clusterIPs", None)


def _drop_what_type_lost(new: Object, old: Object) -> None:
    """Values that only the old type needed go, unless the update changed them too (dropTypeDependentFields)."""
    lost: list[str] = []
    if _has_ip(old) and not _has_ip(new):
        lost += ["ipFamilies", "ipFamilyPolicy"]
        lost += ["clusterIP", "clusterIPs"] if new.get("clusterIPs", []) == old.get("clusterIPs", []) else []
    if _has_node_ports(old) and not _has_node_ports(new):
        numbers = {p.get("nodePort") for p in old.get("ports", ())}
        for port in new["ports"]:
            if port.get("nodePort") in numbers:
                port.pop("nodePort", None)
    if old.get("type") == "LoadBalancer" != new.get("type"):
        lost += ["allocateLoadBalancerNodePorts", "loadBalancerClass"]
    if needs_health_check(old) and not needs_health_check(new):
        lost.append("healthCheckNodePort")
    if externally_accessible(old) and not externally_accessible(new):
        lost.append("externalTrafficPolicy")
    for field in lost:
        if new.get(field) == old.get(field):
            new.pop(field, None)


# families


def _families(service: Object, old: Object, available: tuple[str, ...]) -> None:
    """Fills in ipFamilyPolicy and ipFamilies, or refuses what the cluster cannot do (initIPFamilyFields)."""
    spec = service["spec"]
    unchanged = all(spec.get(f, []) == old.get(f, []) for f in ("ipFamilyPolicy", "clusterIPs", "ipFamilies"))
    if old and spec.get("ipFamilyPolicy") == "PreferDualStack" and unchanged:
        return
    selectorless = headless(spec) and not spec.get("selector")
    default = "RequireDualStack" if selectorless else "SingleStack"
    policy = spec.setdefault("ipFamilyPolicy", old.get("ipFamilyPolicy", default))
    wanted: list[str] = spec.setdefault("ipFamilies", [])
    if old and policy == "SingleStack":
        for field in ("clusterIPs", "ipFamilies"):
            if spec.get(field) == old.get(field) and len(spec.get(field, ())) > 1:
                spec[field] = spec[field][:1]
        wanted = spec["ipFamilies"]
    _refuse_if(service, [*_not_for_policy(spec, old, policy), *_infer(spec, available)])
    if not selectorless:
        _refuse_if(service, _not_available(spec, policy, available))
    if not wanted:
        wanted.append(available[0])
    if policy != "SingleStack" and len(wanted) == 1 and (selectorless or len(available) == 2):
        wanted.append("IPv6" if wanted[0] == "IPv4" else "IPv4")


def _not_for_policy(spec: Object, old: Object, policy: str) -> Errors:
    """More than one family with the policy for one; fewer than there were with another."""
    for field, one, many in (("clusterIPs", "cluster IP", "cluster IPs"), ("ipFamilies", "IP family", "IP families")):
        number, detail = len(spec.get(field, ())), ""
        if policy == "SingleStack" and number == 2:
            detail = f"must be 'RequireDualStack' or 'PreferDualStack' when multiple {many} are specified"
        elif policy != "SingleStack" and 0 < number < len(old.get(field, ())):
            detail = f"must be 'SingleStack' to release the secondary {one}"
        if detail:
            yield from invalid("spec.ipFamilyPolicy", policy, detail)


def _infer(spec: Object, available: tuple[str, ...]) -> Errors:
    """Families of cluster IPs that were given without them."""
    ips = spec.get("clusterIPs", [])
    for i, ip in enumerate(ips):
        if ip == "None":
            return
        if i >= len(spec["ipFamilies"]):
            if family(ip) in available:
                spec["ipFamilies"].append(family(ip))
            else:
                yield from invalid(f"spec.clusterIPs[{i}]", ips, f"{family(ip)} is not configured on this cluster")


def _not_available(spec: Object, policy: str, available: tuple[str, ...]) -> Errors:
    if policy == "RequireDualStack" and len(available) < 2:
        yield from invalid("spec.ipFamilyPolicy", policy, "this cluster is not configured for dual-stack services")
    for i, name in enumerate(spec["ipFamilies"]):
        if name not in available:
            yield from invalid(f"spec.ipFamilies[{i}]", name, "not configured on this cluster")


# addresses and ports


@dataclass
class _Range:
    """The numbers of which addresses or ports are given out, and those that are taken; the lower band, below *middle*, is
    left for people who ask for a number."""

    first: int
    middle: int
    last: int
    taken: set[int]
    rng: random.Random

    def take(self, number: int, noun: str, outside: str) -> str:
        """Why a number cannot be had; empty if it is now taken."""
        if not self.first <= number <= self.last:
            return outside
        if number in self.taken:
            return f"provided {noun} is already allocated"
        self.taken.add(number)
        return ""

    def next(self, failure: str) -> int:
        """A free number, from a random place on. Raises InternalError if there is none."""
        for band in (range(self.middle, self.last + 1), range(self.first, self.middle)):
            offset = self.rng.randrange(band.stop - band.start) if band else 0
            for number in chain(band[offset:], band[:offset]):
                if number not in self.taken:
                    self.taken.add(number)
                    return number
        raise _internal(f"{failure}: range is full")


def _addresses(network: IPNetwork, held: Iterable[Object], rng: random.Random) -> _Range:
    """All but the network's own address and (IPv4) the broadcast address."""
    size, first = network.num_addresses, int(network.network_address) + 1
    last = int(network.broadcast_address) - (1 if network.version == 4 else 0)
    texts = {text for spec in held for text in (spec.get("clusterIP", ""), *spec.get("clusterIPs", ()))}
    taken = {int(ip) for text in texts if (ip := parse_ip(text))}
    band = 0 if size <= 16 else min(max(16, size // 16), 256)
    return _Range(first, min(first + band, last + 1), last, taken, rng)


def _node_port_range(held: Sequence[Object], settings: Settings, rng: random.Random) -> _Range:
    low, high = settings.node_port_range
    taken = {p.get("nodePort", 0) for spec in held for p in spec.get("ports", ())}
    band = 0 if high - low < 16 else min(max(16, (high - low + 1) // 32), 128)
    return _Range(low, low + band, high, taken | {spec.get("healthCheckNodePort", 0) for spec in held}, rng)


def _internal(message: str) -> ApiError:
    error = FieldError("", "Internal error", message)
    return ApiError(500, "InternalError", f"Internal error occurred: {message}", [error])


def _cluster_ips(
    service: Object, old: Object, networks: Mapping[str, IPNetwork], held: Sequence[Object], rng: random.Random
) -> None:
    spec = service["spec"]
    names = spec.get("ipFamilies", [])
    if not _has_ip(spec) or headless(spec) or headless(old):
        return
    given, kept = spec.setdefault("clusterIPs", []), 0
    if old and _has_ip(old):
        kept = 1 if len(old.get("ipFamilies", ())) == 1 < len(names) else len(names)
    for i, name in enumerate(names[kept:], kept):
        network = networks[name]
        pool = _addresses(network, held, rng)
        if i == len(given):
            number = pool.next("failed to allocate a serviceIP")
            given.append(str(type(network.network_address)(number)))
            continue
        ip, problem = parse_ip(given[i]), "the provided network does not match the current range"
        if ip is not None and ip in network:
            outside = f"the provided IP ({given[i]}) is not in the valid range. The range of valid IPs is {network}"
            problem = pool.take(int(ip), "IP", outside)
        if problem:
            _refuse_if(service, invalid("spec.clusterIPs", given, f"failed to allocate IP {given[i]}: {problem}"))
    if given:
        spec["clusterIP"] = given[0]
    else:
        del spec["clusterIPs"]


def _node_ports(service: Object, old: Object, pool: _Range) -> None:
    """Ports of a new Service that have one ``port`` number (TCP and UDP) share a node port; those of a stored one may share
    any that is asked for."""
    spec = service["spec"]
    outside = f"provided port is not in the valid range. The range of valid ports is {pool.first}-{pool.last}"
    own = {p["nodePort"] for p in old.get("ports", ()) if p.get("nodePort")}
    automatic = spec.get("type") == "NodePort" or spec.get("allocateLoadBalancerNodePorts", True)
    asked = {p.get("port", 0): p["nodePort"] for p in reversed(spec["ports"]) if p.get("nodePort")}
    by_port: dict[int, int] = {}
    for i, port in enumerate(spec["ports"] if _has_node_ports(spec) else ()):
        number, wanted = port.get("port", 0), port.get("nodePort", 0)
        if not wanted and not automatic:
            continue
        shared = by_port.get(number, 0)
        if not wanted and not old:
            wanted = shared or asked.get(number, 0)
        if not wanted:
            wanted = pool.next("failed to allocate a nodePort")
        elif wanted != shared and wanted not in own:
            if problem := pool.take(wanted, "port", outside):
                _refuse_if(service, invalid(f"spec.ports[{i}].nodePort", wanted, problem))
            own |= {wanted} if old else set()
        port["nodePort"] = wanted
        by_port.setdefault(number, wanted)
    wanted = spec.get("healthCheckNodePort", 0)
    if needs_health_check(spec) and not wanted:
        spec["healthCheckNodePort"] = pool.next("failed to allocate a HealthCheck NodePort 0")
    elif needs_health_check(spec) and not needs_health_check(old) and (problem := pool.take(wanted, "port", outside)):
        raise _internal(f"failed to allocate requested HealthCheck NodePort {wanted}: {problem}")
