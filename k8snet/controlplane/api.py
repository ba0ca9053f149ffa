"""The API server: takes objects in, keeps them in the store, or refuses them in its own words.

The order of its decisions: decoding, namespace, defaults, admission, allocation, validation, name taken. ``apply``
is what kubectl does in front of it (a three-way merge with the annotation last-applied-configuration, from kubectl
pkg/cmd/apply and apimachinery strategicpatch).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from k8snet.controlplane import admission, lifecycle
from k8snet.controlplane.store import key_of
from k8snet.manifests import decode, defaults, selectors, validation
from k8snet.manifests.errors import ApiError, FieldError, render
from k8snet.manifests.kinds import KINDS, Kind, Object, Ref
from k8snet.manifests.selectors import Selector

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(frozen=True)
class Applied:
    """What an apply did: ``verb`` is created, configured or unchanged; ``obj`` is the object as stored."""

    verb: str
    obj: Object
    warnings: tuple[str, ...] = ()


class Api:
    """One cluster's API. Every method raises ApiError with the server's message; nothing is stored then."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane

    # reading

    def get(self, kind: str, namespace: str, name: str) -> Object:
        """The stored object. Raises ApiError NotFound."""
        if kind == "Event":
            found = next((e for e in self.list(kind, namespace) if e["metadata"]["name"] == name), None)
        else:
            found = self._plane.store.get(kind, namespace if KINDS[kind].namespaced else "", name)
        if found is None:
            raise not_found(KINDS[kind], name)
        return found

    def list(
        self,
        kind: str,
        namespace: str | None = None,
        selector: Selector | str | None = None,
        fields: str | None = None,
    ) -> list[Object]:
        """All objects of a kind by namespace and name, of one *namespace* or of all, those that a label selector and a
        field selector (``status.phase=Running,spec.nodeName!=node-1``) let through."""
        namespace = namespace if KINDS[kind].namespaced else None
        if kind == "Event":
            found = [e for e in self._plane.events.all() if namespace in (None, e["metadata"]["namespace"])]
        else:
            found = sorted(self._plane.store.all(kind, namespace), key=key_of)
        if isinstance(selector, str):
            selector = selectors.parse(selector)
        if selector is not None:
            found = [o for o in found if selector.matches(o["metadata"].get("labels") or {})]
        return [o for o in found if _fields_match(o, fields)] if fields else found

    def events_for(self, r: Ref) -> Sequence[Object]:
        """Events about one object, in the order in which they first came."""
        obj = self._plane.store.at((r.kind, r.namespace, r.name))
        return self._plane.events.about(obj) if obj else []

    # writing

    def create(self, obj: Object, dry_run: bool = False, checked: bool = False) -> Object:
        """Store a new object; one that is known to be good (*checked*) is not validated. Raises ApiError (BadRequest,
        NotFound, Forbidden, Invalid, AlreadyExists)."""
        new = self._admitted(obj, None, checked)
        if self._plane.store.at(key_of(new)) is not None:
            kind, name = KINDS[new["kind"]], new["metadata"]["name"]
            raise ApiError(409, "AlreadyExists", f'{kind.resource} "{name}" already exists')
        return new if dry_run else self._plane.store.put(new)

    def replace(self, obj: Object, dry_run: bool = False) -> Object:
        """Put *obj* in the place of the stored object of its name. Raises ApiError NotFound, Conflict if *obj* carries
        another resourceVersion than the stored one."""
        kind = KINDS[obj["kind"]]
        old = self.get(kind.kind, obj["metadata"].get("namespace") or "default", obj["metadata"]["name"])
        version = obj["metadata"].get("resourceVersion")
        if version and version != old["metadata"]["resourceVersion"]:
            raise ApiError(
                409,
                "Conflict",
                f'Operation cannot be fulfilled on {kind.resource} "{obj["metadata"]["name"]}": the object has been '
                "modified; please apply your changes to the latest version and try again",
            )
        new = self._admitted(obj, old)
        return new if dry_run else self._update(new)

    def patch(
        self,
        kind: str,
        namespace: str,
        name: str,
        patch: Mapping[str, Any],
        subresource: str = "",
        dry_run: bool = False,
    ) -> Object:
        """Apply a JSON merge patch (null takes a field away). *subresource* ``status`` changes the status and nothing
        else; without it the status is left as it is."""
        old = self.get(kind, namespace, name)
        merged = json_merge(old, patch)
        if subresource == "status":
            new = {**old, "status": merged.get("status") or {}}
        else:
            new = self._admitted(merged, old)
        return new if dry_run else self._update(new)

    def apply(self, obj: Object, dry_run: bool = False) -> Applied:
        """``kubectl apply``: create it, or change what differs from the manifest, and take away what the manifest
        applied before had and this one has not."""
        wanted = _with_last_applied(obj)
        old = self._plane.store.at(key_of(wanted))
        warnings = tuple(decode.warnings(obj))
        if old is None:
            return Applied("created", self.create(wanted, dry_run), warnings)
        known = (old["metadata"].get("annotations") or {}).get(LAST_APPLIED)
        if known is None:
            kind = KINDS[obj["kind"]]
            warnings += (
                f"resource {kind.plural}/{old['metadata']['name']} is missing the {LAST_APPLIED} annotation which is "
                "required by kubectl apply. kubectl apply should only be used on resources created declaratively by "
                "either kubectl create --save-config or kubectl apply. The missing annotation will be patched "
                "automatically.",
            )
        merged = three_way(json.loads(known or "{}"), old, wanted)
        if merged == old:
            return Applied("unchanged", old, warnings)
        try:
            new = self._admitted(merged, old)
        except ApiError as error:
            raise _bad_patch(error, difference(old, merged)) if error.status.code == 400 else error from None
        return Applied("configured", new if dry_run else self._update(new), warnings)

    def delete(self, kind: str, namespace: str, name: str, grace: float | None = None, dry_run: bool = False) -> Object:
        """Delete an object. A Pod on a node is given *grace* seconds (its own period if None; 0 removes it at once), a
        Namespace goes when all in it is gone; what the object owned goes after it (background cascade)."""
        old = self.get(kind, namespace, name)
        admission.check_deletion(old)
        if not dry_run:
            lifecycle.delete(self._plane.store, old, grace)
        return old

    # what the server does to an object on its way in

    def _admitted(self, obj: Object, old: Object | None, checked: bool = False) -> Object:
        plane = self._plane
        new = obj if checked else decode.strict(obj)
        kind = KINDS[new["kind"]]
        if old is None and kind.namespaced:
            self._check_namespace(kind, new)
        new = defaults.fill(new)
        new = admission.admit(plane.store, plane.settings, new, old)
        if found := [] if checked else validation.errors(new, old):
            raise validation.refuse(new, found)
        return new

    def _update(self, new: Object) -> Object:
        stored = self._plane.store.put(new)
        meta = stored["metadata"]
        if meta.get("deletionTimestamp") and not meta.get("finalizers") and stored["kind"] not in ("Pod", "Namespace"):
            self._plane.store.remove(key_of(stored))
        return stored

    def _check_namespace(self, kind: Kind, obj: Object) -> None:
        name = obj["metadata"].get("namespace") or "default"
        found = self._plane.store.get("Namespace", "", name)
        if found is None and not self._plane.settings.loaded:
            raise not_found(KINDS["Namespace"], name)
        if found is not None and found["metadata"].get("deletionTimestamp"):
            raise ApiError(
                403,
                "Forbidden",
                f'{kind.resource} "{obj["metadata"].get("name", "")}" is forbidden: unable to create new content in '
                f"namespace {name} because it is being terminated",
            )


