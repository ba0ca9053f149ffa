"""What a container listens on. No manifest says it, so it is found in this order:

1. the Pod's annotation ``k8snet.io/listen``: comma-separated ``8080``, ``127.0.0.1:8080``, ``8080/UDP``, ``web=8080``
   (container web) or ``none``;
2. the table of known images (``images.yaml``), whatever containerPort says;
3. the declared containerPorts.

For a Pod of a loaded dump with neither of the first two nobody knows, and None is answered.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from k8snet.controlplane import table
from k8snet.controlplane.metadata import annotations_of, containers_of
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


# What an image reference carries besides the name by which ``images.yaml`` knows it.
_NO_NAME = re.compile(r"^(docker\.io/)?(library/)?|@.*|:[^/]*$")


@cache
def image_facts(image: str) -> dict[str, str]:
    """The row of ``images.yaml`` for an image reference (tag, digest and Docker Hub's prefixes left out), or ``{}``."""
    return dict(table("images").get(_NO_NAME.sub("", image), {}))


def paths_of(obj: Object, image: str) -> list[str]:
    """The paths that a Pod's plain web server has: those of the annotation ``k8snet.io/paths``, else what its image is
    known to have. Empty: every path is there."""
    known: str = annotations_of(obj).get(PATHS, image_facts(image).get("paths", ""))
    return known.replace(",", " ").split()


_ENTRY = re.compile(
    r"^(?:(?P<container>[a-z0-9-]+)=)?(?:(?P<address>\[[0-9a-f:]+\]|[0-9.]+):)?(?P<port>\d+)(?:/(?P<protocol>TCP|UDP|SCTP))?$"
)


@cache
def parse(text: str, default_container: str) -> tuple[Listener, ...]:
    """The listeners that an annotation names; entries that are none are left out."""
    result = []
    for m in filter(None, map(_ENTRY.match, text.replace(" ", "").split(","))):
        address, port = (m["address"] or "").strip("[]"), int(m["port"])
        if 1 <= port <= 65535:
            bound = "" if address in ("0.0.0.0", "::") else address
            result.append(Listener(bound, port, m["protocol"] or "TCP", m["container"] or default_container))
    return tuple(result)


def wanted(obj: Object, loaded: bool) -> Sequence[Listener] | None:
    """What the Pod's containers try to listen on, in container order; None: nobody knows."""
    containers, annotation = containers_of(obj.get("spec") or {}), annotations_of(obj).get(ANNOTATION)
    if annotation is not None:
        return parse(annotation, containers[0].get("name", "") if containers else "")
    result: list[Listener] = []
    for container in containers:
        name, facts = container.get("name", ""), image_facts(container.get("image") or "")
        if facts:
            result += parse(facts["listen"], name)
        elif loaded:
            return None
        else:
            ports = [p for p in container.get("ports") or () if p.get("containerPort")]
            result += [Listener("", p["containerPort"], p.get("protocol") or "TCP", name) for p in ports]
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
