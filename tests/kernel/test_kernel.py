"""The kernel as judge, with a small set of seeds. ``python -m tests.kernel --pairs 300`` is the long form."""

from __future__ import annotations

import random

import pytest

from k8snet.controlplane.settings import Settings
from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane import iptables
from k8snet.dataplane.client import Client
from tests.kernel import netns
from tests.kernel.clusters import NETWORKS, cluster
from tests.kernel.judge import branches, judge
from tests.kernel.lab import Lab, by_chain
from tests.kernel.rules import restore_input

pytestmark = pytest.mark.root


@pytest.fixture(scope="module", autouse=True)
def kernel():
    """Skips everything here, with the reason, where the kernel or its tools are missing."""
    if lack := netns.missing():
        pytest.skip(f"the kernel harness {lack}")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [11, 12])
def test_the_kernel_does_what_is_predicted(seed):
    report = judge(seed, pairs=72)
    assert not report.differences, str(report)
    assert report.outcomes["delivered"] and report.outcomes["refused"] and report.outcomes["timed out"]
    assert {sort.partition(":")[0] for sort in report.tried} == set(NETWORKS)


def test_namespaces_are_removed_also_after_a_failure():
    snapshot = cluster(random.Random(1), "overlay")
    with pytest.raises(ZeroDivisionError), Lab(snapshot, Client.outside(Settings()), random.Random(1)) as lab:
        assert set(lab.names.values()) <= set(netns.existing())
        raise ZeroDivisionError
    assert not set(lab.names.values()) & set(netns.existing())


def test_a_lab_that_cannot_be_built_leaves_nothing(monkeypatch):
    def fail(*_):
        raise OSError("no rules today")

    monkeypatch.setattr(Lab, "_load_rules", fail)
    lab = Lab(cluster(random.Random(2), "bridge"), Client.outside(Settings()), random.Random(2))
    with pytest.raises(OSError, match="no rules today"), lab:
        pass
    assert not set(lab.names.values()) & set(netns.existing())


def test_ip6tables_takes_the_rules_and_prints_them_as_we_do():
    addresses = [{"type": "InternalIP", "address": a} for a in ("192.168.0.2", "2001:db8::1")]
    node = {"kind": "Node", "metadata": {"name": "n"}, "status": {"addresses": addresses}}
    spec = {
        "type": "NodePort",
        "clusterIPs": ["10.96.0.9", "fd00:96::9"],
        "ports": [{"port": 80, "nodePort": 30080, "protocol": "UDP"}],
        "externalTrafficPolicy": "Local",
        "sessionAffinity": "ClientIP",
    }
    service = {"kind": "Service", "metadata": {"name": "web", "namespace": "default"}, "spec": spec}
    endpoints = [{"addresses": [f"fd00:10::{i}"], "nodeName": "n"} for i in range(3)]
    labels = {"kubernetes.io/service-name": "web"}
    backends = {
        "kind": "EndpointSlice",
        "addressType": "IPv6",
        "metadata": {"name": "web-1", "namespace": "default", "labels": labels},
        "ports": [{"port": 8080, "protocol": "UDP"}],
        "endpoints": endpoints,
    }
    snapshot = Snapshot([node, service, backends], Settings())
    name = netns.named("v6")
    try:
        netns.create([name])
        with netns.inside(name):
            netns.run(["ip6tables-restore"], restore_input(snapshot, "n", "IPv6"))
            printed = netns.run(["ip6tables-save"])
    finally:
        netns.remove([name])
    assert by_chain(printed) == by_chain(iptables.save(snapshot, "n", "IPv6"))
    assert "fd00:10::2" in printed


def test_every_choice_is_taken_once():
    taken = []
    for rng in branches():
        first = rng.choice("abc")
        taken.append(first + (rng.choice("xy") if first == "b" else ""))
    assert taken == ["a", "bx", "by", "c"]
