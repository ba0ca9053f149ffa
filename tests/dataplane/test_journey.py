"""Journeys: what happens to a packet, where it is decided, and what the client learns."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8snet.controlplane.settings import NETWORKS, Internet, OutsideHost
from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane import journey
from k8snet.dataplane.client import Client
from k8snet.dataplane.trace import Hop, Trace, diff
from k8snet.manifests.errors import ApiError
from tests.dataplane.handmade import Hand, shop

MODELS = [n for n in NETWORKS if n != "docker"]


def decided(trace: Trace) -> Hop:
    """The hop that settled the outcome."""
    assert trace.deciding is not None
    return trace.deciding


def said(trace: Trace) -> str:
    """Everything a person reads."""
    return " ".join(str(trace).split())


# one symptom, three hops (F01, F02, F07)


def test_refused_for_three_reasons_is_told_apart_by_the_deciding_hop() -> None:
    no_endpoint = Hand().pod("client", 1, "none").pod("web", 2).service("svc", "").connect("client", "svc")
    wrong_port = (
        Hand().pod("client", 1, "none").pod("web", 2).service("svc", "web", target=9999).connect("client", "svc")
    )
    loopback = Hand().pod("client", 1, "none").pod("web", 2, "127.0.0.1:8080").service("svc", "web")
    only_inside = loopback.connect("client", "svc")
    traces = (no_endpoint, wrong_port, only_inside)
    assert {t.outcome.kind for t in traces} == {"refused"}
    assert [(decided(t).place.kind, decided(t).mechanism, decided(t).decision) for t in traces] == [
        ("node", "proxy", "REJECT"),
        ("pod", "listener", "refuse"),
        ("pod", "listener", "refuse"),
    ]
    assert "8080/TCP" in decided(wrong_port).why and "9999" in decided(wrong_port).why
    assert "localhost" in decided(only_inside).why
    assert len({(str(decided(t).rule), decided(t).why) for t in traces}) == 3


def test_a_loopback_listener_answers_inside_its_pod_and_by_port_forward_only() -> None:
    """C16, C40, F07, F56."""
    hand = Hand().pod("client", 1, "none").pod("web", 2, "127.0.0.1:8080").service("svc", "web")
    assert hand.connect("web", "127.0.0.1", 8080)
    assert hand.connect("web", "web", 8080).outcome.kind == "refused"
    assert hand.connect("client", "web", 8080).outcome.kind == "refused"
    assert journey.forward(hand.moment, "default/web", 8080)


def test_port_forward_meets_no_policy_and_no_service_rule() -> None:
    """C40: the Service has no endpoint and a policy denies everything, and still it works."""
    hand = Hand().pod("web", 2).service("svc", "").policy(policyTypes=["Ingress", "Egress"])
    trace = journey.forward(hand.moment, "default/web", 8080)
    assert trace and not {"proxy", "policy", "conntrack"} & {h.mechanism for h in trace.hops}
    assert journey.forward(hand.moment, "default/web", 81).outcome.kind == "refused"


# the kinds of communication and the model (C03 to C17)


@pytest.mark.parametrize("network", MODELS)
def test_pods_reach_each_other_and_the_server_sees_the_client(network: str) -> None:
    hand = shop(network)
    for server in ("web-1", "web-2"):
        trace = hand.connect("client", server, 8080)
        assert trace.outcome.server == f"default/{server}"
        assert trace.outcome.server_saw == hand.ip("client")
        assert trace.outcome.backend == f"{hand.ip(server)}:8080"


@pytest.mark.parametrize("network", MODELS)
def test_what_leaves_the_cluster_has_the_nodes_address(network: str) -> None:
    """C06."""
    trace = shop(network).connect("client", "203.0.113.200")
    assert (trace.outcome.server, trace.outcome.server_saw) == ("example.com", "192.168.10.11")
    assert any(h.decision == "SNAT" for h in trace.forward)


def test_a_range_without_masquerade_sees_the_pod_but_needs_a_way_back() -> None:
    """C84: the fabric of an overlay knows no Pod, that of a routed network does."""
    there = Internet(hosts=(OutsideHost("198.51.100.50", "office", (80,)),))
    knobs: dict[str, Any] = {"internet": there, "non_masquerade_cidrs": ("198.51.100.0/24",)}
    routed = shop("routed", **knobs).connect("client", "198.51.100.50")
    assert routed and routed.outcome.server_saw == "10.244.1.2"
    overlay = shop("overlay", **knobs).connect("client", "198.51.100.50")
    assert overlay.outcome.kind == "timed out" and decided(overlay).returning
    assert shop("overlay", internet=there).connect("client", "198.51.100.50").outcome.server_saw == "192.168.10.11"


@pytest.mark.parametrize("network", MODELS)
def test_a_node_reaches_its_own_pods_whatever_the_policy(network: str) -> None:
    """C07, T20; another node is no exception to the policy."""
    hand = shop(network).policy(policyTypes=["Ingress"])
    assert hand.connect("node-1", "web-1", 8080)
    assert hand.connect("node-2", "web-1", 8080).outcome.kind == "timed out"
    assert hand.connect("client", "web-1", 8080).outcome.kind == "timed out"


def test_a_reused_address_leads_to_the_wrong_application() -> None:
    """C12, C31: the stored address answers, from another Pod; an old connection is reset."""
    hand = Hand().pod("client", 1, "none").pod("old", 2)
    ip = hand.ip("old")
    before = hand.connect("client", ip, 8080)
    hand.remove("Pod", "old").pod("new", 2, ip=ip)
    assert hand.connect("client", ip, 8080).outcome.server == "default/new"
    assert journey.again(hand.moment, before).outcome.kind == "reset"


def test_a_host_network_pod_is_its_node() -> None:
    """C14, F29: same address, same ports, no policy of its own; and a podSelector does not find it."""
    hand = shop().pod("agent", 1, "9100", host_network=True).pod("probe", 2, "none")
    seen = hand.connect("probe", "node-1", 9100)
    assert seen.outcome.server == "default/agent"
    assert hand.connect("agent", "web-2", 8080).outcome.server_saw == "10.244.1.0"
    hand.policy(podSelector={"matchLabels": {"app": "web"}}, ingress=[{"from": [{"podSelector": {}}]}])
    assert hand.connect("client", "web-2", 8080)
    assert hand.connect("agent", "web-2", 8080).outcome.kind == "timed out"


@pytest.mark.parametrize(
    ("network", "seen"), [("bridge", "no route"), ("overlay", "no route"), ("routed", "timed out")]
)
def test_a_pod_range_over_the_offices_range_hides_the_office(network: str, seen: str) -> None:
    """C15, F41: by luck of allocation the printer's address is in this node's block."""
    office = Internet(hosts=(OutsideHost("10.244.1.99", "printer", (631,)),))
    hand = shop(network, internet=office)
    trace = hand.connect("client", "10.244.1.99", 631)
    assert trace.outcome.kind == seen
    assert "10.244.1.99" in decided(trace).why
    free = shop(network, internet=Internet(hosts=(OutsideHost("10.99.1.99", "printer", (631,)),)))
    assert free.connect("client", "10.99.1.99", 631)


def test_refused_is_at_once_and_silence_takes_as_long_as_linux_tries() -> None:
    """C17."""
    hand = shop()
    refused = hand.connect("client", "web-1", 81)
    silent = hand.connect("client", "192.0.2.200", 80)
    assert (refused.outcome.kind, refused.outcome.seconds) == ("refused", 0)
    assert (silent.outcome.kind, silent.outcome.seconds) == ("timed out", 130)


# Services


@pytest.mark.parametrize("network", MODELS)
@pytest.mark.parametrize("client", ["client", "web-1", "node-1", "node-3"])
def test_a_service_is_reached_from_pods_and_nodes(network: str, client: str) -> None:
    hand = shop(network)
    found = {hand.connect(client, "web").outcome.server for _ in range(20)}
    assert found == {"default/web-1", "default/web-2"}


@pytest.mark.parametrize(
    ("network", "here", "there"),
    [
        ("bridge", "10.244.1.1", "192.168.10.11"),
        ("overlay", "10.244.1.1", "10.244.1.0"),
        ("routed", "192.168.10.11", "192.168.10.11"),
    ],
)
def test_masquerade_takes_the_address_of_the_device_it_leaves_by(network: str, here: str, there: str) -> None:
    """inet_select_addr: cni0's, flannel.1's, or, where the device has none, eth0's."""
    hand = shop(network)
    for _ in range(12):
        outcome = hand.connect("node-1", "web").outcome
        assert outcome.server_saw == (here if outcome.server == "default/web-1" else there)


