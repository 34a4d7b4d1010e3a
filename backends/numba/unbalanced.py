"""An iteration of unbalanced transport, with a kernel K that has absorbed potentials, in one call.

For a hundred points it takes some ten microseconds; array by array from Python it would take ten
times as long. `FreeKernel` in refot.solvers.unbalanced.overrelaxed is the same in readable form.
U-3, U-4, U-5 are equations in docs/equations.md.

Each function is written for one side, rows or columns, with its potential f and weights a; g and b
are those of the other side. s = 1 / rho is the softness of its marginal penalty, 0 for an exact
marginal. h is the transform of g: the best f if the marginal of this side is exact. The potential f
*asks for* the masses a exp(-s f), the marginal that is optimal for this f (U-4). A level t is added
to f and subtracted from g, which leaves the plan as it is; the best t makes the dual largest (U-5).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refot.arrays import Array

from .compile import Number, elementwise, full_width, kernel, larger, reduction
from .exponential import exp2_bounded
from .sweeps import TOGETHER, add_rows, row_sums

LOG2_E = math.log2(math.e)


@elementwise
def _exp(x: float) -> Number:
    """e^x in a form that LLVM can vectorise."""
    return exp2_bounded(x, LOG2_E)


@reduction
def _log_mass(f: Array, a: Array, s: float) -> float:
    """log sum a exp(-s f) over a > 0, the logarithm of the total mass that f asks for. The largest
    term is taken out of the sum, which cannot overflow."""
    full_width()
    top, total = -np.inf, 0.0
    for i in range(np.uintp(f.size)):
        top = larger(top, -s * f[i] if a[i] > 0 else -np.inf)
    for i in range(np.uintp(f.size)):
        total += a[i] * _exp(-s * f[i] - top if a[i] > 0 else 0.0)
    return top + math.log(total)


@elementwise
def _level(f: Array, a: Array, s: float, g: Array, b: Array, s_other: float) -> float:
    """The t for which f + t and g - t ask for the same total mass, U-5; 0 if both sides are exact.
    """
    if s + s_other == 0:
        return 0.0
    return (_log_mass(f, a, s) - _log_mass(g, b, s_other)) / (s + s_other)


@reduction
def _scaling(a: Array, f: Array, f0: Array, eps: float, u: Array) -> float:
    """u = a exp((f - f0) / eps), 0 where a is 0; returns the sum of u."""
    full_width()
    total = 0.0
    for i in range(np.uintp(f.size)):
        u[i] = a[i] * _exp((f[i] - f0[i]) / eps if a[i] > 0 else 0.0)
        total += u[i]
    return total


@elementwise
def _transform(sums: Array, f0: Array, eps: float, h: Array) -> None:
    """h = f0 - eps log(sums)."""
    for i in range(h.size):
        h[i] = f0[i] - eps * math.log(sums[i])


@elementwise
def _reliable(sums: Array, noise: float) -> bool:
    """Whether all sums are finite and above `noise`, below which they may be rounding alone."""
    least, largest = np.inf, 0.0
    for i in range(sums.size):
        least, largest = min(least, sums[i]), max(largest, sums[i])
    return noise < least and largest < np.inf


@elementwise
def _half_step(f: Array, h: Array, a: Array, s: float, g: Array, b: Array, s_other: float,
               eps: float, w: float, moved: Array) -> None:
    """moved = f + w (answer - f). The answer is the f for which the dual of (f + t, g - t) is
    largest, each f with its best level t. It fulfils f + t = (h + t) / (1 + eps s), by U-3. If w is
    1, or the dual would fall, moved is the answer itself; and so it is at points of weight 0."""
    damping = 1 / (1 + eps * s)
    lag = eps * s * damping * _level(h, a, damping * s, g, b, s_other)  # t - t / (1 + eps s)
    for i in range(np.uintp(f.size)):
        moved[i] = damping * h[i] - lag
    if w != 1 and _rise(f, h, a, s, _level(f, a, s, g, b, s_other), eps, w, moved) >= 0:
        for i in range(np.uintp(f.size)):
            moved[i] = f[i] + w * (moved[i] - f[i]) if a[i] > 0 else moved[i]


@reduction
def _rise(f: Array, h: Array, a: Array, s: float, level: float, eps: float, w: float, answer: Array
          ) -> float:
    """By how much the dual of (f + level, g - level) rises if f becomes f + w (answer - f) in it.
    `worth` is what this adds to the dual for each unit of the mass that f + level asks for."""
    total = 0.0
    for i in range(f.size):
        if a[i] > 0:
            x = w * (answer[i] - f[i])
            worth = -math.expm1(-s * x) / s if s > 0 else x
            total += a[i] * (_exp(-s * (f[i] + level)) * worth
                             - eps * _exp((f[i] - h[i]) / eps) * math.expm1(x / eps))
    return total


@reduction
def _miss(f: Array, h: Array, a: Array, s: float, level: float, eps: float) -> float:
    """The L1 distance of the plan's sums from the masses that f + level asks for, divided by the
    total of these masses."""
    full_width()
    miss, mass = 0.0, 0.0
    for i in range(np.uintp(f.size)):
        asked = a[i] * _exp(-s * (f[i] + level) if a[i] > 0 else 0.0)
        miss += abs(a[i] * _exp((f[i] - h[i]) / eps if a[i] > 0 else 0.0) - asked)
        mass += asked
    return miss / mass if mass > 0 or miss > 0 else 0.0


@elementwise
def _row_sums(K: Array, v: Array, r: Array) -> None:
    """r = K v, TOGETHER rows at a time. Where fewer rows are left, the last one is computed again
    in place of those that are missing."""
    last = np.uintp(r.size - 1)
    for i in range(0, r.size, TOGETHER):
        i_0, i_1 = np.uintp(i), min(np.uintp(i + 1), last)
        i_2, i_3 = min(np.uintp(i + 2), last), min(np.uintp(i + 3), last)
        r[i_0], r[i_1], r[i_2], r[i_3] = row_sums(K, v, i_0, i_1, i_2, i_3)


@elementwise
def _column_sums(K: Array, u: Array, c: Array) -> None:
    """c = K'u, TOGETHER rows at a time. Where fewer rows are left, the last one is added again,
    with the factor 0, in place of those that are missing."""
    last = np.uintp(u.size - 1)
    c[:] = 0.0
    for i in range(0, u.size, TOGETHER):
        i_0, i_1 = np.uintp(i), min(np.uintp(i + 1), last)
        i_2, i_3 = min(np.uintp(i + 2), last), min(np.uintp(i + 3), last)
        add_rows(K, i_0, i_1, i_2, i_3, u[i_0], u[i_1] if i + 1 <= last else 0.0,
                 u[i_2] if i + 2 <= last else 0.0, u[i_3] if i + 3 <= last else 0.0, c)


@kernel
def free_sweep(K: Array, noise: float, f0: Array, g0: Array, a: Array, b: Array, eps: float,
               softness: Any, f: Array, g: Array, w: float, i0: int, i1: int
               ) -> tuple[bool, float, float, Array, Array]:
    """`FreeSweeper.free_sweep`: (whether all sums were reliable, level, residual, next f, next g).
    The last four mean nothing if they were not. i0 and i1, which every kernel has, are not used."""
    (s, s_other), n, m = softness, f.size, g.size
    next_f, next_g, u, v = np.empty(n), np.empty(m), np.empty(n), np.empty(m)
    sums, h, column_sums, transform = np.empty(n), np.empty(n), np.empty(m), np.empty(m)
    noise_of_rows = noise * _scaling(b, g, g0, eps, v)
    _row_sums(K, v, sums)
    if not _reliable(sums, noise_of_rows):
        return False, 0.0, 0.0, next_f, next_g
    _transform(sums, f0, eps, h)
    _half_step(f, h, a, s, g, b, s_other, eps, w, next_f)
    noise_of_columns = noise * _scaling(a, next_f, f0, eps, u)
    _column_sums(K, u, column_sums)
    if not _reliable(column_sums, noise_of_columns):
        return False, 0.0, 0.0, next_f, next_g
    _transform(column_sums, g0, eps, transform)
    level = _level(next_f, a, s, g, b, s_other)
    residual = (_miss(next_f, h, a, s, level, eps)
                + _miss(g, transform, b, s_other, -level, eps))
    _half_step(g, transform, b, s_other, next_f, a, s, eps, w, next_g)
    return True, level, residual, next_f, next_g
