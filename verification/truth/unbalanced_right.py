"""The right answer to a call of unbalanced transport, by capability: U-1 to U-8 of
docs/equations.md, at the optimum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.costs.operands import point_cost
from refot.gradients import points_gradient
from refot.verification.certificates.intervals import Interval

from .unbalanced import Terms, Unbalanced, unbalanced_solution, unbalanced_terms


def mass_bias(t: Unbalanced) -> float:
    """eps/2 (m_a - m_b)^2, the term of U-8 for masses m_a and m_b that differ."""
    m_a, m_b = t.masses
    return t.eps / 2 * (m_a - m_b) ** 2


def S_of(terms: Terms) -> float:
    """S of U-8 from the solutions of its terms."""
    xy, xx, yy = terms
    return xy.U - xx.U / 2 - yy.U / 2 + mass_bias(xy)


def divergence_interval(*clouds: Any) -> Interval:
    """An interval that contains S, from those of its three values."""
    xy, xx, yy = unbalanced_terms(*clouds)
    bias = mass_bias(xy)
    return Interval(xy.value.lower - xx.value.upper / 2 - yy.value.upper / 2 + bias,
                    xy.value.upper - xx.value.lower / 2 - yy.value.lower / 2 + bias)


def right_unbalanced_gradients(*clouds: Any) -> tuple[Array, Array]:
    """The gradients in x of U_xy, and of U_xx in one of its two arguments, (n, d) each: dS/dx is
    the first minus the second."""
    x, y, cost = clouds[0].astype(np.float64), clouds[2].astype(np.float64), clouds[6]
    xy, xx, _ = unbalanced_terms(*clouds)
    return (points_gradient(xy.plan, point_cost(x, y, cost)),
            points_gradient(xx.plan, point_cost(x, x, cost)))


def right_unbalanced_gradient(*clouds: Any) -> Array:
    """dS/dx, (n, d), with x varied in both arguments of the self term."""
    cross, own = right_unbalanced_gradients(*clouds)
    return cross - own


def both(t: Unbalanced) -> Array:
    """f and g in one array, (n + m,)."""
    return np.concatenate(t.potentials)


UNBALANCED_RIGHT: dict[str, Callable[..., Any]] = {
    "unbalanced_plan": lambda *problem: unbalanced_solution(*problem).plan,
    "unbalanced_potentials": lambda *problem: both(unbalanced_solution(*problem)),
    "unbalanced_value": lambda *problem: unbalanced_solution(*problem).U,
    "unbalanced_mass_gradient": lambda *problem: unbalanced_solution(*problem).mass_gradient,
    "unbalanced_divergence": lambda *clouds: S_of(unbalanced_terms(*clouds)),
    "unbalanced_divergence_gradient": right_unbalanced_gradient,
}
"""By capability, the function that gives the right answer. For `unbalanced_potentials` it gives f
and g in one array, (n + m,)."""
