"""softmin in one pass over the pairs, each row of exponents shifted by a whole number. H-8.

H = Houdard et al. 2023. With exponents in base 2, e_ij = (h_j - C_ij) log2(e) / eps,
    softmin_i = -eps ln 2 (s + log2 sum_j 2^(e_ij - s))
for any shift s. The usual s is the largest exponent of the row, which takes a pass over the row to
find. Here s only has to be near it: it comes from a guess of the result, or from the first PROBE
columns, and the sum keeps track of the largest exponent that it has met. A whole s costs nothing in
the exponential (`exp2_about`).

Three things can go wrong, and each is seen:
- s is too low: an exponent exceeds s by more than `span`. Then s is raised and the tile is summed
  again.
- s was guessed too high: the sum is below `least`. Then the row is returned as NaN, and the caller
  asks for it again without a guess.
- s would exceed `limit`, beyond which `exp2_about` has no digits left. The row is NaN as well, and
  the caller computes it in cost units.
Else no term overflows, and the terms that are flushed to 0 (below 2^(s - 1021), in float32
2^(s - 125)) add up to less than m 2^-121 (m 2^-65) of the sum.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from refot.arrays import Array

from .blocks import prepare
from .compile import (
    Number,
    elementwise,
    fma,
    full_width,
    implements,
    kernel,
    larger,
    reduction,
    variant,
)
from .costs import ROWS, TILE, costs_at, unrolled
from .exponential import exp2_about

PROBE = 64
"""Columns whose largest exponent is the first shift of a row without a guess."""


SQRT_HALF = math.sqrt(0.5)


class Range(NamedTuple):
    """What the floats of one dtype allow."""

    span: float
    """The largest e - s for which 2^(e - s), summed over a row, stays finite."""

    least: float
    """The smallest sum that is trusted: in a smaller one, flushed terms could count."""

    limit: float
    """The largest |s|, with room: `exp2_about` needs |s| < 2^51 (float32: 2^22)."""


RANGES = {np.dtype(np.float64): Range(1000.0, 2.0**-900, 2.0**50),
          np.dtype(np.float32): Range(100.0, 2.0**-60, 2.0**21)}


# ------------------------------------------------------------------ the loop over a block
def _term_sum_loop(cost: Any) -> Any:
    """The compiled loop behind `sum_terms`, for one function `cost` of `costs_at`."""

    @reduction
    @variant(cost)
    def loop(C: Any, t: Array, start: int, at: int, tile: int, j0: int, j1: int, h: Array,
             ks: Number, shift: Array, top: Array, part: Array) -> None:
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


def sum_terms(C: Any, t: Array, start: int, at: int, tile: int, j0: int, j1: int, h: Array,
              ks: Number, shift: Array, top: Array, part: Array) -> None:
    """part_r = sum_j 2^(e_ij - shift_r) and top_r = max(top_r, max_j e_ij), e_ij = h_j - ks c_ij,
    over the rows i = start + r and the columns j0 to j1 of a tile. Where costs come from a prepared
    block t, row start + r is its row at + r."""
    raise NotImplementedError("compiled code only")


LOOPS = {cost: _term_sum_loop(cost) for cost in set(costs_at.values())}
"""One compiled loop for each way in which a cost c_ij is had."""


@implements(sum_terms)
def _sum_terms(C: Any, t: Any, start: Any, at: Any, tile: Any, j0: Any, j1: Any, h: Any, ks: Any,
               shift: Any, top: Any, part: Any) -> Any:
    loop = LOOPS[costs_at[C.instance_class, unrolled(C)]]
    return lambda C, t, start, at, tile, j0, j1, h, ks, shift, top, part: loop(
        C, t, start, at, tile, j0, j1, h, ks, shift, top, part)


# ------------------------------------------------------------------ the rows
@elementwise
def add_columns(C: Any, t: Array, start: int, tile: int, j0: int, j1: int, h: Array, ks: Number,
                span: float, shift: Array, top: Array, total: Array, part: Array) -> None:
    """Add the terms of the columns j0 to j1 of a tile to the sums total_r of the rows from `start`
    on, in units of 2^shift_r. t is prepared for these rows; part is room for one sum a row."""
    sum_terms(C, t, start, 0, tile, j0, j1, h, ks, shift, top, part)
    for r in range(top.size):
        if top[r] - shift[r] <= span:
            total[r] += part[r]
        else:  # the shift is too low or, being NaN, not set yet: part[r] is of no use
            _add_columns_raising_shift(C, t, start, r, tile, j0, j1, h, ks, span, shift, top, total,
                                       part)


@elementwise
def _add_columns_raising_shift(C: Any, t: Array, start: int, r: int, tile: int, j0: int, j1: int,
                               h: Array, ks: Number, span: float, shift: Array, top: Array,
                               total: Array, part: Array) -> None:
    """`add_columns` for the one row start + r, with as high a shift as it needs."""
    one = slice(r, r + 1)
    if np.isnan(shift[r]):  # no guess: the first shift is the largest exponent of a few columns
        shift[r] = 0
        sum_terms(C, t, start + r, r, tile, j0, min(j0 + PROBE, j1), h, ks, shift[one], top[one],
                  part[one])
        shift[r] = np.rint(top[r])
    while True:
        sum_terms(C, t, start + r, r, tile, j0, j1, h, ks, shift[one], top[one], part[one])
        if not top[r] - shift[r] > span:
            break
        higher = np.rint(top[r])
        if total[r] > 0:  # what has been summed so far is in units of the old shift
            total[r] *= 2.0 ** np.float64(shift[r] - higher)
        shift[r] = higher
    total[r] += part[r]


@elementwise
def finish(shift: Array, total: Array, eps: float, allowed: Range, out: Array) -> None:
    """out_r = -eps ln 2 (shift_r + log2 total_r), or NaN where the guess or the range failed.

    s and log2 total may nearly cancel. So the total is split into a fraction and a power of two:
    the power is added to s, without rounding, and the logarithm of a fraction near 1 is small."""
    for r in range(out.size):
        fraction, power = math.frexp(total[r])
        if fraction < SQRT_HALF:
            fraction, power = 2 * fraction, power - 1
        level = math.log(2.0) * (np.float64(shift[r]) + power) + math.log(fraction)
        good = total[r] >= allowed.least and abs(shift[r]) <= allowed.limit
        out[r] = -eps * level if good else np.nan


@kernel
def softmin(C: Any, h: Array, m: int, ks: Number, eps: float, allowed: Range, guess: Array,
            out: Array, i0: int, i1: int) -> None:
    """out_i = -eps log sum_j exp((h_j - C_ij) / eps) for i0 <= i < i1; NaN where the guess or the
    range fails. In base 2, that is times log2(e) / eps: h (tiles, TILE), the scale ks of the costs,
    and guess (n,), whole numbers, or NaN where there is none."""
    t, shift = np.empty(ROWS * TILE, h.dtype), guess[i0:i1].copy()
    top, total = np.full(i1 - i0, -np.finfo(h.dtype).max, h.dtype), np.zeros(i1 - i0)
    part = np.empty(ROWS, h.dtype)
    for tile in range(h.shape[0]):
        columns = min(TILE, m - tile * TILE)
        for first in range(i0, i1, ROWS):
            rows = min(ROWS, i1 - first)
            some = slice(first - i0, first - i0 + rows)
            prepare(C, first, rows, tile, columns, t)
            add_columns(C, t, first, tile, 0, columns, h, ks, allowed.span, shift[some], top[some],
                        total[some], part)
    finish(shift, total, eps, allowed, out[i0:i1])
