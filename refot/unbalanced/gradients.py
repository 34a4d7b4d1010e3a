"""Gradients of the unbalanced value U and divergence S, by the envelope theorem: U-7, U-8.

The envelope theorem: at the optimal potentials the derivative of U is that of the dual U-2 with the
potentials held fixed. The totals of the masses may change, and so gradients in a or b are complete,
not `centred` as in balanced transport. For the gradient in y or b exchange the measures: give
(C.T, b, a), and the two numbers of rho in the other order. `tol` is the residual of U-4 at which a
solve stops: how far the sums of the plan are from those at the optimum. By default it is small
(`unbalanced.tight`), because the error of a gradient is of the order of that of the potentials.

d1 c is the derivative of c(x, y) in x; rho1 and rho2 are the rho of rows and of columns; m_a and
m_b are the totals of a and b. `objectives` defines U, and `values` S.
"""

from __future__ import annotations

from refot.arrays import REQUIRED, Array, CostLike, InputError, Points, Weights, in_range, namespace
from refot.backend_contract import BackendLike
from refot.costs.forbidden import require_all_partners
from refot.costs.named import CostName
from refot.costs.operands import as_cost, as_point_cost
from refot.divergences import SolvedDivergence
from refot.foreign import as_given
from refot.gradients import plan_kl, points_at
from refot.penalties import Exact
from refot.solvers.answers.reuse import backend_of, three
from refot.solvers.loop import SinkhornResult
from refot.unbalanced.tight import tightly
from refot.unbalanced.values import divergence_problems
from refot.unbalanced_problem import UnbalancedProblem, unbalanced_problem


@as_given
@in_range
def unbalanced_value_gradient_points(
    C: CostLike, a: Weights = None, b: Weights = None, eps: float = REQUIRED,
    rho: object = REQUIRED, penalty: str = "kl", *, tol: float | None = None,
    backend: BackendLike = None, solved: SinkhornResult | None = None,
) -> Array:
    """dU/dx_i = sum_j P_ij d1 c(x_i, y_j) at the optimal plan, (n, d). U-7.

    C: the PointCost of x (n, d) and y (m, d); masses a (n,), b (m,); eps, rho in cost units.
    """
    p = unbalanced_problem(as_point_cost(C), a, b, eps, rho, penalty, backend_of(solved, backend))
    return points_at(p, *potentials_of(tightly(p, tol, solved)))


@as_given
@in_range
def unbalanced_value_gradient_weights(
    C: CostLike, a: Weights = None, b: Weights = None, eps: float = REQUIRED,
    rho: object = REQUIRED, penalty: str = "kl", *, tol: float | None = None,
    backend: BackendLike = None, solved: SinkhornResult | None = None,
) -> Array:
    """dU/da_i, (n,): with KL rho1 + eps m_b - (rho1 + eps) exp(-f_i / rho1), from which no mean is
    subtracted. U-7.

    With TV or an exact marginal of the rows it is w_i + eps (m_b - r_i / a_i), where r_i is the row
    sum of the plan, and w_i is min(f_i, rho1) with TV, f_i with an exact marginal. Where a_i = 0 it
    is the one-sided derivative. Raises InputError where both marginals are exact: then a cannot
    change without b.
    """
    p = unbalanced_problem(C, a, b, eps, rho, penalty, backend_of(solved, backend))
    require_all_partners(as_cost(C), p.b)
    if p.is_exact:
        raise InputError("rho", "inf on both sides", "a finite rho: a alone cannot change")
    return weights_at(p, *potentials_of(tightly(p, tol, solved)))


@in_range
def unbalanced_value_gradient_rho(
    C: CostLike, a: Weights = None, b: Weights = None, eps: float = REQUIRED,
    rho: object = REQUIRED, penalty: str = "kl", *, tol: float | None = None,
    backend: BackendLike = None, solved: SinkhornResult | None = None,
) -> tuple[float, float]:
    """(dU/drho1, dU/drho2) = (KL(P1 | a), KL(P'1 | b)) at the optimal plan, without a unit. U-7.

    With TV they are |P1 - a|_1 and |P'1 - b|_1; of an exact marginal 0. If rho is one number for
    rows and columns, the derivative in it is the sum of both.
    """
    p = unbalanced_problem(C, a, b, eps, rho, penalty, backend_of(solved, backend))
    f, g = potentials_of(tightly(p, tol, solved))
    rows, columns = p.backend.marginals(p.C, p.F(f), p.G(g), p.eps)
    return (_per_rho(p, p.asked(f, rows)), _per_rho(p.T, p.T.asked(g, columns)))


