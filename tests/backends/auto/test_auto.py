"""The default backend: which one it chooses, that a result says so, and that digits follow it."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import refot
from refot.backend_contract import BackendUnavailableError, backend_for, get_backend
from refot.backends.auto import backend as auto
from refot.backends.auto.backend import ENOUGH, LARGE, SMALL, AutoBackend

rng = np.random.default_rng(3)
X, Y = rng.random((12, 2)), rng.random((9, 2))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Problems of 100 pairs are large, of fewer small: then tests need not be large."""
    monkeypatch.setattr(auto, "SMALL", 99)
    monkeypatch.setattr(auto, "LARGE", 100)


def test_the_number_of_pairs_decides() -> None:
    assert backend_for(SMALL).name == "numpy"
    assert backend_for(LARGE).name == "numba"
    assert backend_for(LARGE, "numpy").name == "numpy"


def test_between_numpy_comes_first_and_numba_when_a_process_has_had_enough() -> None:
    fresh, pairs = AutoBackend(), LARGE - 1
    names = [fresh.chosen(pairs).name for _ in range(ENOUGH // pairs + 2)]
    assert names == ["numpy"] * (ENOUGH // pairs) + ["numba"] * 2
    assert fresh.chosen(SMALL).name == "numpy"
    after_a_large_one = AutoBackend()
    after_a_large_one.chosen(LARGE)
    assert after_a_large_one.chosen(SMALL + 1).name == "numba"


@pytest.mark.usefixtures("few")
def test_a_result_says_which_backend_ran() -> None:
    C = refot.point_cost(X, Y)
    small, large = refot.solve(C.dense()[:5], eps=0.1), refot.solve(C, eps=0.1)
    assert (small.backend, large.backend) == ("numpy", "numba")
    assert "numba" in repr(large)
    assert refot.solve_batch(np.stack([C.dense()] * 2), None, None, 0.1).backend == "numba"
    assert refot.solve_batch(C.dense()[None, :5], None, None, 0.1).backend == "numpy"
    named = refot.solve(C, eps=0.1, backend="numba")
    np.testing.assert_array_equal(large.f, named.f)


@pytest.mark.usefixtures("few")
def test_the_three_problems_of_a_divergence_are_on_one_backend() -> None:
    """Of 9 x 8, 9 x 9 and 8 x 8 pairs none is large, of 12 x 8 pairs one is."""
    for n, name in ((9, "numpy"), (12, "numba")):
        found = refot.solve_divergence(X[:n], None, Y[:8], None, 0.1)
        assert {one.backend for one in found} == {name}
        step = refot.sinkhorn_divergence_value_and_gradient(X[:n], None, Y[:8], None, 0.1)
        assert {one.backend for one in step.solved} == {name}
        refot.sinkhorn_divergence(X[:n], None, Y[:8], None, 0.1, solved=found)


def test_use_backend_and_the_variable_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFOT_BACKEND", "numba")
    assert refot.solve(refot.point_cost(X, Y), eps=0.1).backend == "numba"
    with refot.use_backend("auto"):
        assert refot.solve(refot.point_cost(X, Y), eps=0.1).backend == "numpy"


OPERATIONS = {
    "softmin": lambda on, C, F, G: on.softmin(C, G, 0.5),
    "plan_apply": lambda on, C, F, G: on.plan_apply(C, F, G, 0.5, np.ones((9, 2))),
    "marginals": lambda on, C, F, G: on.marginals(C, F, G, 0.5)[1],
    "plan_cost": lambda on, C, F, G: on.plan_cost(C, F, G, 0.5),
    "plan_cost_gradient": lambda on, C, F, G: on.plan_cost_gradient(C, F, G, 0.5),
    "plan_entries": lambda on, C, F, G: on.plan_entries(C, F, G, 0.5, 1e-3, 1000)[0],
    "gibbs": lambda on, C, F, G: on.gibbs(C, F, G, 0.5, 1e-300, K := np.empty((12, 9))) or K,
    "sweep": lambda on, C, F, G: on.sweep(C.dense(), np.ones(9), np.ones(12), 1.0)[1],
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_by_itself_is_handed_on(name: str) -> None:
    C, F, G = refot.point_cost(X, Y), rng.normal(size=12) - 3, rng.normal(size=9) - 3
    operation = OPERATIONS[name]
    np.testing.assert_array_equal(operation(get_backend("auto"), C, F, G),
                                  operation(get_backend("numpy"), C, F, G))


def test_without_numba_numpy_takes_its_place_and_a_line_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    numpy = get_backend("numpy")

    def without(name: Any) -> Any:
        if name == "numba":
            raise BackendUnavailableError("numba: not installed")
        return numpy

    monkeypatch.setattr(auto, "get_backend", without)
    with caplog.at_level(logging.WARNING):
        assert AutoBackend().chosen(LARGE) is numpy
    assert "numba: not installed" in caplog.text


def test_a_third_party_may_offer_a_choice_too() -> None:
    chosen: Any = get_backend("numba")
    theirs: Any = SimpleNamespace(**{part: getattr(chosen, part) for part in (
        "xp", "asarray", "to_numpy", "synchronize", "softmin", "plan_apply", "marginals",
        "plan_cost", "plan_cost_gradient", "plan_entries", "gibbs", "sweep")}, name="theirs")
    theirs.chosen = lambda pairs: chosen
    assert refot.solve(refot.point_cost(X, Y), eps=0.1, backend=theirs).backend == "numba"
