"""The API server and kubectl's apply in front of it."""

from __future__ import annotations

import pytest

from k8snet.controlplane.plane import ControlPlane
from k8snet.controlplane.settings import Settings
from k8snet.manifests.errors import ApiError
from k8snet.manifests.kinds import ref
from tests.controlplane.helpers import Lab, pod, service, workload


@pytest.fixture
def lab() -> Lab:
    return Lab()


def refusal(lab: Lab, act) -> ApiError:
    with pytest.raises(ApiError) as caught:
        act()
    return caught.value


def test_a_fresh_cluster_has_what_every_cluster_has(lab):
    assert lab.names("Namespace") == ["default", "kube-node-lease", "kube-public", "kube-system"]
    assert lab.get("Service", "kubernetes")["spec"]["clusterIP"] == "10.96.0.1"
    dns = lab.get("Service", "kube-dns", "kube-system")["spec"]
    assert dns["clusterIP"] == "10.96.0.10"
    assert [(p["name"], p["port"], p["protocol"]) for p in dns["ports"]] == [
        ("dns", 53, "UDP"),
        ("dns-tcp", 53, "TCP"),
        ("metrics", 9153, "TCP"),
    ]
    coredns = lab.list("Pod", "kube-system", selector="k8s-app=kube-dns")
    assert [(p["status"]["phase"], p["spec"]["dnsPolicy"]) for p in coredns] == [("Running", "Default")] * 2
    assert [n["status"]["addresses"][0]["address"] for n in lab.list("Node")] == [
        f"192.168.10.{n}" for n in (11, 12, 13)
    ]
    assert [n["spec"]["podCIDR"] for n in lab.list("Node")] == [f"10.244.{n}.0/24" for n in (1, 2, 3)]


def test_a_loaded_dump_is_kept_as_it_is():
    lab = Lab()
    lab.apply(pod("web") + service())
    dump = list(lab.plane.store)
    plane = ControlPlane.loaded(dump, Settings(loaded=True))
    plane.settle()
    plane.advance(100)
    assert list(plane.store) == dump


def test_what_is_applied_onto_a_dump_is_run():
    lab = Lab()
    lab.apply(pod("web"))
    plane = ControlPlane.loaded(list(lab.plane.store), Settings(loaded=True))
    plane.api.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
        }
    )
    plane.settle()
    found = [
        s
        for s in plane.api.list("EndpointSlice", "default")
        if s["metadata"]["labels"].get("kubernetes.io/service-name") == "web"
    ]
    assert [e["targetRef"]["name"] for s in found for e in s["endpoints"]] == ["web"]


def test_a_pod_of_a_dump_stays_as_the_dump_says():
    status = {"phase": "Running", "podIP": "10.9.0.1", "hostIP": "10.8.0.1", "containerStatuses": [{"name": "c"}]}
    web = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "default"}, "status": status}
    web["spec"] = {"nodeName": "n", "containers": [{"name": "c", "image": "nginx"}]}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "spec": {}, "status": {}}
    plane = ControlPlane.loaded([node, web], Settings(loaded=True))
    plane.api.patch("Pod", "default", "web", {"status": {"reason": "Seen"}}, subresource="status")
    plane.settle()
    assert plane.api.get("Pod", "default", "web")["status"] == {**status, "reason": "Seen"}


def test_apply_says_what_it_did(lab):
    assert lab.apply(service()) == ["created"]
    before = lab.get("Service", "web")
    assert lab.apply(service()) == ["unchanged"]
    assert lab.get("Service", "web") is before
    assert lab.apply(service(ports="{port: 81}")) == ["configured"]


def test_apply_takes_away_what_the_manifest_no_longer_has(lab):
    lab.apply(service(more="sessionAffinity: ClientIP", ports="{name: a, port: 80}, {name: b, port: 81}"))
    lab.apply(service(ports="{name: a, port: 80}"))
    spec = lab.get("Service", "web")["spec"]
    assert spec["sessionAffinity"] == "None"
    assert [p["name"] for p in spec["ports"]] == ["a"]


def test_apply_leaves_alone_what_others_wrote(lab):
    lab.apply(workload(replicas=2))
    lab.patch("Deployment", "web", {"metadata": {"labels": {"team": "red"}}})
    lab.apply(workload(replicas=2, image="httpd"))
    assert lab.get("Deployment", "web")["metadata"]["labels"] == {"team": "red"}


