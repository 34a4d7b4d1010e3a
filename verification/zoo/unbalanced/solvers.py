"""Solvers of unbalanced transport for the zoo's right subjects, none of them refot's.

Each takes (C, a, b, eps, rho) and returns (f, g), with the plan a_i b_j exp((f_i + g_j - C_ij) /
eps). It raises NotImplementedError on a problem that its method does not solve well: a right
subject may refuse a problem, but must not be wrong. U-2 to U-5 are equations of docs/equations.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from refot.arrays import Array
from refot.verification.zoo.solvers import density_plan

Solver = Callable[[Array, Array, Array, float, float], tuple[Array, Array]]
"""(C, a, b, eps, rho) -> (f, g)."""

TOLERANCE = 1e-13
"""The change of the potentials, in units of their size, at which a loop stops."""

ITERATIONS = 20_000
"""Iterations after which a loop gives up."""

LARGEST_SPREAD = 300
"""The largest (max C - min C) / eps that the loops accept: more would take long."""

LARGEST_RHO = 200
"""The largest rho / eps that the plain loop accepts: an iteration removes only the share 2 eps /
rho of the error."""

LARGEST_EXPONENT = 600
"""The largest |C| / eps of the scaling form, whose kernel is exp(-C / eps)."""


def checked(C: Array, a: Array, b: Array, eps: float, rho: float) -> tuple[Array, Array, Array]:
    """C, a, b in float64. Raises ValueError for what is no unbalanced problem."""
    C, a, b = (np.ascontiguousarray(array, dtype=np.float64) for array in (C, a, b))
    if not np.isfinite(C).all() or not C.size or C.shape != (len(a), len(b)):
        raise ValueError("a cost is not finite, or does not fit the weights")
    if not (a >= 0).all() or not (b >= 0).all() or not 0 < a.sum() * b.sum() < np.inf:
        raise ValueError("a weight is negative or not finite")
    if not 0 < eps < np.inf or not 0 < rho < np.inf:
        raise ValueError(f"eps = {eps}, rho = {rho}")
    return C, a, b


def softmin(C: Array, h: Array, w: Array, eps: float) -> Array:
    """-eps log sum_j w_j exp((h_j - C_ij) / eps), atoms without weight left out."""
    there = w > 0
    t = (h[there] - C[:, there]) / eps
    top = t.max(axis=1)
    out: Array = -eps * (top + np.log(np.exp(t - top[:, None]) @ w[there]))
    return out


def log_mean(h: Array, w: Array, rho: float) -> float:
    """log <w, exp(-h / rho)>, shifted by its maximum."""
    t = -h[w > 0] / rho
    return float(t.max() + np.log(np.exp(t - t.max()) @ w[w > 0]))


# ------------------------------------------------------------------ loops in the log domain
def prox(h: Array, eps: float, rho: float, penalty: str) -> Array:
    """The potential of U-3 from the softmin h: damped for the penalty KL, clipped for TV."""
    return rho / (rho + eps) * h if penalty == "kl" else np.clip(h, -rho, rho)


def _until_still(iterates: Iterator[tuple[Array, Array]]) -> tuple[Array, Array]:
    """The first iterate that differs from the one before by at most TOLERANCE times its size."""
    f, g = next(iterates)
    for k, (new_f, new_g) in enumerate(iterates):
        moved = max(abs(new_f - f).max(), abs(new_g - g).max())
        f, g = new_f, new_g
        if moved <= TOLERANCE * max(abs(f).max(), abs(g).max()):
            return f, g
        if k > ITERATIONS:
            break
    raise NotImplementedError(f"not there after {ITERATIONS} iterations")


def _moderate(C: Array, eps: float) -> None:
    """Raise NotImplementedError if a loop would take too long."""
    if np.ptp(C) > LARGEST_SPREAD * eps:
        raise NotImplementedError(f"C / eps spreads over more than {LARGEST_SPREAD:g}")


def plain(C: Array, a: Array, b: Array, eps: float, rho: float,
          penalty: str = "kl") -> tuple[Array, Array]:
    """Alternating updates U-3, for the penalty KL or TV."""
    _moderate(C, eps)
    if rho > LARGEST_RHO * eps:
        raise NotImplementedError("rho / eps is too large for the plain loop")

    def iterates() -> Iterator[tuple[Array, Array]]:
        g = np.zeros_like(b)
        while True:
            f = prox(softmin(C, g, b, eps), eps, rho, penalty)
            g = prox(softmin(C.T, f, a, eps), eps, rho, penalty)
            yield f, g

    return _until_still(iterates())


def translation_invariant(
    C: Array, a: Array, b: Array, eps: float, rho: float
) -> tuple[Array, Array]:
    """Alternating updates U-3. After each update of f, the constant t of U-5 is added to f and
    taken from g (Séjourné et al. 2022)."""
    _moderate(C, eps)

    def shifted(f: Array, g: Array) -> tuple[Array, Array]:
        t = rho / 2 * (log_mean(f, a, rho) - log_mean(g, b, rho))
        return f + t, g - t

    def iterates() -> Iterator[tuple[Array, Array]]:
        f, g = np.zeros_like(a), np.zeros_like(b)
        while True:
            f = rho / (rho + eps) * softmin(C, g, b, eps)
            f, g = shifted(f, g)
            g = rho / (rho + eps) * softmin(C.T, f, a, eps)
            yield f, g

    return _until_still(iterates())


# ------------------------------------------------------------------ scalings
def scaling(C: Array, a: Array, b: Array, eps: float, rho: float) -> tuple[Array, Array]:
    """u = (1 / K(b v))^(rho / (rho + eps)), and v likewise, with K = exp(-C / eps)."""
    if abs(C).max() > LARGEST_EXPONENT * eps or rho > LARGEST_RHO * eps:
        raise NotImplementedError("exp(-C / eps) would underflow, or rho / eps is too large")
    K, damping = np.exp(-C / eps), rho / (rho + eps)

    def iterates() -> Iterator[tuple[Array, Array]]:
        v = np.ones_like(b)
        while True:
            u = (1 / (K @ (b * v))) ** damping
            v = (1 / (K.T @ (a * u))) ** damping
            yield eps * np.log(u), eps * np.log(v)

    return _until_still(iterates())


# ------------------------------------------------------------------ second order
def newton(C: Array, a: Array, b: Array, eps: float, rho: float) -> tuple[Array, Array]:
    """Newton's method on the dual U-2 in (f, g), with eps quartered step by step from max C - min
    C.

    Atoms without weight are left out. Their potentials come from one update U-3 at the end.
    """
    if C.min() > LARGEST_EXPONENT * eps:
        raise NotImplementedError("nothing is moved: the second derivative is 0")
    rows, columns = a > 0, b > 0
    small, p, q = C[np.ix_(rows, columns)], a[rows], b[columns]
    f, g, stage = np.zeros_like(p), np.zeros_like(q), max(float(np.ptp(C)), eps)
    while stage > eps:
        f, g = _ascend(f, g, small, p, q, stage, rho, 1e-2)
        stage /= 4
    f, g = _ascend(f, g, small, p, q, eps, rho, 1e-12)
    damping = rho / (rho + eps)
    return (damping * softmin(C[:, columns], g, q, eps),
            damping * softmin(C[rows].T, f, p, eps))


def _ascend(
    f: Array, g: Array, C: Array, a: Array, b: Array, eps: float, rho: float, tol: float
) -> tuple[Array, Array]:
    """Twenty updates U-3, and then Newton steps until U-4 holds up to a share tol of the mass.

    A step whose largest entry is l min(eps, rho) is shortened to log(1 + l) min(eps, rho): far from
    the optimum, the quadratic model holds for small changes only.
    """
    for _ in range(20):
        f = rho / (rho + eps) * softmin(C, g, b, eps)
        g = rho / (rho + eps) * softmin(C.T, f, a, eps)
    for _ in range(300):
        P, due_a, due_b = density_plan(f, g, C, a, b, eps), a * np.exp(-f / rho), b * np.exp(
            -g / rho)
        slope = np.concatenate((due_a - P.sum(1), due_b - P.sum(0)))
        if abs(slope).sum() <= tol * (due_a.sum() + due_b.sum()):
            return f, g
        curvature = np.block([[np.diag(due_a / rho + P.sum(1) / eps), P / eps],
                              [P.T / eps, np.diag(due_b / rho + P.sum(0) / eps)]])
        scale = 1 / np.sqrt(np.diag(curvature))
        step = scale * np.linalg.solve(scale[:, None] * curvature * scale, scale * slope)
        largest = abs(step).max() / min(eps, rho)
        step *= np.log1p(largest) / largest if largest > 0 else 1
        f, g = f + step[: len(a)], g + step[len(a):]
    raise NotImplementedError(f"U-4 is missed by {abs(slope).sum():.2g} after 300 steps")
