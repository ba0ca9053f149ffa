"""Which node a Pod goes to, and what it says when none will do."""

from __future__ import annotations

import pytest

from tests.controlplane.helpers import Lab, pod, workload


@pytest.fixture
def lab() -> Lab:
    return Lab()


def node_of(lab: Lab, name: str) -> str:
    return lab.get("Pod", name)["spec"].get("nodeName", "")


def pending(lab: Lab, name: str) -> str:
    """The scheduler's message about a Pod that waits."""
    assert lab.get("Pod", name)["status"]["phase"] == "Pending"
    return next(m for r, m in lab.events(name) if r == "FailedScheduling")


def test_replicas_are_spread(lab):
    lab.apply(workload(replicas=3))
    assert sorted(p["spec"]["nodeName"] for p in lab.list("Pod")) == ["node-1", "node-2", "node-3"]


def test_node_name_passes_the_scheduler_by(lab):
    lab.patch("Node", "node-2", {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}})
    lab.apply(pod("web", more="nodeName: node-2"))
    assert lab.ready("web")
    assert not any(r == "Scheduled" for r, _ in lab.events("web"))


def test_node_selector_and_affinity(lab):
    lab.patch("Node", "node-2", {"metadata": {"labels": {"disk": "ssd", "cores": "8"}}})
    rule = "{matchExpressions: [{key: cores, operator: Gt, values: ['4']}]}"
    affinity = f"affinity: {{nodeAffinity: {{requiredDuringSchedulingIgnoredDuringExecution: {{nodeSelectorTerms: [{rule}]}}}}}}"
    lab.apply(pod("a", more="nodeSelector: {disk: ssd}") + pod("b", more=affinity))
    assert [node_of(lab, n) for n in "ab"] == ["node-2", "node-2"]


def test_a_selector_that_no_node_matches(lab):
    lab.apply(pod("web", more="nodeSelector: {disk: tape}"))
    assert pending(lab, "web") == (
        "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector. no new claims to deallocate, "
        "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
    )
    lab.patch("Node", "node-3", {"metadata": {"labels": {"disk": "tape"}}})
    assert node_of(lab, "web") == "node-3" and lab.ready("web")


def test_a_host_port_is_there_once_on_a_node(lab):
    host_port = "ports: [{containerPort: 80, hostPort: 8080}]"
    lab.apply("".join(pod(f"p{n}", container=host_port) for n in range(4)))
    placed = {node_of(lab, f"p{n}") for n in range(3)}
    assert placed == {"node-1", "node-2", "node-3"}
    assert pending(lab, "p3") == (
        "0/3 nodes are available: 3 node(s) didn't have free ports for the requested pod ports. no new claims to "
        "deallocate, preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod."
    )
    free = node_of(lab, "p0")
    lab.delete("Pod", "p0")
    lab.advance(31)
    assert node_of(lab, "p3") == free


def test_host_ports_differ_by_protocol_and_address(lab):
    ports = (
        "{containerPort: 53, hostPort: 53, protocol: UDP}",
        "{containerPort: 53, hostPort: 53, protocol: TCP, hostIP: 192.168.10.11}",
        "{containerPort: 53, hostPort: 53, protocol: TCP, hostIP: 127.0.0.1}",
    )
    one = Lab(nodes=1)
    one.apply("".join(pod(f"p{i}", container=f"ports: [{p}]") for i, p in enumerate(ports)))
    assert all(one.ready(f"p{i}") for i in range(3))
    one.apply(pod("all", container="ports: [{containerPort: 53, hostPort: 53}]"))
    assert "didn't have free ports" in pending(one, "all")


def test_taints_and_tolerations(lab):
    for n in (1, 2, 3):
        lab.patch("Node", f"node-{n}", {"spec": {"taints": [{"key": "team", "value": "red", "effect": "NoSchedule"}]}})
    tolerations = {
        "equal": "{key: team, value: red, effect: NoSchedule}",
        "exists": "{key: team, operator: Exists}",
        "all": "{operator: Exists}",
    }
    lab.apply("".join(pod(n, more=f"tolerations: [{t}]") for n, t in tolerations.items()))
    assert all(lab.ready(n) for n in tolerations)
    lab.apply(pod("other", more="tolerations: [{key: team, value: blue}]"))
    assert pending(lab, "other").startswith("0/3 nodes are available: 3 node(s) had untolerated taint(s). ")


def test_a_cordoned_node_takes_no_more(lab):
    lab.patch("Node", "node-1", {"spec": {"unschedulable": True}})
    lab.apply(workload(replicas=4))
    assert "node-1" not in {p["spec"]["nodeName"] for p in lab.list("Pod")}


def test_different_reasons_are_counted_apart():
    lab = Lab(nodes=3)
    lab.patch("Node", "node-1", {"spec": {"taints": [{"key": "a", "effect": "NoExecute"}]}})
    lab.patch("Node", "node-2", {"metadata": {"labels": {"disk": "ssd"}}})
    wanted = {"more": "nodeSelector: {disk: ssd}", "container": "ports: [{containerPort: 80, hostPort: 80}]"}
    lab.apply(pod("first", **wanted))
    lab.apply(pod("second", **wanted))
    assert pending(lab, "second").startswith(
        "0/3 nodes are available: 1 node(s) didn't have free ports for the requested pod ports, 1 node(s) didn't match "
        "Pod's node affinity/selector, 1 node(s) had untolerated taint(s). "
    )


def test_a_node_holds_so_many_pods():
    lab = Lab(nodes=1)
    lab.patch("Node", "node-1", {"status": {"allocatable": {"pods": "4"}}}, subresource="status")
    lab.apply(pod("a") + pod("b") + pod("c"))  # two CoreDNS Pods are there
    assert pending(lab, "c").startswith("0/1 nodes are available: 1 Too many pods. ")


def test_without_nodes():
    lab = Lab(nodes=0)
    lab.apply(pod("web"))
    assert pending(lab, "web") == "no nodes available to schedule pods"


def test_pods_of_a_deleted_node_go(lab):
    lab.apply(workload(replicas=3))
    lab.delete("Node", "node-2")
    assert sorted({p["spec"]["nodeName"] for p in lab.list("Pod")}) == ["node-1", "node-3"]
    assert len(lab.list("Pod")) == 3