def not_found(kind: Kind, name: str) -> ApiError:
    """``services "web" not found``."""
    return ApiError(404, "NotFound", f'{kind.resource} "{name}" not found')


def _with_last_applied(obj: Object) -> Object:
    """The object with kubectl's annotation that says what was applied."""
    meta = dict(obj["metadata"])
    kind = KINDS.get(obj["kind"])
    if kind is None or kind.namespaced:
        meta.setdefault("namespace", "default")
    annotations = {k: v for k, v in (meta.get("annotations") or {}).items() if k != LAST_APPLIED}
    plain = {**obj, "metadata": {**meta, "annotations": annotations}}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
    return {**plain, "metadata": {**meta, "annotations": {**annotations, LAST_APPLIED: text}}}


# Lists whose items a patch merges by a key, by the last two field names; all other lists are replaced as a whole
# (the patchMergeKey tags of k8s.io/api).
MERGE_KEYS: Mapping[tuple[str, str], str] = {
    ("spec", "ports"): "port",
    ("containers", "ports"): "containerPort",
    ("initContainers", "ports"): "containerPort",
    ("spec", "containers"): "name",
    ("spec", "initContainers"): "name",
    ("spec", "volumes"): "name",
    ("spec", "imagePullSecrets"): "name",
    ("spec", "hostAliases"): "ip",
    ("containers", "env"): "name",
    ("initContainers", "env"): "name",
    ("containers", "volumeMounts"): "mountPath",
    ("initContainers", "volumeMounts"): "mountPath",
}


