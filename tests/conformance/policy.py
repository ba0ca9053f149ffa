"""Adapter for the network policy case files: probes and matrices, and what the API server says of a policy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from k8snet.controlplane.settings import Settings
from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane import policy, reachability
from k8snet.manifests import validation
from tests.conformance.runner import Adapter, Answer


def answers(case: dict[str, Any], document: dict[str, Any]) -> Iterator[Answer]:
    """Each probe through `policy.verdict`, each matrix through `reachability`, cell by cell."""
    snapshot = Snapshot(case["objects"], Settings())
    for probe in case.get("probes") or ():
        source, destination = policy.peer(snapshot, probe["from"]), policy.peer(snapshot, probe["to"])
        verdict = policy.verdict(snapshot, source, destination, probe["port"], probe["protocol"])
        question = f"{probe['from']} to {probe['to']} {probe['port']}/{probe['protocol']}"
        yield Answer(question, probe["allowed"], verdict.allowed)
    for matrix in case.get("matrices") or ():
        found = reachability.reachability(snapshot, matrix["port"], matrix["protocol"])
        column = {name: i for i, name in enumerate(found.servers)}
        row = dict(zip(found.clients, found.rows(), strict=True))
        for source, expected in zip(matrix["pods"], matrix["rows"], strict=True):
            for destination, cell in zip(matrix["pods"], expected, strict=True):
                question = f"{source} to {destination} {matrix['port']}/{matrix['protocol']}"
                yield Answer(question, cell, row[source][column[destination]])
    if "valid" in case:
        (obj,) = (o for o in case["objects"] if o["kind"] == "NetworkPolicy")
        errors = validation.errors(obj)
        yield Answer("valid", case["valid"], not errors)
        expected_errors = [(e["field"], e["type"], e["detail"]) for e in case["errors"]]
        yield Answer("errors", expected_errors, [(e.field, e.type, e.detail) for e in errors])


_ADAPTER = Adapter(answers, frozenset({"probes", "matrices", "valid", "errors"}))
ADAPTERS = dict.fromkeys(("netpol-e2e", "netpol-knp", "netpol-recipes", "netpol-npguard"), _ADAPTER)
