"""All pairs: the engine against the per-packet verdict and a naive evaluator, and the questions asked of the result."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from k8snet.controlplane.settings import Settings
from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane import policy
from k8snet.dataplane.reachability import port_classes, reachability
from k8snet.manifests.errors import ApiError
from tests.dataplane import naive_policy

EXAMPLES = int(os.environ.get("K8SNET_EXAMPLES", "60"))
OUTSIDE = ["203.0.113.5", "10.0.0.200", "fd00::99"]
BLOCKS = ["0.0.0.0/0", "10.0.0.0/24", "10.0.0.0/30", "10.0.1.2/32", "203.0.113.0/24", "192.168.10.0/24", "fd00::/64"]
KEYS = {"app": ["web", "db"], "role": ["front", "back"], "kubernetes.io/metadata.name": ["a", "b"], "team": ["x"]}


@st.composite
def selectors(draw):
    if draw(st.integers(0, 3)) == 0:
        return {}
    if draw(st.booleans()):
        key = draw(st.sampled_from(list(KEYS)))
        return {"matchLabels": {key: draw(st.sampled_from(KEYS[key]))}}
    key, operator = draw(st.sampled_from(list(KEYS))), draw(st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]))
    values = {"values": draw(st.lists(st.sampled_from(KEYS[key]), min_size=1, max_size=2))} if "In" in operator else {}
    return {"matchExpressions": [{"key": key, "operator": operator, **values}]}


@st.composite
def peers(draw):
    kind = draw(st.integers(0, 3))
    if kind == 0:
        block = {"cidr": draw(st.sampled_from(BLOCKS))}
        if draw(st.booleans()):
            block["except"] = [draw(st.sampled_from(BLOCKS))]
        return {"ipBlock": block}
    fields = [["podSelector"], ["namespaceSelector"], ["namespaceSelector", "podSelector"]][kind - 1]
    return {field: draw(selectors()) for field in fields}


@st.composite
def ports(draw):
    entry = {"protocol": draw(st.sampled_from(["TCP", "UDP", "SCTP"]))} if draw(st.booleans()) else {}
    kind = draw(st.integers(0, 3))
    if kind == 1:
        entry["port"] = draw(st.sampled_from([80, 8080]))
    if kind == 2:
        entry |= {"port": 79, "endPort": draw(st.sampled_from([79, 80, 9000]))}
    if kind == 3:
        entry["port"] = draw(st.sampled_from(["http", "dns"]))
    return entry


@st.composite
def rules(draw, side):
    rule = {}
    if draw(st.integers(0, 4)):
        rule[side] = draw(st.lists(peers(), max_size=2))
    if draw(st.booleans()):
        rule["ports"] = draw(st.lists(ports(), max_size=2))
    return rule


@st.composite
def network_policies(draw, number):
    spec = {"podSelector": draw(selectors())}
    for field, side in (("ingress", "from"), ("egress", "to")):
        if draw(st.booleans()):
            spec[field] = draw(st.lists(rules(side), max_size=2))
    if draw(st.booleans()):
        spec["policyTypes"] = draw(st.sampled_from([["Ingress"], ["Egress"], ["Ingress", "Egress"]]))
    meta = {"name": f"p{number}", "namespace": draw(st.sampled_from("ab"))}
    return {"kind": "NetworkPolicy", "apiVersion": "networking.k8s.io/v1", "metadata": meta, "spec": spec}


@st.composite
def pods(draw, number):
    labels = {k: draw(st.sampled_from(v)) for k, v in KEYS.items() if k in ("app", "role") and draw(st.booleans())}
    node = draw(st.sampled_from(["n1", "n2"]))
    names = [("http", 80), ("http", 8080), ("dns", 80)]
    declared = [
        {"name": name, "containerPort": port, "protocol": draw(st.sampled_from(["TCP", "UDP"]))}
        for name, port in draw(st.lists(st.sampled_from(names), max_size=2, unique_by=lambda p: p[0]))
    ]
    spec = {"nodeName": node, "containers": [{"name": "main", "image": "x", "ports": declared}]}
    ips = [f"10.0.{draw(st.integers(0, 1))}.{number}", f"fd00::{number}"]
    if draw(st.integers(0, 5)) == 0:
        spec["hostNetwork"], ips = True, [f"192.168.10.1{node[1]}"]
    else:
        ips = draw(st.sampled_from([ips[:1], ips[:1], ips, ips[::-1], ips[1:]]))
    meta = {"name": f"pod{number}", "namespace": draw(st.sampled_from("abc")), "labels": labels}
    status = {"podIP": ips[0], "podIPs": [{"ip": ip} for ip in ips]}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": meta, "spec": spec, "status": status}


@st.composite
def clusters(draw):
    objects = [{"kind": "Namespace", "metadata": {"name": "a", "labels": {"team": "x"}}}]
    objects += [draw(pods(i)) for i in range(1, draw(st.integers(2, 6)))]
    objects += [draw(network_policies(i)) for i in range(draw(st.integers(0, 4)))]
    return objects


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(clusters(), st.sampled_from([80, 8080, 53]), st.sampled_from(["TCP", "TCP", "UDP", "SCTP", "ICMP"]))
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
@given(clusters(), st.data())
def test_ports_of_one_class_give_one_matrix(objects, data):
    snapshot = Snapshot(objects, Settings())
    classes = port_classes(snapshot)
    for protocol in ("TCP", "UDP", "SCTP"):
        covered = sorted(r for c in classes if c.protocol == protocol for r in c.ranges)
        assert (covered[0][0], covered[-1][1]) == (1, 65535)
        assert all(a[1] + 1 == b[0] for a, b in zip(covered, covered[1:], strict=False))
    chosen = data.draw(st.sampled_from(classes))
    first, last = data.draw(st.sampled_from(chosen.ranges))
    other = data.draw(st.integers(first, last))
    assert (
        reachability(snapshot, other, chosen.protocol).rows()
        == reachability(snapshot, chosen.port, chosen.protocol).rows()
    )
