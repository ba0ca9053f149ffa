"""Model answers of 09-incidents: for each fault what mends it, with the names of a draw."""

from __future__ import annotations

from string import Template

WEB_PORT = """kubectl patch service $app -n $team -p '{"spec": {"ports": [{"port": $front, "targetPort": $port}]}}'"""
SELECTOR = """kubectl patch service $app -n $team -p '{"spec": {"selector": {"app": "$app", "tier": null}}}'"""
PROBE = """kubectl patch $kind $app -n $team -p '{"spec": {"template": {"spec": {"containers": [{"name": "web", "readinessProbe": {"tcpSocket": {"port": $port}}}]}}}}'"""
LISTEN = """kubectl patch deployment $app -n $team -p '{"spec": {"template": {"metadata": {"annotations": {"k8snet.io/listen": "web=$port,exporter=$metrics"}}}}}'"""
INGRESS = """kubectl patch networkpolicy $app-in -n $team -p '{"spec": {"ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"team": "$home"}}, "podSelector": {"matchLabels": {"role": "$client"}}}], "ports": [{"port": $port}]}]}}'"""
EGRESS = """kubectl patch networkpolicy $client-out -n $home -p '{"spec": {"egress": [\
{"to": [{"namespaceSelector": {"matchLabels": {"team": "$team"}}, "podSelector": {"matchLabels": {"app": "$app"}}}], "ports": [{"port": $port}]}, \
{"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "169.254.0.0/16", "192.168.0.0/16"]}}]}, \
{"to": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}], "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}]}}'"""
SITE = """kubectl patch ingress $app -n $team -p '{"spec": {"ingressClassName": "edge", "tls": [{"hosts": ["$host"], "secretName": "$app-cert"}], \
"rules": [{"host": "$host", "http": {"paths": [{"path": "/$word", "pathType": "Prefix", "backend": {"service": {"name": "$app", "port": {"number": $front}}}}]}}]}}'"""
ROUTE = """kubectl patch httproute $app -n $home --type=merge -p '{"spec": {"parentRefs": [{"name": "main", "namespace": "gateways"}], "hostnames": ["$host"]}}'"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: $app
  namespace: $team
spec:
  selector:
    app: $app
  ports:
    - port: $front
      targetPort: http
"""
CLIENT = """\
kubectl delete pod $client -n $home
apiVersion: v1
kind: Pod
metadata:
  name: $client
  namespace: $home
  labels: {role: $client}
spec:
  nodeName: $near
  dnsPolicy: ClusterFirstWithHostNet
  containers: [{name: main, image: example/app}]
"""
MEMBER = """\
kubectl delete statefulset $app -n $team
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: $app, namespace: $team}
spec:
  serviceName: $app
  replicas: 1
  selector: {matchLabels: {app: $app}}
  template:
    metadata: {labels: {app: $app}}
    spec:
      containers:
        - name: web
          image: example/app
          ports: [{containerPort: $port}]
          readinessProbe: {tcpSocket: {port: $port}, periodSeconds: 1, failureThreshold: 1}
"""
FIXES = {
    **dict.fromkeys(("F01", "F01b", "F01c", "F14"), SELECTOR),
    **dict.fromkeys(("F02", "F02b", "F02c"), WEB_PORT),
    "F03": WEB_PORT.replace('"targetPort": $port', '"targetPort": "http"'),
    "F11": WEB_PORT.replace('"targetPort": $port', '"protocol": "TCP"'),
    **dict.fromkeys(("F04", "F04b"), PROBE.replace("$kind", "deployment")),
    "F37": PROBE.replace("$kind", "statefulset") + "\nkubectl delete pod $app-0 -n $team",
    **dict.fromkeys(("F07", "F09"), LISTEN),
    "F40": """kubectl patch deployment $app -n $team -p '{"spec": {"template": {"spec": {"containers": [{"name": "web", "ports": [{"containerPort": $port, "hostPort": null}]}]}}}}'""",
    **dict.fromkeys(("F19", "F20", "F21", "F24", "F25"), INGRESS),
    **dict.fromkeys(("F17", "F18", "F21b", "F27", "F54"), EGRESS),
    "F22": """kubectl patch networkpolicy $app-in -n $team -p '{"spec": {"podSelector": {"matchLabels": {"app": "$app", "role": null}}}}'""",
    "F23": """kubectl patch networkpolicy $client-out -n $home -p '{"spec": {"policyTypes": ["Egress"]}}'""",
    "F29": CLIENT,
    "F32": """kubectl patch service $app -n $team -p '{"spec": {"internalTrafficPolicy": "Cluster"}}'""",
    "F36": "kubectl delete service $app -n $team\n" + SERVICE,
    "F05": "kubectl create service externalname $app -n $home --external-name=$app.$team.svc.cluster.local",
    "F06": SERVICE,
    "F38": MEMBER,
    "F30": """kubectl patch networkpolicy $app-in -n $team -p '{"spec": {"ingress": [{"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-system"}}}]}]}}'""",
    **dict.fromkeys(("F50", "F50b", "F51", "F51b", "F52", "F52b", "F53"), SITE),
    "F55": """kubectl patch gateway main -n gateways --type=merge -p '{"spec": {"listeners": [{"name": "web", "port": 80, "protocol": "HTTP", "allowedRoutes": {"namespaces": {"from": "All"}}}]}}'""",
    "F55b": """kubectl patch referencegrant routes -n $team --type=merge -p '{"spec": {"from": [{"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "$home"}]}}'""",
    **dict.fromkeys(("F55c", "F51c"), ROUTE),
}


