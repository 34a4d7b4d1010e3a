"""Groups of neighbouring points: their boxes, and bounds of the exponents between two groups.

Let A be a group of rows and B a group of columns. Write a point of each as the centre of its box
plus an offset, x = x_A + u and y = y_B + w, and let D = x_A - y_B, p = c'(D). The squared Euclidean
cost is, with q = 1,
    c(x, y) = c(D) + p.(u - w) + q (|u|^2 + |w|^2) - 2 q u.w.
The other costs here are convex functions of x - y. For them this holds with q = 0 and >= for =.

The exponents are F_i + h_j - ks c_ij in base 2, with ks = log2(e) scale / eps and the levels F_i
and h_j: the potentials times log2(e) / eps. Such an exponent is the sum of a part that depends on
the row alone, one that depends on the column alone, and the coupling 2 q ks u.w of the two. The
coupling is at most 2 q ks r_A.r_B, where r are the half-widths of the boxes.

The potentials change within a group about as fast as the term p.u of the cost. So the bounds below
use a tangent, a linear upper bound of the levels of a group: its slope nearly cancels that of the
cost, which makes them tight.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from refot.arrays import Array
from refot.backends.numba.compile import (
    Number,
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
"""The number of groups of columns that are summed first for a group of rows; only then can others
be left out."""

BEYOND_MASS = 2.0**40
"""A level above this in absolute value says that a point has no mass, or that no term of its row
has been summed yet. Such levels would spoil the slope of a tangent, and are not used for it."""

LN2, LOG2_E = 0.6931471805599453, 1.4426950408889634  # log 2, and 1 / log 2


class Groups(NamedTuple):
    """n sorted points, cut into groups of `size` neighbours; the last group may have fewer.

    Points of fewer than AXES dimensions are padded: coordinates of 0 come first."""

    size: int

    centre: Array
    """The centre of each box, (groups, AXES)."""

    half: Array
    """Half the widths of each box, (groups, AXES): r in the module's formulas."""

    offset: Array
    """Each point minus the centre of its box, in units of r, (AXES, n)."""

    squared_length: Array
    """|x - centre|^2 of each point, (n,), in squared units of the points."""


def groups_of(points: Array, size: int, curved: bool) -> Groups:
    """The groups of the sorted `points` (n, d). `curved` says that the cost is the squared
    Euclidean one. Only this cost needs squared lengths; for any other they are 0."""
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
    """The numbers of the module's formulas for one group A of rows and one group B of columns,
    (AXES,) each. `between` fills these arrays anew for each pair of groups."""

    D: Array
    """x_A - y_B, the difference of the centres."""

    down: Array
    """How fast the exponents, in base 2, change with the offsets of the rows in units of r_A:
    -ks p r_A."""

    up: Array
    """The same with the offsets of the columns in units of r_B: ks p r_B."""

    coupling: Array
    """2 q ks ln 2 r_A r_B: the factor of u w in the exponent in base e, offsets in units of r."""


# ------------------------------------------------------------------ inside kernels
def cost_of(C: Any, D: Array) -> Number:
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


def curvature(C: Any) -> int:
    """q: 1 for the squared Euclidean cost, 0 for the others."""
    raise NotImplementedError("compiled code only")


@implements(curvature)
def _curvature(C: Any) -> Any:
    q = int(C.instance_class is SquaredEuclidean)
    return lambda C: q


@elementwise
def between(C: Any, rows: Groups, columns: Groups, A: int, B: int, ks: Number, pair: Pair
            ) -> tuple[Number, Number, Number]:
    """Fill `pair`, and return (ks c(D), rho, parts). rho is the sum of `pair.coupling` over the
    axes: the coupling of any two points is at most rho, in base e. parts = q ks (|r_A|^2 +
    |r_B|^2) bounds the quadratic parts of an exponent, in base 2."""
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
def exponents(level: Array, base: Number, groups: Groups, at: int, q_ks: Number, slope: Array,
              v: Array) -> Number:
    """v_l = base + level_l - q ks squared_length_l + slope.offset_l for the points l of a group,
    which begins at point `at`: the part of an exponent that depends on this point alone, in base 2.
    Returns the largest v_l."""
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
def _slope(level: Array, x: Array) -> Number:
    """The slope of `level` against x by least squares, from the levels of at most BEYOND_MASS in
    absolute value; 0 if fewer than two different x have one."""
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
def _rest(level: Array, groups: Groups, at: int, slope: Array) -> Number:
    """max_l (level_l - slope.offset_l) over the points l of a group, which begins at point `at`."""
    full_width()
    top, i = level.dtype.type(-np.inf), np.uintp(at)
    slope_0, slope_1, slope_2 = slope[0], slope[1], slope[2]
    for l in range(np.uintp(level.size)):
        e = fma(-slope_0, groups.offset[0, i + l], level[l])
        e = fma(-slope_1, groups.offset[1, i + l], e)
        top = larger(top, fma(-slope_2, groups.offset[2, i + l], e))
    return top


@elementwise
def tangent(level: Array, groups: Groups, at: int, slope: Array) -> Number:
    """Fill `slope` (AXES,), and return a height such that level_l <= height + slope.offset_l for
    all points of a group, which begins at point `at`. The slope is found by least squares; the
    height is the least with which the inequality holds."""
    for k in range(AXES):
        slope[k] = _slope(level, groups.offset[k, at:at + level.size])
    return _rest(level, groups, at, slope)


@kernel
def tangents(level: Array, groups: Groups, height: Array, slope: Array, i0: int, i1: int) -> None:
    """`tangent` of each group from i0 to i1 - 1, into height (groups,) and slope (groups, AXES)."""
    for B in range(i0, i1):
        at = B * groups.size
        height[B] = tangent(level[at:at + groups.size], groups, at, slope[B])


@elementwise
def highest(pair: Pair, base: Number, height_A: Number, slope_A: Array, height_B: Number,
            slope_B: Array) -> Number:
    """An upper bound of level_i + level_j - ks c_ij between two groups, from their tangents.

    It contains the linear parts of the cost alone: the quadratic parts and the coupling are
    together -q ks |u - w|^2 <= 0. It is raised by 16 roundings of the sum of absolute values, so
    that it holds in spite of rounding."""
    dtype = slope_A.dtype
    bound = height_A + height_B - base
    parts = abs(height_A) + abs(height_B) + base
    for k in range(AXES):
        bound += abs(slope_A[k] + pair.down[k]) + abs(slope_B[k] + pair.up[k])
        parts += abs(slope_A[k]) + abs(pair.down[k]) + abs(slope_B[k]) + abs(pair.up[k])
    return bound + 8 * dtype.type(np.finfo(dtype).eps) * parts


@elementwise
def likeliest_first(C: Any, rows: Groups, columns: Groups, A: int, ks: Number, height: Array,
                    pair: Pair, expected: Array, order: Array) -> int:
    """Write all groups of columns into `order`, first the NEAREST of them with the largest expected
    exponents (between the centres of the boxes), and return the number of these.

    They are summed first: whether another group can be left out depends on the sum that each row
    has already."""
    for B in range(order.size):
        base, _, _ = between(C, rows, columns, A, B, ks, pair)
        expected[B], order[B] = height[B] - base, B
    first: int = min(NEAREST, order.size)
    for k in range(first):  # a selection sort that stops after the first few
        best = k
        for B in range(k, order.size):
            if expected[order[B]] > expected[order[best]]:
                best = B
        order[k], order[best] = order[best], order[k]
    return first
