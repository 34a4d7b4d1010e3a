"""EOTGAN, the entropy-regularised optimal transport GAN of L (Liu et al.): with learned features.

    min_g max_f W,   M_ij = |f(x_i) - f(y_j)|^2

with W as in EOTGM (`eotgm`), and a network f whose features are compared, not the data. The poster
states W and the map f, but prints no order of min and max and no algorithm. Chosen here: `ascents`
steps of f up W, then one of g down W, by Adam. Each step has its own mini-batch, and follows the
gradient of W with the plan held fixed.

f must be bounded, because M, and W with it, grows with the scale of f. Here f ends in tanh and is
divided by sqrt(p), p its number of features, so that M <= 4. W is not 0 where both laws agree
(erratum L1): f can raise W by spreading the features of samples and data alike, which g cannot
undo. So W does not measure how good g is; the scores do.

f alone sees little of single pixels, and g is not corrected where f does not look. `JointEOTGAN`
keeps the data in the cost, beside their features.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from refot.arrays import Array, as_positive, namespace
from refot.backend_contract import BackendLike
from refot.networks import Adam, Cache, add
from refot.systems.base.generator_system import FeatureTask
from refot.systems.base.network_system import Batch
from refot.systems.batch.costs import SquaredEuclidean, pull_back
from refot.systems.batch.entropic_plan import EntropicPlan

from .eotgm import EOTGM, Settings


@dataclass(frozen=True)
class AdversarialSettings(Settings):
    """The settings of EOTGM, with lam in the units of M <= 4; Adam's rate for f; the number of
    steps of f for each step of g."""

    rate_f: float = 1e-4
    ascents: int = 1


@dataclass(frozen=True)
class JointSettings(AdversarialSettings):
    """The settings of EOTGAN, with lam in the units of |x - y|^2; the factor beta of the features,
    in the units of the data."""

    beta: float = 10.0


class EOTGAN(EOTGM):
    """Two networks: the generator g, and the features f that are trained against it."""

    name = "eotgan"

    def __init__(self, seed: int, backend: BackendLike, task: FeatureTask,
                 settings: AdversarialSettings, dtype: Any = np.float32) -> None:
        super().__init__(seed, backend, task, settings, dtype)
        self.ascents = settings.ascents
        self.f = task.features(self.rng, self.xp, self.dtype)
        self.networks["f"] = self.f
        self.optimisers["f"] = Adam(settings.rate_f, 0.5, 0.99)

    def draw(self) -> Batch:
        """A mini-batch of latents and one of data for each step of f, and last for the step of g.
        """
        return self.batches(self.ascents + 1, self.settings.m)

    def update(self, batch: Batch) -> dict[str, float]:
        """Steps of f up W, then one of g down W. `W_f` and `W` are W before the last step of f and
        before the step of g."""
        losses = {}
        *ascents, (z, x) = zip(batch["z"], batch["y"], strict=True)
        for z_f, x_f in ascents:
            losses["W_f"] = self.ascend(z_f, x_f)
        last = {"z": z[None], "y": x[None]}
        return losses | super().update(last)

    def ascend(self, z: Array, x: Array) -> float:
        """A step of f up W, whose gradient goes through the features of data x and samples g(z)."""
        y, _ = self.g.forward(z)
        u, of_x = self.features(x)
        v, of_y = self.features(y)
        pi, r2 = self.plan(u, v)
        du = pull_back(pi.P, SquaredEuclidean(), u, v, r2)
        dv = pull_back(pi.P.T, SquaredEuclidean(), v, u, r2.T)
        through_x, through_y = self.of_weights(of_x, -du), self.of_weights(of_y, -dv)
        self.optimisers["f"].step(self.f.weights, add(through_x, through_y))  # -: an ascent
        return pi.value

    def transport(self, x: Array, y: Array) -> tuple[EntropicPlan, Array]:
        """The plan pi between the features of data x (n, d) and samples y (m, d), and dW/dy through
        f, (m, d)."""
        u, _ = self.features(x)
        v, of_y = self.features(y)
        pi, dv = super().transport(u, v)
        return pi, self.of_points(of_y, dv)

    # -------------------------------------------------------------- the features
    def features(self, x: Array) -> tuple[Array, Cache]:
        """u = f(x) / sqrt(p), (n, p), and the cache of the forward pass of f."""
        u, cache = self.f.forward(x)
        return scale(cache) * u, cache

    def of_weights(self, cache: Cache, du: Array) -> dict[str, Array]:
        """The gradients of <du, u> in the weights of f, for du of the shape of u."""
        return self.f.weight_gradients(cache, scale(cache) * du)

    def of_points(self, cache: Cache, du: Array) -> Array:
        """The gradient of <du, u> in x, (n, d)."""
        return self.f.input_gradient(cache, scale(cache) * du)


def scale(cache: Cache) -> float:
    """1 / sqrt(p), p the number of features."""
    return 1 / math.sqrt(cache.y_shape[1])


class JointEOTGAN(EOTGAN):
    """EOTGAN whose feature map keeps the data: x -> [x, beta f(x) / sqrt(p)], so that

        M_ij = |x_i - y_j|^2 + beta^2 |f(x_i) - f(y_j)|^2 / p.

    The first term is the cost of EOTGM. The second, at most 4 beta^2, is that of EOTGAN.
    """

    def __init__(self, seed: int, backend: BackendLike, task: FeatureTask,
                 settings: JointSettings, dtype: Any = np.float32) -> None:
        super().__init__(seed, backend, task, settings, dtype)
        self.beta = as_positive(settings.beta, "beta")

    def features(self, x: Array) -> tuple[Array, Cache]:
        """u = [x, beta f(x) / sqrt(p)], (n, d + p), and the cache of the forward pass of f."""
        scaled, cache = super().features(x)
        return namespace(x).concatenate([x, self.beta * scaled], axis=1), cache

    def of_weights(self, cache: Cache, du: Array) -> dict[str, Array]:
        return super().of_weights(cache, self.beta * self.of_f(cache, du))

    def of_points(self, cache: Cache, du: Array) -> Array:
        d = du.shape[1] - cache.y_shape[1]
        return du[:, :d] + super().of_points(cache, self.beta * self.of_f(cache, du))

    @staticmethod
    def of_f(cache: Cache, du: Array) -> Array:
        """The part of du (n, d + p) that belongs to f(x), (n, p)."""
        return du[:, -cache.y_shape[1]:]
