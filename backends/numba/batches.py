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
def _relaxed(q: Any, w: Any, near: Any) -> Any:
    """q^w to second order in q - 1, where |q - 1| <= near; else q, Sinkhorn's own step."""
    x = q - 1.0
    return 1.0 + w * x * (1.0 + 0.5 * (w - 1.0) * x) if abs(x) <= near else q


@elementwise
def near_for(w: Any) -> Any:
    """How far a step may go to be over-relaxed by w. With d = log q, s = w - 1 the dual rises by
    a weight times (1 - s^2) d^2 / 2 - (1 + s^3) d^3 / 6 + ..., which is positive within."""
    s = w - 1.0
    return min(NEAR, 1.2 * (1.0 - s * s) / (1.0 + s * s * s))


@elementwise
def _update(r: Any, weight: Any, u: Any, i: Any, w: Any, near: Any, errors: Any) -> Any:
    """u_i moved; errors = (L1 error, largest relative error, largest scaling) of its side."""
    product = u[i] * r
    t = _relaxed(1.0 / product, w, near)
    u[i] *= t
    miss = abs(t * product - 1.0)
    errors[0] += weight * miss
    errors[1] = max(errors[1], miss)
    errors[2] = max(errors[2], max(u[i], 1.0 / u[i]))
    return weight * u[i]


@elementwise
def _sweep(K: Any, a: Any, bv: Any, u: Any, c: Any, w: Any, near: Any, errors: Any) -> None:
    """r = K bv, u moved towards 1 / r, c = K'(a u): one pass over K."""
    errors[:] = 0.0
    c[:] = 0.0
    last = a.size - 1
    for i in range(0, a.size, TOGETHER):
        i_0, i_1 = np.uintp(i), np.uintp(min(i + 1, last))
        i_2, i_3 = np.uintp(min(i + 2, last)), np.uintp(min(i + 3, last))
        r_0, r_1, r_2, r_3 = row_sums(K, bv, i_0, i_1, i_2, i_3)
        u_0 = _update(r_0, a[i_0], u, i_0, w, near, errors)
        u_1 = _update(r_1, a[i_1], u, i_1, w, near, errors) if i + 1 <= last else 0.0
        u_2 = _update(r_2, a[i_2], u, i_2, w, near, errors) if i + 2 <= last else 0.0
        u_3 = _update(r_3, a[i_3], u, i_3, w, near, errors) if i + 3 <= last else 0.0
        add_rows(K, i_0, i_1, i_2, i_3, u_0, u_1, u_2, u_3, c)


@elementwise
def _move_columns(bv: Any, b: Any, v: Any, c: Any, w: Any, near: Any, errors: Any) -> None:
    """v moved towards 1 / c, and bv = b v."""
    errors[:] = 0.0
    for j in range(v.size):
        bv[j] = _update(c[j], b[j], v, j, w, near, errors)


@elementwise
def _column_error(b: Any, v: Any, c: Any, errors: Any) -> None:
    """errors = (L1, largest relative) of the column sums b v c, added to those of the rows."""
    for j in range(v.size):
        miss = abs(v[j] * c[j] - 1.0)
        errors[0] += b[j] * miss
        errors[1] = max(errors[1], miss)


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
def _relax(K: Any, a: Any, b: Any, u: Any, v: Any, bv: Any, c: Any, tol: Any, atoms: Any, most: Any,
           history: Any, side: Any) -> Any:
    """(iterations, why it ended): over-relaxed sweeps from the scalings v."""
    w, near, since, halved, halved_at, patience = 1.0, NEAR, 0, np.inf, 0, LOWER_AFTER
    for j in range(v.size):
        bv[j] = b[j] * v[j]
    for l in range(most):
        _sweep(K, a, bv, u, c, w, near, side)
        largest = side[2]
        _column_error(b, v, c, side)
        history[l] = side[0]
        if not largest < LARGEST:
            return l + 1, ABSORB_ROWS
        if side[0] <= tol and side[1] <= atoms:
            return l + 1, DONE
        if side[0] <= 0.5 * halved:
            halved, halved_at = side[0], l
        if l - halved_at >= PATIENCE:
            return l + 1, LEFT
        _move_columns(bv, b, v, c, w, near, side)
        if not side[2] < LARGEST:
            return l + 1, ABSORB_COLUMNS
        w_next = next_relaxation(history, since, l, w, patience)
        if w_next != w:
            patience *= 2 if w_next < w else 1
            w, near, since = w_next, near_for(w_next), l
    return most, LEFT


# ------------------------------------------------------------------ a problem
@elementwise
def _one(C: Any, at: Any, a: Any, b: Any, k: Any, tol: Any, atoms: Any, most: Any, direct: Any,
         least: Any, first: Any, K: Any, f: Any, g: Any, u: Any, v: Any, bv: Any, c: Any, h: Any,
         history: Any, side: Any) -> Any:
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
            _transform_columns(C, at, a, k, f, g, h, c[:g.size], v)
            gibbs(C, at, f, g, k, K)
            v[:], absorbed = 1.0, K
        u[:] = 1.0
        taken, why = _relax(absorbed, a, b, u, v, bv, c, tol, atoms, most - iterations, history,
                            side)
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
    K_room, history, side = np.empty(n_most * width_most), np.empty(most), np.empty(3)
    f_room, u_room, h_room = np.empty(n_most), np.empty(n_most), np.empty(max(n_most, m_most))
    g_room, v_room, c_room = np.empty(m_most), np.empty(m_most), np.empty(width_most)
    for p in range(p0, p1):
        n, m, at, i0, j0 = sizes[p, 0], sizes[p, 1], np.uintp(sizes[p, 2]), sizes[p, 3], sizes[p, 4]
        width = -(-m // LANES) * LANES
        k, a_p, b_p, f_p, g_p = per_eps[p], a[i0:i0 + n], b[j0:j0 + m], f_room[:n], g_room[:m]
        v_p, bv, c = v_room[:m], np.zeros(width), c_room[:width]
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
                                  f_p, g_p, u_room[:n], v_p, bv, c, h_room, history, side)
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