@pytest.mark.parametrize("network", MODELS)
def test_outside_reaches_a_node_port_on_every_node(network: str) -> None:
    """C64: also on a node without a Pod; the answer comes back through the node that was asked."""
    hand = shop(network)
    for node in ("node-1", "node-2", "node-3"):
        trace = hand.connect("outside", node, 30080)
        assert trace and trace.returning[-1].place.name == "laptop"
    assert hand.connect("outside", "node-1", 30081).outcome.kind == "refused"


def test_local_policy_keeps_the_client_and_drops_on_empty_nodes() -> None:
    """C67, F32, T03."""
    hand = (
        Hand().pod("web-1", 1).service("web", "web-1", type="NodePort", node_port=30080, externalTrafficPolicy="Local")
    )
    assert hand.connect("outside", "node-1", 30080).outcome.server_saw == "198.51.100.7"
    empty = hand.connect("outside", "node-2", 30080)
    assert empty.outcome.kind == "timed out" and decided(empty).decision == "DROP"


def test_internal_policy_local_never_leaves_the_node() -> None:
    """C36, T03."""
    hand = Hand().pod("client", 1, "none").pod("near", 2, "none").pod("web-1", 2)
    hand.service("web", "web-1", internalTrafficPolicy="Local")
    assert hand.connect("near", "web")
    assert hand.connect("client", "web").outcome.kind == "timed out"


