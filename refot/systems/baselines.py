"""Generators to compare others with: MMD, and WGAN with weight clipping or a gradient penalty.

G = Genevay, Peyré, Cuturi 2018, H = Houdard et al. 2023.

MMD: g descends the squared maximum mean discrepancy between a batch of samples and one of data
(G-2). WGAN: a critic f takes n_c steps up mean f(y) - mean f(g(z)) (H-14), then g one step down
(H-15). The maximum over all 1-Lipschitz f is a Wasserstein distance (H-11, H-13). H names two ways
to keep f nearly Lipschitz: clipping its weights (Arjovsky et al. 2017), and a penalty on the norm
of its gradient (Gulrajani et al. 2017). Defaults of the two WGANs are the numbers of these
two papers; MMD's default betas are from neither.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from refot.arrays import Array
from refot.backend_contract import BackendLike
from refot.networks import Adam, RMSProp, add, clip_weights, gradient_penalty
from refot.systems.base.generator_system import CriticTask, GenerationTask, GeneratorSystem
from refot.systems.base.network_system import Batch
from refot.systems.batch.costs import BatchCost
from refot.systems.batch.losses import DebiasedLoss, ProductTerm


# ------------------------------------------------------------------ MMD
@dataclass(frozen=True)
class MMDSettings:
    """`cost` is minus the kernel of MMD; with Euclidean(), MMD^2 is the energy distance. A batch
    has m samples and m data. `rate` and `betas` are Adam's."""

    cost: BatchCost
    m: int
    rate: float
    betas: tuple[float, float] = (0.5, 0.999)


class MMDGenerator(GeneratorSystem):
    """g descends the squared MMD of batches, with the kernel -c:
    2 mean c(x, y) - mean c(x, x') - mean c(y, y').

    This is the V-statistic: the means are over all pairs, also of a point with itself. It is the
    squared MMD between the two batches. As an estimate of the squared MMD between their laws it is
    too high, by the term of erratum G8 (docs/errata.md).
    """

    name = "baselines"

    def __init__(self, seed: int, backend: BackendLike, task: GenerationTask,
                 settings: MMDSettings, dtype: Any = np.float32) -> None:
        super().__init__(seed, backend, task, dtype)
        self.cost, self.m = settings.cost, settings.m
        self.optimisers = {"g": Adam(settings.rate, *settings.betas)}

    def draw(self) -> Batch:
        """m latents and m data."""
        return self.batches(1, self.m)

    def update(self, batch: Batch) -> dict[str, float]:
        """One step of g down. `MMD2` is the loss before the step, in cost units."""
        x, cache = self.g.forward(batch["z"][0])
        loss = DebiasedLoss(x, batch["y"][0], self.cost, ProductTerm())
        gradients = self.g.weight_gradients(cache, loss.gradient_x())
        self.optimisers["g"].step(self.g.weights, gradients)
        return {"MMD2": loss.value}


# ------------------------------------------------------------------ WGAN
@dataclass(frozen=True)
class ClippedSettings:
    """Arjovsky et al. 2017, Algorithm 1: batches of m, n_c critic steps for each of g, the rate of
    RMSProp, and the bound c of the critic's weights."""

    m: int = 64
    n_c: int = 5
    rate: float = 5e-5
    c: float = 0.01


@dataclass(frozen=True)
class PenalisedSettings:
    """Gulrajani et al. 2017, Algorithm 1: batches of m, n_c critic steps for each of g, Adam's rate
    and betas, and the factor of the penalty (lambda in the paper)."""

    m: int = 64
    n_c: int = 5
    rate: float = 1e-4
    betas: tuple[float, float] = (0.0, 0.9)
    penalty: float = 10.0


