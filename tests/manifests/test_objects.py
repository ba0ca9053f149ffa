"""Decoding, defaults, validation, allocation and hints, through the public functions; and fuzzing of all of them."""

from __future__ import annotations

import copy
import os
import random
from typing import Any

import pytest

from k8snet.controlplane import allocation
from k8snet.controlplane.settings import Settings
from k8snet.manifests import decode, defaults, validation
from k8snet.manifests.errors import ApiError, KubernetesError
from k8snet.manifests.rules import _RULES
from k8snet.manifests.schema import CUSTOM_RESOURCES, structs
from k8snet.manifests.tables import table

Object = dict[str, Any]
SINGLE = Settings()
DUAL = Settings(service_cidr6="fd00:10::/108")


def service(name: str = "web", **spec: Any) -> Object:
    ports = spec.pop("ports", [{"port": 80}])
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": ports, **spec}}


def pod(**spec: Any) -> Object:
    container = {"name": "c", "image": "nginx", **spec.pop("container", {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container], **spec}}


def policy(**spec: Any) -> Object:
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p"}, "spec": spec}


def take_in(
    obj: Object, stored: tuple[Object, ...] = (), settings: Settings = SINGLE, old: Object | None = None
) -> Object:
    new = defaults.fill(decode.strict(obj))
    if obj["kind"] == "Service":
        new = allocation.allocate(new, stored, settings, random.Random(0), old)
    if found := validation.errors(new, old):
        raise validation.refuse(new, found)
    return new


def refused(obj: Object, **more: Any) -> ApiError:
    with pytest.raises(ApiError) as caught:
        take_in(obj, **more)
    return caught.value


def test_the_table_of_rules_names_only_what_there_is() -> None:
    for struct, lines in table("rules").items():
        for line in lines:
            (field, words), known = next(iter(line.items())), structs()[struct]
            assert words.split()[0] in _RULES if field == "_" else field in known


def test_unknown_fields_are_all_named_and_a_wrong_type_hides_them() -> None:
    error = refused(service(ports=[{"port": 80, "targetport": 8080}], selecter={"a": "b"}))
    assert error.message.endswith('unknown field "spec.ports[0].targetport", unknown field "spec.selecter"')
    assert "targetPort" in error.hint and "selector" in error.hint
    error = refused(service(ports=[{"port": "80", "x": 1}]))
    assert error.message.endswith(
        "cannot unmarshal string into Go struct field ServicePort.spec.ports.port of type int32"
    )
    assert error.hint == "port is a number: without quotes and fractions, port: 80"


def test_a_type_that_reads_itself_ends_the_reading() -> None:
    error = refused(service(ports=[{"port": "80"}, {"port": 81, "targetPort": True}]))
    assert "cannot unmarshal bool" in error.message


