"""Over-relaxed sweeps with the absorbed kernel of a small problem: G-7, one pass over K each.

K_ij = exp((f0_i + g0_j - C_ij) / eps) at fixed potentials; the scalings are u = exp((f - f0) / eps)
and v = exp((g - g0) / eps). The weights stay apart from K,

    r_i = sum_j K_ij b_j v_j,    c_j = sum_i a_i u_i K_ij,

so that u_i r_i = 1 and v_j c_j = 1 at the optimum for every atom, one of weight 0 too. The readable
form of the same sweeps is `refot.batches.stacked`; G = Genevay, Peyré, Cuturi 2018.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refot.backends.numba.compile import elementwise, full_width, larger, reduction
from refot.backends.numba.exponential import exp2_bounded
from refot.backends.numba.sweeps import TOGETHER, add_rows, row_sums

LARGEST = 1e90
"""Scalings are absorbed where one is above this, or below 1 / this."""

LEAST = 1e-220
"""Entries of K below this are taken as 0. With scalings below LARGEST they are less than 1e-40 of
any sum; and multiplying subnormal numbers would take ten times as long."""

WINDOW = 4
"""The rate of convergence is read off the errors of the last WINDOW sweeps, once 2 WINDOW sweeps
have passed since the relaxation changed."""

HISTORY = 2 * WINDOW
"""The last errors that are kept."""

EARLY, FAST = 2, 0.5
"""At first, while w is 1, the last EARLY sweeps tell the rate once 2 EARLY have passed, if it is
below FAST: such a problem has arrived before WINDOW sweeps could tell. Where a problem is slow, the
first errors fall faster than later ones."""

MOST_RELAXED = 1.99
"""The relaxation w is at most this."""

LOWER_AFTER, LOWERED = 24, 0.7
"""If the relaxation w has been above the best for LOWER_AFTER sweeps, w - 1 is multiplied by
LOWERED; the next time only after twice as many sweeps."""

NEAR = 0.25
"""A step is over-relaxed where the logarithm of a scaling is to move by at most this."""

PATIENCE = 100
"""Sweeps end where the error has not fallen by half for this number of them."""

NEAREST = 32 * 1024
"""So many bytes of K, in whole rows, are used for r and then for c, while they are in the nearest
cache."""

DONE, LEFT, ABSORB_ROWS, ABSORB_COLUMNS = 0, 1, 2, 3
"""How `relax` ends: the errors are small, they fall too slowly, a scaling of that side is too
large."""


@elementwise
def _gibbs_row(C: Any, at: Any, f: Any, g: Any, k: Any, K: Any, i: Any) -> None:
    """K_ij = exp((f + g_j - C_j) / eps) for one row, 0 where it is below LEAST."""
    full_width()
    for j in range(np.uintp(g.size)):
        value = exp2_bounded(f + g[j] - C[at + j], k)
        K[i, j] = value if value >= LEAST else 0.0


@elementwise
def gibbs(C: Any, at: Any, f: Any, g: Any, k: Any, K: Any) -> None:
    """K at the potentials f, g: (n, m), and columns of 0 after these, as many as K has."""
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
    """The largest |d| up to which a step may be over-relaxed by w; d = log q, q of `_move`. With
    s = w - 1 the dual rises by a weight times (1 - s^2) d^2 / 2 - (1 + s^3) d^3 / 6 + ..., which is
    positive up to there."""
    s = w - 1.0
    return min(NEAR, 1.2 * (1.0 - s * s) / (1.0 + s * s * s))


@reduction
def _move(u: Any, r: Any, weights: Any, w: Any, near: Any, weighted: Any) -> Any:
    """Multiply u by q^w, q = 1 / (u r), and set weighted = weights u. q^w is taken to second order
    in q - 1; where |q - 1| > near, the factor is q itself, Sinkhorn's own step. Returns (L1 error,
    largest relative error, smallest u, largest u) of that side afterwards."""
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
    """r = K bv, u moved towards 1 / r, c = K'(a u), some rows of K at a time. Returns what `_move`
    does, for all rows together."""
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
    """Whether a scaling is above LARGEST or below 1 / LARGEST, or the error is not finite: a NaN in
    the scalings shows there."""
    return not (error < np.inf and largest < LARGEST and least > 1.0 / LARGEST)


# ------------------------------------------------------------------ the relaxation
@elementwise
def next_relaxation(errors: Any, since: Any, now: Any, w: Any, patience: Any) -> Any:
    """The best w, as told by the rate of the errors since w changed last, or w where they show
    nothing new. (rate + w - 1)^2 = rate w^2 theta gives theta, the rate at w = 1, and the best w is
    2 / (1 + sqrt(1 - theta)) (young1971iterative).

    A rate up to w - 1 says that w is beyond the best, but not how far. Where that lasts for
    `patience` sweeps w is lowered, so that errors can tell again."""
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
    return told[0], told[2], told[3]
