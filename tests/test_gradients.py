"""Every closed-form gradient against the complex step of its own forward formula, written here.

The imaginary part of f(x + ih) / h is f'(x), without cancellation: in extended precision, where
the machine has it, the comparison is good to a unit of float64 rounding. "Quoted" is the error
published with the formula, "seen" the largest of 1,000 problems or more like those drawn here,
both relative to the largest entry, or to what is summed in it where that can cancel (`term`).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refot import (
    InputError,
    entropic_value,
    get_backend,
    informative_cost,
    mmd_squared,
    mmd_squared_unbiased,
    point_cost,
    q_objective,
    semi_dual_gradient,
    semi_dual_plan,
    sharp_value,
    sinkhorn_divergence,
    solve,
)
from refot import gradients as envelope
from refot.costs import GROUND_COSTS
from refot.implicit import (
    sharp_value_gradient,
    sharp_value_gradient_points,
    sharp_value_gradient_weights,
    sinkhorn_loss_gradient,
)
from refot.unrolled import (
    scaling_loss_gradient,
    scaling_loss_gradient_log,
    scaling_loss_gradient_points,
    scaling_loss_gradient_self,
)

COSTS = sorted(GROUND_COSTS)
STEP = 1e-30


# ------------------------------------------------------------------ problems
@dataclass(frozen=True)
class Case:
    """Two weighted point clouds in general position, eps between .2 and 1 of max C."""

    x: np.ndarray
    a: np.ndarray
    y: np.ndarray
    b: np.ndarray
    cost: str
    eps: float
    rng: np.random.Generator

    @property
    def C(self):
        return point_cost(self.x, self.y, self.cost)

    @property
    def term(self):
        """The size of what is summed in a gradient in points."""
        return max(term(self.C, self.a), term(self.C, self.b))


@st.composite
def cases(draw, least=1, most=6):
    size = st.integers(least, most)
    n, m, d = draw(size), draw(size), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d)) + 0.5
    a, b = rng.dirichlet(np.full(n, 2.0)), rng.dirichlet(np.full(m, 2.0))
    cost = draw(st.sampled_from(COSTS))
    eps = rng.uniform(0.2, 1.0) * point_cost(x, y, cost).dense().max()
    return Case(x, a, y, b, cost, eps, rng)


def term(C, a):
    """The largest weight times the largest |d1 c|."""
    return a.max() * abs(C.gradient_rows(slice(None))).max()


def error(found, expected, scale=None):
    """The largest difference, relative to `scale`: if not given, the largest entry expected."""
    return abs(found - expected).max() / (abs(expected).max() if scale is None else scale)


# ------------------------------------------------------------------ forward formulas, complex
def gradient(function, at):
    """The gradient of `function` at `at`, of its shape; the function maps a stack to values."""
    directions = np.eye(at.size, dtype=np.clongdouble).reshape(-1, *at.shape)
    return (function(at + 1j * STEP * directions).imag / STEP).reshape(at.shape).astype(float)


def weights_gradient(function, a):
    """The same along e_i - 1/n: what a centred gradient in weights is."""
    directions = np.eye(len(a), dtype=np.clongdouble) - 1 / len(a)
    return (function(a + 1j * STEP * directions).imag / STEP).astype(float)


def cost_matrix(x, y, cost):
    v = x[..., :, None, :] - y[..., None, :, :]
    if cost == "l1":
        return (v * np.sign(v.real)).sum(axis=-1)
    squared = (v * v).sum(axis=-1)
    return np.sqrt(squared) if cost == "euclidean" else squared


def transform(g, C, b, eps):
    return -eps * np.log((b[..., None, :] * np.exp((g[..., None, :] - C) / eps)).sum(axis=-1))


def plan_of(f, g, C, a, b, eps):
    weights = a[..., :, None] * b[..., None, :]
    return weights * np.exp((f[..., :, None] + g[..., None, :] - C) / eps)


def solved(C, a, b, eps):
    """(F, s) after 300 steps: converged to rounding, derivatives included, for these eps."""
    f, g = 0, np.zeros(C.shape[-1])
    for _ in range(300):
        f = transform(g, C, b, eps)
        g = transform(f, np.swapaxes(C, -1, -2), a, eps)
    f = transform(g, C, b, eps)
    return dot(a, f) + dot(b, g), (plan_of(f, g, C, a, b, eps) * C).sum(axis=(-1, -2))


def self_solved(C, a, eps):
    """(F, s) of a measure with itself, after 60 averaged steps (each halves the error)."""
    f = np.zeros(C.shape[-1])
    for _ in range(60):
        f = (f + transform(f, C, a, eps)) / 2
    return 2 * dot(a, f), (plan_of(f, f, C, a, a, eps) * C).sum(axis=(-1, -2))


def scaling_loss(C, a, b, eps, L):
    """G-8 by G-7, from v = b."""
    K, v = np.exp(-C / eps), b
    for _ in range(L):
        u = a / (K * v[..., None, :]).sum(axis=-1)
        v = b / (K * u[..., :, None]).sum(axis=-2)
    return (u[..., :, None] * K * C * v[..., None, :]).sum(axis=(-1, -2))


def dot(p, q):
    return (p * q).sum(axis=-1)


def extrapolated(function, h=1e-2):
    """The derivative at 0 by central differences, h to h/32, powers 1 to 5 of h eliminated."""
    table = [(function(t) - function(-t)) / (2 * t) for t in h / 2.0 ** np.arange(6)]
    for order in range(1, 6):
        table = [(2**order * fine - coarse) / (2**order - 1)
                 for coarse, fine in itertools.pairwise(table)]
    return table[0]


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


# ------------------------------------------------------------------ G-8, unrolled
def gentle(case):
    """The case with eps between .4 and 2 of max C: the rounding of both forms grows as C / eps."""
    return replace(case, eps=2 * case.eps)


@given(cases().map(gentle), st.integers(1, 10))
def test_scaling_adjoint(case, L):
    """Quoted 1.9e-15, seen 8.1e-16."""
    C = case.C.dense()
    expected = gradient(lambda C: scaling_loss(C, case.a, case.b, case.eps, L), C)
    found = scaling_loss_gradient(C, case.a, case.b, case.eps, L)
    assert error(found, expected) <= 3e-15


@given(cases().map(gentle), st.integers(1, 10))
def test_log_adjoint(case, L):
    """Quoted 6.3e-15, seen 9.8e-16."""
    C = case.C.dense()
    expected = gradient(lambda C: scaling_loss(C, case.a, case.b, case.eps, L), C)
    found = scaling_loss_gradient_log(case.C, case.a, case.b, case.eps, L)
    assert error(found, expected) <= 6.3e-15


@given(cases().map(gentle), st.integers(1, 10))
def test_the_two_adjoints_agree(case, L):
    """Quoted 1.5e-15, seen 1.4e-15 (5.1e-15 at eps = .2 max C, in 20,000 problems).

    The entries sum to 1: the cost C + t has the loss plus t."""
    found = scaling_loss_gradient(case.C.dense(), case.a, case.b, case.eps, L)
    log = scaling_loss_gradient_log(case.C, case.a, case.b, case.eps, L)
    assert error(log, found) <= 3e-15
    assert abs(found.sum() - 1) <= 1e-14


@given(cases(), st.integers(1, 10))
def test_unrolled_gradient_in_both_point_clouds(case, L):
    """Seen 1.4e-15."""
    def forward(x, y):
        return scaling_loss(cost_matrix(x, y, case.cost), case.a, case.b, case.eps, L)

    dx, dy = scaling_loss_gradient_points(case.C, case.a, case.b, case.eps, L)
    assert error(dx, gradient(lambda x: forward(x, case.y), case.x), case.term) <= 4e-15
    assert error(dy, gradient(lambda y: forward(case.x, y), case.y), case.term) <= 4e-15


@given(cases(least=2), st.integers(1, 10))
def test_unrolled_gradient_of_the_self_term(case, L):
    """(Cb + Cb') * d1 c: quoted 6.3e-15 for Cb, seen 3.6e-16."""
    C = point_cost(case.x, case.x, case.cost)
    eps = case.eps + 0.2 * C.dense().max()
    expected = gradient(
        lambda x: scaling_loss(cost_matrix(x, x, case.cost), case.a, case.a, eps, L), case.x
    )
    found = scaling_loss_gradient_self(C, case.a, eps, L)
    assert error(found, expected, case.term) <= 6e-15


@given(cases(least=2), st.integers(1, 10), st.integers(1, 4))
def test_learned_cost_with_a_linear_feature_map(case, L, k):
    """c = |W x - W y|: dW = T.sum(1)'X - T.sum(0)'Y, T = Cb * N. Quoted 3.6e-12, seen 2.4e-15."""
    W = case.rng.normal(size=(k, case.x.shape[1]))
    u, v = case.x @ W.T, case.y @ W.T
    features = point_cost(u, v, "euclidean")
    eps = features.dense().max() / 2
    du, dv = scaling_loss_gradient_points(features, case.a, case.b, eps, L)

    def forward(W):
        C = cost_matrix(case.x @ W.swapaxes(-1, -2), case.y @ W.swapaxes(-1, -2), "euclidean")
        return scaling_loss(C, case.a, case.b, eps, L)

    assert error(du.T @ case.x + dv.T @ case.y, gradient(forward, W)) <= 1e-14
    r = features.dense()[..., None]
    N = (u[:, None, :] - v) / r
    T = scaling_loss_gradient_log(features, case.a, case.b, eps, L)[..., None] * N
    dW = np.einsum("ik,id->kd", T.sum(1), case.x) - np.einsum("jk,jd->kd", T.sum(0), case.y)
    assert error(du.T @ case.x + dv.T @ case.y, dW) <= 4e-15


def test_log_adjoint_where_the_kernel_underflows():
    """C / eps = 4,000: the scaling form is NaN there, the log form solves the assignment."""
    C = np.array([[0.0, 40.0, 20.0], [40.0, 0.0, 20.0], [30.0, 20.0, 0.0]])
    a = np.full(3, 1 / 3)
    found = scaling_loss_gradient_log(C, a, a, 0.01, 5)
    np.testing.assert_allclose(found, np.diag(a), rtol=0, atol=1e-12)
    with np.errstate(all="ignore"):
        assert not np.isfinite(scaling_loss_gradient(C + 10, a, a, 0.01, 5)).any()


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


# ------------------------------------------------------------------ duplicates, zero weights
GRADIENTS_IN_POINTS = {
    "F": (lambda C, a, b, eps: envelope.entropic_value_gradient_points(C, a, b, eps),
          lambda C, a, b, eps: entropic_value(C, a, b, eps, tol=1e-13)),
    "s": (lambda C, a, b, eps: sharp_value_gradient_points(C, a, b, eps),
          lambda C, a, b, eps: sharp_value(C, a, b, eps, tol=1e-13)),
    "L": (lambda C, a, b, eps: scaling_loss_gradient_points(C, a, b, eps, 4)[0],
          lambda C, a, b, eps: scaling_loss(C.dense(), a, b, eps, 4)),
}


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("name", GRADIENTS_IN_POINTS)
def test_at_coinciding_points_the_gradient_is_the_mean_of_the_one_sided_ones(name, cost):
    """x_0 = y_1 and x_1 = x_2: finite, and what central differences tend to."""
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(4, 2)), rng.normal(size=(3, 2))
    x[0], x[2] = y[1], x[1]
    a, b, eps = rng.dirichlet(np.ones(4)), rng.dirichlet(np.ones(3)), 1.5
    found_gradient, value = GRADIENTS_IN_POINTS[name]
    found = found_gradient(point_cost(x, y, cost), a, b, eps)
    for i in range(4):
        v = rng.normal(size=2)
        moved = extrapolated(
            lambda t, i=i, v=v: value(point_cost(x + t * np.eye(4)[i, :, None] * v, y, cost),
                                      a, b, eps)
        )
        assert found[i] @ v == pytest.approx(moved, abs=1e-9)


