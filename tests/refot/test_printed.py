"""The equations as printed against the corrected ones, with the exact size of each error."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    TOL,
    UNIT,
    cases,
    clouds,
    mild_cases,
    multiples,
    potentials,
    solved,
    with_potentials,
)

import refot
from refot import printed

lams = st.sampled_from([0.0, 0.125, 0.5, 1.0])


@st.composite
def informative_cases(draw):
    """A problem, a potential g, a table Q and lam, so that exp(lam Q / eps) stays moderate."""
    case = draw(mild_cases)
    n, m = case.C.shape
    return case, draw(potentials(m)), draw(multiples((n, m), -8, 8, 0.125)), draw(lams) * case.eps


# ------------------------------------------------------------------ E1: B-13 lacks +eps
@given(with_potentials())
def test_e1_the_printed_dual_is_too_low_by_eps(backend, drawn):
    case, f, g = drawn
    corrected = refot.dual(f, g, *case, backend=backend)
    assert printed.dual_printed(f, g, *case, backend=backend) == corrected - case.eps


@given(cases())
def test_e1_at_the_optimum_the_printed_dual_misses_the_primal_by_eps(backend, case):
    found = solved(case, backend)
    value = printed.dual_printed(found.f, found.g, *case, backend=backend)
    assert abs(found.upper - value - case.eps) <= case.slack
    # it is a.f + b.g - eps: the constant left out
    assert abs(value - (case.a @ found.f + case.b @ found.g - case.eps)) <= case.slack


# ------------------------------------------------------------------ E2: B-24 and B-27 have +eps
@given(with_potentials())
def test_e2_the_printed_semi_dual_is_too_high_by_eps(backend, drawn):
    case, _, g = drawn
    corrected = refot.semi_dual(g, *case, backend=backend)
    assert printed.semi_dual_printed(g, *case, backend=backend) == corrected + case.eps


@given(cases())
def test_e2_at_the_optimum_the_printed_semi_dual_is_above_every_primal(backend, case):
    """It is no lower bound: it exceeds the optimal value by eps."""
    found = solved(case, backend)
    value = printed.semi_dual_printed(found.g, *case, backend=backend)
    assert abs(value - found.upper - case.eps) <= case.slack


@given(clouds())
def test_e2_the_printed_terms_leave_half_an_eps_in_the_divergence(backend, pair):
    """F_xy + eps - (F_xx + eps) / 2: off by eps / 2 if both stay (B-11 drops F_yy)."""
    xy, (xx, _) = pair.case(), pair.self_cases()
    terms = []
    for value in (printed.semi_dual_printed, refot.semi_dual):
        g_xy, g_xx = solved(xy, backend).g, solved(xx, backend).g
        terms.append(value(g_xy, *xy, backend=backend) - value(g_xx, *xx, backend=backend) / 2)
    assert abs(terms[0] - terms[1] - pair.eps / 2) <= xy.rounding() + xx.rounding()


# ------------------------------------------------------------------ E3: Q inside the transform
@given(informative_cases())
def test_e3_rows_of_the_printed_plan_carry_the_mean_of_exp_q(backend, drawn):
    """row_i / a_i = E_chi0 exp(lam Q / eps), chi0 the Q-free softmax: an identity."""
    case, g, Q, lam = drawn
    P = printed.informative_plan_printed(g, case.C, Q, lam, *tuple(case)[1:], backend=backend)
    chi0 = refot.conditional(g, case.C, case.b, case.eps, backend=backend)
    expected = case.a * (chi0 * np.exp(lam * Q / case.eps)).sum(axis=1)
    rtol = 16 * UNIT + 2 * case.rounding(g, Q) / case.eps
    np.testing.assert_allclose(P.sum(axis=1), expected, rtol=rtol)


@given(informative_cases())
def test_e3_the_consistent_form_has_exact_rows_for_every_q(backend, drawn):
    """D1(z) = -eps LSE(log b + (D2 + lam Q - C) / eps)."""
    case, g, Q, lam = drawn
    C = refot.informative_cost(case.C, Q, lam)
    P = refot.semi_dual_plan(g, C, case.a, case.b, case.eps, backend=backend)
    rtol = 16 * UNIT + 2 * case.rounding(g, Q) / case.eps
    np.testing.assert_allclose(P.sum(axis=1), case.a, rtol=rtol)


@given(informative_cases())
def test_e3_without_q_the_two_forms_agree(backend, drawn):
    case, g, Q, _ = drawn
    P = printed.informative_plan_printed(g, case.C, Q, 0.0, *tuple(case)[1:], backend=backend)
    expected = refot.semi_dual_plan(g, *case, backend=backend)
    rtol = 16 * UNIT + 2 * case.rounding(g) / case.eps
    np.testing.assert_allclose(P, expected, rtol=rtol, atol=np.finfo(float).tiny)


@pytest.mark.parametrize(("eps", "lam", "mass"), [(1.5, 1.0, 1.5947), (0.3, 0.2, 1.5947)])
def test_e3_even_a_constant_q_multiplies_the_mass(eps, lam, mass):
    """Q = 0.7: the mass is exp(0.7 lam / eps), 1.595 at lam / eps = 2/3, where it should be 1."""
    x = np.linspace(0, 1, 4)[:, None]
    C, a, g = refot.point_cost(x, x), np.full(4, 0.25), np.array([0.1, -0.2, 0.0, 0.3])
    P = printed.informative_plan_printed(g, C, np.full((4, 4), 0.7), lam, a, a, eps)
    assert P.sum() == pytest.approx(math.exp(0.7 * lam / eps), rel=1e-14)
    assert P.sum() == pytest.approx(mass, abs=1e-4)


def test_e3_the_printed_plan_misses_both_marginals_by_far():
    """At the optimal potential of the consistent form, lam / eps = 1: nothing small about it."""
    rng = np.random.default_rng(0)
    C, Q, a = rng.random((6, 5)), rng.normal(size=(6, 5)), np.full(6, 1 / 6)
    b, eps = np.full(5, 0.2), 0.25
    consistent, found = refot.informative_plan(C, Q, eps, a, b, eps, tol=TOL)
    assert abs(consistent.sum(axis=1) - a).sum() + abs(consistent.sum(axis=0) - b).sum() <= TOL
    P = printed.informative_plan_printed(found.g, C, Q, eps, a, b, eps)
    assert abs(P.sum(axis=1) - a).sum() > 0.3
    assert abs(P.sum(axis=0) - b).sum() > 0.3


# ------------------------------------------------------------------ H1: the sign in H-27
@given(with_potentials())
def test_h1_the_printed_supergradient_sums_to_minus_two(backend, drawn):
    """-chi - b has mass -2 at every g: it never vanishes, and ASGD drifts for ever."""
    case, _, g = drawn
    D = printed.supergradient_printed(g, *case, backend=backend)
    tolerance = 16 * UNIT + case.rounding(g) / case.eps
    assert abs(D.sum() + 2) <= tolerance
    assert D.max() <= tolerance
    corrected = refot.semi_dual_gradient(g, *case, backend=backend)
    assert abs(D - (corrected - 2 * case.b)).max() <= tolerance


@given(cases())
def test_h1_at_the_optimum_the_printed_one_is_minus_twice_b(backend, case):
    g = solved(case, backend).g
    D = printed.supergradient_printed(g, *case, backend=backend)
    assert abs(D + 2 * case.b).sum() <= TOL + 16 * UNIT + case.rounding(g) / case.eps
