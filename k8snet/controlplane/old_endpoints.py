"""Endpoints, the API before EndpointSlices, in both directions.

For a Service with a selector the endpoints controller still writes an Endpoints object (pkg/controller/endpoint;
subsets packed as pkg/api/v1/endpoints does). For a Service without one, an Endpoints object that a person wrote is
mirrored into slices (pkg/controller/endpointslicemirroring).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from k8snet.controlplane import endpoints
from k8snet.controlplane.metadata import annotations_of, labels_of, own, owner, reference
from k8snet.controlplane.store import Key, key_of
from k8snet.manifests.addresses import family, normal
from k8snet.manifests.kinds import Object

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane

MANAGED_BY = "endpoints.kubernetes.io/managed-by"
MIRROR = "endpointslicemirroring-controller.k8s.io"
SKIP_MIRROR = "endpointslice.kubernetes.io/skip-mirror"
LEADER = "control-plane.alpha.kubernetes.io/leader"
_NOT_COPIED = ("kubectl.kubernetes.io/last-applied-configuration", "endpoints.kubernetes.io/last-change-trigger-time")


def _same_name(kind: str) -> Callable[[Object], list[Key]]:
    return lambda obj: [(kind, *key_of(obj)[1:])]


def write(plane: ControlPlane) -> None:
    """Keep an Endpoints object for each Service with a selector."""
    store = plane.store
    selecting = endpoints.selecting(plane, "endpoints")
    watches = {"Service": own, "Pod": selecting, "Endpoints": _same_name("Service")}
    for key in plane.due("endpoints", watches):
        service, old = store.at(key), store.get("Endpoints", key[1], key[2])
        if service is None:
            if old is not None and MANAGED_BY in labels_of(old):
                store.remove(key_of(old))
        elif endpoints.wants_slices(service):
            labels = {**labels_of(service), MANAGED_BY: "endpoint-controller"}
            if service["spec"].get("clusterIP") == "None":
                labels[endpoints.HEADLESS] = ""
            meta = {**(old["metadata"] if old else {"name": key[2], "namespace": key[1]}), "labels": labels}
            subsets = _subsets(service, endpoints.pods_of(store, service))
            store.put({"apiVersion": "v1", "kind": "Endpoints", "metadata": meta, **subsets})


def _subsets(service: Object, pods: Iterable[Object]) -> dict[str, Any]:
    """Addresses of the Service's first family, grouped by the ports that they have in common."""
    publish = bool(service["spec"].get("publishNotReadyAddresses"))
    first = (service["spec"].get("ipFamilies") or endpoints.families_of(service))[0]
    by_port: dict[str, tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]] = {}
    for pod in pods:
        ip = next((ip for ip in endpoints.addresses(pod) if family(ip) == first), None)
        if ip is None or not endpoints.counts(pod, terminating_too=publish):
            continue
        address = {"ip": ip, "nodeName": pod["spec"].get("nodeName", ""), "targetRef": endpoints.pod_reference(pod)}
        if endpoints.sets_hostname(pod, service):
            address["hostname"] = pod["spec"]["hostname"]
        group = "addresses" if publish or endpoints.is_ready(pod) else "notReadyAddresses"
        for port in endpoints.ports_for(service, pod) if service["spec"].get("ports") else [{}]:
            found = {k: v for k, v in port.items() if v != ""}
            by_port.setdefault(str(found), (found, {}))[1].setdefault(group, []).append(address)
    merged: dict[str, dict[str, Any]] = {}
    for port, groups in by_port.values():
        for addresses in groups.values():
            addresses.sort(key=lambda a: str(a["ip"]))
        subset = merged.setdefault(str(groups), dict(groups))
        if port:
            subset.setdefault("ports", []).append(port)
    return {"subsets": list(merged.values())} if merged else {}


def mirror(plane: ControlPlane) -> None:
    """Copy hand-written Endpoints into slices."""
    store = plane.store
    watches = {"Endpoints": own, "Service": _same_name("Endpoints"), "EndpointSlice": owner("Endpoints")}
    for key in plane.due("endpointslicemirroring", watches):
        obj, service = store.at(key), store.get("Service", key[1], key[2])
        if obj is not None:
            old = store.by("owner", obj["metadata"]["uid"])
            hidden = labels_of(obj).get(SKIP_MIRROR) == "true" or LEADER in annotations_of(obj)
            wanted = service is not None and not service["spec"].get("selector") and not hidden
            endpoints.keep(plane, old, _mirrored(obj, old) if wanted else [])


def _mirrored(obj: Object, old: list[Object]) -> list[Object]:
    """One slice for each family and set of ports; *old* slices of the same family are written over."""
    labels = {k: v for k, v in labels_of(obj).items() if k not in (MANAGED_BY, endpoints.HEADLESS)}
    labels |= {endpoints.SERVICE_NAME: obj["metadata"]["name"], endpoints.MANAGED_BY: MIRROR}
    annotations = {k: v for k, v in annotations_of(obj).items() if k not in _NOT_COPIED}
    meta: Object = {"labels": labels, "ownerReferences": [reference(obj)]}
    meta |= {"annotations": annotations} if annotations else {}
    slices: dict[str, Object] = {}
    for subset in obj.get("subsets") or ():
        ports = [{"name": "", "protocol": "TCP", **p} for p in subset.get("ports") or ()]
        for group in ("addresses", "notReadyAddresses"):
            for address in subset.get(group) or ():
                kind = family(normal(address["ip"]))
                kept = {k: address[k] for k in ("hostname", "nodeName", "targetRef") if address.get(k)}
                endpoint = {"addresses": [address["ip"]], "conditions": {"ready": group == "addresses"}, **kept}
                slice_ = slices.setdefault(f"{kind} {ports}", {"addressType": kind, "endpoints": [], "ports": ports})
                slice_["endpoints"].append(endpoint)
    new = {"generateName": f"{obj['metadata']['name']}-", "namespace": obj["metadata"]["namespace"]}
    for slice_ in slices.values():
        same = next((s for s in old if s["addressType"] == slice_["addressType"]), None)
        old = [s for s in old if s is not same]
        slice_ |= {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice"}
        slice_["metadata"] = (same["metadata"] if same else new) | meta
    return list(slices.values())
