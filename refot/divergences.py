"""Divergences between point clouds: B-9, G-4, MMD (G-2), and the two values they are made of.

x (n, d) with weights a (n,), y (m, d) with weights b (m,); `cost` a name of GROUND_COSTS; eps in
cost units, the same in all three terms. A solve that does not reach `tol` warns.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refot.arrays import Array, InputError, as_weights
from refot.backend_contract import BackendLike
from refot.costs import PointCost, point_cost, row_blocks
from refot.problem import Problem, problem
from refot.sinkhorn import SinkhornResult, sinkhorn_symmetric
from refot.solvers import solve


def entropic_value(
    C: Any, a: Any, b: Any, eps: Any, *, tol: float | None = None, backend: BackendLike = None
) -> float:
    """F = <C,P> + eps KL(P | a(x)b) at the optimal plan, in cost units. B-10, H-2."""
    p = problem(C, a, b, eps, backend)
    return _value(p, solve(p.C, p.a, p.b, p.eps, tol=tol, backend=p.backend))


def sharp_value(
    C: Any, a: Any, b: Any, eps: Any, *, tol: float | None = None, backend: BackendLike = None
) -> float:
    """s = <C,P> at the optimal plan of F, in cost units: s = F - eps KL. W_{c,eps} of G."""
    p = problem(C, a, b, eps, backend)
    return _sharp(p, solve(p.C, p.a, p.b, p.eps, tol=tol, backend=p.backend))


def sinkhorn_divergence(
    x: Any, a: Any, y: Any, b: Any, eps: Any, cost: str = "sqeuclidean", *,
    tol: float | None = None, backend: BackendLike = None,
) -> float:
    """S = F_xy - F_xx / 2 - F_yy / 2, KL-inclusive, in cost units; S(mu, mu) = 0. B-9."""
    F_xy, F_xx, F_yy = (_value(*term) for term in _terms(x, a, y, b, eps, cost, tol, backend))
    return F_xy - (F_xx + F_yy) / 2


def sinkhorn_loss(
    x: Any, a: Any, y: Any, b: Any, eps: Any, cost: str = "sqeuclidean", *,
    tol: float | None = None, backend: BackendLike = None,
) -> float:
    """2 s_xy - s_xx - s_yy with sharp values: twice the scale of B-9 and another W. G-4."""
    s_xy, s_xx, s_yy = (_sharp(*term) for term in _terms(x, a, y, b, eps, cost, tol, backend))
    return 2 * s_xy - s_xx - s_yy


def mmd_squared(x: Any, a: Any, y: Any, b: Any, cost: str = "sqeuclidean") -> float:
    """MMD^2 with kernel -c, as a V-statistic: 2 a'C_xy b - a'C_xx a - b'C_yy b, cost units. G-2.

    The limit of G-4 as eps -> infinity, and twice that of B-9 (errata G2, E13). With the cost
    "euclidean" this is the energy distance.
    """
    xy = point_cost(x, y, cost)
    a, b = as_weights(a, xy.shape[0], "a"), as_weights(b, xy.shape[1], "b")
    xx, yy = PointCost(xy.x, xy.x, xy.ground), PointCost(xy.y, xy.y, xy.ground)
    return 2 * _mean_cost(xy, a, b) - _mean_cost(xx, a, a) - _mean_cost(yy, b, b)


def mmd_squared_unbiased(x: Any, a: Any, y: Any, b: Any, cost: str = "sqeuclidean") -> float:
    """MMD^2 with kernel -c, as a U-statistic: no pair of a sample with itself. G-2, erratum G8.

    Self terms sum_{i != j} a_i a_j c / (1 - sum a_i^2): with uniform weights, 1/(n(n-1)). Needs
    at least two atoms on each side. Can be negative.
    """
    xy = point_cost(x, y, cost)
    a, b = as_weights(a, xy.shape[0], "a"), as_weights(b, xy.shape[1], "b")
    xx, yy = PointCost(xy.x, xy.x, xy.ground), PointCost(xy.y, xy.y, xy.ground)
    return (
        2 * _mean_cost(xy, a, b)
        - _mean_cost(xx, a, a) / distinct_pairs(a, "a")
        - _mean_cost(yy, b, b) / distinct_pairs(b, "b")
    )


# ------------------------------------------------------------------ parts
def _terms(
    x: Any, a: Any, y: Any, b: Any, eps: Any, cost: str, tol: float | None,
    backend: BackendLike,
) -> list[tuple[Problem, SinkhornResult]]:
    """The three problems xy, xx, yy with their solutions."""
    C = point_cost(x, y, cost)
    xy = problem(C, a, b, eps, backend)
    xx = problem(PointCost(C.x, C.x, C.ground), a, a, eps, backend)
    yy = problem(PointCost(C.y, C.y, C.ground), b, b, eps, backend)
    return [
        (xy, solve(xy.C, xy.a, xy.b, xy.eps, tol=tol, backend=xy.backend)),
        (xx, sinkhorn_symmetric(xx.C, xx.a, xx.eps, tol=tol, backend=xx.backend)),
        (yy, sinkhorn_symmetric(yy.C, yy.a, yy.eps, tol=tol, backend=yy.backend)),
    ]


def _value(p: Problem, solved: SinkhornResult) -> float:
    """The semi-dual at the last potential: never above F, and wrong only to second order."""
    return float(p.a @ p.transform(solved.g) + p.b @ solved.g)


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
