"""An eps schedule around any method: rough solves at falling eps, each started at the last g.

(kosowsky1994invisible; schmitzer2019stabilized: docs/references.bib.)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeAlias, TypeVar

from refot.arrays import Array, InputError, namespace
from refot.costs.forbidden import finite_range
from refot.costs.operands import DenseCost, row_blocks
from refot.problem import Problem
from refot.solvers.sinkhorn import log_iterates

Iterates: TypeAlias = Iterator[tuple[Array, Array, float]]
"""(f, g, L1 marginal error), one tuple an iteration."""

Method: TypeAlias = Callable[[Problem, Array], Iterates]
"""A problem and a start g (m,) to the iterates of a method."""

P = TypeVar("P", bound=Problem)
"""A kind of problem."""

Stage: TypeAlias = Callable[[P, Array], Iterates]
"""A method for one kind of problem."""

SCHEDULE_START = 1 / 16
"""The schedule starts at this part of the range of the cost: above it sweeps from 0 are quick."""

SCHEDULE_FACTOR = 4.0
"""eps falls by this factor from one stage of the schedule to the next."""

STAGE_ERROR, STAGE_ITERATIONS = 0.02, 40
"""A stage above the final eps ends at this marginal error, or after so many iterations."""

WARM_ERROR = 0.5
"""A start whose plan misses b by less than this in L1 needs no schedule."""


def annealed(p: P, g: Array, stage: Stage[P]) -> Iterates:
    """Run `stage` roughly at each eps of a falling schedule, then at eps for good.

    A start that is good at eps itself is kept: no schedule then; one that is not is forgotten. The
    iterates of the stages have error inf, for they belong to another eps.
    """
    if not is_warm(p, g):
        g = namespace(g).zeros_like(g)
        for eps in eps_schedule(SCHEDULE_START * cost_scale(p), p.eps):
            for f, g_stage, error in rough(stage(replace(p, eps=eps), g)):
                g = g_stage
                yield f, g, error
            g = p.levelled(g)  # its level is of the size of this eps, and would round the next away
    yield from stage(p, g)


def scheduled(method: Stage[P]) -> Stage[P]:
    """`method` under an eps schedule, as a method of its own."""

    def iterates(p: P, g: Array) -> Iterates:
        return annealed(p, g, method)

    return iterates


schedule = scheduled(log_iterates)
"""Sinkhorn's algorithm under an eps schedule."""


def rough(stage: Iterates) -> Iterates:
    """The iterates of a stage up to STAGE_ERROR, with error inf. The stage is left there: a
    generator that nobody holds any more lets its memory go."""
    for f, g, error in itertools.islice(stage, STAGE_ITERATIONS):
        yield f, g, math.inf
        if error < STAGE_ERROR:
            return


def is_warm(p: Problem, g: Array) -> bool:
    """Whether g was given (it is not 0), and |P'1 - b|_1 at (g^(c,eps), g) is small."""
    if not bool((g != 0).any()):
        return False
    columns = p.T.row_sums(g, p.best(g))
    return p.T.row_residual(g, columns) < WARM_ERROR


def eps_schedule(first: float, eps: float) -> Iterator[float]:
    """first, first/4, first/16, ... while above eps."""
    while first > eps:
        yield first
        first /= SCHEDULE_FACTOR


def cost_range(p: Problem) -> float:
    """max C - min C of the pairs that may carry mass, exactly, in one pass over the costs."""
    C = p.costs_with_mass
    ranges = [finite_range(DenseCost(C.rows(rows))) for rows in row_blocks(C)]
    return _finite(max(most for _, most in ranges) - min(least for least, _ in ranges))


def cost_scale(p: Problem) -> float:
    """The range of the cost where it may carry mass: max C - min C of a matrix, and of points what
    the boxes around them allow, without a pass over all pairs. An offset does not matter."""
    C = p.costs_with_mass
    if isinstance(C, DenseCost):
        least, most = finite_range(C)
        return _finite(most - least)
    return _finite(C.spread())


def _finite(spread: float) -> float:
    if not math.isfinite(spread):
        raise InputError("C", f"costs that range over {spread}", "a range that floats can hold")
    return spread
