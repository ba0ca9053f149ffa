"""Model answers of 03-data-path, each computed from the values of a draw."""

from __future__ import annotations


def _service(name, namespace, *spec):
    head = f"apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n  namespace: {namespace}\n"
    return f"{head}spec:\n" + "".join(f"  {line}\n" for line in spec)


def t03_predict_path(values):
    ends = {
        "pod": (values["here"], values["client"]),
        "self": (values["there"], values["there"]),
        "node": (values["here"], values["here"]),
        "door": (values["door"], values["door"]),
        "local": (values["there"], "outside"),
    }
    found = [(n, *ends[kind]) for n, kind in enumerate(values["kinds"], 1)]
    return "\n".join(f"where-{n}: {where}\nseen-{n}: {seen}" for n, where, seen in found)


def t03_predict_odd(values):
    if values["called"] == values["front"]:
        ends = "outcome: delivered\nstation: none"
    elif values["mode"] == "nftables":
        ends = "outcome: refused\nstation: service"
    else:
        ends = "outcome: timed out\nstation: network"
    return f"{ends}\nping: {'yes' if values['pinged'] == 'Pod' else 'no'}"


def t03_predict_open(values):
    case, first, second = values["case"], values["first"], values["second"]
    new = second if case in ("label", "selector", "pod") else "nobody"
    return f"next: {'nobody' if case == 'pod' else first}\nnew: {new}"


def t03_arrange_sticky(values):
    return f"""\
apiVersion: v1
kind: Service
metadata:
  name: {values["name"]}
spec:
  selector:
    app: {values["app"]}
  ports:
    - port: {values["front"]}
      targetPort: {values["port"]}
  sessionAffinity: ClientIP
  sessionAffinityConfig:
    clientIP:
      timeoutSeconds: {values["seconds"]}
"""


def t03_arrange_sticky_alternatives(values):
    lines = t03_arrange_sticky(values).splitlines()
    head, chosen, ports, affinity = lines[:4], lines[5:7], lines[7:10], lines[10:]
    return [
        "\n".join(["spec:", *affinity, *ports, *chosen, *head]),
        "\n".join([*head, "spec:", *ports, *affinity, *chosen]),
    ]


def t03_write_local(values):
    return f"""\
apiVersion: v1
kind: Service
metadata:
  name: {values["name"]}
  namespace: {values["team"]}
spec:
  selector:
    app: {values["app"]}
  internalTrafficPolicy: Local
  ports:
    - port: {values["front"]}
      targetPort: {values["port"]}
"""


def t03_write_local_alternatives(values):
    name, team, app, port, front = (values[k] for k in ("name", "team", "app", "port", "front"))
    chosen, entry = f"selector: {{app: {app}}}", f"{{port: {front}, targetPort: {port}}}"
    local = "internalTrafficPolicy: Local"
    return [
        _service(name, team, local, f"ports: [{entry}]", chosen),
        _service(name, team, "type: NodePort", local, chosen, f"ports: [{entry}]"),
        _service(name, team, "type: NodePort", "externalTrafficPolicy: Local", local, chosen, f"ports: [{entry}]"),
        _service(name, team, local, chosen, f"ports: [{{name: logs, protocol: TCP, {entry[1:-1]}}}]"),
        _service(name, team, local, chosen, "sessionAffinity: ClientIP", f"ports: [{entry}]"),
        _service(name, team, local, chosen, "publishNotReadyAddresses: true", f"ports: [{entry}]"),
        _service(name, team, local, chosen, "clusterIP: 10.96.77.77", f"ports: [{entry}]"),
        _service(
            name,
            team,
            local,
            chosen,
            f"ports: [{{name: a, {entry[1:-1]}}}, {{name: b, port: 9999, targetPort: {port}}}]",
        ),
        _service(name, team, local, chosen, "ipFamilyPolicy: SingleStack", f"ports: [{entry}]"),
        f"{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: {team}}}, spec: {{{local}, {chosen}, ports: [{entry}]}}}}",
    ]


def t03_repair_spread(values):
    return f"""\
apiVersion: v1
kind: Service
metadata:
  name: {values["name"]}
  namespace: {values["team"]}
spec:
  selector:
    app: {values["app"]}
  ports:
    - port: {values["front"]}
      targetPort: http
"""


def t03_repair_spread_alternatives(values):
    name, team, app, front = (values[k] for k in ("name", "team", "app", "front"))
    entry = f"ports: [{{port: {front}, targetPort: http}}]"
    return [
        _service(
            name, team, entry, f"selector: {{app: {app}}}", "internalTrafficPolicy: Cluster", "sessionAffinity: None"
        ),
        f"kubectl patch service {name} -n {team} --type=merge -p '"
        f'{{"spec": {{"internalTrafficPolicy": "Cluster", "sessionAffinity": "None", "sessionAffinityConfig": null, '
        f'"selector": {{"app": "{app}", "copy": null}}, "ports": [{{"port": {front}, "targetPort": "http"}}]}}}}\'',
    ]


def t03_drop_where(values):
    closed = values["fault"] == "closed"
    return f"station: {'socket' if closed else 'service'}\nnode: {values['there' if closed else 'here']}"


def t03_hunt_sometimes_probes(values):
    team, app = values["team"], values["app"]
    own = "\n".join(f"{team}/{app}-{n}$ ss -ltn" for n in range(3))
    return f"kubectl get pods -n {team} -l app={app} -o wide\n{own}"


def t03_hunt_sometimes(values):
    team, app = values["team"], values["app"]
    if values["fault"] == "stranger":
        return f"kubectl label pod {values['other']} -n {team} app={values['other']} --overwrite"
    return f"kubectl annotate pod {app}-{values['bad']} -n {team} --overwrite k8snet.io/listen={values['port']}"
