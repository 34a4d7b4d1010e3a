"""Newton's method on the semi-dual with a dense Hessian: for small problems. It goes on until
rounding allows no smaller error."""

from __future__ import annotations

from functools import partial

import numpy as np

from refot.arrays import Array, InputError
from refot.costs.rows import is_read
from refot.problem import Problem
from refot.solvers.memory import fits_matrix

from .ascent import ascend, lightest
from .schedule import Iterates, annealed

NEWTON_LIMIT = 1_500
"""Up to this number of points of the smaller measure, the factorisation of the Hessian takes less
than a second."""

MATRICES = 4
"""The number of matrices in memory at once: the cost, the plan, and two for the Hessian. Where
m <= n none has more entries than the cost."""


def newton(p: Problem, g: Array) -> Iterates:
    """Newton's method under an eps schedule, in the potential of the smaller measure."""
    require_newton(p)
    yield from annealed(p, g, newton_of_smaller)


def newton_of_smaller(p: Problem, g: Array) -> Iterates:
    """Newton's iterates in the potential of the smaller measure, whose Hessian is the smaller
    matrix."""
    if p.C.shape[1] <= p.C.shape[0]:
        yield from newton_iterates(p, g)
    else:
        for columns, rows, error in newton_iterates(p.T, p.best(g)):
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
    """Whether a dense Hessian is possible: in float64, on the processor, of points in memory, and
    within the budget."""
    return (p.backend.xp is np and p.C.dtype == np.float64 and not is_read(p.C)
            and fits_matrix(p.C, copies=MATRICES))


def newton_iterates(p: Problem, g: Array) -> Iterates:
    """The ascent in Newton's direction, which is computed from a dense plan."""
    return ascend(p, g, partial(newton_direction, p.C.dense()))


def newton_direction(
    C: Array, p: Problem, f: Array, g: Array, residual: Array, caution: float
) -> Array:
    """An ascent direction x (m,), in units of eps: the solution of Newton's equation
    (diag c - P' diag(1/a) P) x = b - c, regularised.

    P is the plan of (f, g), c = P'1 its column sums, and `residual` is b - c. `caution` is a number
    like the marginal error, which sets the damping (`Gains.caution`).

    The equation is solved for sqrt(c) x, in which all columns weigh the same. Its matrix is then
    H = I - Q'Q, with Q_ij = P_ij / sqrt(a_i c_j) <= 1. A constant added to g changes nothing, so
    that H is singular: H sqrt(c) = 0. Adding sqrt(c) sqrt(c)' to H mends this. Where the plan falls
    into parts that hardly exchange mass, H is nearly singular in other directions too; for these
    `regularised_step` damps it. Columns of at most the weight `lightest` do not move.

    For an unbalanced problem, where f follows g less closely and the sums that g asks for (b above)
    fall as g rises, Q'Q is multiplied by `p.coupling`, and `p.T.stiffness(g)` is added to c.
    """
    P = np.exp((p.F(f)[:, None] + p.G(g) - C) / p.eps)
    heavy = p.T.carried(g) > lightest(p)
    rows, root = P.sum(axis=1), np.where(heavy, np.sqrt(P.sum(axis=0)), 0)
    inverse = np.where(root > 0, 1 / np.where(root > 0, root, 1), 0)
    Q = P / np.sqrt(np.where(rows > 0, rows, 1))[:, None] * inverse
    gram, y = Q.T @ Q, residual * inverse  # the matrix Q'Q, and the right side for sqrt(c) x
    # (I - Q'Q) sqrt(c) = 0 gives the diagonal of I - Q'Q from its other entries. The difference
    # 1 - gram_jj would be mere rounding for a column that hardly shares its rows with others.
    np.fill_diagonal(gram, 0)
    free = 1 - p.coupling + p.T.stiffness(g) * inverse**2
    H = np.diag(p.coupling * (gram @ root * inverse) + free) - p.coupling * gram
    if p.is_exact:
        H += np.outer(root, root)
    else:  # (f, g) is at its best level: y is orthogonal to sqrt(c) but for rounding
        y = y - (y @ root) / (root @ root) * root
    return regularised_step(H, y, caution) * inverse


def regularised_step(H: Array, y: Array, caution: float) -> Array:
    """x (m,) with (H + damping I) x = y. The damping is proportional to `caution`, a number like
    the marginal error, and is multiplied by ten until x.y >= 0: then x ascends. If no damping
    achieves this, x is 0."""
    damping = max(1e-2 * caution, 1e-15)
    while np.isfinite(damping):
        try:
            step = np.linalg.solve(H + damping * np.eye(y.size), y)
        except np.linalg.LinAlgError:
            step = np.full(y.size, np.nan)
        if step @ y >= 0:
            return np.asarray(step)
        damping *= 10
    return np.zeros(y.size)  # then the iterates stall, and the solve reports that
