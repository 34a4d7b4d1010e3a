"""Newton's method on the semi-dual by conjugate gradients: no matrix is factored.

The Hessian -(diag c - P' diag(1/a) P) / eps is applied through products with the plan: the
contract's `plan_apply` on any backend, or, on the CPU, a sparse matrix of the entries that count.
At small eps nearly all of a plan is negligible; leaving it out changes the direction a little,
never the answer, since gradient and line search are exact. (tang2024accelerating in
docs/references.bib.)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from refot.arrays import Array, namespace
from refot.memory import budget
from refot.problem import Problem
from refot.sinkhorn import on_support

from .newton import line_search
from .schedule import Iterates, annealed

Product: TypeAlias = Callable[[Array], Array]

NEGLIGIBLE, PER_ERROR = 1e-5, 1e-3
"""Entries P_ij below this part of a_i, or this part of the marginal error where that is less, are
left out of the Hessian: what remains of the error sits where parts of the plan hardly couple."""

STEPS = 500
"""At most so many steps of conjugate gradients for one direction."""

STALL = 30
"""It ends after so many iterations without a new smallest error."""


def newton_cg(p: Problem, g: Array) -> Iterates:
    """Newton-CG under an eps schedule."""
    return annealed(p, g, newton_cg_iterates)


def newton_cg_iterates(p: Problem, g: Array) -> Iterates:
    """(f, g, marginal error); rows are exact, so that the error is |c - b|_1, c = P'1.

    c comes from the transform of f, c_j = b_j exp((g_j - f^_j) / eps): never an overflow within.
    """
    f, stalled = p.transform(g), 0
    best, best_f, best_g = math.inf, f, g
    while stalled < STALL:
        transform = p.T.transform(f, g)
        g = on_support(p.T, g, transform)
        with np.errstate(over="ignore"):
            columns = p.b * namespace(g).exp((g - transform) / p.eps)
        residual = p.b - columns
        error = float(abs(residual).sum())
        stalled += 1
        if error < best:
            best, best_f, best_g, stalled = error, f, g, 0
        yield f, g, error
        f, g = line_search(p, f, g, p.eps * direction(p, f, g, residual, error), residual)
    yield best_f, best_g, best


def direction(p: Problem, f: Array, g: Array, residual: Array, error: float) -> Array:
    """d with (diag c - P' diag(1/a) P + damping) d = b - c, roughly; damped in proportion to the
    error: far from the optimum it is a scaled gradient step, near it Newton's."""
    least = min(NEGLIGIBLE, PER_ERROR * error)
    apply, apply_T, rows, columns = plan_products(p, f, g, least)
    xp = namespace(g)
    floor = xp.where(p.b > 0, 1e-3 * p.b, 1)
    diagonal = xp.maximum(columns, floor) * (1 + min(error, 1.0))
    inverse_rows = xp.where(rows > 0, 1 / xp.where(rows > 0, rows, 1), 0)
    accuracy = min(0.1, math.sqrt(max(error, 1e-10)))

    def hessian(v: Array) -> Array:
        return diagonal * v - apply_T(inverse_rows * apply(v))

    return conjugate_gradients(hessian, residual, diagonal, accuracy)


def conjugate_gradients(A: Product, y: Array, diagonal: Array, accuracy: float) -> Array:
    """x with A x = y to a relative accuracy in the norm of 1 / diagonal, which preconditions."""
    x, r = namespace(y).zeros_like(y), y
    z = r / diagonal
    q, rz = z, float(r @ z)
    target = accuracy**2 * rz
    for _ in range(STEPS):
        Aq = A(q)
        curvature = float(q @ Aq)
        if not (curvature > 0 and rz > target):
            break
        step = rz / curvature
        x, r = x + step * q, r - step * Aq
        z = r / diagonal
        rz, before = float(r @ z), rz
        q = z + (rz / before) * q
    return x


# ------------------------------------------------------------------ products with the plan
def plan_products(
    p: Problem, f: Array, g: Array, least: float
) -> tuple[Product, Product, Array, Array]:
    """(v -> P v, u -> P'u, P 1, P'1): sparse on the CPU where the entries fit the budget."""
    if p.backend.xp is np:
        found = sparse_plan(p, f, g, least)
        if found is not None:
            rows, columns = (np.asarray(found.sum(axis=axis)).ravel() for axis in (1, 0))
            return found.__matmul__, found.T.__matmul__, rows, columns
    F, G = p.F(f), p.G(g)

    def apply(v: Array) -> Array:
        return p.backend.plan_apply(p.C, F, G, p.eps, v[:, None])[:, 0]

    def apply_T(u: Array) -> Array:
        return p.backend.plan_apply(p.C.T, G, F, p.eps, u[:, None])[:, 0]

    return apply, apply_T, p.a, p.T.row_sums(g, f)


def sparse_plan(p: Problem, f: Array, g: Array, least: float) -> Array | None:
    """The entries of P above least a_i, by rows; None beyond the budget. (Its transpose multiplies
    from the same entries, a fifth slower: to sort them anew takes as long as a dozen products.)"""
    from scipy.sparse import csr_matrix  # 0.1 s to import: only where it is used

    most = budget() // 36  # an entry takes 12 bytes, and twice as much again while it is built
    found = p.backend.plan_entries(p.C, f, p.G(g), p.eps, max(least, 1e-300), most)
    if found is None:
        return None
    conditional, columns, starts = found  # P_ij / a_i
    conditional *= np.repeat(p.a, np.diff(starts))
    return csr_matrix((conditional, columns, starts), p.C.shape)
