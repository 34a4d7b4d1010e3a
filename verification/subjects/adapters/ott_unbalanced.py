"""OTT-JAX's unbalanced transport: `tau_a` and `tau_b` of a linear problem, with KL penalties."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

from refot.arrays import Array
from refot.conventions.unbalanced import (
    parameter_from_rho,
    their_cost_matrix,
    unbalanced_potentials_to_refot,
)
from refot.verification.subjects.subject import Part

from . import Capabilities, once, unsupported
from .pot_unbalanced import Solve

DOCUMENTED, SOLVED = "ott.reg_ot_cost(tau), documented", "ott.reg_ot_cost(tau)"
"""Their conventions: what the documentation says, and what the plan is the solution of."""

Compile = Callable[[Callable[..., Any]], Callable[..., Any]]

THRESHOLD = 1e-9
"""Of the solver; the default of 1e-3 would hide what is right and what is not."""


def unbalanced(compiled: Compile, threshold: float) -> Iterator[Part]:
    """The problem of the documentation, that of which the plan is the solution, the divergence.

    `compiled` makes a jitted function of NumPy arrays; `threshold` is the default, of the solves of
    a divergence, where it cannot be changed without the solver.
    """
    solve = _solver(compiled)
    name = f"linear.solve(tau_a=tau, tau_b=tau, threshold={THRESHOLD:g})"
    solved = once(solve)
    yield Part(name, {**_output(solved, DOCUMENTED),
                      "unbalanced_value": lambda *problem: solved(*problem)["reg_ot_cost"]},
               calls="ott.reg_ot_cost")
    yield Part(f"{name} on the cost of KL to 1", _output(once(_on_their_cost(solve)), SOLVED),
               calls="ott.reg_ot_cost")
    yield Part("sinkhorn_divergence(PointCloud, solve_kwargs={tau_a, tau_b})",
               {"unbalanced_divergence": _divergence(compiled)}, calls="ott.sinkhorn_divergence",
               tolerance=threshold)


def _on_their_cost(solve: Solve) -> Solve:
    """`solve`, on the cost on which KL to 1 gives the plan that KL to a b' gives on C."""
    return lambda C, a, b, eps, rho: solve(their_cost_matrix(SOLVED, C, a, b, eps), a, b, eps, rho)


def _solver(compiled: Compile) -> Solve:
    """(C, a, b, eps, rho) to what the SinkhornOutput holds, by name."""
    from ott.geometry.geometry import Geometry
    from ott.problems.linear.linear_problem import LinearProblem
    from ott.solvers.linear.sinkhorn import Sinkhorn

    def solve(tau: float, C: Any, a: Any, b: Any, eps: Any) -> dict[str, Any]:
        problem = LinearProblem(Geometry(C, epsilon=eps), a=a, b=b, tau_a=tau, tau_b=tau)
        solved = Sinkhorn(threshold=THRESHOLD)(problem)
        return {name: getattr(solved, name) for name in ("matrix", "f", "g", "reg_ot_cost")}

    jitted = _for_each_tau(compiled, solve)
    return lambda C, a, b, eps, rho: jitted(parameter_from_rho(SOLVED, rho, eps))(C, a, b, eps)


def _for_each_tau(compiled: Compile, function: Callable[..., Any]) -> Callable[[float], Any]:
    """The jitted function of each tau: OTT asks whether it is 1, so that it cannot be traced."""

    @cache
    def at(tau: float) -> Any:
        return compiled(partial(function, tau))

    return at


def _output(solved: Solve, called: str) -> Capabilities:
    """The plan, and the potentials in the convention that is called."""

    def potentials(C: Array, a: Array, b: Array, eps: float, rho: float) -> tuple[Array, Array]:
        found = solved(C, a, b, eps, rho)
        return unbalanced_potentials_to_refot(called, found["f"], found["g"], a, b, eps)

    return {"unbalanced_plan": lambda *problem: solved(*problem)["matrix"],
            "unbalanced_potentials": potentials}


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
        return jitted(parameter_from_rho(SOLVED, rho, eps))(x, a, y, b, eps, theirs[cost])

    return call