def three_way(last: Any, live: Any, wanted: Any, path: tuple[str, str] = ("", "")) -> Any:
    """*live* without what *last* had and *wanted* has not, and with what *wanted* has."""
    if isinstance(live, dict) and isinstance(wanted, dict):
        last = last if isinstance(last, dict) else {}
        result = {k: v for k, v in live.items() if k in wanted or k not in last}
        for name, value in wanted.items():
            if value is None:
                result.pop(name, None)
            else:
                result[name] = three_way(last.get(name), result.get(name), value, (path[1], name))
        return result
    key = MERGE_KEYS.get(path)
    if key and isinstance(live, list) and isinstance(wanted, list):
        items = [*live, *wanted, *(last if isinstance(last, list) else [])]
        if all(isinstance(i, dict) and key in i for i in items):
            before = {i[key]: i for i in last or ()}
            stored = {i[key]: i for i in live}
            names = {i[key] for i in wanted}
            merged = [three_way(before.get(i[key]), stored.get(i[key]), i, path) for i in wanted]
            return merged + [i for k, i in stored.items() if k not in names and k not in before]
    return wanted


def difference(old: Object, new: Object) -> Object:
    """The merge patch that makes *new* of *old*."""
    patch: Object = {name: None for name in old if name not in new}
    for name, value in new.items():
        before = old.get(name)
        if before != value:
            patch[name] = difference(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return patch


def _bad_patch(error: ApiError, patch: Object) -> ApiError:
    """What cannot be decoded comes back in other words when it was sent as a patch."""
    reason = error.message.partition(": ")[2]
    if not reason.startswith("strict decoding error"):
        reason = f"unrecognized type: {reason.rpartition(' of type ')[2]}"
    cause = FieldError("patch", "Invalid value", reason, render(_go_text(patch)))
    return ApiError(422, "Invalid", f' "" is invalid: {cause}', [cause])


def _go_text(value: Any) -> str:
    """A value as Go's ``%v`` prints it."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{k}:{_go_text(v)}' for k, v in sorted(value.items()))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(_go_text, value))}]"
    return "<nil>" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def json_merge(target: Any, patch: Any) -> Any:
    """RFC 7386: objects are merged, null takes away, all else replaces."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = json_merge(result.get(name), value)
    return result


# Field selectors that the API server takes, besides metadata.name and metadata.namespace.
FIELDS: Mapping[str, frozenset[str]] = {
    "Pod": frozenset(
        f"spec.{name}" for name in ("nodeName", "restartPolicy", "schedulerName", "serviceAccountName", "hostNetwork")
    )
    | {"status.phase", "status.podIP", "status.nominatedNodeName"},
    "Event": frozenset(
        (
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "reason",
            "type",
        )
    ),
    "Namespace": frozenset(("status.phase",)),
    "Node": frozenset(("spec.unschedulable",)),
    "Service": frozenset(("spec.clusterIP", "spec.type")),
    "Secret": frozenset(("type",)),
}


def _fields_match(obj: Object, text: str) -> bool:
    for term in filter(None, text.split(",")):
        left, equals, value = term.partition("=")
        field = left.rstrip("!")
        if not equals:
            raise ApiError(400, "BadRequest", f"invalid selector: '{text}'; can't understand '{term}'")
        if field not in FIELDS.get(obj["kind"], ()) and field not in ("metadata.name", "metadata.namespace"):
            raise ApiError(400, "BadRequest", f"field label not supported: {field}")
        found: Any = obj
        for part in field.split("."):
            found = (found or {}).get(part)
        actual = str(found).lower() if isinstance(found, bool) else str(found or "")
        if (actual == value.lstrip("=")) is left.endswith("!"):
            return False
    return True
