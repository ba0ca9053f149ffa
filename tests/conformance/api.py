"""Adapters for ``validation`` (what the API server refuses) and ``defaulting`` (what it fills in)."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from k8snet.controlplane import allocation
from k8snet.controlplane.settings import Settings
from k8snet.manifests import decode, defaults, reader, validation
from k8snet.manifests.dump import to_json
from k8snet.manifests.errors import ApiError
from k8snet.shell import frames
from tests.conformance.runner import Adapter, Answer

Case = dict[str, Any]
SETTINGS = Settings()


def _filled(obj: Case) -> Case:
    return defaults.fill(decode.strict(obj))


class Refused(Exception):
    """An object was refused, at a stage, with an answer."""

    def __init__(self, stage: str, error: ApiError) -> None:
        super().__init__(stage)
        self.stage, self.error = stage, error


def _taken_in(obj: Case, existing: list[Case], old: Case | None) -> Case:
    """The object as it would be stored. Raises Refused."""
    stage = "decode"
    try:
        new = _filled(obj)
        before = _filled(old) if old is not None else None
        stage = "allocate"
        if obj["kind"] == "Service":
            new = allocation.allocate(new, existing, SETTINGS, random.Random(1), before)
        stage = "validate"
        if found := validation.errors(new, before):
            raise validation.refuse(new, found)
    except ApiError as error:
        raise Refused(stage, error) from error
    return new


def _decoded_errors(error: ApiError) -> list[Case]:
    """The errors of a decoding answer in the form of the cases: unknown fields, or one wrong type."""
    text = error.message.partition(": ")[2]
    if text.startswith("strict decoding error: "):
        paths = text.removeprefix("strict decoding error: ").split(", ")
        return [{"field": p.split('"')[1], "type": "unknown field"} for p in paths]
    text = text.removeprefix("json: ")
    where = text.split(" field ")[1].split(" of type ")[0]
    return [{"field": where.partition(".")[2], "type": "cannot unmarshal", "detail": text}]


def _kubectl(obj: Case) -> str:
    """What ``kubectl apply -f f.yaml`` prints for an object that decoding refuses."""
    for document in reader.read(to_json(obj), "f.yaml"):
        if document.error is not None:
            return frames.text([document.error]).rstrip("\n")
        try:
            decode.strict(obj)
        except ApiError as error:
            return frames.text([frames.FileError("creating", "f.yaml", error)]).rstrip("\n")
    return ""


def validation_case(case: Case, document: Case) -> Iterator[Answer]:
    """Whether an object is taken, at which stage it is refused, and the errors in their order."""
    error: ApiError | None = None
    stage = None
    try:
        _taken_in(case["objects"][0], case.get("existing") or [], case.get("old"))
    except Refused as refused:
        error, stage = refused.error, refused.stage
    got: list[Case] = []
    if error is not None:
        given = [{"field": c.field, "type": c.type, "detail": c.detail, "value": c.value} for c in error.status.causes]
        got = given or _decoded_errors(error)
    yield Answer("valid", case["valid"], error is None)
    yield Answer("stage", case.get("stage"), stage)
    yield Answer("number of errors", [e["field"] for e in case["errors"]], [e["field"] for e in got])
    for want, have in zip(case["errors"], got, strict=False):
        start = want.get("detail_prefix", "")
        exact = all(have.get(key) == want[key] for key in want if key != "detail_prefix")
        yield Answer("error", want, have, exact and have.get("detail", "").startswith(start))
    if "message" in case:
        yield Answer("message", case["message"], error.message if error is not None else None)
    if "kubectl" in case:
        yield Answer("kubectl", case["kubectl"], _kubectl(case["objects"][0]))


def defaulting_case(case: Case, document: Case) -> Iterator[Answer]:
    """The object right after creation, without what is allocated and without a Pod's status."""
    got = []
    for obj in case["objects"]:
        new = _taken_in(obj, [], None)
        if obj["kind"] == "Service":
            new["spec"] = _without_allocated(new["spec"], obj.get("spec") or {})
        if obj["kind"] == "Pod":
            new.pop("status", None)
        got.append(new)
    yield Answer("stored", case["expected"], got)


def _without_allocated(spec: Case, given: Case) -> Case:
    """A Service's spec without addresses and ports that the allocator chose."""
    left = {k: v for k, v in spec.items() if k != "healthCheckNodePort" or k in given}
    if spec.get("clusterIP") != "None" and not given.get("clusterIP"):
        left = {k: v for k, v in left.items() if k not in ("clusterIP", "clusterIPs")}
    asked = given.get("ports") or []
    if "ports" in left:
        left["ports"] = [
            {k: v for k, v in port.items() if k != "nodePort" or "nodePort" in asked[i]}
            for i, port in enumerate(left["ports"])
        ]
    return left


ADAPTERS = {
    "validation": Adapter(
        validation_case, frozenset(("old", "existing", "stage", "valid", "errors", "message", "kubectl"))
    ),
    "defaulting": Adapter(defaulting_case, frozenset(("expected",))),
}
