"""How the data of other rooms looks in a notebook: plain text that is complete, and one static picture beside it.

The data plane never draws, so its types are given their notebook form here, when a cluster is made in IPython.
The picture goes as ``<img>`` with alternative text: that also shows in a notebook that nobody has trusted yet.
"""

from __future__ import annotations

import base64
import sys
from html import escape
from typing import Any

from k8snet.dataplane.trace import Trace
from k8snet.view import ladder


def image(svg: str, alt: str) -> str:
    """An SVG as an ``<img>`` element that needs nothing from outside."""
    data = base64.b64encode(svg.encode()).decode()
    return f'<img alt="{escape(alt, quote=True)}" style="max-width:100%" src="data:image/svg+xml;base64,{data}">'


def pre(text: str) -> str:
    """Text as a terminal would show it, also where a page's own style would not."""
    return f'<pre style="font-family:monospace;line-height:1.25;white-space:pre-wrap">{escape(text)}</pre>'


def trace_html(trace: Trace) -> str:
    """The notebook form of a trace: its picture, and its complete text to unfold."""
    return f"{image(ladder.svg(trace), ladder.alt(trace))}<details><summary>Every hop in words</summary>{pre(str(trace))}</details>"


def _pretty(value: Any, printer: Any, cycle: bool) -> None:
    printer.text(str(value))


def register() -> None:
    """Teach the running IPython shell to show these types; without IPython nothing happens."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None:
        return
    formatters = shell.display_formatter.formatters
    formatters["text/html"].for_type(Trace, trace_html)
    formatters["text/plain"].for_type(Trace, _pretty)
