"""What a node's kernel remembers of connections and of senders."""

from __future__ import annotations

import random

import pytest

from k8snet.dataplane import conntrack
from k8snet.dataplane.moment import Moment
from k8snet.dataplane.packet import Packet
from tests.dataplane.service_objects import ask, backends, endpoint, service, snapshot

DNS = [{"port": 53, "targetPort": 5353, "protocol": "UDP", "nodePort": 30053}]
OLD, NEW = "10.244.1.5", "10.244.2.5"


def moment(*endpoints, protocol="UDP", **settings):
    spec = {"ports": [{**DNS[0], "protocol": protocol}], "type": "NodePort"}
    objects = service(**spec), backends(*endpoints, port=5353, protocol=protocol)
    return Moment(snapshot(*objects, **settings), 0.0, random.Random(0))


def opened(at, dst="10.96.0.20", port=53, protocol="UDP"):
    first = Packet("10.244.1.9", 40000, dst, port, protocol)
    conntrack.remember(at, "node-1", first, first.with_destination(OLD, 5353).with_source("192.168.10.11", 40001))
    return first


def later(at, *endpoints, seconds=1.0, protocol="UDP", **settings):
    """The same memory, with other endpoints, some time later."""
    at.snapshot = moment(*endpoints, protocol=protocol, **settings).snapshot
    at.now += seconds
    return at


def test_both_directions_are_rewritten_as_the_first_packet_was():
    at = moment(endpoint(OLD))
    first = opened(at)
    there = conntrack.recall(at, "node-1", first)
    assert (there.dst, there.dport, there.src, there.sport) == (OLD, 5353, "192.168.10.11", 40001)
    back = conntrack.recall(at, "node-1", there.reply())
    assert back == first.reply()
    assert conntrack.recall(at, "node-2", first) is None, "each node has a memory of its own"


def test_a_new_connection_from_another_port_is_not_known():
    at = moment(endpoint(OLD))
    first = opened(at)
    assert conntrack.recall(at, "node-1", Packet(first.src, 40009, first.dst, 53, "UDP")) is None


@pytest.mark.parametrize("state", [{"ready": False}, {"ready": False, "serving": True, "terminating": True}])
def test_an_open_tcp_connection_stays_with_its_endpoint(state):
    """T21 and the pages on Pod lifecycle: kube-proxy cuts no TCP, whatever becomes of the endpoint."""
    at = moment(endpoint(OLD), protocol="TCP")
    first = opened(at, protocol="TCP")
    for endpoints in ([endpoint(OLD, **state), endpoint(NEW)], [endpoint(NEW)], []):
        assert conntrack.recall(later(at, *endpoints, protocol="TCP"), "node-1", first).dst == OLD
    assert [str(b) for b in ask(at.snapshot, "10.244.1.9", "10.96.0.20", 53, "TCP").backends] == []


@pytest.mark.parametrize(("dst", "port"), [("10.96.0.20", 53), ("192.168.10.11", 30053)])
def test_udp_to_an_endpoint_that_serves_no_more_is_forgotten_once_another_serves(dst, port):
    """cleanup_test.go: by the address that was asked, cluster IP and node port alike."""
    at = moment(endpoint(OLD))
    first = opened(at, dst, port)
    assert conntrack.recall(later(at), "node-1", first), "nobody else serves: the entry stays"
    still = endpoint(OLD, ready=False, serving=True, terminating=True)
    assert conntrack.recall(later(at, still, endpoint(NEW)), "node-1", first), "terminating, but it serves"
    assert conntrack.recall(later(at, endpoint(NEW)), "node-1", first) is None
    assert not at.conntrack["node-1"]


def test_udp_to_a_port_that_the_endpoint_has_left_is_forgotten():
    """cleanup_test.go TestCleanStaleEntries: an endpoint that keeps its address and changes its port."""
    at = moment(endpoint(OLD))
    first = opened(at)
    for number, known in ((5353, True), (5454, False)):
        at.snapshot = snapshot(
            service(ports=DNS, type="NodePort"), backends(endpoint(OLD), port=number, protocol="UDP")
        )
        assert (conntrack.recall(at, "node-1", first) is not None) == known


def test_stale_udp_memory_keeps_one_client_waiting():
    """F49, kubernetes/kubernetes#125467: a kube-proxy that does not clean up; a new socket works."""
    at = moment(endpoint(OLD), clean_udp=False)
    first = opened(at)
    later(at, endpoint(NEW), clean_udp=False)
    assert conntrack.recall(at, "node-1", first).dst == OLD
    assert conntrack.recall(at, "node-1", Packet(first.src, 40002, first.dst, 53, "UDP")) is None


def test_udp_that_went_to_a_cluster_ip_before_the_service_had_endpoints():
    at = moment()
    first = Packet("10.244.1.9", 40000, "10.96.0.20", 53, "UDP")
    conntrack.remember(at, "node-1", first, first)
    assert conntrack.recall(at, "node-1", first) == first
    assert conntrack.recall(later(at, endpoint(NEW)), "node-1", first) is None


def test_udp_between_pods_is_nobodys_to_clean():
    at = moment(endpoint(NEW))
    first = Packet("10.244.1.9", 40000, OLD, 5353, "UDP")
    conntrack.remember(at, "node-1", first, first)
    assert conntrack.recall(at, "node-1", first) == first


def test_silence_ends_a_connection_and_each_packet_puts_that_off():
    at = moment(endpoint(OLD))
    first = opened(at)
    assert conntrack.recall(later(at, endpoint(OLD), seconds=100), "node-1", first)
    assert conntrack.recall(later(at, endpoint(OLD), seconds=100), "node-1", first)
    assert conntrack.recall(later(at, endpoint(OLD), seconds=121), "node-1", first) is None


def test_affinity_is_noted_only_for_services_that_ask_for_it():
    objects = backends(endpoint(OLD), endpoint(NEW))
    plain = Moment(snapshot(service(), objects), 5.0, random.Random(0))
    sticky = Moment(snapshot(service(sessionAffinity="ClientIP"), objects), 5.0, random.Random(0))
    for at in (plain, sticky):
        decision = ask(at.snapshot, "10.244.1.9", "10.96.0.20")
        conntrack.stick(at, "node-1", decision, decision.backends[1])
    assert not plain.affinity
    again = ask(sticky.snapshot, "10.244.1.9", "10.96.0.20", affinity=sticky.affinity["node-1"], now=6.0)
    assert [b.ip for b in again.backends] == [NEW]
