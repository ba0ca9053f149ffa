"""kubectl commands that reach into a Pod: exec, logs and port-forward.

Facts: k8s.io/kubectl pkg/cmd/{exec,logs,portforward}.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from k8snet.controlplane import containers, ingress_controller, kubelet, routes
from k8snet.dataplane import journey
from k8snet.dataplane.client import Client
from k8snet.manifests.errors import ApiError
from k8snet.manifests.kinds import Object, ref
from k8snet.shell import tools
from k8snet.shell.call import Call
from k8snet.shell.result import Result
from k8snet.shell.texts import error
from k8snet.shell.values import at


def _containers(call: Call, pod: Object, name: str) -> list[str]:
    """The containers meant: the one named, all of them, or the first (which kubectl says if there are more)."""
    names = [c["name"] for c in pod["spec"]["containers"]]
    if call.flag("all-containers"):
        return names
    if name and name not in [*names, *(c["name"] for c in pod["spec"].get("initContainers") or ())]:
        raise _bad_request(f"container {name} is not valid for pod {pod['metadata']['name']}")
    if not name and len(names) > 1:
        call.notes.append(f'Defaulted container "{names[0]}" out of: {", ".join(names)}')
    return [name or names[0]]


def _bad_request(text: str) -> ApiError:
    return ApiError(400, "BadRequest", text)


def _statuses(pod: Object) -> dict[str, Object]:
    return {s["name"]: s for s in at(pod, ".status.containerStatuses") or ()}


def execute(call: Call) -> Result:
    """``kubectl exec POD -- COMMAND``: the command's output and exit code."""
    words = call.after
    if not call.args:
        raise error("exec pod")
    if words is None and len(call.args) > 1:
        raise call.usage_error("exec words")
    if not words:
        raise error("exec command")
    pod = call.pod(call.args[0])
    phase = at(pod, ".status.phase")
    if phase in ("Succeeded", "Failed"):
        raise error("completed", phase=phase)
    if not at(pod, ".spec.nodeName"):
        raise _bad_request(f"pod {pod['metadata']['name']} does not have a host assigned")
    (name,) = _containers(call, pod, call.flag("container"))
    unknown = {"state": {"running": None}} if call.plane.settings.loaded else {}
    if "running" not in (_statuses(pod).get(name, unknown).get("state") or {}):
        raise error("no container", name=name)
    if words == ["kill", "1"]:  # what tools cannot do: they only read
        kubelet.kill(call.plane, pod, name)
        return Result()
    result = tools.run(call.cluster.moment, Client("pod", ref(pod).key), words)
    ended = "" if result else f"command terminated with exit code {result.exit_code}\n"
    said = "".join(f"{note}\n" for note in call.notes) + result.stderr
    return replace(result, stderr=said + ("\n" if said and not said.endswith("\n") and ended else "") + ended)


def logs(call: Call) -> None:
    """``kubectl logs``: that a container's server listens, or why it could not, and the Ingresses that a controller
    passes over. Requests leave no lines."""
    if not call.args and not call.flag("selector"):
        raise call.usage_error("logs")
    try:
        pods = [call.pod(call.args[0])] if call.args else call.api.list("Pod", call.namespace, call.selector())
    except ApiError as refused:
        status = refused.status
        raise error("logs not found", reason=status.reason, problem=status.message, namespace=call.namespace) from None
    chosen = call.flag("container") or (call.args[1] if len(call.args) > 1 else "")
    for pod in pods:
        for name in _containers(call, pod, chosen):
            call.out += [f"{line}\n" for line in _log(call, pod, name)]


def _log(call: Call, pod: Object, container: str) -> list[str]:
    status, previous = _statuses(pod).get(container, {}), call.flag("previous", False)
    over = at(status, ".state.terminated") or at(status, ".lastState.terminated")
    waiting = at(status, ".state.waiting.reason")
    where = f'container "{container}" in pod "{pod["metadata"]["name"]}"'
    if previous and not over:
        raise _bad_request(f"previous terminated {where} not found")
    if waiting and not over:
        raise _bad_request(f"{where} is waiting to start: {waiting}")
    lines, snapshot = containers.logs(call.plane.store, pod, container, previous), call.plane.snapshot()
    controller = "" if previous else routes.controller_in(snapshot.pods[ref(pod).key])
    return lines + (ingress_controller.log(snapshot, controller).splitlines() if controller else [])


def port_forward(call: Call) -> Result:
    """``kubectl port-forward TYPE/NAME [LOCAL:]REMOTE``: the lines that it prints, and in ``trace`` what one request
    through it does.

    kubectl takes one Pod, once, and its kubelet connects inside the Pod to localhost: no Service, no node rule and no
    policy has a part in it. So ``cluster.pod(NAME).curl("http://localhost:REMOTE")`` is the same request.
    """
    if len(call.args) < 2:
        raise call.usage_error("port-forward")
    target, *wanted = call.args
    pod = call.pod(target)
    phase, address = at(pod, ".status.phase"), call.flag("address")
    if phase != "Running":
        raise error("not running", phase=phase)
    ports = [_forwarded(call, target, pod, text) for text in wanted]
    hosts = ["127.0.0.1", "[::1]"] if address in ("", "localhost") else address.split(",")
    lines = [f"Forwarding from {host}:{local} -> {remote}\n" for local, remote in ports for host in hosts]
    key, port = ref(pod).key, ports[0][1]
    hint = f"a request to this port goes to localhost:{port} inside Pod {key}, past Service, policy and nodes"
    return Result("".join(lines), trace=journey.forward(call.cluster.moment, key, port), hint=hint)


def _forwarded(call: Call, target: str, pod: Object, text: str) -> tuple[int, int]:
    """The local and the Pod's port for ``8080:80``; for a Service the second is the Service's and is looked up."""
    local, colon, remote = text.partition(":")
    remote = remote if colon else local
    kind, name = call.resources([target] if "/" in target else ["pod", target])[0]
    if kind.kind == "Service":
        ports = at(call.api.get("Service", call.namespace, name), ".spec.ports") or ()
        port = next((p for p in ports if remote in (str(p["port"]), p.get("name"))), None)
        if port is None:
            raise error("service port" if remote.isdigit() else "service port name", name=name, port=remote)
        local = local if colon or local.isdigit() else str(port["port"])
        remote = str(port.get("targetPort", port["port"]))
    named = {p.get("name"): p["containerPort"] for c in pod["spec"]["containers"] for p in c.get("ports") or ()}
    number = int(remote) if remote.isdigit() else named.get(remote)
    if number is None:
        raise error("named port", name=pod["metadata"]["name"], port=remote)
    if not 1 <= number <= 65535 or (local and not local.isdigit() and colon):
        raise error("forward", text=text)
    return int(local) if local.isdigit() else number, number


COMMANDS: dict[str, Callable[[Call], Any]] = {"exec": execute, "logs": logs, "port-forward": port_forward}