@pytest.mark.parametrize("network", MODELS)
def test_no_endpoint_is_refused_wherever_one_asks_from(network: str) -> None:
    """T02, from TestNoEndpointsReject of the iptables proxier."""
    hand = Hand(2, network).pod("client", 1, "none").service("web", "", type="NodePort", node_port=30080)
    for client, target, port in (("client", "web", 80), ("outside", "node-2", 30080), ("client", "node-2", 30080)):
        assert hand.connect(client, target, port).outcome.kind == "refused"


def test_a_port_that_the_service_lacks_hangs_in_iptables_and_is_refused_in_nftables() -> None:
    """F12, T08 (kubernetes/kubernetes#122692)."""
    assert shop().connect("client", "web", 81).outcome.kind == "timed out"
    assert shop(mode="nftables").connect("client", "web", 81).outcome.kind == "refused"


def test_a_tcp_service_is_no_udp_service() -> None:
    """F11, C26."""
    hand = Hand().pod("client", 1, "none").pod("dns", 2, "53/UDP").service("svc", "dns", port=53, target=53)
    assert hand.connect("client", "svc", 53, "UDP").outcome.kind == "timed out"
    assert hand.connect("client", "svc", 53).outcome.kind == "refused"
    assert hand.connect("client", "dns", 53, "UDP")


def test_cluster_ips_do_not_answer_ping() -> None:
    """C32, F13, T08."""
    hand = shop()
    assert hand.connect("client", "web", 0, "ICMP").outcome.kind == "timed out"
    assert hand.connect("client", "web", 80)
    assert hand.connect("client", "web-2", 0, "ICMP")


@pytest.mark.parametrize("ip", ["127.0.0.1", "::1"])
def test_a_node_reaches_its_own_programs_over_loopback(ip: str) -> None:
    trace = shop().connect("node-1", ip, 10250)
    assert trace and {h.place.device for h in trace.hops if h.mechanism == "listener"} == {"lo"}


def test_three_hundred_connections_are_spread_and_one_connection_is_not() -> None:
    """C29, C30, F47."""
    hand = shop()
    many = Counter(hand.connect("client", "web").outcome.server for _ in range(300))
    assert set(many) == {"default/web-1", "default/web-2"} and min(many.values()) > 100
    first = hand.connect("client", "web")
    assert {journey.again(hand.moment, first).outcome.server for _ in range(50)} == {first.outcome.server}


