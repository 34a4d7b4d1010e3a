"""Divergences between point clouds: the Sinkhorn divergence S (B-9), the Sinkhorn loss (G-4) and
MMD, the maximum mean discrepancy (G-2); and the two values of one problem that S and the loss are
made of: at the optimal plan P, F = <C,P> + eps KL(P | a(x)b) and the sharp value s = <C,P>.

Points x (n, d) have the weights a (n,), points y (m, d) the weights b (m,). `cost` is what
`point_cost` takes; eps is in cost units and the same in all three terms. `tol` is the L1 marginal
error at which a solve stops; a solve that does not reach it warns (ConvergenceWarning).
`first_order_tolerance` is that of `solvers.answers.solutions`.

Papers: B = Bréchet et al. 2019, G = Genevay, Peyré, Cuturi 2018, H = Houdard et al. 2023; an
erratum such as "G2" is a heading of docs/errata.md.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple, TypeAlias

import numpy as np

from refot.arrays import (
    REQUIRED,
    Array,
    CostLike,
    InputError,
    Points,
    Weights,
    as_both_weights,
    in_range,
    namespace,
)
from refot.backend_contract import Backend, BackendLike, backend_for
from refot.costs.forbidden import finite_range
from refot.costs.named import CostName
from refot.costs.operands import (
    Cost,
    DenseCost,
    PointCost,
    as_cost,
    point_cost,
    require_symmetric,
    row_blocks,
)
from refot.foreign import as_given
from refot.problem import Problem, on_backend, problem
from refot.solvers.answers.reuse import backend_of, reused, three
from refot.solvers.answers.solutions import SOLVERS, solved_to, to_first_order
from refot.solvers.answers.value import value_of
from refot.solvers.loop import SinkhornResult


class SolvedDivergence(NamedTuple):
    """The solutions of the three problems of a divergence. Functions of a divergence take it as the
    argument `solved`, so that the value and its gradients need not solve the problems again."""

    xy: SinkhornResult
    """The solution between x (n points) and y (m points)."""

    xx: SinkhornResult
    """The solution between x and itself, where f = g."""

    yy: SinkhornResult
    """The solution between y and itself."""


Problems: TypeAlias = tuple[Problem, Problem, Problem]
"""The problems xy, xx, yy of a divergence."""


# ------------------------------------------------------------------ one pair of measures
def entropic_value(
    C: CostLike, a: Weights = None, b: Weights = None, eps: float = REQUIRED, *,
    tol: float | None = None, normalise: bool = False, backend: BackendLike = None,
    solved: SinkhornResult | None = None,
) -> float:
    """F = <C,P> + eps KL(P | a(x)b) at the optimal plan, in cost units. B-10, H-2.

    C (n, m), an array, a `PointCost` or a `DenseCost`; a (n,), b (m,); eps in cost units. With
    `normalise` a and b may be counts. `solved` is what `refot.solve` returned for this problem.
    With it nothing is solved again, so that one solve serves the value and its gradients:

        found = refot.solve(C, a, b, eps, tol=1e-12)
        F = refot.entropic_value(C, a, b, eps, solved=found)
        dF = refot.entropic_value_gradient_weights(C, a, b, eps, solved=found)
    """
    p = problem(C, a, b, eps, backend_of(solved, backend), normalise)
    return value_of(p, solved_to(p, tol, solved=solved).g)


def sharp_value(
    C: CostLike, a: Weights = None, b: Weights = None, eps: float = REQUIRED, *,
    tol: float | None = None, normalise: bool = False, backend: BackendLike = None,
    solved: SinkhornResult | None = None,
) -> float:
    """s = <C,P> at the optimal plan of F, in cost units: s = F - eps KL. W_{c,eps} of G.

    Unlike F, s is not a minimum: an error of the potentials changes it to first order. So `tol` is
    by default the smaller `first_order_tolerance`. The least cost between points with mass is
    subtracted from a cost matrix first and added at the end: otherwise the rounding error of the
    mass of P would be multiplied by it.
    """
    p = problem(C, a, b, eps, backend_of(solved, backend), normalise)
    if solved is not None:
        return sharp_value_at(p, reused(p, solved, tol))
    less, least = _less_least(p)
    return least + sharp_value_of(less, to_first_order(less, tol))


# ------------------------------------------------------------------ B-9 and G-4
def sinkhorn_divergence(
    x: Points, a: Weights = None, y: Points = REQUIRED, b: Weights = None, eps: float = REQUIRED,
    cost: CostName = "sqeuclidean", *, tol: float | None = None, normalise: bool = False,
    backend: BackendLike = None, solved: SolvedDivergence | None = None,
) -> float:
    """S = F_xy - F_xx / 2 - F_yy / 2, KL-inclusive, in cost units; S(mu, mu) = 0. B-9.

    `normalise`: a and b may be counts. `solved`: what `solve_divergence` returned.
    """
    problems = three_problems(x, a, y, b, eps, cost, backend, normalise, solved)
    return _divergence(problems, tol, solved)


def sinkhorn_divergence_of_costs(
    C: CostLike, C_xx: CostLike, C_yy: CostLike, a: Weights = None, b: Weights = None,
    eps: float = REQUIRED, *, tol: float | None = None, normalise: bool = False,
    backend: BackendLike = None, solved: SolvedDivergence | None = None,
) -> float:
    """`sinkhorn_divergence` from the costs C (n, m) between the measures, and C_xx (n, n), C_yy
    (m, m), symmetric, within each. B-9.

        S = refot.sinkhorn_divergence_of_costs(M, M, M, a, b, 0.1)   # M: costs of a shared grid
    """
    return _divergence(problems_of_costs(C, C_xx, C_yy, a, b, eps, backend, normalise, solved),
                       tol, solved)


def sinkhorn_loss(
    x: Points, a: Weights = None, y: Points = REQUIRED, b: Weights = None, eps: float = REQUIRED,
    cost: CostName = "sqeuclidean", *, tol: float | None = None, normalise: bool = False,
    backend: BackendLike = None, solved: SolvedDivergence | None = None,
) -> float:
    """2 s_xy - s_xx - s_yy, in cost units, from `sharp_value`. G-4. It has the scale of 2 S (B-9),
    but is another number, since S is made of F.

    `tol`: by default `first_order_tolerance`, as for `sharp_value`.
    """
    return _loss(three_problems(x, a, y, b, eps, cost, backend, normalise, solved), tol, solved)


def sinkhorn_loss_of_costs(
    C: CostLike, C_xx: CostLike, C_yy: CostLike, a: Weights = None, b: Weights = None,
    eps: float = REQUIRED, *, tol: float | None = None, normalise: bool = False,
    backend: BackendLike = None, solved: SolvedDivergence | None = None,
) -> float:
    """`sinkhorn_loss` from the costs C (n, m) between the measures, and C_xx (n, n), C_yy (m, m),
    symmetric, within each. G-4."""
    return _loss(problems_of_costs(C, C_xx, C_yy, a, b, eps, backend, normalise, solved),
                 tol, solved)


@as_given
def solve_divergence(
    x: Points, a: Weights = None, y: Points = REQUIRED, b: Weights = None, eps: float = REQUIRED,
    cost: CostName = "sqeuclidean", *, tol: float | None = None, normalise: bool = False,
    backend: BackendLike = None,
) -> SolvedDivergence:
    """The solutions of the three problems of a divergence: xy, xx, yy. B-9, B-26.

    One such call is enough for the values and all gradients of S (B-9) and of the loss G-4. `tol`
    is by default `first_order_tolerance`, which is small enough for all of them.

        found = refot.solve_divergence(x, a, y, b, eps)
        S = refot.sinkhorn_divergence(x, a, y, b, eps, solved=found)
        dS = refot.sinkhorn_divergence_gradient(x, a, y, b, eps, solved=found)
    """
    return _solved(three_problems(x, a, y, b, eps, cost, backend, normalise), tol)


@as_given
def solve_divergence_of_costs(
    C: CostLike, C_xx: CostLike, C_yy: CostLike, a: Weights = None, b: Weights = None,
    eps: float = REQUIRED, *, tol: float | None = None, normalise: bool = False,
    backend: BackendLike = None,
) -> SolvedDivergence:
    """`solve_divergence` from the costs C (n, m) between the measures, and C_xx (n, n), C_yy
    (m, m), symmetric, within each."""
    return _solved(problems_of_costs(C, C_xx, C_yy, a, b, eps, backend, normalise), tol)


# ------------------------------------------------------------------ MMD
@in_range
def mmd_squared(
    x: Points, a: Weights = None, y: Points = REQUIRED, b: Weights = None,
    cost: CostName = "sqeuclidean", *, normalise: bool = False
) -> float:
    """MMD^2 with kernel -c: 2 a'C_xy b - a'C_xx a - b'C_yy b, in cost units. G-2.

    It is a V-statistic: pairs of a point with itself count. It is the limit of G-4 as eps ->
    infinity, and twice the limit of B-9 (errata G2, E13). With the cost "euclidean" it is the
    energy distance.
    """
    xy = point_cost(x, y, cost)
    a, b = as_both_weights(a, b, xy.shape, xy.dtype, normalise)
    xx, yy = self_costs(xy)
    return 2 * _mean_cost(xy, a, b) - _mean_cost(xx, a, a) - _mean_cost(yy, b, b)


@in_range
def mmd_squared_unbiased(
    x: Points, a: Weights = None, y: Points = REQUIRED, b: Weights = None,
    cost: CostName = "sqeuclidean", *, normalise: bool = False
) -> float:
    """MMD^2 with kernel -c as a U-statistic: pairs of a point with itself are left out. G-2,
    erratum G8.

    The self terms are sum_{i != j} a_i a_j c(x_i, x_j) / (1 - sum a_i^2): with uniform weights,
    the mean over the n (n - 1) pairs. Each measure needs at least two points with mass. The result
    is in cost units, and may be negative.
    """
    xy = point_cost(x, y, cost)
    a, b = as_both_weights(a, b, xy.shape, xy.dtype, normalise)
    xx, yy = self_costs(xy)
    return (
        2 * _mean_cost(xy, a, b)
        - float(a @ distinct_mean_rows(xx, a)) / distinct_pairs(a, "a")
        - float(b @ distinct_mean_rows(yy, b)) / distinct_pairs(b, "b")
    )


# ------------------------------------------------------------------ parts
def self_costs(C: PointCost) -> tuple[PointCost, PointCost]:
    """The costs c(x, x) and c(y, y), from the cost c(x, y). Raises InputError if c is a function of
    the caller that is not symmetric."""
    xx, yy = replace(C, y=C.x), replace(C, x=C.y)
    if not C.ground.is_symmetric:
        for own in (xx, yy):
            _require_nearly_symmetric(own)
    return xx, yy


ASYMMETRY = 2.0**-10
"""How far c(x, y) and c(y, x) may be apart, as a share of the largest cost: by this number times
the square root of the `eps` of the dtype (2^-52 in float64), that is by 2^-36 in float64. They are
not asked to be equal, because a matrix product and its transpose may be rounded differently."""


def _require_nearly_symmetric(C: PointCost) -> None:
    """Raise InputError unless C_ij = C_ji but for rounding."""
    off = max(float(abs(C.rows(rows) - C.T.rows(rows)).max()) for rows in row_blocks(C))
    if off > ASYMMETRY * math.sqrt(np.finfo(C.dtype).eps) * C.bound():
        raise InputError("cost", f"{C.ground.name!r}, with c(x, y) and c(y, x) up to {off:.3g} "
                         "apart", "a symmetric function, for the cost of a measure with itself")


def three_problems(
    x: Points, a: Weights, y: Points, b: Weights, eps: float, cost: CostName, backend: BackendLike,
    normalise: bool = False, solved: SolvedDivergence | None = None,
) -> Problems:
    """The three problems of a divergence between points."""
    C = point_cost(x, y, cost)
    return _problems(C, *self_costs(C), a, b, eps, backend, normalise, solved)


def problems_of_costs(
    C: CostLike, C_xx: CostLike, C_yy: CostLike, a: Weights, b: Weights, eps: float,
    backend: BackendLike, normalise: bool = False, solved: SolvedDivergence | None = None,
) -> Problems:
    """The three problems of a divergence from its costs. Raises InputError."""
    return _problems(*three_costs(C, C_xx, C_yy), a, b, eps, backend, normalise, solved)


def three_costs(C: CostLike, C_xx: CostLike, C_yy: CostLike) -> tuple[Cost, Cost, Cost]:
    """The costs of a divergence, checked. Raises InputError unless C_xx and C_yy are symmetric and
    fit C in shape and dtype."""
    C = as_cost(C)
    xx = require_symmetric(as_cost(C_xx), C.shape[0], "C_xx", C.dtype)
    return C, xx, require_symmetric(as_cost(C_yy), C.shape[1], "C_yy", C.dtype)


def _problems(C: Cost, xx: Cost, yy: Cost, a: Weights, b: Weights, eps: float, backend: BackendLike,
              normalise: bool, solved: SolvedDivergence | None) -> Problems:
    on = common_backend(C, backend_of(three(solved)[0], backend))
    xy = problem(C, a, b, eps, on, normalise)
    if isinstance(xy.C, PointCost):  # of points that are checked, as their weights are
        return xy, on_backend(xx, xy.a, xy.a, eps, on), on_backend(yy, xy.b, xy.b, eps, on)
    return xy, problem(xx, xy.a, xy.a, eps, on), problem(yy, xy.b, xy.b, eps, on)


def common_backend(C: Cost, backend: BackendLike) -> Backend:
    """The backend for all three problems of a divergence: the one that suits the largest."""
    return backend_for(max(C.shape) ** 2, backend)


def first_order_solutions(
    problems: Problems, tol: float | None, solved: SolvedDivergence | None = None
) -> list[tuple[Problem, SinkhornResult]]:
    """The problems xy, xx, yy, each with its solution, solved to `first_order_tolerance` if `tol`
    is None."""
    return [(p, to_first_order(p, tol, solver, own))
            for p, solver, own in zip(problems, SOLVERS, three(solved), strict=True)]


def _divergence(problems: Problems, tol: float | None, solved: SolvedDivergence | None) -> float:
    """S from its three problems. B-9."""
    F_xy, F_xx, F_yy = (value_of(p, solved_to(p, tol, solver, own).g) for p, solver, own
                        in zip(problems, SOLVERS, three(solved), strict=True))
    return F_xy - (F_xx + F_yy) / 2


def _loss(problems: Problems, tol: float | None, solved: SolvedDivergence | None) -> float:
    """2 s_xy - s_xx - s_yy from the three problems. G-4."""
    s_xy, s_xx, s_yy = (sharp_value_of(*term)
                        for term in first_order_solutions(problems, tol, solved))
    return 2 * s_xy - s_xx - s_yy


def _solved(problems: Problems, tol: float | None) -> SolvedDivergence:
    return SolvedDivergence(*(found for _, found in first_order_solutions(problems, tol)))


def sharp_value_at(p: Problem, solved: SinkhornResult) -> float:
    """`sharp_value` of a problem, from its solution."""
    less, least = _less_least(p)
    return least + sharp_value_of(less, replace(solved, f=solved.f - least))


def _less_least(p: Problem) -> tuple[Problem, float]:
    """(the problem with the least cost between points with mass subtracted from its cost matrix,
    that cost). A problem of points is returned unchanged, with 0."""
    if not isinstance(p.C, DenseCost):
        return p, 0.0
    least, _ = finite_range(p.C.among(p.a > 0, p.b > 0))
    return replace(p, C=DenseCost(p.C.matrix - least)), least


def sharp_value_of(p: Problem, solved: SinkhornResult) -> float:
    """s = <C, P> for the plan P of the potentials in `solved`, without forming P."""
    return p.backend.plan_cost(p.C, p.F(solved.f), p.G(solved.g), p.eps)


def _mean_cost(C: PointCost, a: Array, b: Array) -> float:
    """sum_ij a_i b_j C_ij."""
    return sum(float(a[rows] @ C.rows(rows) @ b) for rows in row_blocks(C))


def distinct_mean_rows(C: PointCost, a: Array) -> Array:
    """sum_{k != i} a_k c(x_i, x_k), (n,), for the self cost C = c(x, x)."""
    return namespace(a).concatenate(
        [without_self_pairs(C.rows(rows), rows) @ a for rows in row_blocks(C)])


def without_self_pairs(block: Array, rows: slice) -> Array:
    """Rows (r, n, ...) of a matrix between a sample and itself, with the entries (i, i) set to 0.

    A distance is 0 there already, but the cost "dot" is -|x_i|^2.
    """
    pairs = namespace(block).arange(block.shape[0])
    block = block.copy()  # the block may be a view of the points
    block[pairs, pairs + rows.start] = 0
    return block


def distinct_pairs(a: Array, name: str) -> float:
    """1 - sum a_i^2: the mass that a(x)a gives to pairs of two different points. Raises InputError
    if it is 0 but for rounding, with `name` as the name of the weights."""
    mass = 1.0 - float((a.astype(np.float64) ** 2).sum())
    if not mass > 1e-12:
        raise InputError(name, "a single atom", "at least two atoms for a U-statistic")
    return mass
