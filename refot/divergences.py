"""Divergences between point clouds: B-9, G-4, MMD (G-2), and the two values they are made of.

x (n, d) with weights a (n,), y (m, d) with weights b (m,); `cost` a name of POINT_COSTS; eps in
cost units, the same in all three terms. A solve that does not reach `tol` warns.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from refot.arrays import (
    Array,
    ConvergenceWarning,
    InputError,
    as_weights,
    in_range,
    marginal_tolerance,
    namespace,
)
from refot.backend_contract import BackendLike
from refot.costs.forbidden import finite_range
from refot.costs.operands import DenseCost, PointCost, point_cost, row_blocks
from refot.problem import Problem, problem
from refot.solvers import solve
from refot.solvers.loop import SinkhornResult
from refot.solvers.sinkhorn import sinkhorn_symmetric

ROUGH = 1e-2
"""The marginal error at which the size of the potentials is known."""

LOOSE = 1e-6
"""A marginal error that is not passed over in silence where an answer is wrong by as much."""

WIDE = 1e2
"""Where eps is above this many times max |C|, F is evaluated about the mean cost."""


def entropic_value(
    C: Any, a: Any, b: Any, eps: Any, *, tol: float | None = None, backend: BackendLike = None
) -> float:
    """F = <C,P> + eps KL(P | a(x)b) at the optimal plan, in cost units. B-10, H-2."""
    p = problem(C, a, b, eps, backend)
    return _value(p, solve(p.C, p.a, p.b, p.eps, tol=tol, backend=p.backend))


def sharp_value(
    C: Any, a: Any, b: Any, eps: Any, *, tol: float | None = None, backend: BackendLike = None
) -> float:
    """s = <C,P> at the optimal plan of F, in cost units: s = F - eps KL. W_{c,eps} of G.

    s is no minimum, so that the default of `tol` is `first_order_tolerance`. The least entry with
    mass of a cost matrix is taken out first: it would multiply the rounding of the mass of P, 1.
    """
    p, least = problem(C, a, b, eps, backend), 0.0
    if isinstance(p.C, DenseCost):
        least, _ = finite_range(p.C.among(p.a > 0, p.b > 0))
        p = replace(p, C=DenseCost(p.C.matrix - least))
    return least + _sharp(p, to_first_order(p, tol))


def sinkhorn_divergence(
    x: Any, a: Any, y: Any, b: Any, eps: Any, cost: str = "sqeuclidean", *,
    tol: float | None = None, backend: BackendLike = None,
) -> float:
    """S = F_xy - F_xx / 2 - F_yy / 2, KL-inclusive, in cost units; S(mu, mu) = 0. B-9."""
    problems = _problems(x, a, y, b, eps, cost, backend)
    F_xy, F_xx, F_yy = (_value(p, solver(p, tol, None))
                        for p, solver in zip(problems, SOLVERS, strict=True))
    return F_xy - (F_xx + F_yy) / 2


def sinkhorn_loss(
    x: Any, a: Any, y: Any, b: Any, eps: Any, cost: str = "sqeuclidean", *,
    tol: float | None = None, backend: BackendLike = None,
) -> float:
    """2 s_xy - s_xx - s_yy with sharp values: twice the scale of B-9 and another W. G-4.

    `tol`: by default `first_order_tolerance`, as for `sharp_value`.
    """
    problems = _problems(x, a, y, b, eps, cost, backend)
    s_xy, s_xx, s_yy = (_sharp(*term) for term in first_order_solutions(problems, tol))
    return 2 * s_xy - s_xx - s_yy


@in_range
def mmd_squared(x: Any, a: Any, y: Any, b: Any, cost: str = "sqeuclidean") -> float:
    """MMD^2 with kernel -c, as a V-statistic: 2 a'C_xy b - a'C_xx a - b'C_yy b, cost units. G-2.

    The limit of G-4 as eps -> infinity, and twice that of B-9 (errata G2, E13). With the cost
    "euclidean" this is the energy distance.
    """
    xy = point_cost(x, y, cost)
    a, b = as_weights(a, xy.shape[0], "a", xy.dtype), as_weights(b, xy.shape[1], "b", xy.dtype)
    xx, yy = self_costs(xy)
    return 2 * _mean_cost(xy, a, b) - _mean_cost(xx, a, a) - _mean_cost(yy, b, b)


@in_range
def mmd_squared_unbiased(x: Any, a: Any, y: Any, b: Any, cost: str = "sqeuclidean") -> float:
    """MMD^2 with kernel -c, as a U-statistic: no pair of a sample with itself. G-2, erratum G8.

    Self terms sum_{i != j} a_i a_j c / (1 - sum a_i^2): with uniform weights, 1/(n(n-1)). Needs
    at least two atoms on each side. Can be negative.
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
    """c(x, x) and c(y, y), of the cost between x and y."""
    return replace(C, y=C.x), replace(C, x=C.y)


def first_order_tolerance(p: Problem, f: Array, g: Array) -> float:
    """The marginal error to which what is wrong to first order in it is solved: s, gradients.

    In float64 what a solve can reach: u (16 (a.|f| + b.|g|) / eps + 64 sqrt(n + m)), u = 2^-53, for
    the rounding of the exponents and of the sums, but at most LOOSE: beyond, the solve warns. In
    float32 the default of `solve`. Where P_ij counts, C_ij is near f_i + g_j: the scale is that of
    the costs that carry mass, whatever forbids a pair, however far away points of weight 0 are.
    """
    if p.C.dtype != np.float64:
        return marginal_tolerance(p.C.dtype)
    carried = float(p.a @ abs(f) + p.b @ abs(g))
    return min(LOOSE, 2.0**-53 * (16 * carried / p.eps + 64 * math.sqrt(sum(p.C.shape))))


