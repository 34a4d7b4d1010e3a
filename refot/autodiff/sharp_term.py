"""One sharp value s = <C, P> at the optimal plan, W_{c,eps} of G; G-4 is made of three of them.

s is not the quantity that P minimises, so that its gradients need an adjoint state: the solution of
a linear system (`refot.implicit`, erratum G1), for which the plan is formed. G = Genevay, Peyré,
Cuturi 2018.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from refot.arrays import Array
from refot.autodiff.term import Term
from refot.costs.operands import as_point_cost
from refot.divergences import sharp_value_at
from refot.gradients import points_gradient
from refot.implicit import Adjoint, adjoint
from refot.problem import Problem
from refot.solvers.answers.solutions import (
    Near,
    Solver,
    self_solution,
    solution,
    to_first_order,
)
from refot.solvers.loop import SinkhornResult


@dataclass(frozen=True)
class SharpTerm(Term):
    """The problem of a sharp value, its optimal potentials, the value s, and its adjoint state."""

    s: float
    state: Adjoint

    @property
    def T(self) -> Self:
        """The same value with the two measures exchanged."""
        return type(self)(self.p.T, self.g, self.f, self.s, self.state.T)

    def value(self) -> float:
        """s, in cost units."""
        return self.s

    def slope(self) -> Array:
        """ds/da up to a constant, (n,)."""
        return self.p.eps * self.state.p

    def gradient_points(self) -> Array:
        """ds/dx, (n, d)."""
        return points_gradient(self.state.cost_gradient, as_point_cost(self.p.C))


def solved_sharp_term(p: Problem, tol: float | None, warm: Near,
                      solver: Solver = solution) -> tuple[SharpTerm, SinkhornResult]:
    """(the term of a problem, its solution `to_first_order`). The solve starts from `warm`, the
    solution of a nearby problem, if there is one. Warns as `solve` does."""
    found = to_first_order(p, tol, solver, warm=warm)
    return SharpTerm(p, found.f, found.g, sharp_value_at(p, found), adjoint(p, found.g)), found


def solved_sharp_self(p: Problem, tol: float | None, warm: Near
                      ) -> tuple[SharpTerm, SinkhornResult]:
    """The same for a measure and itself, where both vectors p and q of the adjoint state are equal:
    their mean is taken."""
    term, found = solved_sharp_term(p, tol, warm, self_solution)
    half = (term.state.p + term.state.q) / 2
    return replace(term, state=replace(term.state, p=half, q=half)), found
