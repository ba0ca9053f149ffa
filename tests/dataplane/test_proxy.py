"""What one node's kube-proxy does with a packet, restated from kube-proxy's own tests (named at each)."""

from __future__ import annotations

import json

import pytest

from k8snet.dataplane.proxy import Proxy, health_check
from tests.dataplane.service_objects import NODE, OUTSIDE, POD, ask, backends, chosen, endpoint, node, service, snapshot

HERE, THERE = endpoint("10.244.1.5"), endpoint("10.244.2.5", "node-2")
NODE_PORT = [{"port": 80, "targetPort": 8080, "nodePort": 30080}]
LOCAL = {"type": "NodePort", "ports": NODE_PORT, "externalTrafficPolicy": "Local"}
CLUSTER = {"type": "NodePort", "ports": NODE_PORT, "externalTrafficPolicy": "Cluster"}


def balanced(**spec):
    kind = {"type": "LoadBalancer", "ports": NODE_PORT, **spec}
    return service(balancer=[{"ip": "203.0.113.1", "ipMode": "VIP"}], **kind)


def test_cluster_ip_is_rewritten_to_any_ready_endpoint_and_a_pod_keeps_its_address():
    """TestClusterIPGeneral."""
    snap = snapshot(service(), backends(HERE, THERE, endpoint("10.244.1.6", ready=False)))
    decision = ask(snap, POD, "10.96.0.20")
    assert (decision.verdict, chosen(decision)) == ("DNAT", ["10.244.1.5:8080", "10.244.2.5:8080"])
    assert not decision.masquerade
    assert str(decision.rule) == "service/default/web spec.ports[0]"
    assert [str(b.ref) for b in decision.backends] == [
        "endpointslice/default/web-1 endpoints[0]",
        "endpointslice/default/web-1 endpoints[1]",
    ]


@pytest.mark.parametrize(("port", "protocol"), [(81, "TCP"), (80, "UDP"), (80, "SCTP"), (0, "ICMP")])
def test_other_ports_and_protocols_of_a_cluster_ip(port, protocol):
    """TestClusterIPGeneral: in iptables mode no rule matches, in nftables mode the cluster IP itself refuses."""
    objects = service(), backends(HERE)
    passed = ask(snapshot(*objects), POD, "10.96.0.20", port, protocol)
    assert (passed.verdict, str(passed.rule)) == ("PASS", "service/default/web spec.ports")
    assert ask(snapshot(*objects, mode="nftables"), POD, "10.96.0.20", port, protocol).verdict == "REJECT"


def test_an_address_of_the_service_range_that_nobody_has():
    assert ask(snapshot(), POD, "10.96.9.9").verdict == "PASS"
    assert ask(snapshot(mode="nftables"), POD, "10.96.9.9").verdict == "DROP"


@pytest.mark.parametrize("src", [POD, OUTSIDE])
@pytest.mark.parametrize(("dst", "port"), [("10.96.0.20", 80), ("203.0.113.1", 80), (NODE, 30080), ("198.18.0.1", 80)])
def test_no_endpoint_anywhere_is_refused_at_every_address(src, dst, port):
    """TestNoEndpointsReject."""
    snap = snapshot(balanced(externalIPs=["198.18.0.1"], externalTrafficPolicy="Local"))
    decision = ask(snap, src, dst, port)
    assert (decision.verdict, str(decision.rule)) == ("REJECT", "service/default/web spec.ports[0]")
    assert decision.why == "default/web has no endpoints: refused"


def test_what_the_node_itself_sends_to_an_external_address_without_endpoints_is_not_refused():
    """KUBE-EXTERNAL-SERVICES is reached from INPUT and FORWARD only; a node port of its own comes in again by lo."""
    snap = snapshot(balanced(externalTrafficPolicy="Cluster"))
    assert ask(snap, NODE, "203.0.113.1", own=True).verdict == "PASS"
    assert ask(snap, NODE, NODE, 30080, own=True).verdict == "REJECT"
    assert ask(snap, NODE, "10.96.0.20", own=True).verdict == "REJECT"