@pytest.mark.parametrize("cost", COSTS)
def test_self_terms_with_duplicate_points(cost):
    """A pair x_1 = x_2 that separates: again the mean of the one-sided derivatives."""
    rng = np.random.default_rng(8)
    x, y = rng.normal(size=(4, 2)), rng.normal(size=(3, 2))
    x[2] = x[1]
    a, b, eps = rng.dirichlet(np.ones(4)), rng.dirichlet(np.ones(3)), 1.5
    pairs = [
        (envelope.sinkhorn_divergence_gradient(x, a, y, b, eps, cost),
         lambda x: sinkhorn_divergence(x, a, y, b, eps, cost, tol=1e-13)),
        (envelope.mmd_squared_gradient(x, a, y, b, cost),
         lambda x: mmd_squared(x, a, y, b, cost)),
        (envelope.mmd_squared_unbiased_gradient(x, a, y, b, cost),
         lambda x: mmd_squared_unbiased(x, a, y, b, cost)),
        (scaling_loss_gradient_self(point_cost(x, x, cost), a, eps, 4),
         lambda x: scaling_loss(point_cost(x, x, cost).dense(), a, a, eps, 4)),
    ]
    direction = np.array([0.0, 1.0, 0.0, 0.0])[:, None] * rng.normal(size=2)
    for found, value in pairs:
        moved = extrapolated(lambda t, value=value: value(x + t * direction))
        assert (found * direction).sum() == pytest.approx(moved, abs=1e-9)


