"""Mistakes that somebody makes, so that a vector can say which of them it catches: measured.

A mistake is either other arguments (the cost transposed, the weights ignored) given to the right
function, or another formula for the same arguments. Numbers in brackets are those of the list of
bugs that a verifier must catch.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import refot
from refot.arrays import Array, ConvergenceWarning, RangeError
from refot.solvers.scaling import sinkhorn_scaling

Inputs = Mapping[str, Any]


# ------------------------------------------------------------------ other arguments
def _replace(key: str, change: Callable[[Any], Any]) -> Callable[[Inputs], Inputs | None]:
    """The arguments with one of them changed; None where there is no such argument."""
    return lambda given: {**given, key: change(given[key])} if key in given else None


def _uniform(*keys: str) -> Callable[[Inputs], Inputs | None]:
    def change(given: Inputs) -> Inputs | None:
        if not set(keys) <= given.keys():
            return None
        return {**given, **{key: np.full(len(given[key]), 1 / len(given[key])) for key in keys}}

    return change


def _transposed(given: Inputs) -> Inputs | None:
    if "C" not in given or given["C"].shape[0] != given["C"].shape[1]:
        return None
    return {**given, "C": given["C"].T}


ARGUMENTS: dict[str, Callable[[Inputs], Inputs | None]] = {
    "transposed-cost [13]": _transposed,
    "weights-a-ignored [11]": _uniform("a"),
    "weights-b-ignored [10]": _uniform("b"),
    "eps-halved": _replace("eps", lambda eps: eps / 2),
    "eps-doubled": _replace("eps", lambda eps: eps * 2),
    "cost-halved": _replace("C", lambda C: C / 2),
    "lam-of-wrong-sign [4]": lambda given: {**given, "Q": -given["Q"]} if "lam" in given else None,
    "one-step-more": _replace("L", lambda L: L + 1),
    "plain-norm-for-squared [14]": _replace(
        "cost", lambda cost: "euclidean" if cost == "sqeuclidean" else "sqeuclidean"),
}
"""Mistakes in the arguments, for every capability that has them."""


# ------------------------------------------------------------------ other formulas
def _scaling_plan(C: Array, a: Array, b: Array, eps: float) -> Array:
    u, v = sinkhorn_scaling(C, a, b, eps, 1000)
    return u[:, None] * np.exp(-C / eps) * v


def _five_steps(C: Array, a: Array, b: Array, eps: float) -> Array:
    return _plan(refot.sinkhorn_log(C, a, b, eps, max_iter=5), C, a, b, eps)


def _plan(solved: Any, C: Array, a: Array, b: Array, eps: float) -> Array:
    return refot.plan(solved.f, solved.g, C, a, b, eps)


def _entropy_for_kl(C: Array, a: Array, b: Array, eps: float) -> float:
    return refot.entropic_value(C, a, b, eps) - eps * (refot.entropy(a) + refot.entropy(b))


def _no_log_weights(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
    """Potentials with P = exp((f + g - C) / eps), taken for those with weights."""
    solved = refot.solve(C, a, b, eps)
    with np.errstate(divide="ignore"):
        return solved.f + eps * np.log(a), solved.g + eps * np.log(b)


def _unshifted(C: Array, h: Array, eps: float) -> Array:
    return np.asarray(-eps * np.log(np.exp((h - C) / eps).sum(axis=1)))


def _started_at_one(C: Array, a: Array, b: Array, eps: float, L: int) -> float:
    K, v = np.exp(-C / eps), np.ones(len(b))
    for _ in range(L):
        u = a / (K @ v)
        v = b / (K.T @ u)
    return float(u @ (K * C) @ v)


def _envelope(C: Array, a: Array, b: Array, eps: float, L: int) -> Array:
    u, v = sinkhorn_scaling(C, a, b, eps, L)
    return u[:, None] * np.exp(-C / eps) * v


def _missing_halves(x: Array, a: Array, y: Array, b: Array, eps: float, cost: str) -> float:
    xx, yy = (refot.entropic_value(refot.point_cost(p, p, cost), w, w, eps)
              for p, w in ((x, a), (y, b)))
    return refot.entropic_value(refot.point_cost(x, y, cost), a, b, eps) - xx - yy


def _one_self_slot(x: Array, a: Array, y: Array, b: Array, eps: float, cost: str) -> Array:
    """Half of the self term's gradient."""
    xy = refot.entropic_value_gradient_points(refot.point_cost(x, y, cost), a, b, eps)
    return (xy + refot.sinkhorn_divergence_gradient(x, a, y, b, eps, cost)) / 2


