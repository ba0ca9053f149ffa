"""Runs conformance case files against the package's own functions and prints what passed.

An adapter module names, in ``ADAPTERS``, for each case file (by the part of its name before the first dot) a function
``(case, document) -> iterable of Answer``. Adapters only translate. A key that neither the runner nor the adapter knows
fails the case; so does an adapter that raises.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MODULES = ("api", "endpoints", "services", "dns", "policy", "http")
REMARKS = {"name", "upstream", "features", "note", "derived", "since", "left_out", "tier", "fields"}
DEFAULT = Path(__file__).resolve().parents[2].parent / "shared" / "conformance"


@dataclass
class Answer:
    """One question of a case: what it asks, the true answer, ours. ``passed`` defaults to their equality."""

    question: str
    expected: Any
    actual: Any
    passed: bool | None = None

    def __post_init__(self) -> None:
        if self.passed is None:
            self.passed = self.expected == self.actual


@dataclass
class Adapter:
    """A translator for the cases of one file; ``keys`` are the case keys that it reads."""

    run: Callable[[dict[str, Any], dict[str, Any]], Iterable[Answer]]
    keys: frozenset[str]


@dataclass
class FileReport:
    """Figures of one case file."""

    file: str
    cases: int = 0
    cases_passed: int = 0
    answers: int = 0
    answers_passed: int = 0
    tiers: dict[str, list[int]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def as_json(self) -> str:
        """One line of JSON, as ``--json`` prints it."""
        return json.dumps({k: v for k, v in vars(self).items() if k != "failures"})


def folder() -> Path | None:
    """Where the case files are: ``K8SNET_CONFORMANCE``, else the folder beside the project; None if there is none."""
    path = Path(os.environ.get("K8SNET_CONFORMANCE") or DEFAULT)
    return path if path.is_dir() else None


def adapters() -> dict[str, Adapter]:
    """All adapters, by the stem of the file that they read."""
    found: dict[str, Adapter] = {}
    for name in MODULES:
        try:
            module = importlib.import_module(f"tests.conformance.{name}")
        except ModuleNotFoundError:
            continue
        found.update(module.ADAPTERS)
    return found


def count_answers(case: dict[str, Any]) -> int:
    """How many answers a case asks for, whatever we make of them."""
    n = sum(
        len(case.get(k) or ())
        for k in ("probes", "flows", "queries", "requests", "healthChecks", "chain_names", "probabilities")
    )
    n += sum(len(row) for m in case.get("matrices") or () for row in m["rows"])
    n += sum(1 for k in case if k == "expected" or k.startswith("expected_") or k in ("expect", "tried", "valid"))
    return max(n, 1)


def run_case(case: dict[str, Any], document: dict[str, Any], adapter: Adapter | None) -> tuple[int, int, list[str]]:
    """Answers asked, answers passed, and a line for each failure."""
    asked = count_answers(case)
    if adapter is None:
        return asked, 0, ["no adapter: not built yet"]
    unknown = sorted(set(case) - adapter.keys - REMARKS - {"objects"})
    if unknown:
        return asked, 0, [f"case field not known: {', '.join(unknown)}"]
    passed, given, failures = 0, 0, []
    try:
        for answer in adapter.run(case, document):
            given += 1
            if answer.passed:
                passed += 1
            else:
                failures.append(
                    f"{answer.question}\n      expected {_short(answer.expected)}\n      actual   {_short(answer.actual)}"
                )
    except Exception as error:
        failures.append(f"{type(error).__name__}: {error}")
    asked = max(asked, given)
    if given < asked and not failures:
        failures.append(f"{asked - given} question(s) were not answered")
    return asked, passed, failures


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str, sort_keys=True)
    return text if len(text) <= 1200 else text[:1200] + " …"


def run_file(path: Path, known: dict[str, Adapter]) -> FileReport:
    """All cases of one file."""
    document = json.loads(path.read_text(encoding="utf-8"))
    report = FileReport(path.name)
    adapter = known.get(path.name.split(".")[0])
    for case in document["cases"]:
        asked, passed, failures = run_case(case, document, adapter)
        ok = not failures and passed == asked
        report.cases += 1
        report.cases_passed += ok
        report.answers += asked
        report.answers_passed += passed
        if "tier" in case:
            tier = report.tiers.setdefault(case["tier"], [0, 0])
            tier[0] += ok
            tier[1] += 1
        if not ok:
            report.failed.append(case["name"])
            report.failures.append(f"  FAILED {case['name']}\n    " + "\n    ".join(failures))
    return report


def files(arguments: Iterable[str]) -> Iterator[Path]:
    """The case files that arguments name; a folder stands for all ``*.json`` in it."""
    for argument in arguments:
        path = Path(argument)
        yield from sorted(path.glob("*.json")) if path.is_dir() else [path]


def main(arguments: list[str]) -> int:
    """The command. Exit status 0 if every case passed, 1 if not, 2 if there is nothing to run."""
    as_json = "--json" in arguments
    named = [a for a in arguments if a != "--json"]
    if not named:
        default = folder()
        if default is None:
            print("no conformance folder: set K8SNET_CONFORMANCE or name files", file=sys.stderr)
            return 2
        named = [str(default)]
    known = adapters()
    reports = [run_file(path, known) for path in files(named)]
    for report in reports:
        if as_json:
            print(report.as_json())
            continue
        for line in report.failures:
            print(line)
        tiers = "".join(f", {name} {p}/{n}" for name, (p, n) in sorted(report.tiers.items()))
        print(
            f"{report.file}: cases {report.cases_passed}/{report.cases}, answers {report.answers_passed}/{report.answers}{tiers}"
        )
    return 0 if reports and all(not r.failed for r in reports) else 1
