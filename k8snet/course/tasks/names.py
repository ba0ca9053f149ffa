"""The draws of 04-dns: which names exist, what the resolver makes of a short one, and what a Pod is told to ask."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial

from k8snet.cluster import Cluster
from k8snet.course import draw
from k8snet.course.draw import APPS, PORTS, SERVICE_PORTS, TEAMS, join, namespace, numbered, pod, service, several
from k8snet.course.expect import Connects, Goal, Holds, connect
from k8snet.course.task import Scenario
from k8snet.course.tasks.model import owner
from k8snet.course.tasks.services import probed


@dataclass(frozen=True)
class Leads:
    """A name gives the addresses of these Pods and no others, after asking for at most ``most`` candidates."""

    client: str
    name: str
    pods: Collection[str]
    most: int = 9

    def goals(self, cluster: Cluster) -> Iterator[Goal]:
        """One goal for the addresses, one for the candidates if they are limited."""
        look = cluster.pod(self.client).resolve(self.name)
        found = sorted(owner(cluster, ip) or ip for ip in look.addresses)
        why = f"{self.name}, asked from {self.client}, gives {', '.join(found) or look.result}:\n{look}"
        met = found == sorted(self.pods)
        yield Goal(f"{self.name} is found", float(met), "" if met else why, look.trace)
        if self.most < 9:
            met = met and len(look.tried) <= self.most
            yield Goal(f"{self.name} takes {self.most} candidate(s)", float(met), "" if met else why, look.trace)


def tried(cluster: Cluster, client: str, name: str) -> int:
    """How many candidates are asked for a name."""
    return len(cluster.pod(client).resolve(name).tried)


def answers(cluster: Cluster, client: str, name: str) -> int:
    """How many addresses a name gives."""
    return len(cluster.pod(client).resolve(name).addresses)


LOST_DNS = """
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec: {selector: {k8s-app: coredns}}
"""


def named(text: str, hostname: str, subdomain: str) -> str:
    """A Pod with a host name below a subdomain."""
    return text.replace("spec:\n", f"spec:\n  hostname: {hostname}\n  subdomain: {subdomain}\n")


def t04_predict_candidates(rng: random.Random) -> Scenario:
    (app, missing, client), (home, away) = several(rng, APPS, 3), several(rng, TEAMS, 2)
    ndots, front = rng.choice((5, 5, 2)), rng.choice(SERVICE_PORTS)
    full = f"{app}.{away}.svc.cluster.local"
    forms = (app, missing, f"{app}.{home}", f"{app}.{away}", f"{app}.{away}.svc", full, f"{full}.", "example.com",
             "api.example.com")  # fmt: skip
    names = rng.sample(forms, 4)
    line = f"  dnsConfig:\n    options: [{{name: ndots, value: '{ndots}'}}]\n" if ndots != 5 else ""
    manifests = join(
        namespace(home),
        namespace(away),
        pod(client, namespace=home).replace("spec:\n", "spec:\n" + line),
        *(service(app, {"app": app}, front, namespace=team) for team in (home, away)),
    )
    told = "\n".join(f"- `name-{n}`: {name}" for n, name in enumerate(names, 1))
    values = {"app": app, "home": home, "away": away, "client": client, "ndots": ndots, "names": names, "told": told}
    asked = {f"name-{n}": partial(tried, client=f"{home}/{client}", name=name) for n, name in enumerate(names, 1)}
    return Scenario(values, manifests, questions=asked)


def t04_predict_who(rng: random.Random) -> Scenario:
    (app, client), (home, away) = several(rng, APPS, 2), several(rng, TEAMS, 2)
    port, front, twin = rng.choice(PORTS), rng.choice(SERVICE_PORTS), rng.random() < 0.5
    ends = "", "", f".{home}", f".{away}", f".{away}.svc", f".{away}.svc.cluster.local", f".{away}.cluster.local", "-1"
    name, places = app + rng.choice(ends), (home, away) if twin else (away,)
    manifests = join(
        namespace(home),
        namespace(away),
        pod(client, namespace=home),
        *(pod(f"{app}-1", {"app": app}, port, namespace=team) for team in (home, away)),
        *(service(app, {"app": app}, front, port, namespace=team) for team in places),
    )

    def answering(cluster: Cluster) -> str:
        return connect(cluster, f"{home}/{client}", name, front).outcome.server.partition("/")[0] or "nobody"

    values = {"app": app, "client": client, "home": home, "away": away, "name": name, "front": front, "twin": twin}
    return Scenario(values, manifests, request=(f"{home}/{client}", name, front), questions={"answering": answering})


def t04_predict_records(rng: random.Random) -> Scenario:
    (app, other, client), (port, closed) = several(rng, APPS, 3), rng.sample(PORTS, 2)
    ready, unready, front = rng.randrange(1, 4), rng.randrange(1, 3), rng.choice(SERVICE_PORTS)
    headless = partial(service, port=front, target=port, clusterIP="None")
    target = {"externalName": f"{app}-each.default.svc.cluster.local"}
    kinds = {
        app: service(app, {"app": app}, front, port),
        other: service(other, {"app": other}, front, port),
        f"{app}-each": headless(f"{app}-each", {"app": app}),
        f"{app}-all": headless(f"{app}-all", {"app": app}, publishNotReadyAddresses=True),
        f"{other}-each": headless(f"{other}-each", {"app": other}),
        f"{app}-alias": service(f"{app}-alias", {}, front, type="ExternalName", **target),
    }
    names = rng.sample(sorted(kinds), 4)
    made = dict.fromkeys((*names, f"{app}-each") if f"{app}-alias" in names else names)
    pods = [pod(f"{app}-{n}", {"app": app}, port) for n in range(ready + unready)]
    pods = [probed(text, closed) if n >= ready else text for n, text in enumerate(pods)]
    values = {"app": app, "other": other, "client": client, "ready": ready, "unready": unready, "names": names}
    return Scenario({**values, "closed": closed}, join(*pods, pod(client), *(kinds[n] for n in made)),
                    questions={name: partial(answers, client=client, name=name) for name in names})  # fmt: skip


def t04_arrange_agent(rng: random.Random) -> Scenario:
    name, app, team, image = numbered(rng, APPS), rng.choice(APPS), rng.choice(TEAMS), rng.choice(("debian", "ubuntu"))
    port, front = rng.choice(PORTS), rng.choice(SERVICE_PORTS)
    lines = (
        "- name: agent", "apiVersion: v1", "containers:", "dnsPolicy: ClusterFirstWithHostNet", "hostNetwork: true",
        f"image: {image}", "kind: Pod", "metadata:", f"name: {name}", f"namespace: {team}", "spec:",
    )  # fmt: skip
    manifests = join(namespace(team), pod(app, {"app": app}, port), service(app, {"app": app}, front, port))
    expect = (
        Connects(f"{team}/{name}", f"{app}.default", front, server=app, name=f"it reaches {app}.default by name"),
        Holds("Pod", f"{team}/{name}", {"spec.hostNetwork": True}),
    )
    extra = rng.choice(("dnsPolicy: Default", "dnsPolicy: ClusterFirst", "clusterIP: None"))
    return Scenario({"name": name, "app": app, "team": team, "image": image, "front": front}, manifests, expect,
                    lines=draw.shuffled(rng, lines, extra))  # fmt: skip


def t04_write_peers(rng: random.Random) -> Scenario:
    group, app, team, port = numbered(rng, TEAMS), rng.choice(APPS), rng.choice(TEAMS), rng.choice(PORTS)
    names = [f"{app}-{n}" for n in range(2)]
    pods = [named(pod(n, {"part": app}, port, namespace=team), n, group) for n in names]
    wanted = {group: names, **{f"{name}.{group}": [name] for name in names}}
    expect = tuple(Leads(f"{team}/client", name, pods) for name, pods in wanted.items())
    values = {"group": group, "app": app, "team": team, "port": port, "one": names[0], "two": names[1]}
    return Scenario(values, join(namespace(team), *pods, pod("client", {"part": "client"}, namespace=team)), expect)


def t04_write_ndots(rng: random.Random) -> Scenario:
    name, team, app = numbered(rng, APPS), rng.choice(TEAMS), rng.choice(APPS)
    front, port = rng.choice(SERVICE_PORTS), rng.choice(PORTS)
    manifests = join(namespace(team), pod(f"{app}-0", {"app": app}, port),
                     service(app, {"app": app}, front, port, clusterIP="None"))  # fmt: skip
    expect = (
        Leads(f"{team}/{name}", "api.example.com", ["203.0.113.201"], 1),
        Leads(f"{team}/{name}", f"{app}.default", [f"{app}-0"], 2),
    )
    return Scenario({"name": name, "team": team, "app": app, "front": front}, manifests, expect)


def t04_repair_alias(rng: random.Random) -> Scenario:
    alias, app, (home, away) = numbered(rng, APPS), rng.choice(APPS), several(rng, TEAMS, 2)
    port, front = rng.choice(PORTS), rng.choice(SERVICE_PORTS)
    wrong = rng.choice((f"{app}.{away}", f"{away}.{app}.svc.cluster.local", f"{app}.{away}.cluster.local",
                        f"{app}.{home}.svc.cluster.local", f"{app}.{away}.svc.cluster.locale"))  # fmt: skip
    given = service(alias, {}, front, namespace=home, type="ExternalName", externalName=wrong)
    manifests = join(
        namespace(home),
        namespace(away),
        pod(f"{app}-1", {"app": app}, port, namespace=away),
        service(app, {"app": app}, front, port, namespace=away),
        pod("client", namespace=home),
    )
    expect = (Connects(f"{home}/client", alias, front, server=f"{away}/{app}-1", name=f"{alias} leads to {app}"),)
    values = {"alias": alias, "app": app, "home": home, "away": away, "front": front}
    return Scenario(values, manifests, expect, given=given, most=1)


def t04_hunt_lost(rng: random.Random) -> Scenario:
    app, team, (port, closed) = rng.choice(APPS), numbered(rng, TEAMS), rng.sample(PORTS, 2)
    name, fault = f"{app}-0", rng.choice(("dns", "probe", "group", "selector"))
    server = named(pod(name, {"app": app}, port, namespace=team), name, f"{app}s" if fault == "group" else app)
    server = probed(server, closed) if fault == "probe" else server
    chosen = {"app": name if fault == "selector" else app}
    given = service(app, chosen, port, clusterIP="None", namespace=team), LOST_DNS if fault == "dns" else ""
    expect = (Connects(f"{team}/client", f"{name}.{app}", port, server=f"{team}/{name}", name=f"{name} is found"),)
    return Scenario({"app": app, "team": team, "port": port, "fault": fault},
                    join(namespace(team), server, pod("client", namespace=team)), expect,
                    given=join(*given), most=5, edits=5)  # fmt: skip
