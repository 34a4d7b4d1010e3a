"""EOTGM, the entropy-regularised optimal transport generative model of L (Liu et al., a poster).

    min_g W(P, Q),   W = min_pi <pi, M> - lam H(pi),   M_ij = |x_i - y_j|^2

with data x and samples y = g(z); the data come first, as in L. P and Q are their laws, pi is a plan
between them, and H(pi) = -sum pi_ij log pi_ij its entropy. Each step draws a mini-batch of both,
solves for pi, and descends <pi, M> in g with pi held fixed. By the envelope theorem this is the
gradient of W, because pi is optimal and -lam H(pi) does not depend on g.

The poster states the problem, but no algorithm. Chosen here: mini-batches with equal weights;
Sinkhorn's algorithm on each of them, from 0 to a tolerance (`batch.entropic_plan`); Adam; and the
numbers of the presets. In EOTGAN (`eotgan`) the space in which distances are measured is learned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from refot.arrays import Array, as_count
from refot.backend_contract import BackendLike
from refot.networks import Adam
from refot.systems.base.generator_system import GenerationTask, GeneratorSystem
from refot.systems.base.network_system import Batch
from refot.systems.batch.costs import SquaredEuclidean, pull_back, squared_distances
from refot.systems.batch.entropic_plan import EntropicPlan, entropic_plan


@dataclass(frozen=True)
class Settings:
    """lam in the units of M; m points in a batch; Adam's rate for g, whose betas are .5 and .99.

    Sinkhorn's algorithm ends at the L1 marginal error `tol`, or after `max_steps` steps.
    """

    lam: float
    m: int
    rate: float
    tol: float = 1e-3
    max_steps: int = 500


class EOTGM(GeneratorSystem):
    """One network, g; distances are measured in the space of the data."""

    name = "eotgm"

    def __init__(self, seed: int, backend: BackendLike, task: GenerationTask,
                 settings: Settings, dtype: Any = np.float32) -> None:
        super().__init__(seed, backend, task, dtype)
        self.settings = settings
        as_count(settings.max_steps, "max_steps")
        self.optimisers = {"g": Adam(settings.rate, 0.5, 0.99)}

    def draw(self) -> Batch:
        """A mini-batch of latents "z" (1, m, k), and one of data "y" (1, m, d), which are x in L.
        """
        return self.batches(1, self.settings.m)

    def update(self, batch: Batch) -> dict[str, float]:
        """A step of g down W. `W` is in the units of M, before the step; `marginal_error` is the L1
        error of its plan."""
        ((z, x),) = zip(batch["z"], batch["y"], strict=True)
        y, cache = self.g.forward(z)
        pi, dy = self.transport(x, y)
        gradients = self.g.weight_gradients(cache, dy)
        self.optimisers["g"].step(self.g.weights, gradients)
        return {"W": pi.value, "marginal_error": pi.marginal_error}

    def transport(self, x: Array, y: Array) -> tuple[EntropicPlan, Array]:
        """The plan pi between data x (n, d) and samples y (m, d), and the gradient (m, d) of W:
        dW/dy_j = sum_i pi_ij 2 (y_j - x_i)."""
        pi, r2 = self.plan(x, y)
        return pi, pull_back(pi.P.T, SquaredEuclidean(), y, x, r2.T)

    def plan(self, x: Array, y: Array) -> tuple[EntropicPlan, Array]:
        """The plan pi between points or features x (n, d) and y (m, d), and M (n, m)."""
        s, M = self.settings, squared_distances(x, y)
        return entropic_plan(M, s.lam, s.tol, s.max_steps, self.backend), M
