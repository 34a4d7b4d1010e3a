"""U-7 and U-8 against PyTorch's autograd, through every step of a plain Sinkhorn iteration.

The twin knows no envelope theorem: it runs U-3, evaluates the primal U-1 of the plan that it ends
with, and leaves the derivatives to PyTorch. 400 steps leave nothing of an error at these rho: the
slowest, rho = 4 eps on one side and an exact marginal on the other, removes a fifth at a step.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the twin is PyTorch's")

import refot  # noqa: E402
from refot.unbalanced import gradients  # noqa: E402

EPS, STEPS = 0.5, 400
CLOSE = {"rtol": 1e-9, "atol": 1e-10}


def is_exact(rho):
    """Whether rho, a number or a tensor, is infinite."""
    return bool(torch.isinf(torch.as_tensor(rho)))


def kl(p, q):
    """sum p log(p / q) - p + q."""
    return (torch.xlogy(p, p / q) - p + q).sum()


def value(x, a, y, b, rows, columns):
    """U-1 of the plan of plain iterations, |x - y|^2, KL; a rho of inf makes its side exact."""
    C = ((x[:, None] - y) ** 2).sum(-1)
    damping = [1.0 if is_exact(rho) else rho / (rho + EPS) for rho in (rows, columns)]
    g = torch.zeros_like(b)
    for _ in range(STEPS):
        f = -damping[0] * EPS * torch.logsumexp(b.log() + (g - C) / EPS, 1)
        g = -damping[1] * EPS * torch.logsumexp(a.log()[:, None] + (f[:, None] - C) / EPS, 0)
    P = a[:, None] * b * torch.exp((f[:, None] + g - C) / EPS)
    free = sum(rho * kl(sums, w) for rho, sums, w in (
        (rows, P.sum(1), a), (columns, P.sum(0), b)) if not is_exact(rho))
    return (P * C).sum() + EPS * kl(P, a[:, None] * b) + free


def divergence(x, a, y, b, rho):
    """U-8."""
    own = value(x, a, x, a, rho, rho) / 2 + value(y, b, y, b, rho, rho) / 2
    return value(x, a, y, b, rho, rho) - own + EPS / 2 * (a.sum() - b.sum()) ** 2


@pytest.fixture
def clouds():
    """x (5, 2), a (5,), y (4, 2), b (4,), masses that differ."""
    rng = np.random.default_rng(7)
    return (rng.normal(size=(5, 2)), rng.random(5) + 0.2, rng.normal(size=(4, 2)),
            2 * rng.random(4) + 0.2)


def tensors(clouds):
    return [torch.tensor(each, requires_grad=True) for each in clouds]


@pytest.mark.parametrize("rho", [(0.8, 0.8), (0.3, 2.0), (2.0, math.inf)])
def test_gradients_of_the_value_are_those_of_autograd(clouds, rho):
    x, a, y, b = clouds
    t, of_rho = tensors(clouds), [torch.tensor(each, dtype=torch.float64) for each in rho]
    for each in of_rho:
        each.requires_grad_(math.isfinite(each))
    U = value(*t, *of_rho)
    U.backward()
    given = (refot.point_cost(x, y), a, b, EPS, rho)
    assert U.item() == pytest.approx(refot.unbalanced_value(*given), rel=1e-12)
    np.testing.assert_allclose(gradients.unbalanced_value_gradient_points(*given), t[0].grad,
                               **CLOSE)
    np.testing.assert_allclose(gradients.unbalanced_value_gradient_weights(*given), t[1].grad,
                               **CLOSE)
    np.testing.assert_allclose(
        gradients.unbalanced_value_gradient_rho(*given),
        [0.0 if each.grad is None else each.grad.item() for each in of_rho], **CLOSE)


@pytest.mark.parametrize("rho", [0.4, 2.0])
def test_gradients_of_the_divergence_are_those_of_autograd(clouds, rho):
    t = tensors(clouds)
    divergence(*t, rho).backward()
    for function, found in ((gradients.unbalanced_divergence_gradient, t[0].grad),
                            (gradients.unbalanced_divergence_gradient_weights, t[1].grad)):
        np.testing.assert_allclose(function(*clouds, EPS, rho), found, **CLOSE)
