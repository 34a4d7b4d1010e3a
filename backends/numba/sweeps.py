"""The kernel K = exp((f + g - C) / eps) with absorbed potentials, and an iteration of G-7 with it.

G = Genevay, Peyré, Cuturi 2018. An iteration needs K v, then K'u for a u that depends on K v. But
(K v)_i depends on row i of K alone, and gives u_i. So row i can be added to K'u at once, while it
is in the cache, and K is read from memory once, not twice. K may be in float32, which halves its
memory; sums are in float64. k = log2(e) / eps; tiles and blocks are those of `costs`. Row r of a
block t starts at t[o] with o = r TILE.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refot.arrays import Array

from .blocks import fill
from .compile import Number, elementwise, full_width, kernel, larger, reduction
from .costs import ROWS, TILE
from .plan import entry

_1 = np.uintp(TILE)

TOGETHER = 4
"""Rows of K that are summed together: v and the sums of the columns are read once for all four."""


# ------------------------------------------------------------------ the kernel
@elementwise
def _store(f: Array, g: Array, scale: Number, k: Number, i: int, rows: int, tile: int, columns: int,
           t: Array, least: Number, K: Array) -> None:
    """Write K[i + r, j] for the columns j of a tile, from the costs t[r, j]."""
    full_width()
    for r in range(rows):
        o, row, start = np.uintp(r) * _1, np.uintp(i + r), np.uintp(tile) * _1
        for j in range(np.uintp(columns)):
            K[row, start + j] = larger(entry(f[row], g[tile, j], t[o + j], scale, k), least)


@kernel
def gibbs(C: Any, f: Array, g: Array, m: int, k: Number, least: Number, K: Array, i0: int, i1: int
          ) -> None:
    """K_ij = max(exp((f_i + g_j - C_ij) / eps), least) for the rows i0 to i1 - 1; g by tiles."""
    t = np.empty(ROWS * TILE, f.dtype)
    for i in range(i0, i1, ROWS):
        rows = min(ROWS, i1 - i)
        for tile in range(g.shape[0]):
            columns = min(TILE, m - tile * TILE)
            fill(C, i, rows, tile, columns, t)
            _store(f, g, C.scale, k, i, rows, tile, columns, t, least, K)


# ------------------------------------------------------------------ an iteration
@elementwise
def _over_power(s: float, r: float, w: float) -> Number:
    """s / r^w."""
    if w == 1:  # w is nearly always 1 or -1, and a power takes far longer than a product
        return s / r
    return s * r if w == -1 else s * r ** -w


@reduction
def row_sums(K: Array, v: Array, i_0: Any, i_1: Any, i_2: Any, i_3: Any) -> Any:
    """(K v)_i for the four rows i = i_0, ..., i_3."""
    full_width()
    r_0, r_1, r_2, r_3 = 0.0, 0.0, 0.0, 0.0
    for j in range(np.uintp(v.size)):
        v_j = v[j]
        r_0 += np.float64(K[i_0, j]) * v_j
        r_1 += np.float64(K[i_1, j]) * v_j
        r_2 += np.float64(K[i_2, j]) * v_j
        r_3 += np.float64(K[i_3, j]) * v_j
    return r_0, r_1, r_2, r_3


@reduction
def add_rows(K: Array, i_0: Any, i_1: Any, i_2: Any, i_3: Any, u_0: float, u_1: float, u_2: float,
             u_3: float, c: Array) -> None:
    """c_j += u_0 K_(i_0)j + u_1 K_(i_1)j + u_2 K_(i_2)j + u_3 K_(i_3)j for all columns j."""
    full_width()
    for j in range(np.uintp(c.size)):
        c[j] += ((u_0 * np.float64(K[i_0, j]) + u_1 * np.float64(K[i_1, j]))
                 + (u_2 * np.float64(K[i_2, j]) + u_3 * np.float64(K[i_3, j])))


@kernel
def sweep(K: Array, v: Array, s: Array, w: float, r: Array, i0: int, i1: int) -> Array:
    """r = K v for the rows i0 to i1 - 1; returns the part of K'u from these rows, (m,), where
    u = s / r^w."""
    c, last = np.zeros(v.size), i1 - 1
    for i in range(i0, i1, TOGETHER):
        # The last row, with the weight u = 0, stands for rows beyond it.
        i_0, i_1 = np.uintp(i), np.uintp(min(i + 1, last))
        i_2, i_3 = np.uintp(min(i + 2, last)), np.uintp(min(i + 3, last))
        r[i_0], r[i_1], r[i_2], r[i_3] = row_sums(K, v, i_0, i_1, i_2, i_3)
        u_0 = _over_power(s[i_0], r[i_0], w)
        u_1 = _over_power(s[i_1], r[i_1], w) if i + 1 <= last else 0.0
        u_2 = _over_power(s[i_2], r[i_2], w) if i + 2 <= last else 0.0
        u_3 = _over_power(s[i_3], r[i_3], w) if i + 3 <= last else 0.0
        add_rows(K, i_0, i_1, i_2, i_3, u_0, u_1, u_2, u_3, c)
    return c


@elementwise
def add_sparse_rows(values: Array, columns: Array, starts: Array, v: Array, s: Array, w: float,
                    r: Array, i0: int, i1: int, c: Array) -> None:
    """r = K v for the rows i0 to i1 - 1 of a sparse K (`values`, `columns`, `starts` are its
    `Entries`); add to c the part of K'u from these rows, u = s / r^w."""
    for i in range(i0, i1):
        total = 0.0
        for k in range(np.uintp(starts[i]), np.uintp(starts[i + 1])):
            total += values[k] * v[np.uintp(columns[k])]
        r[i] = total
        u = _over_power(s[i], total, w)
        for k in range(np.uintp(starts[i]), np.uintp(starts[i + 1])):
            c[np.uintp(columns[k])] += u * values[k]


@kernel
def sparse_sweep(values: Array, columns: Array, starts: Array, v: Array, s: Array, w: float,
                 r: Array, i0: int, i1: int) -> Array:
    """`sweep` for a sparse K, given as its `Entries`."""
    c = np.zeros(v.size)
    add_sparse_rows(values, columns, starts, v, s, w, r, i0, i1, c)
    return c
