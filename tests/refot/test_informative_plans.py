"""The plan that minimises B-19: the algorithm, what it refuses, and lam > eps (erratum E7)."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from informative_cases import STEP, informative, with_plan
from strategies import UNIT, multiples, solved

import refot
from refot.arrays import ConvergenceWarning, InputError, ShapeError, TypeInputError, WeightError
from refot.information import informative_cost, informative_objective
from refot.informative_plans import IllPosedWarning, informative_iterates, solve_informative
from refot.plots.figure_2 import figure_2_problem
from refot.problem import problem


# ------------------------------------------------------------------ lam > eps, erratum E7
@pytest.mark.parametrize("side", [4, 8, 16, 32])
def test_e7_beyond_eps_b19_has_no_lower_bound_as_the_laws_lose_their_atoms(side):
    """n = m = n1 uniform points on a line: the diagonal plan costs 0 and has KL = log n, so that
    J <= (eps - lam) log n. What is found from the plan of Sinkhorn lies no higher."""
    x = (np.arange(side) + 0.5)[:, None] / side
    C, a, codes = refot.point_cost(x, x), np.full(side, 1 / side), np.arange(side)
    eps, lam = 0.1, 0.2
    diagonal = informative_objective(np.diag(a), C.dense(), a, a, eps, lam, codes)
    assert diagonal == pytest.approx((eps - lam) * math.log(side), abs=16 * UNIT)
    with pytest.warns(IllPosedWarning, match="lam 0.2 > eps 0.1"):
        found = solve_informative(C, a, a, eps, lam, codes)
    assert found.converged
    assert found.objectives[-1] <= diagonal + 1e-6


def test_no_warning_up_to_eps():
    """Warnings are errors here: lam = eps is still convex."""
    x = np.array([[0.0], [1.0], [2.0]])
    a = np.full(3, 1 / 3)
    assert solve_informative(refot.point_cost(x, x), a, a, 2.0, 1.9, [0, 1, 2]).converged


# ------------------------------------------------------------------ the algorithm
@given(informative())
def test_the_objective_falls_at_every_step_for_every_lam(drawn):
    """And by eps KL(P_k | P_{k+1}) + lam KL(M P_{k+1} | M P_k): both half-steps are exact."""
    case = drawn.case
    p = problem(*case.dense)
    start = np.zeros((drawn.n_codes, case.b.size))
    iterates = informative_iterates(p, drawn.lam, drawn.codes, start, STEP / 10)
    for (P, _, _), (P_next, _, found) in itertools.pairwise(itertools.islice(iterates, 6)):
        fall = drawn.J(P) - drawn.J(P_next)
        slack = drawn.slack(found.f, found.g)
        assert fall >= -slack
        if (P_next > 0)[P > 0].all() and (drawn.joint(P) > 0)[drawn.joint(P_next) > 0].all():
            moved = (case.eps * refot.kl(P, P_next)
                     + drawn.lam * refot.kl(drawn.joint(P_next), drawn.joint(P)))
            # an entry that falls to p has the log ratio 1/p in its KL: at most -708 + log 33^2
            assert abs(fall - moved) <= slack + 4 * STEP / 10 * 715 * (case.eps + drawn.lam)


@given(informative(ratios=(0, 0.25, 0.75, 1.5, 4, 16)))
def test_a_converged_result_is_a_fixed_point_with_both_marginals(drawn):
    found = drawn.solve(max_iter=5_000)
    assert found.converged
    assert found.marginal_error <= STEP / 10
    case = drawn.case
    error = abs(found.P.sum(axis=1) - case.a).sum() + abs(found.P.sum(axis=0) - case.b).sum()
    assert error <= STEP / 10 + case.rounding(found.f, found.g) / case.eps
    assert found.steps[-1] <= STEP
    assert all(step > STEP for step in found.steps[:-1])
    assert len(found.objectives) == found.iterations + 1
    assert found.objectives[-1] == drawn.J(found.P)
    tilted = informative_cost(case.C, found.Q[drawn.codes], drawn.lam)
    P = refot.plan(found.f, found.g, tilted, case.a, case.b, case.eps)
    np.testing.assert_array_equal(P, found.P)


@given(with_plan(ratios=(0, 0.25, 0.75)))
def test_for_lam_below_eps_no_plan_is_better(drawn):
    problem_, R = drawn
    found = problem_.solve(max_iter=5_000)
    # near the minimum J grows with the square of the distance: the last step leaves far less
    assert problem_.J(found.P) <= problem_.J(R) + problem_.slack(found.f, found.g)


@given(informative(ratios=(0.25, 0.75)), st.data())
def test_for_lam_below_eps_the_start_does_not_matter(drawn, data):
    """Strictly convex. With steps that shrink by lam / eps <= 3/4, at most 3 last steps remain."""
    case = drawn.case
    start = data.draw(multiples((drawn.n_codes, case.b.size), -16, 16, 0.125))
    first, second = drawn.solve(max_iter=5_000), drawn.solve(Q=start, max_iter=5_000)
    joints = [drawn.joint(found.P) for found in (first, second)]
    assert abs(joints[0] - joints[1]).sum() <= 2 * 4 * STEP


@given(informative(ratios=(0,)))
def test_lam_zero_is_the_plan_of_sinkhorn_after_one_step(drawn):
    found = drawn.solve()
    assert found.iterations == 1
    expected = solved(drawn.case).plan
    assert abs(found.P - expected).sum() <= 4 * drawn.case.potential_slack / drawn.case.eps * 100


@given(informative(ratios=(0.75, 1.5)))
def test_every_backend_finds_the_same_plan(backend, drawn):
    options = {"max_iter": 200}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        reference = drawn.solve(**options)
        found = drawn.solve(backend=backend, **options)
    assert abs(found.iterations - reference.iterations) <= 1
    assert abs(found.objectives[-1] - reference.objectives[-1]) <= drawn.slack(found.f, found.g)


def test_a_solve_that_stops_short_says_so():
    figure = figure_2_problem()
    with pytest.warns(ConvergenceWarning, match="after 3 steps"):
        found = solve_informative(figure.C, figure.a, figure.b, 0.5, 0.45, figure.codes, max_iter=3)
    assert not found.converged
    assert found.iterations == 3
    assert found.steps[-1] > found.tolerance == 1e-8


@pytest.mark.parametrize(("n", "m"), [(8, 3), (3, 8)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_plans_keep_their_dtype_on_either_side(n, m, dtype):
    """float64 takes Newton's method in the smaller side, float32 Sinkhorn's."""
    rng = np.random.default_rng(1)
    C, a, b = rng.random((n, m)).astype(dtype), np.full(n, 1 / n), np.full(m, 1 / m)
    found = solve_informative(C, a.astype(dtype), b.astype(dtype), 0.5, 0.25, np.arange(n) % 2)
    assert found.converged
    assert found.P.dtype == found.Q.dtype == dtype
    assert found.P.shape == (n, m)
    exact = solve_informative(C.astype(float), a, b, 0.5, 0.25, np.arange(n) % 2)
    assert abs(found.P - exact.P).sum() <= (1e-7 if dtype is np.float64 else 1e-3)


def test_a_step_that_moves_the_cost_far_falls_back_on_the_schedule():
    """lam = 250 eps, eps = max C / 100: Newton alone, from the last potential, loses its way."""
    figure = figure_2_problem()
    with pytest.warns(IllPosedWarning):
        found = solve_informative(figure.C, figure.a, figure.b, 0.02, 5.0, figure.codes)
    assert found.converged
    assert (np.diff(found.objectives) <= 1e-8).all()


# ------------------------------------------------------------------ refused
BAD = {
    "codes that are not integers": ({"codes": [0.0, 1.0]}, TypeInputError, "codes"),
    "a negative code": ({"codes": [0, -1]}, InputError, "codes"),
    "too few codes": ({"codes": [0]}, ShapeError, "codes"),
    "negative lam": ({"lam": -0.1}, InputError, "lam"),
    "infinite lam": ({"lam": math.inf}, InputError, "lam"),
    "no step": ({"max_iter": 0}, InputError, "max_iter"),
    "a table with a row too few": ({"Q": np.zeros((1, 2))}, ShapeError, "Q"),
    "tol": ({"tol": 0.0}, InputError, "tol"),
    "weights": ({"a": [0.5, 0.6]}, WeightError, "a"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_bad_input_is_named(case):
    change, error, name = case
    good = {"C": np.zeros((2, 2)), "a": [0.5, 0.5], "b": [0.5, 0.5], "eps": 1.0, "lam": 0.5,
            "codes": [0, 1]}
    with pytest.raises(error, match=f"^{name}: "):
        solve_informative(**(good | change))
