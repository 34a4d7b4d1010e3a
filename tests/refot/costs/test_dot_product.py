"""The cost -<x, y>: half the squared distance up to marginal terms, so that plans are the same."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from operator import mul

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import UNIT, clouds, exact_softmin, points, potentials, sizes

import refot
from refot import DenseCost, limits
from refot.arrays import UnknownNameError
from refot.backends.numba.groups.ordered import sorted_cost
from refot.costs.ground import POINT_COSTS
from refot.systems.presets.info_sinkhorn import TABLE_1
from refot.verification.certificates.certify import certify_value
from refot.verification.enclosures.enclose import enclose_points


def two_costs(pair):
    """-<x, y> and |x - y|^2 / 2 between the same points, and |x|^2 / 2, |y|^2 / 2."""
    dot, half = refot.point_cost(pair.x, pair.y, "dot"), refot.point_cost(pair.x, pair.y, scale=0.5)
    return dot, half, *((z**2).sum(axis=1) / 2 for z in (pair.x, pair.y))


@given(clouds(), st.sampled_from([1.0, 0.5]))
def test_matrix_gradient_and_transpose_are_the_definition(pair, scale):
    C = refot.point_cost(pair.x, pair.y, "dot", scale)
    want = [[-scale * float(s @ t) for t in pair.y] for s in pair.x]  # exact on the dyadic grid
    np.testing.assert_array_equal(C.dense(), want)
    np.testing.assert_array_equal(C.T.dense(), C.dense().T)
    np.testing.assert_array_equal(C.gradient_rows(slice(None)),
                                  np.broadcast_to(-scale * pair.y, (*C.shape, pair.x.shape[1])))


@given(clouds(), st.sampled_from(sorted(POINT_COSTS)), st.sampled_from([1.0, 0.5]))
def test_bounds_from_the_boxes_hold(pair, cost, scale):
    C = refot.point_cost(pair.x, pair.y, cost, scale)
    assert abs(C.dense()).max() <= C.bound() * (1 + 8 * UNIT)
    assert np.ptp(C.dense()) <= C.spread() * (1 + 8 * UNIT)
    assert C.scaled(2.0).bound() == 2 * C.bound()


@given(clouds())
def test_value_is_that_of_half_the_squared_distance_less_two_means(backend, pair):
    """F of -<x, y> = F of |x - y|^2 / 2 - a.|x|^2 / 2 - b.|y|^2 / 2, and the plans are the same."""
    dot, half, x_2, y_2 = two_costs(pair)
    case = replace(pair.case(), C=half)
    C_a_b_eps = dot, pair.a, pair.b, pair.eps
    found = refot.solve(*C_a_b_eps, tol=1e-11, backend=backend)
    value = refot.semi_dual(found.g, *C_a_b_eps, backend=backend)
    size = abs(dot.dense()).max() + x_2.max() + y_2.max()
    slack = 2 * case.slack + 64 * UNIT * size
    want = refot.entropic_value(*case, tol=1e-11, backend=backend)
    assert abs(value - (want - pair.a @ x_2 - pair.b @ y_2)) <= slack
    # with the same potentials but for |x|^2 / 2, |y|^2 / 2 the plans are equal entry by entry
    P = refot.plan(found.f, found.g, *C_a_b_eps, backend=backend)
    P_half = refot.plan(found.f + x_2, found.g + y_2, half, pair.a, pair.b, pair.eps,
                        backend=backend)
    np.testing.assert_allclose(P, P_half, rtol=64 * UNIT * (1 + size / pair.eps), atol=1e-300)
    assert refot.marginal_error(found.f + x_2, found.g + y_2, *case, backend=backend) <= 2e-11 + (
        64 * UNIT * (1 + size / pair.eps))


@given(clouds())
def test_divergence_and_its_gradient_are_those_of_half_the_squared_distance(pair):
    """In F_xy - F_xx / 2 - F_yy / 2 the marginal terms cancel."""
    eps = max(pair.eps, 1.0)
    arguments = pair.x, pair.a, pair.y, pair.b
    S = refot.sinkhorn_divergence(*arguments, eps, "dot", tol=1e-11)
    want = refot.sinkhorn_divergence(*arguments, 2 * eps, "sqeuclidean", tol=1e-11) / 2
    slack = replace(pair, eps=2 * eps).slack + 1e3 * UNIT
    assert abs(S - want) <= 2 * slack
    gradient = refot.sinkhorn_divergence_gradient(*arguments, eps, "dot")
    half = refot.sinkhorn_divergence_gradient(*arguments, 2 * eps, "sqeuclidean") / 2
    np.testing.assert_allclose(gradient, half, atol=1e-9)


@given(st.data(), sizes, sizes)
def test_softmin_to_fifty_digits(backend, data, n, m):
    x, y, h = data.draw(points(n, 3)), data.draw(points(m, 3)), data.draw(potentials(m))
    got = refot.softmin(refot.point_cost(x, y, "dot"), h, 0.25, backend=backend)
    np.testing.assert_allclose(got, exact_softmin(-(x @ y.T), h, 0.25), rtol=0, atol=1e-13)


# ------------------------------------------------------------------ what leans on a distance
def test_the_intervals_allow_for_products_that_cancel():
    """Points far from the origin: the terms of <x, y> are 1e8 times what remains of their sum."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 2)) + np.array([1e4, -1e4])
    y = rng.normal(size=(30, 2)) + 1e4
    C, a = refot.point_cost(x, y, "dot"), np.full(30, 1 / 30)
    exact = DenseCost(-np.array([[sum(map(mul, s, t)) for t in fractions(y)] for s in fractions(x)],
                                dtype=float))  # of exact sums: rounded once
    found = refot.solve(C, a, a, 0.5, tol=1e-6, certified=True)
    proven = certify_value(exact, a, a, 0.5, found.g)
    one_rounding = UNIT * abs(exact.matrix).max()
    assert found.gap.lower <= proven.upper + one_rounding
    assert proven.lower - one_rounding <= found.gap.upper
    assert found.gap.absolute >= UNIT * C.bound()
    of_points = certify_value(C, a, a, 0.5, found.g)
    assert of_points.lower <= proven.lower + one_rounding
    assert proven.upper - one_rounding <= of_points.upper
    assert of_points.width >= 4 * UNIT * C.bound()


def fractions(points):
    return [[Fraction(float(t)) for t in point] for point in points]


def test_whatever_rests_on_a_distance_refuses_it_by_name():
    x, a = np.array([[0.0], [1.0]]), np.array([0.5, 0.5])
    refusals = (
        lambda: sorted_cost(refot.point_cost(x, x, "dot")),  # boxes bound no product
        lambda: limits.divergence_limits(x, a, x, a, "dot"),
        lambda: replace(TABLE_1, cost="dot"),
        lambda: enclose_points(x, a, x, a, 1.0, "dot"),
    )
    for refused in refusals:
        with pytest.raises(UnknownNameError, match=r"'dot'.*allowed: one of .*sqeuclidean"):
            refused()
