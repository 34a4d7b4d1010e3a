"""The informative regularisation of B, which rewards a plan for the mutual information of code and
data: that information (B-18), lower bounds of it (B-20, B-22), the objectives that contain it
(B-19, B-21), and the objective of the table Q (B-31) that estimates it.

A latent sample z = (z1, z2) consists of an informative code z1 and of noise z2; the law of z is
zeta = zeta1 (x) zeta2. `codes` (n,) says which of the n1 codes each of the n samples has. The
matrix M (n1, n) adds the rows of equal code, and so sums a plan over the noise: from P (n, m) it
makes M P (n1, m), the joint law of z1 and y; zeta1 = M a. A table Q (n1, m) has a number for each
code and each y_j. Looked up for each sample it is M'Q = Q[codes], (n, m), and <M'Q, P> = <Q, MP>.
`informative_plans` finds the plan that minimises B-19.

B = Bréchet et al. 2019; an erratum such as "E8" is a heading of docs/errata.md.
"""

from __future__ import annotations

import math

import numpy as np

from refot.arrays import (
    REQUIRED,
    Array,
    Codes,
    CostLike,
    InputError,
    Matrix,
    Points,
    ShapeError,
    TypeInputError,
    WeightError,
    Weights,
    as_both_weights,
    as_count,
    as_matrix,
    as_number,
    as_plan,
    as_weights,
    in_range,
    is_masked,
    marginal_tolerance,
    namespace,
    weight_tolerance,
)
from refot.backend_contract import BackendLike
from refot.costs.named import CostName
from refot.costs.operands import Cost, DenseCost, as_cost, point_cost
from refot.foreign import as_given
from refot.objectives import kl_from_product, primal
from refot.problem import problem
from refot.solvers import solve_problem
from refot.solvers.answers.value import semi_dual_of
from refot.solvers.loop import SinkhornResult
from refot.solvers.memory import gibbs_matrix
from refot.solvers.symmetric import solve_symmetric_problem

MOST_CODES = 1 << 16
"""The largest number of codes that is accepted. A table Q has a row for each code from 0 up to the
largest one in use, so that one wrong code could ask for any amount of memory."""


# ------------------------------------------------------------------ the informative code of a plan
@in_range
def mutual_information(P: Matrix) -> float:
    """KL(P | P1 (x) P'1) >= 0 of a joint law P (n1, m), in nats. B-18; in B-19 it is that of M P.

    Raises WeightError unless the mass of P is 1, up to the marginal error that a solve leaves
    (1e-9, in float32 1e-5). Of counts, for example, the KL is not their mutual information.
    """
    P = as_plan(P, "P")
    mass, tolerance = float(P.sum(dtype=np.float64)), marginal_tolerance(P.dtype)
    if not abs(mass - 1) <= tolerance:
        raise WeightError("P", f"mass {mass!r}", f"a joint law, of mass 1 within {tolerance:g}")
    return kl_from_product(P, P.sum(axis=1), P.sum(axis=0))


def as_codes(codes: Codes, like: Array) -> Array:
    """The codes (n,), integers >= 0, one for each row of `like`. Raises InputError."""
    if is_masked(codes):
        raise InputError("codes", "masked entries", "a code for each row: codes.filled(code)")
    try:
        codes = namespace(like).asarray(codes)
    except (ValueError, TypeError, OverflowError) as error:
        raise TypeInputError("codes", f"not an array ({error})", "a list of integers") from None
    if codes.dtype.kind not in "iu":
        raise TypeInputError("codes", f"dtype {codes.dtype}", "integers")
    if codes.shape != like.shape[:1]:
        raise ShapeError("codes", f"shape {codes.shape}", f"({like.shape[0]},), one for each row")
    if int(codes.min()) < 0:
        raise InputError("codes", f"{codes.min()}", "integers >= 0")
    if int(codes.max()) >= MOST_CODES:
        raise InputError("codes", f"{codes.max()}",
                         f"integers < {MOST_CODES}: each is a row of the table Q")
    return codes


def as_lam(lam: float) -> float:
    """lam >= 0 in cost units, checked. Raises InputError.

    In B it is the weight of the mutual information; in Houdard et al. 2023 that of the entropy.
    """
    weight = as_number(lam, "lam")
    if weight < 0:
        raise InputError("lam", f"{weight}", "a number >= 0")
    return weight


@as_given
@in_range
def sum_noise(P: Matrix, codes: Codes, n_codes: int) -> Array:
    """(M P)_kj = sum of P_ij over the samples i with code k, (n_codes, m): pi_(z1,y) in B."""
    P, n_codes = as_matrix(P, "P"), as_count(n_codes, "n_codes")
    if n_codes > MOST_CODES:
        raise InputError("n_codes", f"{n_codes}", f"at most {MOST_CODES}")
    codes = as_codes(codes, P)
    if int(codes.max()) >= n_codes:
        raise InputError("codes", f"{codes.min()}..{codes.max()}", f"0..{n_codes - 1}")
    return (namespace(P).arange(n_codes)[:, None] == codes).astype(P.dtype) @ P


