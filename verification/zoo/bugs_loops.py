"""Bugs in the loop of Sinkhorn's algorithm, in reading its arguments, and in keeping results
between calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import logsumexp, rel_entr

import refot
from refot.arrays import Array
from refot.costs.operands import point_cost

from .bug import USUAL, bug
from .bugs_transport import plan, value

ITERATIONS = 500
"""Iterations of each loop, enough to converge on the cases here."""

SQUARE = ("gaussian", "euclidean", "square-uniform", "asymmetric", "zero-weights")
"""Cases for a sum over the wrong axis. It shows only where n = m and the cost is not symmetric, as
in some of these."""


def _log(weights: Array) -> Array:
    return np.log(np.where(weights > 0, weights, 1e-300))


# ------------------------------------------------------------------ a wrong axis, a missing weight
def _potentials(
    C: Array, columns: Array, log_a: Array, log_b: Array, eps: float
) -> tuple[Array, Array]:
    """Alternating updates, which are right if columns = C', log_a = log a and log_b = log b. Each
    bug passes something else."""
    g = np.zeros(C.shape[1])
    for _ in range(ITERATIONS):
        f = -eps * logsumexp((g - C) / eps + log_b, axis=1)
        g = -eps * logsumexp((f - columns) / eps + log_a, axis=1)
    return f, g


def _wrong_axis(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
    """The sum in the update of g runs over the wrong axis, which a symmetric cost does not show."""
    return _potentials(C, C if C.shape[0] == C.shape[1] else C.T, _log(a), _log(b), eps)


def _no_b(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
    return _potentials(C, C.T, _log(a), 0 * b, eps)


def _no_a(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
    return _potentials(C, C.T, 0 * a, _log(b), eps)


def _no_b_in_scalings(C: Array, a: Array, b: Array, eps: float) -> Array:
    """b is missing from the update of v. Each iteration then multiplies v by about m. Only 150
    iterations are made, so that v does not overflow."""
    K, v = np.exp(-C / eps), np.ones_like(b)
    for _ in range(150):
        u = a / (K @ v)
        v = 1 / (K.T @ u)
    return u[:, None] * K * v


def _plan(solve: Callable[..., Any]) -> Callable[..., Array]:
    def answer(C: Array, a: Array, b: Array, eps: float) -> Array:
        f, g = solve(C, a, b, eps)
        return np.outer(a, b) * np.exp((f[:, None] + g - C) / eps)

    return answer


def _dual(solve: Callable[..., Any]) -> Callable[..., float]:
    def answer(C: Array, a: Array, b: Array, eps: float) -> float:
        f, g = solve(C, a, b, eps)
        return float(a @ f + b @ g)

    return answer


def _primal(solve: Callable[..., Any]) -> Callable[..., float]:
    def answer(C: Array, a: Array, b: Array, eps: float) -> float:
        P = _plan(solve)(C, a, b, eps)
        return float((P * C).sum() + eps * rel_entr(P, np.outer(a, b)).sum())

    return answer


def _sharp(solve: Callable[..., Any]) -> Callable[..., float]:
    return lambda C, *rest: float((_plan(solve)(C, *rest) * C).sum())


for _name, _mistake, _solve, _cases in (
    ("a wrong axis", "wrong-axis-for-g", _wrong_axis, SQUARE),
    ("no b in one update", "weights-b-missing-in-update", _no_b, USUAL),
    ("no a in one update", "weights-a-missing-in-update", _no_a, USUAL),
):
    bug(f"plan: {_name}", "plan.entries", f"plan.{_mistake}", _plan(_solve), _cases)
    bug(f"potentials: {_name}", "potentials.marginals", f"potentials.{_mistake}", _solve, _cases)
    bug(f"value: {_name}", "value.certified", f"value.{_mistake}", _dual(_solve), _cases)
    bug(f"value: {_name}, by the plan", "value.certified", f"value.{_mistake}", _primal(_solve),
        _cases)
    bug(f"transport_cost: {_name}", "transport_cost.certified", f"transport_cost.{_mistake}",
        _sharp(_solve), _cases)
bug("plan: scalings without b in one update", "plan.marginals",
    "plan.weights-b-missing-in-update", _no_b_in_scalings)


# ------------------------------------------------------------------ the shift of a log-sum-exp
def _lse(t: Array) -> Array:
    """log-sum-exp over the last axis, shifted by a maximum that wrongly starts at 0."""
    shift = np.maximum(t.max(axis=-1), 0)
    out: Array = shift + np.log(np.exp(t - shift[:, None]).sum(axis=-1))
    return out


def _unshifted(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
    g = np.zeros(C.shape[1])
    with np.errstate(all="ignore"):
        for _ in range(ITERATIONS):
            f = -eps * _lse((g - C) / eps + _log(b))
            g = -eps * _lse((f - C.T) / eps + _log(a))
    return f, g


for _capability, _answer in (("plan", _plan(_unshifted)), ("value", _dual(_unshifted)),
                             ("transport_cost", _sharp(_unshifted)), ("potentials", _unshifted)):
    _check = "certified" if _capability in ("value", "transport_cost") else "marginals"
    bug(f"{_capability}: a maximum that starts at 0", f"{_capability}.{_check}",
        "exponents-not-shifted", _answer, ("gaussian", "offset"))
bug("softmin: a maximum that starts at 0", "softmin.value", "log-sum-exp-not-shifted",
    lambda C, h, eps: -eps * _lse((h - C) / eps), (*USUAL, "offset"))
bug("semidual: a maximum that starts at 0", "semidual.value", "log-sum-exp-not-shifted",
    lambda g, C, a, b, eps: a @ (-eps * _lse((g - C) / eps + np.log(b))) + b @ g,
    ("gaussian", "tiny-eps"))


# ------------------------------------------------------------------ weights of 0, strides
def _or_uniform(weights: Array) -> Array:
    """`w or 1 / n` is written to replace None, but replaces a weight of 0, too."""
    return np.array([w or 1 / len(weights) for w in weights])


def _filled_plan(C: Array, a: Array, b: Array, eps: float) -> Array:
    a, b = _or_uniform(a), _or_uniform(b)
    f, g = _potentials(C, C.T, np.log(a), np.log(b), eps)
    return np.outer(a, b) * np.exp((f[:, None] + g - C) / eps)


def _filled(answer: Callable[..., Any]) -> Callable[..., Any]:
    def changed(C: Array, a: Array, b: Array, eps: float) -> Any:
        a, b = _or_uniform(a), _or_uniform(b)
        return answer(C, a / a.sum(), b / b.sum(), eps)

    return changed


def _filled_sum(C: Array, a: Array, b: Array, eps: float) -> float:
    """The filled weights do not sum to 1, so that the value depends on the number of iterations."""
    return _dual(lambda *_: _potentials(C, C.T, np.log(_or_uniform(a)), np.log(_or_uniform(b)),
                                        eps))(C, _or_uniform(a), _or_uniform(b), eps)


ZERO = (*USUAL, "zero-weights")
"""The usual cases, and one with weights of 0."""

bug("plan: w or 1/n", "plan.marginals", "plan.zero-weight-filled", _filled_plan, ZERO)
bug("value: w or 1/n, normalised", "value.certified", "value.zero-weight-filled",
    _filled(value), ZERO)
bug("value: w or 1/n, not normalised", "value.certified", "only-zero-weights",
    _filled_sum, ZERO)


def _strided(C: Array) -> Array:
    """Entry (i, j) is read at place i n + j of the flat matrix, modulo its size; right is i m + j.
    """
    n, m = C.shape
    return C.ravel().take(np.arange(n)[:, None] * n + np.arange(m), mode="wrap")


bug("plan: row stride n", "plan.entries", "only-n-unequal-m",
    lambda C, *rest: plan(_strided(C), *rest))
bug("value: row stride n", "value.transposed", "value.row-stride",
    lambda C, *rest: value(_strided(C), *rest))
bug("softmin: row stride n", "softmin.value", "only-n-unequal-m",
    lambda C, h, eps: refot.softmin(_strided(C), h, eps, backend="numpy"))
bug("plan: column by column", "plan.entries", "plan.column-by-column",
    lambda C, *rest: plan(np.ascontiguousarray(C.ravel().reshape(C.T.shape).T), *rest))
bug("value: column by column", "value.certified", "value.column-by-column",
    lambda C, *rest: value(np.ascontiguousarray(C.ravel().reshape(C.T.shape).T), *rest))
bug("value: wrong in float32 only", "value.certified", "only-float32",
    lambda C, *rest: value(C, *rest) * (1.01 if C.dtype == np.float32 else 1.0),
    (*USUAL, "float32"))
bug("value: wrong with an offset only", "value.certified", "only-far-costs",
    lambda C, *rest: value(C, *rest) + (0.01 if C.min() > 1000 else 0.0), (*USUAL, "offset"))


# ------------------------------------------------------------------ results kept between calls
def _stale_kernel() -> Callable[..., float]:
    """The cost of the first call is kept, and used in every later call with the same shape."""
    costs: dict[Any, Array] = {}

    def stale(C: Array, a: Array, b: Array, eps: float) -> float:
        return value(costs.setdefault(C.shape, C), a, b, eps)

    return stale


def _stale_self_term() -> Callable[..., float]:
    """The self term of the first x is kept, and used for every later x of the same shape."""
    own: dict[Any, float] = {}

    def stale(x: Array, a: Array, y: Array, b: Array, eps: float, cost: str) -> float:
        def F(u: Array, p: Array, v: Array, q: Array) -> float:
            return value(point_cost(u, v, cost).dense(), p, q, eps)

        key = x.shape, cost
        if key not in own:
            own[key] = F(x, a, x, a)
        return F(x, a, y, b) - own[key] / 2 - F(y, b, y, b) / 2

    return stale


def _warm() -> Callable[..., Array]:
    """It makes only three iterations. They start from the potential of the call before, if that has
    the right length."""
    kept = [np.zeros(0)]

    def plan_of_few(C: Array, a: Array, b: Array, eps: float) -> Array:
        g = kept[0] if len(kept[0]) == len(b) else np.zeros(len(b))
        for _ in range(3):
            f = -eps * logsumexp((g - C) / eps + _log(b), axis=1)
            g = -eps * logsumexp((f - C.T) / eps + _log(a), axis=1)
        kept[0] = g
        return np.outer(a, b) * np.exp((f[:, None] + g - C) / eps)

    return plan_of_few


bug("value: a kernel kept by shape", "value.certified", "earlier-calls",
    _stale_kernel(), ("gaussian", "euclidean", "asymmetric", "offset"))
bug("divergence: a self term kept by shape", "divergence.symmetric", "earlier-calls",
    _stale_self_term(), ("square-uniform", "zero-weights"))
bug("plan: three iterations from the call before", "plan.marginals", "earlier-calls",
    _warm(), ("gaussian", "asymmetric"))
