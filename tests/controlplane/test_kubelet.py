"""What a kubelet makes of a Pod: its address, its containers, its probes, its end."""

from __future__ import annotations

import pytest

from k8snet.controlplane import containers, kubelet
from tests.controlplane.helpers import Lab, pod, service


@pytest.fixture
def lab() -> Lab:
    return Lab()


def ip(lab: Lab, name: str) -> str:
    return lab.get("Pod", name)["status"].get("podIP", "")


def status(lab: Lab, name: str, container: str = "c") -> dict:
    return next(s for s in lab.get("Pod", name)["status"]["containerStatuses"] if s["name"] == container)


# addresses


def test_addresses_come_from_the_nodes_range_and_are_used_again(lab):
    one = Lab(nodes=1, dns=False)
    one.apply(pod("a") + pod("b"))
    assert (ip(one, "a"), ip(one, "b")) == ("10.244.1.2", "10.244.1.3")  # .1 is the bridge's
    one.delete("Pod", "a")
    one.apply(pod("c"))
    assert ip(one, "c") == "10.244.1.4"  # a terminating Pod still holds its own
    one.advance(31)
    one.apply(pod("d"))
    assert ip(one, "d") == "10.244.1.2"


def test_a_container_whose_image_changes_is_started_again(lab):
    lab.apply(pod("web"))
    before = status(lab, "web"), ip(lab, "web")
    lab.apply(pod("web", image="httpd"))
    after = status(lab, "web")
    assert (after["image"], after["restartCount"], ip(lab, "web")) == ("httpd", 1, before[1])
    assert after["containerID"] != before[0]["containerID"] and after["ready"]
    assert after["lastState"]["terminated"]["reason"] == "Completed"
    told = [e["message"] for e in lab.plane.events.all() if e["reason"] == "Killing"]
    assert told == ["Container c definition changed, will be restarted"]


def test_a_restarted_container_keeps_the_pods_address(lab):
    lab.apply(pod("web"))
    before = ip(lab, "web")
    kubelet.kill(lab.plane, lab.get("Pod", "web"), "c")
    lab.plane.settle()
    assert (ip(lab, "web"), status(lab, "web")["restartCount"], lab.ready("web")) == (before, 1, True)
    assert status(lab, "web")["lastState"]["terminated"]["exitCode"] == 137


def test_host_network_pods_have_their_nodes_address(lab):
    lab.apply(pod("web", more="hostNetwork: true"))
    found = lab.get("Pod", "web")
    assert found["status"]["podIP"] == found["status"]["hostIP"] == "192.168.10.13"


def test_both_families_where_the_cluster_has_two():
    lab = Lab(pod_cidr6="fd00:10:244::/56", service_cidr6="fd00:10:96::/112", dns=False)
    lab.apply(pod("web"))
    assert [i["ip"] for i in lab.get("Pod", "web")["status"]["podIPs"]] == ["10.244.1.2", "fd00:10:244:1::2"]


def test_an_empty_range_leaves_pods_without_an_address():
    """F45, C79: a /28 has 14 addresses, one of them the bridge's."""
    lab = Lab(nodes=1, node_prefix=28, dns=False)
    lab.apply("".join(pod(f"p{n:02}") for n in range(20)))
    with_ip = [n for n in lab.names("Pod") if ip(lab, n)]
    assert len(with_ip) == 13
    assert status(lab, "p19")["state"]["waiting"]["reason"] == "ContainerCreating"
    assert lab.get("Pod", "p19")["status"]["phase"] == "Pending"
    message = dict(lab.events("p19"))["FailedCreatePodSandBox"]
    assert "no IP addresses available in range set: 10.244.0.17-10.244.0.30" in message
    lab.delete("Pod", "p00")
    lab.advance(31)
    assert len([n for n in lab.names("Pod") if ip(lab, n)]) == 13
    assert len(lab.names("Pod")) == 19


