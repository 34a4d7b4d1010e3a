"""One value F(x, a, y, b) at its optimal potentials: F and its gradients, without a solve.

By the envelope theorem (`refot.gradients`) the derivatives of F are those at fixed potentials:
    dF/dx_i = sum_j P_ij d1 c(x_i, y_j),     dF/da = f - mean f,     and likewise in y and b.
So one solve gives the value and all four gradients. d1 c is the derivative of c(x, y) in x.
B = Bréchet et al. 2019.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from typing import Self

from refot.arrays import Array, marginal_tolerance, namespace
from refot.autodiff.measures import Pair
from refot.backend_contract import BatchSolver
from refot.batches.batch import batch_of
from refot.batches.solve import MAX_ITER, solve_problems
from refot.costs.operands import require_points
from refot.gradients import centred
from refot.problem import Problem
from refot.solvers.accuracy import sums, transform_from
from refot.solvers.answers.solutions import (
    Near,
    Solver,
    solution,
    still_solves,
    to_first_order,
)
from refot.solvers.answers.value import value_of
from refot.solvers.auto import SMALL
from refot.solvers.loop import SinkhornResult
from refot.solvers.memory import gibbs_matrix, kept


@dataclass(frozen=True)
class Term:
    """The problem of a value, its cost between points, and its optimal potentials f (n,), g (m,).

    Each potential is the transform of the other, up to the accuracy of the solve, and so has a
    meaning at points of weight 0 too.
    """

    p: Problem
    f: Array
    g: Array

    @property
    def T(self) -> Self:
        """The same value with the two measures exchanged."""
        return type(self)(self.p.T, self.g, self.f)

    def value(self) -> float:
        """F, in cost units: a.f + b.g at the level of `transforms`. B-10, B-24."""
        return value_of(self.p, self.g, self.f)

    def gradient_points(self) -> Array:
        """dF/dx, (n, d)."""
        p = self.p
        return p.backend.plan_cost_gradient(require_points(p.C), p.F(self.f), p.G(self.g), p.eps)

    def slope(self) -> Array:
        """dF/da up to a constant, (n,)."""
        return self.f

    def gradient_weights(self) -> Array:
        """dF/da, `centred` to sum 0, (n,)."""
        return centred(self.slope(), self.p.a)

    def plan(self) -> Array:
        """P_ij = a_i b_j exp((f_i + g_j - C_ij) / eps), (n, m)."""
        return gibbs_matrix(self.p.C, self.p.F(self.f), self.p.G(self.g), self.p.eps)

    def weights_direction(self, va: Array) -> Array:
        """The direction va (n,) less its mean, along which the mass does not change."""
        return va - va.mean()

    def weights_change(self, steeper: Array, vb: Array) -> Array:
        """How `gradient_weights` (n,) changes, where the slope changes by `steeper` (n,) and b by
        vb (m,)."""
        return steeper - steeper.mean()

    @property
    def softness(self) -> float:
        """How fast, as a share per cost unit, the sum that a row should have falls as its potential
        rises: 0 here, where that sum is its weight."""
        return 0.0


def small_first(p: Problem, tol: float | None, g: Array | None) -> SinkhornResult:
    """`solution`, but a small problem is first swept in one compiled call, as one of a batch, where
    the backend has that: Newton's method, which `auto` takes there, goes on down to rounding, and a
    loss seldom asks for that. What the sweeps do not reach, `solution` goes on with."""
    if math.prod(p.C.shape) > SMALL or not isinstance(p.backend, BatchSolver):
        return solution(p, tol, g)
    start = namespace(p.b).zeros_like(p.b) if g is None else g
    wanted = marginal_tolerance(p.C.dtype) if tol is None else tol
    found = solve_problems(batch_of([p]), start, wanted, MAX_ITER, False, time.perf_counter())[0]
    return found if found.converged else solution(p, tol, found.g)


def solved_term(p: Problem, tol: float | None, solver: Solver = small_first,
                warm: Near = None) -> tuple[Term, SinkhornResult]:
    """(the term of a problem, its solution `to_first_order`). The solve starts from `warm`, the
    solution of a nearby problem, if there is one. Warns as `solve` does."""
    if still_solves(warm, p, tol):
        return Term(p, warm.f, warm.g), warm
    # A matrix, where that is faster and memory allows it.
    in_memory = replace(p, C=kept(p.backend, p.C))
    solved = to_first_order(in_memory, tol, solver, warm=warm)
    f, g = transforms(in_memory, solved)
    return Term(p, f, g), replace(solved, f=f, g=g, problem=p)


def transforms(p: Problem, solved: SinkhornResult) -> tuple[Array, Array]:
    """The transforms of g and of f, on the level where a.f + b.g is the mean of the two semi-duals
    (B-24) of the solution: an error of the potentials changes it to second order only.

    The solve has the sums of the plan from its last look at the errors, and from these follow the
    transforms: that saves two passes over the pairs."""
    known = solved.sums
    if known is None or known.f is not solved.f or known.g is not solved.g:
        known = sums(p, solved.f, solved.g)
    f = transform_from(p, known.f, known.g, known.rows)
    g = transform_from(p.T, known.g, known.f, known.columns)
    level = (p.a @ (known.f - f) + p.b @ (known.g - g)) / 4
    return f + level, g + level


def directions_of_self(v: Pair) -> Pair:
    """The direction for F(x, a, x, a), in which both measures move alike: as (x, a) does in v."""
    return Pair(v.x, v.a, v.x, v.a)
