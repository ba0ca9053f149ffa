"""Addresses of Services of type LoadBalancer."""

from __future__ import annotations

from k8snet.controlplane.load_balancers import addresses
from tests.controlplane.helpers import Lab, service

LB = "type: LoadBalancer"


def test_an_implementer_gives_addresses_and_takes_them_back():
    lab = Lab()
    lab.apply(service("a", more=LB) + service("b", more=LB))
    assert [addresses(lab.get("Service", n)) for n in "ab"] == [["203.0.113.1"], ["203.0.113.2"]]
    assert [r for r, _ in lab.events("a")] == ["EnsuringLoadBalancer", "EnsuredLoadBalancer"]
    lab.delete("Service", "a")
    lab.apply(service("c", more=LB))
    assert addresses(lab.get("Service", "c")) == ["203.0.113.1"]
    lab.apply(service("c"))
    assert lab.get("Service", "c")["status"] == {"loadBalancer": {}}


def test_without_an_implementer_the_address_is_pending():
    """C65, F34."""
    lab = Lab(load_balancer=False)
    lab.apply(service("a", more=LB))
    assert addresses(lab.get("Service", "a")) == [] and lab.events("a") == []
    assert lab.get("Service", "a")["spec"]["ports"][0]["nodePort"]
    lab.plane.configure(load_balancer=True)
    assert addresses(lab.get("Service", "a")) == ["203.0.113.1"]


def test_a_class_is_another_implementers():
    lab = Lab()
    lab.apply(service("a", more=LB + ", loadBalancerClass: x.io/y"))
    assert addresses(lab.get("Service", "a")) == []


def test_a_wish_is_heeded_and_an_empty_pool_reported():
    lab = Lab(load_balancer_cidr="203.0.113.8/30")
    lab.apply(service("a", more=LB + ", loadBalancerIP: 203.0.113.10") + service("b", more=LB) + service("c", more=LB))
    assert [addresses(lab.get("Service", n)) for n in "abc"] == [["203.0.113.10"], ["203.0.113.9"], []]
    assert "SyncLoadBalancerFailed" in dict(lab.events("c"))
    lab.delete("Service", "b")
    assert addresses(lab.get("Service", "c")) == ["203.0.113.9"]
