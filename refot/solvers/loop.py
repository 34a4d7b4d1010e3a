"""The loop that drives every method until a criterion is met, and the result it returns."""

from __future__ import annotations

import itertools
import math
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from refot.arrays import Array, ConvergenceWarning, as_count, as_positive, marginal_tolerance
from refot.problem import Problem
from refot.solvers.accuracy import Accuracy
from refot.solvers.gap import CertifiedGap
from refot.solvers.stopping import Control, Finish, StoppedBy, Watch

LONG = 100
"""After so many iterations it is asked whether the forbidden pairs leave a plan at all."""


@dataclass(frozen=True)
class SinkhornResult:
    """Potentials f (n,), g (m,) in cost units, and how far the solve came.

    `marginal_error` is the L1 error of both marginals of the plan of (f, g). `atom_error` is the
    largest |f - g^(c,eps)| / eps or |g - f^(c,eps)| / eps over all atoms, light ones and those
    without mass too: how far, in logarithms, the sum of any row or column of the plan is from its
    weight. `converged`: the first is <= `tolerance` and the second <= sqrt(`tolerance`), or the
    certified gap is what was asked for. `errors` holds the marginal error after each iteration, inf
    after one that belongs to a larger eps or a lower precision.
    `stopped_by` compares and prints as a text: "tolerance", "gap", "time limit", "max_iter",
    "rounding" (no smaller error for many iterations, at what the precision of the problem allows),
    "stall" (none above that), or "infeasible" (no plan avoids the forbidden pairs, seen after LONG
    iterations); its `advice` says what to do about it.
    `gap` is an interval around F, where one was asked for; `seconds` what the solve took.
    `infeasible` says why no plan avoids the forbidden pairs, where none does and it did not
    converge.
    """

    f: Array
    g: Array
    converged: bool
    marginal_error: float
    atom_error: float
    tolerance: float
    errors: tuple[float, ...]
    stopped_by: StoppedBy
    seconds: float
    gap: CertifiedGap | None = None
    infeasible: str = ""

    @property
    def iterations(self) -> int:
        """The number of iterations that were run."""
        return len(self.errors)


def iterate(
    p: Problem,
    iterates: Iterator[tuple[Array, Array, float]],
    tol: float | None,
    max_iter: int,
    control: Control | None = None,
) -> SinkhornResult:
    """Take iterates until the errors are within tol, there are max_iter of them, or `control` says
    stop; warn if neither the errors nor the gap that was asked for were reached.

    The error an algorithm gets for nothing leaves out rounding (a column that is exact on paper),
    and light atoms: the one that ends the loop, and that of the result, is evaluated anew.
    """
    tol = marginal_tolerance(p.C.dtype) if tol is None else as_positive(tol, "tol")
    errors: list[float] = []
    # overflow on the way is no news: it makes the marginal error infinite, which is told below
    with Watch(control or Control(), p, tol) as watch, np.errstate(all="ignore"):
        finish = Finish(p, tol)
        for f, g, error in itertools.islice(iterates, as_count(max_iter, "max_iter")):
            f, g, error = finish.tried(f, g, error)
            errors.append(error)
            watch.tell(len(errors), error)
            stopped_by = finish.reason or watch.reason(error, f, g)
            if not stopped_by and len(errors) == LONG and p.obstruction():
                stopped_by = StoppedBy.INFEASIBLE
            if stopped_by:
                break
        else:
            stopped_by = StoppedBy.MAX_ITER if len(errors) == max_iter else watch.end(f, g)
        if stopped_by != StoppedBy.TOLERANCE:
            f = f if errors[-1] < math.inf else p.best(g)  # that of another eps is no use
            at_floor = stopped_by == StoppedBy.ROUNDING
            f, g = finish.look(*(watch.best if at_floor and watch.best else (f, g)))
        found = finish.found
        errors[-1] = found.marginal_error
        gap = watch.certificate(g)
        if not found.within(tol) and watch.proved:  # checks of the gap are seldom on the way
            stopped_by = StoppedBy.GAP
        converged = watch.proved or found.within(tol)
        result = SinkhornResult(f, g, converged, *found, tol, tuple(errors), stopped_by,
                                watch.elapsed, gap,
                                "" if converged else p.obstruction())
    if not result.converged:
        warnings.warn(_warning(result), ConvergenceWarning, stacklevel=_level_outside())
    return result


def _level_outside() -> int:
    """The `stacklevel`, seen from the caller, of the first line outside refot: a user's, who may
    have called a value, a gradient or a solve."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("refot."):
        frame, level = frame.f_back, level + 1
    return level


def _warning(result: SinkhornResult) -> str:
    """What is missing, why the solve ended nevertheless, and what to do."""
    short = Accuracy(result.marginal_error, result.atom_error).shortfall(result.tolerance)
    advice = result.stopped_by.advice
    if result.infeasible:  # whatever it was stopped by
        advice = f"{result.infeasible}; {StoppedBy.INFEASIBLE.advice}"
    return (f"{short} after {result.iterations} iterations (stopped by {result.stopped_by}): "
            f"{advice}")
