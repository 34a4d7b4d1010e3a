"""H_lambda on samples, its supergradient (H-27) and gradient in the samples (H-29/30), c / alpha.

For lam = 0 and lam > 0 alike, on generated batches.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from semidiscrete_cases import GRID, STEP, B, Y, batches, draws, nth

from refot import (
    InputError,
    c_transform,
    entropic_value,
    get_backend,
    kantorovich,
    normalised,
    point_cost,
    semi_dual,
    semi_dual_gradient,
    solve,
)
from refot.gradients import semi_dual_gradient_points
from refot.semidiscrete import (
    assignment,
    averaged_sgd,
    averaged_sgd_bound,
    counter_example_h,
    generator_gradient,
    regularised_c_transform,
    semi_discrete_objective,
    supergradient,
)


# ------------------------------------------------------------------ H_lambda, H-7, 8, 23
@given(batches(regularised=True))
def test_objective_is_the_semi_dual_of_the_batch(batch):
    uniform = np.full(len(batch.x), 1 / len(batch.x))
    value = semi_discrete_objective(*batch.arguments)
    expected = semi_dual(batch.psi, batch.C, uniform, batch.b, batch.lam)
    assert value == pytest.approx(expected, rel=1e-13, abs=1e-13)


@given(batches())
def test_objective_is_concave_and_shift_invariant(batch):
    psi, C, b, lam = batch.arguments
    other = batch.rng.normal(size=len(psi))
    t = batch.rng.uniform()
    value, at_other = (semi_discrete_objective(p, C, b, lam) for p in (psi, other))
    between = semi_discrete_objective((1 - t) * psi + t * other, C, b, lam)
    assert between >= (1 - t) * value + t * at_other - 1e-12
    shifted = semi_discrete_objective(psi + 5.0, C, b, lam)
    assert shifted == pytest.approx(value, rel=1e-12, abs=1e-12)


@given(batches())
def test_objective_is_at_most_the_transport_cost_and_reaches_it(batch):
    """H-22: max_psi H_lam = W_lam; for lam = 0 at the dual solution of the linear programme."""
    psi, C, b, lam = batch.arguments
    a = np.full(len(batch.x), 1 / len(batch.x))
    if lam > 0:
        W, best = entropic_value(C, a, b, lam), solve(C, a, b, lam).g
    else:
        W, P = kantorovich(C.dense(), a, b)
        best = potential_of(P, C.dense())
    assert semi_discrete_objective(psi, C, b, lam) <= W + 1e-9
    assert semi_discrete_objective(best, C, b, lam) == pytest.approx(W, rel=1e-9, abs=1e-9)


def potential_of(P, C):
    """psi with f + psi <= C, equal where P > 0: shortest paths in the residual graph."""
    psi = np.zeros(C.shape[1])
    for _ in range(sum(C.shape)):
        tight = np.where(P > 1e-12, C - psi, -np.inf).max(axis=1)
        psi = np.minimum(psi, (C - tight[:, None]).min(axis=0))
    return psi


@given(batches(regularised=True))
def test_the_hard_transform_is_the_limit_of_the_soft_one(batch):
    """H-8: min <= softmin <= min + lam log(1 / b_min)."""
    hard = regularised_c_transform(batch.psi, batch.C, batch.b, 0.0)
    soft = regularised_c_transform(*batch.arguments)
    np.testing.assert_array_equal(hard, c_transform(batch.psi, batch.C, batch.b))
    slack = 1e-12 * (1 + batch.lam)
    assert (hard - slack <= soft).all()
    assert (soft <= hard - batch.lam * np.log(batch.b.min()) + slack).all()


# ------------------------------------------------------------------ D, H-27 corrected (H1)
@given(batches())
def test_supergradient_rows_sum_to_zero(batch):
    """The printed H-27, -chi - b, sums to -2 (H1)."""
    D = supergradient(*batch.arguments)
    assert D.shape == (len(batch.x), len(batch.y))
    assert abs(D.sum(axis=1)).max() <= 1e-14
    assert ((D**2).sum(axis=1) <= 2).all()


@given(batches())
def test_supergradient_inequality(batch):
    """H(psi') <= H(psi) + D.(psi' - psi) for every psi', whether H has a gradient or not."""
    psi, C, b, lam = batch.arguments
    D = supergradient(*batch.arguments).mean(axis=0)
    for other in batch.rng.normal(size=(5, len(psi))):
        bound = semi_discrete_objective(psi, C, b, lam) + D @ (other - psi)
        assert semi_discrete_objective(other, C, b, lam) <= bound + 1e-12


