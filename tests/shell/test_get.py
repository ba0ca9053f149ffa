"""kubectl get: the tables of every kind, and the other forms of output."""

from __future__ import annotations

import pytest

from k8snet.cluster import Cluster
from k8snet.manifests.kinds import KINDS, Object
from k8snet.shell import texts
from k8snet.shell.printers import table
from k8snet.shell.tabs import align
from k8snet.shell.values import duration

CREATED = "2026-01-01T00:00:00Z"


def obj(kind: str, name: str = "x", **fields: object) -> Object:
    meta = {"name": name, "namespace": "default", "creationTimestamp": CREATED}
    return {"apiVersion": KINDS[kind].api_version, "kind": kind, "metadata": meta, **fields}


def cells(kind: str, wide: bool = False, **fields: object) -> dict[str, str]:
    """The one row of a table, by column."""
    head, row = table(kind, [obj(kind, **fields)], 300, ["wide"] * wide).splitlines()
    starts = [head.index(name.lstrip("+")) for name in texts.table("columns")[kind] if wide or not name.startswith("+")]
    ends = [*starts[1:], None]
    return {head[a:b].strip(): row[a:b].strip() for a, b in zip(starts, ends, strict=True)}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-30, "<invalid>"), (-1, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (121, "2m1s"), (599, "9m59s"), (600, "10m"),
        (3 * 3600 - 1, "179m"), (3 * 3600, "3h"), (3 * 3600 + 60, "3h1m"), (8 * 3600 + 60, "8h"), (48 * 3600, "2d"),
        (49 * 3600, "2d1h"), (8 * 86400, "8d"), (729 * 86400, "729d"), (730 * 86400, "2y"), (731 * 86400, "2y1d"),
        (3000 * 86400, "8y"),
    ],
)  # fmt: skip
def test_ages_as_upstream_human_duration(seconds: int, text: str) -> None:
    # apimachinery pkg/util/duration/duration_test.go
    assert duration(seconds) == text


def test_columns_are_three_spaces_apart_and_the_last_is_not_padded() -> None:
    pods = [obj("Pod", name, status={"phase": "Pending"}) for name in ("a", "a-long-name")]
    assert table("Pod", pods, 5) == (
        "NAME          READY   STATUS    RESTARTS   AGE\n"
        "a             0/0     Pending   0          5s\n"
        "a-long-name   0/0     Pending   0          5s\n"
    )


def test_elastic_columns_end_where_a_line_has_no_cell() -> None:
    # text/tabwriter: a column's width is that of the lines that stand together
    assert align("a\tb\nlonger\tc\nplain\nx\ty") == "a       b\nlonger  c\nplain\nx  y"


@pytest.mark.parametrize(
    ("spec", "status", "expected"),
    [
        ({"type": "ClusterIP", "clusterIPs": ["10.96.0.5"], "ports": [{"port": 80, "protocol": "TCP"}]}, {},
         ("10.96.0.5", "<none>", "80/TCP")),
        ({"type": "ClusterIP", "clusterIPs": ["None"]}, {}, ("None", "<none>", "<none>")),
        ({"type": "NodePort", "clusterIPs": ["10.96.0.5"], "ports": [{"port": 80, "nodePort": 30080, "protocol": "TCP"},
                                                                    {"port": 53, "nodePort": 30053, "protocol": "UDP"}]}, {},
         ("10.96.0.5", "<none>", "80:30080/TCP,53:30053/UDP")),
        ({"type": "LoadBalancer", "clusterIPs": ["10.96.0.5"]}, {}, ("10.96.0.5", "<pending>", "<none>")),
        ({"type": "LoadBalancer", "clusterIPs": ["10.96.0.5"]}, {"loadBalancer": {"ingress": [{"ip": "203.0.113.1"}]}},
         ("10.96.0.5", "203.0.113.1", "<none>")),
        ({"type": "ExternalName", "externalName": "example.com"}, {}, ("<none>", "example.com", "<none>")),
    ],
)  # fmt: skip
def test_service_addresses_and_ports(spec: Object, status: Object, expected: tuple[str, ...]) -> None:
    row = cells("Service", spec=spec, status=status)
    assert (row["CLUSTER-IP"], row["EXTERNAL-IP"], row["PORT(S)"]) == expected


