"""The shop with an Ingress controller, a Gateway controller or neither, for the tests of HTTP from outside."""

from __future__ import annotations

import shlex
from typing import Any

from k8snet.controlplane.plane import ControlPlane
from k8snet.controlplane.settings import Settings
from k8snet.dataplane.client import Client
from k8snet.dataplane.moment import Moment
from k8snet.manifests.kinds import Object
from k8snet.manifests.reader import objects_of
from k8snet.shell.curl import curl, wget
from k8snet.shell.result import Result

INGRESS, GATEWAY = "k8s.io/ingress-nginx", "example.com/gateway-controller"
CERTIFICATE = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1BPT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="


def pod(name: str, image: str = "nginxinc/nginx-unprivileged", namespace: str = "default", **labels: str) -> Object:
    meta = {"name": name, "namespace": namespace, "labels": labels}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta,
        "spec": {"containers": [{"name": "main", "image": image}]},
    }


def service(name: str, port: int = 80, target: int = 8080, namespace: str = "default", **spec: Any) -> Object:
    wanted = {"selector": {"app": name}, "ports": [{"port": port, "targetPort": target}], **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": wanted}


def namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def secret(name: str, namespace: str = "default", **annotations: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace, "annotations": annotations},
        "type": "kubernetes.io/tls",
        "data": {"tls.crt": CERTIFICATE, "tls.key": CERTIFICATE},
    }


class Shop:
    """A cluster with Pod ``client`` and Service ``my-app`` (80 to 8080) over my-app-1 and my-app-2."""

    def __init__(self, *objects: Object, text: str = "", **knobs: Any) -> None:
        self.plane = ControlPlane(Settings(**knobs))
        self.add(
            pod("client", "curlimages/curl"),
            pod("my-app-1", app="my-app"),
            pod("my-app-2", app="my-app"),
            service("my-app"),
        )
        self.add(*objects, *objects_of(text))

    def add(self, *objects: Object) -> None:
        """Create objects and let the cluster come to rest."""
        for obj in objects:
            self.plane.api.create(obj)
        self.settle()

    def settle(self) -> None:
        self.plane.settle()
        self.plane.advance(60)
        self.moment = Moment(self.plane.snapshot(), self.plane.now, self.plane.rng)

    def change(self, kind: str, name: str, spec: dict[str, Any], namespace: str = "default") -> None:
        """A merge patch of spec."""
        self.plane.api.patch(kind, namespace, name, {"spec": spec})
        self.settle()

    def get(self, kind: str, name: str, namespace: str = "default") -> Object:
        return self.plane.api.get(kind, namespace, name)

    @property
    def outside(self) -> Client:
        return Client.outside(self.plane.settings)

    def run(self, line: str, client: Client | None = None) -> Result:
        """A curl or wget command, of Pod ``client`` if nobody else is named."""
        tool, *arguments = shlex.split(line)
        return {"curl": curl, "wget": wget}[tool](self.moment, client or Client("pod", "default/client"), arguments)

    def outside_runs(self, line: str) -> Result:
        return self.run(line, self.outside)
