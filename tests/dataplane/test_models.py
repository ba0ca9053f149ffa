"""The three rules of the networking model, on random clusters of every wiring."""

from __future__ import annotations

import random

import pytest

from k8snet.controlplane.settings import NETWORKS
from tests.dataplane import networking_model as model
from tests.dataplane.handmade import Hand

GOOD = [n for n in NETWORKS if n != "docker"]


def random_cluster(network: str, seed: int) -> Hand:
    """One to four nodes, two to seven Pods anywhere, some of them listening on loopback, some with hostNetwork."""
    rng = random.Random(seed)
    nodes = rng.randint(1, 4)
    hand = Hand(nodes, network, hairpin=rng.random() < 0.5)
    for n in range(rng.randint(2, 7)):
        listen = rng.choice(["8080", "127.0.0.1:9000", "none", "53/UDP,8080"])
        hand.pod(f"p{n}", rng.randint(1, nodes), listen, host_network=rng.random() < 0.1)
    return hand


def two_nodes(network: str) -> Hand:
    """The smallest cluster that can break the first two rules: a Pod on each of two nodes."""
    return Hand(2, network).pod("a", 1).pod("b", 2)


@pytest.mark.parametrize("network", GOOD)
@pytest.mark.parametrize("seed", range(40))
def test_the_rules_hold_for_every_real_model(network: str, seed: int) -> None:
    for finding in model.check(random_cluster(network, seed).moment.snapshot):
        assert finding, str(finding)


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_the_rules_on_a_thousand_clusters(network: str) -> None:
    for seed in range(1000):
        hand = random_cluster(network, seed)
        findings = model.check(hand.moment.snapshot)
        if network != "docker":
            assert all(findings), (seed, [str(f) for f in findings])
            continue
        pods = [p for p in hand.moment.snapshot.pods.values() if not p.host_network]
        spread = len({p.node for p in pods}) > 1
        # Containers of one host are well: it is between hosts that Docker's own network breaks the first two rules.
        assert [bool(f) for f in findings] == [len({p.ip for p in pods}) == len(pods), not spread, True], seed


def test_docker_breaks_the_first_two_rules_and_says_how() -> None:
    unique, reach, share = model.check(two_nodes("docker").moment.snapshot)
    assert not unique and "172.17.0.2" in unique.text
    assert not reach and reach.trace is not None
    assert share


def test_a_withdrawn_route_breaks_only_the_second_rule() -> None:
    hand = Hand(2, "routed", withdrawn_routes=frozenset({"node-2"})).pod("a", 1).pod("b", 2)
    unique, reach, share = model.check(hand.moment.snapshot)
    assert unique and share and not reach
    assert reach.trace is not None and reach.trace.deciding is not None
    assert reach.trace.deciding.place.name == "router"


def test_policies_do_not_count_against_the_model() -> None:
    hand = two_nodes("bridge").policy(policyTypes=["Ingress", "Egress"])
    assert all(model.check(hand.moment.snapshot))
