"""Probes: what a kubelet learns when it asks a container whether it is well.

From pkg/kubelet/prober and pkg/probe (the texts are Go's). The kubelet asks from the Pod's own node, so no policy is in
the way. A probe fails if nobody listens on its port for all addresses, or if the web server there does not have its
path; the Pod annotation ``k8snet.io/failing-probes`` (``readiness``, ``liveness,startup``) makes the application fail
it. Commands (and gRPC) succeed unless the annotation says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from k8snet.controlplane import listeners
from k8snet.controlplane.metadata import annotations_of
from k8snet.manifests.addresses import host_port
from k8snet.manifests.kinds import Object

FAILING = "k8snet.io/failing-probes"


def failure(pod: Object, container: Mapping[str, Any], kind: str) -> str:
    """Why a container's probe of a *kind* (readiness, liveness, startup) fails now, in the kubelet's words; empty if it
    passes."""
    probe = container[f"{kind}Probe"]
    told_to_fail = kind in annotations_of(pod).get(FAILING, "").replace(" ", "").split(",")
    action = probe.get("httpGet") or probe.get("tcpSocket")
    if action is None:
        return "command failed" if told_to_fail else ""
    names = {p["name"]: p["containerPort"] for p in container.get("ports") or () if "name" in p}
    port = names.get(action["port"], action["port"])
    target = host_port(action.get("host") or pod["status"]["podIP"], port)
    listens = any(s.port == port and s.protocol == "TCP" and not s.loopback for s in listeners.listeners_of(pod) or ())
    refused = f"dial tcp {target}: connect: connection refused"
    if "tcpSocket" in probe:
        return "" if listens and not told_to_fail else refused
    path, known = action.get("path") or "/", listeners.paths_of(pod, container.get("image") or "")
    if not listens:
        return f'Get "{action.get("scheme", "HTTP").lower()}://{target}{path}": {refused}'
    status = 503 if told_to_fail else 404 if known and path.partition("?")[0] not in known else 200
    return f"HTTP probe failed with statuscode: {status}" if status != 200 else ""
