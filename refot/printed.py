"""Equations exactly as the papers print them where that is wrong, to compare with the right ones.

Each docstring names the erratum, such as "E1", a heading of docs/errata.md. Nothing else in refot
calls these functions. B = Bréchet et al. 2019, H = Houdard et al. 2023.
"""

from __future__ import annotations

from refot.arrays import (
    Array,
    Codes,
    CostLike,
    Matrix,
    Potential,
    Weights,
    as_matrix,
    as_number,
    as_plan,
    namespace,
)
from refot.backend_contract import BackendLike
from refot.information import perturbed_objective
from refot.objectives import dual, semi_dual, semi_dual_gradient
from refot.problem import problem


def dual_printed(
    f: Potential, g: Potential, C: CostLike, a: Weights, b: Weights, eps: float,
    *, backend: BackendLike = None
) -> float:
    """B-13 as printed, without +eps: too low by exactly eps. E1."""
    return dual(f, g, C, a, b, eps, backend=backend) - float(eps)


def semi_dual_printed(
    g: Potential, C: CostLike, a: Weights, b: Weights, eps: float, *, backend: BackendLike = None
) -> float:
    """B-24 and B-27 as printed, with +eps and without Q: too high by exactly eps. E2, E3."""
    return semi_dual(g, C, a, b, eps, backend=backend) + float(eps)


def informative_plan_printed(
    g: Potential, C: CostLike, Q: Matrix, lam: float, a: Weights, b: Weights, eps: float,
    *, backend: BackendLike = None
) -> Array:
    """B-29 with B-25 as printed, (n, m): Q is in the density but not in the transform. E3.

    Row i sums to a_i times the mean of exp(lam Q_ij / eps) under chi0_i, the softmax without Q, in
    place of a_i.
    """
    p = problem(C, a, b, eps, backend)
    g = p.column_potential(g)
    Q = as_matrix(Q, "Q", p.C.shape)
    exponent = p.F(p.transform(g))[:, None] + p.G(g) + as_number(lam, "lam") * Q - p.C.dense()
    return namespace(g).exp(exponent / p.eps)


def supergradient_printed(
    g: Potential, C: CostLike, a: Weights, b: Weights, eps: float, *, backend: BackendLike = None
) -> Array:
    """H-27 as printed, with the wrong sign: -a@chi - b, which sums to -2 and is never 0. H1. chi is
    the conditional law of y given x (`transforms.conditional`)."""
    p = problem(C, a, b, eps, backend)
    return semi_dual_gradient(g, p.C, p.a, p.b, p.eps, backend=p.backend) - 2 * p.b


def perturbed_objective_printed(
    Q: Matrix, P: Matrix, C: CostLike, a: Weights, b: Weights, eps: float, lam: float, codes: Codes
) -> float:
    """B-21 as printed, without -lam: too high by exactly lam at every Q, also at the optimal one.
    E4."""
    return perturbed_objective(Q, P, C, a, b, eps, lam, codes) + as_number(lam, "lam")


def barber_agakov_printed(logits: Matrix, P: Matrix) -> float:
    """sum P log softmax_k(logits): B-22 with a plain softmax for q, too low by H(zeta1). E8.

    logits, P (n1, m). It is still a lower bound of the mutual information of P, but never reaches
    it.
    """
    P = as_plan(P, "P")
    logits = as_matrix(logits, "logits", P.shape)
    xp, shifted = namespace(P), logits - logits.max(axis=0)
    return float((P * (shifted - xp.log(xp.exp(shifted).sum(axis=0)))).sum())
