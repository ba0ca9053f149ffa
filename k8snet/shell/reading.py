"""kubectl commands that only read: get, describe, events, and what kubectl says about itself.

Facts: k8s.io/kubectl pkg/cmd/{get,describe,events,apiresources,clusterinfo,version,config}.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from k8snet.controlplane.store import seconds_of
from k8snet.manifests import dump
from k8snet.manifests.errors import KubectlError
from k8snet.manifests.kinds import KINDS, Kind, Object
from k8snet.shell import describe as descriptions
from k8snet.shell import printers, tabs
from k8snet.shell.call import Call
from k8snet.shell.frames import is_missing
from k8snet.shell.values import interval

VERSION = "v1.36.0"
CONTEXT = "k8snet"


def get(call: Call) -> None:
    """``kubectl get``: a table for each kind, or the objects in another form."""
    if not call.args and not call.flag("filename", []):
        call.notes.append(
            'You must specify the type of resource to get. Use "kubectl api-resources" for a complete list of supported '
            "resources.\n"
        )
        raise KubectlError(
            'error: Required resource not specified.\nUse "kubectl explain <resource>" for a detailed description of that '
            "resource (e.g. kubectl explain pods).\nSee 'kubectl get -h' for help and examples"
        )
    output = call.flag("output")
    objects = _changes(call) if call.flag("watch", False) or call.flag("watch-only", False) else call.collect()
    if call.flag("ignore-not-found", False):
        call.errors = [e for e in call.errors if not is_missing(e)]
    named = not call.flag("filename", []) and all(name for _, name in call.resources())
    if output not in ("", "wide"):
        if objects or not named:
            call.out.append(printers.structured(output, objects, named and len(call.resources()) == 1))
        return
    several = len({kind for kind, _ in call.resources()}) > 1 if call.args else False
    look = printers.Look(
        output == "wide",
        call.everywhere,
        several or call.flag("show-kind", False),
        call.flag("show-labels", False),
        not call.flag("no-headers", False),
    )
    groups = [
        printers.table(k, list(group), call.plane.now, look) for k, group in groupby(objects, lambda o: str(o["kind"]))
    ]
    call.out.append(("\n" if look.headers else "").join(groups))
    if not objects and not call.errors and not call.flag("ignore-not-found", False):
        nothing_found(call)


def nothing_found(call: Call) -> None:
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
        raise KubectlError("error: you may only specify a single resource type")
    names = {name for _, name in wanted}
    return [
        e.obj
        for e in call.plane.store.watch()
        if e.obj["kind"] == wanted[0][0].kind
        and (call.everywhere or not wanted[0][0].namespaced or e.obj["metadata"].get("namespace") == call.namespace)
        and ("" in names or e.obj["metadata"]["name"] in names)
        and (selector is None or selector.matches(e.obj["metadata"].get("labels") or {}))
    ]


def describe(call: Call) -> None:
    """``kubectl describe``: each object in full, with its events; a name may be the beginning of several."""
    if not call.args and not call.flag("filename", []):
        raise KubectlError(
            'error: You must specify the type of resource to describe. Use "kubectl api-resources" for a complete list of '
            "supported resources."
        )
    found, between = call.collect(), "\n\n"
    if not found and call.args and len(call.errors) == len(call.resources()):
        found = [o for kind, name in call.resources() if name for o in _beginning(call, kind, name)]
        if found:
            call.errors, between = [], "\n"
    if not found and not call.errors:
        nothing_found(call)
    texts = [descriptions.describe(call.plane, o, call.flag("show-events", True)) for o in found]
    call.out.append(between.join(texts) + ("\n" if between == "\n" else ""))


def _beginning(call: Call, kind: Kind, prefix: str) -> Sequence[Object]:
    objects = call.api.list(kind.kind, call.namespace)
    return [o for o in objects if o["metadata"]["name"].startswith(prefix)]


def events(call: Call) -> None:
    """``kubectl events``: oldest first."""
    found = call.api.list("Event", None if call.everywhere else call.namespace)
    if call.flag("for"):
        (kind, name), *_ = call.resources([call.flag("for")])
        found = [e for e in found if (e["involvedObject"]["kind"], e["involvedObject"]["name"]) == (kind.kind, name)]
    found = sorted(found, key=lambda e: seconds_of(e["lastTimestamp"]))
    if not found:
        call.notes.append("No events found" + ("." if call.everywhere else f" in {call.namespace} namespace."))
        return
    space = ["NAMESPACE"] if call.everywhere else []
    rows = [[*space, "LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]]
    for e in found:
        about = f"{e['involvedObject']['kind']}/{e['involvedObject']['name']}"
        row = [interval(e, call.plane.now), e["type"], e["reason"], about, e["message"].strip()]
        rows.append([e["metadata"]["namespace"], *row] if space else row)
    call.out.append(tabs.table(rows))


def api_resources(call: Call) -> None:
    """``kubectl api-resources``: the kinds that the simulator has."""
    wanted = {"": None, "true": True, "false": False}.get(call.flag("namespaced"))
    rows = [] if call.flag("no-headers", False) else [["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"]]
    for kind in sorted(KINDS.values(), key=lambda k: (k.group, k.plural)):
        if wanted in (None, kind.namespaced) and call.flag("api-group", kind.group) == kind.group:
            short, names = ",".join(kind.short_names), str(kind.namespaced).lower()
            rows.append([kind.plural, short, kind.api_version, names, kind.kind])
    if call.flag("output") == "name":
        call.out += [f"{KINDS[row[4]].resource}\n" for row in rows if row[4] in KINDS]
    else:
        call.out.append(tabs.table(rows))


def _server(call: Call) -> str:
    """The API server's address: the endpoint of default/kubernetes."""
    for piece in call.plane.snapshot().slices_of.get("default/kubernetes", ()):
        for endpoint in piece.endpoints:
            return f"https://{endpoint.addresses[0]}:{piece.ports[0].port}"
    return "https://kubernetes:6443"


