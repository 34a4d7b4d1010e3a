"""Known mistakes of unbalanced transport on a cost matrix: of U, its plan and its potentials.

Equations are those of docs/equations.md, letter U. U is the least value over all P >= 0 (U-1) of
<C,P> + eps KL(P | a(x)b) + rho KL(P1 | a) + rho KL(P'1 | b). In
KL(p | q) = sum p log(p / q) - p + q, the part -p + q is called the *mass terms*. m_a, m_b and m(P)
are the masses (sums) of a, b and P. An answer is computed from the solution t
(`Unbalanced`) of the given problem, or of a neighbouring problem that the mistake solves in its
place. rho is the strength of the KL penalties. rho / (rho + eps), the factor of the softmin in U-3,
is called the *damping*.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.verification.truth.unbalanced import (
    Unbalanced,
    dual,
    gibbs,
    relative,
    unbalanced_solution,
)
from refot.verification.truth.unbalanced_right import both

from .mistake import Answer, Forms, Table, each

Of = Callable[[Unbalanced], Any]
"""Computes an answer from a solved problem."""

Problem = tuple[Any, ...]
"""(C, a, b, eps, rho), in which rho is one number or a pair (rows, columns)."""


# ------------------------------------------------------------------ neighbouring problems
def _with_rho(change: Callable[[float, float], float | None]) -> Callable[..., Problem | None]:
    """The same problem at another rho: change(rho, eps)."""

    def changed(C: Array, a: Array, b: Array, eps: float, rho: float) -> Problem | None:
        other = change(rho, eps)
        return None if other is None or not other > 0 else (C, a, b, eps, other)

    return changed


def damping(rho: float, eps: float) -> float:
    """rho / (rho + eps), which OTT calls tau."""
    return rho / (rho + eps)


def of_damping(tau: float, eps: float) -> float | None:
    """The rho whose damping is tau; None where there is none."""
    return eps * tau / (1 - tau) if tau < 1 else None


def _to_ones(C: Array, a: Array, b: Array, eps: float, rho: float) -> Problem:
    """The problem with KL(P | 1), as one with KL(P | a(x)b) that has the same plan: its cost is
    C_ij + eps log a_i + eps log b_j. Atoms without mass keep their cost: their plan is 0 anyway."""
    logs = [np.log(np.where(w > 0, w, 1)) for w in (a, b)]
    return C + eps * (logs[0][:, None] + logs[1]), a, b, eps, rho


def _over_masses(C: Array, a: Array, b: Array, eps: float, rho: float) -> Problem:
    return C, a / a.sum(), b / b.sum(), eps, rho


NEIGHBOURS: Table = {
    "reference-ones": (
        "KL to 1 in place of KL to a(x)b (entropy), or the weights inside the damping: "
        "rho / (rho + eps) multiplies eps log a, too", _to_ones),
    "rho-is-damping": ("rho / (rho + eps) stands for rho", _with_rho(damping)),
    "rho-is-tau": ("rho is taken for tau = rho / (rho + eps)", _with_rho(of_damping)),
    "rho-times-eps": ("the damping is rho / (rho + 1): rho is taken in units of eps",
        _with_rho(lambda rho, eps: rho * eps)),
    "rho-divided-by-eps": ("rho is divided by eps", _with_rho(lambda rho, eps: rho / eps)),
    "rho-squared": ("rho is squared: rho = reach^2 is another parameter",
        _with_rho(lambda rho, eps: rho**2)),
    "root-of-rho": ("the root of rho is taken: rho = reach^2 is another parameter",
        _with_rho(lambda rho, eps: rho**0.5)),
    "rho-halved": ("rho is halved", _with_rho(lambda rho, eps: rho / 2)),
    "rho-doubled": ("rho is doubled", _with_rho(lambda rho, eps: 2 * rho)),
    "damping-squared": ("the damping rho / (rho + eps) is applied twice",
        _with_rho(lambda rho, eps: of_damping(damping(rho, eps) ** 2, eps))),
    "rows-exact": ("the rows are not damped: their marginal is exact",
        lambda C, a, b, eps, rho: (C, a, b, eps, (np.inf, rho))),
    "columns-exact": ("the columns are not damped: their marginal is exact",
        lambda C, a, b, eps, rho: (C, a, b, eps, (rho, np.inf))),
    "weights-normalised": ("the weights are divided by their masses", _over_masses),
    "weights-exchanged": ("the weights a and b are exchanged",
        lambda C, a, b, eps, rho: (C, b, a, eps, rho) if len(a) == len(b) else None),
    "cost-halved": ("the cost is halved (c / 2)", lambda C, *rest: (C / 2, *rest)),
    "cost-transposed": ("the cost is transposed", lambda C, *rest: (
        np.ascontiguousarray(C.T), *rest) if C.shape[0] == C.shape[1] else None),
    "eps-squared": ("eps is squared: eps = blur^2 is another parameter",
        lambda C, a, b, eps, rho: (C, a, b, eps**2, rho)),
    "cost-divided-by-maximum": ("the cost is divided by its maximum",
        lambda C, *rest: (C / abs(C).max(), *rest)),
}
"""The problem that each mistake solves in place of the given one, or None if it cannot be made."""


def _of_neighbours(answer: Of) -> Table:
    def at_neighbour(change: Callable[..., Problem | None]) -> Answer:
        def alternative(*problem: Any) -> Any:
            changed = change(*problem)
            return None if changed is None else answer(unbalanced_solution(*changed))

        return alternative

    return each(NEIGHBOURS, at_neighbour)


def _of_solution(answer: Of) -> Answer:
    return lambda *problem: answer(unbalanced_solution(*problem))


# ------------------------------------------------------------------ values
def _marginal_terms(t: Unbalanced) -> float:
    """rho (m_a + m_b - 2 m(P)): the mass terms of both penalties."""
    return t.rhos[0] * (sum(t.masses) - 2 * t.mass)


def _plan_terms(t: Unbalanced) -> float:
    """eps (m_a m_b - m(P)): the mass terms of eps KL(P | a(x)b)."""
    m_a, m_b = t.masses
    return t.eps * (m_a * m_b - t.mass)


def _eps_kl(t: Unbalanced) -> float:
    return t.eps * relative(t.plan, t.independent) + _plan_terms(t)


def linear_dual(t: Unbalanced) -> float:
    """a.f + b.g."""
    return float(t.a @ t.f + t.b @ t.g)


def _sum_p_log_p(t: Unbalanced) -> float:
    return relative(t.plan, np.ones_like(t.plan))


def _with_entropies(t: Unbalanced) -> Forms:
    """Values of t.plan with another term in place of eps KL(P | a(x)b): eps sum P (log P - 1),
    eps sum P log P, and eps KL(P | 1)."""
    penalties = t.U - t.sharp - _eps_kl(t)
    entropy = t.eps * _sum_p_log_p(t)
    return Forms((t.sharp + entropy - t.eps * t.mass + penalties, t.sharp + entropy + penalties,
                  t.sharp + entropy - t.eps * t.mass + t.eps * t.C.size + penalties))


def _entropy_value(C: Array, a: Array, b: Array, eps: float, rho: float) -> Forms:
    """The values of `_with_entropies`, at the plan of the problem with KL to 1 and at the right
    plan."""
    ones = unbalanced_solution(*_to_ones(C, a, b, eps, rho))
    of_ones = _with_entropies_on(C, ones)
    return Forms((*of_ones.answers, *_with_entropies(unbalanced_solution(C, a, b, eps, rho)).answers
                  ))


def _with_entropies_on(C: Array, ones: Unbalanced) -> Forms:
    """As `_with_entropies`, at the plan of the problem with KL to 1. `ones` solves that problem
    with the cost of `_to_ones`; C is the cost without eps log a + eps log b."""
    sharp = float((C * ones.plan).sum())
    penalties = ones.U - ones.sharp - _eps_kl(ones)
    entropy = ones.eps * _sum_p_log_p(ones)
    return Forms((sharp + entropy - ones.eps * ones.mass + penalties, sharp + entropy + penalties,
                  sharp + entropy - ones.eps * ones.mass + ones.eps * C.size + penalties))


def _at_ones(t: Unbalanced) -> tuple[Array, Array]:
    """F - eps log a and G - eps log b, with the potentials F, G of the problem with KL to 1.

    That problem has P_ij = exp((F_i + G_j - C_ij) / eps), the plain form. The mistake is to convert
    F and G as if they were plain potentials of the problem with KL to a(x)b.
    """
    ones = unbalanced_solution(*_to_ones(t.C, t.a, t.b, t.eps, t.rhos[0]))
    logs = [np.log(np.where(w > 0, w, 1)) for w in (t.a, t.b)]
    return ones.f - t.eps * logs[0], ones.g - t.eps * logs[1]


VALUES: Table = {
    "mass-terms-missing": (
        "all mass terms -p + q of KL are left out: 0 at every optimum",
        lambda t: t.U - _marginal_terms(t) - _plan_terms(t)),
    "penalty-masses-missing": ("the mass terms -p + q of both penalties are left out",
        lambda t: t.U - _marginal_terms(t)),
    "plan-masses-missing": ("the mass terms of eps KL(P | a(x)b) are left out",
        lambda t: t.U - _plan_terms(t)),
    "eps-masses-missing": ("eps m_a m_b is left out",
        lambda t: t.U - t.eps * t.masses[0] * t.masses[1]),
    "eps-masses-wrong": ("eps (m_a + m_b) / 2 stands for eps m_a m_b",
        lambda t: t.U + t.eps * (sum(t.masses) / 2 - t.masses[0] * t.masses[1])),
    "balanced-formula": ("the balanced formula a.f + b.g", linear_dual),
    "balanced-formula-with-eps": ("the balanced dual: a.f + b.g - eps (m(P) - m_a m_b)",
        lambda t: linear_dual(t) + _plan_terms(t)),
    "dual-at-reference-ones": (
        "the dual with KL to a(x)b at the potentials of KL to 1: a lower bound, and no value",
        lambda t: dual(*_at_ones(t), t.C, t.a, t.b, t.eps, t.rhos)),
    "penalties-missing": ("<C,P> + eps KL(P | a(x)b) alone: both penalties are left out",
        lambda t: t.sharp + _eps_kl(t)),
    "sharp": ("the sharp cost <C,P>: eps KL and both penalties are left out", lambda t: t.sharp),
    "kl-missing": ("eps KL(P | a(x)b) is left out", lambda t: t.U - _eps_kl(t)),
    "one-penalty": ("one of the two penalties is left out",
        lambda t: Forms(tuple(t.U - rho * (relative(p, w) - float(p.sum()) + float(w.sum()))
                              for rho, p, w in zip(t.rhos, t.marginals, (t.a, t.b),
                                                   strict=True)))),
    "doubled": ("twice the value", lambda t: 2 * t.U),
    "halved": ("half of the value", lambda t: t.U / 2),
    "negated": ("minus the value", lambda t: -t.U),
    "divided-by-mass": ("the value divided by the mass of the plan", lambda t: t.U / t.mass),
}


# ------------------------------------------------------------------ plans and potentials
def _kernel(t: Unbalanced) -> Array:
    return t.independent * np.exp(-t.C / t.eps)


def _exchanged_sums(t: Unbalanced) -> Array | None:
    """A diagonal plan whose row sums are the right column sums; None unless n = m."""
    return np.diag(t.marginals[1]) if t.C.shape[0] == t.C.shape[1] else None


PLANS: Table = {
    "mass-one": ("the plan is divided by its mass", lambda t: t.plan / t.mass),
    "density-for-plan": ("the density P / (a(x)b), not the plan: a_i b_j is missing outside",
        lambda t: t.plan / np.where(t.independent > 0, t.independent, 1)),
    "a-missing-outside": ("a_i is missing outside",
        lambda t: t.plan / np.where(t.a > 0, t.a, 1)[:, None]),
    "b-missing-outside": ("b_j is missing outside", lambda t: t.plan / np.where(t.b > 0, t.b, 1)),
    "kernel-alone": ("a(x)b exp(-C / eps): no penalty of the marginals at all", _kernel),
    "independent-coupling": ("the independent coupling a(x)b", lambda t: t.independent),
    "plan-transposed": ("the plan is transposed", lambda t: t.plan.T),
    "potentials-exchanged": ("f and g are exchanged", lambda t: gibbs(
        t.g, t.f, t.C, t.a, t.b, t.eps) if t.C.shape[0] == t.C.shape[1] else None),
    "marginals-exchanged": ("rows sum to what is due to the columns, and columns to the rows",
        _exchanged_sums),
}


def _plain(t: Unbalanced) -> Array:
    with np.errstate(divide="ignore"):
        return np.concatenate((t.f + t.eps * np.log(t.a), t.g + t.eps * np.log(t.b)))


POTENTIALS: Table = {
    "plain-form": (
        "these potentials are in the form 'plain', P = exp((f + g - C) / eps): declare a "
        "`convention` that says so", _plain),
    "log-scaling-form": (
        "these potentials are in the form 'log scaling', P = exp(u + v - C / eps): declare a "
        "`convention` that says so", lambda t: _plain(t) / t.eps),
    "divided-by-eps": ("the potentials are divided by eps", lambda t: both(t) / t.eps),
    "divided-by-rho": ("the potentials are divided by rho", lambda t: both(t) / t.rhos[0]),
    "not-damped": ("the potentials are not damped: (rho + eps) / rho times too large",
        lambda t: both(t) / damping(t.rhos[0], t.eps)),
    "negated": ("the potentials have the wrong sign", lambda t: -both(t)),
    "halved": ("half of the potentials", lambda t: both(t) / 2),
    "marginal-ratios": ("exp(-f / rho) and exp(-g / rho), not f and g",
        lambda t: np.exp(-both(t) / t.rhos[0])),
}


# ------------------------------------------------------------------ the gradient in the masses
def _ratio(t: Unbalanced) -> Array:
    return np.exp(-t.f / t.rhos[0])


def _centred(t: Unbalanced) -> Forms:
    G = t.mass_gradient
    return Forms((G - G.mean(), G - float(t.a @ G) / float(t.a.sum())))


MASS_GRADIENTS: Table = {
    "centred": ("the gradient is centred, as in balanced transport: mass is free here", _centred),
    "potential": ("the potential f, the gradient of balanced transport", lambda t: t.f),
    "potential-centred": ("the potential f, centred: the gradient of balanced transport",
        lambda t: Forms((t.f - t.f.mean(), t.f - float(t.a @ t.f) / float(t.a.sum())))),
    "eps-missing": ("rho (1 - exp(-f / rho)): the terms of eps are left out",
        lambda t: t.rhos[0] * (1 - _ratio(t))),
    "eps-mass-missing": ("eps m_b is left out", lambda t: t.mass_gradient - t.eps * t.masses[1]),
    "per-atom": ("multiplied by the weight of its atom", lambda t: t.mass_gradient * t.a),
    "negated": ("minus the gradient", lambda t: -t.mass_gradient),
    "halved": ("half of the gradient", lambda t: t.mass_gradient / 2),
}


MISTAKES: dict[str, Table] = {
    "unbalanced_value": {
        **each(VALUES, _of_solution), **_of_neighbours(lambda t: t.U),
        "entropy-for-kl": ("entropy for KL: eps sum P (log P - 1), eps sum P log P or "
            "eps KL(P | 1)", _entropy_value),
    },
    "unbalanced_plan": {**each(PLANS, _of_solution), **_of_neighbours(lambda t: t.plan)},
    "unbalanced_potentials": {
        **each(POTENTIALS, _of_solution), **_of_neighbours(both),
        "plain-of-ones": ("the plain potentials of KL to 1, taken for those of KL to a(x)b",
            _of_solution(lambda t: np.concatenate(_at_ones(t)))),
    },
    "unbalanced_mass_gradient": {**each(MASS_GRADIENTS, _of_solution),
        **_of_neighbours(lambda t: None if np.isinf(t.rhos[0]) else t.mass_gradient)},
}
"""The mistakes of each capability."""
