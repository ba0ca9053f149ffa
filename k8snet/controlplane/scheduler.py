"""The scheduler: which node a Pod goes to, or why none will do.

From pkg/scheduler/framework/plugins (nodeaffinity, tainttoleration, nodeports, noderesources) and schedule_one.go's
message. Of the nodes that will do, the one with the fewest Pods of the same owner is taken, then the one with the fewest
Pods at all, then the first by name: a plain stand-in for the real scores, and the same for any order of arrival.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from k8snet.controlplane.owners import controller_of
from k8snet.controlplane.snapshot import containers_of
from k8snet.controlplane.store import Key, key_of
from k8snet.manifests.kinds import Object
from k8snet.manifests.selectors import Requirement

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane

NO_MATCH = "node(s) didn't match Pod's node affinity/selector"
TAINTED = "node(s) had untolerated taint(s)"
CORDONED = "node(s) were unschedulable"
NO_PORTS = "node(s) didn't have free ports for the requested pod ports"
FULL = "Too many pods"
# Evicting others would not help against these.
_UNRESOLVABLE = (NO_MATCH, TAINTED, CORDONED)

Spec = Mapping[str, Any]


class HostPort(NamedTuple):
    """A port of its node that a Pod asks for."""

    ip: str
    protocol: str
    number: int


def schedule(plane: ControlPlane) -> None:
    """Give every Pod without node one, or say why that cannot be."""
    store = plane.store

    def waiting(obj: Object) -> list[Key]:
        """A Pod without node itself; a change of nodes or a Pod that leaves one is news for all that wait."""
        if obj["kind"] == "Pod" and not obj["spec"].get("nodeName"):
            return [key_of(obj)]
        if obj["kind"] == "Pod" and store.at(key_of(obj)) is not None:
            return []
        return [key_of(p) for p in store.all("Pod") if not p["spec"].get("nodeName")]

    due = [store.at(key) for key in plane.due("scheduler", {"Pod": waiting, "Node": waiting})]
    pods = [p for p in due if p is not None and not p["spec"].get("nodeName")]
    if not pods:
        return
    nodes = sorted(store.all("Node"), key=key_of)
    held = {n["metadata"]["name"]: _Held(store.by("node", n["metadata"]["name"])) for n in nodes}
    for pod in sorted(pods, key=_turn):
        reasons = {n["metadata"]["name"]: _why_not(pod["spec"], n, held[n["metadata"]["name"]]) for n in nodes}
        fitting = [name for name, reason in reasons.items() if not reason]
        if fitting and not pod["metadata"].get("deletionTimestamp"):
            family = _family(pod)
            chosen = min(fitting, key=lambda name: (held[name].families[family], held[name].pods, name))
            held[chosen].add(pod)
            _bind(plane, pod, chosen)
        elif not fitting:
            _give_up(plane, pod, [r for r in reasons.values() if r])


class _Held:
    """What a node's Pods already take of it."""

    def __init__(self, pods: list[Object]) -> None:
        self.pods = 0
        self.families: Counter[str] = Counter()
        self.ports: list[HostPort] = []
        for pod in pods:
            if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
                self.add(pod)

    def add(self, pod: Object) -> None:
        self.pods += 1
        self.families[_family(pod)] += 1
        self.ports.extend(host_ports(pod["spec"]))


def _family(pod: Object) -> str:
    holder = controller_of(pod)
    return str(holder["uid"]) if holder else ""


def _turn(pod: Object) -> tuple[str, str, str]:
    """Pods of one owner are alike save for their random names, so the owner's name decides whose turn it is."""
    meta, holder = pod["metadata"], controller_of(pod)
    return meta["namespace"], holder["name"] if holder else meta["name"], meta["name"]


# filters, in the order in which their words are looked for


def _why_not(spec: Spec, node: Object, held: _Held) -> str:
    """Why a node will not do for a Pod; empty if it will."""
    allocatable = (node.get("status") or {}).get("allocatable") or {}
    if (node.get("spec") or {}).get("unschedulable") and not _bears(
        spec, {"key": UNSCHEDULABLE, "effect": "NoSchedule"}
    ):
        return CORDONED
    if not tolerates(spec, node):
        return TAINTED
    if not wants(spec, node):
        return NO_MATCH
    if any(_clash(mine, theirs) for mine in host_ports(spec) for theirs in held.ports):
        return NO_PORTS
    return FULL if held.pods >= int(allocatable.get("pods") or 110) else ""


UNSCHEDULABLE = "node.kubernetes.io/unschedulable"


def tolerates(spec: Spec, node: Object) -> bool:
    """Whether a Pod (by its spec) bears all taints of a node that keep Pods away."""
    taints = (node.get("spec") or {}).get("taints") or ()
    return all(_bears(spec, taint) for taint in taints if taint.get("effect") in ("NoSchedule", "NoExecute"))


