"""The objectives of transport: primal (B-10/12/16), dual (B-13/23), semi-dual (B-24/27, H-9) and KL
(B-8); and transport without regularisation, eps = 0, which is a linear programme.

All values are in cost units. "The value" F = <C,P> + eps KL(P | a(x)b) includes the KL term; the
"sharp" value s = <C,P> (G) does not. For any potentials
    dual  <=  log-form dual  <=  semi-dual  <=  F  <=  primal of any feasible plan,
with equality at the optimum. B-23 is `dual` of the cost C - lam Q (`information.informative_cost`).

Papers: B = Bréchet et al. 2019, G = Genevay, Peyré, Cuturi 2018, H = Houdard et al. 2023, L = Liu
et al.; an erratum such as "E1" is a heading of docs/errata.md.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from refot.arrays import (
    REQUIRED,
    Array,
    CostLike,
    InputError,
    Masses,
    Matrix,
    Potential,
    ShapeError,
    Weights,
    as_both_weights,
    as_masses,
    as_plan,
    as_positive,
    as_vector,
    as_weights,
    in_range,
    namespace,
    nonnegative,
    uniform,
)
from refot.backend_contract import BackendLike
from refot.costs.forbidden import finite_part, forbids, obstruction, with_partners
from refot.costs.operands import (
    Cost,
    PointCost,
    as_cost,
    as_point_cost,
    require_difference,
    row_blocks,
)
from refot.foreign import as_given
from refot.problem import problem
from refot.solvers.answers.value import semi_dual_of


# ------------------------------------------------------------------ KL and entropy
def kl(p: Masses, q: Masses) -> float:
    """KL(p | q) = sum p log(p / q) in nats, infinite where p > 0 = q; 0 log 0 = 0. B-8.

    p and q: two vectors or two matrices of one shape, >= 0.
    """
    p, q = as_masses(p, "p"), as_masses(q, "q")
    if p.shape != q.shape:
        raise ShapeError("q", f"shape {q.shape}", f"{p.shape}, that of p")
    if bool(((p > 0) & (q == 0)).any()):
        return math.inf
    return _divergence(p, q)


def kl_from_product(P: Matrix, a: Weights = None, b: Weights = None) -> float:
    """KL(P | a(x)b) = sum P_ij log(P_ij / (a_i b_j)), in nats. B-8.

    P (n, m), a (n,), b (m,), all >= 0, of any mass. Infinite where P_ij > 0 and a_i b_j = 0. It is
    right also where the product a_i b_j is too small for a float.
    """
    P = as_plan(P, "P")
    n, m = P.shape
    a, b = (uniform(k) if w is None else nonnegative(as_vector(w, k, name), name)
            for w, k, name in ((a, n, "a"), (b, m, "b")))
    if bool(((P > 0) & ~((a > 0)[:, None] & (b > 0))).any()):
        return math.inf
    return _divergence(P, a[:, None], b)


def _divergence(p: Array, *factors: Array) -> float:
    """sum p log(p / q), where q, the product of the factors, is > 0 wherever p is."""
    # log(p / q) loses no digits where p is near q. But q or p / q may leave the range of normal
    # floats; there log p - log q is used, with log q the sum of the logarithms of the factors.
    xp, mass = namespace(p), p > 0
    on_support, *parts = (xp.where(mass, x, 1) for x in (p, *factors))
    with np.errstate(over="ignore", under="ignore", divide="ignore"):
        q = math.prod(parts[1:], start=parts[0])
        ratio = on_support / q
    least = xp.finfo(p.dtype).tiny
    normal = (q >= least) & (ratio >= least) & (ratio < xp.inf)
    apart = xp.log(on_support) - sum(xp.log(x) for x in parts)
    return float((p * xp.where(normal, xp.log(xp.where(normal, ratio, 1)), apart)).sum())


@in_range
def entropy(p: Masses) -> float:
    """H(p) = -sum p log p >= 0 for weights or a plan, in nats; 0 log 0 = 0. L."""
    p = as_masses(p, "p")
    xp = namespace(p)
    return -float((p * xp.log(xp.where(p > 0, p, 1))).sum())


# ------------------------------------------------------------------ primal
def transport_cost(P: Matrix, C: CostLike) -> float:
    """s = <C, P>, the sharp value of a plan P (n, m). B-1, and W_{c,eps} of G.

    A forbidden pair, C_ij = inf, adds 0 where P_ij = 0; the result is infinite where P_ij > 0.
    """
    C = as_cost(C)
    P = as_plan(P, "P", C.shape)
    return math.inf if _uses_forbidden_pairs(P, C) else _cost_of_plan(P, C)


def _uses_forbidden_pairs(P: Array, C: Cost) -> bool:
    """Whether a plan has mass on a pair that C forbids."""
    return forbids(C) and any(bool(((P[rows] > 0) & (C.rows(rows) == math.inf)).any())
                              for rows in row_blocks(C))


@in_range
def _cost_of_plan(P: Array, C: Cost) -> float:
    """<C, P> of a plan without mass on forbidden pairs."""
    return sum(float((P[rows] * finite_part(C.rows(rows))).sum()) for rows in row_blocks(C))


def primal(
    P: Matrix, C: CostLike, a: Weights = None, b: Weights = None, eps: float = REQUIRED, *,
    normalise: bool = False
) -> float:
    """<C, P> + eps KL(P | a(x)b) for a plan P (n, m), feasible or not. B-10, B-12, B-16, H-2.

    Infinite where P has mass on a forbidden pair, or where P_ij > 0 and a_i b_j = 0.
    """
    C, eps = as_cost(C), as_positive(eps, "eps")
    P = as_plan(P, "P", C.shape)
    a, b = as_both_weights(a, b, C.shape, C.dtype, normalise)
    cost, divergence = transport_cost(P, C), kl_from_product(P, a, b)
    return math.inf if math.inf in (cost, divergence) else _regularised(cost, eps, divergence)


@in_range
def _regularised(cost: float, eps: float, divergence: float) -> float:
    """cost + eps divergence, checked to be finite."""
    return cost + eps * divergence


def entropic_primal(P: Matrix, C: CostLike, lam: float) -> float:
    """<P, C> - lam H(P) in cost units, the objective of L, for any plan P (n, m). Erratum L1.

    At the optimum it is F - lam (H(a) + H(b)). Infinite where P has mass on a forbidden pair.
    """
    lam, cost = as_positive(lam, "lam"), transport_cost(P, C)
    return math.inf if cost == math.inf else _regularised(cost, -lam, entropy(P))


# ------------------------------------------------------------------ duals
@in_range
def dual(
    f: Potential, g: Potential, C: CostLike, a: Weights = None, b: Weights = None,
    eps: float = REQUIRED, *, normalise: bool = False, backend: BackendLike = None
) -> float:
    """a.f + b.g + eps - eps sum_ij P_ij <= F, with the plan P of any f (n,), g (m,). B-13, B-23.

    The +eps is missing in the print of B-13 (erratum E1).
    """
    p = problem(C, a, b, eps, backend, normalise)
    f, g = p.row_potential(f), p.column_potential(g)
    return float(p.a @ f + p.b @ g + p.eps - p.eps * p.row_sums(f, g).sum())


@in_range
def log_dual(
    f: Potential, g: Potential, C: CostLike, a: Weights = None, b: Weights = None,
    eps: float = REQUIRED, *, normalise: bool = False, backend: BackendLike = None
) -> float:
    """a.f + b.g - eps log sum_ij P_ij: the largest `dual` of (f + t, g) over all numbers t.

    It lies between `dual` and `semi_dual`. It cannot overflow, although sum_ij P_ij may: with the
    transform h = g^(c,eps) that sum is sum_i a_i exp((f_i - h_i) / eps), and its logarithm is
    computed as a log-sum-exp.
    """
    p = problem(C, a, b, eps, backend, normalise)
    f, g = p.row_potential(f), p.column_potential(g)
    exponent = (p.F(f) - p.transform(g)) / p.eps
    shift = exponent.max()
    log_mass = shift + namespace(f).log(namespace(f).exp(exponent - shift).sum())
    return float(p.a @ f + p.b @ g - p.eps * log_mass)


@in_range
def semi_dual(
    g: Potential, C: CostLike, a: Weights = None, b: Weights = None, eps: float = REQUIRED, *,
    normalise: bool = False, backend: BackendLike = None
) -> float:
    """a.g^(c,eps) + b.g <= F for any g (m,). B-24/27 (erratum E2), H-9/20/23.

    It is concave in g, and has the same value at g + t for every number t.
    """
    p = problem(C, a, b, eps, backend, normalise)
    return semi_dual_of(p, p.column_potential(g))


@as_given
@in_range
def semi_dual_gradient(
    g: Potential, C: CostLike, a: Weights = None, b: Weights = None, eps: float = REQUIRED, *,
    normalise: bool = False, backend: BackendLike = None
) -> Array:
    """b - a @ chi, (m,): the gradient of `semi_dual`, 0 at the optimum. H-27 (sign: erratum H1).

    chi (n, m) is the conditional law of y given x (`transforms.conditional`).
    """
    p = problem(C, a, b, eps, backend, normalise)
    g = p.column_potential(g)
    return p.b - p.T.row_sums(g, p.transform(g))


# ------------------------------------------------------------------ eps = 0
def kantorovich_dual(
    f: Potential, g: Potential, C: CostLike, a: Weights = None, b: Weights = None, *,
    normalise: bool = False
) -> float:
    """a.f + b.g if f_i + g_j <= C_ij wherever a_i b_j > 0, else -infinity. B-6, H-4, H-10."""
    C = as_cost(C).dense()
    a, b = as_both_weights(a, b, C.shape, C.dtype, normalise)
    f, g = as_vector(f, C.shape[0], "f"), as_vector(g, C.shape[1], "g")
    on_support = (a[:, None] > 0) & (b > 0)
    if bool((on_support & (f[:, None] + g > C)).any()):
        return -math.inf
    return float(a @ f + b @ g)


def kantorovich_rubinstein(
    fx: Potential, fy: Potential, C: PointCost, a: Weights = None, b: Weights = None, *,
    normalise: bool = False
) -> float:
    """a.f(x) - b.f(y) if f is 1-Lipschitz for the cost on all points, else -infinity. H-6/11/13.

    fx (n,) and fy (m,) are the values of one function f, the critic of a WGAN, at the points x and
    y of C = `point_cost(x, y, cost)`. For a cost that is a metric ("euclidean", "l1") the maximum
    over f is W0. Raises UnknownNameError unless c(x, y) is a function of x - y: for "dot", for
    example, c(x, x) < 0, so that no f is 1-Lipschitz.
    """
    C = as_point_cost(C)
    n, m = C.shape
    require_difference(C)
    fx, fy = as_vector(fx, n, "fx"), as_vector(fy, m, "fy")
    a, b = as_both_weights(a, b, C.shape, C.dtype, normalise)
    xp = namespace(fx)
    values, points = xp.concatenate([fx, fy]), xp.concatenate([C.x, C.y])
    everywhere = replace(C, x=points, y=points)
    for rows in row_blocks(everywhere):
        if bool((values[rows, None] - values > everywhere.rows(rows)).any()):
            return -math.inf
    return float(a @ fx - b @ fy)


@as_given
def kantorovich(
    C: CostLike, a: Weights = None, b: Weights = None, *, normalise: bool = False
) -> tuple[float, Array]:
    """(W0, an optimal plan (n, m)) of the linear programme B-1/2, H-1, G-3, by SciPy's HiGHS.

    It is for small problems: the programme has n m variables. The marginals of the plan are a and b
    up to about 1e-10. (`refot.exact` also solves large problems, and proves an interval.) Raises
    InputError where no plan avoids the forbidden pairs.

    HiGHS gets the costs scaled to [0, 1], and takes a plan for optimal when no reduced cost, C_ij
    less the dual potentials of i and j, is below -1e-10. If one cost is huge, all the others are so
    small after scaling that this test cannot tell them apart. So if the range of the costs of the
    pairs that the plan uses is far smaller than that of all costs (FAR_BELOW), the programme is
    solved again with only the pairs that cost no more than the dearest of the used ones. Then the
    pairs left out whose reduced cost is negative are added and it is solved again, until there are
    none.
    """
    cost = as_cost(C)
    a = as_weights(a, cost.shape[0], "a", np.float64, normalise=normalise)
    b = as_weights(b, cost.shape[1], "b", np.float64, normalise=normalise)
    C = with_partners(cost, a, b).dense()
    a, b = a / a.sum(), b / b.sum()
    allowed = (a > 0)[:, None] & (b > 0) & (np.inf > C)
    found = _programme(C, allowed, a, b)
    if found is None:
        raise InputError("C", obstruction(cost, a, b) or "no plan within 1e-10 of the marginals",
                         "allowed pairs that can carry all the mass")
    paid = C[found[0] > DUST]
    if np.ptp(paid) < FAR_BELOW * np.ptp(C[allowed]):
        pairs = allowed & (paid.max() >= C)
        while (nearer := _programme(C, pairs, a, b)) is not None:
            found = nearer
            saving = allowed & ~pairs & (found[1] < -EXACT)
            if not saving.any():
                break
            pairs |= saving
    return transport_cost(found[0], C), found[0]


EXACT = 1e-10
"""The tolerance of HiGHS: for a marginal, and for a reduced cost in units of the range of costs."""

DUST = 10 * EXACT
"""An entry of the plan with at most this mass may come from the tolerance of HiGHS alone: its pair
is taken as unused."""

FAR_BELOW = 1e-3
"""If the range of the costs of a plan's pairs is less than this share of the range of all costs,
the programme is solved again with only the pairs that cost no more than these."""

INFEASIBLE = 2
"""The status that SciPy's `linprog` returns where no plan satisfies the constraints."""


