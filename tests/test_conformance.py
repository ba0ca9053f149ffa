"""The conformance files that the simulator is held to; skipped by name where the folder is not beside the project."""

from __future__ import annotations

import json

import pytest

from tests.conformance import runner

FOLDER = runner.folder()
# Least share of cases passed, by file. dns leaves out multicluster zones; the cluster-wide policy tiers of adminnetpol
# are not built and only counted.
FLOOR = {"dns": 94 / 95, "adminnetpol": 0.0}


@pytest.mark.skipif(FOLDER is None, reason="no conformance folder (K8SNET_CONFORMANCE)")
@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")) if FOLDER else [], ids=lambda p: p.stem)
def test_conformance_file(path):
    report = runner.run_file(path, runner.adapters())
    floor = FLOOR.get(path.name.split(".")[0], 1.0)
    assert report.cases_passed >= floor * report.cases, "\n".join(report.failures[:20])


def test_a_case_field_nobody_knows_fails_the_case():
    adapter = runner.Adapter(lambda case, document: [runner.Answer("q", 1, 1)], frozenset({"valid"}))
    assert runner.run_case({"name": "n", "valid": True}, {}, adapter)[1] == 1
    asked, passed, failures = runner.run_case({"name": "n", "valid": True, "surprise": 1}, {}, adapter)
    assert (asked, passed) == (1, 0) and "surprise" in failures[0]


def test_an_adapter_that_raises_or_leaves_questions_out_fails_the_case():
    def broken(case, document):
        yield runner.Answer("q", 1, 1)
        raise KeyError("x")

    asked, passed, failures = runner.run_case(
        {"name": "n", "flows": [1, 2]}, {}, runner.Adapter(broken, frozenset({"flows"}))
    )
    assert (asked, passed) == (2, 1) and failures
    short = runner.Adapter(lambda case, document: [runner.Answer("q", 1, 1)], frozenset({"flows"}))
    assert runner.run_case({"name": "n", "flows": [1, 2]}, {}, short)[2]


def test_json_lines_have_the_agreed_keys(tmp_path, capsys):
    (tmp_path / "unknown.dev.json").write_text(json.dumps({"cases": [{"name": "n", "tier": "core", "queries": [1]}]}))
    assert runner.main(["--json", str(tmp_path)]) == 1
    line = json.loads(capsys.readouterr().out)
    assert line == {
        "file": "unknown.dev.json",
        "cases": 1,
        "cases_passed": 0,
        "answers": 1,
        "answers_passed": 0,
        "tiers": {"core": [0, 1]},
        "failed": ["n"],
    }
