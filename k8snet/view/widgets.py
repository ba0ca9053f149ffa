"""Widgets (ipywidgets), each with a static form that says the same in plain text.

One HTML widget whose value is replaced, labelled buttons and drop-downs: they have accessible names and need only a
keyboard. What a saved notebook keeps, and what GitHub or a screen reader without widgets shows, is the static text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from k8snet.view.display import pre


class Card:
    """A widget together with the plain text that stands for it where widgets are not shown."""

    def __init__(self, text: str, build: Callable[[], Any]) -> None:
        self.text = text
        self._build = build

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        bundle: dict[str, Any] = {"text/plain": self.text, "text/html": pre(self.text)}
        widget = self._build()
        live = widget._repr_mimebundle_() or {}
        view = "application/vnd.jupyter.widget-view+json"
        return {**bundle, view: live[view]} if view in live else bundle


def status(text: str) -> str:
    """Text that a screen reader announces when it changes."""
    return f'<div role="status" aria-live="polite">{text}</div>'


def prediction_card(
    text: str, options: Sequence[str], confidence: Sequence[str], answer: Callable[[str, str], str]
) -> Card:
    """The question with its options, three levels of confidence and a button; the answer goes to *answer*."""

    def build() -> Any:
        import ipywidgets as w

        question = w.HTML(pre(text.partition("\n")[0]))
        choice = w.RadioButtons(
            options=list(options), value=None, description="Outcome", layout={"width": "max-content"}
        )
        sure = w.Dropdown(options=list(confidence), value=confidence[1], description="I am")
        note = w.HTML(status(""))
        button = w.Button(description="Store my prediction", layout={"width": "auto"})

        def store(_: Any) -> None:
            note.value = status(
                escape(answer(choice.value, sure.value) if choice.value else "Choose an outcome first.")
            )

        button.on_click(store)
        return w.VBox([question, choice, sure, button, note])

    return Card(text, build)
