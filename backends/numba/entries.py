"""The entries of a plan that count, as a sparse matrix: counted first, then written.

An entry counts where its exponent F_i + G_j - C_ij exceeds eps log(least); no exponential is
taken of the others. Both passes compare the same stored exponents, so that they find the same
entries. For points in order, a block of rows skips the tiles whose box is too far away.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.backend_contract import Entries
from refot.costs.operands import Cost

from .blocks import fill
from .compile import elementwise, full_width, kernel, reduction
from .costs import ROWS, TILE, operand, row_by_tiles
from .exponential import exp2_bounded
from .groups.ordered import CLUSTER, SortedCost, box_corners
from .launch import Launcher

_1 = np.uintp(TILE)

GRANULE = 64
"""Columns among which a loop over vectors looks before one entry after the other is looked at."""


@elementwise
def _exponents(F: Any, G: Any, scale: Any, i: Any, rows: Any, tile: Any, columns: Any,
               t: Any) -> None:
    """t[r, j] = F_i + G_j - C_ij in place of c_ij."""
    full_width()
    for r in range(rows):
        o = np.uintp(r) * _1
        for j in range(np.uintp(columns)):
            t[o + j] = (F[i + r] + G[tile, j]) - scale * t[o + j]


@reduction
def _count(t: Any, r: Any, j0: Any, j1: Any, cut: Any) -> Any:
    """How many of t[r, j0 to j1] exceed the cut."""
    full_width()
    o, none = np.uintp(r) * _1, t.dtype.type(0)
    one, count = t.dtype.type(1), none
    for j in range(np.uintp(j0), np.uintp(j1)):
        count += one if t[o + j] > cut else none
    return count


@kernel
def count_entries(C: Any, F: Array, G: Array, m: int, cut: Any, reach: Array, group: int,
                  counts: Array, i0: int, i1: int) -> None:
    """counts[i] of row i for i0 <= i < i1; i0 is a multiple of the rows in a group of `reach`."""
    t = np.empty(ROWS * TILE, F.dtype)
    for i in range(i0, i1, ROWS):
        rows = min(ROWS, i1 - i)
        for tile in range(G.shape[0]):
            if reach[i // group, tile]:
                columns = min(TILE, m - tile * TILE)
                fill(C, i, rows, tile, columns, t)
                _exponents(F, G, C.scale, i, rows, tile, columns, t)
                for r in range(rows):
                    counts[i + r] += np.int64(_count(t, r, 0, columns, cut))


@elementwise
def _write(t: Any, r: Any, j0: Any, j1: Any, cut: Any, k: Any, names: Any, place: Any,
           values: Any, found: Any) -> Any:
    """The entries t[r, j0 to j1] above the cut, from `place` on; the place after them."""
    for j in range(j0, j1):
        if t[r * TILE + j] > cut:
            values[place], found[place] = exp2_bounded(t[r * TILE + j], k), names[j]
            place += 1
    return place


@kernel
def write_entries(C: Any, F: Array, G: Array, m: int, cut: Any, reach: Array, group: int, k: Any,
                  names: Array, places: Array, values: Array, found: Array, i0: int,
                  i1: int) -> None:
    """values and found (their columns' names) of row i from places[i] on."""
    t = np.empty(ROWS * TILE, F.dtype)
    for i in range(i0, i1, ROWS):
        rows = min(ROWS, i1 - i)
        for tile in range(G.shape[0]):
            if reach[i // group, tile]:
                columns = min(TILE, m - tile * TILE)
                fill(C, i, rows, tile, columns, t)
                _exponents(F, G, C.scale, i, rows, tile, columns, t)
                for j0 in range(0, columns, GRANULE):
                    j1 = min(j0 + GRANULE, columns)
                    for r in range(rows):
                        if _count(t, r, j0, j1, cut) > 0:
                            places[i + r] = _write(t, r, j0, j1, cut, k, names[tile * TILE:],
                                                   places[i + r], values, found)


def entries(C: Cost, F: Array, G: Array, eps: float, k: Any, least: float, most: int,
            run: Launcher) -> Entries | None:
    """`plan_entries` of the contract; k = log2(e) / eps."""
    n, m = C.shape
    cut = C.dtype.type(eps * math.log(least))
    rows, names = np.arange(n), np.arange(m, dtype=np.int32)
    if isinstance(C, SortedCost):
        rows, names = C.rows_in_order.order, C.columns_in_order.order.astype(np.int32)
        C = C.in_order()
        F, G = F[rows], G[names]
        reach = _reach(C, F, G, cut)
    else:
        reach = np.ones((-(-n // CLUSTER), -(-m // TILE)), bool)
    C_, G_, counts = operand(C), row_by_tiles(G), np.zeros(n, np.int64)
    work = 10 * m
    run(n, work, count_entries, C_, F, G_, m, cut, reach, CLUSTER, counts, unit=CLUSTER)
    starts = np.zeros(n + 1, np.int64)
    starts[rows + 1] = counts
    starts = starts.cumsum()
    if starts[-1] > most:
        return None
    values, found = np.empty(starts[-1], C.dtype), np.empty(starts[-1], np.int32)
    run(n, work, write_entries, C_, F, G_, m, cut, reach, CLUSTER, k, names, starts[rows], values,
        found, unit=CLUSTER)
    return values, found, starts


def _reach(C: Any, F: Array, G: Array, cut: Any) -> Array:
    """Whether an entry between a group of rows and a tile of columns may exceed the cut."""
    x_low, x_high = (corner[:, None] for corner in box_corners(C.x, CLUSTER))
    y_low, y_high = box_corners(C.y, TILE)
    gap = np.maximum(np.maximum(y_low - x_high, x_low - y_high), 0)
    least_cost = C.ground.matrix(gap.reshape(-1, gap.shape[-1]), np.zeros_like(y_low[:1]))
    highest = np.add.outer(_highest(F, CLUSTER), _highest(G, TILE))
    return np.asarray(highest - C.scale * least_cost.reshape(gap.shape[:2]) > cut)


def _highest(h: Array, group: int) -> Array:
    return np.maximum.reduceat(h, np.arange(0, len(h), group))
