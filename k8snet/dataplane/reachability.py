"""All pairs: who reaches whom on one port, as policy decides."""

from __future__ import annotations

from dataclasses import dataclass

from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane.policy import Peer, verdict


@dataclass(frozen=True)
class Reachability:
    port: int
    protocol: str
    clients: tuple[str, ...]
    servers: tuple[str, ...]
    lines: tuple[str, ...]

    def rows(self) -> tuple[str, ...]:
        return self.lines


def reachability(snapshot: Snapshot, port: int, protocol: str = "TCP") -> Reachability:
    pods = [p for p in snapshot.pods.values() if not p.finished]
    peers = [Peer.pod(p) for p in pods]
    names = tuple(p.key for p in pods)
    lines = tuple("".join(".X"[not verdict(snapshot, a, b, port, protocol)] for b in peers) for a in peers)
    return Reachability(port, protocol, names, names, lines)
