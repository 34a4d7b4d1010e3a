"""Implicit differentiation of the sharp value s = <C, P> of G at the optimal plan.

The envelope theorem does not apply to s (erratum G1): a derivative of s also contains how the
potentials change. They solve P1 = a, P'1 = b; differentiating these equations gives a linear system
for their change, with the matrix A below. Its adjoint state (p, q) solves
    A (p, q) = (fb, gb),   A = [[diag a, P], [P', diag b]],
    fb = (P * C / eps) 1,  gb = (P * C / eps)'1   (the derivatives of s in f and in g at fixed C).
Then  ds/dC = P - P * C / eps + P_ij (p_i + q_j),  ds/da = eps p,  ds/db = eps q  up to constants.
A is singular: it maps (1, -1) to 0, because (f + t, g - t) gives the same plan. To add a multiple
of (1, -1) to (p, q) changes none of the three gradients. P * C is the product entry by entry.

For the gradient in y or b, exchange the measures: give (C.T, b, a). Pairs x_i = y_j are treated as
in `gradients`. G = Genevay, Peyré, Cuturi 2018; "G1" is a heading of docs/errata.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from refot.arrays import REQUIRED, Array, CostLike, Points, Weights, namespace
from refot.backend_contract import BackendLike
from refot.costs.forbidden import finite_part, require_all_partners
from refot.costs.named import CostName
from refot.costs.operands import as_cost, as_point_cost
from refot.divergences import SolvedDivergence, three_problems
from refot.foreign import as_given
from refot.gradients import centred, points_gradient
from refot.problem import Problem, problem
from refot.solvers.answers.reuse import backend_of, three
from refot.solvers.answers.solutions import to_first_order
from refot.solvers.loop import SinkhornResult


@as_given
def sharp_value_gradient(
    C: CostLike, a: Weights = None, b: Weights = None, eps: float = REQUIRED, *,
    tol: float | None = None, normalise: bool = False, backend: BackendLike = None,
    solved: SinkhornResult | None = None,
) -> Array:
    """ds/dC = P - P * C / eps + P_ij (p_i + q_j), (n, m), for `sharp_value`. W_{c,eps} of G.

    C (n, m), an array, a `PointCost` or a `DenseCost`; a (n,), b (m,); eps in cost units. The
    entries of the gradient sum to 1, since s grows by t where all costs do. Forms the plan, and
    solves a linear system of min(n, m) unknowns. Warns as `solve` does.
    """
    p = problem(C, a, b, eps, backend_of(solved, backend), normalise)
    return _adjoint(p, tol, solved).cost_gradient


@as_given
def sharp_value_gradient_points(
    C: CostLike, a: Weights = None, b: Weights = None, eps: float = REQUIRED, *,
    tol: float | None = None, normalise: bool = False, backend: BackendLike = None,
    solved: SinkhornResult | None = None,
) -> Array:
    """ds/dx_i = sum_j ds/dC_ij d1 c(x_i, y_j), (n, d), where d1 c is the derivative of c(x, y) in x
    and C is the PointCost of x (n, d) and y (m, d)."""
    p = problem(as_point_cost(C), a, b, eps, backend_of(solved, backend), normalise)
    return points_gradient(_adjoint(p, tol, solved).cost_gradient, p.C)


@as_given
def sharp_value_gradient_weights(
    C: CostLike, a: Weights = None, b: Weights = None, eps: float = REQUIRED, *,
    tol: float | None = None, normalise: bool = False, backend: BackendLike = None,
    solved: SinkhornResult | None = None,
) -> Array:
    """ds/da = eps p, `centred` to sum 0, (n,). Where a_i = 0 it is the one-sided derivative.

    For small eps the plan falls into parts that hardly exchange mass, and the error grows: like the
    inverse of the smallest non-zero eigenvalue of the Schur complement S in `_second_unknown`.
    Raises InputError where all pairs of a row are forbidden.
    """
    p = problem(C, a, b, eps, backend_of(solved, backend), normalise)
    require_all_partners(as_cost(C), p.b)
    return centred(p.eps * _adjoint(p, tol, solved).p, p.a)


@as_given
def sinkhorn_loss_gradient(
    x: Points, a: Weights = None, y: Points = REQUIRED, b: Weights = None, eps: float = REQUIRED,
    cost: CostName = "sqeuclidean", *, tol: float | None = None, normalise: bool = False,
    backend: BackendLike = None, solved: SolvedDivergence | None = None,
) -> Array:
    """The gradient in x, (n, d), of `sinkhorn_loss`, 2 s_xy - s_xx - s_yy. G-4.

    In s_xx the points x are both arguments of the cost: with T = ds_xx/dC its gradient is
    sum_k (T + T')_ik d1 c(x_i, x_k).
    """
    xy, xx, _ = three_problems(x, a, y, b, eps, cost, backend, normalise, solved)
    T_xy, T_xx = (_adjoint(p, tol, found).cost_gradient
                  for p, found in zip((xy, xx), three(solved)[:2], strict=True))
    return 2 * points_gradient(T_xy, xy.C) - points_gradient(T_xx + T_xx.T, xx.C)


# ------------------------------------------------------------------ the adjoint system
@dataclass(frozen=True)
class Adjoint:
    """The optimal plan P (n, m), C / eps (n, m) with 0 on forbidden pairs, and the adjoint state
    p (n,), q (m,), which has no unit."""

    P: Array
    C_over_eps: Array
    p: Array
    q: Array

    @property
    def T(self) -> Adjoint:
        """The same with the two measures exchanged."""
        return Adjoint(self.P.T, self.C_over_eps.T, self.q, self.p)

    @property
    def cost_gradient(self) -> Array:
        """ds/dC, (n, m)."""
        return self.P * (1 - self.C_over_eps + self.p[:, None] + self.q)


def _adjoint(pr: Problem, tol: float | None, solved: SinkhornResult | None) -> Adjoint:
    """The adjoint state at the solution of the problem."""
    return adjoint(pr, to_first_order(pr, tol, solved=solved).g)


def adjoint(pr: Problem, g: Array) -> Adjoint:
    """Solve for the adjoint state (p, q) at the optimal g: q from the Schur complement, then p from
    q.

    With chi = P / a, the conditional law of y given x_i, the first equation reads
    p = (chi * C / eps) 1 - chi q. In this form it gives p_i where a_i = 0 too.
    """
    C = pr.C.dense()
    chi = _softmax((pr.G(g) - C) / pr.eps)
    C_over_eps = finite_part(C) / pr.eps
    P = pr.a[:, None] * chi
    q = _second_unknown(P, P * C_over_eps)
    return Adjoint(P, C_over_eps, (chi * C_over_eps).sum(axis=1) - chi @ q, q)


def _softmax(exponents: Array) -> Array:
    """exp of the exponents, each row divided by its sum.

    With exponents (G - C) / eps, where G = g + eps log b (not the paper G), the result is
    exp((f + G - C) / eps), where f is the transform of g. It is not computed from f, because for a
    far point of weight 0, f_i may be so large that it is rounded by more than eps.
    """
    weights = namespace(exponents).exp(exponents - exponents.max(axis=1)[:, None])
    return weights / weights.sum(axis=1)[:, None]


def _second_unknown(P: Array, W: Array) -> Array:
    """q (m,) of A (p, q) = (W 1, W'1), where W (n, m) is P * C / eps. The longer of p and q is
    eliminated first.

    If that is p, the system left is S q = W'1 - P'(W 1 / a), with S = diag b - P' diag(1/a) P. It
    determines q up to a constant, and leaves q_j free where b_j = 0; of all solutions the one of
    least norm is taken.
    """
    xp, a, b = namespace(P), _or_one(P.sum(axis=1)), _or_one(P.sum(axis=0))
    if P.shape[1] > P.shape[0]:
        p = _second_unknown(P.T, W.T)
        return (W.sum(axis=0) - P.T @ p) / b
    S = xp.diag(P.sum(axis=0)) - P.T @ (P / a[:, None])
    return xp.linalg.lstsq(S, W.sum(axis=0) - P.T @ (W.sum(axis=1) / a), rcond=None)[0]


def _or_one(weights: Array) -> Array:
    """The weights with 1 in place of 0, so that one may divide by them."""
    return namespace(weights).where(weights > 0, weights, 1)
