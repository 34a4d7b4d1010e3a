"""The counter-example of H (one atom against two, lam = 0), and where it fails: erratum H2."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refot import kantorovich, point_cost
from refot.semidiscrete import (
    counter_example_f,
    counter_example_f_slopes,
    counter_example_h,
    counter_example_h_slope,
    counter_example_psi,
    semi_discrete_objective,
)

# ------------------------------------------------------------------ the counter-example, H2
TWO = st.integers(0, 2**32 - 1).map(np.random.default_rng)


@given(TWO, st.integers(1, 3), st.sampled_from([1.0, 1.5, 2.0, 3.0]))
def test_counter_example_values(rng, d, p):
    """h is the transport cost; psi_* is a maximiser: H(psi_*, theta) = h(theta), an upper bound."""
    theta, y = rng.normal(size=d), rng.normal(size=(2, d))
    h = counter_example_h(theta, y, p)
    cost = np.linalg.norm(theta - y, axis=1) ** p
    assert h == pytest.approx(kantorovich(cost[None], [1.0], [0.5, 0.5])[0], rel=1e-12)

    def H(psi):
        return counter_example_f(psi, theta, y, p) + psi.mean()

    psi = counter_example_psi(theta, y, p)
    assert H(psi) == pytest.approx(h, rel=1e-13)
    assert H(psi + rng.normal()) == pytest.approx(h, rel=1e-12, abs=1e-12)
    moved = psi + np.array([rng.normal(), 0])
    assert H(moved) < h
    if p == 2:
        value = semi_discrete_objective(moved, point_cost(theta[None], y), [0.5, 0.5], 0.0)
        assert H(moved) == pytest.approx(value, rel=1e-12, abs=1e-12)


@given(TWO, st.integers(1, 3), st.sampled_from([1.0, 1.5, 2.0, 3.0]))
def test_one_sided_slopes_are_those_of_difference_quotients(rng, d, p):
    theta, y, e = rng.normal(size=d), rng.normal(size=(2, d)), rng.normal(size=d)
    psi = counter_example_psi(theta, y, p)

    def quotient(function, t):
        return (function(theta + t * e) - function(theta)) / t

    left, right = counter_example_f_slopes(theta, e, y, p)
    t = 1e-7 * np.linalg.norm(theta - y, axis=1).min()
    for slope, step in ((left, -t), (right, t)):
        found = quotient(lambda theta: counter_example_f(psi, theta, y, p), step)
        assert found == pytest.approx(slope, rel=1e-4, abs=1e-4)
    h_slope = counter_example_h_slope(theta, e, y, p)
    found = quotient(lambda theta: counter_example_h(theta, y, p), t)
    assert found == pytest.approx(h_slope, rel=1e-4, abs=1e-4)
    assert h_slope == pytest.approx((left + right) / 2, rel=1e-12, abs=1e-12)


@given(TWO, st.integers(1, 3), st.floats(0.1, 5.0), st.booleans())
def test_H_is_wrong_on_the_line_outside_the_segment_for_p_1(rng, d, beyond, at_y2):
    """Erratum H2: both gradients of |theta - y_j| are one unit vector there: H-24 holds."""
    y, e = rng.normal(size=(2, d)), rng.normal(size=d)
    end, other = (y[1], y[0]) if at_y2 else (y[0], y[1])
    theta = end + beyond * (end - other)
    left, right = counter_example_f_slopes(theta, e, y, 1)
    h_slope = counter_example_h_slope(theta, e, y, 1)
    assert left == pytest.approx(right, rel=1e-12, abs=1e-12)
    assert h_slope == pytest.approx(right, rel=1e-12, abs=1e-12)


@given(TWO, st.integers(1, 3), st.floats(0.05, 0.95))
def test_H_is_right_inside_the_segment_for_p_1(rng, d, t):
    """Along the segment the slopes are +|e| and -|e|, and h' = 0."""
    y = rng.normal(size=(2, d))
    theta, e = (1 - t) * y[0] + t * y[1], y[1] - y[0]
    length = np.linalg.norm(e)
    left, right = counter_example_f_slopes(theta, e, y, 1)
    assert left == pytest.approx(length, rel=1e-12)
    assert right == pytest.approx(-length, rel=1e-12)
    assert abs(counter_example_h_slope(theta, e, y, 1)) <= 1e-13 * length


