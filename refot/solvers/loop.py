"""The loop that takes iterates from a method until a criterion is met, and the result it returns.

An iterate is (f, g, marginal error) after one iteration of a method. For light atoms, and the atom
error, see `accuracy`.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from refot.arrays import (
    Array,
    ConvergenceWarning,
    Potential,
    as_count,
    as_positive,
    marginal_tolerance,
)
from refot.problem import Problem
from refot.solvers.accuracy import Sums, accuracy
from refot.solvers.answers.answers import Answers
from refot.solvers.gap import CertifiedGap
from refot.solvers.stopping import Control, Finish, StoppedBy, Watch, level_outside

FEASIBILITY_CHECK = 100
"""After this number of iterations the loop checks once whether any plan avoids the forbidden
pairs."""


@dataclass(frozen=True, repr=False, eq=False)
class SinkhornResult(Answers):
    """The potentials that a solve found, and how near they are to the optimal ones."""

    f: Potential
    """(n,), in cost units."""

    g: Potential
    """(m,), in cost units."""

    converged: bool
    """Whether `marginal_error` <= `tolerance` and `atom_error` <= sqrt(`tolerance`), or the gap is
    proved to be as small as was asked for."""

    marginal_error: float
    """The L1 error of both marginals of the plan of (f, g)."""

    atom_error: float
    """The largest |f - g^(c,eps)| / eps or |g - f^(c,eps)| / eps over all atoms, those of little
    mass or none included: how far, in logarithms, the sum of any row or column of the plan is from
    its weight."""

    tolerance: float
    """The marginal error that was asked for."""

    errors: tuple[float, ...]
    """The marginal error after each iteration; inf where the iterate belongs to a larger eps or to
    a lower precision."""

    stopped_by: StoppedBy
    """Why the solve ended; it compares and prints as a text. Its `advice` says what to do about
    it."""

    seconds: float
    """The time that the solve took."""

    problem: Problem
    """The problem that was solved, on its backend. Methods such as `plan` compute from it, f and
    g."""

    gap: CertifiedGap | None = None
    """An interval that contains the optimal value; None unless `gap` or `certified` was set."""

    infeasible: str = ""
    """Where no plan avoids the forbidden pairs, and the solve did not converge, the reason; else
    ""."""

    sums: Sums | None = None
    """The row and column sums of the plan, which the last look at the errors has computed, beside
    the potentials whose plan it was."""

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
    stop. Warns if neither the errors nor the gap that was asked for were reached, unless `control`
    asks for a number of iterations.

    A method computes the error that it yields without an extra pass over the pairs. That error
    leaves out the rounding of sums that are exact in theory, and potentials of light atoms that are
    wrong. So an error that would end the loop is evaluated anew from the potentials, and so is that
    of the result.
    """
    tol = marginal_tolerance(p.C.dtype) if tol is None else as_positive(tol, "tol")
    if control is not None and control.iterations is not None:
        return _counted(p, iterates, tol, control, control.iterations)
    errors: list[float] = []
    # An overflow on the way needs no warning: it makes the marginal error infinite, and that warns.
    with (Watch(control or Control(), p, tol) as watch, np.errstate(all="ignore"),
          _telling_what_was_reached(errors)):
        finish = Finish(p, tol)
        for f, g, error in itertools.islice(iterates, as_count(max_iter, "max_iter")):
            f, g, error = finish.examined(f, g, error)
            errors.append(error)
            watch.tell(len(errors), error)
            stopped_by = finish.reason or watch.reason(error, f, g)
            if not stopped_by and len(errors) == FEASIBILITY_CHECK and p.obstruction():
                stopped_by = StoppedBy.INFEASIBLE
            if stopped_by:
                break
        else:  # no more iterates: max_iter were taken, or the method ended of its own accord
            stopped_by = StoppedBy.MAX_ITER if len(errors) == max_iter else watch.end(f, g)
        if stopped_by == StoppedBy.GAP and (known := watch.sums_at_proof(f, g)):
            f, finish.sums, finish.found = known.f, known, accuracy(p, known.f, g, known)
        elif stopped_by != StoppedBy.TOLERANCE:
            # An infinite error is that of a larger eps, and so is this f: take the f that fits g.
            f = f if errors[-1] < math.inf else p.best(g)
            at_floor = stopped_by == StoppedBy.ROUNDING
            f, g = finish.look(*(watch.best if at_floor and watch.best else (f, g)))
        found = finish.found
        errors[-1] = found.marginal_error
        gap = watch.certificate(g)
        if not found.within(tol) and watch.proved:  # this last gap is as small as was asked for
            stopped_by = StoppedBy.GAP
        converged = watch.proved or found.within(tol)
        result = SinkhornResult(f, g, converged, *found, tol, tuple(errors), stopped_by,
                                watch.elapsed, p, gap,
                                "" if converged else p.obstruction(), finish.sums)
    if not result.converged:
        warnings.warn(_warning(result), ConvergenceWarning, stacklevel=level_outside())
    return result


def _counted(
    p: Problem, iterates: Iterator[tuple[Array, Array, float]], tol: float, control: Control,
    iterations: int,
) -> SinkhornResult:
    """The result of exactly `iterations` iterations. It says whether they reached tol, and does not
    warn."""
    errors: list[float] = []
    with Watch(control, p, tol) as watch, np.errstate(all="ignore"):
        for f, g, error in itertools.islice(iterates, iterations):
            errors.append(error)
            watch.tell(len(errors), error)
            last = f, g
        f, g = last
        found = accuracy(p, f, g)
        errors[-1] = found.marginal_error
        return SinkhornResult(f, g, found.within(tol), *found, tol, tuple(errors),
                              StoppedBy.ITERATIONS, watch.elapsed, p, watch.certificate(g))


@contextmanager
def _telling_what_was_reached(errors: list[float]) -> Iterator[None]:
    """If an error is raised within the `with` block, adds a note to it: how far the solve had
    come."""
    try:
        yield
    except Exception as error:
        if errors:
            error.add_note(f"the solve had reached iteration {len(errors)}, with a marginal error "
                           f"of {errors[-1]:.3g}")
        raise


def _warning(result: SinkhornResult) -> str:
    """The text of the warning: what is missing, why the solve ended nevertheless, what to do."""
    advice = result.stopped_by.advice
    if result.infeasible:  # then nothing else would help, whatever the solve was stopped by
        advice = f"{result.infeasible}; {StoppedBy.INFEASIBLE.advice}"
    return f"{result.shortfall()}: {advice}"
