"""A cost that refot does not have, written as a user would add one: one object, in one file."""

from __future__ import annotations

from typing import Any

from refot.arrays import namespace
from refot.costs.ground import GroundCost


def quartic(x: Any, y: Any) -> Any:
    """sum_k (x_k - y_k)^4, (n, m)."""
    return sum(namespace(x).subtract.outer(x[:, k], y[:, k]) ** 4 for k in range(x.shape[1]))


def quartic_gradient(x: Any, y: Any) -> Any:
    """4 (x_k - y_k)^3, (n, m, d)."""
    return 4 * (x[:, None, :] - y[None, :, :]) ** 3


def quartic_roundings(d: int) -> int:
    """An upper bound on the roundings in a cost. The difference is rounded once, which its fourth
    power counts four times; the power adds three, the sum d - 1: d + 6 in all, and two to spare."""
    return d + 8


QUARTIC = GroundCost("quartic", quartic, quartic_gradient, quartic_roundings)
