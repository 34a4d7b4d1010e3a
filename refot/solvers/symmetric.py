"""Sinkhorn's algorithm for a measure with itself: one potential, f = g. B-9, B-28.

A step is one transform of f. Where two matrices fit the memory budget, the transform is computed by
a product with the absorbed kernel (`stabilised`), which takes less time than its exponentials. B =
Bréchet et al. 2019.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from refot.arrays import REQUIRED, Array, CostLike, InputError, Potential, Weights, namespace
from refot.backend_contract import BackendLike, formed_by, prepared, recomputes
from refot.costs.operands import as_cost, is_symmetric
from refot.foreign import as_given
from refot.problem import Problem, problem
from refot.solvers.loop import SinkhornResult, iterate
from refot.solvers.memory import fits_matrix, kept

from .schedule import Iterates, if_warm
from .sinkhorn import on_support, row_sums
from .stabilised import AbsorbedKernel, by_softmin

STEP, MOMENTUM = 4 * (math.sqrt(2) - 1) ** 2, (math.sqrt(2) - 1) ** 4
"""The step and the momentum of the symmetric iteration: those of Polyak's heavy ball for curvatures
between 1 and 2."""


def symmetric_iterates(
    p: Problem, f: Array, transform: Callable[[Array], Array] | None = None
) -> Iterates:
    """(f, f, marginal error) of each step, for a = b and C = C', by Polyak's heavy ball: each step
    also repeats a part of the step before. For the self terms of B-9, a measure with itself.

    To first order the transform of f + h is that of f less K h, where K averages h over each row of
    the plan. Where exp(-c / eps) is positive definite, K has eigenvalues in [0, 1]. So the
    derivative 1 + K of f less its transform has eigenvalues in [1, 2], and each step multiplies the
    error by (sqrt(2) - 1)^2 = 0.17. The first step is the mean of f and its transform, which is
    exact for points that do not exchange mass. For a K that is not positive the iteration still
    converges.

    `transform` computes B-25; by default the backend does.
    """
    step, before = 0.5, f
    while True:
        f_next = p.transform(f, f) if transform is None else transform(f)
        f = on_support(p, f, f_next)
        yield f, f, 2 * float(abs(row_sums(p, f, f_next) - p.a).sum())
        moved = f + step * (f_next - f) + (MOMENTUM * (f - before) if step == STEP else 0)
        f, before, step = moved, (f if step == STEP else moved), STEP


# ------------------------------------------------------------------ with a kernel in memory
class Transformed(NamedTuple):
    """The result of a product with the kernel."""

    f: Array
    """The transform of the potential, (n,)."""


class SymmetricKernel(AbsorbedKernel[Problem, Transformed]):
    """The absorbed kernel K_ij = exp((f0_i + f0_j - C_ij) / eps) of a measure with itself."""

    def relaxed(self, p: Problem, g: Array) -> Iterates:
        """The symmetric iteration with K."""
        return symmetric_iterates(p, g, lambda f: self.sweep(f, f, 1.0).f)

    def by_transforms(self, f: Array | None, g: Array, w: float) -> Transformed:
        """The transform of g without K."""
        return Transformed(self.p.transform(g, g))

    def _swept(self, f: Array | None, g: Array, w: float) -> Transformed | None:
        """The transform of g with K as it is; None where a sum is not reliable."""
        v = self._scaling(self.p.a, g, self.g0)
        sums, _ = self._sums(v, self.p.a, 1.0)
        return Transformed(self._transform(self.f0, sums)) if self._reliable(sums, v) else None


IN_CACHE = 1 << 18
"""Up to this number of entries, the kernel stays in the processor's cache in the precision of the
problem: float32 would save nothing, and is not used."""


def fastest_iterates(p: Problem, f: Array) -> Iterates:
    """The symmetric iteration: with a kernel where two matrices fit the budget and a product takes
    less time than a transform, else by transforms."""
    if p.backend.xp is not np or by_softmin(p) or not fits_matrix(p.C, copies=2):
        return symmetric_iterates(p, f)
    if recomputes(p.backend):
        p = replace(p, C=formed_by(p.backend, p.C))  # once, and not whenever K is formed anew
    in_cache = math.prod(p.C.shape) <= IN_CACHE
    return SymmetricKernel(p, p.C.dtype if in_cache else None).iterates(p, f)


# ------------------------------------------------------------------ the solve
@as_given
def sinkhorn_symmetric(
    C: CostLike,
    a: Weights = None,
    eps: Any = REQUIRED,
    *,
    tol: float | None = None,
    max_iter: int = 10000,
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
    """`sinkhorn_symmetric` of a checked problem, in which a = b and C is known to be symmetric. A
    start f that is not a good one is replaced by 0."""
    inside = replace(p, C=prepared(p.backend, kept(p.backend, p.C), p.a, p.b))
    iterates = None if f is None else if_warm(
        inside, fastest_iterates(inside, p.row_potential(f)))
    if iterates is None:
        iterates = fastest_iterates(inside, namespace(p.a).zeros_like(p.a))
    found = iterate(inside, iterates, tol, max_iter)
    return replace(found, problem=p)  # not the matrix that was formed for the solve
