"""The optimal value F (B-10) at solved potentials: computed as the semi-dual or, where eps is far
above the costs, in a form that does not lose digits.

B-10, B-24 and B-25 are equations of B = Bréchet et al. 2019.
"""

from __future__ import annotations

from refot.arrays import Array, namespace
from refot.costs.operands import DenseCost, row_blocks
from refot.problem import Problem

WIDE = 1e2
"""Where eps is more than this multiple of max |C|, F is computed by `wide_value`."""


def value_of(p: Problem, g: Array, f: Array | None = None) -> float:
    """F at a solved g, in cost units: the semi-dual B-24, never above the true F, and off only to
    second order in the error of g. Where f and g are each other's transforms, `f` saves a pass."""
    if p.eps > WIDE * largest_cost(p):
        return wide_value(p)
    return semi_dual_of(p, g) if f is None else float(p.a @ f + p.b @ g)


def semi_dual_of(p: Problem, g: Array) -> float:
    """a.g^(c,eps) + b.g, B-24: at most F, for every g."""
    return float(p.a @ p.transform(g) + p.b @ g)


def largest_cost(p: Problem) -> float:
    """max |C| over pairs with mass; for a cost of points an upper bound of it, from the boxes
    around x and y."""
    C = p.costs_with_mass
    if isinstance(C, DenseCost):
        return float(abs(C.matrix).max())
    return C.bound()


def wide_value(p: Problem) -> float:
    """F where eps > WIDE max |C|, by three Sinkhorn steps from g = 0.

    Three are enough: each multiplies the error of g by at most tanh(max|C| / 2 eps)^2 < 3e-5
    (Franklin and Lorenz 1989), and the error of F is of second order in that of g.
    """
    p = p.with_mass  # a far point of weight 0 is no part of F, and could leave the range of exp
    f, g = wide_potentials(p)
    return float(p.a @ f + p.b @ g)


def wide_potentials(p: Problem) -> tuple[Array, Array]:
    """(f, g) after three Sinkhorn steps from g = 0, for a problem without weights of 0."""
    g = namespace(p.b).zeros_like(p.b)
    for _ in range(3):
        f = transform_about_the_mean(p, g)
        g = transform_about_the_mean(p.T, f)
    return f, g


def transform_about_the_mean(p: Problem, g: Array) -> Array:
    """B-25 for eps far above the cost, (n,): -mu_i - eps log(1 + sum_j b_j (exp(z_ij) - 1)).

    mu_i = sum_j b_j (g_j - C_ij) is the mean, and z_ij = (g_j - C_ij - mu_i) / eps. The usual
    formula, the softmin of g + eps log b, adds the costs to eps log b, which is far larger than
    they are: the rounding of these sums would swallow the last digits of the costs. Here no number
    in a sum with the costs is much larger than they are.
    """
    xp = namespace(g)

    def of(rows: slice) -> Array:
        t = g - p.C.rows(rows)
        mu = t @ p.b
        return -mu - p.eps * xp.log1p(xp.expm1((t - mu[:, None]) / p.eps) @ p.b)

    return xp.concatenate([of(rows) for rows in row_blocks(p.C)])
