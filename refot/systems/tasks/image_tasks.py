"""MNIST for the systems of G and L: images in [0, 1] as rows, generators and feature maps for them.

What the papers leave open is chosen here: widths, latent laws other than G's unit square, and the
networks f. None of the f has batch norm: c_phi is a function of two points, not of their batches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from refot.arrays import Array
from refot.datasets.images import padded, scaled
from refot.datasets.mnist import mnist
from refot.networks import (
    BatchNorm,
    Conv4x4,
    ConvTranspose4x4,
    Dense,
    Flatten,
    LeakyReLU,
    ReLU,
    Reshape,
    Sequential,
    Sigmoid,
    mlp,
)
from refot.plots.training import plot_images
from refot.scores.classifier import classifier_frechet_distance, classifier_score
from refot.scores.scores import mixing_curve
from refot.systems.base.generator_system import Generate
from refot.systems.tasks.digit_classifier import digit_classifier

if TYPE_CHECKING:
    from matplotlib.figure import Figure

JUDGED = 2_000
"""Samples that the measures see, and as many images of the data."""


class DigitImages:
    """The data, and refot's classifier of digits as the judge of what is generated."""

    side = 28

    def __init__(self, data: str | None, latent_size: int = 32) -> None:
        self.data, self.latent_size = data, latent_size
        images = scaled(padded(mnist(data).images, self.side), 0, 1)
        self.images = images.reshape(len(images), -1)

    def latent(self, rng: np.random.Generator, *shape: int) -> Array:
        """z uniform on [-1, 1]^k."""
        return rng.uniform(-1, 1, (*shape, self.latent_size))

    def draw(self, rng: np.random.Generator, *shape: int) -> Array:
        chosen: Array = self.images[rng.integers(len(self.images), size=shape)]
        return chosen

    # -------------------------------------------------------------- measures
    def judge(self, generate: Generate, g: Sequential, rng: np.random.Generator
              ) -> Mapping[str, float]:
        """`scores` of JUDGED samples."""
        return self.scores(generate(self.latent(rng, JUDGED)))

    def scores(self, x: Array) -> dict[str, float]:
        """Classifier score and Frechet distance of images (n, d): IS and FID by another network."""
        classifier, images = digit_classifier(self.data), self.for_classifier(x)
        return {
            "classifier_score": classifier_score(classifier.probabilities(images)),
            "classifier_frechet_distance": classifier_frechet_distance(
                classifier.features(images), self.real_features),
        }

    def mixing(self, generate: Generate, ratios: list[float], rng: np.random.Generator
               ) -> dict[str, list[float]]:
        """Both scores of samples of which a share r is generated, the rest data: L's figure."""
        real = self.images[rng.permutation(len(self.images))[:JUDGED]]
        generated = generate(self.latent(rng, JUDGED))
        return mixing_curve(self.scores, real, generated, ratios, rng)

    @cached_property
    def real_features(self) -> Array:
        """The classifier's features of JUDGED images, evenly spaced from the first to the last:
        the data may be in the order of the digits.
        """
        index = np.linspace(0, len(self.images) - 1, JUDGED).round().astype(int)
        return digit_classifier(self.data).features(self.for_classifier(self.images[index]))

    def for_classifier(self, x: Array) -> Array:
        """The middle 28 x 28 of images (n, d)."""
        edge = (self.side - 28) // 2
        return self.shown(x)[:, edge : edge + 28, edge : edge + 28]

    # -------------------------------------------------------------- pictures
    def shown(self, x: Array) -> Array:
        return x.reshape(-1, self.side, self.side)

    def picture(self, generate: Generate, rng: np.random.Generator) -> Figure:
        return plot_images(self.shown(generate(self.latent(rng, 100))), low=0, high=1)


class ManifoldDigits(DigitImages):
    """G section 4.2, Fig. 3: zeta uniform on the unit square, g of two fully connected layers."""

    def __init__(self, data: str | None, width: int) -> None:
        super().__init__(data, latent_size=2)
        self.width = width

    def generator(self, rng: np.random.Generator, xp: Any, dtype: Any) -> Sequential:
        return mlp([2, self.width, 784], rng, ReLU, output=Sigmoid, dtype=dtype, xp=xp)

    def latent(self, rng: np.random.Generator, *shape: int) -> Array:
        """z uniform on [0, 1]^2."""
        return rng.uniform(size=(*shape, 2))

    def picture(self, generate: Generate, rng: np.random.Generator) -> Figure:
        """g at 15 x 15 equally spaced z: Fig. 3."""
        t = (np.arange(15) + 0.5) / 15
        z = np.stack(np.meshgrid(t, t, indexing="ij"), axis=-1).reshape(-1, 2)
        return plot_images(self.shown(generate(z)), low=0, high=1)


class DenseDigits(DigitImages):
    """Dense networks of one width: what trains in minutes on a processor."""

    def __init__(self, data: str | None, width: int, p: int = 64,
                 bounded: Callable[[], Any] | None = None) -> None:
        super().__init__(data)
        self.width, self.p, self.bounded = width, p, bounded

    def generator(self, rng: np.random.Generator, xp: Any, dtype: Any) -> Sequential:
        h = self.width
        return mlp([self.latent_size, h, h, 784], rng, ReLU, batch_norm=True, output=Sigmoid,
                   dtype=dtype, xp=xp)

    def features(self, rng: np.random.Generator, xp: Any, dtype: Any) -> Sequential:
        return mlp([784, self.width, self.p], rng, LeakyReLU(0.2), output=self.bounded,
                   dtype=dtype, xp=xp)


class ConvolutionalDigits(DigitImages):
    """32 x 32 images with convolutions as in B's Table 3b; g as there, f without batch norm."""

    side = 32

    def __init__(self, data: str | None, p: int = 100,
                 bounded: Callable[[], Any] | None = None) -> None:
        super().__init__(data, latent_size=100)
        self.p, self.bounded = p, bounded

    def generator(self, rng: np.random.Generator, xp: Any, dtype: Any) -> Sequential:
        return Sequential([
            Dense(self.latent_size, 128 * 8 * 8), BatchNorm(128 * 8 * 8), ReLU(),
            Reshape((128, 8, 8)),
            ConvTranspose4x4(128, 64), BatchNorm(64), ReLU(),  # (64, 16, 16)
            ConvTranspose4x4(64, 1), Sigmoid(), Flatten(),  # 32 x 32
        ], rng, dtype, xp)

    def features(self, rng: np.random.Generator, xp: Any, dtype: Any) -> Sequential:
        bound = [] if self.bounded is None else [self.bounded()]
        return Sequential([
            Reshape((1, 32, 32)),
            Conv4x4(1, 64), LeakyReLU(0.2),  # (64, 16, 16)
            Conv4x4(64, 128), LeakyReLU(0.2),  # (128, 8, 8)
            Flatten(), Dense(128 * 8 * 8, self.p), *bound,
        ], rng, dtype, xp)
