"""One value F(x, a, y, b) at its optimal potentials: its number and its gradients, without a solve.

By the envelope theorem (`refot.gradients`) the derivatives of F are those at fixed potentials:
    dF/dx_i = sum_j P_ij d1 c(x_i, y_j),     dF/da = f - mean f,     and likewise in y and b.
So one solve gives the value and all four gradients.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from refot.arrays import Array
from refot.autodiff.measures import Pair
from refot.costs.operands import as_point_cost
from refot.divergences import Solver, solution, to_first_order, value_at
from refot.gradients import centred
from refot.plans import plan
from refot.problem import Problem
from refot.solvers.memory import kept


@dataclass(frozen=True)
class Term:
    """The problem of a value, its cost between points, and its optimal potentials f (n,), g (m,).

    Each potential is the transform of the other, which is defined at points of weight 0 too.
    """

    p: Problem
    f: Array
    g: Array

    @property
    def T(self) -> Term:
        """The same value with the two measures exchanged."""
        return Term(self.p.T, self.g, self.f)

    def value(self) -> float:
        """F, in cost units: a.f + b.g, for g is the transform of f. B-10, B-24."""
        return value_at(self.p, self.g, self.f)

    def gradient_points(self) -> Array:
        """dF/dx, (n, d)."""
        p = self.p
        return p.backend.plan_cost_gradient(as_point_cost(p.C), p.F(self.f), p.G(self.g), p.eps)

    def gradient_weights(self) -> Array:
        """dF/da, `centred` to sum 0, (n,)."""
        return centred(self.f, self.p.a)

    def plan(self) -> Array:
        """P_ij = a_i b_j exp((f_i + g_j - C_ij) / eps), (n, m)."""
        p = self.p
        return plan(self.f, self.g, p.C, p.a, p.b, p.eps, backend=p.backend)


def solved_term(p: Problem, tol: float | None, solver: Solver = solution) -> Term:
    """The term of a problem, solved `to_first_order`. Warns as `solve` does."""
    at_hand = replace(p, C=kept(p.C))  # a matrix, where that is faster and memory allows it
    g = to_first_order(at_hand, tol, solver).g
    f = at_hand.transform(g)
    return Term(p, f, at_hand.T.transform(f, g))


def directions_of_self(v: Pair) -> Pair:
    """Directions of F(x, a, x, a), in which both measures move together, from those of (x, a)."""
    return Pair(v.x, v.a, v.x, v.a)
