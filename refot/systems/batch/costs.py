"""Ground costs between two mini-batches: |x - y|^2, |x - y|, and minus a Gaussian kernel.

The first two are `refot.costs.ground`'s, by name, computed in another way. There, differences are
taken coordinate by coordinate, and a gradient is an array (n, m, d): no digits are lost, but an
image has hundreds of coordinates. Here a cost is a function of the squared distance,

    c(x, y) = phi(r2),   r2 = |x - y|^2,   so that   d1 c = slope (x - y),   slope = 2 phi'(r2),

and both r2 and the gradient are one matrix product each. What that loses to cancellation is made up
for by float64, whatever the dtype of the batch is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from refot.arrays import Array, as_positive, namespace


class BatchCost(Protocol):
    """A cost c = phi(r2), entry by entry; `name` is its name in GROUND_COSTS, if it is there."""

    name: ClassVar[str]

    def of(self, r2: Array) -> Array:
        """c, in cost units."""

    def slope(self, r2: Array) -> Array:
        """2 phi'(r2), by which d1 c = slope (x - y); 0 where x = y is a kink."""


@dataclass(frozen=True)
class SquaredEuclidean:
    """c = |x - y|^2, the cost of L (Liu et al.) and of G's (Genevay et al. 2018) experiments."""

    name: ClassVar[str] = "sqeuclidean"

    def of(self, r2: Array) -> Array:
        return r2

    def slope(self, r2: Array) -> Array:
        return namespace(r2).full_like(r2, 2.0)


@dataclass(frozen=True)
class Euclidean:
    """c = |x - y|, the norm of G's learned cost; the kink at x = y contributes 0."""

    name: ClassVar[str] = "euclidean"

    def of(self, r2: Array) -> Array:
        return namespace(r2).sqrt(r2)

    def slope(self, r2: Array) -> Array:
        xp = namespace(r2)
        return xp.where(r2 > 0, 1 / xp.sqrt(xp.where(r2 > 0, r2, 1)), 0)


@dataclass(frozen=True)
class MinusGaussianKernel:
    """c = -k, k = exp(-|x - y|^2 / (2 bandwidth^2)), the kernel of G's MMD: MMD_{-c} = MMD_k."""

    name: ClassVar[str] = "minus_gaussian_kernel"
    bandwidth: float

    def __post_init__(self) -> None:
        as_positive(self.bandwidth, "bandwidth")

    def of(self, r2: Array) -> Array:
        return -namespace(r2).exp(-r2 / (2 * self.bandwidth**2))

    def slope(self, r2: Array) -> Array:
        return -self.of(r2) / self.bandwidth**2


def squared_distances(x: Array, y: Array) -> Array:
    """|x_i - y_j|^2, (n, m) float64, as |x|^2 - 2 x.y + |y|^2: one matrix product.

    The points are centred first, because the sum is rounded relative to |x|^2 + |y|^2. What is
    below its rounding is set to 0, so that equal points are at distance 0 exactly.
    """
    xp = namespace(x)
    y = y.astype(np.float64)
    centre = y.mean(axis=0)
    x, y = x.astype(np.float64) - centre, y - centre
    sizes = (x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1)
    r2 = sizes - 2 * (x @ y.T)
    return xp.where(r2 > (x.shape[1] + 8) * 2.0**-52 * sizes, r2, 0)


def pull_back(T: Array, cost: BatchCost, x: Array, y: Array, r2: Array | None = None) -> Array:
    """sum_j T_ij d1 c(x_i, y_j) = x_i (W 1)_i - (W y)_i with W = T * slope, (n, d), in x's dtype.

    The chain rule, from the gradient T (n, m) of a function of the cost matrix to that in x. `r2`
    is `squared_distances(x, y)`, where it is known. A function of c(x, x) depends on x in both
    arguments: its gradient is `pull_back(T + T', cost, x, x)`.
    """
    W = T * cost.slope(squared_distances(x, y) if r2 is None else r2)
    x64, y64 = x.astype(np.float64), y.astype(np.float64)
    return (x64 * W.sum(axis=1)[:, None] - W @ y64).astype(x.dtype)
