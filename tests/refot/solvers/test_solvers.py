"""solve(): every method finds the same potentials, says truthfully how far it came, and where
plain Sinkhorn iterations would need 1e5 steps still arrives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import (
    TOL,
    UNIT,
    Case,
    cases,
    exact_marginal_error,
    matrix_cases,
    mild_cases,
    solved,
)

import refot
from refot import ConvergenceWarning, InputError
from refot.problem import problem
from refot.solvers import METHODS, cost_range, eps_schedule
from refot.solvers.schedule import NO_STAGE

methods = st.sampled_from(sorted(METHODS))

SWEEPS = {"accelerated", "mixed", "overrelaxed", "schedule", "stabilised"}
"""Methods whose number of iterations grows with 1 / eps."""


def centred(found, case):
    """The two potentials in the gauge in which a.f = 0."""
    t = case.a @ found.f
    return np.concatenate([found.f - t, found.g + t])


# ------------------------------------------------------------------ the methods agree
@given(mild_cases)
def test_all_methods_find_the_same_potentials_up_to_a_constant(backend, case):
    reference = centred(refot.sinkhorn_log(*case, tol=TOL, backend=backend), case)
    for method in METHODS:
        found = refot.solve(*case, method=method, tol=TOL, backend=backend)
        assert abs(centred(found, case) - reference).max() <= 4 * case.potential_slack


@given(mild_cases, methods)
def test_potentials_are_each_others_transforms_also_off_the_support(backend, case, method):
    """B-25: an atom of weight zero has a potential too, the transform of the other one."""
    found = refot.solve(*case, method=method, tol=TOL, backend=backend)
    f = refot.c_eps_transform(found.g, case.C, case.b, case.eps, backend=backend)
    g = refot.c_eps_transform(found.f, case.C.T, case.a, case.eps, backend=backend)
    allowed = case.transform_slack + case.rounding(f, g)
    assert abs(f - found.f).max() <= allowed
    assert abs(g - found.g).max() <= allowed


@given(mild_cases, methods, st.data())
def test_order_of_the_atoms_does_not_matter(backend, case, method, data):
    n, m = case.C.shape
    rows = list(data.draw(st.permutations(range(n))))
    columns = list(data.draw(st.permutations(range(m))))
    found = refot.solve(*case, method=method, tol=TOL, backend=backend)
    permuted = Case(refot.DenseCost(case.matrix[rows][:, columns]), case.a[rows],
                    case.b[columns], case.eps)
    again = refot.solve(*permuted, method=method, tol=TOL, backend=backend)
    expected = centred(found, case)[[*rows, *(n + j for j in columns)]]
    assert abs(centred(again, permuted) - expected).max() <= 4 * case.potential_slack


@given(mild_cases, methods)
def test_exchanging_the_measures_exchanges_the_potentials(backend, case, method):
    """Fails where a transposed cost is taken for the cost: C asymmetric, n != m."""
    there = refot.solve(*case, method=method, tol=TOL, backend=backend)
    back = Case(case.C.T, case.b, case.a, case.eps)
    found = refot.solve(*back, method=method, tol=TOL, backend=backend)
    swapped = replace(found, f=found.g, g=found.f)
    difference = centred(swapped, case) - centred(there, case)
    assert abs(difference).max() <= 4 * case.potential_slack


@given(mild_cases, methods)
def test_an_offset_of_the_cost_shifts_the_potentials_only(backend, case, method):
    """C + 1e4: f + g rises by 1e4 and nothing else moves, to the rounding of 1e4 over eps."""
    offset = Case(refot.DenseCost(case.matrix + 1e4), case.a, case.b, case.eps)
    tol = max(TOL, offset.rounding() / case.eps)
    plain = refot.solve(*case, method=method, tol=tol, backend=backend)
    moved = refot.solve(*offset, method=method, tol=tol, backend=backend)
    difference = centred(moved, case) - centred(plain, case)
    n = case.a.size
    amplified = 4 * case.potential_slack * tol / TOL
    assert np.ptp(difference[:n]) <= amplified
    assert abs(difference[n:] - 1e4).max() <= amplified


@given(cases(), methods.filter(lambda method: method != "sinkhorn"))
def test_fast_methods_arrive_at_every_eps(backend, case, method):
    """Costs to 48 at eps from 1/16: C / eps = 768, past the underflow of exp."""
    if method in SWEEPS:
        case = replace(case, eps=max(case.eps, case.osc / 16))
    found = refot.solve(*case, method=method, tol=1e-9, backend=backend)
    assert found.converged
    assert exact_marginal_error(found.f, found.g, *case.dense) <= 1e-9 + case.rounding() / case.eps


@given(mild_cases, methods)
def test_a_warm_start_at_the_optimum_is_kept(backend, case, method):
    """No schedule leads away from it: all end where they started."""
    first = refot.solve(*case, tol=TOL, backend=backend)
    again = refot.solve(*case, method=method, tol=TOL, g=first.g, backend=backend)
    assert abs(centred(again, case) - centred(first, case)).max() <= 4 * case.potential_slack


# ------------------------------------------------------------------ the truth of the result
@given(matrix_cases(), methods, st.integers(3, 15), st.integers(1, 30))
@pytest.mark.filterwarnings("ignore::refot.ConvergenceWarning")
def test_converged_is_true_exactly_where_the_error_is_within_tol(
    backend, case, method, digits, max_iter
):
    tol = 10.0**-digits
    found = refot.solve(*case, method=method, tol=tol, max_iter=max_iter, backend=backend)
    again = refot.marginal_error(found.f, found.g, *case, backend=backend)
    assert found.marginal_error == pytest.approx(again, rel=1e-12, abs=16 * UNIT)
    assert found.converged == (found.marginal_error <= tol and found.atom_error <= tol**0.5)
    assert (found.tolerance, found.errors[-1]) == (tol, found.marginal_error)
    assert found.iterations <= max_iter
    exact = exact_marginal_error(found.f, found.g, *case.dense)
    assert abs(exact - found.marginal_error) <= case.rounding(found.f, found.g) / case.eps


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_warns_when_it_did_not_arrive(backend, method):
    rng = np.random.default_rng(0)
    C, a = rng.random((6, 6)), np.full(6, 1 / 6)
    with pytest.warns(ConvergenceWarning, match=r"marginal error .* > tol 1e-12 after 1 iter"):
        found = refot.solve(C, a, a, 1e-2, method=method, tol=1e-12, max_iter=1, backend=backend)
    assert not found.converged
    assert found.marginal_error > 1e-12


def test_the_warning_points_at_the_caller():
    C, a = np.eye(3), np.array([0.25, 0.25, 0.5])
    with pytest.warns(ConvergenceWarning) as caught:
        refot.solve(C, a, a[::-1], 0.1, tol=1e-300)
    assert caught[0].filename == __file__


# ------------------------------------------------------------------ hard and special problems
def test_fifty_gaussian_points_at_a_small_eps(backend):
    """eps = 1e-3, on which a log-domain loop stopped at 1000 iterations reports a cost below the
    exact transport cost: here the value is above it and by no more than eps log 50."""
    rng = np.random.default_rng(0)
    C, a = refot.point_cost(rng.normal(size=(50, 2)), rng.normal(size=(50, 2)) + 0.5), np.full(
        50, 1 / 50)
    found = refot.solve(C, a, a, 1e-3, backend=backend)
    assert found.converged
    W0, _ = refot.kantorovich(C.dense(), a, a)
    value = refot.semi_dual(found.g, C, a, a, 1e-3, backend=backend)
    assert W0 <= value <= W0 + 1e-3 * np.log(50)


@pytest.mark.parametrize("eps", [1e-3, 1e3])
def test_measures_that_sit_on_one_atom_each(backend, eps):
    """All the mass on one of several points: the others carry none, and no NaN."""
    C = np.array([[3.0, 1.0, 2.0], [5.0, 4.0, 0.5]])
    a, b = np.array([0.0, 1.0]), np.array([0.0, 1.0, 0.0])
    found = refot.solve(C, a, b, eps, tol=TOL, backend=backend)
    P = refot.plan(found.f, found.g, C, a, b, eps, backend=backend)
    np.testing.assert_allclose(P, np.outer(a, b), atol=TOL)
    assert np.isfinite([*found.f, *found.g]).all()


def test_newton_refuses_float32():
    C, a = np.zeros((2, 2), np.float32), np.array([0.5, 0.5], np.float32)
    with pytest.raises(InputError, match="float32"):
        refot.solve(C, a, a, 1.0, method="newton")


@given(cases())
def test_the_schedule_falls_by_quarters_from_the_range_of_the_cost(case):
    spread = cost_range(problem(*case))
    assert spread == np.ptp(case.matrix[case.a > 0][:, case.b > 0])  # of the pairs with mass
    stages = list(eps_schedule(spread, case.eps))
    assert all(stage > NO_STAGE * case.eps for stage in stages)
    assert stages == [spread / 4**k for k in range(len(stages))]
    assert spread / 4 ** len(stages) <= NO_STAGE * case.eps


@given(cases())
def test_a_solve_certifies_its_own_value(backend, case):
    """semi-dual <= F <= primal of the rounded plan, and the two meet."""
    found = solved(case, backend)
    assert -case.rounding(found.f, found.g) <= found.upper - found.lower <= case.slack


# ------------------------------------------------------------------ apart, far, and badly begun
def normals(seed: int, n: int = 300):
    """Two clouds in the plane, uniform weights."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, 2)), rng.normal(size=(n, 2)) + 1
    return x, y, np.full(n, 1 / n)


