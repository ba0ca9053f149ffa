"""Small functions that turn an object into one cell of a table or one line of a description.

Facts: Kubernetes pkg/printers/internalversion/printers.go (``kubectl get``: the API server fills the cells),
apimachinery pkg/util/duration (ages). Each takes the object and the simulated time in seconds; `VALUES` is all of them
by name, which is how ``columns.yaml`` and ``describe.yaml`` refer to them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from k8snet.controlplane.store import seconds_of
from k8snet.manifests import selectors
from k8snet.manifests.kinds import Object

Value = Callable[[Object, float], str]
VALUES: dict[str, Value] = {}

NONE, UNKNOWN, UNSET = "<none>", "<unknown>", "<unset>"


def value(function: Callable[..., str]) -> Callable[..., str]:
    """Put a function into `VALUES`; one that does not need the time may leave it out."""
    timed = "now" in function.__code__.co_varnames[: function.__code__.co_argcount]
    VALUES[function.__name__] = function if timed else lambda obj, now: function(obj)
    return function


def cell(expression: str, obj: Object, now: float, wide: bool = False) -> str:
    """What an expression of the tables gives for an object; empty for a field that is not there."""
    if not expression.startswith("."):
        function = VALUES.get(f"{expression}_wide") if wide else None
        return (function or VALUES[expression])(obj, now)
    path, _, default = expression.partition(" or ")
    found = at(obj, path)
    return default if found in (None, "") else str(found)


def at(obj: Any, path: str) -> Any:
    """The field at ``.spec.type``; None where there is none."""
    for key in path.split(".")[1:]:
        obj = obj.get(key) if isinstance(obj, dict) else None
    return obj


def duration(seconds: float) -> str:
    """An age as kubectl writes it: two units at most, the second one only while it matters."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    minutes, hours = whole // 60, whole // 3600
    days, years = hours // 24, hours // 24 // 365
    for holds, large, small in (
        (whole < 120, f"{max(whole, 0)}s", ""),
        (minutes < 10, f"{minutes}m", f"{whole % 60}s"),
        (minutes < 180, f"{minutes}m", ""),
        (hours < 8, f"{hours}h", f"{minutes % 60}m"),
        (hours < 48, f"{hours}h", ""),
        (hours < 192, f"{days}d", f"{hours % 24}h"),
        (days < 730, f"{days}d", ""),
        (days < 2920, f"{years}y", f"{days % 365}d"),
    ):
        if holds:
            return large + ("" if small.startswith("0") else small)
    return f"{years}y"


def since(timestamp: str | None, now: float) -> str:
    """How long ago a timestamp was."""
    return duration(now - seconds_of(timestamp)) if timestamp else UNKNOWN


def pairs(labels: Mapping[str, str] | None, none: str = NONE) -> str:
    """``a=1,b=2``, sorted by key."""
    return ",".join(f"{k}={v or ''}" for k, v in sorted((labels or {}).items())) or none


def selector_text(selector: Mapping[str, Any] | None) -> str:
    """A label selector in ``-l`` spelling (metav1.FormatLabelSelector); an empty one is ``<none>``."""
    requirements = selectors.from_label_selector(selector).requirements
    return ",".join(str(r) for r in sorted(requirements, key=lambda r: r.key)) or NONE


def first_three(items: Iterable[str], none: str) -> str:
    """Three items and how many there are besides."""
    found = list(items)
    more = f" + {len(found) - 3} more..." if len(found) > 3 else ""
    return (",".join(found[:3]) or none) + more


def host_port(ip: str, port: Any) -> str:
    """``10.0.0.1:80``, ``[fd00::1]:80``."""
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def condition(obj: Object, kind: str) -> str:
    """The status of a condition (True, False, Unknown); empty if there is none."""
    found = at(obj, ".status.conditions") or ()
    return next((str(c.get("status")) for c in found if c.get("type") == kind), "")


@value
def age(obj: Object, now: float) -> str:
    return since(obj["metadata"].get("creationTimestamp"), now)


# Pods


def _sidecars(pod: Object) -> set[str]:
    return {c["name"] for c in at(pod, ".spec.initContainers") or () if c.get("restartPolicy") == "Always"}


def _running(pod: Object) -> list[Mapping[str, Any]]:
    """The statuses of sidecars and containers."""
    sidecars = _sidecars(pod)
    init = [s for s in at(pod, ".status.initContainerStatuses") or () if s["name"] in sidecars]
    return [*init, *(at(pod, ".status.containerStatuses") or ())]


@value
def pod_ready(pod: Object) -> str:
    total = len(at(pod, ".spec.containers") or ()) + len(_sidecars(pod))
    return f"{sum(bool(s.get('ready')) for s in _running(pod))}/{total}"


