"""Many small problems in one compiled call: sweeps of Sinkhorn's algorithm with an absorbed kernel.

A problem is solved by one thread from its start to its end. K_ij = exp((f0_i + g0_j - C_ij) / eps)
is formed once, with f0 = g0 = 0 where the range of floats allows it; then an iteration of G-7,
over-relaxed, is one pass over K. The scalings are u = exp((f - f0) / eps), v = exp((g - g0) / eps),
and the weights stay apart from K,

    r_i = sum_j K_ij b_j v_j,    c_j = sum_i a_i u_i K_ij,

so that u_i r_i = 1 and v_j c_j = 1 at the optimum for every atom, one of weight 0 too. Where floats
cannot tell, the scalings are absorbed by a sweep in the log domain and K is formed anew.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refot.arrays import Array

from .compile import elementwise, full_width, kernel, larger, reduction
from .exponential import exp2_bounded, exp2_scaled
from .sweeps import TOGETHER, add_rows, row_sums

DIRECT = 200.0
"""(max C - min C) / eps up to which K is formed without potentials: no entry is below 1e-87."""

LARGEST = 1e90
"""Scalings are absorbed where one is above this, or below 1 / this."""

LEAST = 1e-220
"""Entries of K below this are taken as 0: they are below 1e-19 of every sum that is used, and a
product with numbers below the normal ones would take ten times as long."""

WINDOW = 4
"""The rate is read off the errors of so many sweeps, once twice as many have passed since the last
change of the relaxation."""

MOST_RELAXED = 1.99
"""The relaxation stays below this."""

LOWER_AFTER, LOWERED = 24, 0.7
"""w - 1 is lowered by the factor after so many sweeps beyond the best w; twice as many the next
time."""

NEAR = 0.25
"""A step is over-relaxed where the logarithm of a scaling is to move by at most this."""

ABSORPTIONS = 20
"""A problem that needs more sweeps in the log domain is left to another method."""

PATIENCE = 100
"""So is one whose error has not fallen by half for so many sweeps."""

LN2 = math.log(2.0)

AT_ONCE = 16
"""Rows of K that are used for r and then for c, while they are in the nearest cache."""

LANES = 8
"""Rows of K have a multiple of so many entries, the last ones 0."""


DONE, LEFT, ABSORB_ROWS, ABSORB_COLUMNS = 0, 1, 2, 3
"""How `_relax` ends: the errors are small, they fall too slowly, a scaling of that side is too
large."""


# ------------------------------------------------------------------ the log domain
@elementwise
def _folded(g: Any, b: Any, k: Any, h: Any) -> None:
    """h = g + eps log b."""
    for j in range(g.size):
        h[j] = g[j] + math.log2(b[j]) / k if b[j] > 0 else -np.inf


@reduction
def _softmin_row(C: Any, at: Any, h: Any, k: Any) -> Any:
    """-eps log sum_j exp((h_j - C_j) / eps) for the row that begins at C[at]."""
    full_width()
    top = -np.inf
    for j in range(np.uintp(h.size)):
        top = larger(top, h[j] - C[at + j])
    total = 0.0
    for j in range(np.uintp(h.size)):
        total += exp2_scaled(h[j] - C[at + j] - top, k)
    return -(top + math.log2(total) / k)


@elementwise
def _raise_tops(C: Any, at: Any, h: Any, top: Any) -> None:
    """top_j = max(top_j, h - C_j) for one row."""
    full_width()
    for j in range(np.uintp(top.size)):
        top[j] = larger(top[j], h - C[at + j])


@elementwise
def _add_exponentials(C: Any, at: Any, h: Any, k: Any, top: Any, total: Any) -> None:
    """total_j += 2^((h - C_j - top_j) k) for one row."""
    full_width()
    for j in range(np.uintp(top.size)):
        total[j] += exp2_scaled(h - C[at + j] - top[j], k)


@elementwise
def _transform_rows(C: Any, at: Any, b: Any, k: Any, f: Any, g: Any, h: Any) -> None:
    """f = g^(c,eps): B-25."""
    h = h[:g.size]
    _folded(g, b, k, h)
    for i in range(np.uintp(f.size)):
        f[i] = _softmin_row(C, at + i * np.uintp(g.size), h, k)


@elementwise
def _transform_columns(C: Any, at: Any, a: Any, k: Any, f: Any, g: Any, h: Any, top: Any,
                       total: Any) -> None:
    """g = f^(c,eps), row by row: the largest exponent of each column, then the sums."""
    _folded(f, a, k, h)
    top[:], total[:] = -np.inf, 0.0
    for i in range(np.uintp(f.size)):
        if a[i] > 0:
            _raise_tops(C, at + i * np.uintp(g.size), h[i], top)
    for i in range(np.uintp(f.size)):
        if a[i] > 0:
            _add_exponentials(C, at + i * np.uintp(g.size), h[i], k, top, total)
    for j in range(g.size):
        g[j] = -(top[j] + math.log2(total[j]) / k)


# ------------------------------------------------------------------ the absorbed kernel
@elementwise
def _gibbs_row(C: Any, at: Any, f: Any, g: Any, k: Any, K: Any, i: Any) -> None:
    """K_ij = exp((f + g_j - C_j) / eps) for one row, 0 where it is below LEAST."""
    full_width()
    for j in range(np.uintp(g.size)):
        value = exp2_bounded(f + g[j] - C[at + j], k)
        K[i, j] = value if value >= LEAST else 0.0


@elementwise
def gibbs(C: Any, at: Any, f: Any, g: Any, k: Any, K: Any) -> None:
    """K (n, m and some more) at the potentials f, g."""
    for i in range(np.uintp(f.size)):
        _gibbs_row(C, at + i * np.uintp(g.size), f[i], g, k, K, i)
        K[i, g.size:] = 0.0


@elementwise
def near_for(w: Any) -> Any:
    """How far a step may go to be over-relaxed by w. With d = log q, s = w - 1 the dual rises by
    a weight times (1 - s^2) d^2 / 2 - (1 + s^3) d^3 / 6 + ..., which is positive within."""
    s = w - 1.0
    return min(NEAR, 1.2 * (1.0 - s * s) / (1.0 + s * s * s))


@reduction
def _move(u: Any, r: Any, weights: Any, w: Any, near: Any, weighted: Any) -> Any:
    """u moved by q^w, q = 1 / (u r), and weighted = weights u: to second order in q - 1 where that
    is near, else by q, Sinkhorn's own step. (L1 error, largest relative error, smallest u, largest)
    of that side then."""
    full_width()
    error, atom, least, largest = 0.0, 0.0, np.inf, 0.0
    for i in range(np.uintp(u.size)):
        product = u[i] * r[i]
        q = 1.0 / product
        x = q - 1.0
        t = 1.0 + w * x * (1.0 + 0.5 * (w - 1.0) * x) if abs(x) <= near else q
        moved = u[i] * t
        miss = abs(t * product - 1.0)
        error += weights[i] * miss
        atom = larger(atom, miss)
        least, largest = -larger(-least, -moved), larger(largest, moved)
        u[i], weighted[i] = moved, weights[i] * moved
    return error, atom, least, largest


@elementwise
def _sweep(K: Any, a: Any, bv: Any, u: Any, au: Any, r: Any, c: Any, w: Any, near: Any) -> Any:
    """r = K bv, u moved towards 1 / r, c = K'(a u), AT_ONCE rows of K at a time; what `_move` says
    of all rows."""
    c[:] = 0.0
    error, atom, least, largest = 0.0, 0.0, np.inf, 0.0
    for first in range(0, a.size, AT_ONCE):
        end = min(first + AT_ONCE, a.size)
        for i in range(first, end, TOGETHER):
            r[i], r[i + 1], r[i + 2], r[i + 3] = row_sums(K, bv, *_four(i, end))
        some = slice(first, end)
        e, at, lo, hi = _move(u[some], r[some], a[some], w, near, au[some])
        error, atom, least, largest = error + e, max(atom, at), min(least, lo), max(largest, hi)
        au[end:end + TOGETHER] = 0.0
        for i in range(first, end, TOGETHER):
            i_0, i_1, i_2, i_3 = _four(i, end)
            add_rows(K, i_0, i_1, i_2, i_3, au[i], au[i + 1], au[i + 2], au[i + 3], c)
    return error, atom, least, largest


@elementwise
def _four(i: Any, end: Any) -> Any:
    """The rows i to i + 3; the last again where there are no more."""
    last = end - 1
    return (np.uintp(i), np.uintp(min(i + 1, last)), np.uintp(min(i + 2, last)),
            np.uintp(min(i + 3, last)))


@reduction
def _column_errors(b: Any, v: Any, c: Any) -> Any:
    """(L1, largest relative) error of the column sums b v c."""
    full_width()
    error, atom = 0.0, 0.0
    for j in range(np.uintp(v.size)):
        miss = abs(v[j] * c[j] - 1.0)
        error += b[j] * miss
        atom = larger(atom, miss)
    return error, atom


@elementwise
def _bad(error: Any, least: Any, largest: Any) -> Any:
    """Whether scalings have left what floats can tell; NaN shows in the error."""
    return not (error < np.inf and largest < LARGEST and least > 1.0 / LARGEST)


# ------------------------------------------------------------------ the relaxation
@elementwise
def next_relaxation(errors: Any, since: Any, now: Any, w: Any, patience: Any) -> Any:
    """The best w for the rate of the errors since w changed last, or w where they show nothing new:
    (rate + w - 1)^2 = rate w^2 theta, and w = 2 / (1 + sqrt(1 - theta)) (young1971iterative).

    A rate up to w - 1 says that w is beyond the best, but not how far. Where that lasts for
    `patience` sweeps w is lowered, so that errors can tell again."""
    seen = now - since
    if seen < 2 * WINDOW or seen % WINDOW != 0:
        return w
    before, last = errors[now - WINDOW], errors[now]
    rate = (last / before) ** (1.0 / WINDOW)
    if rate <= w - 1.0 or not rate < 1.0:
        return 1.0 + LOWERED * (w - 1.0) if seen >= patience else w
    theta = ((rate + w - 1.0) / w) ** 2 / rate
    best = 2.0 / (1.0 + math.sqrt(1.0 - theta)) if theta < 1.0 else w
    return max(w, min(best, MOST_RELAXED))


@elementwise
def _relax(K: Any, a: Any, b: Any, u: Any, v: Any, room: Any, tol: Any, atoms: Any, most: Any,
           history: Any) -> Any:
    """(iterations, why it ended): over-relaxed sweeps from the scalings v."""
    au, r, bv, c = room
    w, near, since, halved, halved_at, patience = 1.0, NEAR, 0, np.inf, 0, LOWER_AFTER
    bv[:] = 0.0
    for j in range(v.size):
        bv[j] = b[j] * v[j]
    for l in range(most):
        error, atom, least, largest = _sweep(K, a, bv, u, au, r, c, w, near)
        if _bad(error, least, largest):
            return l + 1, ABSORB_ROWS
        more, worst = _column_errors(b, v, c)
        error, atom = error + more, max(atom, worst)
        history[l] = error
        if error <= tol and atom <= atoms:
            return l + 1, DONE
        if error <= 0.5 * halved:
            halved, halved_at = error, l
        if l - halved_at >= PATIENCE:
            return l + 1, LEFT
        if _bad(*_without_atom(_move(v, c, b, w, near, bv))):
            return l + 1, ABSORB_COLUMNS
        w_next = next_relaxation(history, since, l, w, patience)
        if w_next != w:
            patience *= 2 if w_next < w else 1
            w, near, since = w_next, near_for(w_next), l
    return most, LEFT


@elementwise
def _without_atom(told: Any) -> Any:
    return told[0], told[2], told[3]


# ------------------------------------------------------------------ a problem
@elementwise
def _one(C: Any, at: Any, a: Any, b: Any, k: Any, tol: Any, atoms: Any, most: Any, direct: Any,
         least: Any, first: Any, K: Any, f: Any, g: Any, u: Any, v: Any, room: Any, h: Any,
         history: Any) -> Any:
    """(iterations, why it ended): f and g from the start g. `direct`: `first` is K of g = 0 and
    f = `least`, the least cost; else, and later, K is formed."""
    iterations, why, absorbed = 0, ABSORB_ROWS, first
    if direct:
        f[:] = least
        for j in range(g.size):
            v[j], g[j] = math.exp(g[j] * k * LN2), 0.0
    for turn in range(ABSORPTIONS):
        if not (direct and turn == 0):
            if why == ABSORB_ROWS:
                _transform_rows(C, at, b, k, f, g, h)
            _transform_columns(C, at, a, k, f, g, h, room[3][:g.size], v)
            gibbs(C, at, f, g, k, K)
            v[:], absorbed = 1.0, K
        u[:] = 1.0
        taken, why = _relax(absorbed, a, b, u, v, room, tol, atoms, most - iterations, history)
        iterations += taken
        if why != ABSORB_ROWS:
            for i in range(f.size):
                f[i] += math.log2(u[i]) / k
        if why != ABSORB_COLUMNS:
            for j in range(g.size):
                g[j] += math.log2(v[j]) / k
        if why in (DONE, LEFT) or iterations >= most:
            break
    return iterations, why


@reduction
def _plan_row(C: Any, at: Any, f: Any, g: Any, b: Any, weight: Any, k: Any, columns: Any
              ) -> Any:
    """sum_j b_j e_j with e_j = exp((f + g_j - C_j) / eps), for one row; columns += weight e."""
    full_width()
    total = 0.0
    for j in range(np.uintp(g.size)):
        e = exp2_bounded(f + g[j] - C[at + j], k)
        total += b[j] * e
        columns[j] += weight * e
    return total


@elementwise
def _reached(C: Any, at: Any, a: Any, b: Any, k: Any, f: Any, g: Any, columns: Any) -> Any:
    """(marginal error, atom error, semi-dual B-24 at g) of the potentials, in one pass."""
    error, atom, value = 0.0, 0.0, 0.0
    columns[:] = 0.0
    for i in range(np.uintp(f.size)):
        row = _plan_row(C, at + i * np.uintp(g.size), f[i], g, b, a[i], k, columns)
        error += a[i] * abs(row - 1.0)
        atom = max(atom, abs(math.log(row)))
        if a[i] > 0:
            value += a[i] * (f[i] - math.log2(row) / k)
    for j in range(g.size):
        error += b[j] * abs(columns[j] - 1.0)
        atom = max(atom, abs(math.log(columns[j])))
        value += b[j] * g[j]
    return error, atom, value


@reduction
def _range(C: Any, at: Any, size: Any) -> Any:
    """min C and max C of one problem."""
    full_width()
    least, most = np.inf, -np.inf
    for j in range(np.uintp(size)):
        least, most = -larger(-least, -C[at + j]), larger(most, C[at + j])
    return least, most


@kernel
def solve(C: Any, sizes: Any, a: Any, b: Any, per_eps: Any, tol: float, atoms: float, most: int,
          shared: Any, single: bool, f: Any, g: Any, iterations: Any, arrived: Any, found: Any,
          p0: int, p1: int) -> None:
    """The problems p0 to p1, as `BatchSolver` says, from the start g, into f and g; rounded to
    float32 where that is `single`. `shared` (n, m and some more) is K of g = 0, f = min C, or empty
    where each problem forms its own."""
    n_most, m_most = 0, 0
    for p in range(p0, p1):
        n_most, m_most = max(n_most, sizes[p, 0]), max(m_most, sizes[p, 1])
    width_most = -(-m_most // LANES) * LANES
    K_room, history = np.empty(n_most * width_most), np.empty(most)
    f_room, u_room, h_room = np.empty(n_most), np.empty(n_most), np.empty(max(n_most, m_most))
    g_room, v_room, c_room = np.empty(m_most), np.empty(m_most), np.empty(width_most)
    au_room, r_room = np.empty(n_most + TOGETHER), np.empty(n_most + TOGETHER)
    bv_room = np.empty(width_most)
    for p in range(p0, p1):
        n, m, at, i0, j0 = sizes[p, 0], sizes[p, 1], np.uintp(sizes[p, 2]), sizes[p, 3], sizes[p, 4]
        width = -(-m // LANES) * LANES
        k, a_p, b_p, f_p, g_p = per_eps[p], a[i0:i0 + n], b[j0:j0 + m], f_room[:n], g_room[:m]
        v_p, c = v_room[:m], c_room[:width]
        room = au_room[:n + TOGETHER], r_room[:n + TOGETHER], bv_room[:width], c
        for j in range(m):
            g_p[j] = g[j0 + j]
        K = K_room[:n * width].reshape(n, width)
        least, largest = _range(C, at, n * m)
        direct = ((largest - least) * k * LN2 < DIRECT
                  and np.abs(g_p).max() * k * LN2 < DIRECT / 2)
        if direct and shared.size == 0:
            f_p[:], v_p[:] = least, 0.0
            gibbs(C, at, f_p, v_p, k, K)
        first = shared if direct and shared.size > 0 else K
        iterations[p], why = _one(C, at, a_p, b_p, k, tol, atoms, most, direct, least, first, K,
                                  f_p, g_p, u_room[:n], v_p, room, h_room, history)
        arrived[p] = why == DONE
        for i in range(n):
            f[i0 + i] = f_p[i] = np.float64(np.float32(f_p[i])) if single else f_p[i]
        for j in range(m):
            g[j0 + j] = g_p[j] = np.float64(np.float32(g_p[j])) if single else g_p[j]
        found[p, 0], found[p, 1], found[p, 2] = _reached(C, at, a_p, b_p, k, f_p, g_p, c[:m])


def shared_kernel(C: Array, sizes: Array, eps: Array) -> Array:
    """K of f = min C, g = 0 where all problems have one cost and one eps; else an empty matrix."""
    n, m = sizes[0, :2]
    least = C[:n * m].min()
    one = len(sizes) > 1 and sizes[1, 2] == 0 and bool((eps == eps[0]).all())
    if not one or (C.max() - least) / eps[0] >= DIRECT:
        return np.empty((0, 0))
    K = np.zeros((n, -(-m // LANES) * LANES))
    K[:, :m] = np.exp((float(least) - C.reshape(n, m)) / eps[0])
    return K
