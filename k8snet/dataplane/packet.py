"""A packet's headers: all of it that the cluster's network can see and change."""

from __future__ import annotations

from dataclasses import dataclass, replace

from k8snet.manifests.addresses import host_port


@dataclass(frozen=True, slots=True)
class Packet:
    """Source and destination of one packet, and the packet that wraps it on its way between nodes, if any.

    ``protocol`` is TCP, UDP, SCTP or ICMP, which has no ports: an echo's identifier stands for them (the other is 0).
    ``size`` is the whole IP packet in bytes, without the wrapping.
    """

    src: str
    sport: int
    dst: str
    dport: int
    protocol: str = "TCP"
    size: int = 60
    outer: Packet | None = None
    vni: int = 0

    def reply(self) -> Packet:
        """The packet that answers this one: ends exchanged, no wrapping."""
        return Packet(self.dst, self.dport, self.src, self.sport, self.protocol, self.size)

    def with_destination(self, ip: str, port: int) -> Packet:
        """The packet after destination address translation (DNAT)."""
        return replace(self, dst=ip, dport=port)

    def with_source(self, ip: str, port: int) -> Packet:
        """The packet after source address translation (SNAT, masquerade)."""
        return replace(self, src=ip, sport=port)

    def wrap(self, outer: Packet, vni: int = 0) -> Packet:
        """This packet inside *outer*, as an overlay sends it from node to node."""
        return replace(self, outer=outer, vni=vni)

    def unwrap(self) -> Packet:
        """This packet without its wrapping."""
        return replace(self, outer=None, vni=0)

    @property
    def flow(self) -> tuple[str, str, int, str, int]:
        """Protocol, source address and port, destination address and port: the five that name a connection."""
        return (self.protocol, self.src, self.sport, self.dst, self.dport)

    def __str__(self) -> str:
        if self.protocol == "ICMP":
            inner = f"{self.src} → {self.dst} ICMP"
        else:
            inner = f"{host_port(self.src, self.sport)} → {host_port(self.dst, self.dport)} {self.protocol}"
        return f"{inner} (inside {self.outer}{f', VNI {self.vni}' if self.vni else ''})" if self.outer else inner


def changes(before: Packet, after: Packet) -> list[str]:
    """What differs between the headers of two packets, a line for each."""
    lines = []
    if (before.src, before.sport) != (after.src, after.sport):
        lines.append(f"source {host_port(before.src, before.sport)} becomes {host_port(after.src, after.sport)}")
    if (before.dst, before.dport) != (after.dst, after.dport):
        lines.append(f"destination {host_port(before.dst, before.dport)} becomes {host_port(after.dst, after.dport)}")
    if after.outer is not None and before.outer is None:
        lines.append(f"wrapped in {after.outer}, VNI {after.vni}")
    elif before.outer is not None and after.outer is None:
        lines.append(f"unwrapped from {before.outer}")
    return lines
