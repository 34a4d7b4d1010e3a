"""A cloud made coarser: all points in one box of a grid become one point, their mean.

The boxes are about as wide as `blur`, the distance over which entropy spreads the plan, so that the
coarser cloud is as fine as the potentials need. Sparse regions, whose boxes hold one point, stay as
they are. (Cells with a fixed number of points would be far too wide there, and the potentials of
sparse regions take the most iterations.)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from refot.arrays import Array
from refot.costs.operands import PointCost

LEAST_WIDTH = 2.0**-40
"""Both clouds together are taken to be at least this wide, so that no length is 0 where all points
coincide."""


class Cells(NamedTuple):
    """A coarser cloud of k points, and to which of them each of the n finer points belongs."""

    points: Array
    """The mean of each cell, (k, d)."""

    weights: Array
    """The mass of each cell, (k,)."""

    cell: Array
    """The number of the cell of each point of the finer cloud, (n,)."""

    def sums(self, values: Array) -> Array:
        """The sum of values (n,) over each cell, (k,)."""
        return np.bincount(self.cell, values, minlength=len(self.weights)).astype(values.dtype)


def cells(points: Array, weights: Array, width: float) -> Cells:
    """The points (n, d) with weights (n,) in boxes of this width: the mass in each box, and the
    mean of its points, weighted by their masses (in a box without mass, the plain mean)."""
    boxes = np.floor((points - points.min(axis=0)) / width).astype(np.int64)
    cell = np.unique(boxes, axis=0, return_inverse=True)[1].reshape(-1)
    mass = np.bincount(cell, weights)
    shares = np.where(mass[cell] > 0, weights, 1)
    share = np.bincount(cell, shares)
    means = np.stack([np.bincount(cell, shares * coordinate) / share for coordinate in points.T],
                     axis=1)
    return Cells(means.astype(points.dtype), mass.astype(weights.dtype), cell)


def blur(C: PointCost, eps: float) -> float:
    """How far two points must be from each other, along an axis, for their cost to be eps; inf if
    it is less for all distances up to twice the width of the clouds. About so far the plan spreads
    mass around the place where it would go without entropy."""
    d = C.x.shape[1]
    widest = max(float(np.ptp(np.concatenate([C.x, C.y]), axis=0).max()), LEAST_WIDTH)
    # Each length is 1.4 % above the last. The smallest, 2^-40 of the width, still gives boxes whose
    # numbers fit an integer.
    lengths = widest * 2.0 ** np.linspace(-40, 1, 2000)
    steps = np.zeros((len(lengths), d))
    steps[:, 0] = lengths
    costs = C.scale * C.ground.matrix(steps, np.zeros((1, d)))[:, 0]
    beyond = np.flatnonzero(costs >= eps)
    return float(lengths[beyond[0]]) if len(beyond) else math.inf
