"""``%kubectl`` and ``%%kubectl`` in a notebook: a line for kubectl, with the cell's text as its standard input.

They act on the cluster made or used last. Output is plain text as a terminal shows it (so notebooks can be compared);
a failing command does not stop the notebook. Commands, kinds and names are completed with Tab.
"""

from __future__ import annotations

import sys
from typing import Any

from k8snet.manifests import kinds
from k8snet.shell import commandline, kubectl


def load_ipython_extension(ipython: Any) -> None:
    """Register the magics and their completion with an IPython shell."""

    def magic(line: str, cell: str = "") -> None:
        result = kubectl.run(kubectl.current, line, cell)
        if str(result):
            sys.stdout.write(f"{result}\n")

    ipython.register_magic_function(magic, "line_cell", "kubectl")
    for key in ("%kubectl", "%%kubectl"):
        ipython.set_hook("complete_command", lambda _, event: complete(event.line), str_key=key)


def complete(line: str) -> list[str]:
    """What may stand where *line* (from ``%kubectl`` on) ends: commands, kinds, or the names of a kind's objects."""
    words = line.split()[1:]
    begun = "" if not words or line.endswith(" ") else words.pop()
    plain = [w for w in words if not w.startswith("-")]
    table, command = commandline.commands(), " ".join(plain)
    below = commandline.below(command)
    if begun.startswith("-"):
        known = table.get(plain[0] if plain else "", {}).get("known", {})
        found = [name for name in known if name.startswith("--")]
    elif not plain or (below and table.get(command, {}).get("group")):
        found = below
    elif plain[0] in ("exec", "logs"):
        found = _names("pods")
    elif len(plain) == 1:
        kind, slash, _ = begun.partition("/")
        found = [f"{kind}/{n}" for n in _names(kind)] if slash else kinds.words()
    else:
        found = _names(plain[1])
    return [word for word in found if word.startswith(begun)]


def _names(word: str) -> list[str]:
    kind = kinds.find(word)
    if kind is None or kubectl.current is None:
        return []
    namespace = kubectl.namespace_of(kubectl.current)
    return [o["metadata"]["name"] for o in kubectl.current.plane.api.list(kind.kind, namespace)]
