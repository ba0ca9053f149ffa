"""kubectl commands that write a manifest for you: create deployment|service|namespace, run, expose.

Facts: k8s.io/kubectl pkg/cmd/create, pkg/cmd/run, pkg/cmd/expose. Empty fields stand where kubectl prints them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from k8snet.dataplane.client import Client
from k8snet.manifests.errors import ApiError
from k8snet.manifests.kinds import KINDS, Object
from k8snet.shell import tools
from k8snet.shell.call import Call
from k8snet.shell.result import Result
from k8snet.shell.texts import error, table
from k8snet.shell.values import at
from k8snet.shell.writing import done, wait_until

SERVICE_TYPES = {
    "clusterip": "ClusterIP", "nodeport": "NodePort", "loadbalancer": "LoadBalancer", "externalname": "ExternalName",
}  # fmt: skip


def _name(call: Call) -> str:
    if len(call.args) != 1:
        raise call.usage_error("one name", count=len(call.args))
    return call.args[0]


def _object(call: Call, kind: str, name: str, labels: Mapping[str, str] | None, spec: Object) -> Object:
    """A new object of a kind, with the fields that kubectl writes although they are empty."""
    meta: dict[str, Any] = {"name": name, **({"labels": dict(labels)} if labels else {})}
    if KINDS[kind].namespaced and call.flag("namespace"):
        meta["namespace"] = call.flag("namespace")
    made = {"apiVersion": KINDS[kind].api_version, "kind": kind, "metadata": meta, "spec": spec}
    return {**made, "status": {"loadBalancer": {}} if kind == "Service" else {}}


def _create(call: Call, obj: Object, failed: str = "", verb: str = "created") -> None:
    """Send the object, unless ``--dry-run=client``. *failed*: what the error begins with instead of kubectl's frame."""
    if call.dry_run != "client":
        try:
            obj = call.api.create(call.place(obj), call.dry_run == "server")
        except ApiError as refused:
            framed = error("failed", refused.hint, what=failed, problem=refused.status.message)
            raise (framed if failed else refused) from None
    done(call, obj, verb)


def _number(text: str, function: str = "ParseInt") -> int:
    if not text.isdigit():
        raise error("bad number", function=function, text=text)
    return int(text)


def _labels(text: str) -> dict[str, str]:
    words = [word for word in text.split(",") if word]
    if bad := [word for word in words if "=" not in word]:
        raise error("bad label", word=bad[0])
    return dict(word.split("=", 1) for word in words)


def _set(call: Call, *fields: tuple[str, str]) -> Object:
    """The fields for those flags that were set."""
    return {field: call.flag(flag) for flag, field in fields if call.flag(flag)}


def deployment(call: Call) -> None:
    """``kubectl create deployment NAME --image=IMAGE``."""
    name, images, command = _name(call), [i for w in call.flag("image") for i in w.split(",")], call.after
    if len(images) > 1 and command:
        raise error("images and command")
    shorts = [image.rpartition("/")[2].partition("@")[0].partition(":")[0].replace("_", "-") for image in images]
    containers: list[Object] = [{"image": i, "name": n, "resources": {}} for i, n in zip(images, shorts, strict=True)]
    if call.flag("port", -1) >= 0:
        containers[0]["ports"] = [{"containerPort": call.flag("port")}]
    if command:
        containers[0]["command"] = command
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    selector, replicas = {"matchLabels": labels}, call.flag("replicas", 1)
    spec = {"replicas": replicas, "selector": selector, "strategy": {}, "template": template}
    _create(call, _object(call, "Deployment", name, labels, spec), "deployment")


def service(call: Call) -> None:
    """``kubectl create service clusterip|nodeport|loadbalancer|externalname NAME``."""
    name, kind = _name(call), SERVICE_TYPES[call.command.split()[-1]]
    spec: dict[str, Any] = {"selector": {"app": name}, "type": kind}
    pairs = [w for words in call.flag("tcp") for w in words.split(",")]
    if not pairs and call.flag("clusterip") != "None" and kind != "ExternalName":
        raise error("no tcp")
    if pairs:
        spec["ports"] = [_tcp(pair, call.flag("node-port", 0)) for pair in pairs]
    spec |= _set(call, ("clusterip", "clusterIP"), ("external-name", "externalName"))
    _create(call, _object(call, "Service", name, {"app": name}, spec), f"{kind} service")


def _tcp(pair: str, node_port: int) -> dict[str, Any]:
    """``80:8080`` as a Service port."""
    port, _, target = pair.partition(":")
    number, target_port = _number(port, "ParseUint"), int(target) if target.isdigit() else target or int(port)
    if any(isinstance(n, int) and not 1 <= n <= 65535 for n in (number, target_port)):
        raise error("port range")
    found = {"name": pair.replace(":", "-"), "port": number, "protocol": "TCP", "targetPort": target_port}
    return {**found, "nodePort": node_port} if node_port else found


