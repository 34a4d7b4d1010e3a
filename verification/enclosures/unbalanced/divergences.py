"""The unbalanced Sinkhorn divergence (U-8) and its gradients, to 30 digits and more.

    S = U_xy - U_xx / 2 - U_yy / 2 + eps / 2 (m_a - m_b)^2

Séjourné, Feydy, Vialard, Trouvé, Peyré 2019. m_a and m_b are the masses, the sums of a and b. rho
is a single number, because the self terms U_xx and U_yy need the same penalty on both sides. U-8 is
an equation of docs/equations.md."""

from __future__ import annotations

from typing import Any

from flint import arb, ctx

from refot.arrays import Masses, Points, as_count, as_positive
from refot.costs.operands import point_cost
from refot.verification.enclosures.gradients import slopes
from refot.verification.enclosures.newton import Matrix, Vector
from refot.verification.enclosures.precision import bits_for, certified
from refot.verification.enclosures.problem import matrix, vector

from .enclose import enclose_unbalanced_points, enclose_unbalanced_value
from .gradients import per_weight
from .penalties import KL


def enclose_unbalanced_divergence(
    x: Points, a: Masses, y: Points, b: Masses, eps: Any, rho: Any, cost: str = "sqeuclidean",
    penalty: str = "kl", digits: int = 30
) -> arb:
    """S of U-8, from three values U that have 2 `digits` digits each.

    So S has `digits` digits, unless it is smaller than about 10^-digits of the values U. x (n, d),
    a (n,), y (m, d), b (m,). Raises InputError, and EnclosureError where the digits
    cannot be proven.
    """
    rho, digits = as_positive(rho, "rho"), as_count(digits, "digits")

    def value(x: Points, a: Masses, y: Points, b: Masses) -> arb:
        return enclose_unbalanced_value(
            point_cost(x, y, cost), a, b, eps, rho, penalty, 2 * digits)

    u_xy, u_xx, u_yy = value(x, a, y, b), value(x, a, x, a), value(y, b, y, b)
    with ctx.workprec(bits_for(2 * digits)):
        return u_xy - (u_xx + u_yy) / 2 + arb(float(eps)) / 2 * (_mass(a) - _mass(b)) ** 2


def enclose_unbalanced_divergence_gradient(
    x: Points, a: Masses, y: Points, b: Masses, eps: Any, rho: Any, cost: str = "sqeuclidean",
    penalty: str = "kl", digits: int = 30
) -> Matrix:
    """sum_j P_ij d1 c(x_i, y_j) - sum_k Pxx_ik d1 c(x_i, x_k), (n, d): dS/dx. d1 c is the
    derivative of c(x, y) in x.

    Where the cost has a kink (at x_i = y_j, except for "sqeuclidean"), its subgradient 0 is taken.
    """
    rho = as_positive(rho, "rho")
    P = enclose_unbalanced_points(x, a, y, b, eps, rho, cost, penalty, 2 * digits).plan
    Pxx = enclose_unbalanced_points(x, a, x, a, eps, rho, cost, penalty, 2 * digits).plan

    def attempt() -> Matrix:
        X, Y = matrix(x), matrix(y)
        return [_less(*pair) for pair in zip(
            slopes(P, X, Y, cost), slopes(Pxx, X, X, cost), strict=True)]

    return certified(attempt, digits)


def enclose_unbalanced_divergence_weights_gradient(
    x: Points, a: Masses, y: Points, b: Masses, eps: Any, rho: Any, cost: str = "sqeuclidean",
    digits: int = 30,
) -> Vector:
    """dS/da, (n,), under KL: dU_xy/da - dU_xx/da + eps (m_a - m_b), with dU_xx/da the derivative in
    one of the two arguments of U_xx. Its mean is not subtracted, since the mass may change."""
    rho = as_positive(rho, "rho")
    f_xy, _ = enclose_unbalanced_points(x, a, y, b, eps, rho, cost, "kl", 2 * digits).potentials
    f_xx, _ = enclose_unbalanced_points(x, a, x, a, eps, rho, cost, "kl", 2 * digits).potentials
    side, strength = KL(arb(rho)), arb(float(eps))

    def attempt() -> Vector:
        m_a, m_b = _mass(a), _mass(b)
        cross, own = per_weight(side, f_xy, m_b, strength), per_weight(side, f_xx, m_a, strength)
        return [t + strength * (m_a - m_b) for t in _less(cross, own)]

    return certified(attempt, digits)


def _mass(weights: Any) -> arb:
    return sum(vector(weights), arb(0))


def _less(x: Vector, y: Vector) -> Vector:
    return [s - t for s, t in zip(x, y, strict=True)]
