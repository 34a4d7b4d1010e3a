"""Sums over the plan as a backend computes them, and how far they can be from the exact ones.

P_ij = exp((F_i + G_j - C_ij) / eps) is meant exactly, for the floats F and G that are handed over
(potentials with eps log of the weights folded in). docs/certificates.md, "The gap in floats",
proves the bounds. All is done in float64: a float32 cost is converted, a matrix by blocks of rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from refot.arrays import Array
from refot.backend_contract import left_out
from refot.costs.operands import Cost, DenseCost, PointCost, row_blocks
from refot.problem import Problem, log_weights

Floats = NDArray[np.float64]

P = TypeVar("P", bound=Problem)
"""A problem, of any kind."""

UNIT = 2.0**-53
"""Unit roundoff of float64."""

LEAST = 2.0**-1020
"""What an entry of the plan may lose where a backend takes it for 0: it is smaller than that."""

EXPONENT = 5
"""Roundings of an exponent x = (t - C_ij) / eps relative to itself: the subtraction, 1 / eps in
base 2 and the product with it, with room."""

ENTRY = 16
"""Roundings of an entry beside those of its exponent: the exponential, a product, a conversion."""

LARGEST_EXPONENT = 750.0
"""|x| of an entry that is neither lost nor infinite."""

BY_PRODUCTS = 64
"""From this dimension on a backend may compute |x - y|^2 as |x|^2 + |y|^2 - 2 x.y, which can make
its error 64 times as large."""

SLACK = 1.01
"""For the sums that a bound of their own error is taken from."""

PRODUCT = 2.0**60
"""At eps = 2^60 max|C| the plan of (eps log p, eps log q) is p q' to float64."""


def in_float64(p: P) -> P:
    """The problem with its points and weights in float64, exactly; a matrix stays as it is."""
    C = p.C if isinstance(p.C, DenseCost) else p.C.with_arrays(_doubled)
    return replace(p, C=C, a=_doubled(p.a), b=_doubled(p.b))


def _doubled(array: Array) -> Array:
    return array.astype("float64", copy=False)


def _blocks(C: Cost) -> Iterator[tuple[slice, Cost]]:
    """(rows, C[rows, :] in float64): all rows at once unless a float32 matrix has to be copied."""
    if C.dtype.itemsize == 8 or not isinstance(C, DenseCost):
        yield slice(None), C
    else:
        for rows in row_blocks(C):
            yield rows, DenseCost(_doubled(C.rows(rows)))


def softmin(p: Problem, G: Floats) -> Floats:
    """-eps log sum_j exp((G_j - C_ij) / eps), (n,): nothing is claimed about its error."""
    on = p.backend
    return np.concatenate([on.to_numpy(on.softmin(C, on.asarray(G), p.eps))
                           for _, C in _blocks(p.C)])


def plan_sums(p: Problem, largest: float, F: Floats, G: Floats, V: Floats | None = None
              ) -> tuple[Floats, Floats]:
    """((P 1, P V) as computed, (n, 1 + k), and what each entry of a row can be off by, (n,)), for V
    (m, k) between 0 and 1. Infinite where nothing is known. `largest` >= max |C|."""
    on = p.backend
    level, distances = _around_the_mean(G, on.to_numpy(p.b))
    unit = float(distances.max()) or 1.0
    vectors = np.stack([np.ones_like(G), distances / unit, *(() if V is None else V.T)], axis=1)
    sums = np.concatenate([
        on.to_numpy(on.plan_apply(C, on.asarray(F[rows]), on.asarray(G), p.eps,
                                  on.asarray(vectors)))
        for rows, C in _blocks(p.C)])
    error = _radius(p, largest, F, G, level, unit * sums[:, 1], sums[:, 0])
    return np.delete(sums, 1, axis=1), error


def _around_the_mean(G: Floats, b: Floats) -> tuple[float, Floats]:
    """The level b.G, and the distances of the G_j from it; of those that are finite."""
    finite = np.isfinite(G)
    level = float(b @ np.where(finite, G, 0))
    return level, np.where(finite, abs(G - level), 0)


