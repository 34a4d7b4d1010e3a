"""softmin in one pass over the pairs, each row of exponents shifted by a whole number. H-8.

H = Houdard et al. 2023. With exponents in base 2, e_ij = (h_j - C_ij) log2(e) / eps,
    softmin_i = -eps ln 2 (s + log2 sum_j 2^(e_ij - s))
for any shift s. The usual s is the largest exponent of the row, but to find it takes one more pass
over the row. Here s only has to be near it: it comes from a guess of the result, or from the first
PROBE columns, and the loop that sums also finds the largest exponent. Subtracting s takes no time
in the exponential if s is a whole number (`exp2_about`).

Three things can go wrong, and each is noticed (span, least and limit are those of `Range`):
- s is too low: an exponent exceeds s by more than `span`. Then s is raised and the tile is summed
  again.
- s was guessed too high: the sum is below `least`. Then the row is returned as NaN, and the caller
  computes it again without a guess.
- |s| exceeds `limit`, beyond which `exp2_about` has no digits left. Then the row is NaN as well,
  and the caller computes it by NumPy (`rows`).
Otherwise no term overflows, and the terms below 2^(s - 1021) (float32: 2^(s - 125)), which
`exp2_about` does not resolve, add up to less than m 2^-121 (m 2^-65) of the sum.
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
"""Without a guess, the first shift of a row is the largest exponent of this number of columns."""


SQRT_HALF = math.sqrt(0.5)


class Range(NamedTuple):
    """The limits that the floats of one dtype set."""

    span: float
    """The largest e - s for which 2^(e - s), summed over a row, stays finite."""

    least: float
    """The smallest sum that is accepted: in a smaller one, terms too small for floats could matter.
    """

    limit: float
    """The largest |s|: half of what `exp2_about` allows, |s| < 2^51 (float32: 2^22)."""


RANGES = {np.dtype(np.float64): Range(1000.0, 2.0**-900, 2.0**50),
          np.dtype(np.float32): Range(100.0, 2.0**-60, 2.0**21)}


# ------------------------------------------------------------------ the loop over a block
def _term_sum_loop(cost: Any) -> Any:
    """The compiled loop of `sum_terms`, for one function `cost` of `costs_at`."""

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
    for the rows i = start + r and the columns j0 to j1 - 1 of a tile. If costs come from a block t
    that `prepare` has filled, row start + r of the cost is row at + r of t."""
    raise NotImplementedError("compiled code only")


LOOPS = {cost: _term_sum_loop(cost) for cost in set(costs_at.values())}
"""The compiled loop for each function of `costs_at`, that is, for each way to get a cost c_ij."""


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
    """Add the terms of the columns j0 to j1 - 1 of a tile to the sums total_r of the rows from
    `start` on, in units of 2^shift_r. If costs are read from a block, `prepare` has
    filled t for these rows; `part` is a work array with one entry for each row."""
    sum_terms(C, t, start, 0, tile, j0, j1, h, ks, shift, top, part)
    for r in range(top.size):
        if top[r] - shift[r] <= span:
            total[r] += part[r]
        else:  # the shift is too low, or NaN (not set yet), so that part[r] cannot be used
            _add_columns_raising_shift(C, t, start, r, tile, j0, j1, h, ks, span, shift, top, total,
                                       part)


@elementwise
def _add_columns_raising_shift(C: Any, t: Array, start: int, r: int, tile: int, j0: int, j1: int,
                               h: Array, ks: Number, span: float, shift: Array, top: Array,
                               total: Array, part: Array) -> None:
    """`add_columns` for the one row start + r, whose shift is raised until no term overflows."""
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
    """out_r = -eps ln 2 (shift_r + log2 total_r); NaN where total_r or shift_r is out of `Range`.

    shift_r and log2 total_r may nearly cancel. So total_r is split into a fraction near 1 and a
    power of two. The power is added to shift_r without rounding; the logarithm of the fraction is
    small, and so is its rounding."""
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
    """out_i = -eps log sum_j exp((h_j - C_ij) / eps) for i0 <= i < i1; NaN where the guess is too
    high, or exponents are out of range.

    h (tiles, TILE), guess (n,) and the factor ks of the costs come in base 2, that is times
    log2(e) / eps. The guess is the first shift of each row: a whole number near minus the expected
    result, or NaN for none."""
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
