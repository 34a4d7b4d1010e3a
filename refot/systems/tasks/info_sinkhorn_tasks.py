"""What Info-Sinkhorn is trained on: the networks of B's Table 3, the data, and how it is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from refot.arrays import Array
from refot.datasets.gaussians import GaussianGrid
from refot.datasets.images import padded, scaled
from refot.datasets.mnist import mnist
from refot.networks import (
    BatchNorm,
    Conv4x4,
    ConvTranspose4x4,
    Dense,
    Flatten,
    Heads,
    Layer,
    LeakyReLU,
    Reshape,
    Sequential,
    Tanh,
    mlp,
)
from refot.scores.classifier import classifier_frechet_distance, classifier_score
from refot.scores.scores import (
    mode_coverage,
    nearest_modes,
    normalised_mutual_information,
    purity,
    within_cluster_variance,
)
from refot.systems.tasks.digit_classifier import digit_classifier
from refot.systems.tasks.latent import Latent
from refot.systems.tasks.traversal import vary_category

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Task(Protocol):
    """Data, networks that fit it, and measures of what they generate."""

    @property
    def judged(self) -> int:
        """How many samples `judge` is given."""

    def generator(self, latent: Latent, rng: np.random.Generator, xp: Any) -> Sequential:
        """G: latents (n, size) to data."""

    def duals(self, latent: Latent, rng: np.random.Generator, xp: Any) -> Heads:
        """Heads D2 (n, 1), D4 (n, 1) and Q (n, informative) on one trunk."""

    def draw(self, rng: np.random.Generator, count: int) -> Array:
        """A mini-batch of data, as G generates it."""

    def judge(self, x: Array, codes: Array) -> Mapping[str, float]:
        """Measures of generated data x with its categorical codes (n,)."""

    def shown(self, x: Array) -> Array:
        """Data as it is drawn: points (n, 2) or images (n, h, w)."""

    def picture(
        self, generate: Callable[[Array], Array], latent: Latent, rng: np.random.Generator
    ) -> Figure:
        """How the codes show in the data that `generate` makes of latents (n, size)."""


def hidden(d_in: int, d_out: int) -> list[Layer]:
    """FC - b.n. - LReLU of Table 3."""
    return [Dense(d_in, d_out), BatchNorm(d_out), LeakyReLU(0.2)]


# ------------------------------------------------------------------ points in the plane
@dataclass(frozen=True)
class Points:
    """Gaussians on a grid, with the networks of Table 3a; `width` is 512 there."""

    grid: GaussianGrid = field(default_factory=GaussianGrid)
    width: int = 512
    judged: int = 10_000

    def generator(self, latent: Latent, rng: np.random.Generator, xp: Any) -> Sequential:
        h = self.width
        return mlp([latent.size, h, h, h, 2], rng, LeakyReLU(0.2), xp=xp)

    def duals(self, latent: Latent, rng: np.random.Generator, xp: Any) -> Heads:
        h = self.width
        trunk = Sequential([*hidden(2, h), *hidden(h, h)], rng, xp=xp)
        outputs = {"D2": 1, "D4": 1, "Q": latent.informative}
        return Heads(trunk, {
            name: Sequential([*hidden(h, h), Dense(h, k)], rng, xp=xp)
            for name, k in outputs.items()})

    def draw(self, rng: np.random.Generator, count: int) -> Array:
        return self.grid.sample(count, rng)[0]

    def judge(self, x: Array, codes: Array) -> Mapping[str, float]:
        """Modes, share within 3 std of one, NMI and purity of code and mode, variance of clusters.

        `variance_ratio`: the mean within-cluster variance over that of the data, 2 std^2 (Fig. 1).
        """
        x, modes, std = x.astype(np.float64), self.grid.modes, self.grid.std
        coverage = mode_coverage(x, modes, std)
        nearest, _ = nearest_modes(x, modes)
        return {
            "modes": coverage.found,
            "high_quality": coverage.high_quality,
            "nmi": normalised_mutual_information(codes, nearest),
            "purity": purity(codes, nearest),
            "variance_ratio": within_cluster_variance(x, nearest) / (2 * std**2),
        }

    def shown(self, x: Array) -> Array:
        return x

    def picture(
        self, generate: Callable[[Array], Array], latent: Latent, rng: np.random.Generator
    ) -> Figure:
        """1,000 points coloured by their code, over as many of the data. B Fig. 3a, b."""
        from refot.plots.training import plot_points

        z = latent.draw(rng, 1_000)
        return plot_points(generate(z), self.draw(rng, 1_000), latent.category(z))


# ------------------------------------------------------------------ MNIST
class Digits:
    """MNIST in [-1, 1], judged by refot's own classifier of digits."""

    judged = 2_000

    def __init__(self, data: str | None, side: int) -> None:
        self.data, self.side = data, side
        self.images = scaled(padded(mnist(data).images, side), -1, 1)

    def draw(self, rng: np.random.Generator, count: int) -> Array:
        return self.images[rng.integers(len(self.images), size=count), None]

    def judge(self, x: Array, codes: Array) -> Mapping[str, float]:
        """NMI and purity of the code and the digit that the classifier sees; its two scores."""
        classifier = digit_classifier(self.data)
        images = self._for_classifier(x[:, 0])
        order = np.random.default_rng(0).permutation(len(self.images))  # they come digit by digit
        real = self._for_classifier(self.images[order[: len(x)]])
        p = classifier.probabilities(images)
        digits = p.argmax(axis=1)
        return {
            "nmi": normalised_mutual_information(codes, digits),
            "purity": purity(codes, digits),
            "classifier_score": classifier_score(p),
            "classifier_frechet_distance": classifier_frechet_distance(
                classifier.features(images), classifier.features(real)),
        }

    def _for_classifier(self, images: Array) -> Array:
        """Its input: the middle 28 x 28, from [-1, 1] to [0, 1]."""
        edge = (self.side - 28) // 2
        middle = images[:, edge : edge + 28, edge : edge + 28]
        return (middle + 1) / 2

    def shown(self, x: Array) -> Array:
        return x[:, 0]

    def picture(
        self, generate: Callable[[Array], Array], latent: Latent, rng: np.random.Generator
    ) -> Figure:
        """A row for each noise, a column for each category. B Fig. 3c, d."""
        from refot.plots.training import plot_images

        z = vary_category(latent, 8, rng).reshape(-1, latent.size)
        return plot_images(self.shown(generate(z)), columns=latent.categories, low=-1, high=1)


