"""What CoreDNS answers to one question.

CoreDNS reads Services, EndpointSlices, Namespaces and (if told to) Pods from the API server, and answers from memory.
Its ``kubernetes`` plugin cuts the cluster zone off a name and reads the labels from the right: ``svc`` or ``pod``,
Namespace, Service, then an endpoint, or protocol and port. What it finds are *hits*; hits make a name exist, records
are made of them by type. No hit is NXDOMAIN, hits without data of the asked type are NODATA. Names of other zones go
to the forwarder. Facts: coredns plugin/kubernetes (handler.go, parse.go, kubernetes.go, reverse.go, ns.go),
plugin/backend_lookup.go, plugin/cache, and kubeadm's Corefile.
"""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from weakref import WeakKeyDictionary

from k8snet.controlplane.snapshot import Service, Snapshot
from k8snet.manifests.addresses import is_ip
from k8snet.manifests.kinds import Ref


@dataclass(frozen=True, slots=True)
class Record:
    """One resource record; ``data`` as dig prints it, ``ttl`` in seconds."""

    name: str
    type: str
    data: str
    ttl: int

    def __str__(self) -> str:
        return f"{self.name} {self.ttl} IN {self.type} {self.data}"


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply: ``rcode`` (NOERROR, NXDOMAIN, SERVFAIL, REFUSED), three sections, two flags.

    ``aa``: the answer is the server's own; ``ra``: recursion was available, as for forwarded names. ``why`` is one
    sentence, ``rule`` the object that decided. A client that gets none makes one up, with rcode TIMEOUT or CONNREFUSED;
    ``seconds`` is then how long it waited, where that was not its own patience (a TCP connection that never opens).
    """

    name: str
    type: str
    rcode: str
    answers: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    aa: bool = False
    ra: bool = False
    why: str = ""
    rule: Ref | None = None
    seconds: float = 0.0

    @property
    def status(self) -> str:
        """The rcode, with NODATA in place of NOERROR where there is no record of the asked type."""
        return "NODATA" if self.rcode == "NOERROR" and not self.data else self.rcode

    @property
    def data(self) -> tuple[str, ...]:
        """The data of the asked type: addresses for A and AAAA."""
        return tuple(r.data for r in self.answers if r.type == self.type)


@dataclass(frozen=True, slots=True)
class Hit:
    """Something that a name stands for: ``host`` is an address, or the name that an ExternalName points at.

    ``owner`` is the hit's own name without the zone; ``port`` is -1 for an endpoint whose slice lists no ports.
    """

    host: str
    port: int
    owner: str
    rule: Ref
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

    def has_port(self, name: str, protocol: str) -> bool:
        """Whether it matches a port name and a protocol; an empty one matches all."""
        return name in ("", self.port_name.lower()) and protocol in ("", self.protocol.lower())


class _NoName(Exception):
    """The name does not exist. Says why, and from which label (counted from the right, below the zone) on."""

    def __init__(self, why: str, label: int = 0, rule: Ref | None = None) -> None:
        super().__init__(why)
        self.why, self.label, self.rule = why, label, rule


class _Index:
    """What CoreDNS keeps in memory of one snapshot. Everything here is built on first use."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.options = snapshot.settings.corefile
        self._endpoints: dict[str, dict[str, list[Hit]]] = {}

    def exposed(self, namespace: str) -> bool:
        """Whether a Namespace exists and the option ``namespaces`` does not hide it."""
        shown = not self.options.namespaces or namespace in self.options.namespaces
        return shown and namespace in self.snapshot.namespaces

    def endpoints(self, service: str) -> dict[str, list[Hit]]:
        """The ready endpoints of ``namespace/service`` as hits, by their name; one hit for each port."""
        if service not in self._endpoints:
            found: dict[str, list[Hit]] = defaultdict(list)
            namespace, _, name = service.partition("/")
            slices = () if self.options.noendpoints else self.snapshot.slices_of.get(service, ())
            for s in slices:
                ports = [(-1 if p.port is None else p.port, p.name, p.protocol) for p in s.ports] or [(-1, "", "")]
                for e in s.endpoints:
                    rule = s.ref.at(f"endpoints[{e.index}]")
                    for ip in e.addresses if e.ready is not False else ():
                        label = e.hostname or (e.target.name if self.options.endpoint_pod_names and e.target else "")
                        label = label or dashed(ip)
                        owner = f"{label}.{name}.{namespace}.svc"
                        found[label.lower()] += [Hit(ip, p, owner, rule, n, proto, e.zone) for p, n, proto in ports]
            self._endpoints[service] = found
        return self._endpoints[service]

    @cached_property
    def reverse(self) -> dict[str, list[Hit]]:
        """Endpoint names by address, over all Services."""
        found: dict[str, list[Hit]] = defaultdict(list)
        for key in self.snapshot.slices_of:
            for hits in self.endpoints(key).values():
                for hit in hits:
                    found[hit.host].append(hit)
        return found

    @cached_property
    def topology_zones(self) -> set[str]:
        return {hit.topology_zone for hits in self.reverse.values() for hit in hits} - {""}

    @cached_property
    def pod_addresses(self) -> set[tuple[str, str]]:
        """Namespace and first address of every live Pod: what ``pods verified`` looks at."""
        return {
            (p.namespace, p.ip) for p in self.snapshot.pods.values() if p.ip and not p.finished and not p.terminating
        }


