"""dig, nslookup, host and getent: by the letter, and where this machine lets us against the real ones.

The real tools ask `tests.shell.dns_server`, which serves the same snapshot, under a resolv.conf of their own (root and
``unshare`` needed), or at a port of their own. What differs on purpose is cut from the real output: version, ids, times,
and nslookup's two remarks ``Got recursion not available`` and ``Got SERVFAIL reply``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from k8snet.controlplane.settings import Internet
from k8snet.shell import dns_tools
from tests.dataplane.dns_cluster import client, cluster, moment, pod, port, service, slice_of
from tests.shell.dns_server import ADDRESS, serving

PG = [port(5432, "pg")]
BIG = [f"10.244.3.{i}" for i in range(1, 81)]
OBJECTS = [
    service("web", ips=["10.96.44.7"], ports=[port(80, "http")]),
    service("db", ips=None, ports=PG),
    slice_of("db", addresses=[{"addresses": [f"10.244.2.{i}"], "hostname": f"db-{i}"} for i in range(2)], ports=PG),
    service("big", ips=None, ports=PG),
    slice_of("big", addresses=BIG, ports=PG),
    service("ext", type="ExternalName", externalName="example.com"),
    service("gone", type="ExternalName", externalName="nowhere.example.com"),
    service("dual", ips=["10.96.0.55", "fd00:10:96::55"], ports=PG),
    pod("busybox", ip="10.244.1.31", image="busybox:1.35"),
]
WORLD = Internet(records=(("example.com.", "A", "203.0.113.200"),))
SNAPSHOT = cluster(*OBJECTS, internet=WORLD)


def run(command, who="default/client", snapshot=SNAPSHOT):
    tool, *arguments = command.split()
    return dns_tools.TOOLS[tool](moment(snapshot), client(who), arguments)


def plain(text: str) -> str:
    """Output without what differs from run to run, or on purpose."""
    text = text.replace(ADDRESS, "10.96.0.10")
    text = re.sub(r";; Got (recursion not available|SERVFAIL reply) from .*\n", "", text)
    for pattern, word in ((r"DiG \S+", "DiG V"), (r"id: \d+", "id: N"), (r"COOKIE: \w+", "COOKIE: C")):
        text = re.sub(pattern, word, text)
    return re.sub(r"Query time: \d+", "Query time: 0", re.sub(r"WHEN: .*", "WHEN: W", text))


# by the letter

DIG = """
; <<>> DiG V <<>> web.default.svc.cluster.local
;; global options: +cmd
;; Got answer:
;; WARNING: .local is reserved for Multicast DNS
;; You are currently testing what happens when an mDNS query is leaked to DNS
;; ->>HEADER<<- opcode: QUERY, status: NOERROR, id: N
;; flags: qr aa rd; QUERY: 1, ANSWER: 1, AUTHORITY: 0, ADDITIONAL: 1
;; WARNING: recursion requested but not available

;; OPT PSEUDOSECTION:
; EDNS: version: 0, flags:; udp: 1232
; COOKIE: C (echoed)
;; QUESTION SECTION:
;web.default.svc.cluster.local.\tIN\tA

;; ANSWER SECTION:
web.default.svc.cluster.local. 30 IN\tA\t10.96.44.7

;; Query time: 0 msec
;; SERVER: 10.96.0.10#53(10.96.0.10) (UDP)
;; WHEN: W
;; MSG SIZE  rcvd: 115

