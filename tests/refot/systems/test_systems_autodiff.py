"""Sinkhorn AutoDiff, Algorithms 1 and 2 of G: its loss is the library's, its steps descend it.

Gradients are compared with finite differences of the loss as the paper writes it, in float64.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from system_checks import assert_resumes, assert_slopes, captured

import refot
from refot.arrays import Array, InputError
from refot.costs.ground import GROUND_COSTS
from refot.datasets.scikit import IRIS_SPECIES
from refot.networks import LeakyReLU, Sequential, mlp
from refot.systems.batch import losses as batch_losses
from refot.systems.batch.costs import (
    BatchCost,
    Euclidean,
    MinusGaussianKernel,
    SquaredEuclidean,
    pull_back,
    squared_distances,
)
from refot.systems.batch.losses import DebiasedLoss, ProductTerm, SinkhornTerm, fits_scaling
from refot.systems.registry import make_system, presets
from refot.systems.sinkhorn_autodiff import (
    KernelSettings,
    LearnedCost,
    Settings,
    SinkhornAutoDiff,
)
from refot.systems.tasks.ellipses import BallsToEllipses, IrisEllipses, counts_by_species, inside

pytest.importorskip("sklearn")

SMALL = Settings(eps=1.0, L=4, m=12, alpha=1e-3)
LEARNING = replace(SMALL, n_c=2)


class Cloud:
    """Points in R^3, a generator from R^2, and features in R^4: small and smooth enough for h."""

    def generator(self, rng: np.random.Generator, xp: Any, dtype: Any) -> Sequential:
        return mlp([2, 6, 3], rng, LeakyReLU(0.2), dtype=dtype, xp=xp)

    def features(self, rng: np.random.Generator, xp: Any, dtype: Any) -> Sequential:
        return mlp([3, 5, 4], rng, LeakyReLU(0.2), dtype=dtype, xp=xp)

    def latent(self, rng: np.random.Generator, *shape: int) -> Array:
        return rng.uniform(size=(*shape, 2))

    def draw(self, rng: np.random.Generator, *shape: int) -> Array:
        return rng.normal(size=(*shape, 3)) + 1


def fixed(settings: Settings = SMALL, dtype: Any = np.float64) -> SinkhornAutoDiff:
    return SinkhornAutoDiff(1, "numpy", Cloud(), settings, dtype)  # type: ignore[arg-type]


def learned(settings: Settings = LEARNING, dtype: Any = np.float64) -> LearnedCost:
    return LearnedCost(1, "numpy", Cloud(), settings, dtype)  # type: ignore[arg-type]


def points(seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(7, 3)), rng.normal(size=(9, 3)) + 0.5


# ------------------------------------------------------------------ costs of a batch
@pytest.mark.parametrize("cost", [SquaredEuclidean(), Euclidean()])
def test_costs_and_gradients_are_those_of_the_library(cost: BatchCost) -> None:
    (x, y), name = points(), cost.name
    T = np.random.default_rng(1).normal(size=(7, 9))
    C = refot.point_cost(x, y, name)
    np.testing.assert_allclose(cost.of(squared_distances(x, y)), C.dense(), rtol=1e-13)
    expected = np.einsum("ij,ijd->id", T, GROUND_COSTS[name].gradient(x, y))
    np.testing.assert_allclose(pull_back(T, cost, x, y), expected, atol=1e-13)


def test_the_gradient_of_the_kernel_is_its_slope() -> None:
    x, y = points()
    T, cost = np.random.default_rng(1).normal(size=(7, 9)), MinusGaussianKernel(0.8)

    def loss() -> float:
        r2 = ((x[:, None] - y[None]) ** 2).sum(axis=2)
        return float((T * -np.exp(-r2 / (2 * 0.8**2))).sum())

    np.testing.assert_allclose((T * cost.of(squared_distances(x, y))).sum(), loss(), rtol=1e-13)
    assert_slopes({"x": pull_back(T, cost, x, y)}, {"x": x}, loss)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_equal_points_are_at_distance_zero_and_pull_by_nothing(dtype: Any) -> None:
    rng = np.random.default_rng(2)
    x = (rng.normal(size=(6, 50)) * 1e3 + 7e4).astype(dtype)
    x[4] = x[1]
    r2 = squared_distances(x, x)
    assert (r2[[0, 1, 4], [0, 4, 4]] == 0).all()
    assert (r2 > 0).sum() == 30 - 2
    assert np.isfinite(Euclidean().slope(r2)).all()
    assert Euclidean().slope(r2)[1, 4] == 0


# ------------------------------------------------------------------ the loss of a batch
@pytest.mark.parametrize("form", ["scaling", "log"])
def test_a_term_is_algorithm_2_in_either_form(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """At C / eps < 100 both forms can be had: the value is that of `scaling_loss`, to rounding."""
    x, y = points()
    C, a, b = refot.point_cost(x, y).dense(), np.full(7, 1 / 7), np.full(9, 1 / 9)
    monkeypatch.setattr(batch_losses, "SCALING_RANGE", 300.0 if form == "scaling" else 1.0)
    term = SinkhornTerm(0.3, 5)
    assert fits_scaling(C, 0.3) == (form == "scaling")
    assert term.value(C) == pytest.approx(refot.scaling_loss(C, a, b, 0.3, 5), rel=1e-12)
    np.testing.assert_allclose(
        term.gradient(C), refot.scaling_loss_gradient(C, a, b, 0.3, 5), atol=1e-12)


def test_the_forms_meet_at_the_end_of_the_range() -> None:
    """At C / eps = 300 the scaling form is still right; just above it, the log form takes over."""
    x, y = points()
    C = refot.point_cost(x, y).dense()
    eps = float(C.max()) / 300
    below, above = SinkhornTerm(eps, 20), SinkhornTerm(eps * (1 - 1e-12), 20)
    assert (fits_scaling(C, below.eps), fits_scaling(C, above.eps)) == (True, False)
    assert below.value(C) == pytest.approx(above.value(C), rel=1e-9)
    np.testing.assert_allclose(below.gradient(C), above.gradient(C), atol=1e-8)


def test_the_loss_tends_to_g4_and_at_infinite_eps_is_the_mmd() -> None:
    x, y = points()
    a, b = np.full(7, 1 / 7), np.full(9, 1 / 9)
    for cost, name in ((SquaredEuclidean(), "sqeuclidean"), (Euclidean(), "euclidean")):
        found = DebiasedLoss(x, y, cost, SinkhornTerm(1.0, 2_000))
        assert found.value == pytest.approx(refot.sinkhorn_loss(x, a, y, b, 1.0, name), abs=1e-12)
        mmd = DebiasedLoss(x, y, cost, ProductTerm())
        assert mmd.value == pytest.approx(refot.mmd_squared(x, a, y, b, name), abs=1e-13)
        np.testing.assert_allclose(
            mmd.gradient_x(), refot.mmd_squared_gradient(x, a, y, b, name), atol=1e-13)


@pytest.mark.parametrize("term", [SinkhornTerm(1.0, 4), SinkhornTerm(0.02, 4), ProductTerm()])
@pytest.mark.parametrize("cost", [SquaredEuclidean(), Euclidean(), MinusGaussianKernel(1.0)])
def test_the_loss_has_its_gradient_in_both_batches(term: Any, cost: BatchCost) -> None:
    x, y = points()
    found = DebiasedLoss(x, y, cost, term)
    gradients = {"x": found.gradient_x(), "y": found.gradient_y()}
    assert_slopes(gradients, {"x": x, "y": y}, lambda: DebiasedLoss(x, y, cost, term).value, 1e-7)


def test_it_is_finite_for_batches_with_equal_points() -> None:
    x, y = points()
    x[1], y[2] = x[0], x[0]
    found = DebiasedLoss(x, y, Euclidean(), SinkhornTerm(0.5, 10))
    assert math.isfinite(found.value)
    assert np.isfinite(found.gradient_x()).all()
    assert np.isfinite(found.gradient_y()).all()
    np.testing.assert_allclose(found.gradient_x()[0], found.gradient_x()[1], atol=1e-13)


# ------------------------------------------------------------------ Algorithm 1
@pytest.mark.parametrize("settings", [
    SMALL, replace(SMALL, eps=0.01),
    KernelSettings(eps=math.inf, L=4, m=12, alpha=1e-3, bandwidth=1.0)])
def test_a_step_of_theta_descends_the_loss_of_its_batch(settings: Settings) -> None:
    s = fixed(settings)
    batch = s.draw()
    gradients = captured(s, "g", lambda: s.update(batch))

    def loss() -> float:
        x, _ = s.g.forward(batch["z"][0])
        return DebiasedLoss(x, batch["y"][0], s.cost, s.term).value

    assert_slopes(gradients, s.g.weights, loss, 1e-7)


def features_loss(s: LearnedCost, z: Array, y: Array) -> float:
    """2 W - W - W with c = |f(x) - f(y)|, from the library's functions."""
    u, v = s.f.forward(s.g.forward(z)[0])[0], s.f.forward(y)[0]
    w = np.full(len(z), 1 / len(z))

    def W(p: Array, q: Array) -> float:
        C = refot.point_cost(p, q, "euclidean").dense()
        return refot.scaling_loss(C, w, w, s.settings.eps, s.settings.L)

    return 2 * W(u, v) - W(u, u) - W(v, v)


