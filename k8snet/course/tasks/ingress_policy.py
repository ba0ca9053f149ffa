"""The draws of 05-ingress-policy: who may call whom, decided at the server's end."""

from __future__ import annotations

import random

from k8snet.course.draw import (
    APPS,
    PORTS,
    SERVICE_PORTS,
    TEAMS,
    flow,
    join,
    namespace,
    numbered,
    pod,
    service,
    several,
    shuffled,
)
from k8snet.course.expect import Connects, Matrix
from k8snet.course.task import Scenario

ROLES = ("frontend", "batch", "reporter", "gateway", "monitor", "importer")
KEYS = ("role", "tier", "access", "part")
QUICK = {"dns": False}


def policy(name: str, selector: dict[str, str], *rules: str, namespace: str = "", types: str = "Ingress") -> str:
    """A NetworkPolicy for ingress; each rule is its ``from`` and ``ports`` in YAML, indented as under ``ingress:``."""
    head = f"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: {name}\n"
    head += f"  namespace: {namespace}\n" if namespace else ""
    chosen = f"  podSelector:\n    matchLabels: {flow(selector)}\n" if selector else "  podSelector: {}\n"
    listed = "  ingress:\n" + "".join(f"    - {rule.strip()}\n" for rule in rules) if rules else ""
    return f"{head}spec:\n{chosen}  policyTypes: [{types}]\n{listed}"


def t05_allow_role(rng: random.Random) -> Scenario:
    server, other = several(rng, APPS, 2)
    key, team = rng.choice(KEYS), rng.choice(TEAMS)
    good, bad = several(rng, ROLES, 2)
    port, metrics = rng.sample(PORTS, 2)
    clients = {f"{good}-1": {key: good}, f"{bad}-1": {key: bad}, "visitor": {}}
    pods = (server, other, *clients, f"{team}/{good}-2")
    anyone = {(c, other) for c in pods} | {(c, s) for c in pods for s in pods[2:]}
    manifests = join(
        namespace(team),
        pod(server, {"app": server}, ports={"web": port, "metrics": metrics}),
        pod(other, {"app": other}, port),
        *(pod(name, labels) for name, labels in clients.items()),
        pod(f"{good}-2", {key: good}, namespace=team),
    )
    return Scenario(
        {"server": server, "other": other, "key": key, "good": good, "team": team, "port": port, "metrics": metrics},
        manifests,
        (
            Matrix(pods, anyone | {(f"{good}-1", server)}, port),
            Matrix((server,), (), metrics, clients=pods[1:]),
        ),
        QUICK,
    )


def t05_own_namespace(rng: random.Random) -> Scenario:
    home, away = numbered(rng, TEAMS), numbered(rng, TEAMS)
    first, second, third = several(rng, APPS, 3)
    port = rng.choice(PORTS)
    inside = (f"{home}/{first}", f"{home}/{second}")
    pods = (*inside, f"{away}/{third}", f"{away}/{first}")
    open_to_all = {(c, s) for c in pods for s in pods if s not in inside}
    manifests = join(
        namespace(home, {"team": home}),
        namespace(away, {"team": away}),
        *(pod(name, {"app": name}, port, namespace=home) for name in (first, second)),
        *(pod(name, {"app": name}, port, namespace=away) for name in (third, first)),
    )
    return Scenario(
        {"home": home, "away": away, "first": first, "port": port},
        manifests,
        (Matrix(pods, open_to_all | {inside, (inside[1], inside[0])}, port),),
        QUICK,
    )


def t05_repair_peer(rng: random.Random) -> Scenario:
    server, caller = several(rng, APPS, 2)
    team, away = numbered(rng, TEAMS), numbered(rng, TEAMS)
    good, bad = several(rng, ROLES, 2)
    port, front = rng.choice(PORTS), rng.choice(SERVICE_PORTS)
    fault = rng.choice(("dash", "label", "port", "target"))
    entry = f"- namespaceSelector:\n            matchLabels: {{team: {team}}}\n        {'- ' if fault == 'dash' else '  '}podSelector:\n"
    entry += f"            matchLabels: {{role: {bad if fault == 'label' else good}}}\n"
    rule = f"from:\n        {entry}      ports:\n        - port: {front if fault == 'port' else port}"
    given = policy(f"{server}-callers", {"app": caller if fault == "target" else server}, rule)
    pods = (server, f"{team}/{good}-1", f"{team}/{bad}-1", f"{away}/{good}-2", f"{good}-3")
    manifests = join(
        namespace(team, {"team": team}),
        namespace(away, {"team": away}),
        pod(server, {"app": server}, port),
        service(server, {"app": server}, front, port),
        pod(f"{good}-1", {"role": good}, namespace=team),
        pod(f"{bad}-1", {"role": bad}, namespace=team),
        pod(f"{good}-2", {"role": good}, namespace=away),
        pod(f"{good}-3", {"role": good}),
    )
    allowed = {(c, s) for c in pods for s in pods[1:]} | {(f"{team}/{good}-1", server)}
    names = {"server": server, "team": team, "good": good, "port": port, "front": front}
    return Scenario(names, manifests, (Matrix(pods, allowed, port),), QUICK, given=given, most=1)


