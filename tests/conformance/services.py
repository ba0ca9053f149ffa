"""Service data plane cases: `service-flows` through `proxy.decide`, `iptables` through the rule writer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from k8snet.controlplane.settings import ProxySettings, Settings
from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane import proxy
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


ADAPTERS = {"service-flows": Adapter(_flows, frozenset({"proxy", "flows", "healthChecks"}))}
