"""Names as journeys: every question of a look-up is a packet to port 53, through proxy and policy like any other.

The question goes to the nameserver of the asking Pod's resolv.conf by UDP, and again by TCP if the reply was cut short.
Behind the DNS Service one CoreDNS Pod gets it and notes it in the query log (``moment.query_log``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from k8snet.controlplane import podfiles
from k8snet.controlplane.snapshot import Pod, Snapshot
from k8snet.dataplane import dns, journey, resolver
from k8snet.dataplane.client import Client
from k8snet.dataplane.dns import Answer, Record
from k8snet.dataplane.moment import Moment
from k8snet.dataplane.resolver import Lookup
from k8snet.dataplane.trace import Hop, Outcome, Place, Trace
from k8snet.manifests.addresses import family, is_ip

PLAIN, DIG = 512, 1232  # bytes that a UDP reply may have: without EDNS, and as dig offers


@dataclass(frozen=True, slots=True)
class Query:
    """One question that a CoreDNS Pod was asked; ``str()`` is its line in the Pod's log (plugin log).

    ``time``: simulated seconds; ``client``: who asked (``namespace/pod`` …), ``source``: what the server saw as its
    address; ``server``: the CoreDNS Pod; ``size``: bytes of the reply.
    """

    time: float
    client: str
    source: str
    name: str
    type: str
    protocol: str
    rcode: str
    flags: str
    size: int
    server: str

    def __str__(self) -> str:
        question = f'"{self.type} IN {self.name} {self.protocol.lower()}"'
        return f"[INFO] {self.source} - {question} {self.rcode} {self.flags} {self.size}"


class Asker:
    """One client's questions to nameservers. Callable as `k8snet.dataplane.resolver.Ask`.

    ``hops``: one for each question; the journey itself is in it where it was the first to go that way.

    ``limit``: bytes that a UDP reply may have, of which ``opt`` are EDNS; ``tcp``: whether it asks again by TCP.
    """

    def __init__(self, moment: Moment, client: Client) -> None:
        self.moment, self.client = moment, client
        self.pod = moment.snapshot.pods.get(client.name) if client.kind == "pod" else None
        self.hops: list[Hop] = []
        self.known_ways: set[tuple[str, str, str, str]] = set()
        self.limit, self.opt, self.tcp, self.port = PLAIN, 0, True, 53

    def __call__(self, name: str, qtype: str, server: str) -> Answer:
        reply = self.ask(name, qtype, server, "UDP")
        if self.tcp and self.truncates(reply):
            return self.ask(name, qtype, server, "TCP")
        return cut(reply, self.limit)

    def truncates(self, reply: Answer) -> bool:
        """Whether a reply comes cut short by UDP."""
        return size(reply, self.opt) > self.limit and size(reply, self.opt, compressed=True) > self.limit

    def ask(self, name: str, qtype: str, server: str, protocol: str) -> Answer:
        """One question by one protocol: the server's reply, or one with rcode TIMEOUT or CONNREFUSED."""
        trace = journey.connect(self.moment, self.client, server, self.port, protocol)
        reply = self._reply(trace, name, qtype, protocol)
        place = Place(self.client.kind, self.client.name, "resolver")
        why = f"{name} {qtype}? {server} by {protocol}: {reply.status}; {reply.why}"
        way = (server, protocol, trace.outcome.kind, trace.outcome.server)
        inner = None if way in self.known_ways else trace
        self.known_ways.add(way)
        self.hops.append(Hop(place, "dns", reply.status, why, rule=reply.rule, inner=inner))
        return reply

    def _reply(self, trace: Trace, name: str, qtype: str, protocol: str) -> Answer:
        snapshot, outcome, decided = self.moment.snapshot, trace.outcome, trace.deciding
        if not outcome:
            at_once = outcome.kind in ("refused", "no route", "reset")
            lost = Answer(name, qtype, "CONNREFUSED" if at_once else "TIMEOUT", why=outcome.message)
            waited = outcome.seconds if protocol == "TCP" and not at_once else 0.0
            return replace(lost, rule=decided.rule if decided else None, seconds=waited)
        pod = snapshot.pods.get(trace.outcome.server)
        if pod is None:
            if snapshot.settings.internet.unreachable:
                return Answer(name, qtype, "TIMEOUT", why="that resolver does not answer")
            return dns.outside(snapshot, name, qtype)
        return self._from_coredns(pod, name, qtype, protocol, trace.outcome.server_saw)

    def _from_coredns(self, pod: Pod, name: str, qtype: str, protocol: str, source: str) -> Answer:
        reply = dns.answer(self.moment.snapshot, name, qtype, pod.ips)
        if reply.ra:
            reply = self._forwarded(pod, reply)
        addresses = [r for r in reply.answers if r.type in ("A", "AAAA")]
        self.moment.rng.shuffle(addresses)  # plugin loadbalance
        reply = replace(reply, answers=(*(r for r in reply.answers if r not in addresses), *addresses))
        flags = ",".join(["qr", *["aa"] * reply.aa, "rd", *["ra"] * reply.ra])
        told = (qtype, protocol, reply.rcode, flags, size(reply, self.opt), pod.key)
        self.moment.query_log.append(Query(self.moment.now, self.client.name, source, reply.name, *told))
        return reply

    def _forwarded(self, pod: Pod, reply: Answer) -> Answer:
        """CoreDNS asks on from its own Pod, so policy can stop that too."""
        for upstream in resolver.resolv_conf(self.moment.snapshot, pod).nameservers:
            if journey.connect(self.moment, Client("pod", pod.key), upstream, 53, "UDP").outcome:
                return reply
        why = f"CoreDNS forwards this name, but {pod.key} cannot reach its own nameserver"
        return Answer(reply.name, reply.type, "SERVFAIL", why=why)


