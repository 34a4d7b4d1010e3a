"""Many small problems in one compiled call, each by one thread, from its start to its end.

The kernel K of a problem is formed once, at g = 0 and f = 0, or f = min C where that is far from 0,
if the range of floats allows it. Where floats cannot tell, the scalings are absorbed by a sweep in
the log domain, and K is formed anew.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.backends.numba.compile import elementwise, full_width, kernel, larger, reduction
from refot.backends.numba.exponential import exp2_bounded
from refot.backends.numba.sweeps import TOGETHER

from .log_domain import transform_columns, transform_rows
from .sweeps import (
    ABSORB_COLUMNS,
    ABSORB_ROWS,
    DONE,
    HISTORY,
    LEFT,
    direct_gibbs,
    gibbs,
    relax,
)

DIRECT = 200.0
"""(max C - min C) / eps up to which K is formed without potentials: no entry is below 1e-87."""

LEVEL = 16.0
"""|min C| / eps up to which K is formed of the costs as they are, in the pass that finds their
range. Else that is known first, and taken off."""

ABSORPTIONS = 20
"""A problem that needs more sweeps in the log domain is left to another method."""

LN2, LOG2_E = math.log(2.0), math.log2(math.e)

LOST = 4 * 2.0**-53
"""By this part of the largest |C|, |f| and |g| together, over eps, roundings move an entry of the
plan of the potentials that are returned from where the last sweep had it."""

NEGLIGIBLE = 1 / 64
"""Up to this part of the tolerance, what roundings move is not looked at: the errors are those of
the last sweep. Else they are evaluated anew, which takes as long as forming K."""

LANES = 8
"""Rows of K have a multiple of so many entries, the last ones 0."""


@elementwise
def _one(C: Any, at: Any, a: Any, b: Any, k: Any, tol: Any, atoms: Any, most: Any, direct: Any,
         level: Any, first: Any, K: Any, f: Any, g: Any, u: Any, v: Any, room: Any, h: Any,
         history: Any) -> Any:
    """(iterations, why it ended): f and g from the start g. `direct`: `first` is K of g = 0 and
    f = `level`; else, and later, K is formed."""
    iterations, why, absorbed = 0, ABSORB_ROWS, first
    if direct:
        f[:] = level
        for j in range(g.size):
            v[j], g[j] = exp2_bounded(g[j], k), 0.0
    for turn in range(ABSORPTIONS):
        if not (direct and turn == 0):
            if why == ABSORB_ROWS:
                transform_rows(C, at, b, k, f, g, h)
            transform_columns(C, at, a, k, f, g, h, room[3][:g.size], v)
            gibbs(C, at, f, g, k, K)
            v[:], absorbed = 1.0, K
        u[:] = 1.0
        taken, why = relax(absorbed, a, b, u, v, room, tol, atoms, most - iterations, history)
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
def _sums_anew(C: Any, at: Any, a: Any, b: Any, k: Any, f: Any, g: Any, rows: Any, columns: Any
               ) -> None:
    """The sums of the plan of (f, g), over the weights, in one pass over C."""
    columns[:] = 0.0
    for i in range(np.uintp(f.size)):
        rows[i] = _plan_row(C, at + i * np.uintp(g.size), f[i], g, b, a[i], k, columns)


@elementwise
def _sums_of_sweep(u: Any, r: Any, v: Any, c: Any) -> None:
    """The same from the last sweep, into r and c."""
    for i in range(u.size):
        r[i] *= u[i]
    for j in range(v.size):
        c[j] *= v[j]


@elementwise
def _log(x: Any) -> Any:
    """log x. Near 1, where the sums of a solved problem are, by its series: less than |h|^6 / 5 <
    2^-57 |h| is left out, and the function of the library takes several times as long."""
    h = x - 1.0
    if abs(h) < 2.0**-11:
        return h * (1.0 - h * (1 / 2 - h * (1 / 3 - h * (1 / 4 - h * (1 / 5)))))
    return math.log(x)


@elementwise
def _reached(a: Any, b: Any, k: Any, f: Any, g: Any, rows: Any, columns: Any) -> Any:
    """(marginal error, atom error, semi-dual B-24 at g) of potentials with these sums."""
    error, atom, value = 0.0, 0.0, 0.0
    for i in range(f.size):
        error += a[i] * abs(rows[i] - 1.0)
        log = _log(rows[i])
        atom = max(atom, abs(log))
        if a[i] > 0:
            value += a[i] * (f[i] - log * LOG2_E / k)
    for j in range(g.size):
        error += b[j] * abs(columns[j] - 1.0)
        atom = max(atom, abs(_log(columns[j])))
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
    K_room, history = np.empty(n_most * width_most), np.empty(HISTORY)
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
        alone = shared.size == 0
        least, largest = direct_gibbs(C, at, m, k, K) if alone else _range(C, at, n * m)
        direct = ((largest - least) * k * LN2 < DIRECT
                  and np.abs(g_p).max() * k * LN2 < DIRECT / 2)
        level = 0.0 if alone and abs(least) * k * LN2 <= LEVEL else least
        if direct and alone and level != 0.0:
            f_p[:], v_p[:] = least, 0.0
            gibbs(C, at, f_p, v_p, k, K)
        first = K if alone or not direct else shared
        iterations[p], why = _one(C, at, a_p, b_p, k, tol, atoms, most, direct, level, first, K,
                                  f_p, g_p, u_room[:n], v_p, room, h_room, history)
        arrived[p] = why == DONE
        for i in range(n):
            f[i0 + i] = f_p[i] = np.float64(np.float32(f_p[i])) if single else f_p[i]
        for j in range(m):
            g[j0 + j] = g_p[j] = np.float64(np.float32(g_p[j])) if single else g_p[j]
        rows, columns = r_room[:n], c[:m]
        lost = LOST * k * LN2 * (max(-least, largest) + np.abs(f_p).max() + np.abs(g_p).max())
        if why == DONE and not single and lost <= tol * NEGLIGIBLE:
            _sums_of_sweep(u_room[:n], rows, v_p, columns)
        else:
            _sums_anew(C, at, a_p, b_p, k, f_p, g_p, rows, columns)
        found[p, 0], found[p, 1], found[p, 2] = _reached(a_p, b_p, k, f_p, g_p, rows, columns)


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
