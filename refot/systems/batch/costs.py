"""Ground costs between two mini-batches: |x - y|^2, |x - y|, and minus a Gaussian kernel.

The first two are also in `refot.costs.ground`, computed in another way. There, differences are
formed coordinate by coordinate, and a gradient is an array (n, m, d). This loses no digits, but
takes too long for images, which have hundreds of coordinates. Here a cost is a function phi of the
squared distance,

    c(x, y) = phi(r2),   r2 = |x - y|^2,   so that   d1 c = slope (x - y),   slope = 2 phi'(r2),

and r2 and the gradient are one matrix product each. Matrix products lose digits by cancellation; so
both are computed in float64, whatever the dtype of the batch. d1 c is the derivative of c(x, y) in
x.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from refot.arrays import Array, as_positive, namespace


class BatchCost(Protocol):
    """A cost c = phi(r2), applied to each entry of r2. `name` is its name in GROUND_COSTS, if it
    has one there."""

    name: ClassVar[str]

    def of(self, r2: Array) -> Array:
        """c, in cost units."""

    def slope(self, r2: Array) -> Array:
        """2 phi'(r2), for d1 c = slope (x - y); 0 at x = y if c has a kink there."""


@dataclass(frozen=True)
class SquaredEuclidean:
    """c = |x - y|^2, the cost in L (Liu et al.) and in the experiments of G (Genevay, Peyré, Cuturi
    2018)."""

    name: ClassVar[str] = "sqeuclidean"

    def of(self, r2: Array) -> Array:
        return r2

    def slope(self, r2: Array) -> Array:
        return namespace(r2).full_like(r2, 2.0)


@dataclass(frozen=True)
class Euclidean:
    """c = |x - y|, the norm in G's learned cost; its gradient at the kink x = y is set to 0."""

    name: ClassVar[str] = "euclidean"

    def of(self, r2: Array) -> Array:
        return namespace(r2).sqrt(r2)

    def slope(self, r2: Array) -> Array:
        xp = namespace(r2)
        return xp.where(r2 > 0, 1 / xp.sqrt(xp.where(r2 > 0, r2, 1)), 0)


@dataclass(frozen=True)
class MinusGaussianKernel:
    """c = -k with the kernel k = exp(-|x - y|^2 / (2 bandwidth^2)) of G's MMD. `bandwidth` is in
    the units of the points."""

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

    The mean of y is first subtracted from all points, because the rounding error is proportional to
    |x|^2 + |y|^2. A result below this error is set to 0, so that equal points have the distance 0
    exactly.
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

    This is the chain rule: if T (n, m) is the gradient of a function in the cost matrix, the result
    is its gradient in x. `r2` is `squared_distances(x, y)`, if the caller has it. A function of
    c(x, x) depends on x by both arguments, and has the gradient `pull_back(T + T', cost, x, x)`.
    """
    W = T * cost.slope(squared_distances(x, y) if r2 is None else r2)
    x64, y64 = x.astype(np.float64), y.astype(np.float64)
    return (x64 * W.sum(axis=1)[:, None] - W @ y64).astype(x.dtype)
