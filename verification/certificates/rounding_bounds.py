"""Rounding bounds: how far a float64 answer of refot may be from the true one, by capability.

A capability is a quantity that an implementation can be asked for ("plan", "value", "softmin").
An explicit formula of the arguments (a softmin, a dual value) may be off by 64 roundings of the
largest terms that it adds up. Everything else comes from optimal potentials: minima (F of B-10, the
divergence S of B-9; B = Bréchet et al. 2019), the sharp value s = <C,P>, plans, potentials, and
gradients of optimal values. How exactly float64
determines potentials depends on the condition of the problem. So these bounds come from a
certificate of potentials that are solved here as far as float64 allows, plus what a solve *leaves
open*: the error of an answer whose solve stops at a positive marginal error (`stopped.py`).

A bound does not depend on the answer that is compared with it: the answer of a solve that stopped
at a larger marginal error than refot's exceeds it. Units are those of the answer; a bound is
infinite where float64 proves nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import refot
from refot.arrays import Array, lookup, marginal_tolerance
from refot.costs.forbidden import finite_part
from refot.costs.operands import DenseCost, point_cost
from refot.divergences import self_costs
from refot.information import informative_cost
from refot.problem import problem
from refot.solvers.answers.solutions import to_first_order
from refot.solvers.gap import HUGE_COST

from . import unbalanced_bounds
from .balls import UNIT
from .certify import Certificate, certify
from .roundings import ROUNDINGS, roundings
from .stopped import Stopped

DEFAULT = marginal_tolerance(np.float64)
"""The L1 marginal error at which `refot.solve` stops by default, and at which F is computed."""


def rounding_bound(capability: str, *arguments: Any) -> Any:
    """The bound of a capability's answer to its arguments: a number, or an array of its shape.

    For "potentials" it is one number for all of f and g, shifted such that g_m = 0. Raises
    UnknownNameError.
    """
    return lookup(ROUNDING_BOUNDS, capability, "capability")(*arguments)


# ------------------------------------------------------------------ functions of given arguments
def softmin(C: Array, h: Array, eps: float) -> float:
    """The bound of -eps log sum_j exp((h_j - C_ij) / eps): for the rounding of C and h in the
    exponents, and of eps times the logarithm of the sum."""
    return roundings(C, h, eps * np.log(len(h)), eps)


def dual(f: Array, g: Array, C: Array, a: Array, b: Array, eps: float) -> float:
    """The rounding of the terms a.f and b.g, and each P_ij times the rounding of its exponent."""
    density = np.exp(np.minimum((f[:, None] + g - C) / eps, 700))
    terms = eps + abs(f[:, None]) + abs(g) + abs(C)
    return roundings(C, f, g, eps) + ROUNDINGS * UNIT * float(a @ (density * terms) @ b)


def semidual(g: Array, C: Array, a: Array, b: Array, eps: float) -> float:
    """The rounding of a.f, with f the softmin of C and g, and of b.g."""
    return roundings(C, g, g, eps)


def semidual_gradient(g: Array, C: Array, a: Array, b: Array, eps: float) -> float:
    """The rounding of the exponents of b - a @ chi, in units of eps: no sum there exceeds 1. chi is
    the conditional law of y given x (`refot.transforms.conditional`)."""
    return roundings(C, g, eps) / eps


def unrolled(C: Array, eps: float, L: int) -> float:
    """The error of the scalings u and v after L steps of G-7 (Genevay, Peyré, Cuturi 2018),
    relative to their largest entry: 64 (max |C| / eps + n + m) unit roundoffs for each step."""
    n, m = C.shape
    return float(ROUNDINGS * UNIT * L * (abs(C).max() / eps + n + m))


def scaling_loss(C: Array, a: Array, b: Array, eps: float, L: int) -> float:
    """The relative error of u and v times max |C|, for the loss is <C,P> of a P of mass 1."""
    return unrolled(C, eps, L) * float(abs(C).max())


def scaling_loss_gradient(C: Array, a: Array, b: Array, eps: float, L: int) -> float:
    """The relative error of u and v times 1 + max |C| / eps, the factors of P in the gradient."""
    return unrolled(C, eps, L) * (1 + float(abs(C).max()) / eps)


def mmd(x: Array, a: Array, y: Array, b: Array, cost: str) -> float:
    """4 times the rounding of max C, or of 1 if that is larger: the three mean costs have the
    factors 2, 1 and 1."""
    C = point_cost(x, y, cost).dense()
    return 4 * ROUNDINGS * UNIT * max(float(C.max()), 1.0)


def q_objective(Q: Array, P: Array, a: Array, b: Array) -> float:
    """The rounding of each Q P, and of each a b exp Q with its exponent."""
    return ROUNDINGS * UNIT * float((abs(Q) * P).sum() + a @ (np.exp(Q) * (1 + abs(Q))) @ b)


def mutual_information(P: Array) -> float:
    """The rounding of the logarithms, which are at most -log min P in size, for P of mass 1."""
    return ROUNDINGS * UNIT * (1 + float(-np.log(P[P > 0].min())))


# ------------------------------------------------------------------ minima
def value(C: Array, a: Array, b: Array, eps: float) -> float:
    """The bound of F: the width of its certificate, what a default solve leaves open, and rounding.

    The dual is largest at the optimal potentials, so that their error enters only squared, in what
    the solve leaves open. Still this part matters where atoms are light or eps is small, because
    the potentials may be far off there."""
    floor = _floor(C, a, b, eps)
    left = floor.stopped(DEFAULT).value(floor.g[b > 0], eps)
    return floor.certificate.value.width + left + roundings(floor.counted, eps)


def _self_value(C: Array, a: Array, eps: float) -> float:
    """F between a measure and itself, solved by the symmetric iteration, which keeps f = g."""
    floor = _floor(C, a, a, eps)
    left = floor.stopped(DEFAULT).self_value(eps)
    return floor.certificate.value.width + left + roundings(floor.counted, eps)


def divergence(x: Array, a: Array, y: Array, b: Array, eps: float, cost: str) -> float:
    """S = F_xy - F_xx/2 - F_yy/2: the three bounds of F, however small S is."""
    C = point_cost(x, y, cost)
    xx, yy = self_costs(C)
    selves = (_self_value(xx.dense(), a, eps) + _self_value(yy.dense(), b, eps)) / 2
    return value(C.dense(), a, b, eps) + selves


# ------------------------------------------------------------------ what depends on the potentials
def transport_cost(C: Array, a: Array, b: Array, eps: float) -> float:
    """The bound of s: the width of its certificate, what a solve leaves open, and rounding. All of
    it is for the cost C minus its smallest entry, because `refot.sharp_value` solves that
    problem."""
    with_mass = np.ix_(a > 0, b > 0)
    least = C[with_mass].min()
    above = C - least
    floor = _floor(above, a, b, eps)
    left = floor.stopped().transport_cost(finite_part(above[with_mass]))
    return floor.certificate.transport_cost.width + left + roundings(floor.counted, least, eps)


def potentials(C: Array, a: Array, b: Array, eps: float) -> float:
    """f and g, shifted such that g_m = 0: twice the error of an entry, once for the entry itself
    and once for g_m, which is subtracted from it."""
    floor = _floor(C, a, b, eps)
    left = eps * max(float(w.max()) for w in floor.stopped().potentials())
    off = 2 * (floor.certificate.potential_error + left)
    return off + roundings(floor.counted, floor.f, floor.g, eps)


def plan(C: Array, a: Array, b: Array, eps: float) -> Array:
    """P_ij (e^(w/eps) - 1), where w_ij, in cost units, bounds the error of f_i + g_j - C_ij: the
    errors of both potentials, and rounding."""
    floor = _floor(C, a, b, eps)
    w = np.full(C.shape, 2 * floor.certificate.potential_error)
    w += roundings(floor.counted, floor.f, floor.g, eps)
    w_f, w_g = floor.stopped().potentials()
    w[floor.with_mass] += eps * (w_f[:, None] + w_g)
    return floor.of_plan(w / eps)


def _self_plan(C: Array, a: Array, eps: float) -> Array:
    """As `plan`, between a measure and itself, solved by the symmetric iteration. A certificate
    does not help: it does not use that f = g, and proves nothing where atoms exchange no mass."""
    floor = _floor(C, a, a, eps)
    w = np.full(C.shape, roundings(floor.counted, floor.f, floor.g, eps) / eps)
    of_f = floor.stopped().self_potential()
    w[floor.with_mass] += of_f[:, None] + of_f
    return floor.of_plan(w)


def informative_plan(
    C: Array, Q: Array, lam: float, a: Array, b: Array, eps: float
) -> Array:
    """The bound of the optimal plan for the cost C - lam Q (B-29)."""
    return plan(informative_cost(C, Q, lam).dense(), a, b, eps)


def divergence_gradient(
    x: Array, a: Array, y: Array, b: Array, eps: float, cost: str
) -> Array:
    """sum_j (bound of P_ij) |d1 c(x_i, y_j)|, (n, d), of the plan between x and y plus that of the
    plan between x and x, and the rounding of these sums. d1 c is the derivative of c(x, y) in x."""
    xy = point_cost(x, y, cost)
    xx, _ = self_costs(xy)
    total = np.zeros_like(x)
    for C, off in ((xy, plan(xy.dense(), a, b, eps)), (xx, _self_plan(xx.dense(), a, eps))):
        slopes = abs(C.gradient_rows(slice(None)))
        total += np.einsum("ij,ijd->id", off, slopes)
        total += a[:, None] * ROUNDINGS * UNIT * slopes.max()
    return total


@dataclass(frozen=True)
class Floor:
    """The limit of float64 for one problem: potentials f (n,), g (m,) that are solved as far as
    float64 allows, and their certificate."""

    certificate: Certificate
    a: Array
    b: Array
    f: Array  # 0 where there is no mass
    g: Array
    P: Array  # the plan, (n, m)
    tol: float  # the tolerance of this solve, or its marginal error if that is larger
    counted: float  # the largest |C_ij|, without costs so large that plans avoid their pairs

    @property
    def with_mass(self) -> tuple[Array, ...]:
        """The pairs of points with mass, as an index of an (n, m) matrix."""
        return np.ix_(self.a > 0, self.b > 0)

    def stopped(self, tol: float | None = None) -> Stopped:
        """What a solve leaves open that stops at a marginal error of `tol`; by default at
        `self.tol`, the smallest that float64 reaches here. Rounding may hide `self.tol` of the
        marginal error from the solve, so that the true error is at most tol + self.tol."""
        return Stopped(self.P[self.with_mass], (self.tol if tol is None else tol) + self.tol)

    def of_plan(self, w: Array) -> Array:
        """P_ij (e^w - 1) for exponents that are off by w (n, m), but at most the mass of the row
        and of the column: no entry of a plan is larger."""
        mass = np.minimum.outer(self.a, self.b) + 2 * self.tol
        with np.errstate(over="ignore", invalid="ignore"):
            return np.fmin(self.P * np.expm1(w), mass)


def _floor(C: Array, a: Array, b: Array, eps: float) -> Floor:
    """The problem solved as far as float64 allows, and certified."""
    p = problem(DenseCost(C), a, b, eps, "numpy")
    found = to_first_order(p, None)
    f, g = np.where(p.a > 0, found.f, 0), np.where(p.b > 0, found.g, 0)
    carried = float(p.a @ abs(f) + p.b @ abs(g))
    counted = abs(C)[abs(C) <= HUGE_COST * (carried + eps)].max(initial=carried)
    with np.errstate(all="ignore"):  # a plan far from the optimum may overflow
        P = refot.plan(found.f, found.g, C, a, b, eps, backend="numpy")
    return Floor(certify(C, a, b, eps, found.g), p.a, p.b, f, g, P,
                 max(found.tolerance, found.marginal_error), float(counted))


ROUNDING_BOUNDS: dict[str, Callable[..., Any]] = {bound.__name__: bound for bound in (
    plan, potentials, value, transport_cost, softmin, dual, semidual, semidual_gradient,
    scaling_loss, scaling_loss_gradient, divergence, divergence_gradient, mmd, q_objective,
    informative_plan, mutual_information, unbalanced_bounds.unbalanced_plan,
    unbalanced_bounds.unbalanced_potentials, unbalanced_bounds.unbalanced_value,
    unbalanced_bounds.unbalanced_mass_gradient, unbalanced_bounds.unbalanced_divergence,
    unbalanced_bounds.unbalanced_divergence_gradient)}
"""By capability, a function of the capability's arguments that returns the bound."""
