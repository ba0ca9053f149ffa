"""``python -m tests.refresh_notebooks [FILE …]``: run notebooks again in a kernel and keep their outputs.

Timings and widget state are left out, so that two runs give the same file. Exit status 1 if a cell failed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import k8snet._fastimport  # noqa: F401  (before anything of Jupyter is imported)

ROOT = Path(__file__).resolve().parents[1]
WIDGET = "application/vnd.jupyter.widget-view+json"


def refresh(path: Path) -> list[str]:
    """Run one notebook in place; the ids of cells that ended in an error or wrote to stderr."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, 4)
    where = {"metadata": {"path": str(path.parent)}}
    NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        store_widget_state=False,
        allow_errors=True,
        resources=where,
    ).execute()
    failed = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET, None)
            if output.output_type == "error" or output.get("name") == "stderr":
                failed.append(cell.id)
    notebook.metadata["language_info"] = {"name": "python"}
    notebook.metadata.pop("widgets", None)
    nbformat.write(notebook, path)
    return failed


def main(names: list[str]) -> int:
    """Refresh the named notebooks, or all of notebooks/."""
    os.environ["K8SNET_PROGRESS"] = "none"
    status = 0
    for path in [Path(n) for n in names] or sorted((ROOT / "notebooks").glob("*.ipynb")):
        failed = refresh(path)
        print(f"{path.name}: {'ok' if not failed else 'errors in ' + ', '.join(failed)}")
        status = status or bool(failed)
    return int(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
