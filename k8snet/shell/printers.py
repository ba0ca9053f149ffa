"""``kubectl get``: objects as a table, YAML, JSON, names, jsonpath or columns of one's own.

The columns of every kind stand in ``columns.yaml``. Facts: k8s.io/cli-runtime pkg/printers, k8s.io/kubectl pkg/cmd/get.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml

from k8snet.manifests import dump
from k8snet.manifests.errors import KubectlError
from k8snet.manifests.kinds import KINDS, Object
from k8snet.shell import jsonpath, tabs
from k8snet.shell.values import cell, pairs

FORMATS = (
    "custom-columns,custom-columns-file,go-template,go-template-file,json,jsonpath,jsonpath-as-json,jsonpath-file,name,"
    "template,templatefile,wide,yaml"
)


@dataclass(frozen=True)
class Look:
    """How a table is shown: the flags of ``kubectl get``."""

    wide: bool = False
    namespaces: bool = False
    kinds: bool = False
    labels: bool = False
    headers: bool = True


@cache
def columns() -> dict[str, dict[str, str]]:
    """``columns.yaml``: for each kind its columns in order."""
    text = resources.files("k8snet.shell").joinpath("columns.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def table(kind: str, objects: Sequence[Object], now: float, look: Look = Look()) -> str:
    """The table of objects of one kind, as given (sorted by the caller). *now* is the simulated time in seconds."""
    shown = {name: how for name, how in columns()[kind].items() if look.wide or not name.startswith("+")}
    namespaces = look.namespaces and KINDS[kind].namespaced
    head = [name.lstrip("+") for name in shown]
    head += ["LABELS"] if look.labels else []
    rows = [(["NAMESPACE"] if namespaces else []) + head] if look.headers else []
    for obj in objects:
        meta = obj["metadata"]
        row = [cell(how, obj, now, look.wide).partition("\n")[0] for how in shown.values()]
        if look.kinds:
            row[0] = f"{KINDS[kind].qualified}/{row[0]}"
        row += [pairs(meta.get("labels"))] if look.labels else []
        rows.append([meta.get("namespace", ""), *row] if namespaces else row)
    return tabs.table(rows)


def as_list(objects: Sequence[Object]) -> Object:
    """The List around several objects."""
    return {"apiVersion": "v1", "items": list(objects), "kind": "List", "metadata": {"resourceVersion": ""}}


def structured(output: str, objects: Sequence[Object], single: bool) -> str:
    """Everything but a table: *output* is what stood behind ``-o``. *single*: asked for one object by name.

    Raises KubectlError for a format that kubectl does not have, or a bad template.
    """
    form, _, template = output.partition("=")
    whole = objects[0] if single and len(objects) == 1 else as_list(objects)
    if form == "yaml":
        return dump.to_yaml(whole)
    if form == "json":
        return dump.to_json(whole)
    if form == "name":
        return "".join(f"{KINDS[o['kind']].qualified}/{o['metadata']['name']}\n" for o in objects)
    if form in ("jsonpath", "custom-columns"):
        if not template:
            given = "template" if form == "jsonpath" else "custom-columns"
            raise KubectlError(f"error: {given} format specified but no {given.replace('-', ' ')} given")
        return jsonpath.render(template, whole) if form == "jsonpath" else _custom(template, objects)
    if form in FORMATS.split(",") and form != "wide":
        raise KubectlError(f"error: the output format {form} of the real kubectl is not simulated")
    raise KubectlError(
        f'error: unable to match a printer suitable for the output format "{output}", allowed formats are: {FORMATS}'
    )


def _custom(template: str, objects: Sequence[Object]) -> str:
    """``-o custom-columns=NAME:.metadata.name,IP:.status.podIP``."""
    specs = [part.partition(":") for part in template.split(",")]
    bad = next((name + colon + path for name, colon, path in specs if not colon or not path), None)
    if bad is not None:
        raise KubectlError(f"error: unexpected custom-columns spec: {bad}, expected <header>:<json-path-expr>")
    rows = [[name for name, _, _ in specs]]
    for obj in objects:
        found = [jsonpath.values(jsonpath.relaxed(path), obj) for _, _, path in specs]
        rows.append([",".join(map(jsonpath.text, f)) or "<none>" for f in found])
    return tabs.table(rows)
