"""Model answers of 05-ingress-policy, each computed from the values of a draw."""

from __future__ import annotations


def _policy(name, rules, selector="{}", namespace="default", types="[Ingress]"):
    return (
        f"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: {name}\n  namespace: {namespace}\n"
        f"spec:\n  podSelector: {selector}\n  policyTypes: {types}\n  ingress:\n{rules}"
    )


def t05_matrix_policies(values):
    first, second, third, client = (values[k] for k in ("first", "second", "third", "client"))
    callers = {client, second} | ({third} if values["loose"] else set())
    pods = (first, second, third, client)

    def sign(caller, server):
        if caller == server:
            return "-"
        return "X" if (server == first and caller not in callers) or server == second else "."

    return "\n".join(f"{caller}: {' '.join(sign(caller, server) for server in pods)}" for caller in pods)


def t05_predict_dash(values):
    if values["two_entries"]:
        through = values["in_team"] or (values["has_role"] and values["at_home"])
    else:
        through = values["in_team"] and values["has_role"]
    if not through:
        return "outcome: timed out\nstation: ingress"
    return "outcome: delivered\nstation: none" if values["listens"] else "outcome: refused\nstation: socket"


def t05_explain_entry(values):
    wanted = f"spec.{values['field']} "
    return f"rule: {next(n for n, line in enumerate(values['options'].splitlines(), 1) if wanted in line)}"


def t05_arrange_callers(values):
    return f"""\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {values["server"]}-callers
spec:
  podSelector:
    matchLabels:
      app: {values["server"]}
  policyTypes: [Ingress]
  ingress:
    - from:
        - podSelector:
            matchLabels:
              role: {values["good"]}
      ports:
        - port: {values["port"]}
"""


def t05_allow_role(values):
    return f"""\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {values["server"]}-callers
spec:
  podSelector:
    matchLabels:
      app: {values["server"]}
  policyTypes: [Ingress]
  ingress:
    - from:
        - podSelector:
            matchLabels:
              {values["key"]}: {values["good"]}
      ports:
        - port: {values["port"]}
"""


def t05_allow_role_alternatives(values):
    server, key, good, port = (values[k] for k in ("server", "key", "good", "port"))
    app, role = f"{{matchLabels: {{app: {server}}}}}", f"{{matchLabels: {{{key}: {good}}}}}"
    listed = f"{{matchExpressions: [{{key: {key}, operator: In, values: [{good}]}}]}}"
    rule = f"    - from: [{{podSelector: {role}}}]\n      ports: [{{port: {port}}}]\n"
    home = "{matchLabels: {kubernetes.io/metadata.name: default}}"
    return [
        _policy("a", rule, app),
        _policy("b", rule.replace(role, listed), app),
        _policy("c", rule, f"{{matchExpressions: [{{key: app, operator: In, values: [{server}]}}]}}"),
        _policy("d", rule.replace(f"port: {port}", "port: web"), app),
        _policy("e", rule.replace(f"port: {port}", f"protocol: TCP, port: {port}, endPort: {port}"), app),
        _policy("f", rule.replace("{podSelector", f"{{namespaceSelector: {home}, podSelector"), app),
        _policy("deny", "", app).replace("  ingress:\n", "") + "---\n" + _policy("allow", rule, app),
        _policy("g", rule, app).replace("  policyTypes: [Ingress]\n", ""),
        _policy(
            "h",
            f"    - ports: [{{port: {port}}}]\n      from:\n        - podSelector: {role}\n        - podSelector: {role}\n",
            app,
        ),
        _policy("i", rule + rule, app) + "---\n" + _policy("again", rule, app),
        _policy("j", rule, app, types="[Ingress, Egress]") + "  egress: [{}]\n",
    ]


def t05_own_namespace(values):
    return f"""\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: own-namespace
  namespace: {values["home"]}
spec:
  podSelector: {{}}
  policyTypes: [Ingress]
  ingress:
    - from:
        - podSelector: {{}}
"""


def t05_own_namespace_alternatives(values):
    home = values["home"]
    selector = f"{{matchLabels: {{kubernetes.io/metadata.name: {home}}}}}"
    deny = _policy("deny", "", namespace=home).replace("  ingress:\n", "")
    return [
        _policy("a", f"    - from: [{{namespaceSelector: {selector}}}]\n", namespace=home),
        _policy("b", f"    - from: [{{namespaceSelector: {{matchLabels: {{team: {home}}}}}}}]\n", namespace=home),
        deny + "---\n" + _policy("allow", "    - from: [{podSelector: {}}]\n", namespace=home),
        _policy(
            "c", f"    - from: [{{podSelector: {{}}}}]\n      ports: [{{port: {values['port']}}}]\n", namespace=home
        ),
    ]


def t05_repair_peer(values):
    return f"""\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {values["server"]}-callers
spec:
  podSelector:
    matchLabels:
      app: {values["server"]}
  policyTypes: [Ingress]
  ingress:
    - from:
        - namespaceSelector:
            matchLabels:
              team: {values["team"]}
          podSelector:
            matchLabels:
              role: {values["good"]}
      ports:
        - port: {values["port"]}
"""


def t05_drop_where(values):
    station = {"role": "ingress", "port": "ingress", "selector": "service", "socket": "socket"}[values["fault"]]
    return f"station: {station}\nnode: {values['here' if station == 'service' else 'there']}"


def t05_hunt_silence_probes(values):
    return "kubectl get pods --show-labels\nkubectl get networkpolicy -o yaml"


def t05_hunt_silence(values):
    return f"""\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {values["server"]}-callers
spec:
  podSelector:
    matchLabels:
      app: {values["server"]}
  policyTypes: [Ingress]
  ingress:
    - from:
        - podSelector:
            matchLabels:
              role: {values["good"]}
      ports:
        - port: {values["port"]}
"""