@given(TWO, st.integers(2, 3), st.floats(0.1, 3.0))
def test_H_is_right_off_the_line_for_p_1(rng, d, away):
    y = rng.normal(size=(2, d))
    e = y[1] - y[0]
    normal = rng.normal(size=d)
    normal -= (normal @ e) / (e @ e) * e
    theta = y[0] + rng.normal() * e + away * normal
    left, right = counter_example_f_slopes(theta, e, y, 1)
    assert left > right
    assert right < counter_example_h_slope(theta, e, y, 1) < left


@given(TWO, st.integers(1, 3), st.sampled_from([1.5, 2.0, 3.0]), st.floats(-4, 4))
def test_H_is_right_everywhere_for_p_above_1(rng, d, p, t):
    """On the line through y1 and y2 too, at y1 and y2 too: v -> p |v|^(p-2) v is injective."""
    y = rng.normal(size=(2, d))
    e = y[1] - y[0]
    left, right = counter_example_f_slopes(y[0] + t * e, e, y, p)
    assert left > right
    for j in (0, 1):
        left, right = counter_example_f_slopes(y[j], e, y, p)
        assert left > right


@given(TWO, st.integers(1, 3), st.booleans())
def test_at_an_end_point_F_has_a_gradient_and_h_a_kink_for_p_1(rng, d, at_y2):
    """theta = y_1: the cone |theta - y_1| lies above |theta - y_2|, whose gradient, a unit vector
    u, is that of F(psi_*, .) in every direction; h has the slopes (e.u + |e|) / 2 and
    (e.u - |e|) / 2, so that H-24 has no left side. Erratum H2."""
    y, e = rng.normal(size=(2, d)), rng.normal(size=d)
    theta, other = (y[1], y[0]) if at_y2 else (y[0], y[1])
    along, length = e @ (theta - other) / np.linalg.norm(theta - other), np.linalg.norm(e)
    assert counter_example_f_slopes(theta, e, y, 1) == pytest.approx((along, along), abs=1e-13)
    right = counter_example_h_slope(theta, e, y, 1)
    left = -counter_example_h_slope(theta, -e, y, 1)
    assert (left, right) == pytest.approx(((along - length) / 2, (along + length) / 2), abs=1e-13)
    psi, t = counter_example_psi(theta, y, 1), 1e-7
    quotients = [(counter_example_f(psi, theta + s * e, y, 1)
                  - counter_example_f(psi, theta, y, 1)) / s for s in (-t, t)]
    assert quotients == pytest.approx([along, along], abs=1e-4)


def test_the_numbers_of_erratum_H2():
    """y = -1, 1 in one dimension, theta = 2 and 0; (0, 3) against (-1, 0), (1, 0) in two."""
    y = np.array([[-1.0], [1.0]])
    assert counter_example_f_slopes([2.0], [1.0], y, 1) == (1.0, 1.0)
    assert counter_example_h_slope([2.0], [1.0], y, 1) == 1.0
    assert counter_example_f_slopes([0.0], [1.0], y, 1) == (1.0, -1.0)
    plane = np.array([[-1.0, 0.0], [1.0, 0.0]])
    slopes = counter_example_f_slopes([0.0, 3.0], [1.0, 0.0], plane, 1)
    assert slopes == pytest.approx((0.1**0.5, -(0.1**0.5)), rel=1e-14)  # .316
    assert counter_example_f_slopes([2.0], [1.0], y, 2) == (6.0, 2.0)


def test_h_has_a_kink_at_the_two_points_for_p_1_alone():
    """H's first claim: h is differentiable elsewhere for p = 1, everywhere for p > 1."""
    y = np.array([[-1.0, 0.0], [1.0, 0.0]])
    e = np.array([0.0, 1.0])
    for p, kink in ((1, 1.0), (1.5, 0.0), (2, 0.0)):
        right = counter_example_h_slope(y[0], e, y, p)
        left = -counter_example_h_slope(y[0], -e, y, p)
        assert right - left == pytest.approx(kink, abs=1e-15)
