"""Newton's method on the semi-dual by conjugate gradients: no matrix is factored.

The Hessian -(diag c - P' diag(1/a) P) / eps is applied through products with the plan: the
contract's `plan_apply` on any backend, or, on the CPU, a `sweep` over the entries that count, in
one call for all steps where the backend has that (`laplacian_solve`).
At small eps nearly all of a plan is negligible; leaving it out changes the direction a little,
never the answer, since gradient and line search are exact. (tang2024accelerating in
docs/references.bib.)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from refot.arrays import Array, namespace
from refot.backend_contract import DirectionSolver, Entries
from refot.problem import Problem
from refot.solvers.memory import budget
from refot.solvers.sinkhorn import on_support

from .newton import line_search, value_rounding
from .schedule import Iterates, annealed

Product: TypeAlias = Callable[[Array], Array]

NEGLIGIBLE, PER_ERROR = 1e-5, 1e-3
"""Entries P_ij below this part of a_i, or this part of the marginal error where that is less, are
left out of the Hessian: what remains of the error sits where parts of the plan hardly couple."""

STEPS = 500
"""At most so many steps of conjugate gradients for one direction."""

STALL, RISE = 30, 10.0
"""It ends after so many iterations without a new smallest error, in which the semi-dual has not
risen by so many times its rounding either."""

BOLDER, BOLDEST = 0.1, 3
"""Each without a new smallest error is damped by this factor less, up to so many: between parts of
a plan that have come apart mass moves only once their potentials have, perhaps by thousands of eps.
"""


def newton_cg(p: Problem, g: Array) -> Iterates:
    """Newton-CG under an eps schedule."""
    return annealed(p, g, newton_cg_iterates)


def newton_cg_iterates(p: Problem, g: Array) -> Iterates:
    """(f, g, marginal error); rows are exact, so that the error is |c - b|_1, c = P'1.

    c comes from the transform of f, c_j = b_j exp((g_j - f^_j) / eps): never an overflow within.
    """
    f, waited, stalled, value = p.transform(g), 0, 0, -math.inf
    best, best_f, best_g = math.inf, f, g
    while stalled < STALL:
        transform = p.T.transform(f, g)
        g = on_support(p.T, g, transform)
        with np.errstate(over="ignore"):
            columns = p.b * namespace(g).exp((g - transform) / p.eps)
        residual = p.b - columns
        error = float(abs(residual).sum())
        value, before = float(p.a @ f + p.b @ g), value
        waited += 1
        stalled = 0 if value > before + RISE * value_rounding(p, value) else stalled + 1
        if error < best:
            best, best_f, best_g, waited, stalled = error, f, g, 0, 0
        yield f, g, error
        caution = error * BOLDER ** min(waited, BOLDEST)
        f, g = line_search(p, f, g, p.eps * direction(p, f, g, residual, error, caution), residual)
    yield best_f, best_g, best


def direction(p: Problem, f: Array, g: Array, residual: Array, error: float, caution: float
              ) -> Array:
    """d with (diag c - P' diag(1/a) P + damping) d = b - c, roughly; damped in proportion to the
    caution: far from the optimum it is a scaled gradient step, near it Newton's."""
    accuracy = min(0.1, math.sqrt(max(error, 1e-10)))
    P = sparse_plan(p, f, p.G(g), min(NEGLIGIBLE, PER_ERROR * caution))
    if P is None:
        diagonal = damped(p.b, p.T.row_sums(g, f), caution)
        x = conjugate_gradients(lambda v: diagonal * v - plan_coupling(p, p.F(f), p.G(g), v),
                                residual, diagonal, accuracy)
    else:
        x = sparse_direction(p, P, residual, caution, accuracy)
    return x.astype(g.dtype, copy=False)


def sparse_direction(p: Problem, P: Entries, residual: Array, caution: float, accuracy: float
                     ) -> Array:
    """The same from the entries of P: in one call, where the backend offers that and it pays."""
    rows, columns = p.backend.sweep(P, np.ones_like(p.b), np.ones_like(p.a), 0.0)
    weights, diagonal = inverse(rows), damped(p.b, columns, caution)
    if isinstance(p.backend, DirectionSolver):
        x = p.backend.laplacian_solve(P, weights, diagonal, residual, accuracy, STEPS)
        if x is not None:
            return x
    return conjugate_gradients(
        lambda v: diagonal * v - p.backend.sweep(P, v, weights, -1.0)[1],
        residual, diagonal, accuracy)


def damped(b: Array, columns: Array, caution: float) -> Array:
    """The diagonal of the Hessian, away from 0 and raised."""
    xp = namespace(b)
    return xp.maximum(columns, xp.where(b > 0, 1e-3 * b, 1)) * (1 + min(caution, 1.0))


def conjugate_gradients(A: Product, y: Array, diagonal: Array, accuracy: float) -> Array:
    """x with A x = y to a relative accuracy in the norm of 1 / diagonal, which preconditions."""
    x, r = namespace(y).zeros_like(y), y
    z = r / diagonal
    q, rz = z, float(r @ z)
    target = accuracy**2 * rz
    for _ in range(STEPS):
        Aq = A(q)
        curvature = float(q @ Aq)
        if not (curvature > 0 and rz > target):
            break
        step = rz / curvature
        x, r = x + step * q, r - step * Aq
        z = r / diagonal
        rz, before = float(r @ z), rz
        q = z + (rz / before) * q
    return x


# ------------------------------------------------------------------ products with the plan
def inverse(rows: Array) -> Array:
    """1 / rows, and 0 where a row has no mass."""
    xp = namespace(rows)
    return xp.where(rows > 0, 1 / xp.where(rows > 0, rows, 1), 0)


def plan_coupling(p: Problem, F: Array, G: Array, v: Array) -> Array:
    """P' diag(1/a) P v, term by term."""
    rows = p.backend.plan_apply(p.C, F, G, p.eps, v[:, None])
    return p.backend.plan_apply(p.C.T, G, F, p.eps, inverse(p.a)[:, None] * rows)[:, 0]


def sparse_plan(p: Problem, f: Array, G: Array, least: float) -> Entries | None:
    """The entries of P above least a_i, by rows; None beyond the budget, and on a device."""
    if p.backend.xp is not np:
        return None
    most = budget() // 24  # an entry takes 12 bytes, and is a moment held twice
    found = p.backend.plan_entries(p.C, f, G, p.eps, max(least, 1e-300), most)
    if found is None:
        return None
    conditional, columns, starts = found  # P_ij / a_i
    conditional *= np.repeat(p.a, np.diff(starts))
    return conditional, columns, starts
