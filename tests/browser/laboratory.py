"""A real JupyterLab, in the learner's own environment, and a browser beside it."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv" / "bin" / "python"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
]


class Lab:
    """A running JupyterLab and a browser; `open` gives a page with an idle kernel."""

    def __init__(self, base: str, token: str, browser) -> None:
        self.base, self.token, self.browser = base, token, browser

    def open(self, path: str, height: int = 900):
        from playwright.sync_api import expect

        page = self.browser.new_page(viewport={"width": 1280, "height": height})
        page.goto(f"{self.base}/doc/tree/{path}?reset&token={self.token}")
        expect(page.locator("#jp-main-statusbar")).to_contain_text("| Idle", timeout=60_000)
        return page

    @staticmethod
    def run_all(page) -> bool:
        return page.evaluate("() => jupyterapp.commands.execute('notebook:run-all-cells')")


@contextmanager
def running(root: Path) -> Iterator[Lab]:
    """JupyterLab over a copy of the course in *root*: Lab saves by itself, so it is never shown the repository."""
    from playwright.sync_api import sync_playwright

    for folder in ("notebooks", "exercises"):
        shutil.copytree(ROOT / folder, root / folder)
    note = root / "set/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    note.parent.mkdir(parents=True)
    note.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    token, base = secrets.token_hex(8), f"http://127.0.0.1:{port}"
    places = {
        "IPYTHONDIR": "ipy", "JUPYTER_CONFIG_DIR": "cfg", "JUPYTER_DATA_DIR": "dat", "JUPYTER_RUNTIME_DIR": "run",
        "JUPYTERLAB_SETTINGS_DIR": "set", "JUPYTERLAB_WORKSPACES_DIR": "wsp",
    }  # fmt: skip
    env = dict(os.environ, K8SNET_PROGRESS=str(root / "progress.json"), **{k: str(root / v) for k, v in places.items()})
    command = [PYTHON, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    command += ["--expose-app-in-browser", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={root}"]
    with open(root / "lab.log", "w+") as log:
        server = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        try:
            for _ in range(600):
                assert server.poll() is None, (root / "lab.log").read_text()
                try:
                    urllib.request.urlopen(f"{base}/api", timeout=2)
                    break
                except OSError:
                    time.sleep(0.1)
            with sync_playwright() as p:
                browser = p.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
                yield Lab(base, token, browser)
                browser.close()
        finally:
            server.terminate()
            server.wait(30)
