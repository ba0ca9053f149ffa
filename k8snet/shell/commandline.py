"""A kubectl command line, taken apart: which command, which flags, which arguments.

kubectl is built with cobra and pflag; errors are theirs (pflag flag.go and errors.go, cobra command.go, kubectl
pkg/util/templates FlagErrorFunc). All commands and flags stand in ``commands.yaml``.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import yaml

from k8snet.manifests.errors import KubectlError


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

    command: str
    args: list[str]
    flags: dict[str, Any] = field(default_factory=dict)
    after: list[str] | None = None


@cache
def commands() -> dict[str, dict[str, Any]]:
    """``commands.yaml``, with each command's flags parsed under ``known``."""
    text = resources.files("k8snet.shell").joinpath("commands.yaml").read_text(encoding="utf-8")
    data = yaml.safe_load(text)
    everywhere = _flags(data["everywhere"])
    return {name: {**row, "known": everywhere | _flags(row)} for name, row in data["commands"].items()}


def _flags(row: dict[str, Any]) -> dict[str, Flag]:
    found = {}
    for group in ("later", "also", "flags"):
        for word in str(row.get(group) or "").split():
            name, _, kind = word.partition("=")
            name, _, short = name.partition(",")
            flag = Flag(name, short, "=" + kind if "=" in word else "", group != "later")
            found[f"--{name}"] = flag
            if short:
                found[f"-{short}"] = flag
    return found


def parse(words: list[str]) -> Line:
    """The parts of a command line. Raises KubectlError, worded as kubectl words it."""
    table = commands()
    front, after = words, None
    if "--" in words:
        cut = words.index("--")
        front, after = words[:cut], words[cut + 1 :]
    command, rest = _find(front, table)
    row = table[command] if command else {"known": table["version"]["known"]}
    line = Line(command, [], after=after)
    try:
        _read(rest, row["known"], line)
    except ValueError as error:
        raise KubectlError(f"error: {error}\nSee '{('kubectl ' + command).strip()} --help' for usage.") from None
    return line


def _find(words: list[str], table: dict[str, Any]) -> tuple[str, list[str]]:
    """The longest command that *words* begin with (flags may stand before it), and the words that are left."""
    command, rest, i = "", list(words), 0
    while i < len(rest):
        word = rest[i]
        if word.startswith("-"):
            flag = table[command or "version"]["known"].get(word.partition("=")[0])
            i += 2 if flag and flag.type and "=" not in word and not flag.type.startswith("=?") else 1
            continue
        longer = next(
            (
                name
                for name, row in table.items()
                if name.rpartition(" ")[0] == command and word in (name.rpartition(" ")[2], row.get("alias"))
            ),
            None,
        )
        if longer is None:
            break
        command, rest = longer, rest[:i] + rest[i + 1 :]
    if not command and i < len(rest):
        raise KubectlError(unknown(rest[i], [name for name in table if " " not in name]), _unknown_hint(rest[i]))
    return command, rest


def unknown(word: str, known: list[str]) -> str:
    """cobra's answer to a word that is no command, with what is spelt alike."""
    near = [name for name in known if name.startswith(word.lower())] or difflib.get_close_matches(word.lower(), known)
    meant = "\n\nDid you mean this?\n" + "".join(f"\t{name}\n" for name in near) if near else ""
    return f'error: unknown command "{word}" for "kubectl"{meant}'


def _unknown_hint(word: str) -> str:
    return "Leave out the word kubectl: only what follows it is wanted here." if word == "kubectl" else ""


def _read(words: list[str], known: dict[str, Flag], line: Line) -> None:
    """Fill *line* with flags and arguments. Raises ValueError in pflag's words."""
    queue = list(words)
    while queue:
        word = queue.pop(0)
        if not word.startswith("-") or word == "-":
            line.args.append(word)
        elif word.startswith("--"):
            name, given, value = word.partition("=")
            flag = known.get(name)
            if flag is None:
                raise ValueError(f"unknown flag: {name}")
            _set(line, flag, value if given else None, queue, f"--{flag.name}")
        else:
            _shorthands(word, known, line, queue)


def _shorthands(word: str, known: dict[str, Flag], line: Line, queue: list[str]) -> None:
    letters = word[1:]
    while letters:
        flag, rest = known.get("-" + letters[0]), letters[1:]
        if flag is None:
            raise ValueError(f"unknown shorthand flag: '{letters[0]}' in {word}")
        if rest.startswith("=") or (rest and flag.type):
            _set(line, flag, rest.removeprefix("="), queue, f"'{letters[0]}' in {word}")
            return
        _set(line, flag, None, queue, f"'{letters[0]}' in {word}")
        letters = rest


def _set(line: Line, flag: Flag, value: str | None, queue: list[str], spelt: str) -> None:
    kind = flag.type
    if not flag.simulated:
        raise KubectlError(f"error: the flag {flag} of the real kubectl is not simulated")
    if value is None and kind.startswith("=?"):
        value = kind[2:]
    elif value is None and kind:
        if not queue:
            raise ValueError(f"flag needs an argument: {spelt}")
        value = queue.pop(0)
    if not kind:
        line.flags[flag.name] = _bool(flag, "true" if value is None else value)
    elif kind == "=i":
        if not re.fullmatch(r"[-+]?\d+", value or ""):
            raise ValueError(
                f'invalid argument "{value}" for "{flag}" flag: strconv.ParseInt: parsing "{value}": invalid syntax'
            )
        line.flags[flag.name] = int(value or 0)
    elif kind == "=*":
        line.flags.setdefault(flag.name, []).append(value)
    else:
        line.flags[flag.name] = value


def _bool(flag: Flag, value: str) -> bool:
    if value not in ("1", "t", "T", "true", "TRUE", "True", "0", "f", "F", "false", "FALSE", "False"):
        raise ValueError(
            f'invalid argument "{value}" for "{flag}" flag: strconv.ParseBool: parsing "{value}": invalid syntax'
        )
    return value[0] in "1tT"
