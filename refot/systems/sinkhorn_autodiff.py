"""Sinkhorn AutoDiff: Algorithms 1 and 2 of G, whose lines are numbered in the code.

G = Genevay, Peyré, Cuturi 2018. A generator g_theta descends the loss 2 W_xy - W_xx - W_yy between
a batch of its samples x and a batch of data y. W is the cost of the plan after L steps of
Sinkhorn's algorithm, and its gradient is computed back through these steps, without automatic
differentiation. (Algorithm 2, "Sinkhorn loss", is `refot.solvers.scaling.scaling_loss`; its
derivative is in `refot.unrolled`.)

The cost is fixed, or it is learned: c_phi(x, y) = |f_phi(x) - f_phi(y)|, with n_c steps of phi up
the loss before each step of theta down. With eps = infinity the loss is MMD^2 (Theorem 1), to which
G compares its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from refot.arrays import Array, InputError, lookup
from refot.backend_contract import BackendLike
from refot.networks import Adam, Optimiser, RMSProp, add, clip_weights
from refot.systems.base.generator_system import FeatureTask, GenerationTask, GeneratorSystem
from refot.systems.base.network_system import Batch
from refot.systems.batch.costs import BatchCost, Euclidean, MinusGaussianKernel, SquaredEuclidean
from refot.systems.batch.losses import DebiasedLoss, ProductTerm, SinkhornTerm, Term

OPTIMISERS: dict[str, type[Adam] | type[RMSProp]] = {"rmsprop": RMSProp, "adam": Adam}


@dataclass(frozen=True)
class Settings:
    """The inputs of Algorithm 1: eps in cost units, L Sinkhorn steps, m points in a batch, the rate
    alpha of the optimiser.

    eps = infinity stands for MMD with the kernel -c; L is then not used. `optimiser` is "rmsprop"
    (Algorithm 1) or "adam" (section 4.2, MNIST). n_c and c are for a learned cost: the number of
    steps of phi for each step of theta, and the interval [-c, c] to which the weights of f are
    clipped.
    """

    eps: float
    L: int
    m: int
    alpha: float
    optimiser: str = "rmsprop"
    n_c: int = 0
    c: float = 0.01

    def cost(self) -> BatchCost:
        """The fixed ground cost between samples and data: |x - y|^2."""
        return SquaredEuclidean()

    def term(self, backend: BackendLike) -> Term:
        """The function W of a cost matrix."""
        return ProductTerm() if math.isinf(self.eps) else SinkhornTerm(self.eps, self.L, backend)

    def descent(self) -> Optimiser:
        """A new optimiser, for one network."""
        made: Optimiser = lookup(OPTIMISERS, self.optimiser, "optimiser")(self.alpha)
        return made


@dataclass(frozen=True)
class KernelSettings(Settings):
    """Settings whose cost is minus a Gaussian kernel; `bandwidth` is in the units of the data."""

    bandwidth: float = 1.0

    def cost(self) -> BatchCost:
        return MinusGaussianKernel(self.bandwidth)


class SinkhornAutoDiff(GeneratorSystem):
    """Algorithm 1 with a fixed cost: its lines 10 to 13."""

    name = "sinkhorn_autodiff"

    def __init__(self, seed: int, backend: BackendLike, task: GenerationTask,
                 settings: Settings, dtype: Any = np.float32) -> None:
        super().__init__(seed, backend, task, dtype)  # line 1: theta <- theta_0
        self.settings = settings
        self.optimisers = {"g": settings.descent()}
        self.cost = settings.cost()
        self.term = settings.term(self.backend)

    def draw(self) -> Batch:
        """n_c + 1 mini-batches of data (lines 4, 10) and of latents (lines 5, 11)."""
        return self.batches(self.settings.n_c + 1, self.settings.m)

    def update(self, batch: Batch) -> dict[str, float]:
        """Lines 3 to 13. The losses, in cost units: `ascent` before the last step of phi, `loss`
        before the step of theta."""
        losses = {}
        *ascents, (z, y) = zip(batch["z"], batch["y"], strict=True)
        for z_t, y_t in ascents:  # lines 3, 4
            losses["ascent"] = self.ascend(z_t, y_t)  # lines 5 to 8
        losses["loss"] = self.descend(z, y)  # lines 10 to 13
        return losses

    def ascend(self, z: Array, y: Array) -> float:
        """Lines 5 to 8, which only a learned cost has: here n_c must be 0. Raises InputError."""
        raise InputError("n_c", f"{self.settings.n_c}", "0 with a fixed cost: no phi to ascend in")

    def descend(self, z: Array, y: Array) -> float:
        """Lines 11 to 13: a step of theta down the loss of one batch. Returns the loss before it.
        """
        x, cache = self.g.forward(z)  # line 11: x_i = g_theta(z_i)
        loss, dx = self.loss_in_x(x, y)  # line 12: AutoDiff_theta
        gradients = self.g.weight_gradients(cache, dx)
        self.optimisers["g"].step(self.g.weights, gradients)  # line 13: alpha RMSProp
        return loss

    def loss_in_x(self, x: Array, y: Array) -> tuple[float, Array]:
        """2 W(x, y) - W(x, x) - W(y, y) and its gradient in x, (m, d)."""
        loss = DebiasedLoss(x, y, self.cost, self.term)
        return loss.value, loss.gradient_x()


class LearnedCost(SinkhornAutoDiff):
    """Algorithm 1 with c_phi(x, y) = |f_phi(x) - f_phi(y)|: all its lines."""

    def __init__(self, seed: int, backend: BackendLike, task: FeatureTask,
                 settings: Settings, dtype: Any = np.float32) -> None:
        super().__init__(seed, backend, task, settings, dtype)
        self.f = task.features(self.rng, self.xp, self.dtype)  # line 1: phi <- phi_0
        self.networks["f"] = self.f
        self.optimisers["f"] = settings.descent()
        self.cost = Euclidean()

    def ascend(self, z: Array, y: Array) -> float:
        """Lines 5 to 8: a step of phi up the loss of one batch, then clipping. Returns the loss
        before it."""
        x, _ = self.g.forward(z)  # line 5
        u, of_x = self.f.forward(x)
        v, of_y = self.f.forward(y)
        loss = DebiasedLoss(u, v, self.cost, self.term)  # line 6: AutoDiff_phi
        through_x = self.f.weight_gradients(of_x, -loss.gradient_x())  # minus: an ascent
        through_y = self.f.weight_gradients(of_y, -loss.gradient_y())
        self.optimisers["f"].step(self.f.weights, add(through_x, through_y))  # line 7
        clip_weights(self.f.weights, self.settings.c)  # line 8
        return loss.value

    def loss_in_x(self, x: Array, y: Array) -> tuple[float, Array]:
        """The loss between the features of x and y, and its gradient in x, through f, (m, d)."""
        u, cache = self.f.forward(x)
        v, _ = self.f.forward(y)
        loss, du = super().loss_in_x(u, v)
        dx = self.f.input_gradient(cache, du)
        return loss, dx
