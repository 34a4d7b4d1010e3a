"""What can be proven from potentials of an unbalanced problem, in flint balls: U, the plan, and the
optimal potentials.

Each formula holds for every g and at every working precision; the nearer g is to the optimum, the
smaller are the balls. If one marginal is exact, it must be that of the rows: their potentials are
exact transforms of g, so that the plan has the row sums a. docs/certificates.md has the proofs. U-1
and U-3 are equations of docs/equations.md."""

from __future__ import annotations

from flint import arb

from refot.verification.enclosures.newton import Matrix, Vector
from refot.verification.enclosures.problem import dot

from .newton import HalfStep, best_columns, dual
from .problem import UnbalancedProblem


def primal(p: UnbalancedProblem, h: HalfStep) -> arb:
    """<C,P> + eps KL(P | a(x)b) + D_1(P1 | a) + D_2(P'1 | b) for the plan P of (f, g). It is >= U,
    which is the minimum over all plans (U-1).

    Since log(P_ij / (a_i b_j)) = (f_i + g_j - C_ij) / eps, the first two terms are
    r.f + q.g + eps (m_a m_b - m(P)), with the row sums r and the column sums q of P, and the masses
    (total sums) m_a, m_b and m(P) of a, b and P.
    """
    m_a, m_b, mass = (sum(x, arb(0)) for x in (p.a, p.b, h.r))
    return (dot(h.r, h.f) + dot(h.q, h.g) + p.eps * (m_a * m_b - mass)
            + sum(map(p.rows.paid, h.r, p.a), arb(0))
            + sum(map(p.columns.paid, h.q, p.b), arb(0)))


def value(p: UnbalancedProblem, h: HalfStep) -> arb:
    """U: the ball from the dual of (f, g) up to the primal of their plan."""
    return dual(p, h).union(primal(p, h))


def potential(p: UnbalancedProblem, h: HalfStep) -> Vector:
    """Balls around the optimal g, where the penalty of the columns is KL.

    One iteration T (U-3) is a contraction in the maximum norm. Its factor kappa is the product of
    the slopes of prox on both sides, so that |g - g*| <= |T g - g| / (1 - kappa).
    """
    kappa = p.rows.slope(arb(0), p.eps) * p.columns.slope(arb(0), p.eps)
    moved = max_of([abs(new - old) for new, old in zip(best_columns(p, h.f), h.g, strict=True)])
    return [gj + arb(0, 1) * (moved / (1 - kappa)) for gj in h.g]


def plan(p: UnbalancedProblem, h: HalfStep) -> Matrix:
    """Balls around the optimal plan P*, under any penalty, from the gap G = primal - dual.

    The primal is eps KL plus a convex function. So the ratios x_ij = P*_ij / P_ij satisfy
    sum_ij P_ij (x_ij - 1 - log x_ij) <= G / eps. For one entry, with t = G / (eps P_ij), this gives
    |x_ij - 1| <= t + sqrt(t^2 + 2t).
    """
    gap = (primal(p, h) - dual(p, h)).upper().max(arb(0)) / p.eps
    return [[x + arb(0, 1) * (gap + (gap**2 + 2 * gap * x).sqrt()) for x in row] for row in h.P]


def max_of(x: Vector) -> arb:
    """A ball that contains the largest of the numbers in the balls of x."""
    largest = x[0]
    for t in x[1:]:
        largest = largest.max(t)
    return largest
