"""kubectl commands that reach into a Pod: exec, port-forward, and run with ``--rm -it``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from k8snet.dataplane.client import Client
from k8snet.manifests.errors import KubectlError
from k8snet.shell import tools
from k8snet.shell.call import Call
from k8snet.shell.result import Result


def execute(call: Call) -> Result:
    """``kubectl exec POD -- COMMAND``: the command's output and exit code."""
    if not call.args:
        raise KubectlError("error: pod, type/name or --filename must be specified")
    if call.line.after is None and len(call.args) > 1:
        raise call.usage_error("exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead")
    if not call.line.after:
        raise KubectlError("error: you must specify at least one command for the container")
    pod = call.pod(call.args[0])["metadata"]
    result = tools.run(call.cluster.moment, Client("pod", f"{pod['namespace']}/{pod['name']}"), call.line.after)
    if result:
        return result
    ended = f"command terminated with exit code {result.exit_code}\n"
    stderr = result.stderr + ("\n" if result.stderr and not result.stderr.endswith("\n") else "") + ended
    return Result(result.stdout, stderr, result.exit_code, result.hint, result.trace)


COMMANDS: dict[str, Callable[[Call], Any]] = {"exec": execute}