def test_learned_cost_at_equal_features_is_finite():
    u = np.ones((3, 2))
    weights = np.full(3, 1 / 3)
    du, dv = scaling_loss_gradient_points(point_cost(u, u, "euclidean"), weights, weights, 1.0, 5)
    np.testing.assert_array_equal(du, 0)
    np.testing.assert_array_equal(dv, 0)


@given(cases(least=3))
def test_zero_weights(case):
    """An atom without mass: 0 in points, and in weights the limit of a vanishing mass."""
    a, b = case.a.copy(), case.b.copy()
    a[0], b[0] = 0.0, 0.0
    a, b, C = a / a.sum(), b / b.sum(), case.C
    for in_points in (
        envelope.entropic_value_gradient_points(C, a, b, case.eps),
        sharp_value_gradient_points(C, a, b, case.eps),
        scaling_loss_gradient_points(C, a, b, case.eps, 3)[0],
        envelope.sinkhorn_divergence_gradient(case.x, a, case.y, b, case.eps, case.cost),
    ):
        assert np.isfinite(in_points).all()
        np.testing.assert_array_equal(in_points[0], 0)
    L_gradient = scaling_loss_gradient(C.dense(), a, b, case.eps, 3)
    assert error(L_gradient, scaling_loss_gradient_log(C, a, b, case.eps, 3)) <= 1e-14

    t = 1e-9
    nearly = (1 - t) * a
    nearly[0] = t
    for in_weights in (
        lambda a: envelope.entropic_value_gradient_weights(C, a, b, case.eps),
        lambda a: sharp_value_gradient_weights(C, a, b, case.eps),
        lambda a: envelope.sinkhorn_divergence_gradient_weights(
            case.x, a, case.y, b, case.eps, case.cost),
    ):
        assert error(in_weights(a), in_weights(nearly), scale=case.eps) <= 1e-5


