"""Model answers of 02-services, each computed from the values of a draw."""

from __future__ import annotations


def _service(name, namespace, spec):
    head = f"apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n  namespace: {namespace}\n"
    return f"{head}spec:\n" + "".join(f"  {line}\n" for line in spec)


def t02_predict_backends(values):
    behind = [name for name, kind in values["names"].items() if kind in ("both", "more")]
    return f"behind: {', '.join(behind)}\narrives: {values['inner']}"


def t02_predict_call(values):
    case = values["case"]
    if case == "headless":
        case = "fine" if values["called"] == values["port"] else "target"
    ends = {"fine": ("delivered", "none"), "target": ("refused", "socket"), "unlisted": ("timed out", "network")}
    outcome, station = ends.get(case, ("refused", "service"))
    return f"outcome: {outcome}\nstation: {station}"


def t02_arrange_service(values):
    return f"""\
apiVersion: v1
kind: Service
metadata:
  name: {values["name"]}
  namespace: {values["team"]}
spec:
  selector:
    {values["key"]}: {values["app"]}
  ports:
    - protocol: TCP
      port: {values["front"]}
      targetPort: {values["port"]}
"""


def t02_arrange_service_alternatives(values):
    name, team, port, front = (values[k] for k in ("name", "team", "port", "front"))
    label = f"{values['key']}: {values['app']}"
    meta, chosen = f"metadata:\n  namespace: {team}\n  name: {name}\n", f"  selector:\n    {label}\n"
    entry = f"  ports:\n  - protocol: TCP\n    targetPort: {port}\n    port: {front}\n"
    return [
        f"kind: Service\napiVersion: v1\n{meta}spec:\n{entry}{chosen}",
        f"spec:\n{chosen}{entry}{meta}apiVersion: v1\nkind: Service\n",
        f"apiVersion: v1\n{meta}kind: Service\nspec:\n{chosen.replace('    ', '          ')}{entry}",
    ]


def t02_write_service(values):
    return f"""\
apiVersion: v1
kind: Service
metadata:
  name: {values["app"]}
  namespace: {values["team"]}
spec:
  selector:
    app: {values["app"]}
    tier: {values["tier"]}
  ports:
    - port: {values["front"]}
      targetPort: {values["port"]}
"""


def t02_write_service_alternatives(values):
    app, tier, team, port, front = (values[k] for k in ("app", "tier", "team", "port", "front"))
    chosen = f"selector: {{tier: {tier}, app: {app}}}"

    def made(entry, *more):
        return _service(app, team, [chosen, f"ports: [{entry}]", *more])

    plain = f"{{port: {front}, targetPort: {port}}}"
    return [
        made(plain),
        made(f"{{name: http, protocol: TCP, port: {front}, targetPort: http}}"),
        made(plain, "type: NodePort"),
        made(plain, "sessionAffinity: ClientIP"),
        made(
            f"{{port: {front}, targetPort: {port}}}, {{name: metrics, port: 9, targetPort: metrics}}".replace(
                "{port", "{name: http, port", 1
            )
        ),
        made(plain, "publishNotReadyAddresses: true"),
        made(plain, "clusterIP: 10.96.200.200"),
        f"kubectl create service clusterip {app} -n {team} --tcp={front}:{port}\n" + made(plain),
        f"{{apiVersion: v1, kind: Service, metadata: {{name: {app}, namespace: {team}}}, spec: {{{chosen}, ports: [{plain}]}}}}",
        f"kubectl expose pod {app}-{tier}-1 -n {team} --name={app} --selector=app={app},tier={tier} --port={front} --target-port={port}",
    ]


def t02_write_ports(values):
    return f"""\
apiVersion: v1
kind: Service
metadata:
  name: {values["name"]}
  namespace: {values["team"]}
spec:
  selector:
    app: {values["name"]}
  ports:
    - name: requests
      port: {values["front"]}
      targetPort: {values["port"]}
    - name: news
      protocol: UDP
      port: {values["news"]}
      targetPort: {values["inner"]}
"""


def t02_write_ports_alternatives(values):
    name, team, front, news = (values[k] for k in ("name", "team", "front", "news"))
    entries = [f"{{name: b, protocol: UDP, port: {news}, targetPort: {values['inner']}}}"]
    entries += [f"{{name: a, protocol: TCP, port: {front}, targetPort: {values['port']}}}"]
    chosen = f"selector: {{app: {name}}}"
    return [
        _service(name, team, [chosen, f"ports: [{', '.join(entries)}]"]),
        _service(name, team, ["type: NodePort", chosen, f"ports: [{', '.join(reversed(entries))}]"]),
    ]


