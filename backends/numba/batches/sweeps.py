"""Over-relaxed sweeps of a small problem, G-7: each takes one pass over its kernel K.

K_ij = exp((f0_i + g0_j - C_ij) / eps) has absorbed the fixed potentials (f0, g0). The scalings are
u = exp((f - f0) / eps) (n,) and v = exp((g - g0) / eps) (m,). The weights are no part of K:

    r_i = sum_j K_ij b_j v_j,    c_j = sum_i a_i u_i K_ij,

so that at the optimum u_i r_i = 1 and v_j c_j = 1 for every atom, also for one of weight 0. A sweep
updates u, then v, each raised to an over-relaxation w between 1 and 2. The readable form of these
sweeps is `refot.batches.stacked`. G = Genevay, Peyré, Cuturi 2018.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refot.backends.numba.compile import elementwise, full_width, larger, reduction
from refot.backends.numba.exponential import exp2_bounded
from refot.backends.numba.sweeps import TOGETHER, add_rows, row_sums

LARGEST = 1e90
"""When a scaling is above this or below 1 / this, the sweeps end so that scalings are absorbed into
the potentials."""

LEAST = 1e-220
"""Entries of K below this are set to 0. With scalings below LARGEST they add less than 1e-40 to any
sum. Kept, they would give products that are subnormal numbers, which take ten times as long."""

WINDOW = 4
"""The rate of convergence is measured over this number of sweeps, and only after twice as many
since the relaxation w changed."""

HISTORY = 2 * WINDOW
"""The errors of this number of sweeps, the latest ones, are kept, in a ring."""

EARLY, FAST = 2, 0.5
"""At first, while w is 1, the last EARLY sweeps tell the rate once 2 EARLY have passed, if it is
below FAST: such a problem has arrived before WINDOW sweeps could tell. Where a problem is slow, the
first errors fall faster than later ones."""

MOST_RELAXED = 1.99
"""The largest relaxation w: from 2 on, sweeps would not converge."""

LOWER_AFTER, LOWERED = 24, 0.7
"""When the errors have shown for LOWER_AFTER sweeps that w is above the best relaxation, w - 1 is
multiplied by LOWERED. Each time, the next such step waits for twice as many sweeps."""

NEAR = 0.25
"""A scaling is over-relaxed only if Sinkhorn's own step changes it by at most this part."""

PATIENCE = 100
"""Sweeps end, without convergence, when the error has not halved during this number of them."""

NEAREST = 32 * 1024
"""So many bytes of K, in whole rows, are used first for r and then for c: few enough to stay in the
fastest cache."""

DONE, LEFT, ABSORB_ROWS, ABSORB_COLUMNS = 0, 1, 2, 3
"""How `relax` ends: the errors are within their tolerances; they fall too slowly; a scaling u of
the rows, or v of the columns, is too large or too small."""


@elementwise
def _gibbs_row(C: Any, at: Any, f: Any, g: Any, k: Any, K: Any, i: Any) -> None:
    """K_ij = exp((f + g_j - C_j) / eps) for row i, whose costs C_j begin at C[at]; 0 below LEAST.
    """
    full_width()
    for j in range(np.uintp(g.size)):
        value = exp2_bounded(f + g[j] - C[at + j], k)
        K[i, j] = value if value >= LEAST else 0.0


@elementwise
def gibbs(C: Any, at: Any, f: Any, g: Any, k: Any, K: Any) -> None:
    """Fill K (n, width) at the potentials f (n,) and g (m,); the columns from m on become 0."""
    for i in range(np.uintp(f.size)):
        _gibbs_row(C, at + i * np.uintp(g.size), f[i], g, k, K, i)
        K[i, g.size:] = 0.0


@reduction
def _direct_row(C: Any, at: Any, size: Any, k: Any, K: Any, i: Any) -> Any:
    """K_ij = exp(-C_j / eps) for one row, and min C_j, max C_j."""
    full_width()
    least, most = np.inf, -np.inf
    for j in range(np.uintp(size)):
        c = C[at + j]
        K[i, j] = exp2_bounded(-c, k)
        least, most = -larger(-least, -c), larger(most, c)
    return least, most


@elementwise
def direct_gibbs(C: Any, at: Any, m: Any, k: Any, K: Any) -> Any:
    """K of f = g = 0, and (min C, max C), from one pass over C. Entries beyond the range of floats
    are 0 or inf: the caller sees by the two numbers whether K is of use."""
    least, most = np.inf, -np.inf
    for i in range(np.uintp(K.shape[0])):
        low, high = _direct_row(C, at + i * np.uintp(m), m, k, K, i)
        least, most = min(least, low), max(most, high)
        K[i, m:] = 0.0
    return least, most


