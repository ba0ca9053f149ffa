"""kubectl commands that write a manifest for you: create deployment|service|namespace, run, expose.

Facts: k8s.io/kubectl pkg/cmd/create, pkg/cmd/run, pkg/cmd/expose. Empty fields stand where kubectl prints them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from k8snet.dataplane.client import Client
from k8snet.manifests.errors import ApiError, KubectlError
from k8snet.manifests.kinds import KINDS, Object
from k8snet.shell import tools
from k8snet.shell.call import Call
from k8snet.shell.result import Result
from k8snet.shell.values import at
from k8snet.shell.writing import done, wait_until


def _name(call: Call) -> str:
    if len(call.args) != 1:
        raise call.usage_error(f"exactly one NAME is required, got {len(call.args)}")
    return call.args[0]


def _object(call: Call, kind: str, name: str, labels: Mapping[str, str] | None = None, **fields: Any) -> Object:
    meta: dict[str, Any] = {"name": name, **({"labels": dict(labels)} if labels else {})}
    if KINDS[kind].namespaced and call.flag("namespace"):
        meta["namespace"] = call.flag("namespace")
    return {"apiVersion": KINDS[kind].api_version, "kind": kind, "metadata": meta, **fields}


def _create(call: Call, obj: Object, failed: str = "", verb: str = "created") -> Object:
    """Send the object, unless ``--dry-run=client``. *failed*: what the error begins with instead of kubectl's frame."""
    if call.dry_run != "client":
        try:
            obj = call.api.create(call.place(obj), call.dry_run == "server")
        except ApiError as error:
            if failed:
                raise KubectlError(f"error: failed to create {failed}: {error.status.message}", error.hint) from None
            raise
    done(call, obj, verb)
    return obj


def deployment(call: Call) -> None:
    """``kubectl create deployment NAME --image=IMAGE``."""
    name, images, command = _name(call), [i for w in call.flag("image") for i in w.split(",")], call.line.after
    if len(images) > 1 and command:
        raise KubectlError("error: cannot specify multiple --image options and command")
    containers: list[dict[str, Any]] = []
    for image in images:
        short = image.rpartition("/")[2].partition("@")[0].partition(":")[0].replace("_", "-")
        containers.append({"image": image, "name": short, "resources": {}})
    if call.flag("port", -1) >= 0:
        containers[0]["ports"] = [{"containerPort": call.flag("port")}]
    if command:
        containers[0]["command"] = command
    labels = {"app": name}
    spec = {
        "replicas": call.flag("replicas", 1),
        "selector": {"matchLabels": labels},
        "strategy": {},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
    }
    _create(call, _object(call, "Deployment", name, labels, spec=spec, status={}), "deployment")


SERVICE_TYPES = {
    "clusterip": "ClusterIP",
    "nodeport": "NodePort",
    "loadbalancer": "LoadBalancer",
    "externalname": "ExternalName",
}


def service(call: Call) -> None:
    """``kubectl create service clusterip|nodeport|loadbalancer|externalname NAME``."""
    name, kind = _name(call), SERVICE_TYPES[call.line.command.split()[-1]]
    spec: dict[str, Any] = {"selector": {"app": name}, "type": kind}
    headless = call.flag("clusterip") == "None"
    pairs = [w for words in call.flag("tcp", []) for w in words.split(",")]
    if not pairs and not headless and kind != "ExternalName":
        raise KubectlError("error: at least one tcp port specifier must be provided")
    if pairs:
        spec["ports"] = [_tcp(pair, call.flag("node-port", 0)) for pair in pairs]
    if call.flag("clusterip"):
        spec["clusterIP"] = call.flag("clusterip")
    if kind == "ExternalName":
        spec["externalName"] = call.flag("external-name")
    made = _object(call, "Service", name, {"app": name}, spec=spec, status={"loadBalancer": {}})
    _create(call, made, f"{kind} service")


def _tcp(pair: str, node_port: int) -> dict[str, Any]:
    """``80:8080`` as a Service port."""
    port, _, target = pair.partition(":")
    numbers = [port, *([target] if target.isdigit() else [])]
    if not port.isdigit():
        raise KubectlError(f'error: strconv.ParseUint: parsing "{port}": invalid syntax')
    if any(not 1 <= int(n) <= 65535 for n in numbers):
        raise KubectlError("error: must be between 1 and 65535, inclusive")
    found: dict[str, Any] = {
        "name": pair.replace(":", "-"),
        "port": int(port),
        "protocol": "TCP",
        "targetPort": int(target) if target.isdigit() else target or int(port),
    }
    return {**found, "nodePort": node_port} if node_port else found


def namespace(call: Call) -> None:
    """``kubectl create namespace NAME``."""
    _create(call, _object(call, "Namespace", _name(call), spec={}, status={}))


def _labels(text: str) -> dict[str, str]:
    found = {}
    for word in filter(None, text.split(",")):
        key, sets, value = word.partition("=")
        if not sets:
            raise KubectlError(f"error: unexpected label spec: {word}")
        found[key] = value
    return found