@given(cases(least=2))
def test_nothing_changes_under_a_translation_of_everything(case):
    """Over both clouds, gradients in points sum to 0; those of self terms do by themselves."""
    C, a, b, eps = case.C, case.a, case.b, case.eps
    dx, dy = scaling_loss_gradient_points(C, a, b, eps, 3)
    size = abs(dx).max()
    assert error(dx.sum(axis=0), -dy.sum(axis=0), scale=size) <= 1e-13
    both = [envelope.entropic_value_gradient_points(*order, eps)
            for order in ((C, a, b), (C.T, b, a))]
    size = abs(both[0]).max()
    assert error(both[0].sum(axis=0), -both[1].sum(axis=0), scale=size) <= 1e-11
    own = scaling_loss_gradient_self(point_cost(case.x, case.x, case.cost), a, eps, 3)
    assert error(own.sum(axis=0), 0, scale=1) <= 1e-13


@given(cases(least=2))
def test_an_atom_split_in_two_keeps_its_gradient(case):
    """The two halves of an atom share its gradient in points in proportion to their weights."""
    x, a = np.vstack([case.x, case.x[:1]]), np.append(case.a, 0.3 * case.a[0])
    a[0] *= 0.7
    whole = envelope.sinkhorn_divergence_gradient(
        case.x, case.a, case.y, case.b, case.eps, case.cost)
    split = envelope.sinkhorn_divergence_gradient(x, a, case.y, case.b, case.eps, case.cost)
    assert error(split[[0, -1]], np.outer([0.7, 0.3], whole[0]), abs(whole).max()) <= 1e-11
    assert error(split[1:-1], whole[1:]) <= 1e-11


