"""Small functions that turn an object into one cell of a table or one line of a description.

Facts: Kubernetes pkg/printers/internalversion/printers.go (``kubectl get``: the API server fills the cells),
k8s.io/kubectl pkg/describe/describe.go, apimachinery pkg/util/duration (ages). ``columns.yaml`` and ``describe.yaml``
refer to the functions by their names in `VALUES`; each is given the object and the simulated time in seconds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from k8snet.controlplane.store import EPOCH, seconds_of
from k8snet.manifests import selectors
from k8snet.manifests.kinds import Object

NONE, UNKNOWN, UNSET = "<none>", "<unknown>", "<unset>"


def at(obj: Any, path: str) -> Any:
    """The field at ``.spec.type``; None where there is none."""
    for key in path.split(".")[1:]:
        obj = obj.get(key) if isinstance(obj, Mapping) else None
    return obj


def cell(expression: str, obj: Object, now: float, wide: bool = False) -> str:
    """What an expression of the tables gives for an object: ``.path``, ``.path or TEXT``, or a name in `VALUES`."""
    if not expression.startswith("."):
        function = VALUES.get(f"{expression}_wide") if wide else None
        return (function or VALUES[expression])(obj, now)
    path, _, default = expression.partition(" or ")
    found = at(obj, path)
    if found in (None, "", []):
        return default
    return ",".join(map(str, found)) if isinstance(found, list) else str(found)


# time


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


def date(timestamp: str | None, form: str = "%a, %d %b %Y %H:%M:%S +0000") -> str:
    """A timestamp as descriptions write it (RFC 1123)."""
    return (EPOCH + timedelta(seconds=seconds_of(timestamp))).strftime(form) if timestamp else ""


def interval(event: Object, now: float) -> str:
    """When an event came last, and how often: ``5s (x3 over 2m)``."""
    count = event.get("count") or 1
    first = VALUES["first_seen"](event, now)
    return f"{VALUES['last_seen'](event, now)} (x{count} over {first})" if count > 1 else first


# labels, selectors, lists


def pairs(labels: Mapping[str, str] | None, between: str = ",") -> str:
    """``a=1,b=2``, sorted by key."""
    return between.join(f"{k}={v or ''}" for k, v in sorted((labels or {}).items())) or NONE


def selector_text(selector: Mapping[str, Any] | None) -> str:
    """A label selector in ``-l`` spelling (metav1.FormatLabelSelector); an empty one is ``<none>``."""
    requirements = selectors.from_label_selector(selector).requirements
    return ",".join(str(r) for r in sorted(requirements, key=lambda r: r.key)) or NONE


def first_three(items: Iterable[str], none: str) -> str:
    """Three items and how many there are besides."""
    found = list(items)
    return (",".join(found[:3]) or none) + (f" + {len(found) - 3} more..." if len(found) > 3 else "")


def _annotations(obj: Object, now: float) -> str:
    lines = []
    for key, value in sorted((obj["metadata"].get("annotations") or {}).items()):
        text = str(value).removesuffix("\n")
        if key == "kubectl.kubernetes.io/last-applied-configuration":
            continue
        if "\n" in text or len(key) + len(text) + 2 > 140:
            shown = [line if len(line) <= 138 else line[:138] + "..." for line in text.split("\n")]
            lines += [f"{key}:", *(f"  {line}" for line in shown)]
        else:
            lines.append(f"{key}: {text}")
    return "\n".join(lines) or NONE


def condition(obj: Object, kind: str) -> str:
    """The status of a condition (True, False, Unknown); empty if there is none."""
    found = at(obj, ".status.conditions") or ()
    return next((str(c.get("status")) for c in found if c.get("type") == kind), "")


def _controller(obj: Object, now: float) -> str:
    owners = obj["metadata"].get("ownerReferences") or ()
    return next((f"{o['kind']}/{o['name']}" for o in owners if o.get("controller")), "")


# Pods


def _sidecars(pod: Object) -> set[str]:
    return {c["name"] for c in at(pod, ".spec.initContainers") or () if c.get("restartPolicy") == "Always"}


def _running(pod: Object) -> list[Mapping[str, Any]]:
    """The statuses of sidecars and containers."""
    sidecars = _sidecars(pod)
    init = [s for s in at(pod, ".status.initContainerStatuses") or () if s["name"] in sidecars]
    return [*init, *(at(pod, ".status.containerStatuses") or ())]


def _pod_ready(pod: Object, now: float) -> str:
    total = len(at(pod, ".spec.containers") or ()) + len(_sidecars(pod))
    return f"{sum(bool(s.get('ready')) for s in _running(pod))}/{total}"


def _stopped(status: Mapping[str, Any]) -> str:
    """Why a container does not run; empty if it does, or if nobody says."""
    over = at(status, ".state.terminated")
    if over is None:
        return str(at(status, ".state.waiting.reason") or "")
    code = f"Signal:{over['signal']}" if over.get("signal") else f"ExitCode:{over.get('exitCode', 0)}"
    return str(over.get("reason") or code)


def _initializing(pod: Object) -> str:
    """``Init:…`` for the first init container that is not done yet."""
    sidecars, count = _sidecars(pod), len(at(pod, ".spec.initContainers") or ())
    for i, status in enumerate(at(pod, ".status.initContainerStatuses") or ()):
        over = at(status, ".state.terminated")
        if (over is not None and not over.get("exitCode")) or (status["name"] in sidecars and status.get("started")):
            continue
        reason = _stopped(status)
        return f"Init:{i}/{count}" if reason in ("", "PodInitializing") else f"Init:{reason}"
    return ""


def _pod_status(pod: Object, now: float) -> str:
    reason = str(at(pod, ".status.reason") or at(pod, ".status.phase") or "")
    if pod["metadata"].get("deletionTimestamp"):
        return "Unknown" if reason == "NodeLost" else "Terminating"
    early = _initializing(pod)
    if early and condition(pod, "Initialized") != "True":
        return early
    statuses = at(pod, ".status.containerStatuses") or ()
    reason = next((r for r in map(_stopped, statuses) if r), reason)
    if reason == "Completed" and any(s.get("ready") and at(s, ".state.running") is not None for s in statuses):
        return "Running" if condition(pod, "Ready") == "True" else "NotReady"
    return reason


def _pod_restarts(pod: Object, now: float) -> str:
    count = sum(s.get("restartCount") or 0 for s in _running(pod))
    ends = [at(s, ".lastState.terminated.finishedAt") for s in _running(pod)]
    last = max((seconds_of(e) for e in ends if e), default=None)
    return f"{count} ({duration(now - last)} ago)" if count and last is not None else str(count)


def _readiness_gates(pod: Object, now: float) -> str:
    gates = at(pod, ".spec.readinessGates") or ()
    return f"{sum(condition(pod, g['conditionType']) == 'True' for g in gates)}/{len(gates)}" if gates else NONE


def _pod_phase(pod: Object, now: float) -> str:
    phase, gone = str(at(pod, ".status.phase") or ""), pod["metadata"].get("deletionTimestamp")
    return f"Terminating (lasts {since(gone, now)})" if gone and phase not in ("Failed", "Succeeded") else phase


def _qos_class(pod: Object, now: float) -> str:
    if at(pod, ".status.qosClass"):
        return str(pod["status"]["qosClass"])
    wanted = [c.get("resources") or {} for c in at(pod, ".spec.containers") or ()]
    if not any(w.get("limits") or w.get("requests") for w in wanted):
        return "BestEffort"
    full = all({"cpu", "memory"} <= set(w.get("limits") or ()) for w in wanted)
    same = all((w.get("requests") or w.get("limits")) == w.get("limits") for w in wanted)
    return "Guaranteed" if full and same else "Burstable"


def _tolerations(obj: Object, now: float) -> str:
    lines = []
    for t in sorted(at(obj, ".spec.tolerations") or (), key=lambda t: t.get("key") or ""):
        text = (
            (t.get("key") or "")
            + (f"={t['value']}" if t.get("value") else "")
            + (f":{t['effect']}" if t.get("effect") else "")
        )
        text += " op=Exists" if t.get("operator") == "Exists" and text else "op=Exists" if not text else ""
        lines.append(text + (f" for {t['tolerationSeconds']}s" if "tolerationSeconds" in t else ""))
    return "\n".join(lines) or NONE


# Services and endpoints


def balancer(obj: Object) -> str:
    """The addresses that a load balancer or an Ingress controller gave."""
    found = {i.get("ip") or i.get("hostname") or "" for i in at(obj, ".status.loadBalancer.ingress") or ()}
    return ",".join(sorted(found - {""}))


def _short(addresses: str) -> str:
    """Addresses as they stand in a table that is not wide."""
    return addresses if len(addresses) <= 16 else addresses[:13] + "..."


def _external_ip(service: Object, given: str) -> str:
    kind, own = at(service, ".spec.type"), at(service, ".spec.externalIPs") or []
    if kind == "ExternalName":
        return str(at(service, ".spec.externalName") or "")
    addresses = [given, *own] if kind == "LoadBalancer" and given else own
    return ",".join(addresses) or ("<pending>" if kind == "LoadBalancer" else NONE)


def _service_ports(service: Object, now: float) -> str:
    ports = at(service, ".spec.ports") or ()
    node_port = {p["port"]: f":{p['nodePort']}" for p in ports if p.get("nodePort")}
    return ",".join(f"{p['port']}{node_port.get(p['port'], '')}/{p.get('protocol', 'TCP')}" for p in ports) or NONE


def _balancer_modes(service: Object, now: float) -> str:
    return ", ".join(
        f"{i['ip']}{' (' + i['ipMode'] + ')' if i.get('ipMode') else ''}" if i.get("ip") else i.get("hostname", "")
        for i in at(service, ".status.loadBalancer.ingress") or ()
    )


def _host_port(ip: str, port: Any) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def _endpoints(obj: Object, now: float) -> str:
    """Every ready ``ip:port`` of an Endpoints object."""
    found: list[str] = []
    for subset in obj.get("subsets") or ():
        ready = [a["ip"] for a in subset.get("addresses") or ()]
        ports = subset.get("ports") or ()
        found += [_host_port(ip, p["port"]) for p in ports for ip in ready] if ports else ready
    return first_three(found, "" if obj.get("subsets") else NONE)


def endpoint_texts(slices: Iterable[Object], port_name: str) -> str:
    """Every ready ``ip:port`` of a Service's EndpointSlices, for the port of that name."""
    found: list[str] = []
    any_slice = False
    for piece in slices:
        any_slice = True
        ready = [e["addresses"][0] for e in piece.get("endpoints") or () if at(e, ".conditions.ready") is not False]
        ports = piece.get("ports") or ()
        numbers = [p["port"] for p in ports if (p.get("name") or "") == port_name and p.get("port")]
        found += [_host_port(ip, n) for n in numbers for ip in ready] if ports else ready
    return first_three(found, "" if any_slice else NONE)


