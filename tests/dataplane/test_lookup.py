"""Look-ups as journeys: who is asked, what policy does to it, what the log says (C41 to C50, F05, F06, F15 to F18, F37)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from k8snet.controlplane.settings import Internet
from k8snet.dataplane import dns, lookup
from k8snet.dataplane.client import Client
from k8snet.dataplane.dns import Answer, Record
from tests.dataplane.dns_cluster import client, cluster, moment, pod, port, service, slice_of

WEB = [
    service("web", ips=["10.96.44.7"], ports=[port(80, "http")], app="web"),
    pod("web-a", ip="10.244.1.5", app="web", image="nginx"),
]
CART = service("cart", "shop", ips=["10.96.44.8"], ports=[port(80)])
SHOP = ("default", "prod", "shop")
INTERNET = Internet(records=(("api.example.com.", "A", "203.0.113.201"), ("example.com.", "A", "203.0.113.200")))


def policy(name, ns="default", **spec):
    return {"kind": "NetworkPolicy", "metadata": {"name": name, "namespace": ns}, "spec": {"podSelector": {}, **spec}}


def egress(*rules):
    return policy("egress", policyTypes=["Egress"], egress=list(rules))


TO_DNS = [
    {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"app": "kube-dns"}},
    }
]


def resolve(snapshot, name, who="default/client", types=("A", "AAAA")):
    return lookup.getaddrinfo(moment(snapshot), client(who), name, types)


def test_a_miss_tells_of_the_service_that_the_name_means():
    """C43, C44: SERVICE.NAMESPACE is about that Service where there is such a namespace, else about the first candidate."""
    snapshot = cluster(*WEB, namespaces=SHOP)
    assert "there is no Service shop/web" in str(resolve(snapshot, "web.shop").trace.outcome)
    assert "there is no Service default/nowhere" in str(resolve(snapshot, "web.nowhere").trace.outcome)


# the way of a question


def test_a_question_is_a_journey_to_a_dns_pod_behind_the_service():
    """C42."""
    at = moment(cluster(*WEB))
    look = lookup.getaddrinfo(at, client(), "web")
    assert look.addresses == ("10.96.44.7",) and look.canonical == "web.default.svc.cluster.local"
    inner = look.trace.hops[0].inner
    assert inner.outcome.server == "kube-system/coredns" and "10.96.0.10" in str(inner)
    assert look.trace.outcome and "web.default.svc.cluster.local" in str(look.trace)
    assert [(q.name, q.type, q.rcode, q.server) for q in at.query_log] == [
        ("web.default.svc.cluster.local.", "A", "NOERROR", "kube-system/coredns"),
        ("web.default.svc.cluster.local.", "AAAA", "NOERROR", "kube-system/coredns"),
    ]
    assert str(at.query_log[0]) == '[INFO] 10.244.1.9 - "A IN web.default.svc.cluster.local. udp" NOERROR qr,aa,rd 92'


def test_hosts_and_addresses_ask_nothing():
    at = moment(cluster(pod("web-0", ip="10.244.1.7", hostname="web-0", subdomain="db")))
    for name in ("web-0", "web-0.db.default.svc.cluster.local", "localhost", "10.0.0.1"):
        assert lookup.getaddrinfo(at, client("default/web-0"), name)
    assert not at.query_log


@pytest.mark.parametrize("name", ["peers", "peers.default", "peers.default.svc.cluster.local"])
def test_a_miss_is_explained_by_the_service_that_exists(name):
    """Not by the first candidate, which may be a meaningless one of the search list (F37)."""
    look = resolve(cluster(service("peers", ips=None, app="peers")), name)
    assert look.trace.outcome.message.endswith("Service default/peers has no ready endpoint")


def test_nodes_and_outside_machines_never_ask_cluster_dns():
    snapshot = cluster(*WEB, internet=INTERNET)
    at = moment(snapshot)
    for who in (Client("node", "node-1"), Client.outside(snapshot.settings)):
        assert lookup.getaddrinfo(at, who, "example.com").addresses == ("203.0.113.200",)
        assert lookup.getaddrinfo(at, who, "web.default.svc.cluster.local").result == "NOTFOUND"
    assert not at.query_log


def test_host_network_pods_use_the_nodes_resolver():
    """C50."""
    hn = pod("hn", ip="192.168.10.11", hostNetwork=True)
    snapshot = cluster(*WEB, hn, pod("hnc", ip="192.168.10.11", hostNetwork=True, dnsPolicy="ClusterFirstWithHostNet"))
    assert resolve(snapshot, "web", "default/hn").result == "NOTFOUND"
    assert resolve(snapshot, "web", "default/hnc").addresses == ("10.96.44.7",)


def test_long_answers_come_by_tcp():
    many = slice_of("many", addresses=[f"10.244.2.{i}" for i in range(1, 41)], ports=[port(80)])
    at = moment(
        cluster(service("many", ips=None, ports=[port(80)]), many, pod("musl", ip="10.244.1.30", image="alpine"))
    )
    assert len(lookup.getaddrinfo(at, client(), "many", ("A",)).addresses) == 40
    assert [q.protocol for q in at.query_log] == ["UDP", "TCP"]
    assert len(lookup.getaddrinfo(at, client("default/musl"), "many", ("A",)).addresses) == 29


def test_answers_are_shuffled_by_the_clusters_own_generator():
    many = slice_of("many", addresses=[f"10.244.2.{i}" for i in range(1, 9)], ports=[port(80)])
    snapshot = cluster(service("many", ips=None, ports=[port(80)]), many)
    at, again = moment(snapshot), moment(snapshot)
    orders = [lookup.getaddrinfo(at, client(), "many", ("A",)).addresses for _ in range(4)]
    assert len(set(orders)) > 1
    assert orders == [lookup.getaddrinfo(again, client(), "many", ("A",)).addresses for _ in range(4)]


# C44 to C47: what a name costs, and what it finds


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("cart", 1),
        ("cart.shop", 2),
        ("cart.shop.svc", 3),
        ("cart.shop.svc.cluster.local", 4),
        ("cart.shop.svc.cluster.local.", 1),
        ("api.example.com", 4),
        ("api.example.com.", 1),
    ],
)
def test_the_query_log_counts_candidates_times_families(name, count):
    """C45 and C46, F15: asked from Namespace shop."""
    at = moment(cluster(CART, pod("client", "shop", "10.244.1.7"), namespaces=SHOP, internet=INTERNET))
    assert lookup.getaddrinfo(at, client("shop/client"), name)
    assert len({q.name for q in at.query_log}) == count
    assert len(at.query_log) == 2 * count


def test_ndots_in_dns_config_spares_outside_names_the_search():
    """F15."""
    frugal = pod("frugal", ip="10.244.1.7", dnsConfig={"options": [{"name": "ndots", "value": "1"}]})
    at = moment(cluster(frugal, internet=INTERNET))
    assert lookup.getaddrinfo(at, client("default/frugal"), "api.example.com")
    assert len(at.query_log) == 2


def test_a_short_name_means_the_own_namespace():
    """C44, F05: another Namespace's Service is found by name.namespace only."""
    other = service("web", "prod", ips=["10.96.44.9"], ports=[port(80)])
    snapshot = cluster(*WEB, other, CART, namespaces=SHOP)
    assert resolve(snapshot, "web").addresses == ("10.96.44.7",)
    assert resolve(snapshot, "web", "prod/client").addresses == ("10.96.44.9",)
    assert resolve(snapshot, "cart").result == "NOTFOUND"
    assert resolve(snapshot, "cart.shop").addresses == ("10.96.44.8",)


