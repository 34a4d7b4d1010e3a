"""Right subjects of unbalanced transport that answer in the convention of a library, and declare
it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import rel_entr

from refot.arrays import Array
from refot.verification.zoo.right import right
from refot.verification.zoo.solvers import density_plan

from .bugs_values import to_ones
from .right import all_of, on_points, plan_of, primal, remembered
from .solvers import checked, translation_invariant

_solve = remembered(translation_invariant)


@right("unbalanced: POT's entropy", "pot.solve(entropy, unbalanced)")
def _entropy() -> dict[str, Callable[..., Any]]:
    """The plan and the value of the problem
    min <C,P> + eps sum P (log P - 1) + rho KL(P1 | a) + rho KL(P'1 | b)."""

    def plan(*problem: Any) -> Array:
        return plan_of(*to_ones(*problem))

    def value(C: Array, a: Array, b: Array, eps: float, rho: float) -> float:
        P = plan(C, a, b, eps, rho)
        entropy = rel_entr(P, np.ones_like(P)).sum() - P.sum()
        penalties = sum((rel_entr(p, w) - p + w).sum() for p, w in ((P.sum(1), a), (P.sum(0), b)))
        return float((C * P).sum() + eps * entropy + rho * penalties)

    return {"unbalanced_plan": plan, "unbalanced_value": value}


@right("unbalanced: POT's log scalings and sharp cost", "pot.sinkhorn_unbalanced2")
def _scalings() -> dict[str, Callable[..., Any]]:
    """Potentials u, v with P_ij = a_i b_j exp(u_i + v_j - C_ij / eps), and <C,P> as the value."""

    def scalings(C: Array, a: Array, b: Array, eps: float, rho: float) -> tuple[Array, Array]:
        f, g = _solve(C, a, b, eps, rho)
        return f / eps, g / eps

    return {"unbalanced_potentials": scalings,
            "unbalanced_value": lambda C, *rest: float((C * plan_of(C, *rest)).sum())}


def _of_tau(eps: float, tau: float) -> float:
    """The rho for which rho / (rho + eps) is tau."""
    if not 0 < tau < 1:
        raise ValueError(f"tau = {tau}")
    return eps * tau / (1 - tau)


@right("unbalanced: OTT's tau", "ott.reg_ot_cost(tau), documented")
def _tau() -> dict[str, Callable[..., Any]]:
    """The caller gives OTT's tau = rho / (rho + eps) in place of rho."""
    exact = all_of(translation_invariant)

    def at_rho(name: str) -> Callable[..., Any]:
        return lambda C, a, b, eps, tau: exact[name](C, a, b, eps, _of_tau(eps, tau))

    def divergence(x: Array, a: Array, y: Array, b: Array, eps: float, tau: float,
                   cost: str) -> float:
        found: float = exact["unbalanced_divergence"](x, a, y, b, eps, _of_tau(eps, tau), cost)
        return found

    return {"unbalanced_plan": at_rho("unbalanced_plan"),
            "unbalanced_value": at_rho("unbalanced_value"),
            "unbalanced_mass_gradient": at_rho("unbalanced_mass_gradient"),
            "unbalanced_divergence": divergence}


@right("unbalanced: OTT's plain potentials", "ott.reg_ot_cost(tau), documented")
def _plain() -> dict[str, Callable[..., Any]]:
    def potentials(C: Array, a: Array, b: Array, eps: float, tau: float) -> tuple[Array, Array]:
        f, g = _solve(C, a, b, eps, _of_tau(eps, tau))
        with np.errstate(divide="ignore"):
            return f + eps * np.log(a), g + eps * np.log(b)

    return {"unbalanced_potentials": potentials}


@right("unbalanced: GeomLoss's reach and half cost", "geomloss.SamplesLoss(p=2, reach)")
def _reach() -> dict[str, Callable[..., Any]]:
    """The cost is |x - y|^2 / 2, and the caller gives blur and reach, with eps = blur^2 and rho =
    reach^2."""

    def value(C: Array, a: Array, b: Array, eps: float, rho: float) -> float:
        f, g = _solve(C, a, b, eps, rho)
        C, a, b = checked(C, a, b, eps, rho)
        return primal(density_plan(f, g, C, a, b, eps), C, a, b, eps, rho)

    halved = on_points(value, plan_of, scale=0.5)

    def at_squares(name: str) -> Callable[..., Any]:
        def answer(x: Array, a: Array, y: Array, b: Array, blur: float, reach: float,
                   cost: str) -> Any:
            if not (blur > 0 and reach > 0):
                raise ValueError(f"blur = {blur}, reach = {reach}")
            return halved[name](x, a, y, b, blur**2, reach**2, cost)

        return answer

    return {name: at_squares(name) for name in halved}
