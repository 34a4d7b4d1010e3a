"""The solution at which gradients are taken: as near to the optimum as they need it.

A value is off only to second order in the residual of U-4, a gradient to first order.
"""

from __future__ import annotations

import numpy as np

from refot.solvers.accuracy import rounding_floor
from refot.solvers.answers.solutions import LOOSE, Near, roughly, solution, solved_to
from refot.solvers.loop import SinkhornResult
from refot.solvers.solve import solve_problem
from refot.unbalanced_problem import UnbalancedProblem

TIGHT = 1e-11
"""The default residual where rounding leaves less than that."""

ROOM = 2.0
"""Elsewhere it is this multiple of what rounding may leave."""


def tight_tolerance(p: UnbalancedProblem, solved: SinkhornResult) -> float:
    """The default residual of a gradient in float64, from potentials that are right about.

    Potentials may be far larger than eps: where masses differ they are of the size of rho. Rounding
    them changes each entry of the plan by a share of u |f| / eps, u = 1.1e-16, and at rho = 1e6 eps
    that is above TIGHT. The tolerance is never above LOOSE; where rounding leaves more, the solve
    warns.
    """
    with np.errstate(all="ignore"):  # masses near the end of the range: the solve tells of them
        floor = rounding_floor(p, solved.f, solved.g)
    return min(LOOSE, max(TIGHT, ROOM * floor))


def tightly(p: UnbalancedProblem, tol: float | None, solved: SinkhornResult | None = None,
            warm: Near = None) -> SinkhornResult:
    """The solution as gradients need it: `solved`, where it is given. Else it is solved to `tol`;
    by default in float64 to `tight_tolerance`, for which a rough solve finds the size of the
    potentials, and in float32 to the default of `solve`. `warm`, the solution of a problem nearby,
    takes the place of the rough solve; a `Start` is where that begins."""
    if solved is not None:
        return solved_to(p, tol, solved=solved)
    if tol is not None or p.C.dtype != np.float64:
        return solve_problem(p, tol=tol, g=None if warm is None else warm.g)
    rough = warm if isinstance(warm, SinkhornResult) else roughly(p, solution, warm)
    return solve_problem(p, tol=tight_tolerance(p, rough), g=rough.g)
