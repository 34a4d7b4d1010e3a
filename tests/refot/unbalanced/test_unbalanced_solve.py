"""`solve` with rho: methods, backends, precision, masses, and truth in what the result says."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from cases.unbalanced_cases import INF

import refot
from refot.solvers.solve import METHODS, TV_METHODS, UNBALANCED_METHODS
from refot.solvers.unbalanced.iteration import invariant_iterates
from refot.unbalanced_problem import unbalanced_problem

SMOOTH = [0.01, 1.0, 1e3, (1.0, INF), (INF, 0.3), (1e-3, 5.0)]


def problem(n=60, m=50, seed=0, mass=1.7):
    rng = np.random.default_rng(seed)
    a, b = rng.random(n), rng.random(m)
    C = refot.point_cost(rng.normal(size=(n, 2)), rng.normal(size=(m, 2)) + 0.5)
    return C, a / a.sum(), mass * b / b.sum(), 0.1


@pytest.mark.parametrize("rho", SMOOTH)
def test_all_methods_find_the_same_potentials(rho):
    """An atom error of 1e-5 at most moves a potential by about that, times 1 / (1 - the rate at
    which errors of it decay), 100 here."""
    best = refot.solve(*problem(), rho=rho, tol=1e-11)
    for method in UNBALANCED_METHODS:
        s = refot.solve(*problem(), rho=rho, method=method, tol=1e-10)
        assert s.converged
        np.testing.assert_allclose(s.f, best.f, rtol=0, atol=1e-6)
        np.testing.assert_allclose(s.g, best.g, rtol=0, atol=1e-6)


@pytest.mark.parametrize("rho", [0.3, (0.2, 4.0), (1.0, INF)])
def test_methods_for_total_variation_agree_on_the_value(rho):
    """The potentials of TV need not be unique; its plan and its value are."""
    best = refot.solve(*problem(), rho=rho, penalty="tv", tol=1e-9)
    for method in TV_METHODS:
        s = refot.solve(*problem(), rho=rho, penalty="tv", method=method, certified=True)
        assert s.converged
        assert s.mass == pytest.approx(best.mass, rel=1e-7)
        assert s.gap.relative < 1e-7


def test_tv_has_no_newton_cg():
    with pytest.raises(refot.InputError, match="method"):
        refot.solve(*problem(), rho=1.0, penalty="tv", method="newton-cg")
    assert set(TV_METHODS) < set(UNBALANCED_METHODS) < set(METHODS)


@pytest.mark.parametrize("rho", [1.0, 1e2, 1e4, 1e6, (1e2, INF), (INF, 1e4)])
@pytest.mark.parametrize("mass", [1.0, 1.3, 0.5])
def test_total_variation_does_not_stand_still_at_small_eps(rho, mass):
    """eps = 1e-4 max C, rho in units of eps. Sweeps alone leave 1e-5 after 4,000 iterations."""
    C, a, b, _ = problem(40, 36, mass=mass)
    eps = 1e-4 * float(C.dense().max())
    s = refot.solve(C, a, b, eps, rho=np.multiply(rho, eps), penalty="tv", certified=True,
                    max_iter=600)
    assert s.converged
    assert s.gap.relative < 1e-6


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_backends_and_precisions(backend, dtype):
    """float32 stops at 1e-5; its gap is proved in float64 for the points and masses as rounded."""
    C, a, b, eps = problem()
    C = refot.point_cost(C.x.astype(dtype), C.y.astype(dtype))
    double = refot.point_cost(C.x.astype(float), C.y.astype(float))
    a, b = a.astype(dtype), b.astype(dtype)
    s = refot.solve(C, a, b, eps, rho=0.7, backend=backend, certified=True)
    U = refot.unbalanced_value(double, a.astype(float), b.astype(float), eps, 0.7, tol=1e-12)
    assert s.converged
    assert s.f.dtype == dtype
    assert s.gap.lower <= U * (1 + 1e-13)
    assert s.gap.upper >= U * (1 - 1e-13)
    assert s.gap.relative < (1e-11 if dtype == np.float64 else 1e-5)


@pytest.mark.parametrize("rho", [0.3, (2.0, INF)])
def test_the_residual_is_what_it_says(rho):
    s = refot.solve(*problem(), rho=rho, tol=1e-3, method="sinkhorn")
    P = refot.unbalanced_plan(s.f, s.g, *problem())
    asked = refot.unbalanced_marginals(s.f, s.g, *problem(), rho)
    residual = sum(abs(sums - wanted).sum() / wanted.sum()
                   for sums, wanted in zip((P.sum(axis=1), P.sum(axis=0)), asked, strict=True))
    assert s.marginal_error == pytest.approx(residual, rel=1e-9)
    assert s.marginal_error == s.errors[-1]
    assert s.mass == pytest.approx(P.sum(), rel=1e-13)


def test_a_solve_that_did_not_arrive_says_so():
    with pytest.warns(refot.ConvergenceWarning, match="max_iter"):
        s = refot.solve(*problem(), rho=10.0, method="sinkhorn", max_iter=3)
    assert not s.converged
    assert s.stopped_by == "max_iter"


def test_a_light_atom_counts():
    """Converged means every atom: one of weight 1e-200, and one of weight 0."""
    C, a, b, eps = problem()
    a[:2] = 0, 1e-200
    for method in UNBALANCED_METHODS:
        s = refot.solve(C, a, b, eps, rho=0.7, method=method)
        assert s.converged
        h = refot.softmin(C, s.g + eps * np.log(b), eps)
        np.testing.assert_allclose(s.f, 0.7 / (0.7 + eps) * h, rtol=0, atol=1e-5 * eps * 2)


@pytest.mark.parametrize("penalty", ["kl", "tv"])
@pytest.mark.parametrize("gap", [1e-3, 1e-8])
def test_a_gap_is_a_reason_to_stop(gap, penalty):
    s = refot.solve(*problem(), rho=0.7, penalty=penalty, gap=gap, tol=1e-13)
    assert s.converged
    assert s.gap.relative <= gap
    U = refot.unbalanced_value(*problem(), 0.7, penalty, tol=1e-10)
    assert s.gap.lower <= U * (1 + 1e-9)
    assert s.gap.upper >= U * (1 - 1e-9)


@pytest.mark.parametrize("mass", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("rho", [1e-5, 0.1, 1e5])
def test_masses_and_rho_over_many_orders(mass, rho):
    """rho from eps / 1e4 to 1e6 eps; the certified value is within 1e-9 of itself. Potentials of up
    to rho / 2 log(mass^2) = 1e7 eps leave 1e-9 of a sum to rounding."""
    C, a, b, eps = problem(mass=mass)
    s = refot.solve(C, a / mass, b, eps, rho=rho, certified=True, tol=1e-8)
    assert s.converged
    assert s.gap.relative < 1e-9


def test_potentials_beyond_floats_are_told_of_and_their_value_is_not_lost():
    """At rho = 1e10 eps potentials of 1e9 eps leave 1e-7 of a sum to rounding. Equal masses do not
    need such potentials."""
    C, a, b, eps = problem(8, 6, mass=1.3)
    with pytest.warns(refot.ConvergenceWarning, match="its floats reach no less"):
        s = refot.solve(C, a, b, eps, rho=1e10 * eps, certified=True)
    assert not s.converged
    assert s.stopped_by == "rounding"
    assert s.iterations < 200
    assert s.mass == pytest.approx(1.3**0.5, rel=1e-5)
    assert s.gap.relative < 1e-9
    assert refot.solve(C, a, b / 1.3, eps, rho=1e10 * eps).converged


def test_a_plan_below_the_range_of_floats_ends_by_rounding():
    """Sums of about 1e-315 have eight digits less: the solve sees that, and ends."""
    C, a, b, eps = problem(8, 6)
    with pytest.warns(refot.ConvergenceWarning, match="its floats reach no less"):
        s = refot.solve(C, 1e-300 * a, 1e-300 * b, eps, rho=10 * eps)
    assert s.stopped_by == "rounding"
    assert s.iterations < 1000


@pytest.mark.parametrize("masses", [(1e-300, 1e200), (1e200, 1e-100), (1e-150, 1e-150)])
def test_masses_near_the_ends_of_the_range(masses):
    C, a, b, eps = problem(8, 6)
    for rho in (0.1 * eps, eps, 10 * eps):
        s = refot.solve(C, masses[0] * a, masses[1] * b, eps, rho=rho)
        assert s.converged
        h = refot.softmin(C, s.g + eps * np.log(masses[1] * b), eps)
        np.testing.assert_allclose(s.f, rho / (rho + eps) * h, rtol=1e-9, atol=1e-4 * eps)


def test_a_warm_start_is_used():
    s = refot.solve(*problem(200, 180), rho=5.0)
    again = refot.solve(*problem(200, 180), rho=5.0, g=s.g)
    assert again.iterations <= 2
    assert refot.solve(*problem(200, 180), rho=5.0, f=s.f).iterations <= 2


def test_costs_may_be_negative_and_pairs_forbidden():
    C, a, b, eps = problem(6, 5)
    C = C.dense() - 3.0
    C[0, 0] = np.inf
    s = refot.solve(C, a, b, eps, rho=0.7, certified=True)
    assert s.converged
    assert s.gap.relative < 1e-10
    assert refot.unbalanced_plan(s.f, s.g, C, a, b, eps)[0, 0] == 0


def test_points_in_order_and_large_problems_stream():
    """n m beyond the memory that is allowed: sweeps by softmin, on groups of points."""
    C, a, b, _ = problem(3000, 2500)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        s = refot.solve(C, a, b, 1.0, rho=5.0, memory="136M", backend="numba", gap=1e-7)
    assert s.converged
    assert s.gap.relative <= 1e-7


@pytest.mark.parametrize("penalty", ["kl", "tv"])
def test_the_residual_of_each_step_of_the_iteration(penalty):
    """That of the rows of its plan, against the sums that f asks for; and an atom without mass has
    the f that its transform asks for."""
    C, a, b, eps = problem(12, 10)
    a[3] = 0
    p = unbalanced_problem(C, a, b, eps, 0.4, penalty)
    for f, g, residual in itertools.islice(invariant_iterates(p, np.zeros(10)), 6):
        rows = p.row_sums(f, g)
        assert residual == pytest.approx(p.row_residual(f, rows), rel=1e-9, abs=1e-13)
        assert f[3] == pytest.approx(p.prox(p.transform(g))[3], rel=1e-12)


def test_exact_marginals_that_no_plan_can_have_are_named():
    """rho = inf on both sides is the balanced problem, forbidden pairs included."""
    C = np.array([[1, np.inf], [1, np.inf], [np.inf, 1.0]])
    with pytest.warns(refot.ConvergenceWarning, match="no plan avoids the forbidden pairs: rows 0"):
        refot.solve(C, [0.4, 0.4, 0.2], [0.3, 0.7], 0.1, rho=INF)
