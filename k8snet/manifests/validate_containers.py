"""Rules for containers and volumes (pkg/apis/core/validation, validateContainers and what it calls)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation

from k8snet.manifests import names
from k8snet.manifests.field_errors import (
    Errors,
    duplicate,
    forbidden,
    invalid,
    not_found,
    not_negative,
    one_of,
    required,
    unsupported,
)
from k8snet.manifests.kinds import Object
from k8snet.manifests.validate_service import PROTOCOLS

_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_ENV_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef")
_ENV_PATHS = (
    *("metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName"),
    *("status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"),
)
_OTHER_PATHS = ("metadata.annotations", "metadata.labels", "spec.restartPolicy", "spec.schedulerName", "status.phase")
_RESOURCES = tuple(
    f"{kind}.{name}" for kind in ("limits", "requests") for name in ("cpu", "ephemeral-storage", "memory")
)
_VOLUME_NEEDS = {"hostPath": "path", "secret": "secretName", "configMap": "name", "persistentVolumeClaim": "claimName"}
_UNITS = {"": Decimal(1), "m": Decimal("1e-3"), "u": Decimal("1e-6"), "n": Decimal("1e-9"), "k": Decimal(1000)} | {
    letter + i: Decimal(1024 if i else 1000) ** power for power, letter in enumerate("KMGTPE", 1) for i in ("", "i")
}


def containers(path: str, spec: Object, group: str, volumes: set[str]) -> Errors:
    """All containers of one group: ``containers``, ``initContainers`` or ``ephemeralContainers``."""
    listed = spec.get(group, [])
    before = {"initContainers": ("containers",), "ephemeralContainers": ("containers", "initContainers")}.get(group, ())
    seen = {c.get("name", "") for g in before for c in spec.get(g, ())}
    grace = spec.get("terminationGracePeriodSeconds", 30)
    if not listed and group == "containers":
        yield from required(f"{path}.containers")
    for i, container in enumerate(listed):
        here, name = f"{path}.{group}[{i}]", container.get("name", "")
        yield from _container(here, container, volumes)
        sidecar, restart = False, container.get("restartPolicy")
        if group == "initContainers" and restart is not None:
            yield from one_of(f"{here}.restartPolicy", restart, ("Always", "Never", "OnFailure"))
            sidecar = restart == "Always"
        if name in seen:
            yield from duplicate(f"{here}.name", name)
        if name or group == "containers":
            seen.add(name)
        if group == "initContainers":
            yield from _host_ports(f"{path}.{group}", [container])
        if group == "containers" or sidecar:
            yield from _lifecycle(here, container, grace)
        else:
            for field in ("lifecycle", *_PROBES):
                if field in container:
                    word = "init containers without restartPolicy=Always"
                    detail = f"may not be set for {word}" if group == "initContainers" else _NOT_EPHEMERAL
                    yield from forbidden(f"{here}.{field}", detail)
        if group == "ephemeralContainers" and container.get("ports"):
            yield from forbidden(f"{here}.ports", _NOT_EPHEMERAL)
    if group == "containers":
        yield from _host_ports(f"{path}.{group}", listed)


_NOT_EPHEMERAL = "cannot be set for an Ephemeral Container"


def _container(path: str, container: Object, volumes: set[str]) -> Errors:
    if name := container.get("name"):
        yield from invalid(f"{path}.name", name, *names.dns_label(name))
    else:
        yield from required(f"{path}.name")
    if not container.get("image"):
        yield from required(f"{path}.image")
    policies = ("File", "FallbackToLogsOnError")
    yield from one_of(f"{path}.terminationMessagePolicy", container.get("terminationMessagePolicy"), policies)
    yield from _ports(f"{path}.ports", container.get("ports", ()))
    yield from _env(f"{path}.env", container.get("env", ()))
    for i, source in enumerate(container.get("envFrom", ())):
        yield from _env_from(f"{path}.envFrom", i, source)
    yield from _mounts(f"{path}.volumeMounts", container.get("volumeMounts", ()), volumes)
    yield from one_of(f"{path}.imagePullPolicy", container.get("imagePullPolicy"), ("Always", "IfNotPresent", "Never"))
    yield from resources(f"{path}.resources", container.get("resources", {}))


def _ports(path: str, ports: Iterable[Object]) -> Errors:
    seen = set()
    for i, port in enumerate(ports):
        here, name = f"{path}[{i}]", port.get("name", "")
        problems = names.port_name(name) if name else []
        yield from invalid(f"{here}.name", name, *problems)
        if name in seen:
            yield from duplicate(f"{here}.name", name)
        if name and not problems:
            seen.add(name)
        if number := port.get("containerPort", 0):
            yield from invalid(f"{here}.containerPort", number, *names.port_number(number))
        else:
            yield from required(f"{here}.containerPort")
        if number := port.get("hostPort", 0):
            yield from invalid(f"{here}.hostPort", number, *names.port_number(number))
        yield from one_of(f"{here}.protocol", port.get("protocol"), PROTOCOLS)


def _host_ports(path: str, listed: Iterable[Object]) -> Errors:
    seen = set()
    for i, container in enumerate(listed):
        for n, port in enumerate(container.get("ports", ())):
            text = f"{port.get('protocol', '')}/{port.get('hostIP', '')}/{port.get('hostPort', 0)}"
            if port.get("hostPort") and text in seen:
                yield from duplicate(f"{path}[{i}].ports[{n}].hostPort", text)
            seen.add(text)


def _env(path: str, variables: Iterable[Object]) -> Errors:
    for i, variable in enumerate(variables):
        here, source = f"{path}[{i}].valueFrom", variable.get("valueFrom")
        if name := variable.get("name"):
            yield from invalid(f"{path}[{i}].name", name, *names.env_name(name))
        else:
            yield from required(f"{path}[{i}].name")
        if source is None:
            continue
        for field in _ENV_SOURCES:
            if field in source:
                yield from _env_source(f"{here}.{field}", field, source[field])
        if not source:
            detail = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
            yield from invalid(here, "", detail)
        elif variable.get("value"):
            yield from invalid(here, "", "may not be specified when `value` is not empty")
        elif len(source) > 1:
            yield from invalid(here, "", "may not have more than one field specified at a time")


def _env_source(path: str, field: str, source: Object) -> Errors:
    if field == "fieldRef":
        yield from _field_path(path, source.get("fieldPath", ""))
    elif field == "resourceFieldRef":
        resource = source.get("resource", "")
        if not resource:
            yield from required(f"{path}.resource")
        elif resource not in _RESOURCES and not resource.startswith(("limits.hugepages-", "requests.hugepages-")):
            yield from unsupported(f"{path}.resource", resource, _RESOURCES)
    else:
        yield from _data_reference(path, source)
        if key := source.get("key"):
            yield from invalid(f"{path}.key", key, *names.data_key(key))
        else:
            yield from required(f"{path}.key")


def _data_reference(path: str, source: Object) -> Errors:
    if name := source.get("name"):
        yield from invalid(f"{path}.name", name, *names.dns_subdomain(name))
    else:
        yield from required(f"{path}.name")


def _field_path(path: str, text: str) -> Errors:
    whole, bracket, rest = text.partition("['")
    if not text:
        yield from required(f"{path}.fieldPath")
    elif whole not in _ENV_PATHS + _OTHER_PATHS:
        yield from invalid(f"{path}.fieldPath", text, f"error converting fieldPath: field label not supported: {text}")
    elif bracket and whole in ("metadata.annotations", "metadata.labels"):
        key = rest.removesuffix("']")
        yield from invalid(path, key, *names.label_key(key.lower() if whole.endswith("annotations") else key))
    elif bracket:
        yield from invalid(path, whole, "does not support subscript")
    elif whole not in _ENV_PATHS:
        yield from unsupported(f"{path}.fieldPath", whole, _ENV_PATHS)


def _env_from(path: str, i: int, source: Object) -> Errors:
    if prefix := source.get("prefix"):
        yield from invalid(f"{path}[{i}].prefix", prefix, *names.env_name(prefix))
    found = [field for field in ("configMapRef", "secretRef") if field in source]
    for field in found:
        yield from _data_reference(f"{path}[{i}].{field}", source[field])
    if not found:
        yield from invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")
    elif len(found) > 1:
        yield from invalid(path, "", "may not have more than one field specified at a time")


def _mounts(path: str, mounts: Iterable[Object], volumes: set[str]) -> Errors:
    seen = set()
    for i, mount in enumerate(mounts):
        here, name, place = f"{path}[{i}]", mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            yield from required(f"{here}.name")
        if name not in volumes:
            yield from not_found(f"{here}.name", name)
        if not place:
            yield from required(f"{here}.mountPath")
        if place in seen:
            yield from invalid(f"{here}.mountPath", place, "must be unique")
        seen.add(place)
        if sub := mount.get("subPath"):
            problems = ["must be a relative path"] if sub.startswith("/") else []
            problems += ["must not contain '..'"] if ".." in sub.split("/") else []
            yield from invalid(f"{here}.subPath", sub, *problems)


def _lifecycle(path: str, container: Object, grace: int) -> Errors:
    for hook in ("postStart", "preStop"):
        if hook in container.get("lifecycle", {}):
            yield from _handler(f"{path}.lifecycle.{hook}", container["lifecycle"][hook], grace)
    for field in _PROBES:
        if field in container:
            yield from _probe(f"{path}.{field}", field, container[field], grace)


def _probe(path: str, field: str, probe: Object, grace: int) -> Errors:
    yield from _handler(path, probe, grace)
    numbers = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")
    yield from not_negative(path, probe, *numbers)
    seconds = probe.get("terminationGracePeriodSeconds")
    if seconds is not None and seconds <= 0:
        yield from invalid(f"{path}.terminationGracePeriodSeconds", seconds, "must be greater than 0")
    if field == "readinessProbe" and seconds is not None:
        detail = "must not be set for readinessProbes"
        yield from invalid(f"{path}.terminationGracePeriodSeconds", seconds, detail)
    if field != "readinessProbe" and probe.get("successThreshold") != 1:
        yield from invalid(f"{path}.successThreshold", probe.get("successThreshold", 0), "must be 1")


def _handler(path: str, handler: Object, grace: int) -> Errors:
    found = [field for field in _HANDLERS if field in handler]
    if not found:
        yield from required(path, "must specify a handler type")
        return
    here, action = f"{path}.{found[0]}", handler[found[0]]
    if found[0] == "exec" and not action.get("command"):
        yield from required(f"{here}.command")
    if found[0] == "httpGet" and not action.get("path"):
        yield from required(f"{here}.path")
    if found[0] in ("httpGet", "tcpSocket", "grpc"):
        port = action.get("port", 0)
        yield from invalid(f"{here}.port", port, *names.port(port))
    if found[0] == "httpGet":
        if action.get("scheme") not in ("HTTP", "HTTPS"):
            yield from unsupported(f"{here}.scheme", action.get("scheme", ""), ("HTTP", "HTTPS"))
        for header in action.get("httpHeaders", ()):
            yield from invalid(
                f"{here}.httpHeaders", header.get("name", ""), *names.http_header(header.get("name", ""))
            )
    if found[0] == "sleep" and not 0 <= action.get("seconds", 0) <= grace:
        detail = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
        yield from invalid(here, action.get("seconds", 0), detail)
    for field in found[1:]:
        yield from forbidden(f"{path}.{field}", "may not specify more than 1 handler type")


def quantity(text: str) -> Decimal:
    """The number that a quantity (``100m``, ``1Gi``, ``2e3``) stands for; 0 for text that is none."""
    number = text.rstrip("imunkKMGTPE")
    try:
        return Decimal(number) * _UNITS.get(text[len(number) :], 1)
    except InvalidOperation:
        return Decimal(0)


def resources(path: str, wanted: Mapping[str, Mapping[str, str]]) -> Errors:
    """Limits and requests: known names, no negative numbers, requests not above limits."""
    limits, requests = wanted.get("limits", {}), wanted.get("requests", {})
    for field, listed in (("limits", limits), ("requests", requests)):
        for name, amount in listed.items():
            here = f"{path}.{field}[{name}]"
            yield from invalid(here, name, *names.label_key(name))
            if (
                "/" not in name
                and name not in ("cpu", "memory", "ephemeral-storage")
                and not name.startswith("hugepages-")
            ):
                yield from invalid(here, name, "must be a standard resource type or fully qualified")
                yield from invalid(here, name, "must be a standard resource for containers")
            if quantity(amount) < 0:
                yield from invalid(here, amount, "must be greater than or equal to 0")
            if field == "requests" and name in limits and quantity(amount) > quantity(limits[name]):
                detail = f"must be less than or equal to {name} limit of {limits[name]}"
                yield from invalid(f"{path}.requests", amount, detail)


def volumes(path: str, listed: Iterable[Object]) -> tuple[set[str], list[Errors]]:
    """The names that containers may mount, and the errors of each volume."""
    good: set[str] = set()
    found = []
    for i, volume in enumerate(listed):
        name = volume.get("name", "")
        problems = list(_volume(f"{path}[{i}]", volume, good))
        if not problems:
            good.add(name)
        found.append(iter(problems))
    return good, found


def _volume(path: str, volume: Object, good: set[str]) -> Errors:
    name, sources = volume.get("name", ""), [field for field in volume if field != "name"]
    if not sources:
        yield from required(path, "must specify a volume type")
    for field in sources[:1]:
        need = _VOLUME_NEEDS.get(field)
        if need and not volume[field].get(need):
            yield from required(f"{path}.{field}.{need}")
    for field in sources[1:]:
        yield from forbidden(f"{path}.{field}", "may not specify more than 1 volume type")
    if name:
        yield from invalid(f"{path}.name", name, *names.dns_label(name))
    else:
        yield from required(f"{path}.name")
    if name in good:
        yield from duplicate(f"{path}.name", name)
