"""A small cluster for the tests of this room: an application with a Service, a client and a policy."""

from __future__ import annotations

import pytest

from k8snet.cluster import Cluster

SHOP = """
apiVersion: v1
kind: Pod
metadata: {name: my-app-1, labels: {app: my-app}}
spec:
  containers:
  - {name: web, image: nginxinc/nginx-unprivileged, ports: [{name: http, containerPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client, labels: {role: frontend}}
spec:
  containers:
  - {name: curl, image: curlimages/curl, env: [{name: GREETING, value: hello}]}
---
apiVersion: v1
kind: Service
metadata: {name: my-service}
spec:
  selector: {app: my-app}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: allow-app-access}
spec:
  podSelector: {matchLabels: {app: my-app}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {role: frontend}}}]
"""


@pytest.fixture
def cluster() -> Cluster:
    """A fresh cluster that nothing else changes."""
    return Cluster()


@pytest.fixture
def shop(cluster: Cluster) -> Cluster:
    """The cluster with the application in it, all running."""
    assert cluster.apply(SHOP)
    return cluster


def service(name: str, text: str = "ports: [{port: 80}]", space: str = "") -> str:
    """A Service manifest; *text* is its spec in flow style, without the braces."""
    where = f", namespace: {space}" if space else ""
    return f"apiVersion: v1\nkind: Service\nmetadata: {{name: {name}{where}}}\nspec: {{{text}}}\n"
