"""exec, logs, port-forward, and the shell and small commands inside a Pod."""

from __future__ import annotations

from k8snet.cluster import Cluster
from tests.shell.conftest import service


def inside(cluster: Cluster, command: str, pod: str = "client") -> str:
    return cluster.pod(pod).run(command).stdout


def test_exec_hands_on_output_and_exit_code(shop: Cluster) -> None:
    assert shop.kubectl("exec client -- hostname").stdout == "client\n"
    result = shop.kubectl("exec client -- sh -c 'echo out; exit'")
    assert result.stdout.startswith("out\n")
    failed = shop.kubectl("exec client -- false")
    assert (failed.stderr, failed.exit_code) == ("command terminated with exit code 1\n", 1)
    assert shop.kubectl("exec svc/my-service -- hostname").stdout == "my-app-1\n"


def test_exec_into_what_is_not_there(shop: Cluster) -> None:
    assert shop.kubectl("exec nope -- ls").stderr == 'Error from server (NotFound): pods "nope" not found\n'
    assert shop.kubectl("exec client -c x -- ls").stderr == (
        "Error from server (BadRequest): container x is not valid for pod client\n"
    )
    missing = shop.kubectl("exec client -- frob")
    assert 'exec: "frob": executable file not found in $PATH' in missing.stderr
    assert missing.exit_code == 126
    assert shop.pod("client").run("sh -c frob").stderr == "sh: frob: not found\n"


def test_a_container_that_ends_comes_back_with_the_address_of_its_pod(shop: Cluster) -> None:
    before = shop.snapshot.pods["default/my-app-1"]
    assert shop.kubectl("exec my-app-1 -- kill 1").exit_code == 0
    after = shop.snapshot.pods["default/my-app-1"]
    assert after.obj["status"]["containerStatuses"][0]["restartCount"] == 1
    assert (after.ip, after.obj["metadata"]["uid"]) == (before.ip, before.obj["metadata"]["uid"])


def test_a_shell_for_one_liners(shop: Cluster) -> None:
    assert inside(shop, "sh -c 'false && echo a || echo b; echo c'") == "b\nc\n"
    assert inside(shop, "sh -c 'echo $HOSTNAME ${GREETING}'") == "client hello\n"
    loop = shop.pod("client").run("sh -c 'for i in 1 2; do echo $i; done'")
    assert (loop.stderr, loop.exit_code) == ("sh: for is not simulated\n", 2)
    assert shop.pod("client").run("sh -c 'echo a >/dev/null'").stderr == "sh: > is not simulated\n"
    assert shop.pod("client").run("sh -c 'echo a | wc'").exit_code == 2


def test_files_that_the_kubelet_wrote(shop: Cluster) -> None:
    assert inside(shop, "cat /etc/resolv.conf") == (
        "search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n"
    )
    ip = shop.snapshot.pods["default/client"].ip
    assert f"{ip}\tclient\n" in inside(shop, "cat /etc/hosts")
    assert shop.pod("client").run("cat /nope").stderr == "cat: /nope: No such file or directory\n"


def test_service_variables_exist_only_if_the_service_came_first(shop: Cluster) -> None:
    # kubernetes pkg/kubelet/envvars: fixed when the container starts
    shop.apply(service("late"))
    shop.apply("apiVersion: v1\nkind: Pod\nmetadata: {name: newer}\nspec: {containers: [{name: c, image: busybox}]}")
    old, new = inside(shop, "env"), inside(shop, "env", "newer")
    assert "LATE_SERVICE_HOST=" not in old and "LATE_SERVICE_HOST=" in new
    assert "MY_SERVICE_SERVICE_PORT=80\nMY_SERVICE_PORT=tcp://" in new
    assert "KUBERNETES_SERVICE_PORT_HTTPS=443\n" in old and "GREETING=hello\n" in old


def test_logs_of_a_server_and_of_one_that_cannot_bind(cluster: Cluster) -> None:
    cluster.apply("""
apiVersion: v1
kind: Pod
metadata: {name: two}
spec:
  containers:
  - {name: first, image: nginx}
  - {name: second, image: nginx}
""")
    cluster.advance(5)
    first = cluster.kubectl("logs two")
    assert first.stdout == "listening on 0.0.0.0:80/TCP\n"
    assert first.stderr == 'Defaulted container "first" out of: first, second\n'
    assert "(98: Address already in use)" in cluster.kubectl("logs two -c second").stdout
    assert cluster.kubectl("logs nope").stderr == (
        'error: error from server (NotFound): pods "nope" not found in namespace "default"\n'
    )


def test_a_controllers_log_names_the_ingresses_that_it_passes_over(shop: Cluster) -> None:
    # ingress-nginx internal/ingress/controller/store: an Ingress of no class or of another's is only logged
    shop.configure(ingress_controllers=("example.com/edge-controller",))
    shop.apply("""
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec: {defaultBackend: {service: {name: my-service, port: {number: 80}}}}
""")
    log = "logs -n ingress-system deploy/edge-controller-proxy"
    assert 'ingress="default/web" error="ingress does not contain a valid IngressClass"' in shop.kubectl(log).stdout
    shop.kubectl("""patch ingress web -p '{"spec": {"ingressClassName": "edge"}}'""")
    assert "IngressClass" not in shop.kubectl(log).stdout


def test_port_forward_takes_one_pod_past_service_and_policy(shop: Cluster) -> None:
    shop.apply("""
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny-all}
spec: {podSelector: {}, policyTypes: [Ingress]}
""")
    result = shop.kubectl("port-forward svc/my-service 8000:80")
    assert result.stdout == "Forwarding from 127.0.0.1:8000 -> 8080\nForwarding from [::1]:8000 -> 8080\n"
    assert result.trace and not any(hop.mechanism in ("proxy", "policy") for hop in result.trace.hops)
    shop.kubectl("label pod my-app-1 app-")
    assert shop.kubectl("port-forward pod/my-app-1 :8080").trace
    assert shop.kubectl("port-forward svc/my-service 80").stderr == "error: timed out waiting for the condition\n"
    assert shop.kubectl("port-forward pod/client 80:x").exit_code == 1
