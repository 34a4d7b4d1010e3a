"""The matrix of a cost between points, formed block by block, fast but without loss of digits."""

from __future__ import annotations

from dataclasses import dataclass

from refot.arrays import Array, namespace
from refot.costs.operands import BLOCK_ELEMENTS, Cost, DenseCost, PointCost

DEAR_DIMENSION = 16
"""The dimension d from which on it takes a compiled kernel longer to compute an entry c(x_i, y_j)
than to read it from memory, so that it pays to form the matrix."""

LOST = 2.0**-4
"""The smallest share of |x|^2 + |y|^2 at which |x - y|^2 is taken from a matrix product. Below it
the product loses too many digits, and the entry is computed from x - y."""


@dataclass(frozen=True)
class FormedCost(DenseCost):
    """The matrix of a cost between points."""

    error: float = 0.0
    """A bound of the error of each entry by rounding, in cost units."""


def formed(C: Cost) -> DenseCost:
    """C as a matrix (n, m), formed by blocks that stay in the cache."""
    if isinstance(C, DenseCost):
        return C
    xp, (n, m), d = namespace(C.x), C.shape, C.x.shape[1]
    out = xp.empty((n, m), dtype=C.dtype)
    product = C.ground.is_quadratic and d >= DEAR_DIMENSION
    rows_of = _product_rows if product else PointCost.rows
    step = max(1, (1 << 18) // m)  # blocks of 2 MiB in float64
    for start in range(0, n, step):
        rows = slice(start, min(start + step, n))
        out[rows] = rows_of(C, rows)
    return FormedCost(out, forming_error(C))


def forming_error(C: PointCost) -> float:
    """A bound of the error of every entry, in cost units.

    An entry from a matrix product is off by at most 2 d + 8 roundings of |x|^2 + |y|^2, and this
    sum is at most the entry / LOST. An entry from differences is off by `roundings` of its cost."""
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
    # The first test compares a whole row with one bound, which few entries are below. Only these
    # need the exact test.
    few = LOST * (x_2 + y_2.max())[:, None] > D
    i, j = divmod(namespace(x).flatnonzero(few), len(y))
    lost = LOST * (x_2[i] + y_2[j]) > D[i, j]
    i, j = i[lost], j[lost]
    step = max(1, BLOCK_ELEMENTS // x.shape[1])
    for start in range(0, len(i), step):
        part = slice(start, start + step)
        D[i[part], j[part]] = ((x[i[part]] - y[j[part]]) ** 2).sum(axis=1)
    return D if C.scale == 1.0 else C.scale * D
