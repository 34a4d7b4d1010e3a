"""The unbalanced value U and the divergence S between masses: U-1, U-4, U-8.

`tol` is that of `refot.solve`: the residual of U-4. A solve that does not reach it warns
(ConvergenceWarning). The values are duals of the solved potentials: never above U but by rounding,
and off only to second order in the residual.
"""

from __future__ import annotations

from refot.arrays import CostLike, Points, Weights, as_positive, in_range
from refot.backend_contract import BackendLike
from refot.costs.operands import point_cost
from refot.divergences import self_costs
from refot.solvers.loop import SinkhornResult
from refot.solvers.solve import solve_problem
from refot.unbalanced_problem import UnbalancedProblem, unbalanced_problem


@in_range
def unbalanced_value(
    C: CostLike, a: Weights, b: Weights, eps: float, rho: object, penalty: str = "kl",
    *, tol: float | None = None, backend: BackendLike = None
) -> float:
    """U = min <C,P> + eps KL(P | a(x)b) + D1(P1 | a) + D2(P'1 | b), in cost units. U-1.

    C (n, m) or an operand; masses a (n,), b (m,) of any total; eps and rho in cost units, rho a
    number or a pair (rows, columns), inf for an exact marginal.
    """
    return value_of(unbalanced_problem(C, a, b, eps, rho, penalty, backend), tol)


def value_of(p: UnbalancedProblem, tol: float | None) -> float:
    """U of a checked problem."""
    return dual_of(p, solve_problem(p, tol=tol))


def dual_of(p: UnbalancedProblem, solved: SinkhornResult) -> float:
    """The dual U-2 of the solved potentials."""
    return p.dual(solved.f, solved.g, float(p.row_sums(solved.f, solved.g).sum()))


@in_range
def unbalanced_divergence(
    x: Points, a: Weights, y: Points, b: Weights, eps: float, rho: object,
    cost: str = "sqeuclidean", penalty: str = "kl", *, tol: float | None = None,
    backend: BackendLike = None,
) -> float:
    """S = U_xy - U_xx / 2 - U_yy / 2 + eps / 2 (m_a - m_b)^2, in cost units. U-8.

    S(mu, mu) = 0 and S(mu, 2 mu) > 0; S >= 0 where exp(-c / eps) is positive definite. rho is one
    number, the same on both sides: the self terms would have no sense with a pair. x (n, d),
    a (n,), y (m, d), b (m,).
    """
    xy, xx, yy = divergence_problems(x, a, y, b, eps, rho, cost, penalty, backend)
    U_xy, U_xx, U_yy = (value_of(p, tol) for p in (xy, xx, yy))
    m_a, m_b = xy.masses
    return U_xy - U_xx / 2 - U_yy / 2 + xy.eps / 2 * (m_a - m_b) * (m_a - m_b)


def divergence_problems(
    x: Points, a: Weights, y: Points, b: Weights, eps: float, rho: object, cost: str, penalty: str,
    backend: BackendLike,
) -> tuple[UnbalancedProblem, UnbalancedProblem, UnbalancedProblem]:
    """The problems xy, xx, yy."""
    rho = as_positive(rho, "rho")
    C = point_cost(x, y, cost)
    xx, yy = self_costs(C)
    first, second, third = (
        unbalanced_problem(cost_of, masses, others, eps, rho, penalty, backend)
        for cost_of, masses, others in ((C, a, b), (xx, a, a), (yy, b, b)))
    return first, second, third