def test_a_scaled_cost_scales_the_gradients():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(5, 2)), rng.normal(size=(4, 2))
    a, b = np.full(5, 0.2), np.full(4, 0.25)
    C = point_cost(x, y, "euclidean")
    for of in (envelope.entropic_value_gradient_points, sharp_value_gradient_points):
        np.testing.assert_allclose(of(C.scaled(3), a, b, 3.0), 3 * of(C, a, b, 1.0), rtol=1e-11)


def test_float32_points_give_float32_gradients():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(5, 2)), rng.normal(size=(4, 2))
    a, b = np.full(5, 0.2), np.full(4, 0.25)
    exact = envelope.sinkhorn_divergence_gradient(x, a, y, b, 1.0)
    found = envelope.sinkhorn_divergence_gradient(
        x.astype(np.float32), a, y.astype(np.float32), b, 1.0, tol=1e-5)
    assert found.dtype == np.float32
    assert error(found, exact) <= 1e-4


def test_every_backend_gives_the_same_gradients(backend):
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(5, 2)), rng.normal(size=(4, 2))
    a, b, g = rng.dirichlet(np.ones(5)), rng.dirichlet(np.ones(4)), rng.normal(size=4)
    to_numpy = get_backend(backend).to_numpy
    for cost in COSTS:
        C = point_cost(x, y, cost)
        for of in (
            lambda on, C=C: envelope.entropic_value_gradient_points(C, a, b, 1.0, backend=on),
            lambda on, C=C: envelope.entropic_value_gradient_weights(C, a, b, 1.0, backend=on),
            lambda on, c=cost: envelope.sinkhorn_divergence_gradient(
                x, a, y, b, 1.0, c, backend=on),
            lambda on, C=C: envelope.semi_dual_gradient_points(g, C, a, b, 1.0, backend=on),
            lambda on, C=C: scaling_loss_gradient_points(C, a, b, 1.0, 3, backend=on)[1],
            lambda on, C=C: sharp_value_gradient_points(C, a, b, 1.0, backend=on),
            lambda on, c=cost: sinkhorn_loss_gradient(x, a, y, b, 1.0, c, backend=on),
        ):
            assert error(to_numpy(of(backend)), of("numpy")) <= 1e-11


@pytest.mark.parametrize("of", [
    envelope.entropic_value_gradient_points,
    sharp_value_gradient_points,
    lambda C, a, b, eps: scaling_loss_gradient_points(C, a, b, eps, 1),
    lambda C, a, b, eps: scaling_loss_gradient_self(C, a, eps, 1),
    lambda C, a, b, eps: envelope.semi_dual_gradient_points([0.0, 0.0], C, a, b, eps),
    lambda C, a, b, eps: envelope.points_gradient(C, C),
])
def test_a_matrix_has_no_points_to_differentiate_in(of):
    with pytest.raises(InputError, match=r"C: ndarray; allowed: a point cost"):
        of(np.ones((2, 2)), [0.5, 0.5], [0.5, 0.5], 1.0)


def test_arguments_are_checked():
    P = np.full((2, 2), 0.25)
    half = [0.5, 0.5]
    with pytest.raises(InputError, match=r"^Q: shape"):
        envelope.q_objective_gradient(np.ones((3, 2)), P, half, half)
    with pytest.raises(InputError, match=r"^z1: shape"):
        envelope.dot_product_gradient(P, np.ones((3, 1)))
    with pytest.raises(InputError, match=r"^eta: shape"):
        envelope.generator_loss_gradient(P, P, P, P, np.ones((3, 2)))
    with pytest.raises(InputError, match=r"^lam: -1"):
        envelope.semi_dual_gradient_q([0, 0], P, P, -1, half, half, 1.0)
    with pytest.raises(InputError, match=r"^L: 0"):
        scaling_loss_gradient(P, half, half, 1.0, 0)
    with pytest.raises(InputError, match=r"^L: 0"):
        scaling_loss_gradient_log(P, half, half, 1.0, 0)
    with pytest.raises(InputError, match="at least two atoms"):
        envelope.mmd_squared_unbiased_gradient([[0.0]], [1.0], [[0.0], [1.0]], half)
