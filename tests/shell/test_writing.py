"""kubectl commands that change the cluster, and those that write manifests."""

from __future__ import annotations

from pathlib import Path

import pytest

from k8snet.cluster import Cluster
from tests.shell.conftest import SHOP, service


def said(cluster: Cluster, line: str, stdin: str = "") -> str:
    return cluster.kubectl(line, stdin).stdout


def test_apply_says_created_unchanged_and_configured(cluster: Cluster) -> None:
    assert said(cluster, "apply -f -", service("web")) == "service/web created\n"
    assert said(cluster, "apply -f -", service("web")) == "service/web unchanged\n"
    assert said(cluster, "apply -f -", service("web", "ports: [{port: 81}]")) == "service/web configured\n"


def test_dry_runs_change_nothing_and_say_which(cluster: Cluster) -> None:
    assert said(cluster, "apply -f - --dry-run=client", service("web")) == "service/web created (dry run)\n"
    assert said(cluster, "apply -f - --dry-run=server", service("web")) == "service/web created (server dry run)\n"
    assert cluster.kubectl("get svc web").exit_code == 1
    assert "invalid" in cluster.kubectl("apply -f - --dry-run=server", service("web", "type: x")).stderr


def test_apply_warns_about_objects_that_create_made(cluster: Cluster) -> None:
    cluster.kubectl("create -f -", service("web"))
    result = cluster.kubectl("apply -f -", service("web"))
    assert result.stderr.startswith(
        "Warning: resource services/web is missing the kubectl.kubernetes.io/last-applied-configuration annotation"
    )
    assert result.exit_code == 0


