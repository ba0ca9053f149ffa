"""What a container listens on. No manifest says it, so it is found in this order:

1. the Pod's annotation ``k8snet.io/listen``: comma-separated ``8080``, ``127.0.0.1:8080``, ``8080/UDP``, ``web=8080``
   (container web) or ``none``;
2. the table of known images (``images.yaml``), whatever containerPort says;
3. the declared containerPorts.

For a Pod of a loaded dump with neither of the first two nobody knows, and None is answered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from k8snet.manifests.kinds import Object

ANNOTATION = "k8snet.io/listen"
PATHS = "k8snet.io/paths"


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that accepts: ``address`` empty for all addresses, else the one it is bound to."""

    address: str
    port: int
    protocol: str
    container: str

    @property
    def loopback(self) -> bool:
        """Whether it can only be reached from inside its Pod."""
        return self.address.startswith("127.") or self.address == "::1"


@cache
def _images() -> dict[str, dict[str, str]]:
    text = resources.files("k8snet.controlplane").joinpath("images.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def image_facts(image: str) -> dict[str, str]:
    """The row of ``images.yaml`` for an image reference (tag, digest and Docker Hub's prefixes left out), or ``{}``."""
    name = image.partition("@")[0]
    head, _, tail = name.rpartition("/")
    name = f"{head}/{tail.partition(':')[0]}" if head else tail.partition(":")[0]
    for prefix in ("docker.io/library/", "docker.io/", "library/"):
        name = name.removeprefix(prefix)
    return _images().get(name, {})


def paths_of(obj: Object, image: str) -> list[str]:
    """The paths that a Pod's plain web server has: those of the annotation ``k8snet.io/paths``, else what its image is
    known to have. Empty: every path is there."""
    known: str = (obj["metadata"].get("annotations") or {}).get(PATHS, image_facts(image).get("paths", ""))
    return known.replace(",", " ").split()


_ENTRY = re.compile(
    r"^(?:(?P<container>[a-z0-9-]+)=)?(?:(?P<address>\[[0-9a-f:]+\]|[0-9.]+):)?(?P<port>\d+)(?:/(?P<protocol>TCP|UDP|SCTP))?$"
)


def parse(text: str, default_container: str) -> list[Listener]:
    """The listeners that an annotation names; entries that are none are left out."""
    result = []
    for entry in text.replace(" ", "").split(","):
        m = _ENTRY.match(entry)
        if m and 1 <= int(m["port"]) <= 65535:
            address = (m["address"] or "").strip("[]")
            result.append(
                Listener(
                    "" if address in ("0.0.0.0", "::") else address,
                    int(m["port"]),
                    m["protocol"] or "TCP",
                    m["container"] or default_container,
                )
            )
    return result


def _declared(container: dict[str, Any]) -> list[Listener]:
    return [
        Listener("", p["containerPort"], p.get("protocol") or "TCP", container.get("name", ""))
        for p in container.get("ports") or ()
        if p.get("containerPort")
    ]


def wanted(obj: Object, loaded: bool) -> list[Listener] | None:
    """What the Pod's containers try to listen on, in container order; None: nobody knows."""
    spec = obj.get("spec") or {}
    sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    containers = [*(spec.get("containers") or ()), *sidecars]
    annotation = (obj["metadata"].get("annotations") or {}).get(ANNOTATION)
    if annotation is not None:
        return parse(annotation, containers[0].get("name", "") if containers else "")
    result: list[Listener] = []
    for container in containers:
        facts = image_facts(container.get("image") or "")
        if facts:
            result += parse(str(facts["listen"]), container.get("name", ""))
        elif loaded:
            return None
        else:
            result += _declared(container)
    return result


def listeners_of(obj: Object, loaded: bool = False) -> tuple[Listener, ...] | None:
    """What listens in a Pod now: what its running containers bound. Of two that want one port the first has it."""
    sockets = wanted(obj, loaded)
    if sockets is None:
        return None
    statuses = (obj.get("status") or {}).get("containerStatuses") or ()
    down = {s["name"] for s in statuses if not (s.get("state") or {}).get("running") and s.get("state")}
    taken: dict[tuple[int, str], Listener] = {}
    for s in sockets:
        if s.container not in down:
            taken.setdefault((s.port, s.protocol), s)
    return tuple(taken.values())
