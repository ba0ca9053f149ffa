"""ip, ss, bridge and ping, held to what the real ones print."""

from __future__ import annotations

import pytest

from k8snet.shell import net_tools
from k8snet.shell.result import Result
from tests.dataplane.handmade import Hand, shop


def run(hand: Hand, client: str, line: str) -> Result:
    """One command where a client is."""
    tool, *words = line.split()
    return net_tools.TOOLS[tool](hand.moment, hand.client(client), words)


def test_ip_addr_in_a_pod() -> None:
    out = run(shop(), "client", "ip addr show dev eth0").stdout
    assert out.startswith("2: eth0@if") and " mtu 1450 " in out
    assert "    inet 10.244.1.2/24 scope global eth0\n" in out and "1: lo" not in out


def test_both_ends_of_a_wire_name_each_others_number() -> None:
    """C77: eth0@if5 in the Pod is the node's fifth device."""
    hand = shop()
    number = run(hand, "client", "ip link show dev eth0").stdout.partition("@if")[2].partition(":")[0]
    end = next(line for line in run(hand, "node-1", "ip link").stdout.splitlines() if line.startswith(f"{number}: "))
    assert f"{number}: veth" in end and "@if2:" in end


def test_ip_link_on_a_node_shows_who_is_plugged_into_the_bridge() -> None:
    out = run(shop("bridge"), "node-1", "ip link").stdout
    assert out.count(" master cni0 ") == 2 and "inet" not in out


def test_ip_route_prints_default_first_then_by_address() -> None:
    out = run(shop(), "node-1", "ip route").stdout.splitlines()
    assert [line.split()[0] for line in out] == [
        "default",
        "10.244.1.0/24",
        "10.244.2.0/24",
        "10.244.3.0/24",
        "192.168.10.0/24",
    ]


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("10.244.2.2", "10.244.2.2 via 10.244.1.1 dev eth0 src 10.244.1.2 uid 0"),
        ("10.244.1.3", "10.244.1.3 dev eth0 src 10.244.1.2 uid 0"),
        ("10.244.1.2", "local 10.244.1.2 dev lo src 10.244.1.2 uid 0"),
    ],
)
def test_ip_route_get(target: str, line: str) -> None:
    assert run(shop(), "client", f"ip route get {target}").stdout.splitlines()[0] == line


def test_ip_refuses_in_its_own_words() -> None:
    assert run(shop(), "client", "ip addr show dev foo").stderr == 'Device "foo" does not exist.\n'
    assert run(shop(), "client", "ip route get fd00::1").stderr == "RTNETLINK answers: Network is unreachable\n"
    assert run(shop(), "client", "ip frobnicate").exit_code and run(shop(), "client", "ip").exit_code


def test_the_tunnels_far_ends_are_written_down_twice() -> None:
    """What flanneld programs: neigh tells the MAC address of the next hop, fdb the node behind that MAC address."""
    hand = shop()
    neigh = run(hand, "node-1", "ip neigh show dev flannel.1").stdout.splitlines()
    fdb = run(hand, "node-1", "bridge fdb show dev flannel.1").stdout.splitlines()
    assert [line.split()[0] for line in neigh] == ["10.244.2.0", "10.244.3.0"]
    assert [line.split()[0] for line in fdb] == [line.split()[4] for line in neigh]
    assert fdb[0].endswith("dev flannel.1 dst 192.168.10.12 self permanent")


def test_ss_shows_the_address_that_a_listener_is_bound_to() -> None:
    """F07: the discriminating command."""
    hand = Hand(1).pod("web", 1, "127.0.0.1:8080,53/UDP")
    assert "127.0.0.1:8080" in run(hand, "web", "ss -ltn").stdout
    assert "53" not in run(hand, "web", "ss -ltn").stdout
    assert "UNCONN" in run(hand, "web", "ss -lun").stdout
    assert 'users:(("app"' in run(hand, "web", "ss -ltnp").stdout


def test_ss_on_a_node_has_no_node_ports() -> None:
    """C18: no process holds them."""
    out = run(shop(), "node-1", "ss -ltn").stdout
    assert ":10250" in out and "30080" not in out


def test_ping() -> None:
    hand = shop()
    good = run(hand, "client", "ping -c 2 10.244.2.2")
    assert good.exit_code == 0 and "2 packets transmitted, 2 received, 0% packet loss" in good.stdout
    assert "64 bytes from 10.244.2.2: icmp_seq=1 ttl=62" in good.stdout
    lost = run(hand, "client", f"ping -c 1 {hand.address('web')}")
    assert lost.exit_code == 1 and "100% packet loss" in lost.stdout
    assert "Destination Host Unreachable" in run(hand, "client", "ping -c 1 10.244.1.99").stdout


def test_ping_finds_the_mtu() -> None:
    hand = shop()
    assert run(hand, "client", "ping -c 1 -M do -s 1422 10.244.2.2")
    assert "local error: message too long, mtu=1450" in run(hand, "client", "ping -c 1 -M do -s 1423 10.244.2.2").stdout


def test_ping_never_guesses_where_nothing_is_defined() -> None:
    result = run(shop().policy(policyTypes=["Ingress"]), "client", "ping 10.244.2.2")
    assert "undefined" in result.hint and not result.stdout


@pytest.mark.parametrize("line", ["ping", "ping -c x 1.2.3.4", "ping a b", "bridge", "bridge vlan"])
def test_misuse_prints_the_usage(line: str) -> None:
    result = run(shop(), "client", line)
    assert result.exit_code and result.stderr.startswith("Usage: ")