@pytest.mark.parametrize("method", ["auto", "newton-cg"])
@pytest.mark.parametrize(("seed", "eps"), [(0, 1e-7), (1, 1e-5), (2, 1e-7)])
def test_newton_cg_joins_parts_of_a_plan_that_have_come_apart(seed, eps, method):
    """At such an eps a plan is nearly a permutation: mass moves between two parts only once their
    potentials have, by thousands of eps."""
    x, y, a = normals(seed)
    found = refot.solve(refot.point_cost(x, y), a, a, eps, method=method, tol=1e-6, backend="numpy")
    assert found.converged, found.stopped_by


def test_newton_cg_reaches_points_far_from_all_others():
    x, y, a = normals(0)
    x[:2] += 1e4
    found = refot.solve(refot.point_cost(x, y), a, a, 1.0, method="newton-cg", tol=1e-6)
    assert found.converged, found.stopped_by


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"sinkhorn"}))
def test_a_start_that_is_no_good_is_forgotten(method):
    """1e8 in the potentials would leave 1e-8 of each."""
    x, y, a = normals(3, 40)
    bad = 1e8 * np.random.default_rng(0).normal(size=40)
    found = refot.solve(refot.point_cost(x, y), a, a, 1.0, method=method, tol=1e-9, g=bad)
    assert found.converged
    assert abs(found.g).max() < 1e3


def test_a_start_is_one_potential():
    with pytest.raises(InputError, match="beside g"):
        refot.solve(np.eye(3), np.ones(3) / 3, np.ones(3) / 3, 1.0, f=np.zeros(3), g=np.zeros(3))


@pytest.mark.parametrize("shape", [(257, 256), (20, 4000)])
def test_sweeps_come_first_beyond_a_small_matrix(shape):
    """Newton's errors fall to the floor in one step at the end, sweeps' by a factor each."""
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(n, 2)) for n in shape)
    a, b = (np.full(n, 1 / n) for n in shape)
    found = refot.solve(refot.point_cost(x, y), a, b, 5.0, backend="numpy")
    swept = refot.solve(refot.point_cost(x, y), a, b, 5.0, method="stabilised", backend="numpy")
    assert found.converged
    assert found.errors == swept.errors