def namespace(call: Call) -> None:
    """``kubectl create namespace NAME``."""
    _create(call, _object(call, "Namespace", _name(call), None, {}))


def run(call: Call) -> Result | None:
    """``kubectl run NAME --image=IMAGE``; with ``--rm -it`` it runs the command in the new Pod and deletes it."""
    if not call.args:
        raise call.usage_error("run name")
    name, words = call.args[0], [*call.args[1:], *(call.after or ())]
    container: dict[str, Any] = {"image": call.flag("image"), "name": name, "resources": {}}
    if call.flag("port"):
        container["ports"] = [{"containerPort": _number(call.flag("port"))}]
    if words:
        container["command" if call.flag("command") else "args"] = words
    if call.flag("env"):
        container["env"] = [{"name": k, "value": v} for e in call.flag("env") for k, v in _labels(e).items()]
    spec = {"containers": [container], "dnsPolicy": "ClusterFirst", "restartPolicy": call.flag("restart", "Always")}
    pod = _object(call, "Pod", name, _labels(call.flag("labels")) or {"run": name}, spec)
    if (call.flag("stdin") or call.flag("attach")) and words and not call.dry_run:
        return _attached(call, call.api.create(call.place(pod)), words)
    if call.flag("rm"):
        raise error("rm")
    _create(call, pod)
    return None


def _attached(call: Call, pod: Object, words: list[str]) -> Result:
    """What the command of a Pod prints on a terminal that is attached to it."""
    space, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
    wait_until(call, lambda: at(call.api.get("Pod", space, name), ".status.phase") == "Running")
    result = tools.run(call.cluster.moment, Client("pod", f"{space}/{name}"), words)
    stdout = result.stdout
    if call.flag("rm"):
        call.api.delete("Pod", space, name, 0)
        stdout += f'pod "{name}" deleted from {space} namespace\n'
    ended = "" if result else f"pod {space}/{name} terminated (Error)\n"
    return Result(stdout, result.stderr + ended, result.exit_code, result.hint, result.trace)


def expose(call: Call) -> None:
    """``kubectl expose TYPE NAME``: a Service for what a Pod, a workload or another Service selects."""
    wanted = _labels(call.flags.pop("selector", ""))  # what the Service selects, not which objects are meant
    for obj in call.collect(need_filter=True):
        kind, meta = KINDS[obj["kind"]], obj["metadata"]
        problem = table("errors")["not exposed"].get(kind.kind)
        if not problem:
            raise error("expose kind", kind=f"{kind.kind}.{kind.group}".rstrip("."))
        selector = wanted or _selector(obj)
        if not selector:
            raise error("expose selector", problem=problem)
        spec: dict[str, Any] = {"ports": _ports(call, obj), "selector": selector}
        spec |= _set(call, ("type", "type"), ("cluster-ip", "clusterIP"))
        labels = _labels(call.flag("labels")) or meta.get("labels")
        _create(call, _object(call, "Service", call.flag("name") or meta["name"], labels, spec), verb="exposed")


def _selector(obj: Object) -> Any:
    """The labels that a Service for an object selects."""
    found = obj["metadata"].get("labels") if obj["kind"] == "Pod" else at(obj, ".spec.selector") or {}
    if obj["kind"] in ("Pod", "Service"):
        return found
    if found.get("matchExpressions"):
        why = f'couldn\'t convert expressions - "{found["matchExpressions"]}" to map-based selector format'
        raise error("expose selector", problem=why)
    return found.get("matchLabels")


def _ports(call: Call, obj: Object) -> list[dict[str, Any]]:
    """Service ports: those asked for, else what the object declares."""
    path = ".spec.containers" if obj["kind"] == "Pod" else ".spec.template.spec.containers"
    declared = [p for c in at(obj, path) or () for p in c.get("ports") or ()] or at(obj, ".spec.ports") or ()
    pairs = [(p.get("containerPort") or p.get("port"), p.get("protocol", "TCP")) for p in declared]
    if call.flag("port"):
        pairs = [(n, dict(pairs).get(n, "TCP")) for n in map(_number, call.flag("port").split(","))]
    if not pairs:
        raise call.usage_error("expose port")
    target = call.flag("target-port")
    target = int(target) if target.isdigit() else target
    return [
        {"port": number, "protocol": call.flag("protocol") or protocol, "targetPort": target or number}
        | ({"name": f"port-{i}"} if len(pairs) > 1 else {})
        for i, (number, protocol) in enumerate(pairs, 1)
    ]


COMMANDS: dict[str, Callable[[Call], Any]] = {
    **{f"create service {kind}": service for kind in SERVICE_TYPES},
    "create deployment": deployment,
    "create namespace": namespace,
    "run": run,
    "expose": expose,
}
