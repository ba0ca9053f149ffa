"""The snapshot: one frozen, typed, indexed view of everything the cluster knows, for the data plane to read.

Control plane objects are dicts, because that is what people write, dump and diff. The data plane reads the dataclasses
here. Each keeps ``obj``, the dict it was read from, and a `Ref` to it. Nothing here is filled in or corrected: an
object that real controllers would never write is taken as it stands (dumps and upstream tests hold such objects).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from k8snet.controlplane.endpoints import addresses, is_ready
from k8snet.controlplane.listeners import Listener, listeners_of
from k8snet.controlplane.metadata import containers_of, going, labels_of
from k8snet.controlplane.settings import Settings
from k8snet.manifests import selectors
from k8snet.manifests.addresses import family, normal, parse_cidr
from k8snet.manifests.kinds import Object, Ref, ref
from k8snet.manifests.selectors import Labels, Selector


@dataclass(frozen=True, slots=True)
class Namespace:
    """A Namespace; its name is always among its labels (``kubernetes.io/metadata.name``)."""

    ref: Ref
    name: str
    labels: Labels
    obj: Object


@dataclass(frozen=True, slots=True)
class Node:
    """A node: its own addresses (``internal_ips`` first to last) and the ranges that its Pods are given from."""

    ref: Ref
    name: str
    labels: Labels
    internal_ips: tuple[str, ...]
    addresses: tuple[str, ...]
    pod_cidrs: tuple[str, ...]
    ready: bool
    obj: Object

    @property
    def ip(self) -> str:
        """The first InternalIP; empty if there is none."""
        return self.internal_ips[0] if self.internal_ips else ""

    @property
    def zone(self) -> str:
        """The label topology.kubernetes.io/zone; empty if not set."""
        return self.labels.get("topology.kubernetes.io/zone", "")


@dataclass(frozen=True, slots=True)
class ContainerPort:
    """A declared port. It opens nothing; it gives a number a name."""

    name: str
    protocol: str
    port: int
    host_port: int
    host_ip: str
    container: str


@dataclass(frozen=True, slots=True)
class Pod:
    """A Pod as the network sees it.

    ``ports`` are the declared ones of containers, then sidecars. ``listeners`` is what really listens; None: unknown
    (a loaded dump does not say). ``finished`` means Succeeded or Failed, ``terminating`` being deleted.
    """

    ref: Ref
    namespace: str
    name: str
    labels: Labels
    ips: tuple[str, ...]
    node: str
    host_network: bool
    ready: bool
    terminating: bool
    finished: bool
    ports: tuple[ContainerPort, ...]
    listeners: tuple[Listener, ...] | None
    obj: Object

    @property
    def key(self) -> str:
        """``namespace/name``."""
        return f"{self.namespace}/{self.name}"

    @property
    def ip(self) -> str:
        """The primary address; empty while the Pod has none."""
        return self.ips[0] if self.ips else ""

    def ip_of(self, family_name: str) -> str:
        """The address of a family (``IPv4``, ``IPv6``), or an empty text."""
        return next((ip for ip in self.ips if family(ip) == family_name), "")

    def named_port(self, name: str, protocol: str) -> int | None:
        """The number behind a port name for a protocol, as a named targetPort or policy port finds it."""
        return next((p.port for p in self.ports if p.name == name and p.protocol == protocol), None)

    @property
    def spec(self) -> Mapping[str, Any]:
        """The Pod's ``spec`` as written."""
        return self.obj.get("spec") or {}


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One entry of ``spec.ports``; ``node_port`` is 0 where there is none, ``target_port`` a number or a name."""

    index: int
    name: str
    protocol: str
    port: int
    target_port: int | str
    node_port: int


@dataclass(frozen=True, slots=True)
class LoadBalancerIP:
    """One entry of ``status.loadBalancer.ingress``: an address (empty where a host name stands) and its ``ipMode``."""

    ip: str
    mode: str


@dataclass(frozen=True, slots=True)
class Service:
    """A Service. ``cluster_ips`` is empty for headless and ExternalName ones; ``affinity_seconds`` 0 means no affinity."""

    ref: Ref
    namespace: str
    name: str
    labels: Labels
    type: str
    headless: bool
    cluster_ips: tuple[str, ...]
    families: tuple[str, ...]
    ports: tuple[ServicePort, ...]
    selector: Selector | None
    external_ips: tuple[str, ...]
    load_balancer_ips: tuple[LoadBalancerIP, ...]
    source_ranges: tuple[str, ...]
    internal_policy: str
    external_policy: str
    affinity_seconds: int
    health_check_node_port: int
    external_name: str
    obj: Object

    @property
    def key(self) -> str:
        """``namespace/name``."""
        return f"{self.namespace}/{self.name}"

    def port_name(self, port: ServicePort) -> str:
        """``namespace/name:port``, as kube-proxy names a Service port; without ``:port`` where it has no name."""
        return f"{self.key}:{port.name}" if port.name else self.key


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint of a slice. A condition that the slice leaves out is None: its reader decides what that means."""

    addresses: tuple[str, ...]
    ready: bool | None
    serving: bool | None
    terminating: bool | None
    node: str
    zone: str
    hostname: str
    target: Ref | None
    zone_hints: tuple[str, ...]
    node_hints: tuple[str, ...]
    index: int


