"""Gradients of the unbalanced value U, to 30 digits and more: U-7, by the envelope theorem.

Digits are relative to the largest entry of a gradient. U-2 and U-7 are equations of
docs/equations.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flint import arb, fmpq

from refot.arrays import CostLike, Masses, Points
from refot.costs.operands import point_cost
from refot.verification.enclosures.gradients import slopes
from refot.verification.enclosures.newton import Matrix, Vector
from refot.verification.enclosures.precision import certified
from refot.verification.enclosures.problem import matrix, vector

from .enclose import enclose_unbalanced
from .penalties import Penalty
from .problem import unbalanced_inputs


def enclose_unbalanced_points_gradient(
    x: Points, a: Masses, y: Points, b: Masses, eps: Any, rho: Any, cost: str = "sqeuclidean",
    penalty: str = "kl", digits: int = 30
) -> Matrix:
    """sum_j P_ij d1 c(x_i, y_j), (n, d): dU/dx. d1 c is the derivative of c(x, y) in x.

    Where the cost has a kink (at x_i = y_j, except for "sqeuclidean"), its subgradient 0 is taken.
    """
    C = point_cost(x, y, cost)
    P = enclose_unbalanced(C, a, b, eps, rho, penalty, 2 * digits).plan
    return certified(lambda: slopes(P, matrix(x), matrix(y), cost), digits)


def enclose_unbalanced_weights_gradient(
    C: CostLike, a: Masses, b: Masses, eps: Any, rho: Any, digits: int = 30
) -> tuple[Vector, Vector]:
    """dU/da (n,) and dU/db (m,) under KL. Their means are not subtracted, since masses may change.

    At a weight of 0 it is the one-sided derivative, for an increase. Arguments as for
    `enclose_unbalanced`.
    """
    p = unbalanced_inputs(C, a, b, eps, rho, "kl")
    found = enclose_unbalanced(C, a, b, eps, rho, "kl", 2 * digits)
    f, g = found.potentials
    rows, columns = p.penalties
    return (certified(lambda: per_weight(rows, f, sum(vector(b), arb(0)), p.eps), digits),
            certified(lambda: per_weight(columns, g, sum(vector(a), arb(0)), p.eps), digits))


def per_weight(side: Penalty, f: Sequence[arb], other_mass: arb, eps: arb) -> Vector:
    """gain(f_i) + eps (m_b - due(f_i)), the derivative of the dual U-2 in a_i; m_b, `other_mass`,
    is the sum of the weights of the other side.

    Under KL rho + eps m_b - (rho + eps) exp(-f_i / rho), on an exact side f_i + eps (m_b - 1).
    """
    return [side.gain(fi) + eps * (other_mass - side.due(fi)) for fi in f]


def enclose_unbalanced_rho_gradient(
    C: CostLike, a: Masses, b: Masses, eps: Any, rho: Any, penalty: str = "kl", digits: int = 30
) -> tuple[arb, arb]:
    """dU/drho_1 = KL(P1 | a) or TV(P1 | a), and dU/drho_2 likewise for the columns; 0 where the
    marginal is exact.

    Digits are relative to the larger of both. Arguments as for `enclose_unbalanced`.
    """
    p = unbalanced_inputs(C, a, b, eps, rho, penalty)
    found = enclose_unbalanced(C, a, b, eps, rho, penalty, 2 * digits)

    def attempt() -> Vector:
        return [_changes(side, marginal, weights) for side, marginal, weights in zip(
            p.penalties, (found.rows, found.columns), (p.a, p.b), strict=True)]

    rows, columns = certified(attempt, digits)
    return rows, columns


def _changes(side: Penalty, marginal: Sequence[arb], weights: Sequence[fmpq]) -> arb:
    return sum((side.change(x, arb(w)) for x, w in zip(marginal, weights, strict=True) if w > 0),
               arb(0))
