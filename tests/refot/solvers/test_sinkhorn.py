"""Sinkhorn's algorithm: the scaling form G-7, the log domain, the symmetric form, and the stop."""

from __future__ import annotations

from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import (
    TOL,
    UNIT,
    Case,
    clouds,
    exact_marginal_error,
    matrix_cases,
    mild_cases,
    solved,
)

import refot
from refot import ConvergenceWarning
from refot.problem import problem
from refot.solvers.scaling import ScalingWarning
from refot.solvers.sinkhorn import log_iterates

steps = st.integers(1, 6)


def half_step_rounding(case, L):
    """The relative rounding of u and v after L steps: each adds that of C / eps and of a sum."""
    return 16 * L * UNIT * (8 + abs(case.matrix).max() / case.eps)


# ------------------------------------------------------------------ the scaling form, G-7
@given(matrix_cases(), steps)
def test_scaling_iterates_are_the_printed_steps(case, L):
    """u = a / (K v), then v = b / (K'u), entry by entry, from v = b."""
    C, a, b, eps = case.dense
    K, v = np.exp(-C / eps), b
    for _ in range(L):
        u = np.array([a[i] / sum(K[i] * v) for i in range(a.size)])
        v = np.array([b[j] / sum(K[:, j] * u) for j in range(b.size)])
    found = refot.sinkhorn_scaling(C, a, b, eps, L)
    for computed, expected in zip(found, (u, v), strict=True):
        np.testing.assert_allclose(computed, expected, rtol=half_step_rounding(case, L))


@given(matrix_cases(), steps)
def test_scaling_and_log_form_agree_after_every_step(backend, case, L):
    """u = a exp(f / eps), v = b exp(g / eps): G-7 against B-25."""
    iterates = log_iterates(problem(*case, backend), np.zeros_like(case.b))
    scalings = refot.scaling_iterates(*case.dense)
    for l, ((f, g, _), (u, v)) in enumerate(islice(zip(iterates, scalings, strict=False), L), 1):
        rtol = half_step_rounding(case, l) + 2 * case.rounding(f, g) / case.eps
        np.testing.assert_allclose(case.a * np.exp(f / case.eps), u, rtol=rtol)
        np.testing.assert_allclose(case.b * np.exp(g / case.eps), v, rtol=rtol)


@given(matrix_cases(), steps)
def test_columns_are_exact_after_any_number_of_steps(case, L):
    u, v = refot.sinkhorn_scaling(*case.dense, L)
    P = u[:, None] * np.exp(-case.matrix / case.eps) * v
    np.testing.assert_allclose(P.sum(axis=0), case.b, rtol=half_step_rounding(case, 1))


def test_rows_are_not_exact_after_finitely_many_steps():
    """The value of G-8 at finite L belongs to a plan whose rows miss a, here by a known amount."""
    C, a, b = np.array([[0.0, 2.0], [1.0, 0.0]]), np.array([0.75, 0.25]), np.array([0.5, 0.5])
    errors = []
    for u, v in islice(refot.scaling_iterates(C, a, b, 1.0), 8):
        errors.append(abs(u * (np.exp(-C) @ v) - a).sum())
    assert errors[0] > 0.1
    assert errors[-1] > 1e-6
    ratios = np.array(errors[1:]) / errors[:-1]
    assert (ratios < 0.5).all()  # linear convergence: no step is the last
    assert (ratios > 0.1).all()


@given(matrix_cases(), steps)
def test_scaling_loss_is_the_sharp_cost_of_the_plan_after_l_steps(case, L):
    """G-8: sum_ij u_i K_ij C_ij v_j, u (n,) and v (m,) with n != m (errata G5, G6)."""
    u, v = refot.sinkhorn_scaling(*case.dense, L)
    P = u[:, None] * np.exp(-case.matrix / case.eps) * v
    loss = refot.scaling_loss(*case.dense, L)
    assert abs(loss - refot.transport_cost(P, case.matrix)) <= case.rounding()


@given(mild_cases)
def test_scaling_loss_tends_to_the_sharp_value(case):
    loss = refot.scaling_loss(*case.dense, 400)
    s = refot.sharp_value(*case, tol=TOL)
    # both plans are TOL from a fixed point, and so apart by what the potentials may differ over eps
    assert abs(loss - s) <= case.osc * 2 * case.potential_slack / case.eps + case.rounding()


