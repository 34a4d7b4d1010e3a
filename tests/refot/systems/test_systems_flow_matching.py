"""Flow matching: the regression and its gradient, the coupling's law and marginals, the paths."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from system_checks import assert_resumes, assert_slopes, captured

import refot
from refot.arrays import Array, InputError
from refot.semidiscrete import assignment, semi_discrete_objective
from refot.systems.flow_matching import (
    FlowMatching,
    SemiDiscreteFlowMatching,
    SemiDiscreteSettings,
    Settings,
)
from refot.systems.registry import make_system, presets
from refot.systems.tasks.small_digits import SmallDigits
from refot.verification.trajectories.systems import DATA, TinyFlowTask

SMALL = Settings(m=7, rate=1e-2, euler=5)
SEMI = SemiDiscreteSettings(m=7, rate=1e-2, euler=5, lam=0.2, K=400, b=32, gamma=3.0, rounds=4)
ALPHA = float((DATA**2).sum(axis=1).mean())
B = np.full(8, 1 / 8)


def independent(dtype: Any = np.float64) -> FlowMatching:
    return FlowMatching(1, "numpy", TinyFlowTask(), SMALL, dtype)


def semidiscrete(dtype: Any = np.float64, **changes: Any) -> SemiDiscreteFlowMatching:
    return SemiDiscreteFlowMatching(1, "numpy", TinyFlowTask(), replace(SEMI, **changes), dtype)


def cost(z: Array) -> refot.PointCost:
    return refot.point_cost(z, DATA, scale=1 / ALPHA)


# ------------------------------------------------------------------ the step
@pytest.mark.parametrize("make", [independent, semidiscrete])
def test_v_descends_the_regression_on_the_lines(make: Any) -> None:
    """The loss of the module's docstring, written out, and its slopes."""
    s = make()
    batch = s.draw()
    z, t, y = batch["z"], batch["t"], DATA[s.partners(batch["z"], batch["u"])]

    def loss() -> float:
        v, _ = s.v.forward(np.concatenate([(1 - t) * z + t * y, t], axis=1))
        return float(((v - y + z) ** 2).sum() / len(z))

    told: dict[str, float] = {}
    gradients = captured(s, "v", lambda: told.update(s.update(batch)))
    assert told["loss"] == pytest.approx(loss(), rel=1e-13)
    assert_slopes(gradients, s.v.weights, loss)


@pytest.mark.parametrize("make", [independent, semidiscrete])
def test_it_goes_on_where_it_was_left(make: Any) -> None:
    assert_resumes(lambda: make(np.float32))


# ------------------------------------------------------------------ the coupling
@pytest.mark.parametrize("lam", [0.0, 0.2])
def test_partners_have_the_law_chi(lam: float) -> None:
    """With u on a grid of [0, 1), each y_j is taken at its share chi_j of it, to one point."""
    s, z = semidiscrete(lam=lam), np.random.default_rng(2).normal(size=(6, 2))
    u = (np.arange(1_000) + 0.5) / 1_000
    chi = assignment(s.potential, cost(z), B, lam)
    for z_i, chi_i in zip(z, chi, strict=True):
        drawn = s.partners(np.tile(z_i, (1_000, 1)), u)
        np.testing.assert_allclose(np.bincount(drawn, minlength=8) / 1_000, chi_i, atol=1.001e-3)


def test_the_largest_u_has_a_partner_that_it_may_have() -> None:
    """1 - 2^-24 is the largest float32 below 1; a sum of chi that ends below it must do no harm."""
    s, z = semidiscrete(np.float32), np.random.default_rng(2).normal(size=(200, 2))
    for u in (0.0, 1 - 2.0**-24):
        j = s.partners(s.on_device(z), np.full(200, u, np.float32))
        chi = assignment(s.potential.astype(float), cost(z), B, s.lam)
        assert (chi[np.arange(200), j] > 0).all()
    assert set(independent(np.float32).partners(z, np.full(200, 1 - 2.0**-24, np.float32))) == {7}


@pytest.mark.parametrize("lam", [0.0, 0.2])
def test_the_marginal_on_the_data_is_uniform(lam: float) -> None:
    """The mean of chi over 20,000 fresh noises. Each entry of it deviates by at most
    sqrt(1/8 * 7/8 / 20,000) = .0023; four times that, and a tenth of 1/8 for the potential."""
    s, z = semidiscrete(lam=lam), np.random.default_rng(3).normal(size=(20_000, 2))
    chi = assignment(s.potential, cost(z), B, lam)
    np.testing.assert_allclose(chi.mean(axis=0), 1 / 8, atol=0.0125 + 4 * 0.0023)
    assert s.unevenness(20_000, np.random.default_rng(4)) < 0.1