def _radius(p: Problem, largest: float, F: Floats, G: Floats, level: float, spreads: Floats,
            sums: Floats) -> Floats:
    """What the sums of computed entries can be off by; `spreads` is sum_j P_ij |G_j - level|.

    x_ij, an exponent, errs by the roundings of F_i + G_j (and of a cost between points, which is
    F_i + G_j - eps x_ij), over eps, and by EXPONENT roundings of itself. Both count on average over
    a row: |F_i + G_j| <= |F_i + level| + |G_j - level|, and sum_j P_ij |x_ij| <= sums_i times
    log m - log sums_i where no entry exceeds 1.
    """
    m, costs = len(G), cost_roundings(p.C)
    positive = np.maximum(sums, LEAST)
    sizes = np.where(np.isfinite(F), abs(F + level), 0) + spreads / positive
    fixed = _lost_cost(p.C) / p.eps
    if isinstance(p.C, PointCost) and not p.C.ground.is_difference:
        fixed += UNIT * costs * largest / p.eps  # to a share of its terms, not of itself
    exponents = math.log(m) + abs(np.log(positive)) + 2 * np.log(np.maximum(positive, 1)) + 1
    rounding = UNIT * (1 + costs + EXPONENT)
    per_size = UNIT * (1 + costs) / p.eps
    typical = fixed + per_size * sizes + rounding * exponents
    most = fixed + per_size * min(largest, _largest_sum(F, G)) + rounding * LARGEST_EXPONENT
    sum_of_row = UNIT * (ENTRY + m) + left_out(p.backend, p.C)
    share = (typical + sum_of_row) * np.exp(3 * most) * SLACK
    return np.where(share < 0.5, share / (1 - share) * sums + 2 * m * LEAST, np.inf)


def cost_roundings(C: Cost) -> int:
    """The roundings in a cost that a backend computes from points: relative to itself or, where its
    terms may cancel, to the `sizes` of the cost. A distance may come from a product of matrices."""
    if isinstance(C, DenseCost):
        return 0
    d = int(C.x.shape[1])
    by_products = d >= BY_PRODUCTS and C.ground.is_difference
    return max(C.ground.roundings(d), BY_PRODUCTS * (2 * d + 8) if by_products else 0)


def _lost_cost(C: Cost) -> float:
    """What underflow can take from a cost between points: a square below 2^-1022, then a root."""
    return 0.0 if isinstance(C, DenseCost) else float(C.scale) * C.x.shape[1] * 2.0**-510


def _largest_sum(F: Floats, G: Floats) -> float:
    """max |F_i + G_j| where both are finite."""
    F, G = F[np.isfinite(F)], G[np.isfinite(G)]
    return max(abs(float(end(F) + end(G))) for end in (np.min, np.max))


def cost_range(C: Cost) -> tuple[float, float]:
    """(at most min C, at least max C): F is in between."""
    if isinstance(C, DenseCost):
        return float(C.matrix.min()), float(C.matrix.max())
    largest = C.bound() * (1 + cost_roundings(C) * UNIT)
    return 0.0 if C.ground.is_difference else -largest, largest


# ------------------------------------------------------------------ the cost of a product
def product_cost(p: Problem, largest: float, u: Floats, v: Floats) -> float:
    """At least u'C v, u and v >= 0 of sum 1 to a few roundings each.

    Of squared distances it is the two spreads and the distance of the means. For other points, by
    the operation that sums P_ij C_ij: at a huge eps the plan is the product.
    """
    (n, m), on = p.C.shape, p.backend
    roundings = n + m + 4 * cost_roundings(p.C) + 64
    if isinstance(p.C, PointCost) and p.C.ground.is_quadratic:
        return _spreads(on.to_numpy(p.C.x), on.to_numpy(p.C.y), u, v, roundings) * p.C.scale
    if isinstance(p.C, DenseCost):
        right = on.asarray(v)
        costs = [on.to_numpy(C.rows(slice(None)) @ right) for _, C in _blocks(p.C)]
        cost = float(u @ np.concatenate(costs))
    else:
        eps = PRODUCT * (largest or 1.0)
        U, V = (on.asarray(eps * log_weights(w)) for w in (u, v))
        cost = on.plan_cost(p.C, U, V, eps)
        roundings += 16 * math.ceil(math.log(n * m) + 4)  # of exponents, on average
    return cost + 2 * UNIT * roundings * largest


def _spreads(x: Floats, y: Floats, u: Floats, v: Floats, roundings: int) -> float:
    """sum_ij u_i v_j |x_i - y_j|^2, rounded up."""
    middle = y.mean(axis=0)  # any point near by: what is subtracted loses nothing
    x, y = x - middle, y - middle
    x_mean, y_mean = u @ x, v @ y
    spreads = u @ ((x - x_mean) ** 2).sum(axis=1) + v @ ((y - y_mean) ** 2).sum(axis=1)
    farthest = float((x**2).sum(axis=1).max() + (y**2).sum(axis=1).max())
    return float(spreads + ((x_mean - y_mean) ** 2).sum()) + 16 * UNIT * roundings * farthest
