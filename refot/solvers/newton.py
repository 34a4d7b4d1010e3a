"""Newton's method on the semi-dual with a dense Hessian: small problems, to the rounding floor."""

from __future__ import annotations

import numpy as np

from refot.arrays import Array, InputError
from refot.problem import Problem
from refot.solvers.memory import fits_matrix
from refot.solvers.sinkhorn import on_support

from .schedule import Iterates, annealed

NEWTON_LIMIT = 1_500
"""Newton's method factors a matrix of the smaller side: under a second up to this size."""

MATRICES = 4
"""The cost, the plan and two that a step needs on the way are matrices (n, m)."""

STALL = 10
"""Newton's method ends after so many iterations without a new smallest error: rounding floor."""


def newton(p: Problem, g: Array) -> Iterates:
    """Newton's method under an eps schedule, in the potential of the smaller side."""
    if p.backend.xp is not np or p.C.dtype != np.float64:
        raise InputError("method", f"'newton' on {p.C.dtype} arrays of backend {p.backend.name!r}",
                         "float64 on numpy or numba; or 'newton-cg', on any backend")
    if not fits_matrix(p.C, copies=MATRICES):
        raise InputError("method", f"'newton', which forms {MATRICES} matrices beyond the budget",
                         "more memory=, or 'newton-cg'")
    if p.C.shape[1] <= p.C.shape[0]:
        yield from annealed(p, g, newton_iterates)
    else:
        for columns, rows, error in annealed(p.T, p.transform(g), newton_iterates):
            yield rows, columns, error


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
    rounding = value_rounding(p, value)
    for k in range(40):
        t = 0.5**k
        g_next = g + t * step
        f_next = p.transform(g_next, f)
        if float(p.a @ f_next + p.b @ g_next) >= value + 1e-4 * t * slope - rounding:
            return f_next, g_next
    return f, g


def value_rounding(p: Problem, value: float) -> float:
    """How far the rounding of potentials may move the value of the semi-dual."""
    return 4 * float(np.finfo(p.C.dtype).eps) * (abs(value) + p.eps)
