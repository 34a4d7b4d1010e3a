"""Gradients by the envelope theorem: H-14..17, H-24, H-29/30, B-24, B-31, B-32, and MMD (G-2).

The envelope theorem: at the optimal potentials, the derivative of an optimal value is the same as
if the potentials stayed fixed. So F(C, a, b) = <C,P> + eps KL(P | a(x)b) at the optimal plan P,
with the optimal potentials (f, g), has the gradients
    dF/dC = P,      dF/da = f + constant,      dF/db = g + constant,
and the gradient in the points follows by the chain rule through the cost matrix
(`points_gradient`). Elsewhere are: the gradients of the sharp value, for which the envelope theorem
does not hold (`implicit`, erratum G1); those of L steps of the algorithm (`unrolled`, G-8); that of
B-24 and B-27 in the potential (`objectives.semi_dual_gradient`).

For the gradient in y or b, exchange the two measures: give (C.T, b, a), or (y, b, x, a).
`tol`, the L1 marginal error of a solve, is by default `solutions.first_order_tolerance`.
`solved` is what `refot.solve`, or `solve_divergence`, returned for the problem. With it nothing is
solved again, and a gradient is as accurate as that solution.
Where x_i = y_j, the costs "euclidean" and "l1" have a kink. For such a pair d1 c is taken as 0:
along any direction that is the mean of the derivatives from both sides.

Papers: B = Bréchet et al. 2019, G = Genevay, Peyré, Cuturi 2018, H = Houdard et al. 2023; an
erratum such as "G1" is a heading of docs/errata.md. d1 c is the derivative of c(x, y) in x.
"""

from __future__ import annotations

import math

from refot.arrays import (
    REQUIRED,
    Array,
    CostLike,
    Matrix,
    Points,
    Potential,
    Weights,
    as_both_weights,
    as_matrix,
    as_number,
    in_range,
    namespace,
)
from refot.backend_contract import BackendLike
from refot.costs.forbidden import require_all_partners
from refot.costs.named import CostName
from refot.costs.operands import (
    PointCost,
    as_cost,
    as_point_cost,
    point_cost,
    row_blocks,
)
from refot.divergences import (
    Problems,
    SolvedDivergence,
    distinct_mean_rows,
    distinct_pairs,
    first_order_solutions,
    problems_of_costs,
    self_costs,
    three_problems,
    without_self_pairs,
)
from refot.foreign import as_given
from refot.information import informative_cost, tilted_product
from refot.objectives import transport_cost
from refot.plans import semi_dual_plan
from refot.problem import Problem, problem
from refot.solvers.answers.reuse import backend_of, three
from refot.solvers.answers.solutions import self_solution, to_first_order
from refot.solvers.answers.value import WIDE, largest_cost, wide_potentials
from refot.solvers.loop import SinkhornResult


# ------------------------------------------------------------------ from the cost to the points
@as_given
@in_range
def points_gradient(T: Matrix, C: CostLike) -> Array:
    """sum_j T_ij d1 c(x_i, y_j), (n, d): the gradient in x, from the gradient T (n, m) in C.

    C is the PointCost of x and y. For the gradient in y, call `points_gradient(T.T, C.T)`. If C is
    c(x, x), x is both arguments of c: call `points_gradient(T + T.T, C)`.
    """
    C = as_point_cost(C)
    T = as_matrix(T, "T", C.shape)
    xp = namespace(T)
    C = C.with_arrays(xp.asarray)  # T may come from a device that x and y are not on
    blocks = row_blocks(C, depth=C.x.shape[1])
    return xp.concatenate(
        [xp.einsum("ij,ijd->id", T[rows], C.gradient_rows(rows)) for rows in blocks]
    )


