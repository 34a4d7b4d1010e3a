"""All gradients where points coincide or weights vanish; symmetries, backends, bad input."""

from __future__ import annotations

import numpy as np
import pytest
from gradient_cases import COSTS, cases, error, extrapolated, scaling_loss
from hypothesis import given

from refot import (
    InputError,
    entropic_value,
    get_backend,
    mmd_squared,
    mmd_squared_unbiased,
    point_cost,
    sharp_value,
    sinkhorn_divergence,
)
from refot import gradients as envelope
from refot.implicit import (
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


@pytest.mark.parametrize("of", [
    lambda C, a, b, g, on: envelope.entropic_value_gradient_points(C, a, b, 1.0, backend=on),
    lambda C, a, b, g, on: envelope.entropic_value_gradient_weights(C, a, b, 1.0, backend=on),
    lambda C, a, b, g, on: envelope.semi_dual_gradient_points(g, C, a, b, 1.0, backend=on),
    lambda C, a, b, g, on: scaling_loss_gradient_points(C, a, b, 1.0, 3, backend=on)[1],
    lambda C, a, b, g, on: sharp_value_gradient_points(C, a, b, 1.0, backend=on),
    lambda C, a, b, g, on: sinkhorn_loss_gradient(
        C.x, a, C.y, b, 1.0, "euclidean", backend=on),
])
def test_every_backend_gives_the_same_gradients(of, backend):
    """For one cost: the operations under them are compared for each cost by the backends' own
    tests, and the gradient of S for each cost by the rounding bounds."""
    rng = np.random.default_rng(3)
    C = point_cost(rng.normal(size=(5, 2)), rng.normal(size=(4, 2)), "euclidean")
    a, b, g = rng.dirichlet(np.ones(5)), rng.dirichlet(np.ones(4)), rng.normal(size=4)
    found = get_backend(backend).to_numpy(of(C, a, b, g, backend))
    assert error(found, of(C, a, b, g, "numpy")) <= 1e-11


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
