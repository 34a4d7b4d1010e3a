"""The gap in floats: it contains the value that 30 digits and the ball certificates know."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
from certificate_attack import Attack, attack, exact_costs, judged, misses
from flint import arb, ctx
from hypothesis import given
from hypothesis import strategies as st
from point_costs.tables import ON_BACKENDS
from strategies import TOL, cases, mild_cases, with_potentials

import refot
from refot.costs.operands import as_cost, point_cost
from refot.problem import problem
from refot.solvers.gap import CertifiedGap, certified_gap, gap_of
from refot.solvers.memory import kept
from refot.solvers.plan_sums import cost_range, product_cost
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
@pytest.mark.parametrize("cost", ON_BACKENDS)
def test_the_cost_of_a_product_is_that_of_the_matrix_and_no_less(backend, cost, offset):
    """u'C v without the pairs, where it can be had so; far from the origin too."""
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(7, 3)) + offset, rng.normal(size=(5, 3)) + offset + 1
    C = point_cost(x, y, cost, 0.7)
    u, v = rng.dirichlet(np.ones(7)), rng.dirichlet(np.ones(5))
    u[2] = 0
    u /= u.sum()
    with ctx.workprec(200):
        exact = sum((arb(float(s)) * arb(float(t)) * c
                     for s, row in zip(u, exact_costs(C), strict=True)
                     for t, c in zip(v, row, strict=True)), arb(0))
    for operand in (C, as_cost(C.dense())):
        p = problem(operand, np.full(7, 1 / 7), np.full(5, 0.2), 0.1, backend)
        largest = max(abs(end) for end in cost_range(p.C))
        got = product_cost(p, largest, u, v)
        assert got == pytest.approx(float(exact.mid()), rel=1e-12)
        assert operand is not C or got >= exact


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


# ------------------------------------------------------------------ attacked
def light_atoms():
    """Uneven by eleven decades, a negative cost, eps = 2e-7 max|C|: the interval that refot once
    gave here, [-5.618140572494311, -5.618140572344585], did not contain F."""
    C = np.array([
        [-0.270653277967724, -0.30973997631375094, -9.12131447367924, -4.62350943899803],
        [-8.523002951423488, -3.483226870707142, -1.4127308294270025, -3.0115963077555863],
        [-8.96143207722608, -5.239380650300109, -8.866480610704816, -5.284282307541186],
        [-3.0163205002896687, -4.491266956633936, -3.0556831919366, -2.5580263678035395],
        [-3.346725779184876, -3.9000938656619564, -9.839314844794307, -5.619139513775437],
        [-9.59070884409925, -6.787613566063927, -5.012791957315123, -7.274422056803719]])
    b = np.array([9.999999999772695e-01, 6.672552159490322e-12, 3.866959652201218e-12,
                  1.219100596470691e-11])
    return C, np.full(6, 1 / 6), b, 2.0251779928124476e-06


LIGHT_ATOMS_VALUE = -5.618140571795654, -5.618140571795633
"""F of `light_atoms`, in ball arithmetic."""


def test_light_atoms_at_a_small_eps(backend):
    for method in ("auto", "newton-cg"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", refot.ConvergenceWarning)
            found = refot.solve(*light_atoms(), method=method, certified=True, backend=backend).gap
        assert found.lower <= LIGHT_ATOMS_VALUE[0]
        assert found.upper >= LIGHT_ATOMS_VALUE[1]
        assert found.relative < (1e-7 if method == "auto" else 1e-4)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("cost", ON_BACKENDS)
def test_a_matrix_that_a_solve_forms_is_certified_as_the_cost_of_its_points(cost, dtype):
    """In many dimensions `solve` computes with a matrix of rounded entries; at this eps the
    interval of the matrix alone is narrower than their rounding."""
    rng = np.random.default_rng(9)
    x, y = (rng.normal(size=(n, 40)).astype(dtype) for n in (6, 5))
    a, b = (np.full(n, 1 / n, dtype) for n in (6, 5))
    C = point_cost(x, y, cost)
    p = problem(C, a, b, 1000.0, "numpy")
    g = refot.solve(C.dense().astype(np.float64), np.full(6, 1 / 6), np.full(5, 1 / 5), 1000.0,
                    tol=1e-12).g.astype(dtype)
    found = gap_of(replace(p, C=kept(p.backend, C)), g)
    formed = certified_gap(g, kept(p.backend, C).matrix, a, b, 1000.0)
    case = Attack(C, a, b, 1000.0, g, "numpy", "formed")
    F = judged(case, 1e-3 * formed.absolute)
    assert found.lower <= F.lower
    assert F.upper <= found.upper
    if (cost, dtype) == ("sqeuclidean", np.float32):
        assert F.upper < formed.lower or formed.upper < F.lower


def test_random_problems_against_balls():
    """Forty of them; `tests/support/certificate_attack.py` goes on."""
    for seed in range(40):
        missed, _ = misses(attack(seed))
        assert not missed, (seed, missed)


@pytest.mark.slow
def test_many_random_problems_against_balls():
    for seed in range(1_000_000, 1_002_000):
        missed, _ = misses(attack(seed))
        assert not missed, (seed, missed)


def test_the_attack_sees_an_interval_that_is_too_narrow():
    """Of intervals a hundredth as wide, around the middle, it finds many to be wrong."""
    wrong = 0
    for seed in range(30):
        case = attack(seed)
        found = certified_gap(case.g, case.C, case.a, case.b, case.eps, backend=case.backend)
        middle, half = (found.lower + found.upper) / 2, found.absolute / 200
        F = judged(case, half)
        wrong += F.upper < middle - half or middle + half < F.lower
    assert wrong > 10