def test_nodes_beyond_the_pod_range_get_no_part_of_it():
    """kube-controller-manager's nodeipam: an Event on the node, no spec.podCIDR; its Pods wait for an address."""
    lab = Lab(node_prefix=28, pod_cidr="10.244.0.0/26", nodes=5, dns=False)
    ranges = {n["metadata"]["name"]: n["spec"].get("podCIDR") for n in lab.list("Node", "")}
    assert list(ranges.values()) == ["10.244.0.16/28", "10.244.0.32/28", "10.244.0.48/28", None, None]
    assert lab.events("node-3") == []
    assert lab.events("node-4") == [("CIDRNotAvailable", "Node node-4 status is now: CIDRNotAvailable")]
    lab.apply(pod("web", more="nodeName: node-4"))
    assert ip(lab, "web") == ""
    assert status(lab, "web")["state"]["waiting"]["reason"] == "ContainerCreating"
    assert "no IP ranges specified" in dict(lab.events("web"))["FailedCreatePodSandBox"]


def test_a_cloud_gives_so_many_addresses_to_a_node():
    lab = Lab(nodes=1, network="cloud", address_limit=2, dns=False)
    lab.apply(pod("a") + pod("b") + pod("c"))
    assert [ip(lab, n) for n in "abc"] == ["192.168.10.100", "192.168.10.101", ""]
    assert "failed to assign an IP address to container" in dict(lab.events("c"))["FailedCreatePodSandBox"]


def test_without_a_network_plugin_nodes_are_not_ready():
    """C76, F45."""
    lab = Lab(network_plugin=False)
    ready = next(c for c in lab.get("Node", "node-1", "")["status"]["conditions"] if c["type"] == "Ready")
    assert ready["status"] == "False" and ready["message"].endswith("cni plugin not initialized")
    lab.apply(
        pod("web") + pod("pinned", more="nodeName: node-1") + pod("host", more="hostNetwork: true, nodeName: node-1")
    )
    assert "3 node(s) had untolerated taint(s)" in dict(lab.events("web"))["FailedScheduling"]
    assert "cni plugin not initialized" in dict(lab.events("pinned"))["NetworkNotReady"]
    assert lab.ready("host") and not ip(lab, "pinned")
    lab.plane.configure(network_plugin=True)
    assert lab.ready("web") and lab.ready("pinned")


# containers that cannot bind their port

TWO = pod("two").replace("image: nginx, }", "image: nginx}, {name: d, image: nginx}")


def test_two_containers_want_one_port():
    """C09, F09: they share one network, so the second finds the port taken, and goes on trying."""
    lab = Lab()
    lab.apply(TWO)
    first, second = status(lab, "two"), status(lab, "two", "d")
    assert "running" in first["state"] and first["ready"]
    assert second["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert second["state"]["waiting"]["message"].startswith(
        "back-off 10s restarting failed container=d pod=two_default("
    )
    assert second["lastState"]["terminated"]["exitCode"] == 1
    assert not lab.ready("two")
    two = lab.get("Pod", "two")
    assert containers.logs(lab.plane.store, two, "c") == ["listening on 0.0.0.0:80/TCP"]
    assert containers.logs(lab.plane.store, two, "d") == ["bind() to 0.0.0.0:80 failed (98: Address already in use)"]
    restarts = []
    for _ in range(4):
        restarts.append(status(lab, "two", "d")["restartCount"])
        lab.advance(20)
    assert restarts == [1, 2, 3, 3]  # again at 10, 30, 70 seconds


def test_the_back_off_ends_at_five_minutes(lab):
    lab.apply(TWO)
    lab.advance(3600)
    assert status(lab, "two", "d")["state"]["waiting"]["message"].startswith("back-off 5m0s")
    assert 12 < status(lab, "two", "d")["restartCount"] < 20


def test_without_restarts_the_container_stays_down(lab):
    lab.apply(TWO.replace("spec: {", "spec: {restartPolicy: Never, "))
    assert status(lab, "two", "d")["state"]["terminated"]["exitCode"] == 1
    assert not lab.ready("two")


def test_pods_on_the_nodes_network_share_its_ports(lab):
    lab.apply(pod("a", more="hostNetwork: true, nodeName: node-1"))
    lab.apply(
        pod("b", more="hostNetwork: true, nodeName: node-1") + pod("c", more="hostNetwork: true, nodeName: node-2")
    )
    assert (lab.ready("a"), lab.ready("b"), lab.ready("c")) == (True, False, True)
    lab.delete("Pod", "a")
    lab.advance(60)
    assert lab.ready("b")


# probes


