"""kube-proxy's rules: their spelling, restated from its tests, and that they decide as `proxy.decide` says."""

from __future__ import annotations

import random

import pytest

from k8snet.dataplane import iptables
from k8snet.dataplane.packet import Packet
from k8snet.dataplane.proxy import Proxy, decide
from k8snet.dataplane.topology import chain_name, held
from tests.dataplane.rule_walk import walk
from tests.dataplane.service_objects import backends, endpoint, service, snapshot
from tests.kernel.clusters import NETWORKS, cluster
from tests.kernel.rules import restore_input

NODE_PORT = [{"port": 80, "targetPort": 8080, "nodePort": 30080}]
THREE = [endpoint(f"10.244.1.{n}") for n in (5, 6, 7)]


def lines(snap, table="nat", node="node-1", family="IPv4", spell=iptables.restored):
    return [spell(r) for r in iptables.tables(snap, node, family)[table]]


def test_chain_names_are_hashes_of_service_port_protocol_and_endpoint():
    """TestOverallIPTablesRules, for ns1/svc1:p80."""
    assert chain_name("KUBE-SVC", "ns1/svc1:p80", "TCP") == "KUBE-SVC-XPGD46QRK7WJZT7O"
    assert chain_name("KUBE-SEP", "ns1/svc1:p80", "TCP", "10.180.0.1:80") == "KUBE-SEP-SXIVWICOYRO3J4NJ"


def test_each_of_three_gets_a_third():
    """TestComputeProbability and writeServiceToEndpointRules."""
    chances = [line for line in lines(snapshot(service(), backends(*THREE))) if "->" in line]
    words = ["--probability 0.3333333333 -j", "--probability 0.5000000000 -j", '10.244.1.7:8080" -j']
    assert len(chances) == 3 and all(word in line for word, line in zip(words, chances, strict=True))


def test_the_same_rule_for_restore_and_as_saved():
    snap = snapshot(service(sessionAffinity="ClientIP"), backends(*THREE))
    first = next(r for r in iptables.tables(snap, "node-1")["nat"] if r.target.startswith("KUBE-SVC"))
    assert iptables.restored(first) == (
        '-A KUBE-SERVICES -m comment --comment "default/web cluster IP" -m tcp -p tcp -d 10.96.0.20 --dport 80'
        f" -j {first.target}"
    )
    assert iptables.saved(first) == (
        '-A KUBE-SERVICES -d 10.96.0.20/32 -p tcp -m comment --comment "default/web cluster IP" -m tcp --dport 80'
        f" -j {first.target}"
    )
    saved = "\n".join(lines(snap, spell=iptables.saved))
    assert "--probability 0.33333333349 " in saved
    assert "-m recent --rcheck --seconds 10800 --reap --name KUBE-SEP-" in saved
    assert "MARK --set-xmark 0x4000/0x4000" in saved and "MARK --set-xmark 0x4000/0x0" in saved


def test_a_service_without_endpoints_has_filter_rules_only():
    """TestNoEndpointsReject."""
    snap = snapshot(service(type="NodePort", ports=NODE_PORT, externalIPs=["198.18.0.1"]))
    assert not [line for line in lines(snap) if "default/web" in line]
    refusals = [line for line in lines(snap, "filter") if "has no endpoints" in line]
    assert [line.split()[1] for line in refusals] == [
        "KUBE-SERVICES",
        "KUBE-EXTERNAL-SERVICES",
        "KUBE-EXTERNAL-SERVICES",
    ]
    assert all(line.endswith("-j REJECT") for line in refusals)


def test_above_a_thousand_endpoints_their_comments_are_left_out():
    """TestEndpointCommentElision: only those on endpoints, and only above the limit."""

    def comments(n):
        many = [endpoint(f"10.244.{i // 250}.{i % 250}") for i in range(n)]
        written = lines(snapshot(service(), backends(*many)))
        return sum("->" in line for line in written), sum('"default/web cluster IP"' in line for line in written)

    assert comments(1000) == (1000, 2)
    assert comments(1001) == (0, 2)


