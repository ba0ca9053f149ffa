"""The store: every object of the cluster by kind, namespace and name, with the history of its changes and the clock.

The real thing is etcd behind the API server: each write gets the next resourceVersion, and a watch is the list of
writes. The clock is simulated; it starts at 2026-01-01T00:00:00Z and moves only when told.

Stored dicts are never changed in place. Who wants a change builds a new dict (parts may be shared) and puts it; so
copies are cheap, and views of an object stay good as long as the very same dict is stored.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
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
def _timestamp(second: int) -> str:
    return (EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(maxsize=4096)
def seconds_of(timestamp: str) -> float:
    """A timestamp of an object as seconds since the cluster's start (0 for text that is none)."""
    try:
        return (datetime.fromisoformat(timestamp.replace("Z", "+00:00")) - EPOCH).total_seconds()
    except ValueError:
        return 0.0


def _owners(obj: Object) -> Iterable[str]:
    references = obj["metadata"].get("ownerReferences") or ()
    return [o.get("uid", "") for o in references] or ([""] if obj["kind"] == "Pod" else [])


def _node(obj: Object) -> Iterable[str]:
    node = (obj.get("spec") or {}).get("nodeName") if obj["kind"] == "Pod" else None
    return (node,) if node else ()


# What objects can be found by, besides their key: index name -> the values under which an object is found. An owner is
# named by its uid; Pods that nobody owns stand under the empty one.
INDEXES: Mapping[str, Callable[[Object], Iterable[str]]] = {"owner": _owners, "node": _node}


class Store:
    """All objects, the generator of random choices, and the clock (``now``: seconds since the start)."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = random.Random(seed)
        self.now = 0.0
        self.version = 0
        self.log: list[WatchEvent] = []
        self._objects: dict[str, dict[Key, Object]] = {}
        self._indexes: dict[tuple[str, str], dict[Key, None]] = {}

    def copy(self) -> Store:
        """An independent store with the same objects, history, clock and random choices to come."""
        twin = Store.__new__(Store)
        twin.rng = random.Random()
        twin.rng.setstate(self.rng.getstate())
        twin.now, twin.version, twin.log = self.now, self.version, list(self.log)
        twin._objects = {kind: dict(objects) for kind, objects in self._objects.items()}
        twin._indexes = {entry: dict(keys) for entry, keys in self._indexes.items()}
        return twin

    def timestamp(self, after: float = 0.0) -> str:
        """The simulated time, *after* seconds from now, as objects write it (whole seconds)."""
        return _timestamp(int(self.now + after))

    # reading

    def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """The stored object, or None."""
        return self._objects.get(kind, {}).get((kind, namespace, name))

    def at(self, key: Key) -> Object | None:
        """The stored object, or None."""
        return self._objects.get(key[0], {}).get(key)

    def all(self, kind: str, namespace: str | None = None) -> list[Object]:
        """All objects of a kind, oldest first; with *namespace* those of one namespace."""
        objects = self._objects.get(kind, {})
        return list(objects.values()) if namespace is None else [o for k, o in objects.items() if k[1] == namespace]

    def by(self, index: str, value: str) -> list[Object]:
        """The objects that an entry of `INDEXES` finds under *value*: ``by("node", "node-1")``, ``by("owner", uid)``."""
        return [self._objects[key[0]][key] for key in self._indexes.get((index, value), ())]

    def __iter__(self) -> Iterator[Object]:
        for objects in self._objects.values():
            yield from objects.values()

    def watch(self, since: int = 0) -> list[WatchEvent]:
        """All writes after version *since*, in order."""
        low, high = 0, len(self.log)
        while low < high:
            middle = (low + high) // 2
            if self.log[middle].version > since:
                high = middle
            else:
                low = middle + 1
        return self.log[low:]

    # writing

    def put(self, obj: Object) -> Object:
        """Store *obj* (new or changed) and answer what is stored: the same with uid, creationTimestamp, generation and
        resourceVersion. An object that is equal to what stands there already is not written again."""
        key = key_of(obj)
        old = self.at(key)
        meta = {**obj["metadata"], "name": key[2]}
        if key[1]:
            meta["namespace"] = key[1]
        if old is None:
            meta.setdefault("uid", str(uuid.UUID(int=self.rng.getrandbits(128), version=4)))
            meta.setdefault("creationTimestamp", self.timestamp())
            generation = 1
        else:
            before = old["metadata"]
            meta["uid"], meta["creationTimestamp"] = before["uid"], before["creationTimestamp"]
            meta["resourceVersion"] = before["resourceVersion"]
            generation = before.get("generation", 1)
            if obj.get("spec") != old.get("spec") or meta.get("deletionTimestamp") != before.get("deletionTimestamp"):
                generation += 1
        if key[0] not in WITHOUT_GENERATION:
            meta["generation"] = generation
        stored = {**obj, "metadata": meta}
        if stored == old:
            return old
        self.version += 1
        meta["resourceVersion"] = str(self.version)
        self._write(key, old, stored)
        return stored

    def load(self, obj: Object) -> None:
        """Store *obj* as it stands, server fields included (a dump of a real cluster)."""
        key = key_of(obj)
        self.version += 1
        self._write(key, self.at(key), obj)

    def remove(self, key: Key) -> None:
        """Forget the object at *key*; nothing happens if there is none."""
        old = self.at(key)
        if old is not None:
            self.version += 1
            self._write(key, old, None)

    def _write(self, key: Key, old: Object | None, new: Object | None) -> None:
        objects = self._objects.setdefault(key[0], {})
        for index, values in INDEXES.items():
            before = tuple(values(old)) if old is not None else ()
            after = tuple(values(new)) if new is not None else ()
            if before != after:
                for value in before:
                    entry = self._indexes[index, value]
                    del entry[key]
                    if not entry:
                        del self._indexes[index, value]
                for value in after:
                    self._indexes.setdefault((index, value), {})[key] = None
        if new is None:
            del objects[key]
            self.log.append(WatchEvent("DELETED", old or {}, self.version, old))
        else:
            objects[key] = new
            self.log.append(WatchEvent("ADDED" if old is None else "MODIFIED", new, self.version, old))
