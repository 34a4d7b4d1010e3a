"""Known mistakes of numerics: a right formula that overflows, underflows, or is stopped too early.

The certified vectors say which of their cases show such a mistake. The diagnosis does not compare
answers with these, because the wrong answer depends on details, such as the number of iterations.
It looks for signs in the numbers of a call instead (`verification/diagnosis/causes.py`).
"""

from __future__ import annotations

import numpy as np

from refot.arrays import Array
from refot.plans import plan
from refot.solvers.scaling import sinkhorn_scaling
from refot.solvers.sinkhorn import sinkhorn_log

from .mistake import Table

STEPS = 1_000
"""Iterations of u = a / (K v), v = b / (K' u), enough for every case on which K = exp(-C / eps)
does not underflow."""


def _scaling_plan(C: Array, a: Array, b: Array, eps: float) -> Array:
    u, v = sinkhorn_scaling(C, a, b, eps, STEPS)
    return u[:, None] * np.exp(-C / eps) * v


def _plan_of_five(C: Array, a: Array, b: Array, eps: float) -> Array:
    solved = sinkhorn_log(C, a, b, eps, max_iter=5, backend="numpy")
    return plan(solved.f, solved.g, C, a, b, eps, backend="numpy")


def _cost_of_five(C: Array, a: Array, b: Array, eps: float) -> float:
    return float((C * _plan_of_five(C, a, b, eps)).sum())


def _unshifted_softmin(C: Array, h: Array, eps: float) -> Array:
    return np.asarray(-eps * np.log(np.exp((h - C) / eps).sum(axis=1)))


MISTAKES: dict[str, Table] = {
    "plan": {
        "underflow": ("the scaling form, whose kernel exp(-C / eps) underflows", _scaling_plan),
        "five-iterations": ("stopped after five iterations, converged or not", _plan_of_five),
    },
    "transport_cost": {
        "five-iterations": ("stopped after five iterations, converged or not", _cost_of_five),
    },
    "softmin": {
        "no-shift": ("exponents are not shifted by their maximum: exp overflows or underflows",
            _unshifted_softmin),
    },
}
"""The mistakes of each capability."""
