"""Newton's method on the semi-dual by conjugate gradients: no matrix is factored.

The Hessian is -(diag c - P' diag(1/a) P) / eps, with c = P'1 the column sums of the plan P. It is
only multiplied with vectors, one product for each step of conjugate gradients. On any backend a
product takes two passes over all pairs (`plan_apply`). On the processor the large entries of the
plan are kept as a sparse matrix, and a product is a `sweep` over these; a backend that has
`laplacian_solve` makes all steps in one call.

At small eps nearly all entries of a plan are negligible. Leaving them out changes the direction a
little, but not the answer, for the gradient and the line search are exact. (tang2024accelerating in
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
"""A symmetric matrix, as the function that multiplies it with a vector (m,)."""

NEGLIGIBLE = 1e-5
"""Entries P_ij below this part of a_i are left out of the Hessian."""

PER_ERROR = 1e-3
"""Entries are left out only if they are also below this multiple of the caution times a_i. (The
caution is about the marginal error: `ascent.Gains.caution`.) For the error that remains last is
often between parts of the plan that only small entries connect."""

STEPS = 500
"""Steps of conjugate gradients for one direction, at most."""

MORE_STEPS = 10
"""Where iterations gain nothing, up to this multiple of STEPS is allowed: parts of a plan that only
small entries connect need more steps."""

STEPS_PER_UNKNOWN = 10
"""Steps for each unknown, at most. Without rounding one would do. A direction that is not found by
then cannot be found with this rounding, and more steps would only take time."""

DENSE = 65_536
"""Up to this number of entries of P, a product with the dense matrix takes less time than the
overhead of a product with a sparse one."""


def newton_cg_iterates(p: Problem, g: Array) -> Iterates:
    """The ascent in the direction that conjugate gradients find."""
    return ascend(p, g, direction)


newton_cg = scheduled(newton_cg_iterates)
"""Newton-CG under an eps schedule."""


def direction(p: Problem, f: Array, g: Array, residual: Array, caution: float) -> Array:
    """x (m,), in units of eps, with (diag c - P' diag(1/a) P + damping) x = b - c, approximately.

    `residual` is b - c, and `caution` a number like the marginal error (`Gains.caution`), to which
    the damping is proportional. The smaller the caution, the more exactly the equation is solved: a
    part of the plan that only small entries connect to the rest may have to move by thousands of
    eps, and all its potentials must move alike."""
    accuracy = min(0.1, math.sqrt(max(caution, 1e-10)))
    # The error over the caution: 1, or up to 1000 where the last iterations gained nothing.
    boldness = float(abs(residual).sum()) / caution if caution > 0 else 1.0
    steps = min(int(STEPS * min(math.sqrt(boldness), MORE_STEPS)), STEPS_PER_UNKNOWN * len(g))
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
    """The direction from the entries of P: in one call of the backend where it has one and finds
    that faster, else by one `sweep` for each step."""
    rows, columns = p.backend.sweep(P, np.ones_like(p.b), np.ones_like(p.a), 0.0)
    weights, diagonal = p.coupling * inverse(rows), damped(p, g, columns, caution)
    if isinstance(p.backend, DirectionSolver):
        x = p.backend.laplacian_solve(P, weights, diagonal, residual, accuracy, steps)
        if x is not None:
            return x
    K = dense(P, p.C.shape) if math.prod(p.C.shape) <= DENSE else P
    return conjugate_gradients(
        lambda v: diagonal * v - p.backend.sweep(K, v, weights, -1.0)[1],
        residual, diagonal, accuracy, steps)


def damped(p: Problem, g: Array, columns: Array, caution: float) -> Array:
    """The diagonal of the matrix of `direction`, (m,): the column sums c, kept away from 0, with
    damping. For a column of at most the weight `lightest` it is raised to 1, so that the column
    hardly moves."""
    xp = namespace(p.b)
    least = xp.where(p.T.carried(g) > lightest(p), 1e-3 * p.T.asked(g, columns), 1)
    return xp.maximum(columns, least) * (1 + min(caution, 1.0)) + p.T.stiffness(g)


def conjugate_gradients(A: Product, y: Array, diagonal: Array, accuracy: float, steps: int
                        ) -> Array:
    """x with A x = y, by conjugate gradients with the preconditioner `diagonal`: until the residual
    has fallen to `accuracy` of what it was, in the norm of 1 / diagonal, or for `steps` steps."""
    x, r = namespace(y).zeros_like(y), y
    z = r / diagonal
    q, rz = z, float(r @ z)
    target = accuracy**2 * rz
    for _ in range(steps):
        Aq = A(q)
        curvature = float(q @ Aq)
        # A curvature <= 0 is mere rounding, and a step along q would be arbitrary.
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
    """1 / rows; 0 where a row has no mass."""
    xp = namespace(rows)
    return xp.where(rows > 0, 1 / xp.where(rows > 0, rows, 1), 0)


def plan_coupling(p: Problem, f: Array, g: Array, v: Array) -> Array:
    """`p.coupling` times P' diag(1/r) P v, (m,), by two passes over all pairs. r are the row sums
    that f asks for (`Problem.asked`). `p.coupling` says by how much the best f moves where the
    transform of g moves by 1: by 1, unless the problem is unbalanced."""
    F, G, weights = p.F(f), p.G(g), p.coupling * inverse(p.asked(f, p.a))
    rows = p.backend.plan_apply(p.C, F, G, p.eps, v[:, None])
    return p.backend.plan_apply(p.C.T, G, F, p.eps, weights[:, None] * rows)[:, 0]


def dense(P: Entries, shape: tuple[int, int]) -> Array:
    """The matrix with these entries, and 0 elsewhere."""
    values, columns, starts = P
    K = np.zeros(shape, values.dtype)
    K[np.repeat(np.arange(shape[0]), np.diff(starts)), columns] = values
    return K


def sparse_plan(p: Problem, f: Array, G: Array, least: float) -> Entries | None:
    """The entries of P above `least` times the sum of their row, by rows. None if they do not fit
    the memory budget, or are on a device."""
    if p.backend.xp is not np:
        return None
    most = budget() // 24  # an entry takes 12 bytes, and is in memory twice for a moment
    # f is `coupling` times the transform of g; with that transform each row has the sum 1.
    transform = f / p.coupling
    found = p.backend.plan_entries(p.C, transform, G, p.eps, max(least, 1e-300), most)
    if found is None:
        return None
    conditional, columns, starts = found
    conditional *= np.repeat(p.asked(f, p.a), np.diff(starts))
    return conditional, columns, starts
