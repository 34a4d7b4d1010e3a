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
from refot.solvers.stopping import out_of_time

from .ascent import ascend, lightest
from .schedule import Iterates, scheduled

Product: TypeAlias = Callable[[Array], Array]

NEGLIGIBLE = 1e-5
"""Entries P_ij below this part of a_i are left out of the Hessian."""

PER_ERROR = 1e-3
"""Fewer are left out where this part of the marginal error is less: what remains of the error sits
where parts of the plan hardly couple."""

STEPS = 500
"""Steps of conjugate gradients for one direction, at most."""

MORE_STEPS = 10
"""Where iterations gain nothing, up to this multiple of STEPS: parts that hardly couple need it."""


def newton_cg_iterates(p: Problem, g: Array) -> Iterates:
    """The ascent in a direction by conjugate gradients."""
    return ascend(p, g, direction)


newton_cg = scheduled(newton_cg_iterates)
"""Newton-CG under an eps schedule."""


def direction(p: Problem, f: Array, g: Array, residual: Array, caution: float) -> Array:
    """x with (diag c - P' diag(1/a) P + damping) x = b - c, roughly; damped in proportion to the
    caution, and the more exact the less of it there is: parts of a plan that have come apart move
    together over thousands of eps, and must not be torn within."""
    accuracy = min(0.1, math.sqrt(max(caution, 1e-10)))
    boldness = float(abs(residual).sum()) / caution if caution > 0 else 1.0
    steps = int(STEPS * min(math.sqrt(boldness), MORE_STEPS))
    P = sparse_plan(p, f, p.G(g), min(NEGLIGIBLE, PER_ERROR * caution))
    if P is None:
        diagonal = damped(p, g, p.T.row_sums(g, f), caution)
        x = conjugate_gradients(lambda v: diagonal * v - plan_coupling(p, f, g, v),
                                residual, diagonal, accuracy, steps)
    else:
        x = sparse_direction(p, P, g, residual, caution, accuracy, steps)
    return x.astype(g.dtype, copy=False)


def sparse_direction(p: Problem, P: Entries, g: Array, residual: Array, caution: float,
                     accuracy: float, steps: int) -> Array:
    """The same from the entries of P: in one call, where the backend offers that and it pays."""
    rows, columns = p.backend.sweep(P, np.ones_like(p.b), np.ones_like(p.a), 0.0)
    weights, diagonal = p.coupling * inverse(rows), damped(p, g, columns, caution)
    if isinstance(p.backend, DirectionSolver):
        x = p.backend.laplacian_solve(P, weights, diagonal, residual, accuracy, steps)
        if x is not None:
            return x
    return conjugate_gradients(
        lambda v: diagonal * v - p.backend.sweep(P, v, weights, -1.0)[1],
        residual, diagonal, accuracy, steps)


def damped(p: Problem, g: Array, columns: Array, caution: float) -> Array:
    """The diagonal of the Hessian, away from 0 and raised. A light column hardly moves."""
    xp = namespace(p.b)
    least = xp.where(p.T.carried(g) > lightest(p), 1e-3 * p.T.asked(g, columns), 1)
    return xp.maximum(columns, least) * (1 + min(caution, 1.0)) + p.T.stiffness(g)


def conjugate_gradients(A: Product, y: Array, diagonal: Array, accuracy: float, steps: int
                        ) -> Array:
    """x with A x = y to a relative accuracy in the norm of 1 / diagonal, which preconditions."""
    x, r = namespace(y).zeros_like(y), y
    z = r / diagonal
    q, rz = z, float(r @ z)
    target = accuracy**2 * rz
    for _ in range(steps):
        Aq = A(q)
        curvature = float(q @ Aq)
        if not (curvature > 0 and rz > target) or out_of_time():
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


def plan_coupling(p: Problem, f: Array, g: Array, v: Array) -> Array:
    """P' diag(1/r) P v, term by term, of the sums r that f asks for; times how far the best f moves
    with its softmin."""
    F, G, weights = p.F(f), p.G(g), p.coupling * inverse(p.asked(f, p.a))
    rows = p.backend.plan_apply(p.C, F, G, p.eps, v[:, None])
    return p.backend.plan_apply(p.C.T, G, F, p.eps, weights[:, None] * rows)[:, 0]


def sparse_plan(p: Problem, f: Array, G: Array, least: float) -> Entries | None:
    """The entries of P above least times the sum of their row, by rows; None beyond the budget, and
    on a device."""
    if p.backend.xp is not np:
        return None
    most = budget() // 24  # an entry takes 12 bytes, and is a moment held twice
    transform = f / p.coupling  # with which each row of the plan sums to 1
    found = p.backend.plan_entries(p.C, transform, G, p.eps, max(least, 1e-300), most)
    if found is None:
        return None
    conditional, columns, starts = found
    conditional *= np.repeat(p.asked(f, p.a), np.diff(starts))
    return conditional, columns, starts
