"""The draws of 02-services: whom a Service finds, and on which ports."""

from __future__ import annotations

import random

from k8snet.cluster import Cluster
from k8snet.course import draw
from k8snet.course.draw import APPS, PORTS, SERVICE_PORTS, TEAMS, join, namespace, pod, service, several
from k8snet.course.expect import Backends, Connects
from k8snet.course.task import Scenario
from k8snet.course.tasks.model import OUTSIDE, QUICK, listening

TIERS = ("web", "api", "worker", "cache", "admin")


def probed(text: str, port: int) -> str:
    """A Pod or Deployment whose container is ready while something listens on *port*."""
    return text.rstrip().removesuffix("}]") + f", readinessProbe: {{tcpSocket: {{port: {port}}}}}}}]\n"


def ready(cluster: Cluster) -> list[dict[str, object]]:
    """The ready endpoints of the only Service that has any, each with the Pod's name and the slice's port."""
    slices = [s for s in cluster.plane.api.list("EndpointSlice", "default") if s.get("ports") and s.get("endpoints")]
    found = [(e, s["ports"][0]["port"]) for s in slices for e in s["endpoints"]]
    return [
        {"pod": e["targetRef"]["name"], "port": p} for e, p in found if e["conditions"]["ready"] and "targetRef" in e
    ]


def t02_predict_backends(rng: random.Random) -> Scenario:
    app, (tier, other), team = rng.choice(APPS), several(rng, TIERS, 2), rng.choice(TEAMS)
    (port, closed), front = rng.sample(PORTS, 2), rng.choice(SERVICE_PORTS)
    target = rng.choice((port, "http", 0))
    both, inner = {"app": app, "tier": tier}, port if target else front
    labels = {"both": both, "more": {**both, "release": "canary"}, "one": {"app": app}, "other": {"app": app, "tier": other},
              "away": both, "unready": both}  # fmt: skip
    kinds = ["both", *rng.sample(sorted(labels), 4)]
    rng.shuffle(kinds)
    names = {f"{app}-{letter}": kind for letter, kind in zip("abcde", kinds, strict=True)}
    pods = [pod(name, labels[kind], ports={"http": inner}, namespace=team if kind == "away" else "")
            for name, kind in names.items()]  # fmt: skip
    pods = [probed(text, closed) if kind == "unready" else text for text, kind in zip(pods, kinds, strict=True)]
    asked = {
        "behind": lambda cluster: {e["pod"] for e in ready(cluster)},
        "arrives": lambda cluster: ready(cluster)[0]["port"],
    }
    values = {"app": app, "names": names, "front": front, "inner": inner, "closed": closed}
    return Scenario(
        values, join(namespace(team), *pods, service(app, both, front, target)), knobs=QUICK, questions=asked
    )


def t02_predict_call(rng: random.Random) -> Scenario:
    app, client = several(rng, APPS, 2)
    (port, closed), (front, missing) = rng.sample(PORTS, 2), rng.sample(SERVICE_PORTS, 2)
    case = rng.choice(("fine", "selector", "target", "unready", "unlisted", "headless", "headless"))
    called = {"unlisted": missing, "headless": rng.choice((front, port))}.get(case, front)
    more = {"clusterIP": "None"} if case == "headless" else {}
    server = pod(app, {"app": app}, port)
    manifests = join(
        probed(server, closed) if case == "unready" else server,
        pod(client),
        service(app, {"app": f"{app}-v2" if case == "selector" else app}, front, closed if case == "target" else port,
                **more),
    )  # fmt: skip
    values = {"app": app, "client": client, "called": called, "port": port, "case": case}
    return Scenario(values, manifests, knobs={} if more else QUICK,
                    request=(client, app if more else f"service/{app}", called))  # fmt: skip


def t02_arrange_service(rng: random.Random) -> Scenario:
    (name, app), team, key = several(rng, APPS, 2), rng.choice(TEAMS), rng.choice(("app", "run", "part"))
    port, front = rng.choice(PORTS), rng.choice(SERVICE_PORTS)
    lines = (
        "- protocol: TCP", "apiVersion: v1", "kind: Service", "metadata:", f"name: {name}", f"namespace: {team}",
        f"port: {front}", "ports:", "selector:", "spec:", f"targetPort: {port}", f"{key}: {app}",
    )  # fmt: skip
    expect = (
        Backends(f"{team}/{name}", [f"{team}/{app}-1"]),
        Connects("client", f"service/{team}/{name}", front, server=f"{team}/{app}-1"),
    )
    manifests = join(namespace(team), pod(f"{app}-1", {key: app}, port, namespace=team), pod("client"))
    extra = rng.choice((f"targetPort: {front}", "matchLabels:", f"containerPort: {port}"))
    values = {"name": name, "app": app, "key": key, "team": team, "port": port, "front": front}
    return Scenario(values, manifests, expect, QUICK, lines=draw.shuffled(rng, lines, extra))


