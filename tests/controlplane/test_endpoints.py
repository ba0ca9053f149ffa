"""EndpointSlices, hints, and the old Endpoints, as the controllers keep them."""

from __future__ import annotations

from collections import Counter

import pytest

from k8snet.controlplane.endpoints import slices_for
from tests.controlplane.helpers import Lab, pod, service, workload


@pytest.fixture
def lab() -> Lab:
    return Lab()


def slices(lab: Lab, name: str = "web") -> list[dict]:
    return lab.list("EndpointSlice", selector=f"kubernetes.io/service-name={name}")


def object_of(name: str = "web", **spec) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default", "uid": "s"},
        "spec": spec,
    }


def pod_of(number: int, zone: str = "", ready: bool = True) -> dict:
    """A running Pod; *zone* names its node."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"p{number:04}", "namespace": "default", "labels": {"app": "web"}},
        "spec": {"nodeName": zone or "n", "containers": [{"name": "c"}]},
        "status": {
            "phase": "Running",
            "podIPs": [{"ip": f"10.1.{number // 250}.{number % 250 + 1}"}],
            "conditions": [{"type": "Ready", "status": str(ready)}],
        },
    }


def node_of(name: str, zone: str = "", cpu: str = "4") -> dict:
    labels = {"topology.kubernetes.io/zone": zone} if zone else {}
    ready = {"type": "Ready", "status": "True"}
    return {
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "status": {"allocatable": {"cpu": cpu}, "conditions": [ready]},
    }


def test_a_selected_ready_pod_is_listed(lab):
    lab.apply(service(ports="{name: http, port: 80, targetPort: 8080, appProtocol: http}") + pod("web"))
    [found] = slices(lab)
    assert found["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP", "appProtocol": "http"}]
    [endpoint] = found["endpoints"]
    web = lab.get("Pod", "web")
    assert endpoint["addresses"] == [web["status"]["podIP"]]
    assert (endpoint["nodeName"], endpoint["zone"]) == ("node-3", "zone-c")
    assert endpoint["conditions"] == {"ready": True, "serving": True, "terminating": False}
    assert found["metadata"]["name"].startswith("web-")


def test_a_label_edit_takes_a_pod_out_and_in(lab):
    """C20, C21, C22: all labels of the selector must be there; others do not matter."""
    lab.apply(service(selector="app: web, tier: front") + pod("web", labels="app: web, tier: front, other: label"))
    assert set(lab.endpoints("web")) == {"web"}
    lab.patch("Pod", "web", {"metadata": {"labels": {"tier": "back"}}})
    assert lab.endpoints("web") == {}
    [empty] = slices(lab)  # one slice stays, with nothing in it
    assert (empty["endpoints"], empty["ports"]) == ([], [])
    lab.patch("Pod", "web", {"metadata": {"labels": {"tier": "front"}}})
    assert set(lab.endpoints("web")) == {"web"}


def test_a_change_of_selector_changes_the_slice_at_once(lab):
    lab.apply(pod("a") + pod("b", labels="app: other") + service())
    lab.apply(service(selector="app: other"))
    assert set(lab.endpoints("web")) == {"b"}


def test_publish_not_ready_lists_unready_pods_as_ready(lab):
    """C35."""
    unready = pod("web", container="readinessProbe: {tcpSocket: {port: 9}}")
    lab.apply(unready + service() + service("peers", more="clusterIP: None, publishNotReadyAddresses: true"))
    assert lab.endpoints("web") == {"web": (False, False, False)}
    assert lab.endpoints("peers") == {"web": (True, False, False)}
    assert slices(lab, "peers")[0]["metadata"]["labels"]["service.kubernetes.io/headless"] == ""


def test_a_misspelt_port_name(lab):
    """F03, T11, kubernetes/kubernetes#109627: the slice lists the address without a port, Endpoints has nothing."""
    lab.apply(
        service(ports="{port: 80, targetPort: htp}") + pod("web", container="ports: [{name: http, containerPort: 80}]")
    )
    [found] = slices(lab)
    assert found["ports"] == [] and len(found["endpoints"]) == 1
    assert "subsets" not in lab.get("Endpoints", "web")
    lab.apply(service(ports="{port: 80, targetPort: http}"))
    assert [p["port"] for s in slices(lab) for p in s["ports"]] == [80]
    assert lab.get("Endpoints", "web")["subsets"][0]["ports"] == [{"port": 80, "protocol": "TCP"}]


def test_one_port_name_may_mean_different_numbers(lab):
    named = "ports: [{name: http, containerPort: %d}]"
    lab.apply(
        service(ports="{port: 80, targetPort: http}")
        + pod("a", container=named % 80)
        + pod("b", container=named % 8080)
    )
    assert sorted((s["ports"][0]["port"], len(s["endpoints"])) for s in slices(lab)) == [(80, 1), (8080, 1)]


