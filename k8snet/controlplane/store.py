"""The store: every object of the cluster by kind, namespace and name, with the history of its changes and the clock.

The real thing is etcd behind the API server: each write gets the next resourceVersion, and a watch is the list of
writes. The clock is simulated; it starts at 2026-01-01T00:00:00Z and moves only when told.

Stored dicts are never changed in place. Who wants a change builds a new dict (parts may be shared) and puts it; so
copies are cheap, and views of an object stay good as long as the very same dict is stored.
"""

from __future__ import annotations

import random
import uuid
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from k8snet.manifests.kinds import KINDS, Object

Key = tuple[str, str, str]
"""Kind, namespace (empty for cluster-wide kinds), name."""

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)

# Kinds whose metadata.generation is not kept by the API server.
WITHOUT_GENERATION = frozenset(("ConfigMap", "Secret", "Namespace", "Node", "Service", "Endpoints", "Event"))


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One write: ``type`` is ADDED, MODIFIED or DELETED; ``old`` is what stood there before (None if nothing did)."""

    type: str
    obj: Object
    version: int
    old: Object | None = None


def key_of(obj: Object) -> Key:
    """Where an object is stored. A namespaced object without a namespace is in ``default``."""
    known, meta = KINDS.get(obj["kind"]), obj["metadata"]
    namespaced = known is None or known.namespaced
    return obj["kind"], (meta.get("namespace") or "default") if namespaced else "", meta["name"]


@lru_cache(maxsize=4096)
def timestamp(seconds: float) -> str:
    """Seconds since the cluster's start as objects write a time: whole seconds."""
    return (EPOCH + timedelta(seconds=int(seconds))).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(maxsize=4096)
def seconds_of(timestamp: str) -> float:
    """A timestamp of an object as seconds since the cluster's start (0 for text that is none)."""
    try:
        return (datetime.fromisoformat(timestamp.replace("Z", "+00:00")) - EPOCH).total_seconds()
    except ValueError:
        return 0.0


def _entries(obj: Object | None) -> list[tuple[str, str]]:
    """What an object can be found by besides its key (see `Store.by`)."""
    if obj is None:
        return []
    meta, kind = obj["metadata"], obj["kind"]
    found = [("owner", o.get("uid", "")) for o in meta.get("ownerReferences") or ()]
    if kind == "Service" and (selector := obj["spec"].get("selector")):
        found.append(("selector", pair(meta.get("namespace"), min(selector.items()))))
    if kind == "Pod":
        found = found or [("owner", "")]
        found += [("label", pair(meta.get("namespace"), label)) for label in (meta.get("labels") or {}).items()]
        if node := obj["spec"].get("nodeName"):
            found.append(("node", node))
    return found


def pair(namespace: str | None, label: tuple[str, str]) -> str:
    """A label in a namespace, as the indexes ``label`` and ``selector`` have it."""
    return f"{namespace or 'default'}/{label[0]}={label[1]}"


