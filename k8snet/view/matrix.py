"""Reachability as a picture: rows call, columns answer; a dot is allowed, a cross is blocked."""

from __future__ import annotations

from collections.abc import Sequence

from k8snet.view import style
from k8snet.view.drawing import Drawing

SIGNS = {
    ".": ("•", "#d7eee6"),
    "X": ("✕", "#f6d6c4"),
    "+": ("+", "#56b4e9"),
    "-": ("−", "#f0a35e"),
    "~": ("~", "#e2d3de"),
}
WORDS = {".": "allowed", "X": "blocked", "+": "now allowed", "-": "now blocked", "~": "undefined"}


def plot(names: Sequence[str], rows: Sequence[str], title: str, counts: Sequence[int] | None = None) -> Drawing:
    """A matrix of signs: ``.`` allowed, ``X`` blocked, in a difference ``+`` newly allowed and ``-`` newly blocked.

    ``counts`` says how many Pods each row and column stands for, where they are groups. Up to 40 rows carry names and
    signs; beyond that the picture is colours alone and its text lists the counts.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    n, order = len(names), list(SIGNS)
    side = min(2.2 + 0.42 * n, 9.5)
    figure = Figure(figsize=(side + 1.6, side))
    axes = figure.add_subplot()
    colours = ListedColormap([SIGNS[s][1] for s in order])
    axes.imshow([[order.index(s) for s in row] for row in rows], cmap=colours, vmin=-0.5, vmax=len(order) - 0.5)
    if n <= 40:
        size = 10 if n <= 20 else 7
        labels = [
            f"{name} ({c})" if counts is not None and (c := counts[i]) > 1 else name for i, name in enumerate(names)
        ]
        axes.set_xticks(range(n), labels, rotation=45, ha="left", fontsize=size)
        axes.set_yticks(range(n), labels, fontsize=size)
        for i, row in enumerate(rows):
            for j, sign in enumerate(row):
                axes.text(j, i, SIGNS[sign][0], ha="center", va="center", fontsize=size + 2, color=style.INK)
        axes.set_xticks([x - 0.5 for x in range(1, n)], minor=True)
        axes.set_yticks([y - 0.5 for y in range(1, n)], minor=True)
        axes.grid(which="minor", color=style.PAPER, linewidth=1.5)
        axes.tick_params(which="both", length=0)
    axes.xaxis.tick_top()
    axes.set_ylabel("from")
    axes.set_title(title, fontsize=11, pad=14)
    seen = [s for s in order if any(s in row for row in rows)]
    handles = [Patch(facecolor=SIGNS[s][1], edgecolor=style.FAINT, label=f"{SIGNS[s][0]} {WORDS[s]}") for s in seen]
    axes.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=len(handles), frameon=False, fontsize=9
    )
    return Drawing(figure, describe(names, rows, title))


def describe(names: Sequence[str], rows: Sequence[str], title: str) -> str:
    """The picture in words: a table of signs for up to 40 rows, else how many cells hold each sign."""
    counts = ", ".join(
        f"{sum(row.count(s) for row in rows)} {WORDS[s]}" for s in SIGNS if any(s in row for row in rows)
    )
    head = f"{title}: {counts}"
    if len(names) > 40:
        return head
    width = max((len(n) for n in names), default=0)
    table = [f"{name:<{width}}  {' '.join(row)}" for name, row in zip(names, rows, strict=True)]
    return "\n".join(
        [
            head,
            f"(rows call, columns answer, both in this order; {', '.join(f'{s} {w}' for s, w in WORDS.items() if any(s in r for r in rows))})",
            *table,
        ]
    )
