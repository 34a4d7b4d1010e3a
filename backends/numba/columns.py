"""softmin and plan_apply for a transposed matrix: C_ij = M_ji with M (m, n) row-major, as it lies.

A row of C is a column of M, so the sums run down the columns of M. A vector register holds
neighbouring columns, whose sums do not depend on each other, and M is read along its rows, DEPTH of
them at a time. As in `plan`, sums over a chunk of rows are in the dtype of the cost, sums over
chunks in float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refot.arrays import Array

from .compile import elementwise, full_width, kernel, larger, reduction
from .exponential import exp2_scaled
from .plan import entry

DEPTH = 16
"""Rows of M in a chunk."""

WIDTH = 512
"""Columns of M in a chunk at most: 64 KiB in float64."""


@elementwise
def _exponents(M: Any, h: Any, j0: Any, i0: Any, t: Any, top: Any) -> None:
    """t[r, l] = h_j - M_ji for j = j0 + r, i = i0 + l; top[l] is raised to the largest of column
    l."""
    full_width()
    for r in range(t.shape[0]):
        j = np.uintp(j0 + r)
        i = np.uintp(i0)
        for l in range(np.uintp(top.size)):
            t[r, l] = h[j] - M[j, i + l]
            top[l] = larger(top[l], t[r, l])


@elementwise
def term(t: Any, shift: Any, k: Any) -> Any:
    """exp((t - shift) / eps) for shift >= t."""
    return exp2_scaled(t - shift, k)


@reduction
def _growth(top: Any, shift: Any) -> Any:
    """By how much the largest exponents exceed the shifts at most; 0 where none does."""
    full_width()
    growth = top.dtype.type(0)
    for l in range(top.size):
        growth = larger(growth, top[l] - shift[l])
    return growth


@elementwise
def _rescale(top: Any, k: Any, shift: Any, total: Any) -> None:
    """Make the largest exponent so far the shift of each column: total[l] is then in units of its
    largest term, and no later term overflows."""
    full_width()
    for l in range(top.size):
        total[l] *= exp2_scaled(shift[l] - top[l], k)
        shift[l] = top[l]


@elementwise
def _add_terms(t: Any, shift: Any, k: Any, part: Any, total: Any) -> None:
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
def softmin_columns(M: Array, h: Array, eps: float, k: Any, out: Array, i0: int, i1: int) -> None:
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
def _entries(M: Any, F: Any, G: Any, k: Any, j0: Any, i0: Any, t: Any) -> None:
    """t[r, l] = P_ij, i = i0 + l, j = j0 + r."""
    full_width()
    one = t.dtype.type(1)
    for r in range(t.shape[0]):
        j = np.uintp(j0 + r)
        i = np.uintp(i0)
        for l in range(np.uintp(t.shape[1])):
            t[r, l] = entry(F[i + l], G[j], M[j, i + l], one, k)


@elementwise
def _add_products(t: Any, V: Any, j0: Any, c: Any, part: Any, total: Any) -> None:
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
def plan_apply_columns(M: Array, F: Array, G: Array, k: Any, V: Array, out: Array, i0: int,
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
