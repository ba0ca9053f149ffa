"""The draws of 07-getting-in: node ports, load balancers, Ingress and Gateway, and what each of them does to a packet."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from k8snet.cluster import Cluster
from k8snet.course import draw
from k8snet.course.draw import APPS, PORTS, SERVICE_PORTS, TEAMS, join, namespace, pod, service, several
from k8snet.course.expect import Backends, Connects, Fetches, Prints
from k8snet.course.task import Scenario
from k8snet.course.tasks.clusters import cluster, mixed
from k8snet.course.tasks.egress_policy import QUICK, apps, peer, policy

WORDS = ("api", "blog", "docs", "news", "help", "jobs", "maps", "files")
NODES = {"node-1": "192.168.10.11", "node-2": "192.168.10.12", "node-3": "192.168.10.13"}
EDGE = "203.0.113.1"  # the first address that a load balancer gets
THREE = {**QUICK, "nodes": 3}


def _door(rng: random.Random) -> tuple[dict[str, Any], dict[str, Any]]:
    """The IngressClass of a controller that runs, a host and a port for it; and the knobs."""
    name, host = rng.choice(("outer", "front", "public", "main")), f"{rng.choice(WORDS)}.{rng.choice(TEAMS)}.example"
    values = {"cls": name, "host": host, "front": rng.choice(SERVICE_PORTS)}
    return values, {**QUICK, "ingress_controllers": (f"example.com/{name}",)}


def _path(path: str, kind: str, to: str, port: int) -> str:
    """One line below ``paths``."""
    backend = f"{{service: {{name: {to}, port: {{number: {port}}}}}}}"
    return f"          - {{path: {path}, pathType: {kind}, backend: {backend}}}"


def _asked(host: str, path: str = "/", by: str = "", status: int = 200) -> Fetches:
    """A request from outside, and which Pod or status should answer."""
    name = f"http://{host}{path} is answered {f'by {by}' if by else f'with {status}'}"
    return Fetches("outside", f"-sS -H 'Host: {host}' http://{EDGE}{path}", status, by, name)


def _who(host: str, path: str) -> Callable[[Cluster], str]:
    """Which Pod answers a request; the status where the controller does it."""

    def find(cluster: Cluster) -> str:
        trace = cluster.outside.curl(f"-sS -H 'Host: {host}' http://{EDGE}{path}").trace
        assert trace is not None
        return trace.outcome.said_by.rpartition("/")[2] if trace.outcome.status == 200 else str(trace.outcome.status)

    return find


def t07_predict_paths(rng: random.Random) -> Scenario:
    values, knobs = _door(rng)
    servers, (word, part), host, front = several(rng, APPS, 4), several(rng, WORDS, 2), values["host"], values["front"]
    ways = [(f"/{word}", "Prefix"), (f"/{word}/{part}", "Prefix"), (f"/{word}", "Exact"), ("/", "Prefix")]
    used = (True, True, rng.random() < 0.6, rng.random() < 0.5)
    paths = [_path(*way, to, front) for way, to, there in zip(ways, servers, used, strict=True) if there]
    rng.shuffle(paths)
    rules = cluster("site", values, where="default", paths="\n".join(paths))
    manifests = join(apps(*servers, port=8080), *(service(s, {"app": s}, front, 8080) for s in servers), rules)
    urls = {f"url{n}": f"/{word}{end}" for n, end in enumerate(("", "/", part, f"/{part}/1", f"/{part}s"), 1)}
    values |= {"servers": servers, "exact": used[2], "root": used[3], "rules": rules, "word": word}
    values["urls"] = "\n".join(f"- `{key}`: http://{host}{url}" for key, url in urls.items())
    return Scenario(values, manifests, knobs=knobs, questions={key: _who(host, url) for key, url in urls.items()})


def _office(rng: random.Random, fault: str) -> tuple[dict[str, Any], str, str]:
    """A Pod on one node, a Service with a node port and a policy that lets an office outside in, with this mistake or none:
    the values, the Pod, and the other two."""
    server, port, entry = rng.choice(APPS), rng.choice(PORTS), rng.randint(30000, 32767)
    (near, far), (there, other) = rng.sample(range(15), 2), rng.sample(tuple(NODES), 2)
    called = other if fault in ("cluster", "empty") else there
    values = {"server": server, "port": port, "entry": entry, "front": rng.choice(SERVICE_PORTS), "fault": fault}
    values |= {"office": f"198.51.100.{16 * near}/28", "inside": f"198.51.100.{16 * near + 5}"}
    values |= {"stranger": f"198.51.100.{16 * far + 5}"}
    values |= {"block": f"198.51.100.{16 * (far if fault == 'cidr' else near)}/28"}
    values |= {"there": there, "called": called, "ip": NODES[called], "home": NODES[there]}
    values |= {"traffic": "Cluster" if fault == "cluster" else "Local", "listed": entry if fault == "port" else port}
    values |= {"selects": f"{server}-2" if fault == "selector" else server}
    listens = pod(server, {"app": server}, port + 1 if fault == "socket" else port, node=there)
    return values, listens, cluster("office", values)


def t07_explain_source(rng: random.Random) -> Scenario:
    values, listens, objects = _office(rng, rng.choice(("empty", "cluster", "", "stranger")))
    who = values["stranger" if values["fault"] == "stranger" else "inside"]
    options = mixed(rng, "office options", values)
    values |= {"client": who, "lines": options, "objects": objects}
    request = (f"outside:{who}", values["ip"], values["entry"])
    return Scenario(values, join(listens, objects), knobs=THREE, request=request, options=options)


def t07_drop_outside(rng: random.Random) -> Scenario:
    values, listens, objects = _office(rng, rng.choice(("empty", "cluster", "cidr", "selector", "socket")))
    request = (f"outside:{values['inside']}", values["ip"], values["entry"])
    return Scenario(values, join(listens, objects), knobs=THREE, request=request)


def t07_repair_office(rng: random.Random) -> Scenario:
    values, listens, given = _office(rng, rng.choice(("selector", "cidr", "port")))
    entry, stranger = values["entry"], f"outside:{values['stranger']}"
    expect = (
        Connects(f"outside:{values['inside']}", values["home"], entry, name="the office gets through"),
        *(Connects(stranger, ip, entry, "timed out", name=f"no other network does, by {n}") for n, ip in NODES.items()),
        Connects("visitor", f"pod/{values['server']}", values["port"], "timed out", name="no other Pod does"),
    )
    return Scenario(values, join(listens, pod("visitor")), expect, THREE, given=given, most=1)


def t07_write_balancer(rng: random.Random) -> Scenario:
    (server, other), port, front = several(rng, APPS, 2), rng.choice(PORTS), rng.choice(SERVICE_PORTS)
    client = f"198.51.100.{rng.randint(10, 250)}"
    members = (pod(f"{server}-{n}", {"app": server}, port, node=f"node-{n}") for n in (1, 2))
    way = f"-sS http://{EDGE}:{front}"
    expect = (
        Fetches(f"outside:{client}", way, 200, f"{server}-", f"a caller from outside is answered by {server}"),
        Prints(f"outside:{client}", f"curl {way}", f"from {client}", f"{server} sees the caller's own address"),
        Connects(other, f"service/{server}", front, name=f"{other} gets an answer from Service {server}"),
        Backends(server, (f"{server}-1", f"{server}-2")),
    )
    values = {"server": server, "other": other, "port": port, "front": front, "client": client}
    return Scenario(values, join(*members, apps(other, port=port)), expect, THREE)


def t07_write_ingress(rng: random.Random) -> Scenario:
    (values, knobs), (first, second), word = _door(rng), several(rng, APPS, 2), rng.choice(WORDS)
    host, front = values["host"], values["front"]
    fronts = {first: front, second: rng.choice([p for p in SERVICE_PORTS if p != front])}
    services = (service(name, {"app": name}, port, 8080) for name, port in fronts.items())
    expect = (
        *(_asked(host, path, first) for path in ("/", f"/{word}x", f"/x/{word}")),
        *(_asked(host, path, second) for path in (f"/{word}", f"/{word}/1")),
        _asked(f"other.{host}", status=404),
    )
    values |= {"first": first, "second": second, "word": word, "back": fronts[second]}
    return Scenario(values, join(apps(first, second, port=8080), *services, cluster("old-class", {})), expect, knobs)


def t07_arrange_tls(rng: random.Random) -> Scenario:
    (values, knobs), (server, other), port = _door(rng), several(rng, APPS, 2), rng.choice(PORTS)
    host, front = values["host"], values["front"]
    values |= {"server": server, "other": other}
    pods = join(apps(server, port=port), service(server, {"app": server}, front, port))
    way, name = f"-sS --resolve {host}:443:{EDGE} https://{host}/", f"https://{host}/ is answered by {server}"
    expect = (Fetches("outside", way, 200, server, f"{name}, with a certificate that the client trusts"),)
    lines = draw.shuffled(rng, mixed(rng, "certificate lines", values), f"secretName: {other}-cert")
    return Scenario(values, join(cluster("certificates", values), pods), expect, knobs, lines=lines)


def t07_write_grant(rng: random.Random) -> Scenario:
    (server, other), (team, away, third) = several(rng, APPS, 2), (draw.numbered(rng, TEAMS), *several(rng, TEAMS, 2))
    front, domain = rng.choice(SERVICE_PORTS), f"{rng.choice(WORDS)}.example"
    routes = [(team, server), (team, other), (third, server)]
    manifests = join(
        apps(f"{away}/{server}", f"{away}/{other}", port=8080),
        *(service(s, {"app": s}, front, 8080, namespace=away) for s in (server, other)),
        cluster("gateway", {}),
        *map(namespace, (team, third)),
        *(
            cluster("route", {"away": away, "front": front}, where=w, to=to, host=f"{to}.{w}.{domain}")
            for w, to in routes
        ),
    )
    first, *rest = (f"{to}.{w}.{domain}" for w, to in routes)
    expect = (_asked(first, "/", server), *(_asked(host, status=500) for host in rest))
    values = {"server": server, "other": other, "team": team, "away": away, "third": third, "domain": domain}
    return Scenario(values, manifests, expect, {**QUICK, "gateway_controllers": ("example.com/public",)})


def t07_hunt_door(rng: random.Random) -> Scenario:
    (values, knobs), (server, other), team = _door(rng), several(rng, APPS, 2), rng.choice(TEAMS)
    port, front, fault = rng.choice(PORTS), values["front"], rng.choice(("policy", "port", "selector", "class"))
    allowed = peer(None, {"kubernetes.io/metadata.name": "ingress-nginx" if fault == "policy" else "ingress-system"})
    path = _path("/", "Prefix", server, port if fault == "port" else front)
    given = join(
        service(server, {"app": f"{server}-2" if fault == "selector" else server}, front, port, namespace=team),
        policy(f"{server}-in", {"app": server}, team, policyTypes=["Ingress"], ingress=[{"from": [allowed]}]),
        cluster("site", {**values, "cls": "old" if fault == "class" else values["cls"]}, where=team, paths=path),
    )
    only = Connects("visitor", f"pod/{team}/{server}", port, "timed out", name=f"only the controller gets to {server}")
    values |= {"server": server, "team": team, "port": port}
    manifests = join(apps(f"{team}/{server}", f"{team}/{other}", "visitor", port=port), cluster("old-class", {}))
    return Scenario(values, manifests, (_asked(values["host"], "/", server), only), knobs, given=given, most=5, edits=2)