@given(batches(regularised=True))
def test_supergradient_of_each_sample_is_the_derivative(batch):
    """D_i = d/dpsi (psi^{c,lam}(x_i) + b.psi) by the complex step (quoted 4.5e-16, seen
    7.8e-16); its mean is the gradient."""
    psi, C, b, lam = batch.arguments
    D = supergradient(*batch.arguments)
    at = psi + 1j * STEP * np.eye(len(psi))
    rows = -lam * np.log((b * np.exp((at[:, None, :] - C.dense()) / lam)).sum(axis=-1))
    expected = (rows + (at @ b)[:, None]).imag.T / STEP
    assert abs(D - expected).max() <= 1.3e-15
    uniform = np.full(len(batch.x), 1 / len(batch.x))
    np.testing.assert_allclose(
        D.mean(axis=0), semi_dual_gradient(psi, C, uniform, b, lam), rtol=0, atol=1e-15)


@given(batches(regularised=True))
def test_supergradient_vanishes_at_the_optimum(batch):
    """Quoted 4.6e-14 for the corrected sign, seen 4.9e-14."""
    uniform = np.full(len(batch.x), 1 / len(batch.x))
    psi = solve(batch.C, uniform, batch.b, batch.lam, tol=1e-13).g
    D = supergradient(psi, batch.C, batch.b, batch.lam).mean(axis=0)
    assert abs(D).max() <= 1e-13


@given(batches(regularised=False))
def test_hard_assignment(batch):
    chi = assignment(*batch.arguments)
    nearest = (batch.C.dense() - batch.psi).argmin(axis=1)
    np.testing.assert_array_equal(chi.argmax(axis=1), nearest)
    np.testing.assert_array_equal(np.sort(chi, axis=1)[:, :-1], 0)
    np.testing.assert_array_equal(chi.sum(axis=1), 1)


def test_ties_go_to_the_least_index_and_zero_weights_take_no_part():
    C = np.array([[1.0, 1.0, 1.0], [0.0, 2.0, 2.0]])
    even = np.full(3, 1 / 3)
    np.testing.assert_array_equal(assignment([0, 0, 0], C, even, 0), [[1, 0, 0], [1, 0, 0]])
    np.testing.assert_array_equal(
        assignment([0, 0, 0], C, [0.0, 0.5, 0.5], 0), [[0, 1, 0], [0, 1, 0]])
    D = supergradient([0, 0, 0], C, [0.0, 0.5, 0.5], 0.0)
    np.testing.assert_array_equal(D, [[0, -0.5, 0.5], [0, -0.5, 0.5]])


# ------------------------------------------------------------------ H-29, H-30
@given(batches())
def test_generator_gradient_is_the_derivative_in_the_samples(batch):
    """Quoted 2.5e-16 for lam > 0; for lam = 0 away from ties, 2 (x_i - y_j) / n exactly."""
    psi, C, b, lam = batch.arguments
    found = generator_gradient(*batch.arguments)
    n = len(batch.x)
    if lam == 0:
        nearest = (C.dense() - psi).argmin(axis=1)
        np.testing.assert_allclose(found, 2 * (batch.x - batch.y[nearest]) / n, rtol=1e-14)
        return
    uniform = np.full(n, 1 / n)
    fused = semi_dual_gradient_points(psi, C, uniform, b, lam)
    size = abs(C.gradient_rows(slice(None))).max() / n
    assert abs(found - fused).max() <= 4e-15 * size
    v = batch.rng.normal(size=batch.x.shape)
    at = batch.x + 1j * STEP * v
    cost = ((at[:, None, :] - batch.y) ** 2).sum(axis=-1)
    F = (-lam * np.log((b * np.exp((psi - cost) / lam)).sum(axis=-1))).mean()
    assert (found * v).sum() == pytest.approx(F.imag / STEP, abs=4e-15 * size * abs(v).sum())


