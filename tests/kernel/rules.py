"""The rules of a node as a kernel is given them."""

from __future__ import annotations

from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane import iptables


def restore_input(snapshot: Snapshot, node: str, family: str = "IPv4") -> str:
    """All rules of a node as one input for ``iptables-restore`` (``ip6tables-restore``), as kube-proxy spells them."""
    lines = []
    for table, made in iptables.tables(snapshot, node, family).items():
        chains = dict.fromkeys([*iptables.TOP_LEVEL[table], *(r.chain for r in made)])
        rules = map(iptables.restored, [*iptables.jumps(table), *made])
        lines += [f"*{table}", *(f":{c} - [0:0]" for c in chains), *rules, "COMMIT"]
    return "\n".join(lines) + "\n"
