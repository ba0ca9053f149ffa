"""What CoreDNS answers to one question.

The ``kubernetes`` plugin makes records of what a name stands for (dnsnames.py), by type. A name without hits is
NXDOMAIN, hits without data of the asked type are NODATA: NOERROR with an empty answer. Names of other zones go to the
forwarder, every reply passes the cache. Facts: coredns plugin/kubernetes (handler.go, reverse.go),
plugin/backend_lookup.go, plugin/cache, and kubeadm's Corefile.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, replace

from k8snet.controlplane.settings import Corefile
from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane.dnsnames import Hit, Index, NoName, absolute, below, index
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
    zone = _zone(options, name)
    reply = None
    if zone:
        own = server_ips or index(snapshot).any_server()
        reply = _from_cluster(_Question(index(snapshot), name, name[len(name) - len(zone) :], qtype, own, depth))
    return _through_cache(reply or _forward(snapshot, name, qtype), options.cache)


def _zone(options: Corefile, name: str) -> str:
    """The longest of the kubernetes plugin's zones that a name is in; empty if it is in none."""
    return max((zone for zone in options.zones if below(zone, name)), key=len, default="")


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
    target = name
    for _ in range(8):
        if target.lower() in {n.lower() for n in internet.servfail}:
            return Answer(name, qtype, "SERVFAIL", tuple(records), ra=True, why=f"the servers of {target} fail")
        here = [r for r in internet.records if r[0].lower() == target.lower()]
        alias = next((r for r in here if r[1] == "CNAME"), None)
        matching = [alias] if alias else [r for r in here if r[1] == qtype]
        records += [Record(target, r[1], r[2], int(r[3]) if len(r) > 3 else 300) for r in matching]
        if alias is None or qtype == "CNAME":
            break
        target = absolute(alias[2])
    rcode, why = "NOERROR" if here else "NXDOMAIN", "said by the resolver outside the cluster"
    return Answer(name, qtype, rcode, tuple(records), ra=True, why=why)


def _through_cache(reply: Answer, seconds: int) -> Answer:
    """The cache plugin writes one TTL on all records of a reply: the smallest, at least 5 s, at most its own limit."""
    sections = (reply.answers, reply.authority, reply.additional)
    ttls = [r.ttl for section in sections for r in section]
    if not seconds or not ttls:
        return reply
    ttl = min(max(min(ttls), 5), seconds)
    a, b, c = (tuple(replace(r, ttl=ttl) for r in section) for section in sections)
    return replace(reply, answers=a, authority=b, additional=c)


# The kubernetes plugin


@dataclass(frozen=True, slots=True)
class _Question:
    """One question inside the server. ``name`` and ``zone`` keep the case in which they were asked; ``aliases`` are
    those that led here."""

    index: Index
    name: str
    zone: str
    type: str
    server_ips: tuple[str, ...]
    depth: int
    aliases: tuple[str, ...] = ()

    @property
    def labels(self) -> list[str]:
        base = self.name[: len(self.name) - len(self.zone)].rstrip(".").lower()
        return base.split(".") if base else []

    def hits(self) -> list[Hit]:
        """What the name stands for. Raises NoName."""
        if self.labels == ["ns", "dns"] and self.zone == self.zone.lower() and self.type not in ("TXT", "PTR"):
            return [h for h in self.index.name_servers(self.server_ips) if h.type == self.type]
        reverse = below("in-addr.arpa.", self.name) or below("ip6.arpa.", self.name)
        if reverse and len(self.labels) > 1 and self.labels[-1] in ("svc", "pod"):
            raise NoName("a reverse zone holds no Services")
        return self.index.find(self.labels)

    def record(self, type_: str, data: str, name: str = "") -> Record:
        return Record(name or self.name, type_, data, self.index.options.ttl)

    def address(self, hit: Hit) -> Record:
        """The A or AAAA record of a hit at the hit's own name."""
        return self.record(hit.type, hit.host, self.full(hit))

    def full(self, hit: Hit) -> str:
        """The name of a hit, in the zone as it was asked."""
        return absolute(f"{hit.owner}.{self.zone}")


