"""EndpointSlices: which Pods stand behind a Service, with which ports, conditions and hints.

The EndpointSlice controller, from k8s.io/endpointslice (reconciler.go, utils.go, util/controller_utils.go) and
pkg/controller/endpointslice. Service and Pods go in, slices come out; kube-proxy and DNS read nothing else of backends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from k8snet.controlplane import hints
from k8snet.controlplane.metadata import containers_of, going, labels_of, own, owner, reference, suffix
from k8snet.controlplane.store import Key, Store, key_of, pair
from k8snet.manifests.addresses import family, normal
from k8snet.manifests.kinds import Object

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane

MAX_ENDPOINTS = 100
SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
CONTROLLER = "endpointslice-controller.k8s.io"
HEADLESS = "service.kubernetes.io/headless"


# which Pods count


def selects(service: Object, pod: Object) -> bool:
    """Whether a Service has a selector, all of whose labels the Pod (of the same namespace) carries."""
    selector = service["spec"].get("selector")
    return bool(selector) and selector.items() <= labels_of(pod).items()


def pods_of(store: Store, service: Object) -> list[Object]:
    """The Pods that a Service selects, by name."""
    selector = service["spec"].get("selector")
    found = store.by("label", pair(service["metadata"].get("namespace"), min(selector.items()))) if selector else []
    return sorted((p for p in found if selects(service, p)), key=key_of)


def services_of(store: Store, pod: Object) -> list[Object]:
    """The Services that select a Pod."""
    labels = (pair(pod["metadata"].get("namespace"), label) for label in labels_of(pod).items())
    return [s for label in labels for s in store.by("selector", label) if selects(s, pod)]


def counts(pod: Object, terminating_too: bool = True) -> bool:
    """Whether a selected Pod is listed: it has an address, is not finished, and, unless *terminating_too*, stays."""
    status = pod.get("status") or {}
    if status.get("phase") in ("Succeeded", "Failed") or not addresses(pod):
        return False
    return terminating_too or not going(pod)


def addresses(pod: Object) -> list[str]:
    """The Pod's addresses of all families, in normal form."""
    status = pod.get("status") or {}
    ips = [p["ip"] for p in status.get("podIPs") or () if p.get("ip")] or [status.get("podIP")]
    return [normal(ip) for ip in ips if ip]


def is_ready(pod: Object) -> bool:
    """Whether the Pod's Ready condition is True."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def sets_hostname(pod: Object, service: Object) -> bool:
    """Whether the Pod has a name of its own below the Service: a hostname, and the Service's name as subdomain."""
    spec = pod["spec"]
    return bool(spec.get("hostname")) and spec.get("subdomain") == service["metadata"]["name"]


# what is said of one Pod


def target_port(pod: Object, port: Mapping[str, Any]) -> int | None:
    """The number that a Service port has in this Pod: a numeric targetPort as it is, a name looked up among the ports
    of its containers, then of its sidecars, with the same protocol. None if no container has that name."""
    target, protocol = port.get("targetPort") or port["port"], port.get("protocol") or "TCP"
    if isinstance(target, int):
        return target
    for container in containers_of(pod["spec"]):
        for declared in container.get("ports") or ():
            if declared.get("name") == target and (declared.get("protocol") or "TCP") == protocol:
                return int(declared["containerPort"])
    return None


def ports_for(service: Object, pod: Object) -> list[dict[str, Any]]:
    """The slice ports for a Pod: the Service ports that have a number there."""
    numbered = ((port, target_port(pod, port)) for port in service["spec"].get("ports") or ())
    return [
        {"name": port.get("name") or "", "port": number, "protocol": port.get("protocol") or "TCP"}
        | {k: port[k] for k in ("appProtocol",) if port.get(k)}
        for port, number in numbered
        if number is not None
    ]


def _endpoint(service: Object, pod: Object, node: Object | None, family_name: str) -> dict[str, Any]:
    serving, terminating = is_ready(pod), going(pod)
    ready = bool(service["spec"].get("publishNotReadyAddresses")) or (serving and not terminating)
    endpoint: dict[str, Any] = {
        "addresses": [ip for ip in addresses(pod) if family(ip) == family_name],
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        "nodeName": pod["spec"].get("nodeName"),
        "targetRef": pod_reference(pod),
        "zone": hints.zone_of(node) if node else "",
        "hostname": pod["spec"]["hostname"] if sets_hostname(pod, service) else "",
    }
    return {k: v for k, v in endpoint.items() if v}


