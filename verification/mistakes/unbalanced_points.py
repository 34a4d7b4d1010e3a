"""Known mistakes of unbalanced divergences between point clouds, and of their gradients.

The divergence U-8 of docs/equations.md is S = U_xy - U_xx / 2 - U_yy / 2 + eps/2 (m_a - m_b)^2,
with the values U of three unbalanced problems and the masses m_a and m_b of the two clouds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.verification.truth.unbalanced import (
    Terms,
    unbalanced_solution,
    unbalanced_terms,
)
from refot.verification.truth.unbalanced_right import (
    S_of,
    mass_bias,
    right_unbalanced_gradients,
)

from .mistake import Answer, Forms, Table, each
from .unbalanced import NEIGHBOURS, Of, Problem, damping, linear_dual, of_damping


# ------------------------------------------------------------------ divergences
def _form(
    form: Callable[[float, float, float], float], bias: float = 1.0
) -> Callable[[Terms], float]:
    """A divergence: `form` of its three values U_xy, U_xx, U_yy, plus `bias` times the mass bias
    eps/2 (m_a - m_b)^2 of U-8."""
    return lambda t: form(t[0].U, t[1].U, t[2].U) + bias * mass_bias(t[0])


def _halves(xy: float, xx: float, yy: float) -> float:
    return xy - xx / 2 - yy / 2


def _of_values(value: Of, bias: float) -> Callable[[Terms], float]:
    return lambda t: _halves(*(value(each) for each in t)) + bias * mass_bias(t[0])


# here the answers take t, the solutions of (x, y), (x, x) and (y, y)
DIVERGENCES: Table = {
    "mass-bias-missing": ("the mass bias eps/2 (m_a - m_b)^2 is left out", _form(_halves, 0.0)),
    "mass-bias-doubled": ("eps (m_a - m_b)^2: the factor 1/2 of the mass bias is missing",
        _form(_halves, 2.0)),
    "mass-bias-subtracted": ("the mass bias is subtracted", _form(_halves, -1.0)),
    "mass-bias-without-eps": ("the mass bias lacks its eps",
        lambda t: _halves(*(each.U for each in t)) + mass_bias(t[0]) / t[0].eps),
    "halves-missing": ("the factors 1/2 of the self terms are missing",
        _form(lambda xy, xx, yy: xy - xx - yy)),
    "doubled": ("twice the divergence (2U - U - U)", lambda t: 2 * S_of(t)),
    "halved": ("half of the divergence", lambda t: S_of(t) / 2),
    "self-terms-missing": ("the self terms are missing: U_ab", lambda t: Forms(
        (t[0].U, t[0].U + mass_bias(t[0])))),
    "self-term-y-missing": ("the self term of y is missing", _form(lambda xy, xx, yy: xy - xx / 2)),
    "self-term-x-missing": ("the self term of x is missing", _form(lambda xy, xx, yy: xy - yy / 2)),
    "self-terms-added": ("the self terms are added",
        _form(lambda xy, xx, yy: xy + xx / 2 + yy / 2)),
    "sharp": ("sharp values <C,P> in all three terms", lambda t: Forms(tuple(
        _halves(*(each.sharp for each in t)) + bias * mass_bias(t[0]) for bias in (0, 1)))),
    "mass-terms-missing": (
        "all mass terms -p + q of KL are left out: 0 at every optimum",
        lambda t: Forms((0.0, mass_bias(t[0])))),
    "balanced-formula": ("the balanced formula a.f + b.g in all three terms", lambda t: Forms(tuple(
        _of_values(linear_dual, bias)(t) for bias in (0, 1)))),
    "eps-masses-wrong": ("eps (m_a + m_b) / 2 stands for eps m_a m_b in all three terms",
        _of_values(lambda t: t.U + t.eps * (sum(t.masses) / 2 - t.masses[0] * t.masses[1]), 1.0)),
    "square-root": ("the square root of the divergence",
        lambda t: float(np.sqrt(S_of(t))) if S_of(t) > 0 else None),
    "negated": ("minus the divergence", lambda t: -S_of(t)),
}


def _of_terms(answer: Callable[[Terms], Any]) -> Answer:
    return lambda *clouds: answer(unbalanced_terms(*clouds))


def _terms_of_neighbours(change: Callable[..., Problem | None], clouds: tuple[Any, ...]
                         ) -> Terms | None:
    """The solutions of the three neighbouring problems; None if one of them does not exist."""
    changed = [change(t.C, t.a, t.b, t.eps, t.rhos[0]) for t in unbalanced_terms(*clouds)]
    if any(problem is None for problem in changed):
        return None
    xy, xx, yy = (unbalanced_solution(*problem) for problem in changed if problem is not None)
    return xy, xx, yy


EXACT = ("rows-exact", "columns-exact")
"""Neighbouring problems in which one marginal is exact. The divergence U-8 has none of these, since
its self terms have one penalty for both sides."""

POINT_NEIGHBOURS: Table = {name: entry for name, entry in NEIGHBOURS.items()
                           if name not in (*EXACT, "cost-transposed", "weights-exchanged")}
"""The neighbouring problems that a divergence of point clouds can solve in each of its terms."""


def _S_of_neighbours() -> Table:
    def at_neighbour(change: Callable[..., Problem | None]) -> Answer:
        def alternative(*clouds: Any) -> Forms | None:
            terms = _terms_of_neighbours(change, clouds)
            if terms is None:
                return None
            values = _halves(*(t.U for t in terms))
            return Forms((values + mass_bias(unbalanced_terms(*clouds)[0]), values))

        return alternative

    return each(POINT_NEIGHBOURS, at_neighbour)


# ------------------------------------------------------------------ gradients in the points
# In the answers here, G is the gradient in x of U_xy, and H that of U_xx in one of its two
# arguments (its slots), each (n, d). The right gradient of the divergence is G - H.
GRADIENTS: Table = {
    "self-term-missing": ("the self term is missing (or its plan and both its slots are detached)",
        lambda G, H: G),
    "one-self-slot": ("one slot of the self term only", lambda G, H: G - H / 2),
    "half-missing": ("both slots of U_xx, and the factor 1/2 is missing", lambda G, H: G - 2 * H),
    "self-term-added": ("the self term is added", lambda G, H: G + H),
    "doubled": ("twice the gradient", lambda G, H: 2 * (G - H)),
    "halved": ("half of the gradient", lambda G, H: (G - H) / 2),
    "negated": ("minus the gradient: descent for ascent", lambda G, H: H - G),
}


def _per_mass(*clouds: Any) -> Array:
    """The gradient divided by the weight of its atom."""
    a = clouds[1]
    G, H = right_unbalanced_gradients(*clouds)
    return (G - H) / np.where(a > 0, a, 1)[:, None]


def _damped_gradient(*clouds: Any) -> Forms:
    """Two wrong gradients: the right one times rho / (rho + eps), and divided by it. The update of
    a potential multiplies a softmin by this factor. In a gradient that is taken through the softmin
    the factor has to be made up for; one of the two does not do so, the other does it twice."""
    G, H = right_unbalanced_gradients(*clouds)
    tau = damping(clouds[5], clouds[4])
    return Forms((tau * (G - H), (G - H) / tau))


def _gradient_at_rho(change: Callable[[float, float], float | None]) -> Answer:
    def alternative(*clouds: Any) -> Array | None:
        rho = change(clouds[5], clouds[4])
        if rho is None or not rho > 0:
            return None
        G, H = right_unbalanced_gradients(*clouds[:5], rho, clouds[6])
        return G - H

    return alternative


RHO_READINGS: dict[str, Callable[[float, float], float | None]] = {
    "rho-is-damping": damping, "rho-is-tau": of_damping,
    "rho-times-eps": lambda rho, eps: rho * eps, "rho-divided-by-eps": lambda rho, eps: rho / eps,
    "rho-squared": lambda rho, eps: rho**2, "root-of-rho": lambda rho, eps: rho**0.5,
    "rho-halved": lambda rho, eps: rho / 2, "rho-doubled": lambda rho, eps: 2 * rho,
}
"""What an implementation may compute with in place of rho, under the names of NEIGHBOURS: functions
of (rho, eps)."""


MISTAKES: dict[str, Table] = {
    "unbalanced_divergence": {**each(DIVERGENCES, _of_terms), **_S_of_neighbours()},
    "unbalanced_divergence_gradient": {
        **each(GRADIENTS, lambda form: lambda *clouds: form(*right_unbalanced_gradients(*clouds))),
        **{name: (NEIGHBOURS[name][0], _gradient_at_rho(read))
           for name, read in RHO_READINGS.items()},
        "per-unit-of-mass": ("divided by the weight of its atom", _per_mass),
        "damped-twice": ("the factor rho / (rho + eps) of the softmin is not made up for, or twice",
            _damped_gradient),
    },
}
"""The mistakes of each capability."""
