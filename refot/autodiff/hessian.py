"""Products of the Hessian of a value F(x, a, y, b) with a vector, by implicit differentiation.

Along a direction (vx, va, vy, vb) costs, weights and potentials change as `change` says. The means
of va and vb are subtracted first, so that the mass stays 1. Then the gradients change by
    d(dF/dx_i) = sum_j dP_ij d1 c + P_ij d(d1 c),   d(dF/da) = D df - the mean of D df,
and likewise in y and b. d1 c is the derivative of c(x, y) in x. df (n,) is the change of f; D (n,),
which is 1 for exact marginals, is defined in `change`. For an unbalanced value, whose masses may
change, no mean is subtracted, and d(dF/da) also has eps times the change of the mass of b.
Everything is computed by blocks of rows.
"""

from __future__ import annotations

import numpy as np

from refot.arrays import Array, namespace
from refot.autodiff.change import Direction, blocks, in_float64, potentials_change, stiffness
from refot.autodiff.measures import Pair
from refot.autodiff.term import Term
from refot.costs.operands import as_point_cost


def hessian_product(term: Term, v: Pair) -> Pair:
    """The change of the gradients of F along v. Raises InputError for a cost without a second
    derivative."""
    if term.f.shape[0] < term.g.shape[0]:
        return hessian_product(term.T, v.T).T
    term, v = in_float64(term), Pair(*(part.astype(np.float64) for part in v))
    v = v._replace(a=term.weights_direction(v.a), b=term.T.weights_direction(v.b))
    D, E = stiffness(term)
    df, dg = potentials_change(term, Direction(v.a, v.b, v.x, v.y), D, E)
    hx, hy = points_change(term, v, df, dg)
    return Pair(hx, term.weights_change(D * df, v.b), hy, term.T.weights_change(E * dg, v.a))


def points_change(term: Term, v: Pair, df: Array, dg: Array) -> tuple[Array, Array]:
    """The change of dF/dx (n, d) and of dF/dy (m, d), as the plan changes and the points move."""
    p, C = term.p, as_point_cost(term.p.C)
    xp = namespace(term.f)
    hx, hy = xp.zeros_like(C.x), xp.zeros_like(C.y)
    for rows in blocks(term, Direction(v.a, v.b, v.x, v.y)):
        at, everything, part = rows.at, slice(None), as_point_cost(rows.C)
        a, da = p.a[at][:, None], v.a[at][:, None]
        P = a * rows.K * p.b
        dP = rows.K * (da * p.b + a * v.b) + P * (df[at][:, None] + dg - rows.dC) / p.eps
        hx[at] = (xp.einsum("ij,ijd->id", dP, part.gradient_rows(everything))
                  + xp.einsum("ij,ijd->id", P, part.gradient_change(v.x[at], v.y)))
        hy += (xp.einsum("ij,jid->jd", dP, part.T.gradient_rows(everything))
               + xp.einsum("ij,jid->jd", P, part.T.gradient_change(v.y, v.x[at])))
    return hx, hy
