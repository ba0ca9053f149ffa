"""Walks a packet through the written iptables rules, as the kernel does, without knowing what they are for.

After kube-proxy's own test helper (iptablesTracer in pkg/proxy/iptables/proxier_test.go), which sees all that may be
chosen: chance and ``recent`` always match, and a rule that chooses one of several is not the end.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field


@dataclass
class Walk:
    """What was met: rules as ``table chain "comment"`` in order, endpoints with the rules that led to each, the end."""

    rules: list = field(default_factory=list)
    endpoints: dict = field(default_factory=dict)
    marked_for: set = field(default_factory=set)
    marked: bool = False
    verdict: str = "PASS"


def _holds(option, value, packet, own):
    negated, option = option.startswith("! "), option.removeprefix("! ")
    if option in ("-s", "-d"):
        ip = packet.src if option == "-s" else packet.dst
        block = ipaddress.ip_network(value)
        return (ipaddress.ip_address(ip) in block) != negated
    if option == "-m {0} -p":
        return value == packet.protocol.lower()
    if option == "--dport":
        return int(value) == packet.dport
    if "addrtype" in option:
        return own(packet.src if "--src-type" in option else packet.dst)
    assert any(word in option for word in ("comment", "statistic", "recent", "nfacct")), option
    return True


def walk(tables, packet, own, in_output=False):
    """The whole way: nat, then, if nothing was rewritten, filter."""
    chains = {}
    for rules in tables.values():
        for rule in rules:
            chains.setdefault(f"{rule.table} {rule.chain}", []).append(rule)
    result = Walk()
    _through(chains, "nat KUBE-SERVICES", packet, own, result, [])
    if not result.endpoints:
        local = own(packet.dst)
        shown = ["KUBE-EXTERNAL-SERVICES"] if local or not in_output else []
        for chain in ("KUBE-PROXY-FIREWALL", "KUBE-NODEPORTS", "KUBE-SERVICES", *shown):
            if _through(chains, f"filter {chain}", packet, own, result, []):
                break
    return result


def _through(chains, name, packet, own, result, way):
    """Whether the packet's fate was settled in a chain."""
    for rule in chains.get(name, ()):
        if not all(_holds(option, value, packet, own) for option, value in rule.conditions):
            continue
        comment = next((value for option, value in rule.conditions if "comment" in option), "")
        step = f'{name} "{comment}"' if comment else name
        target = rule.target
        if target == "KUBE-MARK-MASQ":
            if rule.chain.startswith("KUBE-SEP"):
                result.marked_for.add(way[-1])
            else:
                result.marked = True
                result.rules.append(step)
        elif target.startswith("DNAT"):
            result.endpoints[target.split()[-1]] = (*way, step)
            result.verdict = "DNAT"
            return True
        elif target in ("DROP", "REJECT", "ACCEPT"):
            result.verdict = {"ACCEPT": "PASS"}.get(target, target)
            result.rules.append(step)
            return True
        elif target.startswith("KUBE-SEP"):
            _through(chains, f"nat {target}", packet, own, result, [*way, step])
        elif target:
            result.rules.append(step)
            if _through(chains, f"{rule.table} {target}", packet, own, result, way) or result.endpoints:
                return True
        else:
            result.rules.append(step)
    return bool(result.endpoints)