@in_range
def unbalanced_value_gradient_eps(
    C: CostLike, a: Weights = None, b: Weights = None, eps: float = REQUIRED,
    rho: object = REQUIRED, penalty: str = "kl", *, tol: float | None = None,
    backend: BackendLike = None, solved: SinkhornResult | None = None,
) -> float:
    """dU/deps = KL(P | a(x)b) = sum (P log(P / (a(x)b)) - P + a(x)b) >= 0 at the optimal plan,
    without a unit. U-7."""
    p = unbalanced_problem(C, a, b, eps, rho, penalty, backend_of(solved, backend))
    return plan_kl(p, *potentials_of(tightly(p, tol, solved)))


@as_given
@in_range
def unbalanced_divergence_gradient(
    x: Points, a: Weights = None, y: Points = REQUIRED, b: Weights = None, eps: float = REQUIRED,
    rho: object = REQUIRED, cost: CostName = "sqeuclidean", penalty: str = "kl", *,
    tol: float | None = None, backend: BackendLike = None, solved: SolvedDivergence | None = None,
) -> Array:
    """dS/dx_i = sum_j P_ij d1 c(x_i, y_j) - sum_k Pxx_ik d1 c(x_i, x_k), (n, d). U-8.

    x (n, d), a (n,), y (m, d), b (m,); rho is one number. The second sum is the gradient of half
    U_xx, in which x is both arguments of c: each of them contributes half of the sum.
    """
    xy, xx, _ = divergence_problems(x, a, y, b, eps, rho, cost, penalty, backend, solved)
    cross, own, _ = three(solved)
    at_xy, at_xx = potentials_of(tightly(xy, tol, cross)), potentials_of(tightly(xx, tol, own))
    return points_at(xy, *at_xy) - points_at(xx, *at_xx)


@as_given
@in_range
def unbalanced_divergence_gradient_weights(
    x: Points, a: Weights = None, y: Points = REQUIRED, b: Weights = None, eps: float = REQUIRED,
    rho: object = REQUIRED, cost: CostName = "sqeuclidean", penalty: str = "kl", *,
    tol: float | None = None, backend: BackendLike = None, solved: SolvedDivergence | None = None,
) -> Array:
    """dS/da = dU_xy/da - dU_xx/da + eps (m_a - m_b), (n,), from which no mean is subtracted. U-8.

    In U_xx the masses of the rows and of the columns are both a, and dU_xx/da here is the mean of
    the derivatives in the two. With TV the dual may be the same for every t in (f + t, g - t). Then
    each of the two derivatives depends on t, but their mean does not.
    """
    xy, xx, _ = divergence_problems(x, a, y, b, eps, rho, cost, penalty, backend, solved)
    (m_a, m_b), (cross, own, _) = xy.masses, three(solved)
    f, g = potentials_of(tightly(xx, tol, own))
    both_places = weights_at(xx, f, g) + weights_at(xx.T, g, f)
    once = weights_at(xy, *potentials_of(tightly(xy, tol, cross)))
    return once - both_places / 2 + xy.eps * (m_a - m_b)


# ------------------------------------------------------------------ from a solution
def potentials_of(found: SinkhornResult) -> tuple[Array, Array]:
    """(f (n,), g (m,)) of a solution."""
    return found.f, found.g


def weights_at(p: UnbalancedProblem, f: Array, g: Array) -> Array:
    """dU/da = worth(f) + eps (m_b - exp((f - h) / eps)), (n,), with h the softmin of g, and the
    `worth` of the penalty (`penalties`). The exponential is the row sum divided by a_i. f is the
    best potential for g, computed anew; the given f serves only as a guess of h."""
    h = p.transform(g, f)
    f = p.prox(h)  # unlike the given f, this one is right where a_i = 0, too
    shares = namespace(f).exp((f - h) / p.eps)
    return p.rows.worth(f) + p.eps * (p.masses[1] - shares)


def _per_rho(p: UnbalancedProblem, sums: Array) -> float:
    """The penalty of the rows for the row `sums` (n,), divided by its rho; 0 if it is exact."""
    return 0.0 if isinstance(p.rows, Exact) else p.rows.cost(sums, p.a) / p.rows.rho
