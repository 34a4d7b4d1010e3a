"""Sinkhorn's algorithm in the log domain.

g^(c,eps) (n,) is the (c,eps)-transform of g, -eps log sum_j b_j exp((g_j - C_ij) / eps), equation
B-25 (B = Bréchet et al. 2019); f^(c,eps) (m,) is the same with the measures exchanged. Each
algorithm is a generator of iterates, one for each step, from which `iterate` takes until it stops.
The rule is the same for all: the marginal error in L1, |P1 - a|_1 + |P'1 - b|_1, is at most tol,
and each entry of f and of g is within eps sqrt(tol) of the transform of the other potential. Both
are evaluated at the potentials that are returned, not at those of an earlier step.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from refot.arrays import REQUIRED, Array, CostLike, Potential, Weights, namespace
from refot.backend_contract import BackendLike
from refot.foreign import as_given
from refot.problem import Problem, problem
from refot.solvers.loop import SinkhornResult, iterate


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
        yield f, g, float(abs(row_sums(p, f, f_next) - p.a).sum())
        f = f_next


def row_sums(p: Problem, f: Array, f_next: Array) -> Array:
    """The row sums of the plan of (f, g), a exp((f - f_next) / eps), (n,), where f_next =
    g^(c,eps). They are infinite where a start was far too large."""
    with np.errstate(over="ignore"):
        return namespace(f).exp((p.F(f) - f_next) / p.eps)


def on_support(p: Problem, f: Array, transform: Array) -> Array:
    """f_i where a_i > 0, and the `transform` (n,) of g where a_i = 0. No marginal error shows
    whether the potential of an atom without mass has converged, so it is set to its exact value."""
    return namespace(f).where(p.a > 0, f, transform)


def centred_start(p: Problem, g: Array) -> Array:
    """g less its mean under b. A large constant in g would stand in f with the opposite sign, and
    cost both their last digits. The entry of one heavy atom is subtracted first, so that of a huge
    constant nothing is left, not even a rounding of it."""
    g = g - g[int(p.b.argmax())]
    return g - p.b @ g


@as_given
def sinkhorn_log(
    C: CostLike,
    a: Weights = None,
    b: Weights = None,
    eps: Any = REQUIRED,
    *,
    tol: float | None = None,
    max_iter: int = 10000,
    g: Potential | None = None,
    normalise: bool = False,
    backend: BackendLike = None,
) -> SinkhornResult:
    """Potentials by Sinkhorn's algorithm in the log domain, safe for every eps.

    C (n, m), an array, a `PointCost` or a `DenseCost`; a (n,), b (m,); `g` (m,) a warm start
    (default 0). Stops when the L1 marginal error is <= tol (default 1e-9, in float32 1e-5), and
    warns (ConvergenceWarning) if it does not get there.
    """
    p = problem(C, a, b, eps, backend, normalise)
    start = namespace(p.b).zeros_like(p.b) if g is None else centred_start(
        p, p.column_potential(g))
    return iterate(p, log_iterates(p, start), tol, max_iter)
