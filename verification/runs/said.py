"""Whether a subject says itself that a solve did not converge.

It may warn, raise an error, or answer no to `converged`; a program may say so in its answer. On an
extreme case, a wrong answer is then reported as `not_converged`. On a hard case it stays a failure,
but of a milder level, because the subject said so (`levels.py`).
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import cache
from typing import Any

from refot.verification.cases.case import Case, Difficulty, synthetic
from refot.verification.checks.arguments import ordinary, wording
from refot.verification.checks.trial import Trial
from refot.verification.subjects.capabilities import CAPABILITIES
from refot.verification.subjects.probe import SubjectError
from refot.verification.subjects.processes import ProgramError
from refot.verification.subjects.protocol import AnswerError
from refot.verification.truth.solution import solution_of

HOLD_ANYWAY = ("plan.nonnegative", "plan.gibbs")
"""Checks that a finite answer must pass even if the solve did not converge."""

STATEMENT = re.compile(r"converge|iteration|\bsteps?\b|toleranc|max_?iter|not reached|stopped|"
                       r"stalled", re.IGNORECASE)
"""Matches a sentence about convergence, but not NumPy's "divide by zero encountered"."""

NO_STATEMENTS = (TypeError, LookupError, AttributeError, NameError, AssertionError, MemoryError,
                 RecursionError, TimeoutError, SystemExit, ProgramError, AnswerError)
"""Errors that come from a defect or from a limit of time or memory: whatever their words, they do
not state that a solve failed to converge."""


def stated(trial: Trial) -> str:
    """What the subject said of a failure to converge in the calls of a check; "" if nothing.

    Only calls of capabilities that need a solver count.
    """
    for call in trial.calls:
        capability = CAPABILITIES[call.capability]
        if not capability.solved:
            continue
        told = [line for line in trial.warnings(call.capability, *call.arguments)
                if STATEMENT.search(line)]
        new = [line for line in told if wording(line) not in _usual(trial, call.capability)]
        if new:
            return new[0]
        if capability.on_matrix and _says_no(trial, *call.arguments):
            return "`converged` says no"
    return ""


def may_fail_to_converge(case: Case, id: str, measured: float = math.nan) -> bool:
    """Whether what a check found may be due to a solver that did not converge.

    That is so on an extreme case, if the capability needs a solver. It is not so if the check is in
    HOLD_ANYWAY and measured a finite number: that must be right in any case.
    """
    return (case.difficulty is Difficulty.EXTREME and CAPABILITIES[id.partition(".")[0]].solved
            and not (math.isfinite(measured) and id in HOLD_ANYWAY))


def said_of_a_miss(trial: Trial, id: str) -> str:
    """What the subject said of a failure to converge, for a check that found a wrong number.

    It is "" on an ordinary case, where such a statement is no excuse, and for the checks of
    HOLD_ANYWAY, whose failure it does not explain.
    """
    if trial.case.difficulty is Difficulty.ORDINARY or id in HOLD_ANYWAY:
        return ""
    return stated(trial)


def said_in_error(case: Case, error: Exception) -> str:
    """The error that the subject raised on a case that is not ordinary; "" if it raised none.

    An answer of the wrong type or shape is no statement: a user may compute on with it.
    """
    raised = getattr(error, "raised", None)
    if case.difficulty is Difficulty.ORDINARY or raised is None or issubclass(raised, AnswerError):
        return ""
    return str(error)


def states_in_error(error: SubjectError) -> bool:
    """Whether the subject raised this error to say that it did not converge."""
    raised = error.raised
    return (raised is not None and not issubclass(raised, NO_STATEMENTS)
            and STATEMENT.search(str(error)) is not None)


def _says_no(trial: Trial, *problem: Any) -> bool:
    try:
        return trial.offers("converged") and not trial.flag("converged", *problem)
    except SubjectError:
        return False


def _usual(trial: Trial, capability: str) -> set[str]:
    """The wordings of warnings that the subject also gives on an easy problem, and which therefore
    state nothing about convergence."""
    case = _easy()
    easy = replace(trial, case=case, truth=solution_of(case), calls=[])
    arguments = ordinary(easy, capability)
    try:
        easy.raw(capability, *arguments)
    except SubjectError:
        return set()
    return set(map(wording, easy.warnings(capability, *arguments)))


@cache
def _easy() -> Case:
    return next(synthetic())
