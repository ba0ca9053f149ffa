"""The draws of 01-pods: addresses, sockets and what containers of one Pod share."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise

from k8snet.cluster import Cluster
from k8snet.course.draw import (
    APPS,
    PORTS,
    TEAMS,
    deployment,
    join,
    namespace,
    numbered,
    pod,
    service,
    several,
    shuffled,
)
from k8snet.course.expect import Backends, Connects, Expectation, Prints, connect
from k8snet.course.task import AnyOf, Scenario

QUICK = {"dns": False}
OUTSIDE = "203.0.113.200"
IMAGES = {
    "nginxinc/nginx-unprivileged": 8080, "httpd": 80, "redis": 6379, "postgres": 5432, "memcached": 11211,
    "hashicorp/http-echo": 5678,
}  # fmt: skip
PARTS = ("web", "admin", "metrics", "store", "cache", "health")


def listening(text: str, where: str) -> str:
    """A Pod whose programs listen *where* the annotation says, whatever the manifest declares."""
    return text.replace("metadata:\n", f'metadata:\n  annotations:\n    k8snet.io/listen: "{where}"\n', 1)


def containers(text: str, names: list[str]) -> str:
    """A Pod with these containers instead of its one."""
    listed = "".join(f"    - {{name: {name}, image: example/{name}}}\n" for name in names)
    return f"{text.partition('  containers:')[0]}  containers:\n{listed}"


def t01_predict_call(rng: random.Random) -> Scenario:
    server, client = several(rng, APPS, 2)
    team = rng.choice(TEAMS)
    listens, declared = rng.sample(PORTS, 2)
    case = rng.choice(("open", "declared", "loopback", "inside"))
    where = f"127.0.0.1:{listens}" if case in ("loopback", "inside") else f"0.0.0.0:{listens}"
    port = declared if case == "declared" else listens
    nodes = rng.choices(("node-1", "node-2"), k=2)
    texts = listening(pod(server, port=declared, namespace=team, node=nodes[0]), where), pod(client, node=nodes[1])
    manifests = join(namespace(team), *texts)
    caller, target = (f"{team}/{server}", "localhost") if case == "inside" else (client, f"pod/{team}/{server}")
    called = "its own localhost" if case == "inside" else f"the address of Pod {team}/{server}"
    values = {"server": server, "client": caller, "called": called, "port": port, "listens": listens, "case": case}

    def taken(cluster: Cluster) -> list[int] | str:
        sockets = cluster.snapshot.pods[f"{team}/{server}"].listeners or ()
        return [s.port for s in sockets if not s.loopback] or "none"

    return Scenario(values, manifests, knobs=QUICK, request=(caller, target, port), questions={"others": taken})


def t01_predict_sources(rng: random.Random) -> Scenario:
    near, far, server, agent = several(rng, APPS, 4)
    nodes = rng.sample(("node-1", "node-2"), 2)
    port, target = rng.choice(PORTS), f"pod/{server}"
    callers = {"near": near, "far": far, "host": agent, "node": f"node/{nodes[0]}"}
    calls = {kind: (name, target, port) for kind, name in callers.items()}
    calls |= {"outside": (far, OUTSIDE, 80), "own": (server, "localhost", port)}
    kinds = rng.sample(sorted(calls), 4)
    manifests = join(
        pod(server, port=port, node=nodes[0]),
        pod(near, node=nodes[0]),
        pod(far, node=nodes[1]),
        pod(agent, node=nodes[1]).replace("spec:\n", "spec:\n  hostNetwork: true\n"),
    )
    asked = {f"call-{n}": calls[kind] for n, kind in enumerate(kinds, 1)}
    told = "\n".join(f"- `{key}`: {c} calls {t}, port {p}" for key, (c, t, p) in asked.items())
    values = {"near": near, "far": far, "here": nodes[0], "there": nodes[1], "kinds": kinds, "outside": OUTSIDE}
    return Scenario({**values, "calls": told.replace("pod/", "Pod ").replace("node/", "node ")}, manifests,
                    questions={key: seen(call) for key, call in asked.items()},
                    knobs={**QUICK, "network": "routed"})  # fmt: skip


def owner(cluster: Cluster, ip: str) -> str:
    """Whose address it is: a Pod's, a node's (also for Pods on its network), ``localhost``, or nobody's (empty)."""
    owners = {p.ip: p.name for p in cluster.snapshot.pods.values()} | {"127.0.0.1": "localhost"}
    return (owners | {n.ip: n.name for n in cluster.snapshot.nodes.values()}).get(ip, "")


def seen(call: tuple[str, str, int]) -> Callable[[Cluster], AnyOf]:
    """Who the server takes its caller for: a node, or as well a Pod on that node's network."""

    def find(cluster: Cluster) -> AnyOf:
        ip = connect(cluster, *call).outcome.server_saw
        return AnyOf((owner(cluster, ip), *(p.name for p in cluster.snapshot.pods.values() if p.ip == ip)))

    return find


EVENTS = {
    "crash": ("its process ends with an error", "exec deploy/{app} -- kill 1"),
    "delete": ("somebody deletes the Pod", "delete pod -l app={app}"),
    "restart": ("`kubectl rollout restart deployment {app}`", "rollout restart deployment {app}"),
    "label": ("the Pod gets one more label", "label pod -l app={app} checked=yes --overwrite"),
}