def getaddrinfo(moment: Moment, client: Client, name: str, types: Sequence[str] = ("A", "AAAA")) -> Lookup:
    """Resolve *name* as a program at *client* does: in /etc/hosts, else by `resolve`."""
    ask, families = Asker(moment, client), [_FAMILY.get(t) for t in types]
    lines = [x for x in podfiles.hosts(ask.pod, moment.snapshot.settings) if family(x.ip) in families]
    known = tuple(x.ip for x in lines if name.lower() in [n.lower() for n in x.names])
    if known:
        return _told(ask, Lookup(name, "NOERROR", known, name), "found in /etc/hosts, nothing was asked")
    return resolve(moment, client, name, types)


def resolve(moment: Moment, client: Client, name: str, types: Sequence[str] = ("A", "AAAA")) -> Lookup:
    """Ask the nameservers of the client's resolv.conf, by the rules of its C library."""
    ask = Asker(moment, client)
    library = resolver.libc(moment.snapshot, ask.pod)
    ask.tcp = library != "musl"
    look = resolver.walk(resolver.resolv_conf(moment.snapshot, ask.pod), name, types, ask, library)
    return _told(ask, look, look.canonical)


def _told(ask: Asker, look: Lookup, source: str) -> Lookup:
    """A look-up with its trace, its addresses in the order in which a program tries them."""
    v6 = ask.pod is not None and any(family(ip) == "IPv6" for ip in ask.pod.ips)
    look.addresses = tuple(sorted(look.addresses, key=lambda ip: (family(ip) == "IPv6") is not v6))
    kind, message = "delivered", f"{look.name} is {', '.join(look.addresses)} ({source})"
    if not look:
        broken = [r for r in look.replies if r.rcode not in ("NOERROR", "NXDOMAIN")]
        why = telling(ask.moment.snapshot, broken or look.replies, look.name)
        kind, message = "name not found", f"{look.name}: {GAI_TEXT[look.result]}" + (f"; {why}" if why else "")
    request = f"{ask.client.name} resolves {look.name}"
    look.trace = Trace(request, tuple(ask.hops), Outcome(kind, message, look.seconds))
    return look


