"""The three rules of the Kubernetes networking model, checked by sending packets.

Kubernetes asks every network plugin for the same: each Pod has an address of its own; every Pod reaches every other
without address translation, on whatever node; containers of one Pod share its network, and so its localhost. Facts: the
documentation's pages on cluster networking and on services and networking. Policies are left out of account here.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice, permutations

from k8snet.controlplane.snapshot import Pod, Snapshot
from k8snet.dataplane import journey
from k8snet.dataplane.client import Client
from k8snet.dataplane.moment import Moment
from k8snet.dataplane.trace import Trace


@dataclass(frozen=True, slots=True)
class Finding:
    """One rule and whether it holds here. If not, ``text`` names what breaks it and ``trace`` (where a packet did) shows how."""

    rule: str
    holds: bool
    text: str
    trace: Trace | None = None

    def __bool__(self) -> bool:
        return self.holds

    def __str__(self) -> str:
        return f"{'holds ' if self.holds else 'BROKEN'} {self.rule}: {self.text}"


def check(snapshot: Snapshot, pairs: int = 1000) -> tuple[Finding, Finding, Finding]:
    """Whether the three rules hold for the Pods of a snapshot; at most *pairs* pairs of Pods are tried."""
    open_to_all = copy.copy(snapshot)
    open_to_all.settings = replace(snapshot.settings, enforce_policy=False)
    moment = Moment(open_to_all, 0.0, random.Random(0))
    pods = [p for p in snapshot.pods.values() if p.ips and not p.host_network and not p.finished]
    return _unique(pods), _reach(moment, pods, pairs), _share(moment, pods)


def _unique(pods: list[Pod]) -> Finding:
    rule, holder = "each Pod has an address of its own", dict[str, Pod]()
    for pod in pods:
        for ip in pod.ips:
            other = holder.setdefault(ip, pod)
            if other is not pod:
                return Finding(rule, False, f"Pods {other.key} and {pod.key} both have {ip}")
    return Finding(rule, True, f"{len(holder)} addresses, no two alike")


def _reach(moment: Moment, pods: list[Pod], pairs: int) -> Finding:
    rule, tried = "every Pod reaches every other without address translation", 0
    for client, server in islice(permutations(pods, 2), pairs):
        tried += 1
        trace = journey.connect(moment, Client("pod", client.key), server.ip, 0, "ICMP")
        who, saw = trace.outcome.server, trace.outcome.server_saw
        if not trace:
            return Finding(rule, False, f"Pod {client.key} does not reach Pod {server.key}: {trace.outcome}", trace)
        if who != server.key:
            return Finding(rule, False, f"Pod {client.key} meant Pod {server.key} and got {who}", trace)
        if saw not in client.ips:
            return Finding(rule, False, f"Pod {server.key} sees {saw}, which is not Pod {client.key}", trace)
    return Finding(rule, True, f"{tried} pairs tried; each server saw the client's own address")


def _share(moment: Moment, pods: list[Pod]) -> Finding:
    rule, tried = "containers of one Pod share its localhost", 0
    for pod, port in _listening(pods):
        tried += 1
        trace = journey.connect(moment, Client("pod", pod.key), "127.0.0.1", port)
        if not trace or trace.outcome.server != pod.key:
            return Finding(rule, False, f"port {port} of Pod {pod.key} is not on its localhost", trace)
    return Finding(rule, True, f"{tried} listeners tried, all reached by localhost from their own Pod")


def _listening(pods: list[Pod]) -> Iterator[tuple[Pod, int]]:
    for pod in pods:
        for s in pod.listeners or ():
            if s.protocol == "TCP" and (not s.address or s.loopback):
                yield pod, s.port
