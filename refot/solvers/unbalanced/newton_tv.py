"""Newton's method for total variation: each potential lies between -rho and rho.

Within these bounds the dual U-2 is that of exact marginals. f is always the best potential for g
(the one with the largest dual), which is the transform of g clipped to the bounds. So what remains
is to maximise a concave function of g in a box. The level of (f, g) is the t in (f + t, g - t).
Where the gradient would push a g_j that is at a bound beyond it, g_j stays. Newton's equations are
solved for the other columns, and a step ends at the bounds (bertsekas1982projected in
docs/references.bib). A row follows g if its f_i is not at a bound: at a bound, f_i does not change
with g. U-2, U-3 and U-4 are equations of docs/equations.md.
"""

from __future__ import annotations

import math

import numpy as np

from refot.arrays import Array
from refot.solvers.ascent import FAR, STALL, lightest, value_rounding
from refot.solvers.newton import regularised_step, require_newton
from refot.solvers.schedule import Iterates, annealed
from refot.solvers.stopping import out_of_time
from refot.unbalanced_problem import UnbalancedProblem

from .overrelaxed import sums

HALVINGS = 40
"""A step is halved at most this number of times."""


def newton_tv(p: UnbalancedProblem, g: Array) -> Iterates:
    """Newton's method for total variation under an eps schedule."""
    require_newton(p)
    return annealed(p, g, newton_tv_iterates)


def newton_tv_iterates(p: UnbalancedProblem, g: Array) -> Iterates:
    """(f, g, residual) of each iteration, until STALL of them in a row have no smaller residual.

    The row sums are those that f asks for (U-4), by construction, so that the residual is that of
    the columns.
    """
    C, smallest, stalled = p.C.dense(), math.inf, 0
    while stalled < STALL:
        f, g = p.shifted(p.best(g), g)
        g = within_bounds(p, g)
        h, f = transform_and_best(p, g, f)
        transform, heavy = p.T.transform(f, g), p.T.carried(g) > lightest(p)
        # Far from the sums that are asked for a Sinkhorn iteration is better than Newton's step.
        if bool((heavy & (abs(p.T.excess(g, transform)) > FAR)).any()):
            g = p.T.prox(transform)
            h, f = transform_and_best(p, g, f)
            transform = p.T.transform(f, g)
        g = np.where(heavy, g, p.T.prox(transform))
        columns = sums(p.T, g, transform)
        residual, error = p.T.asked(g, columns) - columns, p.T.row_residual(g, columns)
        stalled = 0 if error < smallest else stalled + 1
        smallest = min(error, smallest)
        yield f, g, error
        step = p.eps * tv_direction(C, p, f, g, h, np.where(heavy, residual, 0), error)
        g = clipped_search(p, f, g, step, residual)


def transform_and_best(p: UnbalancedProblem, g: Array, guess: Array) -> tuple[Array, Array]:
    """(the transform of g, the best f for g). U-3."""
    h = p.transform(g, guess)
    return h, p.prox(h)


def tv_direction(
    C: Array, p: UnbalancedProblem, f: Array, g: Array, h: Array, residual: Array, caution: float
) -> Array:
    """An ascent direction x (m,), in units of eps: Newton's, in the columns that may move; these
    are the ones whose `residual` is not 0. `h` (n,) is the transform of g, and `caution` a number
    like the marginal error, which sets the damping.

    The equation is solved as in `newton.newton_direction`, with the matrix H = I - Q'Q and
    Q_ij = P_ij / sqrt(r_i c_j). r and c are the row and column sums of the plan P; i runs over the
    rows that follow g, and j over the columns that may move. The mass that such a column shares
    with rows at a bound, and by way of rows that follow with columns that may not move, is added to
    the diagonal. It keeps H from being singular along the constants, since it fixes the level.
    """
    P = np.exp((p.F(f)[:, None] + p.G(g) - C) / p.eps)
    follows, moves = (f == h) & (p.a > 0), residual != 0
    root = np.where(moves, np.sqrt(P.sum(axis=0)), 0)
    inverse = np.where(root > 0, 1 / np.where(root > 0, root, 1), 0)
    R = P[follows] / P[follows].sum(axis=1, keepdims=True)
    held = P[~follows].sum(axis=0) + P[follows].T @ R[:, ~moves].sum(axis=1)
    gram = (P[follows] * inverse).T @ (R * inverse)  # the matrix Q'Q
    np.fill_diagonal(gram, 0)  # the diagonal of I - Q'Q comes from the other entries, as in newton
    H = np.diag(gram @ root * inverse + held * inverse**2) - gram
    if not (held[moves] > 0).any():  # nothing fixes the level: keep the one that p.shifted chose
        H += np.outer(root, root)
    return regularised_step(H, residual * inverse, caution) * inverse


def clipped_search(p: UnbalancedProblem, f: Array, g: Array, step: Array, residual: Array) -> Array:
    """The first of g + step, g + step/2, ..., clipped to the bounds, that raises the dual enough
    (Armijo's rule); g itself if none does. `residual` (m,) is the gradient of the dual in g."""
    value, rounding = dual_of_best(p, g, f), value_rounding(p, f, g)
    for k in range(HALVINGS):
        moved = within_bounds(p, g + 0.5**k * step)
        rise = float((moved - g) @ residual)
        if dual_of_best(p, moved, f) >= value + 1e-4 * rise - rounding:
            return moved
        if out_of_time():
            break
    return g


def within_bounds(p: UnbalancedProblem, g: Array) -> Array:
    """g clipped to [-rho, rho], which is the prox of U-3 here; g itself where the columns are
    exact."""
    return p.T.prox(g)


def dual_of_best(p: UnbalancedProblem, g: Array, guess: Array) -> float:
    """The dual of g with the best f for it."""
    h, f = transform_and_best(p, g, guess)
    return p.dual(f, g, float(sums(p, f, h).sum()))