def test_the_potential_is_nearly_the_best() -> None:
    """On 1,000 noises H at psi is below its maximum, the value F, by less than one per cent. psi
    was fitted to other noises."""
    s, z = semidiscrete(), np.random.default_rng(5).normal(size=(1_000, 2))
    best = refot.entropic_value(cost(z), np.full(1_000, 1e-3), B, s.lam)
    found = semi_discrete_objective(s.potential, cost(z), B, s.lam)
    assert 0.99 * best < found <= best + 1e-9


def test_the_coupling_is_cheaper_than_independence_and_its_lines_cross_less() -> None:
    z, u = np.random.default_rng(6).normal(size=(2_000, 2)), np.random.default_rng(7).random(2_000)
    length = {make: ((z - DATA[make().partners(z, u)]) ** 2).sum(axis=1).mean()
              for make in (independent, semidiscrete)}
    assert length[semidiscrete] < 0.5 * length[independent]


def test_unevenness_is_that_of_shares_that_are_known() -> None:
    """With psi = 0 and lam = 0 the shares are those of Voronoi cells. 100,000 draws in place of
    20,000, and the estimate that is not corrected, agree to the deviation of either."""
    s = semidiscrete(lam=0.0)
    s.potential[...] = 0
    z = np.random.default_rng(8).normal(size=(100_000, 2))
    shares = np.bincount(s.partners(z, np.zeros(len(z))), minlength=8) / len(z)
    expected = (8 * (shares**2).sum() - 1) ** 0.5
    assert s.unevenness(20_000, np.random.default_rng(9)) == pytest.approx(expected, rel=0.03)


# ------------------------------------------------------------------ the paths
def test_a_constant_velocity_goes_straight_and_ends_where_it_must() -> None:
    s = independent()
    for name, w in s.v.weights.items():
        w[...] = np.array([2.0, -1.0]) if name == "2.b" else 0
    z = np.random.default_rng(0).normal(size=(4, 2))
    for s.euler in (1, 7):
        np.testing.assert_allclose(s.generate(z), z + np.array([2, -1]), rtol=1e-14)
    assert s.curvature(z) < 1e-28


def test_euler_steps_are_those_of_the_definition() -> None:
    s, z = independent(), np.random.default_rng(0).normal(size=(4, 2))
    x = z
    for k in range(5):
        x = x + s.v.forward(np.concatenate([x, np.full((4, 1), k / 5)], axis=1))[0] / 5
    np.testing.assert_allclose(s.generate(z), x, rtol=1e-13)


# ------------------------------------------------------------------ the rest
@pytest.mark.parametrize(("name", "value"), [
    ("m", 0), ("euler", 0), ("K", 0), ("b", 0), ("rounds", 0), ("gamma", 0.0), ("lam", -1.0)])
def test_a_setting_that_makes_no_sense_is_named(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"^{name}"):
        semidiscrete(**{name: value})


def test_presets_make_systems_that_can_be_judged() -> None:
    assert len(presets("flow_matching")) == 4
    few = {"K": 20, "rounds": 1, "m": 16, "euler": 3}
    s = make_system("flow_matching", "semidiscrete-gaussians25", 0, "numpy", few)
    assert s.step()["loss"] > 0
    measures = s.evaluate(np.random.default_rng(0))
    assert {"W", "modes", "curvature", "uneven"} <= set(measures)
    assert s.sample(5, np.random.default_rng(0)).shape == (5, 2)


def test_small_digits_hold_out_images_and_show_them() -> None:
    pytest.importorskip("sklearn")
    task = SmallDigits(width=64)
    assert task.data.shape == (1_000, 64)
    assert task.held_out.shape == (500, 64)
    assert task.data.min() == -1
    assert task.data.max() == 1
    trained_on = {image.tobytes() for image in task.data}
    assert not any(image.tobytes() in trained_on for image in task.held_out)
    assert task.shown(task.data[:3]).shape == (3, 8, 8)
    copied = iter([task.held_out])
    exact = task.judge(lambda _: next(copied), None, np.random.default_rng(0))  # type: ignore[arg-type]
    assert exact["W"] == pytest.approx(0, abs=1e-9)