# ------------------------------------------------------------------ F, B-10
@as_given
def entropic_value_gradient_points(
    C: CostLike, a: Weights = None, b: Weights = None, eps: float = REQUIRED, *,
    tol: float | None = None, normalise: bool = False, backend: BackendLike = None,
    solved: SinkhornResult | None = None,
) -> Array:
    """dF/dx_i = sum_j P_ij d1 c(x_i, y_j) at the optimal plan, (n, d). H-24; B-32 without its term
    in eta, the plan between generated points (`generator_loss`).

    C: the PointCost of x (n, d) and y (m, d); a (n,), b (m,); eps in cost units. Warns as `solve`.
    """
    p = problem(as_point_cost(C), a, b, eps, backend_of(solved, backend), normalise)
    return points_at(p, *_potentials(p, tol, solved))


@as_given
def entropic_value_gradient_weights(
    C: CostLike, a: Weights = None, b: Weights = None, eps: float = REQUIRED, *,
    tol: float | None = None, normalise: bool = False, backend: BackendLike = None,
    solved: SinkhornResult | None = None,
) -> Array:
    """dF/da = f - mean f, (n,), in cost units: `centred`, because the sum of the weights stays 1.

    It follows from H-9 at the optimal psi, which is H's name for g. Where a_i = 0 it is the
    one-sided derivative, because a_i can only grow. Raises InputError where all pairs of a row are
    forbidden: there the derivative is infinite.
    """
    p = problem(C, a, b, eps, backend_of(solved, backend), normalise)
    require_all_partners(as_cost(C), p.b)
    return centred(_potentials(p, tol, solved)[0], p.a)


def entropic_value_gradient_eps(
    C: CostLike, a: Weights = None, b: Weights = None, eps: float = REQUIRED, *,
    tol: float | None = None, normalise: bool = False, backend: BackendLike = None,
    solved: SinkhornResult | None = None,
) -> float:
    """dF/deps = KL(P | a(x)b) >= 0 at the optimal plan, in nats: (F - s) / eps, where s = <C,P> is
    the sharp value, W_{c,eps} of G."""
    p = problem(C, a, b, eps, backend_of(solved, backend), normalise)
    return information_of(p, to_first_order(p, tol, solved=solved))


# ------------------------------------------------------------------ S, B-9
@as_given
def sinkhorn_divergence_gradient(
    x: Points, a: Weights = None, y: Points = REQUIRED, b: Weights = None, eps: float = REQUIRED,
    cost: CostName = "sqeuclidean", *, tol: float | None = None, normalise: bool = False,
    backend: BackendLike = None, solved: SolvedDivergence | None = None,
) -> Array:
    """dS/dx_i = sum_j P_ij d1 c(x_i, y_j) - sum_k Pxx_ik d1 c(x_i, x_k), (n, d). B-9, B-11.

    x (n, d), a (n,), y (m, d), b (m,). The second sum is the gradient of F_xx / 2: x is both
    arguments of its cost, and since the plan Pxx is symmetric, both contribute the same half.
    Summed over i the second sum is 0, since F_xx does not change when all points move together.
    """
    xy, xx, _ = three_problems(x, a, y, b, eps, cost, backend, normalise, solved)
    cross, own, _ = three(solved)
    f_xx = _self_potential(xx, tol, own)
    return points_at(xy, *_potentials(xy, tol, cross)) - points_at(xx, f_xx, f_xx)


@as_given
def sinkhorn_divergence_gradient_weights(
    x: Points, a: Weights = None, y: Points = REQUIRED, b: Weights = None, eps: float = REQUIRED,
    cost: CostName = "sqeuclidean", *, tol: float | None = None, normalise: bool = False,
    backend: BackendLike = None, solved: SolvedDivergence | None = None,
) -> Array:
    """dS/da = f_xy - f_xx, `centred` to sum 0, (n,). B-9. F_xx / 2 has the gradient f_xx, not half
    of it, because a is both of its marginals."""
    problems = three_problems(x, a, y, b, eps, cost, backend, normalise, solved)
    return _divergence_weights(problems, tol, solved)


