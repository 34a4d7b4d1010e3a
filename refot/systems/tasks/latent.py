"""The latent law zeta of B section 4: a categorical code, uniform codes, Gaussian noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refot.arrays import Array


@dataclass(frozen=True)
class Latent:
    """z = (one-hot category, uniform codes on [-1, 1], standard normal noise)."""

    categories: int
    uniform: int
    noise: int

    @property
    def informative(self) -> int:
        """The length of z1: the one-hot category, then the uniform codes."""
        return self.categories + self.uniform

    @property
    def size(self) -> int:
        """The length of z."""
        return self.informative + self.noise

    def draw(self, rng: np.random.Generator, *shape: int) -> Array:
        """z (*shape, size), float32."""
        category = np.eye(self.categories)[rng.integers(self.categories, size=shape)]
        uniform = rng.uniform(-1, 1, (*shape, self.uniform))
        noise = rng.normal(size=(*shape, self.noise))
        return np.concatenate([category, uniform, noise], axis=-1).astype(np.float32)

    def category(self, z: Array) -> Array:
        """The categorical code of each z (..., size): (...) whole numbers."""
        found: Array = z[..., : self.categories].argmax(axis=-1)
        return found