class WGAN(GeneratorSystem):
    """Steps of the critic f and of the generator g in turn. Subclasses say, in `ascend`, how f is
    kept nearly Lipschitz."""

    name = "baselines"
    m: int
    n_c: int

    def __init__(self, seed: int, backend: BackendLike, task: CriticTask,
                 dtype: Any = np.float32) -> None:
        super().__init__(seed, backend, task, dtype)
        self.f = task.critic(self.rng, self.xp, self.dtype)
        self.networks["f"] = self.f

    def draw(self) -> Batch:
        """n_c + 1 batches of latents and data; the last one is for the step of g."""
        return self.batches(self.n_c + 1, self.m)

    def update(self, batch: Batch) -> dict[str, float]:
        """n_c steps of f, then one of g. The loss `W` is H-14, mean f(y) - mean f(g(z)), on the
        batch of g before its step, in units of f."""
        for k in range(self.n_c):
            self.ascend({name: drawn[k] for name, drawn in batch.items()})
        return {"W": self.descend(batch["z"][-1], batch["y"][-1])}

    @abstractmethod
    def ascend(self, batch: Batch) -> None:
        """A step of the critic on one batch."""

    def difference(self, x: Array, y: Array) -> dict[str, Array]:
        """The gradient, in the weights of f, of mean f(x) - mean f(y), which is minus H-14."""
        f_x, of_x = self.f.forward(x)
        _, of_y = self.f.forward(y)
        share = self.xp.full_like(f_x, 1 / f_x.shape[0])
        return add(self.f.weight_gradients(of_x, share), self.f.weight_gradients(of_y, -share))

    def descend(self, z: Array, y: Array) -> float:
        """A step of g down -mean f(g(z)), H-15. Returns H-14 before it."""
        x, cache = self.g.forward(z)
        f_x, through = self.f.forward(x)
        dx = self.f.input_gradient(through, self.xp.full_like(f_x, -1 / f_x.shape[0]))
        gradients = self.g.weight_gradients(cache, dx)
        self.optimisers["g"].step(self.g.weights, gradients)
        return float(self.f.forward(y)[0].mean() - f_x.mean())


class ClippedWGAN(WGAN):
    """WGAN in which each step of f ends by clipping every weight of f to [-c, c]."""

    def __init__(self, seed: int, backend: BackendLike, task: CriticTask,
                 settings: ClippedSettings, dtype: Any = np.float32) -> None:
        super().__init__(seed, backend, task, dtype)
        self.m, self.n_c, self.c = settings.m, settings.n_c, settings.c
        self.optimisers = {name: RMSProp(settings.rate) for name in ("g", "f")}

    def ascend(self, batch: Batch) -> None:
        x, _ = self.g.forward(batch["z"])
        self.optimisers["f"].step(self.f.weights, self.difference(x, batch["y"]))
        clip_weights(self.f.weights, self.c)


class PenalisedWGAN(WGAN):
    """WGAN in which f also descends penalty * mean (|grad f(t)| - 1)^2 at the points
    t = u y + (1 - u) x between data y and samples x."""

    def __init__(self, seed: int, backend: BackendLike, task: CriticTask,
                 settings: PenalisedSettings, dtype: Any = np.float32) -> None:
        super().__init__(seed, backend, task, dtype)
        self.m, self.n_c, self.penalty = settings.m, settings.n_c, settings.penalty
        self.optimisers = {name: Adam(settings.rate, *settings.betas) for name in ("g", "f")}

    def draw(self) -> Batch:
        """The batches of WGAN, and "u" (n_c, m, 1), uniform in [0, 1], for the critic's steps."""
        u = self.rng.uniform(size=(self.n_c, self.m, 1))
        return super().draw() | {"u": self.on_device(u)}

    def ascend(self, batch: Batch) -> None:
        x, _ = self.g.forward(batch["z"])
        y, u = batch["y"], batch["u"]
        _, of_penalty = gradient_penalty(self.f, u * y + (1 - u) * x)
        weighted = {name: self.penalty * g for name, g in of_penalty.items()}
        self.optimisers["f"].step(self.f.weights, add(self.difference(x, y), weighted))
