"""The solution from which gradients are computed, by default solved more accurately than for a
value.

The residual is how far the sums of the plan are from those that the potentials ask for, the
optimality conditions U-4 of docs/equations.md. The error of a value is of second order in it, that
of a gradient of first order.
"""

from __future__ import annotations

import numpy as np

from refot.solvers.accuracy import rounding_floor
from refot.solvers.answers.solutions import LOOSE, Near, roughly, solution, solved_to
from refot.solvers.loop import SinkhornResult
from refot.solvers.solve import solve_problem
from refot.unbalanced_problem import UnbalancedProblem

TIGHT = 1e-11
"""The default residual (U-4) of a gradient, where rounding allows it."""

ROOM = 2.0
"""Where rounding does not allow TIGHT, the default residual is this multiple of the residual that
rounding may leave."""


def tight_tolerance(p: UnbalancedProblem, solved: SinkhornResult) -> float:
    """The default residual of a gradient in float64, from a solution that is roughly right.

    Potentials may be far larger than eps: where the masses differ they are of the size of rho.
    Rounding them changes each entry of the plan by the share u |f| / eps of it, with u = 1.1e-16;
    for |f| = 1e6 eps that is above TIGHT. The tolerance is never above LOOSE, 1e-6: if rounding
    does not allow even that, the solve warns.
    """
    with np.errstate(all="ignore"):  # very large masses may overflow, which the solve reports
        floor = rounding_floor(p, solved.f, solved.g)
    return min(LOOSE, max(TIGHT, ROOM * floor))


def tightly(p: UnbalancedProblem, tol: float | None, solved: SinkhornResult | None = None,
            warm: Near = None) -> SinkhornResult:
    """The solution as gradients need it.

    It is `solved` if that is given. Else the problem is solved to `tol`. By default that is in
    float32 the default of `solve`, and in float64 `tight_tolerance`, for which a rough solve first
    finds the size of the potentials. If `warm`, the solution of a similar problem, is given, it
    takes the place of the rough solve; a `Start` is where that begins.
    """
    if solved is not None:
        return solved_to(p, tol, solved=solved)
    if tol is not None or p.C.dtype != np.float64:
        return solve_problem(p, tol=tol, g=None if warm is None else warm.g)
    rough = warm if isinstance(warm, SinkhornResult) else roughly(p, solution, warm)
    return solve_problem(p, tol=tight_tolerance(p, rough), g=rough.g)