def _bears(spec: Spec, taint: Mapping[str, Any]) -> bool:
    for t in spec.get("tolerations") or ():
        same_effect = t.get("effect") in (None, "", taint.get("effect"))
        same_key = not t.get("key") or t["key"] == taint["key"]
        exists = t.get("operator") == "Exists"
        if (
            same_effect
            and same_key
            and (exists or (t.get("key") and (t.get("value") or "") == (taint.get("value") or "")))
        ):
            return True
    return False


def wants(spec: Spec, node: Object) -> bool:
    """Whether nodeSelector and required node affinity of a Pod (by its spec) let it onto a node."""
    labels = node["metadata"].get("labels") or {}
    if not (spec.get("nodeSelector") or {}).items() <= labels.items():
        return False
    terms = _terms(spec)
    return terms is None or any(_term_matches(term, node["metadata"]["name"], labels) for term in terms)


def _terms(spec: Spec) -> list[dict[str, Any]] | None:
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    return list(required.get("nodeSelectorTerms") or ()) if required else None


def _term_matches(term: Mapping[str, Any], name: str, labels: Mapping[str, str]) -> bool:
    rules = [(e, labels) for e in term.get("matchExpressions") or ()]
    rules += [(e, {"metadata.name": name}) for e in term.get("matchFields") or ()]
    return bool(rules) and all(_rule_holds(rule, where) for rule, where in rules)


def _rule_holds(rule: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    operator, values = rule["operator"], list(rule.get("values") or ())
    if operator in ("Gt", "Lt"):
        text = labels.get(rule["key"], "")
        if not text.lstrip("-").isdigit():
            return False
        return int(text) > int(values[0]) if operator == "Gt" else int(text) < int(values[0])
    return Requirement(rule["key"], operator, frozenset(values)).matches(labels)


def pinned_to(pod: Object) -> str:
    """The node that a DaemonSet's Pod is meant for, whether it is there yet or not."""
    if pod["spec"].get("nodeName"):
        return str(pod["spec"]["nodeName"])
    fields = [f for term in _terms(pod["spec"]) or () for f in term.get("matchFields") or ()]
    return str(next((f["values"][0] for f in fields if f["key"] == "metadata.name"), ""))


def host_ports(spec: Spec) -> Iterator[HostPort]:
    """The ports of its node that a Pod asks for."""
    for container in containers_of(spec):
        for port in container.get("ports") or ():
            number = port.get("hostPort") or (spec.get("hostNetwork") and port.get("containerPort"))
            if number:
                yield HostPort(port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", number)


def _clash(one: HostPort, other: HostPort) -> bool:
    anywhere = bool({"0.0.0.0", "::"} & {one.ip, other.ip})
    return (one.protocol, one.number) == (other.protocol, other.number) and (anywhere or one.ip == other.ip)


# results


def _bind(plane: ControlPlane, pod: Object, node: str) -> None:
    meta, status = pod["metadata"], pod.get("status") or {}
    done = {"type": "PodScheduled", "status": "True", "lastTransitionTime": plane.store.timestamp()}
    rest = [c for c in status.get("conditions") or () if c["type"] != "PodScheduled"]
    status = {**status, "conditions": [*rest, done]}
    plane.store.put({**pod, "spec": {**pod["spec"], "nodeName": node}, "status": status})
    message = f"Successfully assigned {meta['namespace']}/{meta['name']} to {node}"
    plane.events.record(pod, "Scheduled", message, "default-scheduler")


def _give_up(plane: ControlPlane, pod: Object, reasons: list[str]) -> None:
    message = "no nodes available to schedule pods"
    if reasons:
        head = f"0/{len(reasons)} nodes are available: "
        hopeless = sum(r in _UNRESOLVABLE for r in reasons)
        preemption = Counter({"Preemption is not helpful for scheduling": hopeless})
        preemption["No preemption victims found for incoming pod"] = len(reasons) - hopeless
        message = f"{head}{_counted(Counter(reasons))}. no new claims to deallocate, preemption: {head}{_counted(preemption)}."
    status = pod.get("status") or {}
    if any(c.get("message") == message for c in status.get("conditions") or ()):
        return
    failed = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    failed["lastTransitionTime"] = plane.store.timestamp()
    plane.store.put({**pod, "status": {**status, "conditions": [failed]}})
    plane.events.record(pod, "FailedScheduling", message, "default-scheduler", kind="Warning")


def _counted(reasons: Counter[str]) -> str:
    return ", ".join(sorted(f"{n} {reason}" for reason, n in reasons.items() if n))
