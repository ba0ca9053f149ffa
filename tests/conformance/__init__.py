"""Conformance: case files transcribed from the test suites of Kubernetes and its neighbours, run against k8snet."""
