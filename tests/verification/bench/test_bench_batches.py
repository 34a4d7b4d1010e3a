"""The benchmark of batches: everybody is held to one criterion, and who misses it is told so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from refot.verification.bench import batches


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BATCHES", (lambda: batches.clouds(20, 5),
                                             lambda: batches.histograms(20, 6)))
    monkeypatch.setattr(batches, "EPS", (0.1,))
    monkeypatch.setattr(batches, "ROUNDS", 2)
    monkeypatch.setattr(batches, "ragged_lines", lambda: iter(["ragged"]))


def rough(batch: batches.Batch, eps: float) -> Callable[[float], Any]:
    """A peer that stops at thirty times what it is told."""
    solve = batches.refot_batch(batch, eps, "numpy")
    return lambda tol: solve(30 * tol)


def hopeless(batch: batches.Batch, eps: float) -> Callable[[float], Any]:
    """A peer whose plans are products."""
    return lambda tol: lambda: batch.a[:, :, None] * batch.b[:, None, :] * 1.5


def test_a_line_for_each_peer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "PEERS", {"rough": rough, "hopeless": hopeless})
    table = list(batches.lines())
    assert len(table) == 2 + 2 * 2 + 1
    assert table[2].startswith("| 20 of 5 x 5 | 1e-01 | rough | ")
    assert table[3].endswith("| came to 1.0e+00 |")
    assert table[4].startswith("| 20 histograms of 6 bins | 1e-01 | rough | ")


def test_a_peer_gets_the_loosest_tolerance_that_does() -> None:
    batch = batches.clouds(20, 5)
    tol, error = batches.loosest(batch, 0.1, rough)
    assert tol in (1e-10, 1e-11)  # 30 times 1e-9 is more than the criterion
    assert error <= batches.CRITERION


@pytest.mark.parametrize("name", [*batches.PEERS])
def test_every_peer_meets_the_criterion(name: str) -> None:
    pytest.importorskip("ott" if "OTT" in name else "ot" if "ot." in name else "refot")
    for make in batches.BATCHES:
        batch = make()
        _, error = batches.loosest(batch, 0.1, batches.PEERS[name])
        assert error <= batches.CRITERION


def test_the_error_is_that_of_the_worst_plan() -> None:
    batch = batches.histograms(20, 6)
    exact = batch.a[:, :, None] * batch.b[:, None, :]
    assert batches.worst_error(batch, exact) < 1e-15
    exact[7] *= 1.25
    assert batches.worst_error(batch, exact) == pytest.approx(0.5)
    exact[3] = np.nan
    assert batches.worst_error(batch, exact) == np.inf
