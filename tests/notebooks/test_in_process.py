"""The quick tier: every notebook's code cells in one in-process shell, no kernel. nbval does the same with kernels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted(
    p
    for d in ("notebooks", "solutions", "exercises")
    for p in (ROOT / d).rglob("*.ipynb")
    if ".ipynb_checkpoints" not in p.parts
)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_cell_runs(path, monkeypatch, capsys):
    import matplotlib
    from IPython.core.interactiveshell import InteractiveShell

    matplotlib.use("agg")
    monkeypatch.setenv("K8SNET_PROGRESS", "none")
    monkeypatch.chdir(path.parent)
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    try:
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] != "code" or {"skip-execution", "nbval-skip"} & set(cell["metadata"].get("tags", [])):
                continue
            outcome = shell.run_cell("".join(cell["source"]), store_history=False)
            if "raises-exception" not in cell["metadata"].get("tags", []):
                assert outcome.success, f"cell {cell['id']}: {outcome.error_before_exec or outcome.error_in_exec!r}"
        assert capsys.readouterr().err == ""
    finally:
        InteractiveShell.clear_instance()