@pytest.mark.parametrize("other", ["web-1", "twin"])
def test_two_connections_that_meet_behind_their_services_get_different_source_ports(other: str) -> None:
    """As in the kernel (get_unique_tuple, nf_nat_core.c): otherwise the answers of one would be rewritten as the other's."""
    hand = Hand().pod("client", 1, "none").pod("web-1", 2).service("web", "web-1").service("twin", "web-1")
    target, port = ("web-1", 8080) if other == "web-1" else (other, 80)
    calls = [
        journey.connect(hand.moment, hand.client("client"), hand.address(name), number, sport=40000)
        for name, number in (("web", 80), (target, port))
    ]
    assert all(calls) and calls[1].hops[-1].before.sport == port
    assert all(journey.again(hand.moment, call) for call in calls)


def test_affinity_sticks_by_the_address_that_the_node_sees() -> None:
    """C33, T09."""
    hand = Hand().pod("client", 1, "none").pod("web-1", 1).pod("web-2", 2)
    hand.service("web", "web-1 web-2", sessionAffinity="ClientIP")
    assert len({hand.connect("client", "web").outcome.server for _ in range(30)}) == 1


def test_an_open_connection_outlives_its_endpoint() -> None:
    """C30: the slice changes under way; the old connection stays where it was, a new one goes elsewhere."""
    hand = shop()
    first = next(t for t in iter(lambda: hand.connect("client", "web"), None) if t.outcome.server == "default/web-1")
    hand.remove("EndpointSlice", "web-1").remove("Service", "web").service(
        "web", "web-2", clusterIP=first.hops[0].before.dst
    )  # type: ignore[union-attr]
    assert hand.connect("client", "web").outcome.server == "default/web-2"
    later = journey.again(hand.moment, first)
    assert later.outcome.server == "default/web-1"
    assert "conntrack" in {h.mechanism for h in later.forward} and "proxy" not in {h.mechanism for h in later.forward}


@pytest.mark.parametrize("network", NETWORKS)
def test_a_pod_reaches_itself_through_its_service_only_with_hairpin(network: str) -> None:
    """C38, F39: with hairpin off a bridged Pod hangs when it is chosen itself; a routed Pod has no bridge to do it."""
    on = Hand(1, network).pod("web", 1).service("svc", "web")
    assert on.connect("web", "svc").outcome.server == "default/web"
    off = Hand(1, network, hairpin=False).pod("web", 1).service("svc", "web").connect("web", "svc")
    assert off.outcome.kind == ("delivered" if network in ("routed", "cloud", "ebpf") else "timed out")
    if not off:
        assert "hairpin" in decided(off).why


def test_hairpin_shows_the_node_as_sender() -> None:
    """T06."""
    assert Hand(1).pod("web", 1).service("svc", "web").connect("web", "svc").outcome.server_saw == "10.244.1.1"


def test_a_dead_endpoint_is_not_tried_elsewhere() -> None:
    """C31."""
    hand = Hand().pod("client", 1, "none").pod("web", 2).service("svc", "web")
    hand.remove("Pod", "web")
    assert hand.connect("client", "svc").outcome.kind == "no route"


def test_a_host_port_is_found_on_its_own_node_only() -> None:
    """C75."""
    hand = Hand().pod("client", 2, "none").pod("web", 1, ports=[{"containerPort": 8080, "hostPort": 8888}])
    assert hand.connect("outside", "node-1", 8888).outcome.server_saw == "198.51.100.7"
    assert hand.connect("client", "node-1", 8888)
    assert hand.connect("node-1", "127.0.0.1", 8888).outcome.server_saw == "10.244.1.1"
    assert hand.connect("outside", "node-2", 8888).outcome.kind == "refused"


def test_with_ebpf_the_cluster_ip_is_never_on_the_wire() -> None:
    """C85: the address is replaced at connect(), so no later hop knows it."""
    hand = shop("ebpf")
    trace = hand.connect("client", "web")
    address = hand.address("web")
    assert decided_at_connect(trace)
    assert not any(address in str(p) for h in trace.hops[1:] for p in (h.before, h.after))
    assert any(address in str(h.before) for h in shop("bridge").connect("client", "web").hops[1:])


def decided_at_connect(trace: Trace) -> bool:
    """Whether the first hop is the replacement in the program's own connect()."""
    return (trace.hops[0].place.device, trace.hops[0].decision) == ("connect()", "DNAT")


# policy under way


