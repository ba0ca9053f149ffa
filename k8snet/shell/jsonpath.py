r"""kubectl's jsonpath: ``{.items[*].metadata.name}``, ``{range …}…{end}``, ``[?(@.type=="Ready")]``, ``{"\n"}``.

Facts: k8s.io/client-go util/jsonpath (parser.go, jsonpath.go). A field that is missing gives nothing, as with
``kubectl get``; a list index that is out of bounds is an error.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

from k8snet.shell.texts import error

_TOKEN = re.compile(
    r"""(?P<deep>\.\.)|\.(?P<star>\*)|\.?(?P<field>(?:\\.|[^\s.\[\]{}()'"\\,@$?=!<>*|&])+)|\.(?=\[)"""
    r"""|\[\?\((?P<filter>(?:"[^"]*"|'[^']*'|[^"'])*?)\)\]|\[(?P<index>(?:'[^']*'|"[^"]*"|[^\]'"])*)\]|(?P<root>[$@])\.?(?![\w*])|[$@](?=\.)"""
)
_STRING = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_FILTER = re.compile(r"^\s*(?P<left>.+?)\s*(?:(?P<op>==|!=|<=|>=|<|>)\s*(?P<right>.+?)\s*)?$", re.DOTALL)
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge,
}  # fmt: skip
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


class BadPathError(ValueError):
    """A template that kubectl would not parse; the text says what is wrong."""


def render(template: str, data: Any) -> str:
    """What ``kubectl get -o jsonpath=TEMPLATE`` prints. Raises KubectlError in kubectl's words."""
    try:
        return "".join(_output(iter(_split(template)), data))
    except (BadPathError, IndexError) as wrong:
        key = "jsonpath run" if isinstance(wrong, IndexError) else "jsonpath"
        raise error(key, template=template, problem=wrong) from None


def text(found: Any) -> str:
    """One value as it is printed: text and numbers plain, maps and lists as compact JSON."""
    if isinstance(found, str):
        return found
    return json.dumps(found, separators=(",", ":"), ensure_ascii=False, sort_keys=True)


def _split(template: str) -> list[str]:
    """Text and ``{…}`` actions in turn, braces inside quotes left alone."""
    parts, position = [], 0
    for m in re.finditer(r"\{((?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^{}'\"])*)\}", template):
        parts += [template[position : m.start()], m[0]]
        position = m.end()
    rest = template[position:]
    if "{" in rest or "}" in "".join(parts[::2]) + rest:
        raise BadPathError("unclosed action" if "{" in rest else "unexpected right brace")
    return [p for p in (*parts, rest) if p]


def _output(parts: Iterator[str], data: Any) -> Iterator[str]:
    for part in parts:
        action = part[1:-1].strip()
        if not part.startswith("{"):
            yield part
        elif action.startswith("range ") or action == "range":
            body = _body(parts)
            for item in values(action[5:].strip(), data):
                yield from _output(iter(body), item)
        elif action == "end":
            raise BadPathError("not in range, nothing to end")
        elif _STRING.fullmatch(action):
            yield _unquote(action)
        else:
            yield " ".join(map(text, values(action, data)))


def _body(parts: Iterator[str]) -> list[str]:
    """What is repeated: the parts up to the ``{end}`` of a range."""
    body: list[str] = []
    depth = 1
    for part in parts:
        action = part.strip("{} ")
        depth += action.startswith("range ") - (action == "end")
        if not depth:
            return body
        body.append(part)
    raise BadPathError("unclosed range, missing {end}")


def _unquote(quoted: str) -> str:
    return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), quoted[1:-1])


def values(path: str, data: Any) -> list[Any]:
    """Everything that a path (without braces) finds in *data*. Raises BadPathError, and IndexError as upstream words it."""
    found, position, deep = [data], 0, False
    while position < len(path):
        m = _TOKEN.match(path, position)
        if m is None or m.end() == position:
            what = f"unrecognized character in action: {path[position]!a}"
            raise BadPathError("unterminated array" if path[position] == "[" else what)
        position = m.end()
        if m["deep"]:
            found, deep = [d for f in found for d in _descend(f)], True
            continue
        if m["star"]:
            found = [c for f in found for c in _children(f)]
        elif m["field"] is not None:
            name = re.sub(r"\\(.)", r"\1", m["field"])
            found = [c for f in found for c in _named(name, f)]
        elif m["filter"] is not None:
            found = [c for f in found for c in _children(f) if _holds(m["filter"], c)]
        elif m["index"] is not None:
            found = [c for f in found for c in _indexed(m["index"].strip(), f, deep)]
    return found


def _children(data: Any) -> list[Any]:
    return list(data.values()) if isinstance(data, dict) else list(data) if isinstance(data, list) else []


def _named(name: str, data: Any) -> list[Any]:
    return [data[name]] if isinstance(data, dict) and name in data else []


def _descend(data: Any) -> Iterator[Any]:
    yield data
    for child in _children(data):
        yield from _descend(child)


def _indexed(index: str, data: Any, lenient: bool) -> Iterator[Any]:
    """``[0]``, ``[-1]``, ``[0:2]``, ``[*]``, ``['name']`` and lists of them."""
    for part in re.findall(r"'[^']*'|\"[^\"]*\"|[^,\s]+", index):
        if part == "*":
            yield from _children(data)
        elif part[0] in "'\"":
            yield from _named(_unquote(part), data)
        elif not re.fullmatch(r"-?\d+|(-?\d+)?:(-?\d+)?(:[1-9]\d*)?", part):
            raise BadPathError(f"invalid array index {index}")
        elif isinstance(data, list):
            if ":" in part:
                yield from data[slice(*(int(n) if n else None for n in part.split(":")))]
            elif -len(data) <= int(part) < len(data):
                yield data[int(part)]
            elif not lenient:
                raise IndexError(f"array index out of bounds: index {part}, length {len(data)}")


def _holds(condition: str, item: Any) -> bool:
    m = _FILTER.match(condition)
    if m is None:
        raise BadPathError("unterminated filter")
    left, right = _operand(m["left"], item), _operand(m["right"], item) if m["op"] else []
    try:
        return bool(left and right and _OPERATORS[m["op"]](left[0], right[0])) if m["op"] else bool(left)
    except TypeError:
        return False


def _operand(word: str, item: Any) -> list[Any]:
    """One side of a comparison: a path from ``@``, or a literal."""
    if word.startswith("@"):
        return values(word, item)
    try:
        return [_unquote(word) if _STRING.fullmatch(word) else json.loads(word)]
    except ValueError:
        raise BadPathError(f"unrecognized identifier {word}") from None
