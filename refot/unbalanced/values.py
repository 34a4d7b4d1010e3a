"""The unbalanced value U and the divergence S between masses: U-1, U-4, U-8.

`tol`, the same as in `refot.solve`, is the residual at which a solve stops: how far the sums of the
plan are from the optimality conditions U-4. A solve that does not reach it warns
(ConvergenceWarning). A value is the dual U-2 of the potentials found: except for rounding it is
never above U, and its error is of second order in the residual. D1 and D2 are the penalties of rows
and columns (`penalties`), m_a and m_b the totals of a and b. U-1, U-2, U-4 and U-8 are equations of
docs/equations.md.
"""

from __future__ import annotations

from typing import TypeAlias

from refot.arrays import REQUIRED, CostLike, Points, Weights, as_positive, in_range
from refot.backend_contract import BackendLike
from refot.costs.named import CostName
from refot.costs.operands import Cost, point_cost
from refot.divergences import SolvedDivergence, common_backend, self_costs, three_costs
from refot.foreign import as_given
from refot.solvers.answers.reuse import backend_of, three
from refot.solvers.answers.solutions import solved_to
from refot.solvers.loop import SinkhornResult
from refot.unbalanced.tight import tightly
from refot.unbalanced_problem import UnbalancedProblem, unbalanced_problem


@in_range
def unbalanced_value(
    C: CostLike, a: Weights = None, b: Weights = None, eps: float = REQUIRED,
    rho: object = REQUIRED, penalty: str = "kl", *, tol: float | None = None,
    backend: BackendLike = None, solved: SinkhornResult | None = None,
) -> float:
    """U = min <C,P> + eps KL(P | a(x)b) + D1(P1 | a) + D2(P'1 | b), in cost units. U-1.

    C (n, m), an array, a `PointCost` or a `DenseCost`; masses a (n,), b (m,) of any total; eps and
    rho in cost units, rho a number or a pair (rows, columns), inf for an exact marginal. `solved`
    is what `refot.solve` returned for this problem; with it nothing is solved again.
    """
    p = unbalanced_problem(C, a, b, eps, rho, penalty, backend_of(solved, backend))
    return value_of(p, tol, solved)


def value_of(p: UnbalancedProblem, tol: float | None, solved: SinkhornResult | None = None
             ) -> float:
    """U of a checked problem."""
    return dual_of(p, solved_to(p, tol, solved=solved))


def dual_of(p: UnbalancedProblem, solved: SinkhornResult) -> float:
    """The dual U-2 of the solved potentials."""
    return p.dual(solved.f, solved.g, float(p.row_sums(solved.f, solved.g).sum()))


@in_range
def unbalanced_divergence(
    x: Points, a: Weights = None, y: Points = REQUIRED, b: Weights = None, eps: float = REQUIRED,
    rho: object = REQUIRED, cost: CostName = "sqeuclidean", penalty: str = "kl", *,
    tol: float | None = None, backend: BackendLike = None, solved: SolvedDivergence | None = None,
) -> float:
    """S = U_xy - U_xx / 2 - U_yy / 2 + eps / 2 (m_a - m_b)^2, in cost units. U-8.

    Between a measure and itself S is 0, between it and twice itself S > 0, and S >= 0 for all if
    exp(-c / eps) is positive definite. rho is one number: U_xx and U_yy, each of a measure with
    itself, need the same rho for rows and columns. x (n, d), a (n,), y (m, d), b (m,). `solved` is
    what `solve_unbalanced_divergence` returned.
    """
    problems = divergence_problems(x, a, y, b, eps, rho, cost, penalty, backend, solved)
    return _divergence(problems, tol, solved)


@in_range
def unbalanced_divergence_of_costs(
    C: CostLike, C_xx: CostLike, C_yy: CostLike, a: Weights = None, b: Weights = None,
    eps: float = REQUIRED, rho: object = REQUIRED, penalty: str = "kl", *, tol: float | None = None,
    backend: BackendLike = None, solved: SolvedDivergence | None = None,
) -> float:
    """`unbalanced_divergence` from the costs C (n, m) between the measures, and C_xx (n, n), C_yy
    (m, m), symmetric, within each. U-8."""
    problems = _problems(*three_costs(C, C_xx, C_yy), a, b, eps, rho, penalty, backend, solved)
    return _divergence(problems, tol, solved)


@as_given
def solve_unbalanced_divergence(
    x: Points, a: Weights = None, y: Points = REQUIRED, b: Weights = None, eps: float = REQUIRED,
    rho: object = REQUIRED, cost: CostName = "sqeuclidean", penalty: str = "kl", *,
    tol: float | None = None, backend: BackendLike = None,
) -> SolvedDivergence:
    """The solutions of the three problems of `unbalanced_divergence`: xy, xx, yy. U-8.

    One such call is enough for the value and all its gradients. `tol` is by default that of
    `unbalanced.tight`.
    """
    problems = divergence_problems(x, a, y, b, eps, rho, cost, penalty, backend)
    return SolvedDivergence(*(tightly(p, tol) for p in problems))


UnbalancedProblems: TypeAlias = tuple[UnbalancedProblem, UnbalancedProblem, UnbalancedProblem]
"""The problems xy, xx, yy of a divergence."""


def divergence_problems(
    x: Points, a: Weights, y: Points, b: Weights, eps: float, rho: object, cost: CostName,
    penalty: str, backend: BackendLike, solved: SolvedDivergence | None = None,
) -> UnbalancedProblems:
    """The problems xy, xx, yy between points."""
    C = point_cost(x, y, cost)
    return _problems(C, *self_costs(C), a, b, eps, rho, penalty, backend, solved)


def _problems(
    C: Cost, xx: Cost, yy: Cost, a: Weights, b: Weights, eps: float, rho: object, penalty: str,
    backend: BackendLike, solved: SolvedDivergence | None,
) -> UnbalancedProblems:
    rho, on = as_positive(rho, "rho"), common_backend(C, backend_of(three(solved)[0], backend))
    first, second, third = (
        unbalanced_problem(cost_of, masses, others, eps, rho, penalty, on)
        for cost_of, masses, others in ((C, a, b), (xx, a, a), (yy, b, b)))
    return first, second, third


def _divergence(problems: UnbalancedProblems, tol: float | None, solved: SolvedDivergence | None
                ) -> float:
    """S from its three problems. U-8."""
    U_xy, U_xx, U_yy = (value_of(p, tol, own)
                        for p, own in zip(problems, three(solved), strict=True))
    m_a, m_b = problems[0].masses
    return U_xy - U_xx / 2 - U_yy / 2 + problems[0].eps / 2 * (m_a - m_b) * (m_a - m_b)
