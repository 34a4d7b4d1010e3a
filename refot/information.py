"""The informative regularisation of B: mutual information, its dual, Q, and the perturbed cost.

zeta = zeta1 (x) zeta2 is the latent law; `codes` (n,) says which informative code z1 each latent
sample carries, and M sums a plan over the noise z2, from (n, m) to (n1, m).
"""

from __future__ import annotations

from typing import Any

from refot.arrays import (
    Array,
    InputError,
    ShapeError,
    TypeInputError,
    as_count,
    as_matrix,
    as_number,
    as_plan,
    as_weights,
    namespace,
)
from refot.backend_contract import BackendLike
from refot.costs import Cost, DenseCost, as_cost
from refot.objectives import kl
from refot.problem import problem
from refot.sinkhorn import SinkhornResult
from refot.solvers import solve


def mutual_information(P: Any) -> float:
    """KL(P | P1 (x) P'1) >= 0 of a joint law P (n1, m), in nats. B-18, with P as proxy in B-19."""
    P = as_plan(P, "P")
    return kl(P, namespace(P).outer(P.sum(axis=1), P.sum(axis=0)))


def sum_noise(P: Any, codes: Any, n_codes: int) -> Array:
    """(M P)_kj = sum of P_ij over the samples i with code k, (n_codes, m). pi_(z1,y) of B."""
    P, n_codes = as_matrix(P, "P"), as_count(n_codes, "n_codes")
    xp = namespace(P)
    codes = xp.asarray(codes)
    if codes.dtype.kind not in "iu":
        raise TypeInputError("codes", f"dtype {codes.dtype}", "integers")
    if codes.shape != (P.shape[0],):
        raise ShapeError("codes", f"shape {codes.shape}", f"({P.shape[0]},), the rows of P")
    if int(codes.min()) < 0 or int(codes.max()) >= n_codes:
        raise InputError("codes", f"{codes.min()}..{codes.max()}", f"0..{n_codes - 1}")
    return (xp.arange(n_codes)[:, None] == codes).astype(P.dtype) @ P


def kl_dual(Q: Any, P: Any, a: Any, b: Any) -> float:
    """<Q, P> + 1 - sum a b exp(Q) <= KL(P | a(x)b), equal at Q = log(P / (a(x)b)). B-20.

    Q, P (n1, m); a = zeta1 (n1,), b (m,).
    """
    return 1.0 - q_objective(Q, P, a, b)


def q_objective(Q: Any, P: Any, a: Any, b: Any) -> float:
    """sum(-Q P + a b exp(Q)); its minimum over Q is 1 - KL(P | a(x)b). B-31.

    Q, P (n1, m); a = zeta1 (n1,), b (m,).
    """
    P = as_plan(P, "P")
    Q = as_matrix(Q, "Q", P.shape)
    a, b = as_weights(a, P.shape[0], "a"), as_weights(b, P.shape[1], "b")
    xp = namespace(P)
    return float((xp.outer(a, b) * xp.exp(Q) - Q * P).sum())


def informative_cost(C: Any, Q: Any, lam: Any) -> Cost:
    """The operand C - lam Q: B-23, and inside the transforms of B-24/25/29 (erratum E3).

    Q (n, m) is the table Q(z1_i, y_j), in nats; lam >= 0 in cost units.
    """
    C, lam = as_cost(C), as_number(lam, "lam")
    if lam < 0:
        raise InputError("lam", f"{lam}", "a number >= 0")
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
    solved = solve(p.C, p.a, p.b, p.eps, tol=tol, backend=p.backend)
    F, G = p.F(solved.f), p.G(solved.g)
    return namespace(F).exp((F[:, None] + G - p.C.dense()) / p.eps), solved
