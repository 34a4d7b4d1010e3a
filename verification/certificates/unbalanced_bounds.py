"""Rounding bounds of unbalanced transport under KL: how far a float64 answer may be from the true
one. `rounding_bounds.py` has those of balanced transport.

U-1 to U-8 are the equations of docs/equations.md. A value (U of U-1, S of U-8) may be off by the
width of the interval that certifies it, and by the rounding of its terms. Plans, potentials and
gradients change to first order with the potentials, so that the error of these is needed. It
follows from the iteration U-3, a contraction with kappa = (rho / (rho + eps))^2: potentials that it
moves by d are within d / (1 - kappa) of the optimal ones (docs/certificates.md). A d below the
rounding of the two softmins of an iteration cannot be seen in float64."""

from __future__ import annotations

import warnings

import numpy as np

import refot
from refot.arrays import Array, ConvergenceWarning
from refot.costs.operands import point_cost
from refot.divergences import self_costs
from refot.solvers.gap import gap_of
from refot.solvers.unbalanced.result import UnbalancedResult
from refot.unbalanced_problem import UnbalancedProblem, unbalanced_problem

from .balls import UNIT
from .roundings import ROUNDINGS, roundings


def unbalanced_value(C: Array, a: Array, b: Array, eps: float, rho: float) -> float:
    """The bound of U: the width of the interval that certifies it, and the rounding of its
    terms."""
    p, found = _at_the_floor(C, a, b, eps, rho)
    gap, (m_a, m_b) = gap_of(p, found.g), p.masses
    return gap.upper - gap.lower + roundings(
        abs(C).max() * found.mass, rho * (m_a + m_b + 2 * found.mass), eps * m_a * m_b, gap.upper)


def unbalanced_potentials(C: Array, a: Array, b: Array, eps: float, rho: float) -> float:
    """The bound of f and g: twice the distance `_hidden` that rounding may hide. Once because the
    answer may be that far from the optimum, and once because the potentials that are computed here,
    from which the distance follows, may be too."""
    p, found = _at_the_floor(C, a, b, eps, rho)
    return 2 * _hidden(p, found)


def unbalanced_plan(C: Array, a: Array, b: Array, eps: float, rho: float) -> Array:
    """P_ij (e^w - 1), where w bounds the error of the exponent (f_i + g_j - C_ij) / eps."""
    p, found = _at_the_floor(C, a, b, eps, rho)
    P: Array = refot.unbalanced_plan(found.f, found.g, C, a, b, eps, backend="numpy")
    bound: Array = P * np.expm1(_hidden_in_sums(p, found, P) / eps)
    return bound


def unbalanced_mass_gradient(C: Array, a: Array, b: Array, eps: float, rho: float) -> Array:
    """The bound of f times the slope (1 + eps / rho) exp(-f / rho) of U-7, and the rounding of its
    terms."""
    p, found = _at_the_floor(C, a, b, eps, rho)
    due = np.exp(-found.f / rho)
    terms = (rho + eps) * due * (1 + abs(found.f) / rho) + rho + eps * p.masses[1]
    bound: Array = (1 + eps / rho) * due * 2 * _hidden(p, found) + ROUNDINGS * UNIT * terms
    return bound


def unbalanced_divergence(
    x: Array, a: Array, y: Array, b: Array, eps: float, rho: float, cost: str
) -> float:
    """S: the bounds of its three values U, and the rounding of the term eps/2 (m_a - m_b)^2."""
    C = point_cost(x, y, cost)
    xx, yy = self_costs(C)
    selves = (unbalanced_value(xx.dense(), a, a, eps, rho)
              + unbalanced_value(yy.dense(), b, b, eps, rho)) / 2
    bias = eps * float(a.sum() + b.sum()) ** 2
    return unbalanced_value(C.dense(), a, b, eps, rho) + selves + roundings(bias)


def unbalanced_divergence_gradient(
    x: Array, a: Array, y: Array, b: Array, eps: float, rho: float, cost: str
) -> Array:
    """sum_j (bound of P_ij) |d1 c(x_i, y_j)|, (n, d), of the plan between x and y plus that of the
    plan between x and x, and the rounding of these sums. d1 c is the derivative of c(x, y) in x."""
    xy = point_cost(x, y, cost)
    xx, _ = self_costs(xy)
    total = np.zeros_like(x)
    for C, weights in ((xy, b), (xx, a)):
        slopes = abs(C.gradient_rows(slice(None)))
        p, found = _at_the_floor(C.dense(), a, weights, eps, rho)
        total += np.einsum(
            "ij,ijd->id", unbalanced_plan(C.dense(), a, weights, eps, rho), slopes)
        rows = p.row_sums(found.f, found.g)
        total += rows[:, None] * ROUNDINGS * UNIT * slopes.max()
    return total


def _hidden(p: UnbalancedProblem, found: UnbalancedResult) -> float:
    """How far the potentials may be from the optimal ones, in cost units, without an iteration
    moving them by more than the rounding of its two softmins."""
    kappa = p.coupling * p.T.coupling
    return roundings(p.C.dense(), found.f, found.g, p.eps) / (1 - kappa)


def _hidden_in_sums(p: UnbalancedProblem, found: UnbalancedResult, P: Array) -> float:
    """Twice the distance of the sums f_i + g_j from the optimal ones that rounding may hide, in
    cost units; twice for the reason that `unbalanced_potentials` gives. It may be far less than the
    same for f and g alone: a constant t added to g makes f smaller by t rho / (rho + eps), so that
    nearly all of it cancels in f_i + g_j where rho is large. What remains are the differences of
    potentials.

    An iteration multiplies the errors of the differences f_i - f_k at most by kappa times the
    Dobrushin coefficient of the averages that its two softmins take: the largest distance in total
    variation between two rows of `averages`.
    """
    d, (r, q) = roundings(p.C.dense(), found.f, found.g, p.eps), (P.sum(axis=1), P.sum(axis=0))
    with np.errstate(invalid="ignore"):
        averages = np.nan_to_num((P.T / q[:, None]) @ (P / r[:, None]))[q > 0]
    distances = abs(averages[:, None] - averages).sum(axis=2).max() / 2
    differences = 2 * d / (1 - p.coupling * p.T.coupling * distances)
    return float(2 * (d + 2 * differences + (1 - p.coupling) * _hidden(p, found)))


def _at_the_floor(
    C: Array, a: Array, b: Array, eps: float, rho: float
) -> tuple[UnbalancedProblem, UnbalancedResult]:
    """The problem, and its solution as far as float64 allows: at the floor of its rounding."""
    p = unbalanced_problem(C, a, b, eps, rho, "kl", "numpy")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # float64 does not reach this tolerance
        found = refot.solve(C, a, b, eps, rho=rho, tol=1e-14, backend="numpy")
    assert isinstance(found, UnbalancedResult)
    return p, found
