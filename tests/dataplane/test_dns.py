"""What CoreDNS answers. Facts restated from coredns plugin/kubernetes and plugin/backend_lookup.go and their tests."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8snet.controlplane.settings import Corefile, Internet
from k8snet.dataplane import dns, dnsnames
from k8snet.dataplane.dns import answer
from tests.dataplane.dns_cluster import cluster, pod, port, service, slice_of

DB = [port(5432, "pg", 15432)]
WEB = service("web", ips=["10.96.44.7"], ports=[port(80, "http", 8080)], app="web")


def statefulset(ready=(True, True), **spec):
    """Service db and its Pods db-0, db-1, named as a StatefulSet names them."""
    pods = [
        pod(f"db-{i}", ip=f"10.244.1.{20 + i}", app="db", ready=r, hostname=f"db-{i}", subdomain="db")
        for i, r in enumerate(ready)
    ]
    return [service("db", ips=None, ports=DB, app="db", **spec), *pods]


def data(snapshot, name, qtype="A"):
    return sorted(answer(snapshot, name, qtype).data)


def rcode(snapshot, name, qtype="A"):
    reply = answer(snapshot, name, qtype)
    return "NODATA" if reply.rcode == "NOERROR" and not reply.answers else reply.rcode


# which names exist (TestServeDNS)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cluster.local", "NODATA"),
        ("svc.cluster.local", "NODATA"),
        ("pod.cluster.local", "NODATA"),
        ("default.svc.cluster.local", "NODATA"),
        ("default.cluster.local", "NXDOMAIN"),
        ("nowhere.svc.cluster.local", "NXDOMAIN"),
        ("web.svc.cluster.local", "NXDOMAIN"),
        ("web.default.svc.cluster.local", "NOERROR"),
        ("web.prod.svc.cluster.local", "NXDOMAIN"),
        ("_http._tcp.web.default.svc.cluster.local", "NOERROR"),
        ("http.tcp.web.default.svc.cluster.local", "NOERROR"),
        ("_http._udp.web.default.svc.cluster.local", "NXDOMAIN"),
        ("_tcp.web.default.svc.cluster.local", "NXDOMAIN"),
        ("a.b.c.web.default.svc.cluster.local", "NXDOMAIN"),
        ("*.default.svc.cluster.local", "NXDOMAIN"),
        ("any.any.svc.cluster.local", "NXDOMAIN"),
    ],
)
def test_each_truncation_of_a_name(name, expected):
    assert rcode(cluster(WEB), name) == expected


def test_a_clusterip_answers_without_any_endpoint_and_for_one_family_only():
    snapshot = cluster(WEB)
    assert data(snapshot, "web.default.svc.cluster.local") == ["10.96.44.7"]
    assert rcode(snapshot, "web.default.svc.cluster.local", "AAAA") == "NODATA"
    assert rcode(snapshot, "web.default.svc.cluster.local", "MX") == "NODATA"


def test_a_headless_service_gives_its_ready_endpoints_and_nothing_without_them():
    assert data(cluster(*statefulset()), "db.default.svc.cluster.local") == ["10.244.1.20", "10.244.1.21"]
    assert data(cluster(*statefulset((True, False))), "db.default.svc.cluster.local") == ["10.244.1.20"]
    assert rcode(cluster(*statefulset((False, False))), "db.default.svc.cluster.local") == "NXDOMAIN"


def test_publish_not_ready_addresses_gives_them_all():
    snapshot = cluster(*statefulset((True, False), publishNotReadyAddresses=True))
    assert len(data(snapshot, "db.default.svc.cluster.local")) == 2


def test_statefulset_names_need_the_service_that_the_pods_name():
    """C49, F38: a wrong serviceName leaves only the dashed names."""
    right = cluster(*statefulset())
    assert data(right, "db-0.db.default.svc.cluster.local") == ["10.244.1.20"]
    assert rcode(right, "10-244-1-20.db.default.svc.cluster.local") == "NXDOMAIN"
    wrong = cluster(
        service("db", ips=None, ports=DB, app="db"),
        pod("db-0", ip="10.244.1.20", app="db", hostname="db-0", subdomain="database"),
    )
    assert rcode(wrong, "db-0.db.default.svc.cluster.local") == "NXDOMAIN"
    assert data(wrong, "10-244-1-20.db.default.svc.cluster.local") == ["10.244.1.20"]


def test_an_ordinary_pod_has_no_name():
    """C41."""
    snapshot = cluster(WEB, pod("web-a", ip="10.244.1.5", app="web"))
    for name in ("web-a.default.svc", "web-a.default.pod", "web-a.web.default.svc", "web-a"):
        assert rcode(snapshot, f"{name}.cluster.local") == "NXDOMAIN"


def test_endpoint_names_below_a_clusterip_service_and_their_odd_forms():
    """TestEndpointHostname; a v6 name that would end in a hyphen gets a zero."""
    assert data(cluster(WEB, pod("web-a", ip="10.244.1.5", app="web")), "10-244-1-5.web.default.svc.cluster.local")
    assert dnsnames.index(cluster()).endpoints("default/none") == {}
    v6 = slice_of("six", addresses=["fd00:1::"], ports=DB, addressType="IPv6")
    snapshot = cluster(service("six", ips=None, ports=DB), v6)
    assert data(snapshot, "fd00-1--0.six.default.svc.cluster.local", "AAAA") == ["fd00:1::"]


def test_the_option_endpoint_pod_names_puts_the_pods_name_first():
    snapshot = cluster(WEB, pod("web-a", ip="10.244.1.5", app="web"), corefile=Corefile(endpoint_pod_names=True))
    assert data(snapshot, "web-a.web.default.svc.cluster.local") == ["10.244.1.5"]


def test_a_slice_without_ports_is_one_hit_without_srv_record():
    snapshot = cluster(service("bare", ips=None), slice_of("bare", addresses=["10.244.1.30", "10.244.1.31"]))
    assert data(snapshot, "bare.default.svc.cluster.local") == ["10.244.1.30", "10.244.1.31"]
    assert rcode(snapshot, "bare.default.svc.cluster.local", "SRV") == "NODATA"


# records


def test_srv_of_a_clusterip_carries_the_service_port_and_the_address_beside_it():
    reply = answer(cluster(WEB), "_http._tcp.web.default.svc.cluster.local", "SRV")
    assert [r.data for r in reply.answers] == ["0 100 80 web.default.svc.cluster.local."]
    assert [str(r) for r in reply.additional] == ["web.default.svc.cluster.local. 30 IN A 10.96.44.7"]


def test_srv_of_a_headless_service_carries_target_ports_and_shares_the_weight():
    assert data(cluster(*statefulset()), "db.default.svc.cluster.local", "SRV") == [
        "0 50 15432 db-0.db.default.svc.cluster.local.",
        "0 50 15432 db-1.db.default.svc.cluster.local.",
    ]


def test_srv_weights_count_before_duplicates_are_merged():
    dual = service("dual", ips=["10.96.0.55", "fd00::55"], ports=[port(80, "http")])
    reply = answer(cluster(dual), "dual.default.svc.cluster.local", "SRV")
    assert [r.data for r in reply.answers] == ["0 50 80 dual.default.svc.cluster.local."]
    assert [r.type for r in reply.additional] == ["A", "AAAA"]


def test_srv_weight_is_at_least_one():
    many = slice_of("many", addresses=[f"10.244.2.{i}" for i in range(1, 121)], ports=DB)
    reply = answer(cluster(service("many", ips=None, ports=DB), many), "many.default.svc.cluster.local", "SRV")
    assert {r.data.split()[1] for r in reply.answers} == {"1"}


def test_an_unnamed_port_has_no_srv_name_but_is_listed_at_the_service():
    """C48."""
    snapshot = cluster(service("plain", ips=["10.96.7.8"], ports=[port(80)]))
    assert data(snapshot, "plain.default.svc.cluster.local", "SRV") == ["0 100 80 plain.default.svc.cluster.local."]
    assert rcode(snapshot, "_80._tcp.plain.default.svc.cluster.local", "SRV") == "NXDOMAIN"


def test_ptr_of_services_and_ready_endpoints():
    """TestReverse: an address that is neither falls through to the forwarder."""
    snapshot = cluster(
        WEB,
        pod("web-a", ip="10.244.1.5", app="web"),
        pod("web-b", ip="10.244.1.6", app="web", ready=False),
        *statefulset(),
    )
    assert data(snapshot, "7.44.96.10.in-addr.arpa", "PTR") == ["web.default.svc.cluster.local."]
    assert data(snapshot, "5.1.244.10.in-addr.arpa", "PTR") == ["10-244-1-5.web.default.svc.cluster.local."]
    assert data(snapshot, "20.1.244.10.in-addr.arpa", "PTR") == ["db-0.db.default.svc.cluster.local."]
    unready = answer(snapshot, "6.1.244.10.in-addr.arpa", "PTR")
    assert (unready.rcode, unready.ra, unready.aa) == ("NXDOMAIN", True, False)


def test_ptr_below_the_kubernetes_zones_only_with_options():
    alone = cluster(WEB, corefile=Corefile(zones=("cluster.local.", "10.in-addr.arpa."), fallthrough=()))
    miss = answer(alone, "9.44.96.10.in-addr.arpa", "PTR")
    assert (miss.rcode, miss.authority[0].name) == ("NXDOMAIN", "10.in-addr.arpa.")
    assert rcode(alone, "web.default.svc.10.in-addr.arpa") == "NXDOMAIN"
    assert rcode(alone, "svc.10.in-addr.arpa") == "NODATA"
    assert rcode(alone, "web.default.svc.cluster.local", "PTR") == "NODATA"


def test_reverse_address():
    assert dns.reverse_address("7.44.96.10.in-addr.arpa.") == "10.96.44.7"
    assert dns.reverse_address("44.96.10.in-addr.arpa.") == ""
    full = "5.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.1.0.0.0.0.d.f.ip6.arpa."
    assert dns.reverse_address(full) == "fd00:10:96::55"


def test_apex_soa_ns_and_the_name_server_itself():
    snapshot = cluster()
    assert data(snapshot, "cluster.local", "SOA") == [
        "ns.dns.cluster.local. hostmaster.cluster.local. 1 7200 1800 86400 30"
    ]
    assert data(snapshot, "cluster.local", "NS") == ["kube-dns.kube-system.svc.cluster.local."]
    assert data(snapshot, "ns.dns.cluster.local") == ["10.96.0.10"]
    assert rcode(snapshot, "ns.dns.cluster.local", "AAAA") == rcode(snapshot, "ns.dns.cluster.local", "MX") == "NODATA"
    assert rcode(snapshot, "ns.dns.cluster.local", "TXT") == "NXDOMAIN"
    lonely = answer(snapshot, "cluster.local", "NS", server_ips=("127.0.0.1",))
    assert [r.data for r in (*lonely.answers, *lonely.additional)] == ["ns.dns.cluster.local.", "127.0.0.1"]


def test_a_headless_dns_service_names_its_endpoints_as_name_servers():
    """TestNsAddrs."""
    snapshot = cluster(service("dns", ips=None, ports=DB), slice_of("dns", addresses=["10.244.1.77"], ports=DB))
    reply = answer(snapshot, "cluster.local", "NS", server_ips=("10.244.1.77",))
    assert [r.data for r in reply.answers] == ["10-244-1-77.dns.default.svc.cluster.local."]


def test_txt_and_other_types():
    snapshot = cluster(WEB, corefile=Corefile(cache=0))
    version = answer(snapshot, "dns-version.cluster.local", "TXT").answers[0]
    assert (version.data, version.ttl) == ('"1.1.0"', 28800)
    assert rcode(snapshot, "web.default.svc.cluster.local", "TXT") == "NODATA"
    assert rcode(snapshot, "default.svc.cluster.local", "TXT") == "NXDOMAIN"
    assert rcode(snapshot, "nope.default.svc.cluster.local", "SOA") == "NODATA"
    assert rcode(snapshot, "nope.default.svc.cluster.local", "HINFO") == "NXDOMAIN"


def test_negative_answers_carry_the_soa():
    miss = answer(cluster(corefile=Corefile(ttl=5, cache=0)), "nope.default.svc.cluster.local")
    (soa,) = miss.authority
    assert (soa.name, soa.ttl, soa.data.split()[-1], miss.aa, miss.ra) == ("cluster.local.", 5, "5", True, False)


# ExternalName


def external(name, target, ns="default"):
    return service(name, ns, type="ExternalName", externalName=target)


OUTSIDE = Internet(
    records=(("www.example.com.", "A", "192.0.2.53", 3600), ("cdn.example.com.", "CNAME", "www.example.com.", 60)),
    servfail=frozenset({"broken.example.com."}),
)


def test_external_names_are_followed_inside_and_outside():
    snapshot = cluster(
        WEB,
        external("a", "b.default.svc.cluster.local"),
        external("b", "cdn.example.com"),
        external("in", "web.default.svc.cluster.local"),
        internet=OUTSIDE,
    )
    reply = answer(snapshot, "a.default.svc.cluster.local")
    assert [r.data for r in reply.answers] == [
        "b.default.svc.cluster.local.",
        "cdn.example.com.",
        "www.example.com.",
        "192.0.2.53",
    ]
    assert {r.ttl for r in reply.answers} == {30}
    assert [r.type for r in answer(snapshot, "in.default.svc.cluster.local").answers] == ["CNAME", "A"]
    assert rcode(snapshot, "in.default.svc.cluster.local", "AAAA") == "NODATA"
    assert data(snapshot, "a.default.svc.cluster.local", "CNAME") == ["b.default.svc.cluster.local."]


@pytest.mark.parametrize("qtype", ["SRV", "TXT", "MX"])
def test_an_external_name_has_no_other_records(qtype):
    snapshot = cluster(external("a", "www.example.com"), internet=OUTSIDE)
    assert rcode(snapshot, "a.default.svc.cluster.local", qtype) == "NODATA"
    assert rcode(snapshot, "_http._tcp.a.default.svc.cluster.local", qtype) == "NXDOMAIN"


def test_external_names_that_lead_nowhere():
    """F35: an address as value never resolves; outside failures leave the CNAME, inside ones nothing."""
    snapshot = cluster(
        external("ip", "192.0.2.10"),
        external("gone", "nope.example.com"),
        external("broken", "broken.example.com"),
        external("missing", "nope.default.svc.cluster.local"),
        external("ping", "pong.default.svc.cluster.local"),
        external("pong", "ping.default.svc.cluster.local"),
        external("self", "deeper.self.default.svc.cluster.local"),
        internet=OUTSIDE,
    )
    assert rcode(snapshot, "ip.default.svc.cluster.local") == "NXDOMAIN"
    for name in ("gone", "broken"):
        assert [r.type for r in answer(snapshot, f"{name}.default.svc.cluster.local").answers] == ["CNAME"]
    for name in ("missing", "ping", "self"):
        assert rcode(snapshot, f"{name}.default.svc.cluster.local") == "NODATA"


def test_aliases_between_two_zones_end():
    """A server that asks itself again and again gives up (core/dnsserver, loop guard)."""
    zones = Corefile(zones=("cluster.local.", "other.local."))
    snapshot = cluster(
        external("a", "b.default.svc.other.local"), external("b", "a.default.svc.cluster.local"), corefile=zones
    )
    assert answer(snapshot, "a.default.svc.cluster.local").rcode == "NOERROR"


# Pod names


def test_pod_names_in_the_three_modes():
    """handler_pod_insecure_test.go, handler_pod_verified_test.go, handler_pod_disabled_test.go."""

    def ask(mode, name):
        snapshot = cluster(pod("a", ip="10.244.1.3"), corefile=Corefile(pods=mode))
        return rcode(snapshot, f"{name}.pod.cluster.local", "AAAA" if "--" in name else "A")

    assert ask("insecure", "10-244-1-3.default") == ask("insecure", "192-0-2-9.prod") == "NOERROR"
    assert ask("insecure", "fd00--3.default") == "NOERROR"
    assert ask("insecure", "x.y.10-244-1-3.default") == "NOERROR"
    assert ask("insecure", "blah.default") == ask("insecure", "10-244-1-3.nowhere") == "NXDOMAIN"
    assert ask("verified", "10-244-1-3.default") == "NOERROR"
    assert ask("verified", "10-244-1-3.prod") == ask("verified", "192-0-2-9.default") == "NXDOMAIN"
    assert ask("disabled", "10-244-1-3.default") == ask("disabled", "default") == "NXDOMAIN"
    assert ask("insecure", "default") == "NODATA"


# options, caches, the rest of the world


def test_options_that_hide():
    hidden = cluster(WEB, corefile=Corefile(namespaces=("prod",)))
    assert rcode(hidden, "web.default.svc.cluster.local") == "NXDOMAIN"
    assert rcode(hidden, "7.44.96.10.in-addr.arpa", "PTR") == "NXDOMAIN"
    idle = cluster(WEB, corefile=Corefile(ignore_empty_service=True))
    assert rcode(idle, "web.default.svc.cluster.local") == "NXDOMAIN"
    blind = cluster(WEB, *statefulset(), corefile=Corefile(noendpoints=True))
    assert rcode(blind, "db.default.svc.cluster.local") == "NXDOMAIN"
    assert rcode(blind, "web.default.svc.cluster.local") == "NOERROR"


def test_names_by_topology_zone():
    """zonal_test.go."""
    eps = [{"addresses": ["10.244.1.30"], "zone": "a"}, {"addresses": ["10.244.1.31"], "zone": "b"}]
    objects = [
        WEB,
        service("h", ips=None, ports=DB),
        slice_of("h", addresses=eps, ports=DB),
        service("other", ips=None, ports=DB),
    ]
    on = cluster(
        *objects,
        slice_of("other", addresses=[{"addresses": ["10.244.1.40"], "zone": "c"}], ports=DB),
        corefile=Corefile(zonal=True),
    )
    assert data(on, "a._zone.h.default.svc.cluster.local") == ["10.244.1.30"]
    assert (
        rcode(on, "c._zone.h.default.svc.cluster.local")
        == rcode(on, "c._zone.h.default.svc.cluster.local", "TXT")
        == "NODATA"
    )
    assert (
        rcode(on, "x._zone.h.default.svc.cluster.local")
        == rcode(on, "a._zone.web.default.svc.cluster.local")
        == "NXDOMAIN"
    )
    assert rcode(cluster(*objects), "a._zone.h.default.svc.cluster.local") == "NXDOMAIN"


def test_before_coredns_has_read_the_cluster():
    """TestNotSyncedServeDNS."""
    snapshot = cluster(WEB, dns_synced=False)
    assert rcode(snapshot, "nope.default.svc.cluster.local") == "SERVFAIL"
    assert rcode(snapshot, "web.default.svc.cluster.local") == "NOERROR"
    assert rcode(snapshot, "svc.cluster.local") == "NODATA"


def test_forwarding():
    snapshot = cluster(internet=OUTSIDE)
    reply = answer(snapshot, "cdn.example.com")
    assert ([r.data for r in reply.answers], reply.aa, reply.ra) == (["www.example.com.", "192.0.2.53"], False, True)
    assert rcode(snapshot, "broken.example.com") == "SERVFAIL"
    assert (rcode(snapshot, "www.example.com", "AAAA"), rcode(snapshot, "nope.example.com")) == ("NODATA", "NXDOMAIN")
    assert rcode(cluster(internet=Internet(unreachable=True)), "www.example.com") == "SERVFAIL"
    assert rcode(cluster(corefile=Corefile(forward=False)), "www.example.com") == "SERVFAIL"
    assert rcode(cluster(corefile=Corefile(server_block="cluster.local.")), "www.example.com") == "REFUSED"


@pytest.mark.parametrize(
    ("ttl", "cache", "shown"), [(30, 30, 30), (5, 0, 5), (3600, 30, 30), (3600, 0, 3600), (0, 30, 5), (0, 0, 0)]
)
def test_ttl(ttl, cache, shown):
    """setup_ttl_test.go; the cache plugin writes its own limits on every record, also where it keeps nothing."""
    snapshot = cluster(WEB, corefile=Corefile(ttl=ttl, cache=cache))
    assert answer(snapshot, "web.default.svc.cluster.local").answers[0].ttl == shown


def test_explain_says_which_label_failed():
    text = str(dns.explain(cluster(WEB), "web.nowhere.svc.cluster.local"))
    assert "✗ nowhere" in text and "there is no Namespace nowhere" in text
    assert dns.explain(cluster(WEB), "web.default.svc.cluster.local").failed == 0
    assert dns.explain(cluster(WEB), "default.default.svc.cluster.local").failed == 3
    assert "forwarded" in str(dns.explain(cluster(WEB), "example.com"))
    assert "port" in str(dns.explain(cluster(WEB), "_x._tcp.web.default.svc.cluster.local"))


def test_a_snapshot_is_indexed_once():
    snapshot = cluster(WEB, *statefulset())
    assert dnsnames.index(snapshot) is dnsnames.index(snapshot)
    assert dnsnames.index(snapshot).reverse is dnsnames.index(snapshot).reverse


# properties

LABELS = st.sampled_from(
    [
        "web",
        "db",
        "db-0",
        "default",
        "prod",
        "svc",
        "pod",
        "_http",
        "_tcp",
        "cluster",
        "local",
        "10-244-1-20",
        "in-addr",
        "arpa",
        "x",
    ]
)
ODD = st.text(string.ascii_letters + string.digits + "-_.*%é: ", max_size=12)
NAMES = st.lists(st.one_of(LABELS, ODD), max_size=8).map(".".join) | st.lists(LABELS, max_size=5).map(
    lambda p: ".".join([*p, "svc.cluster.local"])
)
TYPES = st.sampled_from(["A", "AAAA", "SRV", "TXT", "PTR", "CNAME", "MX", "SOA", "NS", "ANY", "HINFO", "bogus", ""])
SHOP = cluster(WEB, *statefulset((True, False)), external("ext", "www.example.com"), internet=OUTSIDE)


@given(NAMES, TYPES)
def test_any_name_gets_an_answer_and_an_explanation(name, qtype):
    reply = answer(SHOP, name, qtype)
    assert reply.rcode in ("NOERROR", "NXDOMAIN", "SERVFAIL")
    assert all(isinstance(r.data, str) and r.ttl <= 30 for r in (*reply.answers, *reply.authority))
    assert str(dns.explain(SHOP, name, qtype))


@given(NAMES, st.sampled_from(["A", "AAAA", "SRV", "TXT", "PTR", "MX"]), st.randoms())
def test_case_changes_no_answer_and_is_repeated_in_the_owner(name, qtype, rng):
    odd = "".join(rng.choice([c.upper(), c.lower()]) if c.isascii() else c for c in name)
    plain, cased = answer(SHOP, name, qtype), answer(SHOP, odd, qtype)
    assert plain.rcode == cased.rcode
    assert [r.data.lower() for r in plain.answers] == [r.data.lower() for r in cased.answers]
    assert all(r.name in (cased.name, cased.answers[0].data) for r in cased.answers)


@given(st.lists(st.booleans(), min_size=1, max_size=5), st.data())
def test_readiness_takes_exactly_that_endpoint_away(ready, chosen):
    """Its address, SRV record, endpoint name and PTR go; nothing else changes, and no ClusterIP answer does."""
    gone = chosen.draw(st.integers(0, len(ready) - 1))
    before, after = ([*ready[:gone], flag, *ready[gone + 1 :]] for flag in (True, False))
    extra = service("vip", ips=["10.96.0.99"], ports=DB, app="db")
    old, new = (cluster(*statefulset(flags), extra) for flags in (before, after))
    ip, name = f"10.244.1.{20 + gone}", f"db-{gone}.db.default.svc.cluster.local."
    assert set(data(old, "db.default.svc.cluster.local")) - set(data(new, "db.default.svc.cluster.local")) == {ip}
    targets = [{d.split()[-1] for d in data(s, "db.default.svc.cluster.local", "SRV")} for s in (old, new)]
    assert targets[0] - targets[1] == {name} and targets[1] <= targets[0]
    for i in range(len(ready)):
        asked = (f"db-{i}.db.default.svc.cluster.local", "A"), (f"{20 + i}.1.244.10.in-addr.arpa", "PTR")
        for question in asked:
            assert data(new, *question) == ([] if i == gone else data(old, *question))
    assert data(old, "vip.default.svc.cluster.local") == data(new, "vip.default.svc.cluster.local") == ["10.96.0.99"]