"""


def test_dig_prints_a_cluster_answer():
    result = run("dig web.default.svc.cluster.local")
    assert plain(result.stdout) == DIG and result.exit_code == 0
    assert "WHEN: Thu Jan 01 00:00:00 UTC 2026" in result.stdout
    assert result.trace.hops[0].inner.outcome.server == "kube-system/coredns"


def test_dig_never_searches_but_plus_search_does():
    """A name can work in a program and fail in dig."""
    assert "status: NXDOMAIN" in run("dig web").stdout
    assert run("dig +search +short web").stdout == "10.96.44.7\n"
    assert run("dig +short nope").stdout == "" and run("dig +short nope")


def test_dig_without_a_reply():
    denied = {"kind": "NetworkPolicy", "metadata": {"name": "no", "namespace": "default"}}
    denied["spec"] = {"podSelector": {}, "policyTypes": ["Egress"], "egress": []}
    for snapshot, why, seconds in (
        (cluster(denied), "timed out", 15),
        (cluster(coredns=False), "connection refused", 0),
    ):
        lines = f";; communications error to 10.96.0.10#53: {why}\n" * 3
        result = run("dig web", snapshot=snapshot)
        assert plain(result.stdout) == lines + (
            "\n; <<>> DiG V <<>> web\n;; global options: +cmd\n;; no servers could be reached\n"
        )
        assert (result.exit_code, result.trace.outcome.seconds) == (9, seconds)
        assert run("dig +short +tries=1 web", snapshot=snapshot).stdout.count("communications error") == 1
        result = run("nslookup web", snapshot=snapshot)
        assert result.stdout == f"{lines};; no servers could be reached\n\n" and result.exit_code == 1
        assert (
            run("host web", snapshot=snapshot).stdout
            == lines[: len(lines) // 3 * 2] + ";; no servers could be reached\n"
        )
        busybox = run(
            "nslookup web",
            "default/busybox",
            cluster(denied, *OBJECTS) if seconds else cluster(*OBJECTS, coredns=False),
        )
        assert busybox.stdout == ";; connection timed out; no servers could be reached\n\n"
        assert (busybox.exit_code, "Connection refused" in busybox.stderr) == (1, not seconds)


def test_long_answers_whose_tcp_is_blocked():
    rule = {"ports": [{"port": 53, "protocol": "UDP"}]}
    spec = {"podSelector": {}, "policyTypes": ["Egress"], "egress": [rule]}
    only_udp = {"kind": "NetworkPolicy", "metadata": {"name": "udp", "namespace": "default"}, "spec": spec}
    result = run("dig +tries=1 big.default.svc.cluster.local", snapshot=cluster(only_udp, *OBJECTS))
    assert result.exit_code == 9
    assert result.stdout == (
        ";; Truncated, retrying in TCP mode.\n"
        ";; Connection to 10.96.0.10#53(10.96.0.10) for big.default.svc.cluster.local failed: timed out.\n"
        ";; no servers could be reached\n"
    )


def test_what_is_not_simulated_is_no_invalid_option():
    assert run("dig +norec web").stderr == "dig: +norec is not simulated\n"
    assert run("dig -p 5353 web").stderr == "dig: -p is not simulated\n"
    assert run("getent ahosts web").stderr == "getent: only the database hosts is simulated\n"


def test_getent_keeps_the_questions_of_a_miss_in_its_trace():
    result = run("getent hosts nope")
    assert result.exit_code == 2 and len(result.trace.hops) == 8


def test_getent_of_names_that_need_no_dns():
    assert run("getent hosts localhost").stdout == "::1             localhost\n"


@pytest.mark.parametrize(
    "line",
    [
        "dig +time=x",
        "dig -p",
        "dig -x nonsense",
        "dig @",
        "dig +",
        "nslookup",
        "host",
        "host -t",
        "getent",
        "dig -t",
        "nslookup -type=",
        "getent hosts ''",
    ],
)
def test_odd_lines_end_in_a_message_not_in_an_exception(line):
    assert isinstance(run(line).exit_code, int)
    assert isinstance(dns_tools.TOOLS[line.split()[0]](moment(SNAPSHOT), client(), [""]).exit_code, int)


# beside the real ones

COMMANDS = """
dig web.default.svc.cluster.local
dig web.default.svc.cluster.local db.default.svc.cluster.local
dig
dig nope
dig example.com
dig gone.default.svc.cluster.local
dig _pg._tcp.db.default.svc.cluster.local SRV
dig nope.default.svc.cluster.local +nocmd
dig @10.96.0.10 web.default.svc.cluster.local a
dig @nosuch web
dig +search nope
dig +search web +tcp
dig +search web.default +short
dig +short ext.default.svc.cluster.local
dig -x 10.96.44.7
dig -x fd00:10:96::55 +noall +answer
dig -x 10.96.0.55 +short
dig -t bogus web
dig -t
dig IN A dual.default.svc.cluster.local +short
dig a +short
dig web bogus
dig +bogus web
dig big.default.svc.cluster.local +noall +answer +stats +comments
dig +noall +answer db.default.svc.cluster.local srv
dig +noall +additional db.default.svc.cluster.local srv
dig +noall +answer web.default.svc.cluster.local aaaa +comments
dig +noall +answer +question +authority db.default.svc.cluster.local aaaa
dig +noall +question web.default.svc.cluster.local
dig +noall +comments web.default.svc.cluster.local
dig +noall +stats web.default.svc.cluster.local
dig +nocmd +nostats +nocomments +noquestion web.default.svc.cluster.local
dig +nocomments web.default.svc.cluster.local
dig +noquestion +nocmd web.default.svc.cluster.local
dig cluster.local soa +noall +answer
dig dns-version.cluster.local txt +short
nslookup web
nslookup web.
nslookup WEB.default
nslookup nope
nslookup dual
nslookup ext
nslookup gone
nslookup big
nslookup example.com
nslookup cluster.local
nslookup 10.96.44.7
nslookup 10.96.44.9
nslookup fd00:10:96::55
nslookup web 10.96.0.10
nslookup web nosuch
nslookup web.default.svc.cluster.local.
nslookup -type=a ext
nslookup -type=aaaa web
nslookup -type=any web
nslookup -type=bogus web
nslookup -type=cname ext
nslookup -type=mx example.com
nslookup -type=soa cluster.local
nslookup -type=soa cluster.local.
nslookup -type=srv db
nslookup -type=srv nope
nslookup -type=txt dns-version.cluster.local
nslookup -query=ptr 7.44.96.10.in-addr.arpa
host web
host nope
host dual
host ext
host gone
host big
host example.com
host 10.96.44.7
host 10.96.44.9
host web 10.96.0.10
host web nosuch
host -t aaaa web
host -t bogus ok
host -t cname ext
host -t soa cluster.local.
host -t srv db
host -t txt dns-version.cluster.local
getent hosts web
getent hosts nope
getent hosts dual
getent hosts db
getent hosts ext
getent hosts 10.96.44.7
getent hosts web nope dual
""".strip().split("\n")

BUSYBOX = """
nslookup web
nslookup web.default.svc.cluster.local
nslookup web.default
nslookup nope
nslookup dual
nslookup ext
nslookup gone
nslookup example.com
nslookup 10.96.44.7
nslookup 10.96.44.9
nslookup web 10.96.0.10
nslookup -type=aaaa web
nslookup -type=bogus web
nslookup -type=soa cluster.local
nslookup -type=srv db
nslookup -type=txt dns-version.cluster.local
""".strip().split("\n")

ROOT = (
    sys.platform == "linux"
    and os.geteuid() == 0
    and subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0
)


def told(stdout: str, stderr: str, exit_code: int, command: str) -> tuple[object, ...]:
    """Something to compare; the addresses of one name come in any order."""
    lines = plain(stdout).split("\n")
    return (sorted(lines) if re.search(r"\b(db|big)\b", command) else lines, stderr, exit_code)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory):
    """Runs a real tool under the resolv.conf of a Pod of Namespace default, with the nameserver at `ADDRESS`."""
    if not ROOT:
        pytest.skip("needs root and unshare, to give a process a resolv.conf of its own")
    conf: Path = tmp_path_factory.mktemp("etc") / "resolv.conf"
    search = "default.svc.cluster.local svc.cluster.local cluster.local"
    conf.write_text(f"search {search}\nnameserver {ADDRESS}\noptions ndots:5\n")

    def go(words: list[str]) -> subprocess.CompletedProcess[str]:
        if shutil.which(words[0]) is None:
            pytest.skip(f"{words[0]} is not installed")
        script = f'mount --bind {conf} /etc/resolv.conf && exec "$@"'
        return subprocess.run(
            ["unshare", "-m", "sh", "-c", script, "sh", *words], capture_output=True, text=True, timeout=30
        )

    with serving(SNAPSHOT, ADDRESS, 53):
        yield go


@pytest.mark.parametrize("command", COMMANDS)
def test_as_the_real_tools(real, command):
    there = real(command.replace("10.96.0.10", ADDRESS).split())
    here = run(command)
    assert told(here.stdout, here.stderr, here.exit_code, command) == told(
        there.stdout, there.stderr, there.returncode, command
    )


@pytest.mark.parametrize("command", BUSYBOX)
def test_as_the_real_busybox(real, command):
    there = real(["busybox", *command.replace("10.96.0.10", ADDRESS).split()])
    here = run(command, "default/busybox")
    assert told(here.stdout, here.stderr, here.exit_code, command) == told(
        there.stdout, there.stderr, there.returncode, command
    )