def run(call: Call) -> Result | None:
    """``kubectl run NAME --image=IMAGE``; with ``--rm -it`` it runs the command in the new Pod and deletes it."""
    if not call.args:
        raise call.usage_error("NAME is required for run")
    name, words, port = call.args[0], [*call.args[1:], *(call.line.after or ())], call.flag("port")
    if call.flag("expose", False) and not port:
        raise KubectlError("error: --port must be set when exposing a service")
    container: dict[str, Any] = {"image": call.flag("image"), "name": name, "resources": {}}
    if port:
        container["ports"] = [{"containerPort": _number(port)}]
    if words:
        container["command" if call.flag("command", False) else "args"] = words
    if call.flag("env", []):
        container["env"] = [{"name": k, "value": v} for e in call.flag("env") for k, v in _labels(e).items()]
    labels = _labels(call.flag("labels")) or {"run": name}
    spec = {"containers": [container], "dnsPolicy": "ClusterFirst", "restartPolicy": call.flag("restart") or "Always"}
    pod = _object(call, "Pod", name, labels, spec=spec, status={})
    attached = (call.flag("stdin", False) or call.flag("attach", False)) and words and not call.dry_run
    if call.flag("rm", False) and not attached:
        raise KubectlError("error: --rm should only be used for attached containers")
    if call.flag("expose", False):
        ports = [{"port": _number(port), "protocol": "TCP", "targetPort": _number(port)}]
        spec = {"ports": ports, "selector": labels}
        exposed = _object(call, "Service", name, spec=spec, status={"loadBalancer": {}})
        _create(call, exposed)
        if call.flag("output"):
            call.out.append("---\n---\n")
    if not attached:
        _create(call, pod)
        return None
    return _attached(call, call.api.create(call.place(pod)), words)


def _attached(call: Call, pod: Object, words: list[str]) -> Result:
    """What the command of a Pod prints on a terminal that is attached to it."""
    meta = pod["metadata"]
    wait_until(call, lambda: at(call.api.get("Pod", meta["namespace"], meta["name"]), ".status.phase") == "Running")
    result = tools.run(call.cluster.moment, Client("pod", f"{meta['namespace']}/{meta['name']}"), words)
    stdout = result.stdout
    if call.flag("rm", False):
        call.api.delete("Pod", meta["namespace"], meta["name"], 0)
        stdout += f'pod "{meta["name"]}" deleted from {meta["namespace"]} namespace\n'
    ended = "" if result else f"pod {meta['namespace']}/{meta['name']} terminated (Error)\n"
    return Result(stdout, result.stderr + ended, result.exit_code, result.hint, result.trace)


def _number(text: str) -> int:
    if not text.isdigit():
        raise KubectlError(f'error: strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text)


EXPOSED = ("Pod", "Service", "ReplicaSet", "Deployment")


def expose(call: Call) -> None:
    """``kubectl expose TYPE NAME``: a Service for what a Pod, a workload or another Service selects."""
    wanted = _labels(call.line.flags.pop("selector", ""))  # what the Service selects, not which objects are meant
    for obj in call.collect(need_filter=True):
        if obj["kind"] not in EXPOSED:
            kind = KINDS[obj["kind"]]
            raise KubectlError(f"error: cannot expose a {kind.kind + ('.' + kind.group if kind.group else '')}")
        selector = wanted or _selector(obj)
        if not selector:
            why = {
                "Pod": "the pod has no labels and cannot be exposed",
                "Service": "the service has no pod selector set",
            }
            why_not = why.get(obj["kind"], f"invalid {obj['kind'].lower()}: no selectors, therefore cannot be exposed")
            raise KubectlError(f"error: couldn't retrieve selectors via --selector flag or introspection: {why_not}")
        spec: dict[str, Any] = {"ports": _ports(call, obj), "selector": selector}
        for flag, field in (("type", "type"), ("cluster-ip", "clusterIP")):
            if call.flag(flag):
                spec[field] = call.flag(flag)
        labels = _labels(call.flag("labels")) or obj["metadata"].get("labels")
        name = call.flag("name") or obj["metadata"]["name"]
        _create(call, _object(call, "Service", name, labels, spec=spec, status={"loadBalancer": {}}), verb="exposed")


def _selector(obj: Object) -> Any:
    if obj["kind"] == "Pod":
        return obj["metadata"].get("labels")
    found = at(obj, ".spec.selector") or {}
    if obj["kind"] == "Service":
        return found
    if found.get("matchExpressions"):
        raise KubectlError(
            "error: couldn't retrieve selectors via --selector flag or introspection: couldn't convert expressions - "
            f'"{found["matchExpressions"]}" to map-based selector format'
        )
    return found.get("matchLabels")


def _ports(call: Call, obj: Object) -> list[dict[str, Any]]:
    """Service ports: those asked for, else what the object declares."""
    path = ".spec.containers" if obj["kind"] == "Pod" else ".spec.template.spec.containers"
    declared = [p for c in at(obj, path) or () for p in c.get("ports") or ()]
    pairs = [(p["containerPort"], p.get("protocol", "TCP")) for p in declared]
    if obj["kind"] == "Service":
        pairs = [(p["port"], p.get("protocol", "TCP")) for p in at(obj, ".spec.ports") or ()]
    if call.flag("port"):
        known = dict(pairs)
        pairs = [(n, known.get(n, "TCP")) for n in map(_number, call.flag("port").split(","))]
    if not pairs:
        raise call.usage_error("couldn't find port via --port flag or introspection")
    target = call.flag("target-port")
    found: list[dict[str, Any]] = []
    for i, (number, protocol) in enumerate(pairs, 1):
        port = {"port": number, "protocol": call.flag("protocol") or protocol}
        port["targetPort"] = (int(target) if target.isdigit() else target) or number
        found.append({"name": f"port-{i}", **port} if len(pairs) > 1 else port)
    return found


COMMANDS: dict[str, Callable[[Call], Any]] = {
    "create deployment": deployment,
    **{f"create service {kind}": service for kind in SERVICE_TYPES},
    "create namespace": namespace,
    "run": run,
    "expose": expose,
}
