"""The Sinkhorn divergences (B-9) between all pairs of K measures: each self term is solved once.

B = Bréchet et al. 2019.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from refot.arrays import (
    Array,
    ConvergenceWarning,
    InputError,
    ShapeError,
    as_positive,
    marginal_tolerance,
)
from refot.backend_contract import BackendLike, backend_for
from refot.batches.batch import batch_of
from refot.batches.solve import MAX_ITER, solve_problems
from refot.costs.named import CostName
from refot.costs.operands import PointCost, ground_point_cost
from refot.divergences import self_costs
from refot.foreign import as_given
from refot.measures import Measure, measure
from refot.problem import Problem, problem
from refot.solvers.answers.solutions import self_solution
from refot.solvers.answers.value import value_of
from refot.solvers.stopping import level_outside

TOGETHER = 1 << 22
"""Entries of the costs that are in memory at a time, at most: 32 MB in float64."""


@as_given
def pairwise(
    measures: Sequence[Any],
    eps: float,
    cost: CostName = "sqeuclidean",
    *,
    tol: float | None = None,
    normalise: bool = False,
    backend: BackendLike = None,
) -> Array:
    """S(mu_k, mu_l) for all k and l: (K, K), symmetric, 0 on the diagonal, in cost units. B-9.

    `measures`: each a `Measure`, a pair (points, weights), or points (n, d) of equal weights; they
    may differ in n; with `normalise` weights may be counts. `cost` must be a function of x - y that
    is 0 at 0 and >= 0; eps is in its units. K self terms and K (K - 1) / 2 others are solved to an
    L1 marginal error of `tol`, as by `solve`; one warning says how many did not reach it. Raises
    InputError.

        S = refot.pairwise([x, y, z], 0.1)   # S[0, 2] is the divergence between x and z
    """
    laws = [_law(one, f"measures[{k}]", normalise) for k, one in enumerate(_listed(measures))]
    d = laws[0].points.shape[1]
    for k, law in enumerate(laws):
        if law.points.shape[1] != d:
            raise ShapeError(f"measures[{k}]", f"dimension {law.points.shape[1]}",
                             f"dimension {d}, that of measures[0]")
    costs = [ground_point_cost(law.points, laws[0].points, cost) for law in laws]
    on = backend_for(sum(len(law.points) for law in laws) ** 2 // 2, backend)
    selves = [problem(self_costs(C)[0], law.weights, law.weights, eps, on)
              for C, law in zip(costs, laws, strict=True)]
    tol = marginal_tolerance(selves[0].C.dtype) if tol is None else as_positive(tol, "tol")
    halves, short = np.empty(len(laws)), 0
    for k, p in enumerate(selves):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # one warning for all, below
            solved = self_solution(p, tol, None)
        halves[k], short = value_of(p, solved.g) / 2, short + (not solved.converged)
    S = np.zeros((len(laws), len(laws)))
    for pairs in _blocks(laws):
        problems = batch_of([_between(selves[k], selves[l]) for k, l in pairs])
        found = solve_problems(problems, 0 * problems.b, tol, MAX_ITER, False, time.perf_counter())
        short += int((~found.converged).sum())
        for (k, l), F in zip(pairs, found.value, strict=True):
            S[k, l] = S[l, k] = F - (halves[k] + halves[l])
    if short:
        warnings.warn(f"{short} of {math.comb(len(laws) + 1, 2)} solves are short of tol {tol:g}: "
                      "take a larger eps or a larger tol", ConvergenceWarning,
                      stacklevel=level_outside())
    return S


def _listed(measures: Any) -> list[Any]:
    """The measures as a list. Raises InputError for a single measure or cloud of points."""
    if not isinstance(measures, list | tuple) and getattr(measures, "ndim", 0) != 3:
        raise InputError("measures", f"{type(measures).__name__}", "a list of measures")
    if len(measures) == 0:
        raise InputError("measures", "none", "at least one measure")
    return list(measures)


def _law(one: Any, name: str, normalise: bool) -> Measure:
    """The measure that `one` is: a Measure, a pair (points, weights), or points of equal
    weights."""
    points, weights = (one.points, one.weights) if isinstance(one, Measure) else (
        one if isinstance(one, tuple) and len(one) == 2 else (one, None))
    try:
        return measure(points, weights, normalise=normalise)
    except InputError as error:
        raise type(error)(f"{name}: {error.name}", error.found, error.allowed) from None


def _between(p: Problem, q: Problem) -> Problem:
    """The problem between two measures, from the self problems of both, whose parts are checked
    already."""
    assert isinstance(p.C, PointCost)
    assert isinstance(q.C, PointCost)
    return Problem(PointCost(p.C.x, q.C.x, p.C.ground), p.a, q.a, p.eps, p.backend)


def _blocks(laws: list[Measure]) -> Iterator[list[tuple[int, int]]]:
    """All pairs k < l, in blocks; the costs of a block have at most TOGETHER entries, unless it
    holds a single pair."""
    block: list[tuple[int, int]] = []
    entries = 0
    for k, l in combinations(range(len(laws)), 2):
        size = len(laws[k].points) * len(laws[l].points)
        if block and entries + size > TOGETHER:
            yield block
            block, entries = [], 0
        block.append((k, l))
        entries += size
    if block:
        yield block
