"""Events: what controllers, scheduler and kubelets report about an object, as ``kubectl describe`` shows it.

Equal reports are counted, not repeated, as client-go's recorder does (tools/record/events_cache.go), and are kept for
an hour (the API server's --event-ttl). They are kept beside the store, because nothing in the cluster depends on them.
"""

from __future__ import annotations

import random

from k8snet.controlplane.store import Store, seconds_of
from k8snet.manifests.kinds import Object, ref

KEPT_SECONDS = 3600


class Events:
    """All events of a cluster."""

    def __init__(self, store: Store, known: Events | None = None) -> None:
        self._store = store
        self._events: dict[str, Object] = dict(known._events) if known else {}

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
        r, uid, now = ref(obj), obj["metadata"].get("uid", ""), self._store.timestamp()
        involved = {
            "apiVersion": obj["apiVersion"],
            "kind": r.kind,
            "name": r.name,
            "namespace": r.namespace,
            "uid": uid,
        }
        involved = {k: v for k, v in {**involved, "fieldPath": field}.items() if v}
        what = {"involvedObject": involved, "type": kind, "reason": reason, "message": message}
        what["source"] = {"component": source, **({"host": host} if host else {})}
        key = str(what)
        known = self._events.get(key)
        if known is None:
            name = f"{r.name}.{random.Random(key).getrandbits(64):016x}"
            meta = {"name": name, "namespace": r.namespace or "default", "creationTimestamp": now}
            known = {"apiVersion": "v1", "kind": "Event", "metadata": meta, **what, "count": 0, "firstTimestamp": now}
        self._events[key] = {**known, "count": known["count"] + 1, "lastTimestamp": now}

    def all(self) -> list[Object]:
        """Events of the last hour, in the order in which they first came."""
        since = self._store.now - KEPT_SECONDS
        return [e for e in self._events.values() if seconds_of(e["lastTimestamp"]) >= since]

    def about(self, obj: Object) -> list[Object]:
        """Events of the last hour about one object (not about an earlier one of its name)."""
        r, uid = ref(obj), obj["metadata"].get("uid", "")
        wanted = {"kind": r.kind, "namespace": r.namespace, "name": r.name, "uid": uid}
        return [e for e in self.all() if all(e["involvedObject"].get(k, "") == v for k, v in wanted.items())]
