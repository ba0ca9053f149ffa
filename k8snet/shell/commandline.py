"""A kubectl command line, taken apart: which command, which flags, which arguments.

kubectl is built with cobra and pflag; errors are theirs (pflag flag.go and errors.go, cobra command.go, kubectl
pkg/util/templates FlagErrorFunc). All commands and flags stand in ``commands.yaml``.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from k8snet.manifests.errors import KubectlError
from k8snet.shell.texts import error, table


@dataclass(frozen=True)
class Flag:
    """``type`` is empty for a switch, else as in ``commands.yaml``; ``simulated`` False: known, but refused here."""

    name: str
    short: str
    type: str
    simulated: bool

    def __str__(self) -> str:
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


@dataclass
class Line:
    """``command`` in full (``create service clusterip``); ``after`` is what stood behind ``--``, None without it."""

    command: str = ""
    args: list[str] = field(default_factory=list)
    flags: dict[str, Any] = field(default_factory=dict)
    after: list[str] | None = None

    def flag(self, name: str, default: Any = "") -> Any:
        """What a flag was set to."""
        return self.flags.get(name, default)


@cache
def commands() -> dict[str, dict[str, Any]]:
    """Every command by its full name, with its flags parsed under ``known``; an empty row is not simulated."""
    data = table("commands")
    everywhere = _flags(data["everywhere"])
    rows = {name: {**row, "known": everywhere | _flags(row)} for name, row in data["commands"].items()}
    return rows | {name: {} for name in data["not_simulated"].split(", ")}


def _flags(row: dict[str, Any]) -> dict[str, Flag]:
    found: dict[str, Flag] = {}
    for group in ("later", "also", "flags"):
        for word in str(row.get(group) or "").split():
            name, equals, kind = word.partition("=")
            name, _, short = name.partition(",")
            flag = Flag(name, short, equals + kind, group != "later")
            found |= {f"--{name}": flag, f"-{short or '-' + name}": flag}
    return found


def below(command: str) -> list[str]:
    """The commands directly below a command, by their last word; of the empty command, all commands."""
    return [name.rpartition(" ")[2] for name in commands() if name.rpartition(" ")[0] == command]


def parse(words: list[str], line: Line) -> None:
    """Fill *line* with the parts of a command line. Raises KubectlError, worded as kubectl words it."""
    cut = words.index("--") if "--" in words else len(words)
    line.command, rest = _find(words[:cut])
    line.after = words[cut + 1 :] if cut < len(words) else None
    if line.command and not commands()[line.command]:
        raise error("not simulated", "The real kubectl has this command; k8snet does not.", command=line.command)
    try:
        _read(rest, _known(line.command), line)
    except ValueError as wrong:
        raise error("usage", problem=wrong, command=f"kubectl {line.command}".strip()) from None


def _known(command: str) -> dict[str, Flag]:
    return dict(commands()[command or "rollout"].get("known", {}))


def _find(words: list[str]) -> tuple[str, list[str]]:
    """The longest command that *words* begin with (flags may stand before it), and the words that are left."""
    rows, command, rest, i = commands(), "", list(words), 0
    aliases = {
        f"{name.rpartition(' ')[0]} {row['alias']}".strip(): name for name, row in rows.items() if "alias" in row
    }
    while i < len(rest):
        word = rest[i]
        if word.startswith("-"):
            flag = _known(command).get(word.partition("=")[0])
            i += 2 if flag and flag.type and "=" not in word and not flag.type.startswith("=?") else 1
            continue
        longer = f"{command} {word}".strip()
        if longer not in rows and longer not in aliases:
            break
        command, rest = aliases.get(longer, longer), rest[:i] + rest[i + 1 :]
    if not command and i < len(rest):
        hint = "Leave out the word kubectl: only what follows it is wanted here." if rest[i] == "kubectl" else ""
        raise KubectlError(_unknown(rest[i]), hint)
    return command, rest


def _unknown(word: str) -> str:
    """cobra's answer to a word that is no command, with what is spelt alike."""
    known = below("")
    near = [name for name in known if name.startswith(word.lower())] or difflib.get_close_matches(word.lower(), known)
    meant = "\n\nDid you mean this?\n" + "".join(f"\t{name}\n" for name in near) if near else ""
    return f'error: unknown command "{word}" for "kubectl"{meant}'


def _read(words: list[str], known: dict[str, Flag], line: Line) -> None:
    """Fill *line* with flags and arguments. Raises ValueError in pflag's words."""
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if not word.startswith("-") or word == "-":
            line.args.append(word)
        elif word.startswith("--"):
            name, given, value = word.partition("=")
            if name not in known:
                raise ValueError(f"unknown flag: {name}")
            _set(line, known[name], value if given else None, queue, name)
        else:
            flag, rest, spelt = known.get(word[:2]), word[2:], f"'{word[1]}' in {word}"
            if flag is None:
                raise ValueError(f"unknown shorthand flag: {spelt}")
            joined = rest.startswith("=") or (rest and flag.type)
            if rest and not joined:  # the letters behind a switch are more flags
                queue.insert(0, f"-{rest}")
            _set(line, flag, rest.removeprefix("=") if joined else None, queue, spelt)


def _set(line: Line, flag: Flag, value: str | None, queue: list[str], spelt: str) -> None:
    kind = flag.type
    if not flag.simulated:
        raise error("flag not simulated", flag=flag)
    if value is None and (not kind or kind.startswith("=?")):
        value = kind[2:] or "true"
    elif value is None:
        if not queue:
            raise ValueError(f"flag needs an argument: {spelt}")
        value = queue.pop(0)
    wanted = {"": r"[1tT]|true|TRUE|True|[0fF]|false|FALSE|False", "=i": r"[-+]?\d+"}.get(kind)
    if wanted and not re.fullmatch(wanted, value):
        parse_as = "ParseInt" if kind else "ParseBool"
        raise ValueError(
            f'invalid argument "{value}" for "{flag}" flag: strconv.{parse_as}: parsing "{value}": invalid syntax'
        )
    if kind == "=*":
        line.flags.setdefault(flag.name, []).append(value)
    else:
        line.flags[flag.name] = int(value) if kind == "=i" else value if kind else value[0] in "1tT"
