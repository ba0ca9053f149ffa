"""How a Pod turns a name into questions: the kubelet's resolv.conf, and the C library that reads it.

The kubelet writes the file from dnsPolicy, dnsConfig and the node's own file (kubernetes pkg/kubelet/network/dns/dns.go).
The stub resolver inside the C library then makes candidates of a name with the search list and asks one after the
other (glibc resolv/res_query.c and res_send.c, musl src/network/lookup_name.c and res_msend.c). BIND's tools bring
their own resolver, which searches by yet another rule (lib/dns, bin/dig/dighost.c).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from k8snet.controlplane.listeners import image_facts
from k8snet.controlplane.settings import Settings
from k8snet.controlplane.snapshot import Pod, Snapshot, containers_of
from k8snet.dataplane.dns import Answer, absolute
from k8snet.dataplane.trace import Trace
from k8snet.manifests.addresses import family, is_ip

MAX_NAMESERVERS, MAX_DOMAINS, MAX_SEARCH, MAX_DOMAIN = 3, 32, 2048, 253


@dataclass(frozen=True, slots=True)
class PodEvent:
    """An Event that the kubelet records on a Pod."""

    reason: str
    message: str
    type: str = "Warning"


@dataclass(frozen=True, slots=True)
class ResolvConf:
    """The content of /etc/resolv.conf; ``str()`` is the file. ``options`` are as written (``ndots:5``)."""

    nameservers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def number(self, option: str, default: int) -> int:
        """The value of an option such as ndots, timeout or attempts."""
        values = [v for name, _, v in (o.partition(":") for o in self.options) if name == option and v.isdigit()]
        return int(values[-1]) if values else default

    @property
    def ndots(self) -> int:
        """From how many dots on a name is tried as it stands first (15 at most)."""
        return min(self.number("ndots", 1), 15)

    def __str__(self) -> str:
        lines = [f"search {' '.join(self.search)}"] if self.search else []
        lines += [f"nameserver {ip}" for ip in self.nameservers]
        lines += [f"options {' '.join(self.options)}"] if self.options else []
        return "".join(f"{line}\n" for line in lines)


def parse(text: str) -> ResolvConf:
    """A node's file as the kubelet reads it: nameservers and options add up, the last search line counts."""
    nameservers: list[str] = []
    search: list[str] = []
    options: dict[str, str] = {}
    for line in text.splitlines():
        keyword, *values = line.split() or [""]
        if keyword == "nameserver" and values:
            nameservers.append(values[0])
        elif keyword == "search":
            search = [v.rstrip(".") if v != "." else "" for v in values]
        elif keyword == "options":
            options |= {v.partition(":")[0]: v for v in values}
    return ResolvConf(tuple(nameservers), tuple(d for d in search if d), tuple(options.values()))


def node_conf(settings: Settings, node_ips: Sequence[str] = ()) -> ResolvConf:
    """The node's own resolv.conf. With an empty ``--resolv-conf`` the kubelet points at the loopback address."""
    if settings.node_resolv_conf is not None:
        return parse(settings.node_resolv_conf)
    v6 = bool(node_ips) and family(node_ips[0]) == "IPv6"
    return ResolvConf(("::1" if v6 else "127.0.0.1",), (".",))


def pod_conf(pod: Pod, settings: Settings, node_ips: Sequence[str] = ()) -> tuple[ResolvConf, tuple[PodEvent, ...]]:
    """The resolv.conf that the kubelet gives a Pod, and the Events that it records while making it."""
    events: list[PodEvent] = []
    policy = pod.spec.get("dnsPolicy") or "ClusterFirst"
    if policy == "ClusterFirst" and pod.host_network:
        policy = "Default"
    if policy in ("ClusterFirst", "ClusterFirstWithHostNet") and not settings.cluster_dns:
        message = (
            "kubelet does not have ClusterDNS IP configured and cannot create Pod using "
            f'"{policy}" policy. Falling back to "Default" policy.'
        )
        events.append(PodEvent("MissingClusterDNS", f'pod: "{pod.name}_{pod.namespace}({_uid(pod)})". {message}'))
        policy = "Default"
    if policy == "None":
        base = ResolvConf()
    elif policy == "Default":
        base = node_conf(settings, node_ips)
    else:
        zone = settings.cluster_domain
        own = (f"{pod.namespace}.svc.{zone}", f"svc.{zone}", zone) if zone else ()
        from_node = parse(settings.node_resolv_conf or "").search
        base = ResolvConf(settings.cluster_dns, _distinct(own + from_node), ("ndots:5",))
    return _within_limits(_merge(base, pod), pod, events)