def test_a_drop_says_which_end_and_which_rule() -> None:
    hand = shop().policy(podSelector={"matchLabels": {"app": "web"}}, ingress=[{"from": [{"podSelector": {}}]}])
    assert hand.connect("client", "web")
    trace = hand.connect("outside", "node-3", 30080)
    assert trace.outcome.kind == "timed out"
    assert (decided(trace).mechanism, decided(trace).place.name) == ("policy", trace.hops[-1].place.node)
    assert "spec" in str(decided(trace).rule)


def test_egress_is_decided_at_the_clients_node_after_translation() -> None:
    """C56, C58, F24: the policy sees the Pod's port, not the Service's."""
    for port, kind in ((80, "timed out"), (8080, "delivered")):
        hand = shop().policy(policyTypes=["Egress"], egress=[{"ports": [{"port": port}]}])
        trace = hand.connect("client", "web")
        assert trace.outcome.kind == kind
        where = next(h for h in trace.hops if h.mechanism == "policy")
        assert where.place.name == "node-1"


def test_ping_of_an_isolated_pod_is_undefined() -> None:
    """T20."""
    trace = shop().policy(policyTypes=["Ingress"]).connect("client", "web-2", 0, "ICMP")
    assert trace.outcome.kind == "undefined" and "not" in trace.outcome.message


def test_a_policy_that_comes_later_leaves_an_open_connection_undefined() -> None:
    """F31, T20."""
    hand = shop()
    first = hand.connect("client", "web")
    hand.policy(policyTypes=["Ingress"])
    assert hand.connect("client", "web").outcome.kind == "timed out"
    later = journey.again(hand.moment, first)
    assert later.outcome.kind == "undefined" and "conntrack" in later.outcome.message
    assert [h.decision for h in later.hops if h.mechanism == "policy"] == ["undefined"], "no drop, and then on"
    assert later.deciding is not None and later.deciding.mechanism == "policy"
    assert later.deciding.rule is not None and "older" in later.deciding.why


def test_a_plugin_that_does_not_enforce_lets_all_pass() -> None:
    """C60, F28."""
    trace = shop(enforce_policy=False).policy(policyTypes=["Ingress", "Egress"]).connect("client", "web")
    assert trace and "ignores" in said(trace)


def test_the_metadata_address_is_open_until_egress_excepts_it() -> None:
    """F54."""
    hand = shop()
    assert hand.connect("client", "169.254.169.254", 80)
    block = {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]}}
    hand.policy(policyTypes=["Egress"], egress=[{"to": [block]}])
    assert hand.connect("client", "169.254.169.254", 80).outcome.kind == "timed out"
    assert hand.connect("client", "203.0.113.200", 80)


# wires that fail


@pytest.mark.parametrize("network", ["bridge", "routed", "overlay", "ebpf"])
def test_a_withdrawn_route_takes_away_one_nodes_pods(network: str) -> None:
    """F44, C82."""
    hand = shop(network, withdrawn_routes=frozenset({"node-2"}))
    assert hand.connect("client", "web-1", 8080)
    trace = hand.connect("client", "web-2", 8080)
    assert trace.outcome.kind == "timed out" and decided(trace).place.name == "router"
    assert hand.connect("web-2", "web-1", 8080).outcome.kind == "timed out", "and the answers to them are lost too"


def test_a_closed_overlay_port_cuts_nodes_apart() -> None:
    """F43."""
    hand = shop("overlay", overlay_port_open=False)
    assert hand.connect("client", "web-1", 8080)
    trace = hand.connect("client", "web-2", 8080)
    assert trace.outcome.kind == "timed out" and "8472" in decided(trace).why


def test_an_mtu_too_big_for_the_overlay_loses_only_big_packets() -> None:
    """F42, C81."""
    hand = shop("overlay", pod_mtu=1500)
    assert hand.connect("client", "web-2", 8080)
    assert hand.connect("client", "web-2", 8080, size=1400)
    assert hand.connect("client", "web-2", 8080, size=1500).outcome.kind == "timed out"
    assert hand.connect("client", "web-1", 8080, size=1500), "on the same node nothing is wrapped"
    right = shop("overlay")
    assert right.connect("client", "web-2", 8080, size=1500), "TCP sends what fits"
    assert right.connect("outside", "node-1", 30080, size=1500)