def test_external_names_and_services_without_selector_have_no_slices(lab):
    lab.apply(
        service("a", selector="", more="type: ExternalName, externalName: example.com") + service("b", selector="")
    )
    assert slices(lab, "a") == slices(lab, "b") == []
    lab.apply(service("c") + pod("web"))
    lab.patch("Service", "c", {"spec": {"type": "ExternalName", "externalName": "example.com"}})
    assert slices(lab, "c") == []


def test_a_hand_written_slice_is_left_alone(lab):
    """C24."""
    lab.apply(
        service("db", selector="")
        + "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
        + "metadata: {name: db-1, labels: {kubernetes.io/service-name: db}}\naddressType: IPv4\n"
        + "endpoints: [{addresses: [192.0.2.9]}]\nports: [{port: 5432}]\n"
    )
    lab.advance(10)
    assert [s["metadata"]["name"] for s in slices(lab, "db")] == ["db-1"]


def test_slices_that_somebody_deletes_come_back(lab):
    lab.apply(service() + pod("web"))
    lab.delete("EndpointSlice", slices(lab)[0]["metadata"]["name"])
    assert set(lab.endpoints("web")) == {"web"}


def test_a_pod_of_a_stateful_set_is_known_by_its_hostname(lab):
    """C49, F38: only if the Service is the one that serviceName names."""
    text = workload(kind="StatefulSet", name="db", replicas=1, more="serviceName: peers")
    lab.apply(
        text + service("peers", "app: db", more="clusterIP: None") + service("other", "app: db", more="clusterIP: None")
    )
    assert [e.get("hostname") for s in slices(lab, "peers") for e in s["endpoints"]] == ["db-0"]
    assert [e.get("hostname") for s in slices(lab, "other") for e in s["endpoints"]] == [None]


def test_dual_stack_services_have_slices_of_both_families():
    lab = Lab(pod_cidr6="fd00:10:244::/56", service_cidr6="fd00:10:96::/112")
    lab.apply(pod("web") + service(more="ipFamilyPolicy: PreferDualStack"))
    found = {s["addressType"]: s["endpoints"][0]["addresses"] for s in slices(lab)}
    assert found == {"IPv4": [lab.get("Pod", "web")["status"]["podIPs"][0]["ip"]], "IPv6": ["fd00:10:244:3::2"]}
    assert [a["ip"] for s in lab.get("Endpoints", "web")["subsets"] for a in s["addresses"]] == found["IPv4"]


# how endpoints are spread over slices: k8s.io/endpointslice reconciler_test.go


def sizes(found: list[dict]) -> list[int]:
    return sorted(len(s["endpoints"]) for s in found)


def stored(found: list[dict]) -> list[dict]:
    """As the controller stores new slices: with names."""
    return [
        {**s, "metadata": {**s["metadata"], "name": s["metadata"].get("name") or f"s{i}"}} for i, s in enumerate(found)
    ]


def test_a_slice_holds_a_hundred_endpoints():
    web, nodes = object_of(selector={"app": "web"}, ports=[{"port": 80}], clusterIP="10.0.0.1"), {"n": node_of("n")}
    found = slices_for(web, [pod_of(i) for i in range(250)], nodes)
    assert sizes(found) == [50, 100, 100]


def test_endpoints_stay_where_they_are():
    web, nodes = object_of(selector={"app": "web"}, ports=[{"port": 80}], clusterIP="10.0.0.1"), {"n": node_of("n")}
    pods = [pod_of(i) for i in range(250)]
    before = stored(slices_for(web, pods, nodes))
    after = slices_for(web, pods[:90] + pods[100:], nodes, before)
    assert sizes(after) == [50, 90, 100]
    again = slices_for(web, [*pods[:90], *pods[100:], *(pod_of(i) for i in range(300, 310))], nodes, stored(after))
    assert sizes(again) == [60, 90, 100] or sizes(again) == [50, 100, 100]
    names = {s["metadata"]["name"] for s in before}
    assert {s["metadata"]["name"] for s in again} == names


def test_a_slice_that_empties_is_dropped_and_a_changed_one_filled_first():
    web, nodes = object_of(selector={"app": "web"}, ports=[{"port": 80}], clusterIP="10.0.0.1"), {"n": node_of("n")}
    pods = [pod_of(i) for i in range(150)]
    before = stored(slices_for(web, pods, nodes))
    assert sizes(slices_for(web, pods[:100], nodes, before)) == [100]
    unready = [pod_of(i, ready=i != 3) for i in range(150)]
    after = slices_for(web, [*unready[:99], *unready[100:], pod_of(400)], nodes, before)
    assert sizes(after) == [50, 100]


