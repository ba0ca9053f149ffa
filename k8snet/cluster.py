"""The front door: a cluster in a notebook.

Every method is one or two lines into a room; nothing is decided here.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

from k8snet.controlplane.plane import ControlPlane
from k8snet.controlplane.settings import NETWORKS, ProxySettings, Settings
from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane import dns
from k8snet.dataplane.client import Client
from k8snet.dataplane.moment import Moment
from k8snet.dataplane.nearest import NearestMiss, nearest_miss
from k8snet.dataplane.policy import Verdict
from k8snet.dataplane.reachability import Difference, Reachability
from k8snet.dataplane.resolver import Lookup
from k8snet.dataplane.trace import Trace
from k8snet.manifests.kinds import Object
from k8snet.shell.result import Result

_KNOBS = {f.name for f in fields(Settings)} - {"network", "seed", "loaded"}
_PROXY_KNOBS = {f.name for f in fields(ProxySettings)} - {"mode"}


class Cluster:
    """A small Kubernetes cluster, simulated: apply manifests, send packets, ask why.

    ``nodes`` is how many worker nodes there are; ``network`` one of bridge, overlay, routed, cloud, ebpf, docker;
    ``proxy`` iptables or nftables; ``seed`` fixes every random choice. All other knobs are the fields of
    `k8snet.controlplane.settings.Settings` and ``ProxySettings`` (``enforce_policy=False``, ``hairpin=False`` …).
    Raises ValueError for an unknown knob or value.
    """

    def __init__(
        self, nodes: int = 3, network: str = "overlay", *, proxy: str = "iptables", seed: int = 0, **knobs: Any
    ) -> None:
        settings = _settings(Settings(network=network, seed=seed), proxy=proxy, **knobs)
        if "cluster_cidr" not in knobs:
            settings = replace(settings, proxy=replace(settings.proxy, cluster_cidr=settings.pod_ranges))
        if "corefile" not in knobs:  # as kubeadm tells the DNS server the same domain as the kubelets
            zones = (f"{settings.cluster_domain}.", *settings.corefile.fallthrough)
            settings = replace(settings, corefile=replace(settings.corefile, zones=zones))
        self.plane = ControlPlane(settings, nodes)
        self._moment = Moment(self.plane.snapshot(), self.plane.now, self.plane.rng)
        self.use()

    @classmethod
    def load(cls, objects: str | Iterable[Object], **knobs: Any) -> Cluster:
        """A cluster from a dump of a real one: text of ``kubectl get … -A -o yaml`` (or JSON), or the objects.

        Addresses and conditions are kept as they are, nothing is added. Raises KubernetesError for text that is no dump.
        """
        from k8snet.manifests.reader import objects_of

        found = objects_of(objects) if isinstance(objects, str) else list(objects)
        return cls.around(ControlPlane.loaded(found, _settings(Settings(loaded=True, dns=False), **knobs))).use()

    def use(self) -> Cluster:
        """Make this the cluster that the magics act on. Returns it."""
        from k8snet.shell import kubectl

        kubectl.current = self
        if "IPython" in sys.modules:
            from k8snet.view import display

            display.register()
        return self

    @classmethod
    def around(cls, plane: ControlPlane) -> Cluster:
        """A front door for a control plane that exists already. The magics stay with the cluster that they had."""
        cluster = cls.__new__(cls)
        cluster.plane = plane
        cluster._moment = Moment(plane.snapshot(), plane.now, plane.rng)
        return cluster

    def __repr__(self) -> str:
        return f"<Cluster of {len(self.snapshot.nodes)} nodes and {len(self.snapshot.pods)} Pods>"

    def copy(self) -> Cluster:
        """An independent copy: what is done to one is not seen by the other. The magics stay with this one."""
        return self.around(self.plane.copy())

    # what the cluster knows

    def apply(self, text: str) -> Result:
        """``kubectl apply -f -`` with *text* as standard input."""
        return self.kubectl("apply -f -", text)

    def kubectl(self, line: str, stdin: str = "") -> Result:
        """What kubectl prints for a command line (without the word kubectl)."""
        from k8snet.shell import kubectl

        return kubectl.run(self, line, stdin)

    def advance(self, seconds: float) -> None:
        """Let simulated time pass: probes, rolling updates, terminating Pods and affinity move on."""
        self.plane.advance(seconds)

    def configure(self, **knobs: Any) -> None:
        """Turn knobs of the running cluster (the same as for the constructor)."""
        self.plane.settings = _settings(self.plane.settings, **knobs)
        self.plane.settle()

    @property
    def snapshot(self) -> Snapshot:
        """The typed, frozen view of all objects that the data plane reads."""
        return self.plane.snapshot()

    @property
    def moment(self) -> Moment:
        """The snapshot together with what nodes remember (connections, affinity) and the simulated time."""
        self._moment.snapshot, self._moment.now = self.plane.snapshot(), self.plane.now
        return self._moment

    # who asks

    def pod(self, name: str) -> Caller:
        """A Pod to act from: ``namespace/name``, or a name in namespace default. Raises ApiError NotFound."""
        namespace, _, short = name.rpartition("/")
        found = self.plane.api.get("Pod", namespace or "default", short)
        meta = found["metadata"]
        return Caller(self, Client("pod", f"{meta['namespace']}/{meta['name']}"))

    def node(self, name: str) -> Caller:
        """A node to act from. Raises ApiError NotFound."""
        return Caller(self, Client("node", self.plane.api.get("Node", "", name)["metadata"]["name"]))

    @property
    def outside(self) -> Caller:
        """A machine outside the cluster."""
        return self.outside_at("")

    def outside_at(self, ip: str) -> Caller:
        """A machine outside the cluster with an address of its own; empty: the first of the outside range."""
        return Caller(self, Client.outside(self.plane.settings, ip))

    # what happens, and why

    def allowed(self, source: str, destination: str, port: int, protocol: str = "TCP") -> Verdict:
        """What policy lets through, listening or not. Source and destination are Pods (as for `pod`) or IP addresses."""
        from k8snet.dataplane import policy

        snapshot = self.snapshot
        return policy.verdict(
            snapshot, policy.peer(snapshot, source), policy.peer(snapshot, destination), port, protocol
        )

    def nearest_miss(self, verdict: Verdict) -> NearestMiss:
        """The smallest change of one rule that would turn a verdict of `allowed` round."""
        return nearest_miss(self.snapshot, verdict)

    def reachability(self, port: int, protocol: str = "TCP", **ends: Iterable[str]) -> Reachability:
        """All pairs for one port and protocol, as policy decides: ``.plot()``, ``.diff(later)``, ``.find(…)``.

        ``clients``, ``servers`` (Pods, addresses, CIDRs) and ``outside`` (CIDRs) choose other ends than every Pod; the
        DNS Pods of a cluster that was not loaded are left out unless they are named.
        """
        from k8snet.dataplane import reachability

        shown = [p.key for p in self.snapshot.pods.values() if not p.finished and p.namespace != "kube-system"]
        chosen = {} if self.plane.settings.loaded else {"clients": shown, "servers": shown}
        return reachability.reachability(self.snapshot, port, protocol, **{**chosen, **ends})

    def explain_name(self, name: str, qtype: str = "A") -> dns.Explanation:
        """How the cluster's DNS server reads a complete name: what each label means, and at which one it fails."""
        return dns.explain(self.snapshot, name, qtype)

    def explain_policies(self) -> str:
        """Each NetworkPolicy in a sentence, then what looks odd about them, a line ``odd: …`` for each suspicion."""
        from textwrap import fill

        from k8snet.controlplane.policies import compiled
        from k8snet.dataplane import lint, sentences

        said = [f"{policy.ref.name}: {sentences.sentence(policy)}" for policy in compiled(self.snapshot).all]
        said += [f"odd: {finding}" for finding in lint.lint(self.snapshot)]
        return "\n".join(fill(s, 92, subsequent_indent="    ", break_on_hyphens=False) for s in said)

    def draw(self, trace: Trace | None = None) -> Any:
        """A matplotlib figure of the cluster; with a trace, its path drawn over it."""
        from k8snet.view import topology

        return topology.draw(self.snapshot, trace)


