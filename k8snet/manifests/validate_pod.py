"""Rules for Pods and for the Pod part of workloads (pkg/apis/core/validation, ValidatePodSpec, ValidatePodUpdate)."""

from __future__ import annotations

from typing import Any

from k8snet.manifests import names, validate_meta
from k8snet.manifests.field_errors import (
    Errors,
    duplicate,
    forbidden,
    invalid,
    one_of,
    required,
    unsupported,
)
from k8snet.manifests.kinds import Object
from k8snet.manifests.validate_containers import containers, resources, volumes

_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_MAY_CHANGE = (
    "`spec.containers[*].image`",
    "`spec.initContainers[*].image`",
    "`spec.activeDeadlineSeconds`",
    "`spec.tolerations` (only additions to existing tolerations)",
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
)


def pod(obj: Object, old: Object | None) -> Errors:
    """All rules, in the server's order."""
    if old is not None:
        yield from validate_meta.on_update(obj)
    yield from validate_meta.on_create(obj, names.dns_subdomain)
    spec, before = obj["spec"], (old or {}).get("spec", {})
    yield from pod_spec("spec", spec, before, is_pod=True)
    for group in ("containers", "initContainers"):
        for i, container in enumerate(spec.get(group, ())):
            image = container.get("image", "")
            if image != image.strip():
                detail = "must not have leading or trailing whitespace"
                yield from invalid(f"spec.{group}[{i}].image", image, detail)
    if old is not None:
        yield from _update(spec, before)


def pod_spec(path: str, spec: Object, old: Object, is_pod: bool) -> Errors:
    """The spec of a Pod (*is_pod*) or of a template; addresses that *old* had stay allowed."""
    mountable, volume_errors = volumes(f"{path}.volumes", spec.get("volumes", ()))
    for problems in volume_errors:
        yield from problems
    for group in ("containers", "initContainers", "ephemeralContainers"):
        yield from containers(path, spec, group, mountable)
    yield from resources(f"{path}.resources", spec.get("resources", {}))
    if spec.get("hostNetwork"):
        yield from _host_network(path, spec, is_pod)
    yield from one_of(f"{path}.restartPolicy", spec.get("restartPolicy"), ("Always", "OnFailure", "Never"))
    yield from one_of(f"{path}.dnsPolicy", spec.get("dnsPolicy"), _DNS_POLICIES)
    yield from validate_meta.labels(f"{path}.nodeSelector", spec.get("nodeSelector"))
    yield from _affinity(f"{path}.affinity", spec.get("affinity", {}))
    yield from _dns_config(f"{path}.dnsConfig", spec, old.get("dnsConfig", {}))
    for i, gate in enumerate(spec.get("readinessGates", ())):
        kind = gate.get("conditionType", "")
        yield from invalid(f"{path}.readinessGates[{i}].conditionType", kind, *names.label_key(kind))
    yield from _scheduling_gates(f"{path}.schedulingGates", spec.get("schedulingGates", ()))
    yield from _spread(f"{path}.topologySpreadConstraints", spec.get("topologySpreadConstraints", ()))
    for field, rule in (("serviceAccountName", names.dns_subdomain), ("nodeName", names.dns_subdomain)):
        if value := spec.get(field):
            yield from invalid(f"{path}.{field}", value, *rule(value))
    seconds = spec.get("activeDeadlineSeconds")
    if seconds is not None and not 1 <= seconds < 2**31:
        yield from invalid(f"{path}.activeDeadlineSeconds", seconds, "must be between 1 and 2147483647, inclusive")
    for field in ("hostname", "subdomain"):
        if value := spec.get(field):
            yield from invalid(f"{path}.{field}", value, *names.dns_label(value))
    yield from _tolerations(f"{path}.tolerations", spec.get("tolerations", ()))
    kept = {alias.get("ip") for alias in old.get("hostAliases", ())}
    for i, alias in enumerate(spec.get("hostAliases", ())):
        here, ip = f"{path}.hostAliases[{i}]", alias.get("ip", "")
        yield from invalid(f"{here}.ip", ip, *(names.ip(ip) if ip not in kept else ()))
        for n, name in enumerate(alias.get("hostnames", ())):
            yield from invalid(f"{here}.hostnames[{n}]", name, *names.dns_subdomain(name))
    for field in ("priorityClassName", "runtimeClassName"):
        value = spec.get(field)
        if value is not None:
            yield from invalid(f"{path}.{field}", value, *names.dns_subdomain(value))
    if "preemptionPolicy" in spec:
        yield from one_of(f"{path}.preemptionPolicy", spec["preemptionPolicy"], ("PreemptLowerPriority", "Never"))
    if "os" in spec:
        yield from _os(f"{path}.os", spec["os"].get("name", ""))


def _os(path: str, name: str) -> Errors:
    if not name:
        yield from required(f"{path}.name", "cannot be empty")
    elif name not in ("linux", "windows"):
        yield from unsupported(path, name, ("linux", "windows"))


