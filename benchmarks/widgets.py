"""How soon is a change of a control on screen? ``python benchmarks/widgets.py``; the goal is 200 ms.

A notebook with every widget of the course runs in the learner's JupyterLab in headless Chromium. Each control is changed
as a person does it, with keyboard or mouse; the clock runs in the page, from the key or click until the widget's output
has changed. Printed: the median and the slowest of the changes, in milliseconds. Needs ``.venv`` and Debian's chromium.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser import laboratory  # noqa: E402

START = """%load_ext k8snet
from pathlib import Path
from k8snet import Cluster
from k8snet.view import widgets

def shop(network="overlay"):
    made = Cluster(network=network)
    for name in ("shop", "lesson/my-service"):
        made.apply(Path(f"notebooks/manifests/{name}.yaml").read_text())
    return made

cluster = shop()
policy = Path("notebooks/manifests/lesson/allow-app-access.yaml").read_text()"""
# For each widget its cell, the role and name of a control, and the values that it is given in turn.
CHANGES = {
    "packet tracer, a hop on": ("widgets.packet_tracer(cluster)", "button", "Next", [None] * 8),
    "packet tracer, another target": (
        "widgets.packet_tracer(cluster)",
        "textbox",
        "target",
        ["db", "my-app-1", "example.com", "my-service.default", "nobody", "visitor"],
    ),
    "policy playground": (
        "widgets.policy_playground(cluster, policy)",
        "textbox",
        "manifest",
        ["role: nobody", "role: other", "role: frontend", "role: db", "role: x", "role: y"],
    ),
    "Service explorer": ("widgets.service_explorer(cluster)", "checkbox", "my-app-1 ready", [None] * 6),
    "resolver ladder": (
        "widgets.resolver_ladder(cluster)",
        "textbox",
        "name",
        [
            "example.com",
            "my-service.default",
            "nobody",
            "my-service.default.svc.cluster.local",
            "db",
            "api.example.com",
        ],
    ),
    "model switch": (
        "widgets.model_switch(shop)",
        "combobox",
        "right",
        ["routed", "cloud", "ebpf", "docker", "bridge", "overlay"],
    ),
}


# In the page: the clock starts with the control's event and stops when the change of the output has been painted.
CLOCK = """(status, event) => { const cell = status.closest('.jp-Cell'); window.took = null;
cell.addEventListener(event, () => { const start = performance.now();
  const seen = new MutationObserver(() => { if (!cell.querySelector('[role=status]')) return; seen.disconnect();
    requestAnimationFrame(() => setTimeout(() => { window.took = performance.now() - start; })); });
  seen.observe(cell.querySelector('[role=status]').parentElement, {childList: true, subtree: true, characterData: true});
}, {once: true, capture: true}); }"""


def milliseconds(page: Any, panel: Any, role: str, name: str, value: str | None) -> float:
    """Change one control, and say how long it took until its output had changed."""
    control = panel.get_by_role(role, name=name, exact=True)
    panel.get_by_role("status").evaluate(CLOCK, "click" if role == "button" else "change")
    control.focus()
    if role == "combobox":
        control.select_option(value)
    elif role == "textbox":
        text = control.input_value()
        control.fill(re.sub(r"role: \w+", value, text) if "\n" in text else value)
        page.keyboard.press("Tab")
    else:
        page.keyboard.press("Space")
    page.wait_for_function("() => window.took !== null", timeout=10_000)
    return page.evaluate("() => window.took")


def main() -> None:
    """Print the figures."""
    cells = [START, *dict.fromkeys(cell for cell, *_ in CHANGES.values())]
    made = [{"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": c} for c in cells]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    notebook = {"cells": made, "metadata": kernel, "nbformat": 4, "nbformat_minor": 4}
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder, laboratory.running(Path(folder)) as lab:
        (Path(folder) / "widgets.ipynb").write_text(json.dumps(notebook))
        page = lab.open("widgets.ipynb", height=9000)
        assert lab.run_all(page) is True
        for what, (cell, role, name, values) in CHANGES.items():
            panel = page.locator(".jp-Cell", has_text=cell).last
            times = [milliseconds(page, panel, role, name, value) for value in values]
            print(f"{what:30} median {statistics.median(times):4.0f} ms, slowest {max(times):4.0f} ms")


if __name__ == "__main__":
    main()
