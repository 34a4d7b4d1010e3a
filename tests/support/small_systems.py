"""What the tests of the systems on the tiny task of the golden trajectories share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import refot
from refot.arrays import Array
from refot.systems.base.network_system import NetworkSystem
from refot.verification.trajectories.systems import TinyTask


def captured(s: NetworkSystem, name: str, act: Callable[[], object]) -> dict[str, Array]:
    """The gradients that `act` hands to the optimiser of that name, which then does nothing."""
    given: dict[str, Array] = {}

    def note(_: Any, gradients: dict[str, Array]) -> None:
        given.update(gradients)

    s.optimisers[name].step = note  # type: ignore[method-assign, assignment]
    act()
    return given


def check(gradients: Mapping[str, Array], weights: Mapping[str, Array],
          loss: Callable[[], float]) -> None:
    """Each gradient is the slope of the loss along a random direction, to central differences."""
    rng, h = np.random.default_rng(5), 1e-6
    assert gradients
    for name, g in gradients.items():
        direction, kept, values = rng.normal(size=g.shape), weights[name].copy(), []
        for sign in (1, -1):
            weights[name][...] = kept + sign * h * direction
            values.append(loss())
        weights[name][...] = kept
        slope = (values[0] - values[1]) / (2 * h)
        assert float((g * direction).sum()) == pytest.approx(slope, rel=2e-5, abs=2e-8), name


def transport_to_data(s: Any, z: Array) -> float:
    """Exact W of |x - y|^2 between g(z), z (n, 3), and the data."""
    n, m = len(z), len(TinyTask.data)
    C = refot.point_cost(s.generate(z), TinyTask.data).dense()
    return refot.kantorovich(C, np.full(n, 1 / n), np.full(m, 1 / m))[0]


def resumed_alike(make: Callable[[], NetworkSystem]) -> None:
    """Two steps, a copy of the state into a new system, two more: those of four steps, bit by bit.
    """
    whole, first, second = make(), make(), make()
    batches = [whole.draw() for _ in range(4)]
    for batch in batches:
        whole.update(batch)
    for batch in batches[:2]:
        first.update(batch)
    second.restore({name: array.copy() for name, array in first.state().items()})
    for batch in batches[2:]:
        second.update(batch)
    expected = whole.state()
    assert expected.keys() == second.state().keys()
    for name, array in second.state().items():
        assert array.tobytes() == expected[name].tobytes(), name