def _slice_addresses(obj: Object) -> Iterable[str]:
    return (a for e in obj.get("endpoints") or () for a in e.get("addresses") or ())


# nodes, policy, Ingress, events


def _node_status(node: Object, now: float) -> str:
    ready = {"": "Unknown", "True": "Ready"}.get(condition(node, "Ready"), "NotReady")
    return ready + (",SchedulingDisabled" if at(node, ".spec.unschedulable") else "")


def _node_roles(node: Object, now: float) -> str:
    labels, prefix = node["metadata"].get("labels") or {}, "node-role.kubernetes.io/"
    roles = {k.removeprefix(prefix) for k in labels if k.startswith(prefix)} | {labels.get("kubernetes.io/role", "")}
    return ",".join(sorted(roles - {""})) or NONE


def _node_address(node: Object, kind: str) -> str:
    return next((str(a["address"]) for a in at(node, ".status.addresses") or () if a.get("type") == kind), NONE)


def _taints(node: Object, now: float) -> str:
    taints = sorted(at(node, ".spec.taints") or (), key=lambda t: str(t["key"]))
    return "\n".join(f"{t['key']}{'=' + t['value'] if t.get('value') else ''}:{t['effect']}" for t in taints) or NONE


def _ingress_hosts(ingress: Object, now: float) -> str:
    hosts: list[str] = []
    rules = at(ingress, ".spec.rules") or ()
    for rule in rules:
        if len(hosts) == 3:
            return f"{','.join(hosts)} + {len(rules) - 3} more..."
        hosts += [rule["host"]] if rule.get("host") else []
    return ",".join(hosts) or "*"


