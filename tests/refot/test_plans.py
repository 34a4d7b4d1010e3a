"""Plans from potentials (B-15, B-17, B-29, B-30), their marginals, and rounding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    TOL,
    UNIT,
    cases,
    clouds,
    exact_marginal_error,
    exact_plan,
    multiples,
    sizes,
    solved,
    weights,
    with_potentials,
)

import refot
from refot.arrays import weight_tolerance


def relative_rounding(case, *potentials):
    """An entry exp(t / eps) carries the rounding of its exponent: that of t, over eps."""
    return 8 * UNIT + case.rounding(*potentials) / case.eps


# ------------------------------------------------------------------ plans from any potentials
@given(with_potentials())
def test_plan_is_its_formula_to_50_digits(backend, drawn):
    """B-15, B-17: a_i b_j exp((f_i + g_j - C_ij) / eps)."""
    case, f, g = drawn
    expected = np.array(exact_plan(f, g, *case.dense), dtype=float)
    P = refot.plan(f, g, *case, backend=backend)
    tiny = np.finfo(float).tiny  # below it an entry may be subnormal, or 0
    np.testing.assert_allclose(P, expected, rtol=relative_rounding(case, f, g), atol=tiny)
    assert not P[case.a == 0].any()
    assert not P[:, case.b == 0].any()


@given(with_potentials(), st.integers(-64, 64).map(lambda k: k / 8))
def test_plan_does_not_see_the_gauge(backend, drawn, t):
    """B-14: (f + t, g - t) is the same plan."""
    case, f, g = drawn
    P = refot.plan(f, g, *case, backend=backend)
    gauged = refot.plan(f + t, g - t, *case, backend=backend)
    rtol = 2 * relative_rounding(case, f + t, g - t)
    np.testing.assert_allclose(gauged, P, rtol=rtol, atol=np.finfo(float).tiny)


@given(with_potentials())
def test_marginals_are_those_of_the_plan_that_is_not_formed(backend, drawn):
    """B-14, and their L1 error against 50 digits."""
    case, f, g = drawn
    P = refot.plan(f, g, *case, backend=backend)
    rows, columns = refot.marginals(f, g, *case, backend=backend)
    rtol = 2 * relative_rounding(case, f, g)
    np.testing.assert_allclose(rows, P.sum(axis=1), rtol=rtol, atol=np.finfo(float).tiny)
    np.testing.assert_allclose(columns, P.sum(axis=0), rtol=rtol, atol=np.finfo(float).tiny)
    error = refot.marginal_error(f, g, *case, backend=backend)
    exact = exact_marginal_error(f, g, *case.dense)
    assert abs(error - exact) <= rtol * (2 + 2 * P.sum())


@given(with_potentials())
def test_semi_dual_plan_has_exact_rows_for_any_potential(backend, drawn):
    """B-29, B-30: the transform on one side makes that side's marginal hold, and only that one."""
    case, _, g = drawn
    P = refot.semi_dual_plan(g, *case, backend=backend)
    np.testing.assert_allclose(P.sum(axis=1), case.a, rtol=2 * relative_rounding(case, g))
    chi = refot.conditional(g, case.C, case.b, case.eps, backend=backend)
    rtol = 4 * relative_rounding(case, g)
    np.testing.assert_allclose(P, case.a[:, None] * chi, rtol=rtol, atol=np.finfo(float).tiny)


# ------------------------------------------------------------------ plans at the optimum
@given(cases())
def test_both_marginals_hold_at_the_optimum(backend, case):
    """B-14, B-15: a plan of a solve has the marginals a and b, in that order."""
    found = solved(case, backend)
    error = (abs(found.plan.sum(axis=1) - case.a).sum()
             + abs(found.plan.sum(axis=0) - case.b).sum())
    assert error <= TOL + relative_rounding(case, found.f, found.g)


@given(cases())
def test_semi_dual_plan_is_the_plan_at_the_optimum(backend, case):
    found = solved(case, backend)
    P = refot.semi_dual_plan(found.g, *case, backend=backend)
    # its rows are rescaled to a, by what they missed
    assert abs(P - found.plan).sum() <= 2 * TOL + relative_rounding(case, found.f, found.g)


@given(clouds())
def test_plan_of_a_measure_with_itself_is_symmetric(backend, pair):
    case = pair.self_cases()[0]
    f = refot.sinkhorn_symmetric(case.C, case.a, case.eps, tol=TOL, backend=backend).f
    P = refot.plan(f, f, *case, backend=backend)
    assert abs(P - P.T).max() <= relative_rounding(case, f)


# ------------------------------------------------------------------ rounding to the polytope
@st.composite
def matrices_with_marginals(draw):
    n, m = draw(sizes), draw(sizes)
    P = draw(multiples((n, m), 0, 16, 1 / 64))  # any mass, from 0 on
    return P, draw(weights(n)), draw(weights(m))


@given(matrices_with_marginals())
def test_rounding_gives_a_feasible_plan(drawn):
    P, a, b = drawn
    rounded = refot.round_to_marginals(P, a, b)
    assert (rounded >= 0).all()
    np.testing.assert_allclose(rounded.sum(axis=1), a, atol=16 * UNIT)
    np.testing.assert_allclose(rounded.sum(axis=0), b, atol=16 * UNIT)


@given(matrices_with_marginals())
def test_rounding_moves_by_at_most_twice_the_marginal_error(drawn):
    """Altschuler, Weed, Rigollet 2017, Lemma 7."""
    P, a, b = drawn
    error = abs(P.sum(axis=1) - a).sum() + abs(P.sum(axis=0) - b).sum()
    moved = abs(refot.round_to_marginals(P, a, b) - P).sum()
    assert moved <= 2 * error + 64 * UNIT


@given(matrices_with_marginals())
def test_rounding_keeps_a_feasible_plan(drawn):
    P, a, b = drawn
    feasible = refot.round_to_marginals(P, a, b)
    again = refot.round_to_marginals(feasible, a, b)
    np.testing.assert_allclose(again, feasible, atol=64 * UNIT)


@given(matrices_with_marginals())
def test_rounding_nothing_gives_the_independent_plan(drawn):
    P, a, b = drawn
    rounded = refot.round_to_marginals(np.zeros_like(P), a, b)
    np.testing.assert_allclose(rounded, np.outer(a, b), atol=4 * UNIT)


def test_rounding_survives_a_missing_mass_near_underflow():
    """What is missing from the rows is 1e-320, from the columns (whose weights sum to 1 within the
    tolerance) 5e-11: the quotient of the two is no number."""
    a, b = np.array([1.0, 1e-320]), np.array([0.6, 0.4 + 5e-11])
    rounded = refot.round_to_marginals(np.array([[0.6, 0.4], [0.0, 0.0]]), a, b)
    assert np.isfinite(rounded).all()
    np.testing.assert_allclose(rounded.sum(axis=1), a, atol=weight_tolerance(np.float64))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_plans_keep_their_dtype(backend, dtype):
    x = np.linspace(0, 1, 4, dtype=dtype)[:, None]
    C, a = refot.point_cost(x, x), np.full(4, 0.25, dtype)
    f = np.zeros(4)
    assert refot.plan(f, f, C, a, a, 0.5, backend=backend).dtype == dtype
    assert refot.semi_dual_plan(f, C, a, a, 0.5, backend=backend).dtype == dtype
    assert refot.round_to_marginals(np.zeros((4, 4), dtype), a, a).dtype == dtype
