"""Rounding bounds: how far a float64 answer of refot may be from the true one, by capability.

A function of its arguments alone (a softmin, a dual value) may be off by 64 roundings of the
largest terms that it adds up. Everything else comes from optimal potentials: minima (F, S), the
sharp value, plans, potentials, gradients of optimal values. Float64 determines potentials only as
well as the problem is conditioned, so these bounds come from a certificate, of a potential that is
solved here as far as float64 allows. They do not depend on the answer that is judged: one that
stopped at a looser marginal error is outside. Units are those of the answer; a bound is infinite
where float64 proves nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import refot
from refot.arrays import Array, lookup
from refot.costs.operands import DenseCost, point_cost
from refot.divergences import self_costs, to_first_order
from refot.information import informative_cost
from refot.problem import problem

from . import unbalanced_bounds
from .balls import UNIT
from .certify import Certificate, certify
from .roundings import ROUNDINGS, roundings


def rounding_bound(capability: str, *arguments: Any) -> Any:
    """The bound of a capability's answer to its arguments: a number, or an array of its shape.

    For "potentials" it is one number for all of f and g, shifted such that g_m = 0. Raises
    UnknownNameError.
    """
    return lookup(ROUNDING_BOUNDS, capability, "capability")(*arguments)


# ------------------------------------------------------------------ functions of given arguments
def softmin(C: Array, h: Array, eps: float) -> float:
    return roundings(C, h, eps * np.log(len(h)), eps)


def dual(f: Array, g: Array, C: Array, a: Array, b: Array, eps: float) -> float:
    """The rounding of the potentials, and each P_ij times the rounding of its exponent."""
    density = np.exp(np.minimum((f[:, None] + g - C) / eps, 700))
    terms = eps + abs(f[:, None]) + abs(g) + abs(C)
    return roundings(C, f, g, eps) + ROUNDINGS * UNIT * float(a @ (density * terms) @ b)


def semidual(g: Array, C: Array, a: Array, b: Array, eps: float) -> float:
    return roundings(C, g, g, eps)


def semidual_gradient(g: Array, C: Array, a: Array, b: Array, eps: float) -> float:
    return roundings(C, g, eps) / eps


def unrolled(C: Array, eps: float, L: int) -> float:
    """The error of u and v relative to their largest entry: L steps, each of
    (max C / eps + n + m) roundings."""
    n, m = C.shape
    return float(ROUNDINGS * UNIT * L * (abs(C).max() / eps + n + m))


def scaling_loss(C: Array, a: Array, b: Array, eps: float, L: int) -> float:
    return unrolled(C, eps, L) * float(abs(C).max())


def scaling_loss_gradient(C: Array, a: Array, b: Array, eps: float, L: int) -> float:
    return unrolled(C, eps, L) * (1 + float(abs(C).max()) / eps)


def mmd(x: Array, a: Array, y: Array, b: Array, cost: str) -> float:
    C = point_cost(x, y, cost).dense()
    return 4 * ROUNDINGS * UNIT * max(float(C.max()), 1.0)


def q_objective(Q: Array, P: Array, a: Array, b: Array) -> float:
    return ROUNDINGS * UNIT * float((abs(Q) * P).sum() + a @ (np.exp(Q) * (1 + abs(Q))) @ b)


def mutual_information(P: Array) -> float:
    return ROUNDINGS * UNIT * (1 + float(-np.log(P[P > 0].min())))


# ------------------------------------------------------------------ minima
def value(C: Array, a: Array, b: Array, eps: float) -> float:
    """F: the width of its certificate, and rounding. The error of the potentials enters squared;
    but where atoms are light or eps is small it may be large."""
    certificate, _, _ = _at_the_floor(C, a, b, eps)
    return certificate.value.width + roundings(C, eps)


def divergence(x: Array, a: Array, y: Array, b: Array, eps: float, cost: str) -> float:
    """S = F_xy - F_xx/2 - F_yy/2: the three bounds of F, however small S is."""
    C = point_cost(x, y, cost)
    xx, yy = self_costs(C)
    selves = (value(xx.dense(), a, a, eps) + value(yy.dense(), b, b, eps)) / 2
    return value(C.dense(), a, b, eps) + selves


# ------------------------------------------------------------------ what depends on the potentials
def transport_cost(C: Array, a: Array, b: Array, eps: float) -> float:
    """s: the width of its certificate, which depends on how the problem is conditioned."""
    certificate, _, _ = _at_the_floor(C, a, b, eps)
    return certificate.transport_cost.width + roundings(C, eps)


def potentials(C: Array, a: Array, b: Array, eps: float) -> float:
    """f and g, shifted such that g_m = 0: twice the error of a potential, once for its own entry
    and once for the entry g_m that is subtracted."""
    certificate, f, g = _at_the_floor(C, a, b, eps)
    return 2 * certificate.potential_error + roundings(C, f, g, eps)


def plan(C: Array, a: Array, b: Array, eps: float) -> Array:
    """P_ij (e^w - 1), where w bounds the error of the exponent: of both potentials, and
    rounding."""
    certificate, f, g = _at_the_floor(C, a, b, eps)
    w = 2 * certificate.potential_error / eps + roundings(C, f, g, eps) / eps
    return refot.plan(f, g, C, a, b, eps) * np.expm1(w)


def informative_plan(
    C: Array, Q: Array, lam: float, a: Array, b: Array, eps: float
) -> Array:
    """The bound of the plan of C - lam Q."""
    return plan(informative_cost(C, Q, lam).dense(), a, b, eps)


def divergence_gradient(
    x: Array, a: Array, y: Array, b: Array, eps: float, cost: str
) -> Array:
    """sum_j (bound of P_ij) |d1 c(x_i, y_j)|, (n, d), for both plans, and the rounding of the
    sums."""
    xy = point_cost(x, y, cost)
    xx, _ = self_costs(xy)
    total = np.zeros_like(x)
    for C, weights in ((xy, b), (xx, a)):
        slopes = abs(C.gradient_rows(slice(None)))
        total += np.einsum("ij,ijd->id", plan(C.dense(), a, weights, eps), slopes)
        total += a[:, None] * ROUNDINGS * UNIT * slopes.max()
    return total


def _at_the_floor(
    C: Array, a: Array, b: Array, eps: float
) -> tuple[Certificate, Array, Array]:
    """Potentials (f, g) that are solved as far as float64 allows, and their certificate."""
    p = problem(DenseCost(C), a, b, eps, "numpy")
    found = to_first_order(p, None)
    return certify(C, a, b, eps, found.g), found.f, found.g


ROUNDING_BOUNDS: dict[str, Callable[..., Any]] = {bound.__name__: bound for bound in (
    plan, potentials, value, transport_cost, softmin, dual, semidual, semidual_gradient,
    scaling_loss, scaling_loss_gradient, divergence, divergence_gradient, mmd, q_objective,
    informative_plan, mutual_information, unbalanced_bounds.unbalanced_plan,
    unbalanced_bounds.unbalanced_potentials, unbalanced_bounds.unbalanced_value,
    unbalanced_bounds.unbalanced_mass_gradient, unbalanced_bounds.unbalanced_divergence,
    unbalanced_bounds.unbalanced_divergence_gradient)}
"""The bound of each capability, with the arguments of its signature."""
