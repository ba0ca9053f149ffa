"""Deployments, ReplicaSets, StatefulSets and DaemonSets."""

from __future__ import annotations

import re

import pytest

from tests.controlplane.helpers import Lab, pod, service, workload


@pytest.fixture
def lab() -> Lab:
    return Lab()


def images(lab: Lab, terminating: bool = False) -> list[str]:
    return sorted(
        p["spec"]["containers"][0]["image"]
        for p in lab.list("Pod")
        if terminating or not p["metadata"].get("deletionTimestamp")
    )


def test_a_deployment_is_ready_at_once(lab):
    lab.apply(workload(replicas=3))
    status = lab.get("Deployment", "web")["status"]
    assert (status["replicas"], status["readyReplicas"], status["availableReplicas"]) == (3, 3, 3)
    assert {c["type"]: c["reason"] for c in status["conditions"]} == {
        "Available": "MinimumReplicasAvailable",
        "Progressing": "NewReplicaSetAvailable",
    }
    [replica_set] = lab.names("ReplicaSet")
    assert re.fullmatch(r"web-[bcdfghjklmnpqrstvwxz2456789]{6,10}", replica_set)
    for name in lab.names("Pod"):
        assert re.fullmatch(replica_set + "-[bcdfghjklmnpqrstvwxz2456789]{5}", name)
    assert ("ScalingReplicaSet", f"Scaled up replica set {replica_set} from 0 to 3") in lab.events("web")


def test_a_roll_out_goes_step_by_step_and_keeps_its_limits(lab):
    """pkg/controller/deployment/rolling.go: never more than replicas + maxSurge, never fewer available than allowed."""
    lab.apply(workload(replicas=4) + service())
    limits = "strategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 1}}"
    lab.apply(workload(replicas=4, more=limits))
    lab.apply(workload(replicas=4, image="httpd", more=limits))
    seen = []
    for _ in range(20):
        now = images(lab)
        assert len(now) <= 5
        assert sum(ready for ready, _, _ in lab.endpoints("web").values()) >= 3
        seen.append(now.count("httpd"))
        lab.advance(1)
    assert seen[0] < 4 and seen == sorted(seen) and seen[-1] == 4
    assert images(lab) == ["httpd"] * 4
    lab.advance(30)
    assert images(lab, terminating=True) == ["httpd"] * 4


def test_a_roll_out_waits_for_new_pods_that_do_not_get_ready(lab):
    lab.apply(workload(replicas=2))
    broken = workload(replicas=2, image="httpd").replace(
        "image: httpd}", "image: httpd, readinessProbe: {tcpSocket: {port: 9999}}}"
    )
    lab.apply(broken)
    lab.advance(300)
    assert images(lab) == ["httpd", "nginx", "nginx"]
    lab.apply(workload(replicas=2))
    lab.advance(60)
    assert images(lab) == ["nginx", "nginx"]


def test_going_back_uses_the_old_replica_set_again(lab):
    for image in ("nginx", "httpd", "nginx"):
        lab.apply(workload(replicas=1, image=image))
        lab.advance(60)
    assert len(lab.names("ReplicaSet")) == 2
    assert images(lab) == ["nginx"]


def test_recreate_ends_all_old_pods_before_a_new_one_starts(lab):
    recreate = "strategy: {type: Recreate}"
    lab.apply(workload(replicas=2, more=recreate))
    lab.apply(workload(replicas=2, image="httpd", more=recreate))
    lab.advance(29)
    assert images(lab, terminating=True) == ["nginx", "nginx"]
    lab.advance(2)
    assert images(lab, terminating=True) == ["httpd", "httpd"]


def test_scaling_down_and_up(lab):
    lab.apply(workload(replicas=5))
    lab.patch("Deployment", "web", {"spec": {"replicas": 2}})
    assert len(images(lab)) == 2 and len(images(lab, terminating=True)) == 5
    lab.advance(31)
    assert len(images(lab, terminating=True)) == 2
    lab.patch("Deployment", "web", {"spec": {"replicas": 3}})
    assert lab.get("Deployment", "web")["status"]["readyReplicas"] == 3


def test_scaling_down_takes_the_unready_pod_first(lab):
    lab.apply(
        workload(kind="ReplicaSet", replicas=2).replace(
            "image: nginx}", "image: nginx, readinessProbe: {tcpSocket: {port: 80}}}"
        )
    )
    sick = lab.names("Pod")[0]
    lab.patch("Pod", sick, {"metadata": {"annotations": {"k8snet.io/failing-probes": "readiness"}}})
    lab.advance(60)
    lab.patch("ReplicaSet", "web", {"spec": {"replicas": 1}})
    lab.advance(31)
    assert sick not in lab.names("Pod") and len(lab.names("Pod")) == 1


def test_a_deleted_pod_is_replaced_under_another_name_and_address(lab):
    lab.apply(workload(replicas=1))
    [old] = lab.list("Pod")
    lab.delete("Pod", old["metadata"]["name"])
    new = [p for p in lab.list("Pod") if not p["metadata"].get("deletionTimestamp")]
    assert len(new) == 1
    assert new[0]["metadata"]["name"] != old["metadata"]["name"]
    assert new[0]["status"]["podIP"] != old["status"]["podIP"]