@as_given
def sinkhorn_divergence_of_costs_gradient_weights(
    C: CostLike, C_xx: CostLike, C_yy: CostLike, a: Weights = None, b: Weights = None,
    eps: float = REQUIRED, *, tol: float | None = None, normalise: bool = False,
    backend: BackendLike = None, solved: SolvedDivergence | None = None,
) -> Array:
    """dS/da of `sinkhorn_divergence_of_costs`, `centred` to sum 0, (n,). B-9.

    The gradients of S in the costs are plans: P in C, -Pxx / 2 in C_xx and -Pyy / 2 in C_yy. For
    the gradient in b give (C.T, C_yy, C_xx, b, a). Raises InputError where all pairs of a row are
    forbidden.
    """
    problems = problems_of_costs(C, C_xx, C_yy, a, b, eps, backend, normalise, solved)
    require_all_partners(as_cost(C), problems[0].b)
    return _divergence_weights(problems, tol, solved)


def sinkhorn_divergence_gradient_eps(
    x: Points, a: Weights = None, y: Points = REQUIRED, b: Weights = None, eps: float = REQUIRED,
    cost: CostName = "sqeuclidean", *, tol: float | None = None, normalise: bool = False,
    backend: BackendLike = None, solved: SolvedDivergence | None = None,
) -> float:
    """dS/deps = KL(P | a(x)b) - KL(Pxx | a(x)a) / 2 - KL(Pyy | b(x)b) / 2, in nats. B-9."""
    problems = three_problems(x, a, y, b, eps, cost, backend, normalise, solved)
    cross, *own = (information_of(*term)
                   for term in first_order_solutions(problems, tol, solved))
    return cross - sum(own) / 2


def _divergence_weights(problems: Problems, tol: float | None, solved: SolvedDivergence | None
                        ) -> Array:
    """dS/da = f_xy - f_xx from the three problems. Both potentials are computed as transforms of a
    column potential, because these are defined where a weight is 0 too."""
    (xy, xx, _), (cross, own, _) = problems, three(solved)
    f_xy, _ = _potentials(xy, tol, cross)
    return centred(f_xy - xx.transform(_self_potential(xx, tol, own)), xx.a)


# ------------------------------------------------------------------ semi-dual, B-24 and H-23
@as_given
@in_range
def semi_dual_gradient_points(
    g: Potential, C: CostLike, a: Weights = None, b: Weights = None, eps: float = REQUIRED, *,
    normalise: bool = False, backend: BackendLike = None
) -> Array:
    """a_i sum_j chi_ij d1 c(x_i, y_j), (n, d): the gradient of `semi_dual` in x at any g (m,).

    C is the PointCost of x and y. chi is the conditional law of y given x
    (`transforms.conditional`). H-29/30: for a batch x_i = g_theta(z_i) of uniform weights, the
    gradient in theta is the sum over i of J_i' times row i, where J_i is the Jacobian of g_theta at
    z_i. For the cost C - lam Q of B-23, with Q held fixed, use `points_gradient` of
    `semi_dual_plan(g, informative_cost(C, Q, lam), ..., normalise=normalise)`.
    """
    p = problem(as_point_cost(C), a, b, eps, backend, normalise)
    g = p.column_potential(g)
    return p.backend.plan_cost_gradient(
        as_point_cost(p.C), p.F(p.transform(g)), p.G(g), p.eps
    )


@as_given
@in_range
def semi_dual_gradient_q(
    g: Potential, C: CostLike, Q: Matrix, lam: float, a: Weights = None, b: Weights = None,
    eps: float = REQUIRED, *, normalise: bool = False, backend: BackendLike = None
) -> Array:
    """-lam a_i chi_ij, (n, m): the gradient of B-24 in the table Q (n, m), at any g (m,).

    chi (n, m) is the softmax over j of log b + (g + lam Q - C) / eps (erratum E3). Where Q is the
    dot product of z1 with a network's output D_Q(y), `dot_product_gradient` takes this result and
    gives the gradient in D_Q.
    """
    plan = semi_dual_plan(g, informative_cost(C, Q, lam), a, b, eps, normalise=normalise,
                          backend=backend)
    return -as_number(lam, "lam") * plan