_INDEXES: WeakKeyDictionary[Snapshot, _Index] = WeakKeyDictionary()


def _index(snapshot: Snapshot) -> _Index:
    if snapshot not in _INDEXES:
        _INDEXES[snapshot] = _Index(snapshot)
    return _INDEXES[snapshot]


def dashed(ip: str) -> str:
    """The endpoint name of an address without a hostname: dots and colons become hyphens."""
    label = ip.replace(".", "-").replace(":", "-")
    return label + "0" if label.endswith("-") else label


def absolute(name: str) -> str:
    """*name* with its final dot."""
    return name if name.endswith(".") else name + "."


def below(zone: str, name: str) -> bool:
    """Whether *name* is *zone* or lies below it, whatever the case."""
    zone, name = zone.lower(), name.lower()
    return zone == "." or name == zone or name.endswith("." + zone)


@dataclass(frozen=True, slots=True)
class _Parsed:
    """What the labels of a name below the zone mean. Everything is lower case; empty means not there."""

    kind: str = ""
    namespace: str = ""
    service: str = ""
    endpoint: str = ""
    port: str = ""
    protocol: str = ""
    topology_zone: str = ""


def _parse(labels: list[str], zonal: bool) -> _Parsed:
    if not labels or labels in (["svc"], ["pod"]):
        return _Parsed()
    *left, kind = labels
    if kind not in ("svc", "pod"):
        raise _NoName(f"{kind!r} is neither svc nor pod", 1)
    namespace = left.pop() if left else ""
    service = left.pop() if left else ""
    if len(left) == 1:
        return _Parsed(kind, namespace, service, endpoint=left[0])
    if len(left) == 2 and zonal and left[1] == "_zone" and kind == "svc":
        return _Parsed(kind, namespace, service, topology_zone=left[0])
    if len(left) == 2:
        return _Parsed(kind, namespace, service, port=left[0].removeprefix("_"), protocol=left[1].removeprefix("_"))
    if left:
        raise _NoName("there are too many labels left of the Service", 6)
    return _Parsed(kind, namespace, service)


