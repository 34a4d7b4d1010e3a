"""Bugs within a loop of Sinkhorn's algorithm, and of what a subject keeps between two calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import logsumexp, rel_entr

import refot
from refot.arrays import Array
from refot.costs.operands import point_cost

from .animals import USUAL, bug
from .bugs_transport import plan, value

ITERATIONS = 500

SQUARE = ("gaussian", "euclidean", "square-uniform", "asymmetric", "zero-weights")
"""The cases of USUAL that a wrong axis needs, and weights of 0."""


def _log(weights: Array) -> Array:
    return np.log(np.where(weights > 0, weights, 1e-300))


# ------------------------------------------------------------------ a wrong axis, a missing weight
def _potentials(
    C: Array, columns: Array, log_a: Array, log_b: Array, eps: float
) -> tuple[Array, Array]:
    """Alternating updates, the second one with a cost and logarithms of its own."""
    g = np.zeros(C.shape[1])
    for _ in range(ITERATIONS):
        f = -eps * logsumexp((g - C) / eps + log_b, axis=1)
        g = -eps * logsumexp((f - columns) / eps + log_a, axis=1)
    return f, g


def _wrong_axis(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
    """The second sum of a loop that was only ever run on symmetric costs."""
    return _potentials(C, C if C.shape[0] == C.shape[1] else C.T, _log(a), _log(b), eps)


def _no_b(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
    return _potentials(C, C.T, _log(a), 0 * b, eps)


def _no_a(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
    return _potentials(C, C.T, 0 * a, _log(b), eps)


def _no_b_in_scalings(C: Array, a: Array, b: Array, eps: float) -> Array:
    """Each iteration multiplies v by m, so that many more would overflow."""
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


for _name, _said, _solve, _cases in (
    ("a wrong axis", "the wrong axis in the update of g", _wrong_axis, SQUARE),
    ("no b in one update", "the weights b are missing from one update", _no_b, USUAL),
    ("no a in one update", "the weights a are missing from one update", _no_a, USUAL),
):
    bug(f"plan: {_name}", "plan.entries", _said, _plan(_solve), _cases)
    bug(f"potentials: {_name}", "potentials.marginals", _said, _solve, _cases)
    bug(f"value: {_name}", "value.certified", _said, _dual(_solve), _cases)
    bug(f"value: {_name}, by the plan", "value.certified", _said, _primal(_solve), _cases)
    bug(f"transport_cost: {_name}", "transport_cost.certified", _said, _sharp(_solve), _cases)
bug("plan: scalings without b in one update", "plan.marginals",
    "the weights b are missing from one update", _no_b_in_scalings)


# ------------------------------------------------------------------ the shift of a log-sum-exp
def _lse(t: Array) -> Array:
    """Over the last axis, in one pass, with a maximum that starts at 0."""
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
        "exponents are not shifted", _answer, ("gaussian", "offset"))
bug("softmin: a maximum that starts at 0", "softmin.value", "shift each log-sum-exp by its own",
    lambda C, h, eps: -eps * _lse((h - C) / eps), (*USUAL, "offset"))
bug("semidual: a maximum that starts at 0", "semidual.value", "shift each log-sum-exp by its own",
    lambda g, C, a, b, eps: a @ (-eps * _lse((g - C) / eps + np.log(b))) + b @ g,
    ("gaussian", "tiny-eps"))


# ------------------------------------------------------------------ weights of 0, strides
def _or_uniform(weights: Array) -> Array:
    """`w or 1 / n`, which is meant for None."""
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
    """Not normalised, so that its value depends on the number of iterations."""
    return _dual(lambda *_: _potentials(C, C.T, np.log(_or_uniform(a)), np.log(_or_uniform(b)),
                                        eps))(C, _or_uniform(a), _or_uniform(b), eps)


ZERO = (*USUAL, "zero-weights")

bug("plan: w or 1/n", "plan.marginals", "a weight of 0 is taken as none given", _filled_plan, ZERO)
bug("value: w or 1/n, normalised", "value.certified", "a weight of 0 is taken as none given",
    _filled(value), ZERO)
bug("value: w or 1/n, not normalised", "value.certified", "wrong only where a weight is 0",
    _filled_sum, ZERO)


def _strided(C: Array) -> Array:
    """C[i * n + j] of the flat matrix; what is beyond the end is found at the beginning."""
    n, m = C.shape
    return C.ravel().take(np.arange(n)[:, None] * n + np.arange(m), mode="wrap")


bug("plan: row stride n", "plan.entries", "wrong only where n != m",
    lambda C, *rest: plan(_strided(C), *rest))
bug("value: row stride n", "value.transposed", "row stride n",
    lambda C, *rest: value(_strided(C), *rest))
bug("softmin: row stride n", "softmin.value", "wrong only where n != m",
    lambda C, h, eps: refot.softmin(_strided(C), h, eps, backend="numpy"))
bug("plan: column by column", "plan.entries", "column by column",
    lambda C, *rest: plan(np.ascontiguousarray(C.ravel().reshape(C.T.shape).T), *rest))
bug("value: column by column", "value.certified", "column by column",
    lambda C, *rest: value(np.ascontiguousarray(C.ravel().reshape(C.T.shape).T), *rest))
bug("value: wrong in float32 only", "value.certified", "wrong only where the arrays are float32",
    lambda C, *rest: value(C, *rest) * (1.01 if C.dtype == np.float32 else 1.0),
    (*USUAL, "float32"))
bug("value: wrong with an offset only", "value.certified", "wrong only where the costs lie far",
    lambda C, *rest: value(C, *rest) + (0.01 if C.min() > 1000 else 0.0), (*USUAL, "offset"))


# ------------------------------------------------------------------ kept between calls
def _stale_kernel() -> Callable[..., float]:
    """The cost of the first call of a shape."""
    costs: dict[Any, Array] = {}

    def stale(C: Array, a: Array, b: Array, eps: float) -> float:
        return value(costs.setdefault(C.shape, C), a, b, eps)

    return stale


def _stale_self_term() -> Callable[..., float]:
    """The self term of x of the first call with so many points."""
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
    """A few iterations from the potential of the call before, if it fits."""
    kept = [np.zeros(0)]

    def plan_of_few(C: Array, a: Array, b: Array, eps: float) -> Array:
        g = kept[0] if len(kept[0]) == len(b) else np.zeros(len(b))
        for _ in range(3):
            f = -eps * logsumexp((g - C) / eps + _log(b), axis=1)
            g = -eps * logsumexp((f - C.T) / eps + _log(a), axis=1)
        kept[0] = g
        return np.outer(a, b) * np.exp((f[:, None] + g - C) / eps)

    return plan_of_few


bug("value: a kernel kept by shape", "value.certified", "depends on earlier calls",
    _stale_kernel(), ("gaussian", "euclidean", "asymmetric", "offset"))
bug("divergence: a self term kept by shape", "divergence.symmetric", "depends on earlier calls",
    _stale_self_term(), ("square-uniform", "zero-weights"))
bug("plan: three iterations from the call before", "plan.marginals", "depends on earlier calls",
    _warm(), ("gaussian", "asymmetric"))
