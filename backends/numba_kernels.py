"""The fused operations as Numba kernels: P_ij = exp((F_i + G_j - C_ij) / eps), never formed.

Each kernel runs over blocks of rows in parallel; a block goes through the columns tile by tile:
fill t with costs (`numba_costs`), turn them into exponents or plan entries, add up along the row.
With k = log2(e) / eps, exp(t / eps) = 2^(t k): t stays in cost units until the exponential, so that
a shift by the largest term is exact where it matters. Sums over a tile are in the dtype of the
cost, sums over tiles in float64. A row vector is laid out by tiles, (tiles, TILE).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange

from refot.arrays import Array

from .numba_costs import ROWS, TILE, fill, gradient_along, gradient_weight
from .numba_exponential import exp2_bounded, exp2_scaled
from .numba_vectors import elementwise, full_width, kernel, larger, reduction

BLOCK = 64
"""Rows that one thread takes at a time; their y tiles stay in its cache."""

_1 = np.uintp(TILE)


# ------------------------------------------------------------------ softmin
@elementwise
def _exponents(h: Any, scale: Any, tile: Any, rows: Any, columns: Any, t: Any, top: Any) -> None:
    """t[r, j] = h_j - C_ij in place of c_ij, and top[r] = max_j t[r, j]."""
    full_width()
    for r in range(rows):
        largest = -np.finfo(t.dtype).max
        o = np.uintp(r) * _1
        for j in range(np.uintp(columns)):
            exponent = h[tile, j] - scale * t[o + j]
            t[o + j] = exponent
            largest = larger(largest, exponent)
        top[r] = largest


@elementwise
def term(t: Any, shift: Any, k: Any) -> Any:
    """exp((t - shift) / eps) for shift >= t."""
    return exp2_scaled(t - shift, k)


@reduction
def _row_sum(t: Any, r: Any, columns: Any, shift: Any, k: Any) -> Any:
    """sum_j 2^((t[r, j] - shift) k), where no t[r, j] exceeds shift."""
    full_width()
    o = np.uintp(r) * _1
    total = t.dtype.type(0)
    for j in range(np.uintp(columns)):
        total += term(t[o + j], shift, k)
    return total


@elementwise
def _softmin_rows(C: Any, h: Any, m: Any, eps: Any, k: Any, cut: Any, i0: Any, i1: Any,
                  out: Any) -> None:
    """The softmin of rows i0 to i1: shift[i] is the largest exponent so far, total[i] the sum of
    the terms so far divided by the largest, rescaled whenever that grows."""
    t, top = np.empty(ROWS * TILE, h.dtype), np.empty(ROWS, h.dtype)
    shift, total = np.full(i1 - i0, -np.finfo(h.dtype).max, h.dtype), np.zeros(i1 - i0)
    for tile in range(h.shape[0]):
        columns = min(TILE, m - tile * TILE)
        for i in range(i0, i1, ROWS):
            rows = min(ROWS, i1 - i)
            fill(C, i, rows, tile, columns, t)
            _exponents(h, C.scale, tile, rows, columns, t, top)
            for r in range(rows):
                b = i - i0 + r
                if top[r] > shift[b]:
                    total[b] *= math.exp((shift[b] - top[r]) / eps)
                    shift[b] = top[r]
                if not (top[r] - shift[b]) * k < cut:
                    total[b] += _row_sum(t, r, columns, shift[b], k)
    for b in range(i1 - i0):
        out[i0 + b] = -(shift[b] + eps * math.log(total[b]))


@kernel
def softmin(C: Any, h: Array, m: int, eps: float, k: Any, cut: Any, size: int, out: Array) -> None:
    """out_i = -eps log sum_j exp((h_j - C_ij) / eps), (n,). A tile whose every term is below 2^cut
    times the largest so far of its row is left out."""
    n = out.size
    for b in prange((n + size - 1) // size):
        _softmin_rows(C, h, m, eps, k, cut, b * size, min(b * size + size, n), out)


# ------------------------------------------------------------------ the plan times a matrix
@elementwise
def entry(F_i: Any, G_j: Any, c: Any, scale: Any, k: Any) -> Any:
    """P_ij = exp((F_i + G_j - C_ij) / eps), C_ij = scale * c."""
    return exp2_bounded((F_i + G_j) - scale * c, k)


@elementwise
def _entries(F: Any, G: Any, scale: Any, k: Any, i: Any, rows: Any, tile: Any, columns: Any,
             t: Any) -> None:
    """t[r, j] = P_ij in place of c_ij."""
    full_width()
    for r in range(rows):
        o = np.uintp(r) * _1
        for j in range(np.uintp(columns)):
            t[o + j] = entry(F[i + r], G[tile, j], t[o + j], scale, k)


@reduction
def _product(t: Any, V: Any, i: Any, rows: Any, tile: Any, columns: Any, out: Any) -> None:
    """out[i + r, c] += sum_j t[r, j] V_jc."""
    full_width()
    for r in range(rows):
        o = np.uintp(r) * _1
        for c in range(V.shape[1]):
            total = t.dtype.type(0)
            for j in range(np.uintp(columns)):
                total += t[o + j] * V[tile, c, j]
            out[i + r, c] += total


@elementwise
def _plan_apply_rows(C: Any, F: Any, G: Any, m: Any, k: Any, V: Any, i0: Any, i1: Any,
                     out: Any) -> None:
    t = np.empty(ROWS * TILE, F.dtype)
    for tile in range(G.shape[0]):
        columns = min(TILE, m - tile * TILE)
        for i in range(i0, i1, ROWS):
            rows = min(ROWS, i1 - i)
            fill(C, i, rows, tile, columns, t)
            _entries(F, G, C.scale, k, i, rows, tile, columns, t)
            _product(t, V, i, rows, tile, columns, out)


@kernel
def plan_apply(C: Any, F: Array, G: Array, m: int, k: Any, V: Array, size: int, out: Array) -> None:
    """out += P @ V, (n, k) in float64; V by tiles."""
    n = out.shape[0]
    for b in prange((n + size - 1) // size):
        _plan_apply_rows(C, F, G, m, k, V, b * size, min(b * size + size, n), out)


# ------------------------------------------------------------------ the cost of the plan
@reduction
def _row_cost(F_i: Any, G: Any, scale: Any, k: Any, r: Any, tile: Any, columns: Any, t: Any) -> Any:
    """sum_j P_ij c_ij for the row r of a block of costs c; unscaled."""
    full_width()
    o = np.uintp(r) * _1
    total = t.dtype.type(0)
    for j in range(np.uintp(columns)):
        total += entry(F_i, G[tile, j], t[o + j], scale, k) * t[o + j]
    return total


@elementwise
def _plan_cost_rows(C: Any, F: Any, G: Any, m: Any, k: Any, i0: Any, i1: Any) -> Any:
    t, total = np.empty(ROWS * TILE, F.dtype), 0.0
    for tile in range(G.shape[0]):
        columns = min(TILE, m - tile * TILE)
        for i in range(i0, i1, ROWS):
            rows = min(ROWS, i1 - i)
            fill(C, i, rows, tile, columns, t)
            for r in range(rows):
                total += _row_cost(F[i + r], G, C.scale, k, r, tile, columns, t)
    return C.scale * total


@kernel
def plan_cost(C: Any, F: Array, G: Array, m: int, k: Any, size: int, out: Array) -> None:
    """out[b] = sum_ij P_ij C_ij over the rows i of block b."""
    n = F.size
    for b in prange(out.size):
        out[b] = _plan_cost_rows(C, F, G, m, k, b * size, min(b * size + size, n))


# ------------------------------------------------------------------ its gradient in the points
@elementwise
def _weights(C: Any, F: Any, G: Any, k: Any, i: Any, rows: Any, tile: Any, columns: Any,
             t: Any) -> None:
    """t[r, j] = P_ij times what the ground cost's gradient multiplies, in place of c_ij."""
    full_width()
    for r in range(rows):
        o = np.uintp(r) * _1
        for j in range(np.uintp(columns)):
            P_ij = entry(F[i + r], G[tile, j], t[o + j], C.scale, k)
            t[o + j] = gradient_weight(C, P_ij, t[o + j])


