"""U-1, U-2, U-4, U-5, U-6: values, bounds, shift and multiple against 50 digits and each other."""

from __future__ import annotations

import numpy as np
import pytest
from cases.unbalanced_cases import INF, Unbalanced, drawn, exact_dual, exact_primal, solved

import refot
from refot.unbalanced_problem import unbalanced_problem

UNIT = 2.0**-53
RHOS = [0.05, 3.0, (1.0, 2.0), (1.0, INF), (INF, 0.5)]
SIDES = [(rho, penalty) for rho in RHOS for penalty in ("kl", "tv")]


def case(rho, penalty="kl", seed=1) -> Unbalanced:
    """Masses near 1, so that a plan has entries of its own size."""
    rng = np.random.default_rng(seed)
    return Unbalanced(rng.random((4, 3)) * 2, rng.random(4), rng.random(3) * 2, 0.3, rho, penalty)


def plan(c: Unbalanced, seed=0):
    """Any plan; with the marginal a or b where that is exact."""
    P = np.random.default_rng(seed).random(c.C.shape)
    if c.rhos[0] == INF:
        P *= (c.a / P.sum(axis=1))[:, None]
    if c.rhos[1] == INF:
        P *= c.b / P.sum(axis=0)
    return P


def potentials(c: Unbalanced, seed=0):
    """Any potentials within +-0.04: TV with rho = .05 allows them."""
    rng = np.random.default_rng(seed)
    return (rng.uniform(-0.04, 0.04, n) for n in c.C.shape)


@pytest.mark.parametrize(("rho", "penalty"), SIDES)
def test_primal_and_dual_are_their_formulas_to_50_digits(rho, penalty):
    """100 roundings of the sum of the terms: each is a few operations, of a size below 20 here."""
    c = case(rho, penalty)
    P, (f, g) = plan(c), potentials(c)
    assert refot.unbalanced_primal(P, *c) == pytest.approx(exact_primal(P, c), abs=2000 * UNIT)
    assert refot.unbalanced_dual(f, g, *c) == pytest.approx(exact_dual(f, g, c), abs=2000 * UNIT)


@pytest.mark.parametrize(("rho", "penalty"), SIDES)
def test_any_potentials_and_any_plan_bound_the_value(rho, penalty):
    c = case(rho, penalty)
    U = refot.unbalanced_value(*c, tol=1e-11)
    for seed in range(20):
        f, g = potentials(c, seed)
        assert refot.unbalanced_dual(f, g, *c) <= U <= refot.unbalanced_primal(plan(c, seed), *c)


@pytest.mark.parametrize(("rho", "penalty"), SIDES)
def test_at_the_optimum_primal_and_dual_meet(rho, penalty):
    """Within what the residual of 1e-11 leaves of the largest term, below 20 here."""
    c = case(rho, penalty)
    s = solved(c, tol=1e-11)
    P = refot.unbalanced_plan(s.f, s.g, *c[:4])
    assert refot.unbalanced_primal(P, *c) - refot.unbalanced_dual(s.f, s.g, *c) == pytest.approx(
        0, abs=20 * 1e-11)


@pytest.mark.parametrize("rho", [0.05, 3.0, (1.0, 2.0), (7.0, 0.1)])
def test_u4_marginals_and_value_at_the_optimum(rho):
    c = case(rho)
    s = solved(c, tol=1e-12)
    P = refot.unbalanced_plan(s.f, s.g, *c[:4])
    rho1, rho2 = c.rhos
    asked = refot.unbalanced_marginals(s.f, s.g, *c)
    np.testing.assert_allclose(asked[0], c.a * np.exp(-s.f / rho1), rtol=1e-14)
    for sums, wanted in zip((P.sum(axis=1), P.sum(axis=0)), asked, strict=True):
        np.testing.assert_allclose(sums, wanted, rtol=0, atol=2e-12 * s.mass)
    m_a, m_b = c.a.sum(), c.b.sum()
    value = rho1 * m_a + rho2 * m_b + c.eps * m_a * m_b - (rho1 + rho2 + c.eps) * P.sum()
    assert refot.unbalanced_value(*c, tol=1e-12) == pytest.approx(value, abs=40 * 1e-12)


@pytest.mark.parametrize(("rho", "penalty"), SIDES)
def test_u5_no_other_shift_has_a_larger_dual(rho, penalty):
    c = case(rho, penalty)
    f, g = potentials(c)
    t = refot.unbalanced_shift(f, g, *c)
    best = exact_dual(f + t, g - t, c)
    room = 1e-12 * (1 + abs(best))
    for other in np.linspace(-0.01, 0.01, 21):
        shifted = f + t + other, g - t - other
        if penalty == "tv" and any((h < -r).any() for h, r in zip(shifted, c.rhos, strict=True)):
            continue
        assert exact_dual(*shifted, c) <= best + room