class Store:
    """All objects, the generator of random choices, and the clock (``now``: seconds since the start)."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = random.Random(seed)
        self.now = 0.0
        self.version = 0
        self._log: dict[str, list[WatchEvent]] = {}
        self._objects: dict[str, dict[Key, Object]] = {}
        self._index: dict[tuple[str, str], dict[Key, None]] = {}

    def copy(self) -> Store:
        """An independent store with the same objects, history, clock and random choices to come."""
        twin = Store()
        twin.rng.setstate(self.rng.getstate())
        twin.now, twin.version = self.now, self.version
        twin._log = {kind: list(events) for kind, events in self._log.items()}
        twin._objects = {kind: dict(objects) for kind, objects in self._objects.items()}
        twin._index = {entry: dict(keys) for entry, keys in self._index.items()}
        return twin

    def timestamp(self, after: float = 0.0) -> str:
        """The simulated time, *after* seconds from now, as objects write it (whole seconds)."""
        return timestamp(self.now + after)

    # reading

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """The stored object, or None."""
        return self.at((kind, namespace, name))

    def at(self, key: Key) -> Object | None:
        """The stored object, or None."""
        return self._objects.get(key[0], {}).get(key)

    def all(self, kind: str, namespace: str | None = None) -> list[Object]:
        """All objects of a kind, oldest first; with *namespace* those of one namespace."""
        objects = self._objects.get(kind, {})
        return list(objects.values()) if namespace is None else [o for k, o in objects.items() if k[1] == namespace]

    def by(self, index: str, value: str) -> list[Object]:
        """What is found by an index: ``node``, the Pods on a node; ``owner``, all that a uid owns (``""``: Pods that nobody
        owns); ``label``, the Pods that carry a `pair`; ``selector``, the Services whose selector's first is that pair."""
        return [self._objects[key[0]][key] for key in self._index.get((index, value), ())]

    def __iter__(self) -> Iterator[Object]:
        for objects in self._objects.values():
            yield from objects.values()

    def changed(self, kind: str) -> int:
        """The version of the last write of a kind; 0 if there was none."""
        return self._log[kind][-1].version if kind in self._log else 0

    def watch(self, kind: str, since: int = 0) -> Sequence[WatchEvent]:
        """All writes of a kind after version *since*, in order."""
        events = self._log.get(kind, ())
        if not events or events[-1].version <= since:
            return ()
        return events[bisect_right(events, since, key=lambda event: event.version) :]

    def deleted(self, since: int) -> list[Object]:
        """What was removed after version *since*, of all kinds, in order."""
        events = [event for kind in self._log for event in self.watch(kind, since) if event.type == "DELETED"]
        return [event.obj for event in sorted(events, key=lambda event: event.version)]

    # writing

    def put(self, obj: Object) -> Object:
        """Store *obj* (new or changed) and answer what is stored: the same with uid, creationTimestamp, generation and
        resourceVersion. An object that is equal to what stands there already is not written again."""
        key = key_of(obj)
        old = self.at(key)
        meta = {**obj["metadata"], **({"namespace": key[1]} if key[1] else {})}
        if old is None:
            meta.setdefault("uid", self._uid())
            meta.setdefault("creationTimestamp", self.timestamp())
            generation = 1
        else:
            before = old["metadata"]
            meta |= {k: before[k] for k in ("uid", "creationTimestamp", "resourceVersion") if k in before}
            ends = meta.get("deletionTimestamp") != before.get("deletionTimestamp")
            generation = before.get("generation", 1) + (ends or obj.get("spec") != old.get("spec"))
        if key[0] not in WITHOUT_GENERATION:
            meta["generation"] = generation
        stored = {**obj, "metadata": meta}
        if stored == old:
            return old
        meta["resourceVersion"] = str(self.version + 1)
        self._write(key, stored)
        return stored

    def load(self, obj: Object) -> None:
        """Store *obj* as it stands, server fields included (a dump of a real cluster); one that was written by hand is
        given a uid and an empty status."""
        if "uid" not in obj["metadata"]:
            obj = {"status": {}, **obj, "metadata": {**obj["metadata"], "uid": self._uid()}}
        self._write(key_of(obj), obj)

    def _uid(self) -> str:
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def remove(self, key: Key) -> None:
        """Forget the object at *key*; nothing happens if there is none."""
        if self.at(key) is not None:
            self._write(key, None)

    def _write(self, key: Key, new: Object | None) -> None:
        objects, old = self._objects.setdefault(key[0], {}), self.at(key)
        before, after = _entries(old), _entries(new)
        for entry in before:
            if entry not in after:
                del self._index[entry][key]
        for entry in after:
            self._index.setdefault(entry, {})[key] = None
        if new is None:
            del objects[key]
        else:
            objects[key] = new
        self.version += 1
        change = "DELETED" if new is None else "MODIFIED" if old else "ADDED"
        self._log.setdefault(key[0], []).append(WatchEvent(change, new or old or {}, self.version, old))