# ------------------------------------------------------------------ the cost c / alpha, H4
@given(batches(regularised=True))
def test_normalised_cost_rescales_eps(batch):
    """W_lam(c / alpha) = W_{alpha lam}(c) / alpha: quoted 5e-16, seen 4.1e-16 of max c."""
    C, alpha = batch.C, (batch.y**2).sum(axis=1).mean()
    a = np.full(len(batch.x), 1 / len(batch.x))
    lam = batch.lam / alpha
    left = entropic_value(normalised(C), a, batch.b, lam, tol=1e-12)
    right = entropic_value(C, a, batch.b, alpha * lam, tol=1e-12) / alpha
    assert left == pytest.approx(right, rel=0, abs=1e-15 * C.dense().max() / alpha)
    psi = batch.psi
    left = semi_discrete_objective(psi / alpha, normalised(C), batch.b, lam)
    right = semi_discrete_objective(psi, C, batch.b, alpha * lam) / alpha
    assert left == pytest.approx(right, rel=1e-13, abs=1e-14)


@given(batches(), st.floats(-5, 5))
def test_alpha_is_not_translation_invariant(batch, t):
    """alpha(y + t) = alpha(y) + 2 t.mean(y) + |t|^2: eps changes with the origin, W does not."""
    alpha = (batch.y**2).sum(axis=1).mean()
    moved = normalised(point_cost(batch.x + t, batch.y + t))
    d = batch.y.shape[1]
    expected = alpha + 2 * t * batch.y.mean(axis=0).sum() + d * t**2
    assert 1 / moved.scale == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(
        moved.dense() * expected, batch.C.dense(), rtol=1e-9, atol=1e-11)


# ------------------------------------------------------------------ backends, bad input
@pytest.mark.parametrize("lam", [0.0, 0.5])
def test_every_backend_takes_the_same_steps(backend, lam):
    to_numpy = get_backend(backend).to_numpy
    runs = [nth(averaged_sgd(draws(Y, 3), np.random.default_rng(1), B, lam, 1.0, backend=on), 10)
            for on in (backend, "numpy")]
    np.testing.assert_allclose(to_numpy(runs[0]), runs[1], rtol=0, atol=1e-13)
    C = point_cost(GRID[:7], Y)
    of = [generator_gradient(runs[1], C, B, lam, backend=on) for on in (backend, "numpy")]
    np.testing.assert_allclose(to_numpy(of[0]), of[1], rtol=0, atol=1e-14)


def test_arguments_are_checked():
    C, half = np.ones((3, 2)), [0.5, 0.5]
    for function in (semi_discrete_objective, supergradient, generator_gradient, assignment,
                     regularised_c_transform):
        with pytest.raises(InputError, match=r"^lam: -1"):
            function([0.0, 0.0], C, half, -1)
    with pytest.raises(InputError, match=r"^C: "):
        generator_gradient([0.0, 0.0], C, half, 0)
    with pytest.raises(InputError, match=r"^psi"):
        assignment([0.0, np.inf], C, half, 0)
    rng = np.random.default_rng(0)
    for wrong in ({"gamma": 0.0}, {"alpha": 1.0}, {"alpha": 0.0}, {"lam": -1.0}, {"psi": [0.0]}):
        name = next(iter(wrong))
        arguments = {"lam": 0.0, "gamma": 1.0, **wrong}
        with pytest.raises(InputError, match=f"^{name}: "):
            next(averaged_sgd(draws(Y[:2], 1), rng, half, **arguments))
    with pytest.raises(InputError, match=r"^p: 0.5"):
        counter_example_h([0.0], [[1.0], [2.0]], 0.5)
    with pytest.raises(InputError, match=r"^theta: shape"):
        counter_example_h([0.0, 1.0], [[1.0], [2.0]], 1)
    with pytest.raises(InputError, match=r"^k: 0"):
        averaged_sgd_bound(0, 1.0, 1.0)
