"""OTT-JAX's unbalanced transport: `tau_a` and `tau_b` of a linear problem, with KL penalties."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.conventions.unbalanced import parameter_from_rho, unbalanced_potentials_to_refot
from refot.verification.subjects.subject import Part

from . import unsupported
from .pot_unbalanced import kept

CALLED = "ott.reg_ot_cost(tau)"
"""The convention of all of them."""

Compile = Callable[[Callable[..., Any]], Callable[..., Any]]


def unbalanced(compiled: Compile, threshold: float) -> Iterator[Part]:
    """A part at the default threshold, a twin that converges, and the divergence.

    `threshold` is the default, `compiled` makes a jitted function of NumPy arrays.
    """
    solve = _solver(compiled)
    for name, tight in (("", threshold), ("threshold=1e-9", 1e-9)):
        options = ", ".join(filter(None, ("tau_a=tau, tau_b=tau", name)))
        yield Part(f"linear.solve({options})", _output(solve, tight), calls="ott.reg_ot_cost",
                   tolerance=None if name else threshold)
    # documented: <C,P> - eps H(P) + both penalties
    yield Part("linear.solve(tau_a=tau, tau_b=tau, threshold=1e-9).ent_reg_cost",
               {"unbalanced_value": _entropic(solve)}, calls="ott.ent_reg_cost")
    yield Part("sinkhorn_divergence(PointCloud, solve_kwargs={tau_a, tau_b})",
               {"unbalanced_divergence": _divergence(compiled)}, calls="ott.sinkhorn_divergence",
               tolerance=threshold)


def _solver(compiled: Compile) -> Callable[..., dict[str, Any]]:
    """(C, a, b, eps, rho, threshold) to what the SinkhornOutput holds, by name."""
    from ott.geometry.geometry import Geometry
    from ott.problems.linear.linear_problem import LinearProblem
    from ott.solvers.linear.sinkhorn import Sinkhorn

    def solve(tau: float, C: Any, a: Any, b: Any, eps: Any, threshold: Any) -> dict[str, Any]:
        problem = LinearProblem(Geometry(C, epsilon=eps), a=a, b=b, tau_a=tau, tau_b=tau)
        solved = Sinkhorn(threshold=threshold)(problem)
        return {name: getattr(solved, name)
                for name in ("matrix", "f", "g", "reg_ot_cost", "ent_reg_cost")}

    jitted = _for_each_tau(compiled, solve)
    return lambda C, a, b, eps, rho, threshold: jitted(
        parameter_from_rho(CALLED, rho, eps))(C, a, b, eps, threshold)


def _for_each_tau(compiled: Compile, function: Callable[..., Any]) -> Callable[[float], Any]:
    """The jitted function of each tau: OTT asks whether it is 1, so that it cannot be traced."""

    @cache
    def at(tau: float) -> Any:
        return compiled(partial(function, tau))

    return at


def _output(solve: Callable[..., dict[str, Any]], threshold: float) -> dict[str, Callable[..., Any]]:
    solved = kept(lambda *problem: solve(*problem, threshold))

    def potentials(C: Array, a: Array, b: Array, eps: float, rho: float) -> tuple[Array, Array]:
        found = solved(C, a, b, eps, rho)
        return unbalanced_potentials_to_refot(CALLED, found["f"], found["g"], a, b, eps)

    return {"unbalanced_plan": lambda *problem: solved(*problem)["matrix"],
            "unbalanced_potentials": potentials,
            "unbalanced_value": lambda *problem: solved(*problem)["reg_ot_cost"]}


def _entropic(solve: Callable[..., dict[str, Any]]) -> Callable[..., float]:
    """U from <C,P> - eps H(P) + both penalties, with the plan that comes with it.

    eps KL(P | a(x)b) - (-eps H(P)) = -eps <P1, log a> - eps <P'1, log b> + eps (m_a m_b - m(P)).
    """

    def value(C: Array, a: Array, b: Array, eps: float, rho: float) -> float:
        found = solve(C, a, b, eps, rho, 1e-9)
        P, masses = found["matrix"], float(a.sum()) * float(b.sum())
        logs = sum(float(p @ np.log(np.where(w > 0, w, 1)))
                   for p, w in ((P.sum(1), a), (P.sum(0), b)))
        return float(found["ent_reg_cost"]) + eps * (masses - float(P.sum()) - logs)

    return value


def _divergence(compiled: Compile) -> Callable[..., Any]:
    from ott.geometry import costs
    from ott.geometry.pointcloud import PointCloud
    from ott.tools.sinkhorn_divergence import sinkhorn_divergence

    theirs = {"sqeuclidean": costs.SqEuclidean(), "euclidean": costs.Euclidean(),
              "l1": costs.PNormP(1)}

    def value(tau: float, x: Any, a: Any, y: Any, b: Any, eps: Any, cost_fn: Any) -> Any:
        return sinkhorn_divergence(PointCloud, x, y, cost_fn=cost_fn, epsilon=eps, a=a, b=b,
                                   solve_kwargs={"tau_a": tau, "tau_b": tau})[0]

    jitted = _for_each_tau(compiled, value)

    def call(x: Array, a: Array, y: Array, b: Array, eps: float, rho: float, cost: str) -> Any:
        if cost not in theirs:
            raise unsupported("sinkhorn_divergence", cost, ", ".join(theirs))
        return jitted(parameter_from_rho(CALLED, rho, eps))(x, a, y, b, eps, theirs[cost])

    return call
