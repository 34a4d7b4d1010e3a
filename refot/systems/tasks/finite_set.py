"""A finite training set: what those tasks share whose batches are drawn from an array of data."""

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
    """Data y (J, d) of equal weight, drawn with replacement, and latents of the law `law`.

    H writes nu for the uniform law on these data. A task adds its networks and its measures.
    """

    data: Array
    law: LatentLaw

    def latent(self, rng: np.random.Generator, *shape: int) -> Array:
        """z (*shape, size), float."""
        return self.law.draw(rng, *shape)

    def draw(self, rng: np.random.Generator, *shape: int) -> Array:
        """Data (*shape, d)."""
        chosen: Array = self.data[rng.integers(len(self.data), size=shape)]
        return chosen

    def shown(self, x: Array) -> Array:
        """Points (n, d) as they are."""
        return x


class ImageSet(FiniteSet):
    """A finite set of images, held as rows; `shown` makes images of rows.

    Grey levels or colours run from `low` (black) to 1.
    """

    low = 0.0

    def picture(self, generate: Generate, rng: np.random.Generator) -> Figure:
        """What the generator makes of the latents that their law lays out for a picture."""
        z, columns = self.law.gallery(rng)
        return plot_images(self.shown(generate(z)), columns, low=self.low, high=1)
