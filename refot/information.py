"""The informative regularisation of B: MI (B-18), its bounds (B-20, B-22), Q (B-31), B-19 and B-21.

zeta = zeta1 (x) zeta2 is the latent law; `codes` (n,) says which informative code z1 each latent
sample carries, and M sums a plan over the noise z2, from (n, m) to (n1, m). So zeta1 = M a, a table
Q (n1, m) of z1 and y has the table M'Q = Q[codes] (n, m) of z and y, and <M'Q, P> = <Q, MP>.
`informative_plans` finds the plan that minimises B-19.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refot.arrays import (
    Array,
    InputError,
    ShapeError,
    TypeInputError,
    WeightError,
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
from refot.costs.operands import Cost, DenseCost, as_cost, point_cost
from refot.objectives import kl_from_product, primal, semi_dual_of
from refot.problem import problem
from refot.solvers import solve_problem
from refot.solvers.loop import SinkhornResult
from refot.solvers.memory import gibbs_matrix
from refot.solvers.sinkhorn import solve_symmetric_problem

MOST_CODES = 1 << 16
"""More codes than this are refused: a table Q has a row for each, drawn or not."""


# ------------------------------------------------------------------ the informative code of a plan
@in_range
def mutual_information(P: Any) -> float:
    """KL(P | P1 (x) P'1) >= 0 of a joint law P (n1, m), in nats. B-18, with P as proxy in B-19.

    The mass of P is 1, up to the marginal error that a solve leaves (1e-9, in float32 1e-5), or
    WeightError: counts are no law, and their KL is another number.
    """
    P = as_plan(P, "P")
    mass, tolerance = float(P.sum(dtype=np.float64)), marginal_tolerance(P.dtype)
    if not abs(mass - 1) <= tolerance:
        raise WeightError("P", f"mass {mass!r}", f"a joint law, of mass 1 within {tolerance:g}")
    return kl_from_product(P, P.sum(axis=1), P.sum(axis=0))


def as_codes(codes: Any, like: Array) -> Array:
    """The code of each sample, (n,) integers >= 0 beside the rows of `like`. Raises InputError."""
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


def as_lam(lam: Any) -> float:
    """The weight of the information, >= 0, in cost units. Raises InputError."""
    weight = as_number(lam, "lam")
    if weight < 0:
        raise InputError("lam", f"{weight}", "a number >= 0")
    return weight


@in_range
def sum_noise(P: Any, codes: Any, n_codes: int) -> Array:
    """(M P)_kj = sum of P_ij over the samples i with code k, (n_codes, m). pi_(z1,y) of B."""
    P, n_codes = as_matrix(P, "P"), as_count(n_codes, "n_codes")
    if n_codes > MOST_CODES:
        raise InputError("n_codes", f"{n_codes}", f"at most {MOST_CODES}")
    codes = as_codes(codes, P)
    if int(codes.max()) >= n_codes:
        raise InputError("codes", f"{codes.min()}..{codes.max()}", f"0..{n_codes - 1}")
    return (namespace(P).arange(n_codes)[:, None] == codes).astype(P.dtype) @ P


def code_weights(a: Any, codes: Any, n_codes: int) -> Array:
    """zeta1 = M a, (n_codes,): the law of z1, from the weights a (n,) of the latent samples."""
    a = as_weights(a, None, "a")
    return sum_noise(a[:, None], codes, n_codes)[:, 0]


# ------------------------------------------------------------------ the dual of KL, B-20 and B-31
@in_range
def kl_dual(Q: Any, P: Any, a: Any, b: Any) -> float:
    """<Q, P> + 1 - sum a b exp(Q) <= KL(P | a(x)b), equal at Q = log(P / (a(x)b)). B-20.

    Q, P (n1, m); a = zeta1 (n1,), b (m,).
    """
    return 1.0 - q_objective(Q, P, a, b)


@in_range
def q_objective(Q: Any, P: Any, a: Any, b: Any) -> float:
    """sum(-Q P + a b exp(Q)); its minimum over Q is 1 - KL(P | a(x)b). B-31.

    Q, P (n1, m); a = zeta1 (n1,), b (m,).
    """
    P = as_plan(P, "P")
    Q = as_matrix(Q, "Q", P.shape)
    a, b = as_weights(a, P.shape[0], "a", P.dtype), as_weights(b, P.shape[1], "b", P.dtype)
    return float((tilted_product(Q, a, b) - Q * P).sum())


def tilted_product(Q: Array, a: Array, b: Array) -> Array:
    """a_i b_j exp(Q_ij), (n1, m), 0 where a weight is 0: (a exp(Q/2)) (b exp(Q/2)), so that exp(Q)
    may leave the range of floats where the product does not."""
    xp = namespace(Q)
    mass = (a > 0)[:, None] & (b > 0)
    root = xp.exp(xp.where(mass, Q, 0) / 2)
    return xp.where(mass, (a[:, None] * root) * (b * root), 0)


def optimal_q(P: Any, a: Any, b: Any) -> Array:
    """Q* = log(P / (a(x)b)), (n1, m): where B-20 is largest and B-31 smallest, in nats.

    P (n1, m) = M P; a = zeta1 (n1,), b (m,). An entry P_kj = 0 has Q* = -infinity: it is taken as
    the least normal number (log -708 in float64), so that lam Q stays finite. Where a_k b_j = 0
    any Q is optimal, and it is 0.
    """
    P = as_plan(P, "P")
    a, b = as_weights(a, P.shape[0], "a", P.dtype), as_weights(b, P.shape[1], "b", P.dtype)
    xp = namespace(P)
    mass, least = (a > 0)[:, None] & (b > 0), xp.finfo(P.dtype).tiny
    log_a, log_b = (xp.log(xp.where(w > 0, w, 1)) for w in (a, b))  # a_k b_j may underflow
    return xp.where(mass, xp.log(xp.maximum(P, least)) - log_a[:, None] - log_b, 0)


# ------------------------------------------------------------------ Barber and Agakov's bound, B-22
def barber_agakov(q: Any, P: Any, a: Any) -> float:
    """sum_kj P_kj log q(k | j) <= KL(P | a(x)b), in nats: -infinity where q = 0 < P. B-22.

    q (n1, m): for each y_j a density of z1 **with respect to a = zeta1** (n1,), sum_k a_k q_kj = 1
    (erratum E8), or WeightError. P (n1, m) = M P. It is `kl_dual` at Q = log q, because
    sum a b q = 1; equal to the mutual information of P at its `posterior_density`.
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


def softmax_density(logits: Any, a: Any) -> Array:
    """q = softmax_k(logits) / zeta1, (n1, m): log q = log softmax - log zeta1. B-22, erratum E8.

    logits (n1, m) of z1 for each y_j; a = zeta1 (n1,), positive.
    """
    logits = as_matrix(logits, "logits")
    a = as_weights(a, logits.shape[0], "a", logits.dtype)
    if not bool((a > 0).all()):
        raise WeightError("a", "a code without mass", "weights > 0: z1 has a density there")
    p = namespace(logits).exp(logits - logits.max(axis=0))
    return p / p.sum(axis=0) / a[:, None]


def posterior_density(P: Any) -> Array:
    """q(k | j) = P_kj / ((P1)_k (P'1)_j), (n1, m): B-22 is tight there. 1 where there is no mass.

    P (n1, m): the joint law of z1 and y.
    """
    P = as_plan(P, "P")
    xp = namespace(P)
    rows, columns = P.sum(axis=1)[:, None], P.sum(axis=0)
    mass = (rows > 0) & (columns > 0)  # whose product may underflow
    return xp.where(mass, P / xp.where(mass, rows, 1) / xp.where(mass, columns, 1), 1)


# ------------------------------------------------------------------ the objectives, B-19 and B-21
def informative_objective(
    P: Any, C: Any, a: Any, b: Any, eps: Any, lam: Any, codes: Any
) -> float:
    """<C,P> + eps KL(P | a(x)b) - lam KL(M P | zeta1 (x) b), in cost units. B-19, what P moves.

    P (n, m); C (n, m) or an operand; a (n,), b (m,); lam >= 0 in cost units; codes (n,). The term
    -F_xx / 2 of the generator does not depend on P: it is in `informative_loss`.
    """
    P = as_plan(P, "P")
    codes = as_codes(codes, P)
    n_codes = int(codes.max()) + 1
    joint, zeta1 = sum_noise(P, codes, n_codes), code_weights(a, codes, n_codes)
    b = as_weights(b, P.shape[1], "b", P.dtype)
    information = as_lam(lam) * kl_from_product(joint, zeta1, b)
    return primal(P, C, a, b, eps) - information


def perturbed_objective(
    Q: Any, P: Any, C: Any, a: Any, b: Any, eps: Any, lam: Any, codes: Any
) -> float:
    """<C - lam M'Q, P> + eps KL(P | a(x)b) - lam + lam sum zeta1 b exp(Q). B-21, what P, Q move.

    >= `informative_objective`, equal at Q = `optimal_q`; with -lam, which the print lacks (E4).
    Q (n1, m); the rest as there.
    """
    Q = as_matrix(Q, "Q")
    joint, zeta1 = sum_noise(P, codes, Q.shape[0]), code_weights(a, codes, Q.shape[0])
    information = as_lam(lam) * kl_dual(Q, joint, zeta1, b)
    return primal(P, C, a, b, eps) - information


@in_range
def informative_loss(
    x: Any, a: Any, y: Any, b: Any, P: Any, eps: Any, lam: Any, codes: Any,
    cost: str = "sqeuclidean", *, tol: float | None = None, backend: BackendLike = None,
) -> float:
    """`informative_objective` - F_xx / 2, in cost units: the whole of B-19, which G minimises.

    x = G(z) (n, d), a (n,), y (m, d), b (m,); P (n, m); `cost` a name of POINT_COSTS.
    """
    C, xx = point_cost(x, y, cost), problem(point_cost(x, x, cost), a, a, eps, backend)
    self_term = semi_dual_of(xx, solve_symmetric_problem(xx, tol=tol).f)
    return informative_objective(P, C, a, b, eps, lam, codes) - self_term / 2


# ------------------------------------------------------------------ the perturbed cost, B-23
def informative_cost(C: Any, Q: Any, lam: Any) -> Cost:
    """The operand C - lam Q: B-23, and inside the transforms of B-24/25/29 (erratum E3).

    Q (n, m) is the table Q(z1_i, y_j), in nats; lam >= 0 in cost units.
    """
    C, lam = as_cost(C), as_lam(lam)
    return DenseCost(C.dense() - lam * as_matrix(Q, "Q", C.shape))


def informative_plan(
    C: Any,
    Q: Any,
    lam: Any,
    a: Any,
    b: Any,
    eps: Any,
    *,
    tol: float | None = None,
    backend: BackendLike = None,
) -> tuple[Array, SinkhornResult]:
    """The plan (n, m) of the cost C - lam Q and the solve it comes from. B-21 at fixed Q, B-29."""
    p = problem(informative_cost(C, Q, lam), a, b, eps, backend)
    solved = solve_problem(p, tol=tol)
    return gibbs_matrix(p.C, p.F(solved.f), p.G(solved.g), p.eps), solved
