"""Latents that vary in one code, all else held: the rows of B's Fig. 3 and Fig. 4."""

from __future__ import annotations

import numpy as np

from refot.arrays import Array, InputError, as_count
from refot.systems.tasks.latent import Latent


def vary_category(latent: Latent, rows: int, rng: np.random.Generator) -> Array:
    """Each row has its noise, each column its category; uniform codes 0. (rows, categories, size).

    B Fig. 3: "each line has its categorical encoding varied while its other latent dimensions are
    kept constant. The continuous informative codes are set to zero".
    """
    z = held(latent, rows, latent.categories, rng)
    z[..., : latent.categories] = np.eye(latent.categories)
    return z


def vary_uniform(latent: Latent, code: int, columns: int, rng: np.random.Generator) -> Array:
    """Row k has category k; along it the uniform code goes from -1 to 1. B Fig. 4.

    (categories, columns, size). Raises InputError for a code that the latent does not have.
    """
    if not 0 <= code < latent.uniform:
        raise InputError("code", f"{code}", f"0 <= code < {latent.uniform}, the uniform codes")
    z = held(latent, 1, as_count(columns, "columns"), rng).repeat(latent.categories, axis=0)
    z[..., : latent.categories] = np.eye(latent.categories)[:, None]
    z[..., latent.categories + code] = np.linspace(-1, 1, columns)
    return z


def held(latent: Latent, rows: int, columns: int, rng: np.random.Generator) -> Array:
    """Noise drawn once a row and repeated along it; uniform codes 0. (rows, columns, size)."""
    z = latent.draw(rng, as_count(rows, "rows"), 1).repeat(columns, axis=1)
    z[..., latent.categories : latent.informative] = 0
    return z
