"""OTT-JAX: Sinkhorn in log-sum-exp mode, with momentum, with Anderson acceleration, and scaling.

In fewer than 16 dimensions OTT gets the points, as a PointCloud, else the matrix. Everything is
compiled once for each problem, in float64; the threshold, an L1 error of one marginal, is an
argument of the compiled function.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from refot.costs.operands import DenseCost
from refot.verification.bench.criterion import Answer
from refot.verification.bench.problems import Instance

from .peer import Peer, Solve

MOMENTUM_START = 100
"""Iterations after which the momentum is chosen from the errors (Lehmann et al. 2021)."""

ITERATIONS = 10**6
"""Iterations at most. It must be finite, for OTT allocates an array for the errors beforehand."""

WHOLE = 20_000
"""Points up to which the geometry computes its whole cost at once; beyond, by batches."""


def geometry(instance: Instance, x: Any, y: Any) -> Any:
    """OTT's geometry of the problem, from x and y as `arrays` returns them. They are arguments,
    because JAX would compile arrays taken from the instance into the code as constants."""
    from ott.geometry.geometry import Geometry
    from ott.geometry.pointcloud import PointCloud

    if isinstance(instance.C, DenseCost):
        return Geometry(x, epsilon=instance.eps)
    batch = None if len(instance.x) <= WHOLE else 1_000
    return PointCloud(x, y, epsilon=instance.eps, batch_size=batch)


def arrays(instance: Instance) -> tuple[Any, Any]:
    """The arguments x and y of `geometry`, as arrays of JAX: the points, or for x the matrix."""
    import jax

    dense = isinstance(instance.C, DenseCost)
    with jax.enable_x64(True):
        return (jax.numpy.asarray(instance.matrix if dense else instance.x),
                jax.numpy.asarray(instance.y))


def ott(instance: Instance, *, options: Callable[[], dict[str, Any]]) -> Solve:
    """Solves by OTT's `Sinkhorn(**options)`, whose threshold is the accuracy."""
    import jax
    from ott.problems.linear.linear_problem import LinearProblem
    from ott.solvers.linear.sinkhorn import Sinkhorn

    def run(x: Any, y: Any, threshold: Any) -> Any:
        solver = Sinkhorn(threshold=threshold, max_iterations=ITERATIONS, **options())
        out = solver(LinearProblem(geometry(instance, x, y)))
        # `errors` has an entry for every `inner_iterations`, which is -1 where none were made.
        return out.f, out.g, (out.errors > -1).sum() * solver.inner_iterations

    compiled, inputs = jax.jit(run), arrays(instance)

    def solve(accuracy: float) -> Answer:
        with jax.enable_x64(True):
            f, g, iterations = compiled(*inputs, accuracy)
            f, g = np.asarray(f), np.asarray(g)
        # OTT's plan is exp((f_i + g_j - C_ij) / eps), while refot's has the factors a_i and a_j,
        # too (both sides have the weights a). So eps log a is subtracted from OTT's potentials.
        log_a = np.log(instance.a)
        eps = instance.eps
        return Answer(f - eps * log_a, g - eps * log_a, int(iterations))

    return solve


def momentum() -> dict[str, Any]:
    """Options for over-relaxation, whose factor is chosen from the observed rate of convergence."""
    from ott.solvers.linear.acceleration import Momentum

    return {"momentum": Momentum(start=MOMENTUM_START, inner_iterations=10)}


def anderson() -> dict[str, Any]:
    """Options for Anderson acceleration over 5 iterates."""
    from ott.solvers.linear.acceleration import AndersonAcceleration

    return {"anderson": AndersonAcceleration(memory=5, refresh_every=1)}


def lse_half(instance: Instance) -> Callable[[], Any]:
    """The half-iteration `apply_lse_kernel` of the geometry."""
    import jax

    def softmin(x: Any, y: Any, h: Any) -> Any:
        return geometry(instance, x, y).apply_lse_kernel(0 * h, h, instance.eps, axis=1)[0]

    compiled, inputs = jax.jit(softmin), arrays(instance)
    with jax.enable_x64(True):
        h = jax.numpy.zeros(len(instance.x))

    def half() -> Any:
        with jax.enable_x64(True):
            return jax.block_until_ready(compiled(*inputs, h))

    return half


def peers() -> list[Peer]:
    """The solvers of OTT-JAX."""
    package = ("ott", "ott-jax")
    return [Peer("ott-lse", partial(ott, options=dict), package, half=lse_half),
            Peer("ott-momentum", partial(ott, options=momentum), package),
            Peer("ott-anderson", partial(ott, options=anderson), package),
            Peer("ott-scaling", partial(ott, options=lambda: {"lse_mode": False}), package)]
