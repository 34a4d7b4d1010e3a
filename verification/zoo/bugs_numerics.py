"""Bugs of numerics: underflow, float32, NaN, clipping, answers that differ from call to call."""

from __future__ import annotations

import itertools

import numpy as np

import refot
from refot.arrays import Array
from refot.costs.operands import point_cost
from refot.solvers.scaling import scaling_iterates

from .bug import USUAL, bug
from .bugs_transport import plan, sharp, solve, value


def _scaling(C: Array, a: Array, b: Array, eps: float) -> Array:
    """The scaling form, whose kernel exp(-C / eps) may underflow."""
    with np.errstate(all="ignore"):
        u, v = next(itertools.islice(scaling_iterates(C, a, b, eps), 500, None))
        return u[:, None] * np.exp(-C / eps) * v


def _stabilised(C: Array, a: Array, b: Array, eps: float) -> Array:
    """1e-6 is added to every denominator, "against division by zero"."""
    K, v = np.exp(-C / eps), b
    for _ in range(500):
        u = a / (K @ v + 1e-6)
        v = b / (K.T @ u + 1e-6)
    return u[:, None] * K * v


def _clipped(C: Array, a: Array, b: Array, eps: float) -> Array:
    """C / eps clipped at 50, "against underflow"."""
    return plan(eps * np.clip(C / eps, None, 50.0), a, b, eps)


def _single(C: Array, a: Array, b: Array, eps: float) -> Array:
    """It computes in float32, whatever the dtype of its arguments."""
    C, a, b = (array.astype(np.float32) for array in (C, a, b))
    f, g = np.zeros_like(a), np.zeros_like(b)
    for _ in range(300):
        f = refot.softmin(C, g + np.float32(eps) * np.log(b), eps, backend="numpy")
        g = refot.softmin(C.T, f + np.float32(eps) * np.log(a), eps, backend="numpy")
    return np.outer(a, b) * np.exp((f[:, None] + g - C) / np.float32(eps))


def _log_of_zero(C: Array, a: Array, b: Array, eps: float) -> float:
    """0 log 0 is computed as 0 * -infinity where a weight is 0."""
    with np.errstate(all="ignore"):
        P = solve(C, a, b, eps)[2]
        return float((P * C).sum() + eps * (P * np.log(P / np.outer(a, b))).sum())


def _noisy(C: Array, a: Array, b: Array, eps: float) -> float:
    """The value of a mini-batch of rows, which is drawn anew at each call."""
    rows = np.random.default_rng().integers(len(a), size=len(a))
    weights = np.full(len(a), 1 / len(a))
    return value(C[rows], weights, b, eps)


def _forgiving(x: Array, a: Array, y: Array, b: Array, eps: float, cost: str) -> float:
    """NaN in the points is taken for 0."""
    x, y = np.nan_to_num(x), np.nan_to_num(y)
    terms = [value(point_cost(u, v, cost).dense(), p, q, eps)
             for u, p, v, q in ((x, a, y, b), (x, a, x, a), (y, b, y, b))]
    return terms[0] - terms[1] / 2 - terms[2] / 2


bug("plan: the kernel underflows", "plan.marginals", "underflow", _scaling,
    ("gaussian", "square-uniform", "offset"))
bug("plan: 1e-6 in every denominator", "plan.marginals", "", _stabilised)
bug("plan: exponents clipped at 50", "plan.entries", "plan.independent-coupling", _clipped,
    ("gaussian", "square-uniform", "offset"))
bug("plan: float32 inside", "plan.entries", "float32", _single, ("gaussian", "offset"))
bug("plan: negative entries", "plan.nonnegative", "",
    lambda *problem: plan(*problem) - 1e-4 * np.eye(len(problem[1]), len(problem[2])))
bug("plan: NaN taken for 0", "plan.refuses-nan", "input-accepted",
    lambda C, *rest: plan(np.nan_to_num(C), *rest), ("gaussian",))
bug("plan: noise of a random start", "plan.repeatable", "",
    lambda C, a, b, eps: plan(C + np.random.default_rng().normal(0, 1e-3, C.shape), a, b, eps),
    ("gaussian",))
bug("value: a row drawn anew at each call", "value.repeatable", "", _noisy, ("gaussian",))
bug("value: NaN taken for 0", "value.refuses-nan", "input-accepted",
    lambda C, *rest: value(np.nan_to_num(C), *rest), ("gaussian",))
bug("value: log of a zero weight", "value.certified", "zero-weight", _log_of_zero,
    ("gaussian", "zero-weights"))
bug("value: float32 inside", "value.certified", "float32",
    lambda C, a, b, eps: np.float32(value(C, a, b, eps)), (*USUAL, "offset"))
bug("transport_cost: NaN taken for 0", "transport_cost.refuses-nan", "input-accepted",
    lambda C, *rest: sharp(np.nan_to_num(C), *rest), ("gaussian",))
bug("divergence: NaN taken for 0", "divergence.refuses-nan", "input-accepted", _forgiving,
    ("gaussian",))
bug("mmd: NaN taken for 0", "mmd.refuses-nan", "input-accepted",
    lambda x, *rest: refot.mmd_squared(np.nan_to_num(x), *rest), ("gaussian",))
