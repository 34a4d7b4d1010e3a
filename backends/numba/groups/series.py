"""Sums of exp(z_ij) between two groups by a polynomial: the fast Gauss transform.

Here z_ij = sum_k r_k u_ik w_jk couples a row i with a column j. u and w are their offsets from the
centres of their groups, with |u_k|, |w_k| <= 1; r_k is the coupling of axis k (`groups.Pair`). So
|z| <= rho = sum_k r_k.

Step 1, one variable: exp on [-rho, rho] is nearly c_0 + ... + c_(p-1) z^(p-1), its Chebyshev
expansion cut after p terms. The error is at most 2 sum_(l >= p) I_l(rho), where I_l are the
modified Bessel functions.

Step 2, several axes: z^l is a sum of products of powers of the coordinates. So with weights t_j
and multi-indices k, where |k| is a sum over the axes, and u^k, w^k, r^k and k! are products,
    sum_j t_j exp(z_ij) = sum_(|k| < p) u_i^k M_k,
    M_k = c_|k| |k|! r^k / k! sum_j t_j w_j^k.
The moments M of the columns are formed once (`moments`), and a polynomial is evaluated at each row
(`polynomial`): O(p^d) operations for each point, and no exponential for each pair. This is the fast
Gauss transform of Greengard and Strain (1991), with Chebyshev's expansion in place of Taylor's.

There are always three axes. Where a problem has fewer dimensions the first axes are unused, with
r_k = 0. Powers of the last axis are computed CHUNK at a time. Row `run` of M holds, for one pair of
powers of the first two axes, the moments M[run, c] with the power c of the last axis.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from refot.arrays import Array
from refot.backends.numba.compile import Number, elementwise, fma, full_width, reduction

AXES = 3
"""Axes in the arrays of a group, whatever the dimension of the points."""

CHUNK = 4
"""Powers of the last axis that are formed in one pass over the points."""

TERMS = 16
"""The largest number p of terms of a series."""

LONGEST = 1.2
"""The largest rho for which a series is used. At z = -rho, terms as large as exp(rho) add up to
exp(-rho). So their rounding, u exp(rho), is exp(2 rho) u = 11 u relative to the result."""

PARTS = 64.0
"""The largest `parts` of `groups.between` for which a series is used. An exponent, in base 2, is a
sum of parts of this size, which nearly cancel, and each part is rounded. The limit matters only if
one group is much larger than the other: for groups of similar size rho <= LONGEST keeps the parts
below 10."""


class Series(NamedTuple):
    """The expansions with p = 1 to TERMS terms; the one with p terms is row p - 1 of the tables."""

    reach: Array
    """The largest rho for which p terms reach the tolerance, (TERMS,)."""

    factors: Array
    """c_l l! of the expansion for this rho, and 0 from l = p on, (TERMS, TERMS + CHUNK)."""


@functools.cache
def series(dtype: Any, tolerance: float) -> Series:
    """The expansions whose error relative to exp(z) is at most `tolerance`."""
    found = Series(np.zeros(TERMS), np.zeros((TERMS, TERMS + CHUNK)))
    for p in range(1, TERMS + 1):
        rho = found.reach[p - 1] = _largest_reach(p, tolerance)
        coefficients = np.polynomial.chebyshev.cheb2poly(_chebyshev(rho, p)[:p])
        factorials = [float(math.factorial(power)) for power in range(p)]
        found.factors[p - 1, :p] = coefficients / rho ** np.arange(p) * factorials
    return Series(*(table.astype(dtype) for table in found))


def _largest_reach(p: int, tolerance: float) -> float:
    """The largest rho up to LONGEST with exp(rho) 2 sum_(l >= p) I_l(rho) <= tolerance."""
    low, high = 0.0, LONGEST
    while low < (middle := (low + high) / 2) < high:
        good = math.exp(middle) * _chebyshev(middle, 64)[p:].sum() <= tolerance
        low, high = (middle, high) if good else (low, middle)
    return low


def _chebyshev(rho: float, count: int) -> Array:
    """I_0(rho), 2 I_1(rho), 2 I_2(rho), ...: the coefficients of exp(rho t) for |t| <= 1."""
    from scipy.special import iv  # 0.1 s to import: only where it is used

    values: Array = 2 * iv(np.arange(count), rho)
    values[0] /= 2
    return values


# ------------------------------------------------------------------ inside kernels
@elementwise
def terms(reach: Array, rho: Number, parts: Number) -> int:
    """The least number p of terms with which a series at rho reaches the tolerance; TERMS + 1 if
    none does, or if `parts`, the quadratic parts of the exponents, exceed PARTS."""
    p = 1 if parts <= PARTS else TERMS + 1
    while p <= TERMS and reach[p - 1] < rho:
        p += 1
    return p


@reduction
def moments(w: Array, at: int, size: int, p: int, r: Array, factors: Array, t: Array, y: Array,
            M: Array) -> None:
    """Fill M with the moments of the weights t[0, l] at the offsets w[:, at + l], l < size.

    r (AXES,) is the coupling of each axis. t (3, size) is overwritten: its rows become the weights
    times powers of the first axis, of the first two, and of all three. y (AXES, TERMS + CHUNK) is a
    work array for r^k / k!."""
    full_width()
    n, o, run, zero = np.uintp(size), np.uintp(at), np.uintp(0), t.dtype.type(0)
    for k in range(AXES):
        y[k, 0] = 1
        for power in range(1, p + CHUNK):
            y[k, power] = y[k, power - 1] * r[k] / power
    # An axis of width 0 has only the power 0.
    firsts, seconds = p if r[0] > 0 else 1, p if r[1] > 0 else 1
    for a in range(firsts):
        for l in range(n):
            t[1, l] = t[0, l]
        for b in range(min(seconds, p - a)):
            for l in range(n):
                t[2, l] = t[1, l]
            before = y[0, a] * y[1, b]
            for c in range(0, p - a - b, CHUNK):
                m_0, m_1, m_2, m_3 = zero, zero, zero, zero
                for l in range(n):
                    w_l, t_0 = w[2, o + l], t[2, l]
                    t_1 = t_0 * w_l
                    t_2 = t_1 * w_l
                    t_3 = t_2 * w_l
                    m_0 += t_0
                    m_1 += t_1
                    m_2 += t_2
                    m_3 += t_3
                    t[2, l] = t_3 * w_l
                M[run, c] = before * y[2, c] * factors[a + b + c] * m_0
                M[run, c + 1] = before * y[2, c + 1] * factors[a + b + c + 1] * m_1
                M[run, c + 2] = before * y[2, c + 2] * factors[a + b + c + 2] * m_2
                M[run, c + 3] = before * y[2, c + 3] * factors[a + b + c + 3] * m_3
            run += np.uintp(1)
            for l in range(n):
                t[1, l] *= w[1, o + l]
        for l in range(n):
            t[0, l] *= w[0, o + l]


@elementwise
def polynomial(u: Array, at: int, size: int, p: int, r: Array, M: Array, s: Array) -> None:
    """s[0, l] = sum_k u[:, at + l]^k M_k, l < size, by Horner's rule in each axis. The rows of s
    (3, size) hold the sums over all axes, over the last two, and over the last."""
    full_width()
    n, o, zero = np.uintp(size), np.uintp(at), s.dtype.type(0)
    firsts, seconds = p if r[0] > 0 else 1, p if r[1] > 0 else 1
    run = np.uintp(0)  # counts the rows of M in use; Horner's rule starts with the last
    for a in range(firsts):
        run += np.uintp(min(seconds, p - a))
    for l in range(n):
        s[0, l] = zero
    for a in range(firsts - 1, -1, -1):
        for l in range(n):
            s[1, l] = zero
        for b in range(min(seconds, p - a) - 1, -1, -1):
            run -= np.uintp(1)
            for l in range(n):
                s[2, l] = zero
            for c in range((p - a - b - 1) // CHUNK * CHUNK, -1, -CHUNK):
                m_0, m_1, m_2, m_3 = M[run, c], M[run, c + 1], M[run, c + 2], M[run, c + 3]
                for l in range(n):
                    u_l = u[2, o + l]
                    s[2, l] = fma(u_l, fma(u_l, fma(u_l, fma(u_l, s[2, l], m_3), m_2), m_1), m_0)
            for l in range(n):
                s[1, l] = fma(s[1, l], u[1, o + l], s[2, l])
        for l in range(n):
            s[0, l] = fma(s[0, l], u[0, o + l], s[1, l])