def _from_cluster(q: _Question) -> Answer | None:
    """The plugin's reply; None where it lets a name fall through to the next plugin."""
    settings, reply = q.index.snapshot.settings, Answer(q.name, q.type, "NOERROR", aa=True)
    authority = (soa(q.zone, settings.corefile.ttl),)
    try:
        records, extra = _BY_TYPE.get(q.type, _other)(q)
    except NoName as miss:
        if any(below(z, q.name) for z in settings.corefile.fallthrough):
            return None
        if not settings.dns_synced:
            return replace(reply, rcode="SERVFAIL", authority=authority, why="CoreDNS has not read the cluster yet")
        return replace(reply, rcode="NXDOMAIN", authority=authority, why=miss.why, rule=miss.rule)
    if not records:
        return replace(reply, authority=authority, why=f"the name exists, but has no {q.type} record")
    why = f"the cluster knows it: {records[-1].data}" + (f" and {len(records) - 1} more" if records[1:] else "")
    return replace(reply, answers=tuple(records), additional=tuple(extra), why=why)


def soa(zone: str, ttl: int) -> Record:
    """The start of authority that CoreDNS makes up for a zone; its last number is how long to remember a miss."""
    root = "" if zone == "." else zone
    return Record(zone, "SOA", f"ns.dns.{root} hostmaster.{root} 1 7200 1800 86400 {ttl}", min(ttl, 300))


# Records of hits, by type: the answer and the additional section

_Sections = tuple[list[Record], list[Record]]


def _addresses(q: _Question) -> _Sections:
    """A or AAAA; an ExternalName is followed: inside the zone here, outside of it by asking the whole server again."""
    records: list[Record] = []
    for hit in q.hits():
        if hit.type == q.type:
            ip = ipaddress.ip_address(hit.host)
            records.append(q.record(q.type, str(getattr(ip, "ipv4_mapped", None) or ip)))
        elif hit.type == "CNAME":
            records += _alias(q, absolute(hit.host))
    return _unique(records), []


def _alias(q: _Question, target: str) -> list[Record]:
    if below(q.name, target) or len(q.aliases) > 7 or target in q.aliases:
        return []
    alias = q.record("CNAME", target)
    if not below(q.zone, target):
        return [alias, *answer(q.index.snapshot, target, q.type, q.server_ips, q.depth + 1).answers]
    try:
        rest, _ = _addresses(replace(q, name=target, aliases=(*q.aliases, target)))
    except NoName:
        rest = []
    return [alias, *rest] if rest else []


