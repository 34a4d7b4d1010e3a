"""Gradients of the unbalanced value, the divergence and its gradients, against differences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from enclosure_cases import BITS, assert_equal
from flint import arb, ctx

from refot.arrays import InputError
from refot.costs.operands import point_cost
from refot.verification.enclosures.precision import leaves
from refot.verification.enclosures.unbalanced.divergences import (
    enclose_unbalanced_divergence,
    enclose_unbalanced_divergence_gradient,
    enclose_unbalanced_divergence_weights_gradient,
)
from refot.verification.enclosures.unbalanced.enclose import (
    enclose_unbalanced_points,
    enclose_unbalanced_value,
)
from refot.verification.enclosures.unbalanced.gradients import (
    enclose_unbalanced_points_gradient,
    enclose_unbalanced_rho_gradient,
    enclose_unbalanced_weights_gradient,
)

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(3, 2)), RNG.normal(size=(4, 2))
A, B, EPS, RHO = RNG.uniform(size=3), 2 * RNG.uniform(size=4), 0.5, 0.75

H = 2.0**-30
"""The step of a central difference: its error is a third derivative H^2, about 1e-18."""

KL_SIDES = [0.75, (0.25, 2.0), (math.inf, 1.0), (1.0, math.inf)]


@pytest.fixture(autouse=True)
def _precision() -> Any:
    with ctx.workprec(BITS):
        yield


def value(x: Any = X, a: Any = A, b: Any = B, rho: Any = RHO, penalty: str = "kl") -> arb:
    return enclose_unbalanced_value(
        point_cost(x, Y, "sqeuclidean"), a, b, EPS, rho, penalty, digits=50)


def slope(above: arb, below: arb) -> arb:
    return (above - below) / (2 * H)


@pytest.mark.parametrize("rho", KL_SIDES)
def test_the_gradient_in_weights_is_that_of_the_enclosed_value(rho: Any) -> None:
    """Each weight by itself: the mass is free, so that nothing is centred."""
    in_a, in_b = enclose_unbalanced_weights_gradient(
        point_cost(X, Y, "sqeuclidean"), A, B, EPS, rho)
    for i, step in enumerate(H * np.eye(3)):
        assert abs(slope(value(a=A + step, rho=rho), value(a=A - step, rho=rho)) - in_a[i]) < 1e-14
    for j, step in enumerate(H * np.eye(4)):
        assert abs(slope(value(b=B + step, rho=rho), value(b=B - step, rho=rho)) - in_b[j]) < 1e-14
    largest = max(abs(x.mid()) for x in in_a)
    assert all(x.rad() <= arb(10) ** -30 * largest for x in in_a)


def test_the_gradient_at_a_weight_of_zero_is_that_to_the_right() -> None:
    a = A.copy()
    a[1] = 0
    in_a, _ = enclose_unbalanced_weights_gradient(point_cost(X, Y, "sqeuclidean"), a, B, EPS, RHO)
    at, by_h = value(a=a), value(a=a + H * np.eye(3)[1])
    by_2h = value(a=a + 2 * H * np.eye(3)[1])
    assert abs((4 * by_h - by_2h - 3 * at) / (2 * H) - in_a[1]) < 1e-14


@pytest.mark.parametrize(("penalty", "rho"), [*(("kl", rho) for rho in KL_SIDES), ("tv", 0.75),
                                              ("tv", (math.inf, 0.5))])
def test_the_gradient_in_points_is_that_of_the_enclosed_value(penalty: str, rho: Any) -> None:
    gradient = enclose_unbalanced_points_gradient(X, A, Y, B, EPS, rho, penalty=penalty)
    for i, k in ((0, 0), (2, 1)):
        step = np.zeros_like(X)
        step[i, k] = H
        above, below = (value(x, rho=rho, penalty=penalty) for x in (X + step, X - step))
        assert abs(slope(above, below) - gradient[i][k]) < 1e-14


@pytest.mark.parametrize("penalty", ["kl", "tv"])
@pytest.mark.parametrize("pair", [(0.75, 0.75), (0.25, 2.0)])
def test_the_gradient_in_rho_is_that_of_the_enclosed_value(
    penalty: str, pair: tuple[float, float]
) -> None:
    found = enclose_unbalanced_rho_gradient(
        point_cost(X, Y, "sqeuclidean"), A, B, EPS, pair, penalty)
    for k, step in enumerate(([H, 0.0], [0.0, H])):
        above, below = (value(rho=tuple(np.add(pair, sign * np.array(step))), penalty=penalty)
                        for sign in (1, -1))
        assert abs(slope(above, below) - found[k]) < 1e-14


def test_an_exact_side_has_no_gradient_in_rho() -> None:
    C = point_cost(X, Y, "sqeuclidean")
    assert enclose_unbalanced_rho_gradient(C, A, B, EPS, (math.inf, 1.0))[0] == 0
    assert enclose_unbalanced_rho_gradient(C, A, B, EPS, (1.0, math.inf), "tv")[1] == 0


@pytest.mark.parametrize("penalty", ["kl", "tv"])
def test_a_point_without_mass_costs_no_penalty(penalty: str) -> None:
    a = np.array([A[0], 0.0, A[2]])
    with_it = enclose_unbalanced_rho_gradient(
        point_cost(X, Y, "sqeuclidean"), a, B, EPS, RHO, penalty)
    without = enclose_unbalanced_rho_gradient(
        point_cost(X[[0, 2]], Y, "sqeuclidean"), a[[0, 2]], B, EPS, RHO, penalty)
    for one, other in zip(with_it, without, strict=True):
        assert_equal(one, other, 29)


# ------------------------------------------------------------------ the divergence, U-8
@pytest.mark.parametrize("penalty", ["kl", "tv"])
def test_the_divergence_is_made_of_its_three_values(penalty: str) -> None:
    S = enclose_unbalanced_divergence(X, A, Y, B, EPS, RHO, penalty=penalty)
    xy, xx, yy = (enclose_unbalanced_points(*pair, EPS, RHO, penalty=penalty).value
                  for pair in ((X, A, Y, B), (X, A, X, A), (Y, B, Y, B)))
    bias = EPS / 2 * (sum(map(arb, A), arb(0)) - sum(map(arb, B), arb(0))) ** 2
    assert_equal(S, xy - (xx + yy) / 2 + bias, 28)
    assert_equal(S, enclose_unbalanced_divergence(Y, B, X, A, EPS, RHO, penalty=penalty), 29)
    assert S.rad() <= arb(10) ** -30 * S


def test_the_divergence_separates_masses() -> None:
    """S(mu, mu) = 0 and S(mu, 2 mu) > 0."""
    assert enclose_unbalanced_divergence(X, A, X, A, EPS, RHO).contains(0)
    assert enclose_unbalanced_divergence(X, A, X, 2 * A, EPS, RHO) > 0.1


@pytest.mark.parametrize("cost", ["sqeuclidean", "euclidean", "l1"])
def test_the_gradient_of_s_in_points_is_that_of_the_enclosed_divergence(cost: str) -> None:
    gradient = enclose_unbalanced_divergence_gradient(X, A, Y, B, EPS, RHO, cost)
    for i, k in ((1, 0), (2, 1)):
        step = np.zeros_like(X)
        step[i, k] = H
        above, below = (enclose_unbalanced_divergence(moved, A, Y, B, EPS, RHO, cost)
                        for moved in (X + step, X - step))
        assert abs(slope(above, below) - gradient[i][k]) < 1e-13


def test_the_gradient_of_s_in_weights_is_that_of_the_enclosed_divergence() -> None:
    gradient = enclose_unbalanced_divergence_weights_gradient(X, A, Y, B, EPS, RHO)
    for i, step in enumerate(H * np.eye(3)):
        above, below = (enclose_unbalanced_divergence(X, a, Y, B, EPS, RHO)
                        for a in (A + step, A - step))
        assert abs(slope(above, below) - gradient[i]) < 1e-14


def test_gradients_of_s_are_zero_between_equal_measures() -> None:
    in_x = enclose_unbalanced_divergence_gradient(X, A, X, A, EPS, RHO)
    in_a = enclose_unbalanced_divergence_weights_gradient(X, A, X, A, EPS, RHO)
    assert all(x.contains(0) for x in [*leaves(in_x), *in_a])


def test_a_divergence_takes_one_rho() -> None:
    with pytest.raises(InputError, match=r"^rho: "):
        enclose_unbalanced_divergence(X, A, Y, B, EPS, (0.5, 1.0))
