"""The unbalanced problems of a case: the same costs and weights, with masses that do not match.

U = the letter of unbalanced transport in docs/equations.md.
"""

from __future__ import annotations

from refot.arrays import Array

from .case import Case

MASSES = (1.5, 0.625)
"""The masses of a and of b: different from each other and from 1, exact in float32, and with a
product that is not half of their sum, as it is for masses 1."""

RHO = 0.75
"""rho in units of `Case.unit`, the range of the costs: strong enough to move mass, weak enough to
leave some behind."""

SMALL_RHO = 1e-3
"""A small rho, in units of eps: hardly any mass is moved that costs something."""

LARGE_RHO = 1e3
"""A large rho, in units of eps: an iteration removes 1 / LARGE_RHO of an error, or less."""

BALANCED_RHO = 100.0
"""A rho, in units of the range of the costs, at which U is near the balanced value F."""

FAR = 3e3
"""A constant cost, in units of eps, at which exp(-C / eps) and the plan are 0 in float64."""

Matrix = tuple[Array, Array, Array, float, float]
Clouds = tuple[Array, Array, Array, Array, float, float, str]


def unbalanced(
    case: Case, rho: float | None = None, masses: tuple[float, float] = MASSES
) -> Matrix:
    """(C, a, b, eps, rho), with weights of these masses."""
    a, b = weighted(case, masses)
    return case.C, a, b, case.eps, RHO * case.unit if rho is None else rho


def unbalanced_clouds(
    case: Case, rho: float | None = None, masses: tuple[float, float] = MASSES
) -> Clouds:
    """(x, a, y, b, eps, rho, cost), with weights of these masses."""
    x, _, y, _, eps, cost = case.clouds
    a, b = weighted(case, masses)
    return x, a, y, b, eps, RHO * case.unit if rho is None else rho, cost


def weighted(case: Case, masses: tuple[float, float]) -> tuple[Array, Array]:
    """The weights of both sides, of these masses."""
    mass_a, mass_b = (case.a.dtype.type(mass) for mass in masses)
    return case.a * mass_a, case.b * mass_b