def test_the_scaling_form_underflows_where_the_log_form_does_not():
    """C / eps = 760 in float64: K = 0, and u = a / 0."""
    C, a = np.array([[760.0, 760.0], [760.0, 761.0]]), np.array([0.5, 0.5])
    with pytest.warns(ScalingWarning, match=r"step 1: .* from 760 to 761.*sinkhorn_log"):
        u, _ = refot.sinkhorn_scaling(C, a, a, 1.0, 1)
    assert not np.isfinite(u).all()
    for of in (refot.scaling_loss, refot.scaling_loss_gradient):
        with pytest.warns(ScalingWarning) as told:
            assert np.isnan(of(C, a, a, 1.0, 4)).all()
        assert len(told) == 1  # said once, and not by NumPy as well
    solved_log = refot.sinkhorn_log(C, a, a, 1.0)
    assert solved_log.converged
    value = refot.semi_dual(solved_log.g, C, a, a, 1.0)
    assert 760 <= value <= 760.25


def test_costs_far_below_zero_overflow_the_scaling_form():
    C, a = np.array([[-800.0, 0.0], [0.0, -800.0]]), np.array([0.5, 0.5])
    with pytest.warns(ScalingWarning, match="from -800 to 0"):
        refot.sinkhorn_scaling(C, a, a, 1.0, 1)


def test_the_scaling_form_checks_its_arguments_when_it_is_called():
    """And not when the first step is asked for."""
    with pytest.raises(refot.InputError, match=r"^eps: "):
        refot.scaling_iterates(np.eye(2), [0.5, 0.5], [0.5, 0.5], -1.0)


# ------------------------------------------------------------------ the log domain
@given(mild_cases)
def test_log_form_reaches_the_marginals(backend, case):
    found = refot.sinkhorn_log(*case, tol=TOL, backend=backend)
    assert found.converged
    assert found.marginal_error <= TOL
    assert found.iterations == len(found.errors)
    rows, columns = refot.marginals(found.f, found.g, *case, backend=backend)
    assert abs(rows - case.a).sum() + abs(columns - case.b).sum() <= TOL + 64 * UNIT


@given(mild_cases)
def test_marginal_error_never_rises(case):
    """Each half-step maps the error by a stochastic matrix: its L1 norm cannot grow."""
    errors = refot.sinkhorn_log(*case, tol=TOL).errors
    floor = case.rounding() / case.eps
    assert all(after <= before + floor for before, after in pairwise(errors))


@given(matrix_cases())
def test_the_semi_dual_never_falls_along_the_iterates(backend, case):
    """Block-coordinate ascent of B-13."""
    iterates = log_iterates(problem(*case, backend), np.zeros_like(case.b))
    values = [refot.semi_dual(g, *case, backend=backend) for _, g, _ in islice(iterates, 8)]
    assert all(after >= before - case.rounding()
               for before, after in pairwise(values))


@given(mild_cases)
def test_a_warm_start_at_the_optimum_needs_one_iteration(case):
    first = refot.sinkhorn_log(*case, tol=TOL)
    assert refot.sinkhorn_log(*case, tol=2 * TOL, g=first.g).iterations == 1


# ------------------------------------------------------------------ the symmetric form
@given(clouds(), st.integers(0, 1))
def test_symmetric_solver_agrees_with_the_alternating_one(backend, pair, side):
    """The self terms of B-9: one potential f = g, the same value and the same plan."""
    case = pair.self_cases()[side]
    found = refot.sinkhorn_symmetric(case.C, case.a, case.eps, tol=TOL, backend=backend)
    assert found.f is found.g
    alternating = solved(case, backend)
    value = refot.semi_dual(found.g, *case, backend=backend)
    assert abs(value - alternating.lower) <= case.slack


@given(clouds())
def test_symmetric_potential_is_the_alternating_one(backend, pair):
    case = pair.self_cases()[0]
    case = Case(case.C, case.a, case.b, max(case.eps, case.osc / 4))
    found = refot.sinkhorn_symmetric(case.C, case.a, case.eps, tol=TOL, backend=backend)
    alternating = refot.sinkhorn_log(*case, tol=TOL, backend=backend)
    middle = (alternating.f + alternating.g) / 2  # the gauge in which f = g
    assert abs(found.f - middle).max() <= 2 * case.potential_slack


@given(clouds())
def test_symmetric_solver_needs_tens_of_iterations(pair):
    """Where the alternating one needs thousands: eps from 1/16, costs to 48."""
    case = pair.self_cases()[0]
    assert refot.sinkhorn_symmetric(case.C, case.a, case.eps, tol=1e-9).iterations <= 60