@pytest.mark.parametrize(
    ("slices", "why"),
    [
        ([backends(endpoint("10.244.1.5", ready=False))], "none of the 1 endpoints of default/web is ready"),
        ([backends(HERE, port_name="http")], "the EndpointSlices of default/web list no IPv4 endpoint for port"),
        ([backends()], "default/web has no endpoints"),
    ],
)
def test_a_refusal_says_what_is_lacking(slices, why):
    assert ask(snapshot(service(), *slices), POD, "10.96.0.20").why.startswith(why)


def test_internal_policy_local_drops_where_the_node_has_none():
    """TestInternalTrafficPolicy: silence, though others exist; nothing at all is a refusal."""
    spec = {"internalTrafficPolicy": "Local"}
    snap = snapshot(service(**spec), backends(HERE))
    assert chosen(ask(snap, POD, "10.96.0.20")) == ["10.244.1.5:8080"]
    dropped = ask(snap, POD, "10.96.0.20", at="node-2")
    assert (dropped.verdict, str(dropped.rule)) == ("DROP", "service/default/web spec.internalTrafficPolicy")
    assert ask(snapshot(service(**spec)), POD, "10.96.0.20").verdict == "REJECT"


def test_external_policy_local_spares_pods_and_the_node_itself():
    """TestExternalTrafficPolicyLocal, TestInternalExternalMasquerade."""
    snap = snapshot(service(**LOCAL), backends(THERE))
    pod, own, outside = (ask(snap, src, NODE, 30080) for src in (POD, NODE, OUTSIDE))
    assert (chosen(pod), pod.masquerade) == (["10.244.2.5:8080"], False)
    assert (chosen(own), own.masquerade) == (["10.244.2.5:8080"], True)
    assert (outside.verdict, str(outside.rule)) == ("DROP", "service/default/web spec.externalTrafficPolicy")
    reached = ask(snap, OUTSIDE, "192.168.10.12", 30080, at="node-2")
    assert (chosen(reached), reached.masquerade, reached.list) == (["10.244.2.5:8080"], False, "Local")


def test_without_a_pod_range_pods_get_no_short_cut_and_no_masquerade():
    """TestInternalExternalMasquerade (no LocalTrafficDetector)."""
    snap = snapshot(service(**LOCAL), backends(HERE, THERE), cluster_cidr="")
    assert chosen(ask(snap, POD, NODE, 30080)) == ["10.244.1.5:8080"]
    assert not ask(snap, OUTSIDE, "10.96.0.20").masquerade


@pytest.mark.parametrize(
    ("src", "dst", "port", "masqueraded"),
    [
        (POD, "10.96.0.20", 80, False),
        (NODE, "10.96.0.20", 80, True),
        (OUTSIDE, "10.96.0.20", 80, True),
        (POD, NODE, 30080, True),
        (OUTSIDE, NODE, 30080, True),
        ("10.244.1.5", "10.96.0.20", 80, True),
    ],
)
def test_who_is_masqueraded_with_both_policies_cluster(src, dst, port, masqueraded):
    """TestInternalExternalMasquerade (base); the last is the hairpin: an endpoint that reaches itself."""
    assert ask(snapshot(service(**CLUSTER), backends(HERE)), src, dst, port).masquerade is masqueraded


def test_hairpin_masquerades_for_the_sender_itself_only():
    decision = ask(snapshot(service(), backends(HERE, THERE)), "10.244.1.5", "10.96.0.20")
    assert [decision.masqueraded(b) for b in decision.backends] == [True, False]


def test_masquerade_all_does_it_for_pods_too():
    assert ask(snapshot(service(), backends(HERE), masquerade_all=True), POD, "10.96.0.20").masquerade


def test_terminating_endpoints_serve_only_when_nothing_is_ready():
    """TestTerminatingEndpointsTrafficPolicyCluster and …Local: each list falls back by itself."""
    ending = endpoint("10.244.1.6", ready=False, serving=True, terminating=True)
    failed = endpoint("10.244.1.7", ready=False, serving=True)
    both = snapshot(service(**LOCAL), backends(ending, failed, THERE))
    assert chosen(ask(both, POD, "10.96.0.20")) == ["10.244.2.5:8080"]
    assert chosen(ask(both, OUTSIDE, NODE, 30080)) == ["10.244.1.6:8080"]
    assert chosen(ask(snapshot(service(), backends(ending, failed)), POD, "10.96.0.20")) == ["10.244.1.6:8080"]
    assert ask(snapshot(service(), backends(failed)), POD, "10.96.0.20").verdict == "REJECT"


