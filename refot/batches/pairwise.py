"""The Sinkhorn divergences (B-9) between all pairs of K measures: each self term is solved once."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from refot.arrays import Array, ConvergenceWarning, InputError, marginal_tolerance, as_positive
from refot.backend_contract import BackendLike
from refot.batches.batch import batch_of
from refot.batches.solve import solve_problems
from refot.costs.operands import point_cost
from refot.divergences import self_solution, value_of
from refot.measures import Measure, measure
from refot.problem import Problem, problem
from refot.solvers.loop import level_outside

TOGETHER = 1 << 22
"""Entries of all costs that are in memory at a time, 32 MB in float64."""


def pairwise(
    measures: Sequence[Any],
    eps: float,
    cost: str = "sqeuclidean",
    *,
    tol: float | None = None,
    backend: BackendLike = None,
) -> Array:
    """S(mu_k, mu_l) for all k, l: (K, K), symmetric, 0 on the diagonal, in cost units. B-9.

    `measures`: each a `Measure`, a pair (points, weights), or points (n, d), which weigh the same.
    They may have different numbers of points. `cost` is a name of POINT_COSTS, eps is in its units.
    K self terms and K (K - 1) / 2 others are solved to the L1 marginal error `tol`, as by `solve`;
    one warning says how many are short of it. Raises InputError.
    """
    laws = [as_measure(one, f"measures[{k}]") for k, one in enumerate(measures)]
    if not laws:
        raise InputError("measures", "none", "at least one")
    selves = [problem_between(law, law, eps, cost, backend) for law in laws]
    dtype = selves[0].C.dtype
    tol = marginal_tolerance(dtype) if tol is None else as_positive(tol, "tol")
    short = 0
    halves = np.empty(len(laws))
    for k, p in enumerate(selves):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # one for all, below
            solved = self_solution(p, tol, None)
        halves[k], short = value_of(p, solved.g) / 2, short + (not solved.converged)
    S = np.zeros((len(laws), len(laws)))
    for pairs in _blocks(laws):
        between = [problem_between(laws[k], laws[l], eps, cost, backend) for k, l in pairs]
        problems = batch_of(between)
        start = problems.b * 0
        found = solve_problems(problems, start, tol, 10_000, False, time.perf_counter())
        short += int((~found.converged).sum())
        for (k, l), F in zip(pairs, found.value, strict=True):
            S[k, l] = S[l, k] = F - (halves[k] + halves[l])
    if short:
        warnings.warn(f"{short} of {len(laws) * (len(laws) + 1) // 2} solves are short of tol "
                      f"{tol:g}: use a larger eps or tol", ConvergenceWarning,
                      stacklevel=level_outside())
    return S
