"""Small SVG drawings made of boxes in columns: the chains of a Service, the candidates of a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from k8snet.controlplane.snapshot import Snapshot
from k8snet.dataplane import iptables
from k8snet.dataplane.resolver import Lookup
from k8snet.view import style
from k8snet.view.display import image

HIGH, GAP_X, GAP_Y, BOLD, SMALL, MOST = 40, 70, 14, 7.6, 6.1, 80


@dataclass(frozen=True)
class Picture:
    """An SVG with the text that stands for it; ``str()`` says all that the picture shows."""

    svg: str
    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return image(self.svg, self.text)


def flow(columns: Sequence[Sequence[tuple[str, str, str]]], arrows: Mapping[tuple[str, str], str]) -> str:
    """Boxes in columns, joined by labelled arrows. A box is (key, heading, line below); an arrow goes from key to key.

    A column is as wide as its longest text needs.
    """
    wide = [
        round(20 + max(max(BOLD * min(len(head), MOST), SMALL * min(len(below), MOST)) for _, head, below in column))
        for column in columns
    ]
    lefts = [10 + sum(wide[:i]) + GAP_X * i for i in range(len(wide))]
    width = lefts[-1] + wide[-1] + 10
    height = max(len(c) for c in columns) * (HIGH + GAP_Y) + 20
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="{style.FONT}" font-size="11">',
        f'<rect width="{width}" height="{height}" rx="6" fill="{style.PAPER}" stroke="{style.LINE}"/>',
    ]
    spots = {
        box[0]: (i, 10 + j * (HIGH + GAP_Y) + (height - 20 - len(column) * (HIGH + GAP_Y)) // 2)
        for i, column in enumerate(columns)
        for j, box in enumerate(column)
    }
    for (start, end), label in arrows.items():
        (i, y1), (j, y2) = spots[start], spots[end]
        x1, x2, y1, y2 = lefts[i] + wide[i], lefts[j], y1 + HIGH // 2, y2 + HIGH // 2
        out.append(
            f'<path d="M{x1} {y1} L{x2} {y2}" stroke="{style.BLUE}" stroke-width="1.8"/><circle cx="{x2}" cy="{y2}" r="3.5" fill="{style.BLUE}"/>'
        )
        if label:
            out.append(
                f'<text x="{(x1 + x2) // 2}" y="{(y1 + y2) // 2 - 4}" text-anchor="middle" font-size="10" fill="{style.INK}">{escape(label)}</text>'
            )
    for column in columns:
        for key, heading, below in column:
            i, y = spots[key]
            x = lefts[i]
            out.append(
                f'<rect x="{x}" y="{y}" width="{wide[i]}" height="{HIGH}" rx="5" fill="{style.PANEL}" stroke="{style.FAINT}"/>'
            )
            out.append(
                f'<text x="{x + 9}" y="{y + 16}" font-weight="bold" fill="{style.INK}">{escape(style.short(heading, MOST))}</text>'
            )
            out.append(
                f'<text x="{x + 9}" y="{y + 31}" font-size="10" font-family="{style.MONO}" fill="{style.FAINT}">{escape(style.short(below, MOST))}</text>'
            )
    return "".join(out) + "</svg>"


def chains(snapshot: Snapshot, node: str, service: str) -> Picture:
    """The nat chains that a node holds for a Service (``namespace/name``): who jumps where, and with what chance."""
    mine = [
        r
        for r in iptables.tables(snapshot, node)["nat"]
        if any(o == iptables.COMMENT and f"{service} " in f"{v} ".replace(":", " ") for o, v in r.conditions)
    ]
    text = [f"{r.chain}: {iptables.saved(r)}" for r in mine]
    depths = (("KUBE-EXT", "KUBE-FW"), ("KUBE-SVC", "KUBE-SVL"), ("KUBE-SEP",))
    jumps = {
        (r.chain, r.target): next((f"chance {float(v):.2f}" for o, v in r.conditions if o == iptables.CHANCE), "")
        for r in mine
        if r.target.startswith(sum(depths, ()))
    }
    order = [[c for c in ("KUBE-SERVICES", "KUBE-NODEPORTS") if any(a == c for a, _ in jumps)]]
    order += [list(dict.fromkeys(b for _, b in jumps if b.startswith(kinds))) for kinds in depths]
    below = {r.chain: r.target for r in mine if r.target.startswith("DNAT")}
    below |= {
        r.target: next((f"-d {v}" for o, v in r.conditions if o == iptables.TO), "")
        for r in mine
        if r.chain == "KUBE-SERVICES"
    }
    columns = [[(c, c, below.get(c, "")) for c in column] for column in order if column]
    return Picture(flow(columns, jumps) if columns else "", "\n".join(text) or f"{node} holds no chains for {service}")


def candidates(lookup: Lookup) -> Picture:
    """The ladder of a look-up: each candidate name in order, asked and answered, or not asked."""
    boxes = []
    for number, (name, said) in enumerate(lookup.ladder, 1):
        answers = ", ".join(f"{kind} {status}" for kind, status in said.items()) or "not asked"
        boxes.append((name, f"{number}  {name}", answers))
    asked = [(lookup.name, f"the program asks for {lookup.name}", f"{len(lookup.replies)} questions in all")]
    result = ", ".join(lookup.addresses) or lookup.result
    end = [("=", result, f"after {lookup.seconds:g} s")]
    last = next((name for name, answers in reversed(lookup.ladder) if answers), None)
    arrows = {(lookup.name, name): "" for name, answers in lookup.ladder if answers and name != lookup.name}
    arrows |= {(last, "="): ""} if last else {}
    return Picture(flow([asked, boxes, end] if boxes else [asked, end], arrows), str(lookup))
