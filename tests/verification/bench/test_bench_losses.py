"""The bench of losses: both sides answer the same question, and refot is at least as accurate."""

from __future__ import annotations

import numpy as np
import pytest

from refot.verification.bench.losses import PAIRS, PEER_SETTINGS, Problem, compared, error_of

pytestmark = pytest.mark.peers


def test_an_error_is_relative_and_what_is_not_finite_is_infinitely_wrong() -> None:
    exact = np.array([[3.0, 4.0]])
    assert error_of(exact * 1.1, exact) == pytest.approx(0.1)
    assert error_of(exact * np.nan, exact) == np.inf


@pytest.mark.parametrize("framework", PAIRS)
def test_peers_and_refot_find_the_same_gradient(framework: str) -> None:
    """At the tighter setting of the peer its error is small, and refot's no larger."""
    pytest.importorskip("geomloss" if framework == "torch" else "ott")
    at = Problem.of(30, 2, 0.1)
    exact, width = at.solved()
    assert width < 1e-9
    ours, theirs = (prepare(at) for prepare in PAIRS[framework])
    row = compared(ours, theirs, exact, PEER_SETTINGS[framework][1], repeats=1)
    assert row.our_error <= row.error < 0.02
    assert str(row).count("|") == 5