@dataclass(frozen=True, slots=True)
class SlicePort:
    """A port of a slice: the Service port's name and the target number (None: unset)."""

    name: str
    protocol: str
    port: int | None


@dataclass(frozen=True, slots=True)
class Slice:
    """An EndpointSlice and the Service that its label names."""

    ref: Ref
    service: str
    family: str
    ports: tuple[SlicePort, ...]
    endpoints: tuple[Endpoint, ...]
    obj: Object


def _labels(obj: Object) -> Labels:
    return {k: v or "" for k, v in labels_of(obj).items()}


def _namespace(obj: Object) -> Namespace:
    r = ref(obj)
    return Namespace(r, r.name, {**_labels(obj), "kubernetes.io/metadata.name": r.name}, obj)


def _node(obj: Object) -> Node:
    spec = obj.get("spec") or {}
    own = (obj.get("status") or {}).get("addresses") or ()
    ips = tuple(normal(a["address"]) for a in own if a.get("type") in ("InternalIP", "ExternalIP"))
    internal = tuple(normal(a["address"]) for a in own if a.get("type") == "InternalIP")
    ranges = tuple(spec.get("podCIDRs") or ([spec["podCIDR"]] if spec.get("podCIDR") else ()))
    return Node(ref(obj), obj["metadata"]["name"], _labels(obj), internal, ips, ranges, is_ready(obj), obj)


def _named(port: Mapping[str, Any]) -> tuple[str, str]:
    """Name and protocol of any kind of port."""
    return port.get("name") or "", port.get("protocol") or "TCP"


def pod_view(obj: Object, settings: Settings) -> Pod:
    """A Pod read from its object; every other reader goes through a `Snapshot`."""
    spec, status, r = obj.get("spec") or {}, obj.get("status") or {}, ref(obj)
    return Pod(
        ref=r,
        namespace=r.namespace,
        name=r.name,
        labels=_labels(obj),
        ips=tuple(addresses(obj)),
        node=spec.get("nodeName") or "",
        host_network=bool(spec.get("hostNetwork")),
        ready=is_ready(obj),
        terminating=going(obj),
        finished=status.get("phase") in ("Succeeded", "Failed"),
        ports=tuple(
            ContainerPort(
                *_named(p), p["containerPort"], p.get("hostPort") or 0, p.get("hostIP") or "", c.get("name", "")
            )
            for c in containers_of(spec)
            for p in c.get("ports") or ()
            if p.get("containerPort")
        ),
        listeners=listeners_of(obj, loaded=settings.loaded),
        obj=obj,
    )


