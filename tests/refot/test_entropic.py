"""The entropic transport of L: W_L = F - lam (H(a) + H(b)), and costs in feature space."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import UNIT, cases, matrix_cases, points, solved, weights

import refot
from refot.arrays import ShapeError, WeightError
from refot.entropic import (
    entropic_transport_gradient_weights,
    entropic_transport_value,
    feature_cost,
)
from refot.gradients import entropic_value_gradient_weights

SOLVE = 1e-11
"""Marginal error of the solves: `Case.slack` is made for it."""


# ------------------------------------------------------------------ the value
@given(cases())
def test_the_value_is_the_least_of_cost_less_entropy(backend, case):
    """<P, M> - lam H(P) at the optimal plan of F; and no plan, such as a(x)b, has less."""
    value = entropic_transport_value(*case, tol=SOLVE, backend=backend)
    found = solved(case)
    tolerance = case.slack + 8 * case.rounding()
    least = refot.entropic_primal(found.rounded, case.matrix, case.eps)
    assert abs(value - least) <= tolerance
    independent = refot.entropic_primal(np.outer(case.a, case.b), case.matrix, case.eps)
    assert value <= independent + tolerance


@given(matrix_cases(), st.data())
def test_l1_every_plan_has_the_same_offset_from_its_kl_value(case, data):
    """H(P) = H(a) + H(b) - KL(P | a(x)b): the two problems have one and the same plan."""
    raw = data.draw(weights(case.a.size * case.b.size)).reshape(case.C.shape)
    P = refot.round_to_marginals(raw, case.a, case.b)
    offset = refot.primal(P, *case.dense) - refot.entropic_primal(P, case.matrix, case.eps)
    entropies = refot.entropy(case.a) + refot.entropy(case.b)
    assert abs(offset - case.eps * entropies) <= case.rounding()


def test_l1_on_a_table():
    """Two points against two, uniform, M = [[0, 1], [1, 0]]: F = -lam log((1 + e^(-1/lam)) / 2),
    and W_L = F - 2 lam log 2: negative, where F is positive."""
    M, a, lam = 1 - np.eye(2), np.array([0.5, 0.5]), 0.5
    F = -lam * np.log((1 + np.exp(-1 / lam)) / 2)
    assert refot.entropic_value(M, a, a, lam) == pytest.approx(F, abs=1e-12)
    value = entropic_transport_value(M, a, a, lam)
    assert value == pytest.approx(F - 2 * lam * np.log(2), abs=1e-12)
    assert value < 0 < F


@given(weights(4, positive=True).filter(lambda a: a.max() < 0.9))
def test_it_is_not_zero_between_a_law_and_itself_and_falls_without_end(a):
    """At M = 0 (all points equal): -lam (H(a) + H(a)), to -infinity with lam. F stays at 0."""
    M, H = np.zeros((4, 4)), refot.entropy(a)
    for lam in (0.1, 10.0, 1e3):
        value = entropic_transport_value(M, a, a, lam)
        assert value == pytest.approx(-2 * lam * H, rel=1e-12)
        assert abs(refot.entropic_value(M, a, a, lam)) <= lam * 64 * UNIT
    # bounded by the independent plan: W_L <= <M, a(x)a> - 2 lam H(a), for every M
    M = 1 - np.eye(4)
    values = [entropic_transport_value(M, a, a, lam) for lam in (1.0, 10.0, 100.0)]
    assert values[0] > values[1] > values[2]
    assert values[2] <= 1 - 200 * H + 1e-9


# ------------------------------------------------------------------ the gradient in the weights
@given(matrix_cases(positive=True))
def test_gradient_in_the_weights_is_that_of_f_and_of_the_entropy(backend, case):
    """f + lam log a, centred: it differs from dF/da wherever a is not uniform."""
    gradient = entropic_transport_gradient_weights(*case, backend=backend)
    of_F = entropic_value_gradient_weights(*case, backend=backend)
    log_a = case.eps * np.log(case.a)
    np.testing.assert_allclose(gradient - of_F, log_a - log_a.mean(), atol=8 * case.rounding())
    assert abs(gradient.sum()) <= case.a.size * case.rounding()


def test_gradient_in_the_weights_against_differences():
    """Along e_i - e_j, central differences of step 1e-5: their error is about 1e-10 / a^2."""
    rng = np.random.default_rng(3)
    M, a, b, lam, h = rng.random((4, 5)), rng.dirichlet(np.full(4, 5)), np.full(5, 0.2), 0.3, 1e-5
    gradient = entropic_transport_gradient_weights(M, a, b, lam)
    for i in range(3):
        step = h * (np.eye(4)[i] - np.eye(4)[3])
        up, down = (entropic_transport_value(M, w, b, lam, tol=1e-13) for w in (a + step, a - step))
        slope = gradient[i] - gradient[3]
        assert (up - down) / (2 * h) == pytest.approx(slope, abs=5e-8)


def test_gradient_at_a_zero_weight_is_refused():
    with pytest.raises(WeightError, match="-infinity"):
        entropic_transport_gradient_weights(np.zeros((2, 2)), [1.0, 0.0], [0.5, 0.5], 1.0)


# ------------------------------------------------------------------ the cost in feature space
@given(points(4, 2), points(3, 2), st.sampled_from(["sqeuclidean", "euclidean"]))
def test_feature_cost_is_the_distance_of_the_features(x, y, cost):
    def feature(z):
        return np.stack([z[:, 0] * z[:, 1], z[:, 0] - z[:, 1], z[:, 1] ** 2], axis=1)

    M = feature_cost(x, y, feature, cost)
    power = 2 if cost == "sqeuclidean" else 1
    for i, j in np.ndindex(4, 3):
        distance = np.linalg.norm(feature(x)[i] - feature(y)[j])
        assert M.dense()[i, j] == pytest.approx(distance**power, rel=8 * UNIT, abs=8 * UNIT)


def test_transport_in_feature_space_is_that_of_the_push_forward():
    """Points that the feature does not tell apart are one atom: F does not change, W_L does."""
    x, y = np.array([[-1.0], [1.0], [2.0]]), np.array([[0.0], [3.0]])
    a, b = np.array([0.2, 0.3, 0.5]), np.array([0.5, 0.5])

    def feature(z):
        return z**2

    merged = refot.measure(feature(x), a).merged()
    fine, coarse = feature_cost(x, y, feature), refot.point_cost(merged.points, feature(y))
    kl_value, merged_value = (refot.entropic_value(M, w, b, 0.7, tol=1e-12)
                              for M, w in ((fine, a), (coarse, merged.weights)))
    assert kl_value == pytest.approx(merged_value, abs=1e-12)
    difference = (entropic_transport_value(fine, a, b, 0.7)
                  - entropic_transport_value(coarse, merged.weights, b, 0.7))
    split = 0.5 * (refot.entropy([0.4, 0.6]))  # what telling the two apart adds to H(a)
    assert difference == pytest.approx(-0.7 * split, abs=1e-9)


def test_a_feature_that_loses_points_is_refused():
    with pytest.raises(ShapeError, match=r"feature\(x\)"):
        feature_cost(np.zeros((3, 2)), np.zeros((2, 2)), lambda z: z[:1])
