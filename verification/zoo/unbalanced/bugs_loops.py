"""Bugs in the loop of unbalanced transport: in its damping, its exponents, its stopping rule, and
in keeping results between calls. U-3 to U-5 are equations of docs/equations.md."""

from __future__ import annotations

from typing import Any

import numpy as np

from refot.arrays import Array
from refot.verification.zoo.bug import bug
from refot.verification.zoo.solvers import density_plan

from .bugs_values import CASES
from .right import plan_of, value_of_mass
from .solvers import checked, softmin

STEPS = 2_000
"""Iterations, enough to converge: on CASES rho / eps is at most 15, the damping at most 15/16."""

STILL = 1e-13
"""A loop ends once the potential of the rows changes by at most this, relative to its size."""

FEW = 5
"""Iterations of a loop that stops too early."""


def _log(weights: Array) -> Array:
    return np.log(np.where(weights > 0, weights, 1e-300))


def _loop(C: Array, a: Array, b: Array, eps: float, rows: float, columns: float,
          steps: int = STEPS) -> tuple[Array, Array]:
    """Alternating updates U-3, in which f is damped by the factor `rows`, and g by `columns`."""
    f, g = np.zeros_like(a), np.zeros_like(b)
    for _ in range(steps):
        before = f
        f = rows * softmin(C, g, b, eps)
        g = columns * softmin(C.T, f, a, eps)
        if abs(f - before).max() <= STILL * abs(f).max():
            break
    return f, g


def _rows_exact(C: Array, a: Array, b: Array, eps: float, rho: float) -> Array:
    C, a, b = checked(C, a, b, eps, rho)
    return density_plan(*_loop(C, a, b, eps, 1.0, rho / (rho + eps)), C, a, b, eps)


def _columns_exact(C: Array, a: Array, b: Array, eps: float, rho: float) -> float:
    """The dual as if the columns were exact, at the potentials of a loop that does not damp g."""
    C, a, b = checked(C, a, b, eps, rho)
    f, g = _loop(C, a, b, eps, rho / (rho + eps), 1.0)
    moved = float(density_plan(f, g, C, a, b, eps).sum()) - a.sum() * b.sum()
    return float(-rho * (a @ np.expm1(-f / rho)) + b @ g - eps * moved)


def _weights_damped(C: Array, a: Array, b: Array, eps: float, rho: float) -> Array:
    """Plain potentials F = f + eps log a are damped as a whole, where only f should be. In scalings
    u = exp(F / eps) the update is u = (a / K v)^(rho / (rho + eps))."""
    C, a, b = checked(C, a, b, eps, rho)
    damping, G = rho / (rho + eps), np.zeros_like(b)
    ones_a, ones_b, F = np.ones_like(a), np.ones_like(b), np.zeros_like(a)
    for _ in range(STEPS):
        before = F
        F = damping * (eps * _log(a) + softmin(C, G, ones_b, eps))
        G = damping * (eps * _log(b) + softmin(C.T, F, ones_a, eps))
        if abs(F - before).max() <= STILL * abs(F).max():
            break
    return np.exp((F[:, None] + G - C) / eps)


def _few_plan(C: Array, a: Array, b: Array, eps: float, rho: float) -> Array:
    C, a, b = checked(C, a, b, eps, rho)
    damping = rho / (rho + eps)
    return density_plan(*_loop(C, a, b, eps, damping, damping, FEW), C, a, b, eps)


def _few_value(C: Array, a: Array, b: Array, eps: float, rho: float) -> float:
    return value_of_mass(_few_plan(C, a, b, eps, rho), a, b, eps, rho)


# ------------------------------------------------------------------ exponents
def _scaling(C: Array, a: Array, b: Array, eps: float, rho: float) -> Array:
    """The scaling form: K = exp(-C / eps), computed in advance, is 0 where C / eps is large."""
    C, a, b = checked(C, a, b, eps, rho)
    K, v, damping = np.exp(-C / eps), np.ones_like(b), rho / (rho + eps)
    with np.errstate(all="ignore"):
        for _ in range(STEPS):
            u = (1 / (K @ (b * v))) ** damping
            v = (1 / (K.T @ (a * u))) ** damping
        return np.outer(a * u, b * v) * K


