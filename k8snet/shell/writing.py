"""kubectl commands that change the cluster: apply, create -f, patch, delete, label, annotate, scale, rollout restart.

Facts: k8s.io/kubectl pkg/cmd/{apply,create,patch,delete,label,annotate,scale,rollout}. Where the real one waits (delete),
simulated time passes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import yaml

from k8snet.controlplane.jsonpatch import json_patch
from k8snet.controlplane.patching import json_merge, three_way
from k8snet.controlplane.store import key_of
from k8snet.manifests import decode, hints, names
from k8snet.manifests.errors import ApiError, KubectlError, KubernetesError, render
from k8snet.manifests.kinds import KINDS, Object
from k8snet.shell import printers
from k8snet.shell.call import Call
from k8snet.shell.frames import Aggregate, FileError, is_missing
from k8snet.shell.texts import error, table

WAIT_SECONDS = 600
# By the word after --type: what the server makes of an object and a patch.
PATCHES: dict[str, Callable[[Object, Any], Object]] = {
    "json": json_patch,
    "merge": json_merge,
    "strategic": partial(three_way, {}),
}
DRY_RUN = {"": "", "client": " (dry run)", "server": " (server dry run)"}
_NAMELESS = "metadata.name is missing: look at the spelling of both, and at the indentation of name."


def done(call: Call, obj: Object, verb: str) -> None:
    """``service/web created (dry run)``, or the object itself with ``-o``."""
    if call.flag("output"):
        call.out.append(printers.structured(call.flag("output"), [obj], True))
        return
    name = f"{KINDS[obj['kind']].qualified}/{obj['metadata'].get('name', '')}"
    call.out.append(f"{name} {verb}{DRY_RUN[call.dry_run]}\n")


@contextmanager
def _about(call: Call, verb: str, source: str, obj: Object) -> Iterator[None]:
    """Collect what goes wrong with one object, so that the others have their turn."""
    try:
        yield
    except ApiError as refused:
        refused.hint = refused.hint or hints.hint(refused, obj)
        call.errors.append(FileError(verb, source, refused) if source else refused)


def _read(call: Call) -> list[tuple[str, Object]]:
    """The objects of all files that could be read, with the file's name, each in its namespace; the errors of the others
    are collected."""
    if not call.flag("filename"):
        raise call.usage_error("unexpected", args=" ".join(call.args)) if call.args else error("filename")
    found: list[tuple[str, Object]] = []
    errors: list[KubernetesError] = []
    repeated: list[str] = []
    for source, document in call.documents():
        repeated += document.hints
        try:
            if document.error is not None:
                raise document.error
            if document.obj is not None:
                found.append((source, _known(call, call.place(document.obj), call.flag("validate", "strict"))))
        except KubectlError as wrong:
            errors.append(wrong)
    call.hint = "\nhint: ".join(dict.fromkeys(repeated))
    call.errors += [Aggregate(errors)] if call.command == "apply" and len(errors) > 1 else errors
    if not found and not errors:
        raise error("no objects", command=call.command)
    return found


def _known(call: Call, obj: Object, mode: str) -> Object:
    """What ``--validate`` leaves for the server to refuse: with warn and ignore, unknown fields are left out."""
    if mode not in ("warn", "ignore", "false"):
        return obj
    known, unknown = decode.lenient(obj)
    call.warnings += [f'unknown field "{path}"' for path in unknown if mode == "warn"]
    return known


def apply(call: Call) -> None:
    """``kubectl apply -f``: reads everything, applies what it could read, and reports errors at the end."""
    dry_run, selector = call.dry_run, call.selector()
    for source, obj in _read(call):
        if not obj["metadata"].get("name"):
            call.errors.append(_nameless(source, obj))
        elif selector.matches(obj["metadata"].get("labels") or {}):
            with _about(call, "creating", source, obj):
                applied = call.api.apply(obj, bool(dry_run))
                call.warnings += applied.warnings
                client_side = dry_run == "client" and applied.verb == "unchanged"
                done(call, applied.obj, "configured" if client_side else applied.verb)


def _nameless(source: str, obj: Object) -> KubectlError:
    """Why kubectl does not apply an object that has no name: it asks the server for the one that is there first."""
    kind, version, meta = KINDS[obj["kind"]], obj["apiVersion"], obj["metadata"]
    if meta.get("generateName"):
        return error("generate name", name=meta["generateName"])
    names = {"version": version, "plural": kind.plural, "kind": kind.kind, "namespace": meta.get("namespace", "")}
    return error("nameless", _NAMELESS, source=source, **names)


def create(call: Call) -> None:
    """``kubectl create -f``."""
    dry_run = call.dry_run
    for source, obj in _read(call):
        with _about(call, "creating", source, obj):
            done(call, obj if dry_run == "client" else call.api.create(obj, bool(dry_run)), "created")


def patch(call: Call) -> None:
    """``kubectl patch -p``: strategic (lists merged by their key), ``--type=merge`` or ``--type=json``."""
    text, kind = call.flag("patch"), call.flag("type", "strategic").lower()
    if not text:
        raise error("patch")
    if kind not in PATCHES:
        raise error("patch type", type=kind)
    try:
        change = yaml.safe_load(text)
    except yaml.YAMLError:
        change = None
    if not isinstance(change, dict) and (kind != "json" or change is None):
        raise error("bad patch", patch=text)
    for old in call.collect(need_filter=True):
        new = call.api.replace(_patched(call, old, PATCHES[kind](old, change)), bool(call.dry_run))
        done(call, new, "patched (no change)" if new == old else "patched")


def _patched(call: Call, old: Object, patched: Object) -> Object:
    """What the server makes of a patched object: its kind stays, unknown fields go with a warning. Raises ApiError
    BadRequest if the patch gave it another name (apiserver pkg/endpoints/handlers/rest.go checkName)."""
    name, new = old["metadata"]["name"], (patched.get("metadata") or {}).get("name")
    if new != name:
        other = f"the name of the object ({new}) does not match the name on the URL ({name})"
        none = f"the name of the object ({name} based on URL) was undeterminable: name must be provided"
        raise ApiError(400, "BadRequest", other if new else none)
    return _known(call, {"apiVersion": old["apiVersion"], "kind": old["kind"], **patched}, "warn")


def delete(call: Call) -> None:
    """``kubectl delete``: goes on until what was deleted is gone, unless told ``--wait=false``."""
    force, dry_run = call.flag("force"), call.dry_run
    found = call.collect(need_filter=True, doing="deleting")
    call.warnings += [table("errors")["forced"]] if force else []
    grace = call.flag("grace-period", -1)
    grace = 0 if force and grace < 0 else 1 if call.flag("now") else grace
    if call.flag("ignore-not-found"):
        call.errors = [e for e in call.errors if not is_missing(e)]
    elif not found and not call.errors:
        call.out.append("No resources found\n")
    for obj in found:
        with _about(call, "deleting", "", obj):
            if dry_run != "client":
                call.api.delete(*key_of(obj), grace if grace >= 0 else None, bool(dry_run))
            _deleted(call, obj, "force deleted" if force else "deleted")
    if call.flag("wait", True) and not dry_run:
        wait_until(call, lambda: not any(_still_there(call, o) for o in found))


def _deleted(call: Call, obj: Object, verb: str) -> None:
    kind, (_, namespace, name) = KINDS[obj["kind"]], key_of(obj)
    where = f" from {namespace} namespace" if kind.namespaced else ""
    line = f'{kind.qualified} "{name}" {verb}{where}{DRY_RUN[call.dry_run]}\n'
    call.out.append(f"{kind.qualified}/{name}\n" if call.flag("output") == "name" else line)


def _still_there(call: Call, obj: Object) -> bool:
    found = call.plane.store.get(*key_of(obj))
    return found is not None and found["metadata"].get("uid") == obj["metadata"].get("uid")


def wait_until(call: Call, ready: Callable[[], bool]) -> None:
    """Let simulated time pass, a second at a time, until something is so, or for ten minutes."""
    call.plane.settle()
    for _ in range(WAIT_SECONDS):
        if ready():
            return
        call.plane.advance(1)


def label(call: Call) -> None:
    """``kubectl label`` and ``kubectl annotate``: ``key=value`` sets, ``key-`` takes away."""
    word = {"label": "label", "annotate": "annotation"}[call.command]
    overwrite, field = call.flag("overwrite", False), f"{word}s"
    changes = [a for a in call.args if "=" in a or (a.endswith("-") and a != call.args[0])]
    call.args = [a for a in call.args if a not in changes]
    if not call.args and not call.flag("filename"):
        raise error("label resources")
    if not changes:
        raise error("label changes", word=word)
    for change in changes if word == "label" else ():
        if change.count("=") > 1:
            raise error("label spec", spec=change)
        if problems := names.label_value(change.partition("=")[2]):
            raise error("label value", spec=render(change), problem=";".join(problems))
    parts = [change.partition("=") for change in changes]
    wanted = {key if sets else key.removesuffix("-"): text if sets else None for key, sets, text in parts}
    for old in call.collect(need_filter=True):
        has = old["metadata"].get(field) or {}
        for key, value in wanted.items():
            if value is not None and has.get(key, value) != value and not overwrite:
                raise error("label taken", key=key, value=has[key])
            if value is None and key not in has:
                call.out.append(f'{word} "{key}" not found.\n')
        new = call.api.patch(*key_of(old), {"metadata": {field: wanted}}, dry_run=bool(call.dry_run))
        now_has = new["metadata"].get(field) or {}
        verb = "labeled" if overwrite or len(json.dumps(now_has)) >= len(json.dumps(has)) else "unlabeled"
        done(call, new, "annotated" if word == "annotation" else verb if now_has != has else "not labeled")


def scale(call: Call) -> None:
    """``kubectl scale --replicas``."""
    count = call.flag("replicas")
    if count < 0:
        raise error("replicas")
    found = call.collect(need_filter=True)
    if not found and call.errors:
        call.errors = [KubectlError(f"error: no objects passed to scale {call.errors[0].message}")]
    for obj in found:
        if obj["kind"] not in ("Deployment", "ReplicaSet", "StatefulSet"):
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        done(call, call.api.patch(*key_of(obj), {"spec": {"replicas": count}}, dry_run=bool(call.dry_run)), "scaled")


def restart(call: Call) -> None:
    """``kubectl rollout restart``: a new annotation in the Pod template."""
    if not call.args and not call.flag("filename"):
        raise error("rollout")
    for obj in call.collect():
        if obj["kind"] not in ("Deployment", "DaemonSet", "StatefulSet"):
            raise error("restart", resource=KINDS[obj["kind"]].resource, name=obj["metadata"]["name"])
        stamp = {"kubectl.kubernetes.io/restartedAt": call.plane.store.timestamp()}
        change = {"spec": {"template": {"metadata": {"annotations": stamp}}}}
        done(call, call.api.patch(*key_of(obj), change), "restarted")


COMMANDS: dict[str, Callable[[Call], Any]] = {
    "apply": apply, "create": create, "patch": patch, "delete": delete, "label": label, "annotate": label, "scale": scale,
    "rollout restart": restart,
}  # fmt: skip
