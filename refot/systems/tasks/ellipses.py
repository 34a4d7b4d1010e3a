"""K ellipses of uniform density, fitted to the Iris data in three dimensions.

Section 4.1 and Table 1 of G (Genevay, Peyré, Cuturi 2018). The generator is g_theta(z) =
A_k z + alpha_k for z in the k-th of K unit balls. It is written as a layer, so that it is trained
like any network.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from refot.arrays import Array, namespace
from refot.datasets.scikit import IRIS_SPECIES, iris
from refot.networks import Layer, Sequential
from refot.networks.checkpoint import on_host
from refot.plots.training import plot_points
from refot.systems.base.generator_system import Generate
from refot.systems.tasks.finite_set import FiniteSet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ELLIPSES = 3
"""K in G section 4.1: one ellipse for each species."""


class BallsToEllipses(Layer):
    """x = A_k z + alpha_k (n, d) for latents (n, K + d), whose rows are k, one-hot, and z.

    A_k starts at the identity, alpha_k at the centres (K, d).
    """

    def __init__(self, centres: Array) -> None:
        self.centres = np.asarray(centres, dtype=np.float64)
        self.K, self.d = self.centres.shape

    def __repr__(self) -> str:
        return f"BallsToEllipses(K={self.K}, d={self.d})"

    def initial_weights(self, rng: np.random.Generator) -> dict[str, Array]:
        """A (K, d, d) and alpha (K, d), without random numbers."""
        del rng
        return {"A": np.tile(np.eye(self.d), (self.K, 1, 1)), "alpha": self.centres}

    def forward(
        self, x: Array, weights: tuple[Array, ...], statistics: tuple[Array, ...], train: bool
    ) -> tuple[Array, Array]:
        self.expect(x, self.K + self.d)
        A, alpha = weights
        k, z = x[:, : self.K], x[:, self.K :]
        return namespace(x).einsum("nk,kij,nj->ni", k, A, z) + k @ alpha, x

    def backward(
        self, dy: Array, cache: Array, weights: tuple[Array, ...]
    ) -> tuple[Array, tuple[Array, ...]]:
        """dA_k = sum_i k_ik dy_i z_i', dalpha = k'dy, dz = A_k'dy, dk = dy.(A_k z + alpha_k)."""
        xp, (A, alpha) = namespace(dy), weights
        k, z = cache[:, : self.K], cache[:, self.K :]
        dk = xp.einsum("ni,kij,nj->nk", dy, A, z) + dy @ alpha.T
        dz = xp.einsum("nk,kij,ni->nj", k, A, dy)
        dA = xp.einsum("nk,ni,nj->kij", k, dy, z)
        return xp.concatenate([dk, dz], axis=1), (dA, k.T @ dy)


def inside(y: Array, A: Array, alpha: Array) -> Array:
    """(K, n): whether point y_j of y (n, d) is in ellipse i, |A_i^-1 (y_j - alpha_i)| <= 1."""
    balls = np.linalg.solve(A, (y[None] - alpha[:, None]).swapaxes(1, 2))  # (K, d, n)
    held: Array = (balls**2).sum(axis=1) <= 1
    return held


def counts_by_species(held: Array, species: Array) -> Array:
    """Table 1: entry (i, j) counts the points of species j in ellipse i, (K, 3), whole numbers.

    `held` (K, n) is `inside` of the points, `species` (n,) their species. G does not say which
    ellipse is which row. Here the order of rows is the one with the largest diagonal sum, so that
    ellipse i belongs to species i.
    """
    from scipy.optimize import linear_sum_assignment

    table = np.stack([held[:, species == j].sum(axis=1) for j in range(len(IRIS_SPECIES))], axis=1)
    _, ellipse = linear_sum_assignment(-table.T)
    ordered: Array = table[ellipse]
    return ordered


class IrisEllipses(FiniteSet):
    """Iris, in centimetres, on its first three principal axes; latents in K balls of equal mass."""

    def __init__(self) -> None:
        flowers = np.concatenate([iris(name) for name in IRIS_SPECIES])
        self.species = np.repeat(list(IRIS_SPECIES.values()), 50)
        centred = flowers - flowers.mean(axis=0)
        self.data = centred @ np.linalg.svd(centred, full_matrices=False)[2][:3].T

    def centres(self) -> Array:
        """The initial alpha (K, 3): the centres of k-means (scikit-learn), the best of ten starts.
        """
        from sklearn.cluster import KMeans

        found = KMeans(ELLIPSES, n_init=10, random_state=0).fit(self.data)
        centres: Array = found.cluster_centers_
        return centres

    def generator(self, rng: np.random.Generator, xp: ModuleType, dtype: Any) -> Sequential:
        """A network of one layer, the ellipses. Its weights are not random."""
        return Sequential([BallsToEllipses(self.centres())], rng, dtype, xp)

    def latent(self, rng: np.random.Generator, *shape: int) -> Array:
        """Latents (*shape, K + 3): k, one-hot, and z in the unit ball, both uniform.

        The direction of z is that of a normal vector. Its length is the cube root of a uniform
        number, because a ball of radius r has the share r^3 of the volume.
        """
        k = np.eye(ELLIPSES)[rng.integers(ELLIPSES, size=shape)]
        z = rng.normal(size=(*shape, 3))
        z *= rng.uniform(size=(*shape, 1)) ** (1 / 3) / np.linalg.norm(z, axis=-1, keepdims=True)
        return np.concatenate([k, z], axis=-1)

    def judge(self, generate: Generate, g: Sequential, rng: np.random.Generator
              ) -> Mapping[str, float]:
        """Table 1: `SPECIES in i` counts the flowers of a species in ellipse i; `in their own` and
        `in others` are the sums on and off the diagonal."""
        A, alpha = (on_host(w).astype(np.float64) for w in g.layer_weights(0))
        table = counts_by_species(inside(self.data, A, alpha), self.species)
        own = int(np.trace(table))
        cells = {f"{name} in {i + 1}": float(table[i, j]) for i in range(ELLIPSES)
                 for name, j in IRIS_SPECIES.items()}
        return {"in their own": own, "in others": int(table.sum()) - own} | cells

    def picture(self, generate: Generate, rng: np.random.Generator) -> Figure:
        """Samples of the ellipses over the Iris data, on the first two axes."""
        z = self.latent(rng, 600)
        return plot_points(generate(z), self.data, z[:, :ELLIPSES].argmax(axis=1),
                           ("first principal axis, cm", "second principal axis, cm"))
