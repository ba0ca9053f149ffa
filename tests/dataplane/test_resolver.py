"""A Pod's resolv.conf and hosts, and the names that a C library or a tool tries.

resolv.conf: kubernetes pkg/kubelet/network/dns/dns_test.go. Walks: resolv.conf(5), glibc res_query.c, musl
lookup_name.c; where this machine lets us, the same walks are made by the real glibc against a small server.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8snet.controlplane import podfiles
from k8snet.controlplane.podfiles import ResolvConf
from k8snet.controlplane.settings import Settings
from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane import resolver
from k8snet.dataplane.dns import Answer, Record
from tests.dataplane.dns_cluster import pod

SEARCH = ("default.svc.cluster.local", "svc.cluster.local", "cluster.local")
KUBE = ResolvConf(("10.96.0.10",), SEARCH, ("ndots:5",))


def conf_of(
    node_file: str | None = "nameserver 192.0.2.53\nsearch corp.example\noptions timeout:2\n",
    node_ips=(),
    dns=("10.96.0.10",),
    **spec,
):
    return podfiles.resolv_conf(
        pod("p", "shop", **spec), Settings(node_resolv_conf=node_file, cluster_dns=dns), node_ips
    )


# resolv.conf


def test_each_dns_policy():
    """C50."""
    own = ("shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "corp.example")
    kube = ResolvConf(("10.96.0.10",), own, ("ndots:5",))
    node = ResolvConf(("192.0.2.53",), ("corp.example",), ("timeout:2",))
    assert conf_of()[0] == conf_of(dnsPolicy="ClusterFirst")[0] == kube
    assert conf_of(dnsPolicy="ClusterFirst", hostNetwork=True)[0] == conf_of(dnsPolicy="Default")[0] == node
    assert conf_of(dnsPolicy="ClusterFirstWithHostNet", hostNetwork=True)[0] == kube
    assert conf_of(dnsPolicy="None", dnsConfig={"nameservers": ["1.1.1.1"]})[0] == ResolvConf(("1.1.1.1",))


def test_the_file_leaves_out_lines_without_values():
    assert str(KUBE) == f"search {' '.join(SEARCH)}\nnameserver 10.96.0.10\noptions ndots:5\n"
    assert str(ResolvConf(("1.1.1.1", "::1"))) == "nameserver 1.1.1.1\nnameserver ::1\n"


def test_dns_config_is_merged():
    extra = {
        "nameservers": ["10.96.0.10", "10.0.0.11"],
        "searches": ["svc.cluster.local", "my.domain"],
        "options": [{"name": "ndots", "value": "1"}, {"name": "edns0"}],
    }
    conf, events = conf_of(dnsConfig=extra)
    assert conf.nameservers == ("10.96.0.10", "10.0.0.11")
    assert conf.search[-2:] == ("corp.example", "my.domain") and len(conf.search) == 5
    assert conf.options == ("ndots:1", "edns0") and conf.ndots == 1 and not events
    assert conf_of(dnsConfig={"options": [{"name": "timeout", "value": "1"}]})[0].ndots == 5


def test_limits_cut_from_the_end_and_are_told():
    conf, (event,) = conf_of(dnsConfig={"nameservers": ["10.0.0.1", "10.0.0.2", "10.0.0.3"]})
    assert conf.nameservers == ("10.96.0.10", "10.0.0.1", "10.0.0.2")
    assert (event.type, event.reason) == ("Warning", "DNSConfigForming")
    assert event.message.endswith("the applied nameserver line is: 10.96.0.10 10.0.0.1 10.0.0.2")
    conf, (event,) = conf_of(dnsConfig={"searches": [f"d{i}" for i in range(40)]})
    assert len(conf.search) == 32 and conf.search[3] == "corp.example"
    assert (
        event.message
        == f"Search Line limits were exceeded, some search paths have been omitted, the applied search line is: {' '.join(conf.search)}"
    )
    long = [f"{'x' * 120}{i:03}" for i in range(20)]
    conf, events = conf_of(dnsConfig={"searches": long})
    assert len(" ".join(conf.search)) <= 2048 < len(" ".join((*conf.search, long[-1]))) and len(events) == 1
    conf, events = conf_of(dnsConfig={"searches": ["y" * 254, "fine"]})
    assert conf.search[-1] == "fine" and "y" * 254 not in conf.search and len(events) == 1
    assert (
        len(conf_of(dnsConfig={"nameservers": ["1.1.1.1"] * 1 + ["10.0.0.1", "10.0.0.2"], "searches": ["y" * 254]})[1])
        == 2
    )


def test_a_kubelet_without_cluster_dns_falls_back_and_says_so():
    conf, (event,) = conf_of(dns=())
    assert conf.nameservers == ("192.0.2.53",)
    assert event.reason == "MissingClusterDNS" and event.message.startswith('pod: "p_shop(')
    assert event.message.endswith('cannot create Pod using "ClusterFirst" policy. Falling back to "Default" policy.')


def test_without_a_node_file_the_resolver_is_the_loopback_address():
    assert conf_of(None, dnsPolicy="Default")[0] == ResolvConf(("127.0.0.1",), (".",))
    assert conf_of(None, ("192.0.2.1", "2001:db8::1"), dnsPolicy="Default")[0].nameservers == ("127.0.0.1", "::1")
    assert conf_of(None)[0].search == ("shop.svc.cluster.local", "svc.cluster.local", "cluster.local")


def test_reading_a_nodes_file():
    """TestParseResolvConf."""
    text = "#comment\n  # more\nnameserver 1.2.3.4\nnameserver\ndomain gone\nsearch a b.\nsearch . c. d\noptions ndots:2 x\noptions ndots:3\n"
    assert podfiles.parse(text) == ResolvConf(("1.2.3.4",), ("c", "d"), ("ndots:3", "x"))


def test_hosts_file_knows_the_pod_itself():
    """kubernetes test/e2e/network/dns.go: should provide /etc/hosts entries for the cluster."""
    made = pod(
        "p",
        "shop",
        "10.244.1.5",
        hostname="web-0",
        subdomain="web",
        hostAliases=[{"ip": "192.0.2.9", "hostnames": ["old"]}],
    )
    (p,) = Snapshot([made], Settings()).pods.values()
    text = podfiles.hosts_text(p, Settings())
    assert "10.244.1.5\tweb-0.web.shop.svc.cluster.local\tweb-0\n" in text and text.endswith("192.0.2.9\told\n")
    assert "10.244" not in podfiles.hosts_text(None, Settings())


# walks: a simulated nameserver, told by name what to answer


def server_of(names: dict[str, str], default: str = "NXDOMAIN"):
    """Answers by the first key that is part of the name: A, AAAA, ALIAS, NODATA, or an rcode."""

    def ask(name: str, qtype: str, nameserver: str) -> Answer:
        said = next((v for k, v in names.items() if k in name), default)
        if said == "ALIAS":
            return Answer(name, qtype, "NOERROR", (Record(name, "CNAME", "nowhere.q.", 30),))
        if said in ("A", "AAAA"):
            records = (Record(name, qtype, {"A": "192.0.2.1", "AAAA": "fd00::1"}[said], 30),)
            return Answer(name, qtype, "NOERROR", records if qtype == said else ())
        return Answer(name, qtype, "NOERROR" if said == "NODATA" else said)

    return ask


def walk(name, names=None, types=("A",), conf=KUBE, library="glibc", default="NXDOMAIN"):
    return resolver.walk(conf, name, types, server_of(names or {}, default), library)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("cart", 1),
        ("cart.shop", 2),
        ("cart.shop.svc", 3),
        ("cart.shop.svc.cluster.local", 4),
        ("cart.shop.svc.cluster.local.", 1),
    ],
)
def test_how_many_candidates_a_service_name_costs(name, count):
    """C45, from Namespace shop."""
    conf = ResolvConf(("10.96.0.10",), ("shop.svc.cluster.local", *SEARCH[1:]), ("ndots:5",))
    exists = {"cart.shop.svc.cluster.local.": "A"}

    def ask(qname, qtype, _server):
        return server_of(exists)(qname, qtype, "") if qname in exists else Answer(qname, qtype, "NXDOMAIN")

    look = resolver.walk(conf, name, ("A", "AAAA"), ask)
    assert look and len(look.tried) == count and len(look.replies) == 2 * count


def test_names_with_enough_dots_are_asked_first():
    assert walk("db-0.db.prod.svc.cluster.local", {"db-0.db.prod": "A"}).tried == ["db-0.db.prod.svc.cluster.local."]
    few = ResolvConf(KUBE.nameservers, SEARCH, ("ndots:1",))
    assert walk("api.example.com", {"api.example.com": "A"}, conf=few).tried == ["api.example.com."]
    assert walk("web.prod", conf=few).tried[:2] == ["web.prod.", "web.prod.default.svc.cluster.local."]


def test_address_literals_ask_nothing():
    for literal in ("10.0.0.1", "fd00::1"):
        look = walk(literal)
        assert (look.addresses, look.tried, look.replies) == ((literal,), [], [])


def test_silence_costs_twenty_seconds_and_skips_the_list():
    look = walk("web", default="TIMEOUT")
    assert (look.result, look.tried, look.seconds) == ("TRYAGAIN", ["web.default.svc.cluster.local.", "web."], 20)
    look = walk("web.default.svc.cluster.local.", default="TIMEOUT")
    assert (look.tried, look.seconds) == (["web.default.svc.cluster.local."], 10)
    assert walk("web", default="TIMEOUT", library="musl").seconds == 5


def test_timeout_and_attempts_and_further_nameservers_count():
    """resolv.conf(5); glibc doubles the patience for the second nameserver and shares it out."""
    quick = ResolvConf(("10.0.0.1",), (), ("timeout:1", "attempts:3"))
    assert walk("web.", default="TIMEOUT", conf=quick).seconds == 3
    two = ResolvConf(("10.0.0.1", "10.0.0.2"), (), ())
    assert walk("web.", default="TIMEOUT", conf=two).seconds == 2 * (5 + 10 // 2)


def test_one_nameserver_that_fails_beside_one_that_is_gone_leaves_the_rest_of_the_list():
    """Seen with glibc 2.36: any SERVFAIL makes it go on to the next candidate."""
    fails = server_of({"web.default": "SERVFAIL", "web.svc": "A"})
    both = ResolvConf(("10.0.0.1", "10.0.0.2"), SEARCH, ("ndots:5",))
    look = resolver.walk(
        both, "web", ("A",), lambda n, t, ip: Answer(n, t, "CONNREFUSED") if ip == "10.0.0.2" else fails(n, t, ip)
    )
    assert (look.result, look.tried) == ("NOERROR", ["web.default.svc.cluster.local.", "web.svc.cluster.local."])


def test_refused_packets_end_it_at_once():
    look = walk("web", default="CONNREFUSED")
    assert (look.result, look.tried, look.seconds) == ("TRYAGAIN", ["web.default.svc.cluster.local."], 0)


def test_a_lone_alias_ends_the_walk_without_an_address():
    look = walk("ext", {"ext.default": "ALIAS"})
    assert (look.result, len(look.tried)) == ("NODATA", 1)
    assert walk("ext", {"ext.default": "ALIAS"}, types=("A", "AAAA")).result == "NOTFOUND"


def test_musl_stops_at_nodata_and_never_searches_long_names():
    look = walk("web", {"default.svc": "NODATA", "web.cluster": "A"}, library="musl")
    assert (look.result, len(look.tried)) == ("NOTFOUND", 1)
    assert walk("a.b.c.d.e.f", library="musl").tried == ["a.b.c.d.e.f."]
    assert walk("web", {"default": "SERVFAIL"}, library="musl").seconds == 5
    dotted = ResolvConf(KUBE.nameservers, (SEARCH[0], "."), ("ndots:5",))
    assert walk("web", conf=dotted, library="musl").tried == ["web.default.svc.cluster.local."]
    assert walk("web.", conf=dotted, library="musl").tried == ["web."]
    overlong = ResolvConf(KUBE.nameservers, ("y" * 130, "z" * 130), ("ndots:5",))
    assert walk("web", conf=overlong, library="musl").tried == ["web."]


def test_bind_tools_search_by_their_own_rule():
    asked: list[str] = []

    def ask(name: str) -> Answer:
        asked.append(name)
        return server_of({"svc.cluster": "SERVFAIL"})(name, "A", "")

    assert resolver.search(KUBE, "web", ask)[-1].rcode == "SERVFAIL"
    assert asked == ["web.default.svc.cluster.local."]
    assert resolver.candidates(KUBE, "web", "dig") == ["web."]
    assert resolver.candidates(KUBE, "a.b.c.d.e.f", "search") == ["a.b.c.d.e.f."]
    root = ResolvConf(KUBE.nameservers, ("x", "."), ("ndots:5",))
    assert resolver.candidates(root, "web", "search") == ["web.x.", "web.", "web."]
    assert resolver.candidates(root, "web", "glibc") == ["web.x.", "web."]


def test_the_ladder_shows_what_was_asked_answered_and_left_out():
    look = walk("web.prod", {"web.prod.svc": "A"}, types=("A", "AAAA"))
    assert look.ladder == (
        ("web.prod.default.svc.cluster.local.", {"A": "NXDOMAIN", "AAAA": "NXDOMAIN"}),
        ("web.prod.svc.cluster.local.", {"A": "NOERROR", "AAAA": "NODATA"}),
        ("web.prod.cluster.local.", {}),
        ("web.prod.", {}),
    )
    assert str(look).splitlines() == [
        "web.prod: 4 questions, 0 s",
        "  1 web.prod.default.svc.cluster.local.  A NXDOMAIN, AAAA NXDOMAIN",
        "  2 web.prod.svc.cluster.local.          A NOERROR, AAAA NODATA",
        "  3 web.prod.cluster.local.              not asked",
        "  4 web.prod.                            not asked",
        "  = 192.0.2.1",
    ]


def test_the_library_follows_the_image():
    def of(image, **knobs):
        snapshot = Snapshot([pod("p", image=image)], Settings(**knobs))
        return resolver.libc(snapshot, snapshot.pods["default/p"])

    assert (of("alpine:3.20"), of("python:3.13-alpine"), of("debian"), of("mine")) == ("musl", "musl", "glibc", "glibc")
    assert of("mine", libc={"mine": "musl"}) == "musl"


@given(
    st.text(max_size=300),
    st.sampled_from(["glibc", "musl"]),
    st.sampled_from(["NXDOMAIN", "NODATA", "SERVFAIL", "TIMEOUT", "CONNREFUSED", "ALIAS", "A"]),
)
def test_any_name_comes_to_something(name, library, default):
    look = walk(name, types=("A", "AAAA"), library=library, default=default)
    assert look.result in ("NOERROR", "NOTFOUND", "NODATA", "TRYAGAIN")
    assert bool(look) is bool(look.addresses)


# the same walks by the real glibc

ADDRESS = f"127.9.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}"  # each process of a test run has its own
REAL = (
    sys.platform == "linux"
    and os.geteuid() == 0
    and subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0
)
CASES = [
    ("web", "x1 x2", "ndots:5"),
    ("web", "alias x2", "ndots:5"),
    ("web", "nodata x2", "ndots:5"),
    ("web", "servfail x2", "ndots:5"),
    ("web", "x1 servfail", "ndots:5"),
    ("web.servfail", "x1 servfail", "ndots:5"),
    ("web", "refused x2", "ndots:5"),
    ("web", "nodata servfail x3", "ndots:5"),
    pytest.param("web", "timeout x2", "ndots:5 timeout:1", marks=pytest.mark.slow),
    ("web", "x1 .", "ndots:5"),
    ("web", ". x1", "ndots:5"),
    ("web.nodata.q", "servfail x2", "ndots:1"),
    ("web.servfail.q", "nodata x2", "ndots:1"),
    ("web.servfail.q", "nodata", "ndots:1"),
    ("web.nodata", "broken", "ndots:5"),
    pytest.param("web.nodata", "mute . x2", "ndots:5 timeout:1", marks=pytest.mark.slow),
    ("web.q", "nodata x2", "ndots:1"),
    ("web.refused.q", "refused x2", "ndots:1"),
    ("web", "x1 good", "ndots:5"),
    ("web.q", "x1", "ndots:0"),
    ("web", "x1 six", "ndots:5"),
    ("web", f"x1 {'.'.join(['y' * 60] * 4)} x2", "ndots:5"),
]
SAYS = {
    "broken": "SERVFAIL",
    "mute": "TIMEOUT",
    "good": "A",
    "six": "AAAA",
    "alias": "ALIAS",
    "nodata": "NODATA",
    "servfail": "SERVFAIL",
    "refused": "REFUSED",
    "timeout": "TIMEOUT",
}
PROGRAM = "import socket,sys\ntry: print('NOERROR', *sorted({a[4][0] for a in socket.getaddrinfo(sys.argv[1], 80, int(sys.argv[2]), 1)}))\nexcept socket.gaierror as e: print({-2: 'NOTFOUND', -3: 'TRYAGAIN', -5: 'NODATA'}[e.errno])"


@pytest.fixture(scope="module")
def recording_server():
    """A nameserver on port 53 that answers as `SAYS` says and notes each question."""
    asked: list[tuple[str, str]] = []
    said = server_of(SAYS)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((ADDRESS, 53))

    def serve() -> None:
        while True:
            wire, peer = sock.recvfrom(4096)
            query = dns.message.from_wire(wire)
            name, qtype = query.question[0].name.to_text(), dns.rdatatype.to_text(query.question[0].rdtype)
            asked.append((name, qtype))
            answer = said(name, qtype, "")
            if answer.rcode != "TIMEOUT":
                reply = dns.message.make_response(query)
                reply.flags |= dns.flags.AA  # else glibc takes an empty reply for a lame server's
                reply.set_rcode(dns.rcode.from_text(answer.rcode))
                for r in answer.answers:
                    reply.answer.append(dns.rrset.from_text(r.name, r.ttl, "IN", r.type, r.data))
                sock.sendto(reply.to_wire(), peer)

    threading.Thread(target=serve, daemon=True).start()
    return asked


@pytest.mark.skipif(not REAL, reason="needs root and unshare, to give a process a resolv.conf of its own")
@pytest.mark.parametrize("types", [("A",), ("A", "AAAA"), ("AAAA",)], ids="+".join)
@pytest.mark.parametrize(("name", "search", "options"), CASES)
def test_walks_as_the_real_glibc(recording_server, tmp_path: Path, name, search, options, types):
    conf = ResolvConf((ADDRESS,), tuple(search.split()), tuple(options.split()))
    ours = resolver.walk(conf, name, types, server_of(SAYS))
    file = tmp_path / "resolv.conf"
    file.write_text(str(conf))
    recording_server.clear()
    family = {("A",): socket.AF_INET, ("AAAA",): socket.AF_INET6}.get(types, socket.AF_UNSPEC)
    script = textwrap.dedent(
        f'mount --bind {file} /etc/resolv.conf && exec {sys.executable} -c "$0" {name} {int(family)}'
    )
    run = subprocess.run(["unshare", "-m", "sh", "-c", script, PROGRAM], capture_output=True, text=True, timeout=60)
    result, *addresses = run.stdout.split() or [run.stderr]
    assert (result, addresses) == (ours.result, sorted(ours.addresses))
    assert list(dict.fromkeys(n for n, _ in recording_server)) == ours.tried
    assert sorted(recording_server) == sorted((r.name, r.type) for r in ours.replies)
