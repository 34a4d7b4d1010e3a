"""Solvers of the zoo's right subjects: six methods, written without refot.

Each takes (C, a, b, eps) and returns potentials (f, g) with the plan a_i b_j exp((f_i + g_j - C_ij)
/ eps), whose marginals are right to 1e-11. Only `symmetric`, for a measure and itself, takes
(C, a, eps) and returns f alone, since g = f. On a problem that its method does not solve so well,
a solver raises NotImplementedError: a right subject may refuse a problem, but must not be wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from refot.arrays import Array

Solver = Callable[[Array, Array, Array, float], tuple[Array, Array]]
"""(C, a, b, eps) -> (f, g)."""

TOLERANCE = 1e-11
"""The L1 error of both marginals together below which a solver stops."""

ITERATIONS = 20_000
"""The iterations after which a first-order method gives up."""

LARGEST_RATIO = 100
"""The largest (max C - min C) / eps that the first-order methods accept: more would take long."""


def transform(C: Array, g: Array, b: Array, eps: float) -> Array:
    """-eps log sum_j b_j exp((g_j - C_ij) / eps), (n,), shifted by the largest exponent."""
    t = (g - C) / eps
    shift = t.max(axis=1)
    out: Array = -eps * (shift + np.log(np.exp(t - shift[:, None]) @ b))
    return out


def density_plan(f: Array, g: Array, C: Array, a: Array, b: Array, eps: float) -> Array:
    """a_i b_j exp((f_i + g_j - C_ij) / eps)."""
    return np.outer(a, b) * np.exp((f[:, None] + g - C) / eps)


def _moderate(C: Array, eps: float) -> None:
    """Raise NotImplementedError if a first-order method would take too long."""
    if np.ptp(C) > LARGEST_RATIO * eps:
        raise NotImplementedError(f"C / eps spreads over more than {LARGEST_RATIO}")


def _until(
    iterates: Iterator[tuple[Array, Array]], C: Array, a: Array, b: Array, eps: float
) -> tuple[Array, Array]:
    """The first iterate whose plan has the marginals a and b up to TOLERANCE."""
    for k, (f, g) in enumerate(iterates):
        if k % 5 == 0:
            P = density_plan(f, g, C, a, b, eps)
            if abs(P.sum(1) - a).sum() + abs(P.sum(0) - b).sum() < TOLERANCE:
                return f, g
        if k > ITERATIONS:
            break
    raise NotImplementedError(f"not there after {ITERATIONS} iterations")


# ------------------------------------------------------------------ first order
def log_domain(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
    """Alternating transforms."""
    return over_relaxed(C, a, b, eps, omega=1.0)


def over_relaxed(
    C: Array, a: Array, b: Array, eps: float, omega: float = 1.4
) -> tuple[Array, Array]:
    """Alternating transforms, each step lengthened by omega (Thibault et al. 2017)."""
    _moderate(C, eps)

    def iterates() -> Iterator[tuple[Array, Array]]:
        g = np.zeros_like(b)
        f = transform(C, g, b, eps)
        while True:
            g = g + omega * (transform(C.T, f, a, eps) - g)
            yield transform(C, g, b, eps), g
            f = f + omega * (transform(C, g, b, eps) - f)

    return _until(iterates(), C, a, b, eps)


def scaling(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
    """u = a / (K v), v = b / (K'u) with K = exp(-(C - min C) / eps), if that cannot underflow."""
    _moderate(C, eps)
    low = C.min()
    K = np.exp(-(C - low) / eps)

    def iterates() -> Iterator[tuple[Array, Array]]:
        v = np.ones_like(b)
        while True:
            u = 1 / (K @ (b * v))
            v = 1 / (K.T @ (a * u))
            yield eps * np.log(u) + low, eps * np.log(v)

    return _until(iterates(), C, a, b, eps)


def absorbed(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
    """The scaling form, with u and v absorbed into f and g every ten steps (Schmitzer 2019)."""
    _moderate(C, eps)

    def iterates() -> Iterator[tuple[Array, Array]]:
        g = np.zeros_like(b)
        f = transform(C, g, b, eps)
        while True:
            K, v = np.exp((f[:, None] + g - C) / eps), np.ones_like(b)
            for _ in range(10):
                u = 1 / (K @ (b * v))
                v = 1 / (K.T @ (a * u))
            f, g = f + eps * np.log(u), g + eps * np.log(v)
            yield f, g

    return _until(iterates(), C, a, b, eps)


def symmetric(C: Array, a: Array, eps: float) -> Array:
    """The potential f of the transport of a measure to itself, where f = g. Each update replaces f
    by the mean of f and its transform."""

    def iterates() -> Iterator[tuple[Array, Array]]:
        f = np.zeros_like(a)
        while True:
            f = (f + transform(C, f, a, eps)) / 2
            yield f, f

    return _until(iterates(), C, a, a, eps)[0]


# ------------------------------------------------------------------ second order
def newton(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
    """Newton's method on the semi-dual in g, with eps halved step by step from max C - min C."""
    if not np.isfinite(C).all():
        raise ValueError("a cost is not finite")
    g, stage = np.zeros_like(b), max(float(np.ptp(C)), eps)
    while stage > eps:
        g = _ascend(g, C, a, b, stage, 1e-3)
        stage /= 2
    g = _ascend(g, C, a, b, eps, TOLERANCE + 1e-13 * float(np.ptp(C)) / eps)
    return transform(C, g, b, eps), transform(C.T, transform(C, g, b, eps), a, eps)


def _ascend(g: Array, C: Array, a: Array, b: Array, eps: float, tol: float) -> Array:
    """Newton steps on the semi-dual until the L1 error of the column sums is at most tol.

    A step whose largest entry is l eps is shortened to log(1 + l) eps: far from the optimum, the
    quadratic model holds for changes of about eps only.
    """
    for _ in range(300):
        P = density_plan(transform(C, g, b, eps), g, C, a, b, eps)
        missing = b - P.sum(0)
        if abs(missing).sum() <= tol:
            return g
        hessian = np.diag(P.sum(0)) - P.T @ (P / np.where(a > 0, a, 1)[:, None])
        step = np.linalg.lstsq(hessian, missing, rcond=1e-13)[0]
        g = g + eps * step * np.log1p(abs(step).max()) / abs(step).max()
    raise NotImplementedError(f"column error {abs(missing).sum():.2g} after 300 steps")
