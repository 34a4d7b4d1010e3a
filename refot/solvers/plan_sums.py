"""Sums over the plan as a backend computes them, and how far they can be from the exact ones. The
certified gap (`gap.py`, `unbalanced/gap.py`) is made of these sums.

The plan meant here is P_ij = exp((F_i + G_j - C_ij) / eps), without any rounding, for the floats F
and G that are handed over: F = f + eps log a and G = g + eps log b for potentials f and g.
docs/certificates.md, "The gap in floats", proves the bounds. Everything is computed in float64; a
cost in float32 is converted, a matrix by blocks of rows. "A rounding" is a relative error of UNIT.
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
from refot.costs.rows import Rows, blocks_of, is_read
from refot.problem import Problem, log_weights

Floats = NDArray[np.float64]

P = TypeVar("P", bound=Problem)
"""A problem, of any kind."""

UNIT = 2.0**-53
"""Unit roundoff of float64."""

LEAST = 2.0**-1020
"""Entries of the plan below this may be replaced by 0 in a backend."""

EXPONENT = 5
"""Roundings of an exponent x = (t - C_ij) / eps, t = F_i + G_j, relative to x: of the subtraction,
of 1 / eps in base 2, of the product of the two, and two in reserve."""

ENTRY = 16
"""Roundings of an entry exp(x) beside those of x: of the exponential, a product, a conversion."""

LARGEST_EXPONENT = 750.0
"""An entry exp(x) with a larger |x| is 0 or infinite."""

BY_PRODUCTS = 64
"""From this dimension on a backend may compute |x - y|^2 as |x|^2 + |y|^2 - 2 x.y, which can make
its error this many times as large."""

SLACK = 1.01
"""Bounds of errors are multiplied by this, because they are computed from sums that have such
errors themselves."""

PRODUCT_EPS = 2.0**60
"""At eps = 2^60 max|C| the plan of the potentials eps log u and eps log v is u v', but for
roundings of float64."""


def in_float64(p: P) -> P:
    """The same problem with points and weights in float64; a matrix is converted later, by blocks.
    (Points in parts are in float64.)"""
    C = p.C if isinstance(p.C, DenseCost) or is_read(p.C) else p.C.with_arrays(_doubled)
    return replace(p, C=C, a=_doubled(p.a), b=_doubled(p.b))


def _doubled(array: Array) -> Array:
    """`array` in float64."""
    return array.astype("float64", copy=False)


def _blocks(C: Cost) -> Iterator[tuple[slice, Cost]]:
    """(rows, C[rows, :] in float64): all rows at once unless a float32 matrix has to be copied."""
    if C.dtype.itemsize == 8 or not isinstance(C, DenseCost):
        yield slice(None), C
    else:
        for rows in row_blocks(C):
            yield rows, DenseCost(_doubled(C.rows(rows)))


def softmin(p: Problem, G: Floats) -> Floats:
    """-eps log sum_j exp((G_j - C_ij) / eps), (n,). No proof relies on its accuracy."""
    on = p.backend
    return np.concatenate([on.to_numpy(on.softmin(C, on.asarray(G), p.eps))
                           for _, C in _blocks(p.C)])


def plan_sums(p: Problem, largest: float, F: Floats, G: Floats, V: Floats | None = None
              ) -> tuple[Floats, Floats]:
    """(sums, error). `sums` (n, 1 + k) are P 1 and P V as computed, for V (m, k) with entries
    between 0 and 1. `error` (n,) bounds the error of each sum of a row, and is infinite where no
    bound is known. `largest` >= max |C|."""
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
    """The mean b.G of the finite G_j, and the distances of the G_j from it (0 for an infinite
    one)."""
    finite = np.isfinite(G)
    level = float(b @ np.where(finite, G, 0))
    return level, np.where(finite, abs(G - level), 0)


def _radius(p: Problem, largest: float, F: Floats, G: Floats, level: float, spreads: Floats,
            sums: Floats) -> Floats:
    """A bound of the error of the computed row sums `sums` (n,); `spreads` (n,) is
    sum_j P_ij |G_j - level|, and `largest` >= max |C|.

    The exponent x_ij = (F_i + G_j - C_ij) / eps has two errors. One comes from the roundings of
    F_i + G_j and of C_ij, divided by eps; a cost that is computed from points is rounded too, and
    its size is that of F_i + G_j - eps x_ij. The other is EXPONENT roundings of x_ij itself. Of
    both only the mean over a row, under the plan, enters the sum of the row. For the first,
    |F_i + G_j| <= |F_i + level| + |G_j - level|. For the second, sum_j P_ij |x_ij| is at most
    sums_i times (log m - log sums_i), where no entry exceeds 1.
    """
    m, costs = len(G), cost_roundings(p.C)
    positive = np.maximum(sums, LEAST)
    sizes = np.where(np.isfinite(F), abs(F + level), 0) + spreads / positive
    fixed = _lost_cost(p.C) / p.eps
    if isinstance(p.C, PointCost) and not p.C.ground.is_difference:
        # The terms of such a cost may cancel; its rounding is relative to them, not to the cost.
        fixed += UNIT * costs * largest / p.eps
    exponents = math.log(m) + abs(np.log(positive)) + 2 * np.log(np.maximum(positive, 1)) + 1
    rounding = UNIT * (1 + costs + EXPONENT)
    per_size = UNIT * (1 + costs) / p.eps
    # `typical` bounds the mean error of the exponents of a row, `most` the largest one.
    typical = fixed + per_size * sizes + rounding * exponents
    most = fixed + per_size * min(largest, _largest_sum(F, G)) + rounding * LARGEST_EXPONENT
    sum_of_row = UNIT * (ENTRY + m) + left_out(p.backend, p.C)
    share = (typical + sum_of_row) * np.exp(3 * most) * SLACK
    return np.where(share < 0.5, share / (1 - share) * sums + 2 * m * LEAST, np.inf)


def cost_roundings(C: Cost) -> int:
    """The number of roundings in a cost that a backend computes from points. They are relative to
    the cost or, where its terms may cancel, to the sum of their absolute values (`sizes` of its
    ground cost). There are more where a backend may use a product of matrices."""
    if isinstance(C, DenseCost):
        return 0
    d = int(C.x.shape[1])
    by_products = d >= BY_PRODUCTS and C.ground.is_difference
    return max(C.ground.roundings(d), BY_PRODUCTS * (2 * d + 8) if by_products else 0)


def _lost_cost(C: Cost) -> float:
    """What a cost between points can lose to underflow: the square of a difference may vanish where
    it is below 2^-1022, and the cost may be the root of a sum of such squares."""
    return 0.0 if isinstance(C, DenseCost) else float(C.scale) * C.x.shape[1] * 2.0**-510


def _largest_sum(F: Floats, G: Floats) -> float:
    """max |F_i + G_j| where both are finite."""
    F, G = F[np.isfinite(F)], G[np.isfinite(G)]
    return max(abs(float(end(F) + end(G))) for end in (np.min, np.max))


def cost_range(C: Cost) -> tuple[float, float]:
    """(a lower bound of min C, an upper bound of max C). The optimal value is between them."""
    if isinstance(C, DenseCost):
        return float(C.matrix.min()), float(C.matrix.max())
    largest = C.bound() * (1 + cost_roundings(C) * UNIT)
    return 0.0 if C.ground.is_difference else -largest, largest


# ------------------------------------------------------------------ the cost of a product
def product_cost(p: Problem, largest: float, u: Floats, v: Floats) -> float:
    """An upper bound of u'C v, for u (n,) and v (m,) that are >= 0 and sum to 1 but for roundings.

    For squared distances it follows from means and variances. For another cost of points the
    backend's `plan_cost` computes it, at an eps so large that the plan is the product u v'.
    """
    (n, m), on = p.C.shape, p.backend
    roundings = n + m + 4 * cost_roundings(p.C) + 64
    if isinstance(p.C, PointCost) and p.C.ground.is_quadratic:
        x, y = (points if isinstance(points, Rows) else on.to_numpy(points)
                for points in (p.C.x, p.C.y))
        return p.C.scale * _mean_squared_distance(x, y, u, v, roundings)
    if isinstance(p.C, DenseCost):
        right = on.asarray(v)
        costs = [on.to_numpy(C.rows(slice(None)) @ right) for _, C in _blocks(p.C)]
        cost = float(u @ np.concatenate(costs))
    else:
        eps = PRODUCT_EPS * (largest or 1.0)
        U, V = (on.asarray(eps * log_weights(w)) for w in (u, v))
        cost = on.plan_cost(p.C, U, V, eps)
        roundings += 16 * math.ceil(math.log(n * m) + 4)  # those of the exponents log u + log v
    return cost + 2 * UNIT * roundings * largest


def _mean_squared_distance(x: Floats | Rows, y: Floats | Rows, u: Floats, v: Floats,
                           roundings: int) -> float:
    """An upper bound of sum_ij u_i v_j |x_i - y_j|^2, from two variances and two means."""
    # To centre: an offset common to all points would cost digits.
    middle = sum(block.sum(axis=0) for _, block in blocks_of(y)) / len(y)
    (x_mean, x_spread, x_far), (y_mean, y_spread, y_far) = (
        _moments(points, weights, middle) for points, weights in ((x, u), (y, v)))
    spreads = x_spread + y_spread + float(((x_mean - y_mean) ** 2).sum())
    return spreads + 16 * UNIT * roundings * (x_far + y_far)


def _moments(points: Floats | Rows, weights: Floats, middle: Floats
             ) -> tuple[Floats, float, float]:
    """(the mean under the weights, the mean squared distance from it, the largest squared norm) of
    points - middle. The points (n, d) are read twice, by blocks."""
    mean = sum(weights[rows] @ (block - middle) for rows, block in blocks_of(points))
    spread = farthest = 0.0
    for rows, block in blocks_of(points):
        centred = block - middle
        spread += float(weights[rows] @ ((centred - mean) ** 2).sum(axis=1))
        farthest = max(farthest, float((centred**2).sum(axis=1).max()))
    return mean, spread, farthest
