"""The two files that the kubelet writes into a Pod and that names depend on: /etc/resolv.conf and /etc/hosts.

resolv.conf follows from dnsPolicy, dnsConfig and the node's own file, within limits that are told as Events
(kubernetes pkg/kubelet/network/dns/dns.go); hosts from hostname, subdomain and hostAliases (kubelet_pods.go).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from k8snet.controlplane.settings import Settings
from k8snet.controlplane.snapshot import Pod
from k8snet.manifests.addresses import family
from k8snet.manifests.kinds import Object

MAX_NAMESERVERS, MAX_DOMAINS, MAX_SEARCH_LINE, MAX_DOMAIN = 3, 32, 2048, 253


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
    nameservers, search, options = list[str](), list[str](), dict[str, str]()
    for line in text.splitlines():
        keyword, *values = line.split() or [""]
        if keyword == "nameserver" and values:
            nameservers.append(values[0])
        elif keyword == "search":
            search = [v.removesuffix(".") for v in values if v != "."]
        elif keyword == "options":
            options |= {v.partition(":")[0]: v for v in values}
    return ResolvConf(tuple(nameservers), tuple(search), tuple(options.values()))


def node_conf(settings: Settings, node_ips: Sequence[str] = ()) -> ResolvConf:
    """The node's own resolv.conf. With an empty ``--resolv-conf`` the kubelet points at the loopback addresses."""
    if settings.node_resolv_conf is not None:
        return parse(settings.node_resolv_conf)
    loopback = tuple("::1" if family(ip) == "IPv6" else "127.0.0.1" for ip in node_ips)
    return ResolvConf(loopback or ("127.0.0.1",), (".",))


def resolv_conf(
    pod: Object, settings: Settings, node_ips: Sequence[str] = ()
) -> tuple[ResolvConf, tuple[PodEvent, ...]]:
    """The resolv.conf that the kubelet gives a Pod, and the Events that it records while making it."""
    events: list[PodEvent] = []
    meta, spec = pod["metadata"], pod.get("spec") or {}
    namespace = meta.get("namespace") or "default"
    policy = spec.get("dnsPolicy") or "ClusterFirst"
    if policy == "ClusterFirst" and spec.get("hostNetwork"):
        policy = "Default"
    if policy in ("ClusterFirst", "ClusterFirstWithHostNet") and not settings.cluster_dns:
        who = f"{meta['name']}_{namespace}({meta.get('uid') or ''})"
        message = (
            f'pod: "{who}". kubelet does not have ClusterDNS IP configured and cannot create Pod using '
            '"ClusterFirst" policy. Falling back to "Default" policy.'
        )
        events.append(PodEvent("MissingClusterDNS", message))
        policy = "Default"
    if policy == "None":
        conf = ResolvConf()
    elif policy == "Default":
        conf = node_conf(settings, node_ips)
    else:
        zone = settings.cluster_domain
        own = (f"{namespace}.svc.{zone}", f"svc.{zone}", zone) if zone else ()
        of_node = parse(settings.node_resolv_conf or "").search
        conf = ResolvConf(settings.cluster_dns, _distinct(own, of_node) if zone else of_node, ("ndots:5",))
    if spec.get("dnsConfig") is not None:
        conf = _merged(conf, spec["dnsConfig"])
    conf, exceeded = _limited(conf)
    return conf, (*events, *exceeded)


def _merged(base: ResolvConf, extra: Mapping[str, Any]) -> ResolvConf:
    """The Pod's dnsConfig is added; of an option that both have, the Pod's value wins."""
    options = {o.partition(":")[0]: o for o in base.options}
    for o in extra.get("options") or ():
        options[o["name"]] = f"{o['name']}:{o['value']}" if o.get("value") else o["name"]
    nameservers = _distinct(base.nameservers, extra.get("nameservers") or ())
    return ResolvConf(nameservers, _distinct(base.search, extra.get("searches") or ()), tuple(options.values()))


def _distinct(*lists: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for values in lists for value in values))


def _limited(conf: ResolvConf) -> tuple[ResolvConf, list[PodEvent]]:
    """As much of the file as the C library reads, and what is told of the rest."""
    servers, search = conf.nameservers[:MAX_NAMESERVERS], conf.search[:MAX_DOMAINS]
    search = tuple(d for d in search if len(d) <= MAX_DOMAIN)
    while len(" ".join(search)) > MAX_SEARCH_LINE:
        search = search[:-1]
    events = []
    for line, what, wanted, kept in (
        ("Nameserver", "nameservers", conf.nameservers, servers),
        ("Search Line", "search paths", conf.search, search),
    ):
        if kept != wanted:
            applied = f"the applied {line.split()[0].lower()} line is: {' '.join(kept)}"
            text = f"{line} limits were exceeded, some {what} have been omitted, {applied}"
            events.append(PodEvent("DNSConfigForming", text))
    return replace(conf, nameservers=servers, search=search), events


@dataclass(frozen=True, slots=True)
class HostsLine:
    """One line of /etc/hosts."""

    ip: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        return "\t".join((self.ip, *self.names))


_LOCAL = (
    HostsLine("127.0.0.1", ("localhost",)),
    HostsLine("::1", ("localhost", "ip6-localhost", "ip6-loopback")),
    HostsLine("fe00::", ("ip6-localnet",)),
    HostsLine("fe00::", ("ip6-mcastprefix",)),
    HostsLine("fe00::1", ("ip6-allnodes",)),
    HostsLine("fe00::2", ("ip6-allrouters",)),
)


def hosts(pod: Pod | None, settings: Settings) -> tuple[HostsLine, ...]:
    """The lines of a Pod's /etc/hosts. On the node's network, and for a node itself (None), only the local ones."""
    if pod is None or pod.host_network:
        return _LOCAL
    name = pod.spec.get("hostname") or pod.name[:63].rstrip("-.")
    subdomain = pod.spec.get("subdomain")
    full = (f"{name}.{subdomain}.{pod.namespace}.svc.{settings.cluster_domain}",) if subdomain else ()
    own = tuple(HostsLine(ip, (*full, name)) for ip in pod.ips)
    aliases = pod.spec.get("hostAliases") or ()
    return _LOCAL + own + tuple(HostsLine(a["ip"], tuple(a.get("hostnames") or ())) for a in aliases)


def hosts_text(pod: Pod | None, settings: Settings) -> str:
    """The file as ``cat /etc/hosts`` prints it."""
    return "# Kubernetes-managed hosts file.\n" + "".join(f"{line}\n" for line in hosts(pod, settings))
