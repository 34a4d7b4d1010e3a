"""Groups of points that lie together: boxes, and the exponents between two of them by parts.

Let A be a group of rows and B one of columns, x = x_A + u and y = y_B + w with the centres of their
boxes, D = x_A - y_B and p = c'(D). For the squared Euclidean cost, q = 1 below, exactly
    c(x, y) = c(D) + p.(u - w) + q (|u|^2 + |w|^2) - 2 q u.w,
and for the other costs of a difference, convex in x - y, with q = 0 and >= in place of =. So an
exponent F_i + h_j - ks c_ij is a part of the row, one of the column, and what couples them,
2 q ks u.w, which is at most 2 q ks r_A.r_B, with the half-widths r. Slopes of the potentials, which
follow p, do no harm.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from refot.arrays import Array
from refot.backends.numba.compile import (
    elementwise,
    fma,
    full_width,
    implements,
    kernel,
    larger,
    reduction,
)
from refot.backends.numba.costs import (
    POINT_TERMS,
    SquaredEuclidean,
    gradient_along,
    gradient_weight,
)

from .ordered import box_corners
from .series import AXES

NEAREST = 4
"""Groups of columns that a group of rows takes before others are left out."""

BEYOND_MASS = 2.0**40
"""Levels beyond this, in base 2, stand for no mass or for all: no slope is taken from them."""

LN2, LOG2_E = 0.6931471805599453, 1.4426950408889634


class Groups(NamedTuple):
    """`size` of n points in order after another, the last perhaps fewer: centre and half-widths r
    of each box, (groups, AXES); the points less their centre, in units of r, (AXES, n), and the
    squared length of that in units of the cost, (n,). Axes that the points lack are first, 0."""

    size: int
    centre: Array
    half: Array
    offset: Array
    squared_length: Array


def groups_of(points: Array, size: int, curved: bool) -> Groups:
    """The groups of `points` (n, d) in order; squared lengths where `curved`, else 0."""
    n, d = points.shape
    low, high = box_corners(points, size)
    middle = (low + high) / 2
    widths = np.maximum(high - middle, middle - low)
    near = points - np.repeat(middle, size, axis=0)[:n]
    units = np.repeat(widths, size, axis=0)[:n]
    parts = np.divide(near, units, out=np.zeros_like(near), where=units > 0)
    lacking = ((0, 0), (AXES - d, 0))
    with np.errstate(over="ignore"):  # inf: a group too wide for any series
        squared_length = (near**2).sum(axis=1) if curved else np.zeros(n, points.dtype)
    return Groups(size, np.pad(middle, lacking), np.pad(widths, lacking),
                  np.pad(parts, lacking).T.copy(), squared_length)


class Pair(NamedTuple):
    """Room for what a group of rows and one of columns have between them: D, c'(D), the slopes of
    the exponents in the offsets of rows and of columns, and 2 q ks ln 2 r_A r_B, (AXES,) each."""

    D: Array
    p: Array
    down: Array
    up: Array
    coupling: Array


# ------------------------------------------------------------------ inside kernels
def cost_of(C: Any, D: Any) -> Any:
    """c(D), unscaled, for a difference D of points."""
    raise NotImplementedError("compiled code only")


@implements(cost_of)
def _cost_of(C: Any, D: Any) -> Any:
    term, finish_cost = POINT_TERMS[C.instance_class]

    def implementation(C: Any, D: Any) -> Any:
        total = D.dtype.type(0)
        for k in range(D.size):
            total += term(D[k])
        return finish_cost(total)

    return implementation


def curvature(C: Any) -> Any:
    """q: 1 for the squared Euclidean cost, 0 for the others."""
    raise NotImplementedError("compiled code only")


@implements(curvature)
def _curvature(C: Any) -> Any:
    q = int(C.instance_class is SquaredEuclidean)
    return lambda C: q


@elementwise
def between(C: Any, rows: Any, columns: Any, A: Any, B: Any, ks: Any, pair: Any) -> Any:
    """Fill `pair`; (ks c(D), the sum rho of the coupling, q ks (|r_A|^2 + |r_B|^2))."""
    one, reach, parts = pair.D.dtype.type(1), pair.D.dtype.type(0), pair.D.dtype.type(0)
    for k in range(AXES):
        pair.D[k] = rows.centre[A, k] - columns.centre[B, k]
    c = cost_of(C, pair.D)
    weight = gradient_weight(C, one, c)
    for k in range(AXES):
        slope = ks * gradient_along(C, weight, pair.D[k])
        r_A, r_B = rows.half[A, k], columns.half[B, k]
        pair.down[k], pair.up[k] = -slope * r_A, slope * r_B
        pair.coupling[k] = 2 * LN2 * curvature(C) * ks * r_A * r_B
        reach += pair.coupling[k]
        parts += curvature(C) * ks * (r_A * r_A + r_B * r_B)
    return ks * c, reach, parts


@reduction
def exponents(level: Any, base: Any, groups: Any, at: Any, q_ks: Any, slope: Any, v: Any) -> Any:
    """v_l = base + level_l - q ks |offset_l|^2 + slope.offset_l for the points from `at` on,
    level in base 2; their largest."""
    full_width()
    top, i = v.dtype.type(-np.inf), np.uintp(at)
    slope_0, slope_1, slope_2 = slope[0], slope[1], slope[2]
    for l in range(np.uintp(level.size)):
        e = fma(-q_ks, groups.squared_length[i + l], base + level[l])
        e = fma(slope_0, groups.offset[0, i + l], e)
        e = fma(slope_1, groups.offset[1, i + l], e)
        v[l] = fma(slope_2, groups.offset[2, i + l], e)
        top = larger(top, v[l])
    return top


@reduction
def _slope(level: Any, x: Any) -> Any:
    """The slope of level against x by least squares, over the levels up to BEYOND_MASS in size; 0
    where there are none."""
    full_width()
    zero = level.dtype.type(0)
    count, sum_x, sum_y, sum_xx, sum_xy = zero, zero, zero, zero, zero
    for l in range(np.uintp(level.size)):
        there = abs(level[l]) <= BEYOND_MASS
        x_l = x[l] if there else zero
        y_l = level[l] if there else zero
        count += level.dtype.type(1) if there else zero
        sum_x += x_l
        sum_y += y_l
        sum_xx += x_l * x_l
        sum_xy += x_l * y_l
    spread = count * sum_xx - sum_x * sum_x
    return (count * sum_xy - sum_x * sum_y) / spread if spread > 0 else zero


@reduction
def _rest(level: Any, groups: Any, at: Any, slope: Any) -> Any:
    """max_l (level_l - slope.offset_l) over the points from `at` on."""
    full_width()
    top, i = level.dtype.type(-np.inf), np.uintp(at)
    slope_0, slope_1, slope_2 = slope[0], slope[1], slope[2]
    for l in range(np.uintp(level.size)):
        e = fma(-slope_0, groups.offset[0, i + l], level[l])
        e = fma(-slope_1, groups.offset[1, i + l], e)
        top = larger(top, fma(-slope_2, groups.offset[2, i + l], e))
    return top


@elementwise
def tangent(level: Any, groups: Any, at: Any, slope: Any) -> Any:
    """`slope` (AXES,) and the returned height, such that level_l <= height + slope.offset_l for the
    points from `at` on; about the least height."""
    for k in range(AXES):
        slope[k] = _slope(level, groups.offset[k, at:at + level.size])
    return _rest(level, groups, at, slope)


@kernel
def tangents(level: Array, groups: Groups, height: Array, slope: Array, i0: int, i1: int) -> None:
    """`tangent` of the groups i0 to i1: height (groups,), slope (groups, AXES)."""
    for B in range(i0, i1):
        at = B * groups.size
        height[B] = tangent(level[at:at + groups.size], groups, at, slope[B])


@elementwise
def highest(pair: Any, base: Any, height_A: Any, slope_A: Any, height_B: Any, slope_B: Any) -> Any:
    """At least level_i + level_j - ks c_ij between two groups, from their tangents: the quadratic
    parts and what couples them are together -q ks |u - w|^2 <= 0. Raised by 16 u of all that is
    added up, for its rounding."""
    dtype = slope_A.dtype
    bound = height_A + height_B - base
    parts = abs(height_A) + abs(height_B) + base
    for k in range(AXES):
        bound += abs(slope_A[k] + pair.down[k]) + abs(slope_B[k] + pair.up[k])
        parts += abs(slope_A[k]) + abs(pair.down[k]) + abs(slope_B[k]) + abs(pair.up[k])
    return bound + 8 * dtype.type(np.finfo(dtype).eps) * parts


@elementwise
def visits(C: Any, rows: Any, columns: Any, A: Any, ks: Any, height: Any, pair: Any, expected: Any,
           order: Any) -> Any:
    """All groups of columns, into `order`: those first that have the largest exponents at their
    middles. The number of these, which are to be taken before others are left out."""
    for B in range(order.size):
        base, _, _ = between(C, rows, columns, A, B, ks, pair)
        expected[B], order[B] = height[B] - base, B
    first = min(NEAREST, order.size)
    for k in range(first):
        best = k
        for B in range(k, order.size):
            if expected[order[B]] > expected[order[best]]:
                best = B
        order[k], order[best] = order[best], order[k]
    return first
