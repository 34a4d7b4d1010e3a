"""Newton's method on the semi-dual with a dense Hessian: for small problems. It goes on until
rounding allows no smaller error."""

from __future__ import annotations

from functools import partial

import numpy as np

from refot.arrays import Array, InputError
from refot.problem import Problem
from refot.solvers.memory import fits_matrix

from .ascent import ascend, lightest
from .schedule import Iterates, annealed

NEWTON_LIMIT = 1_500
"""Up to this number of points of the smaller measure, the factorisation of the Hessian takes less
than a second."""

MATRICES = 4
"""Matrices (n, m) in memory at once: the cost, the plan, and two for the Hessian."""


def newton(p: Problem, g: Array) -> Iterates:
    """Newton's method under an eps schedule, in the potential of the smaller measure, because
    its Hessian is the smaller matrix."""
    require_newton(p)
    if p.C.shape[1] <= p.C.shape[0]:
        yield from annealed(p, g, newton_iterates)
    else:
        for columns, rows, error in annealed(p.T, p.best(g), newton_iterates):
            yield rows, columns, error


def require_newton(p: Problem) -> None:
    """Raise InputError where a dense Hessian is not possible."""
    if p.backend.xp is not np or p.C.dtype != np.float64:
        raise InputError("method", f"'newton' on {p.C.dtype} arrays of backend {p.backend.name!r}",
                         "float64 on a backend with NumPy's arrays; or 'newton-cg', on any")
    if not fits_matrix(p.C, copies=MATRICES):
        raise InputError("method", f"'newton', which forms {MATRICES} matrices beyond the budget",
                         "more memory=, or 'newton-cg'")


def allows_newton(p: Problem) -> bool:
    """Whether a dense Hessian is possible: in float64, on the processor, and within the budget."""
    return (p.backend.xp is np and p.C.dtype == np.float64
            and fits_matrix(p.C, copies=MATRICES))


def newton_iterates(p: Problem, g: Array) -> Iterates:
    """The ascent in Newton's direction, which is computed from a dense plan."""
    return ascend(p, g, partial(newton_direction, p.C.dense()))


def newton_direction(
    C: Array, p: Problem, f: Array, g: Array, residual: Array, caution: float
) -> Array:
    """An ascent direction x (m,): it solves (diag c - P' diag(1/a) P) x = b - c, regularised.

    The unknown is sqrt(c) x, in which all columns weigh the same; its matrix is H = I - Q'Q with
    Q_ij = P_ij / sqrt(a_i c_j) <= 1. H is singular along sqrt(c), for a constant added to g changes
    nothing; that direction is lifted by adding sqrt(c) sqrt(c)'. H is nearly singular where the
    plan falls into parts that hardly exchange mass; so it is damped, in proportion to the caution,
    and the damping is multiplied by ten until the step ascends. Light columns do not move. For an
    unbalanced problem Q'Q is multiplied by `p.coupling`, and `p.T.stiffness(g)` adds to diag c.
    """
    P = np.exp((p.F(f)[:, None] + p.G(g) - C) / p.eps)
    heavy = p.T.carried(g) > lightest(p)
    rows, root = P.sum(axis=1), np.where(heavy, np.sqrt(P.sum(axis=0)), 0)
    inverse = np.where(root > 0, 1 / np.where(root > 0, root, 1), 0)
    Q = P / np.sqrt(np.where(rows > 0, rows, 1))[:, None] * inverse
    coupling, y = Q.T @ Q, residual * inverse
    # The diagonal of I - Q'Q is computed from the other entries, by (I - Q'Q) sqrt(c) = 0. Computed
    # as 1 - coupling_jj it would be mere rounding where a column hardly shares its rows.
    np.fill_diagonal(coupling, 0)
    free = 1 - p.coupling + p.T.stiffness(g) * inverse**2
    H = np.diag(p.coupling * (coupling @ root * inverse) + free) - p.coupling * coupling
    if p.is_exact:
        H += np.outer(root, root)
    else:  # g + a constant is no better: what y has along sqrt(c) is rounding
        y = y - (y @ root) / (root @ root) * root
    return regularised_step(H, y, caution) * inverse


def regularised_step(H: Array, y: Array, caution: float) -> Array:
    """x (m,) with (H + damping) x = y. The damping is proportional to the caution, and is
    multiplied by ten until x.y >= 0."""
    damping = max(1e-2 * caution, 1e-15)
    while np.isfinite(damping):
        try:
            step = np.linalg.solve(H + damping * np.eye(y.size), y)
        except np.linalg.LinAlgError:
            step = np.full(y.size, np.nan)
        if step @ y >= 0:
            return np.asarray(step)
        damping *= 10
    return np.zeros(y.size)  # no step ascends: the iterates stall, and the solve reports that
