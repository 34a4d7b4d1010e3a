"""The operations on the plan as Numba kernels: P_ij = exp((F_i + G_j - C_ij) / eps), never formed.

Each kernel goes through its rows, i0 to i1 - 1, and through the columns block by block, in three
steps: fill a block t with costs (`blocks.fill`); turn them into entries of the plan; add these up.

F = f + eps log a and G = g + eps log b are potentials with their weights, in cost units. With k =
log2(e) / eps, exp(t / eps) is computed as 2^(t k). Sums over a tile are in the dtype of the cost,
sums over tiles in float64. Arrays with one entry for each column, such as G, are laid out by tiles,
(tiles, TILE): see `costs`, which defines tiles and blocks. Row r of a block t starts at t[o] with o
= r TILE; its entries are written t[r, j]. m is the number of columns. A block holds costs c_ij
without the factor `scale` of the cost: C_ij = scale * c_ij. For points c_ij = c(x_i, y_j), and d1 c
is the derivative of c(x, y) in x.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refot.arrays import Array

from .blocks import fill
from .compile import Number, elementwise, full_width, kernel, reduction
from .costs import ROWS, TILE, gradient_term, gradient_weight
from .exponential import exp2_bounded

_1 = np.uintp(TILE)

TOGETHER = 4
"""Rows whose gradients are summed together."""


# ------------------------------------------------------------------ the plan times a matrix
@elementwise
def entry(F_i: Number, G_j: Number, c: Number, scale: Number, k: Number) -> Number:
    """P_ij = exp((F_i + G_j - C_ij) / eps), C_ij = scale * c."""
    return exp2_bounded((F_i + G_j) - scale * c, k)


@elementwise
def _entries(F: Array, G: Array, scale: Number, k: Number, i: int, rows: int, tile: int,
             columns: int, t: Array) -> None:
    """t[r, j] <- P_(i + r)j, where t held the costs c_(i + r)j."""
    full_width()
    for r in range(rows):
        o = np.uintp(r) * _1
        for j in range(np.uintp(columns)):
            t[o + j] = entry(F[i + r], G[tile, j], t[o + j], scale, k)


@elementwise
def _plan_block(C: Any, F: Array, G: Array, k: Number, i: int, rows: int, tile: int, columns: int,
                t: Array) -> None:
    """t[r, j] = P_(i + r)j for `rows` rows and the columns j of a tile."""
    fill(C, i, rows, tile, columns, t)
    _entries(F, G, C.scale, k, i, rows, tile, columns, t)


@reduction
def _product(t: Array, V: Array, i: int, rows: int, tile: int, columns: int, out: Array) -> None:
    """out[i + r, v] += sum_j t[r, j] V_jv, for each column v of V."""
    full_width()
    for r in range(rows):
        o = np.uintp(r) * _1
        for v in range(V.shape[1]):
            total = t.dtype.type(0)
            for j in range(np.uintp(columns)):
                total += t[o + j] * V[tile, v, j]
            out[i + r, v] += total


@kernel
def plan_apply(C: Any, F: Array, G: Array, m: int, k: Number, V: Array, out: Array, i0: int, i1: int
               ) -> None:
    """out (n, columns of V), in float64, += P @ V for the rows i0 to i1 - 1; V by tiles."""
    t = np.empty(ROWS * TILE, F.dtype)
    for tile in range(G.shape[0]):
        columns = min(TILE, m - tile * TILE)
        for i in range(i0, i1, ROWS):
            rows = min(ROWS, i1 - i)
            _plan_block(C, F, G, k, i, rows, tile, columns, t)
            _product(t, V, i, rows, tile, columns, out)


# ------------------------------------------------------------------ both marginals of the plan
@reduction
def _row_sum(t: Array, r: int, columns: int) -> Number:
    """sum_j t[r, j]."""
    full_width()
    o, total = np.uintp(r) * _1, t.dtype.type(0)
    for j in range(np.uintp(columns)):
        total += t[o + j]
    return total


@elementwise
def _add_rows(t: Array, rows: int, tile: int, columns: int, sums: Array) -> None:
    """sums[tile, j] += sum_r t[r, j]."""
    full_width()
    start = np.uintp(tile) * _1
    for r in range(rows):
        o = np.uintp(r) * _1
        for j in range(np.uintp(columns)):
            sums[start + j] += t[o + j]


@kernel
def marginals(C: Any, F: Array, G: Array, m: int, k: Number, row_sums: Array, i0: int, i1: int
              ) -> Array:
    """Add (P 1)_i to row_sums for the rows i0 to i1 - 1, and return the sum of these rows of P,
    their part of P'1, (m,)."""
    t, column_sums = np.empty(ROWS * TILE, F.dtype), np.zeros(m)
    for i in range(i0, i1, ROWS):
        rows = min(ROWS, i1 - i)
        for tile in range(G.shape[0]):
            columns = min(TILE, m - tile * TILE)
            _plan_block(C, F, G, k, i, rows, tile, columns, t)
            _add_rows(t, rows, tile, columns, column_sums)
            for r in range(rows):
                row_sums[i + r] += _row_sum(t, r, columns)
    return column_sums


