"""refot.sklearn: the transformers obey scikit-learn's own checks, and their numbers are refot's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import refot
from refot.sklearn import EntropicTransport, SinkhornDistance

RNG = np.random.default_rng(4)
X, Y = RNG.normal(size=(12, 2)), RNG.normal(size=(10, 2)) + 2
GRID = np.arange(5.0)
C = (GRID[:, None] - GRID) ** 2


class ToItself(EntropicTransport):
    """With the samples themselves as target, as scikit-learn's checks give no other."""

    def fit(self, X: Any, y: Any = None) -> ToItself:
        return super().fit(X, y, Xt=X)


@parametrize_with_checks([ToItself()])
def test_scikit_learn_accepts_the_map(estimator: Any, check: Any) -> None:
    check(estimator)


# ------------------------------------------------------------------ the map
def test_the_map_is_that_of_the_solution() -> None:
    found = EntropicTransport(eps=0.3).fit(X, Xt=Y)
    solved = refot.solve(refot.point_cost(X, Y), np.full(12, 1 / 12), np.full(10, 1 / 10), 0.3)
    assert np.allclose(found.transform(X), solved.barycentric_map(), rtol=1e-8)
    P = solved.plan()
    assert np.allclose(found.inverse_transform(Y), P.T @ X * 10, rtol=1e-6)
    assert found.transform(X[:3] + 0.1).shape == (3, 2)


def test_weights_masses_and_eps() -> None:
    a = RNG.random(12)
    found = EntropicTransport(rho=1.0).fit(X, Xt=Y, sample_weight=a)
    assert isinstance(found.result_, refot.UnbalancedResult)
    mean = a @ refot.point_cost(X, Y).dense() @ np.full(10, 0.1) / a.sum()
    assert found.eps_ == pytest.approx(0.05 * mean)
    relative = EntropicTransport().fit(X, Xt=Y, sample_weight=a)
    np.testing.assert_allclose(relative.result_.problem.a, a / a.sum(), rtol=1e-14)


def test_a_target_is_asked_for() -> None:
    with pytest.raises(ValueError, match="Xt: None; allowed: the target points"):
        EntropicTransport().fit(X)


# ------------------------------------------------------------------ the distance
HISTOGRAMS = RNG.integers(0, 9, size=(7, 5)) + np.eye(7, 5)


def test_the_distance_is_the_root_of_the_divergence() -> None:
    found = SinkhornDistance(C, 0.4, tol=1e-11).fit(HISTOGRAMS[:4])
    shares = HISTOGRAMS / HISTOGRAMS.sum(axis=1, keepdims=True)
    line = GRID[:, None]
    for k, u in enumerate(shares[4:]):
        for l, v in enumerate(shares[:4]):
            S = refot.sinkhorn_divergence(line, u, line, v, 0.4, tol=1e-11)
            assert found.divergences(HISTOGRAMS[4:])[k, l] == pytest.approx(S, abs=1e-10)
    assert np.allclose(found.transform(HISTOGRAMS[4:]) ** 2, found.divergences(HISTOGRAMS[4:]))
    assert np.allclose(found.kernel(HISTOGRAMS[4:], 2.0),
                       np.exp(-2 * found.divergences(HISTOGRAMS[4:])))
    assert found(HISTOGRAMS[0], HISTOGRAMS[5]) == pytest.approx(
        found.transform(HISTOGRAMS[5:6])[0, 0], abs=1e-7)


def test_neighbours_in_a_pipeline() -> None:
    labels = [0, 0, 0, 1, 1, 1]
    rows = np.array([[9, 1, 0, 0, 0], [8, 2, 0, 0, 0], [7, 2, 1, 0, 0],
                     [0, 0, 0, 1, 9], [0, 0, 0, 2, 8], [0, 0, 1, 2, 7]])
    model = make_pipeline(SinkhornDistance(C, 0.4),
                          KNeighborsClassifier(1, metric="precomputed")).fit(rows, labels)
    assert model.predict([[5, 4, 1, 0, 0], [0, 0, 2, 4, 4]]).tolist() == [0, 1]
    metric = KNeighborsClassifier(1, metric=SinkhornDistance(C, 0.4)).fit(rows, labels)
    assert metric.predict([[5, 4, 1, 0, 0]]).tolist() == [0]


@pytest.mark.parametrize(("rows", "message"), [
    ([[0.0, 0, 0, 0, 0]], "without mass"), ([[1.0, -1, 0, 0, 5]], "below 0"),
    ([[1.0, 2]], "for 5 bins"), ([[np.nan, 1, 1, 1, 1]], "NaN"),
])
def test_what_is_no_histogram_is_refused(rows: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SinkhornDistance(C, 0.4).fit(rows)


def test_costs_are_asked_for() -> None:
    with pytest.raises(ValueError, match="C: None"):
        SinkhornDistance().fit(HISTOGRAMS)
    with pytest.raises(ValueError, match=r"shape \(5, 4\)"):
        SinkhornDistance(C[:, :4]).fit(HISTOGRAMS)