def _programme(C: Array, pairs: Array, a: Array, b: Array) -> tuple[Array, Array] | None:
    """(an optimal plan with mass on the given pairs only, its reduced costs), both (n, m).

    The reduced costs are C_ij - f_i - g_j with the dual solution (f, g), divided by the range of
    the costs of the given pairs. The result is None if no plan uses these pairs alone.
    """
    from scipy.optimize import linprog  # 0.2 s to import: only where it is used
    from scipy.sparse import kron, vstack

    n, m = C.shape
    sums = vstack([kron(np.eye(n), np.ones((1, m))), kron(np.ones((1, n)), np.eye(m))]).tocsc()
    costs = C[pairs]
    least, spread = float(costs.min()), float(np.ptp(costs)) or 1.0
    exact = {"primal_feasibility_tolerance": EXACT, "dual_feasibility_tolerance": EXACT}
    found = linprog(  # the last constraint follows from the others, as both masses are 1
        (costs - least) / spread, A_eq=sums[:, pairs.ravel()].tocsr()[:-1],
        b_eq=np.concatenate([a, b])[:-1], method="highs", options=exact)
    if found.status == INFEASIBLE:
        return None
    if found.status != 0:
        raise ArithmeticError(f"HiGHS did not solve the transport problem: {found.message}")
    P = np.zeros(C.shape)
    P[pairs] = np.maximum(found.x, 0)  # HiGHS takes an entry for >= 0 that is above -EXACT
    dual = found.eqlin.marginals
    return P, (C - least) / spread - np.add.outer(dual[:n], np.append(dual[n:], 0))