def test_hints_narrow_the_cluster_list_only_if_every_ready_endpoint_has_one():
    """TestCategorizeEndpoints, topologyModeFromHints."""
    nodes = node(zone="a"), node("node-2", "192.168.10.12", zone="b")
    near, far = endpoint("10.244.1.5", zone="a", nodes="node-1"), endpoint("10.244.2.5", "node-2", zone="b")
    decision = ask(snapshot(*nodes, service(), backends(near, far)), POD, "10.96.0.20")
    assert (
        chosen(decision) == ["10.244.1.5:8080"]
        and "the only usable endpoint that hints leave to this zone" in decision.why
    )
    unhinted = endpoint("10.244.2.6", "node-2")
    assert len(ask(snapshot(*nodes, service(), backends(near, far, unhinted)), POD, "10.96.0.20").backends) == 3
    unready = endpoint("10.244.2.6", "node-2", ready=False)
    assert len(ask(snapshot(*nodes, service(), backends(near, far, unready)), POD, "10.96.0.20").backends) == 1
    same_node = endpoint("10.244.1.5", zone="a", nodes="node-1"), endpoint("10.244.1.6", zone="a", nodes="node-2")
    assert "leave to this node" in ask(snapshot(*nodes, service(), backends(*same_node)), POD, "10.96.0.20").why


def test_endpoints_are_merged_and_sorted_as_text():
    """endpointslicecache.go: equal ip:port once, only the first address, the other family's slices ignored."""
    double = {**endpoint("10.244.1.11"), "addresses": ["10.244.1.11", "10.244.1.99"]}
    snap = snapshot(
        service(),
        backends(endpoint("10.244.1.1", "node-2"), double, port=11),
        backends(endpoint("10.244.1.1"), endpoint("10.244.1.2"), port=11, suffix="2"),
        backends(endpoint("fd00::1"), port=11, kind="IPv6", suffix="3"),
    )
    assert chosen(ask(snap, POD, "10.96.0.20")) == ["10.244.1.11:11", "10.244.1.1:11", "10.244.1.2:11"]


@pytest.mark.parametrize("order", [1, -1])
def test_a_pod_that_has_the_address_of_one_still_terminating_is_the_one_that_counts(order):
    """endpointslicecache.go addEndpoints: of equal ip:port, one that does not terminate is kept, whatever the order."""
    old = endpoint("10.244.1.5", "node-2", ready=False, serving=True, terminating=True)
    snap = snapshot(service(internalTrafficPolicy="Local"), backends(*[old, HERE][::order]))
    assert chosen(ask(snap, POD, "10.96.0.20")) == ["10.244.1.5:8080"]


def test_absent_conditions_mean_ready_and_not_terminating():
    bare = {"addresses": ["10.244.1.5"]}
    snap = snapshot(service(internalTrafficPolicy="Local"), backends(bare))
    assert ask(snap, POD, "10.96.0.20").verdict == "DROP", "no nodeName: local nowhere"
    assert len(ask(snapshot(service(), backends(bare)), POD, "10.96.0.20").backends) == 1


def test_source_ranges_guard_the_load_balancer_address_alone():
    """TestLoadBalancer: Pods and nodes are judged too; the balancer's own address passes if the node is in a range."""
    snap = snapshot(
        balanced(externalTrafficPolicy="Cluster", loadBalancerSourceRanges=["198.51.100.0/24"]), backends(HERE)
    )
    assert ask(snap, OUTSIDE, "203.0.113.1").verdict == "DNAT"
    for src in (POD, NODE, "203.0.113.1"):
        refused = ask(snap, src, "203.0.113.1")
        assert (refused.verdict, refused.rule.field) == ("DROP", "spec.loadBalancerSourceRanges")
    assert ask(snap, "198.18.9.9", NODE, 30080).verdict == "DNAT"
    with_node = balanced(externalTrafficPolicy="Cluster", loadBalancerSourceRanges=["192.168.10.0/24"])
    assert ask(snapshot(with_node, backends(HERE)), "203.0.113.1", "203.0.113.1").verdict == "DNAT"


