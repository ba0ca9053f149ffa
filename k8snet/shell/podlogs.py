"""``kubectl logs``: what the server in a container wrote when it began to listen, or could not.

Nothing else is logged: requests leave no lines. The words are those of the real images, from ``logs.yaml``.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

import yaml

from k8snet.controlplane.listeners import wanted
from k8snet.manifests.errors import ApiError
from k8snet.manifests.kinds import Object
from k8snet.shell.call import Call
from k8snet.shell.values import at, date


@cache
def _words() -> dict[str, dict[str, str]]:
    text = resources.files("k8snet.shell").joinpath("logs.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def containers(call: Call, pod: Object, name: str, everyone: bool) -> list[str]:
    """The containers meant: the one named, all of them, or the first (which kubectl says if there are more)."""
    names = [c["name"] for c in pod["spec"]["containers"]]
    if everyone:
        return names
    if name and name not in [*names, *(c["name"] for c in pod["spec"].get("initContainers") or ())]:
        raise ApiError(400, "BadRequest", f"container {name} is not valid for pod {pod['metadata']['name']}")
    if not name and len(names) > 1:
        call.notes.append(f'Defaulted container "{names[0]}" out of: {", ".join(names)}')
    return [name or names[0]]


def lines(pod: Object, container: str, previous: bool = False) -> list[str]:
    """The log of one container. Raises ApiError where its kubelet has none."""
    statuses = {s["name"]: s for s in at(pod, ".status.containerStatuses") or ()}
    status, name = statuses.get(container, {}), pod["metadata"]["name"]
    over = at(status, ".state.terminated") or at(status, ".lastState.terminated")
    if previous and over is None:
        raise ApiError(400, "BadRequest", f'previous terminated container "{container}" in pod "{name}" not found')
    waiting = at(status, ".state.waiting.reason")
    if not over and (waiting or not status):
        why = f"is waiting to start: {waiting}" if waiting else "is not available"
        raise ApiError(400, "BadRequest", f'container "{container}" in pod "{name}" {why}')
    if over and over.get("message"):
        return str(over["message"]).split("\n")
    image = next((c.get("image", "") for c in pod["spec"]["containers"] if c["name"] == container), "")
    words = next((w for key, w in _words().items() if key in image), _words()["other"])
    started = at(status, ".state.running.startedAt") or at(over, ".startedAt")
    ports = [x for x in wanted(pod, loaded=False) or () if x.container == container]
    return [
        line.format(
            time=date(started, "%Y/%m/%d %H:%M:%S"), address=x.address or "0.0.0.0", port=x.port, protocol=x.protocol
        )
        for x in ports
        for line in words["listening"].rstrip("\n").split("\n")
    ]
