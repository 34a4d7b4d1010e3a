"""Ground costs c(x, y) between points, with their gradients in x."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from refot.arrays import Array, namespace


# ------------------------------------------------------------------ the costs themselves
def sqeuclidean(x: Array, y: Array) -> Array:
    """|x - y|^2, by differences and not by |x|^2 - 2x.y + |y|^2: no cancellation. (n, m)."""
    xp = namespace(x)
    return sum((xp.subtract.outer(x[:, k], y[:, k]) ** 2 for k in range(1, x.shape[1])),
               start=xp.subtract.outer(x[:, 0], y[:, 0]) ** 2)


def euclidean(x: Array, y: Array) -> Array:
    """|x - y|. (n, m)."""
    return namespace(x).sqrt(sqeuclidean(x, y))


def l1(x: Array, y: Array) -> Array:
    """|x - y|_1, the sum of absolute differences. (n, m)."""
    xp = namespace(x)
    return sum((abs(xp.subtract.outer(x[:, k], y[:, k])) for k in range(1, x.shape[1])),
               start=abs(xp.subtract.outer(x[:, 0], y[:, 0])))


def sqeuclidean_gradient(x: Array, y: Array) -> Array:
    """d/dx |x - y|^2 = 2 (x - y). (n, m, d)."""
    return 2 * (x[:, None, :] - y[None, :, :])


def euclidean_gradient(x: Array, y: Array) -> Array:
    """d/dx |x - y| = (x - y) / |x - y|, and 0 (a subgradient) where x = y. (n, m, d)."""
    xp = namespace(x)
    difference = x[:, None, :] - y[None, :, :]
    r = euclidean(x, y)[:, :, None]
    return difference / xp.where(r > 0, r, 1)


def l1_gradient(x: Array, y: Array) -> Array:
    """d/dx |x - y|_1 = sign(x - y), and 0 (a subgradient) along coordinates that agree."""
    return namespace(x).sign(x[:, None, :] - y[None, :, :])


@dataclass(frozen=True)
class GroundCost:
    """A cost c(x - y) by name: its matrix (n, m) and its gradient in x (n, m, d).

    c is even, and grows with the absolute value of each coordinate of x - y, from 0.
    """

    name: str
    matrix: Callable[[Array, Array], Array]
    gradient: Callable[[Array, Array], Array]

    def bound(self, x: Array, y: Array) -> float:
        """At least max |c|, from the boxes around x (n, d) and y (m, d): c at their far corners."""
        xp = namespace(x)
        farthest = xp.maximum(abs(x.max(axis=0) - y.min(axis=0)),
                              abs(y.max(axis=0) - x.min(axis=0)))
        return float(self.matrix(xp.zeros_like(farthest)[None], farthest[None])[0, 0])

    def spread(self, x: Array, y: Array) -> float:
        """At least max c - min c, from the boxes: `bound`, for min c >= 0."""
        return self.bound(x, y)


@dataclass(frozen=True)
class DotProduct:
    """c(x, y) = -<x, y>: near where it is negative, at no distance from itself but -|x|^2."""

    name: str = "dot"

    def matrix(self, x: Array, y: Array) -> Array:
        """-<x, y>, (n, m): right to d u sum_k |x_k y_k|, not to a share of itself."""
        return -(x @ y.T)

    def gradient(self, x: Array, y: Array) -> Array:
        """d/dx -<x, y> = -y, whatever x is. (n, m, d)."""
        return namespace(x).broadcast_to(-y, (x.shape[0], *y.shape))

    def bound(self, x: Array, y: Array) -> float:
        """At least max |c|: sum_k max |x_k| max |y_k|, which its rounding is relative to."""
        return float(abs(x).max(axis=0) @ abs(y).max(axis=0))

    def spread(self, x: Array, y: Array) -> float:
        """At least max c - min c, from the boxes: each x_k y_k is between those of its corners."""
        xp, x_ends, y_ends = namespace(x), (x.min(axis=0), x.max(axis=0)), (y.min(0), y.max(0))
        corners = xp.stack([s * t for s in x_ends for t in y_ends])
        return float((corners.max(axis=0) - corners.min(axis=0)).sum())

PairCost: TypeAlias = GroundCost | DotProduct
"""What a PointCost takes: `name`, `matrix`, `gradient`, `bound`, `spread`; c(x, y) = c(y, x)."""

GROUND_COSTS = {
    cost.name: cost
    for cost in (
        GroundCost("sqeuclidean", sqeuclidean, sqeuclidean_gradient),
        GroundCost("euclidean", euclidean, euclidean_gradient),
        GroundCost("l1", l1, l1_gradient),
    )
}
"""The costs of a difference: where a distance is meant, only these will do."""

POINT_COSTS: dict[str, PairCost] = {**GROUND_COSTS, "dot": DotProduct()}
"""Every cost that `point_cost` takes."""
