"""The same answer in other shapes: what means the same must be judged the same. At least ten for each kind of task."""

from __future__ import annotations

import copy
import json
import re

import yaml

from k8snet.manifests import reader


def shapes(kind, text):
    """Other texts that mean what *text* means, for a kind of task."""
    if kind in ("write", "repair", "probes"):
        return manifests(text)
    return {"arrange": arranged, "matrix": matrices}.get(kind, lines)(text)


def manifests(text):
    """Other spellings of manifests, behind the ``kubectl`` lines that stand before them."""
    head = [line for line in text.splitlines() if line.startswith("kubectl ")]
    rest = "\n".join(line for line in text.splitlines() if not line.startswith("kubectl "))
    objects = [d.obj for d in reader.read(rest) if d.obj]
    if not objects:
        return ["\n\n".join(head), "\n".join(["# done by hand", *head]), "\r\n".join(head)]
    dumped = [yaml.safe_dump(o, sort_keys=False) for o in objects]
    filled = [_filled(o) for o in objects]
    bodies = [
        rest.replace("\n", "\r\n"),
        "# a comment\n" + rest.replace("\n", "   # and another\n", 1),
        "---\n" + "---\n".join(dumped) + "...\n",
        "---\n".join(yaml.safe_dump(o) for o in objects),
        "---\n".join(yaml.safe_dump(o, default_flow_style=True) for o in objects),
        "---\n".join(yaml.safe_dump(o, default_style='"', sort_keys=False) for o in objects),
        "---\n".join(yaml.safe_dump(_turned(o), sort_keys=False) for o in objects),
        "---\n".join(json.dumps(o) + "\n" for o in objects),
        json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}),
        "---\n".join(yaml.safe_dump(o, sort_keys=False, indent=6) for o in objects),
        "---\n".join(yaml.safe_dump(o, sort_keys=False) for o in filled),
        "---\n".join(dumped + dumped),
    ]
    return ["\n".join([*head, body]) for body in bodies]


def _filled(obj):
    """An object with defaults written out."""
    obj = copy.deepcopy(obj)
    if obj["kind"] not in ("Namespace", "Node", "IngressClass", "GatewayClass"):
        obj["metadata"].setdefault("namespace", "default")
    spec = obj.get("spec") or {}
    rules = [*(spec.get("ingress") or []), *(spec.get("egress") or [])] if obj["kind"] == "NetworkPolicy" else []
    ports = [p for r in rules for p in r.get("ports") or []] + (
        spec.get("ports") or [] if obj["kind"] == "Service" else []
    )
    for port in ports:
        port.setdefault("protocol", "TCP")
    return obj


def _turned(value):
    if isinstance(value, dict):
        return {k: _turned(v) for k, v in reversed(value.items())}
    return [_turned(v) for v in value] if isinstance(value, list) else value


def arranged(text):
    """Other indentations and orders of the same lines."""
    rows = [(len(line) - len(line.lstrip()), line.strip()) for line in text.splitlines() if line.strip()]

    def indented(step, flush=False):
        """The lines with *step* blanks for a level; *flush*: dashes stand right below their key."""
        columns, out = [(0, 0)], []
        for old, line in rows:
            columns = [c for c in columns if c[0] <= old]
            if columns[-1][0] < old:
                columns.append((old, columns[-1][1] + (0 if flush and line.startswith("- ") else step)))
            out.append(" " * columns[-1][1] + line)
            if line.startswith("- "):
                columns.append((old + 2, columns[-1][1] + 2))
        return "\n".join(out)

    blocks = re.findall(r"^\S.*\n?(?:^ .*\n?)*", text.rstrip() + "\n", re.MULTILINE)
    return [
        indented(1),
        indented(3),
        indented(4) + "\n\n",
        indented(2, flush=True),
        "\n\n".join(" " * d + line for d, line in rows),
        "\n".join(" " * d + line + "  " for d, line in rows),
        "\r\n".join(" " * d + line for d, line in rows),
        "# my answer\n" + text,
        "".join(reversed(blocks)),
        "".join(blocks[1:] + blocks[:1]),
    ]


def matrices(text):
    """Other spellings of a filled matrix."""
    rows = [line.rpartition(":") for line in text.splitlines() if ":" in line]
    names, signs = [r[0] for r in rows], [re.sub(r"\s", "", r[2]) for r in rows]

    def spelt(change, form="{}: {}"):
        return "\n".join(form.format(n, change(s)) for n, s in zip(names, signs, strict=True))

    return [
        spelt(str),
        spelt(" ".join),
        spelt("  ".join),
        spelt("\t".join),
        spelt(str.lower),
        spelt(lambda s: s.replace("-", ".")),
        spelt(lambda s: s.replace("-", "X")),
        spelt(str, "  {} :{}"),
        "\n\n".join(reversed(spelt(str).splitlines())),
        "# rows call\n" + spelt(",".join),
        spelt("|".join),
    ]


def lines(text):
    """Other spellings of lines ``key: value``."""
    pairs = [tuple(x.strip() for x in line.split(":", 1)) for line in text.splitlines() if ":" in line]
    forms = (
        "{}: {}", "{}:{}", "{} : {}", "- {}: {}", "* `{}`: {}", "{} = {}", '{}: "{}"', "{}: `{}`", "{}: {}  # sure", "  {}: {}.",
    )  # fmt: skip
    spelt = ["\n".join(form.format(k, v) for k, v in pairs) for form in forms]
    return [
        *spelt,
        "\n".join(reversed(spelt[0].splitlines())),
        "\n".join(f"{k.upper()}: {v.upper()}" for k, v in pairs),
    ]
