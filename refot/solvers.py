"""Faster roads to the same potentials: an eps schedule, and Newton's method on the semi-dual.

Each is a generator of (f, g, marginal error), as in `sinkhorn`, so that one loop stops them all.
`solve` is the call: `method="auto"` takes Newton where a dense factorisation is cheap, and the
eps schedule elsewhere.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np

from refot.arrays import Array, InputError, lookup, namespace
from refot.backend_contract import BackendLike
from refot.costs import row_blocks
from refot.problem import Problem, problem
from refot.sinkhorn import SinkhornResult, iterate, log_iterates, on_support

Iterates: TypeAlias = Iterator[tuple[Array, Array, float]]

NEWTON_LIMIT = 1_500
"""Newton's method factors a matrix of the smaller side: `auto` uses it up to this size."""

SCHEDULE_FACTOR = 2.0
"""eps falls by this factor from one stage of the schedule to the next."""

STAGE_ERROR, STAGE_ITERATIONS = 1e-3, 50
"""A stage above the final eps ends at this marginal error, or after so many iterations."""

STALL = 10
"""Newton's method ends after so many iterations without a new smallest error: rounding floor."""


def solve(
    C: Any,
    a: Any,
    b: Any,
    eps: Any,
    *,
    method: str = "auto",
    tol: float | None = None,
    max_iter: int = 10_000,
    g: Any | None = None,
    backend: BackendLike = None,
) -> SinkhornResult:
    """Optimal potentials to an L1 marginal error <= tol; warns and says so where it fails.

    C (n, m) or an operand; a (n,), b (m,); `g` (m,) a warm start (default 0); `method` one of
    "auto", "sinkhorn", "schedule", "newton". The error that can be reached in floating point is
    about u max|C| / eps (u = 1e-16 in float64): a smaller tol is reported as not converged.
    """
    p = problem(C, a, b, eps, backend)
    start = namespace(p.b).zeros_like(p.b) if g is None else p.column_potential(g)
    choice = lookup(METHODS, method, "method")
    return iterate(p, choice(p, start), tol, max_iter)


# ------------------------------------------------------------------ the methods
def schedule(p: Problem, g: Array) -> Iterates:
    """Sinkhorn's algorithm under an eps schedule. (Kosowsky and Yuille 1994; Schmitzer 2019.)"""
    return annealed(p, g, log_iterates)


def newton(p: Problem, g: Array) -> Iterates:
    """Newton's method under an eps schedule, in the potential of the smaller side."""
    if p.backend.xp is not np or p.C.dtype != np.float64:
        raise InputError("method", "'newton' off the CPU or in float32", "float64 NumPy arrays")
    if p.C.shape[1] <= p.C.shape[0]:
        yield from annealed(p, g, newton_iterates)
    else:
        for columns, rows, error in annealed(p.T, p.transform(g), newton_iterates):
            yield rows, columns, error


def auto(p: Problem, g: Array) -> Iterates:
    """Newton where a dense float64 factorisation is cheap, else the schedule."""
    dense = p.backend.xp is np and p.C.dtype == np.float64 and min(p.C.shape) <= NEWTON_LIMIT
    return newton(p, g) if dense else schedule(p, g)


METHODS: dict[str, Callable[[Problem, Array], Iterates]] = {
    "auto": auto,
    "sinkhorn": log_iterates,
    "schedule": schedule,
    "newton": newton,
}


# ------------------------------------------------------------------ eps schedule
def annealed(p: Problem, g: Array, stage: Callable[[Problem, Array], Iterates]) -> Iterates:
    """Run `stage` roughly at each eps of a falling schedule, then at eps for good."""
    for eps in eps_schedule(cost_range(p), p.eps):
        for _, g_stage, error in itertools.islice(stage(replace(p, eps=eps), g), STAGE_ITERATIONS):
            g = g_stage
            if error < STAGE_ERROR:
                break
    yield from stage(p, g)


def eps_schedule(first: float, eps: float) -> Iterator[float]:
    """first, first/2, first/4, ... while above eps."""
    while first > eps:
        yield first
        first /= SCHEDULE_FACTOR


def cost_range(p: Problem) -> float:
    """max C - min C: where the schedule starts; an offset of the cost does not matter."""
    blocks = [p.C.rows(rows) for rows in row_blocks(p.C)]
    spread = float(max(C.max() for C in blocks)) - float(min(C.min() for C in blocks))
    if not math.isfinite(spread):
        raise InputError("C", f"costs that range over {spread}", "a range that floats can hold")
    return spread


# ------------------------------------------------------------------ Newton
def newton_iterates(p: Problem, g: Array) -> Iterates:
    """Newton's method on the concave semi-dual B-24 in g, with a dense plan and a line search.

    Gradient b - c, c = P'1; Hessian -(diag c - P' diag(1/a) P) / eps. Ends at the rounding floor.
    """
    C, best, stalled = p.C.dense(), np.inf, 0
    f = p.transform(g)
    while stalled < STALL:
        P = np.exp((p.F(f)[:, None] + p.G(g) - C) / p.eps)
        columns = P.sum(axis=0)
        if not p.b.all():
            g = on_support(p.T, g, p.T.transform(f))
        residual = p.b - columns
        error = float(abs(residual).sum() + abs(P.sum(axis=1) - p.a).sum())
        stalled = 0 if error < best else stalled + 1
        best = min(best, error)
        yield f, g, error
        f, g = line_search(p, f, g, newton_step(P, columns, residual, p), residual)


def newton_step(P: Array, columns: Array, residual: Array, p: Problem) -> Array:
    """The regularised Newton direction, (m,): an ascent direction of the semi-dual.

    The Hessian is singular along shifts, and nearly so where the plan decouples: the first is
    lifted, the second damped in proportion to the error, and harder until the step ascends.
    """
    size, scale = columns.shape[0], columns.mean()
    H = np.diag(columns) - P.T @ (P / np.where(p.a > 0, p.a, 1)[:, None]) + scale / size
    damping = scale * max(1e-2 * abs(residual).sum(), 1e-15)
    while np.isfinite(damping):
        try:
            step = np.linalg.solve(H + damping * np.eye(size), residual)
        except np.linalg.LinAlgError:
            step = np.full(size, np.nan)
        if step @ residual >= 0:
            return p.eps * step
        damping *= 10
    return np.zeros(size)  # nothing ascends: the iterates stall, and the solve says so


def line_search(
    p: Problem, f: Array, g: Array, step: Array, residual: Array
) -> tuple[Array, Array]:
    """(f, g) at the first of g + step, g + step/2, ... that raises the semi-dual enough (Armijo).

    A rise below the rounding of the value counts: near the optimum that is all there is.
    """
    value, slope = float(p.a @ f + p.b @ g), float(step @ residual)
    rounding = 1e-15 * (abs(value) + p.eps)
    for t in 0.5 ** np.arange(40):
        g_next = g + t * step
        f_next = p.transform(g_next)
        if float(p.a @ f_next + p.b @ g_next) >= value + 1e-4 * t * slope - rounding:
            return f_next, g_next
    return f, g
