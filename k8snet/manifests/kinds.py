"""The kinds that the simulator knows: how they are named in manifests, in URLs and on kubectl's command line.

Facts: ``kubectl api-resources`` of Kubernetes 1.36 and of the Gateway API's CRDs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """One row of ``kubectl api-resources``."""

    kind: str
    api_version: str
    plural: str
    short_names: tuple[str, ...] = ()
    namespaced: bool = True

    @cached_property
    def group(self) -> str:
        """``networking.k8s.io``; empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @cached_property
    def version(self) -> str:
        """The version without its group: ``v1``."""
        return self.api_version.rpartition("/")[2]

    @cached_property
    def singular(self) -> str:
        """The kind in lower case, as kubectl prints it before a name."""
        return self.kind.lower()

    @cached_property
    def resource(self) -> str:
        """``networkpolicies.networking.k8s.io``: the name that errors use (NotFound, AlreadyExists)."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @cached_property
    def qualified(self) -> str:
        """``networkpolicy.networking.k8s.io``: the name that ``kubectl apply`` and ``delete`` print."""
        return f"{self.singular}.{self.group}" if self.group else self.singular


_NET, _GW = "networking.k8s.io/v1", "gateway.networking.k8s.io/v1"
# Versions that the server takes, too; what it stores and prints is the kind's own.
ALSO_SERVED = {"gateway.networking.k8s.io/v1beta1": _GW}

KINDS: Mapping[str, Kind] = {
    k.kind: k
    for k in (
        Kind("ConfigMap", "v1", "configmaps", ("cm",)),
        Kind("Endpoints", "v1", "endpoints", ("ep",)),
        Kind("Event", "v1", "events", ("ev",)),
        Kind("Namespace", "v1", "namespaces", ("ns",), namespaced=False),
        Kind("Node", "v1", "nodes", ("no",), namespaced=False),
        Kind("Pod", "v1", "pods", ("po",)),
        Kind("Secret", "v1", "secrets"),
        Kind("Service", "v1", "services", ("svc",)),
        Kind("DaemonSet", "apps/v1", "daemonsets", ("ds",)),
        Kind("Deployment", "apps/v1", "deployments", ("deploy",)),
        Kind("ReplicaSet", "apps/v1", "replicasets", ("rs",)),
        Kind("StatefulSet", "apps/v1", "statefulsets", ("sts",)),
        Kind("EndpointSlice", "discovery.k8s.io/v1", "endpointslices"),
        Kind("Ingress", _NET, "ingresses", ("ing",)),
        Kind("IngressClass", _NET, "ingressclasses", namespaced=False),
        Kind("NetworkPolicy", _NET, "networkpolicies", ("netpol",)),
        Kind("ServiceCIDR", _NET, "servicecidrs", namespaced=False),
        Kind("GatewayClass", _GW, "gatewayclasses", ("gc",), namespaced=False),
        Kind("Gateway", _GW, "gateways", ("gtw",)),
        Kind("HTTPRoute", _GW, "httproutes"),
        Kind("ReferenceGrant", _GW, "referencegrants", ("refgrant",)),
    )
}

_WORDS = {
    word: kind
    for kind in KINDS.values()
    for word in (kind.plural, kind.singular, *kind.short_names, kind.resource, kind.qualified)
}


def find(word: str) -> Kind | None:
    """The kind that a word on kubectl's command line means (``svc``, ``Services``, ``netpol``), or None."""
    return _WORDS.get(word.lower())


def words() -> list[str]:
    """Every word that `find` knows, for completion."""
    return sorted(_WORDS)


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """Points at an object and, where a rule decided something, at the field: ``service/default/web spec.ports[0]``."""

    kind: str
    namespace: str
    name: str
    field: str = ""

    def at(self, field: str) -> Ref:
        """The same object, at another field."""
        return Ref(self.kind, self.namespace, self.name, field)

    @property
    def key(self) -> str:
        """``namespace/name``, or the name alone for kinds without a namespace."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    def __str__(self) -> str:
        return f"{self.kind.lower()}/{self.key}" + (f" {self.field}" if self.field else "")


def ref(obj: Mapping[str, Any], field: str = "") -> Ref:
    """The reference of an object in dict form. Cluster-wide kinds have an empty namespace."""
    kind, meta = obj.get("kind", ""), obj.get("metadata") or {}
    known = KINDS.get(kind)
    namespace = "" if known and not known.namespaced else meta.get("namespace") or "default"
    return Ref(kind, namespace, meta.get("name", ""), field)
