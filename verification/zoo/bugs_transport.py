"""Bugs of plans, potentials, values and transport costs: right code with one changed line."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import rel_entr

import refot
from refot.arrays import Array
from refot.solvers.scaling import scaling_iterates

from .bug import USUAL, bug

Problem = tuple[Array, Array, Array, float]
"""(C, a, b, eps)."""


def even(weights: Array) -> Array:
    """Uniform weights."""
    return np.full_like(weights, 1 / len(weights))


def solve(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array, Array]:
    """The right (f, g, P)."""
    solved = refot.solve(C, a, b, eps, backend="numpy")
    return solved.f, solved.g, refot.plan(solved.f, solved.g, C, a, b, eps, backend="numpy")


def value(C: Array, a: Array, b: Array, eps: float) -> float:
    """The right KL-inclusive value."""
    return refot.entropic_value(C, a, b, eps, backend="numpy")


def of_plan(answer: Callable[..., Any]) -> Callable[..., Any]:
    """A function of (C, a, b, eps) that returns answer(P, C, a, b, eps), with the right plan P."""
    return lambda *problem: answer(solve(*problem)[2], *problem)


def of_potentials(answer: Callable[..., Any]) -> Callable[..., Any]:
    """A function of (C, a, b, eps) that returns answer(f, g, a, b, eps), with right potentials."""
    return lambda C, a, b, eps: answer(*solve(C, a, b, eps)[:2], a, b, eps)


def at(change: Callable[..., Problem], answer: Callable[..., Any]) -> Callable[..., Any]:
    """The right answer, but to the problem that `change` returns."""
    return lambda *problem: answer(*change(*problem))


def plan(C: Array, a: Array, b: Array, eps: float) -> Array:
    """The right plan."""
    return solve(C, a, b, eps)[2]


def sharp(*problem: Any) -> float:
    """The right transport cost <C, P>."""
    P, C = plan(*problem), problem[0]
    return float((P * C).sum())


def _neg_entropy(P: Array) -> float:
    return float((P * np.log(np.where(P > 0, P, 1))).sum())


def _square_transposed(C: Array, a: Array, b: Array, eps: float) -> Problem:
    return (C.T.copy() if C.shape[0] == C.shape[1] else C), a, b, eps


# ------------------------------------------------------------------ values
for _name, _diagnosis, _value in (
    ("sharp for full", "value.sharp-for-full", of_plan(lambda P, C, a, b, eps: (P * C).sum())),
    ("entropy for KL", "value.entropy-for-kl",
     of_plan(lambda P, C, a, b, eps: (P * C).sum() + eps * _neg_entropy(P))),
    ("entropy with -1", "value.entropy-minus-one",
     of_plan(lambda P, C, a, b, eps: (P * C).sum() + eps * (_neg_entropy(P) - P.sum()))),
    ("entropy added", "value.entropy-added",
     of_plan(lambda P, C, a, b, eps: (P * C).sum() - eps * _neg_entropy(P))),
    ("KL against uniform", "value.kl-against-uniform",
     of_plan(lambda P, C, a, b, eps:
             (P * C).sum() + eps * rel_entr(P, np.full_like(P, 1 / P.size)).sum())),
    ("KL without eps", "value.kl-without-eps",
     of_plan(lambda P, C, a, b, eps: (P * C).sum() + rel_entr(P, np.outer(a, b)).sum())),
    ("KL with the wrong sign", "value.kl-subtracted",
     of_plan(lambda P, C, a, b, eps: (P * C).sum() - eps * rel_entr(P, np.outer(a, b)).sum())),
    ("dual without + eps", "value.eps-missing",
     of_potentials(lambda f, g, a, b, eps: a @ f + b @ g - eps)),
    ("semi-dual with + eps", "value.eps-too-much",
     of_potentials(lambda f, g, a, b, eps: a @ f + b @ g + eps)),
    ("log-sum-exp without log b", "value.log-b-missing",
     of_potentials(lambda f, g, a, b, eps: a @ f + b @ (g + eps * np.log(b)))),
    ("b taken as uniform", "value.weights-b-ignored", at(
        lambda C, a, b, eps: (C, a, even(b), eps), value)),
    ("a taken as uniform", "value.weights-a-ignored", at(
        lambda C, a, b, eps: (C, even(a), b, eps), value)),
    ("cost transposed where square", "value.cost-transposed", at(_square_transposed, value)),
    ("norm for squared norm", "value.root-of-cost", at(
        lambda C, a, b, eps: (np.sqrt(C), a, b, eps), value)),
    ("half the squared norm", "value.cost-halved", at(
        lambda C, a, b, eps: (C / 2, a, b, eps), value)),
    ("eps divided twice", "value.cost-divided-by-eps", at(
        lambda C, a, b, eps: (C / eps, a, b, eps), value)),
    ("blur for eps", "value.eps-squared", at(lambda C, a, b, eps: (C, a, b, eps**2), value)),
    ("gamma for eps", "value.eps-inverted", at(lambda C, a, b, eps: (C, a, b, 1 / eps), value)),
    ("eps of a half cost", "value.eps-halved", at(lambda C, a, b, eps: (C, a, b, eps / 2), value)),
    ("cost divided by its maximum", "value.cost-divided-by-maximum", at(
        lambda C, a, b, eps: (C / C.max(), a, b, eps), value)),
    ("cost divided by its mean", "value.cost-divided-by-mean", at(
        lambda C, a, b, eps: (C / C.mean(), a, b, eps), value)),
    ("eps in units of the largest cost", "value.eps-relative", at(
        lambda C, a, b, eps: (C, a, b, eps * abs(C).max()), value)),
    ("unregularised", "value.unregularised",
     lambda C, a, b, eps: refot.kantorovich(C, a, b)[0]),
    ("independent coupling", "value.independent-coupling",
     lambda C, a, b, eps: a @ C @ b),
    ("divided by eps", "value.divided-by-eps", lambda C, a, b, eps: value(C, a, b, eps) / eps),
    ("loss of a descent", "value.negated", lambda *problem: -value(*problem)),
    ("sharp, eps halved", "value.sharp-eps-halved", at(
        lambda C, a, b, eps: (C, a, b, eps / 2), sharp)),
):
    bug(f"value: {_name}", "value.certified", _diagnosis, _value,
        USUAL[:1] + USUAL[2:] if "norm" in _name else USUAL)

bug("value: clamped at 0", "value.certified", "value.clamped-at-zero",
    lambda *problem: max(value(*problem), 0.0), (*USUAL, "negative"))
bug("value: scaled by a constant", "value.certified", "", lambda *problem: 1.03 * value(*problem))
bug("value: an atom split changes b", "value.split", "value.weights-b-ignored",
    at(lambda C, a, b, eps: (C, a, even(b), eps), value), ("square-uniform",))
bug("value: offset of the cost lost", "value.offset", "",
    lambda C, a, b, eps: value(C - C.min(), a, b, eps), ("gaussian", "square-uniform"))


# ------------------------------------------------------------------ transport costs
def _after(L: int) -> Callable[..., float]:
    """The sharp cost <C,P> after L iterations, whether or not they have converged at this eps."""

    def cost(C: Array, a: Array, b: Array, eps: float) -> float:
        u, v = next(itertools.islice(scaling_iterates(C, a, b, eps), L - 1, None))
        return float(u @ (np.exp(-C / eps) * C) @ v)

    return cost


for _name, _diagnosis, _cost in (
    ("five iterations", "stopped-after-five", _after(5)),
    ("KL-inclusive", "transport_cost.full-for-sharp", value),
    ("entropic", "transport_cost.entropic-for-sharp",
     of_plan(lambda P, C, a, b, eps: (P * C).sum() + eps * _neg_entropy(P))),
    ("mean for sum", "transport_cost.mean-for-sum",
     of_plan(lambda P, C, a, b, eps: (P * C).mean())),
    ("unregularised", "transport_cost.unregularised",
     lambda C, a, b, eps: refot.kantorovich(C, a, b)[0]),
    ("a and b exchanged", "transport_cost.weights-exchanged", at(
        lambda C, a, b, eps: (C, b, a, eps) if len(a) == len(b) else (C, a, b, eps), sharp)),
    ("eps in units of the largest cost", "transport_cost.eps-relative", at(
        lambda C, a, b, eps: (C, a, b, eps * abs(C).max()), sharp)),
):
    bug(f"transport_cost: {_name}", "transport_cost.certified", _diagnosis, _cost)


# ------------------------------------------------------------------ plans
def _annealed(C: Array, a: Array, b: Array, eps: float) -> Array:
    """eps is lowered along a schedule, and g is not updated at the last step: it is that of 1.2
    eps.
    """
    _, stale, _ = solve(C, a, b, 1.2 * eps)
    f = refot.softmin(C, stale + eps * np.log(b), eps, backend="numpy")
    return refot.plan(f, stale, C, a, b, eps, backend="numpy")


def _silent(C: Array, a: Array, b: Array, eps: float) -> Array:
    """Three iterations, without a warning."""
    f, g = np.zeros_like(a), np.zeros_like(b)
    for _ in range(3):
        f = refot.softmin(C, g + eps * np.log(b), eps, backend="numpy")
        g = refot.softmin(C.T, f + eps * np.log(a), eps, backend="numpy")
    return refot.plan(f, g, C, a, b, eps, backend="numpy")


def _kernel(C: Array, a: Array, b: Array, eps: float) -> Array:
    K = np.exp(-(C - C.min()) / eps)
    return K / K.sum()


for _name, _check, _diagnosis, _plan in (
    ("uniform weights", "marginals", "plan.weights-ignored", at(
        lambda C, a, b, eps: (C, even(a), even(b), eps), plan)),
    ("a ignored, as in a stochastic solver", "marginals", "plan.weights-a-ignored", at(
        lambda C, a, b, eps: (C, even(a), b, eps), plan)),
    ("half the cost", "gibbs", "plan.cost-halved", at(
        lambda C, a, b, eps: (C / 2, a, b, eps), plan)),
    ("eps divided twice", "gibbs", "plan.cost-divided-by-eps", at(
        lambda C, a, b, eps: (C / eps, a, b, eps), plan)),
    ("cost transposed where square", "entries", "plan.cost-transposed", at(
        _square_transposed, plan)),
    ("density for plan", "marginals", "plan.density-for-plan",
     of_plan(lambda P, C, a, b, eps: P / np.outer(a, b))),
    ("a missing outside", "marginals", "plan.a-missing-outside",
     of_plan(lambda P, C, a, b, eps: P / a[:, None])),
    ("transposed where square", "entries", "plan.plan-transposed",
     of_plan(lambda P, C, a, b, eps: P.T if len(a) == len(b) else P)),
    ("mass n", "marginals", "plan.mass-n",
     of_plan(lambda P, C, a, b, eps: P * len(a))),
    ("kernel without scaling", "marginals", "plan.kernel-alone", _kernel),
    ("independent", "gibbs", "plan.independent-coupling", lambda C, a, b, eps: np.outer(a, b)),
    ("stale potential", "marginals", "not-converged", _annealed),
    ("three iterations, not a word", "honest", "not-converged", _silent),
):
    bug(f"plan: {_name}", f"plan.{_check}", _diagnosis, _plan)


# ------------------------------------------------------------------ potentials
for _name, _diagnosis, _form in (
    ("plain", "potentials.plain-form",
     lambda f, g, a, b, eps: (f + eps * np.log(a), g + eps * np.log(b))),
    ("log scalings", "potentials.log-scaling-form",
     lambda f, g, a, b, eps: (f / eps + np.log(a), g / eps + np.log(b))),
    ("divided by eps", "potentials.divided-by-eps", lambda f, g, a, b, eps: (f / eps, g / eps)),
    ("wrong sign", "potentials.negated", lambda f, g, a, b, eps: (-f, -g)),
    ("exchanged where square", "potentials.exchanged",
     lambda f, g, a, b, eps: (g, f) if len(a) == len(b) else (f, g)),
    ("halved for a debiased loss", "potentials.halved",
     lambda f, g, a, b, eps: (f / 2, g / 2)),
):
    bug(f"potentials: {_name}", "potentials.marginals", _diagnosis,
        of_potentials(_form))