def test_the_learned_cost_is_climbed_in_phi_and_descended_in_theta() -> None:
    s = learned(replace(LEARNING, c=1e3))  # no clipping: it would move phi from where it was
    batch = s.draw()
    z, y = batch["z"][0], batch["y"][0]
    up = captured(s, "f", lambda: s.ascend(z, y))
    assert_slopes(up, s.f.weights, lambda: -features_loss(s, z, y))
    down = captured(s, "g", lambda: s.descend(z, y))
    assert_slopes(down, s.g.weights, lambda: features_loss(s, z, y))


def test_an_ascent_clips_phi_and_leaves_theta() -> None:
    s = learned()
    batch = s.draw()
    theta = {key: w.copy() for key, w in s.g.weights.items()}
    s.ascend(batch["z"][0], batch["y"][0])
    assert max(abs(w).max() for w in s.f.weights.values()) == s.settings.c
    assert all(np.array_equal(w, s.g.weights[key]) for key, w in theta.items())


def test_a_fixed_cost_has_no_ascents() -> None:
    with pytest.raises(InputError, match="n_c: 2; allowed: 0 with a fixed cost"):
        fixed(LEARNING).step()


def test_equal_data_and_a_constant_generator_leave_all_finite() -> None:
    s = learned()
    for w in s.g.weights.values():
        w[...] = 0
    batch = s.draw()
    batch["y"][:, ::2] = 0  # as what is generated
    assert all(math.isfinite(loss) for loss in s.update(batch).values())
    assert all(np.isfinite(array).all() for array in s.state().values())