def test_long_load_balancer_addresses_are_cut_unless_wide() -> None:
    ingress = [{"ip": "203.0.113.1"}, {"ip": "203.0.113.2"}]
    fields = {"spec": {"type": "LoadBalancer"}, "status": {"loadBalancer": {"ingress": ingress}}}
    assert cells("Service", **fields)["EXTERNAL-IP"] == "203.0.113.1,2..."
    assert cells("Service", wide=True, **fields)["EXTERNAL-IP"] == "203.0.113.1,203.0.113.2"


def test_endpoints_are_cut_after_three_and_blank_when_none_is_ready() -> None:
    ready = {"addresses": [{"ip": f"10.0.0.{i}"} for i in range(5)], "ports": [{"port": 80}]}
    assert cells("Endpoints", subsets=[ready])["ENDPOINTS"] == "10.0.0.0:80,10.0.0.1:80,10.0.0.2:80 + 2 more..."
    assert cells("Endpoints")["ENDPOINTS"] == "<none>"
    assert cells("Endpoints", subsets=[{"notReadyAddresses": [{"ip": "10.0.0.1"}]}])["ENDPOINTS"] == ""


def test_a_slice_shows_unset_where_it_has_nothing() -> None:
    # kubernetes#109627: a named port that no Pod has leaves the slice without ports
    row = cells("EndpointSlice", addressType="IPv4", endpoints=[{"addresses": ["10.0.0.1"]}])
    assert (row["PORTS"], row["ENDPOINTS"]) == ("<unset>", "10.0.0.1")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"phase": "Pending"}, ("0/1", "Pending", "0")),
        ({"phase": "Running", "containerStatuses": [{"name": "a", "ready": True, "state": {"running": {}}}]},
         ("1/1", "Running", "0")),
        ({"phase": "Running", "containerStatuses": [
            {"name": "a", "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
             "lastState": {"terminated": {"finishedAt": "2026-01-01T00:04:50Z"}}}]},
         ("0/1", "CrashLoopBackOff", "3 (10s ago)")),
        ({"phase": "Succeeded", "containerStatuses": [
            {"name": "a", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}]}, ("0/1", "Completed", "0")),
        ({"phase": "Failed", "containerStatuses": [{"name": "a", "state": {"terminated": {"exitCode": 3}}}]},
         ("0/1", "ExitCode:3", "0")),
        ({"phase": "Pending", "initContainerStatuses": [{"name": "i", "state": {"running": {}}}]}, ("0/1", "Init:0/1", "0")),
    ],
)  # fmt: skip
def test_pod_status_is_the_reason_that_matters_most(status: Object, expected: tuple[str, ...]) -> None:
    # printers_test.go TestPrintPod
    init = [{"name": "i"}] if "initContainerStatuses" in status else []
    row = cells("Pod", spec={"containers": [{"name": "a"}], "initContainers": init}, status=status)
    assert (row["READY"], row["STATUS"], row["RESTARTS"]) == expected


def test_a_sidecar_counts_among_the_containers() -> None:
    spec = {"containers": [{"name": "a"}], "initContainers": [{"name": "s", "restartPolicy": "Always"}]}
    status = {"phase": "Running", "initContainerStatuses": [{"name": "s", "ready": True, "started": True}]}
    assert cells("Pod", spec=spec, status=status)["READY"] == "1/2"


def test_selectors_and_hosts_of_policies_and_ingresses() -> None:
    expression = {"key": "tier", "operator": "NotIn", "values": ["b", "a"]}
    selector = {"matchLabels": {"app": "x"}, "matchExpressions": [expression]}
    assert cells("NetworkPolicy", spec={"podSelector": selector})["POD-SELECTOR"] == "app=x,tier notin (a,b)"
    assert cells("NetworkPolicy", spec={"podSelector": {}})["POD-SELECTOR"] == "<none>"
    rules = [{"host": f"h{i}"} for i in range(4)]
    row = cells("Ingress", spec={"rules": rules, "tls": [{}]})
    assert (row["CLASS"], row["HOSTS"], row["ADDRESS"], row["PORTS"]) == (
        "<none>",
        "h0,h1,h2 + 1 more...",
        "",
        "80, 443",
    )
    assert cells("Ingress", spec={"rules": [{}]})["HOSTS"] == "*"


