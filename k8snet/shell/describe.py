"""``kubectl describe``: one object in full, with what belongs to it and its events.

Facts: k8s.io/kubectl pkg/describe/describe.go. The lines of each kind stand in ``describe.yaml``; the parts that take
more than a line are the functions here. A tab ends a cell, as upstream. Left out: a node's lease and resource sums.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import yaml

from k8snet.manifests.kinds import Object, ref
from k8snet.shell import tabs
from k8snet.shell.values import NONE, UNSET, at, cell, date, endpoint_texts, interval, pairs, selector_text

Lines = Iterator[str]


@cache
def _layouts() -> dict[str, dict[str, str]]:
    text = resources.files("k8snet.shell").joinpath("describe.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def describe(plane: Any, obj: Object, show_events: bool = True) -> str:
    """The description of a stored object; *plane* is asked for what belongs to it (endpoints, Pods, events)."""
    custom = {**_layouts()["_start"], "(Fields)": "all_fields", "(Events)": "events"}
    lines: list[str] = []
    for label, how in _layouts().get(obj["kind"], custom).items():
        if label.startswith("("):
            if how != "events" or show_events:
                lines += PARTS[how](plane, obj)
            continue
        value = cell(how, obj, plane.now)
        if value or not label.endswith("?"):
            lines += _labelled(label.rstrip("?"), value)
    return tabs.align("\n".join(lines)) + "\n"


def _labelled(label: str, value: str) -> Lines:
    """A label and its value; the lines of a value stand under each other."""
    first, *rest = value.split("\n")
    yield f"{label}:\t{first}"
    yield from (f"\t{line}" for line in rest)


def _table(head: str, rows: Iterable[Sequence[Any]], indent: str = "  ", end: str = "") -> Lines:
    """A small table: *head* names its columns; *end* stands behind every cell but the last."""
    titles = head.split()
    yield indent + "\t".join(titles)
    yield indent + "\t".join("-" * len(title) for title in titles)
    yield from (indent + f"{end}\t".join(map(str, row)) for row in rows)


def _events(plane: Any, obj: Object) -> Lines:
    found = plane.api.events_for(ref(obj))
    if not found:
        yield f"Events:\t{NONE}"
        return
    yield from ("Events:", "  Type\tReason\tAge\tFrom\tMessage", "  ----\t------\t----\t----\t-------")
    for e in found:
        age, source = interval(e, plane.now), at(e, ".source.component") or ""
        yield f"  {e['type']}\t{e['reason']}\t{age}\t{source}\t{e['message'].strip()}"


# Pods and Pod templates


def _pod_ips(plane: Any, pod: Object) -> Lines:
    ips = [p["ip"] for p in at(pod, ".status.podIPs") or ()]
    yield "IPs:" if ips else f"IPs:\t{NONE}"
    yield from (f"  IP:\t{ip}" for ip in ips)


def _pod_containers(plane: Any, pod: Object) -> Lines:
    statuses = [*(at(pod, ".status.initContainerStatuses") or ()), *(at(pod, ".status.containerStatuses") or ())]
    yield from _containers(pod, "", {s["name"]: s for s in statuses})


def _containers(pod: Object, indent: str, statuses: Mapping[str, Mapping[str, Any]]) -> Lines:
    """The containers of a Pod, or of a Pod template (indented by two, their names by one more)."""
    for title, field in (("Init Containers", "initContainers"), ("Containers", "containers")):
        if at(pod, f".spec.{field}"):
            yield f"{indent}{title}:"
            for container in at(pod, f".spec.{field}"):
                yield f"{'   ' if indent else '  '}{container['name']}:"
                yield from ("    " + line for line in _container(container, statuses.get(container["name"])))


def _container(container: Mapping[str, Any], status: Mapping[str, Any] | None) -> Lines:
    if status:
        yield f"Container ID:\t{status.get('containerID', '')}"
    yield f"Image:\t{container.get('image', '')}"
    if status:
        yield f"Image ID:\t{status.get('imageID', '')}"
    for title, field in (("Port", "containerPort"), ("Host Port", "hostPort")):
        ports = [f"{p.get(field) or 0}/{p.get('protocol', 'TCP')}" for p in container.get("ports") or ()]
        yield f"{title}{'s' if len(ports) > 1 else ''}:\t{', '.join(ports) or NONE}"
    for title in ("Command", "Args"):
        if container.get(title.lower()):
            yield f"{title}:"
            yield from (f"  {line}" for word in container[title.lower()] for line in word.split("\n"))
    if status:
        yield from _state("State", status.get("state") or {})
        if at(status, ".lastState.terminated"):
            yield from _state("Last State", status["lastState"])
        yield f"Ready:\t{bool(status.get('ready'))}"
        yield f"Restart Count:\t{status.get('restartCount', 0)}"
    for title in ("Limits", "Requests"):
        amounts = at(container, f".resources.{title.lower()}")
        if amounts:
            yield f"{title}:"
            yield from (f"  {k}:\t{v}" for k, v in sorted(amounts.items()))
    for title in ("Liveness", "Readiness", "Startup"):
        probe = container.get(f"{title.lower()}Probe")
        if probe:
            yield f"{title}:\t{_probe(probe)}"
    variables = container.get("env") or ()
    yield "Environment:" if variables else f"Environment:\t{NONE}"
    yield from (f"  {e['name']}:\t{e.get('value', '')}" for e in variables)
    mounts = sorted(container.get("volumeMounts") or (), key=lambda m: str(m["mountPath"]))
    yield "Mounts:" if mounts else f"Mounts:\t{NONE}"
    yield from (f"  {m['mountPath']} from {m['name']} ({'ro' if m.get('readOnly') else 'rw'})" for m in mounts)


def _state(title: str, state: Mapping[str, Any]) -> Lines:
    name = next((n for n in ("running", "waiting", "terminated") if state.get(n) is not None), "waiting")
    facts = state.get(name) or {}
    yield f"{title}:\t{name.title()}"
    if facts.get("reason"):
        yield f"  Reason:\t{facts['reason']}"
    if name == "terminated":
        if facts.get("message"):
            yield f"  Message:\t{facts['message']}"
        yield f"  Exit Code:\t{facts.get('exitCode', 0)}"
    if name != "waiting":
        yield f"  Started:\t{date(facts.get('startedAt'))}"
    if name == "terminated":
        yield f"  Finished:\t{date(facts.get('finishedAt'))}"


PROBES = {
    "httpGet": "http-get {.scheme|lower or http}://{.host}:{.port}{.path or /}",
    "tcpSocket": "tcp-socket {.host}:{.port}",
    "grpc": "grpc <pod>:{.port} {.service}",
    "exec": "exec [{.command|words}]",
}


def _probe(probe: Object) -> str:
    how = next((cell(text, probe[name], 0) for name, text in PROBES.items() if name in probe), "unknown")
    times = (
        "delay={.initialDelaySeconds or 0}s timeout={.timeoutSeconds or 1}s period={.periodSeconds or 10}s "
        "#success={.successThreshold or 1} #failure={.failureThreshold or 3}"
    )
    return f"{how} {cell(times, probe, 0)}"


def _pod_conditions(plane: Any, pod: Object) -> Lines:
    conditions = at(pod, ".status.conditions") or ()
    if conditions:
        yield from ("Conditions:", "  Type\tStatus")
        yield from (f"  {c['type']} \t{c['status']} " for c in conditions)


def _volumes(plane: Any, pod: Object, indent: str = "") -> Lines:
    found = at(pod, ".spec.volumes")
    yield f"{indent}Volumes:" if found else f"{indent}Volumes:\t{NONE}"
    for volume in found or ():
        yield f"  {' ' if indent else ''}{volume['name']}:"
        yield f"    Type:\t{next((k[0].upper() + k[1:] for k in volume if k != 'name'), 'EmptyDir')}"


def _pod_template(plane: Any, obj: Object) -> Lines:
    template = at(obj, ".spec.template") or {}
    yield "Pod Template:"
    yield from _labelled("  Labels", pairs(at(template, ".metadata.labels"), "\n"))
    if at(template, ".metadata.annotations"):
        yield from _labelled("  Annotations", cell("annotations", template, plane.now))
    if at(template, ".spec.serviceAccountName"):
        yield f"  Service Account:\t{template['spec']['serviceAccountName']}"
    yield from _containers(template, "  ", {})
    yield from _volumes(plane, template, "  ")
    yield from _labelled("  Node-Selectors", pairs(at(template, ".spec.nodeSelector"), "\n"))
    yield from _labelled("  Tolerations", cell("tolerations", template, plane.now))


# workloads


def _owned(plane: Any, kind: str, owner: Object) -> list[Object]:
    uid = owner["metadata"].get("uid")
    found = plane.api.list(kind, owner["metadata"]["namespace"])
    return [o for o in found if any(r.get("uid") == uid for r in o["metadata"].get("ownerReferences") or ())]


def _pods_status(plane: Any, obj: Object) -> Lines:
    phases = [at(p, ".status.phase") for p in _owned(plane, "Pod", obj)]
    names = (("Running", "Running"), ("Pending", "Waiting"), ("Succeeded", "Succeeded"), ("Failed", "Failed"))
    yield "Pods Status:\t" + " / ".join(f"{phases.count(phase)} {word}" for phase, word in names)


def _deployment_conditions(plane: Any, obj: Object) -> Lines:
    conditions = at(obj, ".status.conditions")
    if conditions:
        yield "Conditions:"
        yield from _table(
            "Type Status Reason", ((f"{c['type']} ", c["status"], c.get("reason", "")) for c in conditions)
        )


def _replica_sets(plane: Any, obj: Object) -> Lines:
    owned, template = _owned(plane, "ReplicaSet", obj), at(obj, ".spec.template.spec")
    new = [r for r in owned if at(r, ".spec.template.spec") == template][-1:]
    old = [r for r in owned if r not in new and (at(r, ".spec.replicas") or at(r, ".status.replicas"))]
    text = "{.metadata.name} ({.status.replicas or 0}/{.spec.replicas or 0} replicas created)"
    for title, found in (("Old", old), ("New", new)):
        yield f"{title}ReplicaSet{'s' if title == 'Old' else ''}:\t{', '.join(cell(text, r, 0) for r in found) or NONE}"


# Services and endpoints


def _service_port_lines(plane: Any, service: Object) -> Lines:
    for port in at(service, ".spec.ports") or ():
        name, protocol = port.get("name") or UNSET, port.get("protocol", "TCP")
        yield f"Port:\t{name}\t{port['port']}/{protocol}"
        yield f"TargetPort:\t{port.get('targetPort', port['port'])}/{protocol}"
        if port.get("appProtocol"):
            yield f"AppProtocol:\t{port['appProtocol']}"
        if port.get("nodePort"):
            yield f"NodePort:\t{name}\t{port['nodePort']}/{protocol}"
        yield f"Endpoints:\t{_endpoints(plane, service, port.get('name') or '')}"


def _endpoints(plane: Any, service: Object, port_name: str) -> str:
    """Ready endpoints of one Service port, from its EndpointSlices."""
    meta = service["metadata"]
    slices = plane.api.list("EndpointSlice", meta["namespace"], f"kubernetes.io/service-name={meta['name']}")
    return endpoint_texts(slices, port_name)


def _port_table(ports: Iterable[Mapping[str, Any]], indent: str) -> Lines:
    rows = ((p.get("name") or UNSET, p.get("port") or UNSET, p.get("protocol", "TCP")) for p in ports)
    yield from _table("Name Port Protocol", rows, indent)


def _subsets(plane: Any, obj: Object) -> Lines:
    yield "Subsets:"
    for subset in obj.get("subsets") or ():
        yield f"  Addresses:\t{cell('.addresses[*].ip', subset, 0) or NONE}"
        yield f"  NotReadyAddresses:\t{cell('.notReadyAddresses[*].ip', subset, 0) or NONE}"
        if subset.get("ports"):
            yield "  Ports:"
            yield from _port_table(subset["ports"], "    ")
        yield ""


def _slice_lines(plane: Any, obj: Object) -> Lines:
    yield "Ports:" if obj.get("ports") else f"Ports: {UNSET}"
    if obj.get("ports"):
        yield from _port_table(obj["ports"], "  ")
    yield "Endpoints:" if obj.get("endpoints") else f"Endpoints: {NONE}"
    for e in obj.get("endpoints") or ():
        yield f"  - Addresses:\t{', '.join(e.get('addresses') or ()) or NONE}"
        yield "    Conditions:"
        yield f"      Ready:\t{cell('.conditions.ready', e, 0) or UNSET}"
        yield f"    Hostname:\t{e.get('hostname') or UNSET}"
        if e.get("targetRef"):
            yield f"    TargetRef:\t{cell('{.kind}/{.name}', e['targetRef'], 0)}"
        yield f"    NodeName:\t{e.get('nodeName') or UNSET}"
        yield f"    Zone:\t{e.get('zone') or UNSET}"


# NetworkPolicy, Ingress


def _policy_spec(plane: Any, policy: Object) -> Lines:
    spec = policy.get("spec") or {}
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    chosen = selector_text(spec.get("podSelector"))
    yield "Spec:"
    everyone = " (Allowing the specific traffic to all pods in this namespace)" if chosen == NONE else ""
    yield f"  PodSelector:     {chosen}{everyone}"
    for side, peer, towards in (("ingress", "from", "source"), ("egress", "to", "destination")):
        if side.title() in types:
            yield f"  Allowing {side} traffic:"
            yield from ("    " + line for line in _policy_rules(spec.get(side) or [], side, peer, towards))
        else:
            yield f"  Not affecting {side} traffic"
    yield f"  Policy Types: {', '.join(types)}"


def _policy_rules(rules: list[Mapping[str, Any]], side: str, peer: str, towards: str) -> Lines:
    if not rules:
        yield f"{NONE} (Selected pods are isolated for {side} connectivity)"
    for i, rule in enumerate(rules):
        if i:
            yield "----------"
        if not rule.get("ports"):
            yield "To Port: <any> (traffic allowed to all ports)"
        for port in rule.get("ports") or ():
            number, last = port.get("port", "<nil>"), port.get("endPort")
            extent = f" Range: {number}-{last}" if last else f": {number}"
            yield f"To Port{extent}/{port.get('protocol', 'TCP')}"
        if not rule.get(peer):
            yield f"{peer.title()}: <any> (traffic not restricted by {towards})"
        for found in rule.get(peer) or ():
            yield f"{peer.title()}:"
            for title in ("NamespaceSelector", "PodSelector"):
                selector = found.get(title[0].lower() + title[1:])
                if selector is not None:
                    yield f"  {title}: {selector_text(selector)}"
            if block := found.get("ipBlock"):
                yield "  IPBlock:"
                yield f"    CIDR: {block['cidr']}"
                yield f"    Except: {', '.join(block.get('except') or ())}"


def _ingress_rules(plane: Any, ingress: Object) -> Lines:
    spec = ingress.get("spec") or {}
    default = _backend(plane, ingress, spec["defaultBackend"]) if spec.get("defaultBackend") else "<default>"
    yield f"Default backend:\t{default}"
    if spec.get("tls"):
        yield "TLS:"
    for tls in spec.get("tls") or ():
        hosts = ",".join(tls.get("hosts") or ())
        yield f"  {tls['secretName']} terminates {hosts}" if tls.get("secretName") else f"  SNI routes {hosts}"
    rules = [r for r in spec.get("rules") or () if r.get("http") is not None]
    yield "Rules:"
    yield from _table("Host Path Backends", [] if any(r["http"].get("paths") for r in rules) else [("*", "*", default)])
    for rule in rules:
        yield f"  {rule.get('host') or '*'}\t"
        for path in rule["http"].get("paths") or ():
            yield f"    \t{path.get('path', '')} \t{_backend(plane, ingress, path['backend'])}"


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


def _parameters(plane: Any, obj: Object) -> Lines:
    found = at(obj, ".spec.parameters")
    if found:
        yield "Parameters:"
        titles = {"APIGroup": "apiGroup", "Kind": "kind", "Name": "name"}
        yield from (f"  {title}:\t{found[field]}" for title, field in titles.items() if field in found)


# nodes, namespaces, data


def _node_lines(plane: Any, node: Object) -> Lines:
    yield "Conditions:"
    fields = "{.type} {.status} {.lastHeartbeatTime|date} {.lastTransitionTime|date} {.reason} {.message}"
    text = fields.replace("} ", "}\t")
    rows = (cell(text, c, 0).split("\t") for c in at(node, ".status.conditions") or ())
    yield from _table("Type Status LastHeartbeatTime LastTransitionTime Reason Message", rows, end=" ")
    yield "Addresses:"
    yield from (f"  {a['type']}:\t{a['address']}" for a in at(node, ".status.addresses") or ())
    for title in ("Capacity", "Allocatable"):
        amounts = at(node, f".status.{title.lower()}")
        if amounts:
            yield f"{title}:"
            yield from (f"  {k}:\t{v}" for k, v in sorted(amounts.items()))


def _node_pods(plane: Any, node: Object) -> Lines:
    pods = [
        p for p in plane.store.by("node", node["metadata"]["name"]) if at(p, ".status.phase") in ("Running", "Pending")
    ]
    yield f"Non-terminated Pods:\t({len(pods)} in total)"
    text = "{.metadata.namespace},{.metadata.name},{.metadata.creationTimestamp|since}"
    yield from _table("Namespace Name Age", sorted(cell(text, p, plane.now).split(",") for p in pods))


def _no_quota(plane: Any, obj: Object) -> Lines:
    yield from ("", "No resource quota.", "", "No LimitRange resource.")


# custom resources


def _all_fields(plane: Any, obj: Object) -> Lines:
    shown = {k: v for k, v in obj["metadata"].items() if k not in ("name", "namespace", "labels", "annotations")}
    yield from _fields({**obj, "metadata": shown}, "")


def _fields(content: Mapping[str, Any], indent: str) -> Lines:
    for field, value in sorted(content.items()):
        if isinstance(value, (dict, list)):
            yield f"{indent}{_title(field)}:"
            for child in value if isinstance(value, list) else [value]:
                yield from _fields(child, indent + "  ") if isinstance(child, dict) else (f"{indent}  {child}",)
        else:
            yield f"{indent}{_title(field)}:\t{str(value).lower() if isinstance(value, bool) else value}"


def _title(field: str) -> str:
    """``parentRefs`` as ``Parent Refs``; a name with other signs than letters stays as it is."""
    if not re.fullmatch(r"[A-Za-z-]+", field):
        return field
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|-", field)
    return " ".join(w.upper() if w.upper() in ("API", "URL", "UID") else w[0].upper() + w[1:] for w in words)


PARTS: dict[str, Callable[[Any, Object], Lines]] = {
    f.__name__.removeprefix("_"): f
    for f in (
        _events, _pod_ips, _pod_containers, _pod_conditions, _volumes, _pod_template, _pods_status, _deployment_conditions,
        _replica_sets, _service_port_lines, _subsets, _slice_lines, _policy_spec, _ingress_rules, _parameters, _node_lines,
        _node_pods, _no_quota, _all_fields,
    )
}  # fmt: skip
