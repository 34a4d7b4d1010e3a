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

from .blocks import prepare
from .compile import elementwise, fma, full_width, implements, kernel, larger, reduction, variant
from .costs import ROWS, TILE, costs_at, unrolled
from .exponential import exp2_about

PROBE = 64
"""Columns whose largest exponent is the first shift of a row without a guess."""


SQRT_HALF = math.sqrt(0.5)


class Range(NamedTuple):
    """What a dtype allows: log2 of the largest growth over s, the least sum, the largest |s|."""

    span: float
    least: float
    limit: float


RANGES = {np.dtype(np.float64): Range(1000.0, 2.0**-900, 2.0**50),
          np.dtype(np.float32): Range(100.0, 2.0**-60, 2.0**21)}


# ------------------------------------------------------------------ the loop over a block
def _block_loop(cost: Any) -> Any:
    """The loop part_r = sum_j 2^(e_ij - shift_r), top_r = max(top_r, max_j e_ij) for rows
    i = start + r and columns j0 to j1 of a tile, where e_ij = h_j - ks c_ij and
    c_ij = cost(C, t, i, at + r, tile, j)."""

    @reduction
    @variant(cost)
    def loop(C: Any, t: Any, start: Any, at: Any, tile: Any, j0: Any, j1: Any, h: Any, ks: Any,
             shift: Any, top: Any, part: Any) -> None:
        full_width()
        for r in range(top.size):
            i, row, s = start + r, at + r, shift[r]
            largest, total = top[r], t.dtype.type(0)
            for j in range(np.uintp(j0), np.uintp(j1)):
                e = fma(-ks, cost(C, t, i, row, tile, j), h[tile, j])
                largest = larger(largest, e)
                total += exp2_about(e, s)
            top[r], part[r] = largest, total

    return loop


def block(C: Any, t: Any, start: Any, at: Any, tile: Any, j0: Any, j1: Any, h: Any, ks: Any,
          shift: Any, top: Any, part: Any) -> None:
    """The loop for the cost; row start + r is row at + r of the prepared block t."""
    raise NotImplementedError("compiled code only")


LOOPS = {cost: _block_loop(cost) for cost in set(costs_at.values())}
"""One loop for each way to come by a cost."""


@implements(block)
def _block(C: Any, t: Any, start: Any, at: Any, tile: Any, j0: Any, j1: Any, h: Any, ks: Any,
           shift: Any, top: Any, part: Any) -> Any:
    loop = LOOPS[costs_at[C.instance_class, unrolled(C)]]
    return lambda C, t, start, at, tile, j0, j1, h, ks, shift, top, part: loop(
        C, t, start, at, tile, j0, j1, h, ks, shift, top, part)


# ------------------------------------------------------------------ the rows
@elementwise
def take(C: Any, t: Any, start: Any, tile: Any, j0: Any, j1: Any, h: Any, ks: Any, span: Any,
         shift: Any, top: Any, total: Any, part: Any) -> None:
    """Columns j0 to j1 of a tile added to the sums total_r of the rows from `start` on, in units of
    2^shift_r; t is prepared for these rows."""
    block(C, t, start, 0, tile, j0, j1, h, ks, shift, top, part)
    for r in range(top.size):
        if top[r] - shift[r] <= span:
            total[r] += part[r]
        else:
            _take_again(C, t, start, r, tile, j0, j1, h, ks, span, shift, top, total, part)


@elementwise
def _take_again(C: Any, t: Any, start: Any, r: Any, tile: Any, j0: Any, j1: Any, h: Any, ks: Any,
                span: Any, shift: Any, top: Any, total: Any, part: Any) -> None:
    """`take` for a row with a shift that is too low, or none yet."""
    one = slice(r, r + 1)
    if np.isnan(shift[r]):  # the first columns tell
        shift[r] = 0
        block(C, t, start + r, r, tile, j0, min(j0 + PROBE, j1), h, ks, shift[one], top[one],
              part[one])
        shift[r] = np.rint(top[r])
    while True:
        block(C, t, start + r, r, tile, j0, j1, h, ks, shift[one], top[one], part[one])
        if not top[r] - shift[r] > span:
            break
        higher = np.rint(top[r])
        if total[r] > 0:
            total[r] *= 2.0 ** np.float64(shift[r] - higher)
        shift[r] = higher
    total[r] += part[r]


@elementwise
def finish(shift: Any, total: Any, eps: Any, allowed: Any, out: Any) -> None:
    """-eps ln 2 (s + log2 total), and NaN where the guess or the range failed. The power of 2 in
    the total goes to s, where it is exact: log2 total may be -s but for its last digits."""
    for b in range(out.size):
        part, power = math.frexp(total[b])
        if part < SQRT_HALF:
            part, power = 2 * part, power - 1
        level = math.log(2.0) * (np.float64(shift[b]) + power) + math.log(part)
        good = total[b] >= allowed.least and abs(shift[b]) <= allowed.limit
        out[b] = -eps * level if good else np.nan


@kernel
def softmin(C: Any, h: Array, m: int, ks: Any, eps: float, allowed: Range, guess: Array, out: Array,
            i0: int, i1: int) -> None:
    """out_i = -eps log sum_j exp((h_j - C_ij) / eps) for i0 <= i < i1; NaN where the guess or the
    range fails. h (tiles, TILE) and guess (n,), whole or NaN for none, in base 2;
    ks = scale log2(e) / eps."""
    t, shift = np.empty(ROWS * TILE, h.dtype), guess[i0:i1].copy()
    top, total = np.full(i1 - i0, -np.finfo(h.dtype).max, h.dtype), np.zeros(i1 - i0)
    part = np.empty(ROWS, h.dtype)
    for tile in range(h.shape[0]):
        columns = min(TILE, m - tile * TILE)
        for first in range(i0, i1, ROWS):
            rows = min(ROWS, i1 - first)
            some = slice(first - i0, first - i0 + rows)
            prepare(C, first, rows, tile, columns, t)
            take(C, t, first, tile, 0, columns, h, ks, allowed.span, shift[some], top[some],
                 total[some], part)
    finish(shift, total, eps, allowed, out[i0:i1])
