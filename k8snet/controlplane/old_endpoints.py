"""Endpoints, the API before EndpointSlices, in both directions.

For a Service with a selector the endpoints controller still writes an Endpoints object (pkg/controller/endpoint;
subsets packed as pkg/api/v1/endpoints does). For a Service without one, an Endpoints object that a person wrote is
mirrored into slices (pkg/controller/endpointslicemirroring).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from k8snet.controlplane import endpoints
from k8snet.controlplane.names import suffix
from k8snet.controlplane.owners import own, reference
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


def write(plane: ControlPlane) -> None:
    """Keep an Endpoints object for each Service with a selector."""
    store = plane.store
    selecting = endpoints.selecting(plane, "endpoints")
    watches = {"Service": own, "Pod": selecting, "Endpoints": lambda o: [("Service", *key_of(o)[1:])]}
    for key in plane.due("endpoints", watches):
        service, old = store.at(key), store.get("Endpoints", key[1], key[2])
        if service is None:
            if old is not None and MANAGED_BY in (old["metadata"].get("labels") or {}):
                store.remove(key_of(old))
        elif endpoints.wants_slices(service):
            pods = sorted((p for p in store.all("Pod", key[1]) if endpoints.selects(service, p)), key=key_of)
            labels = {**(service["metadata"].get("labels") or {}), MANAGED_BY: "endpoint-controller"}
            if service["spec"].get("clusterIP") == "None":
                labels[endpoints.HEADLESS] = ""
            meta = {**(old["metadata"] if old else {"name": key[2], "namespace": key[1]}), "labels": labels}
            store.put({"apiVersion": "v1", "kind": "Endpoints", "metadata": meta, **_subsets(service, pods)})


def _subsets(service: Object, pods: Iterable[Object]) -> dict[str, Any]:
    """Addresses of the Service's first family, grouped by the ports that they have in common."""
    publish = bool(service["spec"].get("publishNotReadyAddresses"))
    first = endpoints.families_of(service)[0]
    if service["spec"].get("ipFamilies"):
        first = service["spec"]["ipFamilies"][0]
    by_port: dict[str, tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]] = {}
    for pod in pods:
        ip = next((ip for ip in endpoints.addresses(pod) if family(ip) == first), None)
        if ip is None or not endpoints.counts(pod, terminating_too=publish):
            continue
        address: dict[str, Any] = {"ip": ip, "nodeName": pod["spec"].get("nodeName", "")}
        address["targetRef"] = endpoints.pod_reference(pod)
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

    def same_name(service: Object) -> list[Key]:
        return [("Endpoints", *key_of(service)[1:])]

    def tied(slice_: Object) -> list[Key]:
        labels = slice_["metadata"].get("labels") or {}
        mine = labels.get(endpoints.MANAGED_BY) == MIRROR
        return [("Endpoints", slice_["metadata"]["namespace"], labels[endpoints.SERVICE_NAME])] if mine else []

    for key in plane.due("endpointslicemirroring", {"Endpoints": own, "Service": same_name, "EndpointSlice": tied}):
        obj, service = store.at(key), store.get("Service", key[1], key[2])
        if obj is None:
            continue
        meta = obj["metadata"]
        wanted: list[Object] = []
        hidden = (meta.get("labels") or {}).get(SKIP_MIRROR) == "true" or LEADER in (meta.get("annotations") or {})
        if service is not None and not service["spec"].get("selector") and not hidden:
            wanted = _mirrored(obj)
        old = {s["metadata"]["name"]: s for s in store.by("owner", meta["uid"]) if tied(s)}
        spare = sorted(old)
        for slice_ in wanted:
            same = next((n for n in spare if old[n]["addressType"] == slice_["addressType"]), "")
            if same:
                spare.remove(same)
            name = same or f"{key[2]}-{suffix(store.rng)}"
            slice_meta = {**(old[name]["metadata"] if same else {}), **slice_["metadata"], "name": name}
            store.put({**slice_, "metadata": slice_meta})
        for name in spare:
            store.remove(key_of(old[name]))


def _mirrored(obj: Object) -> list[Object]:
    """One slice for each family and set of ports."""
    meta = obj["metadata"]
    labels = {k: v for k, v in (meta.get("labels") or {}).items() if k not in (MANAGED_BY, endpoints.HEADLESS)}
    slice_meta: dict[str, Any] = {"generateName": f"{meta['name']}-", "namespace": meta["namespace"]}
    slice_meta["labels"] = labels | {endpoints.SERVICE_NAME: meta["name"], endpoints.MANAGED_BY: MIRROR}
    slice_meta["ownerReferences"] = [reference(obj)]
    annotations = {k: v for k, v in (meta.get("annotations") or {}).items() if k not in _NOT_COPIED}
    slice_meta |= {"annotations": annotations} if annotations else {}
    slices: dict[str, Object] = {}
    for subset in obj.get("subsets") or ():
        ports = [{"name": "", "protocol": "TCP", **p} for p in subset.get("ports") or ()]
        for group, ready in (("addresses", True), ("notReadyAddresses", False)):
            for address in subset.get(group) or ():
                kind = family(normal(address["ip"]))
                empty: Object = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": slice_meta}
                empty |= {"addressType": kind, "endpoints": [], "ports": ports}
                slice_ = slices.setdefault(f"{kind} {ports}", empty)
                kept = {k: address[k] for k in ("hostname", "nodeName", "targetRef") if address.get(k)}
                slice_["endpoints"].append({"addresses": [address["ip"]], "conditions": {"ready": ready}, **kept})
    return list(slices.values())