@dataclass(frozen=True, slots=True)
class _Question:
    """One question inside the server. ``name`` and ``zone`` keep the case in which they were asked."""

    index: _Index
    name: str
    zone: str
    type: str
    server_ips: tuple[str, ...]
    depth: int

    @property
    def labels(self) -> list[str]:
        base = self.name[: len(self.name) - len(self.zone)].rstrip(".").lower()
        return base.split(".") if base else []

    @property
    def ttl(self) -> int:
        return self.index.options.ttl

    def record(self, type_: str, data: str, name: str = "") -> Record:
        return Record(name or self.name, type_, data, self.ttl)

    def full(self, owner: str) -> str:
        """The name of a hit, in the zone as it was asked."""
        return absolute(f"{owner}.{self.zone}")

    def hits(self) -> list[Hit]:
        """What the name stands for; empty for a name that exists without data. Raises _NoName."""
        if self.type in ("A", "AAAA") and self.labels == ["ns", "dns"] and self.zone == self.zone.lower():
            return [h for h in self.name_servers() if h.type == self.type]
        r = _parse(self.labels, self.index.options.zonal)
        if not r.kind:
            return []
        if below("in-addr.arpa.", self.name) or below("ip6.arpa.", self.name):
            raise _NoName("a reverse zone holds no Services", 1)
        if not self.index.exposed(r.namespace):
            raise _NoName(f"there is no Namespace {r.namespace!r}", 2, Ref("Namespace", "", r.namespace))
        return self._pod(r) if r.kind == "pod" else self._service(r)

    def _pod(self, r: _Parsed) -> list[Hit]:
        mode = self.index.options.pods
        if mode == "disabled":
            raise _NoName("names below pod are switched off (pods disabled)", 1)
        if not r.service:
            return []
        dots = r.service.count("-") == 3 and "--" not in r.service
        ip = r.service.replace("-", "." if dots else ":")
        if not is_ip(ip) or "%" in ip:
            raise _NoName(f"{r.service!r} is no address written with hyphens; Pods have no names of their own", 3)
        if mode == "verified" and (r.namespace, ip) not in self.index.pod_addresses:
            raise _NoName(f"no live Pod of Namespace {r.namespace} has the address {ip} (pods verified)", 3)
        return [Hit(ip, 0, f"{r.service}.{r.namespace}.pod", Ref("Namespace", "", r.namespace))]

    def _service(self, r: _Parsed) -> list[Hit]:
        if not r.service:
            return []
        if r.topology_zone and r.topology_zone not in self.index.topology_zones:
            raise _NoName(f"no endpoint is in the topology zone {r.topology_zone!r}", 5)
        key = f"{r.namespace}/{r.service}"
        service = self.index.snapshot.services.get(key)
        if service is None:
            raise _NoName(f"there is no Service {key}", 3, Ref("Service", r.namespace, r.service))
        rule, headless = service.ref, service.headless
        if service.type == "ExternalName":
            if r.endpoint or r.port or r.protocol or r.topology_zone:
                raise _NoName(f"Service {key} is an ExternalName: nothing lies below its name", 4, rule)
            if is_ip(service.external_name):
                raise _NoName(
                    f"externalName {service.external_name} is an address, not a name", 3, rule.at("spec.externalName")
                )
            return [Hit(service.external_name, 0, f"{r.service}.{r.namespace}.svc", rule.at("spec.externalName"))]
        endpoints = self.index.endpoints(key)
        if self.index.options.ignore_empty_service and not headless and not endpoints:
            raise _NoName(f"Service {key} has no ready endpoint (ignore empty_service)", 3, rule)
        if r.topology_zone and not headless:
            raise _NoName(f"Service {key} is not headless, so it has no names by zone", 5, rule)
        if headless and not endpoints:
            raise _NoName(f"Service {key} is headless and has no ready endpoint", 3, rule)
        if r.endpoint and r.endpoint not in endpoints:
            raise _NoName(f"no ready endpoint of Service {key} is called {r.endpoint!r}", 4, rule)
        if r.endpoint:
            return endpoints[r.endpoint]
        found = [h for hits in endpoints.values() for h in hits] if headless else _cluster_hits(service)
        hits = [h for h in found if h.has_port(r.port, r.protocol)]
        if r.topology_zone:
            return [h for h in hits if h.topology_zone == r.topology_zone]
        if not hits:
            raise _NoName(
                f"Service {key} has no port named {r.port!r} for {r.protocol.upper() or 'any protocol'}",
                5,
                rule.at("spec.ports"),
            )
        return hits

    def name_servers(self) -> list[Hit]:
        """The Services behind which the asked CoreDNS Pod stands, by address; the Pod itself if there is none."""
        own = self.server_ips or _first_server(self.index)
        found, services = [], {}
        for hit in (h for ip in own for h in self.index.reverse.get(ip, ())):
            _, name, namespace, _ = hit.owner.rsplit(".", 3)
            services[f"{namespace}/{name}"] = True
        for key in services:
            service = self.index.snapshot.services.get(key)
            if service is not None:
                everyone = [h for hits in self.index.endpoints(key).values() for h in hits]
                found += everyone if service.headless else _cluster_hits(service)
        if not services:
            return [Hit(ip, 0, "ns.dns", Ref("Pod", "", ip)) for ip in own]
        return list({(h.owner, h.host): h for h in found}.values())


def _cluster_hits(service: Service) -> list[Hit]:
    owner = f"{service.name}.{service.namespace}.svc"
    return [
        Hit(ip, p.port, owner, service.ref.at("spec.clusterIPs"), p.name, p.protocol)
        for p in service.ports
        for ip in service.cluster_ips
    ]


def _first_server(index: _Index) -> tuple[str, ...]:
    service = next(
        (s for ip, s in index.snapshot.service_by_ip.items() if ip in index.snapshot.settings.cluster_dns), None
    )
    ready = [h.host for hits in index.endpoints(service.key).values() for h in hits] if service else []
    return tuple(ready[:1])


# Records of hits, by type (plugin/backend_lookup.go). Each gives the answer and the additional section.

_Sections = tuple[list[Record], list[Record]]


