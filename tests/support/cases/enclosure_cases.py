"""Problems, exact weights and comparisons for the tests of enclosures."""

from __future__ import annotations

from typing import Any

import numpy as np
from flint import arb

from refot.verification.enclosures.enclose import Enclosure

BITS = 300


def random_problem(
    n: int, m: int, seed: int = 0, eps: float = 0.125
) -> tuple[Any, Any, Any, float]:
    rng = np.random.default_rng(seed)
    return (rng.uniform(size=(n, m)), rng.dirichlet(np.full(n, 2.0)),
            rng.dirichlet(np.full(m, 2.0)), eps)


def clouds(n: int, m: int, d: int = 2) -> tuple[Any, Any, Any, Any]:
    rng = np.random.default_rng(5)
    return (rng.normal(size=(n, d)), rng.dirichlet(np.full(n, 2.0)),
            rng.normal(size=(m, d)) + 0.5, rng.dirichlet(np.full(m, 2.0)))


def exactly(weights: Any) -> list[arb]:
    """The weights divided by their sum, as balls of the working precision."""
    values = [arb(float(w)) for w in weights]
    total = sum(values, arb(0))
    return [w / total for w in values]


def assert_equal(found: arb, expected: arb | float, digits: int = 30) -> None:
    """The two balls overlap, and both are small: relative to the number, at most 10^-digits."""
    expected = arb(expected)
    assert found.overlaps(expected), (found, expected)
    size = abs(expected.mid()).max(arb(10) ** -digits)
    assert found.rad() + expected.rad() <= arb(10) ** -digits * size, (found, expected)


def assert_same(first: Enclosure, second: Enclosure) -> None:
    """Two enclosures of the same problem, computed in different ways, agree to 29 digits."""
    for name in ("value", "transport_cost", "kl"):
        assert_equal(getattr(first, name), getattr(second, name), 29)
