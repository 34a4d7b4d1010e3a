"""Jacobian-vector products of the potentials and of the plan: how both change as a problem moves.

All inputs of a problem may move at once: `dC` (n, m), or `dx` (n, d) and `dy` (m, d) for a cost of
points, `da` (n,) and `db` (m,), `deps`. An input without a change stays as it is.
`autodiff/change.py` has the equations; a linear system with min(n, m) unknowns is solved, in
float64. `tol` is by default `first_order_tolerance`, and `solved` what `refot.solve` returned for
the problem. With `rho` the marginals may be missed at the price rho KL, as for `refot.solve`.

Where the plan falls into parts that hardly exchange mass, the potentials of one part relative to
another are not determined in floats. Then their change may be large and meaningless, while that of
the plan is accurate.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refot.arrays import (
    REQUIRED,
    Array,
    CostLike,
    InputError,
    Matrix,
    Points,
    Weights,
    as_matrix,
    as_number,
    as_vector,
    in_range,
    lookup,
)
from refot.autodiff.change import Direction, blocks, in_float64, potentials_change, stiffness
from refot.autodiff.free_term import FreeTerm
from refot.autodiff.term import Term
from refot.backend_contract import BackendLike
from refot.costs.forbidden import require_all_partners
from refot.costs.operands import as_cost, as_point_cost
from refot.foreign import as_given
from refot.problem import Problem, problem
from refot.solvers.answers.gauge import GAUGES, WEIGHTED, constant, require_gauge, shifted
from refot.solvers.answers.reuse import backend_of
from refot.solvers.answers.solutions import to_first_order
from refot.solvers.loop import SinkhornResult
from refot.unbalanced.tight import tightly
from refot.unbalanced_problem import unbalanced_problem

OFF = 2.0**-40
"""How far from 0 the sum of `da` may be, as a share of the sum of |da_i|: some 2^13 roundings."""


@as_given
@in_range
def potentials_jvp(
    C: CostLike, a: Weights = None, b: Weights = None, eps: float = REQUIRED, *,
    dC: Matrix | None = None, dx: Points | None = None, dy: Points | None = None,
    da: Weights | None = None, db: Weights | None = None, deps: float = 0.0,
    gauge: str = "mean-zero", rho: Any = None, tol: float | None = None, normalise: bool = False,
    backend: BackendLike = None, solved: SinkhornResult | None = None,
) -> tuple[Array, Array]:
    """(df, dg), (n,) and (m,), in cost units: the change of the potentials in the `gauge`, which is
    a name that `refot.solve` takes. With `rho` potentials have no free constant, and the gauge has
    no effect.

    Where marginals are exact, da and db must have sum 0, because the masses stay 1. Raises
    InputError.

        df, dg = refot.potentials_jvp(C, a, b, eps, dC=direction)
    """
    term, v = _problem_and_direction(
        C, a, b, eps, rho, dC, dx, dy, da, db, deps, tol, normalise, backend, solved)
    lookup(GAUGES, gauge, "gauge")
    df, dg = _change(term, v)
    if term.p.is_exact:
        require_gauge(term.p, gauge)
        f, g = shifted(term.p, term.f, term.g, gauge)
        mass = float(term.p.a.sum())
        t = constant(gauge, term.p.a / mass, term.p.b / mass, df, dg)
        if gauge in WEIGHTED:
            t += constant(gauge, v.a / mass, v.b / mass, f, g)
        df, dg = df + t, dg - t
    return df, dg


@as_given
@in_range
def plan_jvp(
    C: CostLike, a: Weights = None, b: Weights = None, eps: float = REQUIRED, *,
    dC: Matrix | None = None, dx: Points | None = None, dy: Points | None = None,
    da: Weights | None = None, db: Weights | None = None, deps: float = 0.0, rho: Any = None,
    tol: float | None = None, normalise: bool = False, backend: BackendLike = None,
    solved: SinkhornResult | None = None,
) -> Array:
    """dP_ij = K_ij (da_i b_j + a_i db_j) + P_ij (df_i + dg_j - dC_ij - z_ij deps) / eps, (n, m),
    with z_ij = (f_i + g_j - C_ij) / eps and K_ij = exp(z_ij), the density of P.

    With exact marginals its rows sum to da and its columns to db. Raises InputError.
    """
    term, v = _problem_and_direction(
        C, a, b, eps, rho, dC, dx, dy, da, db, deps, tol, normalise, backend, solved)
    df, dg = _change(term, v)
    a, b, eps = term.p.a, term.p.b, term.p.eps
    return term.p.backend.xp.concatenate([
        rows.K * (v.a[rows.at, None] * b + a[rows.at, None] * v.b
                  + a[rows.at, None] * b * (df[rows.at, None] + dg - rows.dC) / eps)
        for rows in blocks(term, v)])


# ------------------------------------------------------------------ the problem and its direction
def _problem_and_direction(
    C: CostLike, a: Weights, b: Weights, eps: float, rho: Any, dC: Matrix | None, dx: Points | None,
    dy: Points | None, da: Weights | None, db: Weights | None, deps: float, tol: float | None,
    normalise: bool, backend: BackendLike, solved: SinkhornResult | None,
) -> tuple[Term, Direction]:
    """(the solved term of the problem, its direction), both in float64. Raises InputError."""
    C, backend = as_cost(C), backend_of(solved, backend)
    if rho is None:
        term = _solved(problem(C, a, b, eps, backend, normalise), tol, solved)
    elif normalise:
        raise InputError("normalise", "True beside rho", "False: masses may have any total")
    else:
        p = unbalanced_problem(C, a, b, eps, rho, backend=backend)
        found = tightly(p, tol, solved)
        term = FreeTerm(p, found.f, found.g)
    for change, cost, weights in ((da, C, term.p.b), (db, C.T, term.p.a)):
        if change is not None:
            require_all_partners(cost, weights)
    return in_float64(term), _direction(term.p, dC, dx, dy, da, db, deps)


def _solved(p: Problem, tol: float | None, solved: SinkhornResult | None) -> Term:
    """The solved term of a balanced problem: each potential is the transform of the other."""
    g = to_first_order(p, tol, solved=solved).g
    f = p.transform(g)
    return Term(p, f, p.T.transform(f, g))


def _direction(p: Problem, dC: Matrix | None, dx: Points | None, dy: Points | None,
               da: Weights | None, db: Weights | None, deps: float) -> Direction:
    """The direction, checked, in float64 on the backend of p."""
    def on_backend(values: Array) -> Array:
        return p.backend.asarray(values).astype(np.float64)

    (n, m), deps = p.C.shape, as_number(deps, "deps")
    a, b = (on_backend(_weights_change(p, change, size, name))
            for change, size, name in ((da, n, "da"), (db, m, "db")))
    C = None if dC is None else on_backend(as_matrix(dC, "dC", (n, m)))
    x = None if dx is None else on_backend(as_matrix(dx, "dx", as_point_cost(p.C).x.shape))
    y = None if dy is None else on_backend(as_matrix(dy, "dy", as_point_cost(p.C).y.shape))
    return Direction(a, b, x, y, C, deps)


def _weights_change(p: Problem, change: Weights | None, n: int, name: str) -> Array:
    """da (n,), 0 where none is given. Raises InputError for a sum that is not 0 where the masses
    have to stay equal."""
    if change is None:
        return np.zeros(n)
    change = as_vector(change, n, name).astype(np.float64)
    total, size = float(change.sum()), float(abs(change).sum())
    if p.is_exact and abs(total) > OFF * size:
        raise InputError(name, f"sum {total:.3g}", f"sum 0, for the mass stays 1: {name} - "
                         f"{name}.mean()")
    return change


def _change(term: Term, v: Direction) -> tuple[Array, Array]:
    """(df, dg), up to a constant t in (df + t, dg - t). The measures are exchanged where the first
    one is the smaller: the linear system has as many unknowns as there are columns."""
    if term.f.shape[0] < term.g.shape[0]:
        dg, df = _change(term.T, v.T)
        return df, dg
    return potentials_change(term, v, *stiffness(term))
