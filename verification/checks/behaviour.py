"""Checks of behaviour: the same call twice has the same answer, and no call changes its arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from refot.verification.cases.case import Case
from refot.verification.subjects.capabilities import Role, names_of
from refot.verification.subjects.limits import Clocked
from refot.verification.subjects.probe import NotOfferedError, SubjectError
from refot.verification.trajectories.steps import algorithms, load, question

from .arguments import first, ordinary
from .trial import CHECKS, Finding, Trial, check


def _scale(trial: Trial, capability: str) -> float:
    """What the tolerance of an answer is proportional to: mass 1 for a plan; for all others
    max C - min C + eps."""
    return 1.0 if capability == "plan" else trial.case.spread + trial.case.eps


def _repeatable(capability: str) -> None:
    @check(f"{capability}.repeatable", "The same call made twice gives the same answer", first)
    def run(trial: Trial) -> Finding:
        one, two = trial.twice(capability, *ordinary(trial, capability))
        if one.shape != two.shape:
            raise SubjectError(f"returned shapes {one.shape} and then {two.shape}")
        allowed = trial.rate * _scale(trial, capability) + trial.rounding
        return trial.worst(two, one, allowed, "the second call against the first")


for _capability in names_of(Role.ANSWER):
    _repeatable(_capability)


# ------------------------------------------------------------------ arguments are the caller's
KEEPS = "The arguments are after the call what they were before: nothing is written into them"


def _asked(capability: str) -> Callable[[Case], bool]:
    """A function that says whether some other check of the capability applies to a case.

    All these cases are tried, because unusual ones (weights of 0, a single atom) are those where
    implementations correct their arguments in place.
    """
    return lambda case: any(
        other.applies(case) for other in CHECKS.values()
        if other.capability == capability and not other.id.endswith(".keeps-arguments"))


def _untouched(trial: Trial, calls: list[tuple[Any, ...]]) -> Finding:
    """Whether none of these calls, each (capability, *arguments), writes into its arguments."""
    capability = calls[0][0]
    if isinstance(trial.probe.part.capabilities[capability], Clocked):
        raise NotOfferedError("not asked: a program has its arguments as text")
    found: list[tuple[str, ...]] = []
    for call in calls:
        with suppress(NotOfferedError):
            found.append(trial.written(*call))
    if not found:
        raise NotOfferedError("not known: it has no answer")
    written = sorted({name for names in found for name in names})
    cause = f"it writes into its argument {' and '.join(written)}" if written else ""
    return replace(trial.mass_error(float(len(written)), "the number of arguments it changes"
                                    if written else ""), cause=cause)


def _keeps_arguments(capability: str) -> None:
    @check(f"{capability}.keeps-arguments", KEEPS, _asked(capability))
    def run(trial: Trial) -> Finding:
        return _untouched(trial, [(capability, *ordinary(trial, capability))])


for _capability in names_of(Role.ANSWER):
    _keeps_arguments(_capability)


@check("converged.keeps-arguments", KEEPS)
def converged_keeps_arguments(trial: Trial) -> Finding:
    return _untouched(trial, [("converged", *trial.case.matrix)])


@check("train_step.keeps-arguments", KEEPS, first)
def train_step_keeps_arguments(trial: Trial) -> Finding:
    """One call for each training algorithm that the subject offers."""
    calls = [("train_step", *question(load(algorithm))) for algorithm in algorithms()]
    return _untouched(trial, calls)
