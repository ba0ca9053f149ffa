"""kubectl commands that change the cluster: apply, create -f, replace, patch, delete, label, annotate, scale, rollout.

Facts: k8s.io/kubectl pkg/cmd/{apply,create,replace,patch,delete,label,annotate,scale,rollout}. Where the real one waits
(delete, rollout status), simulated time passes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from k8snet.controlplane.patching import three_way
from k8snet.manifests import hints
from k8snet.manifests.errors import ApiError, KubectlError, KubernetesError
from k8snet.manifests.kinds import KINDS, Object
from k8snet.shell import printers
from k8snet.shell.call import NO_RESOURCES, Call
from k8snet.shell.frames import FileError, collected, is_missing
from k8snet.shell.rollout import rollout_status

WAIT_SECONDS = 600


def done(call: Call, obj: Object, verb: str) -> None:
    """``service/web created (dry run)``, or the object itself with ``-o``."""
    if call.flag("output"):
        call.out.append(printers.structured(call.flag("output"), [obj], True))
        return
    suffix = {"": "", "client": " (dry run)", "server": " (server dry run)"}[call.dry_run]
    call.out.append(f"{KINDS[obj['kind']].qualified}/{obj['metadata'].get('name', '')} {verb}{suffix}\n")


@contextmanager
def about(call: Call, verb: str, source: str, obj: Object) -> Iterator[None]:
    """Collect what goes wrong with one object, so that the others have their turn."""
    try:
        yield
    except ApiError as error:
        error.hint = error.hint or hints.hint(error, obj)
        call.errors.append(FileError(verb, source, error) if source else error)


def _read(call: Call) -> list[tuple[str, Object]]:
    """The objects of all files that could be read, with the file's name, each in its namespace; the errors of the others
    are collected."""
    if not call.flag("filename", []):
        if call.args:
            raise call.usage_error(f"Unexpected args: [{' '.join(call.args)}]")
        raise KubectlError("error: must specify one of -f and -k")
    found: list[tuple[str, Object]] = []
    errors: list[KubernetesError] = []
    for source, document in call.documents():
        try:
            if document.error is not None:
                raise document.error
            if document.obj is not None:
                found.append((source, call.place(document.obj)))
        except KubectlError as error:
            errors.append(error)
    call.errors += collected(errors) if call.line.command == "apply" else errors
    if not found and not errors:
        raise KubectlError(f"error: no objects passed to {call.line.command}")
    return found


def apply(call: Call) -> None:
    """``kubectl apply -f``: reads everything, applies what it could read, and reports errors at the end."""
    dry_run, selector = call.dry_run, call.selector()
    for source, obj in _read(call):
        if not obj["metadata"].get("name"):
            call.errors.append(_nameless(source, obj))
        elif selector is None or selector.matches(obj["metadata"].get("labels") or {}):
            with about(call, "creating", source, obj):
                applied = call.api.apply(obj, bool(dry_run))
                call.warnings += applied.warnings
                client_side = dry_run == "client" and applied.verb == "unchanged"
                done(call, applied.obj, "configured" if client_side else applied.verb)


def _nameless(source: str, obj: Object) -> KubectlError:
    """Why kubectl does not apply an object that has no name: it asks the server for the one that is there first."""
    kind, meta = KINDS[obj["kind"]], obj["metadata"]
    if meta.get("generateName"):
        return KubectlError(f"error: from {meta['generateName']}: cannot use generate name with apply")
    version = f'Resource: "{obj["apiVersion"]}, Resource={kind.plural}", GroupVersionKind: "{obj["apiVersion"]}, Kind={kind.kind}"'
    where = f'{version}\nName: "", Namespace: "{meta.get("namespace", "")}"\nfrom server for: "{source}"'
    text = f"error: error when retrieving current configuration of:\n{where}: resource name may not be empty"
    return KubectlError(text, "metadata.name is missing.")


def create(call: Call) -> None:
    """``kubectl create -f``."""
    dry_run = call.dry_run
    for source, obj in _read(call):
        with about(call, "creating", source, obj):
            done(call, obj if dry_run == "client" else call.api.create(obj, bool(dry_run)), "created")


def replace(call: Call) -> None:
    """``kubectl replace -f``."""
    dry_run = call.dry_run
    for source, obj in _read(call):
        with about(call, "replacing", source, obj):
            done(call, obj if dry_run == "client" else call.api.replace(obj, bool(dry_run)), "replaced")


def patch(call: Call) -> None:
    """``kubectl patch -p``: strategic (lists merged by their key) or ``--type=merge``."""
    if not call.flag("patch"):
        raise KubectlError("error: must specify --patch or --patch-file containing the contents of the patch")
    kind = call.flag("type", "strategic").lower()
    if kind not in ("strategic", "merge", "json"):
        raise KubectlError(f'error: --type must be one of [json merge strategic], not "{kind}"')
    if kind == "json":
        raise KubectlError("error: --type=json of the real kubectl is not simulated", "--type=merge is.")
    try:
        change = yaml.safe_load(call.flag("patch"))
    except yaml.YAMLError:
        change = None
    if not isinstance(change, dict):
        raise KubectlError(f'error: unable to parse "{call.flag("patch")}": it is no YAML or JSON object')
    for old in call.collect(need_filter=True):
        if kind == "merge":
            new = call.api.patch(*_key(old), change, dry_run=bool(call.dry_run))
        else:
            new = call.api.replace(three_way({}, old, change), bool(call.dry_run))
        done(call, new, "patched (no change)" if new == old else "patched")


def _key(obj: Object) -> tuple[str, str, str]:
    return obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def delete(call: Call) -> None:
    """``kubectl delete``: goes on until what was deleted is gone, unless told ``--wait=false``."""
    if not call.args and not call.flag("filename", []):
        raise KubectlError(NO_RESOURCES)
    force, dry_run = call.flag("force", False), call.dry_run
    if force:
        call.warnings.append(
            "Immediate deletion does not wait for confirmation that the running resource has been terminated. The "
            "resource may continue to run on the cluster indefinitely."
        )
    grace = call.flag("grace-period", -1)
    grace = 0 if force and grace < 0 else 1 if call.flag("now", False) else grace
    verb = "force deleted" if force else "deleted"
    found = call.collect(need_filter=True, doing="deleting")
    if call.flag("ignore-not-found", False):
        call.errors = [e for e in call.errors if not is_missing(e)]
    elif not found and not call.errors:
        call.out.append("No resources found\n")
    for obj in found:
        with about(call, "deleting", "", obj):
            if dry_run != "client":
                call.api.delete(*_key(obj), grace if grace >= 0 else None, bool(dry_run))
            _deleted(call, obj, verb)
    if call.flag("wait", True) and not dry_run:
        wait_until(call, lambda: not any(_still_there(call, o) for o in found))


def _deleted(call: Call, obj: Object, verb: str) -> None:
    kind, meta = KINDS[obj["kind"]], obj["metadata"]
    if call.flag("output") == "name":
        call.out.append(f"{kind.qualified}/{meta['name']}\n")
        return
    suffix = {"": "", "client": " (dry run)", "server": " (server dry run)"}[call.dry_run]
    where = f" from {meta['namespace']} namespace" if kind.namespaced else ""
    call.out.append(f'{kind.qualified} "{meta["name"]}" {verb}{where}{suffix}\n')


def _still_there(call: Call, obj: Object) -> bool:
    found = call.plane.store.get(*_key(obj))
    return found is not None and found["metadata"].get("uid") == obj["metadata"].get("uid")


def wait_until(call: Call, ready: Callable[[], bool]) -> bool:
    """Let simulated time pass, a second at a time, until something is so; False if it never came."""
    call.plane.settle()
    for _ in range(WAIT_SECONDS):
        if ready():
            return True
        call.plane.advance(1)
    return ready()


def label(call: Call) -> None:
    """``kubectl label`` and ``kubectl annotate``: ``key=value`` sets, ``key-`` takes away."""
    word = {"label": "label", "annotate": "annotation"}[call.line.command]
    changes = [a for a in call.args if "=" in a or (a.endswith("-") and a != call.args[0])]
    call.line.args = [a for a in call.args if a not in changes]
    if not call.args and not call.flag("filename", []):
        raise KubectlError("error: one or more resources must be specified as <resource> <name> or <resource>/<name>")
    if not changes:
        raise KubectlError(f"error: at least one {word} update is required")
    wanted: dict[str, str | None] = {}
    for change in changes:
        key, sets, text = change.partition("=")
        wanted[key if sets else key.removesuffix("-")] = text if sets else None
    for old in call.collect(need_filter=True):
        field = f"{word}s"
        has = old["metadata"].get(field) or {}
        for key, value in wanted.items():
            if value is not None and has.get(key, value) != value and not call.flag("overwrite", False):
                raise KubectlError(f"error: '{key}' already has a value ({has[key]}), and --overwrite is false")
            if value is None and key not in has:
                call.out.append(f'{word} "{key}" not found.\n')
        new = call.api.patch(*_key(old), {"metadata": {field: wanted}}, dry_run=bool(call.dry_run))
        now_has = new["metadata"].get(field) or {}
        shrunk = not call.flag("overwrite", False) and len(json.dumps(now_has)) < len(json.dumps(has))
        changed = now_has != has
        verb = "annotated" if word == "annotation" else "unlabeled" if shrunk else "labeled"
        done(call, new, verb if changed or word == "annotation" else "not labeled")


def scale(call: Call) -> None:
    """``kubectl scale --replicas``."""
    count = call.flag("replicas", -1)
    if count < 0:
        raise KubectlError("error: The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0")
    found = call.collect(need_filter=True)
    if not found and call.errors:
        call.errors = [KubectlError(f"error: no objects passed to scale {call.errors[0].message}")]
    for obj in found:
        if obj["kind"] not in ("Deployment", "ReplicaSet", "StatefulSet"):
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        done(call, call.api.patch(*_key(obj), {"spec": {"replicas": count}}, dry_run=bool(call.dry_run)), "scaled")


def restart(call: Call) -> None:
    """``kubectl rollout restart``: a new annotation in the Pod template."""
    for obj in _rollouts(call):
        stamp = {"kubectl.kubernetes.io/restartedAt": call.plane.store.timestamp()}
        change = {"spec": {"template": {"metadata": {"annotations": stamp}}}}
        done(call, call.api.patch(*_key(obj), change), "restarted")


def status(call: Call) -> None:
    """``kubectl rollout status``: a line for each step, until the rollout is done or has failed."""
    for obj in _rollouts(call):
        key = _key(obj)
        said: list[str] = []

        def ready(key: tuple[str, str, str] = key, said: list[str] = said) -> bool:
            text, over = rollout_status(call.plane.store.get(*key) or {})
            if said[-1:] != [text]:
                said.append(text)
            return over

        over = wait_until(call, ready) if call.flag("watch", True) else ready()
        call.out += [line for line in said if not line.startswith("error")]
        if said[-1].startswith("error") or (not over and call.flag("watch", True)):
            raise KubectlError(
                said[-1] if said[-1].startswith("error") else "error: timed out waiting for the condition"
            )


def _rollouts(call: Call) -> list[Object]:
    if not call.args and not call.flag("filename", []):
        raise KubectlError("error: required resource not specified")
    found = call.collect()
    for obj in found:
        if obj["kind"] not in ("Deployment", "DaemonSet", "StatefulSet"):
            kind = KINDS[obj["kind"]]
            raise KubectlError(
                f'error: {kind.resource} "{obj["metadata"]["name"]}" {call.line.command.split()[-1]}ing is not supported'
                if call.line.command.endswith("restart")
                else f"error: no status viewer has been implemented for {kind.kind}"
            )
    return found


COMMANDS: dict[str, Callable[[Call], Any]] = {
    "apply": apply,
    "create": create,
    "replace": replace,
    "patch": patch,
    "delete": delete,
    "label": label,
    "annotate": label,
    "scale": scale,
    "rollout status": status,
    "rollout restart": restart,
}
