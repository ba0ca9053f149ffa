"""Rules for Pods and containers that look at more than one field (pkg/apis/core/validation, ValidatePodSpec and
ValidatePodUpdate). Left out: security contexts, resources, sources of variables, node affinity."""

from __future__ import annotations

import json
from collections.abc import Iterator

from k8snet.manifests import names
from k8snet.manifests.field_errors import Errors, duplicate, forbidden, invalid, not_found, required
from k8snet.manifests.kinds import Object
from k8snet.manifests.rules import Context, check, rule

_HANDLERS = {
    "exec": "ExecAction",
    "httpGet": "HTTPGetAction",
    "tcpSocket": "TCPSocketAction",
    "grpc": "GRPCAction",
    "sleep": "SleepAction",
}
_MAY_CHANGE = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only "
    "additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was "
    "previously negative)"
)


@rule
def host_ports(spec: Object, path: str, context: Context) -> Errors:
    """No two containers ask for one port of the node."""
    for here, port in _ports(spec, path):
        text = f"{port.get('protocol', '')}/{port.get('hostIP', '')}/{port.get('hostPort', 0)}"
        if port.get("hostPort") and (path, text) in context.seen:
            yield from duplicate(f"{here}.hostPort", text)
        context.seen.add((path, text))


@rule
def host_network(spec: Object, path: str, context: Context) -> Errors:
    """On the node's network a container's port is the node's port."""
    for here, port in _ports(spec, path) if spec.get("hostNetwork") else ():
        host = port.get("hostPort", 0)
        if (host or context.obj["kind"] == "Pod") and host != port.get("containerPort", 0):
            yield from invalid(f"{here}.hostPort", host, "must match `containerPort` when `hostNetwork` is true")


def _ports(spec: Object, path: str) -> Iterator[tuple[str, Object]]:
    """The ports of all containers but init containers, with their paths."""
    for i, container in enumerate(spec.get("containers", ())):
        yield from ((f"{path}.containers[{i}].ports[{n}]", port) for n, port in enumerate(container.get("ports", ())))


@rule
def dns_config(spec: Object, path: str, context: Context) -> Errors:
    """What the C library takes, and a name server at least under dnsPolicy None."""
    config, path = spec.get("dnsConfig", {}), f"{path}.dnsConfig"
    servers, searches = config.get("nameservers", []), config.get("searches", [])
    if spec.get("dnsPolicy") == "None" and not servers:
        if "dnsConfig" not in spec:
            yield from required(path, "must provide `dnsConfig` when `dnsPolicy` is None")
        else:
            detail = "must provide at least one DNS nameserver when `dnsPolicy` is None"
            yield from required(f"{path}.nameservers", detail)
        return
    if len(servers) > 3:
        yield from invalid(f"{path}.nameservers", servers, "must not have more than 3 nameservers")
    for i, server in enumerate(servers):
        yield from invalid(f"{path}.nameservers[{i}]", server, *context.ip(server))
    if len(searches) > 32:
        yield from invalid(f"{path}.searches", searches, "must not have more than 32 search paths")
    if len(" ".join(searches).encode()) > 2048:
        detail = "must not have more than 2048 characters (including spaces) in the search list"
        yield from invalid(f"{path}.searches", searches, detail)
    for i, search in enumerate(searches):
        shown = search if search == "." else search.removesuffix(".")
        yield from invalid(f"{path}.searches[{i}]", shown, *names.dns_search(search))
    for i, option in enumerate(config.get("options", ())):
        if not option.get("name"):
            yield from required(f"{path}.options[{i}]", "must not be empty")


@rule
def volume_source(volume: Object, path: str, context: Context) -> Errors:
    """Exactly one source."""
    sources = [field for field in volume if field != "name"]
    if not sources:
        yield from required(path, "must specify a volume type")
    for field in sources[1:]:
        yield from forbidden(f"{path}.{field}", "may not specify more than 1 volume type")


@rule
def mounts(container: Object, path: str, context: Context) -> Errors:
    """A volume that the Pod has, each at a place of its own."""
    template = context.obj["spec"].get("template")
    spec = context.obj["spec"] if template is None else template.get("spec", {})
    volumes = {volume.get("name") for volume in spec.get("volumes", ())}
    places = [mount.get("mountPath", "") for mount in container.get("volumeMounts", ())]
    for i, mount in enumerate(container.get("volumeMounts", ())):
        here, name = f"{path}.volumeMounts[{i}]", mount.get("name", "")
        if not name:
            yield from required(f"{here}.name")
        if name not in volumes:
            yield from not_found(f"{here}.name", name)
        if not places[i]:
            yield from required(f"{here}.mountPath")
        if places[i] in places[:i]:
            yield from invalid(f"{here}.mountPath", places[i], "must be unique")


