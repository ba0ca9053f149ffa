"""The draws that only 10-capstone asks; its other tasks repeat those of the course."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from k8snet.cluster import Cluster
from k8snet.course.draw import APPS, PORTS, SERVICE_PORTS, TEAMS, join, numbered, pod, service, several
from k8snet.course.expect import Backends, Connects, Expectation, Fetches
from k8snet.course.task import Scenario
from k8snet.course.tasks.egress_policy import apps, policy
from k8snet.course.tasks.incidents import EDGE, ROLES, WORDS


def _exit_code(client: str, url: str) -> Callable[[Cluster], int]:
    def find(cluster: Cluster) -> int:
        return cluster.pod(client).curl(f"-sS -m 10 {url}").exit_code

    return find


def t10_symptoms(rng: random.Random) -> Scenario:
    (app, ghost, closed, client), team = several(rng, APPS, 4), rng.choice(TEAMS)
    (port, wrong), (front, missing) = rng.sample(PORTS, 2), rng.sample(SERVICE_PORTS, 2)
    manifests = join(
        apps(app, f"{team}/{closed}", client, port=port),
        service(app, {"app": app}, front, port),
        service(f"{app}-admin", {"app": app}, front, wrong),
        service(ghost, {"app": ghost}, front, port),
        service(closed, {"app": closed}, front, port, namespace=team),
        policy(f"{closed}-in", {"app": closed}, team, policyTypes=["Ingress"], ingress=[{"ports": [{"port": front}]}]),
    )
    codes = {
        f"http://{app}:{front}": 0,
        f"http://{app}:{missing}": 28,
        f"http://{app}-admin.default.svc.cluster.local:{front}": 7,
        f"http://{ghost}:{front}": 7,
        f"http://{closed}:{front}": 6,
        f"http://{closed}.{team}:{front}": 28,
        f"http://{app}.{team}.svc:{front}": 6,
    }
    calls = rng.sample(sorted(codes), 6)
    values = {"client": client, "codes": [codes[url] for url in calls]}
    values["calls"] = "\n".join(f"- `call{n}`: {url}" for n, url in enumerate(calls, 1))
    questions = {f"call{n}": _exit_code(client, url) for n, url in enumerate(calls, 1)}
    return Scenario(values, manifests, questions=questions)


def t10_publish(rng: random.Random) -> Scenario:
    (app, other), (role, batch), team = several(rng, APPS, 2), several(rng, ROLES, 2), numbered(rng, TEAMS)
    (port, metrics), front = rng.sample(PORTS, 2), rng.choice(SERVICE_PORTS)
    host = f"{rng.choice(WORDS)}.{team}.example"
    mine = [f"{app}-{n}" for n in (1, 2)]
    manifests = join(
        apps(f"{team}/{other}", f"default/{role}", port=port),
        *(pod(name, {"app": app}, ports={"web": port, "metrics": metrics}, namespace=team) for name in mine),
        pod(f"{role}-1", {"role": role}, namespace=team),
        pod(f"{batch}-1", {"role": batch}, namespace=team),
        pod("stranger", {"role": role}),
    )
    inside, way = f"service/{team}/{app}", partial("-sS -H 'Host: {}' http://{}{}".format)
    shut = (f"{team}/{batch}-1", f"{team}/{other}", "stranger")
    expect: tuple[Expectation, ...] = (
        *(Fetches("outside", way(host, EDGE, path), server=app, name=f"http://{host}{path} is answered by {app}")
          for path in ("/", "/a/b")),
        Fetches("outside", way(f"www.{host}", EDGE, "/"), 404, name="another host gets 404"),
        Backends(f"{team}/{app}", [f"{team}/{name}" for name in mine]),
        Connects(f"{team}/{role}-1", inside, front, name=f"{role}-1 reaches the Service"),
        *(Connects(client, f"pod/{team}/{name}", to, "timed out", name=f"{client} does not reach {name}:{to}")
          for client in shut for name in mine for to in (port, metrics)),
        *(Connects(f"{team}/{role}-1", f"pod/{team}/{name}", metrics, "timed out", name=f"nor {role}-1 {name}:{metrics}")
          for name in mine),
        Connects(f"{team}/{batch}-1", f"pod/{team}/{other}", port, name=f"{other} stays open"),
    )  # fmt: skip
    values = {"app": app, "other": other, "role": role, "batch": batch, "team": team, "port": port, "front": front}
    values |= {"host": host, "metrics": metrics}
    return Scenario(values, manifests, expect, {"dns": False, "ingress_controllers": ("example.com/edge",)})
