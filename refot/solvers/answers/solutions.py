"""The solution of a problem, for values and gradients: solved now, or given by the caller.

F = <C, P> + eps KL(P | a(x)b) is an optimal value, so that a small error of the potentials changes
it only to second order. It changes a gradient of F, and the sharp value s = <C, P>, to first order:
for these the default tolerance is smaller.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import NamedTuple, TypeAlias, TypeGuard

import numpy as np

from refot.arrays import Array, ConvergenceWarning, marginal_tolerance
from refot.costs.operands import PointCost
from refot.problem import Problem
from refot.solvers.answers.reuse import SLACK, difference, reused
from refot.solvers.loop import SinkhornResult
from refot.solvers.solve import solve_problem
from refot.solvers.symmetric import solve_symmetric_problem

ROUGH = 1e-2
"""The marginal error of a first, rough solve, which shows how large the potentials are."""

LOOSE = 1e-6
"""The largest value of `first_order_tolerance`, a marginal error. A solve that cannot reach it
warns."""

Solver: TypeAlias = Callable[[Problem, float | None, Array | None], SinkhornResult]
"""(problem, tol, the potential to start from) -> the solution of the problem."""


class Start(NamedTuple):
    """Potentials to start from, of which nothing is known: the problem may have changed."""

    f: Array
    g: Array


Near: TypeAlias = SinkhornResult | Start | None
"""What a solve may start from: the solution of a problem nearby, potentials, or nothing."""


def solution(p: Problem, tol: float | None, g: Array | None) -> SinkhornResult:
    """The solution for two different measures, started from the column potential g."""
    return solve_problem(p, tol=tol, g=g)


def self_solution(p: Problem, tol: float | None, f: Array | None) -> SinkhornResult:
    """The solution for a measure and itself, by the symmetric iteration, started from f."""
    return solve_symmetric_problem(p, tol=tol, f=f)


SOLVERS: tuple[Solver, Solver, Solver] = (solution, self_solution, self_solution)
"""The solvers for the three problems of a divergence: xy, xx, yy."""


def first_order_tolerance(p: Problem, f: Array, g: Array) -> float:
    """The default `tol` of s and of gradients, which are as wrong as the marginals are.

    In float64 it is the least error that a solve can reach, u (16 (a.|f| + b.|g|) / eps +
    64 sqrt(n + m)) with u = 2^-53: the rounding of the exponents, and that of the sums. But it is
    at most LOOSE; where rounding does not allow that, the solve warns. In float32 it is the default
    of `solve`.

    The potentials f and g stand in for the size of the costs, because C_ij is near f_i + g_j
    wherever P_ij counts. In this way forbidden pairs and far points of weight 0 do not enter.
    """
    if p.C.dtype != np.float64:
        return marginal_tolerance(p.C.dtype)
    carried = float(p.a @ abs(f) + p.b @ abs(g))
    return min(LOOSE, 2.0**-53 * (16 * carried / p.eps + 64 * math.sqrt(sum(p.C.shape))))


def still_solves(warm: Near, p: Problem, tol: float | None) -> TypeGuard[SinkhornResult]:
    """Whether `warm`, the solution of a nearby problem (of the step before in a training loop, for
    example), is accurate enough for p too: for points that have not moved. Never for a cost matrix,
    because the caller may have written to it since, and its old entries are not kept."""
    if not isinstance(warm, SinkhornResult) or not (
            warm.converged and isinstance(p.C, PointCost)):
        return False
    wanted = first_order_tolerance(p, warm.f, warm.g) if tol is None else tol
    return warm.tolerance <= SLACK * wanted and not difference(p, warm.problem)


def solved_to(
    p: Problem, tol: float | None, solver: Solver = solution, solved: SinkhornResult | None = None
) -> SinkhornResult:
    """The solution to `tol`, by default that of `refot.solve`; or `solved`, where given."""
    return solver(p, tol, None) if solved is None else reused(p, solved, tol)


def to_first_order(
    p: Problem, tol: float | None, solver: Solver = solution, solved: SinkhornResult | None = None,
    warm: Near = None,
) -> SinkhornResult:
    """The solution to `tol`, by default `first_order_tolerance`; or `solved`, where given.

    That default depends on the size of the potentials. So a rough solve comes first, and a second
    one starts from its potential. `warm`, the solution of a nearby problem, takes the place of the
    rough solve; a `Start` is where that begins.
    """
    if solved is not None:
        return reused(p, solved, tol)
    if tol is not None or p.C.dtype != np.float64:
        return solver(p, tol, None if warm is None else warm.g)
    rough = warm if isinstance(warm, SinkhornResult) else roughly(p, solver, warm)
    return solver(p, first_order_tolerance(p, rough.f, rough.g), rough.g)


def roughly(p: Problem, solver: Solver, start: Start | None) -> SinkhornResult:
    """A first solve, without a warning: the second one warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return solver(p, ROUGH, None if start is None else start.g)
