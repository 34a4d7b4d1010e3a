"""Right subjects: the register of all, a subject for each solver, and what other subjects share.

If one of them fails a check, the verifier has a defect. A subject that cannot solve a problem
raises NotImplementedError, and the check is reported as not provided. `right_ways` has subjects
that are written in unusual ways, `right_conventions` those with other conventions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
from scipy.special import rel_entr

from refot.arrays import Array
from refot.costs.operands import point_cost
from refot.verification.subjects.subject import Part, Subject
from refot.verification.zoo.solvers import (
    Solver,
    absorbed,
    density_plan,
    log_domain,
    newton,
    over_relaxed,
    scaling,
)

RIGHT: dict[str, Callable[[], Subject]] = {}
"""Functions that make the right subjects, by name."""


def right(
    name: str, convention: str = "refot", tolerance: float | None = None
) -> Callable[[Callable[[], dict[str, Callable[..., Any]]]], Any]:
    """Decorate a function that returns capabilities, to register them as a right subject."""

    def register(capabilities: Callable[[], dict[str, Callable[..., Any]]]) -> Any:
        RIGHT[name] = lambda: Subject(
            name, "", (Part(name, capabilities(), convention, tolerance),))
        return capabilities

    return register


def remembered(solver: Solver) -> Solver:
    """The solver, with checked arguments. Its answers are kept, so that capabilities share them."""

    @cache
    def solved(shape: tuple[int, int], C: bytes, a: bytes, b: bytes, eps: float) -> Any:
        return solver(np.frombuffer(C).reshape(shape), np.frombuffer(a), np.frombuffer(b), eps)

    def solve(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array]:
        C, a, b = np.ascontiguousarray(C, dtype=np.float64), normalised(a), normalised(b)
        if not np.isfinite(C).all() or not C.size or C.shape != (len(a), len(b)):
            raise ValueError("a cost is not finite, or does not fit the weights")
        if not 0 < eps < np.inf:
            raise ValueError(f"eps = {eps}")
        f, g = solved(C.shape, C.tobytes(), a.tobytes(), b.tobytes(), eps)
        return f, g

    return solve


def normalised(weights: Array) -> Array:
    """The weights in float64, with the sum 1. Raises ValueError unless they were a probability."""
    weights = weights.astype(np.float64)
    if (weights < 0).any() or not abs(weights.sum() - 1) < 1e-4:
        raise ValueError("not the weights of a probability")
    return weights / weights.sum()


def all_of(solver: Solver) -> dict[str, Callable[..., Any]]:
    """Plan, potentials, value and transport cost, all from the potentials of the solver."""
    solver = remembered(solver)

    def plan(*problem: Any) -> Array:
        return density_plan(*solver(*problem), *problem)

    def value(C: Array, a: Array, b: Array, eps: float) -> float:
        P = plan(C, a, b, eps)
        return float((P * C).sum() + eps * rel_entr(P, np.outer(a, b)).sum())

    return {"plan": plan, "potentials": solver, "value": value,
            "transport_cost": lambda *problem: (plan(*problem) * problem[0]).sum()}


for _solver in (scaling, log_domain, over_relaxed, absorbed, newton):
    right(_solver.__name__.replace("_", " "))(partial(all_of, _solver))


_newton = remembered(newton)


def solve(C: Array, a: Array, b: Array, eps: float) -> tuple[Array, Array, Array]:
    """(f, g, P), for subjects that differ only in what they compute from these."""
    f, g = _newton(C, a, b, eps)
    P = density_plan(f, g, C.astype(np.float64), normalised(a), normalised(b), eps)
    return f, g, P


def F_of(C: Array, a: Array, b: Array, eps: float) -> float:
    """The KL-inclusive value, as the dual at the optimum."""
    f, g, _ = solve(C, a, b, eps)
    return float(normalised(a) @ f + normalised(b) @ g)


def s_of(C: Array, a: Array, b: Array, eps: float) -> float:
    """The sharp value <C,P>."""
    return float((solve(C, a, b, eps)[2] * C).sum())


def terms(
    W: Callable[..., float], x: Array, a: Array, y: Array, b: Array, eps: float, cost: str,
    scale: float = 1.0,
) -> tuple[float, float, float]:
    """The value W(C, a, b, eps) of the problems (x, y), (x, x) and (y, y), whose cost is multiplied
    by `scale`."""
    return tuple(W(scale * point_cost(u, v, cost).dense(), p, q, eps)  # type: ignore[return-value]
                 for u, p, v, q in ((x, a, y, b), (x, a, x, a), (y, b, y, b)))
