"""The draws of 08-under-the-hood: what the network model does to a packet, and what a node's own network is for."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from k8snet.cluster import Cluster
from k8snet.controlplane.settings import Internet, OutsideHost
from k8snet.course import draw
from k8snet.course.draw import APPS, PORTS, SERVICE_PORTS, TEAMS, deployment, join, pod, service, several
from k8snet.course.expect import Connects, Fetches, Prints, connect
from k8snet.course.task import Scenario
from k8snet.course.tasks.clusters import cluster, mixed
from k8snet.course.tasks.egress_policy import QUICK
from k8snet.course.tasks.outside import NODES, THREE

MODELS = {
    "bridge": "a bridge on each node, and on each node a static route to every other node's Pods",
    "overlay": "a bridge on each node, and VXLAN tunnels between the nodes",
    "routed": "no bridge; the router of the node network has learnt by BGP which Pods are behind which node",
    "ebpf": "no bridge, no kube-proxy; eBPF programs replace a Service's address when a Pod calls `connect`",
}


def _pair(rng: random.Random) -> tuple[dict[str, Any], str, str]:
    """A client and a server on two of three nodes: the values, the Pods, and the server's Service."""
    (client, server), (here, there) = several(rng, APPS, 2), rng.sample((1, 2, 3), 2)
    port, front = rng.choice(PORTS), rng.choice(SERVICE_PORTS)
    values = {"client": client, "server": server, "here": here, "there": there, "port": port, "front": front}
    pods = join(pod(client, node=f"node-{here}"), pod(server, {"app": server}, port, node=f"node-{there}"))
    return values, pods, service(server, {"app": server}, front, port)


def _on_wire(request: tuple[str, str, int], end: str) -> Callable[[Cluster], str]:
    """The address, ``src`` or ``dst``, of a packet as the network between the nodes sees it."""

    def find(cluster: Cluster) -> str:
        hops = connect(cluster, *request).forward
        packet = next(h.after for h in hops if h.after and (h.after.outer or h.place.kind in ("fabric", "outside")))
        return str(getattr(packet.outer or packet, end))

    return find


def t08_predict_wire(rng: random.Random) -> Scenario:
    (values, pods, front), network = _pair(rng), rng.choice(tuple(MODELS))
    target, port, called = rng.choice((
        ("pod/{server}", "port", "Pod {server}, port {port}"),
        ("service/{server}", "front", "Service {server}, port {front}, by its address"),
        ("203.0.113.200", "https", "a machine outside, 203.0.113.200, port 443"),
    ))  # fmt: skip
    values |= {"network": network, "model": MODELS[network], "called": called.format_map(values), "target": target}
    request = (values["client"], target.format_map(values), values.get(port, 443))
    questions = {"source": _on_wire(request, "src"), "destination": _on_wire(request, "dst")}
    questions["seen"] = lambda cluster: connect(cluster, *request).outcome.server_saw
    return Scenario(values, join(pods, front), knobs={**THREE, "network": network}, questions=questions)


def t08_predict_mtu(rng: random.Random) -> Scenario:
    (values, pods, _), network = _pair(rng), rng.choice(("overlay", "overlay", "routed"))
    link = rng.choice((1400, 1460, 1500, 4000, 9000))
    mtu = link - rng.choice((0, 0, 20, 50, 50, 100))

    def big(cluster: Cluster, size: int = mtu) -> str:
        server = cluster.snapshot.pods[f"default/{values['server']}"].ip
        return cluster.pod(values["client"]).connect(server, values["port"], size=size).outcome.kind

    def largest(cluster: Cluster) -> int:
        return next(size for size in (mtu, link - 50) if big(cluster, size) == "delivered")

    values |= {"link": link, "mtu": mtu, "network": network, "model": MODELS[network]}
    knobs = {**THREE, "network": network, "mtu": link, "pod_mtu": mtu}
    return Scenario(values, pods, knobs=knobs, questions={"big": big, "largest": largest})


def t08_predict_routes(rng: random.Random) -> Scenario:
    names, home, port, lost = several(rng, APPS, 4), rng.randint(1, 3), rng.choice(PORTS), rng.randint(1, 3)
    network = rng.choice(("routed", "routed", "overlay", "bridge"))
    nodes = dict(zip(names, (home, 1, 2, 3), strict=True))
    broken: dict[str, Any] = {"overlay_port_open": False}
    problem = "A firewall between the nodes lets no UDP through."
    if network == "routed":
        broken = {"withdrawn_routes": frozenset({f"node-{lost}"})}
        problem = f"The router has lost its route to the Pods of node-{lost}."

    def reached(cluster: Cluster) -> list[str]:
        return [name for name in names[1:] if connect(cluster, names[0], f"pod/{name}", port)]

    values = {"names": names, "client": names[0], "home": home, "lost": lost, "network": network, "port": port}
    values |= {"model": MODELS[network], "problem": problem}
    values["others"] = ", ".join(f"{name} on node-{nodes[name]}" for name in names[1:])
    pods = join(*(pod(name, {"app": name}, port, node=f"node-{n}") for name, n in nodes.items()))
    return Scenario(values, pods, knobs={**THREE, "network": network, **broken}, questions={"reached": reached})


