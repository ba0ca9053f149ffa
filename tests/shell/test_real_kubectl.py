"""Held against a real kubectl, where one is installed, for what needs no server and has not changed since 1.20.

Known differences, smoothed below: kubectl before 1.34 prints ``creationTimestamp: null``; some builds begin usage errors
with a capital letter and end unknown commands with a pointer to the help.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess

import pytest

from k8snet.shell import kubectl

REAL = shutil.which("kubectl")

pytestmark = pytest.mark.skipif(REAL is None, reason="needs a real kubectl (Debian: kubernetes-client)")

LINES = [
    "create deployment web --image=nginx --dry-run=client -o yaml",
    "create deployment web --image=nginx --image=redis:7 --replicas=3 --dry-run=client -o yaml",
    "create deployment web --image=registry.example.com/team/app:1 --port=8080 --dry-run=client -o yaml",
    "create deployment web --image=nginx --dry-run=client",
    "create deployment web --image=nginx --dry-run=client -o name",
    "create deployment web --image=nginx -n shop --dry-run=client -o yaml -- sleep 1d",
    "create service clusterip web --tcp=80:8080 --dry-run=client -o yaml",
    "create service clusterip web --tcp=80 --tcp=90:http --dry-run=client -o yaml",
    "create service clusterip web --clusterip=None --dry-run=client -o yaml",
    "create service nodeport web --tcp=80:8080 --node-port=30080 --dry-run=client -o yaml",
    "create service loadbalancer web --tcp=80:8080 --dry-run=client -o yaml",
    "create service externalname web --external-name=example.com --dry-run=client -o yaml",
    "create svc clusterip web --dry-run=client",
    "create service clusterip",
    "create service clusterip web --tcp=a --dry-run=client",
    "create service clusterip web --tcp=80:70000 --dry-run=client",
    "create namespace shop --dry-run=client -o yaml",
    "create ns shop --dry-run=client",
    "create namespace",
    "create namespace a b",
    "create deployment web --image=nginx --dry-run=client -o jsonpath={.metadata.name}",
    "apply",
    "delete",
    "describe",
    "label",
    "label pod x",
    "annotate pod x",
    "patch svc web",
    "logs",
    "exec x",
    "port-forward x",
    "rollout frob",
    "rollout restart",
    "config set-context",
    "get",
    "get pods",
    "get --frob",
    "get -x",
    "get -Ax",
    "get pods -An",
    "get pods -o",
    "get pods --output",
    "get pods --all-namespaces=maybe",
    "scale deployment web --replicas=many",
    "frob",
    "gte",
    "describ pods",
]


def smoothed(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if "creationTimestamp: null" not in line and "memcache.go" not in line]
    lines = [line for line in lines if line.strip() and line != "Run 'kubectl --help' for usage."]
    return [line.replace("Error: ", "error: ", 1) if line.startswith("Error: ") else line for line in lines]


@pytest.mark.parametrize("line", LINES)
def test_says_what_the_real_one_says(line: str, tmp_path: object) -> None:
    environment = {**os.environ, "KUBECONFIG": os.devnull, "HOME": str(tmp_path)}
    real = subprocess.run([str(REAL), *shlex.split(line)], capture_output=True, text=True, env=environment, check=False)
    ours = kubectl.run(None, line)
    assert ours.exit_code == real.returncode
    assert smoothed(ours.stdout) == smoothed(real.stdout)
    assert smoothed(ours.stderr) == smoothed(real.stderr)
