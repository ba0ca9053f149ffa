"""The API server: takes objects in, keeps them in the store, or refuses them in its own words.

The order of its decisions: decoding, namespace, defaults, admission, allocation, validation, name taken.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from k8snet.controlplane import admission, lifecycle, patching
from k8snet.controlplane.metadata import annotations_of, going, labels_of
from k8snet.controlplane.store import key_of
from k8snet.manifests import decode, defaults, selectors, validation
from k8snet.manifests.errors import ApiError
from k8snet.manifests.kinds import KINDS, Kind, Object, Ref
from k8snet.manifests.selectors import Selector

if TYPE_CHECKING:
    from k8snet.controlplane.plane import ControlPlane


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
            raise _not_found(KINDS[kind], name)
        return found

    def list(
        self, kind: str, namespace: str | None = None, selector: Selector | str = "", fields: str | None = None
    ) -> list[Object]:
        """All objects of a kind by namespace and name, of one *namespace* or of all, those that a label selector and a
        field selector (``status.phase=Running,spec.nodeName!=node-1``) let through."""
        if kind == "Event":
            found = [e for e in self._plane.events.all() if namespace in (None, e["metadata"]["namespace"])]
        else:
            found = sorted(self._plane.store.all(kind, namespace if KINDS[kind].namespaced else None), key=key_of)
        if selector:
            selector = selectors.parse(selector) if isinstance(selector, str) else selector
            found = [o for o in found if selector.matches(labels_of(o))]
        return [o for o in found if _fields_match(o, fields)] if fields else found

    def events_for(self, r: Ref) -> Sequence[Object]:
        """Events about one object, in the order in which they first came."""
        obj = self._plane.store.at((r.kind, r.namespace, r.name))
        return self._plane.events.about(obj) if obj else []

    # writing

    def create(self, obj: Object, dry_run: bool = False, checked: bool = False) -> Object:
        """Store a new object; one that is decoded, filled in and known to be good (*checked*) is taken as it is. Raises
        ApiError (BadRequest, NotFound, Forbidden, Invalid, AlreadyExists)."""
        new = self._admitted(obj, None, checked)
        if self._plane.store.at(key_of(new)) is not None:
            kind, name = KINDS[new["kind"]], new["metadata"]["name"]
            raise ApiError(409, "AlreadyExists", f'{kind.resource} "{name}" already exists')
        return self._stored(new, dry_run)

    def replace(self, obj: Object, dry_run: bool = False) -> Object:
        """Put *obj* in the place of the stored object of its name. Raises ApiError NotFound, Conflict if *obj* carries
        another resourceVersion than the stored one."""
        old = self.get(*key_of(obj))
        if obj["metadata"].get("resourceVersion") not in (None, old["metadata"].get("resourceVersion")):
            whom = f'{KINDS[obj["kind"]].resource} "{obj["metadata"]["name"]}"'
            text = "the object has been modified; please apply your changes to the latest version and try again"
            raise ApiError(409, "Conflict", f"Operation cannot be fulfilled on {whom}: {text}")
        return self._stored(self._admitted(obj, old), dry_run)

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
        merged = patching.json_merge(old, patch)
        if subresource == "status":
            return self._stored({**old, "status": merged.get("status") or {}}, dry_run)
        return self._stored(self._admitted(merged, old), dry_run)

    def apply(self, obj: Object, dry_run: bool = False) -> Applied:
        """``kubectl apply``: create it, or change what differs from the manifest, and take away what the manifest
        applied before had and this one has not."""
        known = KINDS.get(obj["kind"])
        if known is None or known.namespaced:
            obj = {**obj, "metadata": {"namespace": "default", **obj["metadata"]}}
        wanted = patching.with_last_applied(obj)
        old, warnings = self._plane.store.at(key_of(wanted)), tuple(decode.warnings(obj))
        if old is None:
            return Applied("created", self.create(wanted, dry_run), warnings)
        last = annotations_of(old).get(patching.LAST_APPLIED)
        if last is None:
            whom = f"{KINDS[obj['kind']].plural}/{old['metadata']['name']}"
            warnings += (_NOT_APPLIED.format(whom=whom, annotation=patching.LAST_APPLIED),)
        merged = patching.three_way(json.loads(last or "{}"), old, wanted)
        if merged == old:
            return Applied("unchanged", old, warnings)
        try:
            new = self._admitted(merged, old)
        except ApiError as error:
            difference = patching.difference(old, merged)
            raise patching.refuse(error, difference) if error.status.code == 400 else error from None
        return Applied("configured", self._stored(new, dry_run), warnings)

    def delete(self, kind: str, namespace: str, name: str, grace: float | None = None, dry_run: bool = False) -> Object:
        """Delete an object. A Pod on a node is given *grace* seconds (its own period if None; 0 removes it at once), a
        Namespace goes when all in it is gone; what the object owned goes after it (background cascade). Raises ApiError
        NotFound, and Forbidden for the namespaces that a cluster cannot be without."""
        old = self.get(kind, namespace, name)
        if kind == "Namespace" and name in ("default", "kube-system", "kube-public"):
            raise ApiError(403, "Forbidden", f'namespaces "{name}" is forbidden: this namespace may not be deleted')
        if not dry_run:
            lifecycle.delete(self._plane.store, old, grace)
        return old

    # what the server does to an object on its way in

    def _admitted(self, obj: Object, old: Object | None, checked: bool = False) -> Object:
        new = obj if checked else decode.strict(obj)
        if old is None and KINDS[new["kind"]].namespaced:
            self._check_namespace(new)
        filled = new if checked else defaults.fill(new)
        new = admission.admit(self._plane.store, self._plane.settings, filled, old)
        if found := [] if checked else validation.errors(new, old):
            raise validation.refuse(new, found)
        return new

    def _check_namespace(self, obj: Object) -> None:
        name = obj["metadata"].get("namespace") or "default"
        found = self._plane.store.get("Namespace", "", name)
        if found is None and not self._plane.settings.loaded:
            raise _not_found(KINDS["Namespace"], name)
        if found is not None and going(found):
            whom = f'{KINDS[obj["kind"]].resource} "{obj["metadata"].get("name", "")}"'
            text = f"unable to create new content in namespace {name} because it is being terminated"
            raise ApiError(403, "Forbidden", f"{whom} is forbidden: {text}")

    def _stored(self, new: Object, dry_run: bool) -> Object:
        if dry_run:
            return new
        stored = self._plane.store.put(new)
        if going(stored) and not stored["metadata"].get("finalizers") and stored["kind"] not in ("Pod", "Namespace"):
            self._plane.store.remove(key_of(stored))
        return stored


_NOT_APPLIED = (
    "resource {whom} is missing the {annotation} annotation which is required by kubectl apply. kubectl apply should "
    "only be used on resources created declaratively by either kubectl create --save-config or kubectl apply. The "
    "missing annotation will be patched automatically."
)


def _not_found(kind: Kind, name: str) -> ApiError:
    return ApiError(404, "NotFound", f'{kind.resource} "{name}" not found')


# Field selectors that the API server takes, besides metadata.name and metadata.namespace.
FIELDS = {
    "Pod": "spec.nodeName spec.restartPolicy spec.schedulerName spec.serviceAccountName spec.hostNetwork status.phase "
    "status.podIP status.nominatedNodeName",
    "Event": "involvedObject.kind involvedObject.namespace involvedObject.name involvedObject.uid reason type",
    "Namespace": "status.phase",
    "Node": "spec.unschedulable",
    "Service": "spec.clusterIP spec.type",
    "Secret": "type",
}


def _fields_match(obj: Object, text: str) -> bool:
    for term in filter(None, text.split(",")):
        left, equals, value = term.partition("=")
        field = left.rstrip("!")
        if not equals:
            raise ApiError(400, "BadRequest", f"invalid selector: '{text}'; can't understand '{term}'")
        if field not in f"metadata.name metadata.namespace {FIELDS.get(obj['kind'], '')}".split():
            raise ApiError(400, "BadRequest", f"field label not supported: {field}")
        found: Any = obj
        for part in field.split("."):
            found = (found or {}).get(part)
        actual = str(found).lower() if isinstance(found, bool) else str(found or "")
        if (actual == value.lstrip("=")) is left.endswith("!"):
            return False
    return True
