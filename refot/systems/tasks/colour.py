"""CIFAR-10 for the learned cost of G (Genevay, Peyré, Cuturi 2018): colour images as rows.

G uses "the same parameters" as MMD GAN and does not print them. So the networks and the law of the
latents are refot's choice. The generator g goes from 4 x 4 to 32 x 32 in three steps, as DCGAN's
does. The network of features f, which defines the learned cost, goes from 32 x 32 to 4 x 4 in three
steps. A row holds all reds, then all greens, then all blues, as CIFAR-10's files do.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refot.arrays import Array, InputError
from refot.datasets.cifar import cifar10
from refot.datasets.images import LabelledImages, scaled
from refot.networks import Sequential, Sigmoid
from refot.scores.scores import exact_transport
from refot.systems.base.generator_system import Generate
from refot.systems.tasks.finite_set import ImageSet
from refot.systems.tasks.image_networks import convolutional_features, deep_convolutional
from refot.systems.tasks.latent import UniformLatent

JUDGED = 500
"""The number of samples that `judge` compares with as many images of the test set."""


class ColourImages(ImageSet):
    """CIFAR-10 from a folder of its batches. `channels` are the channels of g at 4 x 4, 8 x 8 and
    16 x 16; f has the same in reverse order, and p features. `latents` is the size of a latent."""

    def __init__(self, folder: str | None, channels: tuple[int, int, int] = (256, 128, 64),
                 p: int = 128, latents: int = 128) -> None:
        if folder is None:
            raise InputError("data", "none", "--data FOLDER, that holds the batches of CIFAR-10")
        self.data, held_out = (rows(cifar10(folder, part)) for part in ("train", "test"))
        self.held_out, self.law = held_out[:JUDGED], UniformLatent(latents)
        self.generator = deep_convolutional(latents, channels, Sigmoid(), colours=3)
        self.features = convolutional_features(3, channels[::-1], p)

    def judge(self, generate: Generate, g: Sequential, rng: np.random.Generator
              ) -> Mapping[str, float]:
        """`W`: exact transport with the cost |x - y|^2 / 3072, from samples to test images, on
        which nothing was trained.

        G's Table 2 has the Inception score; refot has no Inception network.
        """
        x, y = (each.astype(np.float64) for each in
                (generate(self.latent(rng, len(self.held_out))), self.held_out))
        return {"W": exact_transport(x, y).upper / y.shape[1]}

    def shown(self, x: Array) -> Array:
        """Rows (n, 3072) as images (n, 32, 32, 3)."""
        return x.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def rows(colour: LabelledImages) -> Array:
    """Images (n, 32, 32, 3) of bytes as rows (n, 3072) of numbers from 0 to 1: all reds, then all
    greens, then all blues."""
    return scaled(colour.images, 0, 1).transpose(0, 3, 1, 2).reshape(len(colour), -1)