def test_apply_keeps_allocated_addresses_and_ports(lab):
    lab.apply(service(more="type: NodePort"))
    before = lab.get("Service", "web")["spec"]
    lab.apply(service(more="type: NodePort", ports="{port: 80, targetPort: 8080}"))
    after = lab.get("Service", "web")["spec"]
    assert after["clusterIP"] == before["clusterIP"]
    assert after["ports"] == [{**before["ports"][0], "targetPort": 8080}]


def test_apply_warns_about_objects_that_create_made(lab):
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}}
    lab.plane.api.create(obj)
    answer = lab.plane.api.apply({**obj, "data": {"a": "2"}})
    assert answer.verb == "configured"
    assert answer.warnings[0].startswith(
        "resource configmaps/c is missing the kubectl.kubernetes.io/last-applied-configuration"
    )


def test_a_patch_that_cannot_be_decoded_is_worded_as_one(lab):
    lab.apply(service())
    error = refusal(lab, lambda: lab.apply(service(more="selectors: {a: b}")))
    assert error.status.code == 422
    assert 'strict decoding error: unknown field "spec.selectors"' in str(error.status.causes[0])
    assert str(error.status.causes[0]).startswith('patch: Invalid value: "map[metadata:map[annotations:map[')


def test_a_refused_object_leaves_nothing_behind(lab):
    version = lab.plane.store.version
    refusal(lab, lambda: lab.apply(service(ports="{port: 70000}")))
    assert lab.plane.store.version == version


def test_namespaces_must_exist(lab):
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "shop"}}
    error = refusal(lab, lambda: lab.plane.api.create(obj))
    assert (error.status.code, error.message) == (404, 'namespaces "shop" not found')


def test_a_namespace_ends_when_all_in_it_is_gone(lab):
    lab.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")
    obj = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "shop"}}
    obj["spec"] = {"containers": [{"name": "c", "image": "nginx"}]}
    lab.plane.api.create(obj)
    lab.plane.settle()
    lab.delete("Namespace", "shop")
    assert lab.get("Namespace", "shop")["status"]["phase"] == "Terminating"
    error = refusal(lab, lambda: lab.plane.api.create({**obj, "metadata": {"name": "q", "namespace": "shop"}}))
    assert error.message == (
        'pods "q" is forbidden: unable to create new content in namespace shop because it is being terminated'
    )
    lab.advance(31)
    assert "shop" not in lab.names("Namespace")
    assert lab.names("Pod", "shop") == []


def test_the_first_namespaces_cannot_be_deleted(lab):
    error = refusal(lab, lambda: lab.delete("Namespace", "default"))
    assert (error.status.code, error.status.reason) == (403, "Forbidden")


def test_create_refuses_a_taken_name_and_get_a_missing_one(lab):
    obj = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}
    lab.plane.api.create(obj)
    assert refusal(lab, lambda: lab.plane.api.create(obj)).message == 'services "web" already exists'
    error = refusal(lab, lambda: lab.get("NetworkPolicy", "x"))
    assert error.message == 'networkpolicies.networking.k8s.io "x" not found'


def test_replace_notices_that_somebody_else_was_faster(lab):
    lab.apply(service())
    mine = lab.get("Service", "web")
    lab.patch("Service", "web", {"metadata": {"labels": {"a": "b"}}})
    error = refusal(lab, lambda: lab.plane.api.replace(mine))
    assert (error.status.code, error.status.reason) == (409, "Conflict")
    assert error.message.startswith('Operation cannot be fulfilled on services "web": the object has been modified')


def test_status_is_not_for_manifests(lab):
    text = (
        service(more="type: LoadBalancer, loadBalancerClass: x.io/y").rstrip("\n")
        + "\nstatus: {loadBalancer: {ingress: [{ip: 203.0.113.9}]}}\n"
    )
    lab.apply(text)
    assert lab.get("Service", "web")["status"] == {"loadBalancer": {}}
    lab.patch("Service", "web", {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}, subresource="status")
    assert lab.get("Service", "web")["status"]["loadBalancer"]["ingress"] == [{"ip": "192.0.2.1"}]


def test_dry_run_stores_nothing(lab):
    version = lab.plane.store.version
    obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
    assert lab.plane.api.apply(obj, dry_run=True).verb == "created"
    assert lab.plane.store.version == version