def _service(obj: Object) -> Service:
    spec, status, r = obj.get("spec") or {}, obj.get("status") or {}, ref(obj)
    kind = spec.get("type") or "ClusterIP"
    given = spec.get("clusterIPs") or [spec.get("clusterIP")]
    ips = [ip for ip in given if ip] if kind != "ExternalName" else []
    cluster_ips = tuple(normal(ip) for ip in ips if ip != "None")
    affinity = ((spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}).get("timeoutSeconds") or 10800
    return Service(
        ref=r,
        namespace=r.namespace,
        name=r.name,
        labels=_labels(obj),
        type=kind,
        headless=ips[:1] == ["None"],
        cluster_ips=cluster_ips,
        families=tuple(spec.get("ipFamilies") or sorted({family(ip) for ip in cluster_ips})),
        ports=tuple(
            ServicePort(i, *_named(p), p["port"], p.get("targetPort") or p["port"], p.get("nodePort") or 0)
            for i, p in enumerate(spec.get("ports") or ())
        ),
        selector=selectors.from_labels(spec["selector"]) if spec.get("selector") else None,
        external_ips=tuple(map(normal, spec.get("externalIPs") or ())),
        load_balancer_ips=tuple(
            LoadBalancerIP(normal(i.get("ip") or ""), i.get("ipMode") or "VIP")
            for i in (status.get("loadBalancer") or {}).get("ingress") or ()
        ),
        source_ranges=tuple(c.strip() for c in spec.get("loadBalancerSourceRanges") or ()),
        internal_policy=spec.get("internalTrafficPolicy") or "Cluster",
        external_policy=spec.get("externalTrafficPolicy") or "Cluster",
        affinity_seconds=affinity if spec.get("sessionAffinity") == "ClientIP" else 0,
        health_check_node_port=spec.get("healthCheckNodePort") or 0,
        external_name=spec.get("externalName") or "",
        obj=obj,
    )


def _slice(obj: Object) -> Slice:
    r = ref(obj)
    return Slice(
        ref=r,
        service=labels_of(obj).get("kubernetes.io/service-name") or "",
        family=obj.get("addressType") or "IPv4",
        ports=tuple(SlicePort(*_named(p), p.get("port")) for p in obj.get("ports") or ()),
        endpoints=tuple(_endpoint(e, i, r.namespace) for i, e in enumerate(obj.get("endpoints") or ())),
        obj=obj,
    )


def _endpoint(entry: Mapping[str, Any], index: int, namespace: str) -> Endpoint:
    conditions, hints, to = entry.get("conditions") or {}, entry.get("hints") or {}, entry.get("targetRef")
    return Endpoint(
        addresses=tuple(map(normal, entry.get("addresses") or ())),
        ready=conditions.get("ready"),
        serving=conditions.get("serving"),
        terminating=conditions.get("terminating"),
        node=entry.get("nodeName") or "",
        zone=entry.get("zone") or "",
        hostname=entry.get("hostname") or "",
        target=Ref(to.get("kind", "Pod"), to.get("namespace") or namespace, to["name"]) if to else None,
        zone_hints=tuple(z["name"] for z in hints.get("forZones") or ()),
        node_hints=tuple(n["name"] for n in hints.get("forNodes") or ()),
        index=index,
    )


Thing = TypeVar("Thing")


def _grouped(pairs: Iterable[tuple[str, Thing]]) -> Mapping[str, tuple[Thing, ...]]:
    groups: dict[str, list[Thing]] = defaultdict(list)
    for key, thing in pairs:
        groups[key].append(thing)
    return {key: tuple(things) for key, things in groups.items()}


