"""How errors are framed: one or several, from where, in which order; and what a bad command line is told."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8snet.cluster import Cluster
from k8snet.shell import kubectl
from tests.shell.conftest import service

BAD_PORT = "ports: [{port: 70000, targetPort: 80}]"
PORT_RULE = "spec.ports[0].port: Invalid value: 70000: must be between 1 and 65535, inclusive"


def documents(*manifests: str) -> str:
    return "---\n".join(manifests)


def test_one_invalid_object_names_its_fields(cluster: Cluster) -> None:
    result = cluster.apply(service("web", BAD_PORT))
    assert (result.stdout, result.exit_code) == ("", 1)
    assert result.stderr == f'The Service "web" is invalid: {PORT_RULE}\n'


def test_several_fields_stand_under_each_other(cluster: Cluster) -> None:
    result = cluster.apply(service("web", "ports: [{port: 70000}]"))
    assert result.stderr == (
        'The Service "web" is invalid: \n'
        f"* {PORT_RULE}\n"
        "* spec.ports[0].targetPort: Invalid value: 70000: must be between 1 and 65535, inclusive\n"
    )


def test_several_errors_come_at_the_end_a_line_each_and_good_objects_are_kept(cluster: Cluster) -> None:
    result = cluster.apply(documents(service("one", BAD_PORT), service("good"), service("two", space="nope")))
    assert result.stdout == "service/good created\n"
    assert result.stderr.splitlines() == [
        f'Error from server (Invalid): error when creating "STDIN": Service "one" is invalid: {PORT_RULE}',
        'Error from server (NotFound): error when creating "STDIN": namespaces "nope" not found',
    ]
    assert str(cluster.kubectl("get svc -o name")) == "service/good\nservice/kubernetes"


def test_reading_errors_stand_before_the_server_s(cluster: Cluster) -> None:
    unknown = "apiVersion: v1\nkind: Servce\nmetadata: {name: web}\n"
    result = cluster.apply(documents(service("good"), unknown, service("late", space="nope")))
    assert result.stdout == "service/good created\n"
    first, second, third = result.stderr.splitlines()
    assert first.startswith(
        'resource mapping not found for name: "web" namespace: "" from "STDIN": no matches for kind'
    )
    assert second == "ensure CRDs are installed first"
    assert third == 'Error from server (NotFound): error when creating "STDIN": namespaces "nope" not found'


def test_broken_yaml_ends_the_reading(cluster: Cluster) -> None:
    result = cluster.apply(documents(service("before"), "a: b: c\n", service("after")))
    assert result.stdout == "service/before created\n"
    assert result.stderr.startswith("error: error parsing STDIN: error converting YAML to JSON: yaml:")


def test_create_reports_a_name_that_is_taken(cluster: Cluster) -> None:
    assert cluster.kubectl("create -f -", service("web"))
    result = cluster.kubectl("create -f -", service("web"))
    assert (
        result.stderr
        == 'Error from server (AlreadyExists): error when creating "STDIN": services "web" already exists\n'
    )


def test_deleting_what_is_not_there(cluster: Cluster) -> None:
    assert cluster.kubectl("delete -f -", service("web")).stderr == (
        'Error from server (NotFound): error when deleting "STDIN": services "web" not found\n'
    )
    assert cluster.kubectl("delete svc web").stderr == 'Error from server (NotFound): services "web" not found\n'
    assert cluster.kubectl("delete svc web --ignore-not-found").exit_code == 0


def test_an_object_of_another_namespace_than_asked_for(cluster: Cluster) -> None:
    result = cluster.kubectl("apply -n b -f -", service("web", space="a"))
    assert result.stderr == (
        'error: the namespace from the provided object "a" does not match the namespace "b". '
        "You must pass '--namespace=a' to perform this operation.\n"
    )


def test_files_that_are_not_there(cluster: Cluster) -> None:
    assert cluster.kubectl("apply -f nope.yaml").stderr == 'error: the path "nope.yaml" does not exist\n'
    assert cluster.kubectl("apply -f nope.yaml -f no.yaml").stderr == (
        'the path "nope.yaml" does not exist\nthe path "no.yaml" does not exist\n'
    )


@pytest.mark.parametrize(
    ("line", "stderr"),
    [
        ("frob", 'error: unknown command "frob" for "kubectl"\n'),
        ("gte pods", 'error: unknown command "gte" for "kubectl"\n\nDid you mean this?\n\tget\n'),
        ("get --frob", "error: unknown flag: --frob\nSee 'kubectl get --help' for usage.\n"),
        ("get -x", "error: unknown shorthand flag: 'x' in -x\nSee 'kubectl get --help' for usage.\n"),
        ("get pods -o", "error: flag needs an argument: 'o' in -o\nSee 'kubectl get --help' for usage.\n"),
        ("get pods --output", "error: flag needs an argument: --output\nSee 'kubectl get --help' for usage.\n"),
        ("scale deploy web --replicas=x",
         'error: invalid argument "x" for "--replicas" flag: strconv.ParseInt: parsing "x": invalid syntax\n'
         "See 'kubectl scale --help' for usage.\n"),
        ("get -A=x pods",
         'error: invalid argument "x" for "-A, --all-namespaces" flag: strconv.ParseBool: parsing "x": invalid syntax\n'
         "See 'kubectl get --help' for usage.\n"),
        ("get svcs", 'error: the server doesn\'t have a resource type "svcs"\n'),
        ("get svc/a pods", "error: there is no need to specify a resource type as a separate argument when passing arguments "
         "in resource/name form (e.g. 'kubectl get resource/<resource_name>' instead of 'kubectl get resource "
         "resource/<resource_name>'\n"),
        ("apply", "error: must specify one of -f and -k\n"),
        ("apply pods", "error: Unexpected args: [pods]\nSee 'kubectl apply -h' for help and examples\n"),
        ("create namespace", "error: exactly one NAME is required, got 0\nSee 'kubectl create namespace -h' for help and examples\n"),
        ("create deployment web", 'error: required flag(s) "image" not set\n'),
        ("rollout frob", "error: unknown command \"frob\"\nSee 'kubectl rollout -h' for help and examples\n"),
        ("exec client ls", "error: exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead\n"
         "See 'kubectl exec -h' for help and examples\n"),
        ("delete pods", "error: resource(s) were provided, but no name was specified\n"),
        ("label pod client", "error: at least one label update is required\n"),
        ("apply -f - --dry-run=yes", 'error: Invalid dry-run value (yes). Must be "none", "server", or "client".\n'),
        ("get pods client -o foo", 'error: unable to match a printer suitable for the output format "foo", allowed formats are: '
         "custom-columns,custom-columns-file,go-template,go-template-file,json,jsonpath,jsonpath-as-json,jsonpath-file,name,"
         "template,templatefile,wide,yaml\n"),
    ],
)  # fmt: skip
def test_bad_command_lines(shop: Cluster, line: str, stderr: str) -> None:
    result = shop.kubectl(line)
    assert (result.stdout, result.stderr, result.exit_code) == ("", stderr, 1)


def test_a_command_that_is_not_simulated_says_so(cluster: Cluster) -> None:
    assert "not simulated" in cluster.kubectl("top pods -n shop --containers").stderr
    assert "not simulated" in cluster.kubectl("rollout status deployment web").stderr
    assert "not simulated" in cluster.kubectl("get pods -o go-template=x").stderr
    assert "not simulated" in cluster.kubectl("get pods --template=x").stderr


def test_without_a_cluster_nothing_answers() -> None:
    result = kubectl.run(None, "get pods")
    assert result.stderr == (
        "The connection to the server localhost:8080 was refused - did you specify the right host or port?\n"
    )
    assert result.exit_code == 1 and "Cluster()" in result.hint and 'cluster("TASK")' in result.hint


def test_the_word_kubectl_is_left_out(cluster: Cluster) -> None:
    assert "kubectl" in cluster.kubectl("kubectl get pods").hint


WORDS = st.sampled_from(
    ["get", "pods", "svc", "-o", "yaml", "wide", "-A", "-l", "a=b", "-n", "kube-system", "describe", "delete", "--all", "pod/client",
     "apply", "-f", "-", "exec", "client", "--", "ls", "label", "a-", "scale", "--replicas=2", "expose", "--port=80", "run",
     "--image=x", "logs", "port-forward", "80", "config", "view", "events", "rollout", "status", "create", "service", "clusterip",
     "--tcp=80:x", "-o=jsonpath={.a[", "patch", "-p", "{}", "--dry-run=client", "svc/my-service", "all", ",", "/", "=", "{", "-w"]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(st.lists(WORDS | st.text(max_size=6), max_size=7), st.text(max_size=40))
def test_no_command_line_raises(words: list[str], stdin: str) -> None:
    result = kubectl.run(CLUSTER.copy(), " ".join(words), stdin)
    assert isinstance(str(result), str)
    assert result.exit_code == 0 or result.stderr or result.stdout


CLUSTER = Cluster(nodes=1)
CLUSTER.apply(
    service("my-service")
    + "---\napiVersion: v1\nkind: Pod\nmetadata: {name: client}\nspec: {containers: [{name: c, image: nginx}]}"
)


def test_a_pipe_is_refused_in_words(cluster: Cluster) -> None:
    result = cluster.kubectl("get svc | grep web")
    assert result.exit_code == 2 and "-l" in result.hint


def test_reading_endpoints_warns_that_they_are_deprecated(shop: Cluster) -> None:
    result = shop.kubectl("get endpoints my-service")
    assert result.stderr == "Warning: v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice\n"
    assert result.exit_code == 0
