"""Gradients by the envelope theorem, of the semi-dual, Q and MMD, against the complex step."""

from __future__ import annotations

import numpy as np
import pytest
from gradient_cases import (
    cases,
    cost_matrix,
    dot,
    error,
    gradient,
    self_solved,
    solved,
    term,
    transform,
    weights_gradient,
)
from hypothesis import given
from hypothesis import strategies as st

from refot import gradients as envelope
from refot import (
    informative_cost,
    mmd_squared,
    mmd_squared_unbiased,
    point_cost,
    q_objective,
    semi_dual_gradient,
    semi_dual_plan,
    solve,
)


# ------------------------------------------------------------------ F and S: the envelope theorem
@given(cases())
def test_gradient_of_F_in_points(case):
    """Seen 9.4e-13, from the default tolerance of the solve."""
    expected = gradient(
        lambda x: solved(cost_matrix(x, case.y, case.cost), case.a, case.b, case.eps)[0], case.x
    )
    found = envelope.entropic_value_gradient_points(case.C, case.a, case.b, case.eps)
    assert error(found, expected, case.term) <= 4e-12


@given(cases(least=2))
def test_gradient_of_F_in_weights(case):
    """Quoted 1e-8, seen 9.7e-12: the potential, centred."""
    C = case.C.dense()
    expected = weights_gradient(lambda a: solved(C, a, case.b, case.eps)[0], case.a)
    found = envelope.entropic_value_gradient_weights(case.C, case.a, case.b, case.eps)
    assert error(found, expected) <= 1e-8
    assert error(found.sum(), 0, scale=C.max()) <= 1e-14


@given(cases())
def test_gradient_of_F_in_the_second_argument_is_that_of_the_exchanged_problem(case):
    expected = gradient(
        lambda y: solved(cost_matrix(case.x, y, case.cost), case.a, case.b, case.eps)[0], case.y
    )
    found = envelope.entropic_value_gradient_points(case.C.T, case.b, case.a, case.eps)
    assert error(found, expected, case.term) <= 4e-12


def divergence_forward(case, x):
    F_xy = solved(cost_matrix(x, case.y, case.cost), case.a, case.b, case.eps)[0]
    return F_xy - self_solved(cost_matrix(x, x, case.cost), case.a, case.eps)[0] / 2


@given(cases(least=2))
def test_gradient_of_S_in_points(case):
    """Quoted 2e-12, seen 8.0e-13 (4.5e-12 of the largest entry): both slots of the self term."""
    expected = gradient(lambda x: divergence_forward(case, x), case.x)
    found = envelope.sinkhorn_divergence_gradient(
        case.x, case.a, case.y, case.b, case.eps, case.cost
    )
    assert error(found, expected, case.term) <= 4e-12


@given(cases(least=2))
def test_gradient_of_S_in_weights(case):
    """Seen 1.6e-10, where the two potentials nearly cancel."""
    C, C_self = case.C.dense(), cost_matrix(case.x, case.x, case.cost)

    def forward(a):
        F_xx = self_solved(C_self, a, case.eps)[0]
        return solved(C, a, case.b, case.eps)[0] - F_xx / 2

    found = envelope.sinkhorn_divergence_gradient_weights(
        case.x, case.a, case.y, case.b, case.eps, case.cost
    )
    assert error(found, weights_gradient(forward, case.a)) <= 1e-8
    assert error(found.sum(), 0, scale=C.max()) <= 1e-14


@given(cases(least=2))
def test_S_has_a_zero_gradient_at_equal_measures(case):
    arguments = case.x, case.a, case.x, case.a, case.eps, case.cost
    scale = abs(case.C.dense()).max()
    assert abs(envelope.sinkhorn_divergence_gradient(*arguments)).max() <= 1e-10 * scale
    assert abs(envelope.sinkhorn_divergence_gradient_weights(*arguments)).max() <= 1e-9 * scale


# ------------------------------------------------------------------ semi-dual, Q, B-24 to B-32
@given(cases(least=2))
def test_gradient_of_the_semi_dual_in_the_potential(case):
    """B-24, B-27 (with C = c(x', x'')), H-27: quoted 4.5e-16, seen 8.0e-16 (C / eps <= 1)."""
    C, eps = case.C.dense(), case.C.dense().max()
    g = case.rng.normal(size=len(case.b)) * eps / 2
    expected = gradient(lambda g: dot(case.a, transform(g, C, case.b, eps)) + dot(case.b, g), g)
    found = semi_dual_gradient(g, case.C, case.a, case.b, eps)
    assert error(found, expected, scale=case.b.max()) <= 1e-15


