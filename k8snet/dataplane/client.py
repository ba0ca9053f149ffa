"""Who sends a request: a Pod, a node (and what runs on its own network), or a machine outside the cluster."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from k8snet.controlplane.settings import Settings


@dataclass(frozen=True, slots=True)
class Client:
    """``kind`` is pod, node or outside; ``name`` is ``namespace/name``, the node's name or a word for the machine.

    ``ip`` is only needed outside, where no object holds it.
    """

    kind: str
    name: str
    ip: str = ""

    @classmethod
    def outside(cls, settings: Settings, ip: str = "") -> Client:
        """A machine outside; without *ip* it has the seventh address of the outside range."""
        return cls("outside", "laptop", ip or str(ipaddress.ip_network(settings.outside_cidr)[7]))
