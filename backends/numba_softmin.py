"""softmin in one pass, each row shifted by a whole number: H-8 where exponents fit the floats.

In base 2, e_ij = (h_j - C_ij) log2(e) / eps, softmin_i = -eps ln 2 (s + log2 sum_j 2^(e_ij - s))
for any s. A whole s costs nothing in the exponential (`exp2_about`), so no pass for the largest
exponent is needed before the sum: s comes from a guess of the result or from the first PROBE
columns, and the largest exponent is taken along. It tells whether s was good: a tile that exceeds s
by more than `span` raises it and is summed again; a sum below `least` means that s was guessed too
high, and the row is returned as NaN: it is for a second call, without a guess. In between no term
overflows, and what is flushed (below 2^(s - 1021), in float32 2^(s - 125)) is less than m 2^-121
(m 2^-65) of the sum. A row whose exponents exceed `limit` is NaN as well, and needs another way.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from refot.arrays import Array

from .numba_costs import DIRECT, ROWS, TILE, costs_at, prepare
from .numba_exponential import exp2_about
from .numba_vectors import (
    elementwise,
    fma,
    full_width,
    implements,
    kernel,
    larger,
    reduction,
    variant,
)

PROBE = 64
"""Columns whose largest exponent is the first shift of a row without a guess."""


class Range(NamedTuple):
    """What a dtype allows: log2 of the largest growth over s, the least sum, the largest |s|."""

    span: float
    least: float
    limit: float


RANGES = {np.dtype(np.float64): Range(1000.0, 2.0**-900, 2.0**50),
          np.dtype(np.float32): Range(100.0, 2.0**-60, 2.0**21)}


# ------------------------------------------------------------------ the loop over the columns
def _sum_loop(cost: Any) -> Any:
    """The loop (sum_j 2^(e_ij - s), max(top, max_j e_ij)), j from j0 to j1 of a tile, where
    e_ij = h_j - ks c_ij and c_ij = cost(C, t, i, r, tile, j)."""

    @reduction
    @variant(cost)
    def loop(C: Any, t: Any, i: Any, r: Any, tile: Any, j0: Any, j1: Any, h: Any, ks: Any, s: Any,
             top: Any) -> Any:
        full_width()
        total = t.dtype.type(0)
        for j in range(np.uintp(j0), np.uintp(j1)):
            e = fma(-ks, cost(C, t, i, r, tile, j), h[tile, j])
            top = larger(top, e)
            total += exp2_about(e, s)
        return total, top

    return loop


def sums(C: Any, t: Any, i: Any, r: Any, tile: Any, j0: Any, j1: Any, h: Any, ks: Any, s: Any,
         top: Any) -> Any:
    """sum_j 2^(e_ij - s), and max(top, max_j e_ij), over columns j0 to j1 of a tile; row i is row r
    of the prepared block t."""
    raise NotImplementedError("compiled code only")


_LOOPS = {cost: _sum_loop(cost) for cost in set(costs_at.values())}
LOOPS = {found: _LOOPS[cost] for found, cost in costs_at.items()}
"""One loop for each way to come by a cost."""


@implements(sums)
def _sums(C: Any, t: Any, i: Any, r: Any, tile: Any, j0: Any, j1: Any, h: Any, ks: Any, s: Any,
          top: Any) -> Any:
    kind = C.instance_class
    prepared = LOOPS[kind, 0]
    if (kind, 1) not in LOOPS:
        return lambda C, t, i, r, tile, j0, j1, h, ks, s, top: prepared(
            C, t, i, r, tile, j0, j1, h, ks, s, top)
    one, two, three = (LOOPS[kind, d] for d in DIRECT)

    def chosen(C: Any, t: Any, i: Any, r: Any, tile: Any, j0: Any, j1: Any, h: Any, ks: Any,
               s: Any, top: Any) -> Any:
        d = C.x.shape[1]
        if d == 1:
            return one(C, t, i, r, tile, j0, j1, h, ks, s, top)
        if d == 2:
            return two(C, t, i, r, tile, j0, j1, h, ks, s, top)
        if d == 3:
            return three(C, t, i, r, tile, j0, j1, h, ks, s, top)
        return prepared(C, t, i, r, tile, j0, j1, h, ks, s, top)

    return chosen


# ------------------------------------------------------------------ the rows
@elementwise
def take(C: Any, t: Any, i: Any, r: Any, tile: Any, j0: Any, j1: Any, h: Any, ks: Any, span: Any,
         b: Any, shift: Any, top: Any, total: Any) -> None:
    """Columns j0 to j1 of a tile added to the sum total[b] of row i, in units of 2^shift[b]."""
    width = j1 - j0
    if np.isnan(shift[b]):  # the first columns, and no guess
        shift[b], width = 0, min(PROBE, j1 - j0)
    while True:
        part, top[b] = sums(C, t, i, r, tile, j0, j0 + width, h, ks, shift[b], top[b])
        if width == j1 - j0 and not top[b] - shift[b] > span:
            break
        higher = np.rint(top[b])
        if total[b] > 0:
            total[b] *= 2.0 ** np.float64(shift[b] - higher)
        shift[b], width = higher, j1 - j0
    total[b] += part


@elementwise
def finish(shift: Any, total: Any, eps: Any, allowed: Any, out: Any) -> None:
    """-eps ln 2 (s + log2 total), and NaN where the guess or the range failed."""
    for b in range(out.size):
        good = total[b] >= allowed.least and abs(shift[b]) <= allowed.limit
        out[b] = -eps * (math.log(2.0) * shift[b] + math.log(total[b])) if good else np.nan


@kernel
def softmin(C: Any, h: Array, m: int, ks: Any, eps: float, allowed: Range, guess: Array, out: Array,
            i0: int, i1: int) -> None:
    """out_i = -eps log sum_j exp((h_j - C_ij) / eps) for i0 <= i < i1; NaN where the guess or the
    range fails. h (tiles, TILE) and guess (n,), whole or NaN for none, in base 2;
    ks = scale log2(e) / eps."""
    t, shift = np.empty(ROWS * TILE, h.dtype), guess[i0:i1].copy()
    top, total = np.full(i1 - i0, -np.finfo(h.dtype).max, h.dtype), np.zeros(i1 - i0)
    for tile in range(h.shape[0]):
        columns = min(TILE, m - tile * TILE)
        for first in range(i0, i1, ROWS):
            rows = min(ROWS, i1 - first)
            prepare(C, first, rows, tile, columns, t)
            for r in range(rows):
                take(C, t, first + r, r, tile, 0, columns, h, ks, allowed.span, first + r - i0,
                     shift, top, total)
    finish(shift, total, eps, allowed, out[i0:i1])