# ------------------------------------------------------------------ Q, B-31
@as_given
@in_range
def q_objective_gradient(
    Q: Matrix, P: Matrix, a: Weights = None, b: Weights = None, *, normalise: bool = False
) -> Array:
    """a_i b_j exp(Q_ij) - P_ij, (n1, m): the gradient of `q_objective` in Q. B-31.

    It is 0 at Q = log(P / (a(x)b)). Q, P (n1, m); a = zeta1 (n1,), the law of the code z1; b (m,).
    """
    P = as_matrix(P, "P")
    Q = as_matrix(Q, "Q", P.shape)
    a, b = as_both_weights(a, b, P.shape, P.dtype, normalise)
    return tilted_product(Q, a, b) - P


@as_given
def dot_product_gradient(dQ: Matrix, z1: Points) -> Array:
    """dQ' z1, (m, k): the gradient in D_Q for Q_ij = z1_i . D_Q(y_j), from dQ (n, m), that in Q.

    B section 4.1. z1 (n, k): the code of each row; D_Q (m, k): the network's output at each y_j.
    """
    dQ = as_matrix(dQ, "dQ")
    z1 = as_matrix(z1, "z1")
    return dQ.T @ as_matrix(z1, "z1", (dQ.shape[0], z1.shape[1]))


# ------------------------------------------------------------------ the generator's loss, B-32
@in_range
def generator_loss(
    x1: Points, x2: Points, y: Points, P: Matrix, eta: Matrix, cost: CostName = "sqeuclidean"
) -> float:
    """<c(x', y), P> - <c(x', x''), eta> / 2 at fixed plans, in cost units. B-32.

    x1 = x' = G(z') (n, d) and x2 = x'' = G(z'') (k, d) are two generated batches; y (m, d).
    P (n, m) is the plan between x' and y, eta (n, k) that between x' and x''.
    """
    C, C_self = point_cost(x1, y, cost), point_cost(x1, x2, cost)
    return transport_cost(P, C) - transport_cost(eta, C_self) / 2


@as_given
@in_range
def generator_loss_gradient(
    x1: Points, x2: Points, y: Points, P: Matrix, eta: Matrix, cost: CostName = "sqeuclidean"
) -> tuple[Array, Array]:
    """The gradients of `generator_loss` in x' (n, d) and x'' (k, d). B-32.

    sum_j P_ij d1 c(x'_i, y_j) - sum_k eta_ik d1 c(x'_i, x''_k) / 2, and
    -sum_i eta_ik d1 c(x''_k, x'_i) / 2. At the optimal plans of x' = x'' they add up to the
    gradient of B-9.
    """
    C, C_self = point_cost(x1, y, cost), point_cost(x1, x2, cost)
    eta = as_matrix(eta, "eta", C_self.shape)
    return (
        points_gradient(P, C) - points_gradient(eta, C_self) / 2,
        -points_gradient(eta.T, C_self.T) / 2,
    )


# ------------------------------------------------------------------ MMD^2 with kernel -c, G-2
@as_given
@in_range
def mmd_squared_gradient(
    x: Points, a: Weights = None, y: Points = REQUIRED, b: Weights = None,
    cost: CostName = "sqeuclidean", *, normalise: bool = False
) -> Array:
    """The gradient of `mmd_squared` in x, (n, d): G-2 as a V-statistic.

    2 a_i (sum_j b_j d1 c(x_i, y_j) - sum_k a_k d1 c(x_i, x_k)). With "euclidean" it is the gradient
    of the energy distance.
    """
    xy, xx, a, b = _two_samples(x, a, y, b, cost, normalise)
    return 2 * a[:, None] * (_mean_gradient(xy, b) - _mean_gradient(xx, a))


