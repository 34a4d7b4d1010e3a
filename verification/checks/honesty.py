"""Checks of honesty: a solve that did not converge says so, and one that says it converged has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np

from refot.arrays import Array
from refot.verification.cases.case import Case, synthetic
from refot.verification.subjects.probe import NotOfferedError, SubjectError
from refot.verification.truth.solution import solution_of

from .arguments import first, wording
from .trial import Finding, Trial, check

PLANS: dict[str, Callable[[Trial], Array]] = {"plan": Trial.plan,
                                              "potentials": Trial.plan_of_potentials}
"""By capability, a function that gets a plan from the subject's answer. The marginals of that plan
say whether the solve converged."""


# ------------------------------------------------------------------ the call says so
def _honest(capability: str) -> None:
    """Register the check that a call whose solve did not converge warns or raises, or that
    `converged` says no."""

    @check(f"{capability}.honest", "Where the marginals are missed, the call warns or raises, or "
           "`converged` says no: no silent failure")
    def run(trial: Trial) -> Finding:
        missed = trial.marginals_right(PLANS[capability](trial))
        if missed.passed:
            return trial.mass_error(0.0)
        if trial.offers("converged") and not trial.flag("converged", *trial.case.matrix):
            return trial.mass_error(0.0, "it says that it did not converge")
        # a warning tells something only if it is not also given where the solve converged
        warned = trial.warnings(capability, *trial.case.matrix)
        usual = _usual_warnings(trial, capability) if warned else set()
        telling = [line for line in warned if wording(line) not in usual]
        if telling:
            return trial.mass_error(0.0, telling[0])
        if warned:
            return replace(missed, message=f"it warns, as where it converged: {warned[0]}",
                           cause="it warns whether it converged or not")
        return replace(missed, message=f"not a word; {missed.message}")


def _usual_warnings(trial: Trial, capability: str) -> set[str]:
    """The wordings of the warnings that the call gives on an easy problem; none if it does not
    solve even that."""
    case = _easy()
    easy = replace(trial, case=case, truth=solution_of(case), calls=[])
    try:
        solved = easy.marginals_right(PLANS[capability](easy)).passed
    except SubjectError:
        return set()
    warned = easy.warnings(capability, *case.matrix)
    return {wording(line) for line in warned} if solved else set()


@cache
def _easy() -> Case:
    return next(synthetic())


for _capability in PLANS:
    _honest(_capability)


# ------------------------------------------------------------------ `converged`
@check("converged.true", "Where it says that it converged, what it answers is right: marginals of "
       "plan and potentials, value, cost")
def converged_true(trial: Trial) -> Finding:
    if not trial.flag("converged", *trial.case.matrix):
        return trial.mass_error(0.0, "it says that it did not converge")
    return replace(max(_errors(trial), key=_share),
                   cause="`converged` says yes to a solve that did not converge")


@check("converged.known", "On an ordinary problem that it solved it says that it converged", first)
def converged_known(trial: Trial) -> Finding:
    says = trial.flag("converged", *trial.case.matrix)
    solved = all(found.passed for found in _errors(trial))
    return replace(trial.mass_error(float(solved and not says)),
                   cause="`converged` says no to a solve that converged")


def _errors(trial: Trial) -> list[Finding]:
    """The errors of all answers that are wrong if the solve did not converge: those of plan,
    potentials, value and transport cost, as far as the part offers them.

    Raises NotOfferedError if it offers none of them.
    """
    found = [trial.marginals_right(plan(trial)) for name, plan in PLANS.items()
             if trial.offers(name)]
    for name in ("value", "transport_cost"):
        if trial.offers(name):
            right = getattr(trial.truth, name)
            found.append(trial.value_within(trial.number(name, *trial.case.matrix), right))
    if not found:
        raise NotOfferedError("`converged` alone says nothing of an answer: offer plan, "
                              "potentials, value or transport_cost beside it")
    return found


def _share(found: Finding) -> float:
    """The error as a multiple of the tolerance; infinite for a NaN."""
    share = found.error / found.tolerance
    return np.inf if np.isnan(share) else share
