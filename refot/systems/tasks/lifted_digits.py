"""Digits beside their features: the ground cost then compares both.

A row is (x, s f(x)), an image x beside its features f(x). Between two rows the squared distance is

    |x - x'|^2 + s^2 |f(x) - f(x')|^2

so that a system gets a cost with features without any change: the data are such rows, and the
generator ends in the layer `WithFeatures`, which appends the features of what it has made. Images
alone are shown and scored.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from refot.arrays import Array, namespace
from refot.networks import Layer, Sequential
from refot.networks.sequential import Cache
from refot.systems.tasks.digits import Digits
from refot.systems.tasks.image_networks import HeadsMaker, NetworkMaker
from refot.systems.tasks.latent import LatentLaw


@dataclass(frozen=True)
class WithFeatures(Layer):
    """x (n, d) -> (x, scale f(x)), (n, d + p). The weights of f stay as they are."""

    f: Sequential
    scale: float

    def forward(
        self, x: Array, weights: tuple[Array, ...], statistics: tuple[Array, ...], train: bool
    ) -> tuple[Array, Cache]:
        features, cache = self.f.forward(x, train=False)
        return namespace(x).concatenate([x, self.scale * features], axis=1), cache

    def backward(
        self, dy: Array, cache: Cache, weights: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        d = dy.shape[1] - cache.y_shape[1]
        dx = self.f.input_gradient(cache, self.scale * dy[:, d:])
        return dy[:, :d] + dx, ()


class LiftedDigits(Digits):
    """MNIST as rows (x, s f(x)), with x from -1 to 1. s^2 = `weight` * 784: then the cost
    |.|^2 / 784 is the mean over the pixels, plus `weight` |f(x) - f(x')|^2.

    `f` maps rows of images to their features; `generator` makes images alone.
    """

    def __init__(self, folder: str | None, law: LatentLaw, f: Sequential, weight: float,
                 generator: NetworkMaker, duals: HeadsMaker) -> None:
        self.f, self.lift = f, WithFeatures(f, float(np.sqrt(weight * 28**2)))
        super().__init__(folder, law, low=-1, generator=self.with_features(generator), duals=duals)

    def as_rows(self, images: Array) -> Array:
        """Bytes (n, 28, 28) as rows (n, 784 + p)."""
        rows = super().as_rows(images)
        return np.concatenate([self.lift.forward(part, (), (), False)[0]
                               for part in np.array_split(rows, 1 + len(rows) // 1_000)])

    def shown(self, x: Array) -> Array:
        """The images (n, 28, 28) of rows (n, 784 + p)."""
        return super().shown(x[:, : self.side**2])

    def with_features(self, generator: NetworkMaker) -> NetworkMaker:
        """The generator with one more layer, which appends the features of each image."""

        def make(rng: np.random.Generator, xp: ModuleType, dtype: Any) -> Sequential:
            lift = WithFeatures(copied(self.f, xp, dtype), self.lift.scale)
            g = generator(rng, xp, dtype)
            lifted = Sequential([*g.layers, lift], np.random.default_rng(0), dtype, xp)
            lifted.weights, lifted.statistics = g.weights, g.statistics
            return lifted

        return make


def copied(f: Sequential, xp: ModuleType, dtype: Any) -> Sequential:
    """f with its weights as arrays of `xp` and of this dtype."""
    copy = Sequential(f.layers, np.random.default_rng(0), dtype, xp)
    for name, w in f.weights.items():
        copy.weights[name][...] = xp.asarray(w, dtype=copy.dtype)
    return copy
