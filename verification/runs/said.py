"""Whether a subject says itself that a solve did not converge.

It may warn, raise, or answer no to `converged`; a program has a field of its answer for it. On a
case marked as extreme that is enough: a stated failure to converge is no wrong answer.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import cache
from typing import Any

from refot.verification.cases.case import Case, synthetic
from refot.verification.checks.arguments import ordinary, wording
from refot.verification.checks.trial import Trial
from refot.verification.subjects.capabilities import CAPABILITIES
from refot.verification.subjects.probe import SubjectError
from refot.verification.subjects.processes import ProgramError
from refot.verification.subjects.protocol import AnswerError
from refot.verification.truth.solution import solution_of

HOLD_ANYWAY = ("plan.nonnegative", "plan.gibbs")
"""Checks of what holds of an answer that is finite, converged or not."""

STATEMENT = re.compile(r"converge|iteration|\bsteps?\b|toleranc|max_?iter|not reached|stopped|"
                       r"stalled", re.IGNORECASE)
"""What a sentence on convergence speaks of. NumPy's "divide by zero encountered" is none."""

NO_STATEMENTS = (TypeError, LookupError, AttributeError, NameError, AssertionError, MemoryError,
                 RecursionError, TimeoutError, SystemExit, ProgramError, AnswerError)
"""Errors that come from a defect or a limit, whatever words are in them."""


def stated(trial: Trial) -> str:
    """What the subject said of its failure to converge, in the calls of a check; "" if nothing.

    Only an answer that is solved for has a convergence to miss.
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
    """Whether a failure to converge is allowed on the case, and explains what the check found."""
    return (case.extreme and CAPABILITIES[id.partition(".")[0]].solved
            and not (math.isfinite(measured) and id in HOLD_ANYWAY))


def states_in_error(error: SubjectError) -> bool:
    """Whether the subject raised it to say that it did not converge."""
    raised = error.raised
    return (raised is not None and not issubclass(raised, NO_STATEMENTS)
            and STATEMENT.search(str(error)) is not None)


def _says_no(trial: Trial, *problem: Any) -> bool:
    try:
        return trial.offers("converged") and not trial.flag("converged", *problem)
    except SubjectError:
        return False


def _usual(trial: Trial, capability: str) -> set[str]:
    """What it says on an easy problem, too: there such words mean nothing."""
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
