"""The criterion against known values, the search for the accuracy that a peer needs, the grid."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from small_info_sinkhorn import system

import refot
from refot.arrays import InputError
from refot.datasets import mnist as datasets_mnist
from refot.datasets.images import LabelledImages
from refot.systems.presets import info_sinkhorn as info_sinkhorn_presets
from refot.systems.registry import Preset
from refot.verification.bench import training
from refot.verification.bench.criterion import CRITERIA, Answer, Judgement, judge
from refot.verification.bench.peers.table import find_peer
from refot.verification.bench.problems import Cell, grid, largest
from refot.verification.bench.search import CLOSE, Attempted, search
from refot.verification.bench.worker import Run

MARGINAL, GAP = CRITERIA
INSTANCE = Cell("gaussians", 40, 5e-2).instance()


# ------------------------------------------------------------------ the criterion
def test_marginal_error_of_known_potentials() -> None:
    f, g = np.linspace(0, 1, 40), np.linspace(-1, 1, 40)
    P = np.exp((f[:, None] + g - INSTANCE.matrix) / INSTANCE.eps) / 1600
    expected = abs(P.sum(1) - 1 / 40).sum() + abs(P.sum(0) - 1 / 40).sum()
    judged = judge(INSTANCE, Answer(f, g))
    assert judged.marginal_error == pytest.approx(expected, rel=1e-12)


def test_an_optimal_answer_meets_both_and_its_shift_too() -> None:
    found = refot.solve(INSTANCE.C, INSTANCE.a, INSTANCE.a, INSTANCE.eps, tol=1e-11)
    for shift in (0.0, 3.0):
        judged = judge(INSTANCE, Answer(found.f + shift, found.g - shift))
        assert judged.marginal_error < 1e-9
        assert judged.gap < 1e-9


def test_the_gap_contains_the_distance_to_the_optimum() -> None:
    a = INSTANCE.a
    exact = refot.entropic_value(INSTANCE.C, a, a, INSTANCE.eps)
    g = np.linspace(-1, 1, 40)
    f = refot.softmin(INSTANCE.C, g + INSTANCE.eps * np.log(a), INSTANCE.eps)
    assert judge(INSTANCE, Answer(f, g)).gap >= (exact - (a @ f + a @ g)) / exact > 0


@pytest.mark.parametrize("wrong", [np.full(40, np.nan), np.full(40, -np.inf), np.zeros(39)])
def test_what_is_no_potential_meets_nothing(wrong: np.ndarray) -> None:
    assert judge(INSTANCE, Answer(wrong, np.zeros(40))) == Judgement(math.inf, math.inf)


def test_an_overflowing_answer_meets_nothing() -> None:
    judged = judge(INSTANCE, Answer(np.full(40, 1e6), np.zeros(40)))
    assert judged.marginal_error > 1


# ------------------------------------------------------------------ the search
def trials(measure: Callable[[float], float]) -> tuple[Callable[[float], Attempted], list[float]]:
    """A peer whose measure is that function of the accuracy, and what it was asked."""
    asked: list[float] = []

    def attempt(accuracy: float) -> Attempted:
        asked.append(accuracy)
        value = measure(accuracy)
        return Attempted(Run(accuracy, 1.0, 1.0, None, 0), Judgement(value, value))

    return attempt, asked


@pytest.mark.parametrize("factor", [1e-4, 0.5, 1.0, 30.0, 1e5])
def test_the_loosest_accuracy_is_found(factor: float) -> None:
    attempt, asked = trials(lambda accuracy: factor * accuracy)
    found = search(attempt, MARGINAL, [])
    assert found is not None
    assert 1e-6 / CLOSE <= found.judged.marginal_error <= 1e-6
    assert len(asked) <= 4


def test_a_peer_that_jumps_is_not_asked_for_ever() -> None:
    attempt, asked = trials(lambda accuracy: 1e-3 if accuracy > 1e-4 else 1e-12)
    found = search(attempt, MARGINAL, [])
    assert found is not None
    assert 1e-4 / CLOSE <= found.run.accuracy <= 1e-4
    assert len(asked) <= 8


@pytest.mark.parametrize("value", [1e-2, math.inf])
def test_a_peer_that_stands_still_is_given_up(value: float) -> None:
    attempt, asked = trials(lambda accuracy: value)
    assert search(attempt, MARGINAL, []) is None
    assert len(asked) == 3


def test_a_peer_of_few_iterations_is_asked_until_it_makes_one_more() -> None:
    """The gap of each iteration is the square of the one before; it stops by its tolerance."""
    gaps = [0.5, 0.03, 2.7e-4, 3e-8]
    attempt, asked = trials(lambda accuracy: next(gap for gap in gaps if gap**2 <= accuracy))
    found = search(attempt, replace(GAP, start=1e-2), [])
    assert found is not None
    assert found.judged.gap == 3e-8
    assert len(asked) <= 7


def test_trials_of_one_criterion_serve_the_next() -> None:
    attempt, asked = trials(lambda accuracy: accuracy)
    history: list[Attempted] = []
    search(attempt, MARGINAL, history)
    before = len(asked)
    found = search(attempt, GAP, history)
    assert found is not None
    assert found.run.accuracy > 1e-5
    assert len(asked) - before <= 2


# ------------------------------------------------------------------ the grid
def test_eps_is_in_units_of_the_largest_cost() -> None:
    assert INSTANCE.eps == pytest.approx(5e-2 * INSTANCE.matrix.max(), rel=1e-14)
    assert largest(INSTANCE.C) == pytest.approx(INSTANCE.matrix.max(), rel=1e-14)


def test_images_are_two_sets_as_a_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).integers(0, 256, (30, 28, 28)).astype(np.uint8)
    monkeypatch.setattr(datasets_mnist, "mnist", lambda data: LabelledImages(images, np.ones(30)))
    few, many = Cell("mnist", 15, 1e-1).instance(), Cell("mnist", 20, 1e-1).instance()
    assert few.x.shape == (15, 784)
    assert isinstance(few.C, refot.DenseCost)
    assert few.matrix.min() > 0  # disjoint: no image twice
    np.testing.assert_allclose(few.matrix, refot.point_cost(few.x, few.y).dense(), rtol=1e-12)
    mirrored = {image.tobytes() for image in images[:, :, ::-1].reshape(30, -1) / 255.0}
    assert {row.tobytes() for row in many.y} <= mirrored
    with pytest.raises(InputError, match="30, the images there are"):
        Cell("mnist", 31, 1e-1).instance()


def test_the_grid_is_cut_by_text() -> None:
    assert len(grid("full")) == 20
    assert [cell.n for cell in grid("full", only=("gaussians n=1000 ",))] == [1_000] * 4
    with pytest.raises(InputError, match="only"):
        grid("small", only=("n=7",))


# ------------------------------------------------------------------ the adapters
@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")  # a peer that warns is judged all the same
@pytest.mark.parametrize("name", [
    "refot-numpy", "pot-log", "pot-scaling", "pot-stabilized", "pot-lazy", "ott-lse",
    "geomloss-tensorized", "regot-lbfgs", "regot-ssns"])
def test_the_answer_of_a_peer_is_in_our_convention(name: str) -> None:
    """To the accuracy of its own rule; GeomLoss's is a step of its schedule."""
    peer = find_peer(name)
    if not peer.installed:
        pytest.skip(f"{peer.package[0]} is not installed")
    accuracy, allowed = (1e-2, 1e-2) if name.startswith("geomloss") else (1e-8, 1e-6)
    judged = judge(INSTANCE, peer.prepare(INSTANCE)(accuracy))
    assert judged.marginal_error < allowed
    assert judged.gap < allowed


@pytest.mark.peers
@pytest.mark.parametrize("name", ["refot-numpy", "pot-log", "pot-scaling"])
def test_a_half_iteration_runs_again_and_again(name: str) -> None:
    peer = find_peer(name)
    pytest.importorskip(peer.package[0])
    assert peer.half is not None
    half = peer.half(INSTANCE)
    first, second = np.asarray(half()), np.asarray(half())
    assert first.shape == (40,)
    np.testing.assert_array_equal(first, second)


@pytest.mark.peers
def test_training_is_timed_in_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    tiny = Preset(lambda seed, backend: system(), 1, "a few neurons")
    monkeypatch.setitem(info_sinkhorn_presets.PRESETS, "tiny", tiny)
    (line,) = training.lines([("info_sinkhorn", "tiny")], pairs=2)
    assert line.startswith("info_sinkhorn tiny, ")
    assert "threads: refot " in line
    assert line.endswith("of its time, 2 pairs")