def pod_reference(pod: Object) -> dict[str, str]:
    """What an endpoint says about the Pod behind it."""
    meta = pod["metadata"]
    found = {"kind": "Pod", "namespace": meta.get("namespace") or "default", "name": meta["name"]}
    return found | ({"uid": meta["uid"]} if meta.get("uid") else {})


# the slices of one Service


def families_of(service: Object) -> list[str]:
    """The address families that a Service has slices for. A headless Service that states none has both."""
    spec = service["spec"]
    stated = [f for f in spec.get("ipFamilies") or () if f in ("IPv4", "IPv6")]
    if stated:
        return sorted(set(stated))
    address = spec.get("clusterIP") or ""
    return [family(address)] if address not in ("", "None") else ["IPv4", "IPv6"]


def wants_slices(service: Object) -> bool:
    """Whether the controller keeps slices for a Service: it selects Pods, is no ExternalName and is not being deleted."""
    spec = service["spec"]
    return bool(spec.get("selector")) and spec.get("type") != "ExternalName" and not going(service)


def slice_labels(service: Object) -> dict[str, str]:
    """The Service's own labels, save reserved ones, and those that tie the slice to the Service."""
    reserved = (SERVICE_NAME, MANAGED_BY, HEADLESS)
    labels = {k: v for k, v in labels_of(service).items() if k not in reserved}
    if service["spec"].get("clusterIP") in (None, "", "None"):
        labels[HEADLESS] = ""
    return labels | {SERVICE_NAME: service["metadata"]["name"], MANAGED_BY: CONTROLLER}


def slices_for(
    service: Object, pods: Iterable[Object], nodes: Mapping[str, Object], existing: Iterable[Object] = ()
) -> list[Object]:
    """The slices that the controller wants for a Service.

    *pods* are those of its namespace, *nodes* all nodes by name, *existing* the Service's slices now: an endpoint stays
    in its slice. New slices come without name. An empty list if the Service has none (`wants_slices`).
    """
    if not wants_slices(service):
        return []
    chosen = [p for p in pods if selects(service, p) and counts(p)]
    result = []
    for family_name in families_of(service):
        old = [s for s in existing if s["addressType"] == family_name]
        slices = _slices_of_family(service, chosen, nodes, old, family_name)
        result += hints.with_hints(service, slices, nodes)
    return result


def _slices_of_family(
    service: Object, pods: list[Object], nodes: Mapping[str, Object], old: list[Object], family_name: str
) -> list[Object]:
    # Pods that resolve the Service's ports to different numbers go to different slices.
    groups: dict[str, tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]] = {}
    for pod in pods:
        node = nodes.get(pod["spec"].get("nodeName") or "")
        if node is None and not service["spec"].get("publishNotReadyAddresses"):
            continue
        ports = ports_for(service, pod)
        endpoint = _endpoint(service, pod, node, family_name)
        if "addresses" in endpoint:
            groups.setdefault(_port_key(ports), (ports, {}))[1][_identity(endpoint)] = endpoint
    result: list[Object] = []
    for key, (ports, wanted) in groups.items():
        same_ports = [s for s in old if _port_key(s.get("ports") or ()) == key]
        result += _filled(service, same_ports, wanted, _new_slice(service, ports, family_name))
    # With nothing to say there is one empty slice. One that is not wanted any more is rewritten where a new one is needed.
    result = result or [_new_slice(service, [], family_name)]
    spare = [s for s in old if s["metadata"]["name"] not in {r["metadata"].get("name") for r in result}]
    for new in (r for r in result if "name" not in r["metadata"]):
        if spare:
            new["metadata"] = {**spare.pop(0)["metadata"], "labels": slice_labels(service)}
    return result


