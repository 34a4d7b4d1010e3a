"""The loops that fill a block of costs c(x_i, y_j) inside the Numba kernels.

ROWS, TILE, tiles and kinds of operands are explained in `costs`. A block is a flat array t: costs
of up to ROWS rows (`i` is the first) by the TILE columns of one tile, of which `columns` are in
use. Row r of a block starts at t[o] with o = r TILE. A cost is a sum over coordinates. One loop
sums the first 1 to 4 coordinates; each further loop adds four more, to four rows at once, so that
each y is loaded once for four rows.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from refot.arrays import Array

from .compile import elementwise, full_width, implements, variant
from .costs import DIRECT, PAIR_TERMS, TILE, Euclidean, Rows, unrolled

# Where the second, third and fourth row of a block start. They are constants, and unsigned, so that
# the compiler sees that rows do not overlap and that no index is negative.
_1, _2, _3 = np.uintp(TILE), np.uintp(2 * TILE), np.uintp(3 * TILE)


def _first_coordinates(term: Any, width: int) -> Any:
    """A compiled loop: t[r, j] = sum_k term(x[i + r, k], y[j, k]) over coordinates k < width."""

    @elementwise
    @variant(term, width)
    def loop(x: Array, y: Array, i: int, rows: int, tile: int, columns: int, t: Array) -> None:
        full_width()
        for r in range(rows):
            o = np.uintp(r) * _1
            for j in range(np.uintp(columns)):
                c = term(x[i + r, 0], y[tile, 0, j])
                for k in range(1, width):
                    c += term(x[i + r, k], y[tile, k, j])
                t[o + j] = c

    return loop


def _next_coordinates(term: Any, width: int) -> Any:
    """A compiled loop: t[r, j] += sum_k term(x[i + r, k], y[j, k]) over `width` coordinates from
    `start` on, for four rows at once."""

    @elementwise
    @variant(term, width)
    def loop(x: Array, y: Array, start: int, i: int, rows: int, tile: int, columns: int, t: Array
             ) -> None:
        full_width()
        last = x.shape[0] - 1  # is used in place of rows beyond it, whose results nobody reads
        for r in range(0, rows, 4):
            a, b = min(i + r, last), min(i + r + 1, last)
            c, d = min(i + r + 2, last), min(i + r + 3, last)
            o = np.uintp(r) * _1
            for j in range(np.uintp(columns)):
                t_a, t_b, t_c, t_d = t[o + j], t[o + _1 + j], t[o + _2 + j], t[o + _3 + j]
                for k in range(start, start + width):
                    y_j = y[tile, k, j]
                    t_a += term(x[a, k], y_j)
                    t_b += term(x[b, k], y_j)
                    t_c += term(x[c, k], y_j)
                    t_d += term(x[d, k], y_j)
                t[o + j], t[o + _1 + j], t[o + _2 + j], t[o + _3 + j] = t_a, t_b, t_c, t_d

    return loop


@functools.cache
def _sums(term: Any) -> dict[int, Any]:
    """The functions that fill a block with sum_k term(x_ik, y_jk), by the `unrolled` dimension d.
    The function of a d in DIRECT is one loop over d coordinates. The function of d = 0 is for any
    number of coordinates: one loop over the first 1 to 4, then one for each four of the others."""
    first = {width: _first_coordinates(term, width) for width in (1, 2, 3, 4)}
    first_1, first_2, first_3, first_4 = first.values()
    next_4 = _next_coordinates(term, 4)

    @elementwise
    @variant(term)
    def fill(x: Array, y: Array, i: int, rows: int, tile: int, columns: int, t: Array) -> None:
        d = x.shape[1]
        width = (d - 1) % 4 + 1
        if width == 1:
            first_1(x, y, i, rows, tile, columns, t)
        elif width == 2:
            first_2(x, y, i, rows, tile, columns, t)
        elif width == 3:
            first_3(x, y, i, rows, tile, columns, t)
        else:
            first_4(x, y, i, rows, tile, columns, t)
        for start in range(width, d, 4):
            next_4(x, y, start, i, rows, tile, columns, t)

    return {0: fill, **{d: first[d] for d in DIRECT}}


@elementwise
def _roots(t: Array) -> None:
    """t_j <- sqrt(t_j)."""
    full_width()
    for j in range(t.size):
        t[j] = math.sqrt(t[j])


@elementwise
def _copied_rows(C: Any, i: int, rows: int, tile: int, columns: int, t: Array) -> None:
    """`fill` for a cost that is a matrix: its entries are copied into t."""
    full_width()
    for r in range(rows):
        row, start = np.uintp(i + r), np.uintp(tile * TILE)
        for j in range(np.uintp(columns)):
            t[np.uintp(r) * _1 + j] = C.matrix[row, start + j]


def fill(C: Any, i: int, rows: int, tile: int, columns: int, t: Array) -> None:
    """t[r * TILE + j] = c(x_(i + r), y_(tile * TILE + j)) for r < rows and j < columns, without the
    factor `scale` of the cost."""
    raise NotImplementedError("compiled code only")


@implements(fill)
def _fill(C: Any, i: Any, rows: Any, tile: Any, columns: Any, t: Any) -> Any:
    if C.instance_class is Rows:
        return lambda C, i, rows, tile, columns, t: _copied_rows(C, i, rows, tile, columns, t)
    term, _ = PAIR_TERMS[C.instance_class]
    sums = _sums(term)[unrolled(C)]
    if C.instance_class is not Euclidean:
        return lambda C, i, rows, tile, columns, t: sums(C.x, C.y, i, rows, tile, columns, t)

    def distances(C: Any, i: Any, rows: Any, tile: Any, columns: Any, t: Any) -> None:
        sums(C.x, C.y, i, rows, tile, columns, t)
        _roots(t)

    return distances


def prepare(C: Any, i: int, rows: int, tile: int, columns: int, t: Array) -> None:
    """`fill`, but only for the kinds of operands whose function in `costs.costs_at` reads costs
    from the block t. For the others, whose function computes a cost or reads it from the caller's
    matrix, nothing is done."""
    raise NotImplementedError("compiled code only")


@implements(prepare)
def _prepare(C: Any, i: Any, rows: Any, tile: Any, columns: Any, t: Any) -> Any:
    if C.instance_class is Rows or unrolled(C):
        return lambda C, i, rows, tile, columns, t: None
    return lambda C, i, rows, tile, columns, t: fill(C, i, rows, tile, columns, t)
