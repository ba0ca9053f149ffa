"""Predict, then look: a question before each demonstration, and after it what happened, why, and what many think.

The questions stand in ``questions/``, one file for each notebook. ``predict(ID)`` shows one, ``predict(ID, option,
confidence)`` answers it, ``reveal(ID)`` compares. Confidence is kept and shown, never graded: confident errors, once
corrected, stick best, so items that were sure and wrong come back first.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from k8snet.course import progress

CONFIDENCE = ("guess", "think so", "sure")
_answers: dict[str, Prediction] = {}


@dataclass(frozen=True)
class Question:
    """One prediction: ``options`` to choose from, the true one, and the refutation shown afterwards."""

    id: str
    teaches: tuple[str, ...]
    question: str
    options: tuple[str, ...]
    answer: str
    many_think: str
    because: str

    def __str__(self) -> str:
        lines = [
            *textwrap.wrap(f"Predict: {self.question}", 92, break_on_hyphens=False),
            *(f"  ( ) {o}" for o in self.options),
        ]
        return "\n".join([*lines, f'To answer without the buttons: predict("{self.id}", "{self.options[0]}", "sure")'])


@dataclass(frozen=True)
class Prediction:
    """What a learner said before looking."""

    option: str
    confidence: str


@cache
def questions() -> Mapping[str, Question]:
    """All questions by id."""
    rows: dict[str, Any] = {}
    for file in sorted(resources.files("k8snet.course").joinpath("questions").iterdir(), key=lambda f: f.name):
        rows |= yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    return {
        key: Question(
            id=key,
            teaches=tuple(row["teaches"]),
            question=row["question"],
            options=tuple(map(str, row["options"])),
            answer=str(row["answer"]),
            many_think=row["many_think"],
            because=row["because"],
        )
        for key, row in rows.items()
    }


def predict(question_id: str, option: str = "", confidence: str = "think so") -> Any:
    """Show a question as a card, or answer it in words. Answers nothing but a sentence for an unknown id or option."""
    question = questions().get(question_id)
    if question is None:
        return Saying(f"There is no question {question_id!r}.")
    if option:
        return answer(question, option, confidence)
    from k8snet.view import widgets

    return widgets.prediction_card(
        f"Predict: {question.question}",
        str(question),
        question.options,
        CONFIDENCE,
        lambda o, c: str(answer(question, o, c)),
    )


def answer(question: Question, option: str, confidence: str) -> Saying:
    """Store a prediction. *option* may be shortened to its beginning."""
    matches = [o for o in question.options if o.lower().startswith(option.lower())]
    if len(matches) != 1 or confidence not in CONFIDENCE:
        return Saying(f"Choose one of: {'; '.join(question.options)}. Confidence: {', '.join(CONFIDENCE)}.")
    _answers[question.id] = Prediction(matches[0], confidence)
    return Saying(f"Noted: {matches[0]} ({confidence}). Now run the next cell.")


@dataclass(frozen=True)
class Saying:
    """A sentence; shown as it is."""

    text: str

    def __repr__(self) -> str:
        lines = (
            textwrap.wrap(line, 92, subsequent_indent="  ", break_on_hyphens=False) or [""]
            for line in self.text.splitlines()
        )
        return "\n".join(line for wrapped in lines for line in wrapped)

    __str__ = __repr__


def reveal(question_id: str) -> Saying:
    """After the demonstration: the prediction beside the truth, the common belief, and why it is wrong."""
    question = questions().get(question_id)
    if question is None:
        return Saying(f"There is no question {question_id!r}.")
    said = _answers.get(question_id)
    if said is None:
        first = "No prediction is stored; next time, predict first: it is what makes the result stick."
    else:
        right = said.option == question.answer
        word = "as you predicted" if right else "a surprise"
        first = f"You predicted: {said.option} ({said.confidence}). That was {word}."
        progress.keep_prediction(question_id, {"right": right, "confidence": said.confidence})
    return Saying(
        f"{first}\nWhat happened: {question.answer}.\nMany think: {question.many_think}\nBut: {question.because}"
    )