@pytest.mark.parametrize(("network", "fits", "too_big"), [("overlay", 1450, 1451), ("bridge", 1500, 1501)])
def test_a_ping_that_must_not_be_cut_finds_the_mtu(network: str, fits: int, too_big: int) -> None:
    """C81."""
    hand = shop(network)
    assert hand.connect("client", "web-2", 0, "ICMP", size=fits)
    assert hand.connect("client", "web-2", 0, "ICMP", size=too_big).outcome.message == f"message too long, mtu={fits}"


def test_an_overlay_wraps_and_a_bridge_does_not() -> None:
    """C80: the fabric sees only nodes; the inner packet is untouched."""
    trace = shop("overlay").connect("client", "web-2", 8080)
    wrapped = next(h.after for h in trace.hops if h.decision == "wrap")
    assert wrapped is not None and wrapped.outer is not None
    assert (wrapped.outer.src, wrapped.outer.dst, wrapped.outer.dport, wrapped.vni) == (
        "192.168.10.11",
        "192.168.10.12",
        8472,
        1,
    )
    assert wrapped.outer.size == wrapped.size + 50 and wrapped.unwrap().src == "10.244.1.2"
    assert not any(h.after and h.after.outer for h in shop("bridge").connect("client", "web-2", 8080).hops)


def test_docker_hides_containers_behind_their_host() -> None:
    """The counter-example: the same private address twice, and only published ports are reached from another host."""
    hand = Hand(2, "docker").pod("a", 1, "none").pod("b", 1).pod("c", 2)
    hand.pod("d", 2, ports=[{"containerPort": 8080, "hostPort": 8888}])
    assert hand.ip("a") == hand.ip("c")
    assert hand.connect("b", hand.ip("c"), 8080).outcome.server == "default/a", "its own neighbour answers"
    published = hand.connect("a", "node-2", 8888)
    assert published.outcome.server == "default/d" and published.outcome.server_saw == "192.168.10.11"


# the account itself


def test_addresses_that_a_pod_has_not_are_said_so() -> None:
    hand = Hand().pod("client", 1, "none")
    assert hand.connect("client", "fd00::1", 80).outcome.kind == "no route"
    hand.objects[-1]["status"]["podIP"] = None
    hand.moment.snapshot = Snapshot(hand.objects, hand.settings)
    assert "no address" in hand.connect("client", "10.244.1.9", 80).outcome.message


def test_unknown_clients_are_not_found_in_the_servers_words() -> None:
    hand = Hand()
    with pytest.raises(ApiError, match='pods "ghost" not found'):
        hand.connect("ghost", "10.244.1.2")
    with pytest.raises(ApiError, match='nodes "node-9" not found'):
        hand.connect("node-9", "10.244.1.2")


def test_a_dump_does_not_say_what_listens() -> None:
    hand = Hand(1, loaded=True).pod("client", 1, "none").pod("web", 1)
    del hand.objects[-1]["metadata"]["annotations"]
    outcome = hand.connect("client", "web", 12345).outcome
    assert outcome and "not in the dump" in outcome.message
    hand.pod("agent", 1, host_network=True)
    assert hand.connect("client", "node-1", 12345).outcome.kind == "refused"
    del hand.objects[-1]["metadata"]["annotations"]
    hand.moment.snapshot = Snapshot(hand.objects, hand.settings)
    assert "not in the dump" in hand.connect("client", "node-1", 12345).outcome.message


def test_two_families_each_find_their_way() -> None:
    hand = Hand(2, "overlay").pod("a", 1, "none").pod("b", 2)
    for n, node in enumerate(hand.objects[:2], 1):
        node["spec"]["podCIDRs"].append(f"fd00:10:244:{n}::/64")
        node["status"]["addresses"].append({"type": "InternalIP", "address": f"fd00:192::{n}"})
        pod = hand.objects[n + 1]
        pod["status"]["podIPs"] = [{"ip": pod["status"]["podIP"]}, {"ip": f"fd00:10:244:{n}::2"}]
    trace = hand.connect("a", "fd00:10:244:2::2", 8080)
    assert trace.outcome.server == "default/b" and trace.outcome.server_saw == "fd00:10:244:1::2"


def test_stop_at_ends_the_account() -> None:
    hand = shop()
    for at, last in ((2, 2), ("proxy", 2), ("DNAT", 2)):
        trace = hand.connect("client", "web").until(at)
        assert trace.outcome.kind == "stopped" and len(trace.hops) == last
    assert hand.connect("client", "web").until(99)


