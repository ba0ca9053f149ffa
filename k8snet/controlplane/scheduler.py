"""The scheduler: which node a Pod goes to, or why none will do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane


def schedule(plane: ControlPlane) -> None:
    """Bind Pods to nodes."""
    store = plane.store
    for key in plane.due(
        "scheduler",
        {
            "Pod": lambda o: (
                [] if o["spec"].get("nodeName") else [("Pod", o["metadata"]["namespace"], o["metadata"]["name"])]
            )
        },
    ):
        pod = store.at(key)
        if pod is None or pod["spec"].get("nodeName"):
            continue
        nodes = sorted(
            store.all("Node"), key=lambda n: (len(store.by("node", n["metadata"]["name"])), n["metadata"]["name"])
        )
        if nodes:
            store.put({**pod, "spec": {**pod["spec"], "nodeName": nodes[0]["metadata"]["name"]}})
