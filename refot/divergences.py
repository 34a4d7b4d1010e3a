"""Divergences between point clouds: B-9, G-4, MMD (G-2), and the two values they are made of.

x (n, d) with weights a (n,), y (m, d) with weights b (m,); `cost` a name of POINT_COSTS; eps in
cost units, the same in all three terms. A solve that does not reach `tol` warns.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from refot.arrays import Array, InputError, as_weights, namespace
from refot.backend_contract import BackendLike
from refot.costs.operands import Cost, DenseCost, PointCost, point_cost, row_blocks
from refot.problem import Problem, problem
from refot.solvers import solve
from refot.solvers.loop import SinkhornResult
from refot.solvers.sinkhorn import sinkhorn_symmetric

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

    s is no minimum, so that the default of `tol` is `first_order_tolerance`. The least entry of a
    cost matrix is taken out first: it would multiply the rounding of the mass of P, which is 1.
    """
    p, least = problem(C, a, b, eps, backend), 0.0
    if isinstance(p.C, DenseCost):
        least = float(p.C.matrix.min())
        p = replace(p, C=DenseCost(p.C.matrix - least))
    tol = first_order_tolerance(p, tol)
    return least + _sharp(p, solve(p.C, p.a, p.b, p.eps, tol=tol, backend=p.backend))


def sinkhorn_divergence(
    x: Any, a: Any, y: Any, b: Any, eps: Any, cost: str = "sqeuclidean", *,
    tol: float | None = None, backend: BackendLike = None,
) -> float:
    """S = F_xy - F_xx / 2 - F_yy / 2, KL-inclusive, in cost units; S(mu, mu) = 0. B-9."""
    problems = _problems(x, a, y, b, eps, cost, backend)
    F_xy, F_xx, F_yy = (_value(*term) for term in _solutions(problems, lambda p: tol))
    return F_xy - (F_xx + F_yy) / 2


def sinkhorn_loss(
    x: Any, a: Any, y: Any, b: Any, eps: Any, cost: str = "sqeuclidean", *,
    tol: float | None = None, backend: BackendLike = None,
) -> float:
    """2 s_xy - s_xx - s_yy with sharp values: twice the scale of B-9 and another W. G-4.

    `tol`: by default `first_order_tolerance`, as for `sharp_value`.
    """
    problems = _problems(x, a, y, b, eps, cost, backend)
    s_xy, s_xx, s_yy = (_sharp(*term) for term in _solutions(
        problems, lambda p: first_order_tolerance(p, tol)))
    return 2 * s_xy - s_xx - s_yy


def mmd_squared(x: Any, a: Any, y: Any, b: Any, cost: str = "sqeuclidean") -> float:
    """MMD^2 with kernel -c, as a V-statistic: 2 a'C_xy b - a'C_xx a - b'C_yy b, cost units. G-2.

    The limit of G-4 as eps -> infinity, and twice that of B-9 (errata G2, E13). With the cost
    "euclidean" this is the energy distance.
    """
    xy = point_cost(x, y, cost)
    a, b = as_weights(a, xy.shape[0], "a"), as_weights(b, xy.shape[1], "b")
    xx, yy = self_costs(xy)
    return 2 * _mean_cost(xy, a, b) - _mean_cost(xx, a, a) - _mean_cost(yy, b, b)


def mmd_squared_unbiased(x: Any, a: Any, y: Any, b: Any, cost: str = "sqeuclidean") -> float:
    """MMD^2 with kernel -c, as a U-statistic: no pair of a sample with itself. G-2, erratum G8.

    Self terms sum_{i != j} a_i a_j c / (1 - sum a_i^2): with uniform weights, 1/(n(n-1)). Needs
    at least two atoms on each side. Can be negative.
    """
    xy = point_cost(x, y, cost)
    a, b = as_weights(a, xy.shape[0], "a"), as_weights(b, xy.shape[1], "b")
    xx, yy = self_costs(xy)
    return (
        2 * _mean_cost(xy, a, b)
        - _mean_cost(xx, a, a) / distinct_pairs(a, "a")
        - _mean_cost(yy, b, b) / distinct_pairs(b, "b")
    )


# ------------------------------------------------------------------ parts
def self_costs(C: PointCost) -> tuple[PointCost, PointCost]:
    """c(x, x) and c(y, y), of the cost between x and y."""
    return replace(C, y=C.x), replace(C, x=C.y)


def first_order_tolerance(p: Problem, tol: float | None = None) -> float | None:
    """`tol`, or the default of what is wrong to first order in the marginal error: s, gradients.

    In float64 what a solve can reach: u (16 max|C| / eps + 64 sqrt(n + m)), u = 2^-53, for the
    rounding of the exponents and of the sums. In float32 None, the default of `solve`.
    """
    if tol is not None or p.C.dtype != np.float64:
        return tol
    return 2.0**-53 * (16 * _largest_cost(p.C) / p.eps + 64 * math.sqrt(sum(p.C.shape)))


def _largest_cost(C: Cost) -> float:
    """max |C|; of points at most what the boxes around x and y allow, without the matrix."""
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


def _solutions(
    problems: tuple[Problem, Problem, Problem], tol: Callable[[Problem], float | None]
) -> list[tuple[Problem, SinkhornResult]]:
    """Each with its solution, the self terms by the symmetric iteration."""
    xy, xx, yy = problems
    solved = solve(xy.C, xy.a, xy.b, xy.eps, tol=tol(xy), backend=xy.backend)
    return [(xy, solved), *((p, sinkhorn_symmetric(p.C, p.a, p.eps, tol=tol(p), backend=p.backend))
                            for p in (xx, yy))]


def _value(p: Problem, solved: SinkhornResult) -> float:
    """The semi-dual at the last potential: never above F, and wrong only to second order."""
    if p.eps > WIDE * _largest_cost(p.C):
        return wide_value(p)
    return float(p.a @ p.transform(solved.g) + p.b @ solved.g)


def wide_value(p: Problem) -> float:
    """F for eps > WIDE max |C|: three steps from g = 0, each of which takes the error of g down by
    tanh(max|C| / 2 eps)^2 < 3e-5 (Franklin and Lorenz 1989); F is wrong to second order in it."""
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


def distinct_pairs(a: Array, name: str) -> float:
    """1 - sum a_i^2: the mass of pairs of different atoms."""
    mass = 1.0 - float((a.astype(np.float64) ** 2).sum())
    if not mass > 1e-12:
        raise InputError(name, "a single atom", "at least two atoms for a U-statistic")
    return mass