def test_a_probe_on_a_port_where_nobody_listens(lab):
    """F04."""
    lab.apply(pod("web", container="readinessProbe: {httpGet: {path: /, port: 8080}}") + service())
    assert lab.get("Pod", "web")["status"]["phase"] == "Running"
    assert lab.endpoints("web") == {"web": (False, False, False)}
    expected = f'Readiness probe failed: Get "http://{ip(lab, "web")}:8080/": dial tcp {ip(lab, "web")}:8080: connect: connection refused'
    assert ("Unhealthy", expected) in lab.events("web")
    condition = next(c for c in lab.get("Pod", "web")["status"]["conditions"] if c["type"] == "Ready")
    assert condition["message"] == "containers with unready status: [c]"


def test_a_listener_on_loopback_is_not_seen_by_probes(lab):
    text = pod("web", container="readinessProbe: {tcpSocket: {port: 80}}")
    lab.apply(text.replace("name: web,", "name: web, annotations: {k8snet.io/listen: '127.0.0.1:80'},"))
    assert not lab.ready("web")


def test_a_path_that_the_web_server_does_not_have(lab):
    lab.apply(pod("web", container="readinessProbe: {httpGet: {path: /healthz, port: 80}}"))
    assert ("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 404") in lab.events("web")


def test_a_named_probe_port(lab):
    lab.apply(pod("web", container="ports: [{name: http, containerPort: 80}], readinessProbe: {httpGet: {port: http}}"))
    assert lab.ready("web")


def test_the_first_probe_waits_for_its_delay(lab):
    lab.apply(pod("web", container="readinessProbe: {tcpSocket: {port: 80}, initialDelaySeconds: 7}") + service())
    assert not lab.ready("web")
    lab.advance(6)
    assert not lab.ready("web")
    lab.advance(1)
    assert lab.endpoints("web") == {"web": (True, True, False)}


def test_a_running_pod_is_unready_after_three_failures(lab):
    probe = "readinessProbe: {httpGet: {path: /, port: 80}, periodSeconds: 5}"
    lab.apply(pod("web", container=probe))
    lab.patch("Pod", "web", {"metadata": {"annotations": {"k8snet.io/failing-probes": "readiness"}}})
    lab.advance(9)
    assert lab.ready("web")
    lab.advance(1)
    assert not lab.ready("web")
    event = next(e for e in lab.plane.api.list("Event") if e["reason"] == "Unhealthy")
    assert (event["message"], event["count"]) == ("Readiness probe failed: HTTP probe failed with statuscode: 503", 3)
    lab.patch("Pod", "web", {"metadata": {"annotations": None}})
    assert lab.ready("web")


