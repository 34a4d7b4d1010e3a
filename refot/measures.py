"""Discrete measures, that is points with weights: mu = sum_i a_i delta_{x_i}.

B-3 is their push-forward by a map. B-4 and B-5 use measures with equal points merged, and products
of measures. B = Bréchet et al. 2019.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from refot.arrays import Array, Points, Weights, as_points, as_weights, namespace, uniform
from refot.foreign import as_given


@dataclass(frozen=True)
class Measure:
    """Points (n, d) with weights (n,) that sum to 1."""

    points: Array
    weights: Array

    def integrate(self, h: Callable[[Array], Array]) -> float:
        """sum_i a_i h(x_i); h maps points (n, d) to values (n,)."""
        return float(self.weights @ h(self.points))

    def push_forward(self, G: Callable[[Array], Array]) -> Measure:
        """G_# mu = sum_i a_i delta_{G(x_i)}: each point is mapped and keeps its weight. B-3."""
        return measure(G(self.points), self.weights)

    @as_given
    def merged(self) -> Measure:
        """The same measure with equal points merged into one, of their total weight. B-4, B-5.

        The values of transport to and from it stay the same.
        """
        points, index = np.unique(as_points(self.points), axis=0, return_inverse=True)
        return Measure(points, np.bincount(index.ravel(), weights=self.weights))

    def product(self, other: Measure) -> Array:
        """The weights a_i b_j, (n, m), of the product of this measure and the other, mu (x) nu."""
        return namespace(self.weights).outer(self.weights, other.weights)


@as_given
def measure(
    points: Points, weights: Weights | None = None, *, normalise: bool = False
) -> Measure:
    """The measure of `points` (n, d); uniform weights unless given (n,). Raises InputError.

    With `normalise` the weights may be counts: they are divided by their sum.
    """
    x = as_points(points, "points")
    if weights is None:
        return Measure(x, uniform(x.shape[0], x))
    return Measure(x, as_weights(weights, x.shape[0], "weights", x.dtype, normalise))
