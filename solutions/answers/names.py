"""Model answers of 04-dns, each computed from the values of a draw."""

from __future__ import annotations


def _service(name, namespace, *spec):
    head = f"apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n  namespace: {namespace}\n"
    return f"{head}spec:\n" + "".join(f"  {line}\n" for line in spec)


def _candidates(name, namespace, ndots, known):
    """How many names a glibc resolver asks until one is known."""
    endings = [f"{namespace}.svc.cluster.local", "svc.cluster.local", "cluster.local"]
    listed = [f"{name}.{ending}" for ending in endings]
    if name.endswith("."):
        listed = [name[:-1]]
    elif name.count(".") >= ndots:
        listed = [name, *listed]
    else:
        listed = [*listed, name]
    return next((n for n, full in enumerate(listed, 1) if full in known), len(listed))


def t04_predict_candidates(values):
    known = {f"{values['app']}.{team}.svc.cluster.local" for team in (values["home"], values["away"])}
    known |= {"example.com", "api.example.com"}
    counts = [_candidates(name, values["home"], values["ndots"], known) for name in values["names"]]
    return "\n".join(f"name-{n}: {count}" for n, count in enumerate(counts, 1))


def t04_predict_who(values):
    app, home, away, name = (values[k] for k in ("app", "home", "away", "name"))
    here = {app, f"{app}.{home}"}
    there = {f"{app}.{away}", f"{app}.{away}.svc", f"{app}.{away}.svc.cluster.local"}
    if name in there or (name in here and values["twin"]):
        return f"outcome: delivered\nstation: none\nanswering: {away if name in there else home}"
    return "outcome: name not found\nstation: name\nanswering: nobody"


def t04_predict_records(values):
    app, other, ready, unready = (values[k] for k in ("app", "other", "ready", "unready"))
    counts = {
        app: 1,
        other: 1,
        f"{app}-each": ready,
        f"{app}-alias": ready,
        f"{app}-all": ready + unready,
        f"{other}-each": 0,
    }
    return "\n".join(f"{name}: {counts[name]}" for name in values["names"])


def t04_arrange_agent(values):
    return f"""\
apiVersion: v1
kind: Pod
metadata:
  name: {values["name"]}
  namespace: {values["team"]}
spec:
  hostNetwork: true
  dnsPolicy: ClusterFirstWithHostNet
  containers:
    - name: agent
      image: {values["image"]}
"""


def t04_arrange_agent_alternatives(values):
    model = t04_arrange_agent(values)
    head, _, spec = model.partition("spec:\n")
    lines = spec.splitlines(keepends=True)
    return [
        f"spec:\n{spec}{head}",
        f"{head}spec:\n{''.join(lines[2:] + lines[:2])}",
        model.replace("    - ", "  - ").replace("      i", "    i"),
    ]


def t04_write_peers(values):
    return f"""\
apiVersion: v1
kind: Service
metadata:
  name: {values["group"]}
  namespace: {values["team"]}
spec:
  clusterIP: None
  selector:
    part: {values["app"]}
  ports:
    - port: {values["port"]}
"""


def t04_write_peers_alternatives(values):
    group, team, app, port = (values[k] for k in ("group", "team", "app", "port"))
    none, chosen, entry = "clusterIP: None", f"selector: {{part: {app}}}", f"ports: [{{port: {port}}}]"
    return [
        _service(group, team, entry, chosen, none),
        _service(group, team, none, chosen),
        _service(group, team, none, chosen, "ports: [{port: 80, targetPort: 1}]"),
        _service(group, team, none, chosen, "publishNotReadyAddresses: true", entry),
        _service(group, team, none, chosen, f"ports: [{{name: peer, protocol: TCP, port: {port}}}]"),
        _service(group, team, none, chosen, f"ports: [{{name: a, port: {port}}}, {{name: b, port: 81}}]"),
        _service(group, team, none, chosen, "type: ClusterIP", entry),
        _service(group, team, none, chosen, "clusterIPs: [None]", entry),
        _service(group, team, none, f"selector: {{\"part\": '{app}'}}", entry),
        f"{{apiVersion: v1, kind: Service, metadata: {{name: {group}, namespace: {team}}}, spec: {{{none}, {chosen}, {entry}}}}}",
    ]


def t04_write_ndots(values):
    return f"""\
apiVersion: v1
kind: Pod
metadata:
  name: {values["name"]}
  namespace: {values["team"]}
spec:
  containers:
    - name: app
      image: debian
  dnsConfig:
    options:
      - name: ndots
        value: "2"
"""


def t04_write_ndots_alternatives(values):
    model, name, team = t04_write_ndots(values), values["name"], values["team"]
    own = f"searches: [{team}.svc.cluster.local, svc.cluster.local, cluster.local]"
    return [
        model.replace("image: debian", "image: nginx"),
        model.replace("    options:", "    searches: [example.org]\n    options:"),
        model.replace("spec:", "spec:\n  dnsPolicy: ClusterFirst"),
        model.replace("      - name: ndots", "      - name: timeout\n        value: '1'\n      - name: ndots"),
        model.replace("  dnsConfig:", f"  dnsPolicy: None\n  dnsConfig:\n    nameservers: [10.96.0.10]\n    {own}"),
        f"{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: {team}}}, spec: {{containers: [{{name: a, image: ubuntu}}], "
        'dnsConfig: {options: [{name: ndots, value: "2"}]}}}',
    ]


def t04_repair_alias(values):
    return f"""\
apiVersion: v1
kind: Service
metadata:
  name: {values["alias"]}
  namespace: {values["home"]}
spec:
  type: ExternalName
  externalName: {values["app"]}.{values["away"]}.svc.cluster.local
  ports:
    - port: {values["front"]}
"""


def t04_repair_alias_alternatives(values):
    alias, app, home, away, front = (values[k] for k in ("alias", "app", "home", "away", "front"))
    full = f"{app}.{away}.svc.cluster.local"
    return [
        _service(alias, home, f"ports: [{{port: {front}}}]", f"externalName: {full}", "type: ExternalName"),
        f'kubectl patch service {alias} -n {home} -p \'{{"spec": {{"externalName": "{full}"}}}}\'',
        _service(alias, home, f"ports: [{{port: {front}}}]", f"externalName: {full}.", "type: ExternalName"),
    ]


def t04_hunt_lost_probes(values):
    team = values["team"]
    return (
        f"{team}/client$ nslookup kubernetes.default\nkubectl get endpointslices -A\nkubectl get services -n {team} -o yaml\n"
        f"kubectl get pods -n {team} -o yaml --show-labels\nkubectl get service kube-dns -n kube-system -o yaml"
    )


def t04_hunt_lost(values):
    app, team, port, fault = (values[k] for k in ("app", "team", "port", "fault"))
    if fault == "dns":
        return 'kubectl patch service kube-dns -n kube-system -p \'{"spec": {"selector": {"k8s-app": "kube-dns"}}}\''
    if fault == "selector":
        return f'kubectl patch service {app} -n {team} -p \'{{"spec": {{"selector": {{"app": "{app}"}}}}}}\''
    return f"""\
kubectl delete pod {app}-0 -n {team} --force --grace-period=0
apiVersion: v1
kind: Pod
metadata:
  name: {app}-0
  namespace: {team}
  labels: {{app: {app}}}
spec:
  hostname: {app}-0
  subdomain: {app}
  containers: [{{name: app, image: example/app, ports: [{{containerPort: {port}}}]}}]
"""