def _filled(service: Object, old: list[Object], wanted: dict[str, dict[str, Any]], new: Object) -> list[Object]:
    """Slices of one set of ports: endpoints stay where they are; the others fill changed slices (fullest first), then an
    unchanged one that can hold all that are left, then copies of *new*."""
    left = dict(wanted)
    changed: list[Object] = []
    unchanged: list[Object] = []
    for slice_ in old:
        before = [{k: v for k, v in e.items() if k != "hints"} for e in slice_.get("endpoints") or ()]
        endpoints = [left.pop(k) for k in map(_identity, before) if k in left]
        meta = {**slice_["metadata"], "labels": slice_labels(service)}
        same = endpoints == before and meta == slice_["metadata"]
        if endpoints:
            (unchanged if same else changed).append({**slice_, "metadata": meta, "endpoints": endpoints})
    changed.sort(key=lambda s: -len(s["endpoints"]))
    rest = [left[name] for name in sorted(left)]
    for slice_ in changed:
        _move(rest, slice_)
    fitting = [s for s in unchanged if len(s["endpoints"]) + len(rest) <= MAX_ENDPOINTS]
    if fitting:
        _move(rest, max(fitting, key=lambda s: len(s["endpoints"])))
    result = [*changed, *unchanged]
    while rest:
        result.append({**new, "endpoints": []})
        _move(rest, result[-1])
    return result


def _move(rest: list[dict[str, Any]], slice_: Object) -> None:
    room = MAX_ENDPOINTS - len(slice_["endpoints"])
    slice_["endpoints"] += rest[:room]
    del rest[:room]


def _new_slice(service: Object, ports: list[Any], family_name: str) -> Object:
    meta: Object = {"generateName": f"{service['metadata']['name']}-", "labels": slice_labels(service)}
    meta |= {"namespace": service["metadata"].get("namespace") or "default", "ownerReferences": [reference(service)]}
    kind: Object = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": meta}
    return {**kind, "addressType": family_name, "endpoints": [], "ports": ports}


def _port_key(ports: Sequence[Mapping[str, Any]]) -> str:
    return str(sorted(tuple(sorted(p.items())) for p in ports))


def _identity(endpoint: Mapping[str, Any]) -> str:
    """What makes an endpoint the same one: its Pod, its addresses and its hostname."""
    target = endpoint.get("targetRef") or {}
    return f"{target.get('name')} {','.join(endpoint['addresses'])} {endpoint.get('hostname', '')}"


# the controller


def selecting(plane: ControlPlane, controller: str) -> Callable[[Object], list[Key]]:
    """Queues the Services that select a Pod: at once, or when the controller's batch period is over."""
    store, delay = plane.store, plane.settings.endpointslice_updates_batch_period

    def find(pod: Object) -> list[Key]:
        found = [key_of(s) for s in services_of(store, pod)]
        for key in found if delay else ():
            plane.wake(controller, key, delay)
        return [] if delay else found

    return find


def publish(plane: ControlPlane) -> None:
    """Keep the slices of every Service in step with its Pods."""
    store = plane.store

    def every(node: Object) -> list[Key]:
        return [key_of(s) for s in store.all("Service")]

    watches = {
        "Service": own,
        "Pod": selecting(plane, "endpointslice"),
        "EndpointSlice": owner("Service"),
        "Node": every,
    }
    due = plane.due("endpointslice", watches)
    nodes = {n["metadata"]["name"]: n for n in store.all("Node")} if due else {}
    for key in due:
        service = store.at(key)
        if service is None or going(service):
            continue
        existing = [s for s in store.by("owner", service["metadata"]["uid"]) if s["kind"] == "EndpointSlice"]
        wanted = slices_for(service, pods_of(store, service), nodes, existing)
        for event in hints.events(service, wanted, existing, nodes):
            plane.events.record(service, *event, "endpoint-slice-controller")
        keep(plane, existing, wanted)


def keep(plane: ControlPlane, existing: list[Object], wanted: list[Object]) -> None:
    """Store the wanted slices, new ones under a generated name, and remove the others."""
    names = set()
    for slice_ in wanted:
        meta = slice_["metadata"]
        name = meta.get("name") or meta["generateName"] + suffix(plane.rng)
        names.add(name)
        plane.store.put({**slice_, "metadata": {**meta, "name": name}})
    for slice_ in existing:
        if slice_["metadata"]["name"] not in names:
            plane.store.remove(key_of(slice_))
