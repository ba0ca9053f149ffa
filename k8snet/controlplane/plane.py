"""The control plane as a whole: settings, store, API server, and controllers that run until nothing changes.

Each controller is a function of the plane. As the real ones do, it asks for its work queue (`ControlPlane.due`): the
objects that changed since it asked last, or whose time has come, and brings each of them one step nearer to what was
wished for. Nothing depends on the order of the queue. Time is simulated: `advance` goes from one appointment
(`ControlPlane.wake`) to the next.
"""

from __future__ import annotations

import copy
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
        plane._baseline = plane.store.version
        return plane

    def _begin(self, settings: Settings) -> None:
        self._settings = settings
        self.store = Store(settings.seed)
        self.events = Events(self.store)
        self.api = Api(self)
        # Up to which version each controller has read, where one begins that has not, and the appointments of all.
        self._places: dict[str, int] = {}
        self._baseline = 0
        self._appointments: set[tuple[float, str, Key]] = set()
        # What controllers and kubelets remember of an object (by uid); the variables that a Pod's containers run with, and
        # those that new ones in a namespace are given, with the version of the Services that they tell of.
        self.memory: dict[str, dict[Any, Any]] = {}
        self.environments: dict[str, dict[str, str]] = {}
        self.variables: dict[tuple[str, bool], tuple[int, dict[str, str]]] = {}
        self._snapshot: Snapshot | None = None
        self._snapshot_of: tuple[int, Settings] | None = None

    def copy(self) -> ControlPlane:
        """An independent copy: same objects, clock and random choices to come."""
        twin = copy.copy(self)
        twin.store = self.store.copy()
        twin.events, twin.api = Events(twin.store, self.events), Api(twin)
        twin._places, twin._appointments = dict(self._places), set(self._appointments)
        twin.memory = {uid: dict(slots) for uid, slots in self.memory.items()}
        twin.environments, twin.variables = dict(self.environments), dict(self.variables)
        return twin

    @property
    def settings(self) -> Settings:
        """The knobs. Setting them makes every controller look at everything again (at the next `settle`)."""
        return self._settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        if settings != self._settings:
            self.snapshot()  # what nodes know by now, should the new settings keep them from learning more
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
        while (soonest := min(self._appointments, default=(end + 1,))[0]) <= end:
            self.store.now = max(self.store.now, soonest)
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
        """The version of the store up to which *controller* has read; the next call answers today's."""
        place = self._places.get(controller, self._baseline)
        self._places[controller] = self.store.version
        return place

    def due(self, controller: str, watches: Watches) -> list[Key]:
        """The work queue of *controller*: the keys that *watches* finds, by kind, for each object that changed since
        it asked last (for what it was and for what it is), and those whose appointment has come."""
        since, keys = self.unread(controller), set[Key]()
        if since == self.store.version and not self._appointments:
            return []
        for kind, find in watches.items():
            for event in self.store.watch(kind, since):
                keys.update(find(event.obj))
                if event.old is not None:
                    keys.update(find(event.old))
        if self._appointments:
            come = {a for a in self._appointments if a[0] <= self.store.now and a[1] == controller}
            self._appointments -= come
            keys.update(key for _, _, key in come)
        return sorted(keys)

    def wake(self, controller: str, key: Key, after: float) -> None:
        """Make an appointment: *key* is in the work queue again *after* seconds from now."""
        self._appointments.add((self.store.now + after, controller, key))


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
