"""Commands inside a Pod, on a node or on a machine outside: what a container runtime starts for ``kubectl exec``.

curl, dig, ip and their like live in files of their own (their ``TOOLS``). Here are the small commands that show what a
container was given, and as much of a shell as ``sh -c`` needs for one-liners: ``;``, ``&&``, ``||`` and ``$NAME``. A
missing program is told in runc's words.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace

from k8snet.controlplane import podfiles
from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane import resolver
from k8snet.dataplane.client import Client
from k8snet.dataplane.moment import Moment
from k8snet.shell import curl, dns_tools, net_tools
from k8snet.shell.result import Result

Tool = Callable[[Moment, Client, list[str]], Result]
SHELLS = ("sh", "bash", "ash", "/bin/sh", "/bin/bash")


def run(moment: Moment, client: Client, command: str | Sequence[str]) -> Result:
    """What a command prints where *client* is, and its exit code. Nothing is raised."""
    try:
        words = shlex.split(command) if isinstance(command, str) else list(command)
    except ValueError as wrong:
        return Result(stderr=f"sh: syntax error: {wrong}\n", exit_code=2)
    if not words:
        return Result()
    if words[0] in SHELLS:
        return _shell(moment, client, words)
    if tool := TOOLS.get(words[0].rpartition("/")[2]):
        return tool(moment, client, words[1:])
    if client.kind != "pod":
        return Result(stderr=f"bash: {words[0]}: command not found\n", exit_code=127)
    text = f'exec failed: unable to start container process: exec: "{words[0]}": executable file not found in $PATH: unknown'
    return Result(stderr=f"OCI runtime exec failed: {text}\n", exit_code=126)


# the shell


def _shell(moment: Moment, client: Client, words: list[str]) -> Result:
    """Commands one after the other; the exit code and the trace are the last one's."""
    if len(words) < 3 or not re.fullmatch(r"-\w*c", words[1]):
        return Result(stderr=f"{words[0]}: only {words[0]} -c COMMANDS is simulated\n", exit_code=2)
    lexer = shlex.shlex(words[2], posix=True, punctuation_chars=";&|<>\n")
    lexer.whitespace, lexer.whitespace_split = " \t\r", True
    try:
        tokens = [";" if t.strip(";\n") == "" else t for t in lexer]
    except ValueError as wrong:
        return Result(stderr=f"sh: syntax error: {wrong}\n", exit_code=2)
    unknown = [t for t in tokens if re.fullmatch(r"if|for|while|until|[&|<>]+|\w+=.*", t) and t not in ("&&", "||")]
    if unknown:
        return Result(stderr=f"sh: {unknown[0]} is not simulated\n", exit_code=2)
    variables, total, joint = environment(moment.snapshot, client), Result(), ";"
    while tokens:
        end = next((i for i, t in enumerate(tokens) if t in (";", "&&", "||")), len(tokens))
        if joint == ";" or bool(total) is (joint == "&&"):
            filled = [re.sub(r"\$\{?(\w+)\}?", lambda m: variables.get(m[1], ""), token) for token in tokens[:end]]
            found = run(moment, client, filled)
            if "executable file not found" in found.stderr:
                found = Result(stderr=f"sh: {filled[0]}: not found\n", exit_code=127)
            total = replace(found, stdout=total.stdout + found.stdout, stderr=total.stderr + found.stderr)
        joint, tokens = "".join(tokens[end : end + 1]), tokens[end + 1 :]
    return total


# what a container was given


def environment(snapshot: Snapshot, client: Client) -> dict[str, str]:
    """The environment variables of a Pod's first container: its own, and those for the Services that were there before
    it started (`Snapshot.environments`)."""
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    found = {"PATH": path, "HOSTNAME": _host_name(snapshot, client)}
    if client.kind == "pod":
        own = snapshot.pods[client.name].spec["containers"][0].get("env") or ()
        found |= {**snapshot.environments.get(client.name, {}), **{e["name"]: str(e.get("value", "")) for e in own}}
    return {**found, "HOME": "/root"}


def _host_name(snapshot: Snapshot, client: Client) -> str:
    pod = snapshot.pods.get(client.name) if client.kind == "pod" else None
    if pod is None:
        return client.name
    return pod.node if pod.host_network else str(pod.spec.get("hostname") or pod.name)


def _cat(moment: Moment, client: Client, words: list[str]) -> Result:
    pod = moment.snapshot.pods.get(client.name) if client.kind == "pod" else None
    files: dict[str, Callable[[], str]] = {
        "/etc/resolv.conf": lambda: str(resolver.resolv_conf(moment.snapshot, pod)),
        "/etc/hosts": lambda: podfiles.hosts_text(pod, moment.snapshot.settings),
        "/etc/hostname": lambda: _host_name(moment.snapshot, client) + "\n",
    }
    stderr = "".join(f"cat: {w}: No such file or directory\n" for w in words if w not in files)
    return Result("".join(files[w]() for w in words if w in files), stderr, 1 if stderr else 0)


def _env(moment: Moment, client: Client, words: list[str]) -> Result:
    found = environment(moment.snapshot, client)
    if words:
        return Result("".join(f"{found[w]}\n" for w in words if w in found), "", 0 if words[0] in found else 1)
    return Result("".join(f"{k}={v}\n" for k, v in found.items()))


TOOLS: dict[str, Tool] = {
    "cat": _cat,
    "env": _env,
    "printenv": _env,
    "echo": lambda moment, client, words: Result(" ".join(words) + "\n"),
    "true": lambda moment, client, words: Result(),
    "false": lambda moment, client, words: Result(exit_code=1),
    "sleep": lambda moment, client, words: Result(),
    "hostname": lambda moment, client, words: Result(_host_name(moment.snapshot, client) + "\n"),
} | curl.TOOLS | dns_tools.TOOLS | net_tools.TOOLS  # fmt: skip