@pytest.mark.parametrize(
    ("obj", "line", "hint"),
    [
        (service(ports=[{"port": 80}, {"port": 81}]), "spec.ports[0].name: Required value", "needs a name"),
        (service(ports=[{"port": 80, "targetPort": "8080"}]), "must contain at least one letter (a-z)", "write 8080 without"),
        (service(type="Nodeport"), 'spec.type: Unsupported value: "Nodeport"', "NodePort"),
        (policy(ingress=[{"from": [{}]}]), "spec.ingress[0].from[0]: Required value: must specify a peer", "empty item"),
        (policy(egress=[{"to": [{"ipBlock": {"cidr": "10.1.2.3"}}]}]), "must be a valid CIDR value", "10.1.2.3/32"),
        (policy(ingress=[{"ports": [{"port": 80, "endPort": 70}]}]), "must be greater than or equal to `port`", ""),
        (pod(dnsPolicy="None"), "spec.dnsConfig: Required value: must provide `dnsConfig`", ""),
        (pod(container={"volumeMounts": [{"name": "v", "mountPath": "/v"}]}), 'name: Not found: "v"', "volumes"),
        (pod(container={"readinessProbe": {"tcpSocket": {"port": 0}}}), "tcpSocket.port: Invalid value: 0", "65535"),
        (service(ports=[{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]), "spec.ports[1]: Duplicate value", "two protocols"),
        (service(type="ExternalName", externalName="https://a.example"), "RFC 1123 subdomain", "without http://"),
        (service(ipFamilies=["IPv4", "IPv6"]), "must be 'RequireDualStack' or 'PreferDualStack'", "PreferDualStack"),
        (service(ports=[80]), "of type v1.ServicePort", "Each item of ports holds fields of its own: - {port: 80}"),
        (policy(ingress=[{"from": [{"namespaceSelector": "shop"}]}]), "of type v1.LabelSelector", "{matchLabels: {app: web}}"),
        (policy(egress=[{"to": [{"ipBlock": {"cidr": "db.example"}}]}]), "must be a valid CIDR value", "names of hosts are not known"),
        (policy(ingress=[{"from": [{"namespace": "shop"}]}]), "from[0].namespace", "metadata.name"),
        (pod(container={"image": True}), "of type string", "yes, on and y"),
        (policy(deny=["Ingress"]), 'unknown field "spec.deny"', "egress, ingress, podSelector, policyTypes"),
        (pod(image="nginx"), 'unknown field "spec.image"', "under containers"),
        (pod(container={"resources": {"limits": {"memory": "128 MB"}}}), "quantities must match", "128Mi"),
        (pod(hostNetwork=True, container={"ports": [{"containerPort": 80, "hostPort": 81}]}), "must match `containerPort`", ""),
    ],
)  # fmt: skip
def test_mistakes_are_refused_in_the_servers_words_with_a_hint_apart(obj: Object, line: str, hint: str) -> None:
    error = refused(obj)
    assert line in error.message
    assert hint in error.hint


def test_labels_right_under_a_pod_selector_are_answered_with_match_labels() -> None:
    assert "matchLabels" in refused(policy(podSelector={"app": "x"})).hint


def test_defaults_are_filled_in_and_stay_when_applied_again() -> None:
    first = take_in(service(type="NodePort"), (), DUAL)
    assert first["spec"]["externalTrafficPolicy"] == "Cluster" and first["spec"]["ports"][0]["targetPort"] == 80
    assert take_in(first, (first,), DUAL, first) == first
    assert defaults.fill(decode.strict(policy(egress=[{}])))["spec"]["policyTypes"] == ["Ingress", "Egress"]


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("registry:5000/team/nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:latest@sha256:" + "0" * 64, "Always"),
        ("nginx@sha256:" + "0" * 64, "IfNotPresent"),
        ("registry:5000/nginx:1.27", "IfNotPresent"),
        ("Nginx", "IfNotPresent"),
        ("", "IfNotPresent"),
    ],
)
def test_an_image_is_pulled_each_time_if_its_tag_is_latest(image: str, policy: str) -> None:
    """SetDefaults_Container and parsers.ParseImageName; TestWorkloadDefaults for an image left out."""
    filled = defaults.fill(pod(container={"image": image}))
    assert filled["spec"]["containers"][0]["imagePullPolicy"] == policy


def test_what_a_volume_is_put_together_from_and_a_node_have_defaults_too() -> None:
    """TestWorkloadDefaults and TestSetDefaultNodeStatusAllocatable."""
    sources = [{"serviceAccountToken": {"path": "t"}}, {"downwardAPI": {"items": [{"path": "n", "fieldRef": {}}]}}]
    filled = defaults.fill(pod(volumes=[{"name": "v", "projected": {"sources": sources}}]))
    token, names = filled["spec"]["volumes"][0]["projected"]["sources"]
    assert token["serviceAccountToken"]["expirationSeconds"] == 3600
    assert names["downwardAPI"]["items"][0]["fieldRef"] == {"apiVersion": "v1"}
    node = {"kind": "Node", "metadata": {"name": "n"}, "status": {"capacity": {"cpu": "2"}}}
    assert defaults.fill(node)["status"]["allocatable"] == {"cpu": "2"}


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("0.5", "500m"),
        ("1000m", "1"),
        (5000, "5k"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Ki", "512"),
        ("1.1E6", "1100e3"),
        ("-0.5", "-500m"),
        ("1n", "1m"),
        ("100Ki", "100Ki"),
        ("00", "0"),
    ],
)
def test_amounts_are_kept_in_one_form(written: str | int, kept: str) -> None:
    """resource.Quantity's TestQuantityParseEmit in own numbers, and TestSetMinimumScalePod: at least a thousandth."""
    read = decode.strict(pod(container={"resources": {"limits": {"memory": written}}}))
    assert read["spec"]["containers"][0]["resources"]["limits"]["memory"] == kept


def test_addresses_and_ports_come_from_the_upper_band_and_are_given_once() -> None:
    stored: tuple[Object, ...] = ()
    for i in range(60):
        stored += (take_in(service(f"s{i}", type="NodePort"), stored),)
    ips, ports = {s["spec"]["clusterIP"] for s in stored}, {s["spec"]["ports"][0]["nodePort"] for s in stored}
    assert len(ips) == len(ports) == 60
    assert min(ports) > 30085
    assert "already allocated" in refused(service(clusterIP=min(ips)), stored=stored).message


