"""softmin and P @ V over points in order: by groups, each pair of them in the cheapest way.

The exponents between a group A of rows and a group B of columns are a part of the row, one of the
column, and what couples them (`groups`). Where their largest is more than `cut` below what
each row of A already has, B is left out: with cut = log2(m / share), all that is left out is less
than the share of the row's sum. Where the coupling is short, exp of it is a sum of products
(`series`). Else term by term.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from refot.arrays import Array
from refot.backends.numba.compile import (
    elementwise,
    full_width,
    implements,
    kernel,
    larger,
    reduction,
    variant,
)
from refot.backends.numba.costs import DIRECT, TILE, costs_at, unrolled
from refot.backends.numba.exponential import exp2_about, exp2_bounded
from refot.backends.numba.plan import entry
from refot.backends.numba.softmin import Range, finish, take

from .groups import LOG2_E, Groups, Pair, between, curvature, exponents, highest, tangent, visits
from .series import AXES, CHUNK, TERMS, Series, moments, polynomial, terms


class Pass(NamedTuple):
    """What a pass over all pairs of groups goes by: the groups of both sides, series of up to
    `most` terms, the `cut`, and `tangents` of the levels of the columns."""

    rows: Groups
    columns: Groups
    series: Series
    most: int
    cut: Any
    height: Array
    slope: Array


@elementwise
def _terms_to_take(C: Any, by: Any, A: Any, B: Any, ks: Any, pair: Any, near: Any, height_A: Any,
                   slope_A: Any) -> Any:
    """(p, base, rho) for groups A and B, with the number p of terms of the series between them.

    p > by.most means that the pair is taken entry by entry; p = 0, that B is far and left out,
    which is not asked of a group that is `near`. base = ks c(D) and the coupling rho are those of
    `between`."""
    base, rho, parts = between(C, by.rows, by.columns, A, B, ks, pair)
    if not near and highest(pair, base, height_A, slope_A, by.height[B], by.slope[B]) < -by.cut:
        return 0, base, rho
    return terms(by.series.reach, rho, parts), base, rho


@elementwise
def _scratch(number: Any) -> Any:
    """A Pair, y and M of `moments`, to be filled."""
    dtype = number.dtype
    pair = Pair(np.empty(AXES, dtype), np.empty(AXES, dtype), np.empty(AXES, dtype),
                np.empty(AXES, dtype), np.empty(AXES, dtype))
    runs = TERMS * (TERMS + 1) // 2
    return pair, np.empty((AXES, TERMS + CHUNK), dtype), np.empty((runs, TERMS + CHUNK), dtype)


# ------------------------------------------------------------------ softmin
@elementwise
def _powers(v: Any, size: Any, s: Any, t: Any) -> None:
    """t[0, l] = 2^(v_l - s)."""
    full_width()
    for l in range(np.uintp(size)):
        t[0, l] = exp2_about(v[l], s)


@elementwise
def _raise_shifts(v: Any, s: Any, span: Any, shift: Any, total: Any) -> None:
    """Shifts of rows that 2^(v_l + s) would exceed by more than the span, and those not set yet."""
    for l in range(total.size):
        if not v[l] + s - shift[l] <= span:
            higher = np.rint(v[l] + s)
            if total[l] > 0:
                total[l] *= 2.0 ** np.float64(shift[l] - higher)
            shift[l] = higher


@elementwise
def _add(S: Any, v: Any, s: Any, low: Any, shift: Any, top: Any, total: Any) -> None:
    """total_l += S[0, l] 2^(v_l + s), in units of 2^shift_l; top_l is at least v_l + low."""
    full_width()
    for l in range(total.size):
        total[l] += S[0, l] * exp2_about(v[l] + s, shift[l])
        top[l] = larger(top[l], v[l] + low)


@kernel
def softmin_sorted(C: Any, h: Array, m: int, ks: Any, eps: float, allowed: Range, guess: Array,
                   by: Pass, out: Array, i0: int, i1: int) -> None:
    """The kernel `softmin` over points in order. i0 is a multiple of the size of the groups, which
    is a power of two."""
    rows, columns, size, dtype = by.rows, by.columns, by.rows.size, h.dtype
    none = 2 * allowed.limit  # such exponents are as good as -inf
    pair, y, M = _scratch(h)
    t, S, slope_A = np.empty((3, size), dtype), np.empty((3, size), dtype), np.empty(AXES, dtype)
    v_rows, v_columns, zero = np.empty(size, dtype), np.empty(size, dtype), np.zeros(size, dtype)
    expected, order = np.empty(by.height.size, dtype), np.empty(by.height.size, np.intp)
    flat, q_ks, span, height_A = h.reshape(h.size), curvature(C) * ks, allowed.span, dtype.type(0)
    for start in range(i0, i1, size):
        A, n_A = start // size, min(size, i1 - start)
        shift, total, part = guess[start:start + n_A].copy(), np.zeros(n_A), np.empty(n_A, dtype)
        top = np.full(n_A, -np.finfo(dtype).max, dtype)
        first = visits(C, rows, columns, A, ks, by.height, pair, expected, order)
        for step in range(order.size):
            if step == first:
                height_A = tangent(-top, rows, start, slope_A)
            B = order[step]
            j = B * size
            n_B = min(size, m - j)
            p, base, rho = _terms_to_take(C, by, A, B, ks, pair, step < first, height_A, slope_A)
            if p == 0:
                continue
            if p > by.most:
                for first_j in range(j, j + n_B, TILE):
                    tile, j0 = first_j // TILE, first_j % TILE
                    j1 = min(j0 + j + n_B - first_j, TILE)
                    take(C, zero, start, tile, j0, j1, h, ks, span, shift, top, total, part)
                continue
            v = exponents(flat[j:j + n_B], dtype.type(0), columns, j, q_ks, pair.up, v_columns)
            if v < -none:
                continue
            exponents(zero[:n_A], -base, rows, start, q_ks, pair.down, v_rows)
            s, bend = np.rint(v), rho * dtype.type(LOG2_E)
            _raise_shifts(v_rows, s, span / 2, shift, total)
            _powers(v_columns, n_B, s, t)
            moments(columns.offset, j, n_B, p, pair.coupling, by.series.factors[p - 1], t, y, M)
            polynomial(rows.offset, start, n_A, p, pair.coupling, M, S)
            _add(S, v_rows, s, v - bend, shift, top, total)
        finish(shift, total, eps, allowed, out[start:start + n_A])


# ------------------------------------------------------------------ the plan times a matrix
def _product_loop(cost: Any) -> Any:
    """The loop out_ic += sum_j P_ij V_jc, largest_r = max_j P_ij for rows i = start + r and columns
    j0 to j1 of a tile; t holds a row of P."""

    @reduction
    @variant(cost)
    def loop(C: Any, F: Any, start: Any, G: Any, k: Any, tile: Any, j0: Any, j1: Any, V: Any,
             t: Any, largest: Any, out: Any) -> None:
        full_width()
        for r in range(largest.size):
            i, most = start + r, t.dtype.type(0)
            for l in range(np.uintp(j1 - j0)):
                j = np.uintp(j0) + l
                t[l] = entry(F[i], G[tile, j], cost(C, t, i, 0, tile, j), C.scale, k)
                most = larger(most, t[l])
            for c in range(V.shape[0]):
                total = t.dtype.type(0)
                for l in range(np.uintp(j1 - j0)):
                    total += t[l] * V[c, np.uintp(tile * TILE + j0) + l]
                out[i, c] += total
            largest[r] = most

    return loop


PRODUCT_LOOPS = {cost: _product_loop(cost) for (_, d), cost in costs_at.items() if d in DIRECT}


def product(C: Any, F: Any, start: Any, G: Any, k: Any, tile: Any, j0: Any, j1: Any, V: Any, t: Any,
            largest: Any, out: Any) -> None:
    """The loop for the cost, in DIRECT dimensions."""
    raise NotImplementedError("compiled code only")


@implements(product)
def _product(C: Any, F: Any, start: Any, G: Any, k: Any, tile: Any, j0: Any, j1: Any, V: Any,
             t: Any, largest: Any, out: Any) -> Any:
    loop = PRODUCT_LOOPS[costs_at[C.instance_class, unrolled(C)]]
    return lambda C, F, start, G, k, tile, j0, j1, V, t, largest, out: loop(
        C, F, start, G, k, tile, j0, j1, V, t, largest, out)


@elementwise
def _weighted(weights: Any, V: Any, c: Any, at: Any, size: Any, t: Any) -> None:
    """t[0, l] = weights[l] V[c, at + l]."""
    full_width()
    for l in range(np.uintp(size)):
        t[0, l] = weights[l] * V[c, np.uintp(at) + l]


@elementwise
def _bounded(v: Any, size: Any, s: Any) -> None:
    """v_l <- 2^(v_l + s)."""
    full_width()
    for l in range(np.uintp(size)):
        v[l] = exp2_bounded(v[l] + s, v.dtype.type(1))


@elementwise
def _add_scaled(S: Any, weights: Any, size: Any, out: Any, start: Any, c: Any) -> None:
    for l in range(size):
        out[start + l, c] += weights[l] * S[0, l]


@kernel
def plan_apply_sorted(C: Any, F: Array, G: Array, m: int, k: Any, allowed: Range, V: Array,
                      by: Pass, out: Array, i0: int, i1: int) -> None:
    """out += P @ V, (n, k) in float64, V (k, m); i0 as for `softmin_sorted`; tangents of k G."""
    rows, columns, size, dtype = by.rows, by.columns, by.rows.size, F.dtype
    none, height_A = 2 * allowed.limit, dtype.type(0)
    pair, y, M = _scratch(F)
    t, S, slope_A = np.empty((3, size), dtype), np.empty((3, size), dtype), np.empty(AXES, dtype)
    v_rows, v_columns, single = np.empty(size, dtype), np.empty(size, dtype), np.empty(TILE, dtype)
    expected, order = np.empty(by.height.size, dtype), np.empty(by.height.size, np.intp)
    ks, f, g = C.scale * k, F * k, G.reshape(G.size) * k
    q_ks = curvature(C) * ks
    for start in range(i0, i1, size):
        A, n_A = start // size, min(size, i1 - start)
        top, largest = np.full(n_A, -np.finfo(dtype).max, dtype), np.empty(n_A, dtype)
        first = visits(C, rows, columns, A, ks, by.height, pair, expected, order)
        for step in range(order.size):
            if step == first:
                height_A = tangent(f[start:start + n_A] - top, rows, start, slope_A)
            B = order[step]
            j = B * size
            n_B = min(size, m - j)
            p, base, rho = _terms_to_take(C, by, A, B, ks, pair, step < first, height_A, slope_A)
            if p == 0:
                continue
            if p > by.most:
                for first_j in range(j, j + n_B, TILE):
                    tile, j0 = first_j // TILE, first_j % TILE
                    j1 = min(j0 + j + n_B - first_j, TILE)
                    product(C, F, start, G, k, tile, j0, j1, V, single, largest, out)
                    for r in range(n_A):
                        top[r] = max(top[r], np.log2(largest[r]))
                continue
            v = exponents(g[j:j + n_B], dtype.type(0), columns, j, q_ks, pair.up, v_columns)
            if v < -none:
                continue
            exponents(f[start:start + n_A], -base, rows, start, q_ks, pair.down, v_rows)
            s, low = np.rint(v), v - rho * dtype.type(LOG2_E)
            for l in range(n_A):
                top[l] = max(top[l], v_rows[l] + low)
            _bounded(v_columns, n_B, -s)
            _bounded(v_rows, n_A, s)
            for c in range(V.shape[0]):
                _weighted(v_columns, V, c, j, n_B, t)
                moments(columns.offset, j, n_B, p, pair.coupling, by.series.factors[p - 1], t, y, M)
                polynomial(rows.offset, start, n_A, p, pair.coupling, M, S)
                _add_scaled(S, v_rows, n_A, out, start, c)
