"""The large entries of a plan, as a sparse matrix: a first pass counts them, a second writes them.

An entry is large if its exponent F_i + G_j - C_ij exceeds the cut, eps log(least). No exponential
is computed for the others. Both passes must find the same entries. So both compare exponents that
one function, `_exponents`, has written to memory: two loops of their own might round them
differently. For sorted points (a `SortedCost`), a group of rows skips the tiles of columns that are
too far away to have large entries. k = log2(e) / eps; tiles and blocks are those of `costs`.
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
"""Columns whose large entries are counted together, by vector instructions. Only if there are some
are the columns compared one by one: most runs have none."""


@elementwise
def _exponents(F: Array, G: Array, scale: Number, i: int, rows: int, tile: int, columns: int,
               t: Array) -> None:
    """t[r, j] <- F_(i + r) + G_j - scale t[r, j], where t held costs without the factor `scale`."""
    full_width()
    for r in range(rows):
        o = np.uintp(r) * _1
        for j in range(np.uintp(columns)):
            t[o + j] = (F[i + r] + G[tile, j]) - scale * t[o + j]


@elementwise
def _exponent_block(C: Any, F: Array, G: Array, i: int, rows: int, tile: int, columns: int, t: Array
                    ) -> None:
    """t[r, j] = F_(i + r) + G_j - C_(i + r)j for the columns j of a tile."""
    fill(C, i, rows, tile, columns, t)
    _exponents(F, G, C.scale, i, rows, tile, columns, t)


@reduction
def _count(t: Array, r: int, j0: int, j1: int, cut: Number) -> Number:
    """How many of the exponents t[r, j0], ..., t[r, j1 - 1] exceed the cut."""
    full_width()
    o, none = np.uintp(r) * _1, t.dtype.type(0)
    one, count = t.dtype.type(1), none
    for j in range(np.uintp(j0), np.uintp(j1)):
        count += one if t[o + j] > cut else none
    return count


@kernel
def count_entries(C: Any, F: Array, G: Array, m: int, cut: Number, reach: Array, group: int,
                  counts: Array, i0: int, i1: int) -> None:
    """counts[i] += the number of large entries of row i, i0 <= i < i1. reach[i // group, tile] says
    whether row i may have large entries in a tile of columns; i0 is a multiple of `group`."""
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
    """Of the exponents t[r, j0], ..., t[r, j1 - 1], write exp(t / eps) of those above the cut into
    `values`, and the numbers that the caller has for their columns (`names`) into `found`, from
    `place` on. Returns the place after the last."""
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
    on; places[i] becomes the place after the last. names (m,): the number that the caller has for
    each column."""
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
    """`plan_entries` of `refot.backend_contract.Backend`. Rows and columns are numbered as the
    caller has them, also where the points are sorted here."""
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
    """Whether a group of CLUSTER rows may have large entries in a tile of columns: (groups, tiles).
    No exponent there exceeds the largest F of the group plus the largest G of the tile minus the
    least cost between the boxes around their points."""
    x_low, x_high = (corner[:, None] for corner in box_corners(C.x, CLUSTER))
    y_low, y_high = box_corners(C.y, TILE)
    gap = np.maximum(np.maximum(y_low - x_high, x_low - y_high), 0)
    least_cost = C.ground.matrix(gap.reshape(-1, gap.shape[-1]), np.zeros_like(y_low[:1]))
    highest = np.add.outer(_highest(F, CLUSTER), _highest(G, TILE))
    return np.asarray(highest - C.scale * least_cost.reshape(gap.shape[:2]) > cut)


def _highest(h: Array, group: int) -> Array:
    """The largest entry of each group of `group` neighbours in h."""
    return np.maximum.reduceat(h, np.arange(0, len(h), group))