def _stopped(status: Mapping[str, Any]) -> str:
    """Why a container does not run; empty if it does, or if nobody says."""
    state = status.get("state") or {}
    over = state.get("terminated")
    if over is None:
        return str((state.get("waiting") or {}).get("reason") or "")
    return str(
        over.get("reason")
        or (f"Signal:{over['signal']}" if over.get("signal") else f"ExitCode:{over.get('exitCode', 0)}")
    )


def _initializing(pod: Object) -> str:
    """``Init:…`` for the first init container that is not done yet."""
    found, sidecars = at(pod, ".status.initContainerStatuses") or (), _sidecars(pod)
    for i, status in enumerate(found):
        over = (status.get("state") or {}).get("terminated")
        if (over is not None and not over.get("exitCode")) or (status["name"] in sidecars and status.get("started")):
            continue
        reason = _stopped(status)
        return (
            f"Init:{reason}"
            if reason not in ("", "PodInitializing")
            else f"Init:{i}/{len(at(pod, '.spec.initContainers') or ())}"
        )
    return ""


@value
def pod_status(pod: Object) -> str:
    reason = str(at(pod, ".status.reason") or at(pod, ".status.phase") or "")
    if pod["metadata"].get("deletionTimestamp"):
        return "Unknown" if reason == "NodeLost" else "Terminating"
    early = _initializing(pod)
    if early and condition(pod, "Initialized") != "True":
        return early
    statuses = at(pod, ".status.containerStatuses") or ()
    reason = next((r for r in map(_stopped, statuses) if r), reason)
    if reason == "Completed" and any(s.get("ready") and "running" in (s.get("state") or {}) for s in statuses):
        return "Running" if condition(pod, "Ready") == "True" else "NotReady"
    return reason


@value
def pod_restarts(pod: Object, now: float) -> str:
    count = sum(s.get("restartCount") or 0 for s in _running(pod))
    ends = [at(s, ".lastState.terminated.finishedAt") for s in _running(pod)]
    last = max((seconds_of(e) for e in ends if e), default=None)
    return f"{count} ({duration(now - last)} ago)" if count and last is not None else str(count)


@value
def pod_ip(pod: Object) -> str:
    return next((p["ip"] for p in at(pod, ".status.podIPs") or () if p.get("ip")), NONE)


@value
def readiness_gates(pod: Object) -> str:
    gates = at(pod, ".spec.readinessGates") or ()
    return f"{sum(condition(pod, g['conditionType']) == 'True' for g in gates)}/{len(gates)}" if gates else NONE


# workloads


@value
def ready_replicas(obj: Object) -> str:
    return f"{at(obj, '.status.readyReplicas') or 0}/{at(obj, '.spec.replicas') or 0}"


def _template(obj: Object) -> list[Mapping[str, Any]]:
    return at(obj, ".spec.template.spec.containers") or []


@value
def container_names(obj: Object) -> str:
    return ",".join(c.get("name", "") for c in _template(obj))


@value
def container_images(obj: Object) -> str:
    return ",".join(c.get("image", "") for c in _template(obj))


@value
def label_selector(obj: Object) -> str:
    return selector_text(at(obj, ".spec.selector"))


@value
def template_node_selector(obj: Object) -> str:
    return pairs(at(obj, ".spec.template.spec.nodeSelector"))


# Services and endpoints


@value
def cluster_ip(service: Object) -> str:
    return next(iter(at(service, ".spec.clusterIPs") or ()), NONE)


def balancer(obj: Object) -> str:
    """The addresses that a load balancer or an Ingress controller gave."""
    found = {i.get("ip") or i.get("hostname") or "" for i in at(obj, ".status.loadBalancer.ingress") or ()}
    return ",".join(sorted(found - {""}))


def _short(addresses: str) -> str:
    """Addresses as they stand in a table that is not wide."""
    return addresses if len(addresses) <= 16 else addresses[:13] + "..."


@value
def external_ip_wide(service: Object, show: Callable[[str], str] = str) -> str:
    kind, own = at(service, ".spec.type"), at(service, ".spec.externalIPs") or []
    if kind == "ExternalName":
        return str(at(service, ".spec.externalName") or "")
    given = show(balancer(service)) if kind == "LoadBalancer" else ""
    return ",".join([*([given] if given else []), *own]) or ("<pending>" if kind == "LoadBalancer" else NONE)


@value
def external_ip(service: Object) -> str:
    return external_ip_wide(service, _short)


@value
def service_ports(service: Object) -> str:
    ports = at(service, ".spec.ports") or ()
    return (
        ",".join(
            f"{p['port']}{':' + str(p['nodePort']) if p.get('nodePort') else ''}/{p.get('protocol', 'TCP')}"
            for p in ports
        )
        or NONE
    )


@value
def service_selector(service: Object) -> str:
    return pairs(at(service, ".spec.selector"))


