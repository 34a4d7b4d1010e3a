"""Latent laws zeta: the laws of the generator's input, and the latents that are shown in pictures.

B = Bréchet et al. 2019, G = Genevay, Peyré, Cuturi 2018, H = Houdard et al. 2023, L = Liu et al. B
prints the law for each of its experiments (`Latent`, a code and noise), and G the one of Fig. 3
(`SquareLatent`). The others are chosen here, because G, H and L do not state them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from refot.arrays import Array, InputError, as_count
from refot.scores.scores import normalised_mutual_information, purity


class LatentLaw(Protocol):
    """A law of latents z, which are rows of `size` numbers."""

    @property
    def size(self) -> int:
        """How many numbers one latent has."""

    def draw(self, rng: np.random.Generator, *shape: int) -> Array:
        """z (*shape, size), independent draws."""

    def gallery(self, rng: np.random.Generator) -> tuple[Array, int]:
        """(z (n, size), columns): the latents for a picture of samples, row by row, and the number
        of samples in a row."""

    def agreement(self, z: Array, labels: Array) -> dict[str, float]:
        """How well the code in z (n, size) determines the labels (n,) of the samples made from z.

        Measures by name; empty if the law has no code.
        """


@dataclass(frozen=True)
class UniformLatent:
    """z uniform on [-1, 1]^size."""

    size: int

    def draw(self, rng: np.random.Generator, *shape: int) -> Array:
        return rng.uniform(-1, 1, (*shape, self.size))

    def gallery(self, rng: np.random.Generator) -> tuple[Array, int]:
        """100 draws, ten in a row."""
        return self.draw(rng, 100), 10

    def agreement(self, z: Array, labels: Array) -> dict[str, float]:
        return {}


@dataclass(frozen=True)
class NormalLatent:
    """z standard normal in R^size."""

    size: int

    def draw(self, rng: np.random.Generator, *shape: int) -> Array:
        return rng.normal(size=(*shape, self.size))

    def gallery(self, rng: np.random.Generator) -> tuple[Array, int]:
        """64 draws, eight in a row."""
        return self.draw(rng, 64), 8

    def agreement(self, z: Array, labels: Array) -> dict[str, float]:
        return {}


@dataclass(frozen=True)
class SquareLatent:
    """z uniform on the unit square [0, 1]^2. G section 4.2."""

    size: int = 2

    def draw(self, rng: np.random.Generator, *shape: int) -> Array:
        return rng.uniform(size=(*shape, self.size))

    def gallery(self, rng: np.random.Generator) -> tuple[Array, int]:
        """15 x 15 equally spaced z, without random numbers. G Fig. 3."""
        t = (np.arange(15) + 0.5) / 15
        return np.stack(np.meshgrid(t, t, indexing="ij"), axis=-1).reshape(-1, 2), 15

    def agreement(self, z: Array, labels: Array) -> dict[str, float]:
        return {}


# ------------------------------------------------------------------ the law of B
@dataclass(frozen=True)
class Latent:
    """z = (one-hot category, uniform codes on [-1, 1], standard normal noise). B section 4.

    The category and the uniform codes are z1, the informative part; the noise is z2.
    """

    categories: int
    uniform: int
    noise: int

    @property
    def informative(self) -> int:
        """The length of z1: the one-hot category, then the uniform codes."""
        return self.categories + self.uniform

    @property
    def size(self) -> int:
        return self.informative + self.noise

    def draw(self, rng: np.random.Generator, *shape: int) -> Array:
        """z (*shape, size), float32."""
        category = np.eye(self.categories)[rng.integers(self.categories, size=shape)]
        uniform = rng.uniform(-1, 1, (*shape, self.uniform))
        noise = rng.normal(size=(*shape, self.noise))
        return np.concatenate([category, uniform, noise], axis=-1).astype(np.float32)

    def category(self, z: Array) -> Array:
        """The category of each z (..., size), (...), as whole numbers from 0."""
        found: Array = z[..., : self.categories].argmax(axis=-1)
        return found

    def gallery(self, rng: np.random.Generator) -> tuple[Array, int]:
        """Eight rows, each with a noise of its own, and a column for each category. B Fig. 3c, d.
        """
        return vary_category(self, 8, rng).reshape(-1, self.size), self.categories

    def agreement(self, z: Array, labels: Array) -> dict[str, float]:
        """The normalised mutual information of category and label, and the purity of the labels
        given the category."""
        codes = self.category(z)
        return {"nmi": normalised_mutual_information(codes, labels),
                "purity": purity(codes, labels)}


def vary_category(latent: Latent, rows: int, rng: np.random.Generator) -> Array:
    """Latents (rows, categories, size): one noise for each row, one category for each column, and
    uniform codes 0.

    B Fig. 3: "each line has its categorical encoding varied while its other latent dimensions are
    kept constant. The continuous informative codes are set to zero".
    """
    z = rows_of_one_noise(latent, rows, latent.categories, rng)
    z[..., : latent.categories] = np.eye(latent.categories)
    return z


def vary_uniform(latent: Latent, code: int, columns: int, rng: np.random.Generator) -> Array:
    """Latents (categories, columns, size): row k has the category k; along a row the uniform code
    number `code` goes from -1 to 1; the noise is the same for all. B Fig. 4.

    Raises InputError for a code that the latent does not have.
    """
    if not 0 <= code < latent.uniform:
        raise InputError("code", f"{code}", f"0 <= code < {latent.uniform}, the uniform codes")
    z = rows_of_one_noise(latent, 1, as_count(columns, "columns"), rng)
    z = z.repeat(latent.categories, axis=0)
    z[..., : latent.categories] = np.eye(latent.categories)[:, None]
    z[..., latent.categories + code] = np.linspace(-1, 1, columns)
    return z


def rows_of_one_noise(latent: Latent, rows: int, columns: int, rng: np.random.Generator) -> Array:
    """Latents (rows, columns, size): one draw for each row, repeated along it, with uniform codes
    0."""
    z = latent.draw(rng, as_count(rows, "rows"), 1).repeat(columns, axis=1)
    z[..., latent.categories : latent.informative] = 0
    return z