@pytest.mark.parametrize("make", [fixed, learned])
def test_it_goes_on_where_it_was_left(make: Any) -> None:
    assert_resumes(lambda: make(dtype=np.float32))


# ------------------------------------------------------------------ ellipses, Table 1
def test_an_ellipse_is_the_image_of_its_ball() -> None:
    rng = np.random.default_rng(0)
    layer = BallsToEllipses(rng.normal(size=(3, 3)))
    weights = {"A": rng.normal(size=(3, 3, 3)), "alpha": layer.centres.copy()}
    z = IrisEllipses().latent(rng, 40)
    x, cache = layer.forward(z, tuple(weights.values()), (), True)
    k = z[:, :3].argmax(axis=1)
    expected = [weights["A"][i] @ row + weights["alpha"][i] for i, row in zip(k, z[:, 3:],
                                                                            strict=True)]
    np.testing.assert_allclose(x, expected, atol=1e-14)
    held = inside(x, weights["A"], weights["alpha"])
    assert held[k, np.arange(40)].all()
    assert not inside(1e3 + x, weights["A"], weights["alpha"]).any()
    dy = rng.normal(size=x.shape)
    dz, dw = layer.backward(dy, cache, tuple(weights.values()))

    def loss() -> float:
        return float((dy * layer.forward(z, tuple(weights.values()), (), True)[0]).sum())

    assert_slopes({"z": dz, "A": dw[0], "alpha": dw[1]}, {"z": z, **weights}, loss)


def test_the_balls_are_uniform_and_of_equal_mass() -> None:
    """|z|^3 is uniform for z uniform in a ball: mean 1/2; 4 deviations of 20,000 draws."""
    z = IrisEllipses().latent(np.random.default_rng(0), 20_000)
    volume = np.linalg.norm(z[:, 3:], axis=1) ** 3
    assert volume.max() <= 1
    assert volume.mean() == pytest.approx(0.5, abs=4 * math.sqrt(1 / 12 / 20_000))
    np.testing.assert_allclose(z[:, :3].mean(axis=0), 1 / 3, atol=4 * math.sqrt(2 / 9 / 20_000))


def test_the_table_counts_points_by_species_whatever_the_order_of_ellipses() -> None:
    held = np.array([[0, 0, 1, 1], [0, 1, 0, 0], [1, 0, 0, 1]], dtype=bool)
    species = np.array([0, 1, 2, 2])
    assert len(IRIS_SPECIES) == 3
    np.testing.assert_array_equal(
        counts_by_species(held, species), [[1, 0, 1], [0, 1, 0], [0, 0, 2]])


def test_a_short_run_on_iris_lowers_its_loss() -> None:
    """On the batches of one law: those that it trained on, before and after."""
    made, trained = (make_system("sinkhorn_autodiff", "iris-ellipses", 0, "numpy", {"m": 100})
                     for _ in range(2))
    assert isinstance(made, SinkhornAutoDiff)
    assert isinstance(trained, SinkhornAutoDiff)
    for w in (*made.g.weights.values(), *trained.g.weights.values()):
        w *= 1.5  # away from where k-means and unit balls already fit
    batches = [trained.draw() for _ in range(60)]
    for batch in batches:
        trained.update(batch)

    def mean_loss(s: SinkhornAutoDiff) -> float:
        return float(np.mean([DebiasedLoss(s.g.forward(batch["z"][0])[0], batch["y"][0], s.cost,
                                           s.term).value for batch in batches[:10]]))

    assert mean_loss(trained) < 0.6 * mean_loss(made)


def test_presets_say_their_source() -> None:
    for name, preset in presets("sinkhorn_autodiff").items():
        assert "G " in preset.about, name
