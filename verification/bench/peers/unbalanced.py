"""Peers on unbalanced problems, with KL on both sides. Each is called in its own convention, and
answers are potentials in refot's.

POT: `sinkhorn_unbalanced(reg_m=rho, reg_type="kl")`. OTT-JAX: tau = rho / (rho + eps); its entropy
is relative to the counting measure, so that it is given the cost C - eps log a - eps log b.
GeomLoss: its cost is |x - y|^2 / 2, half of refot's, so that blur^2 = eps / 2 and
reach^2 = rho / 2, and its potentials are doubled.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from refot.verification.bench.criterion import Answer
from refot.verification.bench.problems import Instance, UnbalancedInstance

from .ott import ITERATIONS, anderson
from .peer import UNBOUNDED, Peer, Solve
from .torch import tensors


def free(instance: Instance) -> UnbalancedInstance:
    """The instance as an unbalanced one, whose marginals are free. Raises TypeError for a balanced
    one."""
    if not isinstance(instance, UnbalancedInstance):
        raise TypeError("a balanced problem was given to a peer for unbalanced ones")
    return instance


def refot_free(instance: Instance, *, method: str = "auto", backend: str = "numba") -> Solve:
    """Solves by `refot.solve(rho=...)`, whose tolerance is the accuracy."""
    import refot

    p = free(instance)

    def solve(accuracy: float) -> Answer:
        found = refot.solve(p.C, p.a, p.b, p.eps, rho=p.rho, method=method, tol=accuracy,
                            max_iter=UNBOUNDED, backend=backend)
        return Answer(found.f, found.g, found.iterations)

    return solve


def pot_free(instance: Instance, *, method: str) -> Solve:
    """`ot.unbalanced.sinkhorn_unbalanced(method=...)`. The log scalings are in its log. With a log
    it also computes values of the plan, a few passes over the matrix, which its time contains."""
    import ot

    p = free(instance)
    C = p.matrix

    def solve(accuracy: float) -> Answer:
        _, log = ot.unbalanced.sinkhorn_unbalanced(
            p.a, p.b, C, p.eps, p.rho, method=method, reg_type="kl", numItermax=UNBOUNDED,
            stopThr=accuracy, log=True)
        return Answer(p.eps * np.asarray(log["logu"]), p.eps * np.asarray(log["logv"]))

    return solve


def ott_free(instance: Instance, *, options: Callable[[], dict[str, Any]]) -> Solve:
    """Solves by OTT's `Sinkhorn(**options)`, whose threshold is the accuracy."""
    import jax
    from ott.geometry.geometry import Geometry
    from ott.problems.linear.linear_problem import LinearProblem
    from ott.solvers.linear.sinkhorn import Sinkhorn

    p = free(instance)
    tau = p.rho / (p.rho + p.eps)

    def run(cost: Any, a: Any, b: Any, threshold: Any) -> Any:
        solver = Sinkhorn(threshold=threshold, max_iterations=ITERATIONS, **options())
        geometry = Geometry(cost, epsilon=p.eps)
        out = solver(LinearProblem(geometry, a=a, b=b, tau_a=tau, tau_b=tau))
        return out.f, out.g, (out.errors > -1).sum() * solver.inner_iterations

    with jax.enable_x64(True):
        shifted = p.matrix - p.eps * np.log(p.a)[:, None] - p.eps * np.log(p.b)
        compiled, inputs = jax.jit(run), [jax.numpy.asarray(w) for w in (shifted, p.a, p.b)]

    def solve(accuracy: float) -> Answer:
        with jax.enable_x64(True):
            f, g, iterations = compiled(*inputs, accuracy)
            return Answer(np.asarray(f), np.asarray(g), int(iterations))

    return solve


def geomloss_free(instance: Instance) -> Solve:
    """`SamplesLoss(reach=...)`, with scaling = 1 - accuracy, as in `torch.py`."""
    import torch
    from geomloss import SamplesLoss

    p = free(instance)
    a, x, _, y = tensors(p, "cpu", torch.float64)
    b = torch.as_tensor(p.b)

    def solve(accuracy: float) -> Answer:
        loss = SamplesLoss("sinkhorn", p=2, blur=math.sqrt(p.eps / 2), reach=math.sqrt(p.rho / 2),
                           scaling=1 - accuracy, debias=False, potentials=True,
                           backend="tensorized")
        with torch.no_grad():
            f, g = (2 * potential.numpy().reshape(-1) for potential in loss(a, x, b, y))
        return Answer(f, g)

    return solve


def peers() -> list[Peer]:
    """All unbalanced peers. The first is the reference with which the others are compared."""
    pot, ott = ("ot", "POT"), ("ott", "ott-jax")
    return [
        Peer("refot-unbalanced", refot_free, ("numba", "refot")),
        *(Peer(f"pot-unbalanced-{name}", partial(pot_free, method=method), pot, matrix=True)
          for name, method in (("scaling", "sinkhorn"), ("stabilized", "sinkhorn_stabilized"),
                               ("invariant", "sinkhorn_translation_invariant"))),
        Peer("ott-unbalanced-lse", partial(ott_free, options=dict), ott, matrix=True),
        Peer("ott-unbalanced-recentred",
             partial(ott_free, options=lambda: {"recenter_potentials": True}), ott, matrix=True),
        Peer("ott-unbalanced-anderson", partial(ott_free, options=anderson), ott, matrix=True),
        Peer("geomloss-unbalanced", geomloss_free, ("geomloss", "geomloss"), matrix=True),
    ]
