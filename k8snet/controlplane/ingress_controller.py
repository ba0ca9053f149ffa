"""Ingress controllers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from k8snet.controlplane import routes
from k8snet.manifests.kinds import Object


def addresses_for(ingress: Object, classes: Iterable[Object], addresses: Mapping[str, list[Object]]) -> list[Object]:
    """What belongs into ``status.loadBalancer.ingress`` of an Ingress: the addresses of the controller that serves it.

    *addresses* holds those of every controller that runs, by its name as in ``spec.controller``.
    """
    return addresses.get(routes.controller_of(ingress, classes)[0], [])
