"""Rules for EndpointSlices and Endpoints (pkg/apis/discovery/validation, pkg/apis/core/validation)."""

from __future__ import annotations

from k8snet.manifests import names, validate_meta
from k8snet.manifests.addresses import family
from k8snet.manifests.field_errors import Errors, duplicate, invalid, one_of, required, too_many, unchanged
from k8snet.manifests.kinds import Object
from k8snet.manifests.validate_service import PROTOCOLS

_MAX_ENDPOINTS, _MAX_ADDRESSES, _MAX_PORTS, _MAX_HINTS = 1000, 100, 20000, 8


def endpoint_slice(obj: Object, old: Object | None) -> Errors:
    """All rules, in the server's order."""
    kind, endpoints, ports = obj.get("addressType", ""), obj.get("endpoints") or [], obj.get("ports") or []
    yield from validate_meta.on_create(obj, names.dns_subdomain)
    yield from one_of("addressType", kind, ("FQDN", "IPv4", "IPv6"))
    if len(endpoints) > _MAX_ENDPOINTS:
        yield from too_many("endpoints", len(endpoints), _MAX_ENDPOINTS)
        endpoints = []
    kept = {a for e in (old or {}).get("endpoints") or () for a in e.get("addresses", ())}
    for i, endpoint in enumerate(endpoints):
        yield from _endpoint(f"endpoints[{i}]", endpoint, kind, kept)
    if len(ports) > _MAX_PORTS:
        yield from too_many("ports", len(ports), _MAX_PORTS)
        ports = []
    seen = set()
    for i, port in enumerate(ports):
        name = port.get("name", "")
        if name:
            yield from invalid(f"ports[{i}].name", name, *names.dns_label(name))
        if name in seen:
            yield from duplicate(f"ports[{i}].name", name)
        seen.add(name)
        yield from one_of(f"ports[{i}].protocol", port.get("protocol"), PROTOCOLS)
        if "appProtocol" in port:
            yield from invalid(f"ports[{i}].appProtocol", port["appProtocol"], *names.label_key(port["appProtocol"]))
    if old is not None:
        yield from unchanged("addressType", kind, old.get("addressType", ""))


def _endpoint(path: str, endpoint: Object, kind: str, kept: set[str]) -> Errors:
    addresses = endpoint.get("addresses", [])
    if not addresses:
        yield from required(f"{path}.addresses", "must contain at least 1 address")
    elif len(addresses) > _MAX_ADDRESSES:
        yield from too_many(f"{path}.addresses", len(addresses), _MAX_ADDRESSES)
    for i, address in enumerate(addresses):
        if kind == "FQDN":
            yield from _fqdn(f"{path}.addresses[{i}]", address)
        elif kind in ("IPv4", "IPv6") and address not in kept:
            yield from _address(f"{path}.addresses[{i}]", address, kind)
    if "nodeName" in endpoint:
        yield from invalid(f"{path}.nodeName", endpoint["nodeName"], *names.dns_subdomain(endpoint["nodeName"]))
    if "hostname" in endpoint:
        yield from invalid(f"{path}.hostname", endpoint["hostname"], *names.dns_label(endpoint["hostname"]))
    for field, rule in (("forZones", names.label_value), ("forNodes", names.dns_subdomain)):
        hints = endpoint.get("hints", {}).get(field, [])
        here = f"{path}.hints.{field}"
        if len(hints) > _MAX_HINTS:
            yield from too_many(here, len(hints), _MAX_HINTS)
            return
        listed = [hint.get("name", "") for hint in hints]
        for i, name in enumerate(listed):
            if name in listed[:i]:
                yield from duplicate(f"{here}[{i}].name", name)
            yield from invalid(f"{here}[{i}].name", name, *rule(name))


def _address(path: str, address: str, kind: str) -> Errors:
    problems = names.ip(address)
    if not problems and family(address) != kind:
        problems = [f"must be an {kind} address"]
    yield from invalid(path, address, *(problems or names.ordinary_ip(address)))


def _fqdn(path: str, name: str) -> Errors:
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


def endpoints(obj: Object, old: Object | None) -> Errors:
    """The older kind: addresses and ports in subsets."""
    yield from validate_meta.on_create(obj, names.dns_subdomain)
    for i, subset in enumerate(obj.get("subsets", ())):
        path = f"subsets[{i}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            yield from required(path, "must specify `addresses` or `notReadyAddresses`")
        for field in ("addresses", "notReadyAddresses"):
            for n, address in enumerate(subset.get(field, ())):
                here, ip = f"{path}.{field}[{n}]", address.get("ip", "")
                yield from invalid(f"{here}.ip", ip, *(names.ip(ip) or names.ordinary_ip(ip)))
                if host := address.get("hostname"):
                    yield from invalid(f"{here}.hostname", host, *names.dns_label(host))
        ports = subset.get("ports", [])
        for n, port in enumerate(ports):
            here, name, number = f"{path}.ports[{n}]", port.get("name", ""), port.get("port", 0)
            if name:
                yield from invalid(f"{here}.name", name, *names.dns_label(name))
            elif len(ports) > 1:
                yield from required(f"{here}.name")
            yield from invalid(f"{here}.port", number, *names.port_number(number))
            yield from one_of(f"{here}.protocol", port.get("protocol"), PROTOCOLS)
