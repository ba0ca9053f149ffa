"""Short hands for tests of the control plane."""

from __future__ import annotations

from typing import Any

from k8snet.controlplane.plane import ControlPlane
from k8snet.controlplane.settings import Settings
from k8snet.manifests.reader import objects_of


class Lab:
    """A control plane with short names for what tests do."""

    def __init__(self, nodes: int = 3, **knobs: Any) -> None:
        self.plane = ControlPlane(Settings(**knobs), nodes)

    def apply(self, text: str) -> list[str]:
        """Apply documents as one kubectl command does; answers the verbs."""
        verbs = [self.plane.api.apply(obj).verb for obj in objects_of(text)]
        self.plane.settle()
        return verbs

    def get(self, kind: str, name: str, namespace: str = "default") -> dict[str, Any]:
        return self.plane.api.get(kind, namespace, name)

    def list(self, kind: str, namespace: str = "default", **selection: Any) -> list[dict[str, Any]]:
        return list(self.plane.api.list(kind, namespace, **selection))

    def names(self, kind: str, namespace: str = "default") -> list[str]:
        return [o["metadata"]["name"] for o in self.list(kind, namespace)]

    def delete(self, kind: str, name: str, namespace: str = "default") -> None:
        self.plane.api.delete(kind, namespace, name)
        self.plane.settle()

    def patch(self, kind: str, name: str, patch: dict[str, Any], **more: Any) -> None:
        self.plane.api.patch(kind, "default", name, patch, **more)
        self.plane.settle()

    def advance(self, seconds: float) -> None:
        self.plane.advance(seconds)

    def events(self, name: str) -> list[tuple[str, str]]:
        """(reason, message) of the events about objects of a name."""
        found = self.plane.api.list("Event")
        return [(e["reason"], e["message"]) for e in found if e["involvedObject"]["name"] == name]

    def ready(self, name: str) -> bool:
        conditions = self.get("Pod", name)["status"]["conditions"]
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    def endpoints(self, service: str) -> dict[str, tuple[bool, bool, bool]]:
        """Pod -> (ready, serving, terminating), of all slices of a Service."""
        slices = self.list("EndpointSlice", selector=f"kubernetes.io/service-name={service}")
        return {
            e["targetRef"]["name"]: tuple(e["conditions"][c] for c in ("ready", "serving", "terminating"))
            for s in slices
            for e in s["endpoints"]
        }


def pod(name: str, image: str = "nginx", labels: str = "app: web", more: str = "", container: str = "") -> str:
    """A Pod with one container; *more* goes into its spec, *container* into the container (flow YAML)."""
    return (
        f"---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, labels: {{{labels}}}}}\n"
        f"spec: {{containers: [{{name: c, image: {image}, {container}}}], {more}}}\n"
    )


def service(name: str = "web", selector: str = "app: web", ports: str = "{port: 80}", more: str = "") -> str:
    """A Service."""
    chosen = f"selector: {{{selector}}}, " if selector else ""
    return (
        f"---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{{chosen}ports: [{ports}], {more}}}\n"
    )


def workload(
    kind: str = "Deployment", name: str = "web", replicas: int = 3, image: str = "nginx", more: str = "", pod: str = ""
) -> str:
    """A Deployment, ReplicaSet, StatefulSet or DaemonSet; *more* goes into its spec, *pod* into the Pod's."""
    count = "" if kind == "DaemonSet" else f"replicas: {replicas}, "
    return (
        f"---\napiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: {name}}}\n"
        f"spec: {{{count}selector: {{matchLabels: {{app: {name}}}}}, {more + ', ' if more else ''}"
        f"template: {{metadata: {{labels: {{app: {name}}}}}, spec: {{containers: [{{name: c, image: {image}}}], {pod}}}}}}}\n"
    )
