"""Gaussians on a grid in the plane: as a law to draw from (B) and as a finite set (H, baselines).

B = Bréchet et al. 2019, H = Houdard et al. B prints the networks in its Table 3a; those of the
finite set are chosen here, and so is how both are judged.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from refot.arrays import Array
from refot.datasets.gaussians import GaussianGrid
from refot.networks import Heads, LeakyReLU, Sequential, mlp
from refot.plots.training import plot_points
from refot.scores.scores import (
    exact_transport,
    mode_coverage,
    nearest_modes,
    within_cluster_variance,
)
from refot.systems.base.generator_system import Generate
from refot.systems.tasks.finite_set import FiniteSet
from refot.systems.tasks.image_networks import dense_duals
from refot.systems.tasks.latent import Latent, NormalLatent

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class GridLaw:
    """Every batch is fresh from the mixture of Gaussians; latents hold a code. B section 4.2.

    `width` is that of all hidden layers: 512 in Table 3a.
    """

    def __init__(self, grid: GaussianGrid, law: Latent, width: int) -> None:
        self.grid, self.law, self.width = grid, law, width

    # -------------------------------------------------------------- networks
    def generator(self, rng: np.random.Generator, xp: ModuleType, dtype: Any) -> Sequential:
        h = self.width
        return mlp([self.law.size, h, h, h, 2], rng, LeakyReLU(0.2), dtype=dtype, xp=xp)

    def duals(self, rng: np.random.Generator, xp: ModuleType, dtype: Any) -> Heads:
        """D2, D4 and D_Q on one trunk."""
        return dense_duals(2, self.width, self.width, self.law.informative)(rng, xp, dtype)

    # -------------------------------------------------------------- draws
    def latent(self, rng: np.random.Generator, *shape: int) -> Array:
        """z (*shape, size)."""
        return self.law.draw(rng, *shape)

    def draw(self, rng: np.random.Generator, *shape: int) -> Array:
        """Points (*shape, 2)."""
        return self.grid.sample(math.prod(shape), rng)[0].reshape(*shape, 2)

    # -------------------------------------------------------------- what is generated
    def judge(self, generate: Generate, g: Sequential, rng: np.random.Generator
              ) -> Mapping[str, float]:
        """Of 10,000 points: modes, share within 3 std of one, code against mode, cluster variance.

        `variance_ratio`: the mean within-cluster variance over that of the data, 2 std^2. It is 1
        for the law itself, and 0 where each cluster has collapsed to a point (Fig. 1).
        """
        z, modes, std = self.latent(rng, 10_000), self.grid.modes, self.grid.std
        x = generate(z).astype(np.float64)
        coverage, nearest = mode_coverage(x, modes, std), nearest_modes(x, modes)[0]
        return {
            "modes": coverage.found,
            "high_quality": coverage.high_quality,
            **self.law.agreement(z, nearest),
            "variance_ratio": within_cluster_variance(x, nearest) / (2 * std**2),
        }

    def shown(self, x: Array) -> Array:
        """Points (n, 2) as they are."""
        return x

    def picture(self, generate: Generate, rng: np.random.Generator) -> Figure:
        """1,000 points coloured by their code, over as many of the data. B Fig. 3a, b."""
        z = self.latent(rng, 1_000)
        return plot_points(generate(z), self.draw(rng, 1_000), self.law.category(z))


class GridPoints(FiniteSet):
    """J points of the mixture, the same for every seed; networks of one width."""

    def __init__(self, J: int, width: int, latents: int = 2,
                 grid: GaussianGrid | None = None) -> None:
        self.grid, self.width, self.law = grid or GaussianGrid(), width, NormalLatent(latents)
        self.data = self.grid.sample(J, np.random.default_rng(0))[0]

    def generator(self, rng: np.random.Generator, xp: ModuleType, dtype: Any) -> Sequential:
        h = self.width
        return mlp([self.law.size, h, h, h, 2], rng, LeakyReLU(0.2), dtype=dtype, xp=xp)

    def dual(self, rng: np.random.Generator, xp: ModuleType, dtype: Any) -> Sequential:
        """psi of H, and the critic of a WGAN: points (n, 2) to (n, 1)."""
        h = self.width
        return mlp([2, h, h, h, 1], rng, LeakyReLU(0.2), dtype=dtype, xp=xp)

    critic = dual

    def judge(self, generate: Generate, g: Sequential, rng: np.random.Generator
              ) -> Mapping[str, float]:
        """Of 10,000 points: modes, and the share within 3 std of one; of 500: W to 500 new points.

        W is exact optimal transport of |x - y|^2, to points that are not among the data.
        """
        x = generate(self.latent(rng, 10_000)).astype(np.float64)
        coverage = mode_coverage(x, self.grid.modes, self.grid.std)
        W = exact_transport(x[:500], self.grid.sample(500, rng)[0])
        return {"modes": coverage.found, "high_quality": coverage.high_quality, "W": W.upper}

    def picture(self, generate: Generate, rng: np.random.Generator) -> Figure:
        """1,000 generated points over 1,000 of the data."""
        return plot_points(generate(self.latent(rng, 1_000)), self.draw(rng, 1_000))