def t08_predict_pool(rng: random.Random) -> Scenario:
    app, prefix, nodes = rng.choice(APPS), rng.choice((28, 29, 29)), rng.choice((2, 3))
    size = 2 ** (32 - prefix)
    replicas = nodes * (size - 3) + rng.choice((-2, -1, 0, 1, 2, 3, 4))

    def count(status: str) -> Callable[[Cluster], int]:
        return lambda cluster: sum(p.obj["status"].get("phase") == status for p in cluster.snapshot.pods.values())

    values = {"app": app, "prefix": prefix, "nodes": nodes, "replicas": replicas, "size": size}
    questions = {"running": count("Running"), "waiting": count("Pending")}
    knobs = {**QUICK, "nodes": nodes, "node_prefix": prefix}
    return Scenario(values, deployment(app, {"app": app}, 8080, replicas), knobs=knobs, questions=questions)


def t08_drop_range(rng: random.Random) -> Scenario:
    (values, pods, _), case = _pair(rng), rng.choice(("own", "other", "taken"))
    last = 2 if case == "taken" else rng.randint(20, 250)
    printer = f"10.244.{values['here' if case == 'own' else 'there']}.{last}"
    values |= {"printer": printer, "case": case}
    knobs = {**THREE, "internet": Internet(hosts=(OutsideHost(printer, "printer", (631,)),))}
    return Scenario(values, pods, knobs=knobs, request=(values["client"], printer, 631))


def t08_explain_node(rng: random.Random) -> Scenario:
    values, _, _ = _pair(rng)
    host, nodes, labelled = rng.random() < 0.6, rng.random() < 0.5, rng.random() < 0.6
    values |= {"host": str(host).lower(), "cidr": "192.168.10.0/24" if nodes else "192.168.20.0/24"}
    values |= {"role": "scraper" if labelled else "guest"}
    options = mixed(rng, "scraper options", values)
    field = ("from[1]" if nodes else "podSelector") if host else ("from[0]" if labelled else "podSelector")
    request = (values["client"], f"pod/{values['server']}", values["port"])
    values |= {"field": field, "lines": options}
    knobs = {**THREE, "network": "routed"}
    return Scenario(values, cluster("scraper", values), knobs=knobs, request=request, options=options)


def t08_arrange_everywhere(rng: random.Random) -> Scenario:
    app, port, host = rng.choice(APPS), rng.choice(PORTS), rng.randint(7000, 7999)
    expect = tuple(_answers(app, host, node) for node in NODES)
    values = {"app": app, "port": port, "host": host}
    lines = draw.shuffled(rng, mixed(rng, "host-port lines", values), "kind: Deployment")
    return Scenario(values, "", expect, THREE, lines=lines)


def _answers(app: str, port: int, node: str) -> Fetches:
    """A Pod of an app answers on a port of a node."""
    name = f"{app} answers on port {port} of {node}"
    return Fetches("outside", f"-sS http://{NODES[node]}:{port}/", 200, f"{app}-", name)


def t08_write_agent(rng: random.Random) -> Scenario:
    agent, server, node = draw.numbered(rng, TEAMS), rng.choice(APPS), rng.choice(tuple(NODES))
    port, front = rng.choice(PORTS), rng.choice(SERVICE_PORTS)
    expect = (
        Prints("", f"get pod {agent} -o wide", f" {NODES[node]} ", f"Pod {agent} has the address of its node"),
        Connects("outside", NODES[node], port, server=agent, name=f"{agent} answers on port {port} of the node"),
        Connects(agent, server, front, name=f"{agent} reaches Service {server} by its name"),
    )
    values = {"agent": agent, "server": server, "node": node, "ip": NODES[node], "port": port, "front": front}
    manifests = join(pod(server, {"app": server}, port), service(server, {"app": server}, front, port))
    return Scenario(values, manifests, expect, {"nodes": 3})


def t08_repair_host_port(rng: random.Random) -> Scenario:
    (first, second), fault = several(rng, APPS, 2), rng.choice(("clash", "protocol", "ip"))
    (port, other), (old, new) = rng.sample(PORTS, 2), rng.sample(range(7000, 8000), 2)
    more = {"protocol": ", protocol: UDP", "ip": ", hostIP: 127.0.0.1"}.get(fault, "")
    given = cluster("host-port", {"app": second, "port": port, "host": old if fault == "clash" else new, "more": more})
    pods = cluster("host-port", {"app": first, "port": other, "host": old, "more": ""})
    expect = tuple(_answers(app, p, node) for app, p in ((first, old), (second, new)) for node in ("node-1", "node-2"))
    values = {"first": first, "second": second, "host": old, "new": new, "port": port, "fault": fault}
    return Scenario(values, pods, expect, QUICK, given=given, most=1, wait=70)  # old Pods end one after the other
