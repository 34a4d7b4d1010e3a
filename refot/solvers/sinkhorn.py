"""Sinkhorn's algorithm in the log domain, and its symmetric form for a measure with itself.

B = Bréchet et al. 2019. Each algorithm is a generator of iterates, one for each step, from which
`iterate` takes until it stops. The rule is the same for all: the marginal error in L1,
|P1 - a|_1 + |P'1 - b|_1, is within tol, and every potential is within eps sqrt(tol) of the
transform of the other side. Both are evaluated at the potentials that are returned, not at older
ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from refot.arrays import Array, CostLike, InputError, Potential, Weights, namespace
from refot.backend_contract import BackendLike, prepared
from refot.costs.operands import as_cost, is_symmetric
from refot.foreign import as_given
from refot.problem import Problem, problem
from refot.solvers.loop import SinkhornResult, iterate
from refot.solvers.memory import kept


# ------------------------------------------------------------------ log domain
def log_iterates(p: Problem, g: Array) -> Iterator[tuple[Array, Array, float]]:
    """(f, g, marginal error) of step 1, 2, ...: f = g^(c,eps), then g = f^(c,eps). B-25.

    After a step the columns of the plan are exact, but for rounding. The f of the next step also
    gives the row sums of the present plan, a exp((f - f_next) / eps), without a pass of their own.
    """
    f = p.transform(g)
    while True:
        g = p.T.transform(f, g)
        f_next = p.transform(g, f)
        f = on_support(p, f, f_next)
        yield f, g, float(abs(_row_sums(p, f, f_next) - p.a).sum())
        f = f_next


STEP, MOMENTUM = 4 * (math.sqrt(2) - 1) ** 2, (math.sqrt(2) - 1) ** 4
"""Of the symmetric iteration: Polyak's heavy ball where curvatures lie between 1 and 2."""


def symmetric_iterates(p: Problem, f: Array) -> Iterator[tuple[Array, Array, float]]:
    """(f, f, marginal error) for a = b and C = C', by a heavy ball. Self terms of B-9.

    To first order the transform of f + h is that of f less K h, where K averages h over each row of
    the plan. Where exp(-c / eps) is positive definite, K has eigenvalues in [0, 1], so that f less
    its transform grows by factors in [1, 2], and the error falls by (sqrt(2) - 1)^2 = 0.17 in each
    step. The first step is the mean of f and its transform: exact for points that do not exchange
    mass. For a K that is not positive the iteration still converges.
    """
    step, before = 0.5, f
    while True:
        f_next = p.transform(f, f)
        f = on_support(p, f, f_next)
        yield f, f, 2 * float(abs(_row_sums(p, f, f_next) - p.a).sum())
        moved = f + step * (f_next - f) + (MOMENTUM * (f - before) if step == STEP else 0)
        f, before, step = moved, (f if step == STEP else moved), STEP


def _row_sums(p: Problem, f: Array, f_next: Array) -> Array:
    """The row sums of the plan of (f, g), a exp((f - f_next) / eps), (n,), where f_next =
    g^(c,eps). They are infinite where a start was far too large."""
    with np.errstate(over="ignore"):
        return namespace(f).exp((p.F(f) - f_next) / p.eps)


def on_support(p: Problem, f: Array, transform: Array) -> Array:
    """f where a_i > 0; where a_i = 0 the transform of g. No marginal error shows whether the
    potential of an atom without mass has converged, so it is set to what it should be."""
    return namespace(f).where(p.a > 0, f, transform)


def centred_start(p: Problem, g: Array) -> Array:
    """g less its mean under b. A large constant in g would be missing in f, and both would lose
    digits to it."""
    return g - p.b @ g


@as_given
def sinkhorn_log(
    C: CostLike,
    a: Weights,
    b: Weights,
    eps: Any,
    *,
    tol: float | None = None,
    max_iter: int = 10_000,
    g: Potential | None = None,
    normalise: bool = False,
    backend: BackendLike = None,
) -> SinkhornResult:
    """Potentials by Sinkhorn's algorithm in the log domain, safe for every eps.

    C (n, m) or an operand; a (n,), b (m,); `g` (m,) a warm start (default 0). Stops when the L1
    marginal error is <= tol (default 1e-9, in float32 1e-5), and warns (ConvergenceWarning) if it
    does not get there.
    """
    p = problem(C, a, b, eps, backend, normalise)
    start = namespace(p.b).zeros_like(p.b) if g is None else centred_start(
        p, p.column_potential(g))
    return iterate(p, log_iterates(p, start), tol, max_iter)


@as_given
def sinkhorn_symmetric(
    C: CostLike,
    a: Weights,
    eps: Any,
    *,
    tol: float | None = None,
    max_iter: int = 10_000,
    f: Potential | None = None,
    normalise: bool = False,
    backend: BackendLike = None,
) -> SinkhornResult:
    """The potential f = g of a measure with itself: C (n, n) symmetric, a (n,). For B-9 and B-28.

    The symmetric iteration converges in 20 steps where the alternating one needs thousands.
    """
    C = as_cost(C)
    if not is_symmetric(C):
        raise InputError("C", "not symmetric", "c(x, x): a measure with itself")
    p = problem(C, a, a, eps, backend, normalise)
    return solve_symmetric_problem(p, tol=tol, max_iter=max_iter, f=f)


def solve_symmetric_problem(
    p: Problem, *, tol: float | None = None, max_iter: int = 10_000, f: Potential | None = None
) -> SinkhornResult:
    """`sinkhorn_symmetric` of a checked problem, in which a = b and C is known to be symmetric."""
    start = namespace(p.a).zeros_like(p.a) if f is None else p.row_potential(f)
    inside = replace(p, C=prepared(p.backend, kept(p.C), p.a, p.b))
    found = iterate(inside, symmetric_iterates(inside, start), tol, max_iter)
    return replace(found, problem=p)  # not the matrix that was formed for the solve
