"""``kubectl describe`` (thin)."""

from __future__ import annotations

from typing import Any

from k8snet.manifests import dump
from k8snet.manifests.kinds import Object
from k8snet.shell.call import Call


def describe(plane: Any, obj: Object, events: bool = True) -> str:
    """The description of an object."""
    return dump.to_yaml(obj)


def containers_for(call: Call, pod: Object, name: str, everyone: bool) -> list[str]:
    """The containers meant."""
    return [name or c["name"] for c in pod["spec"]["containers"][: None if everyone else 1]]


def log_lines(pod: Object, container: str, previous: bool) -> list[str]:
    """What a container logged."""
    return []
