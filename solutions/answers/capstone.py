"""Model answers of 10-capstone, for what only the exam asks."""

from __future__ import annotations


def t10_symptoms(values):
    return "\n".join(f"call{n}: {code}" for n, code in enumerate(values["codes"], 1))


def t10_publish(values):
    return """\
apiVersion: v1
kind: Service
metadata:
  name: {app}
  namespace: {team}
spec:
  selector:
    app: {app}
  ports:
    - port: {front}
      targetPort: {port}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {app}
  namespace: {team}
spec:
  ingressClassName: edge
  rules:
    - host: {host}
      http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: {app}
                port:
                  number: {front}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {app}-in
  namespace: {team}
spec:
  podSelector:
    matchLabels:
      app: {app}
  policyTypes: [Ingress]
  ingress:
    - from:
        - namespaceSelector:
            matchLabels:
              kubernetes.io/metadata.name: ingress-system
        - podSelector:
            matchLabels:
              role: {role}
      ports:
        - port: {port}
""".format(**values)