# ------------------------------------------------------------------ the stop, and its truth
@given(matrix_cases(), st.integers(3, 15), st.integers(1, 40))
@pytest.mark.filterwarnings("ignore::refot.ConvergenceWarning")
def test_the_result_tells_the_error_at_its_own_potentials(backend, case, digits, max_iter):
    tol = 10.0**-digits
    found = refot.sinkhorn_log(*case, tol=tol, max_iter=max_iter, backend=backend)
    again = refot.marginal_error(found.f, found.g, *case, backend=backend)
    assert found.marginal_error == pytest.approx(again, rel=1e-12, abs=16 * UNIT)
    assert found.converged == (found.marginal_error <= tol and found.atom_error <= tol**0.5)
    # and against the plan of these floats to 50 digits: the exponents round, over eps
    exact = exact_marginal_error(found.f, found.g, *case.dense)
    assert abs(exact - found.marginal_error) <= case.rounding(found.f, found.g) / case.eps


@pytest.mark.parametrize(
    ("shape", "offset", "eps"), [((4, 3), 1e4, 1e-5), ((5, 5), 1e4, 1e-5), ((1, 5), 0.0, 1e-6)])
@pytest.mark.parametrize("method", ["sinkhorn", "schedule", "newton"])
def test_a_tolerance_below_the_rounding_floor_is_not_met(backend, shape, offset, eps, method):
    """The iterates reach a fixed point of floating point, at which f no longer moves: that is no
    proof that the marginals are met. At C / eps = 1e9 they are met to 1e-8, at 1e6 to 1e-11."""
    C = offset + np.random.default_rng(5).random(shape)
    a, b = np.full(shape[0], 1 / shape[0]), np.full(shape[1], 1 / shape[1])
    with pytest.warns(ConvergenceWarning, match="marginal error"):
        found = refot.solve(C, a, b, eps, method=method, tol=1e-14, max_iter=30, backend=backend)
    assert not found.converged
    assert found.marginal_error > 1e-12
    again = refot.marginal_error(found.f, found.g, C, a, b, eps, backend=backend)
    assert found.marginal_error == pytest.approx(again, rel=1e-6)
    rounding = Case(refot.DenseCost(C), a, b, eps).rounding(found.f, found.g) / eps
    assert abs(exact_marginal_error(found.f, found.g, C, a, b, eps) - again) <= rounding


@pytest.mark.parametrize("solver", ["sinkhorn_log", "sinkhorn_symmetric"])
def test_too_few_iterations_are_told_in_the_result_and_by_a_warning(backend, solver):
    x = np.linspace(0, 1, 6)[:, None]
    C, a = refot.point_cost(x, x), np.array([0.3, 0.1, 0.1, 0.1, 0.1, 0.3])
    measures = (a, a) if solver == "sinkhorn_log" else (a,)
    with pytest.warns(ConvergenceWarning, match=r"> tol 1e-09 after 2 iterations"):
        found = getattr(refot, solver)(C, *measures, 0.01, max_iter=2, backend=backend)
    assert not found.converged
    assert found.iterations == 2
    assert found.marginal_error > 1e-3
    assert found.marginal_error == found.errors[-1]


# ------------------------------------------------------------------ special measures
def test_one_atom_on_each_side(backend):
    """1 x 1: f + g = C, at once."""
    one = np.array([1.0])
    found = refot.sinkhorn_log([[2.5]], one, one, 0.5, backend=backend)
    assert found.f + found.g == 2.5
    assert found.iterations == 1


@given(clouds())
def test_duplicate_points_have_one_potential(backend, pair):
    """x_i = x_k makes two equal rows: f_i = f_k, whatever their weights."""
    assume(pair.x.shape[0] > 1)
    x = pair.x.copy()
    x[-1] = x[0]
    case = Case(refot.point_cost(x, pair.y, pair.cost), pair.a, pair.b, pair.eps)
    f = refot.solve(*case, tol=TOL, backend=backend).f
    assert abs(f[-1] - f[0]) <= 2 * case.transform_slack


@pytest.mark.parametrize("method", ["auto", "sinkhorn", "schedule"])
def test_float32_stays_float32_and_meets_its_own_tolerance(backend, method):
    rng = np.random.default_rng(3)
    x, y = (rng.random((6, 2), dtype=np.float32) for _ in range(2))
    C, a = refot.point_cost(x, y), np.full(6, 1 / 6, np.float32)
    found = refot.solve(C, a, a, 0.25, method=method, tol=1e-5, backend=backend)
    assert found.f.dtype == found.g.dtype == np.float32
    assert found.converged
    wide = refot.point_cost(x.astype(np.float64), y.astype(np.float64))
    b = a.astype(np.float64)
    b /= b.sum()
    single = refot.semi_dual(found.g, C, a, a, 0.25, backend=backend)
    # 2^-24 in each of a few operations on terms of size max C = 2, and TOL 1e-5 to second order
    assert abs(single - refot.entropic_value(wide, b, b, 0.25)) <= 64 * 2.0**-24 * 2