def test_an_empty_pool_is_an_internal_error() -> None:
    small = Settings(service_cidr="10.96.0.0/30")
    stored = tuple(take_in(service(f"s{i}", clusterIP=f"10.96.0.{i}"), (), small) for i in (1, 2))
    error = refused(service(), stored=stored, settings=small)
    assert (error.status.code, error.message) == (
        500,
        "Internal error occurred: failed to allocate a serviceIP: range is full",
    )


def test_an_update_keeps_what_it_leaves_out_and_drops_what_its_type_lost() -> None:
    old = take_in(service(type="NodePort"))
    again = take_in(service(type="NodePort"), (old,), old=old)
    assert again["spec"]["ports"] == old["spec"]["ports"] and again["spec"]["clusterIP"] == old["spec"]["clusterIP"]
    plain = take_in({**old, "spec": {**old["spec"], "type": "ClusterIP"}}, (old,), old=old)
    assert "nodePort" not in plain["spec"]["ports"][0] and "externalTrafficPolicy" not in plain["spec"]
    assert "may not change once set" in refused(service(clusterIP="10.96.0.99"), stored=(old,), old=old).message


def test_a_bad_name_is_still_counted_as_a_name() -> None:
    """validateServicePort: the rule about repeated names does not wait for the rule about their form."""
    ports = [{"name": "A", "port": 80}, {"name": "A", "port": 81}]
    found = [(cause.field, cause.type) for cause in refused(service(ports=ports)).status.causes]
    assert found[1:] == [("spec.ports[1].name", "Invalid value"), ("spec.ports[1].name", "Duplicate value")]


def test_an_update_may_ask_for_one_node_port_for_two_protocols() -> None:
    """updateNodePorts takes a number once, initNodePorts does so only for ports of one number."""
    ports = [
        {"name": "t", "port": 1, "nodePort": 30001},
        {"name": "u", "port": 2, "protocol": "UDP", "nodePort": 30001},
    ]
    assert "spec.ports[1].nodePort" in refused(service(type="NodePort", ports=ports)).message
    old = take_in(service())
    assert take_in(service(type="NodePort", ports=ports), (old,), old=old)["spec"]["ports"][1]["nodePort"] == 30001


@pytest.mark.parametrize(
    ("topology", "line"),
    [
        ({f"rack-{n}": "a" for n in range(17)}, "deprecatedTopology: Too many: 17: must have at most 16 items"),
        ({"--rack": "a"}, 'deprecatedTopology: Invalid value: "--rack": name part must consist of'),
        (
            {"topology.kubernetes.io/zone": "a"},
            "deprecatedTopology[topology.kubernetes.io/zone]: Internal error: reserved",
        ),
    ],
)
def test_an_endpoints_old_map_of_labels(topology: Object, line: str) -> None:
    """TestValidateEndpointSlice, the rows about topology."""
    endpoint = {"addresses": ["10.0.0.1"], "deprecatedTopology": topology}
    obj = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "a"},
        "addressType": "IPv4",
    }
    assert f"endpoints[0].{line}" in refused({**obj, "endpoints": [endpoint]}).message


def test_an_update_is_one_of_the_same_object() -> None:
    """TestValidateNetworkPolicyUpdate, change name."""
    error = refused(policy(), old={**take_in(policy()), "metadata": {"name": "other", "namespace": "default"}})
    assert error.message.endswith('metadata.name: Invalid value: "p": field is immutable')


def test_an_update_looks_at_the_class_of_a_load_balancer_first() -> None:
    """TestValidateServiceUpdate: the rule about the class runs once for the change and once more for the value."""
    new = service(loadBalancerClass="a.example/b", selector={"a b": "c"})
    old = take_in(service())
    found = [cause.field for cause in refused(new, stored=(old,), old=old).status.causes]
    assert found == ["spec.loadBalancerClass", "spec.selector"]


def test_an_external_ip_that_nobody_can_have_may_not_stay() -> None:
    """ValidateEndpointIP runs on values that were stored, unlike the strict reading of addresses."""
    old = defaults.fill(decode.strict(service(externalIPs=["010.1.2.3", "127.0.0.1"])))
    causes = refused(old, old=old).status.causes
    assert [cause.field for cause in causes] == ["spec.externalIPs[1]"]