Solver: TypeAlias = Callable[[Problem, float | None, Array | None], SinkhornResult]
"""(p, tol, start) -> its solution."""


def solution(p: Problem, tol: float | None, g: Array | None) -> SinkhornResult:
    """That of two measures."""
    return solve(p.C, p.a, p.b, p.eps, tol=tol, g=g, backend=p.backend)


def self_solution(p: Problem, tol: float | None, f: Array | None) -> SinkhornResult:
    """That of a measure with itself, by the symmetric iteration."""
    return sinkhorn_symmetric(p.C, p.a, p.eps, tol=tol, f=f, backend=p.backend)


SOLVERS: tuple[Solver, Solver, Solver] = (solution, self_solution, self_solution)
"""Of the problems xy, xx, yy."""


def to_first_order(p: Problem, tol: float | None, solver: Solver = solution) -> SinkhornResult:
    """The solution to `tol`, by default to `first_order_tolerance`, for which a rough solution
    tells the size of the potentials; the second solve goes on from there."""
    if tol is not None or p.C.dtype != np.float64:
        return solver(p, tol, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the second solve says so itself
        rough = solver(p, ROUGH, None)
    return solver(p, first_order_tolerance(p, rough.f, rough.g), rough.g)


def first_order_solutions(
    problems: tuple[Problem, Problem, Problem], tol: float | None
) -> list[tuple[Problem, SinkhornResult]]:
    """The problems xy, xx, yy, each with its solution `to_first_order`."""
    return [(p, to_first_order(p, tol, solver))
            for p, solver in zip(problems, SOLVERS, strict=True)]


def _largest_cost(p: Problem) -> float:
    """max |C| where it may carry mass; of points at most what the boxes around x and y allow."""
    C = p.costs_with_mass
    if isinstance(C, DenseCost):
        return float(abs(C.matrix).max())
    return C.bound()


def _problems(
    x: Any, a: Any, y: Any, b: Any, eps: Any, cost: str, backend: BackendLike
) -> tuple[Problem, Problem, Problem]:
    """The three problems xy, xx, yy."""
    C = point_cost(x, y, cost)
    xx, yy = self_costs(C)
    return (problem(C, a, b, eps, backend), problem(xx, a, a, eps, backend),
            problem(yy, b, b, eps, backend))


def _value(p: Problem, solved: SinkhornResult) -> float:
    """The semi-dual at the last potential: never above F, and wrong only to second order."""
    if p.eps > WIDE * _largest_cost(p):
        return wide_value(p)
    return float(p.a @ p.transform(solved.g) + p.b @ solved.g)


def wide_value(p: Problem) -> float:
    """F for eps > WIDE max |C|: three steps from g = 0, each of which takes the error of g down by
    tanh(max|C| / 2 eps)^2 < 3e-5 (Franklin and Lorenz 1989); F is wrong to second order in it."""
    p = p.with_mass  # a far point of weight 0 is beyond the range of exp, and no part of F
    g = namespace(p.b).zeros_like(p.b)
    for _ in range(3):
        f = transform_about_the_mean(p, g)
        g = transform_about_the_mean(p.T, f)
    return float(p.a @ f + p.b @ g)


def transform_about_the_mean(p: Problem, g: Array) -> Array:
    """B-25 for eps far above the cost, (n,): -mu - eps log(1 + sum_j b_j (exp(z_j) - 1)).

    mu_i = sum_j b_j (g_j - C_ij), z_j = (g_j - C_ij - mu_i) / eps. The softmin of g + eps log b
    rounds eps log b, and so loses u eps; here nothing is larger than the cost.
    """
    xp = namespace(g)

    def of(rows: slice) -> Array:
        t = g - p.C.rows(rows)
        mu = t @ p.b
        return -mu - p.eps * xp.log1p(xp.expm1((t - mu[:, None]) / p.eps) @ p.b)

    return xp.concatenate([of(rows) for rows in row_blocks(p.C)])


def _sharp(p: Problem, solved: SinkhornResult) -> float:
    return p.backend.plan_cost(p.C, p.F(solved.f), p.G(solved.g), p.eps)


def _mean_cost(C: PointCost, a: Array, b: Array) -> float:
    """sum_ij a_i b_j C_ij."""
    return sum(float(a[rows] @ C.rows(rows) @ b) for rows in row_blocks(C))


def distinct_mean_rows(C: PointCost, a: Array) -> Array:
    """sum_{k != i} a_k c(x_i, x_k), (n,), for the self cost C = c(x, x)."""
    return namespace(a).concatenate(
        [without_self_pairs(C.rows(rows), rows) @ a for rows in row_blocks(C)])


def without_self_pairs(block: Array, rows: slice) -> Array:
    """The block [rows, :] of something between a sample and itself, (r, n, ...), with 0 at the
    pairs (i, i): c(x_i, x_i) is 0 for a distance, but -|x_i|^2 for the cost "dot"."""
    pairs = namespace(block).arange(block.shape[0])
    block = block.copy()  # it may be a view of the points
    block[pairs, pairs + rows.start] = 0
    return block


def distinct_pairs(a: Array, name: str) -> float:
    """1 - sum a_i^2: the mass of pairs of different atoms."""
    mass = 1.0 - float((a.astype(np.float64) ** 2).sum())
    if not mass > 1e-12:
        raise InputError(name, "a single atom", "at least two atoms for a U-statistic")
    return mass
