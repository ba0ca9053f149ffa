"""What the tables of kubectl's output refer to: from an object to one cell, or one line of a description.

Facts: Kubernetes pkg/printers/internalversion/printers.go (``kubectl get``: the API server fills the cells),
k8s.io/kubectl pkg/describe/describe.go, apimachinery pkg/util/duration (ages). How a value is written is said at the top
of ``columns.yaml``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from itertools import chain
from typing import Any

from k8snet.controlplane.store import EPOCH, seconds_of
from k8snet.manifests import selectors
from k8snet.manifests.addresses import host_port
from k8snet.manifests.kinds import Object
from k8snet.shell import jsonpath

NONE, UNKNOWN, UNSET = "<none>", "<unknown>", "<unset>"
MINUTE, HOUR, DAY, YEAR = 60, 3600, 86400, 365 * 86400
# Up to how many seconds an age is written in which unit, and which smaller unit stands behind it.
AGES = (
    (2 * MINUTE, "s", 1, "", 0), (10 * MINUTE, "m", MINUTE, "s", 1), (3 * HOUR, "m", MINUTE, "", 0),
    (8 * HOUR, "h", HOUR, "m", MINUTE), (2 * DAY, "h", HOUR, "", 0), (8 * DAY, "d", DAY, "h", HOUR),
    (2 * YEAR, "d", DAY, "", 0), (8 * YEAR, "y", YEAR, "d", DAY),
)  # fmt: skip


def at(obj: Any, path: str) -> Any:
    """The field at ``.spec.type``; None where there is none."""
    for key in path.split(".")[1:]:
        obj = obj.get(key) if isinstance(obj, Mapping) else None
    return obj


def cell(expression: str, obj: Object, now: float, wide: bool = False) -> str:
    """What an expression of the tables gives for an object at a simulated time (seconds)."""
    function = (VALUES.get(f"{expression}_wide") if wide else None) or VALUES.get(expression)
    if function:
        return function(obj, now)
    if "{" in expression:
        return re.sub(r"\{(.+?)\}", lambda m: cell(m[1], obj, now), expression)
    path, _, default = expression.partition(" or ")
    path, _, name = path.partition("|")
    found = [v for v in jsonpath.values(path, obj) if v not in (None, "")]
    if name in LISTS:
        return LISTS[name](map(jsonpath.text, found)) or default
    if not found:
        return NOTHING.get(name, default)
    return (since(found[0], now) if name == "since" else FILTERS[name](found[0])) or default


def duration(seconds: float) -> str:
    """An age as kubectl writes it: two units at most, the second one only while it matters."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    for limit, unit, length, small, short in AGES:
        if whole < limit:
            rest = whole % length // short if short else 0
            return f"{max(whole, 0) // length}{unit}" + (f"{rest}{small}" if rest else "")
    return f"{whole // YEAR}y"


def since(timestamp: str | None, now: float) -> str:
    """How long ago a timestamp was."""
    return duration(now - seconds_of(timestamp)) if timestamp else UNKNOWN


def date(timestamp: str | None, form: str = "%a, %d %b %Y %H:%M:%S +0000") -> str:
    """A timestamp as descriptions write it (RFC 1123)."""
    return (EPOCH + timedelta(seconds=seconds_of(timestamp))).strftime(form) if timestamp else ""


def _event_interval(event: Object, now: float) -> str:
    """When an event came last, and how often: ``5s (x3 over 2m)``."""
    count, first = event.get("count") or 1, since(event.get("firstTimestamp"), now)
    return f"{since(event.get('lastTimestamp'), now)} (x{count} over {first})" if count > 1 else first


def pairs(labels: Mapping[str, str] | None, between: str = ",") -> str:
    """``a=1,b=2``, sorted by key."""
    return between.join(f"{k}={v or ''}" for k, v in sorted((labels or {}).items())) or NONE


def selector_text(selector: Mapping[str, Any] | None) -> str:
    """A label selector in ``-l`` spelling (metav1.FormatLabelSelector); an empty one is ``<none>``."""
    requirements = selectors.from_label_selector(selector).requirements
    return ",".join(str(r) for r in sorted(requirements, key=lambda r: r.key)) or NONE


def three(items: Iterable[str]) -> str:
    """Three items and how many there are besides."""
    found = list(items)
    return ",".join(found[:3]) + (f" + {len(found) - 3} more..." if len(found) > 3 else "")


def _mode(entry: Mapping[str, str]) -> str:
    """One address of a load balancer: ``203.0.113.1 (VIP)``."""
    mode = f" ({entry['ipMode']})" if entry.get("ipMode") else ""
    return entry["ip"] + mode if entry.get("ip") else entry.get("hostname", "")


# What becomes of the first value that a path finds (there is also `since`), and what stands where it finds none.
FILTERS: dict[str, Callable[[Any], str]] = {
    "date": date, "day": partial(date, form="%Y-%m-%d %H:%M:%S +0000 UTC"),
    "pairs": pairs, "lines": partial(pairs, between="\n"), "selector": selector_text, "json": jsonpath.text,
    "owner": "{0[kind]}/{0[name]}".format, "seconds": "{}s".format, "mode": _mode, "words": " ".join, "first": str,
    "lower": str.lower, "strip": str.strip, "title": lambda value: str(value).title(),
}  # fmt: skip
NOTHING = {"since": UNKNOWN, "pairs": NONE, "lines": NONE, "selector": NONE}
# What becomes of all values.
LISTS: dict[str, Callable[[Iterable[str]], str]] = {"": ",".join, "three": three}


def condition(obj: Object, kind: str) -> str:
    """The status of a condition (True, False, Unknown); empty if there is none."""
    return cell(f'.status.conditions[?(@.type=="{kind}")].status', obj, 0)