@reduction
def _pull(C: Any, i: Any, rows: Any, tile: Any, columns: Any, t: Any, out: Any) -> None:
    """out[i + r, c] += sum_j of the weights t[r, j] along x_ic - y_jc."""
    full_width()
    for r in range(rows):
        o = np.uintp(r) * _1
        for c in range(C.x.shape[1]):
            total = t.dtype.type(0)
            for j in range(np.uintp(columns)):
                total += gradient_along(C, t[o + j], C.x[i + r, c] - C.y[tile, c, j])
            out[i + r, c] += total


@elementwise
def _gradient_rows(C: Any, F: Any, G: Any, m: Any, k: Any, i0: Any, i1: Any, out: Any) -> None:
    t = np.empty(ROWS * TILE, F.dtype)
    for tile in range(G.shape[0]):
        columns = min(TILE, m - tile * TILE)
        for i in range(i0, i1, ROWS):
            rows = min(ROWS, i1 - i)
            fill(C, i, rows, tile, columns, t)
            _weights(C, F, G, k, i, rows, tile, columns, t)
            _pull(C, i, rows, tile, columns, t, out)


@kernel
def plan_cost_gradient(C: Any, F: Array, G: Array, m: int, k: Any, size: int, out: Array) -> None:
    """out += sum_j P_ij d1 c(x_i, y_j), (n, d) in float64; unscaled."""
    n = out.shape[0]
    for b in prange((n + size - 1) // size):
        _gradient_rows(C, F, G, m, k, b * size, min(b * size + size, n), out)
