"""``kubectl describe``: one object in full, with what belongs to it and its events.

Facts: k8s.io/kubectl pkg/describe/describe.go. The lines of each kind stand in ``describe.yaml``; the parts that take
more than a line are the functions here. A tab ends a cell, as upstream. Left out: a node's lease and resource sums.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

import yaml

from k8snet.manifests import selectors
from k8snet.manifests.kinds import Object, ref
from k8snet.shell import tabs
from k8snet.shell.values import UNSET, at, cell, date, endpoint_texts, interval, pairs, selector_text

Lines = Iterator[str]
GENERIC = {
    "Name": ".metadata.name",
    "Namespace": ".metadata.namespace",
    "Labels": "labels",
    "Annotations": "annotations",
}


@cache
def _layouts() -> dict[str, dict[str, str]]:
    text = resources.files("k8snet.shell").joinpath("describe.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def describe(plane: Any, obj: Object, show_events: bool = True) -> str:
    """The description of a stored object; *plane* is asked for what belongs to it (endpoints, Pods, events)."""
    layout = _layouts().get(obj["kind"]) or {**GENERIC, "(Fields)": "fields", "(Events)": "events"}
    lines: list[str] = []
    for label, how in layout.items():
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


def events(plane: Any, obj: Object) -> Lines:
    found = plane.api.events_for(ref(obj))
    if not found:
        yield "Events:\t<none>"
        return
    yield "Events:"
    yield "  Type\tReason\tAge\tFrom\tMessage"
    yield "  ----\t------\t----\t----\t-------"
    for e in found:
        source = at(e, ".source.component") or ""
        yield f"  {e['type']}\t{e['reason']}\t{interval(e, plane.now)}\t{source}\t{e['message'].strip()}"


# Pods and Pod templates


def pod_ips(plane: Any, pod: Object) -> Lines:
    ips = [p["ip"] for p in at(pod, ".status.podIPs") or ()]
    yield "IPs:" if ips else "IPs:\t<none>"
    yield from (f"  IP:\t{ip}" for ip in ips)


def pod_containers(plane: Any, pod: Object) -> Lines:
    for title, field, statuses in (
        ("Init Containers", "initContainers", "initContainerStatuses"),
        ("Containers", "containers", "containerStatuses"),
    ):
        if at(pod, f".spec.{field}"):
            known = {s["name"]: s for s in at(pod, f".status.{statuses}") or ()}
            yield f"{title}:"
            for container in at(pod, f".spec.{field}"):
                yield from _container(container, known.get(container["name"]), "  ")


def _container(container: Mapping[str, Any], status: Mapping[str, Any] | None, indent: str) -> Lines:
    yield f"{indent}{container['name']}:"
    if status:
        yield f"    Container ID:\t{status.get('containerID', '')}"
    yield f"    Image:\t{container.get('image', '')}"
    if status:
        yield f"    Image ID:\t{status.get('imageID', '')}"
    for title, field in (("Port", "containerPort"), ("Host Port", "hostPort")):
        ports = [f"{p.get(field) or 0}/{p.get('protocol', 'TCP')}" for p in container.get("ports") or ()]
        yield f"    {title}{'s' if len(ports) > 1 else ''}:\t{', '.join(ports) or '<none>'}"
    for title, field in (("Command", "command"), ("Args", "args")):
        if container.get(field):
            yield f"    {title}:"
            yield from (f"      {line}" for word in container[field] for line in word.split("\n"))
    if status:
        yield from _state("State", status.get("state") or {})
        if at(status, ".lastState.terminated"):
            yield from _state("Last State", status["lastState"])
        yield f"    Ready:\t{bool(status.get('ready'))}"
        yield f"    Restart Count:\t{status.get('restartCount', 0)}"
    for title in ("limits", "requests"):
        if at(container, f".resources.{title}"):
            yield f"    {title.title()}:"
            yield from (f"      {k}:\t{v}" for k, v in sorted(container["resources"][title].items()))
    for title in ("liveness", "readiness", "startup"):
        if container.get(f"{title}Probe"):
            yield f"    {title.title()}:\t{_probe(container[f'{title}Probe'])}"
    variables = container.get("env") or ()
    yield "    Environment:" if variables else "    Environment:\t<none>"
    yield from (f"      {e['name']}:\t{e.get('value', '')}" for e in variables)
    mounts = sorted(container.get("volumeMounts") or (), key=lambda m: str(m["mountPath"]))
    yield "    Mounts:" if mounts else "    Mounts:\t<none>"
    yield from (f"      {m['mountPath']} from {m['name']} ({'ro' if m.get('readOnly') else 'rw'})" for m in mounts)


def _state(title: str, state: Mapping[str, Any]) -> Lines:
    name = next((n for n in ("running", "waiting", "terminated") if state.get(n) is not None), "waiting")
    facts = state.get(name) or {}
    yield f"    {title}:\t{name.title()}"
    if facts.get("reason"):
        yield f"      Reason:\t{facts['reason']}"
    if name == "terminated":
        if facts.get("message"):
            yield f"      Message:\t{facts['message']}"
        yield f"      Exit Code:\t{facts.get('exitCode', 0)}"
    if name != "waiting":
        yield f"      Started:\t{date(facts.get('startedAt'))}"
    if name == "terminated":
        yield f"      Finished:\t{date(facts.get('finishedAt'))}"


def _probe(probe: Mapping[str, Any]) -> str:
    how = "unknown"
    if (http := probe.get("httpGet")) is not None:
        how = f"http-get {http.get('scheme', 'HTTP').lower()}://{http.get('host', '')}:{http.get('port')}{http.get('path', '/')}"
    elif (tcp := probe.get("tcpSocket")) is not None:
        how = f"tcp-socket {tcp.get('host', '')}:{tcp.get('port')}"
    elif (grpc := probe.get("grpc")) is not None:
        how = f"grpc <pod>:{grpc.get('port')} {grpc.get('service') or ''}"
    elif (command := probe.get("exec")) is not None:
        how = f"exec [{' '.join(command.get('command') or ())}]"
    return (
        f"{how} delay={probe.get('initialDelaySeconds', 0)}s timeout={probe.get('timeoutSeconds', 1)}s "
        f"period={probe.get('periodSeconds', 10)}s #success={probe.get('successThreshold', 1)} "
        f"#failure={probe.get('failureThreshold', 3)}"
    )


def pod_conditions(plane: Any, pod: Object) -> Lines:
    conditions = at(pod, ".status.conditions") or ()
    if conditions:
        yield from ("Conditions:", "  Type\tStatus")
        yield from (f"  {c['type']} \t{c['status']} " for c in conditions)


def volumes(plane: Any, pod: Object) -> Lines:
    yield from _volumes(at(pod, ".spec.volumes") or (), "")


def _volumes(found: Iterable[Mapping[str, Any]], indent: str) -> Lines:
    found = list(found)
    yield f"{indent}Volumes:" if found else f"{indent}Volumes:\t<none>"
    for volume in found:
        yield f"  {' ' if indent else ''}{volume['name']}:"
        kind = next((k for k in volume if k != "name"), "emptyDir")
        if kind == "emptyDir":
            yield "    Type:\tEmptyDir (a temporary directory that shares a pod's lifetime)"
            yield f"    Medium:\t{at(volume, '.emptyDir.medium') or ''}"
            yield f"    SizeLimit:\t{at(volume, '.emptyDir.sizeLimit') or UNSET}"
        else:
            yield f"    Type:\t{kind[0].upper()}{kind[1:]}"


def pod_template(plane: Any, obj: Object) -> Lines:
    template = at(obj, ".spec.template") or {}
    spec = template.get("spec") or {}
    yield "Pod Template:"
    yield from _labelled("  Labels", pairs(at(template, ".metadata.labels"), "\n"))
    if at(template, ".metadata.annotations"):
        yield from _labelled("  Annotations", cell("annotations", template, plane.now))
    if spec.get("serviceAccountName"):
        yield f"  Service Account:\t{spec['serviceAccountName']}"
    for title, field in (("Init Containers", "initContainers"), ("Containers", "containers")):
        if spec.get(field):
            yield f"  {title}:"
            for container in spec[field]:
                yield from _container(container, None, "   ")
    yield from _volumes(spec.get("volumes") or (), "  ")
    yield from _labelled("  Node-Selectors", pairs(spec.get("nodeSelector"), "\n"))
    yield from _labelled("  Tolerations", cell("tolerations", template, plane.now))


# workloads


def _pods_of(plane: Any, obj: Object) -> list[Object]:
    selector = selectors.from_label_selector(at(obj, ".spec.selector"))
    pods: list[Object] = plane.api.list("Pod", obj["metadata"]["namespace"], selector)
    uid = obj["metadata"].get("uid")
    return [p for p in pods if any(o.get("uid") == uid for o in p["metadata"].get("ownerReferences") or ())]


def pods_status(plane: Any, obj: Object) -> Lines:
    phases = [at(p, ".status.phase") for p in _pods_of(plane, obj)]
    names = (("Running", "Running"), ("Pending", "Waiting"), ("Succeeded", "Succeeded"), ("Failed", "Failed"))
    yield "Pods Status:\t" + " / ".join(f"{phases.count(phase)} {word}" for phase, word in names)


def deployment_conditions(plane: Any, obj: Object) -> Lines:
    conditions = at(obj, ".status.conditions") or ()
    if conditions:
        yield from ("Conditions:", "  Type\tStatus\tReason", "  ----\t------\t------")
        yield from (f"  {c['type']} \t{c['status']}\t{c.get('reason', '')}" for c in conditions)


def replica_sets(plane: Any, obj: Object) -> Lines:
    uid, template = obj["metadata"].get("uid"), at(obj, ".spec.template.spec")
    owned = [
        r
        for r in plane.api.list("ReplicaSet", obj["metadata"]["namespace"])
        if any(o.get("uid") == uid for o in r["metadata"].get("ownerReferences") or ())
    ]
    new = next((r for r in reversed(owned) if at(r, ".spec.template.spec") == template), None)

    def said(found: list[Object]) -> str:
        return (
            ", ".join(
                f"{r['metadata']['name']} ({at(r, '.status.replicas') or 0}/{at(r, '.spec.replicas') or 0} replicas created)"
                for r in found
            )
            or "<none>"
        )

    yield f"OldReplicaSets:\t{said([r for r in owned if r is not new and (at(r, '.spec.replicas') or at(r, '.status.replicas'))])}"
    yield f"NewReplicaSet:\t{said([new] if new else [])}"


# Services and endpoints


def service_port_lines(plane: Any, service: Object) -> Lines:
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


def subsets(plane: Any, obj: Object) -> Lines:
    yield "Subsets:"
    for subset in obj.get("subsets") or ():
        for title, field in (("Addresses", "addresses"), ("NotReadyAddresses", "notReadyAddresses")):
            yield f"  {title}:\t{','.join(a['ip'] for a in subset.get(field) or ()) or '<none>'}"
        if subset.get("ports"):
            yield from ("  Ports:", "    Name\tPort\tProtocol", "    ----\t----\t--------")
            yield from (
                f"    {p.get('name') or UNSET}\t{p['port']}\t{p.get('protocol', 'TCP')}" for p in subset["ports"]
            )
        yield ""


def slice_lines(plane: Any, obj: Object) -> Lines:
    ports, found = obj.get("ports") or (), obj.get("endpoints") or ()
    yield "Ports:" if ports else "Ports: <unset>"
    if ports:
        yield from ("  Name\tPort\tProtocol", "  ----\t----\t--------")
        yield from (f"  {p.get('name') or UNSET}\t{p.get('port') or UNSET}\t{p.get('protocol', 'TCP')}" for p in ports)
    yield "Endpoints:" if found else "Endpoints: <none>"
    for e in found:
        ready, target = at(e, ".conditions.ready"), e.get("targetRef")
        yield f"  - Addresses:\t{', '.join(e.get('addresses') or ()) or '<none>'}"
        yield "    Conditions:"
        yield f"      Ready:\t{UNSET if ready is None else str(ready).lower()}"
        yield f"    Hostname:\t{e.get('hostname') or UNSET}"
        if target:
            yield f"    TargetRef:\t{target.get('kind', '')}/{target.get('name', '')}"
        yield f"    NodeName:\t{e.get('nodeName') or UNSET}"
        yield f"    Zone:\t{e.get('zone') or UNSET}"


# NetworkPolicy, Ingress


def policy_spec(plane: Any, policy: Object) -> Lines:
    spec = policy.get("spec") or {}
    types = spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    chosen = selector_text(spec.get("podSelector"))
    everyone = " (Allowing the specific traffic to all pods in this namespace)"
    yield "Spec:"
    yield f"  PodSelector: {'    '}{chosen}{everyone if chosen == '<none>' else ''}"
    for side, peer, towards in (("ingress", "from", "source"), ("egress", "to", "destination")):
        if side.title() in types:
            yield f"  Allowing {side} traffic:"
            yield from _policy_rules(spec.get(side) or [], side, peer, towards)
        else:
            yield f"  Not affecting {side} traffic"
    yield f"  Policy Types: {', '.join(types)}"


def _policy_rules(rules: list[Mapping[str, Any]], side: str, peer: str, towards: str) -> Lines:
    if not rules:
        yield f"    <none> (Selected pods are isolated for {side} connectivity)"
    for i, rule in enumerate(rules):
        if not rule.get("ports"):
            yield "    To Port: <any> (traffic allowed to all ports)"
        for port in rule.get("ports") or ():
            number, last = port.get("port", "<nil>"), port.get("endPort")
            extent = f" Range: {number}-{last}" if last else f": {number}"
            yield f"    To Port{extent}/{port.get('protocol', 'TCP')}"
        if not rule.get(peer):
            yield f"    {peer.title()}: <any> (traffic not restricted by {towards})"
        for found in rule.get(peer) or ():
            yield f"    {peer.title()}:"
            for title in ("namespaceSelector", "podSelector"):
                if found.get(title) is not None:
                    yield f"      {title[0].upper()}{title[1:]}: {selector_text(found[title])}"
            if block := found.get("ipBlock"):
                yield from (
                    "      IPBlock:",
                    f"        CIDR: {block['cidr']}",
                    f"        Except: {', '.join(block.get('except') or ())}",
                )
        if i < len(rules) - 1:
            yield "    ----------"


def ingress_rules(plane: Any, ingress: Object) -> Lines:
    spec = ingress.get("spec") or {}
    default = _backend(plane, ingress, spec["defaultBackend"]) if spec.get("defaultBackend") else ""
    yield f"Default backend:\t{default or '<default>'}"
    if spec.get("tls"):
        yield "TLS:"
    for tls in spec.get("tls") or ():
        hosts = ",".join(tls.get("hosts") or ())
        yield f"  {tls['secretName']} terminates {hosts}" if tls.get("secretName") else f"  SNI routes {hosts}"
    yield from ("Rules:", "  Host\tPath\tBackends", "  ----\t----\t--------")
    paths = 0
    for rule in spec.get("rules") or ():
        if rule.get("http") is None:
            continue
        yield f"  {rule.get('host') or '*'}\t"
        for path in rule["http"].get("paths") or ():
            paths += 1
            yield f"    \t{path.get('path', '')} \t{_backend(plane, ingress, path['backend'])}"
    if not paths:
        yield f"  *\t*\t{default or '<default>'}"


def _backend(plane: Any, ingress: Object, backend: Mapping[str, Any]) -> str:
    """``my-service:80 (10.244.1.2:8080)``: a backend and its endpoints, or why it has none."""
    if (resource := backend.get("resource")) is not None:
        return f"APIGroup: {resource.get('apiGroup', '<none>')}, Kind: {resource['kind']}, Name: {resource['name']}"
    name, port = at(backend, ".service.name"), at(backend, ".service.port") or {}
    said = f"{name}:{port.get('number') or port.get('name', '')}"
    service = plane.store.get("Service", ingress["metadata"]["namespace"], name)
    if service is None:
        return f'{said} (<error: services "{name}" not found>)'
    ports = at(service, ".spec.ports") or ()
    names = [
        p.get("name") or "" for p in ports if port.get("number") == p["port"] or port.get("name", "-") == p.get("name")
    ]
    return f"{said} ({_endpoints(plane, service, names[-1] if names else '')})"


def parameters(plane: Any, obj: Object) -> Lines:
    found = at(obj, ".spec.parameters")
    if found:
        yield "Parameters:"
        yield from (
            f"  {title}:\t{found[f]}"
            for title, f in (("APIGroup", "apiGroup"), ("Kind", "kind"), ("Name", "name"))
            if f in found
        )


# nodes, namespaces, data


def node_lines(plane: Any, node: Object) -> Lines:
    titles = ("Type", "Status", "LastHeartbeatTime", "LastTransitionTime", "Reason", "Message")
    yield "Conditions:"
    yield "  " + "\t".join(titles)
    yield "  " + "\t".join("-" * len(t) for t in titles)
    for c in at(node, ".status.conditions") or ():
        times = f"{date(c.get('lastHeartbeatTime'))} \t{date(c.get('lastTransitionTime'))}"
        yield f"  {c['type']} \t{c['status']} \t{times} \t{c.get('reason', '')} \t{c.get('message', '')}"
    yield "Addresses:"
    yield from (f"  {a['type']}:\t{a['address']}" for a in at(node, ".status.addresses") or ())
    for title in ("capacity", "allocatable"):
        if at(node, f".status.{title}"):
            yield f"{title.title()}:"
            yield from (f"  {k}:\t{v}" for k, v in sorted(node["status"][title].items()))
    info = at(node, ".status.nodeInfo") or {}
    yield "System Info:"
    for field in ("machineID", "systemUUID", "bootID", "kernelVersion", "osImage", "operatingSystem", "architecture",
                  "containerRuntimeVersion", "kubeletVersion"):  # fmt: skip
        yield f"  {re.sub('(?<=[a-z])(?=[A-Z])', ' ', field[0].upper() + field[1:]).replace('Os ', 'OS ')}:\t{info.get(field, '')}"


def node_pods(plane: Any, node: Object) -> Lines:
    pods = [
        p
        for p in plane.store.by("node", node["metadata"]["name"])
        if at(p, ".status.phase") not in ("Succeeded", "Failed")
    ]
    yield f"Non-terminated Pods:\t({len(pods)} in total)"
    yield from ("  Namespace\tName\t\tAge", "  ---------\t----\t\t---")
    for pod in sorted(pods, key=lambda p: (p["metadata"]["namespace"], p["metadata"]["name"])):
        yield f"  {pod['metadata']['namespace']}\t{pod['metadata']['name']}\t\t{cell('age', pod, plane.now)}"


def no_quota(plane: Any, obj: Object) -> Lines:
    yield from ("", "No resource quota.", "", "No LimitRange resource.")


def config_data(plane: Any, obj: Object) -> Lines:
    yield from ("", "Data", "====")
    for key, value in sorted((obj.get("data") or {}).items()):
        yield from (f"{key}:", "----", *value.split("\n"), "")
    yield from ("", "BinaryData", "====", "")


def secret_data(plane: Any, obj: Object) -> Lines:
    yield from ("", f"Type:\t{obj.get('type', 'Opaque')}", "", "Data", "====")
    yield from (f"{k}:\t{len(base64.b64decode(v))} bytes" for k, v in sorted((obj.get("data") or {}).items()))


# custom resources


def fields(plane: Any, obj: Object) -> Lines:
    shown = {k: v for k, v in obj["metadata"].items() if k not in ("name", "namespace", "labels", "annotations")}
    yield from _fields({**obj, "metadata": shown}, "")


def _fields(content: Mapping[str, Any], indent: str) -> Lines:
    for field, value in sorted(content.items()):
        label = _title(field)
        if isinstance(value, (dict, list)):
            yield f"{indent}{label}:"
            for child in value if isinstance(value, list) else [value]:
                yield from _fields(child, indent + "  ") if isinstance(child, dict) else (f"{indent}  {child}",)
        else:
            yield f"{indent}{label}:\t{str(value).lower() if isinstance(value, bool) else value}"


def _title(field: str) -> str:
    """``parentRefs`` as ``Parent Refs``; a name with other signs than letters stays as it is."""
    if not re.fullmatch(r"[A-Za-z-]+", field):
        return field
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|-", field)
    return " ".join(w.upper() if w.upper() in ("API", "URL", "UID") else w[0].upper() + w[1:] for w in words)


PARTS: dict[str, Callable[[Any, Object], Lines]] = {
    f.__name__: f
    for f in (
        events, pod_ips, pod_containers, pod_conditions, volumes, pod_template, pods_status, deployment_conditions,
        replica_sets, service_port_lines, subsets, slice_lines, policy_spec, ingress_rules, parameters, node_lines, node_pods,
        no_quota, config_data, secret_data, fields,
    )
}  # fmt: skip