def test_a_service_that_is_not_there():
    """F06."""
    look = resolve(cluster(), "web")
    assert (look.result, len(look.tried), look.seconds) == ("NOTFOUND", 4, 0)
    assert "Name or service not known" in str(look.trace)


def test_a_namespace_named_like_a_top_level_domain_captures():
    """C47, F16."""
    com = service("example", "com", ips=["10.96.99.1"], ports=[port(80)])
    snapshot = cluster(com, namespaces=("default", "prod", "com"), internet=INTERNET)
    assert resolve(snapshot, "example.com").addresses == ("10.96.99.1",)
    assert resolve(snapshot, "example.com.").addresses == ("203.0.113.200",)


def test_short_and_full_names_agree():
    snapshot = cluster(*WEB, CART, namespaces=SHOP)
    for s in snapshot.services.values():
        who = f"{s.namespace}/client"
        if who in snapshot.pods:
            names = (
                s.name,
                f"{s.name}.{s.namespace}",
                f"{s.name}.{s.namespace}.svc",
                f"{s.key.split('/')[1]}.{s.namespace}.svc.cluster.local.",
            )
            assert len({resolve(snapshot, n, who).addresses for n in names}) == 1


# policy and failures (F17, F18)


def test_denied_egress_costs_twenty_seconds():
    """F17: by address it works as little, but at once it is clear which packet was dropped."""
    snapshot = cluster(*WEB, egress())
    look = resolve(snapshot, "web")
    assert (look.result, look.seconds) == ("TRYAGAIN", 20)
    assert look.tried == ["web.default.svc.cluster.local.", "web."]
    assert look.trace.hops[0].inner.outcome.kind == "timed out"
    assert "networkpolicy/default/egress" in str(look.trace.hops[0].inner)
    assert resolve(snapshot, "web.default", "prod/client").addresses == ("10.96.44.7",)


