"""Softmin and the hard and soft c-transforms: B-7, B-25, B-28, H-7, H-8.

With P_ij = a_i b_j exp((f_i + g_j - C_ij) / eps), the transform of g is the f that makes every row
of P sum to a_i. The other side is the same function on `C.T`: B-28 is B-25 with C = c(x, x).
"""

from __future__ import annotations

from refot.arrays import (
    Array,
    CostLike,
    InputError,
    Potential,
    ShapeError,
    Weights,
    as_floating,
    as_vector,
    as_weights,
    in_range,
    namespace,
    uniform,
)
from refot.backend_contract import BackendLike, get_backend
from refot.costs.forbidden import require_row_partners
from refot.costs.operands import as_cost, as_eps, row_blocks
from refot.problem import Problem, on_backend
from refot.solvers.memory import gibbs_matrix


def softmin(C: CostLike, h: Potential, eps: float, *, backend: BackendLike = None) -> Array:
    """-eps log sum_j exp((h_j - C_ij) / eps), (n,), in cost units. B-25, H-8.

    C (n, m); h (m,), -inf for a column without mass, but not in every column. Raises InputError,
    also where a row has no allowed pair: its softmin would be infinite.
    """
    C, on = as_cost(C), get_backend(backend)
    eps = as_eps(eps, C)
    h = as_floating(h, "h", ndim=1)
    xp = namespace(h)
    if h.shape != (C.shape[1],):
        raise ShapeError("h", f"shape {h.shape}", f"({C.shape[1]},), the columns of C")
    if not bool((h < xp.inf).all()) or not bool((h > -xp.inf).any()):  # NaN fails the first
        raise InputError("h", "NaN, +inf, or -inf everywhere", "numbers < inf, one of them finite")
    require_row_partners(C, h > -xp.inf)
    as_vector(xp.where(h > -xp.inf, h, 0), C.shape[1], "h")  # in range, but for -inf
    return on.softmin(C.with_arrays(on.asarray), on.asarray(h).astype(C.dtype, copy=False), eps)


@in_range
def c_eps_transform(
    g: Potential, C: CostLike, b: Weights, eps: float, *, backend: BackendLike = None
) -> Array:
    """g^(c,eps)_i = -eps log sum_j b_j exp((g_j - C_ij) / eps), (n,). B-25, B-28, H-7.

    C (n, m) may be a PointCost between new points and the support: the transform out of sample.
    """
    p = _rows_unweighted(C, b, eps, backend)
    return p.transform(p.column_potential(g))


@in_range
def c_transform(g: Potential, C: CostLike, b: Weights | None = None) -> Array:
    """g^c_i = min_j C_ij - g_j over the support of b, (n,). B-7; H-8 with lambda = 0."""
    C = as_cost(C)
    m = C.shape[1]
    g = as_vector(g, m, "g")
    b = uniform(m, g) if b is None else as_weights(b, m, "b", C.dtype)
    require_row_partners(C, b)
    xp = namespace(C.rows(slice(0, 1)))
    g = xp.where(b > 0, g, -xp.inf)
    return xp.concatenate([(C.rows(rows) - g).min(axis=1) for rows in row_blocks(C)])


@in_range
def conditional(
    g: Potential, C: CostLike, b: Weights, eps: float, *, backend: BackendLike = None
) -> Array:
    """chi_ij = b_j exp((f_i + g_j - C_ij) / eps) with f = g^(c,eps), (n, m): each row sums to 1.

    The softmax of which the transform is the softmin; the density of B-29 is chi / b. Its memory
    is that of `plan`.
    """
    p = _rows_unweighted(C, b, eps, backend)
    g = p.column_potential(g)
    return gibbs_matrix(p.C, p.transform(g), p.G(g), p.eps)


def _rows_unweighted(C: CostLike, b: Weights, eps: float, backend: BackendLike) -> Problem:
    """The problem of a transform, in which the weights of the rows play no part: a column need not
    have a partner among them."""
    C = as_cost(C)
    b = as_weights(b, C.shape[1], "b", C.dtype)
    require_row_partners(C, b)
    return on_backend(C, uniform(C.shape[0]).astype(C.dtype), b, eps, backend)
