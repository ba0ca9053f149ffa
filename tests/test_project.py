"""The project's own promises: light imports, files kept in step, generated files generated."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
HEAVY = {"matplotlib", "networkx", "ipywidgets", "IPython", "numpy", "nbformat"}


def _requirement(text: str) -> tuple[str, str]:
    name, bound = re.fullmatch(r"([A-Za-z0-9-]+)(.*)", text).groups()
    return {"matplotlib-base": "matplotlib"}.get(name.lower(), name.lower()), bound


@pytest.mark.parametrize("module", ["k8snet", "k8snet.cluster", "k8snet.course.grade"])
def test_import_stays_light(module):
    code = f"import sys, {module}; import k8snet; k8snet.Cluster; print(*sorted({{m.partition('.')[0] for m in sys.modules}}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & set(loaded)


def test_environment_yml_is_in_step_with_pyproject():
    wanted = dict(map(_requirement, tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]))
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    have = dict(_requirement(line) for line in conda if line != "pip" and not line.startswith("python="))
    assert have == wanted
    assert "python=3.12" in conda


def test_constraints_pin_every_dependency_and_hold_no_address():
    text = (ROOT / "constraints.txt").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["grade"],
        *project["dependency-groups"]["test"],
    ]
    pinned = {re.split(r"[=;\s\[]", line)[0].lower() for line in text.splitlines() if "==" in line}
    assert {_requirement(n)[0] for n in named} <= pinned
    assert "://" not in text


def test_binder_installs_the_package_without_the_environment_again():
    script = ROOT / "postBuild"
    assert script.stat().st_mode & 0o111
    assert "pip install --no-deps -e ." in script.read_text()


@pytest.mark.slow
def test_exercises_are_what_solutions_generate(tmp_path):
    from tests.generate_exercises import assignments, generate

    generate(assignments(), tmp_path)
    made = {p.relative_to(tmp_path): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    kept = {
        p.relative_to(ROOT / "exercises"): p.read_bytes()
        for p in (ROOT / "exercises").rglob("*")
        if p.is_file() and ".ipynb_checkpoints" not in p.parts
    }
    assert made.keys() == kept.keys()
    assert [str(p) for p in made if made[p] != kept[p]] == []


def _notebooks() -> list[Path]:
    return sorted(
        p
        for d in ("notebooks", "solutions", "exercises")
        for p in (ROOT / d).rglob("*.ipynb")
        if ".ipynb_checkpoints" not in p.parts
    )


@pytest.mark.parametrize("path", _notebooks(), ids=lambda p: str(p.relative_to(ROOT)))
def test_notebook_files_are_sound(path):
    text = path.read_text(encoding="utf-8")
    notebook = json.loads(text)
    ids = [c.get("id") for c in notebook["cells"]]
    assert None not in ids and len(set(ids)) == len(ids)
    assert len(text) < 1_000_000
    assert not re.search(r"/(?:root|home|tmp|work|Users)/\w", text)
    code = [c for c in notebook["cells"] if c["cell_type"] == "code" and "".join(c["source"]).strip()]
    if path.parts[-2] == "notebooks":
        assert any(c["outputs"] for c in code), "committed without outputs"
        assert all(o.get("output_type") != "error" for c in code for o in c["outputs"])
        assert all(o.get("name") != "stderr" for c in code for o in c["outputs"])
