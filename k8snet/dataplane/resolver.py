"""How a program's C library turns a name into questions.

The stub resolver inside the C library makes candidates of a name with the search list of /etc/resolv.conf and asks one
after the other until something ends the walk. Which candidates, in which order, and what ends it differs: glibc
(resolv/res_query.c, res_send.c), musl (src/network/lookup_name.c, res_msend.c), and BIND's tools, which bring their
own resolver (bin/dig/dighost.c). What is said here of silence, SERVFAIL and the like was checked against glibc 2.36.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

from k8snet.controlplane import podfiles
from k8snet.controlplane.listeners import image_facts
from k8snet.controlplane.metadata import containers_of
from k8snet.controlplane.podfiles import ResolvConf
from k8snet.controlplane.snapshot import Pod, Snapshot
from k8snet.dataplane.dns import Answer
from k8snet.dataplane.dnsnames import absolute
from k8snet.dataplane.trace import Trace
from k8snet.manifests.addresses import is_ip


def resolv_conf(snapshot: Snapshot, pod: Pod | None) -> ResolvConf:
    """What stands in /etc/resolv.conf of a Pod, or (None) of a node or a machine outside."""
    if pod is None:
        return podfiles.node_conf(snapshot.settings)
    node = snapshot.nodes.get(pod.node)
    return podfiles.resolv_conf(pod.obj, snapshot.settings, node.internal_ips if node else ())[0]


def libc(snapshot: Snapshot, pod: Pod | None) -> str:
    """``glibc`` or ``musl``: by the image of the Pod's first container, or ``settings.libc`` (image to library)."""
    containers = containers_of(pod.spec) if pod else []
    image = str(containers[0].get("image") or "") if containers else ""
    chosen = snapshot.settings.libc.get(image) or image_facts(image).get("libc")
    return chosen or ("musl" if "alpine" in image else "glibc")


# Asking. A question is put by ``ask(name, type, nameserver)``; its Answer's rcode may also be TIMEOUT or CONNREFUSED.

Ask = Callable[[str, str, str], Answer]


@dataclass
class Lookup:
    """What a look-up came to. ``result`` is NOERROR, NOTFOUND, NODATA or TRYAGAIN (EAI_NONAME, EAI_NODATA, EAI_AGAIN).

    ``replies``: every reply, in order; ``planned``: all candidates, asked or not; ``seconds``: simulated time; ``trace``:
    the questions as journeys, where they went through a cluster. ``str()`` is the ladder: a rung for each candidate.
    """

    name: str
    result: str = "NOTFOUND"
    addresses: tuple[str, ...] = ()
    canonical: str = ""
    seconds: float = 0.0
    replies: list[Answer] = field(default_factory=list)
    planned: list[str] = field(default_factory=list)
    trace: Trace | None = None

    def __bool__(self) -> bool:
        return self.result == "NOERROR"

    @property
    def tried(self) -> list[str]:
        """Distinct names in the order first asked."""
        return list(dict.fromkeys(r.name for r in self.replies))

    @property
    def ladder(self) -> tuple[tuple[str, dict[str, str]], ...]:
        """Each candidate with what was said of it, by type (``{"A": "NXDOMAIN"}``); nothing where it was not asked."""
        asked = {name: {r.type: r.status for r in self.replies if r.name == name} for name in self.planned}
        return tuple(asked.items())

    def __str__(self) -> str:
        width = max((len(name) for name, _ in self.ladder), default=0)
        lines = [f"{self.name}: {len(self.replies)} questions, {self.seconds:g} s"]
        for number, (name, said) in enumerate(self.ladder, 1):
            answers = ", ".join(f"{qtype} {status}" for qtype, status in said.items()) or "not asked"
            lines.append(f"{number:>3} {name:<{width}}  {answers}")
        return "\n".join([*lines, f"  = {', '.join(self.addresses) or self.result}"])


def candidates(conf: ResolvConf, name: str, how: str = "search") -> list[str]:
    """The names that are asked one after the other, each with its final dot, while no answer ends the walk.

    *how* is glibc, musl, search (``dig +search`` and nslookup) or dig (never searches). A ``.`` in the search list
    stands for the name itself; only glibc then leaves it out at the end.
    """
    itself = absolute(name)
    if name.endswith(".") or how == "dig":
        return [itself]
    listed = [itself if d == "." else absolute(f"{name}.{d.lstrip('.')}") for d in conf.search]
    if name.count(".") >= conf.ndots:
        return [itself, *listed] if how == "glibc" else [itself]
    return listed if how == "glibc" and itself in listed else [*listed, itself]


def walk(conf: ResolvConf, name: str, types: Sequence[str], ask: Ask, library: str = "glibc") -> Lookup:
    """Resolve *name* as ``getaddrinfo`` of a C library does; *types* is ``("A",)``, ``("AAAA",)`` or both."""
    look = Lookup(name)
    if is_ip(name):
        look.result, look.addresses, look.canonical = "NOERROR", (name,), name
    else:
        look.result = (_walk_musl if library == "musl" else _walk_glibc)(conf, look, types, ask)
    return look