def t02_write_outside(values):
    return f"""\
apiVersion: v1
kind: Service
metadata:
  name: {values["name"]}
  namespace: {values["team"]}
spec:
  ports:
    - port: {values["front"]}
      targetPort: {values["port"]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {values["name"]}-outside
  namespace: {values["team"]}
  labels:
    kubernetes.io/service-name: {values["name"]}
addressType: IPv4
ports:
  - port: {values["port"]}
endpoints:
  - addresses: [{values["ip"]}]
"""


def t02_write_outside_alternatives(values):
    name, team, port, front, ip = (values[k] for k in ("name", "team", "port", "front", "ip"))
    entry = f"{{name: web, port: {front}, targetPort: 1}}"
    head = f"metadata: {{name: {name}-1, namespace: {team}, labels: {{kubernetes.io/service-name: {name}, a: b}}}}"
    named = f"kind: EndpointSlice\napiVersion: discovery.k8s.io/v1\n{head}\naddressType: IPv4\n"
    named += f"endpoints: [{{addresses: [{ip}], conditions: {{ready: true}}}}]\n"
    old = f"apiVersion: v1\nkind: Endpoints\nmetadata: {{name: {name}, namespace: {team}}}\n"
    old += f"subsets: [{{addresses: [{{ip: {ip}}}], ports: [{{port: {port}}}]}}]\n"
    plain = _service(name, team, [f"ports: [{{port: {front}}}]"])
    return [
        f"{named}ports: [{{name: web, port: {port}, protocol: TCP}}]\n---\n"
        + _service(name, team, [f"ports: [{entry}]"]),
        f"{plain}---\n{named}ports: [{{port: {port}}}]\n",
        f"{plain}---\n{old}",
    ]


def t02_repair_service(values):
    return f"""\
apiVersion: v1
kind: Service
metadata:
  name: {values["name"]}
  namespace: {values["team"]}
spec:
  selector: {{app: {values["app"]}, tier: {values["tier"]}}}
  ports:
    - {{port: {values["front"]}, targetPort: {values["right"]}}}
"""


def t02_repair_service_alternatives(values):
    name, app, tier, team, front = (values[k] for k in ("name", "app", "tier", "team", "front"))
    chosen, entry = (
        f"selector: {{tier: {tier}, app: {app}}}",
        f"targetPort: {values['right']}, port: {front}, protocol: TCP",
    )
    listed = f'[{{"port": {front}, "targetPort": "{values["right"]}"}}]'.replace(
        f'"{values["port"]}"', str(values["port"])
    )
    patch = f'{{"spec": {{"selector": {{"tier": "{tier}"}}, "ports": {listed}}}}}'
    return [
        _service(name, team, [f"ports: [{{{entry}}}]", chosen, "type: ClusterIP"]),
        _service(
            name, team, [chosen, f"ports: [{{{entry}}}]", "sessionAffinity: None", "internalTrafficPolicy: Cluster"]
        ),
        f"kubectl patch service {name} -n {team} --type=merge -p '{patch}'",
    ]


def t02_hunt_refused_probes(values):
    app, team = values["app"], values["team"]
    return (
        f"kubectl get endpointslices -n {team} -o yaml\nkubectl describe service {app} -n {team}\n"
        f"kubectl get deployment {app} -n {team} -o yaml"
    )


def t02_hunt_refused(values):
    app, team, port, fault = (values[k] for k in ("app", "team", "port", "fault"))
    if fault in ("selector", "target"):
        return _service(
            app, team, [f"selector: {{app: {app}}}", f"ports: [{{port: {values['front']}, targetPort: {port}}}]"]
        )
    probe = f", readinessProbe: {{tcpSocket: {{port: {port}}}}}" if fault == "probe" else ""
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {app}
  namespace: {team}
spec:
  replicas: 1
  selector:
    matchLabels: {{app: {app}}}
  template:
    metadata:
      annotations:
        k8snet.io/listen: "0.0.0.0:{port}"
      labels: {{app: {app}}}
    spec:
      containers: [{{name: app, image: example/app, ports: [{{containerPort: {port}}}]{probe}}}]
"""
