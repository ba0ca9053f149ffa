"""Load balancers: gives each Service of type LoadBalancer an address, where the cluster has an implementer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane


def balance(plane: ControlPlane) -> None:
    """Give addresses."""