def test_a_failing_liveness_probe_restarts_the_container(lab):
    lab.apply(pod("web", container="livenessProbe: {tcpSocket: {port: 9}, failureThreshold: 2, periodSeconds: 5}"))
    before = ip(lab, "web")
    lab.advance(4)
    assert status(lab, "web")["restartCount"] == 0
    lab.advance(1)
    assert status(lab, "web")["restartCount"] == 1
    assert ("Killing", "Container c failed liveness probe, will be restarted") in lab.events("web")
    lab.advance(5)
    assert status(lab, "web")["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert ip(lab, "web") == before


def test_a_startup_probe_comes_before_the_others(lab):
    startup = "startupProbe: {tcpSocket: {port: 80}, initialDelaySeconds: 10}, readinessProbe: {tcpSocket: {port: 80}}"
    lab.apply(pod("web", container=startup))
    assert not lab.ready("web") and not status(lab, "web")["started"]
    lab.advance(10)
    assert lab.ready("web") and status(lab, "web")["started"]


def test_other_probes_count_from_the_end_of_the_startup_probe(lab):
    startup = "startupProbe: {tcpSocket: {port: 80}, initialDelaySeconds: 60}"
    lab.apply(pod("web", container=startup + ", livenessProbe: {tcpSocket: {port: 9}}"))
    lab.advance(79)
    assert status(lab, "web")["restartCount"] == 0
    lab.advance(1)
    assert status(lab, "web")["restartCount"] == 1


def test_init_containers_are_over_and_sidecars_run(lab):
    inits = "initContainers: [{name: setup, image: busybox}, {name: proxy, image: nginx, restartPolicy: Always}]"
    lab.apply(pod("web", image="httpd", more=inits))
    found = {s["name"]: next(iter(s["state"])) for s in lab.get("Pod", "web")["status"]["initContainerStatuses"]}
    assert found["setup"] == "terminated"
    assert [s["name"] for s in lab.get("Pod", "web")["status"]["containerStatuses"]] == ["c"]


# the end


def test_a_terminating_pod_serves_until_its_grace_period_ends(lab):
    lab.apply(pod("web") + service())
    lab.delete("Pod", "web")
    meta = lab.get("Pod", "web")["metadata"]
    assert (meta["deletionTimestamp"], meta["deletionGracePeriodSeconds"]) == ("2026-01-01T00:00:30Z", 30)
    assert lab.endpoints("web") == {"web": (False, True, True)}
    assert ("Killing", "Stopping container c") in lab.events("web")
    lab.advance(29)
    assert lab.names("Pod") == ["web"]
    lab.advance(1)
    assert lab.names("Pod") == [] and lab.endpoints("web") == {}


def test_an_application_may_end_sooner_but_not_before_its_hook(lab):
    hook = "lifecycle: {preStop: {exec: {command: [sh, -c, 'sleep 5']}}}"
    lab.apply(pod("web", container=hook).replace("name: web,", "name: web, annotations: {k8snet.io/exit-after: '2'},"))
    lab.delete("Pod", "web")
    lab.advance(6)
    assert lab.names("Pod") == ["web"]
    lab.advance(1)
    assert lab.names("Pod") == []


def test_force_takes_no_time(lab):
    lab.apply(pod("web"))
    lab.plane.api.delete("Pod", "default", "web", grace=0)
    assert lab.names("Pod") == []


def test_a_second_delete_can_only_shorten_the_end(lab):
    lab.apply(pod("web"))
    lab.delete("Pod", "web")
    lab.plane.api.delete("Pod", "default", "web", grace=60)
    assert lab.get("Pod", "web")["metadata"]["deletionGracePeriodSeconds"] == 30
    lab.plane.api.delete("Pod", "default", "web", grace=1)
    lab.advance(1)
    assert lab.names("Pod") == []


def test_the_batch_period_lets_traffic_race_with_the_end():
    """C37, F46: the endpoint is still listed while the Pod is gone already, unless a preStop hook waits for it."""
    lab = Lab(endpointslice_updates_batch_period=1.0)
    lab.apply(pod("web").replace("name: web,", "name: web, annotations: {k8snet.io/exit-after: '0'},") + service())
    lab.advance(1)
    assert lab.endpoints("web") == {"web": (True, True, False)}
    lab.delete("Pod", "web")
    assert lab.names("Pod") == [] and lab.endpoints("web") == {"web": (True, True, False)}
    lab.advance(1)
    assert lab.endpoints("web") == {}


# what a container is started with


def test_service_variables_depend_on_who_came_first(lab):
    """C39."""
    lab.apply(pod("early", labels="app: x"))
    lab.apply(service("my-web", ports="{name: http, port: 80}, {name: dns-tcp, port: 53}"))
    lab.apply(pod("late", labels="app: x") + pod("none", labels="app: x", more="enableServiceLinks: false"))
    environments = lab.plane.snapshot().environments
    address = lab.get("Service", "my-web")["spec"]["clusterIP"]
    assert "MY_WEB_SERVICE_HOST" not in environments["default/early"]
    late = environments["default/late"]
    assert late["MY_WEB_SERVICE_HOST"] == address
    assert late["MY_WEB_SERVICE_PORT"] == late["MY_WEB_SERVICE_PORT_HTTP"] == "80"
    assert late["MY_WEB_SERVICE_PORT_DNS_TCP"] == "53"
    assert late["MY_WEB_PORT"] == late["MY_WEB_PORT_80_TCP"] == f"tcp://{address}:80"
    assert late["MY_WEB_PORT_53_TCP_ADDR"] == address
    assert set(environments["default/none"]) == {k for k in late if k.startswith("KUBERNETES_")}
    kubelet.kill(lab.plane, lab.get("Pod", "early"), "c")
    assert "MY_WEB_SERVICE_HOST" in lab.plane.snapshot().environments["default/early"]


def test_too_many_nameservers_are_reported(lab):
    dns = "dnsConfig: {nameservers: [192.0.2.1, 192.0.2.2, 192.0.2.3]}"
    lab.apply(pod("web", more=dns))
    assert "DNSConfigForming" in dict(lab.events("web"))
