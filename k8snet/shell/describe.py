"""``kubectl describe``: one object in full, with what belongs to it and its events.

Facts: k8s.io/kubectl pkg/describe/describe.go. The lines of each kind stand in ``describe.yaml``; the functions here find
out what an object does not say itself. A tab ends a cell, as upstream. Left out: workloads, configuration, the Gateway
API, and a node's lease and sums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from k8snet.manifests.kinds import KINDS, Object, ref
from k8snet.shell import jsonpath, tabs
from k8snet.shell.texts import error, table
from k8snet.shell.values import NONE, at, cell, reachable, selector_text, three

Lines = Iterator[str]
Layout = Mapping[str, Any]


def describe(plane: Any, obj: Object, show_events: bool = True) -> str:
    """The description of a stored object; *plane* is asked for what belongs to it (endpoints, Pods, events).

    Raises KubectlError for a kind that only the real kubectl describes.
    """
    kind = obj["kind"]
    layout = table("describe").get(kind)
    if layout is None:
        hint = f"kubectl get {KINDS[kind].singular} {obj['metadata']['name']} -o yaml shows it in full."
        raise error("describe kind", hint, resource=KINDS[kind].resource)
    facts = {**obj, **(FACTS[kind](plane, obj) if kind in FACTS else {}), "events": plane.api.events_for(ref(obj))}
    shown = {label: how for label, how in layout.items() if label != "Events" or show_events}
    return tabs.align("\n".join(_lines(shown, facts, plane.now))) + "\n"


def _lines(layout: Layout, obj: Object, now: float) -> Lines:
    for label, how in layout.items():
        title = _filled(label.rstrip("?"), obj, now)
        if isinstance(how, str):
            first, *rest = cell(how, obj, now).split("\n")
            if first or not label.endswith("?"):
                yield from (f"{title}:\t{first}", *(f"\t{line}" for line in rest))
            continue
        items = _each(how["each"], obj)
        if items:
            indent = "" if label.startswith("(") else "  "
            yield from [f"{title}:"] if indent else []
            yield from (indent + line for line in _list(how, items, now))
        elif not label.endswith("?") and not label.startswith("("):
            yield how.get("none", f"{title}:\t{NONE}")


def _each(path: str, obj: Object) -> list[Any]:
    """The things that a list is about: see the top of ``describe.yaml``."""
    path, _, items = path.partition("|")
    found = next(iter(jsonpath.values(path, obj)), None)
    if items:
        return [{"key": key, "value": value} for key, value in sorted((found or {}).items())]
    return found if isinstance(found, list) else [found] if found else []


def _list(how: Layout, items: Sequence[Any], now: float) -> Lines:
    yield from how["head"].split("\n") if "head" in how else ()
    for item in items:
        show = how["show"]
        yield from _filled(show, item, now).split("\n") if isinstance(show, str) else _lines(show, item, now)


def _filled(text: str, obj: Object, now: float) -> str:
    return cell(text, obj, now) if "{" in text else text


# Pods and nodes


def _pod(plane: Any, pod: Object) -> Object:
    statuses = {s["name"]: s for kind in ("initC", "c") for s in at(pod, f".status.{kind}ontainerStatuses") or ()}
    init, containers = at(pod, ".spec.initContainers") or (), at(pod, ".spec.containers") or ()
    kinds = [(v["name"], next((k for k in v if k != "name"), "emptyDir")) for v in at(pod, ".spec.volumes") or ()]
    return {
        "init": [_container(c, statuses.get(c["name"])) for c in init],
        "containers": [_container(c, statuses.get(c["name"])) for c in containers],
        "volumes": [{"name": name, "type": kind[0].upper() + kind[1:]} for name, kind in kinds],
    }


def _container(container: Object, status: Object | None) -> Object:
    ports = container.get("ports") or ()
    facts: Object = {**container, "status": status, "plural": "s" if len(ports) > 1 else "", "states": []}
    for field in ("containerPort", "hostPort"):
        said = [f"{p.get(field) or 0}/{p.get('protocol', 'TCP')}" for p in ports]
        facts[field] = ", ".join(f"{s} ({p['name']})" if p.get("name") else s for s, p in zip(said, ports, strict=True))
    for label, field in (("State", "state"), ("Last State", "lastState")) if status else ():
        for state, found in ((status or {}).get(field) or {}).items():
            over = {"exitCode": 0} if state == "terminated" else {}
            details = {k: v for k, v in (found or {}).items() if over or k != "message"}
            facts["states"].append({**over, **details, "label": label, "is": state.title()})
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        facts[probe] = _probe(container.get(probe))
    mounts = sorted(container.get("volumeMounts") or (), key=lambda m: str(m["mountPath"]))
    facts["mounts"] = [{**m, "mode": "ro" if m.get("readOnly") else "rw"} for m in mounts]
    return facts


def _probe(probe: Object | None) -> str:
    forms = table("describe")["_probes"] if probe else {}
    return " ".join(cell(form, probe or {}, 0) for name, form in forms.items() if name in (*(probe or ()), "times"))


def _node(plane: Any, node: Object) -> Object:
    pods = plane.store.by("node", node["metadata"]["name"])
    pods = sorted((p for p in pods if at(p, ".status.phase") in ("Running", "Pending")), key=lambda p: ref(p))
    return {"count": len(pods), "pods": pods}


# Services and Ingresses


def _service(plane: Any, service: Object) -> Object:
    ports = []
    for p in at(service, ".spec.ports") or ():
        facts = {"targetPort": p["port"], **p, "endpoints": _endpoints(plane, service, p.get("name") or "")}
        ports.append({**facts, "onNodes": p if p.get("nodePort") else None})
    return {"ports": ports}


def _endpoints(plane: Any, service: Object, port_name: str) -> str:
    """Ready endpoints of one Service port, from its EndpointSlices."""
    meta = service["metadata"]
    slices = plane.api.list("EndpointSlice", meta["namespace"], f"kubernetes.io/service-name={meta['name']}")
    found: list[str] = []
    for piece in slices:
        ready = [e["addresses"][0] for e in piece.get("endpoints") or () if at(e, ".conditions.ready") is not False]
        chosen = [p for p in piece.get("ports") or () if (p.get("name") or "") == port_name]
        found += reachable(ready, chosen) if chosen or not piece.get("ports") else []
    return three(found) if slices else NONE


def _ingress(plane: Any, ingress: Object) -> Object:
    spec, tls, rules = ingress.get("spec") or {}, [], []
    default = _backend(plane, ingress, spec["defaultBackend"]) if spec.get("defaultBackend") else "<default>"
    for entry in spec.get("tls") or ():
        secret, hosts = entry.get("secretName"), ",".join(entry.get("hosts") or ())
        tls.append(f"{secret} terminates {hosts}" if secret else f"SNI routes {hosts}")
    for rule in spec.get("rules") or ():
        paths = at(rule, ".http.paths") or ()
        rules += [f"{rule.get('host') or '*'}\t"] if paths else []
        rules += [f"  \t{p.get('path', '')} \t{_backend(plane, ingress, p['backend'])}" for p in paths]
    return {"default": default, "tls": tls, "rules": rules or [f"*\t*\t{default}"]}


def _backend(plane: Any, ingress: Object, backend: Object) -> str:
    """``my-service:80 (10.244.1.2:8080)``: a backend and its endpoints, or why it has none."""
    if "resource" in backend:
        return cell("APIGroup: {.apiGroup or <none>}, Kind: {.kind}, Name: {.name}", backend["resource"], 0)
    name, port = at(backend, ".service.name"), at(backend, ".service.port") or {}
    said = f"{name}:{port.get('number') or port.get('name', '')}"
    service = plane.store.get("Service", ingress["metadata"]["namespace"], name)
    if service is None:
        return f'{said} (<error: services "{name}" not found>)'
    ports = at(service, ".spec.ports") or ()
    names = [p.get("name") or "" for p in ports if port in ({"number": p["port"]}, {"name": p.get("name")})]
    return f"{said} ({_endpoints(plane, service, names[-1] if names else '')})"


# NetworkPolicy


def _policy_spec(spec: Object) -> Lines:
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    chosen = selector_text(spec.get("podSelector"))
    everyone = " (Allowing the specific traffic to all pods in this namespace)" if chosen == NONE else ""
    yield f"PodSelector:     {chosen}{everyone}"
    for side, peer, towards in (("ingress", "from", "source"), ("egress", "to", "destination")):
        if side.title() not in types:
            yield f"Not affecting {side} traffic"
            continue
        rules = spec.get(side) or []
        yield f"Allowing {side} traffic:"
        yield from [] if rules else [f"  {NONE} (Selected pods are isolated for {side} connectivity)"]
        for i, rule in enumerate(rules):
            yield from ["  ----------"] if i else []
            yield from ("  " + line for line in _policy_rule(rule, peer, towards))
    yield f"Policy Types: {', '.join(types)}"


def _policy_rule(rule: Object, peer: str, towards: str) -> Lines:
    for port in rule.get("ports") or ():
        number, last = port.get("port", "<nil>"), port.get("endPort")
        yield f"To Port{f' Range: {number}-{last}' if last else f': {number}'}/{port.get('protocol', 'TCP')}"
    if not rule.get("ports"):
        yield "To Port: <any> (traffic allowed to all ports)"
    if not rule.get(peer):
        yield f"{peer.title()}: <any> (traffic not restricted by {towards})"
    for found in rule.get(peer) or ():
        yield f"{peer.title()}:"
        for title, field in (("NamespaceSelector", "namespaceSelector"), ("PodSelector", "podSelector")):
            if found.get(field) is not None:
                yield f"  {title}: {selector_text(found[field])}"
        if block := found.get("ipBlock"):
            excepted = ", ".join(block.get("except") or ())
            yield from ("  IPBlock:", f"    CIDR: {block['cidr']}", f"    Except: {excepted}")


FACTS: dict[str, Callable[[Any, Object], Object]] = {
    "Pod": _pod, "Node": _node, "Service": _service, "Ingress": _ingress,
    "NetworkPolicy": lambda plane, policy: {"lines": list(_policy_spec(policy.get("spec") or {}))},
}  # fmt: skip
