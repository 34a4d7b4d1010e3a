"""Enclosures of functions and of gradients: each against another road to the same number."""

from __future__ import annotations

import numpy as np
import pytest
from flint import arb, ctx

from refot.arrays import InputError
from refot.costs.operands import point_cost
from refot.information import optimal_q
from refot.verification.enclosures.enclose import enclose_divergence, enclose_value
from refot.verification.enclosures.functions import (
    enclose_mutual_information,
    enclose_q_objective,
    enclose_q_optimum,
)
from refot.verification.enclosures.gradients import (
    enclose_divergence_gradient,
    enclose_divergence_weight_gradient,
    enclose_informative_plan,
    enclose_weight_gradient,
)
from refot.verification.enclosures.precision import EnclosureError, certified, leaves

X, Y = np.array([[0.0, 0.5], [1.25, -0.5]]), np.array([[0.25, 1.0], [2.0, 0.0], [-1.0, 0.75]])
A, B, EPS = np.array([0.25, 0.75]), np.array([0.5, 0.25, 0.25]), 0.5
H = 2.0**-20
"""The step of a central difference: of 60-digit values, its error is a third derivative H^2."""


@pytest.mark.parametrize("cost", ["sqeuclidean", "euclidean", "l1"])
def test_the_gradient_of_s_in_points_is_that_of_the_enclosed_divergence(cost: str) -> None:
    gradient = enclose_divergence_gradient(X, A, Y, B, EPS, cost)
    for i, k in np.ndindex(X.shape):
        step = np.zeros_like(X)
        step[i, k] = H
        above, below = (enclose_divergence(moved, A, Y, B, EPS, cost, 40)
                        for moved in (X + step, X - step))
        assert abs(float((above - below) / (2 * H) - gradient[i][k])) < 1e-10


@pytest.mark.parametrize("cost", ["sqeuclidean", "l1"])
def test_gradients_in_weights_are_those_of_the_enclosed_values(cost: str) -> None:
    """Along (1, -1), the only direction that keeps the sum of two weights: S, and F."""
    step = H * np.array([1.0, -1.0])
    C = point_cost(X, Y, cost)
    for gradient, value in (
        (enclose_divergence_weight_gradient(X, A, Y, B, EPS, cost),
         lambda a: enclose_divergence(X, a, Y, B, EPS, cost, 40)),
        (enclose_weight_gradient(C, A, B, EPS), lambda a: enclose_value(C, a, B, EPS, 60)),
    ):
        slope = (value(A + step) - value(A - step)) / (2 * H)
        assert abs(float(slope - gradient[0] + gradient[1])) < 1e-10
        assert sum(gradient, arb(0)).contains(0)
        assert all(x.rad() < 1e-30 for x in gradient)


def test_the_gradient_of_s_in_weights_is_zero_between_equal_measures() -> None:
    assert all(x.contains(0) for x in enclose_divergence_weight_gradient(X, A, X, A, EPS))


def test_the_optimum_of_q() -> None:
    """1 - KL: of a law against its own marginals 1 - MI; below the objective of every Q, and next
    to that of the Q* that float64 finds, whose error counts twice over."""
    P = np.array([[0.25, 0.125, 0.125], [0.125, 0.0, 0.375]])
    a, b = P.sum(axis=1), P.sum(axis=0)
    optimum = enclose_q_optimum(P, a, b)
    assert optimum.rad() < 1e-30
    with ctx.workprec(200):
        assert optimum.overlaps(1 - enclose_mutual_information(P))
    best = optimal_q(P, a, b)
    assert 0 < enclose_q_objective(best, P, a, b) - optimum < 1e-30
    assert enclose_q_objective(best + 0.125, P, a, b) > optimum + 1e-3


def test_without_absolute_continuity_q_has_no_optimum() -> None:
    with pytest.raises(InputError, match=r"^P: mass at \[0, 1\]"):
        enclose_q_optimum([[0.5, 0.5]], [1.0], [1.0, 0.0])


def test_an_informative_cost_that_is_rounded_is_refused() -> None:
    C, a = np.array([[0.1, 1.0]]), np.array([1.0])
    Q, b = np.array([[0.3, 0.0]]), np.array([0.5, 0.5])
    with pytest.raises(InputError, match="is rounded"):
        enclose_informative_plan(C, Q, 0.7, a, b, 0.5)


def test_digits_that_do_not_come_are_refused() -> None:
    with pytest.raises(EnclosureError, match="30 digits do not come"):
        certified(lambda: arb(1, 1e-20), 30)
    assert len(leaves(certified(lambda: [[arb(1) / 3], [arb(2)]], 30))) == 2
