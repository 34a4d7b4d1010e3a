"""How the optimal potentials change as their problem moves, by implicit differentiation.

Along a direction the costs change by dC_ij, the weights by da and db, and eps by deps. (For a cost
c(x, y) of points, which move along vx_i and vy_j, dC_ij = d1 c . vx_i + d2 c . vy_j, with d1 c and
d2 c the derivatives of c in x and in y.) The potentials change by df (n,) and dg (m,), such that
the row sums and the column sums of the plan stay right. With z_ij = (f_i + g_j - C_ij) / eps and
the density K_ij = exp(z_ij) these two conditions are
    D df + (K diag b) dg = r,     r_i = sum_j K_ij (b_j (dC_ij + z_ij deps) - eps db_j),
    E dg + (diag a K)' df = s,    s_j = sum_i K_ij (a_i (dC_ij + z_ij deps) - eps da_i).
D_i = 1 where the row sums are exact. Where missing them costs rho KL (U-4), D_i is the sum of row i
of P divided by a_i, times 1 + eps / rho. E_j is the same for column j. The equations hold at
weights of 0 too. Eliminating df leaves a symmetric system in dg,
    (diag(b E) - P' diag(1/(a D)) P) dg = b (s - (diag a K)' r / D),    P = diag(a) K diag(b),
which with exact marginals is singular along constants: (f + t, g - t) is the same plan.

The system has m unknowns, so that the smaller measure should be that of the columns; everything
else is computed by blocks of rows. Where the plan falls into parts that hardly exchange mass, the
change of one part's potentials relative to another's is not determined in floats. The same holds
for the gradient of `implicit.sharp_value_gradient_weights`. U-4 is an equation of
docs/equations.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from refot.arrays import Array, namespace
from refot.autodiff.term import Term
from refot.costs.operands import Cost, DenseCost, PointCost, as_point_cost, row_blocks

DAMPING = 2.0**-50
"""Added to the diagonal of the system, whose eigenvalues are between 0 and 1. With it, parts of the
plan between which no mass is left in floats keep their potentials, relative to each other."""


@dataclass(frozen=True)
class Direction:
    """How a problem moves: the derivatives of its inputs along a path. None stands for 0."""

    a: Array
    """da, (n,)."""

    b: Array
    """db, (m,)."""

    x: Array | None = None
    """The points x move along this, (n, d)."""

    y: Array | None = None
    """The points y move along this, (m, d)."""

    C: Array | None = None
    """The costs themselves change by this, (n, m)."""

    eps: float = 0.0
    """deps."""

    @property
    def T(self) -> Direction:
        """The same with the two measures exchanged."""
        C = None if self.C is None else self.C.T
        return Direction(self.b, self.a, self.y, self.x, C, self.eps)


def in_float64(term: Term) -> Term:
    """The same term with its arrays in float64, in which the linear system is solved."""
    p = term.p
    wide = replace(p, C=p.C.with_arrays(lambda x: x.astype(np.float64)),
                   a=p.a.astype(np.float64), b=p.b.astype(np.float64))
    return type(term)(wide, term.f.astype(np.float64), term.g.astype(np.float64))


# ------------------------------------------------------------------ blocks of rows
@dataclass(frozen=True)
class Rows:
    """The rows `at` of the problem: C, their cost to all columns; K, the density of their part of
    the plan; and `dC`, which is dC + z deps of the module's docstring. All three are (rows, m)."""

    at: slice
    C: Cost
    K: Array
    dC: Array


def blocks(term: Term, v: Direction) -> Iterator[Rows]:
    """All rows, block by block."""
    p, xp = term.p, namespace(term.f)
    depth = 2 * p.C.x.shape[1] if isinstance(p.C, PointCost) else 2
    for at in row_blocks(p.C, depth=depth + 4):
        part = replace(p.C, x=p.C.x[at]) if isinstance(p.C, PointCost) else DenseCost(
            p.C.matrix[at])
        z = (term.f[at, None] + term.g - part.dense()) / p.eps
        K = xp.exp(z)
        yield Rows(at, part, K, costs_change(part, v, at) + v.eps * xp.where(K > 0, z, 0))


def costs_change(C: Cost, v: Direction, at: slice) -> Array:
    """dC_ij (rows, m) for the rows `at`, whose cost is C: the given change v.C of the costs, plus
    d1 c . vx_i + d2 c . vy_j where points move."""
    xp, everything = namespace(v.a), slice(None)
    change = xp.zeros(C.shape) if v.C is None else v.C[at]
    if v.x is not None:
        change = change + xp.einsum(
            "ijd,id->ij", as_point_cost(C).gradient_rows(everything), v.x[at])
    if v.y is not None:
        change = change + xp.einsum(
            "jid,jd->ij", as_point_cost(C).T.gradient_rows(everything), v.y)
    return change


# ------------------------------------------------------------------ the system
def stiffness(term: Term) -> tuple[Array, Array]:
    """D (n,) and E (m,) of the module's docstring."""
    p, xp = term.p, namespace(term.f)
    rows, columns = (1 + p.eps * each.softness for each in (term, term.T))
    if rows == columns == 1:
        return xp.ones_like(p.a), xp.ones_like(p.b)
    per_a = xp.exp((term.f - p.transform(term.g, term.f)) / p.eps)
    per_b = xp.exp((term.g - p.T.transform(term.f, term.g)) / p.eps)
    return rows * per_a, columns * per_b


def potentials_change(term: Term, v: Direction, D: Array, E: Array) -> tuple[Array, Array]:
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
    # In the unknown y = sqrt(b E) dg the system of the docstring is
    #     (1 - Q'Q) y = sqrt(b / E) (s - (diag a K)' r / D),
    # where Q'Q is `coupling`. With exact marginals it is singular along sqrt(b), and adding
    # sqrt(b) sqrt(b)' makes it regular. At the end dg is not taken from y, but from the second
    # equation, E dg = s - (diag a K)' df, which is accurate for columns of tiny weight too.
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