@pytest.mark.parametrize(
    ("settings", "family", "expected"),
    [
        ({}, "IPv4", "-m addrtype --dst-type LOCAL -j KUBE-NODEPORTS"),
        ({"localhost_node_ports": False}, "IPv4", "--dst-type LOCAL ! -d 127.0.0.0/8 -j KUBE-NODEPORTS"),
        ({}, "IPv6", "--dst-type LOCAL ! -d ::1/128 -j KUBE-NODEPORTS"),
        ({"node_port_addresses": ("192.168.10.0/24",)}, "IPv4", "-d 192.168.10.11 -j KUBE-NODEPORTS"),
    ],
)
def test_the_last_rule_leads_to_node_ports(settings, family, expected):
    """TestNodePorts."""
    assert lines(snapshot(**settings), family=family)[-1].endswith(expected)


def test_what_settings_change():
    """TestDropInvalidRule, TestMasqueradeRule, and localhost node ports with their counter."""
    snap = snapshot(service(type="NodePort", ports=NODE_PORT), backends(*THREE), nfacct=True, random_fully=False)
    assert any("localhost_nps_accepted_pkts" in line for line in lines(snap))
    assert any(line.endswith("-j MASQUERADE") for line in lines(snap))
    assert any("ct_state_invalid_dropped_pkts" in line for line in lines(snap, "filter"))
    assert any("-A KUBE-FIREWALL" in line for line in lines(snap, "filter"))
    other = snapshot(conntrack_tcp_liberal=True, localhost_node_ports=False)
    assert not any("INVALID" in line or "KUBE-FIREWALL" in line for line in lines(other, "filter"))
    assert any(line.endswith("--random-fully") for line in lines(other))


def test_the_whole_document_declares_every_chain_it_jumps_to():
    snap = cluster(random.Random(7), "bridge")
    text = restore_input(snap, "node-1")
    declared = {line.split()[0][1:] for line in text.splitlines() if line.startswith(":")}
    targets = {line.rpartition(" -j ")[2] for line in text.splitlines() if " -j KUBE" in line}
    assert targets <= declared and text.count("COMMIT") == 2
    order = [line.split()[-1] for line in text.splitlines() if line.startswith("-A INPUT")]
    assert order == ["KUBE-FIREWALL", "KUBE-PROXY-FIREWALL", "KUBE-NODEPORTS", "KUBE-EXTERNAL-SERVICES"]


@pytest.mark.parametrize("seed", range(60))
def test_the_rules_decide_as_predicted(seed):
    """Random clusters, settings and packets: verdict, endpoints, masquerade and the rules gone through."""
    rng = random.Random(seed)
    snap = cluster(rng, rng.choice(NETWORKS))
    ports = held(snap, "IPv4").ports
    nodes = [ip for n in snap.nodes.values() for ip in n.addresses]
    pods = [p.ip for p in snap.pods.values()]
    balancers = [ip for p in ports for ip in p.load_balancer_ips]
    destinations = [p.cluster_ip for p in ports] + [ip for p in ports for ip in p.external_ips] + nodes + balancers
    numbers = [p.port.port for p in ports] + [p.port.node_port for p in ports] + [31001, 31002, 31003]
    for node in snap.nodes:
        proxy = Proxy(snap, node, "IPv4")
        tables = iptables.tables(snap, node)
        for _ in range(60):
            src = rng.choice([*pods, *nodes, *balancers, "198.51.100.7", "127.0.0.1"])
            dst = rng.choice([*destinations, "127.0.0.1"])
            packet = Packet(src, 40000, dst, rng.choice(numbers), rng.choice(("TCP", "TCP", "UDP")))
            sent = rng.choice((False, True)) if proxy.is_own(src) else False
            found, met = decide(snap, node, packet, sent), walk(tables, packet, proxy.is_own, sent)
            assert (found.verdict, {str(b) for b in found.backends}) == (met.verdict, set(met.endpoints)), packet
            if found.verdict == "DNAT":
                assert found.marked == met.marked
                assert len(met.marked_for) == sum(b.ip == src for b in found.backends)
                for backend in found.backends:
                    assert found.path(backend) == (*met.rules, *met.endpoints[str(backend)])
            elif found.verdict != "PASS":
                assert met.rules[-1] in found.chains and set(found.chains) <= set(met.rules), (found, met)
