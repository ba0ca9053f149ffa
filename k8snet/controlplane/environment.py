"""Service environment variables: what a container finds of the Services that were there when it started.

From pkg/kubelet/envvars (envvars.go) and kubelet_pods.go: the Services of the Pod's namespace that have a cluster IP,
and the API's own from namespace default. A Service that comes later is not among them (but DNS knows it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from k8snet.controlplane.store import Store
from k8snet.manifests.addresses import host_port
from k8snet.manifests.kinds import Object

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane


def record(plane: ControlPlane, pod: Object) -> None:
    """Note what a Pod's containers are started with now: the same for all that start before the next change of Services."""
    meta, version = pod["metadata"], plane.store.changed("Service")
    whose = meta["namespace"], pod["spec"].get("enableServiceLinks", True)
    if plane.variables.get(whose, (0,))[0] != version:
        plane.variables[whose] = version, variables(plane.store, *whose)
    plane.environments[f"{meta['namespace']}/{meta['name']}"] = plane.variables[whose][1]


def variables(store: Store, namespace: str, links: bool) -> dict[str, str]:
    """The variables for a Pod of a namespace whose containers start now, sorted by Service name; *links*: whether the
    Services of the namespace are among them, as enableServiceLinks says."""
    services = {"kubernetes": store.get("Service", "default", "kubernetes")}
    if links:
        services |= {s["metadata"]["name"]: s for s in store.all("Service", namespace)}
    result: dict[str, str] = {}
    for name, service in sorted(services.items()):
        address = service["spec"].get("clusterIP") if service else None
        if service and address and address != "None" and service["spec"].get("type") != "ExternalName":
            result |= _of_service(_variable(name), address, service["spec"].get("ports") or [])
    return result


def _of_service(prefix: str, address: str, ports: list[dict[str, Any]]) -> dict[str, str]:
    found = {f"{prefix}_SERVICE_HOST": address, f"{prefix}_SERVICE_PORT": str(ports[0]["port"])}
    found |= {f"{prefix}_SERVICE_PORT_{_variable(p['name'])}": str(p["port"]) for p in ports if p.get("name")}
    for port in ports:
        protocol, number = port.get("protocol") or "TCP", port["port"]
        url = f"{protocol.lower()}://{host_port(address, number)}"
        stem = f"{prefix}_PORT_{number}_{protocol.upper()}"
        found.setdefault(f"{prefix}_PORT", url)
        found |= {stem: url, f"{stem}_PROTO": protocol.lower(), f"{stem}_PORT": str(number), f"{stem}_ADDR": address}
    return found


def _variable(name: str) -> str:
    return name.upper().replace("-", "_")
