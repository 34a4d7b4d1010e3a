"""The result of an unbalanced solve.

The value U is U-1; U-1 and U-2 are equations of docs/equations.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from refot.foreign import methods_as_given
from refot.solvers.loop import SinkhornResult
from refot.unbalanced_problem import UnbalancedProblem


@methods_as_given
@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class UnbalancedResult(SinkhornResult):
    """`SinkhornResult` for an unbalanced problem, whose marginals may be missed at a price.

    At the optimum the plan of (f, g) has the sums that the potentials ask for: with KL the rows sum
    to a exp(-f / rho1) and the columns to b exp(-g / rho2), and where a marginal is exact to a or b
    themselves. `marginal_error` is the residual of these conditions: the L1 distance of the row
    sums from those asked for, as a share of their total, plus the same for the columns.
    `atom_error` is the largest |log(sum / sum asked for)| of a row or column. `gap` is an interval
    that contains the optimal value U. `mass` is the mass of the plan. With KL f and g are
    unique, without a free constant.
    """

    mass: float
    problem: UnbalancedProblem

    def value(self) -> float:
        """U in cost units, as the dual at f and g: but for rounding, never above the true U. Warns
        where the solve did not converge. U-2."""
        self.warn_unless_converged("value")
        return self.problem.dual(self.f, self.g, self.mass)


def with_mass(p: UnbalancedProblem, solved: SinkhornResult) -> UnbalancedResult:
    """The result of an unbalanced problem: what the loop returned, and the mass of the plan."""
    mass = float(p.row_sums(solved.f, solved.g).sum())
    return UnbalancedResult(**vars(solved), mass=mass)
