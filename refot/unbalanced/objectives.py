"""The primal and dual objectives of unbalanced transport, at any plan and any potentials: U-1, U-2,
U-5, U-6.

U = min over P >= 0 of <C,P> + eps KL(P | a(x)b) + D1(P1 | a) + D2(P'1 | b), in cost units, where
KL(p | q) = sum (p log(p / q) - p + q), since masses may differ. D1 is rho1 KL, rho1 TV (the L1
distance), or "exact", which is rho1 = infinity; so is D2 with rho2. m_a, m_b and m(P) are the
totals of a, b and P. For all potentials f, g and every plan P >= 0

    unbalanced_dual(f, g)  <=  U  <=  unbalanced_primal(P).

U-1 and the other equations are in docs/equations.md (liero2018optimal, chizat2018scaling,
sejourne2022faster in docs/references.bib).
"""

from __future__ import annotations

import numpy as np

from refot.arrays import (
    REQUIRED,
    Array,
    CostLike,
    InputError,
    Matrix,
    Potential,
    Weights,
    as_plan,
    in_range,
)
from refot.backend_contract import BackendLike
from refot.costs.operands import as_eps
from refot.foreign import as_given
from refot.objectives import kl, kl_from_product, transport_cost
from refot.penalties import Exact
from refot.solvers.gap import CertifiedGap
from refot.solvers.memory import gibbs_matrix
from refot.solvers.unbalanced.gap import gap_of_exact, unbalanced_gap
from refot.unbalanced_problem import UnbalancedProblem, checked, unbalanced_problem


def unbalanced_primal(
    P: Matrix, C: CostLike, a: Weights = None, b: Weights = None, eps: float = REQUIRED,
    rho: object = REQUIRED, penalty: str = "kl"
) -> float:
    """<C,P> + eps KL(P | a(x)b) + D1(P1 | a) + D2(P'1 | b) for a plan P (n, m) >= 0. U-1.

    C (n, m), an array, a `PointCost` or a `DenseCost`; masses a (n,), b (m,) of any total; eps and
    rho in cost units, rho a number or a pair, inf for an exact marginal. Infinite where P_ij > 0
    and a_i b_j = 0, on a forbidden pair, and where an exact marginal is missed by more than 1e-8 of
    its mass.
    """
    C, a, b, rows, columns = checked(C, a, b, rho, penalty)
    P, eps = as_plan(P, "P", C.shape), as_eps(eps, C)
    more_mass = float(a.sum()) * float(b.sum()) - float(P.sum())  # the terms - p + q of KL
    return (transport_cost(P, C) + eps * (kl_from_product(P, a, b) + more_mass)
            + rows.cost(P.sum(axis=1), a) + columns.cost(P.sum(axis=0), b))


@in_range
def unbalanced_dual(
    f: Potential, g: Potential, C: CostLike, a: Weights = None, b: Weights = None,
    eps: float = REQUIRED, rho: object = REQUIRED, penalty: str = "kl", *,
    backend: BackendLike = None
) -> float:
    """-rho1 sum a (exp(-f/rho1) - 1) - rho2 sum b (exp(-g/rho2) - 1) - eps (m(P) - m_a m_b). U-2.

    It is <= U for any f (n,), g (m,); m(P) is the mass of their plan. With TV the first term is
    sum a min(f, rho1), or -infinity if some f_i < -rho1; for an exact marginal it is a.f. The
    second is the same with b and g. Raises RangeError where the dual is -infinity, or below the
    range of floats.
    """
    p = unbalanced_problem(C, a, b, eps, rho, penalty, backend)
    f, g = p.row_potential(f), p.column_potential(g)
    return p.dual(f, g, float(p.row_sums(f, g).sum()))


def unbalanced_shift(
    f: Potential, g: Potential, C: CostLike, a: Weights = None, b: Weights = None,
    eps: float = REQUIRED, rho: object = REQUIRED, penalty: str = "kl", *,
    backend: BackendLike = None
) -> float:
    """The t for which the dual of (f + t, g - t) is largest. U-5.

    With KL t = rho1 rho2 / (rho1 + rho2) log(<a, exp(-f / rho1)> / <b, exp(-g / rho2)>). Then the
    row sums and the column sums that f + t and g - t ask for (U-4) have the same total. If both
    marginals are exact, the dual is the same for every t, and 0 is returned.
    """
    p = unbalanced_problem(C, a, b, eps, rho, penalty, backend)
    return p.shift(p.row_potential(f), p.column_potential(g))


