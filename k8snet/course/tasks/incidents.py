"""The incident room: a world that works, one fault of those in ``faults.yaml``, and a ticket that tells only the symptom.

The tasks of 09-incidents draw from faults that look alike. `room` goes on where they end: incident after incident, kinds
mixed, none named; ``show("room-1")``, ``%%probes room-1``, ``%%answer room-1`` and ``check("room-1")`` work as for a task.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from string import Template
from typing import Any

from k8snet.cluster import Cluster
from k8snet.course.draw import APPS, COURSE, PORTS, SERVICE_PORTS, TEAMS, generator, numbered, several
from k8snet.course.expect import Connects, Expectation, Fetches, Goal, caller
from k8snet.course.task import Scenario, Task
from k8snet.manifests.tables import table

ROLES = ("frontend", "batch", "reporter", "gateway", "monitor", "importer")
WORDS = ("api", "blog", "docs", "news", "help", "jobs", "maps", "files")
WEB, METADATA, EDGE = "203.0.113.200", "169.254.169.254", "203.0.113.1"


def faults() -> Mapping[str, Any]:
    """``worlds``, ``faults`` and ``groups`` of faults.yaml."""
    found: Mapping[str, Any] = table("faults", __package__)
    return found


@dataclass(frozen=True)
class Only:
    """Every one of some connections is answered by a Pod whose name begins with ``server``."""

    client: str
    target: str
    port: int
    server: str
    name: str

    def goals(self, cluster: Cluster) -> Iterator[Goal]:
        """One goal."""
        who = caller(cluster, self.client)
        wrong = next((t for t in (who.connect(self.target, self.port) for _ in range(10))
                      if not t or not t.outcome.server.startswith(self.server)), None)  # fmt: skip
        why = " ".join(f"{wrong.outcome}. {wrong.deciding}".split()) if wrong else ""
        yield Goal(self.name, float(wrong is None), why, wrong)


def names(rng: random.Random) -> dict[str, Any]:
    """A draw of everything that a world may name."""
    (app, other), (client, helper) = several(rng, APPS, 2), several(rng, ROLES, 2)
    port, wrong, metrics = rng.sample(PORTS, 3)
    team, home = numbered(rng, TEAMS[:5]), numbered(rng, TEAMS[5:])
    ip, word = f"10.{rng.randint(97, 110)}.{rng.randint(1, 250)}.{rng.randint(1, 250)}", rng.choice(WORDS)
    found: dict[str, Any] = {"app": app, "other": other, "client": client, "helper": helper, "word": word}
    found |= {"team": team, "home": home, "port": port, "wrong": wrong, "metrics": metrics, "vip": ip}
    found["front"] = rng.choice(SERVICE_PORTS)
    found |= dict(zip(("near", "far", "node"), several(rng, ("node-1", "node-2", "node-3"), 3), strict=True))
    return {**found, "low": port - 9, "below": port - 1, "name": f"{word}.{team}.example"}


def fill(text: str, values: Mapping[str, Any]) -> str:
    """A template of faults.yaml with its names put in."""
    return Template(text).substitute(values)


def broken(rng: random.Random, *ids: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A world with these faults: the values, slots among them, and the fields of its scenario."""
    chosen = [faults()["faults"][key] for key in ids]
    world, values = faults()["worlds"][chosen[0]["world"]], names(rng)
    values |= {"fault": ids[0], "host": values["name"]}
    slots, knobs = dict(world["slots"]), {"nodes": 3, **world.get("knobs", {})}
    for fault in chosen:
        slots |= fault.get("slots", {})
        knobs |= fault.get("knobs", {})
    if "withdrawn_routes" in knobs:
        knobs["withdrawn_routes"] = frozenset({values["node"]})
    filled = {key: fill(str(slot), values) for key, slot in slots.items()}
    client, target, port = (fill(part, {**values, **filled}) for part in world["call"])
    more = {"meant": fill(world["meant"], values).strip(), "caller": client, "target": target, "called": int(port)}
    texts = {key: fill(world[key], {**values, **filled}) for key in ("manifests", "given")}
    return {**values, **more}, {**texts, "knobs": knobs}


def expected(world: str, v: Mapping[str, Any]) -> tuple[Expectation, ...]:
    """What must hold in a world that is mended."""
    app, team, client, port = v["app"], v["team"], v["caller"], v["called"]
    answered = f"{client} is answered by {app}, every time"
    if world == "member":
        return (Fetches(client, f"-sS -m 3 http://{v['target']}:{port}", server=f"{app}-0", name=answered),)
    if world in ("door", "gate"):
        way = f"-sS --resolve {v['host']}:{port}:{EDGE} {v['target']}"
        site = Fetches(client, way, server=app, name=f"{v['target']} is answered by {app}")
        closed = Connects(
            v["client"], f"service/{team}/{app}", v["front"], "timed out", name=f"no other Pod reaches {app}"
        )
        return (site, closed) if world == "door" else (site,)
    service = f"service/{team}/{app}"
    return (
        Only(client, v["target"], port, f"{team}/{app}", answered),
        Connects(f"{v['home']}-2/{v['client']}-2", service, v["front"], name=f"{v['home']}-2/{v['client']}-2 is answered, too"),
        *(Connects(pod, service, v["front"], "timed out", name=f"{pod} is not answered by {app}")
          for pod in (f"{v['home']}/{v['helper']}", f"{team}/{v['other']}")),
        Connects(client, f"pod/{team}/{v['other']}", v["port"], "timed out", name=f"{client} reaches no other Pod"),
        Connects(client, METADATA, 80, "timed out", name=f"{client} reaches no node's metadata"),
        Connects(client, WEB, 80, name=f"{client} reaches hosts outside"),
    )  # fmt: skip


