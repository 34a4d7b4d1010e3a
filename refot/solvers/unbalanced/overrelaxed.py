"""The translation-invariant iteration over-relaxed: f <- f + w (f* - f), f* the answer to g.

As in `solvers.overrelaxed`, where the theory is: the dual at the best level, a function of f and g
up to a level, is maximised in f and in g by turns, and over-relaxation takes the root of the number
of steps. Potentials are kept up to a level here, as `Problem.answer` gives them; each pair that is
yielded is at the best one. A step is taken with w = 1 where the dual would fall.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np

from refot.arrays import Array, namespace
from refot.costs.formed import formed
from refot.problem import Problem
from refot.solvers.ascent import value_rounding
from refot.solvers.auto import Sweeps
from refot.solvers.overrelaxed import next_relaxation
from refot.solvers.schedule import Iterates, annealed, scheduled
from refot.solvers.stabilised import AbsorbedKernel, by_softmin, require_kernel
from refot.unbalanced_problem import UnbalancedProblem


class FreeSweep(NamedTuple):
    """What a sweep makes of (f, g): f moved towards its best, the transform of g, and that of f."""

    f: Array
    h: Array
    transform: Array


Sweep: TypeAlias = Callable[[Array | None, Array, float], FreeSweep]
"""(f, or None before the first, g, w) -> FreeSweep."""


def free_iterates(p: UnbalancedProblem, g: Array) -> Iterates:
    """Over-relaxation with the transforms of the backend."""
    return relax_free(p, g, partial(swept_free, p))


def swept_free(p: UnbalancedProblem, f: Array | None, g: Array, w: float) -> FreeSweep:
    """A sweep by two transforms of the backend."""
    h = p.transform(g, f)
    f = half_step(p, f, h, g, w)
    return FreeSweep(f, h, p.T.transform(f, g))


def relax_free(p: UnbalancedProblem, g: Array, sweep: Sweep) -> Iterates:
    """(f, g, residual) for any way to sweep; g is half a step behind f.

    The residual is exact and free: both transforms are known, and with them the sums of the plan.
    """
    f, w, errors = None, 1.0, [math.inf]
    while True:
        f, h, transform = sweep(f, g, w)
        t = p.shift(f, g)
        errors.append(residual_of(p, f + t, g - t, sums(p, f, h), sums(p.T, g, transform)))
        yield f + t, g - t, errors[-1]
        if not p.is_smooth:  # the answer of total variation leaves the level as it is
            f, g, transform = f + t, g - t, transform - t
        g = half_step(p.T, g, transform, f, w)
        faster = next_relaxation(errors, w)
        if faster > w:
            w, errors = faster, errors[-1:]


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


def half_step(p: UnbalancedProblem, f: Array | None, h: Array, g: Array, w: float) -> Array:
    """f + w (f* - f), or f* itself where there is no f, or where the dual would fall."""
    answer = p.answer(h, g)
    if f is None or w == 1.0:
        return answer
    moved = namespace(f).where(p.a > 0, f + w * (answer - f), answer)
    rises = dual_at_best(p, moved, h, g) >= dual_at_best(p, f, h, g) - value_rounding(p, f, g)
    return moved if rises else answer


def dual_at_best(p: UnbalancedProblem, f: Array, h: Array, g: Array) -> float:
    """The dual of (f, g) at the best level, where the transform of g is h."""
    return p.dual(*p.shifted(f, g), float(sums(p, f, h).sum()))


# ------------------------------------------------------------------ with an absorbed kernel
class FreeKernel(AbsorbedKernel[UnbalancedProblem, FreeSweep]):
    """The kernel for an unbalanced problem: u = a exp((f - f0) / eps) is a power of 1 / (K v) times
    what is known before, up to the level, which follows from K v."""

    def relaxed(self, p: UnbalancedProblem, g: Array) -> Iterates:
        """Over-relaxation with K, or by softmin where that is faster."""
        return relax_free(p, g, partial(swept_free, p) if by_softmin(p) else self.sweep)

    def by_transforms(self, f: Array | None, g: Array, w: float) -> FreeSweep:
        """The sweep without K."""
        return swept_free(self.p, f, g, w)

    def _swept(self, f: Array | None, g: Array, w: float) -> FreeSweep | None:
        """The sweep with K; None where floats cannot tell."""
        p, w = self.p, 1.0 if f is None else w
        v = self._scaling(p.b, g, self.g0)
        row_sums, column_sums = self._free_sums(v, f, w)
        if not self._reliable(row_sums, v):
            return None
        h = self._transform(self.f0, row_sums)
        moved = half_step(p, f, h, g, w)
        level = (p.coupling - 1) * p.prox_shift(h, g)  # of the answer, as it goes with g
        if w != 1 and bool((moved == p.answer(h, g)).all()):
            w = 1.0
            _, column_sums = self._free_sums(v, f, w)
        if not self._reliable(column_sums, self._scaling(p.a, moved - w * level, self.f0)):
            return None
        return FreeSweep(moved, h, self._transform(self.g0, column_sums) - w * level)

    def _free_sums(self, v: Array, f: Array | None, w: float) -> tuple[Array, Array]:
        """(K v, K'u) with u_i = a_i exp((f1_i - f0_i) / eps), f1 = (1 - w) f + w coupling h."""
        p, power = self.p, w * self.p.coupling
        known = (power - 1) * self.f0 + (0 if w == 1.0 or f is None else (1 - w) * f)
        return self._sums(v, self._scaling(p.a, known, 0), power)


def stabilised_free(p: UnbalancedProblem, g: Array) -> Iterates:
    """Over-relaxation with an absorbed kernel, under an eps schedule."""
    require_kernel(p)
    p = replace(p, C=formed(p.C))
    return annealed(p, g, FreeKernel(p).iterates)


overrelaxed_free = scheduled(free_iterates)
"""Over-relaxation under an eps schedule."""

FREE = Sweeps(free_iterates, FreeKernel)
