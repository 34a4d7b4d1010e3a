"""Plans from potentials (B-15, B-17, B-29, B-30), their marginals, rounding to feasible plans.

Equations are those of B = Bréchet et al. 2019; an erratum such as "E3" is a heading of
docs/errata.md.
"""

from __future__ import annotations

import numpy as np

from refot.arrays import (
    REQUIRED,
    Array,
    CostLike,
    InputError,
    Matrix,
    Potential,
    ShapeError,
    Weights,
    as_both_weights,
    as_plan,
    in_range,
    namespace,
)
from refot.backend_contract import BackendLike
from refot.costs.forbidden import forbids, on_host
from refot.costs.operands import Cost, as_cost
from refot.foreign import as_given
from refot.problem import problem
from refot.solvers.memory import gibbs_matrix
from refot.spanning_tree import changed_along_tree


@as_given
@in_range
def plan(
    f: Potential, g: Potential, C: CostLike, a: Weights = None, b: Weights = None,
    eps: float = REQUIRED, *, normalise: bool = False, backend: BackendLike = None
) -> Array:
    """P_ij = a_i b_j exp((f_i + g_j - C_ij) / eps), (n, m). B-15, B-17.

    Its marginals are a and b only if (f, g) are optimal. (f + t, g - t) gives the same plan. The
    function needs memory for P and for two blocks of its rows; it raises MemoryBudgetError if that
    is more than the environment variable REFOT_MEMORY allows, or than is free. `marginals` needs
    no memory for P.
    """
    p = problem(C, a, b, eps, backend, normalise)
    f, g = p.row_potential(f), p.column_potential(g)
    return gibbs_matrix(p.C, p.F(f), p.G(g), p.eps)


@as_given
@in_range
def semi_dual_plan(
    g: Potential, C: CostLike, a: Weights = None, b: Weights = None, eps: float = REQUIRED, *,
    normalise: bool = False, backend: BackendLike = None
) -> Array:
    """The plan of (g^(c,eps), g), (n, m): its rows sum to a for every g (m,). B-29.

    For the cost c(x, x) it is B-30. In B-23 the cost is C - lam Q, with a table Q of scores
    (`refot.information`). For the plan of that problem give `informative_cost(C, Q, lam)` as C:
    then the transform has this cost too, as it must; in B it is printed with C alone (erratum E3).
    """
    p = problem(C, a, b, eps, backend, normalise)
    g = p.column_potential(g)
    return plan(p.transform(g), g, p.C, p.a, p.b, p.eps, backend=p.backend)


@as_given
@in_range
def marginals(
    f: Potential, g: Potential, C: CostLike, a: Weights = None, b: Weights = None,
    eps: float = REQUIRED, *, normalise: bool = False, backend: BackendLike = None
) -> tuple[Array, Array]:
    """(P 1 (n,), P'1 (m,)) of the plan P of (f, g), without forming P. B-14."""
    p = problem(C, a, b, eps, backend, normalise)
    F, G = p.F(p.row_potential(f)), p.G(p.column_potential(g))
    return p.backend.marginals(p.C, F, G, p.eps)


@in_range
def marginal_error(
    f: Potential, g: Potential, C: CostLike, a: Weights = None, b: Weights = None,
    eps: float = REQUIRED, *, normalise: bool = False, backend: BackendLike = None
) -> float:
    """|P1 - a|_1 + |P'1 - b|_1 for the plan P of (f, g): how far its marginals are off, as a share
    of the mass."""
    p = problem(C, a, b, eps, backend, normalise)
    return p.marginal_error(p.row_potential(f), p.column_potential(g))


@as_given
@in_range
def round_to_marginals(
    P: Matrix, a: Weights = None, b: Weights = None, C: CostLike | None = None, *,
    normalise: bool = False
) -> Array:
    """A plan (n, m) near P with marginals a and b: Altschuler, Weed, Rigollet 2017, Algorithm 2.

    P (n, m) >= 0. Rows with too much mass are scaled down, then columns. The mass that is then
    missing is added as the product measure of the two missing marginals. The result is at most
    2 (|P1 - a|_1 + |P'1 - b|_1) from P in L1.

    The product measure has mass on every pair. So if C forbids pairs, P is corrected along a tree
    of its largest entries instead (`spanning_tree`), and forbidden pairs keep mass 0. Raises
    InputError where P is too far from its marginals for that.
    """
    P = as_plan(P, "P")
    xp = namespace(P)
    a, b = as_both_weights(a, b, P.shape, P.dtype, normalise)
    if C is not None and forbids(C := as_cost(C)):
        return _round_on_allowed_pairs(P, a, b, C)
    P = _shrink_rows(P, a)
    P = _shrink_rows(P.T, b).T
    # No row and no column has too much mass now, except by rounding.
    missing_a = xp.maximum(a - P.sum(axis=1), 0)
    missing_b = xp.maximum(b - P.sum(axis=0), 0)
    total = missing_a.sum()
    return P if total == 0 else P + xp.outer(missing_a / total, missing_b)


def _round_on_allowed_pairs(P: Array, a: Array, b: Array, C: Cost) -> Array:
    """`round_to_marginals` where C forbids pairs: P changes on the entries of a spanning tree."""
    xp, allowed = namespace(P), C.rows(slice(None)) < np.inf
    if allowed.shape != P.shape:
        raise ShapeError("C", f"shape {allowed.shape}", f"{P.shape}, that of P")
    changed = changed_along_tree(*map(on_host, (xp.where(allowed, P, 0), a, b)))
    if changed is None:
        raise InputError("P", "too far from the marginals to be corrected on allowed pairs",
                         "a plan of nearly optimal potentials, whose entries > 0 connect all atoms")
    return xp.asarray(changed)


def _shrink_rows(P: Array, a: Array) -> Array:
    """P, with each row whose sum exceeds a_i scaled down to the sum a_i."""
    xp = namespace(P)
    r = P.sum(axis=1)
    return P * xp.where(r > a, a / xp.where(r > 0, r, 1), 1)[:, None]
