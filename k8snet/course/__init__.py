"""Did the learner get it?

Exercises use ``begin``, ``show``, ``cluster``, ``check`` and ``hint`` (`k8snet.course.exercise`), lessons ``predict``,
``reveal`` (`k8snet.course.predictions`). All are imported when first asked for, so that the static grader stays light.
"""

from __future__ import annotations

from typing import Any

_EXERCISE = ("begin", "show", "cluster", "check", "hint")
_PREDICT = ("predict", "reveal")


def __getattr__(name: str) -> Any:
    if name in _EXERCISE:
        from k8snet.course import exercise

        return getattr(exercise, name)
    if name in _PREDICT:
        from k8snet.course import predictions

        return getattr(predictions, name)
    raise AttributeError(f"module 'k8snet.course' has no attribute '{name}'")