def _uid(pod: Pod) -> str:
    return str(pod.obj["metadata"].get("uid") or "")


def _merge(base: ResolvConf, pod: Pod) -> ResolvConf:
    """The Pod's dnsConfig is added; of an option that both have, the Pod's value wins."""
    extra = pod.spec.get("dnsConfig") or {}
    options = {o.partition(":")[0]: o for o in base.options}
    for o in extra.get("options") or ():
        options[o["name"]] = f"{o['name']}:{o['value']}" if o.get("value") is not None else o["name"]
    return ResolvConf(
        _distinct((*base.nameservers, *(extra.get("nameservers") or ()))),
        _distinct((*base.search, *(extra.get("searches") or ()))),
        tuple(options.values()),
    )


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _within_limits(conf: ResolvConf, pod: Pod, events: list[PodEvent]) -> tuple[ResolvConf, tuple[PodEvent, ...]]:
    search = [d for d in conf.search if len(d) <= MAX_DOMAIN][:MAX_DOMAINS]
    while len(" ".join(search)) > MAX_SEARCH:
        search.pop()
    if len(search) < len(conf.search):
        events.append(_too_much("Search Line", "search paths", "search", search))
    nameservers = conf.nameservers[:MAX_NAMESERVERS]
    if nameservers != conf.nameservers:
        events.append(_too_much("Nameserver", "nameservers", "nameserver", nameservers))
    return ResolvConf(nameservers, tuple(search), conf.options), tuple(events)


def _too_much(what: str, things: str, line: str, kept: Sequence[str]) -> PodEvent:
    text = f"{what} limits were exceeded, some {things} have been omitted, the applied {line} line is: {' '.join(kept)}"
    return PodEvent("DNSConfigForming", text)


def resolv_conf(snapshot: Snapshot, pod: Pod | None) -> ResolvConf:
    """What stands in /etc/resolv.conf of a Pod, or (None) of a node or a machine outside."""
    if pod is None:
        return node_conf(snapshot.settings)
    node = snapshot.nodes.get(pod.node)
    return pod_conf(pod, snapshot.settings, node.internal_ips if node else ())[0]