@as_given
@in_range
def mmd_squared_gradient_weights(
    x: Points, a: Weights = None, y: Points = REQUIRED, b: Weights = None,
    cost: CostName = "sqeuclidean", *, normalise: bool = False
) -> Array:
    """2 C_xy b - 2 C_xx a, `centred` to sum 0, (n,): the gradient of `mmd_squared` in a. G-2."""
    xy, xx, a, b = _two_samples(x, a, y, b, cost, normalise)
    return centred(2 * (_mean_rows(xy, b) - _mean_rows(xx, a)), a)


@as_given
@in_range
def mmd_squared_unbiased_gradient(
    x: Points, a: Weights = None, y: Points = REQUIRED, b: Weights = None,
    cost: CostName = "sqeuclidean", *, normalise: bool = False
) -> Array:
    """The gradient of `mmd_squared_unbiased` in x, (n, d). G-2, erratum G8.

    2 a_i (sum_j b_j d1 c(x_i, y_j) - sum_{k != i} a_k d1 c(x_i, x_k) / q), with q = 1 - sum a^2.
    """
    xy, xx, a, b = _two_samples(x, a, y, b, cost, normalise)
    q = distinct_pairs(a, "a")
    return 2 * a[:, None] * (_mean_gradient(xy, b) - _distinct_mean_gradient(xx, a) / q)


@as_given
@in_range
def mmd_squared_unbiased_gradient_weights(
    x: Points, a: Weights = None, y: Points = REQUIRED, b: Weights = None,
    cost: CostName = "sqeuclidean", *, normalise: bool = False
) -> Array:
    """The gradient of `mmd_squared_unbiased` in a, `centred` to sum 0, (n,). G-2, erratum G8.

    2 C_xy b - 2 C_xx a / q - 2 (a'C_xx a) a / q^2, with C_xx without its diagonal. The last term
    arises because q = 1 - sum a^2 depends on a.
    """
    xy, xx, a, b = _two_samples(x, a, y, b, cost, normalise)
    q = distinct_pairs(a, "a")
    self_cost = distinct_mean_rows(xx, a) / q
    return centred(2 * (_mean_rows(xy, b) - self_cost - (a @ self_cost / q) * a), a)


# ------------------------------------------------------------------ parts
def centred(gradient: Array, a: Array) -> Array:
    """The gradient (n,) in the weights a (n,), less its mean. Because the sum of the weights is
    fixed, a gradient in them is defined up to a constant only; refot takes the one of sum 0.

    The derivative in a weight of 0 may be so large that subtracting a mean which contains it would
    cost the other derivatives their digits. Such a derivative is left out of the mean if its
    distance from the mean over the points with mass is more than FAR times the largest such
    distance of a point with mass.
    """
    xp, with_mass = namespace(gradient), gradient[a > 0]
    off = abs(gradient - with_mass.mean())
    counted = (a > 0) | (off <= FAR * off[a > 0].max())
    return gradient - xp.where(counted, gradient, 0).sum() / counted.sum()


FAR = 1e3
"""A derivative in a weight of 0 is left out of the mean in `centred` if it is this many times
farther from the mean than any derivative in a weight > 0."""


def points_at(p: Problem, f: Array, g: Array) -> Array:
    """sum_j P_ij d1 c(x_i, y_j), (n, d), for the plan P of (f, g), without forming P."""
    return p.backend.plan_cost_gradient(as_point_cost(p.C), p.F(f), p.G(g), p.eps)


def information_of(p: Problem, found: SinkhornResult) -> float:
    """KL(P | a(x)b) of a solved problem, in nats. Its digits are right even where eps is so far
    above the costs that P is nearly a(x)b and KL is tiny: there the potentials are computed anew,
    by `wide_potentials`."""
    if p.eps > WIDE * largest_cost(p):
        p = p.with_mass
        return plan_kl(p, *wide_potentials(p))
    return plan_kl(p, found.f, found.g)


