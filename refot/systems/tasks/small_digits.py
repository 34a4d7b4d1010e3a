"""Digits of 8 x 8 pixels, from scikit-learn, as a task for flows: noise has 64 numbers, as images.

A velocity must be able to undo all of the noise. So no layer of its network may be narrower than an
image has pixels. For 64 pixels a processor trains such a network in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refot.arrays import Array
from refot.datasets.scikit import digits
from refot.networks import ReLU, Sequential
from refot.scores.scores import exact_transport
from refot.systems.base.generator_system import Generate
from refot.systems.tasks.finite_set import ImageSet
from refot.systems.tasks.image_networks import dense
from refot.systems.tasks.latent import NormalLatent

TRAINED, HELD_OUT = 100, 50
"""The numbers of images of each digit that are trained on, and that are compared with samples."""


class SmallDigits(ImageSet):
    """1,000 images as rows of 64 numbers from -1 (black) to 1; 500 others are held out. The layers
    of the velocity have one `width`."""

    low = -1.0

    def __init__(self, width: int = 256) -> None:
        images = [digits(label, TRAINED + HELD_OUT) / 8 - 1 for label in range(10)]
        self.data = np.concatenate([each[:TRAINED] for each in images])
        self.held_out = np.concatenate([each[TRAINED:] for each in images])
        self.law = NormalLatent(64)
        self.velocity = dense([65, width, width, width, 64], ReLU())

    def judge(self, generate: Generate, g: Sequential, rng: np.random.Generator
              ) -> Mapping[str, float]:
        """`W`: exact transport with the cost |x - y|^2, from samples to the held-out images."""
        x = generate(self.latent(rng, len(self.held_out))).astype(np.float64)
        return {"W": exact_transport(x, self.held_out).upper}

    def shown(self, x: Array) -> Array:
        """Rows (n, 64) as images (n, 8, 8)."""
        return x.reshape(-1, 8, 8)