def _class_parameters(obj: Object, now: float) -> str:
    found = at(obj, ".spec.parameters") or {}
    group = f".{found['apiGroup']}" if found.get("apiGroup") else ""
    return f"{found['kind']}{group}/{found['name']}" if found else NONE


def _event_source(event: Object, now: float) -> str:
    who = at(event, ".source.component") or event.get("reportingComponent") or ""
    host = at(event, ".source.host") or event.get("reportingInstance") or ""
    return f"{who}, {host}" if host else str(who)


def _replicas(obj: Object, field: str) -> int:
    return int(at(obj, f".status.{field}") or 0)


def _containers(obj: Object, field: str) -> str:
    return ",".join(str(c.get(field, "")) for c in at(obj, ".spec.template.spec.containers") or ())


VALUES: dict[str, Callable[[Object, float], str]] = {
    "age": lambda o, now: since(o["metadata"].get("creationTimestamp"), now),
    "created": lambda o, now: date(o["metadata"].get("creationTimestamp")),
    "created_on": lambda o, now: date(o["metadata"].get("creationTimestamp"), "%Y-%m-%d %H:%M:%S +0000 UTC"),
    "labels": lambda o, now: pairs(o["metadata"].get("labels"), "\n"),
    "annotations": _annotations,
    "controlled_by": _controller,
    "none": lambda o, now: NONE,
    # Pods
    "pod_ready": _pod_ready,
    "pod_status": _pod_status,
    "pod_restarts": _pod_restarts,
    "pod_ip": lambda o, now: next((str(p["ip"]) for p in at(o, ".status.podIPs") or () if p.get("ip")), NONE),
    "readiness_gates": _readiness_gates,
    "pod_phase": _pod_phase,
    "pod_node": lambda o, now: (
        f"{o['spec']['nodeName']}/{at(o, '.status.hostIP') or ''}" if at(o, ".spec.nodeName") else NONE
    ),
    "start_time": lambda o, now: date(at(o, ".status.startTime")),
    "termination_period": lambda o, now: (
        f"{o['metadata'].get('deletionGracePeriodSeconds', 0)}s" if o["metadata"].get("deletionTimestamp") else ""
    ),
    "qos_class": _qos_class,
    "node_selectors": lambda o, now: pairs(at(o, ".spec.nodeSelector"), "\n"),
    "tolerations": _tolerations,
    # workloads
    "ready_replicas": lambda o, now: f"{_replicas(o, 'readyReplicas')}/{at(o, '.spec.replicas') or 0}",
    "container_names": lambda o, now: _containers(o, "name"),
    "container_images": lambda o, now: _containers(o, "image"),
    "label_selector": lambda o, now: selector_text(at(o, ".spec.selector")),
    "template_node_selector": lambda o, now: pairs(at(o, ".spec.template.spec.nodeSelector")),
    "deployment_replicas": lambda o, now: (
        f"{at(o, '.spec.replicas') or 0} desired | {_replicas(o, 'updatedReplicas')} updated | "
        f"{_replicas(o, 'replicas')} total | {_replicas(o, 'availableReplicas')} available | "
        f"{_replicas(o, 'unavailableReplicas')} unavailable"
    ),
    "rolling_update": lambda o, now: (
        f"{at(o, '.spec.strategy.rollingUpdate.maxUnavailable')} max unavailable, "
        f"{at(o, '.spec.strategy.rollingUpdate.maxSurge')} max surge"
        if at(o, ".spec.strategy.rollingUpdate")
        else ""
    ),
    "replica_set_replicas": lambda o, now: (
        f"{_replicas(o, 'replicas')} current / {at(o, '.spec.replicas') or 0} desired"
    ),
    "stateful_replicas": lambda o, now: f"{at(o, '.spec.replicas') or 0} desired | {_replicas(o, 'replicas')} total",
    # Services and endpoints
    "cluster_ip": lambda o, now: next(iter(at(o, ".spec.clusterIPs") or ()), NONE),
    "external_ip": lambda o, now: _external_ip(o, _short(balancer(o))),
    "external_ip_wide": lambda o, now: _external_ip(o, balancer(o)),
    "service_ports": _service_ports,
    "service_selector": lambda o, now: pairs(at(o, ".spec.selector")),
    "balancer_modes": _balancer_modes,
    "endpoints": _endpoints,
    "slice_ports": lambda o, now: first_three(
        (str(p.get("port") or p.get("name") or "*") for p in o.get("ports") or ()), UNSET
    ),
    "slice_endpoints": lambda o, now: first_three(_slice_addresses(o), UNSET),
    # nodes
    "node_status": _node_status,
    "node_roles": _node_roles,
    "node_internal_ip": lambda o, now: _node_address(o, "InternalIP"),
    "node_external_ip": lambda o, now: _node_address(o, "ExternalIP"),
    "taints": _taints,
    "unschedulable": lambda o, now: str(bool(at(o, ".spec.unschedulable"))).lower(),
    # policy, Ingress, Gateway
    "pod_selector": lambda o, now: selector_text(at(o, ".spec.podSelector")),
    "ingress_hosts": _ingress_hosts,
    "ingress_address": lambda o, now: _short(balancer(o)),
    "ingress_address_wide": lambda o, now: balancer(o),
    "ingress_ports": lambda o, now: "80, 443" if at(o, ".spec.tls") else "80",
    "class_parameters": _class_parameters,
    "accepted": lambda o, now: condition(o, "Accepted"),
    "programmed": lambda o, now: condition(o, "Programmed"),
    "gateway_address": lambda o, now: next((str(a.get("value", "")) for a in at(o, ".status.addresses") or ()), ""),
    "route_hostnames": lambda o, now: json.dumps(h, separators=(",", ":")) if (h := at(o, ".spec.hostnames")) else "",
    # data and events
    "data_count": lambda o, now: str(len(o.get("data") or {}) + len(o.get("binaryData") or {})),
    "first_seen": lambda o, now: since(o.get("firstTimestamp") or o.get("eventTime"), now),
    "last_seen": lambda o, now: since(o.get("lastTimestamp") or o.get("firstTimestamp") or o.get("eventTime"), now),
    "event_object": lambda o, now: (
        f"{(at(o, '.involvedObject.kind') or '').lower()}/{at(o, '.involvedObject.name') or ''}"
    ),
    "event_source": _event_source,
    "event_message": lambda o, now: str(o.get("message") or "").strip(),
}
