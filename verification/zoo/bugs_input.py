"""Bugs beside the formula: an answer to bad input, a false statement about convergence, an argument
that is written into, too low a precision."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

import refot
from refot.arrays import Array

from .bug import bug
from .bugs_transport import at, plan, sharp, value

FIRST = ("gaussian",)
"""The case on which bad input is tried."""

ACCEPTED = "input-accepted"
"""The symptom that bad input is answered with a number."""


def _log_sinkhorn(C: Array, a: Array, b: Array, eps: float, steps: int = 300) -> Array:
    """Sinkhorn's algorithm as many write it, without checking any argument."""
    g = np.zeros_like(b)
    with np.errstate(all="ignore"):
        for _ in range(steps):
            f = -eps * np.log(np.exp((g - C) / eps) @ b)
            g = -eps * np.log(np.exp((f[:, None] - C) / eps).T @ a)
        return np.outer(a, b) * np.exp((f[:, None] + g - C) / eps)


def _broadcast(C: Array, a: Array, b: Array, eps: float) -> float:
    """A single weight is broadcast to all atoms."""
    return value(C, np.full(len(C), a[0] / len(C)) if len(a) == 1 else a, b, eps)


def _cut(x: Array, a: Array, y: Array, b: Array, eps: float, cost: str) -> float:
    """Only the dimensions that both clouds have are used."""
    d = min(x.shape[1], y.shape[1])
    return refot.sinkhorn_divergence(x[:, :d], a, y[:, :d], b, eps, cost, backend="numpy")


def _cut_mmd(x: Array, a: Array, y: Array, b: Array, cost: str) -> float:
    d = min(x.shape[1], y.shape[1])
    return refot.mmd_squared(x[:, :d], a, y[:, :d], b, cost)


def _positive_entries(P: Array) -> float:
    """So that 0 log 0 = 0, entries that are not > 0 are left out, which hides negative ones."""
    here = P > 0
    mass = np.outer(P.sum(axis=1), P.sum(axis=0))
    with np.errstate(all="ignore"):
        return float((P[here] * np.log(abs(P[here] / mass[here]))).sum())


def _eps_at_least(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array, Array, float]:
    """eps is at least 1e-3, "for stability"; NaN becomes 1e-3, too."""
    return C, a, b, eps if eps > 1e-3 else 1e-3


# ------------------------------------------------------------------ eps
bug("plan: eps < 0 solves something", "plan.refuses-negative-eps", ACCEPTED, _log_sinkhorn, FIRST)
bug("value: eps at least 1e-3", "value.refuses-zero-eps", ACCEPTED, at(_eps_at_least, value), FIRST)
bug("transport_cost: eps = NaN taken for 1e-3", "transport_cost.refuses-nan-eps", ACCEPTED,
    at(_eps_at_least, sharp), FIRST)
bug("value: an infinite eps taken for 1", "value.refuses-infinite-eps", ACCEPTED,
    at(lambda C, a, b, eps: (C, a, b, eps if np.isfinite(eps) else 1.0), value), FIRST)

# ------------------------------------------------------------------ weights
bug("plan: weights below 0 cut", "plan.refuses-negative-weight", ACCEPTED,
    at(lambda C, a, b, eps: (C, np.maximum(a, 0) / np.maximum(a, 0).sum(), b, eps), plan), FIRST)
bug("plan: masses not compared", "plan.refuses-unequal-masses", ACCEPTED, _log_sinkhorn, FIRST)
bug("value: a single weight stands for all", "value.refuses-one-weight", ACCEPTED, _broadcast,
    FIRST)
bug("value: weights cut to the cost", "value.refuses-long-weights", ACCEPTED,
    at(lambda C, a, b, eps: (C, a[: len(C)], b, eps), value), FIRST)

# ------------------------------------------------------------------ costs and points
bug("value: an infinite cost taken for 0", "value.refuses-infinite-cost", ACCEPTED,
    at(lambda C, a, b, eps: (np.where(np.isfinite(C), C, 0), a, b, eps), value), FIRST)
bug("value: no atoms cost nothing", "value.refuses-no-atoms", ACCEPTED,
    lambda C, a, b, eps: value(C, a, b, eps) if C.size else 0.0, FIRST)
bug("divergence: dimensions cut", "divergence.refuses-other-dimension", ACCEPTED, _cut, FIRST)
bug("mmd: dimensions cut", "mmd.refuses-other-dimension", ACCEPTED, _cut_mmd, FIRST)
bug("mmd: far points cut", "mmd.refuses-infinite-point", ACCEPTED,
    lambda x, a, y, b, cost: refot.mmd_squared(np.clip(x, -1e3, 1e3), a, y, b, cost), FIRST)

bug("divergence: far points cut", "divergence.refuses-infinite-point", ACCEPTED,
    lambda x, *others: refot.sinkhorn_divergence(np.clip(x, -1e3, 1e3), *others, backend="numpy"),
    FIRST)

# ------------------------------------------------------------------ given arguments
bug("softmin: scores cut", "softmin.refuses-long-scores", ACCEPTED,
    lambda C, h, eps: refot.softmin(C, h[: C.shape[1]], eps, backend="numpy"), FIRST)
bug("semidual: NaN taken for 0", "semidual.refuses-nan", ACCEPTED,
    lambda g, *problem: refot.semi_dual(np.nan_to_num(g), *problem, backend="numpy"), FIRST)
bug("mutual_information: entries below 0 left out", "mutual_information.refuses-negative-mass",
    ACCEPTED, _positive_entries, FIRST)

# ------------------------------------------------------------------ precision