@given(cases(least=2, most=4))
def test_gradient_of_the_semi_dual_in_points(case):
    """H-29/30: quoted 2.5e-16, seen 5.7e-16 (C / eps <= 1)."""
    eps = case.C.dense().max()
    g = case.rng.normal(size=len(case.b)) * eps / 2

    def forward(x):
        return dot(case.a, transform(g, cost_matrix(x, case.y, case.cost), case.b, eps))

    found = envelope.semi_dual_gradient_points(g, case.C, case.a, case.b, eps)
    assert error(found, gradient(forward, case.x), case.term) <= 7.5e-16


@given(cases(least=2))
def test_pull_back_to_an_affine_generator(case):
    """H-30 with g_theta(z) = A z + t: dA = sum_i (dx)_i z_i'. Seen 9.6e-16."""
    n, d = case.x.shape
    z, A, t = case.rng.normal(size=(n, 2)), case.rng.normal(size=(d, 2)), case.rng.normal(size=d)
    C = point_cost(z @ A.T + t, case.y, case.cost)
    eps = C.dense().max()
    g = case.rng.normal(size=len(case.b)) * eps / 2

    def forward(A):
        C = cost_matrix(z @ A.swapaxes(-1, -2) + t, case.y, case.cost)
        return dot(case.a, transform(g, C, case.b, eps))

    dx = envelope.semi_dual_gradient_points(g, C, case.a, case.b, eps)
    assert error(dx.T @ z, gradient(forward, A), term(C, case.a) * abs(z).max()) <= 3e-15


@given(cases(least=2), st.floats(0.1, 2.0))
def test_gradients_of_B24_with_Q(case, lam):
    """dD2 = b - a@chi, dD_Q = -lam (a chi)' z1: quoted < 1e-15, seen 1.0e-15 and 1.5e-15."""
    C, n, m = case.C.dense(), len(case.a), len(case.b)
    z1, D_Q = case.rng.normal(size=(n, 3)), case.rng.normal(size=(m, 3)) / 2
    D2 = case.rng.normal(size=m) * case.eps
    lam = lam * case.eps

    def forward(D2, D_Q):
        perturbed = C - lam * (z1 @ D_Q.swapaxes(-1, -2))
        return dot(case.a, transform(D2, perturbed, case.b, case.eps)) + dot(case.b, D2)

    Q = z1 @ D_Q.T
    cost = informative_cost(case.C, Q, lam)
    found = semi_dual_gradient(D2, cost, case.a, case.b, case.eps)
    assert error(found, gradient(lambda D2: forward(D2, D_Q), D2), scale=case.b.max()) <= 3e-15
    dQ = envelope.semi_dual_gradient_q(D2, case.C, Q, lam, case.a, case.b, case.eps)
    found = envelope.dot_product_gradient(dQ, z1)
    assert error(found, gradient(lambda D_Q: forward(D2, D_Q), D_Q)) <= 3e-15


@given(cases(least=2))
def test_gradients_of_B31(case):
    """dQ = a b exp Q - P, dD_Q = (dQ)' z1: quoted < 1e-15, seen 4e-16 and 1.0e-15."""
    n, m = len(case.a), len(case.b)
    z1, D_Q = case.rng.normal(size=(n, 3)), case.rng.normal(size=(m, 3))
    P = case.rng.dirichlet(np.ones(n * m)).reshape(n, m)

    def forward(Q):
        return (case.a[:, None] * case.b * np.exp(Q) - Q * P).sum(axis=(-1, -2))

    Q = z1 @ D_Q.T
    found = envelope.q_objective_gradient(Q, P, case.a, case.b)
    assert error(found, gradient(forward, Q)) <= 2e-15
    assert forward(Q) == pytest.approx(q_objective(Q, P, case.a, case.b), rel=1e-14)
    in_features = gradient(lambda D_Q: forward(z1 @ D_Q.swapaxes(-1, -2)), D_Q)
    assert error(envelope.dot_product_gradient(found, z1), in_features) <= 4e-15
    best = np.log(P / np.outer(case.a, case.b))
    at_optimum = envelope.q_objective_gradient(best, P, case.a, case.b)
    assert error(at_optimum, 0, scale=P.max()) <= 2e-15


