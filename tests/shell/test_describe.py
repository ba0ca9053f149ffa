"""kubectl describe, held against what kubectl 1.32 printed for the same objects."""

from __future__ import annotations

import pytest

from k8snet.cluster import Cluster
from k8snet.manifests.kinds import KINDS
from k8snet.shell.describe import describe
from k8snet.shell.texts import table

POLICY = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: np}
spec:
  podSelector: {matchLabels: {app: my-app}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from:
    - podSelector: {matchLabels: {role: frontend}}
    - namespaceSelector: {matchLabels: {a: b}}
      podSelector: {}
    - ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}
    ports:
    - {port: 80}
    - {port: 8000, endPort: 8100, protocol: UDP}
  - {}
  egress: []
"""

POLICY_TEXT = """\
Name:         np
Namespace:    default
Created on:   2026-01-01 00:00:00 +0000 UTC
Labels:       <none>
Annotations:  <none>
Spec:
  PodSelector:     app=my-app
  Allowing ingress traffic:
    To Port: 80/TCP
    To Port Range: 8000-8100/UDP
    From:
      PodSelector: role=frontend
    From:
      NamespaceSelector: a=b
      PodSelector: <none>
    From:
      IPBlock:
        CIDR: 10.0.0.0/8
        Except: 10.1.0.0/16
    ----------
    To Port: <any> (traffic allowed to all ports)
    From: <any> (traffic not restricted by source)
  Allowing egress traffic:
    <none> (Selected pods are isolated for egress connectivity)
  Policy Types: Ingress, Egress
"""


def test_a_policy_in_sentences(cluster: Cluster) -> None:
    assert cluster.apply(POLICY)
    assert cluster.kubectl("describe netpol np").stdout == POLICY_TEXT


def test_a_policy_for_everybody_that_isolates_one_way(cluster: Cluster) -> None:
    cluster.apply(POLICY.replace("{matchLabels: {app: my-app}}", "{}", 1).replace("[Ingress, Egress]", "[Egress]"))
    text = str(cluster.kubectl("describe netpol np"))
    assert "PodSelector:     <none> (Allowing the specific traffic to all pods in this namespace)" in text
    assert "  Not affecting ingress traffic\n" in text


def test_a_service_lists_its_ports_and_ready_endpoints(shop: Cluster) -> None:
    ip = str(shop.kubectl("get svc my-service -o jsonpath={.spec.clusterIP}"))
    pod = str(shop.kubectl("get pod my-app-1 -o jsonpath={.status.podIP}"))
    assert shop.kubectl("describe svc my-service").stdout == (
        "Name:                     my-service\n"
        "Namespace:                default\n"
        "Labels:                   <none>\n"
        "Annotations:              <none>\n"
        "Selector:                 app=my-app\n"
        "Type:                     ClusterIP\n"
        "IP Family Policy:         SingleStack\n"
        "IP Families:              IPv4\n"
        f"IP:                       {ip}\n"
        f"IPs:                      {ip}\n"
        "Port:                     <unset>  80/TCP\n"
        "TargetPort:               8080/TCP\n"
        f"Endpoints:                {pod}:8080\n"
        "Session Affinity:         None\n"
        "Internal Traffic Policy:  Cluster\n"
        "Events:                   <none>\n"
    )


def test_a_pod_with_its_container_and_events(shop: Cluster) -> None:
    text = shop.kubectl("describe pod my-app-1").stdout
    assert text.startswith(
        "Name:             my-app-1\nNamespace:        default\nPriority:         0\nService Account:  default\n"
    )
    assert (
        "    Port:           8080/TCP (http)\n    Host Port:      0/TCP (http)\n    State:          Running\n" in text
    )
    assert "QoS Class:                    BestEffort\n" in text
    assert "Events:\n  Type    Reason     Age   From               Message\n" in text
    assert "Successfully assigned default/my-app-1 to node-" in text


def test_an_ingress_with_backends_that_are_there_and_not(shop: Cluster) -> None:
    shop.apply("""
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: ing}
spec:
  rules:
  - host: a.com
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: my-service, port: {number: 80}}}}
      - {path: /x, pathType: Exact, backend: {service: {name: nope, port: {name: http}}}}
