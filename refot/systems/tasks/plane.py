"""Two tasks whose data are a mixture of Gaussians on a grid in the plane.

`GridLaw` draws new points for each batch, as B does. `GridPoints` draws a finite set once, for the
systems of H and for the baselines. B = Bréchet et al. 2019, H = Houdard et al. 2023. B prints the
networks of the first task in its Table 3a. The networks of the second, and what `judge` measures in
both, are chosen here.
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
    """A task whose batches are new draws from a mixture of Gaussians, and whose latents have an
    informative code. B section 4.2.

    `width` is the width of all hidden layers: 512 in Table 3a.
    """

    def __init__(self, grid: GaussianGrid, law: Latent, width: int) -> None:
        self.grid, self.law, self.width = grid, law, width

    # -------------------------------------------------------------- networks
    def generator(self, rng: np.random.Generator, xp: ModuleType, dtype: Any) -> Sequential:
        h = self.width
        return mlp([self.law.size, h, h, h, 2], rng, LeakyReLU(0.2), dtype=dtype, xp=xp)

    def duals(self, rng: np.random.Generator, xp: ModuleType, dtype: Any) -> Heads:
        """The networks that B trains besides the generator: the potentials D2 and D4, and D_Q,
        which scores codes (`systems.info_sinkhorn`). Each is a head of its own on one trunk, the
        layers that all three share."""
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
        """Measures of 10,000 generated points, each assigned to the nearest mode of the mixture.

        `modes` is the number of modes that are found, `high_quality` the share of points within
        3 std of a mode; `law.agreement` measures how well the code determines the mode.
        `variance_ratio` is the mean variance within a cluster, divided by that of the data, which
        is 2 std^2: 1 for the law itself, 0 if each cluster has collapsed to a point (Fig. 1).
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
        """Points (n, 2), unchanged."""
        return x

    def picture(self, generate: Generate, rng: np.random.Generator) -> Figure:
        """1,000 generated points, coloured by the category in their latents, over 1,000 data. B
        Fig. 3a, b."""
        z = self.latent(rng, 1_000)
        return plot_points(generate(z), self.draw(rng, 1_000), self.law.category(z))


class GridPoints(FiniteSet):
    """A finite set of J points drawn from the mixture, the same for every seed of a run. All hidden
    layers have one `width`; `latents` is the size of a latent."""

    def __init__(self, J: int, width: int, latents: int = 2,
                 grid: GaussianGrid | None = None) -> None:
        self.grid, self.width, self.law = grid or GaussianGrid(), width, NormalLatent(latents)
        self.data = self.grid.sample(J, np.random.default_rng(0))[0]

    def generator(self, rng: np.random.Generator, xp: ModuleType, dtype: Any) -> Sequential:
        h = self.width
        return mlp([self.law.size, h, h, h, 2], rng, LeakyReLU(0.2), dtype=dtype, xp=xp)

    def dual(self, rng: np.random.Generator, xp: ModuleType, dtype: Any) -> Sequential:
        """A new network from points (n, 2) to numbers (n, 1). As `dual` it is the potential psi of
        the data in H (`systems.semidual`), as `critic` the critic f of a WGAN
        (`systems.baselines`)."""
        h = self.width
        return mlp([2, h, h, h, 1], rng, LeakyReLU(0.2), dtype=dtype, xp=xp)

    critic = dual

    def velocity(self, rng: np.random.Generator, xp: ModuleType, dtype: Any) -> Sequential:
        """A new network from points and times (n, 3) to velocities (n, 2), for flows
        (`systems.flow_matching`), whose latents have two numbers, too."""
        h = self.width
        return mlp([3, h, h, h, 2], rng, LeakyReLU(0.2), dtype=dtype, xp=xp)

    def judge(self, generate: Generate, g: Sequential, rng: np.random.Generator
              ) -> Mapping[str, float]:
        """`modes` and `high_quality` of 10,000 generated points, as for `GridLaw`, and `W` of 500.

        W is exact optimal transport with the cost |x - y|^2 to 500 new points of the mixture, which
        are not among the data.
        """
        x = generate(self.latent(rng, 10_000)).astype(np.float64)
        coverage = mode_coverage(x, self.grid.modes, self.grid.std)
        W = exact_transport(x[:500], self.grid.sample(500, rng)[0])
        return {"modes": coverage.found, "high_quality": coverage.high_quality, "W": W.upper}

    def picture(self, generate: Generate, rng: np.random.Generator) -> Figure:
        """1,000 generated points over 1,000 data."""
        return plot_points(generate(self.latent(rng, 1_000)), self.draw(rng, 1_000))
