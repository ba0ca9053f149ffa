"""Gateway controllers."""

from __future__ import annotations

from collections.abc import Iterator

from k8snet.controlplane.gateway_status import GROUP, Condition, attachments
from k8snet.controlplane.snapshot import Snapshot
from k8snet.manifests.kinds import Object, ref


def statuses(snapshot: Snapshot) -> Iterator[tuple[Object, str, Object]]:
    """What belongs into the status of each Gateway and HTTPRoute that has a controller: the object, its
    ``namespace/name`` and the status (conditions without times)."""
    known = attachments(snapshot)
    for obj in snapshot.objects("Gateway"):
        gateway = known.gateways.get(ref(obj).key)
        if gateway is None:
            continue
        listeners = [
            {
                "name": li.name,
                "supportedKinds": [{"group": GROUP, "kind": k} for k in li.kinds],
                "attachedRoutes": len(li.attached),
                "conditions": _conditions(li.conditions),
            }
            for li in gateway.listeners
        ]
        yield obj, gateway.ref.key, {"conditions": _conditions(gateway.conditions), "listeners": listeners}
    for obj in snapshot.objects("HTTPRoute"):
        parents = [
            {
                "parentRef": obj["spec"]["parentRefs"][p.index],
                "controllerName": p.controller,
                "conditions": _conditions(p.conditions),
            }
            for p in known.parents[ref(obj).key]
        ]
        yield obj, ref(obj).key, {"parents": parents}


def _conditions(conditions: tuple[Condition, ...]) -> list[Object]:
    return [c.as_object() for c in conditions]
