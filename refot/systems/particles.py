"""Free points in place of a generator: they move down the gradient of a loss.

This shows what a loss does to the points by itself, whatever a network can follow: for Fig. 1 of B
(Bréchet et al. 2019).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from refot.arrays import Array, as_count, as_points, as_positive


def particle_flow(
    x: Any, gradient: Callable[[Array], Array], steps: int, rate: float
) -> Array:
    """x (n, d) after x <- x - t_k n gradient(x), where t_k falls from `rate` to 0 over the steps.

    A point of weight 1/n has 1/n of the gradient, and so n gradient(x) is its velocity, and t_k a
    time. The time falls so that the points can settle where the gradient jumps, as that of
    |x - y|_1 does.
    """
    x, rate = as_points(x), as_positive(rate, "rate")
    for k in range(as_count(steps, "steps")):
        x = x - rate * (1 - k / steps) * x.shape[0] * gradient(x)
    return x
