"""How long refot and its peers take on a GPU to the same certified accuracy.

A solver returns potentials. Their relative gap is computed here, by refot in float64, and not asked
of the solver. Its time is then that of the loosest of its own tolerances at which this gap meets
GAP (`refot.verification.bench.search`). Solvers that have no tolerance get numbers of iterations.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from refot.backend_contract import Backend
from refot.costs.operands import point_cost
from refot.verification.bench.criterion import Answer, Criterion, judge_on
from refot.verification.bench.peers.newton import curegot
from refot.verification.bench.peers.peer import UNBOUNDED, Prepare, Solve
from refot.verification.bench.peers.torch import flash_sinkhorn, keops_sinkhorn
from refot.verification.bench.problems import Instance
from refot.verification.bench.search import Attempted, search
from refot.verification.bench.worker import Run

from .benchmark import clouds, seconds
from .deadline import Deadline, TimeIsUpError

PROBLEMS = ((100_000, 3, 1e-2), (50_000, 64, 1e-2), (10_000, 784, 1e-2))
"""(n = m, d, eps in units of the mean cost) of the problems."""

GAP = Criterion("gap 1e-4", 1e-4, lambda judged: judged.gap, 1e-2)
"""What each solver has to reach: a certified relative gap."""

MATRIX_POINTS = 20_000
"""The most points for solvers that need the cost as a matrix: 3.2 GB of float64."""

PEERS: dict[str, Prepare] = {
    "keops": partial(keops_sinkhorn, device="cuda"),
    "flash-sinkhorn": flash_sinkhorn,
    "flash-sinkhorn TF32": partial(flash_sinkhorn, allow_tf32=True),
    "curegot-bcd": partial(curegot, method="bcd"),
    "curegot-splr": partial(curegot, method="splr"),
}
"""By name, how the solvers of other packages are prepared."""

OF_MATRICES = ("curegot-bcd", "curegot-splr")
"""Those of PEERS that need the cost as a matrix."""

OF_ITERATIONS = ("keops", "flash-sinkhorn", "flash-sinkhorn TF32")
"""Those of PEERS that have no tolerance: their accuracy is 1 / their number of iterations."""


def instance_of(n: int, d: int, factor: float) -> Instance:
    """One of PROBLEMS with its points drawn, in float64."""
    x, y, _, mean = clouds("float64", n, d)
    return Instance(x, y, point_cost(x, y), factor * mean)


def refot_on(instance: Instance, backend: Backend, dtype: str) -> Solve:
    """`refot.solve` with its default method on this backend, in this precision."""
    import refot

    C = instance.C.with_arrays(lambda x: backend.asarray(x.astype(dtype)))
    a = backend.asarray(instance.a.astype(dtype))

    def solve(accuracy: float) -> Answer:
        found = refot.solve(C, a, a, instance.eps, tol=accuracy, max_iter=UNBOUNDED,
                            backend=backend)
        return Answer(backend.to_numpy(found.f), backend.to_numpy(found.g), found.iterations)

    return solve


def solvers(backend: Backend) -> dict[str, Prepare]:
    """refot on the backend in both precisions, and every peer."""
    return {f"refot {dtype}": partial(refot_on, backend=backend, dtype=dtype)
            for dtype in ("float64", "float32")} | PEERS


def times_to_accuracy(backend: Backend, deadline: Deadline) -> Iterator[dict[str, Any]]:
    """A row for each problem and solver: the seconds to a gap of GAP, that gap and the iterations;
    or, under `reason`, why there are none."""
    for n, d, factor in PROBLEMS:
        instance = instance_of(n, d, factor)
        for name, prepare in solvers(backend).items():
            row: dict[str, Any] = {"n": n, "d": d, "eps": instance.eps, "solver": name}
            if name in OF_MATRICES and n > MATRIX_POINTS:
                yield row | {"reason": f"it needs a matrix of {n} x {n}"}
            else:
                counted = name in OF_ITERATIONS
                yield row | timed(prepare, instance, backend, deadline, counted)


def timed(prepare: Prepare, instance: Instance, backend: Backend, deadline: Deadline,
          counted: bool) -> dict[str, Any]:
    """The seconds, the gap and the iterations of one solver, or the reason why it has none.

    `counted`: its accuracy is 1 / its number of iterations. Then the time of a run is known
    before it, and a run that would end after the deadline is not begun."""
    history: list[Attempted] = []

    def attempt(accuracy: float) -> Attempted:
        last = history[-1].run if counted and history else None
        deadline.check(last.seconds * last.accuracy / accuracy if last else 0.0)
        start = time.perf_counter()
        answer = solve(accuracy)
        run = Run(accuracy, time.perf_counter() - start, math.nan, answer.iterations, 0)
        return Attempted(run, judge_on(backend, instance, answer))

    try:
        deadline.check()
        solve = prepare(instance)
        found = search(attempt, GAP, history)
        if found is None:
            return {"reason": _least("does not get there", history)}
        return {"seconds": seconds(lambda: solve(found.run.accuracy), backend.synchronize),
                "gap": found.judged.gap, "iterations": found.run.iterations,
                "accuracy": found.run.accuracy}
    except ImportError as error:
        return {"reason": f"not installed: {error}"}
    except TimeIsUpError as error:
        return {"reason": _least(str(error), history)}
    except Exception as error:  # noqa: BLE001 - whatever a peer raises is its result
        return {"reason": _least(f"{type(error).__name__}: {error}", history)}


def _least(reason: str, history: list[Attempted]) -> str:
    """The reason, and the smallest gap that was reached."""
    gaps = [GAP.measure(trial.judged) for trial in history]
    return reason + (f"; reached a gap of {np.min(gaps):.1e}" if gaps else "")
