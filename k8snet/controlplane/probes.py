"""Probes: what a kubelet learns when it asks a container whether it is well.

From pkg/kubelet/prober and pkg/probe (the texts are Go's). The kubelet asks from the Pod's own node, so no policy is in
the way. A probe fails if nobody listens on its port for all addresses, or if the web server there does not have its
path; the Pod annotation ``k8snet.io/failing-probes`` (``readiness``, ``liveness,startup``) makes the application fail
it. Commands succeed unless the annotation says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from k8snet.controlplane import listeners
from k8snet.manifests.addresses import host_port
from k8snet.manifests.kinds import Object

FAILING = "k8snet.io/failing-probes"


@dataclass(frozen=True, slots=True)
class Streak:
    """How long a probe has been passing or failing: since when, and how often it was reported."""

    failure: str
    since: float
    reported: int = 0


def failure(pod: Object, container: Mapping[str, Any], kind: str, probe: Mapping[str, Any]) -> str:
    """Why a probe of *kind* (readiness, liveness, startup) fails now, in the kubelet's words; empty if it passes."""
    annotations = pod["metadata"].get("annotations") or {}
    told_to_fail = kind in annotations.get(FAILING, "").replace(" ", "").split(",")
    action = probe.get("httpGet") or probe.get("tcpSocket") or probe.get("grpc")
    if action is None:
        return "command failed" if told_to_fail else ""
    port, host = _number(container, action.get("port")), action.get("host") or pod["status"]["podIP"]
    refused = f"dial tcp {host_port(host, port)}: connect: connection refused"
    open_ports = listeners.listeners_of(pod)
    listens = open_ports is None or any(s.port == port and s.protocol == "TCP" and not s.loopback for s in open_ports)
    if "grpc" in probe:
        late = f'timeout: failed to connect service "{host_port(host, port)}" within 1s: context deadline exceeded'
        return "" if listens and not told_to_fail else late
    if "tcpSocket" in probe:
        return "" if listens and not told_to_fail else refused
    path = action.get("path") or "/"
    if not listens:
        url = f"{(action.get('scheme') or 'HTTP').lower()}://{host_port(host, port)}{path}"
        return f'Get "{url}": {refused}'
    known = listeners.paths_of(pod, container.get("image") or "")
    status = 503 if told_to_fail else 404 if known and path.partition("?")[0] not in known else 200
    return f"HTTP probe failed with statuscode: {status}" if status != 200 else ""


def _number(container: Mapping[str, Any], port: Any) -> int:
    if isinstance(port, int):
        return port
    named = (p["containerPort"] for p in container.get("ports") or () if p.get("name") == port)
    return int(next(named, 0))


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a probe by now: ``passed`` True or False once its threshold is reached, else None; ``streak`` to be
    remembered; ``asked_again_in`` seconds (0: no need); ``reports`` how many new failures are to be reported."""

    passed: bool | None
    streak: Streak
    asked_again_in: float = 0.0
    reports: int = 0


def ask(text: str, probe: Mapping[str, Any], begin: float, now: float, before: Streak | None) -> Result:
    """The result of a probe that has been asked since *begin* (seconds), fails with *text* (or passes) from *now* on at
    the latest, and was in the streak *before*."""
    period = probe.get("periodSeconds") or 10
    if before is None or bool(before.failure) != bool(text):
        before = Streak(text, begin if before is None else now)
    if now < before.since:
        return Result(None, before, before.since - now)
    needed = (probe.get("failureThreshold") or 3) if text else (probe.get("successThreshold") or 1)
    times = int((now - before.since) // period) + 1
    counted = min(times, needed)
    reports = counted - before.reported if text else 0
    streak = replace(before, failure=text, reported=before.reported + max(reports, 0))
    if times >= needed:
        return Result(not text, streak, 0.0, reports)
    return Result(None, streak, before.since + times * period - now, reports)
