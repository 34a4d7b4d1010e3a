"""Products of the Hessian of F(x, a, y, b) with a vector, by implicit differentiation.

Along a direction (vx, va, vy, vb) the costs change by dC_ij = d1 c . vx_i + d2 c . vy_j, the
weights by da and db (va and vb less their means: the mass stays 1), and the potentials such that
both marginals stay right. With the density K_ij = exp((f_i + g_j - C_ij) / eps), rows and columns
say
    D df + (K diag b) dg = r,     r_i = sum_j K_ij (b_j dC_ij - eps db_j),
    E dg + (diag a K)' df = s,    s_j = sum_i K_ij (a_i dC_ij - eps da_i).
D_i = 1 where marginals are exact; where their miss costs rho KL (U-4) it is the sum of row i of P
per weight, times 1 + eps / rho; E the same of the columns. In this form they hold at weights of 0,
too. Eliminating df leaves a symmetric system in dg,
    (diag(b E) - P' diag(1/(a D)) P) dg = b (s - (diag a K)' r / D),    P = diag(a) K diag(b),
which with exact marginals is singular along constants: (f + t, g - t) is the same plan. Then the
gradients change by
    d(dF/dx_i) = sum_j dP_ij d1 c + P_ij d(d1 c),   d(dF/da) = D df - its mean,  likewise y and b,
and without the mean, but with eps times the change of the mass of b, where the mass is free.

The matrix of the system has the side of the smaller measure; everything else goes by blocks of
rows. Where the plan falls into parts that hardly exchange mass the change of the weights' gradients
is not determined in floats, as is the gradient of `implicit.sharp_value_gradient_weights`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from refot.arrays import Array, namespace
from refot.autodiff.measures import Pair
from refot.autodiff.term import Term
from refot.costs.operands import PointCost, as_point_cost, row_blocks

DAMPING = 2.0**-50
"""Added to the diagonal of the system, whose eigenvalues are between 0 and 1: parts of the plan
that no mass in floats connects then stay where they are, relative to each other."""


def hessian_product(term: Term, v: Pair) -> Pair:
    """The change of the gradients of F along v. Raises InputError for a cost without a second
    derivative."""
    if term.f.shape[0] < term.g.shape[0]:
        return hessian_product(term.T, v.T).T
    term, v = in_float64(term), Pair(*(part.astype(np.float64) for part in v))
    v = v._replace(a=term.weights_direction(v.a), b=term.T.weights_direction(v.b))
    D, E = stiffness(term)
    df, dg = potentials_change(term, v, D, E)
    hx, hy = points_change(term, v, df, dg)
    return Pair(hx, term.weights_change(D * df, v.b), hy, term.T.weights_change(E * dg, v.a))


def in_float64(term: Term) -> Term:
    """The same term with its arrays in float64: a linear system is solved."""
    p = term.p
    wide = replace(p, C=p.C.with_arrays(lambda x: x.astype(np.float64)),
                   a=p.a.astype(np.float64), b=p.b.astype(np.float64))
    return type(term)(wide, term.f.astype(np.float64), term.g.astype(np.float64))


# ------------------------------------------------------------------ blocks of rows
@dataclass(frozen=True)
class Rows:
    """Some rows of the problem: their cost to all columns, their density K and the change dC of
    their costs, both (rows, m); `at` says which rows."""

    at: slice
    C: PointCost
    K: Array
    dC: Array


def blocks(term: Term, v: Pair) -> Iterator[Rows]:
    """All rows, block by block."""
    p, C = term.p, as_point_cost(term.p.C)
    xp = namespace(term.f)
    for at in row_blocks(C, depth=2 * C.x.shape[1] + 4):
        part = replace(C, x=C.x[at])
        K = xp.exp((term.f[at, None] + term.g - part.dense()) / p.eps)
        yield Rows(at, part, K, cost_change(part, v.x[at], v.y))


def cost_change(C: PointCost, vx: Array, vy: Array) -> Array:
    """dC_ij = d1 c(x_i, y_j) . vx_i + d2 c(x_i, y_j) . vy_j, (n, m)."""
    xp, everything = namespace(vx), slice(None)
    return (xp.einsum("ijd,id->ij", C.gradient_rows(everything), vx)
            + xp.einsum("jid,jd->ij", C.T.gradient_rows(everything), vy))


# ------------------------------------------------------------------ how the potentials change
def stiffness(term: Term) -> tuple[Array, Array]:
    """D (n,) and E (m,)."""
    p, xp = term.p, namespace(term.f)
    rows, columns = (1 + p.eps * each.softness for each in (term, term.T))
    if rows == columns == 1:
        return xp.ones_like(p.a), xp.ones_like(p.b)
    per_a = xp.exp((term.f - p.transform(term.g, term.f)) / p.eps)
    per_b = xp.exp((term.g - p.T.transform(term.f, term.g)) / p.eps)
    return rows * per_a, columns * per_b


def potentials_change(term: Term, v: Pair, D: Array, E: Array) -> tuple[Array, Array]:
    """(df, dg) along v; with exact marginals up to a constant that goes from one to the other."""
    p, xp = term.p, namespace(term.f)
    a, b, eps, root = p.a, p.b, p.eps, xp.sqrt(p.b / E)
    r, s, s_r = xp.zeros_like(a), xp.zeros_like(b), xp.zeros_like(b)
    coupling = xp.zeros((b.size, b.size))
    for rows in blocks(term, v):
        K, dC, at = rows.K, rows.dC, rows.at
        r[at] = (K * dC) @ b - eps * (K @ v.b)
        s += a[at] @ (K * dC) - eps * (v.a[at] @ K)
        s_r += (a[at] * r[at] / D[at]) @ K
        Q = xp.sqrt(a[at] / D[at])[:, None] * K * root
        coupling += Q.T @ Q
    # In z = sqrt(b E) dg the system is (1 - Q'Q) z = sqrt(b / E) (s - ...). With exact marginals it
    # is singular along sqrt(b): that is lifted. Light columns are left to the second equation.
    system = -coupling
    if term.softness == term.T.softness == 0:
        system += xp.outer(root, root)
    system[xp.diag_indices(b.size)] += 1 + DAMPING
    b_dg = root * xp.linalg.solve(system, root * (s - s_r))
    df, back = r, xp.zeros_like(b)
    for rows in blocks(term, v):
        df[rows.at] = (df[rows.at] - rows.K @ b_dg) / D[rows.at]
        back += (a[rows.at] * df[rows.at]) @ rows.K
    return df, (s - back) / E


# ------------------------------------------------------------------ how the gradients change
def points_change(term: Term, v: Pair, df: Array, dg: Array) -> tuple[Array, Array]:
    """The change of dF/dx (n, d) and of dF/dy (m, d), as the plan changes and the points move."""
    p, C = term.p, as_point_cost(term.p.C)
    xp = namespace(term.f)
    hx, hy = xp.zeros_like(C.x), xp.zeros_like(C.y)
    for rows in blocks(term, v):
        at, everything, part = rows.at, slice(None), rows.C
        a, da = p.a[at][:, None], v.a[at][:, None]
        P = a * rows.K * p.b
        dP = rows.K * (da * p.b + a * v.b) + P * (df[at][:, None] + dg - rows.dC) / p.eps
        hx[at] = (xp.einsum("ij,ijd->id", dP, part.gradient_rows(everything))
                  + xp.einsum("ij,ijd->id", P, part.gradient_change(v.x[at], v.y)))
        hy += (xp.einsum("ij,jid->jd", dP, part.T.gradient_rows(everything))
               + xp.einsum("ij,jid->jd", P, part.T.gradient_change(v.y, v.x[at])))
    return hx, hy