def test_again_wants_a_trace_that_opened_a_connection() -> None:
    trace = shop().connect("client", "web")
    with pytest.raises(ValueError, match="opened no connection"):
        journey.again(shop().moment, Trace("a look-up", trace.hops, trace.outcome))


def test_diff_answers_what_changed() -> None:
    before, after = shop(), shop().policy(policyTypes=["Ingress"])
    same = diff(before.connect("client", "web-2", 8080), before.connect("client", "web-2", 8080))
    assert not same and str(same).startswith("no difference")
    changed = diff(before.connect("client", "web-2", 8080), after.connect("client", "web-2", 8080))
    assert max(map(len, str(changed).splitlines())) <= 96
    assert changed and next(text for sign, text in changed.lines if sign == "+").startswith("→ node node-2 [policy]")
    assert ("+", "outcome timed out: policy drops it in silence (Ingress of Pod default/web-2)") in changed.lines


def test_the_same_seed_tells_the_same_story() -> None:
    def story() -> list[str]:
        hand = shop(seed=5)
        return [str(hand.connect(c, "web")) for c in ("client", "node-2", "web-1") for _ in range(5)]

    assert story() == story()


def test_text_data_and_brief_form_are_complete() -> None:
    trace = shop().policy(policyTypes=["Ingress"], ingress=[{}]).connect("client", "web")
    text = str(trace)
    assert all(" ".join(h.why.split()) in said(trace) for h in trace.hops)
    assert all(str(h.rule) in text for h in trace.hops if h.rule)
    assert all(len(line) <= 110 for line in text.splitlines() if "|" not in line)
    data = json.loads(json.dumps(trace.to_dict()))
    assert [h["why"] for h in data["hops"]] == [h.why for h in trace.hops]
    assert len(trace.brief.splitlines()) == len(trace.hops) + 2
    for hop in trace.hops:
        lines = str(hop).splitlines()
        assert max(map(len, lines)) <= 96 and all(line.startswith("    ") for line in lines[1:])
        assert hop.why in " ".join(str(hop).split())


@given(
    network=st.sampled_from(NETWORKS),
    seed=st.integers(0, 10_000),
    client=st.sampled_from(["client", "web-1", "web-2", "node-1", "node-3", "outside"]),
    target=st.sampled_from(["web", "web-1", "web-2", "node-1", "node-2", "203.0.113.200", "192.0.2.1", "127.0.0.1"]),
    port=st.sampled_from([80, 8080, 30080, 10250, 9]),
    protocol=st.sampled_from(["TCP", "UDP", "ICMP", "SCTP"]),
    mode=st.sampled_from(["iptables", "nftables"]),
)
def test_every_account_hangs_together(
    network: str, seed: int, client: str, target: str, port: int, protocol: str, mode: str
) -> None:
    """Each hop takes the packet as the one before left it, the answer turns it round once, and each says why."""
    hand = shop(network, seed=seed, mode=mode)
    trace = hand.connect(client, target, port, protocol)
    assert trace.hops and all(h.why.endswith(".") for h in trace.hops)
    for before, after in zip(trace.hops, trace.hops[1:], strict=False):
        assert before.after is not None and after.before is not None
        expected = before.after.reply() if after.returning and not before.returning else before.after
        assert after.before.flow == expected.flow
        assert not (before.returning and not after.returning)
    if trace:
        assert trace.returning[-1].decision == "receive"
        assert (
            trace.returning[-1].before is not None and trace.returning[-1].before.dst == trace.annotations["packet"].src
        )
        assert trace.outcome.server and trace.outcome.server_saw and trace.outcome.backend


def test_an_outside_client_has_its_own_localhost() -> None:
    """F33."""
    trace = shop().connect("outside", "127.0.0.1", 30080)
    assert trace.outcome.kind == "refused" and "itself" in trace.outcome.message


def test_a_pod_of_a_dump_without_nodes_still_has_rules() -> None:
    hand = Hand(0).pod("client", 1, "none").pod("web", 1).service("svc", "web")
    for obj in hand.objects[:2]:
        del obj["spec"]["nodeName"]
    trace = hand.connect("client", "svc")
    assert trace.outcome.server == "default/web"
    assert journey.connect(hand.moment, Client("pod", "default/client"), hand.ip("web"), 9).outcome.kind == "refused"