def test_a_relabelled_pod_is_let_go_and_a_matching_one_adopted(lab):
    lab.apply(workload(kind="ReplicaSet", replicas=2) + service())
    name = lab.names("Pod")[0]
    lab.patch("Pod", name, {"metadata": {"labels": {"app": "quarantine"}}})
    assert len(lab.names("Pod")) == 3
    assert "ownerReferences" not in lab.get("Pod", name)["metadata"]
    assert name not in lab.endpoints("web") and len(lab.endpoints("web")) == 2
    lab.patch("Pod", name, {"metadata": {"labels": {"app": "web"}}})
    lab.advance(31)
    assert len(lab.names("Pod")) == 2


def test_stateful_pods_have_names_and_come_in_order(lab):
    slow = workload(kind="StatefulSet", name="db", replicas=3, more="serviceName: db").replace(
        "image: nginx}", "image: nginx, readinessProbe: {tcpSocket: {port: 80}, initialDelaySeconds: 5}}"
    )
    lab.apply(slow)
    assert lab.names("Pod") == ["db-0"]
    lab.advance(5)
    assert lab.names("Pod") == ["db-0", "db-1"]
    lab.advance(10)
    assert lab.names("Pod") == ["db-0", "db-1", "db-2"]
    assert lab.get("StatefulSet", "db")["status"]["readyReplicas"] == 3
    first = lab.get("Pod", "db-0")
    assert (first["spec"]["hostname"], first["spec"]["subdomain"]) == ("db-0", "db")
    assert first["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] == "db-0"


def test_stateful_pods_are_ready_at_once_where_nothing_is_slow(lab):
    lab.apply(workload(kind="StatefulSet", name="db", replicas=3))
    assert lab.names("Pod") == ["db-0", "db-1", "db-2"]


def test_a_stateful_pod_comes_back_under_its_name_only_when_it_is_gone(lab):
    lab.apply(workload(kind="StatefulSet", name="db", replicas=2))
    before = lab.get("Pod", "db-1")["metadata"]["uid"]
    lab.delete("Pod", "db-1")
    assert lab.get("Pod", "db-1")["metadata"]["uid"] == before
    lab.advance(31)
    assert lab.get("Pod", "db-1")["metadata"]["uid"] != before
    assert lab.ready("db-1")


def test_a_stateful_roll_out_goes_backwards_one_at_a_time(lab):
    lab.apply(workload(kind="StatefulSet", name="db", replicas=3))
    lab.apply(workload(kind="StatefulSet", name="db", replicas=3, image="httpd"))

    def new() -> list[str]:
        return [p["metadata"]["name"] for p in lab.list("Pod") if p["spec"]["containers"][0]["image"] == "httpd"]

    steps = [new()]
    for _ in range(4):
        lab.advance(31)
        steps.append(new())
    assert steps == [[], ["db-2"], ["db-1", "db-2"], ["db-0", "db-1", "db-2"], ["db-0", "db-1", "db-2"]]


def test_a_stateful_set_shrinks_from_the_end(lab):
    lab.apply(workload(kind="StatefulSet", name="db", replicas=3))
    lab.patch("StatefulSet", "db", {"spec": {"replicas": 1}})
    lab.advance(31)
    assert lab.names("Pod") == ["db-0", "db-1"]
    lab.advance(31)
    assert lab.names("Pod") == ["db-0"]


def test_a_daemon_set_has_one_pod_on_each_node_that_takes_it(lab):
    lab.patch("Node", "node-3", {"spec": {"taints": [{"key": "gpu", "effect": "NoSchedule"}]}})
    lab.apply(workload(kind="DaemonSet", name="agent"))
    assert sorted(p["spec"]["nodeName"] for p in lab.list("Pod")) == ["node-1", "node-2"]
    assert lab.get("DaemonSet", "agent")["status"]["desiredNumberScheduled"] == 2
    lab.patch("Node", "node-3", {"spec": {"taints": None}})
    assert sorted(p["spec"]["nodeName"] for p in lab.list("Pod")) == ["node-1", "node-2", "node-3"]


def test_a_daemon_roll_out_replaces_one_node_after_the_other(lab):
    lab.apply(workload(kind="DaemonSet", name="agent"))
    lab.apply(workload(kind="DaemonSet", name="agent", image="httpd"))
    assert images(lab) == ["nginx", "nginx"]
    lab.advance(95)
    assert images(lab, terminating=True) == ["httpd"] * 3


def test_min_ready_seconds_delay_availability_not_readiness(lab):
    lab.apply(workload(replicas=1, more="minReadySeconds: 10"))
    status = lab.get("Deployment", "web")["status"]
    assert status["readyReplicas"] == 1 and "availableReplicas" not in status
    lab.advance(10)
    assert lab.get("Deployment", "web")["status"]["availableReplicas"] == 1


def test_pods_of_one_deployment_are_told_from_a_bare_pod(lab):
    """Only Pods that carry the template hash belong to a Deployment's ReplicaSet, whatever other labels they share."""
    lab.apply(workload(replicas=2) + pod("bare"))
    assert len(lab.names("Pod")) == 3