def hosts_file(snapshot: Snapshot, pod: Pod | None) -> dict[str, str]:
    """Names that need no DNS: what the kubelet writes to a Pod's /etc/hosts, by name."""
    hosts = {"localhost": "127.0.0.1"}
    if pod is None:
        return hosts
    hostname = pod.spec.get("hostname") or pod.name[:63].rstrip("-.")
    if pod.host_network or not pod.ip:
        return hosts
    subdomain = pod.spec.get("subdomain")
    names = [f"{hostname}.{subdomain}.{pod.namespace}.svc.{snapshot.settings.cluster_domain}"] if subdomain else []
    hosts |= {name.lower(): pod.ip for name in (*names, hostname)}
    aliases = pod.spec.get("hostAliases") or ()
    return hosts | {n.lower(): a["ip"] for a in reversed(aliases) for n in a.get("hostnames") or ()}


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

    ``tried``: distinct names in the order first asked; ``seconds``: simulated time; ``replies``: every reply, in order;
    ``trace``: the questions as journeys, where they were sent through a cluster.
    """

    name: str
    result: str = "NOTFOUND"
    addresses: tuple[str, ...] = ()
    canonical: str = ""
    tried: list[str] = field(default_factory=list)
    seconds: float = 0.0
    replies: list[Answer] = field(default_factory=list)
    trace: Trace | None = None

    def __bool__(self) -> bool:
        return self.result == "NOERROR"


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
    elif library == "musl":
        _walk_musl(conf, look, types, ask)
    else:
        _walk_glibc(conf, look, types, ask)
    return look


def _walk_glibc(conf: ResolvConf, look: Lookup, types: Sequence[str], ask: Ask) -> None:
    """Past misses, NODATA and SERVFAIL to the next candidate; silence ends the list, a refused packet everything.

    A name with enough dots is asked first and its own failure is what counts in the end.
    """
    itself, names = absolute(look.name), candidates(conf, look.name, "glibc")
    enough = look.name.endswith(".") or look.name.count(".") >= conf.ndots
    kinds: list[str] = []
    while names and kinds[-1:] != ["NOERROR"]:
        kinds.append(_glibc_query(conf, look, names.pop(0), types, ask))
        if enough and len(kinds) == 1:
            continue
        if kinds[-1] == "CONNREFUSED":
            names = []
        elif kinds[-1] == "SILENCE":
            names = names[-1:] if names[-1:] == [itself] and "." not in conf.search else []
    if kinds[-1] == "NOERROR":
        look.result = "NOERROR"
    elif enough:
        look.result = _GAI[kinds[0]]
    elif "NODATA" in kinds and kinds[-1] != "CONNREFUSED":
        look.result = "NODATA"
    else:
        look.result = "TRYAGAIN" if "SERVFAIL" in kinds else _GAI[kinds[-1]]


_GAI = {"NXDOMAIN": "NOTFOUND", "NODATA": "NODATA"} | dict.fromkeys(("SERVFAIL", "SILENCE", "CONNREFUSED"), "TRYAGAIN")
_REPLIES = ("NOERROR", "NXDOMAIN")


def _glibc_query(conf: ResolvConf, look: Lookup, name: str, types: Sequence[str], ask: Ask) -> str:
    """One candidate: the nameservers in turn, all of them ``attempts`` times, until each type has a reply.

    Gives NOERROR, NXDOMAIN, NODATA, SERVFAIL, CONNREFUSED, or SILENCE for all other failures.
    """
    look.tried += [name] if name not in look.tried else []
    servers = conf.nameservers[:3] or ("127.0.0.1",)
    got: dict[str, Answer] = {}
    failures: list[str] = []
    for n, server in list(enumerate(servers)) * min(conf.number("attempts", 2), 5):
        for qtype in (t for t in types if t not in got):
            look.replies.append(ask(name, qtype, server))
            if look.replies[-1].rcode in _REPLIES:
                got[qtype] = look.replies[-1]
            else:
                failures.append(look.replies[-1].rcode)
        if len(got) == len(types):
            return _take(look, got)
        if failures[-1] == "TIMEOUT":
            wait = min(conf.number("timeout", 5), 30) << n
            look.seconds += max(1, wait // len(servers)) if n else wait
    if set(failures) == {"CONNREFUSED"}:
        return "CONNREFUSED"
    return (
        _take(look, got)
        if any(r.data for r in got.values())
        else ("SERVFAIL" if failures[-1] == "SERVFAIL" else "SILENCE")
    )


def _walk_musl(conf: ResolvConf, look: Lookup, types: Sequence[str], ask: Ask) -> None:
    """All nameservers at once, the first reply that counts is taken; never past a NODATA, and never past silence."""
    in_short = conf if len(" ".join(conf.search)) < 249 else replace(conf, search=())
    for name in candidates(in_short, look.name, "musl"):
        if name == absolute(look.name) and "." in in_short.search:
            return
        look.tried += [name] if name not in look.tried else []
        got: dict[str, Answer] = {}
        for qtype in types:
            for server in conf.nameservers[:3] or ("127.0.0.1",):
                look.replies.append(ask(name, qtype, server))
                if look.replies[-1].rcode in _REPLIES:
                    got.setdefault(qtype, look.replies[-1])
        if len(got) < len(types):
            look.seconds += min(conf.number("timeout", 5), 60)
            look.result = "TRYAGAIN"
            return
        if all(r.rcode == "NOERROR" for r in got.values()):
            look.result = "NOERROR" if _take(look, got) == "NOERROR" else "NOTFOUND"
            return


def _take(look: Lookup, got: dict[str, Answer]) -> str:
    """Keep the addresses of the replies and give what they come to."""
    look.addresses = tuple(ip for r in got.values() for ip in r.data)
    if look.addresses:
        look.canonical = next(r.name for a in got.values() for r in a.answers if r.type == a.type).rstrip(".")
        return "NOERROR"
    return "NODATA" if any(r.rcode == "NOERROR" for r in got.values()) else "NXDOMAIN"
