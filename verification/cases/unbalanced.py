"""The unbalanced problems of a case: its costs and weights, with total masses that do not match.

U is the value of unbalanced transport, and U-1 to U-8 are its equations, in docs/equations.md.
"""

from __future__ import annotations

from refot.arrays import Array

from .case import Case

MASSES = (1.5, 0.625)
"""The masses of a and of b: different from each other and from 1, and exact in float32. Their
product is not half of their sum, so that formulas which agree for masses 1 differ here."""

RHO = 0.75
"""rho, what it costs to miss a marginal by a unit of KL, in units of `Case.unit`, the range of the
costs: so large that most mass is moved, so small that some is left behind."""

SMALL_RHO = 1e-3
"""A small rho, in units of eps: hardly any mass is moved at a positive cost."""

LARGE_RHO = 1e3
"""A large rho, in units of eps: an iteration U-3 removes only about 2 / LARGE_RHO of an error of
the total mass."""

BALANCED_RHO = 100.0
"""A rho, in units of the range of the costs, at which U is near the balanced value F."""

FAR = 3e3
"""A constant cost, in units of eps, at which exp(-C / eps) and the plan are 0 in float64."""

Matrix = tuple[Array, Array, Array, float, float]
"""(C, a, b, eps, rho)."""

Clouds = tuple[Array, Array, Array, Array, float, float, str]
"""(x, a, y, b, eps, rho, cost)."""


def unbalanced(
    case: Case, rho: float | None = None, masses: tuple[float, float] = MASSES
) -> Matrix:
    """(C, a, b, eps, rho), with weights of these masses; rho in cost units, RHO by default."""
    a, b = weighted(case, masses)
    return case.C, a, b, case.eps, RHO * case.unit if rho is None else rho


def unbalanced_clouds(
    case: Case, rho: float | None = None, masses: tuple[float, float] = MASSES
) -> Clouds:
    """(x, a, y, b, eps, rho, cost), with weights of these masses; rho as in `unbalanced`."""
    x, _, y, _, eps, cost = case.clouds
    a, b = weighted(case, masses)
    return x, a, y, b, eps, RHO * case.unit if rho is None else rho, cost


def weighted(case: Case, masses: tuple[float, float]) -> tuple[Array, Array]:
    """The weights a (n,) and b (m,) of the case, scaled to sum to these masses."""
    mass_a, mass_b = (case.a.dtype.type(mass) for mass in masses)
    return case.a * mass_a, case.b * mass_b
