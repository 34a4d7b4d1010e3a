"""CIFAR-10 for the learned cost of G (Genevay, Peyré, Cuturi 2018): colour images as rows.

G takes "the same parameters" as MMD GAN and does not print them. So these are refot's choice: the
generator g goes from 4 x 4 to 32 x 32 in three steps, as DCGAN's does; the network of features f,
which defines the learned cost, goes down in three; their channels; and the law of the latent
points. A row holds all reds, then all greens, then all blues, as the files do.
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
"""The measure compares this many samples with as many images of the part "test"."""


class ColourImages(ImageSet):
    """CIFAR-10 from a folder of its batches. `channels` are those of g at 4 x 4, 8 x 8 and 16 x 16;
    f has the same in reverse order."""

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
        """Exact W of |x - y|^2 / 3072 to images that nothing was trained on.

        Not the Inception score of G's Table 2: refot has no Inception network.
        """
        x, y = (each.astype(np.float64) for each in
                (generate(self.latent(rng, len(self.held_out))), self.held_out))
        return {"W": exact_transport(x, y).upper / y.shape[1]}

    def shown(self, x: Array) -> Array:
        """Rows (n, 3072) as images (n, 32, 32, 3)."""
        return x.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def rows(colour: LabelledImages) -> Array:
    """Images (n, 32, 32, 3) of bytes as rows (n, 3072) from 0 to 1, red, green, blue."""
    return scaled(colour.images, 0, 1).transpose(0, 3, 1, 2).reshape(len(colour), -1)