class Snapshot:
    """Everything that the data plane may read, frozen at one version of the store.

    Dictionaries are keyed by name, or ``namespace/name`` for kinds with a namespace. Indexes are built on first use.
    Do not write to anything reached from here.
    """

    def __init__(
        self,
        objects: Iterable[Object],
        settings: Settings,
        previous: Snapshot | None = None,
        environments: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        """Read *objects*. *previous* saves work: views of objects that are the very same dicts are taken over from it.
        *environments* holds the Service variables that containers were started with, by Pod: no object says it."""
        self.settings = settings
        self.environments: Mapping[str, Mapping[str, str]] = environments or {}
        self._rules_of = previous.programmed if previous is not None and not settings.proxy_running else None
        self._views = seen = dict[int, Any]()
        reuse = previous._views if previous is not None and previous.settings.loaded == settings.loaded else {}
        self._by_kind = by_kind = defaultdict[str, list[Object]](list)
        for obj in objects:
            by_kind[obj.get("kind", "")].append(obj)

        def views(kind: str, read: Callable[[Object], Any]) -> Iterator[Any]:
            for obj in by_kind.get(kind, ()):
                view = reuse.get(place := id(obj))
                if view is None or view.obj is not obj:
                    view = read(obj)
                seen[place] = view
                yield view

        self.namespaces: Mapping[str, Namespace] = {n.name: n for n in views("Namespace", _namespace)}
        self.nodes: Mapping[str, Node] = {n.name: n for n in views("Node", _node)}
        self.pods: Mapping[str, Pod] = {p.key: p for p in views("Pod", lambda o: pod_view(o, settings))}
        self.services: Mapping[str, Service] = {s.key: s for s in views("Service", _service)}
        self.slices: tuple[Slice, ...] = tuple(views("EndpointSlice", _slice))

    @property
    def programmed(self) -> Snapshot:
        """The state that the nodes' Service rules were made from: this one, or an older one if kube-proxy is stopped."""
        return self._rules_of or self

    def objects(self, kind: str) -> list[Object]:
        """All objects of a kind in dict form, in store order; an empty list for a kind nobody wrote."""
        return list(self._by_kind.get(kind, ()))

    def namespace_labels(self, name: str) -> Labels:
        """The labels of a Namespace; one that no object declares carries its name alone."""
        known = self.namespaces.get(name)
        return known.labels if known else {"kubernetes.io/metadata.name": name}

    @cached_property
    def slices_of(self) -> Mapping[str, tuple[Slice, ...]]:
        """EndpointSlices by ``namespace/service``."""
        return _grouped((f"{s.ref.namespace}/{s.service}", s) for s in self.slices if s.service)

    @cached_property
    def pod_by_ip(self) -> Mapping[str, Pod]:
        """The live Pod that holds an address of its own. hostNetwork Pods are not here: their address is the node's."""
        return {ip: p for p in self.pods.values() if not p.finished and not p.host_network for ip in p.ips}

    @cached_property
    def node_by_ip(self) -> Mapping[str, Node]:
        """The node that has an address."""
        return {ip: n for n in self.nodes.values() for ip in n.addresses}

    @cached_property
    def pods_on(self) -> Mapping[str, tuple[Pod, ...]]:
        """Live Pods by node name."""
        return _grouped((p.node, p) for p in self.pods.values() if not p.finished)

    @cached_property
    def service_by_ip(self) -> Mapping[str, Service]:
        """The Service that owns a cluster IP."""
        return {ip: s for s in self.services.values() for ip in s.cluster_ips}

    @cached_property
    def external_ips(self) -> frozenset[str]:
        """Addresses of Services to which only the network outside can lead: load balancers' and external IPs."""
        balanced = (e.ip for s in self.services.values() for e in s.load_balancer_ips if e.ip)
        return frozenset(balanced).union(*(s.external_ips for s in self.services.values()))

    @cached_property
    def service_cidrs(self) -> tuple[str, ...]:
        """The ranges of cluster IPs: those of ServiceCIDR objects, else the settings'."""
        declared = [c for o in self.objects("ServiceCIDR") for c in (o.get("spec") or {}).get("cidrs") or ()]
        chosen = declared or [c for c in (self.settings.service_cidr, self.settings.service_cidr6) if c]
        return tuple(c for c in chosen if parse_cidr(c))