def _addresses(q: _Question, seen: tuple[str, ...] = ()) -> _Sections:
    """A or AAAA; an ExternalName is followed: inside the zone here, outside of it by asking the whole server again."""
    records: list[Record] = []
    for hit in q.hits():
        if hit.type == q.type:
            ip = ipaddress.ip_address(hit.host)
            data = str(getattr(ip, "ipv4_mapped", None) or ip)
            if all(r.data != data for r in records):
                records.append(q.record(q.type, data))
        elif hit.type == "CNAME":
            target = absolute(hit.host)
            if below(q.name, target) or len(seen) > 7 or target in seen:
                continue
            alias = q.record("CNAME", target)
            if below(q.zone, target):
                try:
                    rest, _ = _addresses(replace(q, name=target), (*seen, target))
                except _NoName:
                    rest = []
                records += [alias, *rest] if rest else []
            else:
                reply = answer(q.index.snapshot, target, q.type, q.server_ips, q.depth + 1)
                records += [alias, *reply.answers]
    return records, []


def _srv(q: _Question) -> _Sections:
    hits = [h for h in q.hits() if h.type != "CNAME"]
    weight = max(1, 100 // len(hits)) if hits else 0
    ported = [h for h in hits if h.port >= 0]
    records = [q.record("SRV", f"0 {weight} {h.port} {q.full(h.owner)}") for h in ported]
    return _unique(records), _unique(q.record(h.type, h.host, q.full(h.owner)) for h in ported)


def _cname(q: _Question) -> _Sections:
    return [q.record("CNAME", absolute(h.host)) for h in q.hits()[:1] if h.type == "CNAME"], []


def _txt(q: _Question) -> _Sections:
    if q.labels == ["dns-version"]:
        return [Record(q.name, "TXT", '"1.1.0"', 28800)], []
    zonal = q.index.options.zonal and q.labels[1:2] == ["_zone"]
    if not q.hits() and not zonal:
        raise _NoName("a TXT question finds nothing at a name without data")
    return [], []


def _ptr(q: _Question) -> _Sections:
    ip = reverse_address(q.name)
    if not ip:
        q.hits()
        return [], []
    index, primary = q.index, next(z for z in q.index.options.zones if not z.endswith(".arpa."))
    service = index.snapshot.service_by_ip.get(ip)
    if service is not None and service.type != "ExternalName" and _shown(index, service.namespace):
        owners = [f"{service.name}.{service.namespace}.svc"]
    else:
        owners = [h.owner for h in index.reverse.get(ip, ()) if _shown(index, h.rule.namespace)]
    if not owners:
        raise _NoName(f"{ip} is the address of no Service and of no ready endpoint")
    return _unique(q.record("PTR", f"{owner}.{primary}") for owner in owners), []


def _shown(index: _Index, namespace: str) -> bool:
    return not index.options.namespaces or index.exposed(namespace)


def _soa(q: _Question) -> _Sections:
    """At the apex only; the serial is the number of the snapshot's newest change in the real thing, one here."""
    return ([soa(q.zone, q.ttl)] if q.name == q.zone else []), []


def _ns(q: _Question) -> _Sections:
    if q.name.lower() != q.zone:
        return _other(q)
    hits = q.name_servers()
    return _unique(q.record("NS", q.full(h.owner)) for h in hits), [
        q.record(h.type, h.host, q.full(h.owner)) for h in hits
    ]


def _other(q: _Question) -> _Sections:
    """Types that the plugin has no records for: the look-up only tells NODATA from NXDOMAIN."""
    q.hits()
    return [], []


_BY_TYPE: dict[str, Callable[[_Question], _Sections]] = {
    "A": _addresses,
    "AAAA": _addresses,
    "SRV": _srv,
    "CNAME": _cname,
    "TXT": _txt,
    "PTR": _ptr,
    "SOA": _soa,
    "NS": _ns,
}


def _unique(records: Iterable[Record]) -> list[Record]:
    return list(dict.fromkeys(records))


def soa(zone: str, ttl: int) -> Record:
    """The start of authority that CoreDNS makes up for a zone; its last number is how long to remember a miss."""
    root = "" if zone == "." else zone
    return Record(zone, "SOA", f"ns.dns.{root} hostmaster.{root} 1 7200 1800 86400 {ttl}", min(ttl, 300))


def reverse_address(name: str) -> str:
    """The address that a name below in-addr.arpa or ip6.arpa stands for; empty if it is no whole address."""
    labels = name.lower().rstrip(".").split(".")[::-1]
    if labels[:2] == ["arpa", "in-addr"]:
        text = ".".join(labels[2:])
    elif labels[:2] == ["arpa", "ip6"] and len(labels) == 34:
        text = ":".join("".join(labels[i : i + 4]) for i in range(2, 34, 4))
    else:
        return ""
    return str(ipaddress.ip_address(text)) if is_ip(text) else ""


# The server: which plugin answers


def answer(snapshot: Snapshot, name: str, qtype: str = "A", server_ips: tuple[str, ...] = (), depth: int = 0) -> Answer:
    """CoreDNS' reply to one question. *name* is taken as absolute, with or without its final dot.

    *server_ips*: the addresses of the CoreDNS Pod that is asked; they only show in ``ns.dns`` and NS records.
    *depth* counts how often the server asked itself (an ExternalName that leaves its zone).
    """
    name, options, qtype = absolute(name), snapshot.settings.corefile, qtype.upper()
    if depth > 10:
        return Answer(name, qtype, "SERVFAIL", why="the server asked itself too often")
    if not below(options.server_block, name):
        return Answer(name, qtype, "REFUSED", why=f"the server's only zone is {options.server_block}")
    zone = max((z for z in options.zones if below(z, name)), key=len, default="")
    reply = _from_cluster(snapshot, name, zone, qtype, server_ips, depth) if zone else None
    return _through_cache(reply or _forward(snapshot, name, qtype), options.cache)


def _from_cluster(
    snapshot: Snapshot, name: str, zone: str, qtype: str, server_ips: tuple[str, ...], depth: int
) -> Answer | None:
    """The kubernetes plugin; None where it lets a name fall through to the next plugin."""
    options = snapshot.settings.corefile
    q = _Question(_index(snapshot), name, name[len(name) - len(zone) :], qtype, server_ips, depth)
    authority = (soa(q.zone, options.ttl),)
    try:
        records, extra = _BY_TYPE.get(qtype, _other)(q)
    except _NoName as miss:
        if any(below(z, name) for z in options.fallthrough):
            return None
        if not snapshot.settings.dns_synced:
            return Answer(name, qtype, "SERVFAIL", (), authority, aa=True, why="CoreDNS has not read the cluster yet")
        return Answer(name, qtype, "NXDOMAIN", (), authority, aa=True, why=miss.why, rule=miss.rule)
    if not records:
        return Answer(name, qtype, "NOERROR", (), authority, aa=True, why=f"the name exists, but has no {qtype} record")
    return Answer(name, qtype, "NOERROR", tuple(records), (), tuple(extra), aa=True, why="the cluster has this name")


def _forward(snapshot: Snapshot, name: str, qtype: str) -> Answer:
    if not snapshot.settings.corefile.forward:
        return Answer(name, qtype, "SERVFAIL", why="no plugin of the server answers for this zone")
    if snapshot.settings.internet.unreachable:
        return Answer(name, qtype, "SERVFAIL", why="the resolver outside, to which CoreDNS forwards, does not answer")
    return outside(snapshot, name, qtype)


def outside(snapshot: Snapshot, name: str, qtype: str) -> Answer:
    """What a resolver outside the cluster answers: the records of ``settings.internet``, aliases followed."""
    internet, name, qtype = snapshot.settings.internet, absolute(name), qtype.upper()
    records: list[Record] = []
    target, known = name, False
    while len(records) < 16:
        if target.lower() in {n.lower() for n in internet.servfail}:
            return Answer(name, qtype, "SERVFAIL", tuple(records), ra=True, why=f"the servers of {target} fail")
        here = [r for r in internet.records if r[0].lower() == target.lower()]
        known = bool(here) or any(below(target, r[0]) for r in internet.records)
        alias = next((r for r in here if r[1] == "CNAME"), None)
        matching = [alias] if alias else [r for r in here if r[1] == qtype]
        records += [Record(target, r[1], r[2], int(r[3]) if len(r) > 3 else 300) for r in matching]
        if alias is None or qtype == "CNAME":
            break
        target = absolute(alias[2])
    rcode = "NOERROR" if known else "NXDOMAIN"
    return Answer(name, qtype, rcode, tuple(records), ra=True, why="answered by the resolver outside the cluster")


def _through_cache(reply: Answer, seconds: int) -> Answer:
    """The cache plugin writes one TTL on all records of a reply: the smallest, at least 5 s, at most its own limit."""
    everything = (*reply.answers, *reply.authority, *reply.additional)
    if not seconds or not everything:
        return reply
    ttl = min(max(min(r.ttl for r in everything), 5), seconds)
    a, b, c = (tuple(replace(r, ttl=ttl) for r in s) for s in (reply.answers, reply.authority, reply.additional))
    return replace(reply, answers=a, authority=b, additional=c)
