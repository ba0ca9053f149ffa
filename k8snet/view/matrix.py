"""Reachability as a picture: rows call, columns answer; a dot is allowed, a cross is blocked."""

from __future__ import annotations

from collections.abc import Sequence

from k8snet.dataplane.reachability import Difference, Reachability
from k8snet.view import style
from k8snet.view.drawing import Drawing

SIGNS = {
    ".": ("•", "#d7eee6"),
    "X": ("✕", "#f6d6c4"),
    "+": ("+", "#56b4e9"),
    "-": ("−", "#f0a35e"),
    "~": ("~", "#e2d3de"),
}
NAMED = 40
WORDS = {".": "allowed", "X": "blocked", "+": "now allowed", "-": "now blocked", "~": "undefined"}


def of(found: Reachability | Difference) -> Drawing:
    """The picture of a reachability, or of the difference of two. Beyond 40 Pods it shows groups with their sizes."""
    title = f"{found.protocol} {found.port}" if isinstance(found, Reachability) else "what changed"
    if isinstance(found, Reachability) and max(len(found.clients), len(found.servers)) > NAMED:
        names, counts = [g.name for g in found.groups], [len(g.members) for g in found.groups]
        return plot(names, names, found.group_rows, title, counts)
    return plot(found.clients, found.servers, found.rows(), title)


def plot(
    clients: Sequence[str], servers: Sequence[str], rows: Sequence[str], title: str, counts: Sequence[int] = ()
) -> Drawing:
    """A matrix of signs: ``.`` allowed, ``X`` blocked, in a difference ``+`` newly allowed and ``-`` newly blocked.

    ``counts`` says how many Pods each row and column stands for, where they are groups. Beyond `NAMED` rows the picture
    is colours alone.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    high, wide, order = len(clients), len(servers), list(SIGNS)
    figure = Figure(figsize=(min(3.8 + 0.42 * wide, 11), min(2.2 + 0.42 * high, 9.5)))
    axes = figure.add_subplot()
    colours = ListedColormap([SIGNS[s][1] for s in order])
    axes.imshow([[order.index(s) for s in row] for row in rows], cmap=colours, vmin=-0.5, vmax=len(order) - 0.5)
    if max(high, wide) <= NAMED:
        size = 10 if max(high, wide) <= 20 else 7
        axes.set_xticks(range(wide), _labels(servers, counts), rotation=45, ha="left", fontsize=size)
        axes.set_yticks(range(high), _labels(clients, counts), fontsize=size)
        for i, row in enumerate(rows):
            for j, sign in enumerate(row):
                axes.text(j, i, SIGNS[sign][0], ha="center", va="center", fontsize=size + 2, color=style.INK)
        axes.set_xticks([x - 0.5 for x in range(1, wide)], minor=True)
        axes.set_yticks([y - 0.5 for y in range(1, high)], minor=True)
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
    return Drawing(figure, describe(clients, servers, rows, title))


def _labels(names: Sequence[str], counts: Sequence[int] = ()) -> list[str]:
    short = [name.removeprefix("default/") for name in names]
    return [f"{name} ({counts[i]})" if counts and counts[i] > 1 else name for i, name in enumerate(short)]


def describe(clients: Sequence[str], servers: Sequence[str], rows: Sequence[str], title: str) -> str:
    """The picture in words: how many cells hold each sign and, up to `NAMED` rows, the table of signs."""
    seen = [s for s in SIGNS if any(s in row for row in rows)]
    head = f"{title}: " + ", ".join(f"{sum(row.count(s) for row in rows)} {WORDS[s]}" for s in seen)
    if max(len(clients), len(servers)) > NAMED:
        return head
    width = max((len(n) for n in _labels(clients)), default=0)
    legend = f"rows call {', '.join(_labels(servers))}; {', '.join(f'{s} {WORDS[s]}' for s in seen)}"
    return "\n".join(
        [head, legend, *(f"{name:<{width}}  {' '.join(row)}" for name, row in zip(_labels(clients), rows, strict=True))]
    )
