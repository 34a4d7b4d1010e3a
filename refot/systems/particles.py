"""A generator without a network: free points that move down the gradient of a loss. B Fig. 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from refot.arrays import Array, as_count, as_points, as_positive


def particle_flow(
    x: Any, gradient: Callable[[Array], Array], steps: int, rate: float
) -> Array:
    """x (n, d) after x <- x - t_k n gradient(x), t_k falling from `rate` to 0 over the steps.

    n gradient(x) is the velocity of each point where its weight is 1/n; `rate` is a time. The
    falling step lets the points settle where the gradient jumps, as that of |x - y|_1 does.
    """
    x, rate = as_points(x), as_positive(rate, "rate")
    for k in range(as_count(steps, "steps")):
        x = x - rate * (1 - k / steps) * x.shape[0] * gradient(x)
    return x
