"""Divergences between point clouds: B-9, G-4, MMD (G-2), and the two values they are made of.

Points x (n, d) have the weights a (n,), points y (m, d) the weights b (m,). `cost` is a name of
POINT_COSTS; eps is in cost units and the same in all three terms. A solve that does not reach `tol`
warns (ConvergenceWarning).

Papers: B = Bréchet et al. 2019, G = Genevay, Peyré, Cuturi 2018, H = Houdard et al. 2023; an
erratum such as "G2" is a heading of docs/errata.md.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from refot.arrays import (
    Array,
    ConvergenceWarning,
    CostLike,
    InputError,
    Points,
    Weights,
    as_weights,
    in_range,
    marginal_tolerance,
    namespace,
)
from refot.backend_contract import BackendLike
from refot.costs.forbidden import finite_range
from refot.costs.operands import DenseCost, PointCost, point_cost, row_blocks
from refot.problem import Problem, problem
from refot.solvers import solve_problem
from refot.solvers.answers.value import value_of
from refot.solvers.loop import SinkhornResult
from refot.solvers.symmetric import solve_symmetric_problem

ROUGH = 1e-2
"""The marginal error of a first, rough solve: it tells how large the potentials are."""

LOOSE = 1e-6
"""The largest default tolerance of an answer that is wrong by as much as the marginals are. A solve
that cannot reach it warns."""


def entropic_value(
    C: CostLike, a: Weights, b: Weights, eps: float,
    *, tol: float | None = None, normalise: bool = False, backend: BackendLike = None
) -> float:
    """F = <C,P> + eps KL(P | a(x)b) at the optimal plan, in cost units. B-10, H-2.

    `normalise`: a and b may be counts.
    """
    p = problem(C, a, b, eps, backend, normalise)
    return value_of(p, solve_problem(p, tol=tol).g)


def sharp_value(
    C: CostLike, a: Weights, b: Weights, eps: float,
    *, tol: float | None = None, backend: BackendLike = None
) -> float:
    """s = <C,P> at the optimal plan of F, in cost units: s = F - eps KL. W_{c,eps} of G.

    Unlike F, s is not a minimum: an error of the potentials changes it to first order. So `tol` is
    by default the smaller `first_order_tolerance`. Of a cost matrix the least entry with mass is
    subtracted first and added at the end, so that the rounding of the mass of P is not multiplied
    by it.
    """
    p, least = problem(C, a, b, eps, backend), 0.0
    if isinstance(p.C, DenseCost):
        least, _ = finite_range(p.C.among(p.a > 0, p.b > 0))
        p = replace(p, C=DenseCost(p.C.matrix - least))
    return least + sharp_value_of(p, to_first_order(p, tol))


def sinkhorn_divergence(
    x: Points, a: Weights, y: Points, b: Weights, eps: float, cost: str = "sqeuclidean", *,
    tol: float | None = None, normalise: bool = False, backend: BackendLike = None,
) -> float:
    """S = F_xy - F_xx / 2 - F_yy / 2, KL-inclusive, in cost units; S(mu, mu) = 0. B-9.

    `normalise`: a and b may be counts.
    """
    problems = three_problems(x, a, y, b, eps, cost, backend, normalise)
    F_xy, F_xx, F_yy = (value_of(p, solver(p, tol, None).g)
                        for p, solver in zip(problems, SOLVERS, strict=True))
    return F_xy - (F_xx + F_yy) / 2


def sinkhorn_loss(
    x: Points, a: Weights, y: Points, b: Weights, eps: float, cost: str = "sqeuclidean", *,
    tol: float | None = None, backend: BackendLike = None,
) -> float:
    """2 s_xy - s_xx - s_yy, of sharp values: twice the scale of B-9, and another value. G-4.

    `tol`: by default `first_order_tolerance`, as for `sharp_value`.
    """
    problems = three_problems(x, a, y, b, eps, cost, backend)
    s_xy, s_xx, s_yy = (sharp_value_of(*term) for term in first_order_solutions(problems, tol))
    return 2 * s_xy - s_xx - s_yy


@in_range
def mmd_squared(x: Points, a: Weights, y: Points, b: Weights, cost: str = "sqeuclidean") -> float:
    """MMD^2 with kernel -c, 2 a'C_xy b - a'C_xx a - b'C_yy b, a V-statistic in cost units. G-2.

    It is the limit of G-4 as eps -> infinity, and twice the limit of B-9 (errata G2, E13). With the
    cost "euclidean" it is the energy distance.
    """
    xy = point_cost(x, y, cost)
    a, b = as_weights(a, xy.shape[0], "a", xy.dtype), as_weights(b, xy.shape[1], "b", xy.dtype)
    xx, yy = self_costs(xy)
    return 2 * _mean_cost(xy, a, b) - _mean_cost(xx, a, a) - _mean_cost(yy, b, b)


@in_range
def mmd_squared_unbiased(
    x: Points, a: Weights, y: Points, b: Weights, cost: str = "sqeuclidean"
) -> float:
    """MMD^2 with kernel -c, as a U-statistic: no pair of a sample with itself. G-2, erratum G8.

    The self terms are sum_{i != j} a_i a_j c(x_i, x_j) / (1 - sum a_i^2): with uniform weights,
    the mean over the n (n - 1) pairs. Each side needs at least two points with mass. The result
    may be negative.
    """
    xy = point_cost(x, y, cost)
    a, b = as_weights(a, xy.shape[0], "a", xy.dtype), as_weights(b, xy.shape[1], "b", xy.dtype)
    xx, yy = self_costs(xy)
    return (
        2 * _mean_cost(xy, a, b)
        - float(a @ distinct_mean_rows(xx, a)) / distinct_pairs(a, "a")
        - float(b @ distinct_mean_rows(yy, b)) / distinct_pairs(b, "b")
    )


# ------------------------------------------------------------------ parts
def self_costs(C: PointCost) -> tuple[PointCost, PointCost]:
    """The costs c(x, x) and c(y, y), from the cost c(x, y)."""
    return replace(C, y=C.x), replace(C, x=C.y)


def first_order_tolerance(p: Problem, f: Array, g: Array) -> float:
    """The default `tol` of s and of gradients, which are as wrong as the marginals are.

    In float64 it is the least error that a solve can reach, u (16 (a.|f| + b.|g|) / eps +
    64 sqrt(n + m)) with u = 2^-53: the rounding of the exponents, and that of the sums. But it is
    at most LOOSE; where rounding does not allow that, the solve warns. In float32 it is the default
    of `solve`.

    The potentials f, g serve as the scale of the costs, because C_ij is near f_i + g_j wherever
    P_ij counts. Forbidden pairs and far points of weight 0 do not enter in this way.
    """
    if p.C.dtype != np.float64:
        return marginal_tolerance(p.C.dtype)
    carried = float(p.a @ abs(f) + p.b @ abs(g))
    return min(LOOSE, 2.0**-53 * (16 * carried / p.eps + 64 * math.sqrt(sum(p.C.shape))))


Solver: TypeAlias = Callable[[Problem, float | None, Array | None], SinkhornResult]
"""(problem, tol, the potential to start from) -> the solution of the problem."""


def solution(p: Problem, tol: float | None, g: Array | None) -> SinkhornResult:
    """The solution for two different measures, started from the column potential g."""
    return solve_problem(p, tol=tol, g=g)


def self_solution(p: Problem, tol: float | None, f: Array | None) -> SinkhornResult:
    """The solution for a measure and itself, by the symmetric iteration, started from f."""
    return solve_symmetric_problem(p, tol=tol, f=f)


SOLVERS: tuple[Solver, Solver, Solver] = (solution, self_solution, self_solution)
"""The solvers for the three problems of a divergence: xy, xx, yy."""


def to_first_order(p: Problem, tol: float | None, solver: Solver = solution) -> SinkhornResult:
    """The solution to `tol`, by default to `first_order_tolerance`.

    That default depends on the size of the potentials. So a rough solve comes first, and the second
    one goes on from its potential.
    """
    if tol is not None or p.C.dtype != np.float64:
        return solver(p, tol, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the second solve warns
        rough = solver(p, ROUGH, None)
    return solver(p, first_order_tolerance(p, rough.f, rough.g), rough.g)


def first_order_solutions(
    problems: tuple[Problem, Problem, Problem], tol: float | None
) -> list[tuple[Problem, SinkhornResult]]:
    """The problems xy, xx, yy, each with its solution `to_first_order`."""
    return [(p, to_first_order(p, tol, solver))
            for p, solver in zip(problems, SOLVERS, strict=True)]


def three_problems(
    x: Points, a: Weights, y: Points, b: Weights, eps: float, cost: str, backend: BackendLike,
    normalise: bool = False,
) -> tuple[Problem, Problem, Problem]:
    """The three problems of a divergence: xy, xx, yy."""
    C = point_cost(x, y, cost)
    xx, yy = self_costs(C)
    xy = problem(C, a, b, eps, backend, normalise)
    return xy, problem(xx, xy.a, xy.a, eps, backend), problem(yy, xy.b, xy.b, eps, backend)


def sharp_value_of(p: Problem, solved: SinkhornResult) -> float:
    """s = <C, P> of the plan of the solved potentials, without forming P."""
    return p.backend.plan_cost(p.C, p.F(solved.f), p.G(solved.g), p.eps)


def _mean_cost(C: PointCost, a: Array, b: Array) -> float:
    """sum_ij a_i b_j C_ij."""
    return sum(float(a[rows] @ C.rows(rows) @ b) for rows in row_blocks(C))


def distinct_mean_rows(C: PointCost, a: Array) -> Array:
    """sum_{k != i} a_k c(x_i, x_k), (n,), for the self cost C = c(x, x)."""
    return namespace(a).concatenate(
        [without_self_pairs(C.rows(rows), rows) @ a for rows in row_blocks(C)])


def without_self_pairs(block: Array, rows: slice) -> Array:
    """A block of rows (r, n, ...) of a matrix between a sample and itself, 0 at the pairs (i, i).

    A distance is 0 there already, but the cost "dot" is -|x_i|^2.
    """
    pairs = namespace(block).arange(block.shape[0])
    block = block.copy()  # the block may be a view of the points
    block[pairs, pairs + rows.start] = 0
    return block


def distinct_pairs(a: Array, name: str) -> float:
    """1 - sum a_i^2: the mass of the pairs of two different points."""
    mass = 1.0 - float((a.astype(np.float64) ** 2).sum())
    if not mass > 1e-12:
        raise InputError(name, "a single atom", "at least two atoms for a U-statistic")
    return mass
