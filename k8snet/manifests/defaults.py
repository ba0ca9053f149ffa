"""What the API server fills in before it looks whether an object makes sense.

Facts: pkg/apis/{core,apps,networking,discovery}/v1/defaults.go, the create strategies of Namespace and Secret, and the
``default:`` lines of the Gateway API's CRDs. Cluster IPs, families and node ports are given out later, by the
allocator. The object is walked along the field table: what stands under a struct's name in ``defaults.yaml``, then in
RULES, is done to every such struct.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from k8snet.manifests.kinds import KINDS, Object
from k8snet.manifests.schema import inner, rebuilt, structs
from k8snet.manifests.tables import table

_IMAGE = re.compile(r"([\w.:\[\]-]+/)?[a-z0-9._/-]+(:(?P<tag>\w[\w.-]*))?(@(?P<digest>\S+))?", re.ASCII)


def fill(obj: Object) -> Object:
    """A new object with the server's defaults. It takes what `decode.strict` gives; kinds without a table stay as they are."""
    kind = obj.get("kind", "")
    known = KINDS.get(kind)
    metadata = {k: v for k, v in (obj.get("metadata") or {}).items() if k != "namespace"}
    if known is None or known.namespaced:
        metadata["namespace"] = (obj.get("metadata") or {}).get("namespace") or "default"
    result = {**obj, "metadata": metadata}
    return rebuilt(kind, result, _filled) if kind in structs() else result


def _filled(struct: str, value: Object) -> Object:
    result = dict(value)
    for name, default in _absent(struct).items():
        result.setdefault(name, default)
    if struct in RULES:
        RULES[struct](result)
    return result


@cache
def _absent(struct: str) -> Mapping[str, Any]:
    """What stands for the fields of a struct that are absent. Empty structs are copied and filled in by their own lines."""
    empty: Object = {name: {} for name, field in inner(struct).items() if field.always and field.item is None}
    return {**empty, **table("defaults").get(struct, {})}


# Rules that look at more than one field; each changes the (shallow) copy that it is given.


def _service(spec: Object) -> None:
    kind = spec["type"]
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    if spec["sessionAffinity"] == "ClientIP":
        timeout = ((spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}).get("timeoutSeconds", 10800)
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": timeout}}
    if kind in ("ClusterIP", "NodePort", "LoadBalancer"):
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if kind in ("NodePort", "LoadBalancer") or (kind == "ClusterIP" and spec.get("externalIPs")):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)


def _service_port(port: Object) -> None:
    if port.get("targetPort") in (None, 0, ""):
        port["targetPort"] = port.get("port", 0)


def _load_balancer_ingress(ingress: Object) -> None:
    if ingress.get("ip"):
        ingress.setdefault("ipMode", "VIP")


def _network_policy(spec: Object) -> None:
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def _namespace(namespace: Object) -> None:
    metadata = namespace["metadata"]
    if metadata.get("name"):
        labels = {**(metadata.get("labels") or {}), "kubernetes.io/metadata.name": metadata["name"]}
        namespace["metadata"] = {**metadata, "labels": labels}
    finalizers = (namespace.get("spec") or {}).get("finalizers") or []
    if "kubernetes" not in finalizers:
        namespace["spec"] = {"finalizers": [*finalizers, "kubernetes"]}


def _secret(secret: Object) -> None:
    if texts := secret.pop("stringData", None):
        encoded = {k: base64.b64encode(v.encode()).decode() for k, v in texts.items()}
        secret["data"] = {**(secret.get("data") or {}), **encoded}


def _pod(pod: Object) -> None:
    """What is filled in for a Pod, and not yet in the template of a Deployment."""
    spec = {"enableServiceLinks": True, **pod.get("spec", {})}
    for group in ("containers", "initContainers"):
        if group in spec:
            spec[group] = [_pod_container(c, bool(spec.get("hostNetwork"))) for c in spec[group]]
    pod["spec"] = spec


def _pod_container(container: Object, host_network: bool) -> Object:
    result, resources = dict(container), container.get("resources") or {}
    if limits := resources.get("limits"):
        result["resources"] = {**resources, "requests": {**limits, **resources.get("requests", {})}}
    if host_network and container.get("ports"):
        result["ports"] = [{"hostPort": p.get("containerPort", 0), **p} for p in container["ports"]]
    return result


def _pod_spec(spec: Object) -> None:
    if account := spec.get("serviceAccountName") or spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"] = account


def _container(container: Object) -> None:
    image = _IMAGE.fullmatch(container.get("image", ""))  # what cannot be read as an image has no tag, so not "latest"
    latest = image and (image["tag"] == "latest" or not (image["tag"] or image["digest"]))
    container.setdefault("imagePullPolicy", "Always" if latest else "IfNotPresent")


def _node_status(status: Object) -> None:
    if status.get("capacity") and not status.get("allocatable"):
        status["allocatable"] = dict(status["capacity"])


def _volume(volume: Object) -> None:
    if set(volume) <= {"name"}:
        volume["emptyDir"] = {}


def _rolling_update(strategy: Object) -> None:
    if strategy["type"] == "RollingUpdate":
        strategy.setdefault("rollingUpdate", {})


RULES: Mapping[str, Callable[[Object], None]] = {
    "ServiceSpec": _service,
    "ServicePort": _service_port,
    "LoadBalancerIngress": _load_balancer_ingress,
    "NetworkPolicySpec": _network_policy,
    "Namespace": _namespace,
    "Secret": _secret,
    "Pod": _pod,
    "PodSpec": _pod_spec,
    "Container": _container,
    "EphemeralContainer": _container,
    "NodeStatus": _node_status,
    "Volume": _volume,
    "DeploymentStrategy": _rolling_update,
    "StatefulSetUpdateStrategy": _rolling_update,
    "DaemonSetUpdateStrategy": _rolling_update,
}
