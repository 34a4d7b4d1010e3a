"""Right subjects written in unusual ways: rounded plans, L-BFGS, a C program, float32, and more."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import minimize

import refot
from refot.arrays import Array

from .program import compiled
from .right import F_of, all_of, normalised, right, solve, terms
from .solvers import density_plan, symmetric, transform


@right("exchanged sides")
def _exchanged() -> dict[str, Callable[..., Any]]:
    def potentials(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
        g, f, _ = solve(C.T, b, a, eps)
        # adding a constant to f and taking it from g must not make the potentials wrong
        return f + 7.0, g - 7.0

    return {"potentials": potentials,
            "plan": lambda C, a, b, eps: solve(C.T, b, a, eps)[2].T}


@right("rounded to exact marginals")
def _rounded() -> dict[str, Callable[..., Any]]:
    """A plan that is off by 1e-9, rounded to exact marginals as in Altschuler et al. 2017."""

    def plan(C: Array, a: Array, b: Array, eps: float) -> Array:
        P = solve(C, a, b, eps)[2] + 1e-9 * np.outer(a, b)  # so that something is left to round
        a, b = normalised(a), normalised(b)
        P = P * np.minimum(a / np.where(a > 0, P.sum(1), 1), 1)[:, None]
        P = P * np.minimum(b / np.where(b > 0, P.sum(0), 1), 1)
        rows, columns = np.maximum(a - P.sum(1), 0), np.maximum(b - P.sum(0), 0)
        return P + np.outer(rows, columns) / max(rows.sum(), columns.sum(), 1e-300)

    return {"plan": plan}


@right("an interior-point plan")
def _interior() -> dict[str, Callable[..., Any]]:
    """Noise of 1e-9 / n in every entry, of both signs, as interior-point solvers leave it."""

    def plan(C: Array, a: Array, b: Array, eps: float) -> Array:
        P = solve(C, a, b, eps)[2]
        return P + np.random.default_rng(3).uniform(-1e-9, 1e-9, P.shape) / len(a)

    return {"plan": plan, "transport_cost": lambda *problem: (plan(*problem) * problem[0]).sum()}


@right("L-BFGS on the semi-dual", tolerance=1e-4)
def _quasi_newton() -> dict[str, Callable[..., Any]]:
    def value(C: Array, a: Array, b: Array, eps: float) -> float:
        C, a, b = C.astype(np.float64), normalised(a), normalised(b)
        if not np.isfinite(C).all():
            raise ValueError("a cost is not finite")
        if np.ptp(C) > 30 * eps:
            raise NotImplementedError("too ill-conditioned for a quasi-Newton method")

        def loss(g: Array) -> tuple[float, Array]:
            f = transform(C, g, b, eps)
            return -float(a @ f + b @ g), density_plan(f, g, C, a, b, eps).sum(0) - b

        found = minimize(loss, np.zeros_like(b), jac=True, method="L-BFGS-B",
                         options={"maxiter": 300, "ftol": 1e-14, "gtol": 1e-10})
        return -float(found.fun)

    return {"value": value}


@right("linear programme at tiny eps", tolerance=5e-3)
def _linear() -> dict[str, Callable[..., Any]]:
    """W0, the value without regularisation, in place of the sharp value <C,P>. The two differ by at
    most eps min(H(a), H(b)), where H is the entropy.

    It refuses problems on which that may be more than the stated tolerance.
    """

    def transport_cost(C: Array, a: Array, b: Array, eps: float) -> float:
        if eps * np.log(min(C.shape)) > 5e-3 * np.ptp(C):
            raise NotImplementedError("eps is not tiny")
        return refot.kantorovich(C, a, b)[0]

    return {"transport_cost": transport_cost}


@right("float32 inside", tolerance=2e-3)
def _single() -> dict[str, Callable[..., Any]]:
    """The plan is computed in float32 from f + g - C, and is off by the rounding of that."""

    def plan(C: Array, a: Array, b: Array, eps: float) -> Array:
        f, g, _ = solve(C, a, b, eps)
        if np.ptp(C) > 1000 * eps:
            raise NotImplementedError("float32 does not resolve C / eps")
        exponent = (f[:, None] + g - C).astype(np.float32) / np.float32(eps)
        return np.outer(normalised(a), normalised(b)).astype(np.float32) * np.exp(exponent)

    return {"plan": plan, "value": lambda *problem: np.float32(F_of(*problem))}


@right("a C program")
def _program() -> dict[str, Callable[..., Any]]:
    def potentials(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
        if np.ptp(C) > 100 * eps:
            raise NotImplementedError("the C program is a plain Sinkhorn iteration")
        return compiled()(C, a, b, eps)

    return all_of(potentials)


@right("symmetric updates for self terms")
def _self_terms() -> dict[str, Callable[..., Any]]:
    def value(C: Array, a: Array, b: Array, eps: float) -> float:
        if C.shape == C.T.shape and (a == b).all() and (C == C.T).all():
            return 2 * float(a @ symmetric(C, a, eps))
        return F_of(C, a, b, eps)

    def divergence(x: Array, a: Array, y: Array, b: Array, eps: float, cost: str) -> float:
        x, a, y, b = x.astype(np.float64), normalised(a), y.astype(np.float64), normalised(b)
        xy, xx, yy = terms(value, x, a, y, b, eps, cost)
        return xy - xx / 2 - yy / 2

    return {"divergence": divergence}


# ------------------------------------------------------------------ subjects that do not converge
def _plain(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array, bool]:
    """(f, g, whether they converged) after at most 6000 alternating transforms."""
    C, a, b = C.astype(np.float64), normalised(a), normalised(b)
    if not np.isfinite(C).all() or not C.size or C.shape != (len(a), len(b)):
        raise ValueError("a cost is not finite, or does not fit the weights")
    if not 0 < eps < np.inf:
        raise ValueError(f"eps = {eps}")
    f, g = np.zeros(len(a)), np.zeros(len(b))
    for _ in range(6_000):
        f, old = transform(C, g, b, eps), f
        g = transform(C.T, f, a, eps)
        if abs(f - old)[a > 0].max() < 1e-10 * eps:
            return f, g, True
    return f, g, False


@right("plain, and warns")
def _warns() -> dict[str, Callable[..., Any]]:
    """If it does not converge, it warns, and returns the last plan."""

    def plan(C: Array, a: Array, b: Array, eps: float) -> Array:
        f, g, converged = _plain(C, a, b, eps)
        if not converged:
            warnings.warn("Sinkhorn did not converge", stacklevel=2)
        return density_plan(f, g, C, normalised(a), normalised(b), eps)

    return {"plan": plan, "transport_cost": lambda *problem: (plan(*problem) * problem[0]).sum()}


@right("plain, and raises")
def _raises() -> dict[str, Callable[..., Any]]:
    """If it does not converge, it raises an error."""

    def potentials(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
        f, g, converged = _plain(C, a, b, eps)
        if not converged:
            raise ArithmeticError("no convergence after 6000 iterations")
        return f, g

    return {"potentials": potentials}


@right("plain, and says so when it is asked")
def _says_so() -> dict[str, Callable[..., Any]]:
    """If it does not converge, its `converged` says no."""

    def value(C: Array, a: Array, b: Array, eps: float) -> float:
        f, g, _ = _plain(C, a, b, eps)
        return float(normalised(a) @ f + normalised(b) @ g)

    return {"value": value, "converged": lambda *problem: _plain(*problem)[2]}
