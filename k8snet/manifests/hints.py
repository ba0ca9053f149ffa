"""What was probably meant: a hint in plain words for the mistakes that people make most, never part of the real message.

Hints are found from the message alone (and, for a value, from the object): one table of patterns, and a few functions
where a neighbouring name has to be looked up.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from k8snet.manifests.errors import ApiError, FieldError, KubernetesError
from k8snet.manifests.kinds import KINDS, Object
from k8snet.manifests.schema import Type, structs

_NOT_SIMULATED = frozenset(
    (
        *("ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding", "Job", "CronJob"),
        *(
            "HorizontalPodAutoscaler",
            "PodDisruptionBudget",
            "PersistentVolume",
            "PersistentVolumeClaim",
            "StorageClass",
        ),
        *("LimitRange", "ResourceQuota", "PriorityClass", "ReplicationController", "CustomResourceDefinition"),
        *("GRPCRoute", "TCPRoute", "TLSRoute", "AdminNetworkPolicy", "ClusterNetworkPolicy"),
    )
)

# Fields that people write where another one belongs: (struct, field) -> what to write.
_ELSEWHERE: Mapping[tuple[str, str], str] = {
    (
        "ServicePort",
        "containerPort",
    ): "A Service's port goes to the Pod's port by targetPort; containerPort belongs to containers.",
    (
        "ServicePort",
        "hostPort",
    ): "hostPort belongs to containers; a Service that is open on every node has type NodePort.",
    ("ContainerPort", "port"): "A container's port is called containerPort.",
    ("ContainerPort", "targetPort"): "A container's port is called containerPort; targetPort belongs to Services.",
    ("NetworkPolicyIngressRule", "to"): "An ingress rule says from; to belongs to egress rules.",
    ("NetworkPolicyEgressRule", "from"): "An egress rule says to; from belongs to ingress rules.",
    ("IngressBackend", "serviceName"): "That is the old form; now it is service: {name: …, port: {number: …}}.",
    ("IngressBackend", "servicePort"): "That is the old form; now it is service: {name: …, port: {number: …}}.",
    ("EndpointSlice", "spec"): "An EndpointSlice has no spec: addressType, endpoints and ports stand beside metadata.",
    ("Endpoints", "spec"): "Endpoints have no spec: subsets stands beside metadata.",
    ("ConfigMap", "spec"): "A ConfigMap has no spec: data stands beside metadata.",
    ("Secret", "spec"): "A Secret has no spec: data or stringData stands beside metadata.",
    ("NetworkPolicyPeer", "cidr"): "cidr stands one level deeper, under ipBlock.",
}

# What a message says -> what it means. Groups of the pattern may be used in the text.
_MEANINGS: Sequence[tuple[str, str]] = (
    (r"spec\.ports\[\d+\]\.name: Required", "A Service with more than one port needs a name for each of them."),
    (r"range of valid ports is (\S+)", r"Choose a nodePort between \1, or leave nodePort out and be given a free one."),
    (r"provided port is already", "Another Service has this nodePort, whatever its namespace and protocol. Leave nodePort out to be given a free one."),
    (r"provided IP is already", "Another Service has this address. Leave clusterIP out to be given a free one."),
    (r"does not match the current range", "A cluster IP has to come from the cluster's Service range; leave clusterIP out to be given one."),
    (r'[pP]ort: Invalid value: "(\d+)"', r"A number in quotes is taken for a port's name: write \1 without quotes."),
    (r"must contain at least one letter", "The name of a port needs a letter, as in http or p80."),
    (r'"[Hh]eadless": supported', "clusterIP: None makes a Service headless; its type stays ClusterIP."),
    (r"a valid label must be", "Label values are letters, digits, dashes, underscores and dots, without spaces."),
    (r"must be between 1 and 65535", "Port numbers go from 1 to 65535."),
    (r'"([\d.]+)": must be a valid CIDR', r"A block needs a prefix length: \1/32 is this one address."),
    (r"bits set beyond the prefix", "The address has to be the first one of its block: 10.1.2.0/24, not 10.1.2.3/24."),
    (r"strict subset of `cidr`", "except takes a part out of cidr, so it has to lie inside it and be smaller."),
    (r"must specify a peer", "An empty item is no peer. To let everybody in, leave from (or to) out of the rule."),
    (r"may not specify both ipBlock", "One item is either an ipBlock or selectors: begin a second item with a dash."),
    (r"pathType: Required", "Write pathType: Prefix (or Exact, or ImplementationSpecific): it has no default."),
    (r"must be an absolute path", "A path begins with a slash."),
    (r"port name or number is required", "The backend needs port: {number: …} or port: {name: …}, the Service's port."),
    (r"`selector` does not match", "The Pods of the template have to carry every label of the selector, or their owner would not find them."),
    (r"spec\.ports: Required", "Only a headless Service (clusterIP: None) may do without ports."),
    (r"spec\.selector: Required", "It needs a selector with matchLabels that the template's labels meet."),
    (r"pod updates may not", "A Pod can hardly be changed: delete it and create it again, or let a Deployment do that."),
    (r"may not change once set|field is immutable", "This is settled when the object is created: delete it and create it again."),
    (r"must not contain dots|RFC 1123", "Names are made of lower-case letters, digits and dashes: no capitals, underscores or spaces."),
    (r"volumeMounts.*Not found", "A volume of this name has to be listed under volumes."),
    (r"containers: Required", "A Pod needs at least one container, as a list: - name: …"),
    (r"may not be used when `type` is 'ClusterIP'", "nodePort needs type: NodePort or LoadBalancer."),
    (r"only be set for externally-accessible", "externalTrafficPolicy needs type: NodePort or LoadBalancer."),
    (r"namespaces \"(.*?)\" not found", r"Create the namespace first: kubectl create namespace \1"),
)  # fmt: skip

_YAML: Sequence[tuple[str, str]] = (
    (r"\t", "There is a tab: YAML is indented with spaces only."),
    (r":\s*[*@`%]", "A value that begins with this character has to stand in quotes."),
)
_YAML_TEXTS: Sequence[tuple[str, str]] = (
    (r"invalid map key", "Braces of a template have to be filled in first, or the value put in quotes."),
    (r"cannot start any token|violates indentation", "Look for a tab: YAML is indented with spaces only."),
    (r"mapping values are not allowed", "Look for a key that stands too far right, a second colon, or a colon without a space before its value."),
    (r"expected key", "Keys of one map begin in one column, and a list item does not stand among them: look one line up too."),
    (r"'-' indicator", "All items of a list begin with a dash, in one column."),
    (r"could not find expected ':'", "A key is missing its colon."),
    (r"end of stream", "A quote was opened and not closed."),
    (r"expected ',' or", "A bracket was opened and not closed."),
    (r"sequence entries", "A list begins on a line of its own, below its key."),
    (r"alphanumeric|alphabetic or numeric", "A value that begins with * has to stand in quotes."),
)  # fmt: skip


def hint(error: KubernetesError | FieldError, obj: Object | None = None) -> str:
    """What was probably meant, in a sentence or two; empty if there is nothing to add.

    *error* is a whole refusal or one of its field errors, *obj* the object as it was written.
    """
    if isinstance(error, ApiError) and error.status.causes:
        return _joined(hint(cause, obj) for cause in error.status.causes)
    text = str(error)
    if "strict decoding error" in text:
        kind = text.partition(" ")[0]
        return _joined(_unknown_field(kind, path) for path in re.findall(r'unknown field "(.*?)"', text))
    if found := re.search(r"cannot unmarshal (\w+).* field \w+\.(\S+) of type (\S+)", text):
        return _wrong_type(found[1], found[2], found[3], obj or {})
    found = re.search(r'Unsupported value: "(.*?)": supported values: (.*)', text)
    if found and (near := _nearest(found[1], re.findall(r'"(.*?)"', found[2]))):
        return f"Write {near}: capitals matter." if near.lower() == found[1].lower() else f"Did you mean {near}?"
    return next((m.expand(meaning) for pattern, meaning in _MEANINGS if (m := re.search(pattern, text))), "")


def yaml_hint(text: str, line: int, at: Sequence[str]) -> str:
    """For text that is no YAML: *line* counts as an editor does (0: unknown), *at* holds the text of that line."""
    found = [meaning for pattern, meaning in _YAML for shown in at if re.search(pattern, shown)]
    found += [meaning for pattern, meaning in _YAML_TEXTS if re.search(pattern, text)]
    return (f"Line {line} of the text. " if line else "") + (found[0] if found else "")


def unset_hint(value: Any) -> str:
    """For a document without apiVersion or kind, or one that is no map."""
    if not isinstance(value, dict):
        return "Every document is a map that begins with apiVersion and kind."
    kind = KINDS.get(str(value.get("kind")))
    if kind is not None and "apiVersion" not in value:
        return f"Write apiVersion: {kind.api_version}"
    near = _joined(
        f"Write {word}: capitals matter."
        for word in ("apiVersion", "kind")
        if word not in value and _nearest(word, value)
    )
    return near or "Every document says first what it is: apiVersion and kind."


def kind_hint(api_version: str, kind: str) -> str:
    """For a kind, or a version of it, that there is not."""
    if kind in KINDS:
        return f"{kind} is of apiVersion: {KINDS[kind].api_version}"
    if kind in _NOT_SIMULATED:
        return f"A real cluster knows {kind}; this simulator does not, since networking does not need it."
    near = _nearest(kind, KINDS)
    return f"Did you mean kind: {near} (apiVersion: {KINDS[near].api_version})?" if near else ""


def _joined(sentences: Iterable[str]) -> str:
    return " ".join(dict.fromkeys(s for s in sentences if s))


def _nearest(word: str, words: Iterable[str]) -> str:
    """The word that was meant: the same but for capitals, or else nearly the same."""
    lower = {str(w).lower(): str(w) for w in words}
    found = difflib.get_close_matches(word.lower(), lower, 1, 0.7)
    return lower[found[0]] if found else ""


def _unknown_field(kind: str, path: str) -> str:
    parent, _, field = path.rpartition(".")
    struct = _struct_at(kind, parent)
    while struct is None and parent:  # keys such as app.kubernetes.io/name have dots of their own
        parent = parent.rpartition(".")[0]
        struct, field = _struct_at(kind, parent), path.removeprefix(parent).lstrip(".")
    if struct is None:
        return ""
    if (struct, field) in _ELSEWHERE:
        return _ELSEWHERE[struct, field]
    here = structs()[struct]
    if near := _nearest(field, here):
        return f"{field}: did you mean {near}?" if near.lower() != field.lower() else f"Write {near}: capitals matter."
    if struct == "LabelSelector":
        return "Labels of a selector stand one level deeper, under matchLabels."
    for place in ("metadata", "spec"):
        inner = here.get(place) if struct == kind else structs()[kind].get(place)
        if inner is not None and inner.struct != struct and field in structs()[inner.struct]:
            return f"{field} belongs under {place}."
    below = _path_down(here, field)
    return f"{field} stands deeper, under {below}." if below else ""


def _path_down(here: Mapping[str, Type], field: str, depth: int = 2) -> str:
    """Where a field stands below the struct in which it was written, at most *depth* levels down."""
    for name, wanted in here.items():
        if field in _fields(wanted):
            return name
    paths = ((name, _path_down(_fields(t), field, depth - 1)) for name, t in here.items() if depth > 1)
    return next((f"{name}.{path}" for name, path in paths if path), "")


def _fields(wanted: Type) -> Mapping[str, Type]:
    inner = wanted.item if wanted.base == "list" and wanted.item else wanted
    return structs().get(inner.struct, {})


def _struct_at(kind: str, path: str) -> str | None:
    """The struct that stands at a path with indexes; None if there is none."""
    struct = kind if kind in structs() else None
    for step in re.findall(r"[^.\[\]]+(?=[.\[]|$)", re.sub(r"\[\d+\]", "", path)):
        wanted = structs()[struct].get(step) if struct else None
        inner = wanted.item if wanted is not None and wanted.base == "list" else wanted
        struct = inner.struct if inner is not None and inner.base == "struct" else None
    return struct


def _wrong_type(found: str, path: str, wanted: str, obj: Object) -> str:
    field, value = path.rpartition(".")[2], _first(obj, path.split("."))
    if found == "object" and field == "selector":
        return "A Service's selector holds the labels themselves, without matchLabels."
    if wanted == "[]uint8":
        return f"The values of {field} are text in base64; plain text goes into stringData."
    if wanted.startswith("[]"):
        return f"{field} is a list: its items begin with a dash."
    if found == "array":
        return f"{field} is no list: take the dash away."
    if wanted.startswith("map["):
        return f"{field} is a map of names and values."
    if wanted.removeprefix("v1.") in structs():
        return f"{field} holds fields of its own, on lines below it, further to the right."
    if wanted in ("int32", "int64"):
        shown = value if isinstance(value, str) and value.isdigit() else "80"
        return f"{field} is a number: without quotes and fractions, {field}: {shown}"
    if wanted == "bool":
        return f"{field} is true or false, without quotes."
    if found == "object":
        return f"{field} holds text, no further fields: look at the indentation of the lines below it."
    if isinstance(value, bool | int | float):
        return f'{field} is text: put the value in quotes, as in "{str(value).lower()}"'
    return f"{field} holds text: put numbers and words such as true in quotes."


def _first(value: Any, path: Sequence[str]) -> Any:
    """The first value at a path without indexes."""
    if isinstance(value, list):
        return next((v for item in value if (v := _first(item, path)) is not None), None)
    if not path:
        return value
    return _first(value.get(path[0]), path[1:]) if isinstance(value, dict) else None
