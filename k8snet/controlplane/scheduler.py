"""The scheduler: which node a Pod goes to, or why none will do.

From pkg/scheduler/framework/plugins (nodeunschedulable, tainttoleration, nodeaffinity, nodeports, noderesources) and
schedule_one.go's message. Of the nodes that will do, the one with the fewest Pods of the same owner is taken, then the
one with the fewest Pods at all, then the first by name: a plain stand-in for the real scores, and the same for any order
of arrival.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from k8snet.controlplane.metadata import containers_of, controller_of, going, labels_of
from k8snet.controlplane.store import Key, key_of
from k8snet.manifests.kinds import Object
from k8snet.manifests.selectors import Requirement

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane

CORDONED = "node(s) were unschedulable"
TAINTED = "node(s) had untolerated taint(s)"
NO_MATCH = "node(s) didn't match Pod's node affinity/selector"
NO_PORTS = "node(s) didn't have free ports for the requested pod ports"
FULL = "Too many pods"
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"

Spec = Mapping[str, Any]


def schedule(plane: ControlPlane) -> None:
    """Give every Pod without node one, or say why that cannot be."""
    store = plane.store

    def waiting(obj: Object) -> list[Key]:
        """A Pod without node itself; a change of nodes or a Pod that leaves one is news for all that wait."""
        if obj["kind"] == "Pod" and store.at(key_of(obj)) is not None:
            return [] if obj["spec"].get("nodeName") else [key_of(obj)]
        return [key_of(p) for p in store.all("Pod") if not p["spec"].get("nodeName")]

    due = [store.at(key) for key in plane.due("scheduler", {"Pod": waiting, "Node": waiting})]
    pods = [p for p in due if p is not None and not p["spec"].get("nodeName") and not going(p)]
    nodes = {n["metadata"]["name"]: n for n in sorted(store.all("Node"), key=key_of)} if pods else {}
    held = {name: _Held(store.by("node", name)) for name in nodes}
    for pod in sorted(pods, key=_turn):
        reasons = {name: _why_not(pod["spec"], node, held[name]) for name, node in nodes.items()}
        fitting = [name for name, reason in reasons.items() if not reason]
        if fitting:
            chosen = min(fitting, key=lambda name: (held[name].owners[_owner(pod)], held[name].pods, name))
            held[chosen].add(pod)
            _bind(plane, pod, chosen)
        else:
            _give_up(plane, pod, list(reasons.values()))


class _Held:
    """What a node's Pods already take of it."""

    def __init__(self, pods: list[Object]) -> None:
        self.pods = 0
        self.owners: Counter[str] = Counter()
        self.ports: list[tuple[str, str, int]] = []
        for pod in pods:
            if pod["status"].get("phase") not in ("Succeeded", "Failed"):
                self.add(pod)

    def add(self, pod: Object) -> None:
        self.pods += 1
        self.owners[_owner(pod)] += 1
        self.ports += _host_ports(pod["spec"])


def _owner(pod: Object) -> str:
    return str((controller_of(pod) or {}).get("uid", ""))


def _turn(pod: Object) -> tuple[str, str, str]:
    """Pods of one owner are alike save for their random names, so the owner's name decides whose turn it is."""
    meta = pod["metadata"]
    return meta["namespace"], (controller_of(pod) or meta)["name"], meta["name"]


# why a node will not do, in the order in which it is asked; empty if it will


def _why_not(spec: Spec, node: Object, held: _Held) -> str:
    if reason := unsuitable(spec, node):
        return reason
    if any(_clash(mine, theirs) for mine in _host_ports(spec) for theirs in held.ports):
        return NO_PORTS
    room = ((node.get("status") or {}).get("allocatable") or {}).get("pods") or 110
    return FULL if held.pods >= int(room) else ""


