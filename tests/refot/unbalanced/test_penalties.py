"""KL, TV, exact: each equation of a penalty from its definition, and which arguments are taken."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

import refot
from refot.penalties import KL, TV, Exact, as_penalties, kl_terms, log_sum
from refot.unbalanced_problem import unbalanced_problem

PENALTIES = [KL(0.7), KL(1e-3), KL(1e4), TV(0.7), Exact()]


@pytest.mark.parametrize("penalty", PENALTIES)
def test_prox_is_the_best_potential(penalty):
    """The maximum of worth(f) - eps exp((f - h) / eps) over f: U-2 for one row, by its own search.

    A search finds a maximum to the root of the rounding of the value, and 1e-6 allows for that.
    """
    for share in (-1.5, -0.2, 0.0, 0.4, 2.0):
        for eps in (0.05, 1.0):
            h = share * min(penalty.rho + eps, 1.0)
            far = min(penalty.rho if isinstance(penalty, TV) else 9 * penalty.rho, 4.0)
            found = minimize_scalar(
                lambda f, h=h, eps=eps: eps * math.exp((f - h) / eps)
                - float(penalty.worth(np.array([f]))[0]),
                bounds=(-far, far),
                method="bounded", options={"xatol": 1e-10})
            assert float(penalty.prox(np.array([h]), eps)[0]) == pytest.approx(found.x, abs=1e-6)


@pytest.mark.parametrize("penalty", [KL(0.7), KL(20.0), TV(0.7)])
def test_slack_is_what_fenchel_and_young_leave(penalty):
    """D(r | a) + D*(-f) + r.f >= 0, and 0 for the sums that are asked for."""
    rng = np.random.default_rng(0)
    a, r, f = rng.random(50), rng.random(50), rng.uniform(-0.7, 0.7, 50)
    slack = penalty.slack(r, f, a)
    assert (slack >= 0).all()
    assert slack.sum() == pytest.approx(
        penalty.cost(r, a) - penalty.reward(f, a) + r @ f, rel=1e-12)
    np.testing.assert_allclose(penalty.slack(penalty.asked(f, a, r), f, a), 0, atol=1e-15)


@pytest.mark.parametrize("penalty", [KL(0.7), KL(20.0), TV(0.7), Exact()])
def test_rise_is_the_difference_of_two_rewards(penalty):
    """Of no mass nothing is said, however far its potential is."""
    rng = np.random.default_rng(0)
    a, f, x = rng.random(9), rng.uniform(-0.3, 0.6, 9), rng.uniform(-0.2, 0.2, 9)
    a[0], f[0], x[0] = 0, -1e9, 0.1
    expected = penalty.reward(np.append(0, (f + x)[1:]), a) - penalty.reward(np.append(0, f[1:]), a)
    assert penalty.rise(f, x, a) == pytest.approx(expected, rel=1e-12)


def test_a_small_rise_keeps_its_digits():
    """1e-12 of a potential: the difference of two rewards would have four digits."""
    f, a = np.array([0.3, -0.2]), np.array([0.5, 0.25])
    expected = 1e-12 * float(a @ np.exp(-f / 0.7))  # to first order, which is right to 1e-12
    assert KL(0.7).rise(f, np.full(2, 1e-12), a) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("rho", [0.4, (0.4, math.inf), (math.inf, 2.0)])
def test_the_rise_of_the_dual_and_the_lag_of_the_best_potential(rho):
    """Both from what they say: the difference of two duals, and t - prox(h + t) + prox(h)."""
    rng = np.random.default_rng(3)
    C, a, b, eps = rng.random((5, 4)), rng.random(5), rng.random(4), 0.3
    f, g, x = rng.random(5) - 0.5, rng.random(4) - 0.5, rng.random(5) - 0.5
    p = unbalanced_problem(C, a, b, eps, rho)
    before, after = (refot.unbalanced_dual(each, g, C, a, b, eps, rho) for each in (f, f + x))
    assert p.rise(f, x, p.row_sums(f, g)) == pytest.approx(after - before, rel=1e-12)
    for t in (0.7, -2.0):
        lag = t - p.prox(f + t) + p.prox(f)
        np.testing.assert_allclose(p.lag(t), lag, rtol=1e-12, atol=1e-15)
        assert p.T.lag(t) == pytest.approx(t - p.T.prox(g + t)[0] + p.T.prox(g)[0], abs=1e-15)


def test_a_sum_of_exponentials_neither_overflows_nor_vanishes():
    """Only where there is mass does an exponent count."""
    a, exponents = np.array([0.0, 2.0, 3.0]), np.array([1e6, 1.0, 2.0])
    expected = math.log(2 * math.e + 3 * math.e**2)
    assert log_sum(a, exponents) == pytest.approx(expected, rel=1e-15)
    for far in (900.0, -900.0, 650.0, -650.0):
        assert log_sum(a, exponents + far) == pytest.approx(expected + far, rel=1e-15)
    assert log_sum(1e-300 * a, exponents) == pytest.approx(
        expected - 300 * math.log(10), rel=1e-15)


def test_kl_terms_lose_no_digits_near_q_and_far_from_it():
    q = np.array([1.0, 1.0, 1.0, 2.0, 1e-300, 1.0])
    p = np.array([1 + 1e-9, 1e-310, 0.0, 3.0, 1.0, 1.0])
    expected = [0.5e-18, 1.0, 1.0, 3 * math.log(1.5) - 1, 300 * math.log(10) - 1, 0.0]
    # 1 + 1e-9 is a float that misses it by up to 1e-16: 1e-7 of the difference
    np.testing.assert_allclose(kl_terms(p, q), expected, rtol=3e-7)


def test_a_tiny_rho_does_not_overflow():
    """exp(-f / rho) is beyond floats here, its logarithm is not."""
    a, f = np.array([0.5, 1.0]), np.array([-1.0, -2.0])
    assert KL(1e-4).log_mass(f, a) == pytest.approx(2e4, rel=1e-12)
    assert np.isfinite(KL(1e-4).shift(f, a, KL(1e-4), f, a))


def reward_after(t, f, a, g, b, rows, columns):
    """The sum of both rewards at the level t."""
    return rows.reward(f + t, a) + columns.reward(g - t, b)


@pytest.mark.parametrize(("rho", "other"), [(0.7, TV(0.4)), (3.0, TV(3.0)), (0.9, Exact())])
def test_the_best_level_of_tv_is_the_middle_of_the_best_ones(rho, other):
    """On a grid: no level has a larger reward, and the best ones lie alike on both sides."""
    rng = np.random.default_rng(1)
    for mass in (0.3, 1.0, 4.0):
        f, g = rng.uniform(-0.3, 0.3, 4), rng.uniform(-0.3, 0.3, 3)
        a, b = np.array([0.25, 0.5, 0.0, 0.25]), mass * np.array([0.5, 0.25, 0.25])
        t = TV(rho).shift(f, a, other, g, b)
        grid = np.linspace(-8, 8, 1601)
        rewards = np.array([reward_after(s, f, a, g, b, TV(rho), other) for s in grid])
        best = reward_after(t, f, a, g, b, TV(rho), other)
        assert best >= rewards.max() - 1e-12
        top = grid[rewards >= best - 1e-9]
        if len(top) > 1:  # an interval: 1e-2 is the step of the grid
            assert t == pytest.approx((top[0] + top[-1]) / 2, abs=1e-2)


def test_a_light_side_keeps_its_level_beside_a_heavy_one():
    """Of two rows of 1e-9 and 3e-9 and columns of 1e9 one kink is best: not lost to rounding."""
    a, b = np.array([1e-9, 3e-9]), np.array([1e9])
    assert TV(1.0).shift(np.array([0.2, 0.1]), a, TV(1.0), np.zeros(1), b) == -1.0
    assert TV(1.0).shift(np.zeros(1), b, TV(1.0), np.array([0.2, 0.1]), a) == 1.0


def test_equal_masses_at_a_huge_rho_have_no_level_to_lose():
    """f and g are those of the balanced problem, in the middle: no larger than its costs."""
    rng = np.random.default_rng(2)
    c, a, b = rng.random((5, 4)), np.full(5, 0.2), np.full(4, 0.25)
    found = refot.solve(c, a, b, 0.1, rho=1e9, penalty="tv", tol=1e-12)
    assert found.converged
    assert abs(found.f).max() < 1 > abs(found.g).max()


def test_rho_is_a_number_or_a_pair():
    assert as_penalties(2) == (KL(2.0), KL(2.0))
    assert as_penalties([2, math.inf]) == (KL(2.0), Exact())
    assert as_penalties(np.array([math.inf, 3.0]), "tv") == (Exact(), TV(3.0))
    assert as_penalties((np.float32(math.inf), np.array(3))) == (Exact(), KL(3.0))


C, A, B = np.ones((2, 3)), np.array([0.5, 1.0]), np.array([1.0, 0.25, 0.25])


@pytest.mark.parametrize(("rho", "penalty", "message"), [
    (0, "kl", "rho: 0"), (-1.0, "kl", "rho: -1"), (math.nan, "kl", "rho: nan"),
    ((1, 2, 3), "kl", "rho: 3 numbers"), ([], "kl", "rho: 0 numbers"),
    ("1", "kl", "rho: '1'"), ((1, None), "tv", "rho: None"),
    (1.0, "hinge", "penalty: 'hinge'"), (1e-300, "kl", "rho: 1e-300"),
    (-math.inf, "kl", "rho: -inf"),
])
def test_bad_rho_is_refused_before_work(rho, penalty, message):
    with pytest.raises(refot.InputError, match=message.replace("(", r"\(")):
        refot.solve(C, A, B, 0.1, rho=rho, penalty=penalty)


@pytest.mark.parametrize("rho", [1e200, 1e-200, (1.0, 1e30)])
def test_rho_has_the_range_of_the_floats(rho):
    """In float32 exp(-f / rho) and eps / rho would be beyond them."""
    single = [each.astype(np.float32) for each in (C, A, B)]
    with pytest.raises(refot.InputError, match=r"rho: 1e.*allowed: 1e-29 to 8e\+28"):
        refot.solve(*single, 0.1, rho=rho)


def test_a_penalty_without_rho_is_refused():
    with pytest.raises(refot.InputError, match="penalty: 'tv' without rho"):
        refot.solve(C, A / A.sum(), B / B.sum(), 0.1, penalty="tv")


def test_bad_masses_are_refused_before_work():
    for a, b, rho in ((-A, B, 1.0), (0 * A, B, 1.0), (A * math.nan, B, 1.0), (A, 2 * B, math.inf),
                      (A[:1], B, 1.0)):
        with pytest.raises(refot.InputError):
            refot.solve(C, a, b, 0.1, rho=rho)
    lonely = np.array([[1.0, np.inf, 1.0], [np.inf, np.inf, np.inf]])
    with pytest.raises(refot.InputError, match="row 1 has no allowed pair"):
        refot.solve(lonely, A, B, 0.1, rho=1.0)
