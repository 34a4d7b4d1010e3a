"""method="auto" for an unbalanced problem."""

from __future__ import annotations

from refot.arrays import Array
from refot.solvers.auto import SLOW, UntilSlow, auto_with
from refot.solvers.newton import NEWTON_LIMIT, allows_newton
from refot.solvers.schedule import Iterates, Stage, annealed
from refot.unbalanced_problem import UnbalancedProblem

from .newton_tv import newton_tv_iterates
from .overrelaxed import FREE, free_iterates, overrelaxed_free


def auto_free(p: UnbalancedProblem, g: Array) -> Iterates:
    """As for a balanced problem, with the sweeps of an unbalanced one."""
    return auto_with(FREE, p, g) if p.is_smooth else auto_tv(p, g)


def auto_tv(p: UnbalancedProblem, g: Array) -> Iterates:
    """For total variation: over-relaxed sweeps and, where these are slow at the final eps and a
    dense Hessian is possible, Newton's method for it and sweeps in turns."""
    if p.C.shape[1] > NEWTON_LIMIT or not allows_newton(p):
        return overrelaxed_free(p, g)
    return annealed(p, g, UntilSlow(free_iterates, SLOW, _newton_and_sweeps, only=p.eps).iterates)


def _newton_and_sweeps(p: UnbalancedProblem) -> list[Stage[UnbalancedProblem]]:
    return [newton_tv_iterates, free_iterates]
