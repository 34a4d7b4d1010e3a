"""Limits of the unbalanced value U (U-1) in rho and eps, and bounds that hold in between: U-9.

    rho -> 0:         U -> eps sum ab (1 - exp(-C / eps)): the marginals do not count;
    rho -> infinity:  U -> F, for equal masses; F - U = O(1 / rho);
    eps -> infinity:  U -> <C, a(x)b> + D1(m_b a | a) + D2(m_a b | b), the cost of the product.

F is the balanced value; D1 and D2 are the penalties of rows and columns (`penalties`), with the
factors rho1 and rho2; m_a and m_b are the totals of a and b. The third limit is U-1 at the plan
a(x)b, and so an upper bound of U at every eps. The first is the dual U-2 at f = g = 0, and so a
lower bound of U at every rho.
"""

from __future__ import annotations

from dataclasses import dataclass

from refot.arrays import REQUIRED, Array, CostLike, Potential, Weights, in_range, namespace
from refot.backend_contract import BackendLike
from refot.costs.forbidden import require_finite
from refot.costs.operands import as_cost, row_blocks
from refot.limits import Bounds
from refot.penalties import Exact, Penalty
from refot.unbalanced_problem import unbalanced_problem


@dataclass(frozen=True)
class UnbalancedLimits:
    """Two limits of U, in cost units. `untouched` is the limit as rho -> 0, a lower bound of U for
    every rho; `product` is the limit as eps -> infinity, an upper bound for every eps."""

    untouched: float
    product: float

    @property
    def bounds(self) -> Bounds:
        """(lower, upper) with lower <= U <= upper."""
        return self.untouched, self.product


@in_range
def untouched_value(
    C: CostLike, a: Weights, b: Weights, eps: float, *, backend: BackendLike = None
) -> float:
    """eps sum ab (1 - exp(-C / eps)) <= U for every rho, and the limit as rho -> 0. U-9."""
    p = unbalanced_problem(C, a, b, eps, 1.0, "kl", backend)
    zero = namespace(p.a).zeros_like(p.a), namespace(p.b).zeros_like(p.b)
    m_a, m_b = p.masses
    return p.eps * (m_a * m_b - float(p.row_sums(*zero).sum()))


def unbalanced_limits(
    C: CostLike, a: Weights = None, b: Weights = None, eps: float = REQUIRED,
    rho: object = REQUIRED, penalty: str = "kl", *, backend: BackendLike = None
) -> UnbalancedLimits:
    """The limits as rho -> 0 and as eps -> infinity. U-9. C (n, m) is an array, a `PointCost` or a
    `DenseCost`; a (n,), b (m,).

    `product` is infinite where a marginal is exact and the mass of the other measure is not 1.
    """
    C = as_cost(C)
    require_finite(C, "the product gives mass to every pair")
    p = unbalanced_problem(C, a, b, eps, rho, penalty, backend)
    m_a, m_b = p.masses
    costs = sum(float(p.a[rows] @ p.C.rows(rows) @ p.b) for rows in row_blocks(p.C))
    product = costs + p.rows.cost(m_b * p.a, p.a) + p.columns.cost(m_a * p.b, p.b)
    return UnbalancedLimits(untouched_value(p.C, p.a, p.b, p.eps, backend=p.backend), product)


def balanced_distance(
    f: Potential, g: Potential, C: CostLike, a: Weights, b: Weights, eps: float, rho: object,
    penalty: str = "kl", *, backend: BackendLike = None
) -> float:
    """An upper bound of F - U for equal masses, from the optimal potentials of F: U-9.

    With KL it is rho1 sum a (exp(-f / rho1) - 1 + f / rho1) plus the same for the columns, which
    for large rho is about (a.f^2 / rho1 + b.g^2 / rho2) / 2. f (n,), g (m,); the result is in cost
    units.
    """
    p = unbalanced_problem(C, a, b, eps, rho, penalty, backend)
    f, g = p.shifted(p.row_potential(f), p.column_potential(g))
    return _lost(p.rows, f, p.a) + _lost(p.columns, g, p.b)


def _lost(penalty: Penalty, f: Array, a: Array) -> float:
    """a.f less the reward of f, its term in the dual: how much larger the dual of (f, g) would be
    if the marginal were exact."""
    return 0.0 if isinstance(penalty, Exact) else float(a @ f) - penalty.reward(f, a)