def t02_write_service(rng: random.Random) -> Scenario:
    app, (tier, other), (team, away) = rng.choice(APPS), several(rng, TIERS, 2), several(rng, TEAMS, 2)
    (port, metrics), front = rng.sample(PORTS, 2), rng.choice(SERVICE_PORTS)
    ports = {"http": port, "metrics": metrics}
    mine = [f"{team}/{app}-{tier}-{n}" for n in (1, 2)]
    manifests = join(
        namespace(team),
        namespace(away),
        *(pod(f"{app}-{tier}-{n}", {"app": app, "tier": tier}, ports=ports, namespace=team) for n in (1, 2)),
        pod(f"{app}-{other}", {"app": app, "tier": other}, ports=ports, namespace=team),
        pod("client", {"tier": tier}, namespace=team),
        pod("visitor", namespace=away),
    )
    expect = (
        Backends(f"{team}/{app}", mine),
        Connects(f"{team}/client", f"service/{team}/{app}", front),
        Connects(f"{away}/visitor", f"service/{team}/{app}", front),
    )
    values = {"app": app, "tier": tier, "other": other, "team": team, "away": away, "port": port, "front": front}
    return Scenario({**values, "metrics": metrics}, manifests, expect)


def t02_write_ports(rng: random.Random) -> Scenario:
    name, team = rng.choice(APPS), rng.choice(TEAMS)
    (port, inner), (front, news) = rng.sample(PORTS, 2), rng.sample(SERVICE_PORTS, 2)
    server = listening(pod(name, {"app": name}, namespace=team), f"{port},{inner}/UDP")
    expect = (
        Connects("client", f"service/{team}/{name}", front),
        Connects("client", f"service/{team}/{name}", news, protocol="UDP"),
    )
    values = {"name": name, "team": team, "port": port, "inner": inner, "front": front, "news": news}
    return Scenario(values, join(namespace(team), server, pod("client")), expect)


def t02_write_outside(rng: random.Random) -> Scenario:
    name, team, port = rng.choice(APPS), rng.choice(TEAMS), rng.choice((80, 443))
    front, ip = rng.randrange(3000, 10000), rng.choice((OUTSIDE, "203.0.113.201"))
    server = "example.com" if ip == OUTSIDE else "api.example.com"
    expect = (Connects("client", f"service/{team}/{name}", front, server=server),)
    return Scenario({"name": name, "team": team, "port": port, "front": front, "ip": ip, "server": server},
                    join(namespace(team), pod("client")), expect)  # fmt: skip


def t02_repair_service(rng: random.Random) -> Scenario:
    (name, app), team, (tier, other) = several(rng, APPS, 2), rng.choice(TEAMS), several(rng, TIERS, 2)
    (port, metrics), (front, wrong) = rng.sample(PORTS, 2), rng.sample(SERVICE_PORTS, 2)
    fault = rng.choice(("selector", "number", "name", "port", "protocol"))
    right = rng.choice((port, "http"))
    target = metrics if fault == "number" else "htttp" if fault == "name" else right
    selector = {"app": app, "tier": other if fault == "selector" else tier}
    given = service(name, selector, wrong if fault == "port" else front, target, namespace=team)
    given = given.replace("{port:", "{protocol: UDP, port:") if fault == "protocol" else given
    pods = (pod(f"{app}-{n}", {"app": app, "tier": tier}, ports={"http": port}, namespace=team) for n in (1, 2))
    expect = (
        Backends(f"{team}/{name}", [f"{team}/{app}-{n}" for n in (1, 2)]),
        Connects("client", f"service/{team}/{name}", front),
    )
    values = {"name": name, "app": app, "team": team, "tier": tier, "port": port, "front": front, "right": right}
    return Scenario(values, join(namespace(team), *pods, pod("client")), expect, given=given, most=1)


def t02_hunt_refused(rng: random.Random) -> Scenario:
    app, team = rng.choice(APPS), rng.choice(TEAMS)
    (port, closed), front = rng.sample(PORTS, 2), rng.choice(SERVICE_PORTS)
    fault = rng.choice(("selector", "target", "probe", "loopback"))
    note = (
        f'      annotations:\n        k8snet.io/listen: "{"127.0.0.1" if fault == "loopback" else "0.0.0.0"}:{port}"\n'
    )
    server = draw.deployment(app, {"app": app}, port, 1, namespace=team).replace(
        "    metadata:\n", "    metadata:\n" + note
    )
    server = probed(server, closed) if fault == "probe" else server
    selector = {"app": app, "tier": "web"} if fault == "selector" else {"app": app}
    given = join(server, service(app, selector, front, closed if fault == "target" else port, namespace=team))
    expect = (Connects("client", f"service/{team}/{app}", front, name="the call of Pod client is answered"),)
    values = {"app": app, "team": team, "port": port, "front": front, "fault": fault}
    return Scenario(values, join(namespace(team), pod("client")), expect, given=given, most=4, edits=1, wait=5)
