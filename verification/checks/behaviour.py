"""Checks of how a subject behaves: the same call has the same answer."""

from __future__ import annotations

from refot.verification.subjects.probe import SubjectError

from .arguments import ORDINARY, first
from .trial import Finding, Trial, check


def _scale(trial: Trial, capability: str) -> float:
    """The unit of an answer: mass 1 for a plan, cost units for the others."""
    return 1.0 if capability == "plan" else trial.case.spread + trial.case.eps


def _repeatable(capability: str) -> None:
    @check(f"{capability}.repeatable", "The same call made twice gives the same answer", first)
    def run(trial: Trial) -> Finding:
        one, two = trial.again(capability, *ORDINARY[capability](trial))
        if one.shape != two.shape:
            raise SubjectError(f"returned shapes {one.shape} and then {two.shape}")
        allowed = trial.rate * _scale(trial, capability) + trial.rounding
        return trial.worst(two, one, allowed, "the second call against the first")


for _capability in ORDINARY:
    _repeatable(_capability)
