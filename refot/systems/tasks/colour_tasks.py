"""CIFAR-10 for the learned cost of G: colour images in [0, 1] as rows, a generator, features.

G takes "the same parameters" as MMD GAN and does not print them. Chosen here: DCGAN's four steps up
to 32 x 32 for g and three steps down for f, widths, and a latent law. f has no batch norm, for
c_phi is a function of two points. The rows are channel by channel, as the files are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from refot.arrays import Array, InputError
from refot.datasets.cifar import cifar10
from refot.datasets.images import LabelledImages, scaled
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
)
from refot.plots.training import plot_images
from refot.scores.scores import exact_transport
from refot.systems.base.generator_system import Generate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

JUDGED = 500
"""Samples that the measure sees, and as many images of the part "test"."""


class ColourImages:
    """CIFAR-10 from a folder of its batches; `channels` of g from its 4 x 4 on, f's reversed."""

    def __init__(self, data: str | None, channels: tuple[int, int, int] = (256, 128, 64),
                 p: int = 128, latent_size: int = 128) -> None:
        if data is None:
            raise InputError("data", "none", "--data FOLDER, that holds the batches of CIFAR-10")
        self.images, held_out = (rows(cifar10(data, part)) for part in ("train", "test"))
        self.held_out = held_out[:JUDGED]
        self.channels, self.p, self.latent_size = channels, p, latent_size

    # -------------------------------------------------------------- networks
    def generator(self, rng: np.random.Generator, xp: Any, dtype: Any) -> Sequential:
        a, b, c = self.channels
        return Sequential([
            Dense(self.latent_size, a * 16), Reshape((a, 4, 4)), BatchNorm(a), ReLU(),
            ConvTranspose4x4(a, b), BatchNorm(b), ReLU(),  # (b, 8, 8)
            ConvTranspose4x4(b, c), BatchNorm(c), ReLU(),  # (c, 16, 16)
            ConvTranspose4x4(c, 3), Sigmoid(), Flatten(),  # (3, 32, 32)
        ], rng, dtype, xp)

    def features(self, rng: np.random.Generator, xp: Any, dtype: Any) -> Sequential:
        c, b, a = self.channels[::-1]
        return Sequential([
            Reshape((3, 32, 32)),
            Conv4x4(3, c), LeakyReLU(0.2),  # (c, 16, 16)
            Conv4x4(c, b), LeakyReLU(0.2),  # (b, 8, 8)
            Conv4x4(b, a), LeakyReLU(0.2),  # (a, 4, 4)
            Flatten(), Dense(a * 16, self.p),
        ], rng, dtype, xp)

    # -------------------------------------------------------------- draws
    def latent(self, rng: np.random.Generator, *shape: int) -> Array:
        """z uniform on [-1, 1]^k."""
        return rng.uniform(-1, 1, (*shape, self.latent_size))

    def draw(self, rng: np.random.Generator, *shape: int) -> Array:
        chosen: Array = self.images[rng.integers(len(self.images), size=shape)]
        return chosen

    # -------------------------------------------------------------- what it generates
    def judge(self, generate: Generate, g: Sequential, rng: np.random.Generator
              ) -> Mapping[str, float]:
        """Exact W of |x - y|^2 / 3072 to images that nothing was trained on: no Inception score.
        """
        x, y = (each.astype(np.float64) for each in
                (generate(self.latent(rng, len(self.held_out))), self.held_out))
        return {"W": exact_transport(x, y).upper / y.shape[1]}

    def shown(self, x: Array) -> Array:
        """Rows (n, 3072) as images (n, 32, 32, 3)."""
        return x.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)

    def picture(self, generate: Generate, rng: np.random.Generator) -> Figure:
        return plot_images(self.shown(generate(self.latent(rng, 100))), low=0, high=1)


def rows(colour: LabelledImages) -> Array:
    """Images (n, 32, 32, 3) of bytes as rows (n, 3072) from 0 to 1, red, green, blue."""
    return scaled(colour.images, 0, 1).transpose(0, 3, 1, 2).reshape(len(colour), -1)