def _host_network(path: str, spec: Object, is_pod: bool) -> Errors:
    for i, container in enumerate(spec.get("containers", ())):
        for n, port in enumerate(container.get("ports", ())):
            host = port.get("hostPort", 0)
            if (is_pod or host) and host != port.get("containerPort", 0):
                detail = "must match `containerPort` when `hostNetwork` is true"
                yield from invalid(f"{path}.containers[{i}].ports[{n}].hostPort", host, detail)


def _dns_config(path: str, spec: Object, old: Object) -> Errors:
    config = spec.get("dnsConfig")
    servers, searches = (config or {}).get("nameservers", []), (config or {}).get("searches", [])
    if spec.get("dnsPolicy") == "None" and config is None:
        yield from required(path, "must provide `dnsConfig` when `dnsPolicy` is None")
        return
    if spec.get("dnsPolicy") == "None" and not servers:
        detail = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        yield from required(f"{path}.nameservers", detail)
        return
    if len(servers) > 3:
        yield from invalid(f"{path}.nameservers", servers, "must not have more than 3 nameservers")
    for i, server in enumerate(servers):
        if server not in old.get("nameservers", ()):
            yield from invalid(f"{path}.nameservers[{i}]", server, *names.ip(server))
    if len(searches) > 32:
        yield from invalid(f"{path}.searches", searches, "must not have more than 32 search paths")
    if len(" ".join(searches).encode()) > 2048:
        detail = "must not have more than 2048 characters (including spaces) in the search list"
        yield from invalid(f"{path}.searches", searches, detail)
    for i, search in enumerate(searches):
        shown = search if search == "." else search.removesuffix(".")
        yield from invalid(f"{path}.searches[{i}]", shown, *names.dns_search(search))
    for i, option in enumerate((config or {}).get("options", ())):
        if not option.get("name"):
            yield from required(f"{path}.options[{i}]", "must not be empty")


def _scheduling_gates(path: str, gates: Any) -> Errors:
    seen = set()
    for i, gate in enumerate(gates):
        name = gate.get("name", "")
        yield from invalid(f"{path}[{i}]", name, *names.label_key(name))
        if name in seen:
            yield from duplicate(f"{path}[{i}]", name)
        seen.add(name)


def _spread(path: str, constraints: Any) -> Errors:
    for i, constraint in enumerate(constraints):
        here, skew = f"{path}[{i}]", constraint.get("maxSkew", 0)
        if skew <= 0:
            yield from invalid(f"{here}.maxSkew", skew, "must be greater than zero")
        if not constraint.get("topologyKey"):
            yield from required(f"{here}.topologyKey", "can not be empty")
        action = constraint.get("whenUnsatisfiable", "")
        if action not in ("DoNotSchedule", "ScheduleAnyway"):
            yield from unsupported(f"{here}.whenUnsatisfiable", action, ("DoNotSchedule", "ScheduleAnyway"))
        yield from validate_meta.label_selector(f"{here}.labelSelector", constraint.get("labelSelector"))


