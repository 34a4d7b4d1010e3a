"""Bugs of the value U, and of its gradient in the masses: a right solve with one changed line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import rel_entr

from refot.arrays import Array
from refot.verification.zoo.bug import bug

from .right import plan_of, primal, remembered
from .solvers import checked, translation_invariant

CASES = ("gaussian", "euclidean", "one-by-one", "square-uniform", "asymmetric")
"""The usual cases: n != m, n = m, a single atom, two ground costs."""

potentials = remembered(translation_invariant)


def value(C: Array, a: Array, b: Array, eps: float, rho: float) -> float:
    """The right value U."""
    return primal(plan_of(C, a, b, eps, rho), *checked(C, a, b, eps, rho), eps, rho)


def relative(p: Array, q: Array) -> float:
    """sum p log(p / q): KL without -p + q."""
    return float(rel_entr(p, q).sum())


def kl(p: Array, q: Array) -> float:
    """The right KL of any masses: sum p log(p / q) - p + q."""
    return float((rel_entr(p, q) - p + q).sum())


def _sum(plan_term: Callable[..., float], penalty: Callable[[Array, Array], float]) -> Any:
    """<C,P> + eps plan_term(P, a, b) + rho (penalty(P1, a) + penalty(P'1, b)) at the right plan."""

    def answer(C: Array, a: Array, b: Array, eps: float, rho: float) -> float:
        P = plan_of(C, a, b, eps, rho)
        return float((C * P).sum()) + eps * plan_term(P, a, b) + rho * (
            penalty(P.sum(1), a) + penalty(P.sum(0), b))

    return answer


def of_plan(answer: Callable[..., Any]) -> Any:
    """A function of the problem that returns answer(P, C, a, b, eps, rho); P is the right plan."""
    return lambda *problem: answer(plan_of(*problem), *problem)


def of_potentials(answer: Callable[..., Any]) -> Any:
    """A function of the problem that returns answer(f, g, a, b, eps, rho), f and g being right."""
    return lambda C, a, b, eps, rho: answer(*potentials(C, a, b, eps, rho), a, b, eps, rho)


def at(change: Callable[..., Any], answer: Callable[..., Any]) -> Any:
    """The right answer, but to the problem that `change` returns."""
    return lambda *problem: answer(*change(*problem))


def at_rho(change: Callable[[float, float], float], answer: Callable[..., Any]) -> Any:
    """The right answer, but at rho = change(rho, eps). Bad input is refused before the change."""

    def changed(C: Array, a: Array, b: Array, eps: float, rho: float) -> Any:
        checked(C, a, b, eps, rho)
        return answer(C, a, b, eps, change(rho, eps))

    return changed


def _to_product(P: Array, a: Array, b: Array) -> float:
    return kl(P, np.outer(a, b))


def _one_penalty(C: Array, a: Array, b: Array, eps: float, rho: float) -> float:
    P = plan_of(C, a, b, eps, rho)
    return float((C * P).sum()) + eps * _to_product(P, a, b) + rho * kl(P.sum(1), a)


def _masses_by_half(P: Array, C: Array, a: Array, b: Array, eps: float, rho: float) -> float:
    """(rho + eps / 2) (<a, 1 - exp(-f / rho)> + <b, 1 - exp(-g / rho)>), which is right if both
    masses are 1. At the optimum <a, exp(-f / rho)> and <b, exp(-g / rho)> are the mass of P."""
    return float((rho + eps / 2) * (a.sum() + b.sum() - 2 * P.sum()))


def _balanced_from_fifty(C: Array, a: Array, b: Array, eps: float, rho: float) -> float:
    """If the masses are equal and rho > 50 (max C - min C), the balanced formula a.f + b.g is used,
    with potentials at rho = 1e5 eps."""
    if rho > 50 * np.ptp(C) and abs(a.sum() - b.sum()) < 1e-9:
        f, g = potentials(C, a, b, eps, 1e5 * eps)
        return float(a @ f + b @ g)
    return value(C, a, b, eps, rho)


def to_ones(C: Array, a: Array, b: Array, eps: float, rho: float) -> Any:
    """The problem with KL(P | 1), written as one with KL(P | a(x)b): with another cost."""
    C, a, b = checked(C, a, b, eps, rho)
    logs = (np.log(np.where(w > 0, w, 1e-300)) for w in (a, b))
    return C + eps * np.add.outer(*logs), a, b, eps, rho


def _entropic(C: Array, a: Array, b: Array, eps: float, rho: float) -> float:
    """min <C,P> + eps sum P (log P - 1) + rho KL(P1 | a) + rho KL(P'1 | b)."""
    P = plan_of(*to_ones(C, a, b, eps, rho))
    return float((C * P).sum() + eps * (relative(P, np.ones_like(P)) - P.sum())
                 + rho * (kl(P.sum(1), a) + kl(P.sum(0), b)))


for _name, _check, _diagnosis, _value in (
    ("no mass terms", "certified", "mass-terms-missing",
     _sum(lambda P, a, b: relative(P, np.outer(a, b)), relative)),
    ("penalties without mass terms", "certified", "penalty-masses-missing",
     _sum(_to_product, relative)),
    ("eps KL without mass terms", "masses", "plan-masses-missing",
     _sum(lambda P, a, b: relative(P, np.outer(a, b)), kl)),
    ("no eps m_a m_b", "masses", "eps-masses-missing",
     of_plan(lambda P, C, a, b, eps, rho: rho * (a.sum() + b.sum()) - (2 * rho + eps) * P.sum())),
    ("right for mass 1", "certified", "eps-masses-wrong", of_plan(_masses_by_half)),
    ("balanced formula", "certified", "balanced-formula",
     of_potentials(lambda f, g, a, b, eps, rho: a @ f + b @ g)),
    ("no penalties", "certified", "penalties-missing", _sum(_to_product, lambda p, w: 0.0)),
    ("sharp", "certified", "sharp", of_plan(lambda P, C, *_: (C * P).sum())),
    ("one penalty", "certified", "one-penalty", _one_penalty),
    ("no eps KL", "certified", "kl-missing", _sum(lambda P, a, b: 0.0, kl)),
    ("entropy at the right plan", "split", "entropy-for-kl",
     _sum(lambda P, a, b: relative(P, np.ones_like(P)) - float(P.sum()), kl)),
    ("KL to 1", "split", "entropy-for-kl", _entropic),
    ("twice", "certified", "doubled", lambda *problem: 2 * value(*problem)),
    ("tau for rho", "certified", "rho-is-damping", at_rho(lambda rho, eps: rho / (rho + eps),
                                                          value)),
    ("damping rho / (rho + 1)", "scaling", "rho-times-eps", at_rho(lambda rho, eps: rho * eps,
                                                                   value)),
    ("reach^2", "scaling", "rho-squared", at_rho(lambda rho, eps: rho**2, value)),
    ("rho of a reach", "scaling", "root-of-rho", at_rho(lambda rho, eps: rho**0.5, value)),
    ("half of rho", "certified", "rho-halved", at_rho(lambda rho, eps: rho / 2, value)),
    ("damped twice", "certified", "damping-squared",
     at_rho(lambda rho, eps: eps / ((1 + eps / rho) ** 2 - 1), value)),
    ("masses divided out", "masses", "weights-normalised",
     at(lambda C, a, b, eps, rho: (C, a / a.sum(), b / b.sum(), eps, rho), value)),
    ("half cost", "certified", "cost-halved",
     at(lambda C, a, b, eps, rho: (C / 2, a, b, eps, rho), value)),
    ("eps of a blur", "scaling", "eps-squared",
     at(lambda C, a, b, eps, rho: (C, a, b, eps**2 if eps > 0 else eps, rho), value)),
):
    bug(f"unbalanced_value: {_name}", f"unbalanced_value.{_check}",
        f"unbalanced_value.{_diagnosis}", _value, CASES)

bug("unbalanced_value: balanced where rho is large", "unbalanced_value.balanced", "",
    _balanced_from_fifty, CASES)
bug("unbalanced_value: float32 inside", "unbalanced_value.float64", "float32",
    lambda *problem: np.float32(value(*problem)), ("gaussian",))


# ------------------------------------------------------------------ gradient in the masses
def _ratio(f: Array, rho: float) -> Array:
    return np.exp(-f / rho)


def _right_gradient(f: Array, g: Array, a: Array, b: Array, eps: float, rho: float) -> Array:
    return rho + eps * float(b.sum()) - (rho + eps) * _ratio(f, rho)


def _centred(*given: Any) -> Array:
    G = _right_gradient(*given)
    return G - G.mean()


for _name, _check, _diagnosis, _gradient in (
    ("centred", "total", "centred", _centred),
    ("the potential", "total", "potential", lambda f, *_: f),
    ("eps left out", "value", "eps-missing",
     lambda f, g, a, b, eps, rho: rho * (1 - _ratio(f, rho))),
    ("eps m_b left out", "total", "eps-mass-missing",
     lambda f, g, a, b, eps, rho: rho - (rho + eps) * _ratio(f, rho)),
    ("per atom", "value", "per-atom", lambda f, g, a, *rest: _right_gradient(f, g, a, *rest) * a),
    ("descent", "value", "negated", lambda *given: -_right_gradient(*given)),
):
    bug(f"unbalanced_mass_gradient: {_name}", f"unbalanced_mass_gradient.{_check}",
        f"unbalanced_mass_gradient.{_diagnosis}", of_potentials(_gradient), CASES[:2] + CASES[3:])


# ------------------------------------------------------------------ bad input, a changed argument
def _clipped(C: Array, a: Array, b: Array, eps: float, rho: float) -> float:
    """Weights below 0 are taken for 0, as "noise of a histogram"."""
    return value(C, np.clip(a, 0, None), b, eps, rho)


def _of_its_size(C: Array, a: Array, b: Array, eps: float, rho: float) -> float:
    """abs(rho) is used, "because a strength has no sign"."""
    return value(C, a, b, eps, abs(rho))


def _at_least(C: Array, a: Array, b: Array, eps: float, rho: float) -> float:
    """A rho below 1e-3 is replaced by 1e-3, "for stability", and so is NaN."""
    return value(C, a, b, eps, rho if rho > 1e-3 else 1e-3)


def _scaled_in_place(C: Array, a: Array, b: Array, eps: float, rho: float) -> float:
    """a is divided by 3 in the caller's array, and later multiplied by slightly more than 3."""
    a /= 3.0
    found = value(C, 3.0 * a, b, eps, rho)
    a *= 3.0000000001
    return found


for _fault, _value in (("negative-rho", _of_its_size), ("nan-rho", _at_least),
                       ("negative-weight", _clipped)):
    bug(f"unbalanced_value: {_fault} solves something", f"unbalanced_value.refuses-{_fault}",
        "input-accepted", _value, ("gaussian",))
bug("unbalanced_value: writes into a", "unbalanced_value.keeps-arguments", "writes-into-a",
    _scaled_in_place, ("gaussian",))
