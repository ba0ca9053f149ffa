"""kubectl: a command line in, what the terminal shows out.

Command by command what the real one prints, with its words, columns, order and exit codes (Kubernetes 1.36). Commands
of the real kubectl that are not simulated say so.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from k8snet.manifests.errors import KubernetesError
from k8snet.shell import commandline, frames, generating, pods, reading, writing
from k8snet.shell.call import Call
from k8snet.shell.result import Result
from k8snet.shell.texts import error

current: Any = None
"""The cluster that the magics act on: the one made or used last."""

_contexts: WeakKeyDictionary[Any, dict[str, str]] = WeakKeyDictionary()
"""For each cluster what ``kubectl config set-context --current`` set."""

COMMANDS: dict[str, Callable[[Call], Result | None]] = (
    reading.COMMANDS | writing.COMMANDS | generating.COMMANDS | pods.COMMANDS
)


def run(cluster: Any, line: str, stdin: str = "") -> Result:
    """What ``kubectl LINE`` prints, and its exit code. *cluster* None: there is none. Nothing is raised."""
    try:
        words = shlex.split(line)
    except ValueError as wrong:
        return Result(stderr=f"sh: syntax error: {wrong}\n", exit_code=2)
    if {"|", ">", "<", "&&", ";"} & set(words[: words.index("--")] if "--" in words else words):
        hint = "Only kubectl runs here, no pipes and no redirections: choose with -l, --field-selector or -o."
        return Result(stderr="sh: pipes and redirections are not simulated\n", exit_code=2, hint=hint)
    context = _contexts.setdefault(cluster, {}) if cluster is not None else {}
    call = Call(cluster=cluster, context=context, stdin=stdin)
    answer: Result | None = None
    try:
        commandline.parse(words, call)
        answer = _command(call)(call)
    except KubernetesError as refused:
        call.errors.append(refused)
    if cluster is not None:
        cluster.plane.settle()
    if answer is not None:
        return answer
    warned = "".join(f"Warning: {w}\n" for w in call.warnings) + "".join(f"{n}\n" for n in call.notes)
    hints = frames.hints(call.errors) or ([call.hint] if call.hint else [])
    return Result("".join(call.out), warned + frames.text(call.errors), 1 if call.errors else 0, "\nhint: ".join(hints))


def namespace_of(cluster: Any) -> str:
    """The namespace that commands for a cluster act in without ``-n``."""
    return _contexts.get(cluster, {}).get("namespace") or "default"


def _command(call: Call) -> Callable[[Call], Result | None]:
    name = call.command
    row = commandline.commands().get(name, {"group": True})
    if call.flag("help") or (not name and not call.args):
        return _usage
    if row.get("group"):
        return _group
    missing = [n for n in str(row.get("needs") or "").split() if n not in call.flags]
    if missing:
        raise error("required flags", flags=", ".join(f'"{n}"' for n in missing))
    return COMMANDS[name]


def _usage(call: Call) -> None:
    name = call.command
    below = [word for word in commandline.below(name) if commandline.commands()[f"{name} {word}".strip()]]
    usage = commandline.commands().get(name, {}).get("usage")
    call.out.append(f"Usage:\n  kubectl {name} {usage} [options]\n" if usage else "")
    if below:
        call.out.append("Available Commands:\n" + "".join(f"  {word}\n" for word in below))


def _group(call: Call) -> Result:
    """A command that only has commands below it."""
    if call.args:
        raise call.usage_error("unknown command", word=call.args[0])
    _usage(call)
    return Result("".join(call.out), exit_code=1)