def test_manifests_from_files_and_folders(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(service("two"))
    (tmp_path / "a.yml").write_text(service("one"))
    (tmp_path / "notes.txt").write_text("no manifest")
    assert said(cluster, f"apply -f {tmp_path}") == "service/one created\nservice/two created\n"


def test_delete_waits_until_pods_are_gone(shop: Cluster) -> None:
    assert said(shop, "delete pod my-app-1") == 'pod "my-app-1" deleted from default namespace\n'
    assert "my-app-1" not in said(shop, "get pods")
    shop.kubectl("delete pod client --wait=false")
    assert "Terminating" in said(shop, "get pod client")


def test_delete_by_file_label_and_kind(shop: Cluster) -> None:
    assert 'networkpolicy.networking.k8s.io "allow-app-access" deleted from default namespace\n' in said(
        shop, "delete -f -", SHOP
    )
    assert said(shop, "get pods") == ""
    shop.kubectl("create namespace shop")
    assert said(shop, "delete ns shop") == 'namespace "shop" deleted\n'


def test_labels(shop: Cluster) -> None:
    assert said(shop, "label pod client tier=web") == "pod/client labeled\n"
    assert said(shop, "label pod client tier=web") == "pod/client not labeled\n"
    result = shop.kubectl("label pod client tier=db")
    assert result.stderr == "error: 'tier' already has a value (web), and --overwrite is false\n"
    assert said(shop, "label pod client tier=db --overwrite") == "pod/client labeled\n"
    assert said(shop, "label pod client tier-") == "pod/client unlabeled\n"
    assert said(shop, "label pod client tier-") == 'label "tier" not found.\npod/client not labeled\n'
    assert said(shop, "annotate pods --all note=x") == "pod/client annotated\npod/my-app-1 annotated\n"


def test_a_label_moves_a_pod_out_of_its_service(shop: Cluster) -> None:
    shop.kubectl("label pod my-app-1 app=other --overwrite")
    assert str(shop.kubectl("get endpoints my-service --no-headers")).split()[1] == "<none>"


def test_scaling_and_rolling_anew(cluster: Cluster) -> None:
    cluster.kubectl("create deployment web --image=nginx")
    assert said(cluster, "scale deployment web --replicas=3") == "deployment.apps/web scaled\n"
    cluster.advance(5)
    before = said(cluster, "get pods -o name")
    assert said(cluster, "rollout restart deployment/web") == "deployment.apps/web restarted\n"
    cluster.advance(60)
    assert not set(before.split()) & set(said(cluster, "get pods -o name").split())
    assert cluster.kubectl("scale svc kubernetes --replicas=1").exit_code == 1


def test_a_patch_keeps_the_order_of_a_list_and_puts_new_items_first(shop: Cluster) -> None:
    # apimachinery pkg/util/strategicpatch normalizeElementOrder: a Pod may not have its containers reordered
    def containers(patch: str) -> list[str]:
        shop.kubectl(f"""patch deploy two -p '{{"spec":{{"template":{{"spec":{{"containers":[{patch}]}}}}}}}}'""")
        spec = shop.plane.api.get("Deployment", "default", "two")["spec"]["template"]["spec"]
        return [f"{c['name']}={c['image']}" for c in spec["containers"]]

    shop.kubectl("create deployment two --image=busybox --image=nginx")
    assert containers('{"name":"nginx","image":"httpd"}') == ["busybox=busybox", "nginx=httpd"]
    assert containers('{"name":"redis","image":"redis"}') == ["redis=redis", "busybox=busybox", "nginx=httpd"]


def test_patch(shop: Cluster) -> None:
    assert said(shop, """patch svc my-service -p '{"spec":{"type":"NodePort"}}'""") == "service/my-service patched\n"
    assert said(shop, "patch svc my-service -p '{}'") == "service/my-service patched (no change)\n"
    # lists are merged by their key, unlike a JSON merge patch
    shop.kubectl("""patch svc my-service -p '{"spec":{"ports":[{"port":80,"targetPort":81}]}}'""")
    ports = "{.spec.ports[*].targetPort} {.spec.ports[*].protocol}"
    assert str(shop.kubectl(f"get svc my-service -o 'jsonpath={ports}'")) == "81 TCP"


def test_the_current_namespace(shop: Cluster) -> None:
    shop.kubectl("create ns shop")
    assert said(shop, "config set-context --current --namespace=shop") == 'Context "k8snet" modified.\n'
    assert shop.kubectl("get pods").stderr == "No resources found in shop namespace.\n"
    assert said(shop, "apply -f -", service("web")) == "service/web created\n"
    assert "shop" in said(shop, "get svc web -o jsonpath={.metadata.namespace}")
    assert said(shop, "get pods -n default -o name") == "pod/client\npod/my-app-1\n"


# manifests written by kubectl


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("create deployment web --image=nginx:1.29 --port=80 --replicas=2", """\
apiVersion: apps/v1
kind: Deployment
metadata:
  labels:
    app: web
  name: web
spec:
  replicas: 2
  selector:
    matchLabels:
      app: web
  strategy: {}
  template:
    metadata:
      labels:
        app: web
    spec:
      containers:
      - image: nginx:1.29
        name: nginx
        ports:
        - containerPort: 80
        resources: {}
status: {}
"""),
        ("create service nodeport web --tcp=80:8080 --node-port=30080", """\
apiVersion: v1
kind: Service
metadata:
  labels:
    app: web
  name: web
spec:
  ports:
  - name: 80-8080
    nodePort: 30080
    port: 80
    protocol: TCP
    targetPort: 8080
  selector:
    app: web
  type: NodePort
status:
  loadBalancer: {}
"""),
        ("run web --image=nginx --port=80 -n shop -- sleep 1", """\
apiVersion: v1
kind: Pod
metadata:
  labels:
    run: web
  name: web
  namespace: shop
spec:
  containers:
  - args:
    - sleep
    - "1"
    image: nginx
    name: web
    ports:
    - containerPort: 80
    resources: {}
  dnsPolicy: ClusterFirst
  restartPolicy: Always
status: {}
"""),
    ],
)  # fmt: skip
def test_generated_manifests(line: str, text: str) -> None:
    from k8snet.shell import kubectl

    words, dashes, rest = line.partition(" -- ")
    assert kubectl.run(None, f"{words} --dry-run=client -o yaml{dashes}{rest}").stdout == text


def test_generated_manifests_are_accepted_by_the_server(cluster: Cluster) -> None:
    for line in (
        "create deployment web --image=nginx --replicas=2",
        "create service clusterip web --tcp=80",
        "create service loadbalancer lb --tcp=80",
        "create service externalname ext --external-name=example.com",
        "create namespace shop",
        "run pod --image=nginx --port=80",
    ):
        result = cluster.kubectl(line)
        assert result.exit_code == 0, result.stderr
    taken = cluster.kubectl("create service clusterip web --tcp=80")
    assert taken.stderr == 'error: failed to create ClusterIP service: services "web" already exists\n'


