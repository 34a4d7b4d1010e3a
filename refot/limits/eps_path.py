"""`path`: the value F = min <C,P> + eps KL(P | a(x)b) at each of several falling values of eps,
each F in a proved interval, and each solve started from the solutions before.

As eps falls, the potentials move along a smooth curve. So the straight line through the last two
column potentials, extended to the next eps, is a better start than the last one alone. (Chizat
2024, entry chizat2024annealed of docs/references.bib, removes the error of first order in eps from
annealed potentials in the same way, and calls it debiasing.) F is B-10 of B = Bréchet et al. 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from refot.arrays import REQUIRED, Array, CostLike, InputError, Weights, as_positive
from refot.backend_contract import BackendLike
from refot.solvers.loop import SinkhornResult
from refot.solvers.solve import solve
from refot.solvers.stopping import Control


@dataclass(frozen=True)
class EpsPath:
    """The result of `path`: lower_k <= F <= upper_k at eps_k is proved, rounding included. The
    arrays are (k,), of NumPy."""

    eps: Array
    """The values of eps, from the largest to the smallest, in cost units."""

    lower: Array
    """The lower bounds of F, in cost units."""

    upper: Array
    """The upper bounds of F, in cost units."""

    results: tuple[SinkhornResult, ...]
    """The solution at each eps."""

    @property
    def converged(self) -> bool:
        """Whether each solve reached the relative gap that was asked for."""
        return all(result.converged for result in self.results)


def path(
    C: CostLike,
    a: Weights = None,
    b: Weights = None,
    eps_from: float = REQUIRED,
    eps_to: float = REQUIRED,
    *,
    factor: float = 2.0,
    gap: float = 1e-4,
    time_limit: float | None = None,
    normalise: bool = False,
    backend: BackendLike = None,
) -> EpsPath:
    """F (B-10) at eps_from, eps_from / factor, ... and eps_to, each in a proved interval whose
    width, relative to F, is at most `gap`.

    C (n, m), an array, a `PointCost` or a `DenseCost`; a (n,), b (m,); eps_from >= eps_to > 0 in
    cost units; factor > 1. Each value is a call of `solve`. A solve that does not converge warns
    and ends the path; one reason is that `time_limit` seconds, for the whole path, are over. Raises
    InputError.

        F = refot.path(C, a, b, 1.0, 1e-3)
        F.eps, F.lower, F.upper
    """
    if not as_positive(factor, "factor") > 1:
        raise InputError("factor", f"{factor}", "more than 1: eps falls by it")
    first, last = as_positive(eps_from, "eps_from"), as_positive(eps_to, "eps_to")
    if first < last:
        raise InputError("eps_from", f"{first}, below eps_to = {last}", "at least eps_to")
    control, found = Control(time_limit, as_positive(gap, "gap")), list[SinkhornResult]()
    for eps in geometric(first, last, factor):
        found.append(solve(C, a, b, eps, gap=gap, time_limit=control.left, g=along(found, eps),
                           normalise=normalise, backend=backend))
        if not found[-1].converged:
            break
    gaps = [result.gap for result in found if result.gap is not None]
    return EpsPath(np.array([result.problem.eps for result in found]),
                   np.array([gap.lower for gap in gaps]), np.array([gap.upper for gap in gaps]),
                   tuple(found))


def geometric(first: float, last: float, factor: float) -> list[float]:
    """first, first / factor, first / factor^2, ... as long as these are above last; then last."""
    falling = []
    while first > last:
        falling.append(first)
        first /= factor
    return [*falling, last]


def along(found: Sequence[SinkhornResult], eps: float) -> Array | None:
    """A start for the column potential at `eps`: on the line through those of the last two
    solutions; the g of the last if there is only one; None if there is none."""
    if not found:
        return None
    last = found[-1]
    if len(found) == 1:
        return last.g
    before = found[-2]
    slope = (last.g - before.g) / (last.problem.eps - before.problem.eps)
    return last.g + slope * (eps - last.problem.eps)