def _shift_unshifted(C: Array, a: Array, b: Array, eps: float, rho: float) -> float:
    """The potentials are shifted by the best constant U-5. Its sums of exp(-f / rho) may underflow,
    because no maximum is taken out of the exponents first."""
    C, a, b = checked(C, a, b, eps, rho)
    f, g, damping = np.zeros_like(a), np.zeros_like(b), rho / (rho + eps)
    with np.errstate(all="ignore"):
        for _ in range(300):
            f = damping * softmin(C, g, b, eps)
            t = rho / 2 * np.log((a @ np.exp(-f / rho)) / (b @ np.exp(-g / rho)))
            f, g = f + t, g - t
            g = damping * softmin(C.T, f, a, eps)
        return value_of_mass(density_plan(f, g, C, a, b, eps), a, b, eps, rho)


def _ratios_of_softmins(C: Array, a: Array, b: Array, eps: float, rho: float) -> float:
    """Damping is applied as a power of exp(-softmin / rho), which at small rho is 0 or infinite
    before the power is taken."""
    C, a, b = checked(C, a, b, eps, rho)
    ratio, damping = np.ones_like(b), rho / (rho + eps)
    with np.errstate(all="ignore"):
        for _ in range(300):
            g = -rho * np.log(ratio)
            f = -rho * np.log(np.exp(-softmin(C, g, b, eps) / rho) ** damping)
            ratio = np.exp(-softmin(C.T, f, a, eps) / rho) ** damping
        return value_of_mass(density_plan(f, -rho * np.log(ratio), C, a, b, eps), a, b, eps, rho)


def _absorbing(C: Array, a: Array, b: Array, eps: float, rho: float) -> Array:
    """When an entry of u or v exceeds 100, the largest entry of each is absorbed into alpha and
    beta as if all entries were equal to it. Then v is set to 1, but not u.
    """
    C, a, b = checked(C, a, b, eps, rho)
    M = C - eps * np.log(np.outer(a, b))
    K, damping, alpha, beta = np.exp(-M / eps), rho / (rho + eps), 0 * a, 0 * b
    u, v = np.ones_like(a), np.ones_like(b)
    for _ in range(STEPS):
        u = (a / (K @ v + 1e-16)) ** damping * np.exp(-alpha / (eps + rho))
        v = (b / (K.T @ u + 1e-16)) ** damping * np.exp(-beta / (eps + rho))
        if max(u.max(), v.max()) > 100:
            alpha, beta = alpha + eps * np.log(u.max()), beta + eps * np.log(v.max())
            K = np.exp((alpha[:, None] + beta - M) / eps)
            v = np.ones_like(v)
    return u[:, None] * K * v


# ------------------------------------------------------------------ results kept between calls
_kept: dict[Any, Array] = {}


def _by_shape(C: Array, a: Array, b: Array, eps: float, rho: float) -> Array:
    """A plan is kept, and returned for every later cost of the same shape with the same eps."""
    key = (C.shape, eps)
    if key not in _kept:
        _kept[key] = plan_of(C, a, b, eps, rho)
    return _kept[key]


bug("unbalanced_plan: rows not damped", "unbalanced_plan.transposed",
    "unbalanced_plan.rows-exact", _rows_exact, CASES)
bug("unbalanced_value: columns not damped", "unbalanced_value.transposed",
    "unbalanced_value.columns-exact", _columns_exact, CASES)
bug("unbalanced_plan: weights inside the damping", "unbalanced_plan.marginals",
    "unbalanced_plan.reference-ones", _weights_damped, CASES)
bug("unbalanced_plan: five iterations", "unbalanced_plan.large-rho", "not-converged", _few_plan,
    CASES)
bug("unbalanced_value: five iterations", "unbalanced_value.large-rho", "stopped-after-five",
    _few_value, CASES)
bug("unbalanced_plan: kernel underflows", "unbalanced_plan.far", "underflow", _scaling, CASES)
bug("unbalanced_plan: log of a weight 0", "unbalanced_plan.entries", "zero-weight",
    lambda C, a, b, eps, rho: np.exp((plan_of(C, a, b, eps, rho) * 0 + np.log(a)[:, None]) * 0)
    * plan_of(C, a, b, eps, rho), ("zero-weights",))
bug("unbalanced_value: shift underflows", "unbalanced_value.far", "underflow", _shift_unshifted,
    CASES)
bug("unbalanced_value: ratios overflow at small rho", "unbalanced_value.small-rho", "small-rho",
    _ratios_of_softmins, CASES)
bug("unbalanced_plan: absorbs the largest scaling for all", "unbalanced_plan.large-rho", "",
    _absorbing, CASES)
bug("unbalanced_plan: kept by shape", "unbalanced_plan.small-rho", "earlier-calls", _by_shape,
    ("gaussian",))