""")
    pod = str(shop.kubectl("get pod my-app-1 -o jsonpath={.status.podIP}"))
    text = shop.kubectl("describe ing ing").stdout
    assert (
        "Rules:\n"
        "  Host        Path  Backends\n"
        "  ----        ----  --------\n"
        "  a.com       \n"
        f"              /    my-service:80 ({pod}:8080)\n"
        '              /x   nope:http (<error: services "nope" not found>)\n'
        "Annotations:  <none>\n"
    ) in text


def test_an_endpointslice(shop: Cluster) -> None:
    text = shop.kubectl("describe endpointslice -l kubernetes.io/service-name=my-service").stdout
    assert (
        "Ports:\n  Name     Port  Protocol\n  ----     ----  --------\n  <unset>  8080  TCP\nEndpoints:\n  - Addresses:  "
        in text
    )
    assert "      Ready:    true\n    Hostname:   <unset>\n    TargetRef:  Pod/my-app-1\n" in text


def test_a_name_may_be_the_beginning_of_several(cluster: Cluster) -> None:
    cluster.kubectl("create deployment web --image=nginx --replicas=2")
    text = cluster.kubectl("describe pod web").stdout
    assert text.count("\nName:") + text.startswith("Name:") == 2
    assert cluster.kubectl("describe pod nope").stderr == 'Error from server (NotFound): pods "nope" not found\n'


@pytest.mark.parametrize("kind", [kind for kind in table("describe") if not kind.startswith("_")])
def test_every_kind_can_be_described_however_empty(cluster: Cluster, kind: str) -> None:
    empty = {"apiVersion": KINDS[kind].api_version, "kind": kind, "metadata": {"name": "x", "namespace": "default"}}
    assert describe(cluster.plane, empty).startswith("Name:")


def test_a_kind_that_only_the_real_one_describes_is_said_so(cluster: Cluster) -> None:
    result = cluster.kubectl("describe deployment coredns -n kube-system")
    assert result.stderr == "error: describing deployments.apps is not simulated\n" and result.exit_code == 1


def test_probes_and_states_of_a_container_that_does_not_get_ready(cluster: Cluster) -> None:
    cluster.apply("""
apiVersion: v1
kind: Pod
metadata: {name: slow}
spec:
  containers:
  - name: web
    image: nginx
    args: [a, b]
    readinessProbe: {httpGet: {path: /healthz, port: 81}, periodSeconds: 5}
    livenessProbe: {exec: {command: [test, -e, /x]}}
    resources: {limits: {memory: 1Gi}}
    volumeMounts: [{name: data, mountPath: /data, readOnly: true}]
  - {name: second, image: nginx}
  volumes: [{name: data, emptyDir: {}}]
""")
    cluster.advance(30)
    text = " ".join(cluster.kubectl("describe pod slow").stdout.split())
    for part in (
        "Args: a b State: Running Started: Thu, 01 Jan 2026",
        "State: Waiting Reason: CrashLoopBackOff Last State: Terminated Reason: Error",
        "Limits: memory: 1Gi",
        "Liveness: exec [test -e /x] delay=0s timeout=1s period=10s #success=1 #failure=3",
        "Readiness: http-get http://:81/healthz delay=0s timeout=1s period=5s #success=1 #failure=3",
        "Mounts: /data from data (ro)",
        "Volumes: data: Type: EmptyDir",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("resources", "quality"),
    [
        ("{}", "BestEffort"),
        ("{requests: {cpu: 1}}", "Burstable"),
        ("{limits: {cpu: 1, memory: 1Gi}, requests: {cpu: 100m}}", "Burstable"),
        ("{limits: {cpu: 1, memory: 1Gi}}", "Guaranteed"),
    ],
)
def test_the_quality_of_service_that_a_container_asks_for(cluster: Cluster, resources: str, quality: str) -> None:
    # pkg/apis/core/v1/helper/qos TestGetPodQOS
    spec = f"{{containers: [{{name: c, image: nginx, resources: {resources}}}]}}"
    cluster.apply(f"apiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec: {spec}")
    assert f"QoS Class: {quality}" in " ".join(cluster.kubectl("describe pod web").stdout.split())
