"""A point cost whose points have been put in order once, so that a backend can skip far tiles.

At small eps and in low dimension nearly all of exp((h_j - C_ij) / eps) is 0 to working precision.
A backend that knows groups of CLUSTER points which lie together (numba) bounds whole tiles, group
by group, from the boxes around them, and leaves out what provably cannot matter: of the sum of a
row of the plan, or of a softmin, at most the share `left_out`, u / 2 with u the unit roundoff
(2^-54 in float64, 2^-25 in float32). So a softmin moves by at most eps u / 2, and P @ V by at most
u / 2 max|V| times the row sum of P. Every other backend sees an ordinary PointCost. Points,
potentials and results keep the caller's order throughout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from refot.arrays import Array, TypeInputError, namespace
from refot.costs import Cost, PointCost

CLUSTER = 64
"""Points in a group: one after the other in the order."""


def left_out(dtype: Any) -> float:
    """The largest share of a row's sum that is left out: u / 2."""
    return float(np.finfo(dtype).eps) / 4


@dataclass(frozen=True)
class SortedCost(PointCost):
    """A PointCost with an order of its x (n,) and of its y (m,) in which neighbours are near.

    Above `largest_eps` it is an ordinary PointCost: nothing is far there.
    """

    x_order: Array = None
    y_order: Array = None
    largest_eps: float = math.inf

    @property
    def T(self) -> SortedCost:
        return replace(self, x=self.y, y=self.x, x_order=self.y_order, y_order=self.x_order)

    def scaled(self, factor: float) -> SortedCost:
        """The cost `factor * c`."""
        return replace(self, scale=self.scale * factor, largest_eps=self.largest_eps * factor)

    def in_order(self) -> PointCost:
        """The same cost between the points in their order."""
        return PointCost(self.x[self.x_order], self.y[self.y_order], self.ground, self.scale)


def sorted_cost(C: Cost, largest_eps: float = math.inf) -> SortedCost:
    """`C` with its points in order; they are sorted here, once, in O(n log^2 n).

    `largest_eps`, in cost units: above it no tile is looked at whether it is far.

    Raises TypeInputError for anything but a PointCost of NumPy arrays.
    """
    if not isinstance(C, PointCost) or namespace(C.x) is not np:
        raise TypeInputError("C", type(C).__name__, "a PointCost, its points NumPy arrays")
    x_order, y_order = spatial_order(C.x), spatial_order(C.y)
    return SortedCost(C.x, C.y, C.ground, C.scale, x_order, y_order, largest_eps)


def spatial_order(points: Array) -> Array:
    """The order (n,) of points (n, d) in which each CLUSTER of them fills a small box.

    Halves are split again at the median of their widest coordinate, at a multiple of CLUSTER.
    """
    order = np.arange(len(points))
    halves = [(0, len(points))]
    while halves:
        start, stop = halves.pop()
        if stop - start > CLUSTER:
            part = points[order[start:stop]]
            widest = int(np.ptp(part, axis=0).argmax())
            middle = CLUSTER * -(-(stop - start) // (2 * CLUSTER))
            by_median = np.argpartition(part[:, widest], middle)
            order[start:stop] = order[start:stop][by_median]
            halves += [(start, start + middle), (start + middle, stop)]
    return order


def box_corners(points: Array, group: int = CLUSTER) -> tuple[Array, Array]:
    """The lowest and the highest corners, (groups, d) each, of `group` points after another."""
    starts = np.arange(0, len(points), group)
    return np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)
