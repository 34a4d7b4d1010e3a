"""softmin and plan_apply for a transposed matrix: C_ij = M_ji with M (m, n) row-major in memory.

A row of C is a column of M, so the sums run down the columns of M. A vector register holds
neighbouring columns, whose sums do not depend on each other, and M is read along its rows, one
chunk after another: DEPTH rows by at most WIDTH columns. As in `plan`, sums over a chunk are in the
dtype of the cost, sums over chunks in float64. k = log2(e) / eps, and exp(t / eps) is computed as
2^(k t). A chunk begins at row j0 and column i0 of M; r and l count its rows and columns from there.
"""

from __future__ import annotations

import math

import numpy as np

from refot.arrays import Array

from .compile import Number, elementwise, full_width, kernel, larger, reduction
from .exponential import exp2_scaled
from .plan import entry

DEPTH = 16
"""Rows of M in a chunk."""

WIDTH = 512
"""The largest number of columns of M in a chunk, which then takes 64 KiB in float64."""


@elementwise
def _exponents(M: Array, h: Array, j0: int, i0: int, t: Array, top: Array) -> None:
    """t[r, l] = h_j - M_ji for j = j0 + r, i = i0 + l; top[l] is raised to the largest exponent of
    column l."""
    full_width()
    for r in range(t.shape[0]):
        j = np.uintp(j0 + r)
        i = np.uintp(i0)
        for l in range(np.uintp(top.size)):
            t[r, l] = h[j] - M[j, i + l]
            top[l] = larger(top[l], t[r, l])


@elementwise
def term(t: Number, shift: Number, k: Number) -> Number:
    """exp((t - shift) / eps) for shift >= t."""
    return exp2_scaled(t - shift, k)


@reduction
def _growth(top: Array, shift: Array) -> Number:
    """The largest of top[l] - shift[l] over the columns l, where top[l] is the largest exponent of
    the column so far; 0 if all of them are negative."""
    full_width()
    growth = top.dtype.type(0)
    for l in range(top.size):
        growth = larger(growth, top[l] - shift[l])
    return growth


@elementwise
def _rescale(top: Array, k: Number, shift: Array, total: Array) -> None:
    """Make the largest exponent so far, top[l], the shift of each column, so that no term of this
    chunk overflows, and rescale total[l], which is in units of exp(shift[l] / eps)."""
    full_width()
    for l in range(top.size):
        total[l] *= exp2_scaled(shift[l] - top[l], k)
        shift[l] = top[l]


@elementwise
def _add_terms(t: Array, shift: Array, k: Number, part: Array, total: Array) -> None:
    """total[l] += sum_r 2^((t[r, l] - shift[l]) k)."""
    full_width()
    for l in range(part.size):
        part[l] = term(t[0, l], shift[l], k)
    for r in range(1, t.shape[0]):
        for l in range(part.size):
            part[l] += term(t[r, l], shift[l], k)
    for l in range(part.size):
        total[l] += part[l]


@kernel
def softmin_columns(M: Array, h: Array, eps: float, k: Number, out: Array, i0: int, i1: int
                    ) -> None:
    """out_i = -eps log sum_j exp((h_j - M_ji) / eps) for columns i0 to i1 of M."""
    width = i1 - i0
    t, part = np.empty((DEPTH, width), M.dtype), np.empty(width, M.dtype)
    shift, total = np.full(width, -np.finfo(M.dtype).max, M.dtype), np.zeros(width)
    top = shift.copy()
    for j0 in range(0, h.size, DEPTH):
        chunk = t[:min(DEPTH, h.size - j0)]
        _exponents(M, h, j0, i0, chunk, top)
        if _growth(top, shift) > 0:
            _rescale(top, k, shift, total)
        _add_terms(chunk, shift, k, part, total)
    for l in range(width):
        out[i0 + l] = -(shift[l] + eps * math.log(total[l]))


@elementwise
def _entries(M: Array, F: Array, G: Array, k: Number, j0: int, i0: int, t: Array) -> None:
    """t[r, l] = P_ij, i = i0 + l, j = j0 + r."""
    full_width()
    one = t.dtype.type(1)
    for r in range(t.shape[0]):
        j = np.uintp(j0 + r)
        i = np.uintp(i0)
        for l in range(np.uintp(t.shape[1])):
            t[r, l] = entry(F[i + l], G[j], M[j, i + l], one, k)


@elementwise
def _add_products(t: Array, V: Array, j0: int, c: int, part: Array, total: Array) -> None:
    """total[c, l] += sum_r t[r, l] V[j0 + r, c]."""
    full_width()
    for l in range(part.size):
        part[l] = t[0, l] * V[j0, c]
    for r in range(1, t.shape[0]):
        for l in range(part.size):
            part[l] += t[r, l] * V[j0 + r, c]
    for l in range(part.size):
        total[c, l] += part[l]


@kernel
def plan_apply_columns(M: Array, F: Array, G: Array, k: Number, V: Array, out: Array, i0: int,
                       i1: int) -> None:
    """out_i = (P @ V)_i for i0 <= i < i1, P_ij = exp((F_i + G_j - M_ji) / eps); V row-major."""
    width = i1 - i0
    t, part = np.empty((DEPTH, width), M.dtype), np.empty(width, M.dtype)
    total = np.zeros((V.shape[1], width))
    for j0 in range(0, G.size, DEPTH):
        chunk = t[:min(DEPTH, G.size - j0)]
        _entries(M, F, G, k, j0, i0, chunk)
        for c in range(V.shape[1]):
            _add_products(chunk, V, j0, c, part, total)
    for l in range(width):
        for c in range(V.shape[1]):
            out[i0 + l, c] = total[c, l]