@given(cases(least=2))
def test_gradients_of_B32(case):
    """In x' and x'': quoted 9e-11 (squared l2), 2e-10 (l1), seen 8.7e-16."""
    x1, x2 = case.x, case.x + case.rng.normal(size=case.x.shape)
    n, m = len(case.a), len(case.b)
    P = case.rng.dirichlet(np.ones(n * m)).reshape(n, m)
    eta = case.rng.dirichlet(np.ones(n * n)).reshape(n, n)

    def forward(x1, x2):
        C, C_self = cost_matrix(x1, case.y, case.cost), cost_matrix(x1, x2, case.cost)
        return (C * P).sum(axis=(-1, -2)) - (C_self * eta).sum(axis=(-1, -2)) / 2

    d1, d2 = envelope.generator_loss_gradient(x1, x2, case.y, P, eta, case.cost)
    assert error(d1, gradient(lambda x1: forward(x1, x2), x1)) <= 4e-15
    assert error(d2, gradient(lambda x2: forward(x1, x2), x2)) <= 4e-15
    found = envelope.generator_loss(x1, x2, case.y, P, eta, case.cost)
    assert found == pytest.approx(forward(x1, x2), rel=1e-13, abs=1e-14)


@given(cases(least=2))
def test_B32_at_the_optimal_plans_is_the_envelope_gradient(case):
    P = semi_dual_plan(
        solve(case.C, case.a, case.b, case.eps, tol=1e-12).g, case.C, case.a, case.b, case.eps
    )
    C = point_cost(case.x, case.x, case.cost)
    eta = semi_dual_plan(
        solve(C, case.a, case.a, case.eps, tol=1e-12).g, C, case.a, case.a, case.eps
    )
    d1, d2 = envelope.generator_loss_gradient(case.x, case.x, case.y, P, eta, case.cost)
    expected = envelope.sinkhorn_divergence_gradient(
        case.x, case.a, case.y, case.b, case.eps, case.cost
    )
    assert error(d1 + d2, expected) <= 1e-10


# ------------------------------------------------------------------ MMD, energy distance
def mmd_forward(case, x, a):
    C, C_self = cost_matrix(x, case.y, case.cost), cost_matrix(x, x, case.cost)
    cross = (a[..., :, None] * C * case.b).sum(axis=(-1, -2))
    return 2 * cross, (a[..., :, None] * C_self * a[..., None, :]).sum(axis=(-1, -2))


@given(cases(least=2))
def test_gradients_of_the_V_statistic(case):
    """Seen 6.7e-16; "euclidean" is the energy distance."""
    def forward(x, a):
        cross, self_term = mmd_forward(case, x, a)
        return cross - self_term

    arguments = case.x, case.a, case.y, case.b, case.cost
    in_x = gradient(lambda x: forward(x, case.a), case.x)
    in_a = weights_gradient(lambda a: forward(case.x, a), case.a)
    size = case.C.dense().max()
    assert error(envelope.mmd_squared_gradient(*arguments), in_x, case.term) <= 3e-15
    assert error(envelope.mmd_squared_gradient_weights(*arguments), in_a, size) <= 3e-15
    constant = case.b @ cost_matrix(case.y, case.y, case.cost) @ case.b
    assert mmd_squared(*arguments) == pytest.approx(forward(case.x, case.a) - constant, abs=1e-13)


@given(cases(least=2))
def test_gradients_of_the_U_statistic(case):
    """Seen 5.2e-16, of C / q^2, q = 1 - sum a^2."""
    def forward(x, a):
        cross, self_term = mmd_forward(case, x, a)
        return cross - self_term / (1 - (a * a).sum(axis=-1))

    arguments = case.x, case.a, case.y, case.b, case.cost
    in_x = gradient(lambda x: forward(x, case.a), case.x)
    in_a = weights_gradient(lambda a: forward(case.x, a), case.a)
    q = 1 - dot(case.a, case.a)
    size = case.C.dense().max() / q**2
    assert error(envelope.mmd_squared_unbiased_gradient(*arguments), in_x, case.term / q) <= 3e-15
    assert error(envelope.mmd_squared_unbiased_gradient_weights(*arguments), in_a, size) <= 6e-15
    constant = case.b @ cost_matrix(case.y, case.y, case.cost) @ case.b / (1 - dot(case.b, case.b))
    expected = forward(case.x, case.a) - constant
    assert mmd_squared_unbiased(*arguments) == pytest.approx(expected, abs=1e-12)