def _plot(found: Reachability | Difference) -> Any:
    """The picture, as a `k8snet.view.drawing.Drawing`."""
    from k8snet.view import matrix

    return matrix.of(found)


# Data knows nothing of pictures; the front door gives these two their ``.plot()``.
Reachability.plot = Difference.plot = _plot  # type: ignore[attr-defined]


class Caller:
    """A Pod, a node or an outside machine, as the one that asks."""

    def __init__(self, cluster: Cluster, client: Client) -> None:
        self.cluster = cluster
        self.client = client

    def run(self, command: str) -> Result:
        """What a command prints here: curl, dig, nslookup, ip, ss, cat /etc/resolv.conf …"""
        from k8snet.shell import tools

        return tools.run(self.cluster.moment, self.client, command)

    def curl(self, arguments: str) -> Result:
        """``curl`` with its arguments; the journey is in ``.trace``."""
        return self.run(f"curl {arguments}")

    def dig(self, arguments: str) -> Result:
        """``dig`` with its arguments."""
        return self.run(f"dig {arguments}")

    def nslookup(self, arguments: str) -> Result:
        """``nslookup`` with its arguments."""
        return self.run(f"nslookup {arguments}")

    def connect(
        self, target: str, port: int, protocol: str = "TCP", *, size: int = 60, stop_at: int | str | None = None
    ) -> Trace:
        """Open one connection to an address or a name and follow it, forward and return.

        *size* is the biggest packet in bytes; *stop_at* ends the account at a hop (a number, ``proxy``, ``DNAT`` …).
        """
        from k8snet.dataplane import lookup

        trace = lookup.connect(self.cluster.moment, self.client, target, port, protocol, size)
        return trace if stop_at is None else trace.until(stop_at)

    def again(self, trace: Trace) -> Trace:
        """The next packet on the connection that *trace* opened. Raises ValueError if it opened none."""
        from k8snet.dataplane import journey

        return journey.again(self.cluster.moment, trace)

    def resolve(self, name: str) -> Lookup:
        """Turn a name into addresses as a program here does: ``str()`` has a line for each candidate that was asked."""
        from k8snet.dataplane import lookup

        return lookup.getaddrinfo(self.cluster.moment, self.client, name)

    def connections(self, target: str, port: int, protocol: str = "TCP", n: int = 100) -> Counter[str]:
        """Who answers *n* new connections, as a histogram."""
        outcomes = (self.connect(target, port, protocol).outcome for _ in range(n))
        return Counter(o.server if o else o.kind for o in outcomes)

    def __repr__(self) -> str:
        return f"<{self.client.kind} {self.client.name}>"


def _settings(base: Settings, *, proxy: str = "", **knobs: Any) -> Settings:
    """*base* with knobs turned; raises ValueError for a name or a value that no knob has."""
    inner = {k: knobs.pop(k) for k in list(knobs) if k in _PROXY_KNOBS}
    if proxy:
        inner["mode"] = proxy
    unknown = sorted(set(knobs) - _KNOBS - {"network", "seed"})
    if unknown:
        raise ValueError(f"no such knob: {', '.join(unknown)}; there are {', '.join(sorted(_KNOBS | _PROXY_KNOBS))}")
    settings = replace(base, **knobs, proxy=replace(base.proxy, **inner))
    if settings.network not in NETWORKS:
        raise ValueError(f"network must be one of {', '.join(NETWORKS)}, not {settings.network!r}")
    if settings.proxy.mode not in ("iptables", "nftables"):
        raise ValueError(f"proxy must be iptables or nftables, not {settings.proxy.mode!r}")
    return settings
