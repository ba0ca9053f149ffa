"""Which names exist in the cluster's zone, and what each stands for.

CoreDNS' ``kubernetes`` plugin keeps Services, EndpointSlices, Namespaces and (if told to) Pods in memory. It cuts the
zone off a name and reads the labels from the right: ``svc`` or ``pod``, Namespace, Service, then an endpoint, or
protocol and port. What it finds are *hits*; a hit makes a name exist, whatever type was asked for. Facts: coredns
plugin/kubernetes (parse.go, kubernetes.go findServices and findPods, object/endpoint.go, ns.go).
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product

from k8snet.controlplane.snapshot import Service, Slice, Snapshot
from k8snet.manifests.addresses import is_ip
from k8snet.manifests.kinds import Ref


def absolute(name: str) -> str:
    """*name* with its final dot."""
    return name if name.endswith(".") else name + "."


def below(zone: str, name: str) -> bool:
    """Whether *name* is *zone* or lies below it, whatever the case."""
    zone, name = zone.lower(), name.lower()
    return zone == "." or name == zone or name.endswith("." + zone)


class NoName(Exception):
    """The name does not exist: why, and decided by what."""

    def __init__(self, why: str, rule: Ref | None = None) -> None:
        super().__init__(why)
        self.why, self.rule = why, rule


@dataclass(frozen=True, slots=True)
class Hit:
    """Something that a name stands for: ``host`` is an address, or the name that an ExternalName points at.

    ``owner`` is the hit's own name below the zone; ``port`` is -1 for an endpoint whose slice lists no ports.
    """

    host: str
    owner: str
    rule: Ref
    port: int = 0
    port_name: str = ""
    protocol: str = ""
    topology_zone: str = ""

    @property
    def type(self) -> str:
        """Which record it makes: A, AAAA or CNAME."""
        if not is_ip(self.host):
            return "CNAME"
        ip = ipaddress.ip_address(self.host)
        return "AAAA" if ip.version == 6 and not ip.ipv4_mapped else "A"


class Index:
    """What CoreDNS keeps in memory of one snapshot, each part built when it is first needed."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.options = snapshot.settings.corefile
        self._endpoints: dict[str, dict[str, list[Hit]]] = {}

    def exposed(self, namespace: str) -> bool:
        """Whether a Namespace exists and the option ``namespaces`` does not hide it."""
        shown = not self.options.namespaces or namespace in self.options.namespaces
        return shown and namespace in self.snapshot.namespaces

    def endpoints(self, service: str) -> dict[str, list[Hit]]:
        """The ready endpoints of ``namespace/name`` by endpoint name; one hit for each address and port."""
        if service not in self._endpoints:
            found = self._endpoints[service] = defaultdict(list)
            for s in () if self.options.noendpoints else self.snapshot.slices_of.get(service, ()):
                for label, hit in self._ready(s):
                    found[label.lower()].append(hit)
        return self._endpoints[service]

    def _ready(self, s: Slice) -> Iterator[tuple[str, Hit]]:
        ports = [(-1 if p.port is None else p.port, p.name, p.protocol) for p in s.ports] or [(-1, "", "")]
        for e in (e for e in s.endpoints if e.ready is not False):
            name = e.hostname or (e.target.name if e.target and self.options.endpoint_pod_names else "")
            for ip, port in product(e.addresses, ports):
                label, rule = name or dashed(ip), s.ref.at(f"endpoints[{e.index}]")
                yield label, Hit(ip, f"{label}.{s.service}.{s.ref.namespace}.svc", rule, *port, e.zone)

    @cached_property
    def reverse(self) -> dict[str, list[Hit]]:
        """Endpoints by address, over all Services."""
        found: dict[str, list[Hit]] = defaultdict(list)
        for hit in (h for key in self.snapshot.slices_of for hits in self.endpoints(key).values() for h in hits):
            found[hit.host].append(hit)
        return found

    def find(self, labels: list[str]) -> list[Hit]:
        """What a name stands for, by its labels below the zone in lower case; an empty list for one that exists without
        data. Raises NoName."""
        *left, kind = labels or [""]
        if kind not in ("svc", "pod", ""):
            raise NoName(f"'{kind}' is neither svc nor pod")
        namespace, name = (left.pop() if left else "" for _ in range(2))
        if len(left) > 2:
            raise NoName("there are too many labels left of the Service")
        if not namespace:
            return []
        if not self.exposed(namespace):
            raise NoName(f"there is no Namespace {namespace}", Ref("Namespace", "", namespace))
        if kind == "pod":
            return self._pod(namespace, name)
        return self._service(namespace, name, left) if name else []

    def _pod(self, namespace: str, name: str) -> list[Hit]:
        if self.options.pods == "disabled":
            raise NoName("names below pod are switched off (pods disabled)")
        if not name:
            return []
        v4 = name.count("-") == 3 and "--" not in name
        ip = name.replace("-", "." if v4 else ":")
        if not is_ip(ip) or "%" in ip:
            raise NoName(f"'{name}' is no address written with hyphens; Pods have no names of their own")
        live = (p for p in self.snapshot.pods.values() if not (p.finished or p.terminating))
        if self.options.pods == "verified" and all((p.namespace, p.ip) != (namespace, ip) for p in live):
            raise NoName(f"no live Pod of Namespace {namespace} has the address {ip} (pods verified)")
        return [Hit(ip, f"{name}.{namespace}.pod", Ref("Namespace", "", namespace))]

    def _service(self, namespace: str, name: str, left: list[str]) -> list[Hit]:
        """What stands left of the Service: an endpoint, port and protocol, or (if told to) a zone and ``_zone``."""
        key, what = f"{namespace}/{name}", f"Service {namespace}/{name}"
        service = self.snapshot.services.get(key)
        if service is None:
            raise NoName(f"there is no {what}", Ref("Service", namespace, name))
        zone = left[0] if self.options.zonal and left[1:] == ["_zone"] else ""
        endpoint = "".join(left) if len(left) < 2 else ""
        port, protocol = (label.removeprefix("_") for label in left) if len(left) == 2 and not zone else ("", "")
        if service.type == "ExternalName":
            return [_external(service, below=bool(endpoint or port or protocol or zone))]
        endpoints = self.endpoints(key)
        if not endpoints and (service.headless or self.options.ignore_empty_service):
            raise NoName(f"{what} has no ready endpoint", service.ref)
        if zone:
            known = (h.topology_zone for hits in self.reverse.values() for h in hits)
            if not service.headless or zone not in known:
                raise NoName(f"{what} is not headless, or no endpoint is in zone {zone}", service.ref)
            return [h for hits in endpoints.values() for h in hits if h.topology_zone == zone]
        if endpoint:
            if endpoint not in endpoints:
                raise NoName(f"{what} has no ready endpoint named '{endpoint}'", service.ref)
            return endpoints[endpoint]
        found = [h for hits in endpoints.values() for h in hits] if service.headless else of_cluster_ips(service)
        hits = [h for h in found if port in ("", h.port_name.lower()) and protocol in ("", h.protocol.lower())]
        if not hits:
            raise NoName(f"{what} has no {protocol.upper()} port named '{port}'", service.ref.at("spec.ports"))
        return hits

    def name_servers(self, own: tuple[str, ...]) -> list[Hit]:
        """Where a CoreDNS Pod with addresses *own* is reached: the Services that it stands behind, else itself."""
        names = [h.owner.rsplit(".", 3)[1:3] for ip in own for h in self.reverse.get(ip, ())]
        if not names:
            return [Hit(ip, "ns.dns", Ref("Pod", "", ip)) for ip in own]
        found: list[Hit] = []
        for key in dict.fromkeys(f"{namespace}/{name}" for name, namespace in names):
            service = self.snapshot.services.get(key)
            if service and service.headless:
                found += [h for hits in self.endpoints(key).values() for h in hits]
            elif service:
                found += of_cluster_ips(service)
        return list({(h.owner, h.host): h for h in found}.values())

    def any_server(self) -> tuple[str, ...]:
        """The address of a CoreDNS Pod behind the cluster's DNS address; nothing if there is none."""
        services = [self.snapshot.service_by_ip.get(ip) for ip in self.snapshot.settings.cluster_dns]
        ready = [h.host for s in services if s for hits in self.endpoints(s.key).values() for h in hits]
        return tuple(ready[:1])


@lru_cache(maxsize=8)
def index(snapshot: Snapshot) -> Index:
    """The index of a snapshot, built once."""
    return Index(snapshot)


def dashed(ip: str) -> str:
    """The endpoint name of an address without a hostname: dots and colons become hyphens."""
    label = ip.replace(".", "-").replace(":", "-")
    return label + "0" if label.endswith("-") else label


def of_cluster_ips(service: Service) -> list[Hit]:
    """The hits of a Service that has cluster IPs: each address with each port. Endpoints do not matter."""
    owner, rule = f"{service.name}.{service.namespace}.svc", service.ref.at("spec.clusterIPs")
    return [Hit(ip, owner, rule, p.port, p.name, p.protocol) for p in service.ports for ip in service.cluster_ips]


def _external(service: Service, below: bool) -> Hit:
    """The name that an ExternalName points at, unless something stands *below* its own."""
    rule, target = service.ref.at("spec.externalName"), service.external_name
    if below:
        raise NoName(f"Service {service.key} is an ExternalName: nothing lies below its name", rule)
    if is_ip(target):
        raise NoName(f"externalName {target} is an address, not a name", rule)
    return Hit(target, f"{service.name}.{service.namespace}.svc", rule)