def test_source_ranges_without_endpoints():
    """iptables refuses everybody; nftables looks at the ranges first."""
    guarded = balanced(loadBalancerSourceRanges=["198.18.0.0/24"])
    assert ask(snapshot(guarded), OUTSIDE, "203.0.113.1").verdict == "REJECT"
    assert ask(snapshot(guarded, mode="nftables"), OUTSIDE, "203.0.113.1").verdict == "DROP"


@pytest.mark.parametrize("entry", [{"ip": "203.0.113.1", "ipMode": "Proxy"}, {"hostname": "lb.example.com"}])
def test_a_balancer_that_ends_connections_itself_is_not_captured(entry):
    """TestLoadBalancerIngressRouteTypeProxy."""
    snap = snapshot(service(type="LoadBalancer", ports=NODE_PORT, balancer=[entry]), backends(HERE))
    assert ask(snap, POD, "203.0.113.1").verdict == "PASS"


@pytest.mark.parametrize(
    ("settings", "taken", "left"),
    [
        ({}, ["192.168.10.11", "192.168.20.11", "127.0.0.1", "127.0.0.9"], []),
        ({"localhost_node_ports": False}, ["192.168.10.11", "192.168.20.11"], ["127.0.0.1"]),
        ({"node_port_addresses": ("192.168.10.0/24",)}, ["192.168.10.11"], ["192.168.20.11", "127.0.0.1"]),
        ({"node_port_addresses": ("192.168.20.0/24", "127.0.0.0/8")}, ["192.168.20.11", "127.0.0.1"], ["127.0.0.9"]),
        ({"node_port_addresses": ("2001:db8::/64",)}, ["192.168.10.11", "192.168.20.11", "127.0.0.1"], []),
        ({"node_port_addresses": ("0.0.0.0/0",)}, ["192.168.10.11", "192.168.20.11", "127.0.0.1"], []),
        ({"node_port_addresses": ("primary",)}, ["192.168.10.11"], ["192.168.20.11", "127.0.0.1"]),
        ({"mode": "nftables"}, ["192.168.10.11"], ["192.168.20.11", "127.0.0.1"]),
    ],
)
def test_at_which_addresses_node_ports_are_served(settings, taken, left):
    """TestNodePorts, of iptables and of nftables."""
    snap = snapshot(node("node-1", "192.168.10.11", "192.168.20.11"), service(**CLUSTER), backends(HERE), **settings)
    for ip in taken:
        decision = ask(snap, ip if ip.startswith("127.") else OUTSIDE, ip, 30080)
        assert (ip, decision.verdict, decision.masquerade) == (ip, "DNAT", True)
    assert [ask(snap, OUTSIDE, ip, 30080).verdict for ip in left] == ["PASS"] * len(left)


def test_a_node_port_without_endpoints_is_refused_also_where_it_is_not_served():
    """The filter rule says only: an address of this node."""
    where = {"node_port_addresses": ("192.168.99.0/24",)}
    assert ask(snapshot(service(**CLUSTER), **where), OUTSIDE, NODE, 30080).verdict == "REJECT"
    assert ask(snapshot(service(**CLUSTER), **where, mode="nftables"), OUTSIDE, NODE, 30080).verdict == "PASS"
    elsewhere = snapshot(service(**LOCAL), backends(THERE), **where)
    assert ask(elsewhere, OUTSIDE, NODE, 30080).verdict == "DROP"


def test_another_nodes_node_port_is_that_nodes_business():
    assert ask(snapshot(service(**CLUSTER), backends(HERE)), POD, "192.168.10.12", 30080).verdict == "PASS"


@pytest.mark.parametrize("spec", [{"clusterIP": "None"}, {"type": "ExternalName", "externalName": "a.example."}])
def test_headless_and_external_name_services_have_no_rules(spec):
    """T10."""
    assert ask(snapshot(service(**{"ip": "10.96.0.20", **spec}), backends(HERE)), POD, "10.96.0.20").verdict == "PASS"


