"""kubectl commands that only read: get, describe, events, and the context in which all commands act.

Facts: k8s.io/kubectl pkg/cmd/{get,describe,events,config}.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any

from k8snet.controlplane.store import seconds_of
from k8snet.manifests.kinds import Object
from k8snet.shell import describe as descriptions
from k8snet.shell import printers
from k8snet.shell.call import Call
from k8snet.shell.frames import is_missing
from k8snet.shell.texts import error

CONTEXT = "k8snet"


def get(call: Call) -> None:
    """``kubectl get``: a table for each kind, or the objects in another form."""
    files, output = call.flag("filename"), call.flag("output")
    if not call.args and not files:
        pointer = 'Use "kubectl api-resources" for a complete list of supported resources.\n'
        call.notes.append(f"You must specify the type of resource to get. {pointer}")
        raise error("get")
    watching = not files and (call.flag("watch") or call.flag("watch-only"))
    objects = _changes(call) if watching else call.collect()
    asked = [] if files else call.resources()
    if call.flag("ignore-not-found"):
        call.errors = [e for e in call.errors if not is_missing(e)]
    if output not in ("", "wide"):
        named = not files and all(name for _, name in asked)
        if objects or not named:
            call.out.append(printers.structured(output, objects, named and len(asked) == 1))
        return
    several = len({kind for kind, _ in asked}) > 1
    look = {output, *call.switches, *(["show-kind"] if several else [])}
    groups = groupby(objects, lambda o: str(o["kind"]))
    tables = [printers.table(kind, list(group), call.plane.now, look) for kind, group in groups]
    call.out.append(("" if "no-headers" in look else "\n").join(tables))
    if not objects and not call.errors and not call.flag("ignore-not-found"):
        _nothing_found(call)


def _nothing_found(call: Call) -> None:
    """``No resources found in default namespace.``: on standard error, and no failure."""
    namespaced = any(kind.namespaced for kind, _ in call.resources()) if call.args else True
    where = "" if call.everywhere or not namespaced else f" in {call.namespace} namespace."
    call.notes.append(f"No resources found{where}")


def _changes(call: Call) -> list[Object]:
    """``-w``: every state so far of the objects asked for, oldest first. No time passes while a command runs, so nothing
    comes after them."""
    call.hint = "the watch ends here: in the simulator nothing changes while a command runs"
    wanted, selector = call.resources(), call.selector()
    if len({kind for kind, _ in wanted}) > 1:
        raise error("single type")
    kind, names = wanted[0][0], {name for _, name in wanted}
    states = [e.obj for e in call.plane.store.watch(kind.kind)]
    if kind.namespaced and not call.everywhere:
        states = [o for o in states if o["metadata"]["namespace"] == call.namespace]
    states = [o for o in states if selector.matches(o["metadata"].get("labels") or {})]
    return [o for o in states if "" in names or o["metadata"]["name"] in names]


def describe(call: Call) -> None:
    """``kubectl describe``: each object in full, with its events; a name may be the beginning of several."""
    if not call.args and not call.flag("filename"):
        raise error("describe")
    found, between = call.collect(), "\n\n"
    if not found and call.args and len(call.errors) == len(call.resources()):
        starts = [(name, call.api.list(kind.kind, call.namespace)) for kind, name in call.resources() if name]
        found = [o for name, objects in starts for o in objects if o["metadata"]["name"].startswith(name)]
        if found:
            call.errors, between = [], "\n"
    if not found and not call.errors:
        _nothing_found(call)
    described = [descriptions.describe(call.plane, o, call.flag("show-events", True)) for o in found]
    call.out.append(between.join(described) + ("\n" if between == "\n" else ""))


def events(call: Call) -> None:
    """``kubectl events``: oldest first."""
    found = call.api.list("Event", None if call.everywhere else call.namespace)
    if call.flag("for"):
        kind, name = call.resources([call.flag("for")])[0]
        found = [e for e in found if (e["involvedObject"]["kind"], e["involvedObject"]["name"]) == (kind.kind, name)]
    if not found:
        call.notes.append("No events found" + ("." if call.everywhere else f" in {call.namespace} namespace."))
        return
    found.sort(key=lambda e: seconds_of(e["lastTimestamp"]))
    call.out.append(printers.table("Event", found, call.plane.now, call.switches, columns="events"))


def set_context(call: Call) -> None:
    """``kubectl config set-context --current --namespace=NAME``."""
    if not call.flag("current") and not call.args:
        raise error("context")
    if call.cluster is None and call.flag("current"):
        raise error("no context")
    if call.args and call.args[0] != CONTEXT:
        raise error("only context", context=CONTEXT)
    if "namespace" in call.flags:
        call.context["namespace"] = call.flag("namespace")
    call.out.append(f'Context "{CONTEXT}" modified.\n')


COMMANDS: dict[str, Callable[[Call], Any]] = {
    "get": get, "describe": describe, "events": events, "config set-context": set_context,
}  # fmt: skip