def endpoint_list(obj: Object, port_names: set[str] | None = None) -> list[str]:
    """Every ready ``ip:port`` of an Endpoints object, of all ports or of those named."""
    found = []
    for subset in obj.get("subsets") or ():
        ready, ports = [a["ip"] for a in subset.get("addresses") or ()], subset.get("ports") or ()
        if not ports:
            found += ready
        for port in ports:
            if port_names is None or port.get("name", "") in port_names:
                found += [host_port(ip, port["port"]) for ip in ready]
    return found


@value
def endpoints(obj: Object) -> str:
    return first_three(endpoint_list(obj), "") if obj.get("subsets") else NONE


@value
def slice_ports(obj: Object) -> str:
    return first_three((str(p.get("port") or p.get("name") or "*") for p in obj.get("ports") or ()), UNSET)


@value
def slice_endpoints(obj: Object) -> str:
    return first_three((a for e in obj.get("endpoints") or () for a in e.get("addresses") or ()), UNSET)


# nodes


@value
def node_status(node: Object) -> str:
    ready = condition(node, "Ready")
    status = UNKNOWN.strip("<>").capitalize() if not ready else "Ready" if ready == "True" else "NotReady"
    return status + (",SchedulingDisabled" if at(node, ".spec.unschedulable") else "")


@value
def node_roles(node: Object) -> str:
    labels, prefix = node["metadata"].get("labels") or {}, "node-role.kubernetes.io/"
    roles = {k.removeprefix(prefix) for k in labels if k.startswith(prefix)} | {labels.get("kubernetes.io/role", "")}
    return ",".join(sorted(roles - {""})) or NONE


def _node_address(node: Object, kind: str) -> str:
    return next((a["address"] for a in at(node, ".status.addresses") or () if a.get("type") == kind), NONE)


@value
def node_internal_ip(node: Object) -> str:
    return _node_address(node, "InternalIP")


@value
def node_external_ip(node: Object) -> str:
    return _node_address(node, "ExternalIP")


# policy, Ingress, Gateway


@value
def pod_selector(policy: Object) -> str:
    return selector_text(at(policy, ".spec.podSelector"))


@value
def ingress_hosts(ingress: Object) -> str:
    hosts: list[str] = []
    rules = at(ingress, ".spec.rules") or ()
    for rule in rules:
        if len(hosts) == 3:
            return f"{','.join(hosts)} + {len(rules) - 3} more..."
        hosts += [rule["host"]] if rule.get("host") else []
    return ",".join(hosts) or "*"


@value
def ingress_address(ingress: Object) -> str:
    return _short(balancer(ingress))


@value
def ingress_address_wide(ingress: Object) -> str:
    return balancer(ingress)


@value
def ingress_ports(ingress: Object) -> str:
    return "80, 443" if at(ingress, ".spec.tls") else "80"


@value
def class_parameters(obj: Object) -> str:
    found = at(obj, ".spec.parameters")
    group = found and found.get("apiGroup")
    return f"{found['kind']}{'.' + group if group else ''}/{found['name']}" if found else NONE


@value
def accepted(obj: Object) -> str:
    return condition(obj, "Accepted")


@value
def programmed(obj: Object) -> str:
    return condition(obj, "Programmed")


@value
def gateway_address(obj: Object) -> str:
    return next((str(a.get("value", "")) for a in at(obj, ".status.addresses") or ()), "")


@value
def route_hostnames(route: Object) -> str:
    hosts = at(route, ".spec.hostnames")
    return json.dumps(hosts, separators=(",", ":")) if hosts else ""


@value
def service_cidrs(obj: Object) -> str:
    return ",".join(at(obj, ".spec.cidrs") or ())


# data and events


@value
def data_count(obj: Object) -> str:
    return str(len(obj.get("data") or {}) + len(obj.get("binaryData") or {}))


@value
def first_seen(event: Object, now: float) -> str:
    return since(event.get("firstTimestamp") or event.get("eventTime"), now)


@value
def last_seen(event: Object, now: float) -> str:
    last = at(event, ".series.lastObservedTime") or event.get("lastTimestamp")
    return since(last, now) if last else first_seen(event, now)


@value
def event_object(event: Object) -> str:
    target = event.get("involvedObject") or {}
    return f"{target.get('kind', '').lower()}/{target.get('name', '')}"


@value
def event_source(event: Object) -> str:
    source = event.get("source") or {}
    who = source.get("component") or event.get("reportingComponent") or ""
    host = source.get("host") or event.get("reportingInstance") or ""
    return f"{who}, {host}" if host else who


@value
def event_message(event: Object) -> str:
    return str(event.get("message") or "").strip()


def interval(event: Object, now: float) -> str:
    """When an event came last, and how often: ``5s (x3 over 2m)``."""
    count = at(event, ".series.count") or event.get("count") or 1
    return f"{last_seen(event, now)} (x{count} over {first_seen(event, now)})" if count > 1 else first_seen(event, now)