_FAMILY = {"A": "IPv4", "AAAA": "IPv6"}


def telling(snapshot: Snapshot, told: Sequence[Answer | Hop], name: str = "") -> str:
    """Why nothing was found, as the miss says that knows most: one about a Service that exists, or about the one that
    ``SERVICE.NAMESPACE`` at the beginning of the name means, if there is such a namespace; else the first."""
    service, namespace, *_ = *name.split("."), ""
    meant = f"{namespace}/{service}" if namespace in snapshot.namespaces else ""
    misses = [(t.rule.key, t.why) for t in told if t.rule and t.rule.kind == "Service"]
    known = [why for key, why in misses if key in snapshot.services] or [why for key, why in misses if key == meant]
    return (known or [t.why for t in told] or [""])[0]


# What getaddrinfo's errors are called (glibc's gai_strerror).
GAI_TEXT = {
    "NOTFOUND": "Name or service not known",
    "NODATA": "No address associated with hostname",
    "TRYAGAIN": "Temporary failure in name resolution",
}


def connect(
    moment: Moment, client: Client, target: str, port: int, protocol: str = "TCP", size: int = journey.SMALL
) -> Trace:
    """Open a connection to an address or a name. The look-up is the first hop, then the addresses are tried in turn."""
    if is_ip(target):
        return journey.connect(moment, client, target, port, protocol, size=size)
    look = getaddrinfo(moment, client, target)
    assert look.trace is not None
    request = f"{client.name} → {target}:{port} {protocol}"
    decision = "resolved" if look else "name not found"
    place = Place(client.kind, client.name, "resolver")
    hops = [Hop(place, "dns", decision, look.trace.outcome.message, inner=look.trace)]
    outcome, opened = look.trace.outcome, {}
    for address in look.addresses:
        trace = journey.connect(moment, client, address, port, protocol, size=size)
        hops += trace.hops
        opened = trace.annotations
        outcome = replace(trace.outcome, seconds=trace.outcome.seconds + look.seconds)
        if outcome:
            break
    return Trace(request, tuple(hops), outcome, opened)


# How long a reply is on the wire. CoreDNS compresses names only where the reply would not fit otherwise (miekg/dns).


def size(reply: Answer, edns: int = 0, compressed: bool = False) -> int:
    """Bytes of a reply; *edns* is the length of its OPT record (0 without EDNS)."""
    seen: set[str] = set()

    def of_name(name: str, shared: bool = compressed) -> int:
        """A name's own labels and their end; or, where *shared*, a pointer to where the rest of it stood before."""
        labels, length = name.lower().rstrip(".").split(".") if name != "." else [], 1
        for i, label in enumerate(labels):
            suffix = ".".join(labels[i:])
            if shared and suffix in seen:
                return length + 1
            if shared:
                seen.add(suffix)
            length += len(label) + 1
        return length

    def of_data(record: Record) -> int:
        *numbers, last = record.data.split(" ")
        if record.type in _FIXED:
            return _FIXED[record.type]
        if record.type == "TXT":
            return len(record.data) - 1
        if record.type == "SOA":
            return sum(map(of_name, numbers[:2])) + 20
        return 2 * len(numbers) + of_name(last, compressed and record.type != "SRV")

    records = (*reply.answers, *reply.authority, *reply.additional)
    return 12 + of_name(reply.name) + 4 + sum(of_name(r.name) + 10 + of_data(r) for r in records) + edns


_FIXED = {"A": 4, "AAAA": 16}


def cut(reply: Answer, limit: int) -> Answer:
    """The reply with as many of its answers as fit: what a resolver without TCP has to live with."""
    while size(reply, compressed=True) > limit and reply.answers:
        reply = replace(reply, answers=reply.answers[:-1], additional=())
    return reply