def _srv(q: _Question) -> _Sections:
    hits = [h for h in q.hits() if h.type != "CNAME"]
    weight = max(1, 100 // len(hits)) if hits else 0
    ported = [h for h in hits if h.port >= 0]
    records = _unique(q.record("SRV", f"0 {weight} {h.port} {q.full(h)}") for h in ported)
    return records, _unique(q.address(h) for h in ported)


def _cname(q: _Question) -> _Sections:
    return [q.record("CNAME", absolute(h.host)) for h in q.hits()[:1] if h.type == "CNAME"], []


def _txt(q: _Question) -> _Sections:
    if q.labels == ["dns-version"]:
        return [Record(q.name, "TXT", '"1.1.0"', 28800)], []
    zonal = q.index.options.zonal and q.labels[1:2] == ["_zone"]
    if not q.hits() and not zonal:
        raise NoName("a TXT question at a name without data finds nothing")
    return [], []


def _ptr(q: _Question) -> _Sections:
    """A cluster IP gives its Service; else an address gives every ready endpoint that has it."""
    ip = reverse_address(q.name)
    if not ip:
        return _other(q)
    known, primary = q.index, next((z for z in q.index.options.zones if not z.endswith(".arpa.")), "")

    def shown(namespace: str) -> bool:
        return not known.options.namespaces or known.exposed(namespace)

    owners = [h.owner for h in known.reverse.get(ip, ()) if shown(h.rule.namespace)]
    service = known.snapshot.service_by_ip.get(ip)
    if service and shown(service.namespace):
        owners = [f"{service.name}.{service.namespace}.svc"]
    if not owners:
        raise NoName(f"{ip} is the address of no Service and of no ready endpoint")
    return _unique(q.record("PTR", f"{owner}.{primary}") for owner in owners), []


def reverse_address(name: str) -> str:
    """The address that a name below in-addr.arpa or ip6.arpa stands for; empty if it is no whole address."""
    labels = name.lower().rstrip(".").split(".")[::-1]
    text = ""
    if labels[:2] == ["arpa", "in-addr"]:
        text = ".".join(labels[2:])
    elif labels[:2] == ["arpa", "ip6"] and len(labels) == 34:
        text = ":".join("".join(labels[i : i + 4]) for i in range(2, 34, 4))
    return str(ipaddress.ip_address(text)) if is_ip(text) else ""


def _soa(q: _Question) -> _Sections:
    return ([soa(q.zone, q.index.options.ttl)] if q.name == q.zone else []), []


def _ns(q: _Question) -> _Sections:
    if q.name.lower() != q.zone:
        return _other(q)
    hits = q.index.name_servers(q.server_ips)
    return _unique(q.record("NS", q.full(h)) for h in hits), [q.address(h) for h in hits]


def _other(q: _Question) -> _Sections:
    """Types that the plugin has no records for: the look-up only tells NODATA from NXDOMAIN."""
    q.hits()
    return [], []


def _unique(records: Iterable[Record]) -> list[Record]:
    return list(dict.fromkeys(records))


_BY_TYPE = {
    "A": _addresses, "AAAA": _addresses, "SRV": _srv, "CNAME": _cname, "TXT": _txt, "PTR": _ptr, "SOA": _soa, "NS": _ns,
}  # fmt: skip


# What a name says


_MEANINGS = {
    "svc": ("names of Services", "Namespace", "Service", "endpoint: a hostname, or an address with hyphens"),
    "pod": ("addresses of Pods", "Namespace", "an address with hyphens"),
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """How the server reads a name: its zone, then each label from the right, with what it means; and the reply.

    ``failed`` is the number of the label at which reading stops, 0 if it does not.
    """

    parts: tuple[tuple[str, str], ...]
    failed: int
    reply: Answer

    def __str__(self) -> str:
        width = max(len(label) for label, _ in self.parts)
        lines = [f"  {label:<{width}}  {text}" for label, text in self.parts]
        if self.failed:
            lines[self.failed] = "✗" + lines[self.failed][1:]
        return "\n".join([self.reply.name, *lines, f"= {self.reply.status}: {self.reply.why}"])

    __repr__ = __str__


def explain(snapshot: Snapshot, name: str, qtype: str = "A") -> Explanation:
    """Which label of a name means what, and at which one it fails."""
    reply, options = answer(snapshot, name, qtype), snapshot.settings.corefile
    zone = _zone(options, reply.name)
    if not zone or zone.endswith("arpa."):
        meaning = "an address, read from the right" if zone else "in no zone of the cluster: forwarded"
        return Explanation(((reply.name, meaning),), 0, reply)
    labels = _Question(index(snapshot), reply.name, zone, qtype, (), 0).labels[::-1]
    meanings = [*_MEANINGS.get("".join(labels[:1]), ("must be svc or pod",))]
    if len(labels) == 5 and labels[0] == "svc":
        meanings[3:] = ["protocol of a named port", "name of the port"]
    meanings += ["stands for nothing here"] * (len(labels) - len(meanings))
    exist = (_exists(snapshot, labels[:n]) for n in range(1, len(labels) + 1))
    failed = 0 if _exists(snapshot, labels) else next(n for n, found in enumerate(exist, 1) if not found)
    return Explanation(((zone, "the cluster's zone"), *zip(labels, meanings, strict=False)), failed, reply)


def _exists(snapshot: Snapshot, labels: list[str]) -> bool:
    """Whether labels, read from the zone leftwards, lead to something."""
    try:
        index(snapshot).find(labels[::-1])
    except NoName:
        return False
    return True
