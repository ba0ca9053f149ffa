"""Model answers of 07-getting-in, each computed from the values of a draw."""

from __future__ import annotations


def _number(values, wanted):
    return f"rule: {next(n for n, line in enumerate(values['lines'], 1) if wanted in line)}"


def t07_predict_paths(values):
    deep_less, deep, exact, root = values["servers"]
    other = root if values["root"] else "404"
    first = exact if values["exact"] else deep_less
    return f"url1: {first}\nurl2: {deep_less}\nurl3: {other}\nurl4: {deep}\nurl5: {deep_less}"


def t07_explain_source(values):
    fields = {"empty": "externalTrafficPolicy", "": "ingress[0].from[0]"}
    return _number(values, fields.get(values["fault"], "spec.podSelector"))


def t07_drop_outside(values):
    station = {"empty": "service", "selector": "service", "socket": "socket"}.get(values["fault"], "ingress")
    return f"station: {station}\nnode: {values['called' if station == 'service' else 'there']}"


def t07_arrange_tls(values):
    return f"""\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: site
spec:
  ingressClassName: {values["cls"]}
  tls:
    - hosts: [{values["host"]}]
      secretName: {values["server"]}-cert
  rules:
    - host: {values["host"]}
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: {values["server"]}
                port:
                  number: {values["front"]}
"""


def t07_write_balancer(values):
    return f"""\
apiVersion: v1
kind: Service
metadata:
  name: {values["server"]}
spec:
  type: LoadBalancer
  externalTrafficPolicy: Local
  selector:
    app: {values["server"]}
  ports:
    - port: {values["front"]}
      targetPort: {values["port"]}
"""


def t07_write_balancer_alternatives(values):
    text = t07_write_balancer(values)
    inside = text.replace("LoadBalancer\n  externalTrafficPolicy: Local", "ClusterIP")
    return [
        text.replace("metadata:\n", "metadata:\n  namespace: default\n"),
        text.replace("  ports:\n    - ", "  ports:\n    - name: web\n      protocol: TCP\n      "),
        text.replace("Local\n", "Local\n  internalTrafficPolicy: Cluster\n  sessionAffinity: ClientIP\n"),
        inside + "---\n" + text.replace(f"name: {values['server']}", "name: door", 1),
        text.replace("Local\n", "Local\n  allocateLoadBalancerNodePorts: false\n"),
    ]


def _ingress(cls, paths, host="", name="site", more=""):
    rule = f"    - host: {host}\n      http:" if host else "    - http:"
    return f"""\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {name}
spec:
  ingressClassName: {cls}
{more}  rules:
{rule}
        paths:
{paths}"""


def _path(path, service, port, kind="Prefix"):
    return f"""\
          - path: {path}
            pathType: {kind}
            backend:
              service:
                name: {service}
                port:
                  number: {port}
"""


def t07_write_ingress(values):
    paths = _path(f"/{values['word']}", values["second"], values["back"]) + _path("/", values["first"], values["front"])
    return _ingress(values["cls"], paths, values["host"])


def t07_write_ingress_alternatives(values):
    cls, host, word = values["cls"], values["host"], f"/{values['word']}"
    one, two = (values["first"], values["front"]), (values["second"], values["back"])
    root, below = _path("/", *one), _path(word, *two)
    return [
        _ingress(cls, root + below, host),
        _ingress(cls, root, host) + "---\n" + _ingress(cls, below, host, "other"),
        _ingress(cls, root + below + _path(word, *two, "Exact"), host),
        _ingress(cls, root + _path(f"{word}/", *two), host),
        _ingress(cls, _path(word, *two, "ImplementationSpecific") + root, host),
        _ingress(cls, below + root + _path("/x", *one), host),
        _ingress(cls, below + root, f'"{host}"'),
    ]


def t07_write_grant(values):
    return f"""\
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata:
  name: from-{values["team"]}
  namespace: {values["away"]}
spec:
  from:
    - group: gateway.networking.k8s.io
      kind: HTTPRoute
      namespace: {values["team"]}
  to:
    - group: ""
      kind: Service
      name: {values["server"]}
"""


def t07_write_grant_alternatives(values):
    text = t07_write_grant(values)
    away = text.replace("from:\n", "from:\n    - {group: gateway.networking.k8s.io, kind: GRPCRoute, namespace: %s}\n" % values["team"])
    return [text.replace("/v1\n", "/v1beta1\n"), away, text + "---\n" + text.replace("name: from", "name: again", 1)]


def t07_repair_office(values):
    server = values["server"]
    if values["fault"] == "selector":
        return f"""\
apiVersion: v1
kind: Service
metadata:
  name: {server}
spec:
  type: NodePort
  externalTrafficPolicy: Local
  selector:
    app: {server}
  ports:
    - port: {values["front"]}
      targetPort: {values["port"]}
      nodePort: {values["entry"]}
"""
    return f"""\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {server}-in
spec:
  podSelector:
    matchLabels:
      app: {server}
  policyTypes: [Ingress]
  ingress:
    - from:
        - ipBlock:
            cidr: {values["office"]}
      ports:
        - port: {values["port"]}
"""


def t07_repair_office_alternatives(values):
    patch = '{"spec": {"selector": {"app": "%s"}}}' % values["server"]
    return [f"kubectl patch service {values['server']} -p '{patch}'"] if values["fault"] == "selector" else []


def t07_hunt_door_probes(values):
    return f"""\
outside$ curl -sS -H 'Host: {values["host"]}' http://203.0.113.1/
kubectl get ingress,svc,networkpolicy -n {values["team"]} -o yaml
kubectl get ns --show-labels"""


def t07_hunt_door(values):
    server, team = values["server"], values["team"]
    ingress = _ingress(values["cls"], _path("/", server, values["front"]), values["host"])
    ingress = ingress.replace("metadata:\n", f"metadata:\n  namespace: {team}\n")
    return f"""\
apiVersion: v1
kind: Service
metadata:
  name: {server}
  namespace: {team}
spec:
  selector:
    app: {server}
  ports:
    - port: {values["front"]}
      targetPort: {values["port"]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {server}-in
  namespace: {team}
spec:
  podSelector:
    matchLabels:
      app: {server}
  policyTypes: [Ingress]
  ingress:
    - from:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: ingress-system
---
{ingress}"""
