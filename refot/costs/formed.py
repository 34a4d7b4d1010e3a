"""A cost between points as a matrix, formed block by block, without loss to cancellation."""

from __future__ import annotations

from dataclasses import dataclass

from refot.arrays import Array, namespace
from refot.costs.operands import BLOCK_ELEMENTS, Cost, DenseCost, PointCost

DEAR_DIMENSION = 16
"""From this dimension on, a compiled kernel takes longer to compute c(x_i, y_j) than to read it."""

LOST = 2.0**-4
"""Where |x - y|^2 is below this part of |x|^2 + |y|^2, it is computed again by differences."""


@dataclass(frozen=True)
class FormedCost(DenseCost):
    """The matrix of a cost between points."""

    error: float = 0.0
    """What its entries may be off by, in cost units."""


def formed(C: Cost) -> DenseCost:
    """C as a matrix (n, m), formed by blocks that stay in the cache."""
    if isinstance(C, DenseCost):
        return C
    xp, (n, m), d = namespace(C.x), C.shape, C.x.shape[1]
    out = xp.empty((n, m), dtype=C.dtype)
    product = C.ground.is_quadratic and d >= DEAR_DIMENSION
    rows_of = _product_rows if product else PointCost.rows
    step = max(1, (1 << 18) // m)
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        out[rows] = rows_of(C, rows)
    return FormedCost(out, forming_error(C))


def forming_error(C: PointCost) -> float:
    """A bound of the error of the entries.

    One that comes from a product is off by 2 d + 8 roundings of |x|^2 + |y|^2, of which it is
    itself at least the part LOST. One that does not is off by the roundings of the cost itself,
    which are fewer."""
    unit, d = float(namespace(C.x).finfo(C.dtype).eps) / 2, C.x.shape[1]
    return float(max(2 * d + 8, C.ground.roundings(d)) * unit / LOST * C.bound())


def _product_rows(C: PointCost, rows: slice) -> Array:
    """|x|^2 + |y|^2 - 2 x.y for a block of rows: one matrix product in place of d differences.

    Where the subtraction would lose more than 4 bits, the entry is computed from x - y instead.
    """
    x, y = C.x[rows], C.y
    x_2, y_2 = (x**2).sum(axis=1), (y**2).sum(axis=1)
    D = (-2 * x) @ y.T
    D += y_2
    D += x_2[:, None]
    # few entries are below this bound of a row, so that the exact comparison is of few entries
    few = LOST * (x_2 + y_2.max())[:, None] > D
    i, j = divmod(namespace(x).flatnonzero(few), len(y))
    lost = LOST * (x_2[i] + y_2[j]) > D[i, j]
    i, j = i[lost], j[lost]
    step = max(1, BLOCK_ELEMENTS // x.shape[1])
    for start in range(0, len(i), step):
        part = slice(start, start + step)
        D[i[part], j[part]] = ((x[i[part]] - y[j[part]]) ** 2).sum(axis=1)
    return D if C.scale == 1.0 else C.scale * D
