"""Discrete measures: push-forward (B-3), merged atoms and products (B-4/5)."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from strategies import TOL, UNIT, clouds, points, sizes, weights

import refot


@st.composite
def measures(draw: st.DrawFn) -> refot.Measure:
    n = draw(sizes)
    return refot.measure(draw(points(n, 2)), draw(weights(n)))


def square_and_sum(x):
    """A map from the plane to the line that is not injective."""
    return (x**2).sum(axis=1, keepdims=True)


def moment(z):
    return z[:, 0] ** 3 - z[:, 0]


@given(measures())
def test_push_forward_integrates_the_composition(mu):
    """B-3: int h d(G#mu) = int h(G) dmu."""
    image = mu.push_forward(square_and_sum)
    assert image.integrate(moment) == mu.integrate(lambda x: moment(square_and_sum(x)))
    np.testing.assert_array_equal(image.weights, mu.weights)


@given(measures())
def test_merged_is_the_same_measure_on_distinct_points(mu):
    merged = mu.merged()
    assert len({tuple(x) for x in merged.points}) == len(merged.points)
    assert {tuple(x) for x in merged.points} == {tuple(x) for x in mu.points}
    for x, w in zip(merged.points, merged.weights, strict=True):
        same = (mu.points == x).all(axis=1)
        np.testing.assert_allclose(w, mu.weights[same].sum(), rtol=8 * UNIT)


@given(clouds())
def test_merging_leaves_the_entropic_value_unchanged(pair):
    """B-4/5: F sees the measure, not its list of atoms."""
    mu = refot.measure(pair.x, pair.a).merged()
    C = refot.point_cost(mu.points, pair.y, pair.cost)
    merged = refot.entropic_value(C, mu.weights, pair.b, pair.eps, tol=TOL)
    value = refot.entropic_value(*pair.case(), tol=TOL)
    assert abs(merged - value) <= 2 * pair.case().slack


@given(measures(), measures())
def test_product_has_the_two_measures_as_marginals(mu, nu):
    product = mu.product(nu)
    np.testing.assert_allclose(product.sum(axis=1), mu.weights, atol=8 * UNIT, rtol=0)
    np.testing.assert_allclose(product.sum(axis=0), nu.weights, atol=8 * UNIT, rtol=0)


def test_weights_are_uniform_unless_given():
    np.testing.assert_array_equal(refot.measure(np.zeros((4, 1))).weights, [0.25] * 4)
    assert refot.measure(np.zeros((4, 1), np.float32)).weights.dtype == np.float32
