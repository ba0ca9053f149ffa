"""The tables: interfaces, addresses and routes of Pods, nodes and the router."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8snet.dataplane import wiring
from k8snet.dataplane.wiring import Interface, Netns, Route
from tests.dataplane.handmade import Hand, shop

blocks = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(
    lambda b: ipaddress.ip_network((b[0] >> (32 - b[1]) << (32 - b[1]) if b[1] else 0, b[1]))
)


@given(st.lists(blocks, max_size=12), st.integers(0, 2**32 - 1))
def test_the_longest_prefix_wins(table: list[ipaddress.IPv4Network], number: int) -> None:
    """Held against the definition: of all blocks that hold the address, the narrowest; of equals, the first."""
    routes = [Route(str(block), f"dev{n}") for n, block in enumerate(table)]
    address = ipaddress.ip_address(number)
    holding = [r for r, block in zip(routes, table, strict=True) if address in block]
    expected = max(holding, key=lambda r: int(r.to.partition("/")[2]), default=None)
    assert Netns("node", "n", [], routes).route(str(address)) == expected


def node_routes(hand: Hand, name: str = "node-1") -> list[str]:
    """Lines of ``ip route`` on a node."""
    return [str(r) for r in wiring.of(hand.moment.snapshot).node(name).routes]


def pod_routes(hand: Hand, key: str = "default/client") -> list[str]:
    """Lines of ``ip route`` in a Pod."""
    return [str(r) for r in wiring.of(hand.moment.snapshot).pod(hand.moment.snapshot.pods[key]).routes]


def test_a_bridge_node_knows_the_others_ranges_by_their_addresses() -> None:
    """C78: as the bridge plugin and static routes make it."""
    hand = shop("bridge")
    routes = node_routes(hand)
    assert "10.244.1.0/24 dev cni0 proto kernel scope link src 10.244.1.1" in routes
    assert "10.244.2.0/24 via 192.168.10.12 dev eth0" in routes
    assert "default via 192.168.10.1 dev eth0 proto static" in routes
    assert pod_routes(hand)[0] == "default via 10.244.1.1 dev eth0"


def test_an_overlay_sends_other_ranges_into_its_tunnel() -> None:
    """flannel's vxlan backend: the far range's network address is the next hop, on link."""
    hand = shop("overlay")
    assert "10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink" in node_routes(hand)
    node = wiring.of(hand.moment.snapshot).node("node-1")
    assert node.interfaces["flannel.1"].addresses == ("10.244.1.0/32",)
    assert {i.mtu for i in node.interfaces.values() if i.kind in ("vxlan", "bridge", "veth")} == {1450}


@pytest.mark.parametrize("network", ["routed", "cloud"])
def test_routed_pods_have_a_route_each_and_the_router_knows_the_ranges(network: str) -> None:
    """C82, C83: Calico's and the VPC plugin's way."""
    hand = shop(network)
    wires = wiring.of(hand.moment.snapshot)
    ip, veth = hand.ip("client"), wires.veth(hand.moment.snapshot.pods["default/client"])
    assert f"{ip} dev {veth} scope link" in node_routes(hand)
    assert pod_routes(hand) == ["default via 169.254.1.1 dev eth0", "169.254.1.1 dev eth0 scope link"]
    behind = {r.to: r.via for r in wires.router.routes if r.via}
    there = hand.ip("web-2")
    assert behind["10.244.2.0/24" if network == "routed" else f"{there}/32"] == "192.168.10.12"
    assert not any(hand.ip("web-2") in line or "10.244.2.0" in line for line in node_routes(hand))


def test_docker_nodes_have_the_same_private_range() -> None:
    hand = Hand(2, "docker").pod("a", 1).pod("b", 2)
    for node in ("node-1", "node-2"):
        assert "172.17.0.0/16 dev docker0 proto kernel scope link src 172.17.0.1" in node_routes(hand, node)


def test_a_veth_is_one_wire_with_two_ends() -> None:
    """C77."""
    hand = shop("bridge")
    wires = wiring.of(hand.moment.snapshot)
    pod = hand.moment.snapshot.pods["default/client"]
    near, far = wires.pod(pod).interfaces["eth0"], wires.node("node-1").interfaces[wires.veth(pod)]
    assert near.peer == far.name and far.peer == "eth0 of default/client" and far.master == "cni0"
    assert len(far.name) <= 15


def test_a_host_network_pod_has_no_wire_of_its_own() -> None:
    hand = Hand(1).pod("agent", 1, host_network=True)
    wires = wiring.of(hand.moment.snapshot)
    assert wires.pod(hand.moment.snapshot.pods["default/agent"]) is wires.node("node-1")
    assert not [i for i in wires.node("node-1").interfaces.values() if i.kind == "veth"]


def test_a_pod_outside_its_nodes_range_is_routed_by_itself() -> None:
    """Dumps have such Pods, and nodes without podCIDR."""
    hand = Hand(2, "bridge").pod("a", 1, "none").pod("stray", 2, ip="10.99.0.5")
    assert "10.99.0.5 via 192.168.10.12 dev eth0" in node_routes(hand)
    assert hand.connect("a", "stray", 8080).outcome.server_saw == hand.ip("a")


def test_the_source_address_is_the_leaving_devices_own() -> None:
    eth0, cni0, cali = (
        Interface("eth0", "eth", 1500, ("192.168.1.2/24", "fd00::2/64")),
        Interface("cni0", "bridge", 1500, ("10.1.0.1/24",)),
        Interface("cali1", "veth", 1500),
    )
    netns = Netns("node", "n", [wiring.LOOPBACK, eth0, cni0, cali], [])
    assert netns.address_on("cni0", "10.1.0.5") == "10.1.0.1"
    assert netns.address_on("cali1", "10.1.0.5") == "192.168.1.2"
    assert netns.address_on("cni0", "fd01::1") == "fd00::2"


def test_the_mtu_knobs() -> None:
    for knobs, mtu in (({}, 1450), ({"mtu": 9000}, 8950), ({"pod_mtu": 1400}, 1400)):
        assert wiring.of(shop("overlay", **knobs).moment.snapshot).pod_mtu == mtu
    assert wiring.of(shop("routed").moment.snapshot).pod_mtu == 1500