@in_range
def unbalanced_multiple(
    P: Matrix, C: CostLike, a: Weights = None, b: Weights = None, eps: float = REQUIRED,
    rho: object = REQUIRED
) -> float:
    """The number s for which the primal of s P is smallest, with KL and both rho finite. U-6.

    s = exp(-E / ((rho1 + rho2 + eps) m(P))), with E = <C,P> + eps <P, log(P / (a(x)b))> +
    rho1 <P1, log(P1 / a)> + rho2 <P'1, log(P'1 / b)>. P (n, m) of mass > 0.
    """
    C, a, b, rows, columns = checked(C, a, b, rho, "kl")
    if isinstance(rows, Exact) or isinstance(columns, Exact):
        raise InputError("rho", "inf", "a finite rho on both sides: a multiple of a plan misses an "
                         "exact marginal")
    P, eps = as_plan(P, "P", C.shape), as_eps(eps, C)
    mass = float(P.sum())
    if not mass > 0:
        raise InputError("P", "a mass of 0", "a plan with mass: all multiples of this one are 0")
    E = (transport_cost(P, C) + eps * kl_from_product(P, a, b)
         + rows.rho * kl(P.sum(axis=1), a) + columns.rho * kl(P.sum(axis=0), b))
    return float(np.exp(-E / ((rows.rho + columns.rho + eps) * mass)))


@as_given
@in_range
def unbalanced_marginals(
    f: Potential, g: Potential, C: CostLike, a: Weights = None, b: Weights = None,
    eps: float = REQUIRED, rho: object = REQUIRED, penalty: str = "kl", *,
    backend: BackendLike = None
) -> tuple[Array, Array]:
    """The sums of rows (n,) and columns (m,) that f and g ask for: those that the plan has at the
    optimum. U-4.

    With KL they are a exp(-f / rho1) and b exp(-g / rho2). With TV, where f_i = rho1 or f_i = -rho1
    many sums are optimal; of these the nearest to the sums of the plan of (f, g) is returned.
    """
    p = unbalanced_problem(C, a, b, eps, rho, penalty, backend)
    f, g = p.row_potential(f), p.column_potential(g)
    rows, columns = p.backend.marginals(p.C, p.F(f), p.G(g), p.eps)
    return p.asked(f, rows), p.T.asked(g, columns)


@as_given
def unbalanced_plan(
    f: Potential, g: Potential, C: CostLike, a: Weights = None, b: Weights = None,
    eps: float = REQUIRED, *, backend: BackendLike = None
) -> Array:
    """P_ij = a_i b_j exp((f_i + g_j - C_ij) / eps), (n, m), for masses of any total. U-4."""
    p = unbalanced_problem(C, a, b, eps, 1.0, "kl", backend)
    f, g = p.row_potential(f), p.column_potential(g)
    return _gibbs(p, f, g)


@in_range
def _gibbs(p: UnbalancedProblem, f: Array, g: Array) -> Array:
    return gibbs_matrix(p.C, p.F(f), p.G(g), p.eps)


def unbalanced_certified_gap(
    f: Potential, g: Potential, C: CostLike, a: Weights = None, b: Weights = None,
    eps: float = REQUIRED, rho: object = REQUIRED, penalty: str = "kl", *,
    backend: BackendLike = None
) -> CertifiedGap:
    """An interval that contains U, from any f (n,) and g (m,), rounding included: U-1, U-2.

    It is narrow where (f + t, g - t) is nearly optimal for some t (U-5). Proved in
    docs/certificates.md, "The gap of an unbalanced problem". C (n, m), an array, a `PointCost` or a
    `DenseCost`; a (n,), b (m,) of any total.
    """
    p = unbalanced_problem(C, a, b, eps, rho, penalty, backend)
    f, g = p.row_potential(f), p.column_potential(g)
    return gap_of_exact(p, g) if p.is_exact else unbalanced_gap(p, f, g)