def test_gateway_kinds_show_their_conditions() -> None:
    status = {"conditions": [{"type": "Programmed", "status": "False"}], "addresses": [{"value": "203.0.113.9"}]}
    row = cells("Gateway", spec={"gatewayClassName": "shop"}, status=status)
    assert (row["CLASS"], row["ADDRESS"], row["PROGRAMMED"]) == ("shop", "203.0.113.9", "False")
    assert cells("HTTPRoute", spec={"hostnames": ["a", "b"]})["HOSTNAMES"] == '["a","b"]'


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_has_columns_and_an_empty_object_has_a_row(kind: str) -> None:
    assert table(kind, [obj(kind)], 0, ["wide"]).count("\n") == 2


# on a cluster


def test_lists_are_sorted_and_namespaces_shown_on_request(shop: Cluster) -> None:
    lines = str(shop.kubectl("get pods -A")).splitlines()
    assert lines[0].startswith("NAMESPACE     NAME")
    names = [line.split()[:2] for line in lines[1:]]
    assert names == sorted(names)
    assert ["default", "client"] in names and any(space == "kube-system" for space, _ in names)


def test_several_kinds_are_tables_of_their_own_with_kinds_before_names(shop: Cluster) -> None:
    text = str(shop.kubectl("get svc,netpol"))
    first, second = text.split("\n\n")
    assert "service/my-service" in first
    assert "networkpolicy.networking.k8s.io/allow-app-access   app=my-app" in second


def test_nothing_found_is_said_on_standard_error_and_is_no_failure(cluster: Cluster) -> None:
    for line, text in (
        ("get netpol", "No resources found in default namespace.\n"),
        ("get netpol -A", "No resources found\n"),
        ("get ingressclass", "No resources found\n"),
        ("get pods -l app=none -n kube-system", "No resources found in kube-system namespace.\n"),
    ):
        result = cluster.kubectl(line)
        assert (result.stdout, result.stderr, result.exit_code) == ("", text, 0)


def test_what_is_found_is_printed_before_what_is_not(shop: Cluster) -> None:
    result = shop.kubectl("get pods nope client")
    assert "client" in result.stdout
    assert result.stderr == 'Error from server (NotFound): pods "nope" not found\n'
    assert result.exit_code == 1


def test_names_and_labels(shop: Cluster) -> None:
    assert str(shop.kubectl("get pods -o name")) == "pod/client\npod/my-app-1"
    assert str(shop.kubectl("get netpol -o name")) == "networkpolicy.networking.k8s.io/allow-app-access"
    assert str(shop.kubectl("get pods -l role=frontend -o name")) == "pod/client"
    assert str(shop.kubectl("get pods -l 'role notin (frontend)' -o name")) == "pod/my-app-1"
    assert "role=frontend" in str(shop.kubectl("get pod client --show-labels"))
    assert str(shop.kubectl("get pods --no-headers")).splitlines()[1].startswith("my-app-1 ")


def test_an_empty_endpointslice_is_printed_with_null(shop: Cluster) -> None:
    """kubernetes/kubernetes#135968."""
    shop.kubectl("create service clusterip nobody --tcp=80")
    out = str(shop.kubectl("get endpointslice -l kubernetes.io/service-name=nobody -o yaml"))
    assert "  endpoints: null\n" in out and "  ports: null\n" in out


def test_one_object_or_a_list_in_yaml_and_json(shop: Cluster) -> None:
    assert str(shop.kubectl("get pod client -o yaml")).startswith("apiVersion: v1\nkind: Pod\n")
    assert "\nkind: List\nmetadata:\n  resourceVersion: " in str(shop.kubectl("get pods -o yaml"))
    assert str(shop.kubectl("get svc my-service -o json")).startswith('{\n    "apiVersion": "v1",\n')


def test_a_watch_lists_the_changes_so_far_and_says_why_it_ends(shop: Cluster) -> None:
    shop.kubectl("label pod client seen=yes")
    result = shop.kubectl("get pods client -w --show-labels")
    rows = result.stdout.splitlines()[1:]
    assert len(rows) >= 3
    assert "seen=yes" not in rows[0] and "seen=yes" in rows[-1]
    assert "watch" in result.hint
