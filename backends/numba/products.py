"""Costs between points that are formed as matrices, one block of rows at a time.

These are costs without compiled code, and costs in high dimension that a matrix product gives. In
many dimensions most of the work is in the products x.y, which BLAS computes at the processor's peak
rate. The cost is -x.y itself, or |x - y|^2 = |x|^2 + |y|^2 - 2 x.y, or the root of that.

For a distance the points are first centred: the middle between the means of x and of y is
subtracted from all of them. With u the unit roundoff, the error of |x - y|^2 is then at most
(d + 8) u (|x|^2 + |y|^2), which may be larger than the distance of near neighbours. So a result
below NEAR (|x|^2 + |y|^2) is computed again by differences. Every cost then has a relative error of
at most (d + 8) u / NEAR, and points that coincide have cost 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TypeGuard

import numpy as np

from refot.arrays import Array
from refot.backends.numpy.blocks import blocks
from refot.costs.ground import DOT, EUCLIDEAN, SQEUCLIDEAN
from refot.costs.operands import Cost, DenseCost, PointCost

from .compile import Number, elementwise, full_width, kernel, larger, reduction
from .costs import POINTS, ROWS
from .launch import Launcher

PRODUCT_DIMENSION = 64
"""From this dimension on a matrix product is faster than summing squared differences."""

NEAR = 2.0**-6
"""Squared distances below this share of |x|^2 + |y|^2, of the centred points, are computed by
differences."""

BLOCK_ELEMENTS = 1 << 20
"""Costs in a block: 8 MiB in float64, read again while they are in the cache."""

BY_PRODUCTS = SQEUCLIDEAN, EUCLIDEAN, DOT
"""The costs that can be computed from a matrix product."""


def is_uncompiled(C: Cost) -> TypeGuard[PointCost]:
    """Whether C is a cost between points for which there is no compiled code."""
    return isinstance(C, PointCost) and C.ground not in POINTS


def by_blocks(C: Cost) -> TypeGuard[PointCost]:
    """Whether C goes to the kernels as blocks of a matrix: because there is no compiled code for
    it, or because a matrix product gives it faster."""
    return is_uncompiled(C) or (isinstance(C, PointCost) and C.x.shape[1] >= PRODUCT_DIMENSION
                             and C.ground in BY_PRODUCTS)


def cost_blocks(C: PointCost, run: Launcher) -> Iterator[tuple[slice, DenseCost]]:
    """(rows, C[rows, :]) for block after block. Use a block before taking the next: blocks may
    share one buffer."""
    if is_uncompiled(C):
        yield from ((rows, DenseCost(np.ascontiguousarray(C.rows(rows))))
                    for rows in blocks(C.shape, BLOCK_ELEMENTS))
        return
    x, y, scale = np.array(C.x, order="C"), np.array(C.y, order="C"), C.dtype.type(C.scale)
    if C.ground == DOT:
        yield from ((rows, DenseCost(c)) for rows, c in _products(-scale * x, y))
        return
    centre = (x.mean(axis=0, dtype=np.float64) + y.mean(axis=0, dtype=np.float64)) / 2
    x_c, y_c = (np.ascontiguousarray(z - centre.astype(z.dtype)) for z in (x, y))
    x_2, y_2 = (np.einsum("id,id->i", z, z) for z in (x_c, y_c))
    root = C.ground == EUCLIDEAN
    for rows, c in _products(x_c, y_c):
        run(len(c), 8 * len(y), distances, c, x[rows], y, x_2[rows], y_2, root, scale)
        yield rows, DenseCost(c)


def _products(x: Array, y: Array) -> Iterator[tuple[slice, Array]]:
    """(rows, x[rows] y') for block after block, all in one buffer."""
    n, m = len(x), len(y)
    step = min(n, max(ROWS, BLOCK_ELEMENTS // m))
    buffer = np.empty((step, m), x.dtype)
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        yield rows, np.matmul(x[rows], y.T, out=buffer[:rows.stop - start])


@reduction
def _squares_from_products(c: Array, x_2: Number, y_2: Array) -> Number:
    """c_j <- |x|^2 + |y_j|^2 - 2 c_j, from c_j = x.y_j. Returns a number > 0 if one of the new c_j
    is below NEAR (|x|^2 + |y_j|^2), else 0."""
    full_width()
    margin = c.dtype.type(0)
    near = c.dtype.type(NEAR)
    for j in range(np.uintp(c.size)):
        size = x_2 + y_2[j]
        c_j = size - (c[j] + c[j])
        c[j] = c_j
        margin = larger(margin, near * size - c_j)
    return margin


@elementwise
def _squared_distance(x: Array, y: Array) -> Number:
    """|x - y|^2 of two points, by differences."""
    total = x.dtype.type(0)
    for k in range(x.size):
        total += (x[k] - y[k]) * (x[k] - y[k])
    return total


@elementwise
def _scaled(c: Array, root: bool, scale: Number) -> None:
    """c_j <- scale * c_j; if `root`, scale * sqrt(c_j)."""
    full_width()
    if root:
        for j in range(np.uintp(c.size)):
            c[j] = scale * math.sqrt(c[j])
    elif scale != 1:
        for j in range(np.uintp(c.size)):
            c[j] = scale * c[j]


@kernel
def distances(c: Array, x: Array, y: Array, x_2: Array, y_2: Array, root: bool, scale: Number,
              i0: int, i1: int) -> None:
    """Turn c_ij, the inner product of centred points, into scale * |x_i - y_j|^2 for the rows i0 to
    i1 - 1; if `root`, into scale * |x_i - y_j|.

    x_2 (n,) and y_2 (m,) are the squared lengths of the centred points; x and y need not be
    centred.
    """
    near = c.dtype.type(NEAR)
    for i in range(i0, i1):
        if _squares_from_products(c[i], x_2[i], y_2) > 0:  # some column is near: search for it
            for j in range(c.shape[1]):
                if c[i, j] < near * (x_2[i] + y_2[j]):
                    c[i, j] = _squared_distance(x[i], y[j])
        _scaled(c[i], root, scale)
