"""The translation-invariant iteration (`iteration`) over-relaxed: f <- f + w (f* - f), where f* is
the best f for g up to a level (`UnbalancedProblem.answer`).

"Best" means: with the largest dual. The level of potentials is the t in (f + t, g - t). The dual at
the best level is a function of f and g that does not depend on their level. It is maximised in f
and in g by turns, and over-relaxation reduces the number of steps to about its square root, as
`solvers.overrelaxed` explains. Within this file potentials may have any level; each pair that is
yielded is at the best one. A step is taken with w = 1 where the dual would fall. "Free" in names
means marginals that may be missed. U-4 is an equation of docs/equations.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np

from refot.arrays import Array, namespace
from refot.backend_contract import FreeSweeper, formed_by
from refot.problem import Problem
from refot.solvers.auto import Sweeps
from refot.solvers.overrelaxed import next_relaxation
from refot.solvers.schedule import Iterates, annealed, scheduled
from refot.solvers.stabilised import (
    LEAST_ENTRY,
    NEGLIGIBLE,
    AbsorbedKernel,
    by_softmin,
    require_kernel,
)
from refot.unbalanced_problem import UnbalancedProblem

IN_ONE_CALL = 1 << 20
"""Up to this number of pairs, for which the backend uses one thread anyway, a step in one compiled
call is faster."""

IN_CACHE = 1 << 18
"""Up to this number of pairs, the kernel matrix K of `FreeKernel` stays in the processor's cache
even in float64, so that float32 would save nothing."""


class FreeStep(NamedTuple):
    """The result of an iteration from (f, g)."""

    f: Array
    """f, moved towards the best one for g."""

    g: Array
    """The g from which f was computed."""

    level: float
    """The best t for (f + t, g - t)."""

    residual: float
    """The residual U-4 of (f + level, g - level)."""

    next_g: Array
    """g, moved towards the best one for f."""


Step: TypeAlias = Callable[[Array | None, Array, float], FreeStep]
"""(f, or None before the first step; g; w) -> FreeStep."""


def free_iterates(p: UnbalancedProblem, g: Array) -> Iterates:
    """Over-relaxation with the transforms of the backend."""
    return relax_free(g, partial(stepped_free, p))


def relax_free(g: Array, step: Step) -> Iterates:
    """(f, g, residual) of each iteration, with any Step; f has moved once more than g."""
    f, w, errors = None, 1.0, [math.inf]
    while True:
        f, before, level, error, g = step(f, g, w)
        errors.append(error)
        yield f + level, before - level, error
        faster = next_relaxation(errors, w)
        if faster > w:
            w, errors = faster, errors[-1:]


def stepped_free(p: UnbalancedProblem, f: Array | None, g: Array, w: float) -> FreeStep:
    """A step by two transforms of the backend."""
    h = p.transform(g, f)
    f = half_step(p, f, p.answer(h, g), h, g, w)
    return completed(p, f, h, g, p.T.transform(f, g), w)


def completed(p: UnbalancedProblem, f: Array, h: Array, g: Array, transform: Array, w: float
              ) -> FreeStep:
    """The whole step, once f (n,) has moved: its level, its residual, and the half-step of g.

    h (n,) is the transform of g, and `transform` (m,) that of f. From these two the sums of the
    plan follow, so that the residual takes no pass over the pairs.
    """
    columns, t = p.T, p.shift(f, g)
    error = residual_of(p, f + t, g - t, sums(p, f, h), sums(columns, g, transform))
    if not p.is_smooth:  # for total variation `answer` does not find the best level
        f, g, transform, t = f + t, g - t, transform - t, 0.0
    next_g = half_step(columns, g, columns.answer(transform, f), transform, f, w)
    return FreeStep(f, g, t, error, next_g)


def residual_of(p: UnbalancedProblem, f: Array, g: Array, rows: Array, columns: Array) -> float:
    """`UnbalancedProblem.residual`; infinite where the sums are."""
    with np.errstate(invalid="ignore"):
        error = p.residual(f, g, rows, columns)
    return error if error >= 0 else math.inf


def sums(p: Problem, f: Array, transform: Array) -> Array:
    """The row sums of the plan of f and of the potential with this transform, (n,)."""
    xp = namespace(f)
    with np.errstate(over="ignore"):
        return p.a * xp.exp(xp.where(p.a > 0, (f - transform) / p.eps, 0))


def half_step(p: UnbalancedProblem, f: Array | None, answer: Array, h: Array, g: Array, w: float
              ) -> Array:
    """f + w (answer - f); or `answer` itself, the best f for g up to a level, where there is no f
    yet, or where the longer step would lower the dual.

    h (n,) is the transform of g. The dual is compared at the best level of (f, g). If the step does
    not lower it there, then the dual at the best level after the step is not lower either.
    """
    if f is None or w == 1.0:
        return answer
    step = namespace(f).where(p.a > 0, w * (answer - f), 0)
    if not p.rise(f + p.shift(f, g), step, sums(p, f, h)) >= 0:  # negative, or NaN
        return answer
    return namespace(f).where(p.a > 0, f + step, answer)


# ------------------------------------------------------------------ with an absorbed kernel
class FreeKernel(AbsorbedKernel[UnbalancedProblem, FreeStep]):
    """Steps for an unbalanced problem with the matrix K_ij = exp((f0_i + g0_j - C_ij) / eps), which
    is formed at the potentials (f0, g0) of an earlier step (`stabilised`).

    A step needs K v for v = b exp((g - g0) / eps), and K'u for u = a exp((f - f0) / eps) with the
    new f. One call of the backend (`sweep`) computes both. That is possible because u is a power of
    1 / (K v) times factors that are known before, except for a constant in f, the lag
    (`UnbalancedProblem.lag`). It follows only from the whole of K v, so it is left out of u, and
    accounted for afterwards.

    For a small problem the backend may make a whole step in one call (`FreeSweeper`).
    """

    def __init__(self, p: UnbalancedProblem) -> None:
        pairs = math.prod(p.C.shape)
        small = pairs <= IN_ONE_CALL and p.C.dtype == np.float64
        self.compiled = p.backend if small and isinstance(p.backend, FreeSweeper) else None
        super().__init__(p, p.C.dtype if self.compiled and pairs <= IN_CACHE else None)

    def relaxed(self, p: UnbalancedProblem, g: Array) -> Iterates:
        """Over-relaxation with K, or by softmin where that is faster."""
        return relax_free(g, partial(stepped_free, p) if by_softmin(p) else self.sweep)

    def by_transforms(self, f: Array | None, g: Array, w: float) -> FreeStep:
        """The step without K."""
        return stepped_free(self.p, f, g, w)

    def _swept(self, f: Array | None, g: Array, w: float) -> FreeStep | None:
        """The step with the present K, not formed anew; None where a sum is not `_reliable`.

        The lag is what has to be subtracted from prox(h), where h is the transform of g, to get the
        best f for g up to a level (`UnbalancedProblem.answer`)."""
        p, w = self.p, 1.0 if f is None else w
        if self.compiled is not None and p.is_smooth:
            return self._in_one_call(self.compiled, self.f0 if f is None else f, g, w)
        v = self._scaling(p.b, g, self.g0)
        row_sums, column_sums = self._free_sums(v, f, w)
        if not self._reliable(row_sums, v):
            return None
        h = self._transform(self.f0, row_sums)
        lag = p.lag(p.prox_shift(h, g))
        answer = p.prox(h) - lag
        moved = half_step(p, f, answer, h, g, w)
        if moved is answer and w != 1:
            w = 1.0
            _, column_sums = self._free_sums(v, f, w)
        # K'u was computed before the lag was known, for moved + w lag in place of `moved`. So the
        # transform that follows from K'u is too low by w lag, which is added to it.
        lag *= w
        if not self._reliable(column_sums, self._scaling(p.a, moved + lag, self.f0)):
            return None
        return completed(p, moved, h, g, self._transform(self.g0, column_sums) + lag, w)

    def _in_one_call(self, backend: FreeSweeper, f: Array, g: Array, w: float) -> FreeStep | None:
        """The step in one compiled call of the backend; None where a sum is not reliable."""
        p, noise = self.p, LEAST_ENTRY[self.dtype.itemsize] / NEGLIGIBLE
        swept = backend.free_sweep(self.K, noise, (self.f0, self.g0), (p.a, p.b), p.eps,
                                   (p.rows.softness, p.columns.softness), f, g, w)
        return None if swept is None else FreeStep(swept.f, g, swept.level, swept.residual, swept.g)

    def _free_sums(self, v: Array, f: Array | None, w: float) -> tuple[Array, Array]:
        """(K v, K'u) with u_i = a_i exp((f1_i - f0_i) / eps) and f1 = (1 - w) f + w coupling h.

        h is the transform of g, which follows from K v. For KL and exact marginals the best f for
        g is coupling h, where coupling is the number p.coupling: rho / (rho + eps), or 1. So f1 is
        the f of an over-relaxed step before the lag is subtracted."""
        p, power = self.p, w * self.p.coupling
        known = (power - 1) * self.f0 + (0 if w == 1.0 or f is None else (1 - w) * f)
        return self._sums(v, self._scaling(p.a, known, 0), power)


def stabilised_free(p: UnbalancedProblem, g: Array) -> Iterates:
    """Over-relaxation with an absorbed kernel, under an eps schedule."""
    require_kernel(p)
    p = replace(p, C=formed_by(p.backend, p.C))
    return annealed(p, g, FreeKernel(p).iterates)


overrelaxed_free = scheduled(free_iterates)
"""Over-relaxation under an eps schedule."""

FREE = Sweeps(free_iterates, FreeKernel)
"""How an unbalanced problem is swept: by `free_iterates`, with the transforms of the backend, or
with a `FreeKernel`."""
