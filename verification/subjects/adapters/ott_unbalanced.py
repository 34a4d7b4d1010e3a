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
"""Two conventions of OTT's unbalanced solver: the problem that its documentation states, and the
problem of which its plan is the solution."""

Compile = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Jits a function, and lets it take and return NumPy arrays."""

THRESHOLD = 1e-9
"""The error at which the solver stops. With its default, 1e-3, a plan that has not converged could
not be told from the plan of another problem."""


def unbalanced(compiled: Compile, threshold: float) -> Iterator[Part]:
    """Parts for the problem of the documentation, for the problem that is solved, and for the
    divergence.

    `compiled` jits a function and lets it take NumPy arrays. `threshold` is OTT's default, at which
    the solves of the divergence stop, and so the tolerance of that part.
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
    """`solve`, but given another cost than C. OTT's KL compares the plan with ones, and refot's KL
    compares it with a b'. The other cost makes up for this: OTT's plan for that cost is refot's
    plan for C."""
    return lambda C, a, b, eps, rho: solve(their_cost_matrix(SOLVED, C, a, b, eps), a, b, eps, rho)


def _solver(compiled: Compile) -> Solve:
    """A function (C, a, b, eps, rho) -> the fields of the SinkhornOutput by name."""
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
    """The jitted function of each tau. JAX cannot trace tau, since OTT's code branches on it."""

    @cache
    def at(tau: float) -> Any:
        return compiled(partial(function, tau))

    return at


def _output(solved: Solve, called: str) -> Capabilities:
    """The plan, and the potentials, converted from the convention `called`."""

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
