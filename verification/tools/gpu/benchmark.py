"""How fast a backend computes: pairs per second of softmin, and the time of a whole solve.

A pair is one (i, j) of one softmin: one cost and one exponential. Times are those of the clock,
from one synchronisation of the device to the next, after one run that compiles. They are the median
of REPEATS runs, or of fewer that together take ENOUGH seconds. Peers are other packages' softmins,
measured on the same points. Nothing computes float32 in TF32."""

from __future__ import annotations

import importlib
import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from refot.backend_contract import Backend
from refot.costs.operands import point_cost

REPEATS, ENOUGH = 5, 5.0
"""Timed runs, and the seconds after which no further run is timed."""

ITERATIONS = 5
"""Sinkhorn iterations that are timed for a peer which offers no softmin alone."""

SOFTMIN = (
    ("float32", 1_000, 3), ("float32", 10_000, 2), ("float32", 100_000, 3), ("float32", 300_000, 3),
    ("float32", 1_000_000, 3), ("float64", 100_000, 3), ("float64", 300_000, 3),
    ("float32", 100_000, 64), ("float64", 50_000, 64), ("float32", 20_000, 784),
    ("float64", 5_000, 784),
)
"""(dtype, n = m, d) of the softmins that are timed."""

SOLVES = (("float64", 10_000, 2, 1e-2, 1e-6), ("float64", 10_000, 2, 1e-3, 1e-6),
          ("float64", 5_000, 784, 1e-2, 1e-6), ("float32", 100_000, 3, 1e-2, 1e-4))
"""(dtype, n = m, d, eps in units of the mean cost, L1 marginal error to reach) of the solves that
are timed."""

TIME_LIMIT = 60.0
"""Seconds after which a solve ends, converged or not."""


def clouds(dtype: str, n: int, d: int) -> tuple[Any, Any, Any, float]:
    """Points x, y (n, d), Gaussian and one unit apart along the diagonal, a random potential h (n,)
    for the softmin, and the mean of the cost |x - y|^2."""
    rng = np.random.default_rng(n + d)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(n, d)) + 1 / math.sqrt(d)
    return x.astype(dtype), y.astype(dtype), rng.normal(size=n).astype(dtype), 2.0 * d + 1


def seconds(run: Callable[[], Any], synchronize: Callable[[], Any]) -> float:
    """The median time of `run`."""
    run()
    times: list[float] = []
    while len(times) < REPEATS and sum(times) < ENOUGH:
        synchronize()
        start = time.perf_counter()
        run()
        synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def softmin_rates(backend: Backend) -> list[dict[str, Any]]:
    """A row for each of SOFTMIN: pairs per second of the backend and of each peer, or why a peer
    has none."""
    rows = []
    for dtype, n, d in SOFTMIN:
        x, y, h, mean = clouds(dtype, n, d)
        C, eps = point_cost(x, y).with_arrays(backend.asarray), 0.01 * mean
        potential = backend.asarray(h)

        def run(C: Any = C, potential: Any = potential, eps: float = eps) -> Any:
            return backend.softmin(C, potential, eps)

        row: dict[str, Any] = {"dtype": dtype, "n": n, "d": d,
                               backend.name: n * n / seconds(run, backend.synchronize)}
        for name, peer in PEERS.items():
            row[name] = peer_rate(peer, x, y, h, eps)
        rows.append(row)
    return rows


def solve_times(backend: Backend) -> list[dict[str, Any]]:
    """Seconds of `refot.solve` with its default method, for each of SOLVES."""
    import refot

    rows = []
    for dtype, n, d, factor, tol in SOLVES:
        x, y, _, mean = clouds(dtype, n, d)
        a = np.full(n, 1 / n, dtype)
        C = point_cost(x, y).with_arrays(backend.asarray)
        start = time.perf_counter()
        solved = refot.solve(C, a, a, factor * mean, tol=tol, time_limit=TIME_LIMIT,
                             backend=backend)
        backend.synchronize()
        rows.append({"dtype": dtype, "n": n, "d": d, "eps": factor * mean, "tol": tol,
                     "seconds": time.perf_counter() - start, "converged": solved.converged,
                     "marginal_error": solved.marginal_error, "iterations": solved.iterations})
    return rows


# ------------------------------------------------------------------ peers
def peer_rate(peer: Callable[..., float], x: Any, y: Any, h: Any, eps: float) -> float | str:
    """Pairs per second of a peer, or why there are none."""
    try:
        return peer(x, y, h, eps)
    except ImportError as error:
        return f"not installed: {error}"
    except Exception as error:  # noqa: BLE001 - whatever a peer raises is its result
        return f"failed: {type(error).__name__}: {error}"


def keops(x: Any, y: Any, h: Any, eps: float) -> float:
    """The softmin as GeomLoss's `backend="online"` runs it: KeOps's streaming log-sum-exp."""
    import torch
    from pykeops.torch import LazyTensor

    x, y, h = (torch.as_tensor(array, device="cuda") for array in (x, y, h))
    difference = LazyTensor(x[:, None, :]) - LazyTensor(y[None, :, :])
    exponent = (LazyTensor(h[None, :, None]) - (difference**2).sum(-1)) / eps
    elapsed = seconds(lambda: -eps * exponent.logsumexp(dim=1), torch.cuda.synchronize)
    return len(x) * len(y) / elapsed


def flash_sinkhorn(x: Any, y: Any, h: Any, eps: float) -> float:
    """Alternating iterations of flash-sinkhorn, two softmins each, with TF32 switched off."""
    import torch

    try:
        package = importlib.import_module("flash_sinkhorn")
    except ImportError:
        # In its own repository the package has this name.
        package = importlib.import_module("ot_triton")
    if x.dtype != np.float32:
        # The package computes in float32 alone.
        return math.nan
    loss = package.SamplesLoss(
        "sinkhorn", backend="alternating", use_epsilon_scaling=False, eps=eps, n_iters=ITERATIONS,
        debias=False, potentials=True, allow_tf32=False)
    x, y = (torch.as_tensor(array, device="cuda") for array in (x, y))
    elapsed = seconds(lambda: loss(x, y), torch.cuda.synchronize)
    return 2 * ITERATIONS * len(x) * len(y) / elapsed


PEERS: dict[str, Callable[..., float]] = {"keops": keops, "flash-sinkhorn": flash_sinkhorn}
"""By name, functions of (x, y, h, eps) that return the pairs per second of another package."""