def _annotations(obj: Object, now: float) -> str:
    shown = sorted((obj["metadata"].get("annotations") or {}).items())
    return "\n".join(f"{k}: {v}" for k, v in shown if k != "kubectl.kubernetes.io/last-applied-configuration") or NONE


# Pods


def _sidecars(pod: Object) -> set[str]:
    return {c["name"] for c in at(pod, ".spec.initContainers") or () if c.get("restartPolicy") == "Always"}


def _running(pod: Object) -> list[Mapping[str, Any]]:
    """The statuses of sidecars and containers."""
    init = [s for s in at(pod, ".status.initContainerStatuses") or () if s["name"] in _sidecars(pod)]
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


def _pod_phase(pod: Object, now: float) -> str:
    phase, gone = str(at(pod, ".status.phase") or ""), pod["metadata"].get("deletionTimestamp")
    return f"Terminating (lasts {since(gone, now)})" if gone and phase not in ("Failed", "Succeeded") else phase


def _taint(taint: Object) -> str:
    value, effect = taint.get("value"), taint.get("effect")
    return f"{taint.get('key', '')}{f'={value}' if value else ''}{f':{effect}' if effect else ''}"


def _tolerations(obj: Object, now: float) -> str:
    lines = []
    for t in sorted(at(obj, ".spec.tolerations") or (), key=lambda t: t.get("key") or ""):
        operator = " op=Exists" if t.get("operator") == "Exists" else ""
        seconds = f" for {t['tolerationSeconds']}s" if "tolerationSeconds" in t else ""
        lines.append(f"{_taint(t)}{operator}{seconds}".lstrip())
    return "\n".join(lines) or NONE


# Services and endpoints


def _address(obj: Object) -> str:
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
    balanced = kind == "LoadBalancer"
    return ",".join([given, *own] if balanced and given else own) or ("<pending>" if balanced else NONE)


def _service_ports(service: Object, now: float) -> str:
    node = "{.port}:{.nodePort}/{.protocol or TCP}"
    ports = at(service, ".spec.ports") or ()
    return ",".join(cell(node if p.get("nodePort") else "{.port}/{.protocol or TCP}", p, now) for p in ports) or NONE


def reachable(ips: list[str], ports: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every ``ip:port``; the addresses alone where there are no ports."""
    return [host_port(ip, p["port"]) for p in ports for ip in ips if p.get("port")] if ports else ips


def _endpoints(obj: Object, now: float) -> str:
    """Every ready ``ip:port`` of an Endpoints object."""
    subsets = obj.get("subsets") or ()
    ready = [reachable([a["ip"] for a in s.get("addresses") or ()], s.get("ports") or ()) for s in subsets]
    return three(chain(*ready)) if subsets else NONE


# nodes, Ingress, events


def _node_status(node: Object, now: float) -> str:
    ready = {"": "Unknown", "True": "Ready"}.get(condition(node, "Ready"), "NotReady")
    return ready + (",SchedulingDisabled" if at(node, ".spec.unschedulable") else "")


def _node_roles(node: Object, now: float) -> str:
    labels, prefix = node["metadata"].get("labels") or {}, "node-role.kubernetes.io/"
    roles = {k.removeprefix(prefix) for k in labels if k.startswith(prefix)} | {labels.get("kubernetes.io/role", "")}
    return ",".join(sorted(roles - {""})) or NONE


def _taints(node: Object, now: float) -> str:
    taints = sorted(at(node, ".spec.taints") or (), key=lambda t: (t["effect"], t["key"]))
    return "\n".join(map(_taint, taints)) or NONE


def _ingress_hosts(ingress: Object, now: float) -> str:
    """Three hosts, and how many rules there are besides if one comes after the third host."""
    rules = at(ingress, ".spec.rules") or []
    hosts = [rule["host"] for rule in rules if rule.get("host")]
    more = sum(bool(rule.get("host")) for rule in rules[:-1]) >= 3
    return ",".join(hosts[:3]) + (f" + {len(rules) - 3} more..." if more else "") or "*"


def _class_parameters(obj: Object, now: float) -> str:
    found = at(obj, ".spec.parameters") or {}
    group = f".{found['apiGroup']}" if found.get("apiGroup") else ""
    return f"{found['kind']}{group}/{found['name']}" if found else NONE


def _pod_node(pod: Object, now: float) -> str:
    return cell("{.spec.nodeName}/{.status.hostIP}", pod, now) if at(pod, ".spec.nodeName") else NONE


def _slice_ports(piece: Object, now: float) -> str:
    return three(str(p.get("port") or p.get("name") or "*") for p in piece.get("ports") or ()) or UNSET


VALUES: dict[str, Callable[[Object, float], str]] = {
    f.__name__.removeprefix("_"): f
    for f in (
        _annotations, _event_interval, _pod_ready, _pod_status, _pod_restarts, _pod_phase, _pod_node,
        _tolerations, _service_ports, _endpoints, _slice_ports, _node_status, _node_roles, _taints, _ingress_hosts,
        _class_parameters,
    )
} | {
    "external_ip": lambda o, now: _external_ip(o, _short(_address(o))),
    "external_ip_wide": lambda o, now: _external_ip(o, _address(o)),
    "address": lambda o, now: _short(_address(o)),
    "address_wide": lambda o, now: _address(o),
    "ingress_ports": lambda o, now: "80, 443" if at(o, ".spec.tls") else "80",
    "data_count": lambda o, now: str(len(o.get("data") or {}) + len(o.get("binaryData") or {})),
    "event_source": lambda o, now: cell("{.source.component}, {.source.host}", o, now).removesuffix(", "),
}  # fmt: skip
