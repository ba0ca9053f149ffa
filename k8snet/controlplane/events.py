"""Events: what controllers, scheduler and kubelets report about an object, as ``kubectl describe`` shows it.

Equal reports are counted, not repeated, as client-go's recorder does (tools/record/events_cache.go), and are kept for
an hour (the API server's --event-ttl). They are kept beside the store, because nothing in the cluster depends on them.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from k8snet.controlplane.store import Store, timestamp
from k8snet.manifests.kinds import Object, ref

KEPT_SECONDS = 3600


class _Report(NamedTuple):
    """What was reported, about which object; equal reports are one event."""

    kind: str
    namespace: str
    name: str
    uid: str
    version: str
    field: str
    type: str
    reason: str
    message: str
    source: str
    host: str


class Events:
    """All events of a cluster."""

    def __init__(self, store: Store, known: Events | None = None) -> None:
        self._store = store
        # Each report with the times at which it came first and last, and how often it came.
        self._reports: dict[_Report, tuple[float, float, int]] = dict(known._reports) if known else {}

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
        r, uid, now = ref(obj), obj["metadata"].get("uid", ""), self._store.now
        report = _Report(
            r.kind, r.namespace, r.name, uid, obj["apiVersion"], field, kind, reason, message, source, host
        )
        first, _, count = self._reports.get(report, (now, now, 0))
        self._reports[report] = first, now, count + 1

    def all(self) -> list[Object]:
        """Events of the last hour, in the order in which they first came."""
        since = self._store.now - KEPT_SECONDS
        return [_event(report, *times) for report, times in self._reports.items() if int(times[1]) >= since]

    def about(self, obj: Object) -> list[Object]:
        """Events of the last hour about one object (not about an earlier one of its name)."""
        r, uid = ref(obj), obj["metadata"].get("uid", "")
        wanted = {"kind": r.kind, "namespace": r.namespace, "name": r.name, "uid": uid}
        return [e for e in self.all() if all(e["involvedObject"].get(k, "") == v for k, v in wanted.items())]


def _event(report: _Report, first: float, last: float, count: int) -> Object:
    """A report as the API shows it."""
    involved = {
        "apiVersion": report.version,
        "kind": report.kind,
        "name": report.name,
        "namespace": report.namespace,
        "uid": report.uid,
        "fieldPath": report.field,
    }
    involved = {k: v for k, v in involved.items() if v}
    what = {"involvedObject": involved, "type": report.type, "reason": report.reason, "message": report.message}
    what["source"] = {"component": report.source, **({"host": report.host} if report.host else {})}
    name = f"{report.name}.{random.Random(str(what)).getrandbits(64):016x}"
    meta = {"name": name, "namespace": report.namespace or "default", "creationTimestamp": timestamp(first)}
    times = {"firstTimestamp": timestamp(first), "count": count, "lastTimestamp": timestamp(last)}
    return {"apiVersion": "v1", "kind": "Event", "metadata": meta, **what, **times}
