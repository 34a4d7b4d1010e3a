"""The bench of flows: all go the same way, and refot's way is the more exact one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from refot.verification.bench.flows import (
    PEER_SETTINGS,
    TIGHT,
    Clouds,
    Flow,
    error_of,
    refot_flow,
)

pytestmark = pytest.mark.peers


@pytest.mark.parametrize("prepare", PEER_SETTINGS)
def test_a_peer_goes_the_way_of_refot(prepare: Callable[[Clouds], Flow]) -> None:
    """Two steps of forty points, at the tighter setting of the peer."""
    for package in ("geomloss", "ott", "ot"):
        pytest.importorskip(package)
    clouds = Clouds.of(40, 2)
    ours = refot_flow(clouds)
    exact = ours(TIGHT)
    assert error_of(prepare(clouds)(PEER_SETTINGS[prepare][1]), exact) < 0.02
    assert error_of(ours(1e-8), exact) < 1e-6