class ConvolutionalDigits(Digits):
    """32 x 32 images with the convolutional networks of Table 3b."""

    def __init__(self, data: str | None) -> None:
        super().__init__(data, side=32)

    def generator(self, latent: Latent, rng: np.random.Generator, xp: Any) -> Sequential:
        return Sequential([
            *hidden(latent.size, 1024),
            *hidden(1024, 128 * 8 * 8), Reshape((128, 8, 8)),
            ConvTranspose4x4(128, 64), BatchNorm(64), LeakyReLU(0.2),  # (64, 16, 16)
            ConvTranspose4x4(64, 1), Tanh(),  # (1, 32, 32)
        ], rng, xp=xp)

    def duals(self, latent: Latent, rng: np.random.Generator, xp: Any) -> Heads:
        trunk = Sequential([
            Conv4x4(1, 64), BatchNorm(64), LeakyReLU(0.2),  # (64, 16, 16)
            Conv4x4(64, 128), BatchNorm(128), LeakyReLU(0.2),  # (128, 8, 8)
            Flatten(), *hidden(128 * 8 * 8, 1024),
        ], rng, xp=xp)
        return Heads(trunk, {
            "D2": Sequential([Dense(1024, 1)], rng, xp=xp),
            "D4": Sequential([Dense(1024, 1)], rng, xp=xp),
            "Q": Sequential([*hidden(1024, 128), Dense(128, latent.informative)], rng, xp=xp),
        })


class DenseDigits(Digits):
    """28 x 28 images with dense networks of one `width`: what trains in minutes on a processor."""

    def __init__(self, data: str | None, width: int) -> None:
        super().__init__(data, side=28)
        self.width = width

    def generator(self, latent: Latent, rng: np.random.Generator, xp: Any) -> Sequential:
        h = self.width
        return Sequential([*hidden(latent.size, h), *hidden(h, h), Dense(h, 784), Tanh(),
                           Reshape((1, 28, 28))], rng, xp=xp)

    def duals(self, latent: Latent, rng: np.random.Generator, xp: Any) -> Heads:
        h = self.width
        trunk = Sequential([Flatten(), *hidden(784, h), *hidden(h, h)], rng, xp=xp)
        outputs = {"D2": 1, "D4": 1, "Q": latent.informative}
        return Heads(trunk, {
            name: Sequential([*hidden(h, 128), Dense(128, k)], rng, xp=xp)
            for name, k in outputs.items()})