def _walk_glibc(conf: ResolvConf, look: Lookup, types: Sequence[str], ask: Ask) -> str:
    """Past misses, NODATA and SERVFAIL to the next candidate; silence ends the list, a refused packet everything.

    A name with enough dots is asked first, and then its own failure is what counts in the end.
    """
    look.planned = candidates(conf, look.name, "glibc")
    itself, names = absolute(look.name), [*look.planned]
    enough = look.name.endswith(".") or look.name.count(".") >= conf.ndots
    ends: list[str] = []
    while names and ends[-1:] not in (["NOERROR"], ["ALIAS"]):
        ends.append(_glibc_query(conf, look, names.pop(0), types, ask))
        if enough and len(ends) == 1:
            continue
        if ends[-1] == "CONNREFUSED":
            names = []
        elif ends[-1] == "SILENCE":
            names = [itself] if itself in names and not enough else []
    ipv4_only, last = tuple(types) == ("A",), ends[-1]
    if last in ("NOERROR", "ALIAS"):
        return last if last == "NOERROR" else "NODATA" if ipv4_only else "NOTFOUND"
    # What the search list came to counts, and the name itself, asked last, only if all of that was missing.
    outside = "." not in conf.search or "SILENCE" in ends[:-1]
    searched = ends[:-1] if outside and last != "CONNREFUSED" else ends
    counts = next((end for end in ("CONNREFUSED", "NODATA", "SERVFAIL") if end in searched), last)
    counts = ends[0] if enough else counts
    # Asked for IPv4 alone, glibc takes a failure that was not the last word for a miss.
    forgets = ipv4_only and counts in _FAILED and last not in _FAILED
    return "NOTFOUND" if forgets else _RESULTS[counts]


_FAILED = ("SERVFAIL", "SILENCE", "CONNREFUSED")
_RESULTS = {"NXDOMAIN": "NOTFOUND", "NODATA": "NODATA", **dict.fromkeys(_FAILED, "TRYAGAIN")}
_REPLIES = ("NOERROR", "NXDOMAIN")


def _glibc_query(conf: ResolvConf, look: Lookup, name: str, types: Sequence[str], ask: Ask) -> str:
    """One candidate: the nameservers in turn, all of them ``attempts`` times, until each type has a reply.

    Gives how it ended: NOERROR, ALIAS (no more than a CNAME), NODATA, NXDOMAIN, SERVFAIL, CONNREFUSED, or SILENCE,
    which stands for all other failures.
    """
    if not well_formed(name):
        return "SILENCE"
    servers = conf.nameservers[:3] or ("127.0.0.1",)
    got: dict[str, Answer] = {}
    failures: list[Answer] = []
    for n, server in list(enumerate(servers)) * min(conf.number("attempts", 2), 5):
        for qtype in (t for t in types if t not in got):
            look.replies.append(ask(name, qtype, server))
            if look.replies[-1].rcode in _REPLIES:
                got[qtype] = look.replies[-1]
            else:
                failures.append(look.replies[-1])
        if len(got) == len(types):
            return _take(look, got)
        if failures[-1].rcode == "TIMEOUT":
            patience = min(conf.number("timeout", 5), 30) << n
            look.seconds += failures[-1].seconds or (max(1, patience // len(servers)) if n else patience)
        if failures[-1].seconds:
            break
    if _take(look, got) == "NOERROR":
        return "NOERROR"
    rcodes = {f.rcode for f in failures}
    return "CONNREFUSED" if rcodes == {"CONNREFUSED"} else "SERVFAIL" if "SERVFAIL" in rcodes else "SILENCE"


def _walk_musl(conf: ResolvConf, look: Lookup, types: Sequence[str], ask: Ask) -> str:
    """All nameservers at once, the first reply that counts is taken; never past a NODATA, and never past silence."""
    readable = conf if len(" ".join(conf.search)) < 248 else replace(conf, search=())  # its lines end at 255 characters
    look.planned = candidates(readable, look.name, "musl")
    for name in look.planned:
        if name == absolute(look.name) and "." in readable.search and len(look.planned) > 1:
            break
        got: dict[str, Answer] = {}
        for qtype, server in product(types, conf.nameservers[:3] or ("127.0.0.1",)):
            look.replies.append(ask(name, qtype, server))
            if look.replies[-1].rcode in _REPLIES:
                got.setdefault(qtype, look.replies[-1])
        if len(got) < len(types):
            look.seconds += min(conf.number("timeout", 5), 60)
            return "TRYAGAIN"
        if all(r.rcode == "NOERROR" for r in got.values()):
            return "NOERROR" if _take(look, got) == "NOERROR" else "NOTFOUND"
    return "NOTFOUND"


def search(conf: ResolvConf, name: str, ask: Callable[[str], Answer], how: str = "search") -> list[Answer]:
    """The replies that a BIND tool gets for a name, in order: it goes on after NXDOMAIN only. *how*: search or dig."""
    replies: list[Answer] = []
    for candidate in candidates(conf, name, how):
        replies.append(ask(candidate))
        if replies[-1].rcode != "NXDOMAIN":
            break
    return replies


def well_formed(name: str) -> bool:
    """Whether a name can be asked at all: labels of 1 to 63 bytes, 254 in all with the final dot."""
    labels = name.encode().removesuffix(b".").split(b".")
    return name == "." or (len(name.encode()) <= 254 and all(1 <= len(label) <= 63 for label in labels))


def _take(look: Lookup, got: dict[str, Answer]) -> str:
    """Keep the addresses of the replies and give what they come to."""
    look.addresses = tuple(ip for r in got.values() for ip in r.data)
    if look.addresses:
        look.canonical = next(r.name for a in got.values() for r in a.answers if r.type == a.type).rstrip(".")
        return "NOERROR"
    if any(r.answers for r in got.values()):
        return "ALIAS"
    return "NODATA" if any(r.rcode == "NOERROR" for r in got.values()) else "NXDOMAIN"
