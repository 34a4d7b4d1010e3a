"""A finite training set, from which batches are drawn: what several tasks have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from refot.arrays import Array
from refot.plots.training import plot_images
from refot.systems.base.generator_system import Generate
from refot.systems.tasks.latent import LatentLaw

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class FiniteSet:
    """Data y (J, d) of equal weight, drawn with replacement, and latents from `law`.

    The uniform law on these data is nu. A subclass adds the networks and the measures of a task.
    """

    data: Array
    law: LatentLaw

    def latent(self, rng: np.random.Generator, *shape: int) -> Array:
        """Latents z (*shape, size)."""
        return self.law.draw(rng, *shape)

    def draw(self, rng: np.random.Generator, *shape: int) -> Array:
        """Data (*shape, d), drawn with replacement."""
        chosen: Array = self.data[rng.integers(len(self.data), size=shape)]
        return chosen

    def shown(self, x: Array) -> Array:
        """Points (n, d), unchanged."""
        return x


class ImageSet(FiniteSet):
    """A finite set of images, stored as rows of numbers from `low` (black) to 1. A subclass defines
    `shown`, which turns rows into images."""

    low = 0.0

    def picture(self, generate: Generate, rng: np.random.Generator) -> Figure:
        """The images that the generator makes from the latents of `LatentLaw.gallery`."""
        z, columns = self.law.gallery(rng)
        return plot_images(self.shown(generate(z)), columns, low=self.low, high=1)