@pytest.mark.parametrize(
    ("rule", "works"),
    [
        ({"to": TO_DNS, "ports": [{"port": 53, "protocol": "UDP"}]}, True),
        ({"to": TO_DNS, "ports": [{"port": 53}]}, False),
        ({"to": [{"ipBlock": {"cidr": "10.96.0.10/32"}}]}, False),
        ({"to": [{"podSelector": {}}]}, False),
        ({"to": [{"namespaceSelector": {}}]}, True),
    ],
)
def test_which_egress_rules_let_dns_through(rule, works):
    """F18: a port without protocol is TCP; policy sees the DNS Pods, not their Service's address."""
    assert bool(resolve(cluster(*WEB, egress(rule)), "web")) is works


def test_udp_alone_fails_on_long_answers():
    many = slice_of("many", addresses=[f"10.244.2.{i}" for i in range(1, 41)], ports=[port(80)])
    rule = {"to": TO_DNS, "ports": [{"port": 53, "protocol": "UDP"}]}
    look = resolve(cluster(service("many", ips=None, ports=[port(80)]), many, egress(rule)), "many", types=("A",))
    assert not look and look.seconds > 60
    assert look.tried == ["many.default.svc.cluster.local.", "many."]


def test_dns_pods_that_are_not_ready_refuse_at_once():
    look = resolve(cluster(*WEB, coredns=False), "web")
    assert (look.result, look.seconds, look.replies[0].rcode) == ("TRYAGAIN", 0, "CONNREFUSED")


def test_a_forwarder_that_is_down_or_cut_off_turns_misses_into_servfail():
    down = cluster(*WEB, internet=replace(INTERNET, unreachable=True))
    deny = policy("deny", "kube-system", policyTypes=["Egress"], egress=[])
    for snapshot in (down, cluster(*WEB, deny, internet=INTERNET)):
        assert resolve(snapshot, "web")
        look = resolve(snapshot, "example.com.")
        assert (look.result, look.replies[0].rcode) == ("TRYAGAIN", "SERVFAIL")
        assert resolve(snapshot, "typo", types=("A",)).result == "TRYAGAIN"


# connections by name


def test_connect_by_name_shows_the_look_up_and_then_the_journey():
    trace = lookup.connect(moment(cluster(*WEB)), client(), "web", 80)
    assert trace and trace.hops[0].inner.outcome and trace.outcome.server == "default/web-a"
    assert trace.request.endswith("web:80 TCP")


def test_connect_to_a_name_that_is_not_there_sends_no_packet():
    trace = lookup.connect(moment(cluster()), client(), "nope", 80)
    assert trace.outcome.kind == "name not found" and len(trace.hops) == 1
    assert "Name or service not known" in trace.outcome.message


def test_connect_takes_the_next_address_where_one_refuses():
    """F37: a headless name may still list a Pod on which nothing listens."""
    eps = slice_of("hl", addresses=["10.244.1.5", "10.244.1.50"], ports=[port(80)])
    snapshot = cluster(*WEB, service("hl", ips=None, ports=[port(80)]), eps, pod("quiet", ip="10.244.1.50"))
    for seed in range(4):
        at = moment(snapshot)
        at.rng.seed(seed)
        assert lookup.connect(at, client(), "hl", 80).outcome.server == "default/web-a"


def test_connect_to_an_address_is_the_journey_alone():
    assert lookup.connect(moment(cluster(*WEB)), client(), "10.96.44.7", 80).outcome.server == "default/web-a"


# sizes on the wire


def test_sizes_as_dig_reports_them():
    snapshot = cluster(*WEB)
    web = dns.answer(snapshot, "web.default.svc.cluster.local")
    assert lookup.size(web, 23) == 115
    assert lookup.size(dns.answer(snapshot, "nope.default.svc.cluster.local"), 23) == 164
    assert lookup.size(Answer(".", "NS", "NOERROR"), 23) == 40


def test_names_are_compressed_once_they_have_to_be():
    records = tuple(Record("many.default.svc.cluster.local.", "A", f"10.0.0.{i}", 30) for i in range(30))
    reply = Answer("many.default.svc.cluster.local.", "A", "NOERROR", records)
    assert lookup.size(reply, compressed=True) == 12 + 36 + 30 * 16
    assert len(lookup.cut(reply, 512).answers) == 29