def plan_kl(p: Problem, f: Array, g: Array) -> float:
    """KL(P | a(x)b) in nats of the plan P of (f, g), as sum a_i b_j (K_ij log K_ij - K_ij + 1),
    where K_ij = exp((f_i + g_j - C_ij) / eps) is the density of P. If P and a(x)b have the same
    mass, the part - K + 1 adds up to 0. It is kept, because with it no term is negative, so that
    terms do not cancel; and in unbalanced transport it belongs to KL."""
    total = 0.0
    for rows in row_blocks(p.C, depth=4):
        terms = _information((f[rows, None] + g - p.C.rows(rows)) / p.eps)
        total += float(p.a[rows] @ (terms @ p.b))
    return total


NEAR = 2.0**-5
"""The largest |z| for which z e^z - e^z + 1 is computed by its series. There it is about z^2 / 2,
and as the difference of z e^z and e^z - 1, both near z, it would lose digits."""


def _information(z: Array) -> Array:
    """z e^z - e^z + 1 = sum_k (k - 1) z^k / k!, which is K log K - K + 1 at K = e^z; 1 at z = -inf,
    where K = 0."""
    xp = namespace(z)
    near, far = xp.where(abs(z) <= NEAR, z, 0), xp.where(z > -xp.inf, z, 0)
    series = near * 0
    for k in range(9, 1, -1):  # by Horner's rule; the term of z^10 is below the rounding of the sum
        series = near * series + (k - 1) / math.factorial(k)
    exact = xp.where(z > -xp.inf, far * xp.exp(far) - xp.expm1(far), 1)
    return xp.where(abs(z) <= NEAR, near * near * series, exact)


def _potentials(p: Problem, tol: float | None, solved: SinkhornResult | None = None
                ) -> tuple[Array, Array]:
    """The optimal (f, g). f is computed as the transform g^(c,eps), which is defined where a weight
    is 0 too."""
    g = to_first_order(p, tol, solved=solved).g
    return p.transform(g), g


def _self_potential(p: Problem, tol: float | None, solved: SinkhornResult | None = None) -> Array:
    """The optimal potential f = g between a measure and itself. In a solution that the caller gave
    they may be (f + t, f - t) for some t; their mean is f."""
    found = to_first_order(p, tol, self_solution, solved)
    return (found.f + found.g) / 2


def _two_samples(
    x: Points, a: Weights, y: Points, b: Weights, cost: CostName, normalise: bool
) -> tuple[PointCost, PointCost, Array, Array]:
    """The costs c(x, y) and c(x, x), and the weights a and b, checked."""
    xy = point_cost(x, y, cost)
    a, b = as_both_weights(a, b, xy.shape, xy.dtype, normalise)
    return xy, self_costs(xy)[0], a, b


def _mean_gradient(C: PointCost, b: Array) -> Array:
    """sum_j b_j d1 c(x_i, y_j), (n, d)."""
    xp, blocks = namespace(b), row_blocks(C, depth=C.x.shape[1])
    return xp.concatenate([xp.einsum("j,ijd->id", b, C.gradient_rows(rows)) for rows in blocks])


def _distinct_mean_gradient(C: PointCost, a: Array) -> Array:
    """sum_{k != i} a_k d1 c(x_i, x_k), (n, d), for the self cost C = c(x, x)."""
    xp, blocks = namespace(a), row_blocks(C, depth=C.x.shape[1])
    return xp.concatenate(
        [xp.einsum("k,ikd->id", a, without_self_pairs(C.gradient_rows(rows), rows))
         for rows in blocks])


def _mean_rows(C: PointCost, b: Array) -> Array:
    """C b, (n,)."""
    return namespace(b).concatenate([C.rows(rows) @ b for rows in row_blocks(C)])
