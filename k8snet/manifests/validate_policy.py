"""Rules for NetworkPolicies (pkg/apis/networking/validation, ValidateNetworkPolicy)."""

from __future__ import annotations

from collections.abc import Collection

from k8snet.manifests import names, validate_meta
from k8snet.manifests.addresses import parse_cidr
from k8snet.manifests.field_errors import Errors, forbidden, invalid, required, unsupported
from k8snet.manifests.kinds import Object

_PROTOCOLS = ("TCP", "UDP", "SCTP")
_TYPES = ("Ingress", "Egress")
_DIRECTIONS = (("ingress", "from"), ("egress", "to"))


def network_policy(obj: Object, old: Object | None) -> Errors:
    """All rules, in the server's order. Blocks that the old policy had stay allowed, whatever they are."""
    spec = obj["spec"]
    if old is None:
        yield from validate_meta.on_create(obj, names.dns_subdomain)
    else:
        yield from validate_meta.on_update(obj)
    any_value = old is not None and any(validate_meta.label_selector("", old["spec"].get("podSelector")))
    yield from validate_meta.label_selector("spec.podSelector", spec.get("podSelector"), any_value)
    kept = _blocks(old["spec"]) if old is not None else frozenset()
    for direction, peers in _DIRECTIONS:
        for i, rule in enumerate(spec.get(direction, ())):
            for n, port in enumerate(rule.get("ports", ())):
                yield from _port(f"spec.{direction}[{i}].ports[{n}]", port)
            for n, peer in enumerate(rule.get(peers, ())):
                yield from _peer(f"spec.{direction}[{i}].{peers}[{n}]", peer, kept, any_value)
    types = spec.get("policyTypes", [])
    if len(types) > 2:
        yield from invalid("spec.policyTypes", types, "may not specify more than two policyTypes")
        return
    for i, word in enumerate(types):
        if word not in _TYPES:
            yield from unsupported(f"spec.policyTypes[{i}]", word, _TYPES)


def _port(path: str, port: Object) -> Errors:
    number, end = port.get("port"), port.get("endPort")
    if "protocol" in port and port["protocol"] not in _PROTOCOLS:
        yield from unsupported(f"{path}.protocol", port["protocol"], _PROTOCOLS)
    if isinstance(number, int):
        yield from invalid(f"{path}.port", number, *names.port_number(number))
        if end is not None and end < number:
            yield from invalid(f"{path}.endPort", end, "must be greater than or equal to `port`")
        if end is not None:
            yield from invalid(f"{path}.endPort", end, *names.port_number(end))
        return
    if end is not None:
        reason = "non-numeric" if number is not None else "not specified"
        yield from invalid(f"{path}.endPort", end, f"may not be specified when `port` is {reason}")
    if number is not None:
        yield from invalid(f"{path}.port", number, *names.port_name(number))


def _peer(path: str, peer: Object, kept: Collection[str], any_value: bool) -> Errors:
    for selector in ("podSelector", "namespaceSelector"):
        yield from validate_meta.label_selector(f"{path}.{selector}", peer.get(selector), any_value)
    if "ipBlock" in peer:
        yield from _ip_block(f"{path}.ipBlock", peer["ipBlock"], kept)
    if not peer:
        yield from required(path, "must specify a peer")
    elif "ipBlock" in peer and len(peer) > 1:
        yield from forbidden(path, "may not specify both ipBlock and another peer")


def _ip_block(path: str, block: Object, kept: Collection[str]) -> Errors:
    cidr = block.get("cidr", "")
    if not cidr:
        yield from required(f"{path}.cidr")
        return
    if cidr not in kept:
        yield from invalid(f"{path}.cidr", cidr, *names.cidr(cidr))
    whole = parse_cidr(cidr)
    if whole is None:
        return
    for i, text in enumerate(block.get("except", ())):
        if text not in kept:
            yield from invalid(f"{path}.except[{i}]", text, *names.cidr(text))
        part = parse_cidr(text)
        if part is None:
            continue
        inside = part.version == whole.version and part.network_address in whole
        if not inside or part.prefixlen <= whole.prefixlen:
            yield from invalid(f"{path}.except[{i}]", text, "must be a strict subset of `cidr`")


def _blocks(spec: Object) -> frozenset[str]:
    blocks = [
        peer["ipBlock"]
        for direction, peers in _DIRECTIONS
        for rule in spec.get(direction, ())
        for peer in rule.get(peers, ())
        if "ipBlock" in peer
    ]
    return frozenset(text for block in blocks for text in (block.get("cidr", ""), *block.get("except", ())))