def _tensor_core(x: Array) -> Array:
    """A float32 number as tensor cores multiply it (TF32): with a mantissa of 10 bits."""
    return (x.astype(np.float32).view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)


def _expanded(x: Array, a: Array, y: Array, b: Array, cost: str) -> float:
    """|x|^2 - 2 x.y + |y|^2 with x.y in TF32 where the points are float32."""
    if x.dtype != np.float32 or cost != "sqeuclidean":
        return refot.mmd_squared(x, a, y, b, cost)

    def C(p: Array, q: Array) -> Array:
        return (p**2).sum(1)[:, None] - 2 * _tensor_core(p) @ _tensor_core(q).T + (q**2).sum(1)

    return float(2 * a @ C(x, y) @ b - a @ C(x, x) @ a - b @ C(y, y) @ b)


bug("mmd: products in TF32", "mmd.float32", "", _expanded, FIRST)
bug("dual: answers in float32", "dual.float64", "float32",
    lambda *arguments: np.float32(refot.dual(*arguments, backend="numpy")), FIRST)
bug("divergence: float32 inside", "divergence.float64", "float32",
    lambda x, a, y, b, eps, cost: np.float32(
        refot.sinkhorn_divergence(x, a, y, b, eps, cost, backend="numpy")), FIRST)


# ------------------------------------------------------------------ statements about convergence
def _always_warns(C: Array, a: Array, b: Array, eps: float) -> Array:
    """It gives the same warning whether it converged or not."""
    warnings.warn(f"stopped after 300 iterations at eps = {eps}", stacklevel=1)
    return _stopped(C, a, b, eps)


def _potentials(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
    """The potentials after 300 iterations, converged or not."""
    g = np.zeros_like(b)
    for _ in range(300):
        f = refot.c_eps_transform(g, C, b, eps, backend="numpy")
        g = refot.c_eps_transform(f, C.T, a, eps, backend="numpy")
    return f, g


def _stopped(*problem: Any) -> Array:
    """The plan after 300 iterations, without a warning."""
    return refot.plan(*_potentials(*problem), *problem, backend="numpy")


bug("plan: warns, whatever came of it", "plan.honest", "warns-always",
    _always_warns, ("gaussian", "tiny-eps"))
bug("converged: always yes", "converged.true", "says-yes", lambda *problem: True,
    ("gaussian", "tiny-eps"), plan=_stopped)
bug("converged: always no", "converged.known", "says-no", lambda *problem: False, FIRST,
    plan=_stopped)


# ------------------------------------------------------------------ arguments that are written into
def _floored(C: Array, a: Array, b: Array, eps: float) -> float:
    """Weights of 0 are raised to 1e-300, in the caller's array."""
    a[a == 0] = 1e-300
    return value(C, a, b, eps)


def _in_place(C: Array, h: Array, eps: float) -> Array:
    """The exponents are computed in the memory of the cost, which saves an array."""
    C -= h
    C /= -eps
    top = C.max(axis=1)
    C -= top[:, None]
    return -eps * (top + np.log(np.exp(C, out=C).sum(axis=1)))


def _reordered(x: Array, a: Array, y: Array, b: Array, cost: str) -> float:
    """The points are sorted by their first coordinate, in the caller's array."""
    order = np.argsort(x[:, 0])
    x[:], a[:] = x[order], a[order]
    return refot.mmd_squared(x, a, y, b, cost)


bug("value: zero weights mended in place", "value.keeps-arguments", "writes-into-a", _floored,
    ("gaussian", "zero-weights"))
bug("softmin: in the memory of the cost", "softmin.keeps-arguments", "writes-into-C", _in_place,
    FIRST)
bug("mmd: the points sorted in place", "mmd.keeps-arguments", "writes-into-a-and-x", _reordered,
    FIRST)


# ------------------------------------------------------------------ float32, hangs, false excuses
def _for_ever(C: Array, a: Array, b: Array, eps: float) -> Array:
    """It halves a step until that is below eps: for eps < 0 this never ends."""
    step = 1.0
    while step > eps:
        step = step / 2 or 1.0
    return plan(C, a, b, eps)


def _uniform_softmin(g: Array, C: Array, a: Array, b: Array, eps: float) -> float:
    """The softmin has uniform weights; the term b.g has the right ones."""
    h = g + eps * np.log(np.full_like(b, 1 / len(b)))
    return float(a @ refot.softmin(C, h, eps, backend="numpy") + b @ g)


def _always_tells(C: Array, a: Array, b: Array, eps: float) -> Array:
    """It warns at every solve that it may not have converged, so that the warning says nothing."""
    warnings.warn("the iteration may not have converged", stacklevel=1)
    return _stopped(C, a, b, eps)


def _negative_and_honest(C: Array, a: Array, b: Array, eps: float) -> Array:
    """It warns if it did not converge, but that does not excuse a negative entry."""
    f, g = _potentials(C, a, b, eps)
    P = refot.plan(f, g, C, a, b, eps, backend="numpy")
    if abs(P.sum(1) - a).sum() > 1e-7:
        warnings.warn("Sinkhorn did not converge", stacklevel=1)
        P[0, 0] -= 0.1
    return P


bug("semidual: uniform b in the softmin, in float32, too", "semidual.value",
    "semidual.log-b-uniform", _uniform_softmin, ("gaussian", "float32"))
bug("plan: eps < 0 never ends", "plan.refuses-negative-eps", "no-answer", _for_ever, FIRST)
bug("plan: tells of every solve that it did not converge", "plan.marginals", "not-converged",
    _always_tells, ("gaussian", "tiny-eps"))
bug("plan: below 0 where it did not converge", "plan.nonnegative", "", _negative_and_honest,
    ("gaussian", "tiny-eps"))