def t05_arrange_callers(rng: random.Random) -> Scenario:
    server, other = several(rng, APPS, 2)
    good, bad = several(rng, ROLES, 2)
    port, front = rng.choice(PORTS), rng.choice(SERVICE_PORTS)
    lines = (
        "- from:", "- podSelector:", f"- port: {port}", "apiVersion: networking.k8s.io/v1", f"app: {server}", "ingress:",
        "kind: NetworkPolicy", "matchLabels:", "matchLabels:", "metadata:", f"name: {server}-callers", "podSelector:",
        "policyTypes: [Ingress]", "ports:", f"role: {good}", "spec:",
    )  # fmt: skip
    manifests = join(
        pod(server, {"app": server}, port),
        pod(other, {"app": other}, port),
        service(server, {"app": server}, front, port),
        pod(f"{good}-1", {"role": good}),
        pod(f"{bad}-1", {"role": bad}),
    )
    pods = (server, other, f"{good}-1", f"{bad}-1")
    allowed = {(c, s) for c in pods for s in pods[1:]} | {(f"{good}-1", server)}
    names = {"server": server, "good": good, "port": port, "front": front}
    return Scenario(
        names, manifests, (Matrix(pods, allowed, port),), QUICK, lines=shuffled(rng, lines, f"- port: {front}")
    )


def t05_matrix_policies(rng: random.Random) -> Scenario:
    first, second, third = several(rng, APPS, 3)
    good, port = rng.choice(ROLES), rng.choice(PORTS)
    loose = rng.random() < 0.5
    who = f"matchLabels: {{role: {good}}}"
    peers = f"- podSelector:\n            {who}"
    peers += f"\n        - podSelector:\n            matchLabels: {{app: {third}}}" if loose else ""
    manifests = join(
        pod(first, {"app": first}, port),
        pod(second, {"app": second}, port),
        pod(third, {"app": third}, port),
        pod(f"{good}-1", {"role": good}),
        policy(f"{first}-callers", {"app": first}, f"from:\n        {peers}"),
        policy(
            f"{second}-callers",
            {"app": second},
            *((f"ports:\n        - port: {port + 1}",) if rng.random() < 0.5 else ()),
        ),
        policy(
            f"{first}-more",
            {"app": first},
            f"from:\n        - podSelector:\n            matchLabels: {{app: {second}}}",
        ),
    )
    pods = (first, second, third, f"{good}-1")
    values = {"first": first, "second": second, "third": third, "client": f"{good}-1", "loose": loose}
    return Scenario(values, manifests, knobs=QUICK, pods=pods, port=port)


def t05_predict_dash(rng: random.Random) -> Scenario:
    server, (team, away) = rng.choice(APPS), several(rng, TEAMS, 2)
    good, bad = several(rng, ROLES, 2)
    port = rng.choice(PORTS)
    wanted, passes = rng.choice(("blocked", "refused", "delivered")), None
    while passes is not (wanted != "blocked"):
        two_entries, has_role = rng.random() < 0.5, rng.random() < 0.5
        home, role = rng.choice((team, away, "default")), good if has_role else bad
        passes = (home == team or (has_role and home == "default")) if two_entries else (home == team and has_role)
    listens = wanted != "refused"
    rule = f"from:\n        - namespaceSelector:\n            matchLabels: {{team: {team}}}\n"
    rule += f"        {'-' if two_entries else ' '} podSelector:\n            matchLabels: {{role: {good}}}"
    manifests = join(
        namespace(team, {"team": team}),
        namespace(away, {"team": away}),
        pod(server, {"app": server}, port if listens else port + 1),
        pod(f"{role}-1", {"role": role}, namespace=home),
        policy(f"{server}-callers", {"app": server}, rule),
    )
    values = {"client": f"{home}/{role}-1", "server": server, "port": port, "two_entries": two_entries}
    values |= {"has_role": has_role, "in_team": home == team, "at_home": home == "default", "listens": listens}
    return Scenario(values, manifests, knobs=QUICK, request=(f"{home}/{role}-1", f"pod/{server}", port))


