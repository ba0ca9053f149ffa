"""What holds for every set of manifests, whatever the order in which they come."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from k8snet.controlplane.plane import ControlPlane
from k8snet.manifests.reader import objects_of
from tests.controlplane.helpers import Lab, pod, service, workload

names = st.sampled_from(["web", "db", "cart"])
images = st.sampled_from(["nginx", "postgres", "curlimages/curl"])
containers = st.sampled_from(
    [
        "",
        "ports: [{name: http, containerPort: 80}]",
        "readinessProbe: {tcpSocket: {port: 80}}",
        "readinessProbe: {tcpSocket: {port: 80}, initialDelaySeconds: 5}",
        "livenessProbe: {tcpSocket: {port: 9}}",
    ]
)
in_pods = st.sampled_from(
    ["", "nodeSelector: {kubernetes.io/hostname: node-2}", "terminationGracePeriodSeconds: 3", "hostNetwork: true"]
)
pods = st.builds(
    lambda n, i, k, c, m: pod(n, i, f"app: {k}", m, c),
    st.sampled_from(["p1", "p2", "p3"]),
    images,
    names,
    containers,
    in_pods,
)
kinds = st.sampled_from(["Deployment", "StatefulSet", "DaemonSet"])
workloads = st.one_of(
    st.builds(workload, kinds, names, st.integers(0, 4), images),
    # under another label, because a ReplicaSet adopts bare Pods that match and may take them along
    st.builds(workload, st.just("ReplicaSet"), st.just("plain"), st.integers(0, 4), images),
)
in_services = st.sampled_from(
    [
        "",
        "clusterIP: None",
        "type: NodePort",
        "type: LoadBalancer",
        "type: LoadBalancer, externalTrafficPolicy: Local",
        "trafficDistribution: PreferSameZone",
    ]
)
ports = st.sampled_from(
    ["{port: 80}", "{port: 80, targetPort: http}", "{name: a, port: 80}, {name: b, port: 53, protocol: UDP}"]
)
services = st.builds(
    lambda n, k, p, m: service(n, f"app: {k}" if k else "", p, m),
    names,
    st.one_of(names, st.just("")),
    ports,
    in_services,
)
policies = st.builds(
    lambda n: (
        f"---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {n}}}\nspec: {{podSelector: {{}}, ingress: [{{}}]}}\n"
    ),
    names,
)


def identity(text: str) -> tuple[str, str]:
    [obj] = objects_of(text)
    return obj["kind"], obj["metadata"]["name"]


manifests = st.lists(st.one_of(pods, workloads, services, policies), min_size=1, max_size=6, unique_by=identity)


def apply_all(plane: ControlPlane, texts: list[str]) -> None:
    for text in texts:
        for obj in objects_of(text):
            plane.api.apply(obj)
    plane.settle()


@settings(max_examples=100, deadline=None)
@given(manifests)
def test_applying_again_changes_nothing(texts):
    lab = Lab()
    apply_all(lab.plane, texts)
    version = lab.plane.store.version
    apply_all(lab.plane, texts)
    assert lab.plane.store.version == version
    for text in texts:  # nor does applying what get answers
        kind, name = identity(text)
        before = lab.get(kind, name)
        lab.plane.api.apply(before)
        after = lab.get(kind, name)
        assert after.get("spec") == before.get("spec") and after.get("status") == before.get("status")
    lab.plane.settle()


@settings(max_examples=100, deadline=None)
@given(manifests, st.randoms(use_true_random=False), st.floats(0, 90))
def test_deleting_everything_leaves_nothing(texts, rng, seconds):
    lab = Lab()
    before = {(o["kind"], o["metadata"]["name"]) for o in lab.plane.store}
    apply_all(lab.plane, texts)
    lab.advance(seconds)
    order = [identity(t) for t in texts]
    rng.shuffle(order)
    for kind, name in order:
        lab.delete(kind, name)
    lab.advance(120)
    assert {(o["kind"], o["metadata"]["name"]) for o in lab.plane.store} == before
    assert set(lab.plane.environments) == {f"kube-system/{n}" for n in lab.names("Pod", "kube-system")}
    # and every address and port can be had again
    apply_all(lab.plane, [pod(f"n{n}", more=f"nodeName: node-{n}") for n in (1, 2, 3)])
    assert [lab.get("Pod", f"n{n}")["status"]["podIP"] for n in (1, 2, 3)] == ["10.244.1.3", "10.244.2.3", "10.244.3.2"]


DIFFERS = {"uid", "resourceVersion", "creationTimestamp", "clusterIP", "clusterIPs", "nodePort", "healthCheckNodePort"}
DIFFERS |= {"podIP", "podIPs", "ip", "addresses", "containerID", "message", "generateName", "loadBalancer"}
DIFFERS |= {"generation", "observedGeneration"}


def canonical(plane: ControlPlane) -> list[str]:
    """All objects without what may depend on the order: addresses, ports and generated names."""
    generated = {
        o["metadata"]["name"]: o["metadata"]["generateName"] for o in plane.store if o["metadata"].get("generateName")
    }

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: strip(v) for k, v in sorted(value.items()) if k not in DIFFERS}
        if isinstance(value, list):
            return sorted((strip(v) for v in value), key=str)
        return generated.get(value, value) if isinstance(value, str) else value

    return sorted(str(strip(o)) for o in plane.store)


@settings(max_examples=100, deadline=None)
@given(manifests, st.integers(0, 10**6))
def test_the_fixed_point_does_not_depend_on_the_order(texts, seed):
    shuffled = random.Random(seed).sample(texts, len(texts))
    one, other = Lab(), Lab()
    apply_all(one.plane, texts)
    apply_all(other.plane, shuffled)
    assert canonical(one.plane) == canonical(other.plane)
    one.advance(60)
    other.advance(60)
    assert canonical(one.plane) == canonical(other.plane)


@settings(max_examples=50, deadline=None)
@given(manifests)
def test_a_settled_cluster_rests_and_the_same_seed_gives_the_same(texts):
    one, other = Lab(seed=7), Lab(seed=7)
    apply_all(one.plane, texts)
    apply_all(other.plane, texts)
    assert list(one.plane.store) == list(other.plane.store)
    version = one.plane.store.version
    one.plane.settle()
    assert one.plane.store.version == version
    one.plane.configure(hairpin=False)  # every controller looks at everything again
    assert one.plane.store.version == version
