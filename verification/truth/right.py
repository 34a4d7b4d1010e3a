"""The right answer to a call, by capability: refot's own functions on NumPy, in float64.

A check compares a subject's answer with the right one. The diagnosis tests whether the answer of a
known mistake is nearer to the subject's than the right one. B = Bréchet et al. 2019, G = Genevay,
Peyré, Cuturi 2018."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.costs.operands import Cost, point_cost
from refot.divergences import mmd_squared
from refot.gradients import points_gradient
from refot.information import q_objective
from refot.objectives import dual, kl, semi_dual, semi_dual_gradient
from refot.solvers.scaling import scaling_loss
from refot.transforms import softmin
from refot.unrolled import scaling_loss_gradient

from .solution import Truth, point_solutions, solution
from .unbalanced_right import UNBALANCED_RIGHT


# ------------------------------------------------------------------ potentials
def sums(f: Array, g: Array) -> Array:
    """f_i + g_j, (n, m), which does not change if a constant is added to f and subtracted from g.
    """
    return f[:, None] + g


def right_sums(t: Truth) -> Array:
    """f_i + g_j of the optimal potentials."""
    return sums(t.solved.f, t.solved.g)


# ------------------------------------------------------------------ of potentials that are given
def right_softmin(C: Array, h: Array, eps: float) -> Array:
    """-eps log sum_j exp((h_j - C_ij) / eps), (n,)."""
    return softmin(C, h, eps, backend="numpy")


def right_dual(*given: Any) -> float:
    """The dual B-13, with the + eps that is missing in print (erratum E1 of docs/errata.md)."""
    return dual(*given, backend="numpy")


def right_semidual(*given: Any) -> float:
    """The semi-dual B-24, without the + eps of the print (erratum E2)."""
    return semi_dual(*given, backend="numpy")


def right_semidual_gradient(*given: Any) -> Array:
    """The gradient of the semi-dual in g: b - a @ chi, (m,), chi the `conditional` of the plan."""
    return semi_dual_gradient(*given, backend="numpy")


# ------------------------------------------------------------------ S (B-9), and MMD (G-2)
Terms = tuple[Truth, Truth, Truth]
"""The solutions between x and y, x and x, y and y."""


def halves(xy: float, xx: float, yy: float) -> float:
    """xy - xx/2 - yy/2: three values, combined as in B-9."""
    return xy - xx / 2 - yy / 2


def values_of(terms: Terms) -> tuple[float, float, float]:
    """The value F, with its entropic term, of each of the three problems."""
    xy, xx, yy = terms
    return xy.F, xx.F, yy.F


def S_of(terms: Terms) -> float:
    """S of B-9, from the solutions of its terms."""
    return halves(*values_of(terms))


def right_divergence(*clouds: Any) -> float:
    """S of B-9, from its arguments (x, a, y, b, eps, cost)."""
    return S_of(point_solutions(*clouds))


def slopes_of(C: Cost, t: Truth) -> Array:
    """sum_j P_ij d1 c(x_i, y_j), (n, d); d1 c is the derivative of c(x, y) in x."""
    return points_gradient(t.plan, C)


def right_gradients(*clouds: Any) -> tuple[Array, Array]:
    """The gradients in x of F_xy, and of F_xx in one of its two arguments, (n, d) each: dS/dx is
    the first minus the second."""
    x, y, cost = clouds[0].astype(np.float64), clouds[2].astype(np.float64), clouds[5]
    xy, xx, _ = point_solutions(*clouds)
    return slopes_of(point_cost(x, y, cost), xy), slopes_of(point_cost(x, x, cost), xx)


def right_gradient(*clouds: Any) -> Array:
    """dS/dx, (n, d), with x varied in both arguments of the self term."""
    cross, own = right_gradients(*clouds)
    return cross - own


def right_mmd(x: Array, a: Array, y: Array, b: Array, cost: str) -> float:
    """The squared MMD of the kernel -c, G-2, as a V-statistic."""
    return mmd_squared(x.astype(np.float64), a / a.sum(), y.astype(np.float64), b / b.sum(), cost)


# ------------------------------------------------------------------ information
def right_q_objective(Q: Array, P: Array, a: Array, b: Array) -> float:
    """The Q objective sum(-Q P + a b exp Q), B-31."""
    return q_objective(Q, P, a, b)


def independent(P: Array) -> Array:
    """The product of the marginals of P, (n, m)."""
    return np.outer(P.sum(axis=1), P.sum(axis=0))


def right_mutual_information(P: Array) -> float:
    """The mutual information of a joint law P: KL of P to the product of its marginals, in nats.
    B-18."""
    return kl(P, independent(P))


def plan_of_cost(C: Array, a: Array, b: Array, eps: float) -> Array:
    """The optimal plan, (n, m)."""
    return solution(C, a, b, eps).plan


RIGHT: dict[str, Callable[..., Any]] = {
    "plan": plan_of_cost,
    "potentials": lambda *problem: right_sums(solution(*problem)),
    "value": lambda *problem: solution(*problem).F,
    "transport_cost": lambda *problem: solution(*problem).s,
    "softmin": right_softmin,
    "dual": right_dual,
    "semidual": right_semidual,
    "semidual_gradient": right_semidual_gradient,
    "scaling_loss": scaling_loss,
    "scaling_loss_gradient": scaling_loss_gradient,
    "divergence": right_divergence,
    "divergence_gradient": right_gradient,
    "mmd": right_mmd,
    "q_objective": right_q_objective,
    "informative_plan": lambda C, Q, lam, a, b, eps: plan_of_cost(C - lam * Q, a, b, eps),
    "mutual_information": right_mutual_information,
    **UNBALANCED_RIGHT,
}
"""By capability, the function that gives the right answer. For `potentials` it gives the sums
f_i + g_j, which do not change if a constant is added to f and subtracted from g."""
