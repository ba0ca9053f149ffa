"""The notebook magics: text on standard output, nothing raised, completion."""

from __future__ import annotations

from typing import Any

import pytest

from k8snet.cluster import Cluster
from k8snet.shell.magics import complete, load_ipython_extension
from tests.shell.conftest import service


@pytest.fixture
def shell() -> Any:
    testing = pytest.importorskip("IPython.core.interactiveshell")
    ipython = testing.InteractiveShell()
    load_ipython_extension(ipython)
    return ipython


def test_a_line_and_a_cell(shell: Any, shop: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    shop.use()
    shell.run_line_magic("kubectl", "get pods -o name")
    shell.run_cell_magic("kubectl", "apply -f -", service("web"))
    assert capsys.readouterr().out == "pod/client\npod/my-app-1\nservice/web created\n"


def test_a_failing_command_prints_and_does_not_raise(
    shell: Any, shop: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.use()
    shell.run_line_magic("kubectl", "get pods nope")
    assert capsys.readouterr().out == 'Error from server (NotFound): pods "nope" not found\n'


def test_completion_of_commands_kinds_and_names(shop: Cluster) -> None:
    shop.use()
    assert complete("%kubectl desc") == ["describe"]
    assert "networkpolicies" in complete("%kubectl get netw")
    assert complete("%kubectl get pods ") == ["client", "my-app-1"]
    assert complete("%kubectl get pods my") == ["my-app-1"]
    assert complete("%kubectl describe svc/my") == ["svc/my-service"]
    assert complete("%kubectl exec cl") == ["client"]
    assert "--show-labels" in complete("%kubectl get pods --show")
    assert complete("%kubectl rollout res") == ["restart", "resume"]
