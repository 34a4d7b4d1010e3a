"""method="auto" for an unbalanced problem. "Free" in names means marginals that may be missed."""

from __future__ import annotations

import math

from refot.arrays import Array
from refot.solvers.auto import SLOW, SMALL, UntilSlow, auto_with
from refot.solvers.newton import NEWTON_LIMIT, allows_newton, newton_of_smaller
from refot.solvers.newton_cg import newton_cg_iterates
from refot.solvers.schedule import Iterates, Stage, annealed
from refot.unbalanced_problem import UnbalancedProblem

from .newton_tv import newton_tv_iterates
from .overrelaxed import FREE, FreeKernel, free_iterates, overrelaxed_free

QUICK = 0.5
"""Where each iteration multiplies errors by this or less, no eps schedule is needed."""


def auto_free(p: UnbalancedProblem, g: Array) -> Iterates:
    """As `auto` for a balanced problem, with the sweeps (over-relaxed iterations) of an unbalanced
    one. But where the backend makes a whole sweep in one compiled call, a small problem too begins
    with sweeps, and not with Newton's method: a sweep takes less than a tenth of the time of a
    Newton step. For total variation see `auto_tv`.
    """
    if not p.is_smooth:
        return auto_tv(p, g)
    sweeps, quick = FreeKernel(p), p.contraction <= QUICK
    if sweeps.compiled is None or not allows_newton(p):
        return auto_with(FREE, p, g)
    stage = UntilSlow(sweeps.iterates, SLOW, _newton_and_products).iterates
    if quick:
        return stage(p, g)
    return annealed(p, g, stage) if math.prod(p.C.shape) <= SMALL else auto_with(FREE, p, g)


def _newton_and_products(p: UnbalancedProblem) -> list[Stage[UnbalancedProblem]]:
    """Newton's method with a dense Hessian, Newton-CG, and sweeps by products with a kernel."""
    return [newton_of_smaller, newton_cg_iterates, FREE.fresh_kernel]


def auto_tv(p: UnbalancedProblem, g: Array) -> Iterates:
    """For total variation: over-relaxed sweeps and, where these are slow at the final eps and a
    dense Hessian is possible, Newton's method for it and sweeps in turns."""
    if p.C.shape[1] > NEWTON_LIMIT or not allows_newton(p):
        return overrelaxed_free(p, g)
    return annealed(p, g, UntilSlow(free_iterates, SLOW, _newton_and_sweeps, only=p.eps).iterates)


def _newton_and_sweeps(p: UnbalancedProblem) -> list[Stage[UnbalancedProblem]]:
    """Newton's method for total variation, and sweeps."""
    return [newton_tv_iterates, free_iterates]
