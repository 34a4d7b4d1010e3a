"""A cost between points as a matrix, filled in place by all threads.

Costs come from differences x - y, so that nothing cancels. The backend forms matrices here from
DEAR_DIMENSION on (refot/costs/formed.py). In so many dimensions that takes about as long as the
matrix product of |x|^2 + |y|^2 - 2 x.y takes in BLAS on an idle machine. On a busy one BLAS takes
several times as long, because its threads busy-wait for each other.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refot.arrays import Array

from .blocks import fill
from .compile import Number, elementwise, full_width, kernel
from .costs import ROWS, TILE

_1 = np.uintp(TILE)


@elementwise
def _copy_out(t: Array, scale: Number, i: int, rows: int, tile: int, columns: int, out: Array
              ) -> None:
    """out[i + r, j] = scale * t[r, j], for the columns j of a tile."""
    full_width()
    for r in range(rows):
        o, row, start = np.uintp(r) * _1, np.uintp(i + r), np.uintp(tile) * _1
        for j in range(np.uintp(columns)):
            out[row, start + j] = scale * t[o + j]


@kernel
def form(C: Any, m: int, out: Array, i0: int, i1: int) -> None:
    """out_ij = C_ij for the rows i0 to i1, (n, m)."""
    t = np.empty(ROWS * TILE, out.dtype)
    for tile in range(-(-m // TILE)):
        columns = min(TILE, m - tile * TILE)
        for i in range(i0, i1, ROWS):
            rows = min(ROWS, i1 - i)
            fill(C, i, rows, tile, columns, t)
            _copy_out(t, C.scale, i, rows, tile, columns, out)
