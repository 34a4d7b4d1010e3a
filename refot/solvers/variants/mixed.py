"""Mixed precision: the eps schedule and the first sweeps in float32, the last ones in float64."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from refot.arrays import Array, InputError, namespace
from refot.problem import Problem
from refot.solvers.overrelaxed import overrelaxed, overrelaxed_iterates
from refot.solvers.schedule import Iterates, annealed

FLOAT32_TOLERANCE = 1e-4
"""Sweeps in float32 end at this marginal error, ten times the default tolerance of float32."""

FLOAT32_PATIENCE = 20
"""Sweeps in float32 also end after this number of them without a new smallest error."""


def mixed(p: Problem, g: Array) -> Iterates:
    """Over-relaxation under an eps schedule: first in float32, then in float64."""
    if p.C.dtype != np.float64:
        raise InputError("method", f"'mixed' on {p.C.dtype}", "float64 problems, or 'overrelaxed'")
    for f, swept in single_sweeps(p, g):
        g = swept
        yield f, g, math.inf
    # Where potentials left the range of float32 at once, g is still 0, and the sweeps in float64
    # need a schedule of their own.
    finish = overrelaxed_iterates if bool((g != 0).any()) else overrelaxed
    yield from finish(p, g)


def single_sweeps(p: Problem, g: Array) -> Iterator[tuple[Array, Array]]:
    """(f, g) of sweeps in float32, converted to float64. They also end where a potential leaves the
    range of float32."""
    single = replace(p, C=p.C.with_arrays(_single), a=_single(p.a), b=_single(p.b))
    best, stalled = math.inf, 0
    for f, swept, error in annealed(single, _single(g), overrelaxed_iterates):
        if not bool(namespace(f).isfinite(f).all() and namespace(f).isfinite(swept).all()):
            return
        yield f.astype(np.float64), swept.astype(np.float64)
        if error < math.inf:  # the schedule is over: this error belongs to the final eps
            stalled = 0 if error < best else stalled + 1
            best = min(best, error)
        if best <= FLOAT32_TOLERANCE or stalled >= FLOAT32_PATIENCE:
            return


def _single(array: Array) -> Array:
    """`array` in float32."""
    with np.errstate(over="ignore"):  # a cost beyond the range becomes inf: a forbidden pair
        return array.astype(np.float32)
