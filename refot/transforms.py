"""Softmin and the hard and soft c-transforms: B-7, B-25, B-28, H-7, H-8.

With P_ij = a_i b_j exp((f_i + g_j - C_ij) / eps), the transform of g is the f for which row i of P
sums to a_i. It does not depend on a. For the transform of f (n,), call the same function with f,
`C.T` and a. B-28 is B-25 with C = c(x, x).

Papers: B = Bréchet et al. 2019, H = Houdard et al. 2023.
"""

from __future__ import annotations

import math

from refot.arrays import (
    REQUIRED,
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
from refot.backend_contract import BackendLike, backend_for
from refot.costs.forbidden import require_row_partners
from refot.costs.operands import as_cost, as_eps, row_blocks
from refot.foreign import as_given
from refot.problem import Problem, on_backend
from refot.solvers.memory import gibbs_matrix


@as_given
def softmin(C: CostLike, h: Potential, eps: float, *, backend: BackendLike = None) -> Array:
    """-eps log sum_j exp((h_j - C_ij) / eps), (n,), in cost units. B-25, H-8.

    C (n, m). h (m,) may be -inf in some columns (those without mass), but not in all. Raises
    InputError, among others where all pairs of a row are forbidden: its softmin would be infinite.
    """
    C = as_cost(C)
    eps, on = as_eps(eps, C), backend_for(math.prod(C.shape), backend)
    h = as_floating(h, "h", ndim=1)
    xp = namespace(h)
    if h.shape != (C.shape[1],):
        raise ShapeError("h", f"shape {h.shape}", f"({C.shape[1]},), the columns of C")
    if not bool((h < xp.inf).all()) or not bool((h > -xp.inf).any()):  # the first is false for NaN
        raise InputError("h", "NaN, +inf, or -inf everywhere", "numbers < inf, one of them finite")
    require_row_partners(C, h > -xp.inf)
    as_vector(xp.where(h > -xp.inf, h, 0), C.shape[1], "h")  # raises if a finite one is too large
    return on.softmin(C.with_arrays(on.asarray), on.asarray(h).astype(C.dtype, copy=False), eps)


@as_given
@in_range
def c_eps_transform(
    g: Potential, C: CostLike, b: Weights = None, eps: float = REQUIRED, *, normalise: bool = False,
    backend: BackendLike = None
) -> Array:
    """g^(c,eps)_i = -eps log sum_j b_j exp((g_j - C_ij) / eps), (n,). B-25, B-28, H-7.

    g (m,), b (m,). C (n, m) may be a cost between new points x and the support y of b: the
    transform is defined at every x, not only at the points for which g was found.
    """
    p = transform_problem(C, b, eps, backend, normalise)
    return p.transform(p.column_potential(g))


@as_given
@in_range
def c_transform(
    g: Potential, C: CostLike, b: Weights | None = None, *, normalise: bool = False
) -> Array:
    """g^c_i = min_j (C_ij - g_j) over the columns j with b_j > 0, (n,). B-7, and H-8 for
    lambda = 0."""
    C = as_cost(C)
    m = C.shape[1]
    g = as_vector(g, m, "g")
    b = uniform(m, g) if b is None else as_weights(b, m, "b", C.dtype, normalise=normalise)
    require_row_partners(C, b)
    xp = namespace(C.rows(slice(0, 1)))
    g = xp.where(b > 0, g, -xp.inf)
    return xp.concatenate([(C.rows(rows) - g).min(axis=1) for rows in row_blocks(C)])


@as_given
@in_range
def conditional(
    g: Potential, C: CostLike, b: Weights = None, eps: float = REQUIRED, *, normalise: bool = False,
    backend: BackendLike = None
) -> Array:
    """chi_ij = b_j exp((f_i + g_j - C_ij) / eps) with f = g^(c,eps), (n, m): each row sums to 1.

    chi_ij is the share of the mass of x_i that goes to y_j, a softmax over j. -chi_ij is the
    derivative of f_i in g_j. The density of B-29 is chi / b. It takes as much memory as `plan`.
    """
    p = transform_problem(C, b, eps, backend, normalise)
    g = p.column_potential(g)
    return gibbs_matrix(p.C, p.transform(g), p.G(g), p.eps)


def transform_problem(
    C: CostLike, b: Weights, eps: float, backend: BackendLike, normalise: bool = False
) -> Problem:
    """The problem that a transform of g needs. Its weights of the rows are uniform: a transform
    does not depend on them.

    A column whose pairs are all forbidden is accepted here; `problem` refuses it.
    """
    C = as_cost(C)
    b = as_weights(b, C.shape[1], "b", C.dtype, normalise)
    require_row_partners(C, b)
    return on_backend(C, uniform(C.shape[0]).astype(C.dtype), b, eps, backend)