FORMULAS: dict[str, dict[str, Callable[..., Any]]] = {
    "plan": {"scaling-form-underflows [19]": _scaling_plan, "five-steps [17]": _five_steps},
    "potentials": {"weights-in-the-potentials [10]": _no_log_weights},
    "value": {"sharp-for-full [8]": refot.sharp_value, "entropy-for-kl [9]": _entropy_for_kl},
    "transport_cost": {
        "full-for-sharp [8]": refot.entropic_value,
        "five-steps [17]": lambda C, *rest: float((C * _five_steps(C, *rest)).sum())},
    "softmin": {"min-for-softmin [18]": lambda C, h, eps: (C - h).min(axis=1),
                "no-shift [20]": _unshifted,
                "wrong-axis [38]": lambda C, h, eps: refot.softmin(C.T, h[: len(C)], eps)},
    "dual": {"missing-eps [1]": lambda *given: refot.dual(*given) - given[-1]},
    "semidual": {"extra-eps [2]": lambda *given: refot.semi_dual(*given) + given[-1]},
    "semidual_gradient": {
        "sign-of-b [25]": lambda g, C, a, b, eps: refot.semi_dual_gradient(g, C, a, b, eps) - 2 * b,
        "descent-for-ascent [36]": lambda *given: -refot.semi_dual_gradient(*given)},
    "scaling_loss": {"started-at-one": _started_at_one,
                     "converged-for-unrolled": lambda C, a, b, eps, L: refot.sharp_value(
                         C, a, b, eps)},
    "scaling_loss_gradient": {"envelope-on-sharp [22]": _envelope},
    "divergence": {"missing-halves [6]": _missing_halves,
                   "factor-two [7]": lambda *given: 2 * refot.sinkhorn_divergence(*given),
                   "sharp-for-full [8]": lambda *given: refot.sinkhorn_loss(*given) / 2},
    "divergence_gradient": {"one-self-slot [23]": _one_self_slot},
    "mmd": {"half": lambda *given: refot.mmd_squared(*given) / 2,
            "not-squared": lambda *given: math.sqrt(abs(refot.mmd_squared(*given))),
            "u-for-v [32]": refot.mmd_squared_unbiased},
    "q_objective": {"sign-of-q": lambda Q, P, a, b: refot.q_objective(-Q, P, a, b),
                    "bound-for-objective": refot.kl_dual},
    "informative_plan": {"without-q": lambda C, Q, lam, a, b, eps: _plan(
        refot.solve(C, a, b, eps), C, a, b, eps)},
    "mutual_information": {"in-bits": lambda P: refot.mutual_information(P) / math.log(2),
                           "entropy-for-kl [9]": lambda P: -refot.entropy(P)},
}
"""Mistakes in the formula, by capability."""


def wrong_answers(capability: str, right: Callable[..., Any], given: Inputs) -> dict[str, Any]:
    """What each mistake answers to the arguments; None where it fails."""
    found = {}
    for name, change in ARGUMENTS.items():
        changed = change(given)
        if changed is not None:
            found[name] = _answer(right, changed)
    for name, formula in FORMULAS[capability].items():
        found[name] = _answer(formula, given)
    return found


def _answer(function: Callable[..., Any], given: Inputs) -> Any | None:
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            return function(*given.values())
        except RangeError:
            return math.inf  # where refot refuses to return infinity, others do return it
        except (ValueError, IndexError, FloatingPointError):
            return None  # a refusal: whoever makes this mistake sees it, vector or not
