"""POT as a peer of the benchmark."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from refot.verification.bench.criterion import Answer
from refot.verification.bench.problems import Instance

from .peer import UNBOUNDED, Peer, Solve, density


# ------------------------------------------------------------------ POT
def pot_sinkhorn(instance: Instance, *, method: str, keys: tuple[str, str], scalings: bool,
                 count: str) -> Solve:
    """`ot.sinkhorn(method=...)`. Its log holds u and v under `keys`: scalings, or their logarithms
    if `scalings` is False; and the last iteration's number, from 0, under `count`."""
    import ot

    C, a, eps = instance.matrix, instance.a, instance.eps

    def solve(accuracy: float) -> Answer:
        _, log = ot.sinkhorn(a, a, C, eps, method=method, numItermax=UNBOUNDED, stopThr=accuracy,
                             log=True, warn=False)
        u, v = (log[key] for key in keys)
        if scalings:
            with np.errstate(divide="ignore", invalid="ignore"):
                u, v = np.log(u), np.log(v)
        return Answer(*density(u, v, instance), log[count] + 1)

    return solve


def pot_lazy(instance: Instance) -> Solve:
    """The function that `ot.solve_sample(lazy=True)` calls, with blocks of 1,000 rows (by default
    it takes 100)."""
    import ot

    def solve(accuracy: float) -> Answer:
        u, v, log = ot.bregman.empirical_sinkhorn(
            instance.x, instance.y, instance.eps, instance.a, instance.a, numIterMax=UNBOUNDED,
            stopThr=accuracy, isLazy=True, batchSize=1_000, log=True, warn=False)
        return Answer(*density(u, v, instance), log["niter"] + 1)

    return solve


def pot_log_half(instance: Instance) -> Callable[[], Any]:
    """The line `v = logb - logsumexp(Mr + u[:, None], 0)` of `ot.bregman.sinkhorn_log`."""
    from ot.backend import NumpyBackend

    nx, Mr, u = NumpyBackend(), -instance.matrix / instance.eps, np.zeros(len(instance.x))
    log_b = np.log(instance.a)
    return lambda: log_b - nx.logsumexp(Mr + u[:, None], 0)


def pot_scaling_half(instance: Instance) -> Callable[[], Any]:
    """The line `u = a / (K v)` of `ot.bregman.sinkhorn_knopp`: a matrix product, in which K
    underflows at small eps."""
    K, v = np.exp(-instance.matrix / instance.eps), np.ones(len(instance.x))
    return lambda: instance.a / (K @ v)


def peers() -> list[Peer]:
    """The solvers of POT."""
    package = ("ot", "POT")
    log = partial(pot_sinkhorn, method="sinkhorn_log", keys=("log_u", "log_v"), scalings=False,
                  count="niter")
    scaling = partial(pot_sinkhorn, method="sinkhorn", keys=("u", "v"), scalings=True,
                      count="niter")
    stabilised = partial(pot_sinkhorn, method="sinkhorn_stabilized", keys=("logu", "logv"),
                         scalings=False, count="n_iter")
    return [Peer("pot-log", log, package, matrix=True, half=pot_log_half),
            Peer("pot-scaling", scaling, package, matrix=True, half=pot_scaling_half),
            Peer("pot-stabilized", stabilised, package, matrix=True),
            Peer("pot-lazy", pot_lazy, package)]
