"""Known mistakes in one update of Sinkhorn's algorithm: a wrong axis, a missing weight.

Such a loop converges, but to potentials that are not optimal, and more iterations do not help. This
file computes the sums S_ij = f_i + g_j at which the loop stops changing, and from these sums the
answer of each capability. If the two updates do not fit together, each iteration still moves f up
and g down by the same constant, and S depends on which update came last. So a mistake has several
possible answers (`Forms`).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeAlias

import numpy as np

from refot.arrays import Array
from refot.backend_contract import get_backend
from refot.costs.operands import DenseCost
from refot.objectives import kl
from refot.verification.truth.solution import solution

from .mistake import Forms, Table, each

STEPS = 2_000
"""Iterations after which a loop that still changes is given up."""

Sums: TypeAlias = list[Array]
"""f_i + g_j (n, m), once for each form of a mistake."""

WrongSums: TypeAlias = Callable[[Array, Array, Array, float], Sums | None]
"""Takes (C, a, b, eps) and returns the sums of a loop with a mistake, or None where the mistake
changes nothing, makes the shapes wrong, or keeps the loop from converging."""


def _log(weights: Array) -> Array:
    """log w, and -inf where w = 0."""
    with np.errstate(divide="ignore"):
        return np.log(weights)


# ------------------------------------------------------------------ a sum over the wrong axis
def standing(rows: Array, columns: Array, a: Array, b: Array, eps: float) -> Sums | None:
    """f_i + g_j of the loop f = softmin(rows, g + eps log b), g = softmin(columns, f + eps log a).

    The loop is Sinkhorn's algorithm if rows = C (n, m) and columns = C' (m, n). It ends when an
    iteration moves all g_j by the same number. Returned are the sums with g updated last, and those
    with f updated last; None if the loop has not ended after STEPS iterations.
    """
    # the softmin of the backend: `refot.softmin` would check its arguments at each step
    softmin = get_backend("numpy").softmin
    on_rows, on_columns = DenseCost(rows), DenseCost(columns)
    eps_log_a, eps_log_b = eps * _log(a), eps * _log(b)
    g, unit = np.zeros_like(b), float(np.ptp(rows)) + eps
    for _ in range(STEPS):
        f = softmin(on_rows, g + eps_log_b, eps)
        moved = softmin(on_columns, f + eps_log_a, eps)
        change = np.ptp(moved - g)
        g = moved
        if change <= 1e-11 * unit:
            last = softmin(on_rows, g + eps_log_b, eps)
            return [f[:, None] + g, last[:, None] + g]
        if not change < np.inf:  # a float has overflowed: g is infinite or NaN
            return None
    return None


REMEMBERED = 256
"""The number of results of `standing` that are kept. They are needed again and again, because all
functions of an implementation are asked about the same problems."""

_standing: dict[Hashable, Sums | None] = {}


def _axis(rows: bool, columns: bool) -> WrongSums:
    """A sum over the wrong axis in the update of f if `rows`, and in that of g if `columns`.

    A symmetric cost does not show the mistake, and with n != m it is an error: None in both cases.
    """

    def sums(C: Array, a: Array, b: Array, eps: float) -> Sums | None:
        if C.shape[0] != C.shape[1] or np.array_equal(C, C.T):
            return None
        key = (rows, columns, C.tobytes(), a.tobytes(), b.tobytes(), eps)
        if key not in _standing:
            while len(_standing) >= REMEMBERED:
                del _standing[next(iter(_standing))]
            _standing[key] = standing(C.T if rows else C, C if columns else C.T, a, b, eps)
        return _standing[key]

    return sums


# ------------------------------------------------------------------ a weight missing
def _without_b(C: Array, a: Array, b: Array, eps: float) -> Sums:
    """The sums of a loop in which one update lacks b. It converges as if b were uniform.

    The answer has three forms:
    - the update f = softmin(C, g), which lacks eps log b, is followed by that of g;
    - that update of f is the last one;
    - the loop updates scalings, and ends with v = 1 / (K'u) in place of b / (K'u). So P = u K v
      lacks b.
    """
    solved = solution(C, a, np.full_like(b, 1 / len(b)), eps).solved
    S = solved.f[:, None] + solved.g
    return [S, S - eps * np.log(len(b)), S - eps * _log(b)]


def _without_a(C: Array, a: Array, b: Array, eps: float) -> Sums:
    return [S.T for S in _without_b(np.ascontiguousarray(C.T), b, a, eps)]


WRONG_SUMS: Table = {
    "wrong-axis-for-g": (
        "a sum over the wrong axis in the update of g (C for C'; symmetric costs do not show it)",
        _axis(rows=False, columns=True)),
    "wrong-axis-for-f": (
        "a sum over the wrong axis in the update of f (C' for C; symmetric costs do not show it)",
        _axis(rows=True, columns=False)),
    "wrong-axis-for-both": (
        "sums over the wrong axis in both updates (symmetric costs do not show it)",
        _axis(rows=True, columns=True)),
    "weights-b-missing-in-update": ("the weights b are missing from one update", _without_b),
    "weights-a-missing-in-update": ("the weights a are missing from one update", _without_a),
}
"""Mistakes by name: (the sentence that describes it, the sums f_i + g_j of its loop)."""


# ------------------------------------------------------------------ what each capability answers
def _plan(S: Array, C: Array, a: Array, b: Array, eps: float) -> Array:
    return np.outer(a, b) * np.exp((S - C) / eps)


def _at_zero(S: Array, mass: Array) -> Array:
    """S, with 0 for the pairs without mass, where S may be infinite."""
    return np.where(mass > 0, S, 0)


def _values(S: Array, C: Array, a: Array, b: Array, eps: float) -> tuple[float, ...]:
    """Two formulas of the value that agree at the optimum: a.f + b.g, and
    <C,P> + eps KL(P | a(x)b)."""
    mass = np.outer(a, b)
    P = _plan(S, C, a, b, eps)
    return float((mass * _at_zero(S, mass)).sum()), float((C * P).sum()) + eps * kl(P, mass)


ANSWERS: dict[str, Callable[..., tuple[Any, ...]]] = {
    "plan": lambda *given: (_plan(*given),),
    "potentials": lambda S, *_: (S,),
    "value": _values,
    "transport_cost": lambda S, C, *rest: (float((C * _plan(S, C, *rest)).sum()),),
}
"""By capability: all answers that may be computed from S_ij = f_i + g_j and (C, a, b, eps)."""


def of_wrong_sums(capability: str) -> Table:
    """The mistakes of WRONG_SUMS, with the wrong answers of this capability."""

    def mistake(sums: WrongSums) -> Callable[..., Forms | None]:
        def alternative(*problem: Any) -> Forms | None:
            with np.errstate(all="ignore"):  # an infinite answer is harmless: it equals none
                found = sums(*problem)
                return None if found is None else Forms(tuple(
                    answer for S in found for answer in ANSWERS[capability](S, *problem)))

        return alternative

    return each(WRONG_SUMS, mistake)
