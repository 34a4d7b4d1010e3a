"""Costs in high dimension by a matrix product, by blocks of rows: -x.y, |x|^2 + |y|^2 - 2 x.y.

In many dimensions most of the work is x.y, which BLAS does at the processor's peak. For a
distance, points are first centred. With u the unit roundoff, the error of c = |x - y|^2 is at most
(d + 8) u (|x|^2 + |y|^2), centred: near neighbours would be lost in it. Where
c < NEAR (|x|^2 + |y|^2) the cost is computed again by differences, so that every cost has a
relative error of at most (d + 8) u / NEAR, and points that coincide have cost 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeGuard

import numpy as np

from refot.arrays import Array
from refot.costs.ground import DOT, EUCLIDEAN, SQEUCLIDEAN
from refot.costs.operands import Cost, DenseCost, PointCost

from .compile import elementwise, full_width, kernel, larger, reduction
from .costs import ROWS
from .launch import Launcher

MANY = 64
"""The dimension from which the product is faster than the sum of squared differences."""

NEAR = 2.0**-6
"""Costs below this share of |x|^2 + |y|^2 are computed by differences."""

BLOCK_ELEMENTS = 1 << 20
"""Costs in a block: 8 MiB in float64, read again while they are in the cache."""

BY_PRODUCTS = SQEUCLIDEAN, EUCLIDEAN, DOT
"""The costs that a product gives: it is the cost, the square, or the square of the cost."""


def in_many_dimensions(C: Cost) -> TypeGuard[PointCost]:
    """Whether the blocks of C are made by products."""
    return isinstance(C, PointCost) and C.x.shape[1] >= MANY and C.ground in BY_PRODUCTS


def product_blocks(C: PointCost, run: Launcher) -> Iterator[tuple[slice, DenseCost]]:
    """(rows, C[rows, :]), block after block, in one buffer: a block is gone when the next comes."""
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
    """(rows, x[rows] y'), block after block, in one buffer."""
    n, m = len(x), len(y)
    step = min(n, max(ROWS, BLOCK_ELEMENTS // m))
    buffer = np.empty((step, m), x.dtype)
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        yield rows, np.matmul(x[rows], y.T, out=buffer[:rows.stop - start])


@reduction
def _far(c: Any, x_2: Any, y_2: Any) -> Any:
    """c_j = |x|^2 + |y_j|^2 - 2 c_j; > 0 where one of them is below NEAR (|x|^2 + |y_j|^2)."""
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
def _squared_distance(x: Any, y: Any) -> Any:
    total = x.dtype.type(0)
    for k in range(x.size):
        total += (x[k] - y[k]) * (x[k] - y[k])
    return total


@elementwise
def _scaled(c: Any, root: Any, scale: Any) -> None:
    """scale * c, or scale * sqrt(c)."""
    full_width()
    if root:
        for j in range(np.uintp(c.size)):
            c[j] = scale * math.sqrt(c[j])
    elif scale != 1:
        for j in range(np.uintp(c.size)):
            c[j] = scale * c[j]


@kernel
def distances(c: Array, x: Array, y: Array, x_2: Array, y_2: Array, root: bool, scale: Any,
              i0: int, i1: int) -> None:
    """x_i . y_j in c (n, m) to scale * |x_i - y_j|^2, or its root before the scale."""
    near = c.dtype.type(NEAR)
    for i in range(i0, i1):
        if _far(c[i], x_2[i], y_2) > 0:
            for j in range(c.shape[1]):
                if c[i, j] < near * (x_2[i] + y_2[j]):
                    c[i, j] = _squared_distance(x[i], y[j])
        _scaled(c[i], root, scale)