def cluster_info(call: Call) -> None:
    """``kubectl cluster-info``."""
    server, dns = _server(call), call.api.list("Service", "kube-system", "k8s-app=kube-dns")
    call.out.append(f"Kubernetes control plane is running at {server}\n")
    if dns:
        call.out.append(f"CoreDNS is running at {server}/api/v1/namespaces/kube-system/services/kube-dns:dns/proxy\n")
    call.out.append("\nTo further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.\n")


def version(call: Call) -> None:
    """``kubectl version``: the version whose behaviour is simulated."""
    call.out.append(f"Client Version: {VERSION}\n")
    if not call.flag("client", False):
        call.out.append(f"Server Version: {VERSION}\n" if call.plane else "")


def set_context(call: Call) -> None:
    """``kubectl config set-context --current --namespace=NAME``."""
    if not call.flag("current", False) and not call.args:
        raise KubectlError("error: you must specify a non-empty context name or --current")
    if call.cluster is None and call.flag("current", False):
        raise KubectlError("error: no current context is set")
    if call.args and call.args[0] != CONTEXT:
        raise KubectlError(f"error: the only context here is {CONTEXT}")
    if "namespace" in call.line.flags:
        call.context["namespace"] = call.flag("namespace")
    call.out.append(f'Context "{CONTEXT}" modified.\n')


def current_context(call: Call) -> None:
    """``kubectl config current-context``."""
    if call.cluster is None:
        raise KubectlError("error: current-context is not set")
    call.out.append(f"{CONTEXT}\n")


def view(call: Call) -> None:
    """``kubectl config view``: one cluster, one user, one context."""
    context: dict[str, Any] = {"cluster": CONTEXT, "user": CONTEXT}
    if call.context.get("namespace"):
        context["namespace"] = call.context["namespace"]
    known = call.cluster is not None
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"cluster": {"server": _server(call)}, "name": CONTEXT}] if known else None,
        "contexts": [{"context": context, "name": CONTEXT}] if known else None,
        "current-context": CONTEXT if known else "",
        "users": [{"name": CONTEXT, "user": {}}] if known else None,
    }
    call.out.append(
        printers.structured(call.flag("output"), [config], True) if call.flag("output") else dump.to_yaml(config)
    )


COMMANDS: dict[str, Callable[[Call], Any]] = {
    "get": get,
    "describe": describe,
    "events": events,
    "api-resources": api_resources,
    "cluster-info": cluster_info,
    "version": version,
    "config set-context": set_context,
    "config current-context": current_context,
    "config view": view,
}