@elementwise
def near_for(w: Any) -> Any:
    """The largest |q - 1|, with q of `_move`, at which a step may be over-relaxed by w. With
    s = w - 1 and d = log q, which is nearly q - 1, the step raises the dual by a weight times
    (1 - s^2) d^2 / 2 - (1 + s^3) d^3 / 6 + ...; this is positive well beyond the bound."""
    s = w - 1.0
    return min(NEAR, 1.2 * (1.0 - s * s) / (1.0 + s * s * s))


@reduction
def _move(u: Any, r: Any, weights: Any, w: Any, near: Any, weighted: Any) -> Any:
    """Move the scalings u of one side: multiply each by q^w, q = 1 / (u r), and set weighted =
    weights u. q^w is computed to second order in q - 1. Where |q - 1| > near, the factor is q
    itself, Sinkhorn's own step. Returns (L1 error, largest relative error, smallest u, largest u)
    of this side after the move."""
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
    """r = K (b v), then u moved towards 1 / r, then c = K'(a u), for NEAREST bytes of K at a time.
    `bv` holds b v, `au` receives a u. Returns the errors and extremes of `_move` over all rows."""
    c[:] = 0.0
    together = max(NEAREST // (8 * c.size * TOGETHER), 1) * TOGETHER
    error, atom, least, largest = 0.0, 0.0, np.inf, 0.0
    for first in range(0, a.size, together):
        end = min(first + together, a.size)
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
    """The rows i to i + 3; the last row before `end` in place of those from `end` on."""
    last = end - 1
    return (np.uintp(i), np.uintp(min(i + 1, last)), np.uintp(min(i + 2, last)),
            np.uintp(min(i + 3, last)))


@reduction
def _column_errors(b: Any, v: Any, c: Any) -> Any:
    """The error of the column sums b v c against b: (L1, largest relative)."""
    full_width()
    error, atom = 0.0, 0.0
    for j in range(np.uintp(v.size)):
        miss = abs(v[j] * c[j] - 1.0)
        error += b[j] * miss
        atom = larger(atom, miss)
    return error, atom


@elementwise
def _bad(error: Any, least: Any, largest: Any) -> Any:
    """Whether a scaling is above LARGEST or below 1 / LARGEST, or the error is not finite: so a NaN
    among the scalings is noticed, which comparisons of scalings would miss."""
    return not (error < np.inf and largest < LARGEST and least > 1.0 / LARGEST)


# ------------------------------------------------------------------ the relaxation
@elementwise
def next_relaxation(errors: Any, since: Any, now: Any, w: Any, patience: Any) -> Any:
    """The relaxation for the next sweep: the best w by the errors since w changed last (at sweep
    `since`), or w itself while they say nothing new. (rate + w - 1)^2 = rate w^2 theta gives theta,
    the rate at w = 1, and the best w is 2 / (1 + sqrt(1 - theta)) (young1971iterative in
    docs/references.bib).

    A rate of w - 1 or less means that w is above the best, but does not show by how much. After
    `patience` sweeps like that w is lowered, until the rate shows the best w again."""
    seen = now - since
    early = since == 0 and seen == 2 * EARLY
    if not early and (seen < 2 * WINDOW or seen % WINDOW != 0):
        return w
    window = EARLY if early else WINDOW
    before, last = errors[(now - window) % HISTORY], errors[now % HISTORY]
    rate = (last / before) ** (1.0 / window)
    if early and not rate < FAST:
        return w
    if rate <= w - 1.0 or not rate < 1.0:
        return 1.0 + LOWERED * (w - 1.0) if seen >= patience else w
    theta = ((rate + w - 1.0) / w) ** 2 / rate
    best = 2.0 / (1.0 + math.sqrt(1.0 - theta)) if theta < 1.0 else w
    return max(w, min(best, MOST_RELAXED))


@elementwise
def relax(K: Any, a: Any, b: Any, u: Any, v: Any, room: Any, tol: Any, atoms: Any, most: Any,
           history: Any) -> Any:
    """Over-relaxed sweeps from the scalings v (m,), at most `most`: (iterations, how they ended).

    They end when the marginal error is at most `tol` and the largest relative error of a sum at
    most `atoms`. `room` holds the work arrays (au, r, bv, c) of `_sweep`: a u, r, b v and c of the
    module's formulas. `history` (HISTORY,) holds the last errors."""
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
        history[l % HISTORY] = error
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
    """Of the four numbers that `_move` returns, the three that `_bad` takes."""
    return told[0], told[2], told[3]
