"""The result of an unbalanced solve."""

from __future__ import annotations

from dataclasses import dataclass

from refot.foreign import methods_as_given
from refot.solvers.loop import SinkhornResult
from refot.unbalanced_problem import UnbalancedProblem


@methods_as_given
@dataclass(frozen=True, kw_only=True, repr=False)
class UnbalancedResult(SinkhornResult):
    """As `SinkhornResult`, for a problem whose marginals may be missed at a price.

    `marginal_error` is the residual of the optimality conditions: how far the sums of the rows
    and columns of the plan of (f, g) are, in L1, from those that the potentials ask for (with KL
    a exp(-f / rho1) and b exp(-g / rho2)), each side as a share of the mass that is asked for.
    Where a marginal is exact its sums must be the masses themselves. `atom_error` is the largest
    |log| of a sum over the one that is asked for. `gap` is an interval around U. `mass` is
    the mass of the plan. f and g are determined, and not only up to a constant.
    """

    mass: float
    problem: UnbalancedProblem

    def value(self) -> float:
        """U, as the dual at f and g: in cost units, above the true U by rounding at most. Warns
        where the solve did not converge. U-2."""
        self._warn("value")
        return self.problem.dual(self.f, self.g, self.mass)


def with_mass(p: UnbalancedProblem, solved: SinkhornResult) -> UnbalancedResult:
    """The result of an unbalanced problem, from what the loop returns."""
    mass = float(p.row_sums(solved.f, solved.g).sum())
    return UnbalancedResult(**vars(solved), mass=mass)
