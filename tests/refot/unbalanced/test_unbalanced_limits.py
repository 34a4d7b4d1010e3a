"""U-9 and invariants that need no answer: limits, split atoms, scaling, order in eps and rho."""

from __future__ import annotations

import numpy as np
import pytest
from cases.unbalanced_cases import INF, drawn

import refot
from refot.unbalanced.limits import balanced_distance, untouched_value

TIGHT = {"tol": 1e-11}


@pytest.fixture
def clouds():
    rng = np.random.default_rng(5)
    a, b = rng.random(6) + 0.1, rng.random(5) + 0.1
    C = refot.point_cost(rng.normal(size=(6, 2)), rng.normal(size=(5, 2)))
    return C, a / a.sum(), b / b.sum()


def test_huge_rho_gives_the_balanced_value_within_its_bound(clouds):
    """F - U falls as 1 / rho, below its bound, and is a quarter of it or more."""
    C, a, b = clouds
    F = refot.entropic_value(C, a, b, 0.3, **TIGHT)
    s = refot.solve(C, a, b, 0.3, tol=1e-11)
    for rho in (1e2, 1e3, 1e4):
        U = refot.unbalanced_value(C, a, b, 0.3, rho, **TIGHT)
        bound = balanced_distance(s.f, s.g, C, a, b, 0.3, rho)
        assert 0.25 * bound <= F - U <= bound + 1e-10
        assert bound <= 1e3 / rho


def test_both_marginals_exact_is_the_balanced_value(clouds):
    C, a, b = clouds
    F = refot.entropic_value(C, a, b, 0.3, **TIGHT)
    assert refot.unbalanced_value(C, a, b, 0.3, INF, **TIGHT) == pytest.approx(F, abs=1e-10)
    m = 3.0  # U = m F + eps m (m - 1 - log m), the plan being m times the balanced one
    assert refot.unbalanced_value(C, m * a, m * b, 0.3, INF, **TIGHT) == pytest.approx(
        m * F + 0.3 * m * (m - 1 - np.log(m)), abs=1e-9)
    s = refot.solve(C, m * a, m * b, 0.3, rho=INF, certified=True, gap=1e-9)
    assert s.converged
    assert s.gap.lower <= m * F + 0.3 * m * (m - 1 - np.log(m)) <= s.gap.upper


def test_tiny_rho_leaves_the_mass_untouched(clouds):
    C, a, b = clouds
    limit = untouched_value(C, 2 * a, b, 0.3)
    assert limit == pytest.approx(0.3 * (2 * a @ (1 - np.exp(-C.dense() / 0.3)) @ b), rel=1e-14)
    gaps = [refot.unbalanced_value(C, 2 * a, b, 0.3, rho, **TIGHT) - limit
            for rho in (1e-3, 1e-4, 1e-5)]
    assert 0 < gaps[2] < gaps[1] < gaps[0] < 0.05
    assert gaps[1] / gaps[2] == pytest.approx(10, rel=0.02)


def test_huge_eps_gives_the_product(clouds):
    C, a, b = clouds
    limits = refot.unbalanced_limits(C, 2 * a, b, 1.0, (0.7, 0.4))
    gaps = [limits.product - refot.unbalanced_value(C, 2 * a, b, eps, (0.7, 0.4), **TIGHT)
            for eps in (1e2, 1e3, 1e4)]
    assert 0 < gaps[2] < gaps[1] < gaps[0]
    assert gaps[1] / gaps[2] == pytest.approx(10, rel=0.02)


@pytest.mark.parametrize("penalty", ["kl", "tv"])
def test_value_lies_between_its_limits(penalty):
    for seed in range(20):
        c = drawn(seed, penalty=penalty)
        low, high = refot.unbalanced_limits(*c).bounds
        U = refot.unbalanced_value(*c)
        room = 1e-9 * (abs(high) + c.eps * c.a.sum() * c.b.sum())
        assert low - room <= U <= high + room


@pytest.mark.parametrize("penalty", ["kl", "tv"])
def test_value_rises_in_eps_and_in_rho_and_is_concave(clouds, penalty):
    """A minimum over plans of functions that are linear in eps and in rho."""
    C, a, b = clouds
    for values in ([refot.unbalanced_value(C, a, 2 * b, t, 0.8, penalty) for t in (0.1, 0.3, 0.5)],
                   [refot.unbalanced_value(C, a, 2 * b, 0.2, t, penalty) for t in (0.1, 0.3, 0.5)]):
        assert values[0] < values[1] < values[2]
        assert values[1] - values[0] > values[2] - values[1]


@pytest.mark.parametrize("penalty", ["kl", "tv"])
def test_scaling_and_splitting(clouds, penalty):
    """U(s C, s eps, s rho) = s U, and atoms that are split change nothing."""
    C, a, b = clouds
    C = C.dense()
    U = refot.unbalanced_value(C, a, 2 * b, 0.3, (0.8, 1.5), penalty, **TIGHT)
    assert refot.unbalanced_value(7 * C, a, 2 * b, 2.1, (5.6, 10.5), penalty, **TIGHT) == (
        pytest.approx(7 * U, rel=1e-9))
    split = np.concatenate([C, C[:2]]), np.concatenate([a, a[:2] / 4])
    split[1][:2] *= 0.75
    assert refot.unbalanced_value(*split, 2 * b, 0.3, (0.8, 1.5), penalty, **TIGHT) == (
        pytest.approx(U, rel=1e-9))
