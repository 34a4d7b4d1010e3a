"""Known mistakes in one update of Sinkhorn's algorithm: a wrong axis, a missing weight.

Such a loop converges, but to potentials that are not the optimal ones: more iterations change
nothing. What it stands at is described by the sums S_ij = f_i + g_j, from which each capability
answers as it would from the right ones. A loop whose two updates do not fit together moves f up and
g down by the same constant for ever, so that S depends on which update comes last: a mistake has
several forms, and fits where one of them does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from refot.arrays import Array
from refot.objectives import kl
from refot.transforms import softmin
from refot.verification.truth.solution import solution

from .mistake import Forms, Table, each

STEPS = 2_000
"""Iterations after which a loop that still moves is left alone."""


Sums: TypeAlias = list[Array]
WrongSums: TypeAlias = Callable[[Array, Array, Array, float], Sums | None]


def _log(weights: Array) -> Array:
    """log w, and -inf where w = 0."""
    with np.errstate(divide="ignore"):
        return np.log(weights)


# ------------------------------------------------------------------ a sum over the wrong axis
def standing(rows: Array, columns: Array, a: Array, b: Array, eps: float) -> Sums | None:
    """f_i + g_j where f = softmin(rows, g + eps log b), g = softmin(columns, f + eps log a) stands:
    once with g updated last, once with f. None if it still moves after STEPS iterations.

    Right is rows = C, columns = C'. The loop stands when an iteration moves g by a constant.
    """
    g, unit = np.zeros_like(b), float(np.ptp(rows)) + eps
    for _ in range(STEPS):
        f = softmin(rows, g + eps * _log(b), eps, backend="numpy")
        moved = softmin(columns, f + eps * _log(a), eps, backend="numpy")
        still = np.ptp(moved - g) <= 1e-11 * unit
        g = moved
        if still:
            last = softmin(rows, g + eps * _log(b), eps, backend="numpy")
            return [f[:, None] + g, last[:, None] + g]
    return None


def _axis(rows: bool, columns: bool) -> WrongSums:
    """Whether the update of f, and that of g, sums over the wrong axis: C' for C."""

    def sums(C: Array, a: Array, b: Array, eps: float) -> Sums | None:
        if C.shape[0] != C.shape[1] or np.array_equal(C, C.T):
            return None
        return standing(C.T if rows else C, C if columns else C.T, a, b, eps)

    return sums


# ------------------------------------------------------------------ a weight missing
def _without_b(C: Array, a: Array, b: Array, eps: float) -> Sums:
    """Both updates fit together for uniform weights in place of b, and b stands outside.

    In potentials the last update is g or f; in scalings v = 1 / (K'u), P = u K v has no b at all.
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
"""f_i + g_j at which a loop with the mistake stands."""


# ------------------------------------------------------------------ what each capability answers
def _plan(S: Array, C: Array, a: Array, b: Array, eps: float) -> Array:
    return np.outer(a, b) * np.exp((S - C) / eps)


def _at_zero(S: Array, mass: Array) -> Array:
    """S, and 0 where there is no mass."""
    return np.where(mass > 0, S, 0)


def _values(S: Array, C: Array, a: Array, b: Array, eps: float) -> tuple[float, ...]:
    """a.f + b.g, and <C,P> + eps KL(P | a(x)b)."""
    mass = np.outer(a, b)
    P = _plan(S, C, a, b, eps)
    return float((mass * _at_zero(S, mass)).sum()), float((C * P).sum()) + eps * kl(P, mass)


ANSWERS: dict[str, Callable[..., tuple[Any, ...]]] = {
    "plan": lambda *given: (_plan(*given),),
    "potentials": lambda S, *_: (S,),
    "value": _values,
    "transport_cost": lambda S, C, *rest: (float((C * _plan(S, C, *rest)).sum()),),
}
"""What a capability answers from S = f_i + g_j and (C, a, b, eps), in all its forms."""


def of_wrong_sums(capability: str) -> Table:
    """What each of WRONG_SUMS answers to a capability."""

    def mistake(sums: WrongSums) -> Callable[..., Forms | None]:
        def alternative(*problem: Any) -> Forms | None:
            with np.errstate(all="ignore"):  # what overflows is not finite, and fits nothing
                found = sums(*problem)
                return None if found is None else Forms(tuple(
                    answer for S in found for answer in ANSWERS[capability](S, *problem)))

        return alternative

    return each(WRONG_SUMS, mistake)
