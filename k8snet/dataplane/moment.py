"""A moment: the snapshot, the simulated time, and what the nodes' kernels remember.

This is the only thing of the data plane that changes: connection tracking and session affinity live in kernels, not in
objects, and a query log grows. Everything else in the room is a function of a snapshot and a packet.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from k8snet.controlplane.snapshot import Snapshot


@dataclass
class Moment:
    """``now`` is simulated seconds; ``rng`` the cluster's own seeded generator.

    ``conntrack`` and ``affinity`` are kept for each node apart, as the kernels do; ``query_log`` is what the DNS Pods
    were asked, in order.
    """

    snapshot: Snapshot
    now: float
    rng: random.Random
    conntrack: dict[str, dict[Any, Any]] = field(default_factory=dict)
    affinity: dict[str, dict[Any, Any]] = field(default_factory=dict)
    query_log: list[Any] = field(default_factory=list)
