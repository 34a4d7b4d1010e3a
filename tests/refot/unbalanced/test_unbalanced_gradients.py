"""U-7 and U-8: gradients against differences of fourth order, and what S must be."""

from __future__ import annotations

import numpy as np
import pytest
from cases.unbalanced_cases import INF, Unbalanced

import refot

STEP = 2e-3
"""Differences of fourth order are off by STEP^4 = 2e-11 times a fifth derivative, and by 1e-13 of
the value's rounding and residual over STEP."""
CLOSE = {"rtol": 1e-8, "atol": 1e-8}
TIGHT = {"tol": 1e-12}


def slope(function, t):
    """The derivative of a function of one number at t."""
    h = STEP * max(abs(t), 0.5)
    near, far = (function(t + k * h) - function(t - k * h) for k in (1, 2))
    return (8 * near - far) / (12 * h)


def slopes(function, point):
    """The gradient of a function of an array."""
    point = np.asarray(point, float)
    out = np.empty_like(point)
    for index in np.ndindex(point.shape):
        def at(t, index=index):
            moved = point.copy()
            moved[index] = t
            return function(moved)
        out[index] = slope(at, point[index])
    return out


@pytest.fixture
def clouds():
    rng = np.random.default_rng(3)
    return (rng.normal(size=(4, 2)), rng.random(4) + 0.2, rng.normal(size=(3, 2)),
            2 * rng.random(3) + 0.2)


RHOS = [0.3, 20.0, (0.5, 2.0), (1.0, INF), (INF, 1.0)]


@pytest.mark.parametrize("rho", RHOS)
def test_gradient_in_points(clouds, rho):
    x, a, y, b = clouds

    def U(x):
        return refot.unbalanced_value(refot.point_cost(x, y), a, b, 0.5, rho, **TIGHT)

    C = refot.point_cost(x, y)
    np.testing.assert_allclose(
        refot.unbalanced_value_gradient_points(C, a, b, 0.5, rho, **TIGHT), slopes(U, x), **CLOSE)


@pytest.mark.parametrize("rho", RHOS)
def test_gradient_in_masses_is_not_centred(clouds, rho):
    x, a, y, b = clouds
    C = refot.point_cost(x, y)

    def U(a):
        return refot.unbalanced_value(C, a, b, 0.5, rho, **TIGHT)

    found = refot.unbalanced_value_gradient_weights(C, a, b, 0.5, rho, **TIGHT)
    np.testing.assert_allclose(found, slopes(U, a), **CLOSE)
    if np.isscalar(rho):
        f = refot.solve(C, a, b, 0.5, rho=rho, tol=1e-12).f
        np.testing.assert_allclose(
            found, rho + 0.5 * b.sum() - (rho + 0.5) * np.exp(-f / rho), rtol=0, atol=1e-9)


def test_gradient_in_masses_where_one_is_zero(clouds):
    """One-sided: differences towards the masses that may be, of second order."""
    x, a, y, b = clouds
    C, a = refot.point_cost(x, y), a * [1, 0, 1, 1]
    found = refot.unbalanced_value_gradient_weights(C, a, b, 0.5, 0.7, **TIGHT)

    def U(t):
        return refot.unbalanced_value(C, a + np.array([0, t, 0, 0]), b, 0.5, 0.7, **TIGHT)

    h = 1e-4
    assert found[1] == pytest.approx((4 * U(h) - U(2 * h) - 3 * U(0)) / (2 * h), abs=1e-6)


@pytest.mark.parametrize("rho", [(0.3, 0.3), (0.5, 4.0)])
def test_gradient_in_rho(clouds, rho):
    x, a, y, b = clouds
    C = refot.point_cost(x, y)
    found = refot.unbalanced_value_gradient_rho(C, a, b, 0.5, rho, **TIGHT)
    for side in (0, 1):
        def U(t, side=side):
            pair = list(rho)
            pair[side] = t
            return refot.unbalanced_value(C, a, b, 0.5, pair, **TIGHT)
        assert found[side] == pytest.approx(slope(U, rho[side]), abs=1e-8)


def test_an_exact_marginal_has_no_slope_in_rho(clouds):
    x, a, y, b = clouds
    found = refot.unbalanced_value_gradient_rho(refot.point_cost(x, y), a, b, 0.5, (INF, 2.0))
    assert found[0] == 0.0 < found[1]


