"""Service data plane cases: `service-flows` through `proxy.decide`, `iptables` through the rule writer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from k8snet.controlplane.settings import ProxySettings, Settings
from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane import iptables, proxy
from k8snet.dataplane.packet import Packet
from k8snet.dataplane.topology import chain_name
from tests.conformance.runner import Adapter, Answer

Case = dict[str, Any]

PROXY_KEYS = {
    "mode": "mode",
    "clusterCIDR": "cluster_cidr",
    "masqueradeAll": "masquerade_all",
    "nodePortAddresses": "node_port_addresses",
    "localhostNodePorts": "localhost_node_ports",
    "nfacct": "nfacct",
    "randomFully": "random_fully",
    "conntrackTCPLiberal": "conntrack_tcp_liberal",
}


def _snapshot(case: Case) -> Snapshot:
    given = {"randomFully": False, **case.get("proxy", {})}
    knobs = {PROXY_KEYS[k]: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    return Snapshot(case["objects"], Settings(loaded=True, proxy=ProxySettings(**knobs)))


FLOW_KEYS = {"name", "note", "node", "from", "to", "port", "protocol", "backends", "masquerade", "verdict", "affinity"}


def _flows(case: Case, _document: Case) -> Iterator[Answer]:
    snapshot = _snapshot(case)
    for flow in case.get("flows", ()):
        if unknown := set(flow) - FLOW_KEYS:
            raise ValueError(f"flow field not known: {sorted(unknown)}")
        packet = Packet(flow["from"], 40000, flow["to"], flow["port"], flow["protocol"])
        now, remembered = 1_000_000.0, {}
        for entry in flow.get("affinity", ()):
            chain = chain_name("KUBE-SEP", entry["servicePort"], flow["protocol"], entry["backend"])
            remembered[chain, entry.get("from", flow["from"])] = now - entry["secondsAgo"]
        decision = proxy.decide(snapshot, flow["node"], packet, affinity=remembered, now=now)
        if decision.verdict == "DNAT":
            actual: Any = (sorted(map(str, decision.backends)), decision.masquerade)
        else:
            actual = decision.verdict
        expected = flow["verdict"] if "verdict" in flow else (sorted(flow["backends"]), flow["masquerade"])
        yield Answer(f"{flow['name']}: {packet} at {flow['node']}", expected, actual)
    for check in case.get("healthChecks", ()):
        answer = proxy.health_check(snapshot, check["node"], check["port"])
        actual = (answer.status, answer.local_endpoints) if answer else None
        expected = (check["status"], check["localEndpoints"])
        yield Answer(f"health check {check['port']} at {check['node']}", expected, actual)


FIRST = ("KUBE-NODEPORTS", "KUBE-SERVICES")


def _lines(rules: list[iptables.Rule]) -> list[str]:
    """The rules in the order of the cases: two chains first, then the others by name."""
    ordered = sorted(rules, key=lambda r: (FIRST.index(r.chain) if r.chain in FIRST else len(FIRST), r.chain))
    return [iptables.restored(r) for r in ordered]


def _rules(case: Case, _document: Case) -> Iterator[Answer]:
    if "node" in case:
        written = iptables.tables(_snapshot(case), case["node"], case.get("family", "IPv4"))
        for table in ("nat", "filter"):
            yield Answer(f"table {table}", case[f"expected_{table}"], _lines(written[table]))
    for named in case.get("chain_names", ()):
        prefix = named["chain"].rpartition("-")[0]
        actual = chain_name(prefix, named["servicePort"], named["protocol"], named.get("endpoint", ""))
        yield Answer(f"chain of {named['servicePort']}", named["chain"], actual)
    for written_as in case.get("probabilities", ()):
        yield Answer(f"one of {written_as['n']}", written_as["text"], iptables.probability(written_as["n"]))


ADAPTERS = {
    "service-flows": Adapter(_flows, frozenset({"proxy", "flows", "healthChecks"})),
    "iptables": Adapter(
        _rules,
        frozenset(
            {"proxy", "node", "family", "expected_nat", "expected_filter", "chain_names", "probabilities"},
        ),
    ),
}
