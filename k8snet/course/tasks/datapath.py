"""The draws of 03-data-path: on which node a Service's address is replaced, by what, and for how long."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from k8snet.cluster import Cluster
from k8snet.course import draw
from k8snet.course.draw import APPS, PORTS, SERVICE_PORTS, TEAMS, join, namespace, numbered, pod, service, several
from k8snet.course.expect import Connects, Goal, Holds, connect
from k8snet.course.task import Scenario
from k8snet.course.tasks.model import QUICK, listening, owner

NODES = ("node-1", "node-2", "node-3")
ROUTED = {**QUICK, "nodes": 3, "network": "routed"}


@dataclass(frozen=True)
class Answered:
    """New connections are answered by ``servers`` only: always by the same one, or (``spread``) by several."""

    client: str
    service: str
    port: int
    servers: tuple[str, ...]
    spread: bool
    name: str
    tries: int = 16

    def goals(self, cluster: Cluster) -> Iterator[Goal]:
        """One goal."""
        traces = [connect(cluster, self.client, f"service/{self.service}", self.port) for _ in range(self.tries)]
        seen = {t.outcome.server if t else str(t.outcome) for t in traces}
        met = seen <= set(self.servers) and (len(seen) > 1) is self.spread
        why = f"{self.tries} connections from {self.client} to Service {self.service} gave: {', '.join(sorted(seen))}"
        shown = next((t for t in traces if not t or t.outcome.server not in self.servers), traces[0])
        yield Goal(self.name, float(met), "" if met else why, shown)


def t03_predict_path(rng: random.Random) -> Scenario:
    server, client = several(rng, APPS, 2)
    (there, here, door), port, front = rng.sample(NODES, 3), rng.choice(PORTS), rng.choice(SERVICE_PORTS)
    opened, shut = rng.sample(range(30000, 32768), 2)
    ips = {node: f"192.168.10.1{node[-1]}" for node in NODES}
    inside = (f"service/{server}", front, f"calls Service {server}, port {front}")
    calls = {
        "pod": (client, *inside),
        "self": (server, *inside),
        "node": (f"node/{here}", *inside),
        "door": ("outside", ips[door], opened, f"calls port {opened} of {door}"),
        "local": ("outside", ips[there], shut, f"calls port {shut} of {there}"),
    }
    kinds = rng.sample(sorted(calls), 2)
    opens = service(f"{server}-open", {"app": server}, front, port, type="NodePort")
    local = service(f"{server}-local", {"app": server}, front, port, type="NodePort", externalTrafficPolicy="Local")
    manifests = join(
        pod(server, {"app": server}, port, node=there),
        pod(client, node=here),
        service(server, {"app": server}, front, port),
        opens.replace("{port:", f"{{nodePort: {opened}, port:"),
        local.replace("{port:", f"{{nodePort: {shut}, port:"),
    )

    def found(cluster: Cluster, kind: str, key: str) -> str:
        trace = connect(cluster, *calls[kind][:3])
        rewritten = next(h.place.node for h in trace.hops if h.decision == "DNAT")
        return rewritten if key == "where" else owner(cluster, trace.outcome.server_saw) or "outside"

    asked = {f"{key}-{n}": partial(found, kind=kind, key=key)
             for n, kind in enumerate(kinds, 1) for key in ("where", "seen")}  # fmt: skip
    lines = [f"{n}. {calls[kind][0]} {calls[kind][3]}" for n, kind in enumerate(kinds, 1)]
    values = {"server": server, "client": client, "here": here, "there": there, "door": door, "kinds": kinds}
    values["told"] = "\n".join(lines).replace("outside", "a client outside").replace("node/", "a program on ")
    return Scenario(values, manifests, knobs=ROUTED, questions=asked)


def t03_predict_odd(rng: random.Random) -> Scenario:
    server, client = several(rng, APPS, 2)
    port, (front, other), mode = rng.choice(PORTS), rng.sample(SERVICE_PORTS, 2), rng.choice(("iptables", "nftables"))
    called, pinged = rng.choice((front, other, other)), rng.choice(("Service", "Pod"))
    manifests = join(pod(server, {"app": server}, port), service(server, {"app": server}, front, port), pod(client))

    def ping(cluster: Cluster) -> str:
        target = connect(cluster, client, f"{pinged.lower()}/{server}", front).annotations["packet"].dst
        return "yes" if cluster.pod(client).run(f"ping -c 1 {target}") else "no"

    values = {"server": server, "client": client, "front": front, "called": called, "pinged": pinged, "mode": mode}
    return Scenario(values, manifests, knobs={**QUICK, "proxy": mode}, request=(client, f"service/{server}", called),
                    questions={"ping": ping})  # fmt: skip


def t03_predict_open(rng: random.Random) -> Scenario:
    (app, client), front, (port, closed) = several(rng, APPS, 2), rng.choice(SERVICE_PORTS), rng.sample(PORTS, 2)
    first, second = rng.sample((f"{app}-1", f"{app}-2"), 2)
    joins, patch = f"label pod {second} app={app} --overwrite", f"patch service {app} -p "
    commands = {
        "label": (f"label pod {first} app-", joins),
        "selector": (patch + "'" + '{"spec": {"selector": {"app": "spare"}}}' + "'",),
        "pod": (joins, f"delete pod {first} --force --grace-period=0"),
        "service": (f"delete service {app}",),
        "target": (patch + "'" + f'{{"spec": {{"ports": [{{"port": {front}, "targetPort": {closed}}}]}}}}' + "'",),
    }
    case = rng.choice(sorted(commands))
    pods = pod(first, {"app": app}, port), pod(second, {"app": "spare"}, port), pod(client)

    def later(cluster: Cluster, new: bool) -> str:
        opened = connect(cluster, client, f"service/{app}", front)
        for command in commands[case]:
            cluster.kubectl(command)
        caller, target = cluster.pod(client), opened.annotations["packet"].dst
        trace = caller.connect(target, front) if new else caller.again(opened)
        return trace.outcome.server.removeprefix("default/") if trace else "nobody"

    values = {"app": app, "client": client, "first": first, "second": second, "front": front, "case": case}
    values["told"] = "\n".join(f"- `kubectl {command}`" for command in commands[case])
    return Scenario(values, join(*pods, service(app, {"app": app}, front, port)), knobs=QUICK,
                    questions={"next": partial(later, new=False), "new": partial(later, new=True)})  # fmt: skip


def t03_arrange_sticky(rng: random.Random) -> Scenario:
    name, app = numbered(rng, APPS), rng.choice(TEAMS)
    port, front, seconds = rng.choice(PORTS), rng.choice(SERVICE_PORTS), 60 * rng.randrange(2, 100)
    lines = (
        f"- port: {front}", "apiVersion: v1", f"app: {app}", "clientIP:", "kind: Service", "metadata:", f"name: {name}",
        "ports:", "selector:", "sessionAffinity: ClientIP", "sessionAffinityConfig:", "spec:", f"targetPort: {port}",
        f"timeoutSeconds: {seconds}",
    )  # fmt: skip
    pods = [pod(f"{app}-{n}", {"app": app}, port, node=node) for n, node in enumerate(NODES, 1)]
    servers = tuple(f"default/{app}-{n}" for n in (1, 2, 3))
    expect = (
        Answered("client", name, front, servers, False, "a client always gets the same Pod"),
        Holds("Service", name, {"spec.sessionAffinityConfig.clientIP.timeoutSeconds": seconds}),
    )
    extra = rng.choice(("sessionAffinity: None", "externalTrafficPolicy: Local", "type: ExternalName"))
    return Scenario({"name": name, "app": app, "port": port, "front": front, "seconds": seconds},
                    join(*pods, pod("client")), expect, ROUTED,
                    lines=draw.shuffled(rng, lines, extra))  # fmt: skip


def t03_write_local(rng: random.Random) -> Scenario:
    name, team, app = numbered(rng, APPS), rng.choice(TEAMS), rng.choice(APPS)
    port, front, empty = rng.choice(PORTS), rng.choice(SERVICE_PORTS), rng.choice(NODES)
    full = [node for node in NODES if node != empty]
    pods = [pod(f"{app}-{node}", {"app": app}, port, namespace=team, node=node) for node in full]
    target = f"service/{team}/{name}"
    expect = [
        Connects(f"client-{n}", target, front, server=f"{team}/{app}-{n}", name=f"{n} calls its own") for n in full
    ]
    expect.append(Connects(f"client-{empty}", target, front, "timed out", name=f"{empty} gets no answer"))
    values = {"name": name, "team": team, "app": app, "port": port, "front": front, "empty": empty, "full": full}
    clients = (pod(f"client-{node}", node=node) for node in NODES)
    return Scenario(
        {**values, "one": full[0], "two": full[1]}, join(namespace(team), *pods, *clients), tuple(expect), ROUTED
    )


def t03_repair_spread(rng: random.Random) -> Scenario:
    name, app, team = numbered(rng, APPS), rng.choice(APPS), rng.choice(TEAMS)
    (port, closed), front, empty = rng.sample(PORTS, 2), rng.choice(SERVICE_PORTS), rng.choice(NODES)
    fault = rng.choice(("local", "sticky", "narrow", "target"))
    full = [node for node in NODES if node != empty]
    pods = [pod(f"{app}-{n}", {"app": app, "copy": str(n)}, ports={"http": port}, namespace=team, node=node)
            for n, node in enumerate(full, 1)]  # fmt: skip
    more = {"local": {"internalTrafficPolicy": "Local"}, "sticky": {"sessionAffinity": "ClientIP"}}.get(fault, {})
    chosen = {"app": app, "copy": "2"} if fault == "narrow" else {"app": app}
    given = service(name, chosen, front, closed if fault == "target" else "http", namespace=team, **more)
    servers = tuple(f"{team}/{app}-{n}" for n in (1, 2))
    expect = tuple(Answered(f"client-{node}", f"{team}/{name}", front, servers, True, f"both answer calls from {node}")
                   for node in NODES)  # fmt: skip
    values = {"name": name, "app": app, "team": team, "port": port, "front": front, "empty": empty}
    clients = (pod(f"client-{node}", node=node) for node in NODES)
    return Scenario(values, join(namespace(team), *pods, *clients), expect, ROUTED, given=given, most=2)


def t03_drop_where(rng: random.Random) -> Scenario:
    server, client = several(rng, APPS, 2)
    (here, there), (port, closed), front = rng.sample(NODES, 2), rng.sample(PORTS, 2), rng.choice(SERVICE_PORTS)
    fault = rng.choice(("local", "empty", "closed", "closed"))
    chosen, target = client if fault == "empty" else server, closed if fault == "closed" else port
    policy = "Local" if fault == "local" else "Cluster"
    manifests = join(
        pod(server, {"app": server}, port, node=there),
        pod(client, node=here),
        service(server, {"app": chosen}, front, target, internalTrafficPolicy=policy),
    )
    values = {"server": server, "client": client, "front": front, "here": here, "there": there, "fault": fault}
    return Scenario(values, manifests, knobs=ROUTED, request=(client, f"service/{server}", front))


def t03_hunt_sometimes(rng: random.Random) -> Scenario:
    name, app, other = numbered(rng, TEAMS), *several(rng, APPS, 2)
    (port, closed), front, bad = rng.sample(PORTS, 2), rng.choice(SERVICE_PORTS), rng.randrange(3)
    fault = rng.choice(("stranger", "loopback", "closed"))
    where = {"loopback": f"127.0.0.1:{port}", "closed": str(closed)}.get(fault, str(port))
    pods = [listening(pod(f"{app}-{n}", {"app": app}, port, namespace=name), where if n == bad else str(port))
            for n in range(3)]  # fmt: skip
    pods.append(pod(other, {"app": app if fault == "stranger" else other}, port, namespace=name))
    servers = tuple(f"{name}/{app}-{n}" for n in range(3))
    expect = (Answered("client", f"{name}/{app}", front, servers, True, f"a Pod of {app} answers every call", 30),)
    values = {"team": name, "app": app, "other": other, "port": port, "front": front, "bad": bad, "fault": fault}
    manifests = join(namespace(name), pod("client"), service(app, {"app": app}, front, port, namespace=name))
    return Scenario(values, manifests, expect, given=join(*pods), most=5, edits=1)