def test_masses_cannot_change_alone_between_exact_marginals(clouds):
    x, a, y, b = clouds
    C = refot.point_cost(x, y)
    with pytest.raises(refot.InputError, match="a alone cannot change"):
        refot.unbalanced_value_gradient_weights(C, a, b * a.sum() / b.sum(), 0.5, INF)


@pytest.mark.parametrize("penalty", ["kl", "tv"])
def test_gradients_of_tv_where_nothing_is_at_a_kink(clouds, penalty):
    """With TV U is not smooth everywhere: here no potential is near rho, and then it is."""
    x, a, y, b = clouds
    C = refot.point_cost(x, y)
    c = Unbalanced(C, a, b, 0.5, (50.0, 30.0), penalty)

    def U(x):
        return refot.unbalanced_value(refot.point_cost(x, y), *c[1:], **TIGHT)

    np.testing.assert_allclose(refot.unbalanced_value_gradient_points(*c, **TIGHT), slopes(U, x),
                               rtol=1e-6, atol=1e-6)


# ------------------------------------------------------------------ S
@pytest.mark.parametrize("rho", [0.3, 5.0])
def test_gradients_of_the_divergence(clouds, rho):
    x, a, y, b = clouds

    def S(x, a):
        return refot.unbalanced_divergence(x, a, y, b, 0.5, rho, **TIGHT)

    np.testing.assert_allclose(
        refot.unbalanced_divergence_gradient(x, a, y, b, 0.5, rho, **TIGHT),
        slopes(lambda z: S(z, a), x), **CLOSE)
    np.testing.assert_allclose(
        refot.unbalanced_divergence_gradient_weights(x, a, y, b, 0.5, rho, **TIGHT),
        slopes(lambda w: S(x, w), a), **CLOSE)


@pytest.mark.parametrize("penalty", ["kl", "tv"])
def test_divergence_is_three_values_from_points_from_costs_and_once_solved(clouds, penalty):
    """U_xy - U_xx / 2 - U_yy / 2 + eps (m_a - m_b)^2 / 2, between measures of two sizes."""
    x, a, y, b = clouds
    costs = [refot.point_cost(*pair) for pair in ((x, y), (x, x), (y, y))]
    U_xy, U_xx, U_yy = (
        refot.unbalanced_value(C, *masses, 0.5, 0.7, penalty, **TIGHT)
        for C, masses in zip(costs, ((a, b), (a, a), (b, b)), strict=True))
    expected = U_xy - U_xx / 2 - U_yy / 2 + 0.25 * (a.sum() - b.sum()) ** 2
    solved = refot.solve_unbalanced_divergence(x, a, y, b, 0.5, 0.7, penalty=penalty, **TIGHT)
    for found in (refot.unbalanced_divergence(x, a, y, b, 0.5, 0.7, penalty=penalty, **TIGHT),
                  refot.unbalanced_divergence(x, a, y, b, 0.5, 0.7, penalty=penalty,
                                              solved=solved),
                  refot.unbalanced_divergence_of_costs(*costs, a, b, 0.5, 0.7, penalty, **TIGHT)):
        assert found == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("rho", RHOS)
def test_gradient_in_eps(clouds, rho):
    x, a, y, b = clouds
    C = refot.point_cost(x, y)

    def U(t):
        return refot.unbalanced_value(C, a, b, t, rho, **TIGHT)

    found = refot.unbalanced_value_gradient_eps(C, a, b, 0.5, rho, **TIGHT)
    assert found == pytest.approx(slope(U, 0.5), abs=1e-8)


@pytest.mark.parametrize("rho", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("cost", ["sqeuclidean", "euclidean"])
def test_divergence_is_zero_at_itself_and_positive_elsewhere(clouds, rho, cost):
    """1e-9: twice the residual in each of three values of this size."""
    x, a, y, b = clouds
    S = refot.unbalanced_divergence
    assert S(x, a, x, a, 0.5, rho, cost) == pytest.approx(0, abs=1e-9)
    assert S(x, a, x, 2 * a, 0.5, rho, cost) > 1e-4 * min(rho, 1)
    assert S(x, a, y, b, 0.5, rho, cost) > 1e-4 * min(rho, 1)
    assert S(x, a, y, b, 0.5, rho, cost) == pytest.approx(S(y, b, x, a, 0.5, rho, cost), rel=1e-9)


def test_divergence_takes_one_rho(clouds):
    with pytest.raises(refot.InputError, match="rho"):
        refot.unbalanced_divergence(*clouds, 0.5, (1.0, 2.0))
