"""Measures of success against scikit-learn, SciPy, closed forms and certificates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from refot.arrays import InputError, ShapeError, TypeInputError
from refot.costs.operands import point_cost
from refot.datasets.gaussians import GaussianGrid
from refot.datasets.scikit import digits
from refot.objectives import kantorovich
from refot.scores.classifier import classifier_frechet_distance, classifier_score
from refot.scores.scores import (
    exact_transport,
    mixing_curve,
    mixture,
    mode_coverage,
    normalised_mutual_information,
    purity,
    within_cluster_variance,
)
from refot.systems.classifier import load_classifier
from refot.systems.training.folder import RunFolderError
from refot.systems.training.loop import Cadence, train

RNG = np.random.default_rng(0)


# ------------------------------------------------------------------ modes
def test_the_law_itself_has_all_modes_and_its_share_within_three_deviations() -> None:
    grid = GaussianGrid()
    x, _ = grid.sample(20_000, np.random.default_rng(2))
    found = mode_coverage(x, grid.modes, grid.std)
    assert (found.found, found.modes) == (25, 25)
    expected = 1 - np.exp(-4.5)  # a chi-squared law with two degrees of freedom
    assert abs(found.high_quality - expected) < 5 * np.sqrt(expected * (1 - expected) / 20_000)
    assert found.counts.sum() == round(found.high_quality * 20_000)


def test_modes_are_counted_by_samples_of_high_quality() -> None:
    modes = np.array([[0.0, 0.0], [1.0, 0.0], [5.0, 5.0]])
    x = np.array([[0.0, 0.29], [0.0, 0.31], [0.8, 0.0], [1.0, 0.1]])  # radius 3 * .1
    found = mode_coverage(x, modes, std=0.1)
    assert (found.found, found.high_quality) == (2, 0.75)
    np.testing.assert_array_equal(found.counts, [1, 2, 0])
    assert mode_coverage(x, modes, std=0.1, at_least=2).found == 1
    assert mode_coverage(x, modes, std=0.1, radius=4).high_quality == 1


# ------------------------------------------------------------------ codes
@given(st.lists(st.tuples(st.integers(-2, 4), st.integers(0, 3)), min_size=1, max_size=60))
def test_nmi_is_that_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    codes, labels = np.array(pairs).T
    ours = normalised_mutual_information(codes, labels)
    theirs = metrics.normalized_mutual_info_score(labels, codes)  # average_method="arithmetic"
    if len(set(labels)) == 1 or len(set(codes)) == 1:
        assert ours == float(len(set(labels)) == len(set(codes)))
    else:
        assert ours == pytest.approx(theirs, abs=1e-12)
    assert purity(codes, labels) == pytest.approx(
        metrics.cluster.contingency_matrix(labels, codes).max(axis=0).sum() / len(codes))


def test_nmi_of_known_labellings() -> None:
    labels = np.repeat(np.arange(5), 20)
    assert normalised_mutual_information((labels + 2) % 5, labels) == pytest.approx(1, abs=1e-14)
    assert normalised_mutual_information(np.tile(np.arange(20), 5), labels) < 1e-14
    halves = normalised_mutual_information(np.arange(4), np.array([0, 0, 1, 1]))
    assert halves == pytest.approx(np.log(2) / (1.5 * np.log(2)))  # I = 1 bit, H = 2 and 1
    assert purity(np.arange(4), np.array([0, 0, 1, 1])) == 1
    assert purity(np.array([0, 0, 1, 1, 1]), np.array([3, 7, 7, 7, 3])) == pytest.approx(3 / 5)


@pytest.mark.parametrize(("codes", "labels", "error"), [
    ([0.5, 1.0], [0, 1], TypeInputError), ([[0, 1]], [0, 1], ShapeError),
    ([0, 1], [0, 1, 2], ShapeError),
    (np.zeros(0, dtype=int), np.zeros(0, dtype=int), ShapeError),
])
def test_wrong_labels_are_refused(codes: Any, labels: Any, error: type[InputError]) -> None:
    with pytest.raises(error):
        purity(codes, labels)


# ------------------------------------------------------------------ clusters
def test_within_cluster_variance_by_hand_and_collapsed() -> None:
    x = np.array([[0.0, 0], [2, 0], [10, 10], [10, 14], [10, 12]])
    clusters = np.array([7, 7, 3, 3, 3])
    assert within_cluster_variance(x, clusters) == pytest.approx((1 + 1 + 4 + 4 + 0) / 5)
    assert within_cluster_variance(x[[0, 0, 2]], clusters[[0, 0, 2]]) == 0
    grid = GaussianGrid(std=0.3)
    sample, labels = grid.sample(20_000, np.random.default_rng(3))
    expected = 2 * 0.09 * (1 - 25 / 20_000)
    assert within_cluster_variance(sample, labels) == pytest.approx(expected, rel=0.04)  # 5 sigma


# ------------------------------------------------------------------ exact transport
@pytest.mark.parametrize("cost", ["sqeuclidean", "euclidean", "l1"])
def test_the_certificate_closes_and_agrees_with_a_linear_program(cost: str) -> None:
    x, y = RNG.normal(size=(30, 3)), RNG.normal(size=(30, 3)) + 1
    found = exact_transport(x, y, cost)
    assert 0 <= found.upper - found.lower + 1e-13 < 1e-12  # rounding of two sums of 30 terms
    C, a = point_cost(x, y, cost).dense(), np.full(30, 1 / 30)
    assert found.upper == pytest.approx(kantorovich(C, a, a)[0], rel=1e-9)  # that of HiGHS
    f = (C - found.g).min(axis=1)
    assert (f[:, None] + found.g <= C + 1e-13).all()
    assert sorted(found.permutation) == list(range(30))


def test_the_certificate_closes_with_ties_and_equal_samples() -> None:
    x = RNG.integers(3, size=(60, 2)).astype(float)
    found = exact_transport(x, x[::-1])
    assert found.lower == found.upper == 0
    shifted = exact_transport(x, x + 3)
    assert shifted.upper == pytest.approx(18)
    assert shifted.lower == pytest.approx(18)
    with pytest.raises(ShapeError, match="as many as x"):
        exact_transport(x, x[1:])


# ------------------------------------------------------------------ classifier scores
def test_the_score_between_its_ends() -> None:
    assert classifier_score(np.full((8, 10), 0.1)) == pytest.approx(1)
    assert classifier_score(np.tile(np.eye(10), (3, 1))) == pytest.approx(10)
    p = RNG.dirichlet(np.ones(4), size=50)
    marginal = p.mean(axis=0)
    expected = np.exp(np.mean((p * np.log(p / marginal)).sum(axis=1)))
    assert classifier_score(p) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(InputError, match="row 0 sums to"):
        classifier_score(np.ones((3, 2)))


def test_the_frechet_distance_against_scipy_and_closed_forms() -> None:
    x = RNG.normal(size=(200, 5)) @ RNG.normal(size=(5, 5))
    y = RNG.normal(size=(150, 5)) + np.arange(5)
    root = scipy.linalg.sqrtm(np.cov(x.T) @ np.cov(y.T)).real
    expected = (((x.mean(axis=0) - y.mean(axis=0)) ** 2).sum()
                + np.trace(np.cov(x.T) + np.cov(y.T) - 2 * root))
    assert classifier_frechet_distance(x, y) == pytest.approx(expected, rel=1e-9)
    assert classifier_frechet_distance(x, x) < 1e-10
    shift = np.array([3.0, 0, 0, 0, 4])
    assert classifier_frechet_distance(x + shift, x) == pytest.approx(25, rel=1e-9)
    doubled = classifier_frechet_distance(2 * (x - x.mean(axis=0)), x - x.mean(axis=0))
    assert doubled == pytest.approx(np.trace(np.cov(x.T)), rel=1e-9)  # tr (2R - R)^2, R root of S


def test_the_frechet_distance_of_singular_features() -> None:
    x = np.zeros((50, 4))
    x[:, 0] = RNG.normal(size=50)
    assert np.isfinite(classifier_frechet_distance(x, np.zeros((50, 4))))
    with pytest.raises(ShapeError, match="two or more"):
        classifier_frechet_distance(x[:1], x)
    with pytest.raises(ShapeError, match="dimension 4"):
        classifier_frechet_distance(x, x[:, :3])


def test_a_classifier_is_trained_and_read_back(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    outcome = train("classifier", "digits", tmp_path / "run", iterations=300,
                    cadence=Cadence(measure_every=300))
    assert outcome.measures["accuracy"] > 0.9  # 5 sigma of 348 images below the .95 it reaches
    classifier = load_classifier(tmp_path / "run")
    threes, sevens = (digits(label, 100).reshape(-1, 8, 8) / 16 for label in (3, 7))
    assert (classifier.probabilities(threes).argmax(axis=1) == 3).mean() > 0.9
    features = [classifier.features(x) for x in (threes[:50], threes[50:], sevens[50:])]
    near = classifier_frechet_distance(features[0], features[1])
    assert near < 0.3 * classifier_frechet_distance(features[0], features[2])
    with pytest.raises(RunFolderError, match="holds no run"):
        load_classifier(tmp_path)


# ------------------------------------------------------------------ mixtures
def test_mixtures_go_from_the_data_to_the_generator() -> None:
    real, generated = np.zeros((10, 2)), np.ones((10, 2))
    rng = np.random.default_rng(0)
    curve = mixing_curve(lambda x: {"mean": float(x.mean())}, real, generated, [0, 0.3, 1], rng)
    assert curve == {"mean": [0.0, 0.3, 1.0]}
    once = mixture(np.arange(10.0), np.arange(10.0) + 100, 0.5, rng)
    assert len(set(once)) == 10
    for r in (-0.1, 1.1):
        with pytest.raises(InputError, match="r: "):
            mixture(real, generated, r, rng)
    with pytest.raises(ShapeError, match="generated"):
        mixture(real, generated[1:], 0.5, rng)
