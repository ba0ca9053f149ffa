"""Model answers of 06-egress-policy, each computed from the values of a draw."""

from __future__ import annotations

DNS = """\
    - to:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: kube-system
      ports:
        - protocol: UDP
          port: 53
        - protocol: TCP
          port: 53
"""


def _policy(name, app, rules, namespace="default", types="[Egress]"):
    listed = f"  policyTypes: {types}\n" if types else ""
    return f"""\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {name}
  namespace: {namespace}
spec:
  podSelector:
    matchLabels:
      app: {app}
{listed}  egress:
{rules}"""


def _database(team, db, port):
    return f"""\
    - to:
        - namespaceSelector:
            matchLabels:
              team: {team}
          podSelector:
            matchLabels:
              app: {db}
      ports:
        - port: {port}
"""


def t06_matrix_both_ends(values):
    a, b, _, _ = pods = values["pods"]

    def sign(caller, server):
        if caller == server:
            return "-"
        leaves = caller != a or values["wide"] or server == values["reach"]
        enters = {a: values["typed"], b: caller == values["enter"]}.get(server, True)
        return "." if leaves and enters else "X"

    return "\n".join(f"{caller}: {' '.join(sign(caller, server) for server in pods)}" for caller in pods)


def t06_predict_name(values):
    if values["by"] == "name" and not values["udp"]:
        return "outcome: name not found\nstation: name"
    return "outcome: delivered\nstation: none" if values["right"] else "outcome: timed out\nstation: egress"


def t06_explain_side(values):
    return f"rule: {next(n for n, line in enumerate(values['lines'], 1) if line.startswith(values['rule']))}"


def t06_arrange_names(values):
    return f"""\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {values["client"]}-out
spec:
  podSelector:
    matchLabels:
      app: {values["client"]}
  policyTypes: [Egress]
  egress:
    - to:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: kube-system
          podSelector:
            matchLabels:
              k8s-app: kube-dns
      ports:
        - port: 53
          protocol: UDP
        - port: 53
          protocol: TCP
"""


def t06_write_callout(values):
    rules = _database(values["team"], values["db"], values["port"]) + DNS
    return _policy(f"{values['client']}-out", values["client"], rules)


def t06_write_callout_alternatives(values):
    client, db, team, port = (values[k] for k in ("client", "db", "team", "port"))
    rule, space = _database(team, db, port), f"team: {team}"
    dns_pods = DNS.replace("      ports:", "          podSelector: {matchLabels: {k8s-app: kube-dns}}\n      ports:")
    listed = rule.replace(f"matchLabels:\n              {space}", f"matchExpressions: [{{key: team, operator: In, values: [{team}]}}]")
    deny = _policy("deny", client, "").replace("  egress:\n", "")
    return [
        _policy("a", client, DNS + rule),
        _policy("b", client, rule) + "---\n" + _policy("names", client, DNS),
        deny + "---\n" + _policy("allow", client, rule + DNS),
        _policy("c", client, listed + DNS),
        _policy("d", client, rule.replace(space, f"kubernetes.io/metadata.name: {team}") + DNS),
        _policy("e", client, rule.replace(f"port: {port}", "port: data") + DNS),
        _policy("f", client, rule.replace(f"port: {port}", f"port: {port}\n          endPort: {port}\n          protocol: TCP") + DNS),
        _policy("g", client, rule + dns_pods),
        _policy("h", client, rule + DNS, types="[Ingress, Egress]") + "  ingress: [{}]\n",
        _policy("i", client, rule + DNS).replace("matchLabels:\n      app:", "matchExpressions:\n      - key: app\n        operator: In\n        values: [", 1).replace(f"[ {client}", f"[{client}]", 1),
        _policy("j", client, rule + rule + DNS.replace("UDP", "TCP", 1)) + "---\n" + _policy("k", client, DNS),
        _policy("l", client, rule + DNS) + "---\n" + _policy("in", client, "", types="[Ingress]").replace("egress:", "ingress: [{}]"),
    ]  # fmt: skip


def t06_write_except(values):
    rule = f"""\
    - to:
        - ipBlock:
            cidr: 0.0.0.0/0
            except:
              - 169.254.169.254/32
              - {values["cidr"]}
"""
    return _policy(f"{values['app']}-out", values["app"], rule, values["team"])


def t06_write_except_alternatives(values):
    app, team, cidr = values["app"], values["team"], values["cidr"]
    block = f"    - to: [{{ipBlock: {{cidr: 0.0.0.0/0, except: [{cidr}, 169.254.169.254/32]}}}}]\n"
    inside = "    - to: [{namespaceSelector: {}}]\n"
    halves = "    - to:\n        - ipBlock: {cidr: 0.0.0.0/1}\n"
    halves += f"        - ipBlock: {{cidr: 128.0.0.0/1, except: [{cidr}, 169.254.169.254/32]}}\n"
    return [
        _policy("a", app, block, team),
        _policy("b", app, block + inside, team),
        _policy("c", app, inside, team) + "---\n" + _policy("d", app, block, team),
        _policy("e", app, halves, team),
        _policy("g", app, block, team, "[Egress, Ingress]") + "  ingress:\n    - {}\n",
        _policy("h", app, block, team, "") + "---\n" + _policy("i", app, "", team, "[Ingress]").replace("egress:", "ingress: [{}]"),
        _policy("j", app, "", team).replace("  egress:\n", "") + "---\n" + _policy("k", app, block, team),
        _policy("l", app, block.rstrip().replace("]}}]", "]}}]\n      ports: []\n"), team),
        _policy("m", app, block + block, team),
        _policy("o", app, block, team).replace("matchLabels:\n      app: " + app, f"matchExpressions: [{{key: app, operator: In, values: [{app}]}}]"),
    ]  # fmt: skip


def t06_repair_database(values):
    rules = _database(values["team"], values["db"], values["port"]) + DNS
    return _policy(f"{values['client']}-out", values["client"], rules)


def t06_drop_callout(values):
    node = "there" if values["fault"] in ("ingress", "socket") else "here"
    return f"station: {values['fault']}\nnode: {values[node]}"


def t06_hunt_database_probes(values):
    return f"kubectl get networkpolicy -o yaml\nkubectl get ns --show-labels\nkubectl get svc -n {values['team']} -o wide"


def t06_hunt_database(values):
    return t06_repair_database(values)