@rule
def container_name(container: Object, path: str, context: Context) -> Errors:
    """One name for one container, init containers counted in."""
    key = path.rpartition(".")[0] + ".container", container.get("name", "")
    if key in context.seen:
        yield from duplicate(f"{path}.name", key[1])
    context.seen.add(key)


@rule
def probes_allowed(container: Object, path: str, context: Context) -> Errors:
    """Only what keeps running is probed; then the probes' own rules."""
    init, restarts = ".initContainers[" in path, container.get("restartPolicy")
    if restarts is not None and not init:
        yield from forbidden(f"{path}.restartPolicy", "may not be set for non-init containers")
    for field in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
        if field in container and init and restarts != "Always":
            detail = "may not be set for init containers without restartPolicy=Always"
            yield from forbidden(f"{path}.{field}", detail)
        elif field in container:
            yield from check(
                "Lifecycle" if field == "lifecycle" else "Probe", container[field], f"{path}.{field}", context
            )


@rule
def handler(action: Object, path: str, context: Context) -> Errors:
    """One way of asking a container."""
    found = [field for field in _HANDLERS if field in action]
    if not found:
        yield from required(path, "must specify a handler type")
    for field in found[:1]:
        yield from check(_HANDLERS[field], action[field], f"{path}.{field}", context)
    for field in found[1:]:
        yield from forbidden(f"{path}.{field}", "may not specify more than 1 handler type")


@rule
def probe_counts(probe: Object, path: str, context: Context) -> Errors:
    """What differs between the three probes."""
    readiness, seconds = path.endswith(".readinessProbe"), probe.get("terminationGracePeriodSeconds")
    if seconds is not None:
        problems = ["must be greater than 0"] if seconds <= 0 else []
        problems += ["must not be set for readinessProbes"] if readiness else []
        yield from invalid(f"{path}.terminationGracePeriodSeconds", seconds, *problems)
    if not readiness and probe.get("successThreshold") != 1:
        yield from invalid(f"{path}.successThreshold", probe.get("successThreshold", 0), "must be 1")


@rule
def image_spaces(pod: Object, path: str, context: Context) -> Errors:
    """No blanks around an image."""
    for group in ("containers", "initContainers"):
        for i, container in enumerate(pod["spec"].get(group, ())):
            image = container.get("image", "")
            if image != image.strip():
                detail = "must not have leading or trailing whitespace"
                yield from invalid(f"spec.{group}[{i}].image", image, detail)


@rule
def pod_update(pod: Object, path: str, context: Context) -> Errors:
    """Images, the deadline and added tolerations may change; nothing else."""
    if context.old is None:
        return
    new, old = pod["spec"], context.before
    for group in ("containers", "initContainers"):
        if len(new.get(group, ())) != len(old.get(group, ())):
            yield from forbidden(f"spec.{group}", "pod updates may not add or remove containers")
            return
    deadline, before = new.get("activeDeadlineSeconds"), old.get("activeDeadlineSeconds")
    if deadline is None and before is not None:
        detail = "must not update from a positive integer to nil value"
        yield from invalid("spec.activeDeadlineSeconds", None, detail)
    elif deadline is not None and before is not None and deadline > before:
        yield from invalid("spec.activeDeadlineSeconds", deadline, "must be less than or equal to previous value")
        return
    if any(_lasting(t) not in map(_lasting, new.get("tolerations", ())) for t in old.get("tolerations", ())):
        detail = "existing toleration can not be modified except its tolerationSeconds"
        yield from forbidden("spec.tolerations", detail)
    was, now = _fixed(old), _fixed(new)
    if was.get("terminationGracePeriodSeconds", 0) < 0 and now.get("terminationGracePeriodSeconds") == 1:
        was["terminationGracePeriodSeconds"] = 1
    if was != now:
        changed = [k for k in sorted({*was, *now}) if was.get(k) != now.get(k)]
        lines = [
            f"{sign} {k}: {json.dumps(spec.get(k), sort_keys=True)}"
            for k in changed
            for sign, spec in (("-", was), ("+", now))
        ]
        detail = f"pod updates may not change fields other than {_MAY_CHANGE}\n"
        yield from forbidden("spec", detail + "\n".join(lines))


def _lasting(entry: Object) -> Object:
    return {k: v for k, v in entry.items() if k != "tolerationSeconds"}


def _fixed(spec: Object) -> Object:
    """The part of a Pod's spec that no update may change."""
    fixed = {k: v for k, v in spec.items() if k not in ("activeDeadlineSeconds", "tolerations", "schedulingGates")}
    for group in ("containers", "initContainers"):
        if group in fixed:
            fixed[group] = [{k: v for k, v in c.items() if k != "image"} for c in fixed[group]]
    return fixed
