"""An eps schedule around any method: rough solves at falling eps, each from the g of the last.

A stage is the part of the schedule at one eps. (kosowsky1994invisible; schmitzer2019stabilized:
docs/references.bib.)
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
from refot.solvers.accuracy import rounding_floor
from refot.solvers.sinkhorn import log_iterates

Iterates: TypeAlias = Iterator[tuple[Array, Array, float]]
"""(f, g, L1 marginal error), one tuple an iteration."""

Method: TypeAlias = Callable[[Problem, Array], Iterates]
"""A method: from a problem and a start g (m,) to its iterates."""

P = TypeVar("P", bound=Problem)
"""A kind of problem."""

Stage: TypeAlias = Callable[[P, Array], Iterates]
"""A method for one kind of problem."""

SCHEDULE_START = 1 / 16
"""The first eps, as a part of the range of the cost, max C - min C. At this eps, and at any larger
one, a few sweeps from g = 0 are enough."""

SCHEDULE_FACTOR = 4.0
"""eps falls by this factor from one stage of the schedule to the next."""

NO_STAGE = 2.0
"""A stage at less than this multiple of the final eps would cost more, with its kernel, than it
saves there."""

STAGE_ERROR = 0.02
"""A stage above the final eps ends at this marginal error."""

STAGE_ITERATIONS = 40
"""A stage above the final eps ends after this number of iterations at most."""

WARM_ERROR = 0.5
"""A given start is used if the marginals of its plan miss the weights by less than this in L1."""


def annealed(p: P, g: Array, stage: Stage[P], good_at: float | None = None) -> Iterates:
    """Run the method `stage` roughly at each eps of a falling schedule, then at p.eps to the end.

    A start g that was given is used at once, without a schedule, if the first iterate from there
    has an error below WARM_ERROR; otherwise it is replaced by 0. With `good_at` g is known to be
    good at that larger eps, and the schedule begins below it. Iterates of the schedule have the
    error inf, because they belong to another eps.
    """
    if good_at is not None:
        first = good_at / SCHEDULE_FACTOR
    else:
        if bool((g != 0).any()):
            iterates = if_warm(p, stage(p, g))
            if iterates is not None:
                yield from iterates
                return
        g, first = namespace(g).zeros_like(g), SCHEDULE_START * cost_scale(p)
    for eps in eps_schedule(first, p.eps):
        for f, g_stage, error in rough(stage(replace(p, eps=eps), g)):
            g = g_stage
            yield f, g, error
        g = p.levelled(g)  # a constant of the size of this eps costs digits at a smaller one
    yield from stage(p, g)


def scheduled(method: Stage[P]) -> Stage[P]:
    """The method that runs `method` under an eps schedule."""

    def iterates(p: P, g: Array) -> Iterates:
        return annealed(p, g, method)

    return iterates


schedule = scheduled(log_iterates)
"""Sinkhorn's algorithm under an eps schedule."""


def rough(stage: Iterates) -> Iterates:
    """The iterates of a stage up to STAGE_ERROR, with error inf. The caller must hold no
    other reference to `stage`, so that its memory is freed when this generator ends."""
    for f, g, error in itertools.islice(stage, STAGE_ITERATIONS):
        yield f, g, math.inf
        if error < STAGE_ERROR:
            return


def if_warm(p: Problem, iterates: Iterates) -> Iterates | None:
    """The iterates of a method from a start that was given, if the first of them shows that it is a
    good start, by an error below WARM_ERROR; else None. An error says nothing where potentials are
    so large that the costs are lost in their rounding."""
    f, g, error = next(iterates)
    if error < WARM_ERROR and rounding_floor(p, f, g) < WARM_ERROR:
        return itertools.chain([(f, g, error)], iterates)
    return None


def is_warm(p: Problem, g: Array) -> bool:
    """Whether g was given (it is not 0) and is a good start: |P'1 - b|_1 is below WARM_ERROR for
    the plan of (g^(c,eps), g)."""
    if not bool((g != 0).any()):
        return False
    columns = p.T.row_sums(g, p.best(g))
    return p.T.row_residual(g, columns) < WARM_ERROR


def eps_schedule(first: float, eps: float) -> Iterator[float]:
    """first, first/4, first/16, ... while above eps by more than NO_STAGE."""
    while first > NO_STAGE * eps:
        yield first
        first /= SCHEDULE_FACTOR


def cost_range(p: Problem) -> float:
    """max C - min C over the pairs that may carry mass, exactly, in one pass over the costs."""
    C = p.costs_with_mass
    ranges = [finite_range(DenseCost(C.rows(rows))) for rows in row_blocks(C)]
    return _finite(max(most for _, most in ranges) - min(least for least, _ in ranges))


def cost_scale(p: Problem) -> float:
    """About max C - min C over the pairs that may carry mass: exact for a matrix; for points an
    upper bound from the boxes around them, without a pass over all pairs."""
    C = p.costs_with_mass
    if isinstance(C, DenseCost):
        least, most = finite_range(C)
        return _finite(most - least)
    return _finite(C.spread())


def _finite(spread: float) -> float:
    """`spread`, unchanged. Raises InputError if it is infinite or NaN."""
    if not math.isfinite(spread):
        raise InputError("C", f"costs that range over {spread}", "a range that floats can hold")
    return spread
