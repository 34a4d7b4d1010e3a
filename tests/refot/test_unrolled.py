"""The gradient of L steps of the scaling iteration (G-8), both forms, against the complex step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gradient_cases import cases, cost_matrix, error, gradient, scaling_loss
from hypothesis import given
from hypothesis import strategies as st

from refot import InputError, point_cost
from refot.solvers.scaling import ScalingWarning
from refot.unrolled import (
    scaling_loss_gradient,
    scaling_loss_gradient_log,
    scaling_loss_gradient_points,
    scaling_loss_gradient_self,
)


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
    with pytest.warns(ScalingWarning, match="scaling_loss_gradient_log"):
        assert not np.isfinite(scaling_loss_gradient(C + 10, a, a, 0.01, 5)).any()


def test_a_self_term_of_two_sets_of_points_is_refused():
    x = np.arange(6.0).reshape(3, 2)
    for y in (x + 1, x[:2]):
        with pytest.raises(InputError, match=r"^C: a cost between two sets"):
            scaling_loss_gradient_self(point_cost(x, y), [0.25, 0.25, 0.5], 1.0, 2)
