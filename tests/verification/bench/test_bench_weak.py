"""`refot bench --weak`: what is measured on a cluster, and the model that is fitted to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from refot.verification.bench import weak


def half(n: int, workers: int, model: weak.Model) -> weak.Half:
    """A half-iteration that takes just what the model says."""
    computing = model.pair * n * n / workers
    return weak.Half("strong", n, workers, model.seconds(n, workers), computing,
                     8 * (n * workers + n))


def test_the_fit_finds_the_model_again() -> None:
    true = weak.Model(pair=2e-12, alpha=3e-3, beta=1e-9)
    halves = [half(n, workers, true) for n in (10_000, 1_000_000) for workers in (1, 2, 4)]
    found = weak.fitted(halves)
    assert (found.pair, found.alpha, found.beta) == pytest.approx((2e-12, 3e-3, 1e-9), rel=1e-6)


def test_no_number_of_the_model_is_negative() -> None:
    noisy = [weak.Half("strong", 1_000, 1, 1.0, 0.9, 16_000),
             weak.Half("strong", 100_000, 1, 1.0, 0.99, 1_600_000)]
    found = weak.fitted(noisy)
    assert found.alpha >= 0
    assert found.beta >= 0


def test_the_table_says_that_it_is_the_model_s() -> None:
    model = weak.Model(pair=1e-12, alpha=1e-3, beta=1e-9)
    lines = model.table().splitlines()
    assert "model" in lines[0]
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["4", "8", "16", "32", "64"]
    # 1e14 pairs at 1e-12 s, on 4 workers 25 s; 4 ms for messages, 0.4 s for 400 MB
    assert model.seconds(10_000_000, 4) == pytest.approx(25 + 0.004 + 0.4, rel=1e-12)
    assert "25.4" in lines[2]


def test_weak_scaling_keeps_the_pairs_of_each_worker() -> None:
    found = list(weak.sizes(4, 100_000))
    assert [(n, workers) for scaling, n, workers in found if scaling == "strong"] == [
        (100_000, 1), (100_000, 2), (100_000, 4)]
    for scaling, n, workers in found:
        if scaling == "weak":
            assert n * n / workers == pytest.approx(100_000**2, rel=1e-4)


def test_the_report_and_the_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    with distributed.Client(processes=False, n_workers=2, threads_per_worker=1,
                            dashboard_address=":0", set_as_default=False) as client:
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", client.scheduler.address)
        lines = list(weak.lines(tmp_path / "weak.json", tmp_path / "weak.png", n=600))
    assert weak.HEAD in lines
    stored = json.loads((tmp_path / "weak.json").read_text())
    assert [entry["workers"] for entry in stored["halves"]] == [2, 1, 2, 2, 2]
    # each sends m potentials to each worker that has a tile, here one, and gets n back
    assert all(entry["bytes"] == 16 * entry["n"] for entry in stored["halves"])
    assert (tmp_path / "weak.png").stat().st_size > 1_000
