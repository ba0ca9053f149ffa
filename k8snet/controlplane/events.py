"""Events: what controllers, scheduler and kubelets report about an object, as ``kubectl describe`` shows it.

Equal reports are counted, not repeated, as client-go's recorder does (tools/record/events_cache.go), and are kept for
an hour (the API server's --event-ttl). They are kept beside the store, because nothing in the cluster depends on them.
"""

from __future__ import annotations

import random

from k8snet.controlplane.store import Store, seconds_of
from k8snet.manifests.kinds import Object, Ref, ref

KEPT_SECONDS = 3600


class Events:
    """All events of a cluster."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._events: dict[tuple[str, ...], Object] = {}

    def copy(self, store: Store) -> Events:
        """The same events, for a copy of the store."""
        twin = Events(store)
        twin._events = dict(self._events)
        return twin

    def record(
        self,
        obj: Object,
        reason: str,
        message: str,
        source: str,
        *,
        kind: str = "Normal",
        host: str = "",
        field: str = "",
    ) -> None:
        """Report about *obj*: *kind* is Normal or Warning, *source* the component, *host* the node that it runs on,
        *field* the part of the object (``spec.containers{web}``)."""
        meta, now = obj["metadata"], self._store.timestamp()
        key = (meta.get("uid", ""), obj["kind"], meta["name"], reason, message, source, host, field)
        known = self._events.get(key)
        if known is not None:
            self._events[key] = {**known, "count": known["count"] + 1, "lastTimestamp": now}
            return
        involved = {
            "apiVersion": obj["apiVersion"],
            "kind": obj["kind"],
            "name": meta["name"],
            "uid": meta.get("uid", ""),
        }
        r = ref(obj)
        if r.namespace:
            involved["namespace"] = r.namespace
        if field:
            involved["fieldPath"] = field
        name = f"{meta['name']}.{random.Random(str(key)).getrandbits(64):016x}"
        self._events[key] = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": r.namespace or "default", "creationTimestamp": now},
            "involvedObject": involved,
            "type": kind,
            "reason": reason,
            "message": message,
            "source": {"component": source, **({"host": host} if host else {})},
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
        }

    def all(self) -> list[Object]:
        """Events of the last hour, in the order in which they first came."""
        since = self._store.now - KEPT_SECONDS
        return [e for e in self._events.values() if seconds_of(e["lastTimestamp"]) >= since]

    def about(self, r: Ref) -> list[Object]:
        """Events of the last hour about one object."""
        wanted = (r.kind, r.namespace, r.name)
        return [
            e
            for e in self.all()
            if (e["involvedObject"]["kind"], e["involvedObject"].get("namespace", ""), e["involvedObject"]["name"])
            == wanted
        ]
