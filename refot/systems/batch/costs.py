"""Ground costs between two mini-batches: |x - y|^2, |x - y|, and minus a Gaussian kernel.

All are c = phi(r2) of r2 = |x - y|^2, so that d1 c = slope (x - y) with slope = 2 phi'(r2). Neither
the matrix nor its gradient forms an array (n, m, d): images have hundreds of coordinates, where
`refot.costs.operands` takes differences, coordinate by coordinate. All in float64, whatever the
batch is. """

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from refot.arrays import Array, as_positive, namespace


class BatchCost(Protocol):
    """c = phi(r2): entry by entry."""

    def of(self, r2: Array) -> Array:
        """c, in cost units."""

    def slope(self, r2: Array) -> Array:
        """2 phi'(r2), by which d1 c = slope (x - y); 0 where x = y is a kink."""


@dataclass(frozen=True)
class SquaredEuclidean:
    """c = |x - y|^2: G section 4.1 and MNIST, L."""

    def of(self, r2: Array) -> Array:
        return r2

    def slope(self, r2: Array) -> Array:
        return namespace(r2).full_like(r2, 2.0)


@dataclass(frozen=True)
class Euclidean:
    """c = |x - y|, the norm of G's learned cost; the kink at x = y contributes 0."""

    def of(self, r2: Array) -> Array:
        return namespace(r2).sqrt(r2)

    def slope(self, r2: Array) -> Array:
        xp = namespace(r2)
        return xp.where(r2 > 0, 1 / xp.sqrt(xp.where(r2 > 0, r2, 1)), 0)


@dataclass(frozen=True)
class MinusGaussianKernel:
    """c = -k, k = exp(-|x - y|^2 / (2 bandwidth^2)), the kernel of G's MMD: MMD_{-c} = MMD_k."""

    bandwidth: float

    def __post_init__(self) -> None:
        as_positive(self.bandwidth, "bandwidth")

    def of(self, r2: Array) -> Array:
        return -namespace(r2).exp(-r2 / (2 * self.bandwidth**2))

    def slope(self, r2: Array) -> Array:
        return -self.of(r2) / self.bandwidth**2


def squared_distances(x: Array, y: Array) -> Array:
    """|x_i - y_j|^2, (n, m) float64, as |x|^2 - 2 x.y + |y|^2 of centred points: one product.

    What is below the rounding of that sum is 0, so that equal points are at distance 0 exactly.
    """
    xp = namespace(x)
    y = y.astype(np.float64)
    centre = y.mean(axis=0)
    x, y = x.astype(np.float64) - centre, y - centre
    sizes = (x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1)
    r2 = sizes - 2 * (x @ y.T)
    return xp.where(r2 > (x.shape[1] + 8) * 2.0**-52 * sizes, r2, 0)


def pull_back(T: Array, cost: BatchCost, x: Array, y: Array, r2: Any = None) -> Array:
    """sum_j T_ij d1 c(x_i, y_j) = x_i (W 1)_i - (W y)_i with W = T * slope, (n, d), in x's dtype.

    From the gradient T (n, m) in the cost matrix to that in x; `r2` is `squared_distances(x, y)`.
    Of a function of the self cost c(x, x), where x fills both slots: T + T'.
    """
    W = T * cost.slope(squared_distances(x, y) if r2 is None else r2)
    x64, y64 = x.astype(np.float64), y.astype(np.float64)
    return (x64 * W.sum(axis=1)[:, None] - W @ y64).astype(x.dtype)
