"""A cloud made coarser: all points in one box of a grid become one point, their mean.

The boxes are as small as the plan is blurred: within one, the cost changes by a part of eps. So the
coarser cloud is as fine as the potentials need, and sparse regions, whose boxes hold one point,
stay as they are. (Cells of so many points each would be far too wide there, and it is the sparse
regions whose potentials take longest.)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from refot.arrays import Array
from refot.costs.operands import PointCost

LEAST_WIDTH = 2.0**-40
"""Boxes are at least this part of the width of all points: their numbers fit an integer."""


class Cells(NamedTuple):
    """A coarser cloud, and where its points come from."""

    points: Array
    """(k, d)."""

    weights: Array
    """(k,)."""

    cell: Array
    """(n,): the cell of each point of the finer cloud."""

    def sums(self, values: Array) -> Array:
        """The sum of values (n,) over each cell, (k,)."""
        return np.bincount(self.cell, values, minlength=len(self.weights)).astype(values.dtype)


def cells(points: Array, weights: Array, width: float) -> Cells:
    """The mean and the mass of the points (n, d) in each box of this width; weights (n,). The mean
    goes by the weights; where a box has no mass, by the number of points."""
    boxes = np.floor((points - points.min(axis=0)) / width).astype(np.int64)
    cell = np.unique(boxes, axis=0, return_inverse=True)[1].reshape(-1)
    mass = np.bincount(cell, weights)
    shares = np.where(mass[cell] > 0, weights, 1)
    share = np.bincount(cell, shares)
    means = np.stack([np.bincount(cell, shares * coordinate) / share for coordinate in points.T],
                     axis=1)
    return Cells(means.astype(points.dtype), mass.astype(weights.dtype), cell)


def blur(C: PointCost, eps: float) -> float:
    """How far two points must be from each other, along an axis, for their cost to be eps: a plan
    sends mass about this far beside where it would go without entropy. inf if it is never so
    large."""
    d = C.x.shape[1]
    widest = max(float(np.ptp(np.concatenate([C.x, C.y]), axis=0).max()), LEAST_WIDTH)
    lengths = widest * 2.0 ** np.linspace(-40, 1, 2000)  # each 1.4 % above the last
    steps = np.zeros((len(lengths), d))
    steps[:, 0] = lengths
    costs = C.scale * C.ground.matrix(steps, np.zeros((1, d)))[:, 0]
    beyond = np.flatnonzero(costs >= eps)
    return float(lengths[beyond[0]]) if len(beyond) else math.inf