def test_generation_counts_changes_of_the_wish_only(lab):
    lab.apply(workload(replicas=1))
    assert lab.get("Deployment", "web")["metadata"]["generation"] == 1
    lab.apply(workload(replicas=2))
    assert lab.get("Deployment", "web")["metadata"]["generation"] == 2
    assert "generation" not in lab.get("Service", "kubernetes")["metadata"]


def test_lists_are_selected_by_labels_and_fields(lab):
    lab.apply(pod("a") + pod("b", labels="app: db") + service())
    lab.advance(0)
    assert [o["metadata"]["name"] for o in lab.list("Pod", selector="app in (db)")] == ["b"]
    node = lab.get("Pod", "a")["spec"]["nodeName"]
    assert [o["metadata"]["name"] for o in lab.list("Pod", fields=f"spec.nodeName={node}")] == ["a"]
    assert [o["metadata"]["name"] for o in lab.list("Pod", fields="metadata.name!=a,status.phase=Running")] == ["b"]
    error = refusal(lab, lambda: lab.list("Service", fields="spec.ports=80"))
    assert "field label not supported: spec.ports" in error.message


def test_the_watch_tells_every_write_in_order(lab):
    since = lab.plane.store.version
    lab.apply(pod("a"))
    lab.delete("Pod", "a")
    lab.advance(31)
    seen = lab.plane.store.watch("Pod", since)
    assert seen[0].type == "ADDED" and seen[-1].type == "DELETED"
    assert {e.type for e in seen[1:-1]} == {"MODIFIED"}
    assert [e.version for e in seen] == sorted(e.version for e in seen)


def test_deleting_an_owner_takes_what_it_owned(lab):
    lab.apply(workload(replicas=2) + service(selector="app: web"))
    lab.delete("Deployment", "web")
    lab.delete("Service", "web")
    lab.advance(31)
    left = {o["kind"] for o in lab.plane.store if o["metadata"].get("namespace") == "default"}
    assert left == {"Service", "Endpoints", "EndpointSlice"}  # those of default/kubernetes
    assert lab.names("EndpointSlice") == ["kubernetes"]


def test_finalizers_are_waited_for(lab):
    lab.plane.api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "finalizers": ["x.io/y"]}})
    lab.delete("ConfigMap", "c")
    assert lab.get("ConfigMap", "c")["metadata"]["deletionTimestamp"]
    lab.patch("ConfigMap", "c", {"metadata": {"finalizers": None}})
    assert "c" not in lab.names("ConfigMap")


def test_a_new_ingress_gets_the_default_class(lab):
    """plugin/pkg/admission/network/defaultingressclass: the newest, then the first by name; on create only."""
    mark = 'annotations: {ingressclass.kubernetes.io/is-default-class: "true"}'
    classes = "".join(
        f"---\napiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {{name: {n}, {mark}}}\nspec: {{controller: x.io/c}}\n"
        for n in ("b", "a")
    )
    ingress = "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: %s}\nspec: {defaultBackend: {service: {name: web, port: {number: 80}}}}\n"
    lab.apply(ingress % "before")
    lab.apply(classes + ingress % "first")
    lab.advance(5)
    lab.apply(classes.replace("name: b", "name: z") + ingress % "second")
    assert "ingressClassName" not in lab.get("Ingress", "before")["spec"]
    assert lab.get("Ingress", "first")["spec"]["ingressClassName"] == "a"
    assert lab.get("Ingress", "second")["spec"]["ingressClassName"] == "z"


def test_copies_are_independent_and_go_on_alike():
    lab = Lab()
    lab.apply(workload(replicas=1))
    twin = lab.plane.copy()
    lab.apply(workload(replicas=2))
    assert len(twin.api.list("Pod", "default")) == 1
    twin.api.patch("Deployment", "default", "web", {"spec": {"replicas": 2}})
    twin.settle()
    names = [p["metadata"]["name"] for p in twin.api.list("Pod", "default")]
    assert names == lab.names("Pod")


def test_events_are_counted_and_forgotten_after_an_hour(lab):
    lab.apply(pod("two").replace("image: nginx, }", "image: nginx}, {name: d, image: nginx}"))
    lab.advance(40)
    backoff = [e for e in lab.plane.api.events_for(ref(lab.get("Pod", "two"))) if e["reason"] == "BackOff"]
    assert [e["count"] for e in backoff] == [3]
    lab.plane.api.delete("Pod", "default", "two")
    lab.advance(3700)
    assert lab.events("two") == []
