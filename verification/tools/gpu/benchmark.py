"""How fast a backend computes: pairs per second of softmin.

A pair is one (i, j) of one softmin: one cost and one exponential. Times are those of the clock,
from one synchronisation of the device to the next, after one run that compiles. They are the median
of REPEATS runs, or of fewer that together take ENOUGH seconds. Peers are other packages' softmins,
measured on the same points. Where TF32, a float32 with fewer digits, is used, the name says so."""

from __future__ import annotations

import importlib
import math
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from refot.backend_contract import Backend
from refot.costs.operands import point_cost
from refot.verification.bench.peers.torch import keops_softmin

from .deadline import Deadline, TimeIsUpError

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


def softmin_rates(backend: Backend, deadline: Deadline) -> Iterator[dict[str, Any]]:
    """A row for each of SOFTMIN: pairs per second of the backend and of each peer, or why there are
    none."""
    for dtype, n, d in SOFTMIN:
        x, y, h, mean = clouds(dtype, n, d)
        eps = 0.01 * mean
        rates: dict[str, Callable[..., float]] = {backend.name: partial(own_rate, backend), **PEERS}
        yield {"dtype": dtype, "n": n, "d": d} | {
            name: rate_or_reason(rate, x, y, h, eps, deadline) for name, rate in rates.items()}


def own_rate(backend: Backend, x: Any, y: Any, h: Any, eps: float) -> float:
    """Pairs per second of the backend's softmin."""
    C, potential = point_cost(x, y).with_arrays(backend.asarray), backend.asarray(h)
    elapsed = seconds(lambda: backend.softmin(C, potential, eps), backend.synchronize)
    return len(x) * len(y) / elapsed


# ------------------------------------------------------------------ peers
class NotOfferedError(Exception):
    """What a peer does not compute."""


def rate_or_reason(rate: Callable[..., float], x: Any, y: Any, h: Any, eps: float,
                   deadline: Deadline) -> float | str:
    """Pairs per second, or why there are none."""
    try:
        deadline.check()
        return rate(x, y, h, eps)
    except ImportError as error:
        return f"not installed: {error}"
    except (NotOfferedError, TimeIsUpError) as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - whatever a peer raises is its result
        return f"failed: {type(error).__name__}: {error}"


def keops(x: Any, y: Any, h: Any, eps: float) -> float:
    """KeOps's softmin."""
    import torch

    x, y, h = (torch.as_tensor(array, device="cuda") for array in (x, y, h))
    elapsed = seconds(lambda: keops_softmin(x, y, h, eps), torch.cuda.synchronize)
    return len(x) * len(y) / elapsed


def flash_sinkhorn(x: Any, y: Any, h: Any, eps: float, allow_tf32: bool) -> float:
    """Alternating iterations of flash-sinkhorn, two softmins each."""
    import torch

    if x.dtype != np.float32:
        raise NotOfferedError("it computes in float32 alone")
    loss = importlib.import_module("flash_sinkhorn").SamplesLoss(
        "sinkhorn", backend="alternating", use_epsilon_scaling=False, eps=eps, n_iters=ITERATIONS,
        debias=False, potentials=True, allow_tf32=allow_tf32)
    x, y = (torch.as_tensor(array, device="cuda") for array in (x, y))
    elapsed = seconds(lambda: loss(x, y), torch.cuda.synchronize)
    return 2 * ITERATIONS * len(x) * len(y) / elapsed


PEERS: dict[str, Callable[..., float]] = {
    "keops": keops,
    "flash-sinkhorn": partial(flash_sinkhorn, allow_tf32=False),
    "flash-sinkhorn TF32": partial(flash_sinkhorn, allow_tf32=True),
}
"""By name, functions of (x, y, h, eps) that return the pairs per second of another package."""