def test_expose(shop: Cluster) -> None:
    assert said(shop, "expose pod my-app-1 --port=80 --target-port=http --name=web") == "service/web exposed\n"
    assert said(shop, "get svc web -o jsonpath={.spec.selector.app}:{.spec.ports[0].targetPort}") == "my-app:http"
    shop.kubectl("create deployment api --image=nginx --port=8080")
    shop.kubectl("expose deployment api --type=NodePort")
    assert said(shop, "get svc api -o jsonpath={.spec.ports[0].port}:{.spec.type}") == "8080:NodePort"
    assert "couldn't find port" in shop.kubectl("expose pod client").stderr
    assert shop.kubectl("expose pod my-app-1 --port=80 --name=two --selector=app=my-app,tier=web")
    assert shop.plane.api.get("Service", "default", "two")["spec"]["selector"] == {"app": "my-app", "tier": "web"}


def test_a_throw_away_pod_runs_one_command(shop: Cluster) -> None:
    result = shop.kubectl("run tmp --rm -it --image=busybox --restart=Never -- echo hello")
    assert result.stdout == 'hello\npod "tmp" deleted from default namespace\n'
    assert "tmp" not in said(shop, "get pods")


def test_apply_needs_a_name_and_goes_on_with_the_other_objects(cluster: Cluster) -> None:
    nameless = service("web").replace("name: web", "labels: {a: b}", 1)
    result = cluster.kubectl("apply -f -", f"{nameless}\n---\n{service('two')}")
    assert result.stdout == "service/two created\n" and result.exit_code == 1
    assert 'from server for: "STDIN": resource name may not be empty' in result.stderr
    generated = service("web").replace("name: web", "generateName: web-", 1)
    assert cluster.kubectl("apply -f -", generated).stderr == "error: from web-: cannot use generate name with apply\n"


def test_a_list_where_the_spec_belongs_is_refused_in_words(cluster: Cluster) -> None:
    manifest = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: [{ports: [{port: 80}]}]\n"
    assert "cannot unmarshal array into Go struct field Service.spec" in cluster.apply(manifest).stderr


def test_a_list_where_a_merge_key_belongs_is_refused_in_words(cluster: Cluster) -> None:
    cluster.apply(service("web"))
    broken = service("web").replace("port: 80", "port: [80]", 1)
    assert "unrecognized type" in cluster.apply(broken).stderr and "[80]" in broken


def test_unknown_fields_can_be_let_pass(cluster: Cluster) -> None:
    service = "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 80, targetport: 1}]}}"
    assert "unknown field" in cluster.kubectl("apply -f -", service).stderr
    warned = cluster.kubectl("apply --validate=warn -f -", service)
    assert warned.stdout == "service/a created\n"
    assert warned.stderr == 'Warning: unknown field "spec.ports[0].targetport"\n'
    assert cluster.kubectl("apply --validate=false -f -", service).stderr == ""
    assert "unrecognized type" in cluster.kubectl("apply --validate=false -f -", service.replace("80", "'80'")).stderr


def test_a_repeated_key_is_taken_but_told(cluster: Cluster) -> None:
    result = cluster.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\nmetadata: {name: b}\n")
    assert result.stdout == "namespace/b created\n" and result.stderr == ""
    assert result.hint == 'line 4: "metadata" stands here a second time; only this one counts'


def test_what_is_indented_wrongly_is_pointed_at(cluster: Cluster) -> None:
    service = (
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\nspec:\n  selector:\n  app: a\n  ports: [{port: 80}]\n"
    )
    assert cluster.apply(service).hint.startswith("selector is empty")
    assert (
        "beside metadata"
        in cluster.apply("apiVersion: v1\nkind: Service\nmetadata: {name: a, spec: {type: NodePort}}").hint
    )
    assert "space behind" in cluster.apply(service.replace("app: a", "-app: a")).hint


def test_kubectl_looks_at_label_values_itself(shop: Cluster) -> None:
    """pkg/cmd/label, parseLabels; keys are left to the server."""
    assert shop.kubectl("label svc web a='b c'").stderr.startswith(
        'error: invalid label value: "a=b c": a valid label must be'
    )
    assert shop.kubectl("label svc web a=b=c").stderr.startswith("error: invalid label spec: a=b=c")


def json_patch(*operations: str) -> str:
    return f"patch svc my-service --type=json -p '[{','.join(operations)}]'"


