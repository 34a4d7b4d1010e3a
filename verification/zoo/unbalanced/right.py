"""Right implementations of unbalanced transport, which the verifier must accept: several solvers,
and several formulas of the value. U-1 to U-8 are equations of docs/equations.md."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
from scipy.special import rel_entr

from refot.arrays import Array
from refot.costs.operands import point_cost
from refot.gradients import points_gradient
from refot.verification.zoo.right import right
from refot.verification.zoo.solvers import density_plan

from .program import compiled
from .solvers import Solver, checked, newton, plain, scaling, translation_invariant

Capabilities = dict[str, Callable[..., Any]]


def remembered(solver: Solver) -> Solver:
    """The solver with its arguments checked first, and each problem solved only once."""

    @cache
    def solved(shape: tuple[int, int], C: bytes, a: bytes, b: bytes, eps: float,
               rho: float) -> Any:
        return solver(np.frombuffer(C).reshape(shape), np.frombuffer(a), np.frombuffer(b), eps,
                      rho)

    def solve(C: Array, a: Array, b: Array, eps: float, rho: float) -> tuple[Array, Array]:
        C, a, b = checked(C, a, b, eps, rho)
        f, g = solved(C.shape, C.tobytes(), a.tobytes(), b.tobytes(), eps, rho)
        return f, g

    return solve


# ------------------------------------------------------------------ three forms of the value
def value_of_mass(P: Array, a: Array, b: Array, eps: float, rho: float) -> float:
    """The value U, computed from the total mass of the plan alone. This formula follows from the
    optimality conditions U-4, and so is right for the optimal plan only.
    """
    return float(rho * (a.sum() + b.sum()) + eps * a.sum() * b.sum() - (2 * rho + eps) * P.sum())


def primal(P: Array, C: Array, a: Array, b: Array, eps: float, rho: float) -> float:
    """The value of a plan P by the primal U-1."""

    def kl(p: Array, q: Array) -> float:
        return float((rel_entr(p, q) - p + q).sum())

    return float((C * P).sum()) + eps * kl(P, np.outer(a, b)) + rho * (
        kl(P.sum(1), a) + kl(P.sum(0), b))


def dual(f: Array, g: Array, P: Array, a: Array, b: Array, eps: float, rho: float) -> float:
    """The value of potentials by the dual U-2; P is their plan."""
    return float(-rho * (a @ np.expm1(-f / rho) + b @ np.expm1(-g / rho))
                 - eps * (P.sum() - a.sum() * b.sum()))


# ------------------------------------------------------------------ all that a solver gives
def all_of(solver: Solver) -> Capabilities:
    """Every capability of unbalanced transport, from the potentials of a solver."""
    solve = remembered(solver)

    def plan(C: Array, a: Array, b: Array, eps: float, rho: float) -> Array:
        f, g = solve(C, a, b, eps, rho)
        return density_plan(f, g, *checked(C, a, b, eps, rho), eps)

    def value(C: Array, a: Array, b: Array, eps: float, rho: float) -> float:
        P = plan(C, a, b, eps, rho)
        return primal(P, *checked(C, a, b, eps, rho), eps, rho)

    def mass_gradient(C: Array, a: Array, b: Array, eps: float, rho: float) -> Array:
        f, _ = solve(C, a, b, eps, rho)
        return eps * (float(b.sum()) - np.exp(-f / rho)) - rho * np.expm1(-f / rho)

    return {"unbalanced_plan": plan, "unbalanced_potentials": solve, "unbalanced_value": value,
            "unbalanced_mass_gradient": mass_gradient, **on_points(value, plan)}


def on_points(value: Callable[..., float], plan: Callable[..., Array] | None = None,
              scale: float = 1.0) -> Capabilities:
    """The divergence from `value` and its gradient from `plan`, both for the cost times `scale`."""

    def cost_of(x: Array, y: Array, cost: str) -> Array:
        dense: Array = scale * point_cost(x.astype(np.float64), y.astype(np.float64), cost).dense()
        return dense

    def divergence(x: Array, a: Array, y: Array, b: Array, eps: float, rho: float,
                   cost: str) -> float:
        xy, xx, yy = (value(cost_of(u, v, cost), p, q, eps, rho)
                      for u, p, v, q in ((x, a, y, b), (x, a, x, a), (y, b, y, b)))
        bias = eps / 2 * (a.astype(np.float64).sum() - b.astype(np.float64).sum()) ** 2
        return float(xy - xx / 2 - yy / 2 + bias)

    def gradient(x: Array, a: Array, y: Array, b: Array, eps: float, rho: float,
                 cost: str) -> Array:
        assert plan is not None
        slopes = [scale * points_gradient(plan(cost_of(x, v, cost), a, q, eps, rho), point_cost(
            x.astype(np.float64), v.astype(np.float64), cost)) for v, q in ((y, b), (x, a))]
        return slopes[0] - slopes[1]

    found: Capabilities = {"unbalanced_divergence": divergence}
    return found if plan is None else found | {"unbalanced_divergence_gradient": gradient}


for _solver in (plain, translation_invariant, scaling, newton):
    right(f"unbalanced: {_solver.__name__.replace('_', ' ')}")(partial(all_of, _solver))

_solve = remembered(translation_invariant)
_all = all_of(translation_invariant)


def plan_of(*problem: Any) -> Array:
    """The right plan, for subjects that differ only in what they compute from it."""
    P: Array = _all["unbalanced_plan"](*problem)
    return P


@right("unbalanced: a C program")
def _program() -> Capabilities:
    return all_of(lambda *problem: compiled()(*problem))


@right("unbalanced: exchanged sides")
def _exchanged() -> Capabilities:
    def potentials(C: Array, a: Array, b: Array, eps: float, rho: float) -> tuple[Array, Array]:
        g, f = _solve(C.T, b, a, eps, rho)
        return f, g

    return {"unbalanced_potentials": potentials,
            "unbalanced_plan": lambda C, a, b, eps, rho: plan_of(C.T, b, a, eps, rho).T}


@right("unbalanced: value from the mass", tolerance=1e-5)
def _of_mass() -> Capabilities:
    """The value from the mass of a plan that is rounded to float32."""

    def value(C: Array, a: Array, b: Array, eps: float, rho: float) -> float:
        P = plan_of(C, a, b, eps, rho).astype(np.float32)
        C, a, b = checked(C, a, b, eps, rho)
        return value_of_mass(P, a, b, eps, rho)

    return {"unbalanced_value": value}


@right("unbalanced: value by the dual")
def _of_dual() -> Capabilities:
    def value(C: Array, a: Array, b: Array, eps: float, rho: float) -> float:
        f, g = _solve(C, a, b, eps, rho)
        C, a, b = checked(C, a, b, eps, rho)
        return dual(f, g, density_plan(f, g, C, a, b, eps), a, b, eps, rho)

    return {"unbalanced_value": value, **on_points(value)}


@right("unbalanced: both penalties, asked for KL")
def _two_penalties() -> Capabilities:
    """A solver for both penalties: after each softmin it damps the potential for KL, or clips it
    for TV. Here it is called for KL."""
    return {"unbalanced_potentials": remembered(partial(plain, penalty="kl"))}
