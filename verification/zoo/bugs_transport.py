"""Bugs of plans, potentials, values and transport costs: a right solve with one changed line.

Numbers in the comments are those of the list of bugs that a verifier must catch.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import rel_entr

import refot
from refot.arrays import Array
from refot.solvers.scaling import scaling_iterates

from .animals import USUAL, bug

Problem = tuple[Array, Array, Array, float]


def even(weights: Array) -> Array:
    """Uniform weights."""
    return np.full_like(weights, 1 / len(weights))


def solve(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array, Array]:
    """(f, g, P), right."""
    solved = refot.solve(C, a, b, eps, backend="numpy")
    return solved.f, solved.g, refot.plan(solved.f, solved.g, C, a, b, eps, backend="numpy")


def value(C: Array, a: Array, b: Array, eps: float) -> float:
    """The KL-inclusive value, right."""
    return refot.entropic_value(C, a, b, eps, backend="numpy")


def of_plan(answer: Callable[..., Any]) -> Callable[..., Any]:
    """A capability computed from the right plan: answer(P, C, a, b, eps)."""
    return lambda *problem: answer(solve(*problem)[2], *problem)


def of_potentials(answer: Callable[..., Any]) -> Callable[..., Any]:
    """A capability computed from the right potentials: answer(f, g, a, b, eps)."""
    return lambda C, a, b, eps: answer(*solve(C, a, b, eps)[:2], a, b, eps)


def at(change: Callable[..., Problem], answer: Callable[..., Any]) -> Callable[..., Any]:
    """A right answer to a changed problem."""
    return lambda *problem: answer(*change(*problem))


def plan(C: Array, a: Array, b: Array, eps: float) -> Array:
    """The optimal plan, right."""
    return solve(C, a, b, eps)[2]


def sharp(*problem: Any) -> float:
    """<C, P>, right."""
    P, C = plan(*problem), problem[0]
    return float((P * C).sum())


def _neg_entropy(P: Array) -> float:
    return float((P * np.log(np.where(P > 0, P, 1))).sum())


def _square_transposed(C: Array, a: Array, b: Array, eps: float) -> Problem:
    return (C.T.copy() if C.shape[0] == C.shape[1] else C), a, b, eps


# ------------------------------------------------------------------ values
for _name, _said, _value in (
    ("sharp for full", "the sharp cost <C,P>", of_plan(lambda P, C, a, b, eps: (P * C).sum())),  # 8
    ("entropy for KL", "entropy for KL",  # 9
     of_plan(lambda P, C, a, b, eps: (P * C).sum() + eps * _neg_entropy(P))),
    ("entropy with -1", "sum P (log P - 1)",
     of_plan(lambda P, C, a, b, eps: (P * C).sum() + eps * (_neg_entropy(P) - P.sum()))),
    ("entropy added", "the entropy is added",
     of_plan(lambda P, C, a, b, eps: (P * C).sum() - eps * _neg_entropy(P))),
    ("KL against uniform", "KL against the uniform coupling",
     of_plan(lambda P, C, a, b, eps:
             (P * C).sum() + eps * rel_entr(P, np.full_like(P, 1 / P.size)).sum())),
    ("KL without eps", "KL without eps",
     of_plan(lambda P, C, a, b, eps: (P * C).sum() + rel_entr(P, np.outer(a, b)).sum())),
    ("KL with the wrong sign", "eps KL is subtracted",
     of_plan(lambda P, C, a, b, eps: (P * C).sum() - eps * rel_entr(P, np.outer(a, b)).sum())),
    ("dual without + eps", "eps is missing",  # 1
     of_potentials(lambda f, g, a, b, eps: a @ f + b @ g - eps)),
    ("semi-dual with + eps", "eps too much",  # 2
     of_potentials(lambda f, g, a, b, eps: a @ f + b @ g + eps)),
    ("log-sum-exp without log b", "a log-sum-exp without log b",  # 10
     of_potentials(lambda f, g, a, b, eps: a @ f + b @ (g + eps * np.log(b)))),
    ("b taken as uniform", "the weights b are ignored", at(  # 10
        lambda C, a, b, eps: (C, a, even(b), eps), value)),
    ("a taken as uniform", "the weights a are ignored", at(  # 11
        lambda C, a, b, eps: (C, even(a), b, eps), value)),
    ("cost transposed where square", "the cost is transposed", at(_square_transposed, value)),  # 13
    ("norm for squared norm", "the root of the cost", at(  # 14
        lambda C, a, b, eps: (np.sqrt(C), a, b, eps), value)),
    ("half the squared norm", "the cost is halved", at(
        lambda C, a, b, eps: (C / 2, a, b, eps), value)),
    ("eps divided twice", "the cost is divided by eps twice", at(  # 15
        lambda C, a, b, eps: (C / eps, a, b, eps), value)),
    ("blur for eps", "eps is squared", at(lambda C, a, b, eps: (C, a, b, eps**2), value)),
    ("gamma for eps", "gamma = 1 / eps", at(lambda C, a, b, eps: (C, a, b, 1 / eps), value)),
    ("eps of a half cost", "eps is halved", at(lambda C, a, b, eps: (C, a, b, eps / 2), value)),
    ("cost divided by its maximum", "divided by its maximum", at(
        lambda C, a, b, eps: (C / C.max(), a, b, eps), value)),
    ("cost divided by its mean", "divided by its mean", at(
        lambda C, a, b, eps: (C / C.mean(), a, b, eps), value)),
    ("unregularised", "the unregularised W0",
     lambda C, a, b, eps: refot.kantorovich(C, a, b)[0]),
    ("independent coupling", "the cost of the independent coupling",
     lambda C, a, b, eps: a @ C @ b),
    ("divided by eps", "the value divided by eps", lambda C, a, b, eps: value(C, a, b, eps) / eps),
    ("loss of a descent", "minus the value", lambda *problem: -value(*problem)),  # 36
    ("sharp, eps halved", "the sharp cost <C,P>, and eps is halved", at(
        lambda C, a, b, eps: (C, a, b, eps / 2), sharp)),
):
    bug(f"value: {_name}", "value.certified", _said, _value,
        USUAL[:1] + USUAL[2:] if "norm" in _name else USUAL)

bug("value: clamped at 0", "value.certified", "clamped at 0",
    lambda *problem: max(value(*problem), 0.0), (*USUAL, "negative"))
bug("value: scaled by a constant", "value.certified", "", lambda *problem: 1.03 * value(*problem))
bug("value: an atom split changes b", "value.split", "the weights b are ignored",
    at(lambda C, a, b, eps: (C, a, even(b), eps), value), ("square-uniform",))
bug("value: offset of the cost lost", "value.offset", "",
    lambda C, a, b, eps: value(C - C.min(), a, b, eps), ("gaussian", "square-uniform"))


# ------------------------------------------------------------------ transport costs
def _after(L: int) -> Callable[..., float]:
    """Bug 17: a fixed number of iterations, whatever eps."""

    def cost(C: Array, a: Array, b: Array, eps: float) -> float:
        u, v = next(itertools.islice(scaling_iterates(C, a, b, eps), L - 1, None))
        return float(u @ (np.exp(-C / eps) * C) @ v)

    return cost


for _name, _said, _cost in (
    ("five iterations", "not converged: the answer after 5 iterations", _after(5)),
    ("KL-inclusive", "the KL-inclusive value", value),
    ("entropic", "the entropic value",
     of_plan(lambda P, C, a, b, eps: (P * C).sum() + eps * _neg_entropy(P))),
    ("mean for sum", "the mean of C P", of_plan(lambda P, C, a, b, eps: (P * C).mean())),
    ("unregularised", "the unregularised W0",
     lambda C, a, b, eps: refot.kantorovich(C, a, b)[0]),
    ("a and b exchanged", "the weights a and b are exchanged", at(
        lambda C, a, b, eps: (C, b, a, eps) if len(a) == len(b) else (C, a, b, eps), sharp)),
):
    bug(f"transport_cost: {_name}", "transport_cost.certified", _said, _cost)


# ------------------------------------------------------------------ plans
def _annealed(C: Array, a: Array, b: Array, eps: float) -> Array:
    """Bug 16: f at eps, g left over from the stage of the schedule before it."""
    _, stale, _ = solve(C, a, b, 1.2 * eps)
    f = refot.softmin(C, stale + eps * np.log(b), eps, backend="numpy")
    return refot.plan(f, stale, C, a, b, eps, backend="numpy")


def _silent(C: Array, a: Array, b: Array, eps: float) -> Array:
    """Bug 17, with no word about it."""
    f, g = np.zeros_like(a), np.zeros_like(b)
    for _ in range(3):
        f = refot.softmin(C, g + eps * np.log(b), eps, backend="numpy")
        g = refot.softmin(C.T, f + eps * np.log(a), eps, backend="numpy")
    return refot.plan(f, g, C, a, b, eps, backend="numpy")


def _kernel(C: Array, a: Array, b: Array, eps: float) -> Array:
    K = np.exp(-(C - C.min()) / eps)
    return K / K.sum()


for _name, _check, _said, _plan in (
    ("uniform weights", "marginals", "the weights a and b are ignored", at(  # 10, 11
        lambda C, a, b, eps: (C, even(a), even(b), eps), plan)),
    ("a ignored, as in a stochastic solver", "marginals", "the weights a are ignored", at(
        lambda C, a, b, eps: (C, even(a), b, eps), plan)),
    ("half the cost", "gibbs", "the cost is halved", at(  # 14
        lambda C, a, b, eps: (C / 2, a, b, eps), plan)),
    ("eps divided twice", "gibbs", "divided by eps twice", at(
        lambda C, a, b, eps: (C / eps, a, b, eps), plan)),
    ("cost transposed where square", "entries", "the cost is transposed", at(
        _square_transposed, plan)),
    ("density for plan", "marginals", "the density P / (a(x)b)",  # 11
     of_plan(lambda P, C, a, b, eps: P / np.outer(a, b))),
    ("a missing outside", "marginals", "a_i is missing outside",  # 11
     of_plan(lambda P, C, a, b, eps: P / a[:, None])),
    ("transposed where square", "entries", "the plan is transposed",
     of_plan(lambda P, C, a, b, eps: P.T if len(a) == len(b) else P)),
    ("mass n", "marginals", "mass n",  # 12
     of_plan(lambda P, C, a, b, eps: P * len(a))),
    ("kernel without scaling", "marginals", "no scaling to the marginals", _kernel),
    ("independent", "gibbs", "the independent coupling", lambda C, a, b, eps: np.outer(a, b)),
    ("stale potential", "marginals", "not converged", _annealed),  # 16
    ("three iterations, not a word", "honest", "not converged", _silent),  # 17
):
    bug(f"plan: {_name}", f"plan.{_check}", _said, _plan)


# ------------------------------------------------------------------ potentials
for _name, _said, _form in (
    ("plain", "in the form 'plain'",
     lambda f, g, a, b, eps: (f + eps * np.log(a), g + eps * np.log(b))),
    ("log scalings", "in the form 'log scaling'",
     lambda f, g, a, b, eps: (f / eps + np.log(a), g / eps + np.log(b))),
    ("divided by eps", "divided by eps", lambda f, g, a, b, eps: (f / eps, g / eps)),
    ("wrong sign", "the wrong sign", lambda f, g, a, b, eps: (-f, -g)),
    ("exchanged where square", "f and g are exchanged",
     lambda f, g, a, b, eps: (g, f) if len(a) == len(b) else (f, g)),
    ("halved for a debiased loss", "half of the potentials",
     lambda f, g, a, b, eps: (f / 2, g / 2)),
):
    bug(f"potentials: {_name}", "potentials.marginals", _said,
        of_potentials(_form))