def t01_predict_changes(rng: random.Random) -> Scenario:
    app, port = rng.choice(APPS), rng.choice(PORTS)
    events = [*rng.sample(("crash", "crash", "crash", "label"), 2), *rng.choices(sorted(EVENTS), k=3)]
    rng.shuffle(events)

    def history(cluster: Cluster) -> list[tuple[str, int]]:
        found = []
        for event in ("label", *events):
            cluster.kubectl(EVENTS[event][1].format(app=app))
            cluster.advance(90)
            (now,) = cluster.plane.api.list("Pod", "default")
            found.append((now["status"]["podIP"], now["status"]["containerStatuses"][0]["restartCount"]))
        return found

    def changes(cluster: Cluster) -> int:
        ips = [ip for ip, _ in history(cluster)]
        return sum(a != b for a, b in pairwise(ips))

    told = "\n".join(f"{n}. {EVENTS[event][0].format(app=app)}" for n, event in enumerate(events, 1))
    asked = {"changes": changes, "restarts": lambda cluster: history(cluster)[-1][1]}
    return Scenario({"app": app, "events": events, "told": told}, deployment(app, {"app": app}, port, 1), knobs=QUICK,
                    questions=asked)  # fmt: skip


def t01_arrange_pair(rng: random.Random) -> Scenario:
    name, team = numbered(rng, APPS), rng.choice(TEAMS)
    (first, second), parts = several(rng, sorted(IMAGES), 2), several(rng, PARTS, 2)
    lines = (
        f"- name: {parts[0]}", f"- name: {parts[1]}", "apiVersion: v1", "containers:", f"image: {first}", f"image: {second}",
        "kind: Pod", "metadata:", f"name: {name}", f"namespace: {team}", "spec:",
    )  # fmt: skip
    port, other = IMAGES[first], IMAGES[second]
    expect = (
        Connects("client", f"pod/{team}/{name}", port, name=f"{first} answers"),
        Connects("client", f"pod/{team}/{name}", other, name=f"{second} answers"),
        Connects("client", "192.168.10.11", port, "refused", name="the node's own ports stay free"),
    )
    values = {
        "name": name,
        "team": team,
        "first": first,
        "second": second,
        "parts": parts,
        "port": port,
        "other": other,
    }
    return Scenario(values, join(namespace(team), pod("client")), expect, {**QUICK, "nodes": 1},
                    lines=shuffled(rng, lines, "hostNetwork: true"))  # fmt: skip


def t01_write_private(rng: random.Random) -> Scenario:
    name, team = rng.choice(APPS), rng.choice(TEAMS)
    front, back = several(rng, PARTS, 2)
    port, inner = rng.sample(PORTS, 2)
    manifests = join(namespace(team), pod("client"), service(name, {"app": name}, port, namespace=team))
    mine = f"{team}/{name}"
    expect = (
        Backends(mine, [mine]),
        Connects("client", f"pod/{mine}", port, name=f"Pod client reaches {front}"),
        Connects(mine, "localhost", inner, name=f"the Pod itself reaches {back}"),
        Connects("client", f"pod/{mine}", inner, "refused", name=f"nobody else reaches {back}"),
    )
    return Scenario({"name": name, "team": team, "front": front, "back": back, "port": port, "inner": inner},
                    manifests, expect, QUICK)  # fmt: skip


def t01_repair_clash(rng: random.Random) -> Scenario:
    name, team = rng.choice(APPS), rng.choice(TEAMS)
    parts, ports = several(rng, PARTS, 3), rng.sample(PORTS, 3)
    wrong, taken = rng.sample(range(3), 2)
    has = [ports[taken] if n == wrong else port for n, port in enumerate(ports)]
    listens = ",".join(f"{part}={port}" for part, port in zip(parts, has, strict=True))
    given = listening(containers(pod(name, namespace=team), parts), listens)
    plan = ", ".join(f"{part} on {port}" for part, port in zip(parts, ports, strict=True))
    expect: list[Expectation] = []
    for part, port in zip(parts, ports, strict=True):
        expect.append(Connects("client", f"pod/{team}/{name}", port, name=f"port {port} answers"))
        expect.append(Prints("", f"logs {name} -n {team} -c {part}", f":{port}/TCP", name=f"{part} has port {port}"))
    values = {"name": name, "team": team, "parts": parts, "ports": ports, "plan": plan}
    return Scenario(values, join(namespace(team), pod("client")), tuple(expect), QUICK, given=given, most=1, wait=20)


def t01_hunt_deaf(rng: random.Random) -> Scenario:
    app, team = rng.choice(APPS), rng.choice(TEAMS)
    port, other = rng.sample(PORTS, 2)
    bad, fault = rng.randrange(3), rng.choice(("loopback", "port", "protocol"))
    where = {"loopback": f"127.0.0.1:{port}", "port": str(other), "protocol": f"{port}/UDP"}[fault]
    pods = [listening(pod(f"{app}-{n}", {"app": app}, port, namespace=team), where if n == bad else str(port))
            for n in range(3)]  # fmt: skip
    expect = [Connects("client", f"pod/{team}/{app}-{n}", port, name="all three Pods answer") for n in range(3)]
    return Scenario({"app": app, "team": team, "port": port, "bad": bad}, join(namespace(team), pod("client")),
                    tuple(expect), QUICK, given=join(*pods), most=4, edits=1)  # fmt: skip
