"""Model answers of 08-under-the-hood, each computed from the values of a draw."""

from __future__ import annotations


def t08_predict_wire(values):
    pods, nodes = ([f"{net}{values[end]}{tail}" for end in ("here", "there")] for net, tail in (("10.244.", ".2"), ("192.168.10.1", "")))
    if values["target"] == "203.0.113.200":
        return f"source: {nodes[0]}\ndestination: 203.0.113.200\nseen: {nodes[0]}"
    wire = nodes if values["network"] == "overlay" else pods
    return f"source: {wire[0]}\ndestination: {wire[1]}\nseen: {pods[0]}"


def t08_predict_mtu(values):
    room = values["link"] - (50 if values["network"] == "overlay" else 0)
    fits = values["mtu"] <= room
    return f"big: {'delivered' if fits else 'timed out'}\nlargest: {min(values['mtu'], room)}"


def t08_predict_routes(values):
    same, home, lost = values["names"][values["home"]], values["home"], values["lost"]
    if values["network"] == "bridge":
        reached = values["names"][1:]
    elif values["network"] == "overlay" or lost == home:
        reached = [same]
    else:
        reached = [name for n, name in enumerate(values["names"]) if n and n != lost]
    return f"reached: {', '.join(reached)}"


def t08_predict_pool(values):
    room = values["nodes"] * (values["size"] - 3)
    running = min(room, values["replicas"])
    return f"running: {running}\nwaiting: {values['replicas'] - running}"


def t08_drop_range(values):
    node = values["here"] if values["case"] == "own" else values["there"]
    return f"station: {'socket' if values['case'] == 'taken' else 'network'}\nnode: node-{node}"


def t08_explain_node(values):
    return f"rule: {next(n for n, line in enumerate(values['lines'], 1) if values['field'] in line)}"


def t08_arrange_everywhere(values):
    return f"""\
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: {values["app"]}
spec:
  selector:
    matchLabels:
      app: {values["app"]}
  template:
    metadata:
      labels:
        app: {values["app"]}
    spec:
      containers:
        - name: app
          image: example/app
          ports:
            - containerPort: {values["port"]}
              hostPort: {values["host"]}
"""


def t08_write_agent(values):
    return f"""\
apiVersion: v1
kind: Pod
metadata:
  name: {values["agent"]}
spec:
  nodeName: {values["node"]}
  hostNetwork: true
  dnsPolicy: ClusterFirstWithHostNet
  containers:
    - name: app
      image: example/app
      ports:
        - containerPort: {values["port"]}
"""


def t08_write_agent_alternatives(values):
    text = t08_write_agent(values)
    resolver = "dnsPolicy: None\n  dnsConfig:\n    nameservers: [10.96.0.10]\n    searches: [default.svc.cluster.local, svc.cluster.local]\n    options: [{name: ndots, value: \"5\"}]"
    port = values["port"]
    return [
        text.replace("metadata:\n", "metadata:\n  namespace: default\n  labels: {app: agent}\n"),
        text.replace(f"containerPort: {port}", f"{{containerPort: {port}, hostPort: {port}, name: web, protocol: TCP}}"),
        text.replace("dnsPolicy: ClusterFirstWithHostNet", resolver),
        text.replace("  containers:", "  restartPolicy: Always\n  containers:"),
        text.replace(f"  nodeName: {values['node']}\n", f"  nodeSelector:\n    kubernetes.io/hostname: {values['node']}\n"),
    ]


def t08_repair_host_port(values):
    return f"""\
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: {values["second"]}
spec:
  selector:
    matchLabels: {{app: {values["second"]}}}
  template:
    metadata:
      labels: {{app: {values["second"]}}}
    spec:
      containers:
        - name: app
          image: example/app
          ports:
            - containerPort: {values["port"]}
              hostPort: {values["new"]}
"""
