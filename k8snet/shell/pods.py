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
from k8snet.manifests.errors import ApiError, KubectlError
from k8snet.manifests.kinds import Object
from k8snet.shell import tools
from k8snet.shell.call import Call
from k8snet.shell.result import Result
from k8snet.shell.values import at


def _key(pod: Object) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _containers(call: Call, pod: Object, name: str, everyone: bool) -> list[str]:
    """The containers meant: the one named, all of them, or the first (which kubectl says if there are more)."""
    names = [c["name"] for c in pod["spec"]["containers"]]
    if everyone:
        return names
    if name and name not in [*names, *(c["name"] for c in pod["spec"].get("initContainers") or ())]:
        raise ApiError(400, "BadRequest", f"container {name} is not valid for pod {pod['metadata']['name']}")
    if not name and len(names) > 1:
        call.notes.append(f'Defaulted container "{names[0]}" out of: {", ".join(names)}')
    return [name or names[0]]


def execute(call: Call) -> Result:
    """``kubectl exec POD -- COMMAND``: the command's output and exit code."""
    if not call.args:
        raise KubectlError("error: pod, type/name or --filename must be specified")
    if call.line.after is None and len(call.args) > 1:
        raise call.usage_error("exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead")
    if not call.line.after:
        raise KubectlError("error: you must specify at least one command for the container")
    pod = call.pod(call.args[0])
    phase = at(pod, ".status.phase")
    if phase in ("Succeeded", "Failed"):
        raise KubectlError(f"error: cannot exec into a container in a completed pod; current phase is {phase}")
    if not at(pod, ".spec.nodeName"):
        raise ApiError(400, "BadRequest", f"pod {pod['metadata']['name']} does not have a host assigned")
    (name,) = _containers(call, pod, call.flag("container"), False)
    states = {s["name"]: s.get("state") or {} for s in at(pod, ".status.containerStatuses") or ()}
    if "running" not in states.get(name, {"running": None} if call.loaded else {}):
        raise KubectlError(
            f'error: Internal error occurred: unable to upgrade connection: container not found ("{name}")'
        )
    if call.line.after == ["kill", "1"]:  # what tools cannot do: they only read
        kubelet.kill(call.plane, pod, name)
        return Result()
    result = tools.run(call.cluster.moment, Client("pod", _key(pod)), call.line.after)
    ended = "" if result else f"command terminated with exit code {result.exit_code}\n"
    said = "".join(f"{note}\n" for note in call.notes) + result.stderr
    return replace(result, stderr=said + ("\n" if said and not said.endswith("\n") and ended else "") + ended)


def logs(call: Call) -> None:
    """``kubectl logs``: that a container's server listens, or why it could not, and the Ingresses that a controller
    passes over. Requests leave no lines."""
    if not call.args and not call.flag("selector"):
        raise call.usage_error(
            "expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\n"
            "POD or TYPE/NAME is a required argument for the logs command"
        )
    try:
        pods = [call.pod(call.args[0])] if call.args else call.api.list("Pod", call.namespace, call.selector())
    except ApiError as error:
        said = f'{error.status.message} in namespace "{call.namespace}"'
        raise KubectlError(f"error: error from server ({error.status.reason}): {said}") from None
    chosen = call.flag("container") or (call.args[1] if len(call.args) > 1 else "")
    for pod in pods:
        for name in _containers(call, pod, chosen, call.flag("all-containers", False)):
            call.out += [f"{line}\n" for line in _log(call, pod, name)]


def _log(call: Call, pod: Object, container: str) -> list[str]:
    statuses = {s["name"]: s for s in at(pod, ".status.containerStatuses") or ()}
    status, name = statuses.get(container, {}), pod["metadata"]["name"]
    over = at(status, ".state.terminated") or at(status, ".lastState.terminated")
    previous = call.flag("previous", False)
    if previous and not over:
        raise ApiError(400, "BadRequest", f'previous terminated container "{container}" in pod "{name}" not found')
    waiting = at(status, ".state.waiting.reason")
    if waiting and not over:
        raise ApiError(400, "BadRequest", f'container "{container}" in pod "{name}" is waiting to start: {waiting}')
    lines, snapshot = containers.logs(call.plane.store, pod, container, previous), call.plane.snapshot()
    controller = "" if previous else routes.controller_in(snapshot.pods[_key(pod)])
    return lines + (ingress_controller.log(snapshot, controller).splitlines() if controller else [])


def port_forward(call: Call) -> Result:
    """``kubectl port-forward TYPE/NAME [LOCAL:]REMOTE``: the lines that it prints, and in ``trace`` what one request
    through it does.

    kubectl takes one Pod, once, and its kubelet connects inside the Pod to localhost: no Service, no node rule and no
    policy has a part in it. So ``cluster.pod(NAME).curl("http://localhost:REMOTE")`` is the same request.
    """
    if len(call.args) < 2:
        raise call.usage_error("TYPE/NAME and list of ports are required for port-forward")
    target, *wanted = call.args
    pod = call.pod(target)
    phase = at(pod, ".status.phase")
    if phase != "Running":
        raise KubectlError(f"error: unable to forward port because pod is not running. Current status={phase}")
    ports = [_forwarded(call, target, pod, text) for text in wanted]
    address = call.flag("address")
    hosts = ["127.0.0.1", "[::1]"] if address in ("", "localhost") else address.split(",")
    lines = [f"Forwarding from {host}:{local} -> {remote}\n" for local, remote in ports for host in hosts]
    hint = (
        f"a request to this port goes to localhost:{ports[0][1]} inside Pod {_key(pod)}, past Service, policy and nodes"
    )
    return Result("".join(lines), trace=journey.forward(call.cluster.moment, _key(pod), ports[0][1]), hint=hint)


def _forwarded(call: Call, target: str, pod: Object, text: str) -> tuple[int, int]:
    """The local and the Pod's port for ``8080:80``; for a Service the second is the Service's and is looked up."""
    local, colon, remote = text.partition(":")
    remote = remote if colon else local
    named = {
        p["name"]: p["containerPort"] for c in pod["spec"]["containers"] for p in c.get("ports") or () if p.get("name")
    }
    kind, name = (call.resources([target])[0]) if "/" in target else (None, target)
    if kind is not None and kind.kind == "Service":
        ports = at(call.api.get("Service", call.namespace, name), ".spec.ports") or ()
        port = next((p for p in ports if remote in (str(p["port"]), p.get("name"))), None)
        if port is None:
            what = f"service port {remote}" if remote.isdigit() else f"port named '{remote}'"
            raise KubectlError(f"error: Service {name} does not have a {what}")
        local, remote = (
            local if colon or local.isdigit() else str(port["port"]),
            str(port.get("targetPort", port["port"])),
        )
    number = int(remote) if remote.isdigit() else named.get(remote)
    if number is None:
        raise KubectlError(f"error: Pod '{pod['metadata']['name']}' does not have a named port '{remote}'")
    if not 1 <= number <= 65535 or (local and not local.isdigit() and colon):
        raise KubectlError(f"error: error parsing port in '{text}'")
    return int(local) if local.isdigit() else number, number


COMMANDS: dict[str, Callable[[Call], Any]] = {"exec": execute, "logs": logs, "port-forward": port_forward}