def test_two_families_where_the_cluster_has_two() -> None:
    spec = take_in(service(ipFamilyPolicy="PreferDualStack"), (), DUAL)["spec"]
    assert spec["ipFamilies"] == ["IPv4", "IPv6"] and len(spec["clusterIPs"]) == 2
    assert "not configured for dual-stack" in refused(service(ipFamilyPolicy="RequireDualStack")).message


def test_a_deployments_template_has_to_meet_its_selector() -> None:
    template = {"metadata": {"labels": {"app": "b"}}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    spec = {"selector": {"matchLabels": {"app": "a"}}, "template": template}
    obj = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": spec}
    assert "`selector` does not match template `labels`" in refused(obj).message


def test_a_custom_resource_is_checked_by_its_schema() -> None:
    spec = {"gatewayClassName": "x", "listeners": [{"name": "l", "port": "80", "protocol": "HTTP"}]}
    obj = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "g"}, "spec": spec}
    assert 'spec.listeners[0].port in body must be of type integer: "string"' in refused(obj).message
    spec["listeners"][0]["port"] = 70000
    assert "should be less than or equal to 65535" in refused(obj).message


VALUES = [
    "",
    "A",
    "-x",
    "x" * 64,
    "80",
    "10.0.0.1/8",
    "::1",
    "*",
    0,
    -1,
    65536,
    2**40,
    80.5,
    True,
    None,
    [],
    {},
    [{}],
    {"a": 1},
]
SEEDS = [
    service(type="LoadBalancer", selector={"a": "b"}, clusterIP="10.96.0.9", externalIPs=["1.2.3.4"]),
    pod(dnsConfig={"nameservers": ["1.1.1.1"]}, container={"ports": [{"containerPort": 80, "name": "http"}],
        "readinessProbe": {"httpGet": {"port": 80}}, "env": [{"name": "A", "value": "b"}]}, hostAliases=[{"ip": "1.1.1.1"}]),
    policy(podSelector={"matchLabels": {"a": "b"}}, ingress=[{"from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}],
        "ports": [{"port": 80, "endPort": 90}]}]),
    {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "i"}, "spec": {"tls": [{"hosts": ["a.b"]}], "rules": [
        {"host": "a.b", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "w", "port": {"number": 80}}}}]}}]}},
    {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "e"}, "addressType": "IPv4",
     "endpoints": [{"addresses": ["10.0.0.1"], "hints": {"forZones": [{"name": "z"}]}}], "ports": [{"name": "p", "port": 80}]},
    {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "labels": {"a": "b"}}, "spec": {"replicas": 2, "selector": {"matchLabels":
        {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "x"}]}}}},
    {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "h"}, "spec": {"parentRefs": [{"name": "g"}],
        "rules": [{"matches": [{"path": {"value": "/x"}}], "backendRefs": [{"name": "w", "port": 80}]}]}},
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] + [p for key, v in inner for p in places(v, (*path, key))]


def damaged(obj: Object, rng: random.Random) -> Object:
    """A copy with up to three keys dropped, renamed or given another value."""
    obj = copy.deepcopy(obj)
    for _ in range(rng.randint(1, 3)):
        path = rng.choice([p for p in places(obj) if p and p[0] not in ("apiVersion", "kind")] or [("spec",)])
        parent = obj
        for key in path[:-1]:
            parent = parent[key]
        how = rng.randrange(3)
        if how == 0 and path[-1] in (parent if isinstance(parent, dict) else range(len(parent))):
            del parent[path[-1]]
        elif how == 1 and isinstance(parent, dict) and path[-1] in parent:
            parent[f"{path[-1]}x"] = parent.pop(path[-1])
        else:
            parent[path[-1]] = copy.deepcopy(rng.choice(VALUES))
    return obj


def test_nothing_but_refusals_in_kubernetes_words_ever_comes_out() -> None:
    """500 damaged manifests; ``K8SNET_FUZZ=20000`` for more."""
    rng = random.Random(1)
    for _ in range(int(os.environ.get("K8SNET_FUZZ", "500"))):
        seed = rng.choice(SEEDS)
        obj = damaged(seed, rng)
        old = take_in(seed) if rng.random() < 0.3 else None
        try:
            new = take_in(obj, old=old)
        except KubernetesError:
            continue
        assert decode.strict(new) == new or new["kind"] in CUSTOM_RESOURCES


def test_a_custom_resource_with_a_map_where_a_list_belongs_is_for_validation_to_refuse():
    spec = {"from": {"group": "gateway.networking.k8s.io"}, "to": [{"group": "", "kind": "Service"}]}
    grant = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "ReferenceGrant", "metadata": {"name": "g"}}
    assert defaults.fill({**grant, "spec": spec})["spec"]["from"] == spec["from"]
