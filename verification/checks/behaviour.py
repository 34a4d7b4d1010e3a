"""Checks of how a subject behaves: the same answer to the same call, no number for a NaN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from refot.verification.cases import Case
from refot.verification.check import Finding, Trial, check
from refot.verification.probe import NotOfferedError, SubjectError

Arguments = tuple[Any, ...]

ON_MATRICES: dict[str, Callable[[Case], Arguments]] = dict.fromkeys(
    ("plan", "potentials", "value", "transport_cost"), lambda case: case.matrix)
ON_POINTS: dict[str, Callable[[Case], Arguments]] = {
    "divergence": lambda case: case.clouds,
    "divergence_gradient": lambda case: case.clouds,
    "mmd": lambda case: (*case.clouds[:4], case.clouds[5]),
}


def _first(case: Case) -> bool:
    """One ordinary case is enough for what does not depend on the numbers."""
    return case.name.partition("#")[0] == "gaussian"


def _scale(trial: Trial, capability: str) -> float:
    """The unit of an answer: mass 1 for a plan, cost units for the others."""
    return 1.0 if capability == "plan" else trial.case.spread + trial.case.eps


def _repeatable(capability: str, arguments: Callable[[Case], Arguments]) -> None:
    @check(f"{capability}.repeatable", "The same call made twice gives the same answer", _first)
    def run(trial: Trial) -> Finding:
        first, second = trial.again(capability, *arguments(trial.case))
        if first.shape != second.shape:
            raise SubjectError(f"returned shapes {first.shape} and then {second.shape}")
        allowed = trial.rate * _scale(trial, capability) + trial.rounding
        return trial.worst(second, first, allowed, "the second call against the first")


def _refuses_nan(capability: str, arguments: Callable[[Case], Arguments]) -> None:
    @check(f"{capability}.refuses-nan",
           "A NaN in the costs or points gives an error or a NaN, not a number", _first)
    def run(trial: Trial) -> Finding:
        sound, *others = arguments(trial.case)
        if not np.isfinite(trial.raw(capability, sound, *others)).all():  # raises where that does
            return Finding(np.nan, None, np.nan, 0.0, "it is not finite without the NaN either")
        spoilt = sound.copy()
        spoilt[0, 0] = np.nan
        try:
            answer = trial.raw(capability, spoilt, *others)
        except NotOfferedError:
            raise
        except SubjectError as error:
            return trial.mass_error(0.0, f"it raises: {error}")
        return trial.mass_error(float(np.isfinite(answer).all()), "1 if all is finite")


for _capability, _arguments in (ON_MATRICES | ON_POINTS).items():
    _repeatable(_capability, _arguments)
    _refuses_nan(_capability, _arguments)
