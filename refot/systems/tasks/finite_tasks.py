"""Finite training sets with generators, dual networks and critics: points in the plane, MNIST.

What the semi-dual systems of H and the baselines are trained on. Each draws its batches from one
finite set, the support of H's nu, and is judged on data that it was not trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from refot.arrays import Array, ShapeError, namespace
from refot.datasets.gaussians import GaussianGrid
from refot.datasets.images import scaled
from refot.datasets.mnist import mnist
from refot.networks import (
    BatchNorm,
    ConvTranspose4x4,
    Dense,
    Flatten,
    Layer,
    LeakyReLU,
    ReLU,
    Reshape,
    Sequential,
    Sigmoid,
    mlp,
)
from refot.plots.training import plot_images, plot_points
from refot.scores.classifier import classifier_frechet_distance, classifier_score
from refot.scores.scores import exact_transport, mode_coverage
from refot.systems.base.generator_system import Generate
from refot.systems.tasks.digit_classifier import digit_classifier

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class FiniteTask:
    """Data y (J, d) of equal weight, drawn with replacement; z standard normal in `latents`."""

    data: Array
    latents: int

    def latent(self, rng: np.random.Generator, *shape: int) -> Array:
        return rng.normal(size=(*shape, self.latents))

    def draw(self, rng: np.random.Generator, *shape: int) -> Array:
        chosen: Array = self.data[rng.integers(len(self.data), size=shape)]
        return chosen


# ------------------------------------------------------------------ points in the plane
class GridPoints(FiniteTask):
    """J points of a mixture of Gaussians, the same for every seed; networks of one width."""

    def __init__(self, J: int, width: int, latents: int = 2,
                 grid: GaussianGrid | None = None) -> None:
        self.grid, self.width, self.latents = grid or GaussianGrid(), width, latents
        self.data = self.grid.sample(J, np.random.default_rng(0))[0]

    def generator(self, rng: np.random.Generator, xp: Any, dtype: Any) -> Sequential:
        h = self.width
        return mlp([self.latents, h, h, h, 2], rng, LeakyReLU(0.2), dtype=dtype, xp=xp)

    def dual(self, rng: np.random.Generator, xp: Any, dtype: Any) -> Sequential:
        h = self.width
        return mlp([2, h, h, h, 1], rng, LeakyReLU(0.2), dtype=dtype, xp=xp)

    critic = dual

    def judge(self, generate: Generate, g: Sequential, rng: np.random.Generator
              ) -> Mapping[str, float]:
        """Modes and share within 3 std of one, of 10,000; exact W of |x - y|^2 to 500 new points.
        """
        x = generate(self.latent(rng, 10_000)).astype(np.float64)
        coverage = mode_coverage(x, self.grid.modes, self.grid.std)
        W = exact_transport(x[:500], self.grid.sample(500, rng)[0])
        return {"modes": coverage.found, "high_quality": coverage.high_quality, "W": W.upper}

    def shown(self, x: Array) -> Array:
        return x

    def picture(self, generate: Generate, rng: np.random.Generator) -> Figure:
        """1,000 generated points over 1,000 of the data."""
        return plot_points(generate(self.latent(rng, 1_000)), self.draw(rng, 1_000))


# ------------------------------------------------------------------ MNIST
@dataclass(frozen=True)
class Crop(Layer):
    """(n, c, h, w) -> (n, c, h - 2 edge, w - 2 edge): the middle of an image."""

    edge: int

    def forward(
        self, x: Array, weights: tuple[Array, ...], statistics: tuple[Array, ...], train: bool
    ) -> tuple[Array, tuple[int, ...]]:
        if x.ndim != 4 or min(x.shape[2:]) <= 2 * self.edge:
            raise ShapeError("x", f"shape {x.shape}", f"images larger than {2 * self.edge}")
        return x[:, :, self.edge : -self.edge, self.edge : -self.edge], x.shape

    def backward(
        self, dy: Array, cache: tuple[int, ...], weights: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        edge, (_, _, h, w) = self.edge, cache
        dx = namespace(dy).zeros(cache, dtype=dy.dtype)
        dx[:, :, edge : h - edge, edge : w - edge] = dy
        return dx, ()


class FlatDigits(FiniteTask):
    """MNIST as rows of 784 numbers in [0, 1]; the generator is H's perceptron.

    `count` images for training, none held out among them; `hidden`: 256, 512, 1024 in H.
    """

    JUDGED = 1_000

    def __init__(self, data: str | None, count: int | None = None,
                 hidden: tuple[int, ...] = (256, 512, 1024), latents: int = 128) -> None:
        self.folder, self.hidden, self.latents = data, hidden, latents
        train, held_out = mnist(data).split(self.JUDGED)
        self.data, self.held_out = (
            scaled(images, 0, 1).reshape(-1, 784)
            for images in (train.images[:count], held_out.images))

    def generator(self, rng: np.random.Generator, xp: Any, dtype: Any) -> Sequential:
        return mlp([self.latents, *self.hidden, 784], rng, LeakyReLU(0.2), output=Sigmoid,
                   dtype=dtype, xp=xp)

    def dual(self, rng: np.random.Generator, xp: Any, dtype: Any) -> Sequential:
        """Four dense layers, as H says; their widths, which H does not say, the generator's."""
        return mlp([784, *self.hidden[::-1], 1], rng, LeakyReLU(0.2), dtype=dtype, xp=xp)

    critic = dual

    def judge(self, generate: Generate, g: Sequential, rng: np.random.Generator
              ) -> Mapping[str, float]:
        """The digit classifier's two scores of 1,000 samples, against 1,000 held-out images."""
        classifier = digit_classifier(self.folder)
        x = generate(self.latent(rng, self.JUDGED))
        return {
            "classifier_score": classifier_score(classifier.probabilities(x)),
            "classifier_frechet_distance": classifier_frechet_distance(
                classifier.features(x), classifier.features(self.held_out)),
        }

    def shown(self, x: Array) -> Array:
        return x.reshape(-1, 28, 28)

    def picture(self, generate: Generate, rng: np.random.Generator) -> Figure:
        """64 samples."""
        return plot_images(self.shown(generate(self.latent(rng, 64))), low=0, high=1)


class ConvolutionalDigits(FlatDigits):
    """The same with H's DCGAN-like generator: four deconvolutions, 256, 128, 64 channels, 28 x 28.

    The first, from 1 x 1 to 4 x 4, is a dense layer; three that double make 32 x 32, of which the
    middle 28 x 28 is kept: H does not say how DCGAN was "adapted". Batch norm and ReLU as DCGAN's.
    """

    def __init__(self, data: str | None, count: int | None = None,
                 channels: tuple[int, int, int] = (256, 128, 64),
                 hidden: tuple[int, ...] = (256, 512, 1024), latents: int = 128) -> None:
        super().__init__(data, count, hidden, latents)
        self.channels = channels

    def generator(self, rng: np.random.Generator, xp: Any, dtype: Any) -> Sequential:
        a, b, c = self.channels
        return Sequential([
            Dense(self.latents, a * 16), Reshape((a, 4, 4)), BatchNorm(a), ReLU(),
            ConvTranspose4x4(a, b), BatchNorm(b), ReLU(),  # (b, 8, 8)
            ConvTranspose4x4(b, c), BatchNorm(c), ReLU(),  # (c, 16, 16)
            ConvTranspose4x4(c, 1), Crop(2), Sigmoid(), Flatten(),  # 32 x 32, then 28 x 28
        ], rng, dtype, xp)
