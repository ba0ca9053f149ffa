"""All pairs: the engine against the per-packet verdict and a naive evaluator, and the questions asked of the result."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from k8snet.controlplane.settings import Settings
from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane import policy
from k8snet.dataplane.nearest import nearest_miss
from k8snet.dataplane.reachability import port_classes, reachability
from k8snet.manifests.errors import ApiError
from tests.dataplane import naive_policy
from tests.dataplane.policy_objects import SEED_POLICY, namespace, pod, policies, random_cluster, shop

EXAMPLES = int(os.environ.get("K8SNET_EXAMPLES", "100"))
OUTSIDE = ["203.0.113.5", "10.0.0.200", "fd00::99"]
CLUSTERS = st.integers(0, 2**32).map(lambda seed: random_cluster(random.Random(seed)))


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(CLUSTERS, st.sampled_from([80, 8080, 53]), st.sampled_from(["TCP", "TCP", "UDP", "SCTP", "ICMP"]))
def test_verdict_engine_and_naive_evaluator_agree_on_every_cell(objects, port, protocol):
    snapshot = Snapshot(objects, Settings())
    names = [*snapshot.pods, *OUTSIDE]
    found = reachability(snapshot, port, protocol, names, names)
    for client in names:
        for server, cell in zip(names, found.row(client), strict=True):
            ends = policy.peer(snapshot, client), policy.peer(snapshot, server)
            verdict = policy.verdict(snapshot, *ends, port, protocol)
            truth = naive_policy.allowed(objects, client, server, port, protocol)
            assert (client, server, verdict.allowed) == (client, server, truth)
            assert (client, server, cell) == (client, server, {True: ".", False: "X", None: "~"}[truth])
            assert found.allowed(client, server) == (truth is True)


@settings(max_examples=EXAMPLES // 2, deadline=None, suppress_health_check=list(HealthCheck))
@given(CLUSTERS, st.data())
def test_ports_of_one_class_give_one_matrix(objects, data):
    snapshot = Snapshot(objects, Settings())
    classes = port_classes(snapshot)
    for protocol in ("TCP", "UDP", "SCTP"):
        covered = sorted(r for c in classes if c.protocol == protocol for r in c.ranges)
        assert (covered[0][0], covered[-1][1]) == (1, 65535)
        assert all(a[1] + 1 == b[0] for a, b in pairwise(covered))
    chosen = data.draw(st.sampled_from(classes))
    first, last = data.draw(st.sampled_from(chosen.ranges))
    other = data.draw(st.integers(first, last))
    assert (
        reachability(snapshot, other, chosen.protocol).rows()
        == reachability(snapshot, chosen.port, chosen.protocol).rows()
    )


@settings(max_examples=EXAMPLES // 2, deadline=None, suppress_health_check=list(HealthCheck))
@given(CLUSTERS, st.sampled_from([80, 8080]), st.sampled_from(["TCP", "UDP"]))
def test_every_blocked_pair_has_a_nearest_miss_that_opens_it(objects, port, protocol):
    snapshot = Snapshot(objects, Settings())
    names = [*snapshot.pods, *OUTSIDE]
    for client in names:
        for server in snapshot.pods:
            ends = policy.peer(snapshot, client), policy.peer(snapshot, server)
            verdict = policy.verdict(snapshot, *ends, port, protocol)
            miss = nearest_miss(snapshot, verdict)
            assert len(miss.changes) == len(verdict.blocked_by)
            for change in miss.changes if len(miss.changes) == 1 else ():
                after = change.apply(snapshot)
                assert policy.verdict(after, policy.peer(after, client), policy.peer(after, server), port, protocol)


def test_the_matrix_of_the_shop_before_and_after_the_seed_policy():
    before, after = reachability(shop(), 8080), reachability(shop(SEED_POLICY), 8080)
    assert set("".join(before.rows())) == {"."}
    reached = after.who_can_reach("my-app")
    assert reached == ("default/frontend", "default/agent"), "the agent runs on the network of my-app's node"
    assert after.row("default/my-app") == "......."
    assert after.allowed("default/visitor", "default/db")
    assert (after.matrix == [[cell == "." for cell in row] for row in after.rows()]).all()
    assert after.unprotected() == tuple(p for p in after.servers if p != "default/my-app")
    assert after.unprotected("Egress") == after.servers
    assert "7 default/agent" in str(after)


def test_a_difference_counts_leaks_and_blocks_and_knows_new_pods():
    strict, loose = reachability(shop(SEED_POLICY), 80), reachability(shop("podSelector: {}\ningress: [{}]"), 80)
    opened = {("default/db", "default/my-app"), ("default/visitor", "default/my-app")}
    assert opened < set(strict.diff(loose).leaks)
    assert strict.diff(loose).blocks == ()
    assert strict.diff(loose).leaks == loose.diff(strict).blocks
    assert not strict.diff(strict)
    more = reachability(shop(SEED_POLICY, [pod("default/new", {}, "10.244.1.77")]), 80)
    assert not strict.diff(more)
    row = strict.diff(loose).rows()[strict.clients.index("default/visitor")]
    assert row[strict.servers.index("default/my-app")] == "+"


def test_an_expectation_is_met_or_there_is_a_counterexample():
    found = reachability(shop(SEED_POLICY), 5432)
    client, server, verdict = found.find(lambda c, s: False if s == "default/db" and c != s else None)
    assert (client, server, bool(verdict)) == ("default/frontend", "default/db", True)
    assert (
        found.find({("default/visitor", "default/my-app"): False, ("default/frontend", "default/my-app"): True}) is None
    )
    assert found.find({("default/visitor", "default/my-app"): True})[1] == "default/my-app"


def test_outside_ranges_are_cut_where_rules_tell_addresses_apart():
    text = "podSelector: {}\ningress: [{from: [{ipBlock: {cidr: 203.0.113.0/25, except: [203.0.113.64/26]}}]}]"
    found = reachability(shop(text), 80, clients=["203.0.113.0/24", "198.51.100.9"], servers=["db"])
    cells = dict(zip(found.clients, found.rows(), strict=True))
    assert cells == {
        "203.0.113.0-203.0.113.63": ".",
        "203.0.113.64-203.0.113.127": "X",
        "203.0.113.128-203.0.113.255": "X",
        "198.51.100.9": "X",
    }
    around = reachability(shop(text), 80, outside=["198.51.100.0/24"])
    assert (len(around.clients), around.servers[-1]) == (8, "198.51.100.0/24")


def test_names_that_are_no_pod_are_refused_in_the_servers_words():
    with pytest.raises(ApiError, match='pods "nobody" not found'):
        reachability(shop(), 80, clients=["nobody"])


def test_undefined_protocols_say_undefined():
    found = reachability(shop(SEED_POLICY), 0, "ICMP")
    cells = dict(zip(found.servers, found.row("default/frontend"), strict=True))
    assert (cells["default/my-app"], cells["default/db"]) == ("~", ".")


def big(count):
    objects = [namespace("default")]
    for i in range(count):
        labels = {"app": ["web", "db", "job"][i % 3], "pod-template-hash": str(i)}
        objects.append(pod(f"default/pod-{i}", labels, f"10.244.{i // 200}.{i % 200 + 1}"))
    text = "podSelector: {matchLabels: {app: db}}\ningress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]"
    return Snapshot([*objects, *policies(text)], Settings())


def test_a_large_matrix_is_shown_by_groups_that_behave_alike():
    found = reachability(big(500), 80)
    assert [(g.name, len(g.members)) for g in found.groups] == [
        ("default app=web", 167),
        ("default app=db", 167),
        ("default app=job", 166),
    ]
    assert found.group_rows == ("...", ".X.", ".X.")
    assert len(str(found).splitlines()) == 6
    assert found.matrix.sum() == 500 * 500 - 333 * 167 + 167


def test_groups_merge_what_behaves_alike_whatever_its_labels():
    assert [g.name for g in reachability(shop(), 80).groups] == [
        "default; other; kube-system",
        "default/agent",
    ]


def test_pods_alike_but_for_the_number_behind_a_port_name_are_told_apart():
    twins = [pod(f"x/{n}", {}, ip, ports=[("web", n, "TCP")]) for n, ip in ((80, "10.1.0.1"), (81, "10.1.0.2"))]
    named = policies("podSelector: {}\ningress: [{ports: [{port: web}]}]", "x")
    assert reachability(Snapshot([*twins, *named], Settings()), 81).rows() == ("..", "X.")


def test_the_port_classes_are_what_rules_mention():
    text = "podSelector: {}\ningress: [{ports: [{port: 80, endPort: 90}, {port: http}, {protocol: UDP}]}]"
    assert [str(c) for c in port_classes(shop(text))] == [
        "TCP 1-79, 91-8079, 8081-65535",
        "TCP 80-90",
        "TCP 8080",
        "UDP 1-65535",
        "SCTP 1-65535",
    ]


def test_rows_come_without_numpy():
    code = "import sys; from tests.dataplane.test_reachability import big, reachability; str(reachability(big(9), 80).rows()); print('numpy' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False"]