def code_weights(a: Weights, codes: Codes, n_codes: int) -> Array:
    """zeta1 = M a, (n_codes,): the law of z1, from the weights a (n,) of the latent samples."""
    a = as_weights(a, None, "a")
    return sum_noise(a[:, None], codes, n_codes)[:, 0]


# ------------------------------------------------------------------ the dual of KL, B-20 and B-31
@in_range
def kl_dual(
    Q: Matrix, P: Matrix, a: Weights = None, b: Weights = None, *, normalise: bool = False
) -> float:
    """<Q, P> + 1 - sum a b exp(Q) <= KL(P | a(x)b), equal at Q = log(P / (a(x)b)). B-20.

    Q, P (n1, m); a = zeta1 (n1,), b (m,).
    """
    return 1.0 - q_objective(Q, P, a, b, normalise=normalise)


@in_range
def q_objective(
    Q: Matrix, P: Matrix, a: Weights = None, b: Weights = None, *, normalise: bool = False
) -> float:
    """sum(-Q P + a b exp(Q)); its minimum over Q is 1 - KL(P | a(x)b). B-31.

    Q, P (n1, m); a = zeta1 (n1,), b (m,).
    """
    P = as_plan(P, "P")
    Q = as_matrix(Q, "Q", P.shape)
    a, b = as_both_weights(a, b, P.shape, P.dtype, normalise)
    return float((tilted_product(Q, a, b) - Q * P).sum())


def tilted_product(Q: Array, a: Array, b: Array) -> Array:
    """a_i b_j exp(Q_ij), (n1, m), and 0 where a weight is 0.

    Computed as (a exp(Q/2)) (b exp(Q/2)), because exp(Q) alone may overflow where the product does
    not.
    """
    xp = namespace(Q)
    mass = (a > 0)[:, None] & (b > 0)
    root = xp.exp(xp.where(mass, Q, 0) / 2)
    return xp.where(mass, (a[:, None] * root) * (b * root), 0)


def optimal_q(P: Matrix, a: Weights, b: Weights) -> Array:
    """Q* = log(P / (a(x)b)), (n1, m), in nats: the Q where B-20 is largest and B-31 smallest.

    P (n1, m) is a plan summed over the noise; a = zeta1 (n1,), b (m,). Where P_kj = 0, the exact Q*
    is -infinity. There P_kj is replaced by the least normal float (its log is -708 in float64), so
    that lam Q stays finite. Where a_k b_j = 0 any Q is optimal, and 0 is returned.
    """
    P = as_plan(P, "P")
    a, b = as_both_weights(a, b, P.shape, P.dtype)
    xp = namespace(P)
    mass, least = (a > 0)[:, None] & (b > 0), xp.finfo(P.dtype).tiny
    # The two logs are subtracted one by one, because the product a_k b_j may underflow.
    log_a, log_b = (xp.log(xp.where(w > 0, w, 1)) for w in (a, b))
    return xp.where(mass, xp.log(xp.maximum(P, least)) - log_a[:, None] - log_b, 0)


# ------------------------------------------------------------------ Barber and Agakov's bound, B-22
def barber_agakov(q: Matrix, P: Matrix, a: Weights) -> float:
    """sum_kj P_kj log q(k | j) <= KL(P | a(x)b), in nats; -infinity if some q_kj = 0 < P_kj. B-22.

    q (n1, m) holds for each y_j a density of z1 **with respect to a = zeta1** (n1,), that is
    sum_k a_k q_kj = 1 (erratum E8); else WeightError is raised. P (n1, m) is a plan summed over the
    noise. The bound is `kl_dual` at Q = log q, because sum a b q = 1. It equals the mutual
    information of P at q = `posterior_density(P)`.
    """
    P = as_plan(P, "P")
    q, a = as_plan(q, "q", P.shape), as_weights(a, P.shape[0], "a", P.dtype)
    worst = float(abs(a @ q - 1).max())
    if not worst <= weight_tolerance(q.dtype):
        raise WeightError("q", f"sum_k a_k q_kj up to {worst:.3g} from 1",
                          "densities of z1 with respect to a = zeta1: each sum 1 (erratum E8)")
    if bool(((P > 0) & (q == 0)).any()):
        return -math.inf
    xp = namespace(P)
    return float((P * xp.log(xp.where(P > 0, q, 1))).sum())


def softmax_density(logits: Matrix, a: Weights) -> Array:
    """q = softmax_k(logits) / zeta1, (n1, m): the densities that B-22 takes, from a network's
    output (erratum E8).

    A column of logits (n1, m) belongs to one y_j, a row to one code. a = zeta1 (n1,) is positive.
    """
    logits = as_matrix(logits, "logits")
    a = as_weights(a, logits.shape[0], "a", logits.dtype)
    if not bool((a > 0).all()):
        raise WeightError("a", "a code without mass", "weights > 0: z1 has a density there")
    p = namespace(logits).exp(logits - logits.max(axis=0))
    return p / p.sum(axis=0) / a[:, None]