def test_u5_is_its_formula():
    c = case((1.0, 2.0))
    f, g = potentials(c)
    masses = c.a @ np.exp(-f / 1.0), c.b @ np.exp(-g / 2.0)
    assert refot.unbalanced_shift(f, g, *c) == pytest.approx(
        1.0 * 2.0 / (1.0 + 2.0) * np.log(masses[0] / masses[1]), rel=1e-13)


@pytest.mark.parametrize("rho", [0.05, 3.0, (1.0, 2.0)])
def test_u6_no_other_multiple_has_a_smaller_primal(rho):
    c = case(rho)
    P, (rho1, rho2), (m_a, m_b) = plan(c), c.rhos, (c.a.sum(), c.b.sum())
    s = refot.unbalanced_multiple(P, *c[:5])
    best = exact_primal(s * P, c)
    assert best == pytest.approx(rho1 * m_a + rho2 * m_b + c.eps * m_a * m_b
                                 - (rho1 + rho2 + c.eps) * s * P.sum(), rel=1e-12)
    for factor in (0.9, 0.999, 1.001, 1.1):
        assert exact_primal(factor * s * P, c) > best


@pytest.mark.parametrize("penalty", ["kl", "tv"])
def test_a_thousand_problems_are_between_their_bounds(penalty):
    """dual <= U <= primal of any potentials and of their plan, and U in the certified interval.

    The duals and primals are those of the floats, to 50 digits: bounds without any tolerance.
    """
    for seed in range(500):
        c = drawn(seed, penalty=penalty)
        rng = np.random.default_rng(seed)
        f, g = (rng.normal(size=k) * c.eps for k in c.C.shape)
        if penalty == "tv":
            f, g = (np.clip(h, -r, r) for h, r in zip((f, g), c.rhos, strict=True))
        dual, P = exact_dual(f, g, c), refot.unbalanced_plan(f, g, *c[:4])
        found = refot.unbalanced_certified_gap(f, g, *c)
        assert found.lower <= found.upper, seed
        assert found.upper >= dual, seed
        assert found.lower <= exact_primal(P, c), seed
        best = solved(c, tol=1e-9, certified=True)
        assert best.converged, seed
        assert found.lower <= best.gap.upper, seed
        assert best.gap.lower <= found.upper, seed
        assert best.gap.lower <= exact_primal(
            refot.unbalanced_plan(best.f, best.g, *c[:4]), c), seed
        if penalty == "kl":  # the TV potentials of a solve may be a rounding beyond rho
            assert exact_dual(best.f, best.g, c) <= best.gap.upper, seed


@pytest.mark.parametrize("penalty", ["kl", "tv"])
@pytest.mark.parametrize("exact", [0, 1])
def test_the_certificate_holds_where_a_marginal_is_exact(penalty, exact):
    """The dual of the solved potentials, to 50 digits, is below the upper end without tolerance.
    With masses that differ by 1e8 and rho = 1e6 eps potentials are 1e7 eps, so that rounding leaves
    3e-9 of a sum: the residual asked for is 1e-8, and it is of first order in the dual."""
    for seed in range(25):
        c = drawn(seed, penalty=penalty)
        c = c._replace(rho=tuple(INF if side == exact else r for side, r in enumerate(c.rhos)))
        s = solved(c, certified=True, tol=1e-8)
        assert s.converged
        sums = refot.unbalanced_marginals(s.f, s.g, *c)[exact]
        np.testing.assert_array_equal(sums, (c.a, c.b)[exact])
        if penalty == "kl":
            dual = exact_dual(s.f, s.g, c)
            assert s.gap.lower - 1e-7 * abs(dual) <= dual <= s.gap.upper


def test_the_size_of_a_value_is_that_of_its_terms():
    """Rounding is relative to the terms of a dual, which may cancel: of potentials 0 those are
    eps times the mass of the plan and of ab'."""
    p = unbalanced_problem(np.ones((2, 3)), [1.0, 2.0], [0.5, 0.5, 1.0], 0.25, 0.7)
    assert p.value_size(np.zeros(2), np.zeros(3)) == pytest.approx(0.25 * (3 + 3 * 2))
    f, g = np.array([0.3, -0.2]), np.array([0.1, 0.4, -0.5])
    assert p.value_size(f, g) > abs(p.rows.reward(f, p.a)) + abs(p.columns.reward(g, p.b))
