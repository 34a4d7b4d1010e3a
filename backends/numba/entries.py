"""The large entries of a plan, as a sparse matrix: a first pass counts them, a second writes them.

An entry is large where its exponent F_i + G_j - C_ij exceeds eps log(least); no exponential is
taken of the others. Both passes compare exponents that one and the same function (`_exponents`) has
written to memory, so that they find the same entries: computed in two loops, an exponent might be
rounded in two ways. For points in order, a group of rows skips the tiles of columns whose box is
too far away.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.backend_contract import Entries
from refot.costs.operands import Cost, PointCost

from .blocks import fill
from .compile import Number, elementwise, full_width, kernel, reduction
from .costs import ROWS, TILE, operand, row_by_tiles
from .exponential import exp2_bounded
from .groups.ordered import CLUSTER, SortedCost, box_corners
from .launch import Launcher

_1 = np.uintp(TILE)

RUN = 64
"""Columns that are counted together, by vector instructions, before they are looked at one by one:
most runs hold no large entry."""


@elementwise
def _exponents(F: Array, G: Array, scale: Number, i: int, rows: int, tile: int, columns: int,
               t: Array) -> None:
    """t[r, j] <- F_i + G_j - C_ij, from c_ij."""
    full_width()
    for r in range(rows):
        o = np.uintp(r) * _1
        for j in range(np.uintp(columns)):
            t[o + j] = (F[i + r] + G[tile, j]) - scale * t[o + j]


@elementwise
def _exponent_block(C: Any, F: Array, G: Array, i: int, rows: int, tile: int, columns: int, t: Array
                    ) -> None:
    """t[r, j] = F_i + G_j - C_ij for the rows i = i + r and the columns j of a tile."""
    fill(C, i, rows, tile, columns, t)
    _exponents(F, G, C.scale, i, rows, tile, columns, t)


@reduction
def _count(t: Array, r: int, j0: int, j1: int, cut: Number) -> Number:
    """How many of t[r, j0 to j1] exceed the cut."""
    full_width()
    o, none = np.uintp(r) * _1, t.dtype.type(0)
    one, count = t.dtype.type(1), none
    for j in range(np.uintp(j0), np.uintp(j1)):
        count += one if t[o + j] > cut else none
    return count


@kernel
def count_entries(C: Any, F: Array, G: Array, m: int, cut: Number, reach: Array, group: int,
                  counts: Array, i0: int, i1: int) -> None:
    """counts[i] += the number of large entries of row i, i0 <= i < i1. i0 is a multiple of `group`:
    reach[i // group, tile] tells whether a row i may have large entries in a tile of columns."""
    t = np.empty(ROWS * TILE, F.dtype)
    for i in range(i0, i1, ROWS):
        rows = min(ROWS, i1 - i)
        for tile in range(G.shape[0]):
            if reach[i // group, tile]:
                columns = min(TILE, m - tile * TILE)
                _exponent_block(C, F, G, i, rows, tile, columns, t)
                for r in range(rows):
                    counts[i + r] += np.int64(_count(t, r, 0, columns, cut))


@elementwise
def _write(t: Array, r: int, j0: int, j1: int, cut: Number, k: Number, names: Array, place: int,
           values: Array, found: Array) -> int:
    """Write the entries of t[r, j0 to j1] above the cut, and the names of their columns, from
    `place` on; returns the place after the last."""
    for j in range(j0, j1):
        if t[r * TILE + j] > cut:
            values[place], found[place] = exp2_bounded(t[r * TILE + j], k), names[j]
            place += 1
    return place


@kernel
def write_entries(C: Any, F: Array, G: Array, m: int, cut: Number, reach: Array, group: int,
                  k: Number, names: Array, places: Array, values: Array, found: Array, i0: int,
                  i1: int) -> None:
    """Write the large entries of row i into `values` and their columns into `found`, from places[i]
    on, which becomes the place after the last. names (m,): what each column is called there."""
    t = np.empty(ROWS * TILE, F.dtype)
    for i in range(i0, i1, ROWS):
        rows = min(ROWS, i1 - i)
        for tile in range(G.shape[0]):
            if reach[i // group, tile]:
                columns = min(TILE, m - tile * TILE)
                _exponent_block(C, F, G, i, rows, tile, columns, t)
                for j0 in range(0, columns, RUN):
                    j1 = min(j0 + RUN, columns)
                    for r in range(rows):
                        if _count(t, r, j0, j1, cut) > 0:
                            places[i + r] = _write(t, r, j0, j1, cut, k, names[tile * TILE:],
                                                   places[i + r], values, found)


def entries(C: Cost, F: Array, G: Array, eps: float, k: Any, least: float, most: int,
            run: Launcher) -> Entries | None:
    """`plan_entries` of the contract; k = log2(e) / eps. Points in order are named as they came."""
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
    taken, G_tiles, counts = operand(C), row_by_tiles(G), np.zeros(n, np.int64)
    work = 10 * m
    run(n, work, count_entries, taken, F, G_tiles, m, cut, reach, CLUSTER, counts, unit=CLUSTER)
    starts = np.zeros(n + 1, np.int64)
    starts[rows + 1] = counts
    starts = starts.cumsum()
    if starts[-1] > most:
        return None
    values, found = np.empty(starts[-1], C.dtype), np.empty(starts[-1], np.int32)
    run(n, work, write_entries, taken, F, G_tiles, m, cut, reach, CLUSTER, k, names, starts[rows],
        values, found, unit=CLUSTER)
    return values, found, starts


def _reach(C: PointCost, F: Array, G: Array, cut: Any) -> Array:
    """Whether an entry between a group of rows and a tile of columns may exceed the cut, from the
    smallest cost between their boxes and the largest potentials: (groups, tiles)."""
    x_low, x_high = (corner[:, None] for corner in box_corners(C.x, CLUSTER))
    y_low, y_high = box_corners(C.y, TILE)
    gap = np.maximum(np.maximum(y_low - x_high, x_low - y_high), 0)
    least_cost = C.ground.matrix(gap.reshape(-1, gap.shape[-1]), np.zeros_like(y_low[:1]))
    highest = np.add.outer(_highest(F, CLUSTER), _highest(G, TILE))
    return np.asarray(highest - C.scale * least_cost.reshape(gap.shape[:2]) > cut)


def _highest(h: Array, group: int) -> Array:
    """The largest of each `group` neighbours."""
    return np.maximum.reduceat(h, np.arange(0, len(h), group))