# ------------------------------------------------------------------ the cost of the plan
@reduction
def _row_cost(F_i: Number, G: Array, scale: Number, k: Number, r: int, tile: int, columns: int,
              t: Array) -> Number:
    """sum_j P_ij c_ij for row r of a block t of costs c, which lack the factor `scale`. A forbidden
    pair, with P_ij = 0 and c_ij = inf, adds 0."""
    full_width()
    o = np.uintp(r) * _1
    total, none = t.dtype.type(0), t.dtype.type(0)
    for j in range(np.uintp(columns)):
        P_ij = entry(F_i, G[tile, j], t[o + j], scale, k)
        total += P_ij * (t[o + j] if P_ij > none else none)
    return total


@kernel
def plan_cost(C: Any, F: Array, G: Array, m: int, k: Number, i0: int, i1: int) -> float:
    """sum_ij P_ij C_ij over the rows i0 to i1 - 1."""
    t, total = np.empty(ROWS * TILE, F.dtype), 0.0
    for tile in range(G.shape[0]):
        columns = min(TILE, m - tile * TILE)
        for i in range(i0, i1, ROWS):
            rows = min(ROWS, i1 - i)
            fill(C, i, rows, tile, columns, t)
            for r in range(rows):
                total += _row_cost(F[i + r], G, C.scale, k, r, tile, columns, t)
    return float(C.scale * total)


# ------------------------------------------------------------------ the gradient of that cost
@elementwise
def _weights(C: Any, F: Array, G: Array, k: Number, i: int, rows: int, tile: int, columns: int,
             t: Array) -> None:
    """t[r, j] <- the `gradient_weight` of P_(i + r)j, where t held the costs c_(i + r)j."""
    full_width()
    for r in range(rows):
        o = np.uintp(r) * _1
        for j in range(np.uintp(columns)):
            P_ij = entry(F[i + r], G[tile, j], t[o + j], C.scale, k)
            t[o + j] = gradient_weight(C, P_ij, t[o + j])


@reduction
def _gradient_sums(C: Any, i: int, r_0: int, r_1: int, r_2: int, r_3: int, c: int, tile: int,
                   columns: int, t: Array) -> tuple[Number, Number, Number, Number]:
    """Coordinate c of sum_j P_ij d1 c(x_i, y_j) over a tile for four rows i + r, from the weights
    t[r, j]. Each y is loaded once for all four."""
    full_width()
    o_0, o_1, o_2, o_3 = (np.uintp(r_0) * _1, np.uintp(r_1) * _1, np.uintp(r_2) * _1,
                          np.uintp(r_3) * _1)
    x_0, x_1, x_2, x_3 = C.x[i + r_0, c], C.x[i + r_1, c], C.x[i + r_2, c], C.x[i + r_3, c]
    none = t.dtype.type(0)
    s_0, s_1, s_2, s_3 = none, none, none, none
    for j in range(np.uintp(columns)):
        y_j = C.y[tile, c, j]
        s_0 += gradient_term(C, t[o_0 + j], x_0, y_j)
        s_1 += gradient_term(C, t[o_1 + j], x_1, y_j)
        s_2 += gradient_term(C, t[o_2 + j], x_2, y_j)
        s_3 += gradient_term(C, t[o_3 + j], x_3, y_j)
    return s_0, s_1, s_2, s_3


@elementwise
def _add_gradient(C: Any, i: int, rows: int, tile: int, columns: int, t: Array, out: Array) -> None:
    """out[i + r, axis] += the coordinate `axis` of sum_j P_ij d1 c(x_i, y_j), from the weights
    t[r, j] that `_weights` has left; TOGETHER rows at a time, the last one repeated in place of
    those that are missing."""
    last = rows - 1
    for r in range(0, rows, TOGETHER):
        r_1, r_2, r_3 = min(r + 1, last), min(r + 2, last), min(r + 3, last)
        for axis in range(C.x.shape[1]):
            sums = _gradient_sums(C, i, r, r_1, r_2, r_3, axis, tile, columns, t)
            out[i + r, axis] += sums[0]
            if r + 1 <= last:
                out[i + r_1, axis] += sums[1]
            if r + 2 <= last:
                out[i + r_2, axis] += sums[2]
            if r + 3 <= last:
                out[i + r_3, axis] += sums[3]


@kernel
def plan_cost_gradient(C: Any, F: Array, G: Array, m: int, k: Number, out: Array, i0: int, i1: int
                       ) -> None:
    """out (n, d), in float64, += sum_j P_ij d1 c(x_i, y_j) for the rows i0 to i1 - 1, without the
    factor `scale` of the cost."""
    t = np.empty(ROWS * TILE, F.dtype)
    for tile in range(G.shape[0]):
        columns = min(TILE, m - tile * TILE)
        for i in range(i0, i1, ROWS):
            rows = min(ROWS, i1 - i)
            fill(C, i, rows, tile, columns, t)
            _weights(C, F, G, k, i, rows, tile, columns, t)
            _add_gradient(C, i, rows, tile, columns, t, out)