def unsuitable(spec: Spec, node: Object) -> str:
    """Why a node will not do for a Pod (by its spec), whatever else runs there; empty if it will."""
    node_spec, labels = node.get("spec") or {}, labels_of(node)
    taints = [t for t in node_spec.get("taints") or () if t.get("effect") in ("NoSchedule", "NoExecute")]
    cordon = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    if node_spec.get("unschedulable") and not _bears(spec, cordon):
        return CORDONED
    if not all(_bears(spec, taint) for taint in taints):
        return TAINTED
    terms = _terms(spec)
    fits = terms is None or any(_term_holds(term, node["metadata"]["name"], labels) for term in terms)
    return "" if fits and (spec.get("nodeSelector") or {}).items() <= labels.items() else NO_MATCH


def _bears(spec: Spec, taint: Spec) -> bool:
    return any(
        t.get("effect") in (None, taint.get("effect"))
        and t.get("key") in (None, taint["key"])
        and (t.get("operator") == "Exists" or ("key" in t and t.get("value") == taint.get("value")))
        for t in spec.get("tolerations") or ()
    )


def _terms(spec: Spec) -> list[Spec] | None:
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(REQUIRED)
    return required.get("nodeSelectorTerms") or [] if required else None


def _term_holds(term: Spec, name: str, labels: Mapping[str, str]) -> bool:
    rules = [(rule, labels) for rule in term.get("matchExpressions") or ()]
    rules += [(rule, {"metadata.name": name}) for rule in term.get("matchFields") or ()]
    return bool(rules) and all(_rule_holds(rule, where) for rule, where in rules)


def _rule_holds(rule: Spec, labels: Mapping[str, str]) -> bool:
    values, actual = list(rule.get("values") or ()), labels.get(rule["key"], "")
    if rule["operator"] in ("Gt", "Lt"):
        sign = 1 if rule["operator"] == "Gt" else -1
        return actual.lstrip("-").isdigit() and sign * int(actual) > sign * int(values[0])
    return Requirement(rule["key"], rule["operator"], frozenset(values)).matches(labels)


def pinned_to(pod: Object) -> str:
    """The node that a DaemonSet's Pod is meant for, whether it is there yet or not."""
    fields = [f for term in _terms(pod["spec"]) or () for f in term.get("matchFields") or ()]
    return str(pod["spec"].get("nodeName") or (fields[0]["values"][0] if fields else ""))


def _host_ports(spec: Spec) -> list[tuple[str, str, int]]:
    """The ports of its node that a Pod asks for, each with its address (empty: all of them)."""
    ports = [p for c in containers_of(spec) for p in c.get("ports") or () if p.get("hostPort")]
    return [(p.get("hostIP", "").replace("0.0.0.0", ""), p["protocol"], p["hostPort"]) for p in ports]


def _clash(one: tuple[str, str, int], other: tuple[str, str, int]) -> bool:
    return one[1:] == other[1:] and (one[0] == other[0] or "" in (one[0], other[0]))


# what comes of it


def _bind(plane: ControlPlane, pod: Object, node: str) -> None:
    done = {"type": "PodScheduled", "status": "True", "lastTransitionTime": plane.store.timestamp()}
    plane.store.put(
        {**pod, "spec": {**pod["spec"], "nodeName": node}, "status": {**pod["status"], "conditions": [done]}}
    )
    whom = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
    plane.events.record(pod, "Scheduled", f"Successfully assigned {whom} to {node}", "default-scheduler")


def _give_up(plane: ControlPlane, pod: Object, reasons: list[str]) -> None:
    head = f"0/{len(reasons)} nodes are available: "
    victims = {
        NO_PORTS: "No preemption victims found for incoming pod",
        FULL: "No preemption victims found for incoming pod",
    }
    others = [victims.get(reason, "Preemption is not helpful for scheduling") for reason in reasons]
    message = f"{head}{_counted(reasons)}. no new claims to deallocate, preemption: {head}{_counted(others)}."
    if not reasons:
        message = "no nodes available to schedule pods"
    if not any(c.get("message") == message for c in pod["status"].get("conditions") or ()):
        failed = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        failed["lastTransitionTime"] = plane.store.timestamp()
        plane.store.put({**pod, "status": {**pod["status"], "conditions": [failed]}})
        plane.events.record(pod, "FailedScheduling", message, "default-scheduler", kind="Warning")


def _counted(reasons: list[str]) -> str:
    return ", ".join(sorted(f"{n} {reason}" for reason, n in Counter(reasons).items()))
