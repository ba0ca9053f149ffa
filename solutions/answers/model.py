"""Model answers of 01-pods, each computed from the values of a draw."""

from __future__ import annotations


def t01_predict_call(values):
    others = "none" if values["case"] in ("loopback", "inside") else values["listens"]
    if values["case"] in ("open", "inside"):
        return f"outcome: delivered\nstation: none\nothers: {others}"
    return f"outcome: refused\nstation: socket\nothers: {others}"


def t01_predict_sources(values):
    seen = {"near": "near", "far": "far", "host": "there", "node": "here", "outside": "there"}
    lines = [values[seen[kind]] if kind in seen else "localhost" for kind in values["kinds"]]
    return "\n".join(f"call-{n}: {line}" for n, line in enumerate(lines, 1))


def t01_predict_changes(values):
    changes = restarts = 0
    for event in values["events"]:
        new = event in ("delete", "restart")
        changes += new
        restarts = 0 if new else restarts + (event == "crash")
    return f"changes: {changes}\nrestarts: {restarts}"


def t01_arrange_pair(values):
    return f"""\
apiVersion: v1
kind: Pod
metadata:
  name: {values["name"]}
  namespace: {values["team"]}
spec:
  containers:
    - name: {values["parts"][0]}
      image: {values["first"]}
    - name: {values["parts"][1]}
      image: {values["second"]}
"""


def t01_arrange_pair_alternatives(values):
    name, team, first, second = (values[k] for k in ("name", "team", "first", "second"))
    one, two = values["parts"]
    return [
        f"kind: Pod\napiVersion: v1\nspec:\n  containers:\n  - name: {two}\n    image: {first}\n  - name: {one}\n    image: {second}\n"
        f"metadata:\n  namespace: {team}\n  name: {name}\n",
        f"apiVersion: v1\nkind: Pod\nmetadata:\n    namespace: {team}\n    name: {name}\nspec:\n    containers:\n"
        f"    - name: {two}\n      image: {second}\n    - name: {one}\n      image: {first}\n",
    ]


def t01_write_private(values):
    return f"""\
apiVersion: v1
kind: Pod
metadata:
  name: {values["name"]}
  namespace: {values["team"]}
  labels:
    app: {values["name"]}
  annotations:
    k8snet.io/listen: "{values["front"]}={values["port"]},{values["back"]}=127.0.0.1:{values["inner"]}"
spec:
  containers:
    - name: {values["front"]}
      image: example/{values["front"]}
    - name: {values["back"]}
      image: example/{values["back"]}
"""


def t01_write_private_alternatives(values):
    name, team, front, back = (values[k] for k in ("name", "team", "front", "back"))
    model, listen = t01_write_private(values), f"{back}=127.0.0.1:{values['inner']},{front}=0.0.0.0:{values['port']}"
    short = (
        f'{{name: {name}, namespace: {team}, labels: {{app: {name}}}, annotations: {{k8snet.io/listen: "{listen}"}}}}'
    )
    listed = f"[{{name: {back}, image: redis}}, {{name: {front}, image: example/web}}]"
    port = f"      ports: [{{name: http, containerPort: {values['port']}}}]\n"
    return [
        f"{{apiVersion: v1, kind: Pod, metadata: {short}, spec: {{containers: {listed}}}}}",
        model.replace("example/", "nginxinc/"),
        model.replace(f"    - name: {back}", f"{port}    - name: {back}"),
        model.replace(
            f"image: example/{front}\n", f"image: example/{front}\n{port.replace(str(values['port']), '1234')}"
        ),
        model.replace(f"    app: {name}", f"    app: {name}\n    role: more"),
        model.replace("spec:", "spec:\n  restartPolicy: OnFailure"),
        model.replace("spec:", "spec:\n  nodeName: node-2"),
        model.replace('"', "'"),
        model.replace(f"  namespace: {team}\n", f"  namespace: {team}\n").replace(
            "apiVersion: v1\nkind: Pod", "kind: Pod\napiVersion: v1"
        ),
        f"kubectl run scratch --image=nginx\n{model}",
    ]


def _planned(values):
    return ",".join(f"{part}={port}" for part, port in zip(values["parts"], values["ports"], strict=True))


def t01_repair_clash(values):
    parts = "".join(f"    - name: {part}\n      image: example/{part}\n" for part in values["parts"])
    return f"""\
apiVersion: v1
kind: Pod
metadata:
  name: {values["name"]}
  namespace: {values["team"]}
  annotations:
    k8snet.io/listen: "{_planned(values)}"
spec:
  containers:
{parts}"""


def t01_repair_clash_alternatives(values):
    name, team, listen = values["name"], values["team"], _planned(values)
    patch = f'{{"metadata": {{"annotations": {{"k8snet.io/listen": "{listen}"}}}}}}'
    model = t01_repair_clash(values)
    return [
        f"kubectl annotate pod {name} -n {team} --overwrite k8snet.io/listen={listen}",
        f"kubectl patch pod {name} -n {team} -p '{patch}'",
        model.replace("spec:", "spec:\n  restartPolicy: Always"),
        f"kubectl delete pod {name} -n {team} --force --grace-period=0\n{model}",
    ]


def t01_hunt_deaf_probes(values):
    return "\n".join(f"{values['team']}/{values['app']}-{n}$ ss -ltn" for n in range(3))


def t01_hunt_deaf(values):
    name = f"{values['app']}-{values['bad']}"
    return f"kubectl annotate pod {name} -n {values['team']} --overwrite k8snet.io/listen={values['port']}"