def posterior_density(P: Matrix) -> Array:
    """q(k | j) = P_kj / ((P1)_k (P'1)_j), (n1, m): the density for which B-22 is an equality.

    P (n1, m) is the joint law of z1 and y. Where a row or a column of P has no mass, q is 1.
    """
    P = as_plan(P, "P")
    xp = namespace(P)
    rows, columns = P.sum(axis=1)[:, None], P.sum(axis=0)
    mass = (rows > 0) & (columns > 0)
    # P is divided by one sum after the other, because the product of both may underflow.
    return xp.where(mass, P / xp.where(mass, rows, 1) / xp.where(mass, columns, 1), 1)


# ------------------------------------------------------------------ the objectives, B-19 and B-21
def informative_objective(
    P: Matrix, C: CostLike, a: Weights, b: Weights, eps: float, lam: float, codes: Codes
) -> float:
    """<C,P> + eps KL(P | a(x)b) - lam KL(M P | zeta1 (x) b), in cost units: B-19 without F_xx / 2.

    P (n, m); C (n, m), an array, a `PointCost` or a `DenseCost`; a (n,), b (m,); lam >= 0 in cost
    units; codes (n,). The term -F_xx / 2 of B-19, in which F_xx is the value F (B-10) between the
    generated points and themselves, does not depend on P; `informative_loss` has it.
    """
    P = as_plan(P, "P")
    codes = as_codes(codes, P)
    n_codes = int(codes.max()) + 1
    joint, zeta1 = sum_noise(P, codes, n_codes), code_weights(a, codes, n_codes)
    b = as_weights(b, P.shape[1], "b", P.dtype)
    information = as_lam(lam) * kl_from_product(joint, zeta1, b)
    return primal(P, C, a, b, eps) - information


def perturbed_objective(
    Q: Matrix, P: Matrix, C: CostLike, a: Weights, b: Weights, eps: float, lam: float, codes: Codes
) -> float:
    """<C - lam M'Q, P> + eps KL(P | a(x)b) - lam + lam sum zeta1 b exp(Q): B-21 without F_xx / 2.

    It is >= `informative_objective`, with equality at Q = `optimal_q`, because it has the lower
    bound `kl_dual` in place of the mutual information. The paper prints it without the -lam
    (erratum E4). Q (n1, m); the other arguments are those of `informative_objective`.
    """
    Q = as_matrix(Q, "Q")
    joint, zeta1 = sum_noise(P, codes, Q.shape[0]), code_weights(a, codes, Q.shape[0])
    information = as_lam(lam) * kl_dual(Q, joint, zeta1, b)
    return primal(P, C, a, b, eps) - information


@in_range
def informative_loss(
    x: Points, a: Weights, y: Points, b: Weights, P: Matrix, eps: float, lam: float, codes: Codes,
    cost: CostName = "sqeuclidean", *, tol: float | None = None, backend: BackendLike = None,
) -> float:
    """`informative_objective` - F_xx / 2, in cost units: all of B-19, the loss of the generator.

    x = G(z) (n, d) are the generated points; a (n,), y (m, d), b (m,); P (n, m); eps and lam in
    cost units; codes (n,). `cost` is what `point_cost` takes.
    """
    C, xx = point_cost(x, y, cost), problem(point_cost(x, x, cost), a, a, eps, backend)
    self_term = semi_dual_of(xx, solve_symmetric_problem(xx, tol=tol).f)
    return informative_objective(P, C, a, b, eps, lam, codes) - self_term / 2


# ------------------------------------------------------------------ the perturbed cost, B-23
def informative_cost(C: CostLike, Q: Matrix, lam: float) -> Cost:
    """The matrix C - lam Q as a `DenseCost`: the cost of B-23, and of the transforms in B-24/25/29
    (erratum E3).

    Row i of Q (n, m) is the row of the table for the code of sample i, that is M'Q in the terms of
    this file, in nats; lam >= 0 is in cost units.
    """
    C, lam = as_cost(C), as_lam(lam)
    return DenseCost(C.dense() - lam * as_matrix(Q, "Q", C.shape))


@as_given
def informative_plan(
    C: CostLike,
    Q: Matrix,
    lam: float,
    a: Weights = None,
    b: Weights = None,
    eps: float = REQUIRED,
    *,
    tol: float | None = None,
    normalise: bool = False,
    backend: BackendLike = None,
) -> tuple[Array, SinkhornResult]:
    """(the optimal plan (n, m) for the cost C - lam Q, its solution). B-21 at fixed Q, B-29.

    Q (n, m) in nats, one row for each sample; lam and eps in cost units.
    """
    p = problem(informative_cost(C, Q, lam), a, b, eps, backend, normalise)
    solved = solve_problem(p, tol=tol)
    return gibbs_matrix(p.C, p.F(solved.f), p.G(solved.g), p.eps), solved