def test_ports_that_change_rewrite_the_slice_in_place():
    nodes, pods = {"n": node_of("n")}, [pod_of(1)]
    before = stored(
        slices_for(object_of(selector={"app": "web"}, ports=[{"port": 80}], clusterIP="10.0.0.1"), pods, nodes)
    )
    after = slices_for(
        object_of(selector={"app": "web"}, ports=[{"port": 81}], clusterIP="10.0.0.1"), pods, nodes, before
    )
    assert [(s["metadata"]["name"], s["ports"][0]["port"]) for s in after] == [("s0", 81)]


# hints


def hints(found: list[dict]) -> Counter:
    zones = [e.get("hints", {}).get("forZones", [{"name": None}])[0]["name"] for s in found for e in s["endpoints"]]
    return Counter(zones)


def test_traffic_distribution_gives_own_zone_and_node(lab):
    lab.apply(workload(replicas=3) + service(more="trafficDistribution: PreferSameNode"))
    for endpoint in (e for s in slices(lab) for e in s["endpoints"]):
        assert endpoint["hints"]["forZones"] == [{"name": endpoint["zone"]}]
        assert endpoint["hints"]["forNodes"] == [{"name": endpoint["nodeName"]}]
    lab.apply(service())
    assert not any("hints" in e for s in slices(lab) for e in s["endpoints"])


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"a": 5, "b": 5, "c": 5}, {"a": 5, "b": 5, "c": 5}),
        ({"a": 9, "b": 3, "c": 3}, {"a": 5, "b": 5, "c": 5}),
        ({"a": 2, "b": 0, "c": 0}, {None: 2}),  # fewer endpoints than zones
        ({"a": 2, "b": 1, "c": 1}, {None: 4}),  # one zone would carry too much
    ],
)
def test_topology_mode_auto_gives_zones_their_share(counts, expected):
    """k8s.io/endpointslice topologycache: shares by CPU, none at all above 20 % overload."""
    web = object_of(selector={"app": "web"}, ports=[{"port": 80}], clusterIP="10.0.0.1")
    web["metadata"]["annotations"] = {"service.kubernetes.io/topology-mode": "Auto"}
    nodes = {z: node_of(z, z) for z in "abc"}
    places = [z for z, n in counts.items() for _ in range(n)]
    found = slices_for(web, [pod_of(i, z) for i, z in enumerate(places)], nodes)
    assert hints(found) == expected


def test_topology_mode_says_on_the_service_what_it_did():
    lab = Lab(nodes=3)
    annotated = service().replace("name: web}", "name: web, annotations: {service.kubernetes.io/topology-mode: Auto}}")
    lab.apply(workload(replicas=2) + annotated)
    reasons = dict(lab.events("web"))
    assert (
        reasons["TopologyAwareHintsDisabled"]
        == "Insufficient number of endpoints (2 endpoints, 3 zones), addressType: IPv4"
    )
    lab.patch("Deployment", "web", {"spec": {"replicas": 6}})
    assert hints(slices(lab)) == {"zone-a": 2, "zone-b": 2, "zone-c": 2}
    assert (
        dict(lab.events("web"))["TopologyAwareHintsEnabled"]
        == "Topology Aware Hints has been enabled, addressType: IPv4"
    )


# the old API


def test_old_endpoints_tell_ready_from_not_ready_and_leave_out_terminating(lab):
    lab.apply(pod("a") + pod("b", container="readinessProbe: {tcpSocket: {port: 9}}") + pod("c") + service())
    lab.delete("Pod", "c")
    [subset] = lab.get("Endpoints", "web")["subsets"]
    assert [a["targetRef"]["name"] for a in subset["addresses"]] == ["a"]
    assert [a["targetRef"]["name"] for a in subset["notReadyAddresses"]] == ["b"]
    lab.delete("Service", "web")
    assert lab.names("Endpoints") == ["kubernetes"]


def test_hand_written_endpoints_are_mirrored(lab):
    """pkg/controller/endpointslicemirroring."""
    endpoints = "---\napiVersion: v1\nkind: Endpoints\nmetadata: {name: db}\nsubsets: [{addresses: [{ip: 192.0.2.9}, {ip: '2001:db8::9'}], ports: [{name: pg, port: 5432}]}]\n"
    lab.apply(endpoints)
    assert slices(lab, "db") == []  # no such Service
    lab.apply(service("db", selector=""))
    found = {s["addressType"]: s for s in slices(lab, "db")}
    assert [e["addresses"] for t in ("IPv4", "IPv6") for e in found[t]["endpoints"]] == [["192.0.2.9"], ["2001:db8::9"]]
    assert found["IPv4"]["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"].startswith(
        "endpointslicemirroring"
    )
    lab.apply(endpoints.replace("192.0.2.9", "192.0.2.10"))
    assert [s["endpoints"][0]["addresses"] for s in slices(lab, "db") if s["addressType"] == "IPv4"] == [["192.0.2.10"]]
    lab.delete("Endpoints", "db")
    assert slices(lab, "db") == []
