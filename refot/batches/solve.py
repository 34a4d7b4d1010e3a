"""`solve_batch`: many problems in one call, each to its own end.

All problems are swept together (a sweep is a Sinkhorn iteration): by the backend in one compiled
call (`BatchSolver`), else in whole arrays (`stacked`). Sweeps are quick where eps is not small. A
problem that they do not bring to its tolerance goes on, from the potentials that they reached, with
the solver of single problems; so none fails that a solve of it alone would solve.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from refot.arrays import (
    REQUIRED,
    Array,
    ConvergenceWarning,
    CostLike,
    InputError,
    TypeInputError,
    Weights,
    as_count,
    as_positive,
    marginal_tolerance,
    namespace,
)
from refot.backend_contract import BackendLike, BatchSolver, SweptBatch
from refot.batches.batch import COLUMNS, ROWS, Batch, batch, potentials
from refot.batches.result import BatchResult
from refot.batches.stacked import solve_stacks
from refot.foreign import as_given
from refot.solvers import solve_problem
from refot.solvers.accuracy import atom_tolerance
from refot.solvers.answers.value import WIDE, value_of
from refot.solvers.gap import gap_of
from refot.solvers.loop import SinkhornResult
from refot.solvers.solve import start
from refot.solvers.stopping import StoppedBy, level_outside

MAX_ITER = 10_000
"""The default of `max_iter`, for each problem."""


@as_given
def solve_batch(
    C: CostLike | Sequence[CostLike],
    a: Weights = None,
    b: Weights = None,
    eps: Any = REQUIRED,
    *,
    tol: float | None = None,
    max_iter: int = MAX_ITER,
    certified: bool = False,
    f: Any | None = None,
    g: Any | None = None,
    normalise: bool = False,
    backend: BackendLike = None,
) -> BatchResult:
    """`solve` for many problems at once; one warning says how many did not reach `tol`.

    C (B, n, m); or one cost for all, (n, m) or a `point_cost`; or a list of costs of any sizes,
    `[point_cost(x, y) for ...]` for clouds. a and b: (B, n) and (B, m), one vector for all, a list
    of vectors, or None for uniform weights; counts with `normalise`. eps: a number, or (B,), in
    cost units. `tol`, `max_iter` and what `converged` means are those of `solve`, for each problem.
    `certified` proves the gap of each at the end. A warm start is `g`, laid out like b, or `f`
    alone, laid out like a. Raises InputError, which names the problem: "a[3]".

        found = refot.solve_batch(C, None, None, 0.1)   # C (1000, 50, 50)
        found.value, found.converged, found[7].marginal_error
    """
    begin = time.perf_counter()
    if not isinstance(certified, bool):
        raise TypeInputError("certified", repr(certified), "True or False")
    problems = batch(C, a, b, eps, backend, normalise)
    g = _start(problems, f, g)
    dtype = problems.costs.dtype
    found = solve_problems(problems, g,
                           marginal_tolerance(dtype) if tol is None else as_positive(tol, "tol"),
                           as_count(max_iter, "max_iter"), certified, begin)
    told = found.shortfall()
    if told:
        warnings.warn(told, ConvergenceWarning, stacklevel=level_outside())
    return found


def solve_problems(
    problems: Batch, start: Array, tol: float, max_iter: int, certified: bool, begin: float
) -> BatchResult:
    """`solve_batch` of problems that are checked, without a warning. `start` are the column
    potentials of all problems, one after the other; `begin` is the time from which seconds
    count."""
    f, g, iterations, arrived, found = _swept(problems, start, tol, max_iter)
    with np.errstate(invalid="ignore"):
        done = (found[:, 0] <= tol) & (found[:, 1] <= atom_tolerance(tol))
    stopped = [StoppedBy.TOLERANCE if there else StoppedBy.MAX_ITER for there in done]
    infeasible = [""] * len(problems)
    for k in np.flatnonzero(~done & (iterations < max_iter)).tolist():
        if arrived[k] and problems.costs.dtype != np.float64:
            # The sweeps, in float64, reached the tolerance; potentials rounded to float32 miss it.
            stopped[k] = StoppedBy.ROUNDING
            continue
        single = _alone(problems, problems.columns(g, k), k, tol, max_iter - int(iterations[k]))
        problems.rows(f, k)[:], problems.columns(g, k)[:] = single.f, single.g
        iterations[k] += single.iterations
        found[k] = single.marginal_error, single.atom_error, value_of(single.problem, single.g)
        done[k], stopped[k], infeasible[k] = single.converged, single.stopped_by, single.infeasible
    # Where eps > WIDE max |C|, the value F has lost digits; `value_of` has a form that loses none.
    # All such problems are among the ones taken here, because |F| <= max |C|.
    for k in np.flatnonzero(problems.eps > WIDE / 2 * abs(found[:, 2])).tolist():
        found[k, 2] = value_of(problems.problem(k), problems.columns(g, k))
    gaps = tuple(gap_of(problems.problem(k), problems.columns(g, k))
                 for k in range(len(problems))) if certified else None
    return BatchResult(
        _laid_out(problems, f, ROWS), _laid_out(problems, g, COLUMNS), found[:, 2], done,
        found[:, 0], found[:, 1], tol, iterations, tuple(stopped), time.perf_counter() - begin,
        problems, gaps, tuple(infeasible))


def _swept(problems: Batch, g: Array, tol: float, most: int) -> SweptBatch:
    """What sweeps of all problems together reach: at most `most` sweeps of each problem."""
    sweep = (problems.backend.solve_batch if isinstance(problems.backend, BatchSolver) else
             partial(solve_stacks, problems.backend.xp))
    return sweep(problems.costs, problems.sizes, problems.a, problems.b, problems.eps, g, tol,
                 atom_tolerance(tol), most)


def _alone(problems: Batch, g: Array, k: int, tol: float, most: int) -> SinkhornResult:
    """Problem k by the solver of single problems, from g where that is finite."""
    p = problems.problem(k)
    usable = bool(namespace(g).isfinite(g).all())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the batch warns
        return solve_problem(p, tol=tol, max_iter=most, g=g if usable else None)


def _start(problems: Batch, f: Any | None, g: Any | None) -> Array:
    """The column potentials to start from, one problem after the other: g, or the transforms of f,
    or 0 if neither is given."""
    if f is not None and g is not None:
        raise InputError("f", "given beside g", "one of them: the other is its transform")
    xp = namespace(problems.b)
    if f is None and g is None:
        return xp.zeros_like(problems.b)
    given = potentials(f, problems, ROWS, "f") if g is None else potentials(
        g, problems, COLUMNS, "g")
    starts = [start(p, f=problems.rows(given, k), g=None) if g is None else
              start(p, f=None, g=problems.columns(given, k))
              for k, p in ((k, problems.problem(k)) for k in range(len(problems)))]
    return xp.concatenate(starts)


def _laid_out(problems: Batch, flat: Array, side: int) -> Array | tuple[Array, ...]:
    """(B, n) where all sizes are equal, else the vector of each problem."""
    if problems.shape is not None:
        return flat.reshape(len(problems), problems.shape[side])
    part = problems.rows if side == ROWS else problems.columns
    return tuple(part(flat, k) for k in range(len(problems)))
