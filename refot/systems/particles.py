"""Points that move freely down the gradient of a loss, without a generator.

This shows what the loss alone does to the points, without the limits of a network: for Fig. 1 of B
(Bréchet et al. 2019).
"""

from __future__ import annotations

from collections.abc import Callable

from refot.arrays import Array, Points, as_count, as_points, as_positive


def particle_flow(
    x: Points, gradient: Callable[[Array], Array], steps: int, rate: float
) -> Array:
    """x (n, d) after the steps x <- x - t_k n gradient(x), in which t_k falls from `rate` to 0.

    Each point has the weight 1/n, so that its gradient has a factor 1/n; n gradient(x) is the
    velocity of the points, and t_k a length of time. It falls so that points can come to rest where
    the gradient jumps, as that of |x - y|_1 does.
    """
    x, rate = as_points(x), as_positive(rate, "rate")
    for k in range(as_count(steps, "steps")):
        x = x - rate * (1 - k / steps) * x.shape[0] * gradient(x)
    return x
