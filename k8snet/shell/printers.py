"""``kubectl get``: objects as a table, YAML, JSON, names or jsonpath.

The columns of every kind stand in ``columns.yaml``. Facts: k8s.io/cli-runtime pkg/printers, k8s.io/kubectl pkg/cmd/get.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from k8snet.manifests import dump
from k8snet.manifests.kinds import KINDS, Object
from k8snet.shell import jsonpath, tabs, texts
from k8snet.shell.values import cell, pairs


def table(kind: str, objects: Sequence[Object], now: float, look: Collection[str] = (), columns: str = "") -> str:
    """The table of objects of one kind, as given (sorted by the caller). *now* is the simulated time in seconds, *look*
    the flags of ``kubectl get`` that change it: wide, all-namespaces, show-kind, show-labels, no-headers."""
    wide, labels = "wide" in look, "show-labels" in look
    shown = {
        name: how for name, how in texts.table("columns")[columns or kind].items() if wide or not name.startswith("+")
    }
    space = "all-namespaces" in look and KINDS[kind].namespaced
    prefix = f"{KINDS[kind].qualified}/" if "show-kind" in look else ""
    rows = [["NAMESPACE"] * space + [name.lstrip("+") for name in shown] + ["LABELS"] * labels]
    for obj in objects:
        cells = [cell(how, obj, now, wide).partition("\n")[0] for how in shown.values()]
        cells[0] = prefix + cells[0]
        meta = obj["metadata"]
        rows.append([meta.get("namespace", "")] * space + cells + [pairs(meta.get("labels"))] * labels)
    return tabs.table(rows["no-headers" in look :])


def structured(output: str, objects: Sequence[Object], single: bool) -> str:
    """Everything but a table: *output* is what stood behind ``-o``. *single*: asked for one object by name.

    Raises KubectlError for a format that kubectl does not have, or a bad template.
    """
    form, _, template = output.partition("=")
    objects = [_sent(o) for o in objects]
    whole = {"apiVersion": "v1", "items": objects, "kind": "List", "metadata": {"resourceVersion": ""}}
    if single and len(objects) == 1:
        whole = objects[0]
    if form == "yaml":
        return dump.to_yaml(whole)
    if form == "json":
        return dump.to_json(whole)
    if form == "name":
        return "".join(f"{KINDS[o['kind']].qualified}/{o['metadata']['name']}\n" for o in objects)
    if form == "jsonpath":
        if not template:
            raise texts.error("no template")
        return jsonpath.render(template, whole)
    formats = texts.table("errors")["formats"]
    if form in formats.split(",") and form != "wide":
        raise texts.error("output not simulated", form=form)
    raise texts.error("output", output=output, formats=formats)


def _sent(obj: Object) -> Object:
    """What comes out of storage, which knows no empty lists: an EndpointSlice always has these two, so as null."""
    lists = ("endpoints", "ports") if obj["kind"] == "EndpointSlice" else ()
    return {**obj, **{name: obj.get(name) or None for name in lists}}
