"""Mixed precision: the schedule and the first sweeps in float32, the finish in float64."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from refot.arrays import Array, InputError, namespace
from refot.problem import Problem

from .overrelaxed import overrelaxed, overrelaxed_iterates
from .schedule import Iterates, annealed

SINGLE_ERROR = 1e-4
"""Float32 sweeps end at this marginal error: ten times what they resolve of a sum."""

PATIENCE = 20
"""Float32 sweeps also end after this number of them without a new smallest error."""


def mixed(p: Problem, g: Array) -> Iterates:
    """Over-relaxation under an eps schedule: in float32 as far as that goes, then in float64."""
    if p.C.dtype != np.float64:
        raise InputError("method", f"'mixed' on {p.C.dtype}", "float64 problems, or 'overrelaxed'")
    for f, swept in single_sweeps(p, g):
        g = swept
        yield f, g, math.inf
    finish = overrelaxed_iterates if bool((g != 0).any()) else overrelaxed
    yield from finish(p, g)


def single_sweeps(p: Problem, g: Array) -> Iterator[tuple[Array, Array]]:
    """(f, g) of float32 sweeps, in float64; nothing where they leave the range of float32."""
    single = replace(p, C=p.C.with_arrays(_single), a=_single(p.a), b=_single(p.b))
    best, stalled = math.inf, 0
    for f, swept, error in annealed(single, _single(g), overrelaxed_iterates):
        if not bool(namespace(f).isfinite(f).all() and namespace(f).isfinite(swept).all()):
            return
        yield f.astype(np.float64), swept.astype(np.float64)
        if error < math.inf:  # not a stage of the schedule
            stalled = 0 if error < best else stalled + 1
            best = min(best, error)
        if best <= SINGLE_ERROR or stalled >= PATIENCE:
            return


def _single(array: Array) -> Array:
    with np.errstate(over="ignore"):  # a cost beyond float32 is one of a forbidden pair there
        return array.astype(np.float32)
