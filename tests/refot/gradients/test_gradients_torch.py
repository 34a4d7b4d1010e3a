"""The closed forms against torch's automatic differentiation of the forward formula, in float64.

torch records the forward operations and knows none of the formulas of `gradients` and `unrolled`.
"""

from __future__ import annotations

import numpy as np
import pytest

from refot import gradients as envelope
from refot import point_cost, sinkhorn_divergence
from refot.implicit import sharp_value_gradient_points
from refot.unrolled import (
    scaling_loss_gradient,
    scaling_loss_gradient_log,
    scaling_loss_gradient_points,
    scaling_loss_gradient_self,
)

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.peers,
    pytest.mark.parametrize("cost", ["sqeuclidean", "euclidean", "l1"]),
    pytest.mark.parametrize("seed", range(4)),
]


@pytest.fixture
def clouds(seed):
    rng = np.random.default_rng(seed)
    n, m, d = rng.integers(3, 9), rng.integers(3, 9), rng.integers(1, 4)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(m, d)) + 0.5
    return x, rng.dirichlet(np.full(n, 2.0)), y, rng.dirichlet(np.full(m, 2.0))


def cost_matrix(x, y, cost):
    """Safe at r = 0: torch's own norm has a NaN gradient there (sqrt' = infinity times 0)."""
    v = x[:, None, :] - y[None, :, :]
    if cost == "l1":
        return v.abs().sum(-1)
    squared = (v * v).sum(-1)
    if cost == "sqeuclidean":
        return squared
    positive = squared > 0
    return torch.where(positive, torch.where(positive, squared, 1.0).sqrt(), 0.0)


def scaling_loss(C, a, b, eps, L):
    K, v = torch.exp(-C / eps), b
    for _ in range(L):
        u = a / (K @ v)
        v = b / (K.T @ u)
    return u @ (K * C) @ v


def log_loss(C, a, b, eps, L):
    """(F, s) after L steps in the log domain."""
    g = torch.zeros_like(b)
    for _ in range(L):
        f = -eps * torch.logsumexp(torch.log(b) + (g - C) / eps, dim=1)
        g = -eps * torch.logsumexp(torch.log(a) + (f - C.T) / eps, dim=1)
    P = a[:, None] * b * torch.exp((f[:, None] + g - C) / eps)
    return a @ f + b @ g, (P * C).sum()


def backward(function, *arrays):
    """The value of `function` and its gradients in the arrays, by torch."""
    tensors = [torch.tensor(array, requires_grad=True) for array in arrays]
    value = function(*tensors)
    value.backward()
    return value.item(), *(tensor.grad.numpy() for tensor in tensors)


def error(found, expected):
    return abs(found - expected).max() / abs(expected).max()


def constants(*arrays):
    return [torch.tensor(array) for array in arrays]


@pytest.mark.parametrize("L", [1, 7])
def test_unrolled_sinkhorn(clouds, cost, L):
    """G-8 as in Algorithm 2, in the cost and in the points of both clouds."""
    x, a, y, b = clouds
    C = point_cost(x, y, cost)
    eps = 0.3 * C.dense().max()
    ta, tb = constants(a, b)
    for forward in (lambda C: scaling_loss(C, ta, tb, eps, L),
                    lambda C: log_loss(C, ta, tb, eps, L)[1]):
        _, dC = backward(forward, C.dense())
        assert error(scaling_loss_gradient(C.dense(), a, b, eps, L), dC) <= 6e-15
        assert error(scaling_loss_gradient_log(C, a, b, eps, L), dC) <= 6e-15

    _, dx, dy = backward(
        lambda x, y: scaling_loss(cost_matrix(x, y, cost), ta, tb, eps, L), x, y)
    found_x, found_y = scaling_loss_gradient_points(C, a, b, eps, L)
    assert error(found_x, dx) <= 6e-15
    assert error(found_y, dy) <= 6e-15


def test_unrolled_self_term(clouds, cost):
    x, a, _, _ = clouds
    C = point_cost(x, x, cost)
    eps = 0.3 * C.dense().max()
    ta, = constants(a)
    _, dx = backward(lambda x: scaling_loss(cost_matrix(x, x, cost), ta, ta, eps, 6), x)
    assert error(scaling_loss_gradient_self(C, a, eps, 6), dx) <= 6e-15


def test_sinkhorn_divergence(clouds, cost):
    """S through 300 steps of each of its terms: value, gradient in points, in weights."""
    x, a, y, b = clouds
    eps = 0.5 * max(point_cost(x, y, cost).dense().max(), point_cost(x, x, cost).dense().max())
    ty, tb = constants(y, b)

    def forward(x, a):
        F_xy = log_loss(cost_matrix(x, ty, cost), a, tb, eps, 300)[0]
        F_xx = log_loss(cost_matrix(x, x, cost), a, a, eps, 300)[0]
        F_yy = log_loss(cost_matrix(ty, ty, cost), tb, tb, eps, 300)[0]
        return F_xy - F_xx / 2 - F_yy / 2

    value, dx, da = backward(forward, x, a)
    assert value == pytest.approx(sinkhorn_divergence(x, a, y, b, eps, cost), abs=1e-11)
    found = envelope.sinkhorn_divergence_gradient(x, a, y, b, eps, cost)
    assert error(found, dx) <= 6e-12
    found = envelope.sinkhorn_divergence_gradient_weights(x, a, y, b, eps, cost)
    assert error(found, da - da.mean()) <= 1e-10


def test_sharp_value(clouds, cost):
    """Torch through 300 unrolled steps, against one linear system."""
    x, a, y, b = clouds
    C = point_cost(x, y, cost)
    eps = 0.5 * C.dense().max()
    ta, ty, tb = constants(a, y, b)
    _, dx = backward(lambda x: log_loss(cost_matrix(x, ty, cost), ta, tb, eps, 300)[1], x)
    assert error(sharp_value_gradient_points(C, a, b, eps), dx) <= 6e-12


def test_mmd(clouds, cost):
    """V- and U-statistic; "euclidean" is the energy distance."""
    x, a, y, b = clouds
    ty, tb = constants(y, b)

    def v_statistic(x, a, q=lambda a: 1.0):
        self_term = a @ cost_matrix(x, x, cost) @ a
        return 2 * a @ cost_matrix(x, ty, cost) @ tb - self_term / q(a)

    def u_statistic(x, a):
        return v_statistic(x, a, lambda a: 1 - a @ a)

    for forward, in_points, in_weights in (
        (v_statistic, envelope.mmd_squared_gradient, envelope.mmd_squared_gradient_weights),
        (u_statistic, envelope.mmd_squared_unbiased_gradient,
         envelope.mmd_squared_unbiased_gradient_weights),
    ):
        _, dx, da = backward(forward, x, a)
        assert error(in_points(x, a, y, b, cost), dx) <= 6e-15
        assert error(in_weights(x, a, y, b, cost), da - da.mean()) <= 6e-15