def test_a_json_patch_is_carried_out_in_order(shop: Cluster) -> None:
    # the examples of RFC 6902, appendix A
    to_81 = '{"op":"replace","path":"/spec/ports/0/targetPort","value":81}'
    is_81 = '{"op":"test","path":"/spec/ports/0/targetPort","value":81}'
    assert said(shop, json_patch(is_81.replace("81", "8080"), to_81, is_81)) == "service/my-service patched\n"
    assert said(shop, json_patch(to_81)) == "service/my-service patched (no change)\n"
    new, old = '{"name":"new","port":90}', '{"op":"add","path":"/spec/ports/0/name","value":"old"}'
    shop.kubectl(json_patch(old, f'{{"op":"add","path":"/spec/ports/-","value":{new}}}'))
    names = "get svc my-service -o jsonpath={.spec.ports[*].name}"
    assert said(shop, names) == "old new"
    shop.kubectl(json_patch('{"op":"move","from":"/spec/ports/1","path":"/spec/ports/0"}'))
    assert said(shop, names) == "new old"
    shop.kubectl(json_patch('{"op":"remove","path":"/spec/ports/0"}'))
    assert said(shop, names) == "old"
    label = '{"op":"add","path":"/metadata/labels","value":{"a":"b"}}'
    shop.kubectl(json_patch(label, '{"op":"copy","from":"/metadata/labels/a","path":"/metadata/labels/x.y~1z"}'))
    assert said(shop, "get svc my-service -o jsonpath={.metadata.labels}") == '{"a":"b","x.y/z":"b"}'


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        ('{"op":"remove","path":"/spec/nope"}', "remove /spec/nope: nothing is there"),
        ('{"op":"replace","path":"/spec/ports/1","value":{}}', "replace /spec/ports/1: nothing is there"),
        ('{"op":"add","path":"/spec/ports/2","value":{}}', "add /spec/ports/2: the list has 1 items"),
        (
            '{"op":"add","path":"/metadata/labels/a","value":"b"}',
            "add /metadata/labels/a: nothing is there that could hold a",
        ),
        ('{"op":"test","path":"/spec/type","value":"x"}', "test /spec/type: what is there is another value"),
        ('{"op":"copy","from":"/nope","path":"/spec"}', "copy /spec: nothing is at /nope"),
        ('{"op":"frob","path":"/spec"}', "frob /spec: there is no such operation"),
        ('{"op":"add","path":"spec"}', "add spec: a path begins with a slash"),
    ],
)
def test_a_json_patch_that_does_not_fit_is_refused_as_a_whole(shop: Cluster, operation: str, why: str) -> None:
    # apiserver pkg/endpoints/handlers/patch.go: the server does not say which operation it was
    result = shop.kubectl(json_patch('{"op":"replace","path":"/spec/type","value":"NodePort"}', operation))
    assert (result.stdout, result.exit_code, result.hint) == ("", 1, why)
    assert result.stderr == ("The request is invalid: the server rejected our request due to an error in our request\n")
    assert said(shop, "get svc my-service -o jsonpath={.spec.type}") == "ClusterIP"


@pytest.mark.parametrize(
    ("patch", "why"),
    [
        ('{"op":"add"}', "object into Go value of type []handlers.jsonPatchOp"),
        ("[1]", "number into Go value of type handlers.jsonPatchOp"),
        ('[{"op":"add","path":{}}]', "object into Go struct field jsonPatchOp.path of type string"),
    ],
)
def test_a_json_patch_is_a_list_of_operations(shop: Cluster, patch: str, why: str) -> None:
    assert shop.kubectl(f"patch svc my-service --type=json -p '{patch}'").stderr == (
        f"Error from server (BadRequest): error decoding patch: json: cannot unmarshal {why}\n"
    )


def test_a_patch_cannot_rename_and_loses_unknown_fields(shop: Cluster) -> None:
    renamed = shop.kubectl("""patch svc my-service --type=merge -p '{"metadata":{"name":"b"}}'""")
    assert renamed.stderr == (
        "Error from server (BadRequest): the name of the object (b) does not match the name on the URL (my-service)\n"
    )
    nameless = shop.kubectl("""patch svc my-service --type=merge -p '{"metadata":null}'""")
    assert "(my-service based on URL) was undeterminable: name must be provided" in nameless.stderr
    assert said(shop, """patch svc my-service --type=merge -p '{"kind":null}'""").endswith("patched (no change)\n")
    # the server's default for requests that do not ask for validation is to warn, and kubectl patch does not ask
    unknown = shop.kubectl("""patch svc my-service -p '{"spec":{"prots":[]}}'""")
    assert unknown.stderr == 'Warning: unknown field "spec.prots"\n'
    assert unknown.stdout == "service/my-service patched (no change)\n"