def incident(rng: random.Random, group: str) -> Scenario:
    """One incident of a group: a hunt, or for what no manifest mends a question for its cause."""
    row = faults()["groups"][group]
    key = rng.choice(row["faults"])
    fault = faults()["faults"][key]
    values, fields = broken(rng, key)
    values["ticket"] = f'"{fill(row["ticket"], values)}"\n\n{values["meant"]}'
    if group == "network":
        return Scenario(values, **fields, questions={"cause": cause, "node": where})
    bound = {"most": row["probes"], "edits": fault.get("edits", 1), "wait": 5}
    return Scenario(values, **fields, expect=expected(fault["world"], values), **bound)


def cause(cluster: Cluster) -> str:
    """Which knob of the wiring is not as it should be, in the word that a learner answers."""
    knobs = cluster.plane.settings
    if knobs.withdrawn_routes:
        return "route"
    return "mtu" if knobs.pod_mtu else "tunnel" if not knobs.overlay_port_open else "hairpin"


def where(cluster: Cluster) -> str:
    """The one node that is concerned, or all."""
    return next(iter(cluster.plane.settings.withdrawn_routes), "all")


def t09_refused(rng: random.Random) -> Scenario:
    return incident(rng, "refused")


def t09_silent(rng: random.Random) -> Scenario:
    return incident(rng, "silent")


def t09_names(rng: random.Random) -> Scenario:
    return incident(rng, "names")


def t09_open(rng: random.Random) -> Scenario:
    return incident(rng, "open")


def t09_edge(rng: random.Random) -> Scenario:
    return incident(rng, "edge")


def t09_network(rng: random.Random) -> Scenario:
    return incident(rng, "network")


def _asked(rng: random.Random, *ids: str) -> tuple[dict[str, Any], dict[str, Any]]:
    values, fields = broken(rng, rng.choice(ids))
    service = f"service/{values['team']}/{values['app']}"
    return values, {**fields, "request": (values["caller"], service, values["front"]), "wait": 5}


def t09_drop(rng: random.Random) -> Scenario:
    values, fields = _asked(rng, "F01", "F02", "F03", "F07", "F11", "F20", "F24", "F25", "F27", "F32")
    return Scenario(values, **fields)


def t09_explain(rng: random.Random) -> Scenario:
    values, fields = _asked(rng, "F01", "F07", "F20", "F21b", "F24", "F27", "F32")
    app, team, client = values["app"], values["team"], values["client"]
    service, inner = f"service/{team}/{app}", f"networkpolicy/{team}/{app}-in spec.podSelector"
    outer = f"networkpolicy/{values['home']}/{client}-out spec.podSelector"
    options = [
        f"{service} spec.ports[0] — no Pod stands behind this port of the Service",
        f"{service} spec.internalTrafficPolicy — the Service stays on {client}'s node, where it has no Pod",
        f"{outer} — {client} is isolated, and none of the rules lets the call out",
        f"{inner} — {app} is isolated, and none of the rules lets the call in",
        f"pod/{team}/{app} — everything lets the call through, and the Pod does not listen for it",
    ]
    rng.shuffle(options)
    lines = "\n".join(f"{n}. {option}" for n, option in enumerate(options, 1))
    return Scenario({**values, "options": lines}, **fields, options=tuple(options))


def t09_repair_two(rng: random.Random) -> Scenario:
    ids = rng.choice(("F01", "F03", "F11", "F32")), rng.choice(("F21", "F21b", "F24", "F54"))
    values, fields = broken(rng, *ids)
    return Scenario(values, **fields, expect=expected("call", values), most=2)


def in_room(task_id: str) -> bool:
    """Whether an id is one of the room's."""
    return re.fullmatch(r"room-\d{1,9}", task_id) is not None


def room(task_id: str) -> Task:
    """Incident ``room-N``, as a task. Each six of them come from the six groups, in an order of their own."""
    number, groups = int(task_id.removeprefix("room-")), sorted(faults()["groups"])
    generator(COURSE, "room", str(number // len(groups))).shuffle(groups)
    group = groups[number % len(groups)]
    row = faults()["room"]["name" if group == "network" else "mend"]
    return Task(task_id, "09-incidents", row["kind"], f"Incident {number}", (), 1, row["text"], tuple(row["hints"]),
                partial(incident, group=group))  # fmt: skip