def test_a_service_of_another_proxy_is_left_alone():
    other = service()
    other["metadata"]["labels"] = {"service.kubernetes.io/service-proxy-name": "mine"}
    assert ask(snapshot(other, backends(HERE)), POD, "10.96.0.20").verdict == "PASS"


def test_the_families_share_nothing():
    """TestServiceToServiceMap, dual stack."""
    both = service(
        clusterIPs=["10.96.0.20", "fd00:96::20"], loadBalancerSourceRanges=["198.18.0.0/24"], type="LoadBalancer"
    )
    both["status"] = {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}, {"ip": "2001:db8::1"}]}}
    slices = backends(HERE), backends(endpoint("fd00::5"), kind="IPv6", suffix="6")
    snap = snapshot(both, *slices, cluster_cidr="10.244.0.0/16,fd00::/64")
    assert chosen(ask(snap, "fd00::9", "fd00:96::20")) == ["[fd00::5]:8080"]
    assert ask(snap, OUTSIDE, "203.0.113.1").verdict == "DROP"
    assert ask(snap, "2001:db8:9::1", "2001:db8::1").verdict == "DNAT"


def test_affinity_is_by_sender_and_service_port_and_runs_out():
    """writeServiceToEndpointRules: --rcheck --seconds."""
    spec = {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}}}
    snap = snapshot(service(**CLUSTER, **spec), backends(HERE, THERE))
    first = ask(snap, OUTSIDE, NODE, 30080)
    memory = {(first.port.chain("SEP", first.backends[1]), OUTSIDE): 100.0}
    kept = ask(snap, OUTSIDE, "10.96.0.20", affinity=memory, now=160.0)
    assert (chosen(kept), kept.rule.field) == (["10.244.2.5:8080"], "spec.sessionAffinity")
    assert len(ask(snap, OUTSIDE, NODE, 30080, affinity=memory, now=161.0).backends) == 2
    assert len(ask(snap, POD, "10.96.0.20", affinity=memory, now=160.0).backends) == 2
    gone = snapshot(service(**CLUSTER, **spec), backends(HERE))
    assert chosen(ask(gone, OUTSIDE, NODE, 30080, affinity=memory, now=101.0)) == ["10.244.1.5:8080"]


def test_health_check_answers_for_ready_local_endpoints_only():
    """TestHealthCheckNodePortWhenTerminating."""
    ending = endpoint("10.244.2.6", "node-2", ready=False, serving=True, terminating=True)
    spec = {"externalTrafficPolicy": "Local", "healthCheckNodePort": 31000}
    snap = snapshot(balanced(**spec), backends(HERE, ending))
    good, bad = health_check(snap, "node-1", 31000), health_check(snap, "node-2", 31000)
    assert (good.status, good.local_endpoints, bad.status, bad.local_endpoints) == (200, 1, 503, 0)
    assert json.loads(good.body)["service"] == {"namespace": "default", "name": "web"}
    assert health_check(snap, "node-1", 31001) is None
    assert str(ask(snap, OUTSIDE, NODE, 31000).rule) == "service/default/web spec.healthCheckNodePort"
    cluster_policy = balanced(**{**spec, "externalTrafficPolicy": "Cluster"})
    assert health_check(snapshot(cluster_policy, backends(HERE)), "node-1", 31000) is None


def test_nftables_names_no_iptables_chains():
    objects = service(**CLUSTER), backends(HERE)
    decision = ask(snapshot(*objects, mode="nftables"), OUTSIDE, NODE, 30080)
    assert decision.chains == () == decision.path(decision.backends[0])
    assert ask(snapshot(*objects), OUTSIDE, NODE, 30080).chains


def test_a_node_that_is_not_in_the_snapshot_has_no_addresses_of_its_own():
    assert not Proxy(snapshot(), "gone", "IPv4").is_own("192.168.10.11")


def test_a_decision_costs_the_same_in_a_large_cluster():
    """The index is built once for a snapshot; then a packet meets only its own Service."""
    objects = [service(f"s{i}", f"10.96.{i // 250}.{i % 250}") for i in range(500)]
    snap = snapshot(*objects, service("web", "10.97.0.1"), backends(HERE))
    before = ask(snap, POD, "10.97.0.1")
    snap.services = snap.slices = None
    assert ask(snap, POD, "10.97.0.1") == before
