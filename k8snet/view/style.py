"""One visual language for every picture of the course.

Colours are those of Okabe and Ito, told apart with every common kind of colour blindness; each also has a shape, a
line style or a sign, so that no meaning hangs on colour alone. Pictures bring their own light background: they read
the same in a light and a dark theme and on a projector. Fonts are those every system has.
"""

from __future__ import annotations

INK = "#1b1b1b"
FAINT = "#6b6b6b"
LINE = "#c9c9c9"
PAPER = "#ffffff"
PANEL = "#f4f6f8"
BLUE = "#0072b2"
ORANGE = "#d55e00"
GREEN = "#009e73"
PURPLE = "#8a4f7d"
YELLOW = "#f0e442"
SKY = "#56b4e9"

FORWARD, RETURN = BLUE, ORANGE
FONT = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif"
MONO = "DejaVu Sans Mono, Menlo, Consolas, monospace"

# How an outcome looks: sign, colour, word.
OUTCOME_SIGNS = {
    "delivered": ("✓", GREEN),
    "refused": ("✕", ORANGE),
    "timed out": ("…", ORANGE),
    "name not found": ("?", ORANGE),
    "no route": ("⊘", ORANGE),
    "reset": ("↯", ORANGE),
    "undefined": ("~", PURPLE),
    "stopped": ("■", PURPLE),
}

# Fill and outline of the lanes and boxes for each kind of place.
PLACES = {
    "pod": ("#e3f1fa", BLUE),
    "node": ("#eef0f2", FAINT),
    "fabric": ("#f7f7f7", LINE),
    "edge": ("#fdf3d8", "#a67c00"),
    "outside": ("#f3e9f1", PURPLE),
}


def short(text: str, width: int) -> str:
    """*text* cut to *width* characters, with an ellipsis where something was cut."""
    return text if len(text) <= width else text[: width - 1] + "…"