def t05_explain_entry(rng: random.Random) -> Scenario:
    server = rng.choice(APPS)
    first, second, third, stranger = several(rng, ROLES, 4)
    team, port = rng.choice(TEAMS), rng.choice(PORTS)
    caller = rng.choice((first, second, third, stranger))
    peers = [f"- podSelector:\n            matchLabels: {{role: {role}}}" for role in (first, second, third)]
    first_rule = f"from:\n        {peers[0]}\n        {peers[1]}\n      ports:\n        - port: {port}"
    name, ref = f"{server}-callers", f"networkpolicy/default/{server}-callers"
    manifests = join(
        pod(server, {"app": server}, port),
        pod(f"{caller}-1", {"role": caller, "team": team}),
        policy(name, {"app": server}, first_rule, f"from:\n        {peers[2]}"),
    )
    options = [
        f"{ref} spec.ingress[0].from[0] — its first rule lets role={first} in",
        f"{ref} spec.ingress[0].from[1] — its first rule lets role={second} in",
        f"{ref} spec.ingress[1].from[0] — its second rule lets role={third} in",
        f"{ref} spec.podSelector — it isolates {server}, and none of its rules matches",
        f"no rule — no policy isolates {server}",
    ]
    rng.shuffle(options)
    which = {first: "ingress[0].from[0]", second: "ingress[0].from[1]", third: "ingress[1].from[0]"}
    values = {"server": server, "client": f"{caller}-1", "port": port, "options": options}
    values["field"] = which.get(caller, "podSelector")
    return Scenario(
        {**values, "options": "\n".join(f"{n}. {o}" for n, o in enumerate(options, 1))},
        manifests, knobs=QUICK, request=(f"{caller}-1", f"pod/{server}", port), options=tuple(options),
    )  # fmt: skip


def t05_drop_where(rng: random.Random) -> Scenario:
    server = rng.choice(APPS)
    good, bad = several(rng, ROLES, 2)
    port, front = rng.choice(PORTS), rng.choice(SERVICE_PORTS)
    nodes = rng.sample(("node-1", "node-2", "node-3"), 2)
    fault = rng.choice(("role", "port", "selector", "socket"))
    rule = f"from:\n        - podSelector:\n            matchLabels: {{role: {good}}}\n"
    rule += f"      ports:\n        - port: {front if fault == 'port' else port}"
    role = bad if fault == "role" else good
    manifests = join(
        pod(server, {"app": server}, port + 1 if fault == "socket" else port, node=nodes[1]),
        service(server, {"app": f"{server}-v2" if fault == "selector" else server}, front, port),
        pod(f"{role}-1", {"role": role}, node=nodes[0]),
        policy(f"{server}-callers", {"app": server}, rule),
    )
    values = {"server": server, "client": f"{role}-1", "front": front, "port": port, "fault": fault}
    return Scenario(
        {**values, "here": nodes[0], "there": nodes[1]},
        manifests, knobs={**QUICK, "nodes": 3}, request=(f"{role}-1", f"service/{server}", front),
    )  # fmt: skip


def t05_hunt_silence(rng: random.Random) -> Scenario:
    server, other = several(rng, APPS, 2)
    good, bad = several(rng, ROLES, 2)
    port, front = rng.choice(PORTS), rng.choice(SERVICE_PORTS)
    fault = rng.choice(("extra", "label", "port"))
    rule = f"from:\n        - podSelector:\n            matchLabels: {{role: {bad if fault == 'label' else good}}}\n"
    rule += f"      ports:\n        - port: {front if fault == 'port' else port}"
    quiet = policy("quiet-hours", {} if fault == "extra" else {"app": server})
    named = policy(f"{server}-callers", {"app": other if fault == "extra" else server}, rule)
    manifests = join(
        pod(server, {"app": server}, port),
        pod(other, {"app": other}, port),
        service(server, {"app": server}, front, port),
        pod(f"{good}-1", {"role": good}),
        pod(f"{bad}-1", {"role": bad}),
    )
    values = {"server": server, "good": good, "bad": bad, "front": front, "port": port, "fault": fault}
    expect = (
        Connects(f"{good}-1", f"service/{server}", front, name=f"{good}-1 gets an answer from the Service {server}"),
        Connects(f"{bad}-1", f"pod/{server}", port, "timed out", name=f"{bad}-1 still does not"),
        Connects(other, f"pod/{server}", port, "timed out", name=f"{other} still does not"),
    )
    return Scenario(values, manifests, expect, given=join(quiet, named), most=5, edits=3)
