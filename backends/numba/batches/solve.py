"""Many small problems in one compiled call, each by one thread, from its start to its end.

The kernel of a problem is K_ij = exp((f_i + g_j - C_ij) / eps), formed at potentials f and g: first
at g = 0 and f = 0 (f = min C where that is far from 0: LEVEL) or, if entries would be too small
there (DIRECT), at the transforms of the start. Sweeps multiply it by scalings u of its rows and v
of its columns. If u or v becomes too large or too small, the other of the two is absorbed: eps
times its logarithm is added to the potential of its side. From this the potential of the failed
side is computed in the log domain, K is formed anew at both, and the sweeps go on. Arguments `at`
and k are those of `log_domain`: the costs of this problem begin at C[at], and k = log2(e) / eps.
B = Bréchet et al. 2019.
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
"""Kernels that are formed for one problem, at most. A problem that needs more is given up, and
reported as not converged, so that the caller can use another method."""

LN2, LOG2_E = math.log(2.0), math.log2(math.e)

LOST = 4 * 2.0**-53
"""Roundings of the potentials change an entry of the plan, relative to its value in the last sweep,
by at most this times (max |C| + max |f| + max |g|) / eps."""

NEGLIGIBLE = 1 / 64
"""If roundings change the plan (LOST) by at most this part of the tolerance, the errors of the last
sweep are reported. Otherwise they are computed anew from the rounded potentials, which takes as
long as forming K."""

LANES = 8
"""The length of the rows of K is a multiple of this, so that vector registers are full; the columns
beyond the problem's own are 0."""


@elementwise
def _one(C: Any, at: Any, a: Any, b: Any, k: Any, tol: Any, atoms: Any, most: Any, direct: Any,
         level: Any, first: Any, K: Any, f: Any, g: Any, u: Any, v: Any, room: Any, h: Any,
         history: Any) -> Any:
    """Solve one problem from the start g (m,), and write its potentials into f (n,) and g. Returns
    (iterations, how the last `relax` ended).

    If `direct`, the first kernel is `first`, which the caller has formed at g = 0 and f = `level`.
    Any other kernel is formed here, in K. u, v, room, h and history are work arrays."""
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
    """For one row, whose potential is f and whose costs C_j begin at C[at]: add weight e_j to
    columns_j, where e_j = exp((f + g_j - C_j) / eps), and return sum_j b_j e_j."""
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
    """The row sums (n,) and column sums (m,) of the plan of (f, g), each divided by its weight, in
    one pass over C."""
    columns[:] = 0.0
    for i in range(np.uintp(f.size)):
        rows[i] = _plan_row(C, at + i * np.uintp(g.size), f[i], g, b, a[i], k, columns)


@elementwise
def _sums_of_sweep(u: Any, r: Any, v: Any, c: Any) -> None:
    """Turn r (n,) and c (m,), the sums of K from the last sweep (`sweeps`), into the row and column
    sums of the plan, each divided by its weight: r becomes u r, and c becomes v c."""
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
    """(marginal error, atom error, semi-dual B-24 at g) of the potentials f and g, whose plan has
    these sums divided by the weights. The marginal error is the L1 distance to the weights; the
    atom error is the largest |log| of a sum, also of atoms without weight."""
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
    """Solve the problems p0 to p1 - 1 from their starts in g, and write their potentials into f and
    g; if `single`, rounded to float32.

    C, sizes, a, b, tol, atoms and most are the arguments of `BatchSolver.solve_batch`; `per_eps`
    has k for each problem. `shared` is what `shared_kernel` returns. Results for each problem:
    `iterations`; `arrived`, whether it reached the tolerances; `found`, the three numbers of
    `_reached`."""
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
    """K at f = min C and g = 0, with rows padded by 0, if all problems have the same cost and the
    same eps and K is not too small (DIRECT). Else an empty matrix: each problem forms its own."""
    n, m = sizes[0, :2]
    least = C[:n * m].min()
    one = len(sizes) > 1 and sizes[1, 2] == 0 and bool((eps == eps[0]).all())
    if not one or (C.max() - least) / eps[0] >= DIRECT:
        return np.empty((0, 0))
    K = np.zeros((n, -(-m // LANES) * LANES))
    K[:, :m] = np.exp((float(least) - C.reshape(n, m)) / eps[0])
    return K
