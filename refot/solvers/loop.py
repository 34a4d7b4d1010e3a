"""The loop that drives every method until a criterion is met, and the result it returns."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

from refot.arrays import Array, ConvergenceWarning, as_count, as_positive, marginal_tolerance
from refot.problem import Problem
from refot.solvers.gap import CertifiedGap
from refot.solvers.stopping import Control, Watch


@dataclass(frozen=True)
class SinkhornResult:
    """Potentials f (n,), g (m,) in cost units, and how far the solve came.

    `marginal_error` is the L1 error of both marginals of the plan of (f, g); `converged` says
    whether it is <= `tolerance`, or the certified gap is what was asked for. `errors` holds that
    error after each iteration, inf after one that belongs to a larger eps or a lower precision.
    `stopped_by`: "tolerance", "gap", "time limit", "max_iter", or "stall" (no
    smaller error for many iterations: the rounding floor, or nearly so).
    `gap` is an interval around F, where one was asked for; `seconds` what the iterations took.
    """

    f: Array
    g: Array
    converged: bool
    marginal_error: float
    tolerance: float
    errors: tuple[float, ...]
    stopped_by: str
    seconds: float
    gap: CertifiedGap | None = None

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
    """Take iterates until the marginal error is <= tol, there are max_iter of them, or `control`
    says stop; warn if neither the error nor the gap that was asked for was reached.

    The error an algorithm gets for nothing leaves out rounding (a column that is exact on paper):
    the one that ends the loop, and that of the result, is evaluated anew at (f, g).
    """
    tol = marginal_tolerance(p.C.dtype) if tol is None else as_positive(tol, "tol")
    errors: list[float] = []
    with Watch(control or Control(), p, tol) as watch:
        for f, g, error in itertools.islice(iterates, as_count(max_iter, "max_iter")):
            errors.append(p.marginal_error(f, g) if error <= tol else error)
            watch.tell(len(errors), errors[-1])
            stopped_by = "tolerance" if errors[-1] <= tol else watch.reason(errors[-1], g)
            if stopped_by:
                break
        else:
            stopped_by = "max_iter" if len(errors) == max_iter else "stall"
        if stopped_by != "tolerance":
            f = f if errors[-1] < math.inf else p.transform(g)  # that of another eps is no use
            errors[-1] = p.marginal_error(f, g)
        gap = watch.certificate(g)
        if errors[-1] > tol and watch.proved:  # checks of the gap are seldom: it may be there now
            stopped_by = "gap"
        result = SinkhornResult(f, g, watch.proved or errors[-1] <= tol, errors[-1], tol,
                                tuple(errors), stopped_by, watch.elapsed, gap)
    if not result.converged:
        warnings.warn(
            f"marginal error {result.marginal_error:.3g} > tol {tol:g} "
            f"after {result.iterations} iterations (stopped by {stopped_by})",
            ConvergenceWarning,
            stacklevel=3,
        )
    return result
