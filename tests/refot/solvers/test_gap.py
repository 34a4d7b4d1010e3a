"""The gap in floats: it contains the value that 30 digits and the ball certificates know."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import TOL, cases, mild_cases, with_potentials

import refot
from refot.costs.ground import POINT_COSTS
from refot.costs.operands import point_cost
from refot.problem import problem
from refot.solvers import gap
from refot.solvers.gap import CertifiedGap, certified_gap
from refot.verification.certificates.certify import certify_value


@given(with_potentials())
def test_it_meets_the_ball_certificate_from_any_potential(backend, drawn):
    """Two intervals around one number F meet, however far g is from optimal."""
    case, _, g = drawn
    found = certified_gap(g, *case, backend=backend)
    judge = certify_value(*case, g)
    assert found.lower <= judge.upper
    assert judge.lower <= found.upper


@given(mild_cases)
def test_it_contains_the_value_and_is_narrow_at_the_optimum(backend, case):
    g = refot.sinkhorn_log(*case, tol=TOL, backend=backend).g
    found, judge = certified_gap(g, *case, backend=backend), certify_value(*case, g)
    assert found.lower <= judge.lower + case.slack
    assert found.upper >= judge.upper - case.slack
    assert found.absolute <= 4 * case.slack


@given(cases(), st.floats(-1, 1))
def test_a_shift_of_the_potential_changes_nothing(backend, case, t):
    g = np.linspace(0, case.osc / 8, case.b.size)
    here, there = (certified_gap(h, *case, backend=backend) for h in (g, g + t))
    assert abs(here.lower - there.lower) <= 2 * case.rounding(g)
    assert abs(here.upper - there.upper) <= 2 * case.rounding(g) + 1e-9 * here.absolute


def test_points_and_their_matrix_have_the_same_gap(backend):
    rng = np.random.default_rng(1)
    C = refot.point_cost(rng.normal(size=(7, 3)), rng.normal(size=(5, 3)), "euclidean")
    a, b, g = rng.dirichlet(np.ones(7)), rng.dirichlet(np.ones(5)), rng.normal(size=5)
    points, matrix = (certified_gap(g, K, a, b, 0.1, backend=backend) for K in (C, C.dense()))
    assert points.lower == pytest.approx(matrix.lower, rel=1e-12)
    assert points.upper == pytest.approx(matrix.upper, rel=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("cost", sorted(POINT_COSTS))
def test_the_cost_of_a_product_is_that_of_the_matrix(backend, cost, offset):
    """e'C h without the pairs, where it can be had so; far from the origin too."""
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(7, 3)) + offset, rng.normal(size=(5, 3)) + offset + 1
    p = problem(point_cost(x, y, cost, 0.7), np.full(7, 1 / 7), np.full(5, 0.2), 0.1, backend)
    e, h = rng.dirichlet(np.ones(7)), rng.dirichlet(np.ones(5))
    e[2] = 0
    e /= e.sum()
    got = gap._product_cost(p, p.backend.asarray(e), p.backend.asarray(h))
    assert got == pytest.approx(e @ p.C.dense() @ h, rel=1e-13)


def test_the_upper_end_is_a_primal_value_of_the_rounded_plan_or_above():
    """The bound by convexity is above the primal of the plan it is about, and not by much."""
    rng = np.random.default_rng(2)
    C, a, b = rng.random((6, 4)), rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(4))
    g = 0.1 * rng.normal(size=4)
    P = refot.round_to_marginals(refot.semi_dual_plan(g, C, a, b, 0.2), a, b)
    found, primal = certified_gap(g, C, a, b, 0.2), refot.primal(P, C, a, b, 0.2)
    assert found.lower < refot.entropic_value(C, a, b, 0.2) < primal < found.upper
    assert found.upper - found.lower < 3 * (primal - found.lower)


def test_relative_is_infinite_where_the_value_may_be_zero():
    assert CertifiedGap(-1.0, 1.0).relative == math.inf
    assert CertifiedGap(0.0, 1.0).relative == math.inf
    assert CertifiedGap(2.0, 3.0).relative == 0.5
    assert CertifiedGap(-3.0, -2.0).relative == 0.5
