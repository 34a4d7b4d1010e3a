"""Limits in eps with their bounds. G, Theorem 1; B, section 2.2.

F is the value (B-10), s = <C, P> the sharp value, W0 the exact cost (B-1), A = <C, a(x)b> the cost
of the independent plan a(x)b, and MMD^2_{-c} the squared distance of G-2, with the kernel -c:
    eps -> 0:           F, s -> W0,   S (B-9) -> W0,         loss (G-4) -> 2 W0;
    eps -> infinity:    F, s -> A,    S -> MMD^2_{-c} / 2,   loss -> MMD^2_{-c}  (errata G2, E13).
For every eps in between and all discrete measures the following bounds hold. Here H is the entropy,
Ct is the doubly centred cost (`doubly_centred`), and osc is the largest entry less the smallest.
(They follow from duality, Hoeffding's lemma and Pinsker's inequality.)
    0 <= F - W0 <= eps min(H(a), H(b)),  0 <= s - W0 <= eps min(H(a), H(b)),
    0 <= A - F <= osc(Ct)^2 / (8 eps),   0 <= A - s <= osc(Ct)^2 / (2 eps).
S and the loss are differences of values of three problems, and their bounds follow from those of
the three. In the problems xx and yy, of a measure with itself, W0 is 0.

Papers: B = Bréchet et al. 2019, G = Genevay, Peyré, Cuturi 2018; an erratum such as "G2" is a
heading of docs/errata.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from refot.arrays import (
    Array,
    CostLike,
    Points,
    Weights,
    as_each,
    as_positive,
    as_weights,
)
from refot.backend_contract import BackendLike
from refot.costs.forbidden import require_finite
from refot.costs.named import CostName
from refot.costs.operands import as_cost, ground_point_cost
from refot.divergences import (
    first_order_solutions,
    self_costs,
    sharp_value_of,
    three_problems,
)
from refot.objectives import entropy, kantorovich
from refot.solvers.answers.value import value_of

Bounds: TypeAlias = tuple[float, float]
"""(lower, upper), in cost units."""


# ------------------------------------------------------------------ one problem: F and s
@dataclass(frozen=True)
class CostLimits:
    """The two limits of F and of s, and the constants in their bounds, in cost units.

    exact = W0; independent = A; entropy = min(H(a), H(b)) in nats; oscillation = osc(Ct) over the
    pairs with mass; variance = Var(Ct) under a(x)b, in squared cost units. As eps -> infinity,
    eps (A - F) tends to variance / 2, and eps (A - s) to variance.
    """

    exact: float
    independent: float
    entropy: float
    oscillation: float
    variance: float

    def value_bounds(self, eps: float) -> Bounds:
        """(lower, upper) with lower <= F <= upper at this eps."""
        return self._bounds(eps, self.oscillation**2 / (8 * as_positive(eps, "eps")))

    def sharp_bounds(self, eps: float) -> Bounds:
        """(lower, upper) with lower <= s <= upper at this eps."""
        return self._bounds(eps, self.oscillation**2 / (2 * as_positive(eps, "eps")))

    def _bounds(self, eps: float, below_independent: float) -> Bounds:
        return (max(self.exact, self.independent - below_independent),
                min(self.independent, self.exact + eps * self.entropy))


def cost_limits(C: CostLike, a: Weights, b: Weights, *, exact: float | None = None) -> CostLimits:
    """The limits and constants of one problem. C (n, m) is an array, a `PointCost` or a
    `DenseCost`; a (n,), b (m,).

    W0 is computed by linear programming with n m variables, unless the caller gives it as `exact`.
    """
    C = as_cost(C)
    a, b = as_weights(a, C.shape[0], "a", C.dtype), as_weights(b, C.shape[1], "b", C.dtype)
    require_finite(C, "the independent plan gives mass to every pair")
    matrix = C.dense()
    centred = doubly_centred(matrix, a, b)
    on_support = centred[a > 0][:, b > 0]
    return CostLimits(
        exact=kantorovich(matrix, a, b)[0] if exact is None else exact,
        independent=float(a @ matrix @ b),
        entropy=min(entropy(a), entropy(b)),
        oscillation=float(on_support.max() - on_support.min()),
        variance=float(a @ centred**2 @ b),
    )


def doubly_centred(C: Array, a: Array, b: Array) -> Array:
    """Ct_ij = C_ij - (C b)_i - (C'a)_j + a'C b, (n, m): the mean of each row under b is 0, and that
    of each column under a."""
    return C - (C @ b)[:, None] - a @ C + a @ C @ b


# ------------------------------------------------------------------ two clouds: S and the loss
@dataclass(frozen=True)
class DivergenceLimits:
    """The limits of S (B-9) and of the loss (G-4), from those of their three problems."""

    xy: CostLimits
    xx: CostLimits
    yy: CostLimits

    @property
    def mmd_squared(self) -> float:
        """MMD^2_{-c} = 2 A_xy - A_xx - A_yy (G-2): the limit of G-4, and twice that of B-9."""
        return 2 * self.xy.independent - self.xx.independent - self.yy.independent

    def divergence_bounds(self, eps: float) -> Bounds:
        """An interval that contains S = F_xy - F_xx / 2 - F_yy / 2 (B-9) at this eps."""
        xy, xx, yy = (each.value_bounds(eps) for each in (self.xy, self.xx, self.yy))
        return xy[0] - (xx[1] + yy[1]) / 2, xy[1] - (xx[0] + yy[0]) / 2

    def loss_bounds(self, eps: float) -> Bounds:
        """An interval that contains the loss 2 s_xy - s_xx - s_yy (G-4) at this eps."""
        xy, xx, yy = (each.sharp_bounds(eps) for each in (self.xy, self.xx, self.yy))
        return 2 * xy[0] - xx[1] - yy[1], 2 * xy[1] - xx[0] - yy[0]


def divergence_limits(
    x: Points, a: Weights, y: Points, b: Weights, cost: CostName = "sqeuclidean"
) -> DivergenceLimits:
    """The limits of S and of the loss between two clouds: x (n, d), a (n,), y (m, d), b (m,).

    `cost` must be a function of x - y (`PairCost.is_difference`): it is 0 between equal points, so
    that W0 = 0 between a cloud and itself, as the bounds need. Any other raises UnknownNameError.
    """
    C = ground_point_cost(x, y, cost)
    xx, yy = self_costs(C)
    return DivergenceLimits(
        cost_limits(C, a, b), cost_limits(xx, a, a, exact=0.0), cost_limits(yy, b, b, exact=0.0))


@dataclass(frozen=True)
class EpsSweep:
    """Four values at each eps: `value` F, `sharp` s, `divergence` S (B-9) and `loss` (G-4). All
    arrays are (k,), in cost units."""

    eps: Array
    value: Array
    sharp: Array
    divergence: Array
    loss: Array


def eps_sweep(
    x: Points, a: Weights, y: Points, b: Weights, epsilons: Sequence[float],
    cost: CostName = "sqeuclidean", *,
    tol: float | None = None, backend: BackendLike = None,
) -> EpsSweep:
    """F, s, S and the loss of G-4 between two clouds at each of `epsilons` (k,), in cost units."""
    rows = []
    for eps in as_each(epsilons, "epsilons", as_positive):
        problems = three_problems(x, a, y, b, eps, cost, backend)
        terms = first_order_solutions(problems, tol)
        F_xy, F_xx, F_yy = (value_of(p, solved.g) for p, solved in terms)
        s_xy, s_xx, s_yy = (sharp_value_of(*term) for term in terms)
        rows.append((eps, F_xy, s_xy, F_xy - (F_xx + F_yy) / 2, 2 * s_xy - s_xx - s_yy))
    return EpsSweep(*np.array(rows).T)
