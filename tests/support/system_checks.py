"""What the tests of the systems share: comparing the gradients that a step passes to an optimiser
with finite differences, and other checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import refot
from refot.arrays import Array
from refot.verification.trajectories.systems import TinyTask


def captured(system: Any, name: str, act: Callable[[], object]) -> dict[str, Array]:
    """The gradients that `act` passes to the optimiser `name`, whose step is replaced by one that
    changes nothing."""
    given: dict[str, Array] = {}
    system.optimisers[name].step = lambda _, gradients: given.update(gradients)
    act()
    return given


def slope(loss: Callable[[], float], w: Array, direction: Array, h: float) -> float:
    """The central difference of the loss along a direction of one weight."""
    kept, values = w.copy(), []
    for sign in (1, -1):
        w[...] = kept + sign * h * direction
        values.append(loss())
    w[...] = kept
    return (values[0] - values[1]) / (2 * h)


def assert_slopes(
    gradients: Mapping[str, Array], weights: Mapping[str, Array], loss: Callable[[], float],
    h: float = 1e-6,
) -> None:
    """Each gradient agrees with the finite difference of the loss along a random direction.

    The error of the differences is of the order h^2 and of the rounding of the loss divided by h:
    at most 2e-5 relative, or 2e-8.
    """
    rng = np.random.default_rng(5)
    assert gradients.keys() == weights.keys()
    for name, g in gradients.items():
        direction = rng.normal(size=g.shape)
        expected = slope(loss, weights[name], direction, h)
        assert float((g * direction).sum()) == pytest.approx(expected, rel=2e-5, abs=2e-8), name


def assert_resumes(make: Callable[[], Any], steps: int = 3) -> None:
    """A system that is restored after one step ends with the same numbers as an uninterrupted one.
    """
    whole, half, again = make(), make(), make()
    for _ in range(steps):
        whole.step()
    half.step()
    again.restore({key: np.copy(array) for key, array in half.state().items()})
    again.rng.bit_generator.state = half.rng.bit_generator.state
    for _ in range(steps - 1):
        again.step()
    expected, found = whole.state(), again.state()
    assert expected.keys() == found.keys()
    assert all(np.array_equal(array, found[key]) for key, array in expected.items())


def transport_to_data(s: Any, z: Array) -> float:
    """Exact transport with the cost |x - y|^2 between g(z), z (n, 3), and the data."""
    n, m = len(z), len(TinyTask.data)
    C = refot.point_cost(s.generate(z), TinyTask.data).dense()
    return refot.kantorovich(C, np.full(n, 1 / n), np.full(m, 1 / m))[0]
