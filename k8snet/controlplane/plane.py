"""The control plane as a whole: settings, store, API server, and controllers that run until nothing changes.

Each controller is a function of the plane. As the real ones do, it asks for its work queue (`ControlPlane.due`): the
objects that changed since it asked last, or whose time has come, and brings each of them one step nearer to what was
wished for. Nothing depends on the order of the queue. Time is simulated: `advance` goes from one appointment
(`ControlPlane.wake`) to the next.
"""

from __future__ import annotations

import copy
import heapq
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from k8snet.controlplane import (
    deployments,
    endpoints,
    fresh,
    gateway_controller,
    ingress_controller,
    kubelet,
    lifecycle,
    load_balancers,
    nodes,
    old_endpoints,
    scheduler,
    sets,
)
from k8snet.controlplane.api import Api
from k8snet.controlplane.events import Events
from k8snet.controlplane.settings import Settings
from k8snet.controlplane.snapshot import Snapshot
from k8snet.controlplane.store import Key, Store
from k8snet.manifests.kinds import Object

Watches = Mapping[str, Callable[[Object], Iterable[Key]]]


class ControlPlane:
    """A cluster's control plane: *nodes* worker nodes and the objects of a fresh cluster, settled."""

    def __init__(self, settings: Settings | None = None, nodes: int = 3) -> None:
        self._begin(settings or Settings())
        fresh.fill(self, nodes)
        self.settle()

    @classmethod
    def loaded(cls, objects: Iterable[Object], settings: Settings) -> ControlPlane:
        """A control plane that holds a dump of a real cluster as it stands. Controllers leave alone what was loaded and
        act on what is written afterwards."""
        plane = cls.__new__(cls)
        plane._begin(settings)
        for obj in objects:
            plane.store.load(obj)
        plane._baseline = len(plane.store.log)
        return plane

    def _begin(self, settings: Settings) -> None:
        self._settings = settings
        self.store = Store(settings.seed)
        self.events = Events(self.store)
        self.api = Api(self)
        # Each controller's place in the store's log, where one begins that has none, and the appointments of all.
        self._places: dict[str, int] = {}
        self._baseline = 0
        self._appointments: list[tuple[float, str, Key]] = []
        # What the kubelets remember: the Service variables of running containers, and how probes went, by Pod.
        self.environments: dict[str, dict[str, str]] = {}
        self._memory: dict[str, dict[tuple[object, ...], Any]] = {}
        self._snapshot: Snapshot | None = None
        self._snapshot_of: tuple[int, Settings] | None = None

    def copy(self) -> ControlPlane:
        """An independent copy: same objects, clock and random choices to come."""
        twin = copy.copy(self)
        twin.store = self.store.copy()
        twin.events = self.events.copy(twin.store)
        twin.api = Api(twin)
        twin._places = dict(self._places)
        twin._appointments = list(self._appointments)
        twin.environments = dict(self.environments)
        twin._memory = {key: dict(slots) for key, slots in self._memory.items()}
        return twin

    @property
    def settings(self) -> Settings:
        """The knobs. Setting them makes every controller look at everything again (at the next `settle`)."""
        return self._settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        if settings != self._settings:
            self._settings = settings
            self._places.clear()

    def configure(self, **knobs: Any) -> None:
        """Turn knobs (fields of `Settings`) and settle. Raises TypeError for a name that is none."""
        self.settings = replace(self._settings, **knobs)
        self.settle()

    @property
    def now(self) -> float:
        """Simulated seconds since the cluster's start."""
        return self.store.now

    @property
    def rng(self) -> random.Random:
        """The one generator of random choices."""
        return self.store.rng

    def settle(self) -> None:
        """Run the controllers until nothing changes any more."""
        version = -1
        while version != self.store.version:
            version = self.store.version
            for controller in CONTROLLERS:
                controller(self)

    def advance(self, seconds: float) -> None:
        """Let simulated time pass, stopping wherever a controller has an appointment."""
        end = self.store.now + seconds
        self.settle()
        while self._appointments and self._appointments[0][0] <= end:
            self.store.now = max(self.store.now, self._appointments[0][0])
            self.settle()
        self.store.now = end
        self.settle()

    def snapshot(self) -> Snapshot:
        """The typed, frozen view of all objects, read anew only where the store has changed."""
        state = (self.store.version, self._settings)
        if self._snapshot is None or state != self._snapshot_of:
            self._snapshot = Snapshot(self.store, self._settings, self._snapshot, dict(self.environments))
            self._snapshot_of = state
        return self._snapshot

    # for controllers

    def unread(self, controller: str) -> int:
        """Where in the store's log *controller* has to go on reading; the next call answers the end of today's log."""
        place = self._places.get(controller, self._baseline)
        self._places[controller] = len(self.store.log)
        return place

    def due(self, controller: str, watches: Watches) -> list[Key]:
        """The work queue of *controller*: the keys that *watches* finds, by kind, for each object that changed since
        it asked last (for what it was and for what it is), and those whose appointment has come."""
        keys: set[Key] = set()
        for event in self.store.log[self.unread(controller) :]:
            find = watches.get(event.obj["kind"])
            if find is not None:
                keys.update(find(event.obj))
                if event.old is not None and event.old is not event.obj:
                    keys.update(find(event.old))
        if self._appointments and self._appointments[0][0] <= self.store.now:
            mine = [a for a in self._appointments if a[1] == controller and a[0] <= self.store.now]
            if mine:
                keys.update(key for _, _, key in mine)
                self._appointments = [a for a in self._appointments if a not in mine]
                heapq.heapify(self._appointments)
        return sorted(keys)

    def wake(self, controller: str, key: Key, after: float) -> None:
        """Make an appointment: *key* is in the work queue again *after* seconds from now."""
        appointment = (self.store.now + after, controller, key)
        if appointment not in self._appointments:
            heapq.heappush(self._appointments, appointment)

    # for kubelets

    def report(self, pod: Object, reason: str, message: str, container: str = "", *, kind: str = "Normal") -> None:
        """Record an event of a Pod's kubelet, about the Pod or one of its containers."""
        field = f"spec.containers{{{container}}}" if container else ""
        host = pod["spec"].get("nodeName") or ""
        self.events.record(pod, reason, message, "kubelet", kind=kind, host=host, field=field)

    def remembered(self, pod: Object, slot: tuple[object, ...]) -> Any:
        """What was last remembered of a Pod in *slot*, or None."""
        return self._memory.get(pod["metadata"]["uid"], {}).get(slot)

    def remember(self, pod: Object, slot: tuple[object, ...], value: Any) -> None:
        """Remember something of a Pod; `forget` ends it."""
        self._memory.setdefault(pod["metadata"]["uid"], {})[slot] = value

    def first_time(self, pod: Object, slot: tuple[object, ...]) -> bool:
        """Whether this was not asked before of a Pod."""
        known = self.remembered(pod, slot)
        self.remember(pod, slot, True)
        return known is None

    def forget(self, pod: Object) -> None:
        """A Pod is gone, and what was remembered of it."""
        meta = pod["metadata"]
        self._memory.pop(meta["uid"], None)
        self.environments.pop(f"{meta['namespace']}/{meta['name']}", None)


# Run in this order, again and again, until a whole round writes nothing. What one returns is not looked at.
CONTROLLERS: tuple[Callable[[ControlPlane], object], ...] = (
    nodes.register,
    lifecycle.end_namespaces,
    lifecycle.collect_garbage,
    deployments.deployments,
    deployments.replica_sets,
    sets.stateful_sets,
    sets.daemon_sets,
    scheduler.schedule,
    kubelet.run_pods,
    load_balancers.balance,
    endpoints.publish,
    old_endpoints.write,
    old_endpoints.mirror,
    ingress_controller.run,
    gateway_controller.run,
)
