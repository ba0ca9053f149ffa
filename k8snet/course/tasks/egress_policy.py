"""The draws of 06-egress-policy: what a Pod may reach, the look-up of names included, and who must agree."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import yaml

from k8snet.controlplane.settings import Internet, OutsideHost
from k8snet.course import draw
from k8snet.course.draw import APPS, PORTS, SERVICE_PORTS, TEAMS, join, namespace, pod, service, several
from k8snet.course.expect import Connects, Expectation, Matrix
from k8snet.course.task import Scenario
from k8snet.course.tasks.clusters import cluster, mixed

ROLES = ("worker", "report", "export", "import", "cleanup", "mirror", "sync", "billing")
QUICK = {"dns": False}
DNS = "service/kube-system/kube-dns"
METADATA = "169.254.169.254"


def policy(name: str, selector: dict[str, str], namespace: str = "default", **spec: Any) -> str:
    """A NetworkPolicy; *spec* are the fields beside its podSelector, as they stand in JSON."""
    made: dict[str, Any] = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
    made |= {"metadata": {"name": name, "namespace": namespace}}
    made |= {"spec": {"podSelector": {"matchLabels": selector}, **spec}}
    return str(yaml.safe_dump(made, sort_keys=False, default_flow_style=None, width=120))


def peer(pods: dict[str, str] | None, namespaces: dict[str, str] | None = None) -> dict[str, Any]:
    """One entry of ``to`` or ``from``."""
    chosen = {"namespaceSelector": namespaces, "podSelector": pods}
    return {key: {"matchLabels": labels} for key, labels in chosen.items() if labels is not None}


def names(*protocols: str) -> dict[str, Any]:
    """The rule that lets questions for names out."""
    system = peer(None, {"kubernetes.io/metadata.name": "kube-system"})
    return {"to": [system], "ports": [{"protocol": p, "port": 53} for p in protocols]}


def apps(*pods: str, port: int = 0, **more: Any) -> str:
    """Pods (``namespace/name``, or a name in default) with the label app=NAME that listen on *port*, and their namespaces
    with the label team=NAMESPACE."""
    places = [(where, name) for where, _, name in (p.rpartition("/") for p in pods)]
    spaces = sorted({where for where, _ in places if where not in ("", "kube-system")})
    made = (pod(name, {"app": name}, port, namespace=where, **more) for where, name in places)
    return join(*(namespace(where, {"team": where}) for where in spaces), *made)


def t06_matrix_both_ends(rng: random.Random) -> Scenario:
    a, b, c, d = pods = tuple(several(rng, APPS, 4))
    port, (reach, enter) = rng.choice(PORTS), rng.choice(((b, c), (c, d), (b, d), (d, c)))
    typed, wide = rng.random() < 0.5, rng.random() < 0.5
    types: dict[str, Any] = {"policyTypes": ["Egress"]} if typed else {}
    rule = {} if wide else {"to": [peer({"app": reach})]}
    manifests = join(
        apps(*pods, port=port),
        policy(f"{a}-out", {"app": a}, **types, egress=[{**rule, "ports": [{"port": port}]}]),
        policy(f"{b}-in", {"app": b}, policyTypes=["Ingress"], ingress=[{"from": [peer({"app": enter})]}]),
        policy(f"{c}-both", {"app": c}, policyTypes=["Ingress", "Egress"], egress=[{}], ingress=[{}]),
    )
    values = {"pods": pods, "b": b, "typed": typed, "wide": wide, "reach": reach, "enter": enter}
    return Scenario(values, manifests, knobs=QUICK, pods=pods, port=port)


def t06_predict_name(rng: random.Random) -> Scenario:
    (client, server), front, port = several(rng, APPS, 2), rng.choice(SERVICE_PORTS), rng.choice(PORTS)
    dns = rng.choice((["TCP", "UDP"], ["TCP", "UDP"], ["TCP"], []))
    listed, by = rng.choice((port, port, front)), rng.choice(("name", "name", "address"))
    rules = [{"to": [peer({"app": server})], "ports": [{"port": listed}]}, *([names(*dns)] if dns else [])]
    manifests = join(
        apps(client, server, port=port),
        service(server, {"app": server}, front, port),
        policy(f"{client}-out", {"app": client}, policyTypes=["Egress"], egress=rules),
    )
    values = {"client": client, "server": server, "front": front, "by": by}
    values |= {"udp": "UDP" in dns, "right": listed == port}
    return Scenario(values, manifests, request=(client, server if by == "name" else f"service/{server}", front))


def t06_explain_side(rng: random.Random) -> Scenario:
    (client, server), (role, other), team = several(rng, APPS, 2), several(rng, ROLES, 2), rng.choice(TEAMS)
    port, fault = rng.choice(PORTS), rng.choice(("", "to", "from", "namespace"))
    values: dict[str, Any] = {"client": client, "server": server, "team": team, "role": role, "port": port}
    values |= {"takes": client if fault == "to" else server, "admits": other if fault == "from" else role}
    where = "" if fault == "namespace" else f"\n          namespaceSelector:\n            matchLabels: {{team: {team}}}"
    caller = join(namespace(team, {"team": team}), pod(client, {"role": role}, namespace=team))
    manifests = join(apps(f"base/{server}", port=port), caller, cluster("both-ends", values, where=where))
    options = mixed(rng, "both-ends options", values)
    ends = {"": f"base/{server}-in spec.ingress[0]", "to": f"{team}/{client}-out spec.podSelector"}
    rule = f"networkpolicy/{ends.get(fault, f'base/{server}-in spec.podSelector')}"
    values |= {"lines": options, "rule": rule}
    request = (f"{team}/{client}", f"pod/base/{server}", port)
    return Scenario(values, manifests, knobs=QUICK, request=request, options=options)


def _limited(pods: tuple[str, ...], port: int, *may: str, protocol: str = "TCP") -> Matrix:
    """The first Pod may call these and nobody else; all others may call all."""
    return Matrix(pods, {(c, s) for c in pods[1:] for s in pods} | {(pods[0], s) for s in may}, port, protocol)


def _asks(client: str) -> Iterator[Connects]:
    for protocol in ("UDP", "TCP"):
        yield Connects(client, DNS, 53, protocol=protocol, name=f"{client} can ask for names over {protocol}")


def t06_arrange_names(rng: random.Random) -> Scenario:
    client, other = draw.numbered(rng, APPS), rng.choice(TEAMS)
    pods = (client, other, "kube-system/meter")
    expect: tuple[Expectation, ...] = (_limited(pods, 53, protocol="UDP"), *_asks(client))
    values = {"client": client, "other": other}
    lines = draw.shuffled(rng, mixed(rng, "names lines", values), "- podSelector:")
    return Scenario(values, apps(*pods), expect, lines=lines)


def t06_write_callout(rng: random.Random) -> Scenario:
    (client, db, other), (team, away) = several(rng, APPS, 3), several(rng, TEAMS, 2)
    (port, metrics), front = rng.sample(PORTS, 2), rng.choice(SERVICE_PORTS)
    pods = (client, db, f"{team}/{db}", f"{team}/{other}", f"{away}/{db}")
    listens = apps(*pods, ports={"data": port, "metrics": metrics})
    expect: tuple[Expectation, ...] = (
        _limited(pods, port, f"{team}/{db}"),
        _limited(pods, metrics),
        _limited(pods, 53, protocol="UDP"),
        *_asks(client),
        Connects(client, f"{db}.{team}", front, name=f"{client} reaches the Service by its name"),
        Connects(client, "203.0.113.200", 443, "timed out", name=f"{client} reaches nothing outside"),
    )
    values: dict[str, Any] = {"client": client, "db": db, "other": other, "team": team, "away": away}
    values |= {"port": port, "metrics": metrics, "front": front}
    return Scenario(values, join(listens, service(db, {"app": db}, front, port, namespace=team)), expect)


def t06_write_except(rng: random.Random) -> Scenario:
    (app, other), team, port = several(rng, APPS, 2), rng.choice(TEAMS), rng.choice(PORTS)
    second, third = rng.randint(20, 29), rng.randint(0, 255)
    net, there = f"172.{second}.{third}", f"172.{second}.{third ^ 1}.{rng.randint(1, 250)}"
    closed = (METADATA, f"{net}.{rng.randint(1, 100)}", f"{net}.200")
    hosts = tuple(OutsideHost(ip, f"host-{ip}") for ip in (*closed[1:], there))
    pods = (f"{team}/{app}", f"{team}/{other}", "visitor")
    expect: tuple[Expectation, ...] = (
        *(Connects(pods[0], ip, 80, "timed out", name=f"{pods[0]} cannot reach {ip}") for ip in closed),
        *(Connects(pods[1], ip, 80, name=f"{pods[1]} still reaches {ip}") for ip in closed),
        *(Connects(pods[0], there, p, name=f"{pods[0]} still reaches {there}:{p}") for p in (80, 443)),
        *(_limited(pods, p, *pods[1:]) for p in (port, 53)),
    )
    values = {"app": app, "other": other, "team": team, "cidr": f"{net}.0/24", "net": net, "there": there, "port": port}
    return Scenario(values, apps(*pods, port=port), expect, {**QUICK, "internet": Internet(hosts=hosts)})


def _database(rng: random.Random, *faults: str) -> tuple[dict[str, Any], str, tuple[Expectation, ...], str]:
    """A client that asks for names and calls a database in another namespace, by a policy with one of these mistakes: the
    values, the manifests, what should hold, and the policy."""
    (client, db, other), team = several(rng, APPS, 3), rng.choice(TEAMS)
    port, front, fault = rng.choice(PORTS), rng.choice(SERVICE_PORTS), rng.choice(faults)
    space = {"name" if fault == "label" else "team": team}
    to = [peer(None, space), peer({"app": db})] if fault == "dash" else [peer({"app": db}, space)]
    first = {"to": to, "ports": [{"port": front if fault == "port" else port}]}
    rules = [first, names("TCP", "TCP" if fault == "dns" else "UDP")]
    types = ["Egress", "Ingress"] if fault == "types" else ["Egress"]
    given = policy(f"{client}-out", {"app": other if fault == "whom" else client}, policyTypes=types, egress=rules)
    pods = (client, other, f"{team}/{db}", f"{team}/{other}")
    manifests = join(apps(*pods, port=port), service(db, {"app": db}, front, port, namespace=team))
    called = Connects(client, f"{db}.{team}", front, name=f"{client} reaches Service {db}.{team} by its name")
    values = {"client": client, "db": db, "other": other, "team": team, "port": port, "front": front}
    return values, manifests, (called, _limited(pods, port, f"{team}/{db}")), given


def t06_repair_database(rng: random.Random) -> Scenario:
    values, manifests, expect, given = _database(rng, "label", "dash", "port", "dns", "types", "whom")
    return Scenario(values, manifests, expect, given=given, most=1)


def t06_hunt_database(rng: random.Random) -> Scenario:
    values, manifests, expect, given = _database(rng, "label", "port", "dns")
    return Scenario(values, manifests, expect, given=given, most=5, edits=2)


def t06_drop_callout(rng: random.Random) -> Scenario:
    (client, server), (role, other) = several(rng, APPS, 2), several(rng, ROLES, 2)
    (port, wrong), front = rng.sample(PORTS, 2), rng.choice(SERVICE_PORTS)
    fault = rng.choice(("name", "egress", "service", "ingress", "socket"))
    here, there = rng.sample(("node-1", "node-2", "node-3"), 2)
    out = {"to": [peer({"app": server})], "ports": [{"port": front if fault == "egress" else port}]}
    who = [peer({"role": other if fault == "ingress" else role})]
    rules = [out, names("TCP", "TCP" if fault == "name" else "UDP")]
    manifests = join(
        pod(client, {"role": role}, node=here),
        pod(server, {"app": server}, wrong if fault == "socket" else port, node=there),
        service(server, {"app": f"{server}-2" if fault == "service" else server}, front, port),
        policy(f"{client}-out", {"role": role}, policyTypes=["Egress"], egress=rules),
        policy(f"{server}-in", {"app": server}, ingress=[{"from": who}]),
    )
    values = {"client": client, "server": server, "front": front, "here": here, "there": there, "fault": fault}
    return Scenario(values, manifests, knobs={"nodes": 3}, request=(client, server, front))