def _tolerations(path: str, tolerations: Any) -> Errors:
    for i, toleration in enumerate(tolerations):
        here, key, value = f"{path}[{i}]", toleration.get("key", ""), toleration.get("value", "")
        operator, effect = toleration.get("operator", ""), toleration.get("effect", "")
        if key:
            yield from invalid(f"{here}.key", key, *names.label_key(key))
        elif operator != "Exists":
            detail = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            yield from invalid(f"{here}.operator", operator, detail)
        if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
            yield from invalid(f"{here}.effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
        if operator in ("Equal", "") and names.label_value(value):
            yield from invalid(f"{here}.operator", value, ";".join(names.label_value(value)))
        elif operator == "Exists" and value:
            yield from invalid(f"{here}.operator", value, "value must be empty when `operator` is 'Exists'")
        elif operator not in ("Equal", "", "Exists"):
            yield from unsupported(f"{here}.operator", operator, ("Equal", "Exists"))
        if effect:
            yield from one_of(f"{here}.effect", effect, _EFFECTS)


def taints(path: str, listed: Any) -> Errors:
    """The taints of a Node."""
    seen = set()
    for i, taint in enumerate(listed):
        here, key, value = f"{path}[{i}]", taint.get("key", ""), taint.get("value", "")
        yield from invalid(f"{here}.key", key, *names.label_key(key))
        if problems := names.label_value(value):
            yield from invalid(f"{here}.value", value, ";".join(problems))
        yield from one_of(f"{here}.effect", taint.get("effect"), _EFFECTS)
        if (key, taint.get("effect")) in seen:
            yield from duplicate(here, taint, "taints must be unique by key and effect pair")
        seen.add((key, taint.get("effect")))


_REQUIRED, _PREFERRED = (f"{word}DuringSchedulingIgnoredDuringExecution" for word in ("required", "preferred"))


def _affinity(path: str, affinity: Object) -> Errors:
    node = affinity.get("nodeAffinity", {})
    if _REQUIRED in node:
        terms = node[_REQUIRED].get("nodeSelectorTerms", ())
        here = f"{path}.nodeAffinity.{_REQUIRED}.nodeSelectorTerms"
        if not terms:
            yield from required(here, "must have at least one node selector term")
        for i, term in enumerate(terms):
            yield from _node_term(f"{here}[{i}]", term)
    for i, term in enumerate(node.get(_PREFERRED, ())):
        here = f"{path}.nodeAffinity.{_PREFERRED}[{i}]"
        yield from _weight(here, term)
        yield from _node_term(f"{here}.preference", term.get("preference", {}))
    for field in ("podAffinity", "podAntiAffinity"):
        for i, term in enumerate(affinity.get(field, {}).get(_REQUIRED, ())):
            yield from _pod_term(f"{path}.{field}.{_REQUIRED}[{i}]", term)
        for i, term in enumerate(affinity.get(field, {}).get(_PREFERRED, ())):
            here = f"{path}.{field}.{_PREFERRED}[{i}]"
            yield from _weight(here, term)
            yield from _pod_term(f"{here}.podAffinityTerm", term.get("podAffinityTerm", {}))


def _weight(path: str, term: Object) -> Errors:
    if not 1 <= term.get("weight", 0) <= 100:
        yield from invalid(f"{path}.weight", term.get("weight", 0), "must be in the range 1-100")


def _pod_term(path: str, term: Object) -> Errors:
    for field in ("labelSelector", "namespaceSelector"):
        yield from validate_meta.label_selector(f"{path}.{field}", term.get(field))
    for name in term.get("namespaces", ()):
        yield from invalid(f"{path}.namespace", name, *names.dns_label(name))
    if key := term.get("topologyKey"):
        yield from invalid(f"{path}.topologyKey", key, *names.label_key(key))
    else:
        yield from required(f"{path}.topologyKey", "can not be empty")


def _node_term(path: str, term: Object) -> Errors:
    for i, rule in enumerate(term.get("matchExpressions", ())):
        here, values, operator = f"{path}.matchExpressions[{i}]", rule.get("values", ()), rule.get("operator", "")
        if operator in ("In", "NotIn") and not values:
            yield from required(f"{here}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in ("Exists", "DoesNotExist") and values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            yield from forbidden(f"{here}.values", detail)
        elif operator in ("Gt", "Lt") and len(values) != 1:
            detail = "must be specified single value when `operator` is 'Lt' or 'Gt'"
            yield from required(f"{here}.values", detail)
        elif operator not in ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"):
            yield from invalid(f"{here}.operator", operator, "not a valid selector operator")
        key = rule.get("key", "")
        yield from invalid(f"{here}.key", key, *names.label_key(key))


def _update(new: Object, old: Object) -> Errors:
    """Images, the deadline and added tolerations may change; nothing else."""
    for group in ("containers", "initContainers"):
        if len(new.get(group, ())) != len(old.get(group, ())):
            yield from forbidden(f"spec.{group}", "pod updates may not add or remove containers")
            return
    deadline, before = new.get("activeDeadlineSeconds"), old.get("activeDeadlineSeconds")
    path = "spec.activeDeadlineSeconds"
    if deadline is None and before is not None:
        yield from invalid(path, None, "must not update from a positive integer to nil value")
    elif deadline is not None and before is not None and deadline > before:
        yield from invalid(path, deadline, "must be less than or equal to previous value")
        return
    for toleration in old.get("tolerations", ()):
        if _lasting(toleration) not in [_lasting(t) for t in new.get("tolerations", ())]:
            detail = "existing toleration can not be modified except its tolerationSeconds"
            yield from forbidden("spec.tolerations", detail)
            break
    known = {gate.get("name") for gate in old.get("schedulingGates", ())}
    for i, gate in enumerate(new.get("schedulingGates", ())):
        if gate.get("name") not in known:
            detail = f"only deletion is allowed, but found new scheduling gate '{gate.get('name')}'"
            yield from forbidden(f"spec.schedulingGates[{i}].name", detail)
    was, now = _fixed(old, new), _fixed(new, new)
    if was != now:
        difference = [
            f"- {k}: {was.get(k)!r}\n+ {k}: {now.get(k)!r}" for k in sorted({*was, *now}) if was.get(k) != now.get(k)
        ]
        text = f"pod updates may not change fields other than {','.join(_MAY_CHANGE)}\n"
        yield from forbidden("spec", text + "\n".join(difference))


def _lasting(toleration: Object) -> Object:
    return {k: v for k, v in toleration.items() if k != "tolerationSeconds"}


def _fixed(spec: Object, new: Object) -> Object:
    """The part of a spec that no update may change. Where the node a Pod runs on was not chosen yet, it may be."""
    fixed = {k: v for k, v in spec.items() if k not in ("activeDeadlineSeconds", "tolerations", "schedulingGates")}
    if fixed.get("terminationGracePeriodSeconds", 0) < 0 and new.get("terminationGracePeriodSeconds") == 1:
        fixed["terminationGracePeriodSeconds"] = 1
    for group in ("containers", "initContainers"):
        if group in fixed:
            fixed[group] = [{k: v for k, v in c.items() if k != "image"} for c in fixed[group]]
    return fixed
