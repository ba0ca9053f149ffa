"""Commands inside a Pod, on a node or on a machine outside: what a container runtime starts for ``kubectl exec``.

curl, dig, ip and their like live in files of their own (their ``TOOLS``); here are the shell around them and the small
commands that only show what a container was given.
"""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from k8snet.dataplane.client import Client
from k8snet.dataplane.moment import Moment
from k8snet.shell.result import Result

Tool = Callable[[Moment, Client, list[str]], Result]
MODULES = ("curl", "dns_tools", "net_tools")
SHELLS = ("sh", "bash", "ash")


@cache
def tools() -> Mapping[str, Tool]:
    """Every command by name."""
    found: dict[str, Tool] = {"echo": _echo, "true": _true, "false": _false, "hostname": _hostname, "sleep": _true}
    for name in MODULES:
        try:
            found |= importlib.import_module(f"k8snet.shell.{name}").TOOLS
        except ModuleNotFoundError:
            continue
    return found


def run(moment: Moment, client: Client, command: str | Sequence[str]) -> Result:
    """What a command prints where *client* is, and its exit code. Nothing is raised."""
    try:
        words = shlex.split(command) if isinstance(command, str) else list(command)
    except ValueError as error:
        return Result(stderr=f"sh: syntax error: {error}\n", exit_code=2)
    if not words:
        return Result()
    if words[0] in SHELLS:
        return _shell(moment, client, words)
    tool = tools().get(words[0])
    if tool is None:
        return Result(
            stderr="OCI runtime exec failed: exec failed: unable to start container process: "
            f'exec: "{words[0]}": executable file not found in $PATH: unknown\n',
            exit_code=126,
        )
    return tool(moment, client, words[1:])


def _shell(moment: Moment, client: Client, words: list[str]) -> Result:
    return Result()


def _echo(moment: Moment, client: Client, words: list[str]) -> Result:
    return Result(" ".join(words) + "\n")


def _true(moment: Moment, client: Client, words: list[str]) -> Result:
    return Result()


def _false(moment: Moment, client: Client, words: list[str]) -> Result:
    return Result(exit_code=1)


def _hostname(moment: Moment, client: Client, words: list[str]) -> Result:
    return Result(client.name.rpartition("/")[2] + "\n")