def fix(values):
    """What mends the fault of a draw."""
    return Template(FIXES[values["fault"]]).substitute(values)


t09_refused = t09_silent = t09_names = t09_open = t09_edge = fix


def t09_refused_probes(values):
    return Template("kubectl get endpointslices -n $team -o yaml\nkubectl get pods -n $team --show-labels\nkubectl describe pods -n $team").substitute(values)


def t09_silent_probes(values):
    return Template("kubectl get service,networkpolicy -A -o yaml\nkubectl get namespaces,pods -A --show-labels -o wide").substitute(values)


def t09_names_probes(values):
    return Template("$caller$$ curl -sS http://$target:$called\nkubectl get services -A\nkubectl get networkpolicies,statefulsets -A -o yaml").substitute(values)


def t09_open_probes(values):
    return "kubectl get networkpolicies -A -o yaml\nkubectl get namespaces,pods -A --show-labels"


def t09_edge_probes(values):
    return Template(
        "outside$$ curl -sS --resolve $host:$called:203.0.113.1 $target\nkubectl get ingress,gateways,httproutes,referencegrants -A -o yaml\n"
        "kubectl get ingressclasses\nkubectl get services,networkpolicies,endpointslices -n $team -o yaml"
    ).substitute(values)


CAUSES = {"F39": "hairpin", "F42": "mtu", "F43": "tunnel", "F44": "route"}


def t09_network(values):
    node = values["node"] if values["fault"] == "F44" else "all"
    return f"cause: {CAUSES[values['fault']]}\nnode: {node}"


STATIONS = {
    **dict.fromkeys(("F01", "F03", "F32"), "service"),
    **dict.fromkeys(("F02", "F07"), "socket"),
    **dict.fromkeys(("F20", "F24", "F25"), "ingress"),
    **dict.fromkeys(("F11", "F21b", "F27"), "egress"),
}


def t09_drop(values):
    station = STATIONS[values["fault"]]
    return f"station: {station}\nnode: {values['near' if station in ('service', 'egress') else 'far']}"


def t09_explain(values):
    station = STATIONS[values["fault"]]
    word = {"socket": "does not listen", "ingress": "call in", "egress": "call out"}.get(station)
    word = word or ("where it has no Pod" if values["fault"] == "F32" else "no Pod stands behind")
    return f"rule: {next(n for n, line in enumerate(values['options'].splitlines(), 1) if word in line)}"


def t09_repair_two(values):
    return Template("""\
apiVersion: v1
kind: Service
metadata:
  name: $app
  namespace: $team
spec:
  clusterIP: $vip
  internalTrafficPolicy: Cluster
  selector:
    app: $app
  ports:
    - {protocol: TCP, port: $front, targetPort: http}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: $app-in
  namespace: $team
spec:
  podSelector:
    matchLabels: {app: $app}
  policyTypes: [Ingress]
  ingress:
    - from:
        - namespaceSelector:
            matchLabels: {team: $home}
          podSelector:
            matchLabels: {role: $client}
      ports:
        - port: $port
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: $client-out
  namespace: $home
spec:
  podSelector:
    matchLabels: {role: $client}
  policyTypes: [Egress]
  egress:
    - to:
        - namespaceSelector:
            matchLabels: {team: $team}
          podSelector:
            matchLabels: {app: $app}
      ports:
        - port: $port
    - to:
        - ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8, 169.254.0.0/16, 192.168.0.0/16]}
    - to:
        - namespaceSelector: {}
          podSelector:
            matchLabels: {k8s-app: kube-dns}
      ports:
        - {protocol: UDP, port: 53}
        - {protocol: TCP, port: 53}
""").substitute(values)
