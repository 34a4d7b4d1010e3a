"""The gradient of the sharp value by implicit differentiation, against the complex step."""

from __future__ import annotations

import numpy as np
from gradient_cases import (
    cases,
    cost_matrix,
    error,
    extrapolated,
    gradient,
    self_solved,
    solved,
    weights_gradient,
)
from hypothesis import given

from refot import semi_dual_plan, solve
from refot.implicit import (
    sharp_value_gradient,
    sharp_value_gradient_points,
    sharp_value_gradient_weights,
    sinkhorn_loss_gradient,
)
from refot.unrolled import scaling_loss_gradient_log


# ------------------------------------------------------------------ the sharp value, implicitly
@given(cases())
def test_implicit_gradient_of_s_in_the_cost(case):
    """Seen 2.9e-12, from the tolerance of the solve; the entries sum to 1."""
    C = case.C.dense()
    expected = gradient(lambda C: solved(C, case.a, case.b, case.eps)[1], C)
    found = sharp_value_gradient(case.C, case.a, case.b, case.eps)
    assert error(found, expected) <= 6e-12
    assert abs(found.sum() - 1) <= 1e-11


@given(cases())
def test_implicit_gradient_of_s_in_points(case):
    """Seen 9.6e-13."""
    expected = gradient(
        lambda x: solved(cost_matrix(x, case.y, case.cost), case.a, case.b, case.eps)[1], case.x
    )
    found = sharp_value_gradient_points(case.C, case.a, case.b, case.eps)
    assert error(found, expected, case.term) <= 4e-12


@given(cases(least=2))
def test_implicit_gradient_of_s_in_weights(case):
    """Seen 5.5e-11; both sides, so that the Schur complement is taken of either."""
    C = case.C.dense()
    in_a = weights_gradient(lambda a: solved(C, a, case.b, case.eps)[1], case.a)
    in_b = weights_gradient(lambda b: solved(C, case.a, b, case.eps)[1], case.b)
    found_a = sharp_value_gradient_weights(case.C, case.a, case.b, case.eps)
    found_b = sharp_value_gradient_weights(case.C.T, case.b, case.a, case.eps)
    assert error(found_a, in_a) <= 1e-9
    assert error(found_b, in_b) <= 1e-9


@given(cases(least=2))
def test_gradient_of_the_sinkhorn_loss_of_G(case):
    """G-4 at convergence. Seen 2.4e-12."""
    def forward(x):
        s_xy = solved(cost_matrix(x, case.y, case.cost), case.a, case.b, case.eps)[1]
        return 2 * s_xy - self_solved(cost_matrix(x, x, case.cost), case.a, case.eps)[1]

    found = sinkhorn_loss_gradient(case.x, case.a, case.y, case.b, case.eps, case.cost)
    assert error(found, gradient(forward, case.x), case.term) <= 6e-12


@given(cases())
def test_unrolling_tends_to_the_implicit_gradient(case):
    unrolled = scaling_loss_gradient_log(case.C, case.a, case.b, case.eps, 200)
    implicit = sharp_value_gradient(case.C, case.a, case.b, case.eps)
    assert error(unrolled, implicit) <= 1e-11


@given(cases(least=2))
def test_the_sharp_gradient_is_the_plan_less_eps_times_its_slope_in_eps(case):
    """s = F - eps dF/deps and dF/dC = P, so ds/dC = P - eps dP/deps."""
    def plan(t):
        eps = case.eps * (1 + t)
        g = solve(case.C, case.a, case.b, eps, tol=1e-13).g
        return semi_dual_plan(g, case.C, case.a, case.b, eps)

    expected = plan(0.0) - extrapolated(plan)
    assert error(sharp_value_gradient(case.C, case.a, case.b, case.eps), expected) <= 1e-9


def test_the_envelope_gradient_is_wrong_for_s():
    """Erratum G1: F's gradient P in the place of ds/dC, here by more than 9 %."""
    rng = np.random.default_rng(0)
    C, a = rng.uniform(size=(5, 5)), np.full(5, 0.2)
    plan = semi_dual_plan(solve(C, a, a, 0.1).g, C, a, a, 0.1)
    assert error(plan, sharp_value_gradient(C, a, a, 0.1)) > 0.09
